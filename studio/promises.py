"""The promise of a location: its stored hours and closures as a working-day calendar, and what would be promised.

Arithmetic is in `studio.workdays`; here it meets the rows. Used by the booking pages (a forecast) and by the
galleries (the running promise).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from studio import workdays
from studio.actors import Actor
from studio.happenings import tell
from studio.models import Closure, Location

YEAR = timedelta(days=366)


@transaction.atomic
def closures_changed(*, location: Location, by: Actor, now: datetime) -> None:
    """Say that hours or closures of a location were edited: what is promised there is computed again."""
    tell("closures_changed", location=location, by=by, now=now)


def closures_changing(*, location: Location, by: Actor, now: datetime) -> None:
    """Say that hours or closures of a location are about to be edited: whoever seats clients there waits, or is waited
    for. Inside the transaction that edits, before anything is written."""
    tell("closures_changing", location=location, by=by, now=now)


def calendar_of(location: Location, *, first_on: date, last_on: date | None = None) -> workdays.Calendar:
    """The working-day calendar of a location with its closures from `first_on` on (a year, or to `last_on`)."""
    rows = Closure.objects.filter(location=location, on__gte=first_on, on__lte=last_on or first_on + YEAR)
    closures: dict[date, str] = {}
    half_days = {}
    for row in rows:
        if row.closes_at is None:
            closures[row.on] = row.name
        else:
            half_days[row.on] = row.closes_at
    return workdays.Calendar(
        zone=location.zone,
        week=frozenset(day for day, works in enumerate(location.working_week) if works == "1"),
        closes=location.closes_at,
        opens=location.opens_at,
        closures=closures,
        half_days=half_days,
        half_day_counts=location.half_day_counts,
    )


# --- what a full studio can promise

MOST_DAYS = 40  # a studio that is full for longer says so much and no more
Finish = Callable[[datetime, int], datetime | None]
Workload = Callable[[Location, datetime], Finish | None]
_workloads: list[Workload] = []


def workload(find: Workload) -> Workload:
    """Register who knows the work in hand: `find(location, now)` gives a function that answers when the pictures of
    a shoot would be finished (`ended_at`, pictures); None where nobody works off a queue. Bookings know no galleries.
    """
    _workloads.append(find)
    return find


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one shoot: by when, in the location's zone, and whether that is later than usual."""

    due_at: datetime
    days: int
    is_later: bool


class Outlook:
    """What a location can honestly promise now: rule S, later where the work in hand says so. Built once a page."""

    def __init__(self, *, location: Location, days: int, pictures: int, now: datetime) -> None:
        self._zone = ZoneInfo(location.zone)
        self._calendar = calendar_of(location, first_on=now.astimezone(self._zone).date())
        self._days, self._pictures = days, pictures
        self._finish = [found for find in _workloads if (found := find(location, now)) is not None]

    def said(self, ended_at: datetime) -> Said:
        """The promise of a shoot that would end then. Raises workdays.WorkdaysError without working days."""
        done_at = max((at or FAR for at in self._done(ended_at)), default=ended_at)
        days, due = self._days, self._due(ended_at, self._days)
        while due < done_at and days < MOST_DAYS:
            days += 1
            due = self._due(ended_at, days)
        return Said(due.astimezone(self._zone), days, days > self._days)

    def _done(self, ended_at: datetime) -> list[datetime | None]:
        return [finish(ended_at, self._pictures) for finish in self._finish]

    def _due(self, ended_at: datetime, days: int) -> datetime:
        return workdays.deliver_by(ended_at=ended_at, days=days, calendar=self._calendar)


FAR = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a client is told while booking: two honest times, each in the location's zone.

    `together_at`: when the pictures are chosen in the studio. `at_home_at`: the earliest when the client
    chooses at home; then it is one working day after the choice, never before this.
    """

    together_at: datetime
    at_home_at: datetime


def forecast(*, location: Location, ended_at: datetime, days: int) -> Forecast:
    """The promise of a shoot that would end at `ended_at`. Raises workdays.WorkdaysError without working days."""
    zone = ZoneInfo(location.zone)
    calendar = calendar_of(location, first_on=ended_at.astimezone(zone).date())
    due = workdays.deliver_by(ended_at=ended_at, days=days, calendar=calendar).astimezone(zone)
    return Forecast(together_at=due, at_home_at=due)
