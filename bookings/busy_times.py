"""When somebody is busy, read out of an iCalendar file from outside: bounded, and nothing but times is taken.

What cannot be read is counted, never guessed; what would take for ever (a rule every second, a clock that changes every
second, ten thousand series) is refused before it is expanded. Of the file only the lines that say when are parsed, and
of its past and far future nothing. What nobody thought of meets the limits of the process of `read_apart`.
No queries, no network.
"""

import json
import re
import time as clock
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import recurring_ical_events
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _
from icalendar import Calendar

from bookings.timeline import DAY, MINUTE, instant
from studio import limited

MOST_EVENTS = 10_000  # in the window
MOST_TIMES = 40_000  # before those that touch are made one
MOST_SPANS = 20_000  # rows
MOST_CLOCKS = 200
# Five thousand single events and three hundred weekly ones take three and a half CPU seconds, at whatever size.
CPU_SECONDS = 6.0
WALL_SECONDS = 15.0
MEMORY_BYTES = 800_000_000
EARLIEST = 1970
FIRST_YEAR = 1600  # birthdays without a year are of 1604 in some calendars
SLOW_RULES = {"YEARLY", "MONTHLY", "WEEKLY", "DAILY"}  # nobody is busy every second for ever
LONGEST_MONTH = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # else 31
DAMAGED = _("This calendar is damaged.")
TOO_MANY = _("It has more than %(count)d busy times.")
TOO_LONG = _("It takes too long to read: too many repeating events.")
WINDOWS = (31, 400)  # days: the first one is small, so that a flood is seen early
PARTS = {b"VCALENDAR", b"VEVENT", b"VTIMEZONE", b"STANDARD", b"DAYLIGHT", b"VFREEBUSY"}
EDGE = re.compile(rb"\s*(BEGIN|END):\s*([A-Z0-9-]*)", re.IGNORECASE)
WANTED = re.compile(
    rb"\s*(BEGIN|END|UID|DTSTART|DTEND|DURATION|RRULE|RDATE|EXRULE|EXDATE|RECURRENCE-ID|SEQUENCE|STATUS|TRANSP|FREEBUSY"
    rb"|X-MICROSOFT-CDO-BUSYSTATUS|X-WR-TIMEZONE|TZID|TZOFFSETFROM|TZOFFSETTO|TZNAME|VERSION|PRODID)\s*[;:]",
    re.IGNORECASE,
)
REPEATS = re.compile(rb"\s*(RRULE|RDATE|EXRULE|RECURRENCE-ID)\b", re.IGNORECASE)
ON = re.compile(rb"\s*(DTSTART|DTEND)\b.*:(\d{8})(?:T\d{6}Z?)?\s*$", re.IGNORECASE)

Span = tuple[datetime, datetime]


class Unreadable(Exception):
    """It is not a calendar, or one that cannot be read in reasonable time; `sentence` says why.

    It is put together where it is shown: the process that reads knows neither languages nor settings.
    """

    def __init__(self, text: str, **facts: int) -> None:
        self.text, self.facts = text, facts
        super().__init__(text % facts)

    @property
    def sentence(self) -> str:
        return gettext(self.text) % self.facts


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
    ours: str = "",
    seconds: float = CPU_SECONDS,
) -> BusyTimes:
    """What keeps somebody busy between two instants. `zone` is the clock of all-day events and of times that name none.

    Cancelled and free ("transparent") events keep nobody busy; `ours` is how the UIDs end that we wrote ourselves.
    Raises Unreadable.
    """
    calendar = _parsed(body, from_at, until_at)
    ends_at = clock.process_time() + seconds
    local = _zone(str(calendar.get("X-WR-TIMEZONE", "")), zone)
    spans: list[Span] = []
    events = skipped = 0
    for series in _series(calendar):
        if clock.process_time() > ends_at:
            raise Unreadable(TOO_LONG)
        if ours and str(series[0].get("UID", "")).endswith(ours):
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
    united = tuple(_united(spans, from_at, until_at))
    if len(united) > MOST_SPANS:
        raise Unreadable(TOO_MANY, count=MOST_SPANS)
    return BusyTimes(united, events, skipped)


