"""Open slots through the database: what the loader fetches and what it leaves out."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from bookings import availability
from bookings.statuses import BookingStatus
from tests import factories

pytestmark = pytest.mark.django_db
TUESDAY = date(2026, 11, 24)


def starts(kind, place, *, add_ons=None, on=TUESDAY, now=factories.NOW, **options):
    found = availability.slots(
        session_type=kind, location=place, add_ons=add_ons or {}, first_on=on, last_on=on, now=now, **options
    )
    return [slot.starts_at for slot in found]


def at(hour, minute=0, on=TUESDAY):
    """A Chicago wall time in November (UTC-6)."""
    return datetime(on.year, on.month, on.day, hour, minute, tzinfo=UTC) + timedelta(hours=6)


def test_slots_fill_the_opening_hours(place):
    factories.crew(place)
    kind = factories.session_type(locations=[place], increment_minutes=60)
    assert starts(kind, place) == [at(hour) for hour in range(9, 18)]


def test_make_up_comes_before_the_shoot(place):
    crew = factories.crew(place)
    make_up = factories.add_on()
    kind = factories.session_type(locations=[place], add_ons=[make_up], increment_minutes=15)
    found = availability.slots(
        session_type=kind,
        location=place,
        add_ons={make_up.pk: 1},
        first_on=TUESDAY,
        last_on=TUESDAY,
        now=factories.NOW,
    )
    first, last = found[0], found[-1]
    assert (first.starts_at, first.shoot_starts_at, first.ends_at) == (at(9), at(9, 45), at(10, 45))
    assert last.ends_at == at(18)
    seats = {seat.resource_id: (seat.starts_at, seat.ends_at, seat.is_shoot) for seat in first.seats}
    assert seats == {
        crew["make-up-artist"].pk: (at(9), at(9, 55), False),
        crew["make-up-chair"].pk: (at(9), at(9, 55), False),
        crew["photographer"].pk: (at(9, 45), at(11), True),
        crew["camera-room"].pk: (at(9, 45), at(11), True),
    }


def test_a_lapsed_hold_is_open_again_before_any_sweep(place):
    factories.crew(place)
    kind = factories.session_type(locations=[place], increment_minutes=60)
    factories.booking(session_type=kind, at=place, starts_at=at(9), status=BookingStatus.HELD)
    lapses = factories.NOW + timedelta(minutes=15)
    assert at(9) not in starts(kind, place, now=lapses - timedelta(seconds=1))
    assert at(9) in starts(kind, place, now=lapses)


def test_why_not_names_who_and_until_when(place):
    crew = factories.crew(place)
    kind = factories.session_type(locations=[place])
    factories.booking(session_type=kind, at=place, starts_at=at(10))
    crew["photographer"].hours.filter(weekday=2).update(starts_at=time(11))

    def reasons(starts_at):
        return availability.why_not(
            session_type=kind, location=place, add_ons={}, starts_at=starts_at, now=factories.NOW
        )

    assert reasons(at(11, 15)) == []
    assert reasons(at(10, 30)) == [
        f"{crew['photographer'].name} is taken until 11:15.",
        f"{crew['camera-room'].name} is taken until 11:15.",
    ]
    assert reasons(at(10, on=date(2026, 11, 25))) == [f"{crew['photographer'].name} starts at 11:00."]
    assert reasons(at(17, 30)) == [
        "The studio is not open for all of that time.",
        f"{crew['photographer'].name} works until 18:00.",
        f"{crew['camera-room'].name} works until 18:00.",
    ]
    crew["photographer"].days.create(on=TUESDAY)
    assert f"{crew['photographer'].name} does not work then." in reasons(at(14))
    crew["camera-room"].skills.clear()
    assert reasons(at(14))[-1] == f"Nobody can do {kind.name} here."
