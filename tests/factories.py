"""Rows for tests, each valid and believable by itself. Everything can be overridden; nothing is random.

place = location()                                     # America/Chicago, Monday to Saturday 9 to 18
kind = session_type(locations=[place])                 # 60 minutes, needs a photographer and a camera room
crew(place)                                            # a photographer, a room, a make-up artist, a chair
booked = booking(session_type=kind, starts_at=…)       # confirmed, with claims, shoot and payer
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4

from bookings import availability
from bookings.models import (
    AddOn,
    AddOnKind,
    Allocation,
    Booking,
    BookingAddOn,
    Claim,
    Client,
    Payment,
    PaymentMethod,
    Placement,
    Requirement,
    Resource,
    ResourceHours,
    ResourceKind,
    SessionType,
    Shoot,
    Skill,
    WaitingPlace,
)
from bookings.pricing import quote
from bookings.statuses import BookingStatus, ShootStatus
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Location, OpeningHours, Role, StaffRole, Studio, User
from studio.transitions import begin, move

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)  # a Monday, as in the fixture `now`
_number = itertools.count(1)


def studio(**fields: Any) -> Studio:
    """The one studio."""
    defaults = {"name": "Northlight Headshots", "email": "hello@northlight.example", "currency": "USD"}
    return Studio.objects.update_or_create(pk=1, defaults=defaults | fields)[0]


def location(
    *, hours: tuple[time, time] = (time(9), time(18)), weekdays: Sequence[int] = range(6), **fields: Any
) -> Location:
    """A place in Chicago, open Monday to Saturday; makes the studio if there is none."""
    if not Studio.objects.exists():
        studio()
    number = next(_number)
    row = Location.objects.create(
        **{"slug": f"place-{number}", "name": f"Place {number}", "country": "US", "zone": "America/Chicago"}
        | fields
    )
    OpeningHours.objects.bulk_create(
        OpeningHours(location=row, weekday=day, opens_at=hours[0], closes_at=hours[1]) for day in weekdays
    )
    return row


def user(*roles: Role, **fields: Any) -> User:
    """Somebody of the studio with these roles everywhere (owner unless told otherwise)."""
    number = next(_number)
    row = User.objects.create_user(
        **{
            "email": f"person{number}@northlight.example",
            "name": f"Person {number}",
            "password": "a long password",
        }
        | fields
    )
    for role in roles or (Role.OWNER,):
        StaffRole.objects.create(user=row, role=role)
    return row


def skill(slug: str) -> Skill:
    """A skill by its slug, made once."""
    return Skill.objects.get_or_create(slug=slug, defaults={"name": slug.replace("-", " ").capitalize()})[0]


def resource(
    *skills: str,
    kind: ResourceKind | str = ResourceKind.PERSON,
    at: Location | None = None,
    hours: tuple[time, time] | None = (time(9), time(18)),
    weekdays: Sequence[int] = range(6),
    **fields: Any,
) -> Resource:
    """A person who works at `at`, or a room or chair that stands there and follows its hours."""
    number = next(_number)
    kind = ResourceKind(kind)
    is_person = kind == ResourceKind.PERSON
    row = Resource.objects.create(
        **{
            "kind": kind,
            "name": f"{kind.label} {number}",
            "location": None if is_person else at,
            "position": number,
        }
        | fields
    )
    row.skills.set([skill(slug) for slug in skills])
    if is_person and at is not None and hours is not None:
        ResourceHours.objects.bulk_create(
            ResourceHours(resource=row, location=at, weekday=day, starts_at=hours[0], ends_at=hours[1])
            for day in weekdays
        )
    return row


def crew(at: Location) -> dict[str, Resource]:
    """One of each: photographer, camera room, make-up artist, make-up chair."""
    return {
        "photographer": resource("photographer", at=at),
        "camera-room": resource("camera-room", kind=ResourceKind.ROOM, at=at),
        "make-up-artist": resource("make-up-artist", at=at),
        "make-up-chair": resource("make-up-chair", kind=ResourceKind.CHAIR, at=at),
    }


def session_type(
    *,
    locations: Sequence[Location] = (),
    add_ons: Sequence[AddOn] = (),
    needs: Sequence[str | tuple[str, int, int, int]] = (
        ("photographer", 1, 0, 15),
        ("camera-room", 1, 0, 15),
    ),
    **fields: Any,
) -> SessionType:
    """An hour's session for 180.00 with two finals, paid in full. `needs`: skill, or (skill, count, before, after)."""
    number = next(_number)
    row = SessionType.objects.create(
        **{
            "slug": f"session-{number}",
            "name": f"Session {number}",
            "minutes": 60,
            "price": 18000,
            "finals_included": 2,
        }
        | fields
    )
    row.locations.set(locations)
    row.add_ons.set(add_ons)
    _requirements(needs, session_type=row)
    return row


