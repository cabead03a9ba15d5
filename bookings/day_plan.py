"""The desk's calendar: one day of one place with a column per Resource, or a week with a row per Resource.

A day is a table of five-minute rows; a claim spans as many as it takes, so the page needs no script and no style.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from django.db.models import Q

from bookings.boards import Cast, Leeway, Player, frame
from bookings.models import Busy, Claim, Resource, ResourceKind, SessionType
from bookings.seating import Chain, line_of, opening_of, works_of
from bookings.statuses import ACTIVE_BOOKING
from bookings.timeline import DAY, MINUTE, instant, minutes_of
from studio.models import Closure, Location

ROW = 5 * MINUTE
FREE_ROWS = 6  # free time is cut at each half hour: a place to drop on, or to begin at


class Kind(StrEnum):
    """What a stretch of somebody's day is."""

    FREE = "free"
    OFF = "off"  # does not work, or the place is closed
    CLAIM = "claim"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of one Resource's day, `rows` of five minutes long."""

    kind: Kind
    starts_at: datetime
    ends_at: datetime
    rows: int
    claim: Claim | None = None
    busy: Busy | None = None

    @property
    def offset_minutes(self) -> int:
        """From the client's arrival to this part: a part dropped at a time means an arrival that much earlier."""
        return (self.claim.works_from - self.claim.booking.starts_at) // MINUTE if self.claim else 0


@dataclass(frozen=True, slots=True)
class Column:
    """One Resource's day; `cells` by the row in which each begins."""

    resource: Resource
    stretches: Sequence[Stretch]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table: its time where a half hour begins, and the cells that begin here."""

    at: datetime
    is_half_hour: bool
    cells: Sequence[tuple[Resource, Stretch]]


@dataclass(frozen=True, slots=True)
class DayPlan:
    """A day as the table shows it."""

    on: date
    location: Location
    columns: Sequence[Column]
    lines: Sequence[Line]
    closure: Closure | None

    @property
    def bookings(self) -> int:
        """How many different bookings the day has."""
        return len({s.claim.booking_id for c in self.columns for s in c.stretches if s.claim})


@dataclass(frozen=True, slots=True)
class WeekRow:
    """One Resource's week: per date what it does, in order."""

    resource: Resource
    days: Sequence[tuple[date, Sequence[Stretch]]]


def is_at(location: Location, *, busy_id: int) -> bool:
    """Whether a busy time is of somebody or something at this place."""
    return Busy.objects.filter(pk=busy_id, resource__in=[row.pk for row in resources_at(location)]).exists()


def resources_at(location: Location, *, only: int | None = None) -> list[Resource]:
    """People first, then the rooms and chairs of a place; `only` one of them (an artist sees no other)."""
    rows = Resource.objects.filter(is_active=True).filter(
        Q(location=location)
        | Q(kind=ResourceKind.PERSON, hours__location=location)
        | Q(kind=ResourceKind.PERSON, hours=None)
    )
    if only is not None:
        rows = Resource.objects.filter(pk=only)
    order = [ResourceKind.PERSON, ResourceKind.ROOM, ResourceKind.CHAIR]
    return sorted(
        rows.distinct(), key=lambda row: (order.index(ResourceKind(row.kind)), row.position, row.name)
    )


def day_plan(*, location: Location, on: date, only: int | None = None, now: datetime) -> DayPlan:
    """The day of every Resource of a place. `only` shows one Resource."""
    resources = resources_at(location, only=only)
    stretches = _stretches(location, resources, on, on, now=now)
    begins_at, ends_at = _span(location, on, [one for rows in stretches.values() for one in rows])
    columns = [
        Column(resource, list(_whole_day(stretches[resource.pk], begins_at, ends_at)))
        for resource in resources
    ]
    return DayPlan(
        on=on,
        location=location,
        columns=columns,
        lines=list(_lines(columns, begins_at, ends_at)),
        closure=Closure.objects.filter(location=location, on=on).first(),
    )


