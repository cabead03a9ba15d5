"""When somebody is busy, read out of an iCalendar file from outside: bounded, and nothing but times is taken.

Pure: no clock, no queries, no network. What cannot be read is counted, never guessed; what would take for ever (a rule
every second, ten thousand series) is refused before it is expanded.
"""

import time as clock
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import recurring_ical_events
from django.utils.translation import gettext as _
from icalendar import Calendar

from bookings.timeline import DAY, MINUTE, instant

MOST_EVENTS = 10_000
MOST_TIMES = 20_000
SECONDS = 30.0
EARLIEST = 1970
SLOW_RULES = {"YEARLY", "MONTHLY", "WEEKLY", "DAILY"}  # nobody is busy every second for ever
WINDOWS = (1, 7, 31, 400)  # days: the first ones are small, so that a flood is seen early

Span = tuple[datetime, datetime]


class Unreadable(Exception):
    """It is not a calendar, or one that cannot be read in reasonable time; `sentence` says why."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class BusyTimes:
    """The times in order, none touching another; how many events they came from and how many could not be read."""

    spans: tuple[Span, ...]
    events: int
    skipped: int


def busy_times(
    body: bytes,
    *,
    zone: str,
    from_at: datetime,
    until_at: datetime,
    is_ours: Callable[[str], bool] = lambda uid: False,
    seconds: float = SECONDS,
) -> BusyTimes:
    """What keeps somebody busy between two instants. `zone` is the clock of all-day events and of times that name none.

    Cancelled and free ("transparent") events keep nobody busy; `is_ours` names the UIDs we wrote ourselves. Raises
    Unreadable.
    """
    calendar = _parsed(body)
    ends_at = clock.monotonic() + seconds
    local = _zone(str(calendar.get("X-WR-TIMEZONE", "")), zone)
    spans: list[Span] = []
    events = skipped = 0
    for series in _series(calendar):
        if clock.monotonic() > ends_at:
            raise Unreadable(_("It takes too long to read: too many repeating events."))
        if is_ours(str(series[0].get("UID", ""))):
            continue
        try:
            found = list(_occurrences(series, local, from_at, until_at, room=MOST_TIMES - len(spans)))
        except Unreadable:
            raise
        except Exception:  # whatever a broken event does to the libraries, it is one event
            skipped += 1
            continue
        events += bool(found)
        spans += found
    spans += _free_busy(calendar, from_at, until_at)
    return BusyTimes(tuple(_united(spans, from_at, until_at)), events, skipped)


def _parsed(body: bytes) -> Calendar:
    if not body.removeprefix(b"\xef\xbb\xbf").lstrip()[:15].upper().startswith(b"BEGIN:VCALENDAR"):
        raise Unreadable(_("This is not a calendar."))
    if body.upper().count(b"BEGIN:VEVENT") > MOST_EVENTS:
        raise Unreadable(_("It has more than %(count)d events.") % {"count": MOST_EVENTS})
    try:
        return Calendar.from_ical(body)
    except Exception as error:  # a parser of other people's files may fail in any way
        raise Unreadable(_("This calendar is damaged.")) from error


def _series(calendar: Calendar) -> Iterator[list[Any]]:
    """Events under their UID: a repeating one with its exceptions."""
    by_uid: dict[str, list[Any]] = defaultdict(list)
    for number, event in enumerate(calendar.walk("VEVENT")):
        by_uid[str(event.get("UID", "")) or f"without-{number}"].append(event)
    yield from by_uid.values()


def _occurrences(
    series: list[Any], local: ZoneInfo, from_at: datetime, until_at: datetime, *, room: int
) -> Iterator[Span]:
    if all("RRULE" not in event and "RDATE" not in event for event in series):
        for event in series:
            if (span := _span(event, local)) and span[0] < until_at and from_at < span[1]:
                yield span
        return
    for event in series:
        _check_rule(event)
    part = Calendar()
    for event in series:
        part.add_component(event)
    query = recurring_ical_events.of(part)
    begins, count = from_at, 0
    for days in WINDOWS:
        until = min(until_at, from_at + days * DAY)
        for event in query.between(begins, until) if begins < until else ():
            if span := _span(event, local):
                count += 1
                if count > room:
                    raise Unreadable(_("It has more than %(count)d busy times.") % {"count": MOST_TIMES})
                yield span
        begins = max(begins, until)


def _check_rule(event: Any) -> None:
    """Raises ValueError for a rule that repeats within a day, or since before there were computers."""
    rules = event.get("RRULE")
    for rule in rules if isinstance(rules, list) else [rules] if rules else []:
        often = {str(name).upper() for name in rule.get("FREQ", [])}
        if not often <= SLOW_RULES or any(
            len(rule.get(part, [])) > 1 for part in ("BYSECOND", "BYMINUTE", "BYHOUR")
        ):
            raise ValueError("repeats within a day")
        if any(int(step) < 1 for step in rule.get("INTERVAL", [])):
            raise ValueError("never comes to its next time")
    if event.get("RRULE") and event["DTSTART"].dt.year < EARLIEST:
        raise ValueError("repeats since too long ago")


def _span(event: Any, local: ZoneInfo) -> Span | None:
    """When one event keeps somebody busy; None when it does not."""
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return None
    if str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
        return None
    if str(event.get("X-MICROSOFT-CDO-BUSYSTATUS", "")).upper() == "FREE":
        return None
    begins = event["DTSTART"].dt
    if "DTEND" in event:
        ends = event["DTEND"].dt
    elif "DURATION" in event:
        ends = begins + event["DURATION"].dt
    else:
        ends = begins + DAY if not isinstance(begins, datetime) else begins
    span = _instant(begins, local), _instant(ends, local)
    return span if span[0] < span[1] else None


def _instant(at: date | datetime, local: ZoneInfo) -> datetime:
    """A moment of the file in UTC; a date is its midnight, a time without a zone is read on the local clock."""
    if not isinstance(at, datetime):
        return instant(local, at, time())
    if at.tzinfo is None:
        return instant(local, at.date(), at.time())
    return at.astimezone(UTC)


def _free_busy(calendar: Calendar, from_at: datetime, until_at: datetime) -> Iterator[Span]:
    """The periods of VFREEBUSY parts, which some servers publish instead of events."""
    for part in calendar.walk("VFREEBUSY"):
        lists = part.get("FREEBUSY", [])
        for periods in lists if isinstance(lists, list) else [lists]:
            kind = str(getattr(periods, "params", {}).get("FBTYPE", "BUSY")).upper()
            for period in getattr(periods, "dts", [periods]):
                begins, ends = period.dt if hasattr(period, "dt") else (period.start, period.end)
                ends = begins + ends if isinstance(ends, timedelta) else ends
                if kind != "FREE" and begins.tzinfo and begins < until_at and from_at < ends:
                    yield begins.astimezone(UTC), ends.astimezone(UTC)


def _zone(name: str, otherwise: str) -> ZoneInfo:
    try:
        return ZoneInfo(name) if name else ZoneInfo(otherwise)
    except (KeyError, ValueError, OSError):
        return ZoneInfo(otherwise)


def _united(spans: Iterable[Span], from_at: datetime, until_at: datetime) -> Iterator[Span]:
    """Cut to the window and to whole minutes, in order, those that overlap or touch made one."""
    kept: list[list[datetime]] = []
    for begins, ends in sorted(spans):
        begins, ends = max(begins, from_at), min(ends, until_at)
        begins = begins.replace(second=0, microsecond=0)
        if ends.second or ends.microsecond:
            ends = ends.replace(second=0, microsecond=0) + MINUTE
        if begins >= ends:
            continue
        if kept and begins <= kept[-1][1]:
            kept[-1][1] = max(kept[-1][1], ends)
        else:
            kept.append([begins, ends])
    return ((begins, ends) for begins, ends in kept)