def add_on(
    *,
    needs: Sequence[str | tuple[str, int, int, int]] = (
        ("make-up-artist", 1, 0, 10),
        ("make-up-chair", 1, 0, 10),
    ),
    **fields: Any,
) -> AddOn:
    """Make-up before the shoot: 45 minutes, 90.00."""
    number = next(_number)
    defaults = {
        "slug": f"add-on-{number}",
        "kind": AddOnKind.MAKE_UP,
        "name": f"Make-up {number}",
        "price": 9000,
        "minutes": 45,
        "placement": Placement.BEFORE,
    }
    row = AddOn.objects.create(**defaults | fields)
    _requirements(() if row.placement == Placement.NO_TIME else needs, add_on=row)
    return row


def _requirements(needs: Sequence[str | tuple[str, int, int, int]], **of: Any) -> None:
    for need in needs:
        slug, count, before, after = (need, 1, 0, 0) if isinstance(need, str) else need
        Requirement.objects.create(
            skill=skill(slug), count=count, before_minutes=before, after_minutes=after, **of
        )


def client(**fields: Any) -> Client:
    """A person the studio knows."""
    number = next(_number)
    defaults = {"name": f"Robin Sample {number}", "email": f"robin{number}@client.example", "created_at": NOW}
    return Client.objects.create(**defaults | fields)


def actor(kind: ActorKind = ActorKind.USER, number: int = 1) -> Actor:
    """Somebody who acts, without a row behind them."""
    return Actor(kind, number, str(kind.label))