def _parsed(body: bytes, from_at: datetime, until_at: datetime) -> Calendar:
    if not body.removeprefix(b"\xef\xbb\xbf").lstrip()[:15].upper().startswith(b"BEGIN:VCALENDAR"):
        raise Unreadable(_("This is not a calendar."))
    lines = re.sub(rb"\r?\n[ \t]", b"", body).splitlines()
    _check_clocks(lines)
    kept = _thinned(lines, f"{from_at - 2 * DAY:%Y%m%d}".encode(), f"{until_at + 2 * DAY:%Y%m%d}".encode())
    if sum(line.upper().startswith(b"BEGIN:VEVENT") for line in kept) > MOST_EVENTS:
        raise Unreadable(_("It has more than %(count)d events."), count=MOST_EVENTS)
    try:
        return Calendar.from_ical(b"\r\n".join(kept) + b"\r\n")
    except Exception as error:  # a parser of other people's files may fail in any way
        raise Unreadable(DAMAGED) from error


def _thinned(lines: Iterable[bytes], first_on: bytes, last_on: bytes) -> list[bytes]:
    """The lines that say when somebody is busy: no descriptions, guests, alarms or tasks, and no single event that is
    over before `first_on` or begins after `last_on` (dates as the file writes them). Raises Unreadable."""
    kept: list[bytes] = []
    depth, event_at, repeats, begins, ends = 0, -1, False, b"", b""
    for line in lines:
        part = EDGE.match(line)
        if depth or (part and part[2].upper() not in PARTS):  # inside a part that says nothing about it
            is_begin = part is not None and part[1].upper() == b"BEGIN"
            depth += is_begin - (part is not None and not is_begin)
            if depth < 0:
                raise Unreadable(DAMAGED)
            continue
        if not WANTED.match(line):
            continue
        kept.append(line)
        if part and part[2].upper() == b"VEVENT":
            if part[1].upper() == b"BEGIN":
                event_at, repeats, begins, ends = len(kept) - 1, False, b"", b""
            elif event_at >= 0:
                is_elsewhere = begins > last_on or b"" < ends < first_on
                if is_elsewhere and not repeats:
                    del kept[event_at:]
                event_at = -1
        elif REPEATS.match(line):
            repeats = True
        elif on := ON.match(line):
            begins, ends = (on[2], ends) if on[1].upper() == b"DTSTART" else (begins, on[2])
    if depth:
        raise Unreadable(DAMAGED)
    return kept


def _check_clocks(lines: Iterable[bytes]) -> None:
    """The zones a file brings are expanded while it is parsed, from 1601 on if it says so: each rule of a clock has to
    be a yearly one, as every real one is. Raises Unreadable."""
    clocks, is_clock = 0, False
    for line in lines:
        line = line.strip().upper()
        if line in (b"BEGIN:VTIMEZONE", b"END:VTIMEZONE"):
            is_clock = line.startswith(b"BEGIN")
            clocks += is_clock
        elif is_clock and line.startswith((b"RRULE", b"EXRULE")):
            often = re.findall(rb"FREQ=([A-Z]*)", line)
            if often != [b"YEARLY"] or b"BYHOUR" in line or b"BYMINUTE" in line or b"BYSECOND" in line:
                raise Unreadable(_("A time zone in it changes its clock more often than a real one."))
    if clocks > MOST_CLOCKS:
        raise Unreadable(_("It has more than %(count)d time zones."), count=MOST_CLOCKS)


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
    if all(_is_free(event) for event in series):
        return
    lasts = next((event["DURATION"].dt for event in series if "DURATION" in event), None)
    part = Calendar()
    for event in series:
        _check_rule(event)
        _mend_until(event)
        part.add_component(event)
    query = recurring_ical_events.of(part)
    begins, count = from_at, 0
    for days in WINDOWS:
        until = min(until_at, from_at + days * DAY)
        for event in query.between(begins, until) if begins < until else ():
            if span := _span(event, local, lasts=lasts):
                count += 1
                if count > room:
                    raise Unreadable(TOO_MANY, count=MOST_TIMES)
                yield span
        begins = max(begins, until)


def _check_rule(event: Any) -> None:
    """Raises ValueError for a rule that repeats within a day, or more than once a year since before there were
    computers."""
    every: set[str] = set()
    for rule in _rules(event):
        often = {str(name).upper() for name in rule.get("FREQ", [])}
        every |= often
        if not often <= SLOW_RULES or any(
            len(rule.get(part, [])) > 1 for part in ("BYSECOND", "BYMINUTE", "BYHOUR")
        ):
            raise ValueError("repeats within a day")
        if any(int(step) < 1 for step in rule.get("INTERVAL", [])):
            raise ValueError("never comes to its next time")
        months, days = ([int(number) for number in rule.get(part, [])] for part in ("BYMONTH", "BYMONTHDAY"))
        longest = max((LONGEST_MONTH.get(month, 31) for month in months), default=31)
        if days and min(map(abs, days)) > longest:
            raise ValueError("is on a date that does not exist")
    if every and event["DTSTART"].dt.year < (FIRST_YEAR if every == {"YEARLY"} else EARLIEST):
        raise ValueError("repeats since too long ago")


