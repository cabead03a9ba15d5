"""The studio of a journey: the demo's without its bookings, where it is day now; its calendar counted by hand."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from bookings import lifecycle
from bookings import seeds as bookings_seeds
from bookings.models import Booking
from studio import seeds as studio_seeds
from studio.actors import Actor
from studio.models import Closure, Location, User
from studio.seeding import Seed

PASSWORD = "north-light-keeps-its-word"
TOWNS = ("America/New_York", "Australia/Brisbane", "Europe/Paris", "Asia/Kolkata", "Pacific/Honolulu")


def found_studio(now: datetime) -> Seed:
    """People, rooms and what is sold; Ana can sign in."""
    seed = Seed(now=now, say=lambda _words: None)
    studio_seeds.studio(seed)
    bookings_seeds.people_and_rooms(seed)
    bookings_seeds.what_is_sold(seed)
    # Somewhere it is between six in the morning and three in the afternoon: no day ends in the middle of a session, and
    # no pause is opened in the two hours before closing, where it would begin only after them.
    zone = next(zone for zone in TOWNS if 6 <= now.astimezone(ZoneInfo(zone)).hour < 15)
    Location.objects.filter(slug="brooklyn").update(zone=zone)
    seed.rows["brooklyn"].refresh_from_db()
    # The processes hash as in production; the tests' own hasher is not known to them.
    User.objects.filter(pk=seed.rows["ana"].pk).update(
        password=PBKDF2PasswordHasher().encode(PASSWORD, "journey")
    )
    return seed


def let_it_be_today(booking: Booking, *, owner: User) -> None:
    """The photographer moves a session to a few minutes from now, as somebody who may."""
    now = datetime.now(UTC)
    lifecycle.move_to(
        booking_id=booking.pk,
        starts_at=(now + timedelta(minutes=3)).replace(second=0, microsecond=0),
        by=Actor.user(owner),
        now=now,
        override_reason="The client could come today.",
    )
    booking.refresh_from_db()


def promised(ended_at: datetime, place: Location, *, days: int = 2) -> datetime:
    """The promise, counted on the wall calendar.

    The closing of the `days`th weekday after the session's day that is no closure.
    """
    zone = ZoneInfo(place.zone)
    closures = {row.on: row.closes_at for row in Closure.objects.filter(location=place)}
    day = ended_at.astimezone(zone).date()
    while days:
        day += timedelta(days=1)
        is_closed = day in closures and closures[day] is None
        days -= day.weekday() < 5 and not is_closed
    closes_at = closures.get(day) or place.closes_at
    return datetime.combine(day, closes_at, tzinfo=zone).astimezone(UTC)
