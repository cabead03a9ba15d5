"""Rows that tests of the galleries begin with, made directly: no booking page is walked here."""

from datetime import datetime, timedelta
from itertools import count

from django.test import Client as Browser

from bookings.models import Booking, Client, SessionType, Shoot
from bookings.statuses import BookingStatus, ShootStatus
from galleries.models import Gallery
from studio.actors import WORKER
from studio.models import Location, Role, StaffRole, Studio, User
from studio.transitions import begin

_numbers = count(1)


def make_location(**fields: object) -> Location:
    Studio.objects.get_or_create(pk=1, defaults={"name": "North Light", "email": "hello@example.test"})
    number = next(_numbers)
    defaults: dict[str, object] = {
        "slug": f"north-{number}",
        "name": f"North {number}",
        "country": "GB",
        "zone": "Europe/London",
    }
    return Location.objects.create(**{**defaults, **fields})


def make_session_type(**fields: object) -> SessionType:
    number = next(_numbers)
    defaults: dict[str, object] = {
        "slug": f"portrait-{number}",
        "name": "Portrait",
        "minutes": 60,
        "price": 20000,
        "finals_included": 2,
    }
    return SessionType.objects.create(**{**defaults, **fields})


def make_client(*, now: datetime, name: str = "Ada Example", **fields: object) -> Client:
    email = f"client{next(_numbers)}@example.test"
    return Client.objects.create(**{"name": name, "email": email, "created_at": now, **fields})


def make_shoot(
    *,
    now: datetime,
    location: Location | None = None,
    session_type: SessionType | None = None,
    client: Client | None = None,
    starts_at: datetime | None = None,
    status: str = ShootStatus.CHECKED_IN,
) -> Shoot:
    """A confirmed booking with its one shoot, which began at `now` unless said otherwise."""
    location = location or make_location()
    session_type = session_type or make_session_type()
    client = client or make_client(now=now)
    starts_at = starts_at or now
    ends_at = starts_at + timedelta(minutes=session_type.minutes)
    booking = begin(
        Booking(
            payer=client,
            session_type=session_type,
            location=location,
            status=BookingStatus.CONFIRMED,
            starts_at=starts_at,
            ends_at=ends_at,
            confirmed_at=now,
            created_at=now,
            currency="GBP",
            session_fee=session_type.price,
            price=session_type.price,
            due_now=session_type.price,
            finals_included=session_type.finals_included,
        ),
        by=WORKER,
        now=now,
    )
    shoot = Shoot(
        booking=booking,
        sitter=client,
        status=status,
        code=f"NL{next(_numbers):04d}",
        starts_at=starts_at,
        ends_at=ends_at,
        checked_in_at=now if status == ShootStatus.CHECKED_IN else None,
    )
    return begin(shoot, by=WORKER, now=now)


def make_gallery(*, now: datetime, shoot: Shoot | None = None, **fields: object) -> Gallery:
    """The gallery of a checked-in shoot, open, without a promise yet."""
    shoot = shoot or make_shoot(now=now)
    defaults: dict[str, object] = {"finals_included": shoot.booking.finals_included, "created_at": now}
    return begin(Gallery(shoot=shoot, **{**defaults, **fields}), by=WORKER, now=now)


def make_user(*roles: Role, name: str = "Pat Example", location: Location | None = None) -> User:
    """Somebody of the studio with these roles (everywhere, unless a location is named)."""
    user = User.objects.create_user(
        f"staff{next(_numbers)}@example.test", "a long enough password", name=name
    )
    for role in roles:
        StaffRole.objects.create(user=user, role=role, location=location)
    return user


def sign_in(browser: Browser, user: User) -> None:
    """Sign somebody in who has set up a second factor, as everybody of the studio must."""
    from allauth.mfa.models import Authenticator

    Authenticator.objects.get_or_create(user=user, type=Authenticator.Type.TOTP, defaults={"data": {}})
    browser.force_login(user)