def booking(
    *,
    status: BookingStatus = BookingStatus.CONFIRMED,
    at: Location | None = None,
    session_type: SessionType | None = None,
    add_ons: Mapping[AddOn, int] | None = None,
    starts_at: datetime | None = None,
    payer: Client | None = None,
    sitter: Client | None = None,
    is_paid: bool = False,
    now: datetime = NOW,
    **fields: Any,
) -> Booking:
    """A booking at a stage, with its claims (if the Resources exist), one Shoot and, if wanted, its payment.

    Written directly: no mail, no happenings. `bookings.holds.place` and `lifecycle` are the real way.
    """
    session_type = session_type or globals()["session_type"](locations=[at or location()])
    place = at or session_type.locations.first() or location()
    chosen = list((add_ons or {}).items())
    starts_at = starts_at or now + timedelta(days=7)
    priced = quote(session_type=session_type, location=place, add_ons=chosen)
    cast = availability.cast_of(
        session_type=session_type, location=place, add_ons={row.pk: count for row, count in chosen}
    )
    slot = availability.slot_at(cast, starts_at, now=min(now, starts_at), leeway=availability.Leeway.OVERRIDE)
    if payer is None and status not in (BookingStatus.HELD, BookingStatus.EXPIRED):
        payer = client()
    row = begin(
        Booking(
            **{
                "payer": payer,
                "session_type": session_type,
                "location": place,
                "status": BookingStatus.HELD,
                "starts_at": starts_at,
                "ends_at": starts_at + timedelta(minutes=cast.chain.minutes),
                "hold_expires_at": now + timedelta(minutes=15),
                "created_at": now,
                "currency": priced.currency,
                "session_fee": priced.session_fee,
                "price": priced.total,
                "due_now": priced.due_now,
                "finals_included": priced.finals_included,
            }
            | fields
        ),
        by=WORKER,
        now=now,
    )
    BookingAddOn.objects.bulk_create(
        BookingAddOn(booking=row, add_on=extra, count=count, price=extra.price * count)
        for extra, count in chosen
    )
    is_active = status in (BookingStatus.HELD, BookingStatus.REQUESTED, BookingStatus.CONFIRMED)
    Claim.objects.bulk_create(
        Claim(
            booking=row,
            resource_id=seat.resource_id,
            starts_at=seat.starts_at,
            ends_at=seat.ends_at,
            works_from=seat.works_from,
            works_until=seat.works_until,
            purpose=seat.purpose,
            is_shoot=seat.is_shoot,
            is_active=is_active,
        )
        for seat in (slot.seats if slot else ())
    )
    begin(
        Shoot(
            booking=row,
            sitter=sitter or payer,
            code=f"T{next(_number):05d}",
            starts_at=starts_at + timedelta(minutes=cast.chain.shoot_begins),
            ends_at=row.ends_at,
        ),
        by=WORKER,
        now=now,
    )
    verb = {"confirmed": "confirm", "requested": "request", "expired": "expire", "cancelled": "release"}
    if status != BookingStatus.HELD:
        more = {"answer_by": now + timedelta(days=2)} if status == BookingStatus.REQUESTED else {}
        move(Booking, row.pk, verb[status], by=WORKER, now=now, **more)
    if status in (BookingStatus.EXPIRED, BookingStatus.CANCELLED):
        move(Shoot, row.shoots.get().pk, "cancel", by=WORKER, now=now)
    if is_paid and payer is not None:
        payment(row, amount=row.price, now=now)
    row.refresh_from_db()
    return row


def waiting_place(kind: SessionType, *, now: datetime = NOW, **fields: Any) -> WaitingPlace:
    """Somebody on the waiting list for the next two weeks."""
    place = fields.pop("location", None) or kind.locations.first()
    assert place is not None
    first_on = now.date()
    defaults = {"first_on": first_on, "last_on": first_on + timedelta(days=14), "created_at": now}
    fields = {"client": None, "session_type": kind, "location": place} | defaults | fields
    fields["client"] = fields["client"] or client()
    return begin(WaitingPlace(**fields), by=WORKER, now=now)


def payment(
    booked: Booking, *, amount: int, method: PaymentMethod | str = PaymentMethod.STRIPE, now: datetime = NOW
) -> Payment:
    """Money received for a booking, allocated to it in full."""
    assert booked.payer is not None
    row = Payment.objects.create(
        payer=booked.payer,
        method=method,
        amount=amount,
        currency=booked.currency,
        gateway_id=f"pi_{uuid4().hex}" if method == PaymentMethod.STRIPE else None,
        received_at=now,
        actor_kind=ActorKind.STRIPE if method == PaymentMethod.STRIPE else ActorKind.USER,
    )
    Allocation.objects.create(booking=booked, payment=row, amount=amount)
    return row


def shoot(*, status: ShootStatus = ShootStatus.PLANNED, now: datetime = NOW, **fields: Any) -> Shoot:
    """The Shoot of a confirmed booking, at a stage; no happening is told. `fields` go to `booking`."""
    row = booking(now=now, **fields).shoots.get()
    steps = {
        ShootStatus.PLANNED: (),
        ShootStatus.CHECKED_IN: ("check_in",),
        ShootStatus.COMPLETED: ("check_in", "complete"),
        ShootStatus.NO_SHOW: ("no_show",),
        ShootStatus.CANCELLED: ("cancel",),
    }[status]
    for verb in steps:
        move(Shoot, row.pk, verb, by=WORKER, now=row.ends_at if verb == "complete" else row.starts_at)
    row.refresh_from_db()
    return row