def week_plan(*, location: Location, first_on: date, only: int | None = None, now: datetime) -> list[WeekRow]:
    """Seven days from `first_on`: who does what, a row per Resource."""
    resources = resources_at(location, only=only)
    found = _stretches(location, resources, first_on, first_on + 6 * DAY, now=now)
    zone = ZoneInfo(location.zone)
    dates = [first_on + number * DAY for number in range(7)]
    rows = []
    for resource in resources:
        days: dict[date, list[Stretch]] = {on: [] for on in dates}
        for stretch in found[resource.pk]:
            on = stretch.starts_at.astimezone(zone).date()
            if (on in days and stretch.kind is not Kind.OFF) or (
                on in days and _is_away(stretch, location, on)
            ):
                days[on].append(stretch)
        rows.append(WeekRow(resource, list(days.items())))
    return rows


def _is_away(stretch: Stretch, location: Location, on: date) -> bool:
    """Off for the whole date: leave, a closure, or a weekday without work."""
    zone = ZoneInfo(location.zone)
    return stretch.starts_at <= instant(zone, on, time()) and stretch.ends_at >= instant(
        zone, on + DAY, time()
    )


# --- what takes whom ----------------------------------------------------------------------------------------


def _stretches(
    location: Location, resources: Sequence[Resource], first_on: date, last_on: date, *, now: datetime
) -> dict[int, list[Stretch]]:
    """Claims, busy times and time off per Resource, in order, none over another (a claim wins over all)."""
    zone = ZoneInfo(location.zone)
    from_at, until_at = instant(zone, first_on, time()), instant(zone, last_on + DAY, time())
    taken: dict[int, list[Stretch]] = {resource.pk: [] for resource in resources}
    claims = (
        Claim.objects.filter(
            resource__in=taken,
            is_active=True,
            booking__status__in=ACTIVE_BOOKING,
            ends_at__gt=from_at,
            starts_at__lt=until_at,
        )
        .exclude(booking__status="held", booking__hold_expires_at__lte=now)
        .select_related("booking__payer", "booking__session_type", "booking__location")
        .prefetch_related("booking__shoots__sitter")
    )
    for claim in claims:
        taken[claim.resource_id].append(Stretch(Kind.CLAIM, claim.starts_at, claim.ends_at, 0, claim=claim))
    for busy in Busy.objects.filter(resource__in=taken, ends_at__gt=from_at, starts_at__lt=until_at):
        taken[busy.resource_id].append(
            Stretch(Kind.BUSY, max(busy.starts_at, from_at), min(busy.ends_at, until_at), 0, busy=busy)
        )
    for resource_id, spans in _time_off(location, resources, first_on, last_on, now=now).items():
        taken[resource_id] += [Stretch(Kind.OFF, begins, until, 0) for begins, until in spans]
    return {pk: list(_apart(rows)) for pk, rows in taken.items()}


def _time_off(
    location: Location, resources: Sequence[Resource], first_on: date, last_on: date, *, now: datetime
) -> dict[int, list[tuple[datetime, datetime]]]:
    """When each Resource is not at work here, by the same rules as the booking page."""
    players = [
        Player(row.pk, row.name, frozenset(), row.kind != ResourceKind.PERSON, timedelta())
        for row in resources
    ]
    cast = Cast(SessionType(), location, [], Chain((), 0, 0), players)
    board = frame(cast, first_on=first_on, last_on=last_on, now=now, leeway=Leeway.STAFF)
    line = line_of(board)
    opening = opening_of(board, line)
    everything = (1 << line.length) - 1
    zone = ZoneInfo(location.zone)
    midnights = {line.floor(instant(zone, first_on + number * DAY, time())) for number in range(8)}
    off = {}
    for calendar in board.calendars:
        missing = everything & ~(works_of(board, calendar, line, opening) & opening)
        off[calendar.resource_id] = [
            (line.at(begins), line.at(until)) for begins, until in _spans(missing, midnights)
        ]
    return off


