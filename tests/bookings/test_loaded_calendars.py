"""What the database holds is what is computed with: the loader's calendars against the minute-by-minute reference.

The reference gets its boards from the drawn facts themselves, never from the rows.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from random import Random

import pytest

from bookings import availability
from bookings.models import Busy, Claim, ResourceDay, ResourceHours, ResourceKind
from bookings.seating import Board, Calendar, Extra, Need, chain_of
from bookings.statuses import BookingStatus
from studio.models import Closure
from tests import factories
from tests.bookings.test_domain_seating import Slow

pytestmark = pytest.mark.django_db
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SATURDAY = date(2027, 3, 13)  # the clocks go forward in the night to Sunday
NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2027, 3, 13, 6, tzinfo=UTC)  # in Chicago
SKILLS = ["photographer", "room"]


class Studio:
    """Two places and their people, drawn from a seed: written as rows, and kept as facts beside them."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed)
        hours = (time(self.draw.choice([0, 7, 9])), time(self.draw.choice([17, 20, 23])))
        self.here = factories.location(hours=hours, weekdays=range(7))
        self.away = factories.location(hours=hours, weekdays=range(7))
        self.opening = {day: [hours] for day in range(7)}
        make_up = factories.add_on(minutes=25, needs=[("photographer", 1, 0, 10)])
        self.add_ons = {make_up.pk: 1} if self.draw.random() < 0.5 else {}
        self.kind = factories.session_type(
            locations=[self.here],
            add_ons=[make_up],
            needs=[("photographer", 1, 5, 20), ("room", 1, 0, 15)],
            minutes=40,
            increment_minutes=self.draw.choice([5, 20, 45]),
            horizon_days=60,
            min_notice_hours=0,
        )
        self.nobodys = factories.session_type(locations=[self.here, self.away], needs=())
        pks = {slug: factories.skill(slug).pk for slug in SKILLS}
        needs = [Need(pks["photographer"], 1, 5, 20), Need(pks["room"], 1, 0, 15)]
        prepared = Extra(make_up.name, 25, "before", (Need(pks["photographer"], 1, 0, 10),), make_up.pk)
        self.chain = chain_of(
            purpose=self.kind.name, minutes=40, needs=needs, extras=[prepared] if self.add_ons else []
        )
        self.calendars = [self.somebody(number, pks) for number in range(4)]
        self.closed = self.closures()

    def somebody(self, number: int, pks: dict[str, int]) -> Calendar:
        is_room = number == 3
        slugs = ["room"] if is_room else self.draw.choice([["photographer"], SKILLS])
        row = factories.resource(
            *slugs,
            kind=ResourceKind.ROOM if is_room else ResourceKind.PERSON,
            at=self.here if is_room else None,
            travel_gap_minutes=self.draw.choice([0, 30]),
        )
        week: dict[int, list[tuple[time, time]]] = defaultdict(list)
        has_hours = not is_room or self.draw.random() < 0.3
        for day in range(7) if has_hours else ():
            begins, until = self.walls()
            place = self.draw.choice([self.here, self.here, self.here, self.away])
            ResourceHours.objects.create(
                resource=row, location=place, weekday=day, starts_at=begins, ends_at=until
            )
            if place == self.here:
                week[day].append((begins, until))
        return Calendar(
            resource_id=row.pk,
            name=row.name,
            skills=frozenset(pks[slug] for slug in slugs),
            hours=dict(week) if has_hours else None,
            days=self.exceptions(row),
            taken=[*self.busy(row), *self.claims(row)],
        )

    def walls(self) -> tuple[time, time]:
        begins = self.draw.randrange(0, 15 * 60, 15)
        until = self.draw.randrange(begins + 120, 23 * 60, 15)
        return time(begins // 60, begins % 60), time(until // 60, until % 60)

    def exceptions(self, row) -> dict[date, list[tuple[time, time]]]:
        """On Sunday perhaps: away, other hours here, other hours elsewhere; away says more than hours do."""
        found: dict[date, list[tuple[time, time]]] = {}
        on = SATURDAY + DAY
        what = self.draw.choice(["", "", "away", "here", "there", "here and away"])
        if "here" in what.split() or what == "there":
            begins, until = self.walls()
            place = self.away if what == "there" else self.here
            ResourceDay.objects.create(resource=row, location=place, on=on, starts_at=begins, ends_at=until)
            found[on] = [(begins, until)] if place == self.here else []
        if "away" in what:
            ResourceDay.objects.create(resource=row, on=on)
            found[on] = []
        return found

    def busy(self, row) -> list[tuple[datetime, datetime]]:
        found = []
        for source in ("feed", "staff")[: self.draw.randrange(3)]:
            begins = MIDNIGHT + self.draw.randrange(-300, 2880) * MINUTE + timedelta(seconds=17)
            until = begins + self.draw.randrange(1, 300) * MINUTE
            Busy.objects.create(resource=row, starts_at=begins, ends_at=until, source=source)
            found.append((begins, until))
        return found

    def claims(self, row) -> list[tuple[datetime, datetime]]:
        """Bookings of others, each on a part of the two days of its own: a lapsed hold and a cancelled one take
        nothing, one elsewhere takes the way as well."""
        found = []
        for part in range(4):
            status = self.draw.choice([None, "confirmed", "held", "lapsed", "cancelled", "requested"])
            if status is None:
                continue
            place = self.draw.choice([self.here, self.away])
            begins = MIDNIGHT + (part * 720 + self.draw.randrange(60, 400)) * MINUTE
            until = begins + self.draw.randrange(20, 250) * MINUTE
            booked = factories.booking(
                session_type=self.nobodys,
                at=place,
                starts_at=begins,
                status=BookingStatus.HELD if status == "lapsed" else BookingStatus(status),
                hold_expires_at=NOW if status == "lapsed" else NOW + timedelta(minutes=15),
                now=NOW,
            )
            Claim.objects.create(
                booking=booked,
                resource=row,
                starts_at=begins,
                ends_at=until,
                works_from=begins,
                works_until=until,
                purpose="Session",
                is_shoot=True,
                is_active=status != "cancelled",
            )
            if status in ("lapsed", "cancelled"):
                continue
            way = timedelta() if place == self.here else row.travel_gap_minutes * MINUTE
            found.append((begins - way, until + way))
        return found

    def closures(self) -> dict[date, time | None]:
        found: dict[date, time | None] = {}
        for on, place in ((SATURDAY, self.here), (SATURDAY + DAY, self.away)):
            what = self.draw.choice(["open", "open", "early", "closed"])
            if what != "open":
                closes = time(15, 30) if what == "early" else None
                Closure.objects.create(location=place, on=on, name="Inventory", closes_at=closes)
                if place == self.here:
                    found[on] = closes
        return found

    def board(self) -> Board:
        return Board(
            zone="America/Chicago",
            first_on=SATURDAY,
            last_on=SATURDAY + DAY,
            chain=self.chain,
            calendars=self.calendars,
            opening=self.opening,
            closed=self.closed,
            increment=self.kind.increment_minutes,
        )


def loaded(studio: Studio) -> list[datetime]:
    found = availability.slots(
        session_type=studio.kind,
        location=studio.here,
        add_ons=studio.add_ons,
        first_on=SATURDAY,
        last_on=SATURDAY + DAY,
        now=NOW,
    )
    return [slot.starts_at for slot in found]


SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_loaded_gives_the_starts_of_the_reference(seed):
    studio = Studio(seed)
    assert loaded(studio) == Slow(studio.board()).starts()


def test_the_drawn_studios_have_something_to_tell():
    """Else the comparison would hold for a loader that loads nothing."""
    studios = [Studio(seed) for seed in range(5)]
    assert sum(bool(loaded(studio)) for studio in studios) >= 3
    for model in (Busy, Claim, ResourceDay, Closure):
        assert model.objects.exists()
