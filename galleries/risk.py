"""Risk before it happens: when each gallery will be finished, from how fast its retoucher works and what is queued.

The pace of a person is measured: the minutes between one approval and the next within one sitting, the median of the
last ones. The queue of a person is worked in the order of the promises, in working hours only. What is assigned to
nobody is done by whoever is free first.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from heapq import heapify, heapreplace
from itertools import pairwise
from operator import itemgetter
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

from galleries.models import Retouch
from studio import workdays
from studio.actors import ActorKind
from studio.models import Location, StatusChange
from studio.promises import calendar_of

DEFAULT_MINUTES = 20.0  # a picture by somebody who was not measured yet
LEAST_MINUTES = 1.0
SITTING = timedelta(hours=1)  # a longer gap is a break, not work
MEASURED = 50  # gaps of one person that count
LOOK_BACK = timedelta(days=60)
DAYS_AHEAD = 120


def minutes_per_pick(*, now: datetime) -> dict[int, float]:
    """User id → measured minutes per picture: the median gap between approvals within one sitting."""
    rows = (
        StatusChange.objects.filter(
            model=Retouch._meta.label_lower,
            verb="approve",
            actor_kind=ActorKind.USER,
            at__gte=now - LOOK_BACK,
            at__lte=now,
        )
        .order_by("actor_id", "-at")
        .values_list("actor_id", "at")
    )
    moments: dict[int, list[datetime]] = defaultdict(list)
    for person, at in rows:
        if person is not None and len(moments[person]) <= MEASURED:
            moments[person].append(at)
    found = {}
    for person, times in moments.items():
        gaps = [later - earlier for later, earlier in pairwise(times) if later - earlier <= SITTING]
        if len(gaps) >= 3:
            found[person] = max(LEAST_MINUTES, median(gap.total_seconds() / 60 for gap in gaps))
    return found


class WorkingTime:
    """The working minutes of a location from a moment on: at which instant the n-th of them is over."""

    def __init__(self, calendar: workdays.Calendar, start: datetime) -> None:
        self.begins: list[datetime] = []
        self.ends: list[datetime] = []
        self.totals: list[float] = []  # working minutes until the end of each day
        on, total = start.astimezone(ZoneInfo(calendar.zone)).date(), 0.0
        for number in range(DAYS_AHEAD):
            day = on + timedelta(days=number)
            opens_at, closes_at = calendar.opens_at(day), calendar.closes_at(day)
            if not calendar.is_working_day(day) or closes_at <= start:
                continue
            total += (closes_at - max(opens_at, start)).total_seconds() / 60
            self.begins.append(max(opens_at, start))
            self.ends.append(closes_at)
            self.totals.append(total)

    def after(self, minutes: float) -> datetime | None:
        """When that many working minutes are over; None beyond what is looked at."""
        place = bisect_left(self.totals, minutes)
        if place == len(self.totals):
            return None
        return self.ends[place] - timedelta(minutes=self.totals[place] - minutes)

    def until(self, moment: datetime) -> float:
        """How many working minutes there are before a moment; as far as is looked at."""
        place = bisect_right(self.begins, moment) - 1
        if place < 0:
            return 0.0
        return self.totals[place] - max(0.0, (self.ends[place] - moment).total_seconds() / 60)


class Queued(NamedTuple):
    """What the forecast needs of a gallery: whose it is, what is left to do, and where. Thousands are made a page."""

    pk: int
    deliver_by: datetime
    assigned_to: int | None
    open_picks: int
    location_id: int


def expected(
    queue: Iterable[Queued], *, retouchers: Sequence[int], now: datetime
) -> dict[int, datetime | None]:
    """Gallery id → when its last picture will be approved, at the measured pace; None: beyond four months.

    Three queries, however many galleries.
    """
    pace = minutes_per_pick(now=now)
    time = {
        location.pk: WorkingTime(calendar_of(location, first_on=now.date() - timedelta(days=1)), now)
        for location in Location.objects.all()
    }
    rows = sorted(queue, key=itemgetter(1, 0))  # by deliver_by, then by id
    busy: dict[int, float] = dict.fromkeys(retouchers, 0.0)
    free = [
        (0.0, place, person) for place, person in enumerate(busy or (0,))
    ]  # who is free first; may be stale
    heapify(free)
    found: dict[int, datetime | None] = {}
    for row in rows:
        person = row.assigned_to
        if person is None:
            person = _first_free(free, busy)
        busy[person] = busy.get(person, 0.0) + row.open_picks * pace.get(person, DEFAULT_MINUTES)
        found[row.pk] = time[row.location_id].after(busy[person])
    return found


def _first_free(free: list[tuple[float, int, int]], busy: dict[int, float]) -> int:
    """Whoever is free first, by the first in the list among equals; what was given since is put right on the way."""
    while True:
        until, place, person = free[0]
        if busy.get(person, 0.0) == until:
            return person
        heapreplace(free, (busy[person], place, person))
