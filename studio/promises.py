"""The promise of a location: its stored hours and closures as a working-day calendar, and what would be promised.

Arithmetic is in `studio.workdays`; here it meets the rows. Used by the booking pages (a forecast) and by the
galleries (the running promise).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