def _spans(minutes: int, cuts: set[int]) -> Iterable[tuple[int, int]]:
    """The runs of a set of minutes, cut at midnights."""
    begins = before = -2
    for minute in minutes_of(minutes):
        if minute != before + 1 or minute in cuts:
            if begins >= 0:
                yield begins, before + 1
            begins = minute
        before = minute
    if begins >= 0:
        yield begins, before + 1


ORDER = [Kind.CLAIM, Kind.BUSY, Kind.OFF]


def _apart(rows: Sequence[Stretch]) -> Iterable[Stretch]:
    """The rows in order of time without overlaps: what is weaker is cut by what is stronger."""
    kept: list[Stretch] = []
    for row in sorted(rows, key=lambda one: (ORDER.index(one.kind), one.starts_at)):
        pieces = [(row.starts_at, row.ends_at)]
        for other in kept:
            pieces = [
                piece
                for begins, until in pieces
                for piece in ((begins, min(until, other.starts_at)), (max(begins, other.ends_at), until))
                if piece[0] < piece[1]
            ]
        kept += [
            Stretch(row.kind, begins, until, 0, claim=row.claim, busy=row.busy) for begins, until in pieces
        ]
    return sorted(kept, key=lambda one: one.starts_at)


# --- the table ----------------------------------------------------------------------------------------------


def _span(location: Location, on: date, stretches: Sequence[Stretch]) -> tuple[datetime, datetime]:
    """From the hour in which anything can begin to the one in which all has ended; 9 to 18 where nothing is open."""
    zone = ZoneInfo(location.zone)
    midnight, next_midnight = instant(zone, on, time()), instant(zone, on + DAY, time())
    hours = location.opening_hours.filter(weekday=on.weekday()).values_list("opens_at", "closes_at")
    begins = [instant(zone, on, opens) for opens, _closes in hours] or [instant(zone, on, time(9))]
    ends = [instant(zone, on, closes) for _opens, closes in hours] or [instant(zone, on, time(18))]
    shown = [one for one in stretches if one.kind is Kind.CLAIM]
    first = min([*begins, *(max(one.starts_at, midnight) for one in shown)])
    last = max([*ends, *(min(one.ends_at, next_midnight) for one in shown)])
    hour = timedelta(hours=1)
    first -= (first - midnight) % hour
    last += -(last - midnight) % hour
    return first, min(last, next_midnight)


def _whole_day(rows: Sequence[Stretch], begins_at: datetime, ends_at: datetime) -> Iterable[Stretch]:
    """The day without a gap, on whole rows: what lies between is free, cut at half hours."""
    at = begins_at
    for row in rows:
        begins = max(at, begins_at + (row.starts_at - begins_at) // ROW * ROW)
        until = min(ends_at, begins_at - (begins_at - row.ends_at) // ROW * ROW)
        if until <= begins:
            continue
        yield from _free(at, begins, begins_at)
        yield Stretch(row.kind, begins, until, (until - begins) // ROW, claim=row.claim, busy=row.busy)
        at = until
    yield from _free(at, ends_at, begins_at)


def _free(at: datetime, until: datetime, begins_at: datetime) -> Iterable[Stretch]:
    half = FREE_ROWS * ROW
    while at < until:
        stops = min(until, begins_at + ((at - begins_at) // half + 1) * half)
        yield Stretch(Kind.FREE, at, stops, (stops - at) // ROW)
        at = stops


def _lines(columns: Sequence[Column], begins_at: datetime, ends_at: datetime) -> Iterable[Line]:
    by_start: dict[datetime, list[tuple[Resource, Stretch]]] = {}
    for column in columns:
        for stretch in column.stretches:
            by_start.setdefault(stretch.starts_at, []).append((column.resource, stretch))
    at = begins_at
    while at < ends_at:
        yield Line(at, (at - begins_at) % (FREE_ROWS * ROW) == timedelta(), by_start.get(at, []))
        at += ROW