def _rules(event: Any) -> list[Any]:
    rules = event.get("RRULE")
    return rules if isinstance(rules, list) else [rules] if rules else []


def _mend_until(event: Any) -> None:
    """An end of a series without a zone is one of its own clock, and a date is all of that day: calendars write both,
    and the last time must not be lost. (RFC 5545 wants UTC, and libraries read it as such.)"""
    begins = event["DTSTART"].dt
    for rule in _rules(event):
        until = rule.get("UNTIL", [None])[0]
        if not isinstance(begins, datetime) or until is None or getattr(until, "tzinfo", None) is not None:
            continue
        if not isinstance(until, datetime):
            until = datetime.combine(until, time.max)
        rule["UNTIL"] = [until.replace(tzinfo=begins.tzinfo).astimezone(UTC) if begins.tzinfo else until]


def _is_free(event: Any) -> bool:
    """Whether an event keeps nobody busy, whenever it is."""
    return (
        str(event.get("STATUS", "")).upper() == "CANCELLED"
        or str(event.get("TRANSP", "")).upper() == "TRANSPARENT"
        or str(event.get("X-MICROSOFT-CDO-BUSYSTATUS", "")).upper() == "FREE"
    )


def _span(event: Any, local: ZoneInfo, *, lasts: timedelta | None = None) -> Span | None:
    """When one event keeps somebody busy; None when it does not. `lasts` is the DURATION of the series it was expanded
    from: the expansion has added it on the wall clock."""
    if _is_free(event):
        return None
    begins = event["DTSTART"].dt
    if "DTEND" in event and not _is_longer_by(lasts, begins, event["DTEND"].dt):
        ends = _instant(event["DTEND"].dt, local)
    elif "DTEND" in event or "DURATION" in event:
        # Days are those of the wall clock, hours are elapsed ones (RFC 5545, 3.3.6).
        length: timedelta = lasts if lasts and "DTEND" in event else event["DURATION"].dt
        days = timedelta(days=length.days)
        ends = _instant(begins + days, local) + (length - days)
    else:
        ends = _instant(begins + DAY if not isinstance(begins, datetime) else begins, local)
    span = _instant(begins, local), ends
    return span if span[0] < span[1] else None


def _is_longer_by(lasts: timedelta | None, begins: date, ends: date) -> bool:
    """Whether two times of one clock are that far apart on it."""
    if lasts is None or not isinstance(begins, datetime) or not isinstance(ends, datetime):
        return False
    return begins.tzinfo == ends.tzinfo and ends - begins == lasts


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


# --- in a process of its own --------------------------------------------------------------------------------


def read_apart(body: bytes, *, zone: str, from_at: datetime, until_at: datetime, ours: str = "") -> BusyTimes:
    """`busy_times` in a process with limits of its own, whatever the file does to it. Raises Unreadable."""
    order = {"zone": zone, "from_at": from_at.isoformat(), "until_at": until_at.isoformat(), "ours": ours}
    try:
        told = json.loads(
            limited.ask(
                "bookings.busy_times",
                json.dumps(order).encode() + b"\n" + body,
                cpu_seconds=CPU_SECONDS,
                wall_seconds=WALL_SECONDS,
                memory_bytes=MEMORY_BYTES,
            )
        )
    except limited.TooSlow as error:
        raise Unreadable(TOO_LONG) from error
    except limited.Broke as error:
        raise Unreadable(_("It cannot be read: it breaks what reads it.")) from error
    if "text" in told:
        raise Unreadable(told["text"], **told["facts"])
    spans = tuple(
        (datetime.fromisoformat(begins), datetime.fromisoformat(ends)) for begins, ends in told["spans"]
    )
    return BusyTimes(spans, told["events"], told["skipped"])


def _answer(order: bytes) -> bytes:
    head, _newline, body = order.partition(b"\n")
    asked = json.loads(head)
    try:
        found = busy_times(
            body,
            zone=asked["zone"],
            from_at=datetime.fromisoformat(asked["from_at"]),
            until_at=datetime.fromisoformat(asked["until_at"]),
            ours=asked["ours"],
        )
    except Unreadable as refused:
        return json.dumps({"text": refused.text, "facts": refused.facts}).encode()
    spans = [(begins.isoformat(), ends.isoformat()) for begins, ends in found.spans]
    return json.dumps({"spans": spans, "events": found.events, "skipped": found.skipped}).encode()


if __name__ == "__main__":
    limited.answer(_answer)
