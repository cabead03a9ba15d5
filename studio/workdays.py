"""Working-day arithmetic: when a promise falls due, and why. Pure: no clock, no queries, no settings.

Rule S, the studio's promise. Take the local date on which the shoot ended. The promise is the closing time of
the n-th working day strictly after it. A working day does not count if the clock is paused at its closing
moment (pauses are half-open and united). Floor: a closing that comes less than 4 hours after a pause ended is
not promised; the next working day's closing is. Instants go in aware, in any zone, and come out in UTC.

A closing time that a clock change skips (02:30 in spring) is the same moment after the jump (03:30); one that
exists twice is the first of the two: the earlier instant keeps both readings of the promise.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from studio import zones


def _(message: str) -> str:
    """Mark an error for translation; the page that shows it translates, so that this module needs no
    settings.
    """
    return message


RULE = "S"
FLOOR = timedelta(hours=4)  # the least the studio gets between the last answer and the closing it promises
LATE_PAUSE = timedelta(hours=2)  # a pause opened this shortly before a closing begins after it
JUST_AFTER = timedelta(seconds=1)  # a pause that began at the closing itself would cost the day
STORED_MARGIN = timedelta(days=92)  # closures kept beyond the promise: a pause may still push it that far
_DAY = timedelta(days=1)
_PAUSED = _("Nothing is promised while the studio waits for the client.")


class WorkdaysError(ValueError):
    """The question has no answer; the message says why."""


class CalendarError(WorkdaysError):
    """A calendar that cannot be: no working day, an unknown zone, closing before opening."""


class PauseError(WorkdaysError):
    """A pause that ends before it begins, or without a time zone."""


class ClockPaused(WorkdaysError):
    """A pause without an end stands in the way: nothing is promised until the client has answered."""


class Reason(StrEnum):
    """Why a day is not the promised one."""

    DAY_OFF = "day_off"  # a weekday the studio does not work
    CLOSURE = "closure"  # a closure of the location, by name
    HALF_DAY = "half_day"  # closes early, and the studio does not count such days
    PAUSED = "paused"  # the clock was paused at closing
    JUST_ANSWERED = "just_answered"  # it is the n-th, but a pause ended less than 4 hours before its closing


def _instant(moment: datetime, what: str) -> datetime:
    """The same instant in UTC: arithmetic inside one local zone would be on wall clocks, not on hours."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise WorkdaysError(f"{what} needs a time zone.")
    return moment.astimezone(UTC)


def _later(on: date, days: int) -> date:
    try:
        return on + days * _DAY
    except OverflowError as error:
        raise WorkdaysError(_("There is no such working day within the calendar.")) from error


@dataclass(frozen=True, slots=True)
class Pause:
    """The studio waits for the client during `[begins_at, ends_at)`; without an end it still does."""

    begins_at: datetime
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "begins_at", _instant(self.begins_at, "A pause"))
            if self.ends_at is not None:
                object.__setattr__(self, "ends_at", _instant(self.ends_at, "A pause"))
        except WorkdaysError as error:
            raise PauseError(str(error)) from error
        if self.ends_at is not None and self.ends_at < self.begins_at:
            raise PauseError(_("A pause cannot end before it begins."))


@dataclass(frozen=True, slots=True)
class Calendar:
    """One location's working days, as plain values.

    zone: IANA name. week: working weekdays, Monday = 0. closes: closing time on a full day. closures: date →
    name. half_days: date → early closing. half_day_counts: whether an early-closing day is a working day for
    the promise. opens: from when working hours are counted (warnings only; the promise does not depend on
    it). Raises CalendarError when no promise could ever be computed with it.
    """

    zone: str
    week: AbstractSet[int] = frozenset(range(5))
    closes: time = time(18)
    closures: Mapping[date, str] = field(default_factory=dict, hash=False)
    half_days: Mapping[date, time] = field(default_factory=dict, hash=False)
    half_day_counts: bool = True
    opens: time = time(9)

    def __post_init__(self) -> None:
        object.__setattr__(self, "week", frozenset(self.week))
        object.__setattr__(self, "closures", dict(self.closures))
        object.__setattr__(self, "half_days", dict(self.half_days))
        if not self.week:
            raise CalendarError(_("A calendar needs at least one working day a week."))
        if not self.week <= frozenset(range(7)):
            raise CalendarError(_("Weekdays are numbered from 0 (Monday) to 6 (Sunday)."))
        if any(at.tzinfo is not None for at in (self.opens, self.closes, *self.half_days.values())):
            raise CalendarError(_("Opening and closing times are local: they carry no zone of their own."))
        if self.closes < self.opens:
            raise CalendarError(_("The studio cannot close before it opens."))
        try:
            ZoneInfo(self.zone)
        except (
            OSError,
            ValueError,
            LookupError,
        ) as error:  # unknown, empty, a folder, a path out of the folder
            raise CalendarError(f"Unknown time zone: {self.zone}") from error

    def local_date(self, moment: datetime) -> date:
        """The date on the studio's wall at that instant."""
        return _instant(moment, "The moment").astimezone(ZoneInfo(self.zone)).date()

    def instant(self, on: date, at: time) -> datetime:
        """That wall-clock time in UTC: after the jump when it is skipped, the first when it exists twice."""
        try:
            return datetime.combine(on, at.replace(fold=0), ZoneInfo(self.zone)).astimezone(UTC)
        except OverflowError as error:
            raise WorkdaysError(_("There is no such working day within the calendar.")) from error

    def closes_at(self, on: date) -> datetime:
        """The closing of that date in UTC (early on a half day), whether or not it is a working day."""
        return self.instant(on, self.half_days.get(on, self.closes))

    def opens_at(self, on: date) -> datetime:
        """The opening of that date in UTC."""
        return self.instant(on, self.opens)

    def day_off(self, on: date) -> tuple[Reason, str] | None:
        """Why a date is no working day, with the closure's name; None when it is one."""
        if on in self.closures:  # named first: "Christmas Day" says more than "Saturday"
            return Reason.CLOSURE, self.closures[on]
        if on.weekday() not in self.week:
            return Reason.DAY_OFF, ""
        if on in self.half_days and not self.half_day_counts:
            return Reason.HALF_DAY, ""
        return None

    def is_working_day(self, on: date) -> bool:
        """A weekday the studio works that is not closed (nor a half day, where those do not count)."""
        return self.day_off(on) is None


@dataclass(frozen=True, slots=True)
class Day:
    """One date after the shoot: the promised one (`why` is None and `number` is n), one that counted, or why
    not.
    """

    on: date
    closes_at: datetime
    number: int | None  # which working day it is, 1 … n; None when it does not count
    why: Reason | None = None
    name: str = ""  # of the closure


# --- pauses


def united(pauses: Iterable[Pause]) -> list[Pause]:
    """Overlapping and touching pauses joined, in order; empty ones dropped."""
    joined: list[Pause] = []
    for pause in sorted(pauses, key=lambda one: one.begins_at):
        if pause.ends_at == pause.begins_at:
            continue
        if joined and (joined[-1].ends_at is None or pause.begins_at <= joined[-1].ends_at):
            joined[-1] = _joined(joined[-1], pause)
        else:
            joined.append(pause)
    return joined


def _joined(first: Pause, second: Pause) -> Pause:
    if first.ends_at is None or second.ends_at is None:
        return Pause(first.begins_at, None)
    return Pause(first.begins_at, max(first.ends_at, second.ends_at))


def pause_begins_at(opened_at: datetime, calendar: Calendar) -> datetime:
    """When a pause opened at that moment begins: at once, or just after a closing that is 2 hours away or
    less.

    The studio had the day; asking a question on the last metre does not win another one. A client who answers
    before the pause has begun has not paused the clock: close such a pause at its own beginning, where it is
    empty.
    """
    opened_at = _instant(opened_at, "The moment")
    closing = next_working_closing(opened_at - timedelta(microseconds=1), calendar)
    return closing + JUST_AFTER if closing - opened_at <= LATE_PAUSE else opened_at


# --- the promise


def deliver_by(
    *, ended_at: datetime, days: int, calendar: Calendar, pauses: Iterable[Pause] = ()
) -> datetime:
    """Rule S: the promised instant, in UTC, of a shoot that ended at `ended_at`.

    Raises ClockPaused while a pause without an end covers the closing that would count; an open pause that
    begins after the promised closing does not change it. Raises WorkdaysError for fewer than one day or a
    time without zone.
    """
    return _last(_days(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)).closes_at


def deliver_by_if_answered(
    *, answered_at: datetime, ended_at: datetime, days: int, calendar: Calendar, pauses: Iterable[Pause]
) -> datetime:
    """What will be promised if the client answers at that moment: open pauses end then (or as they begin)."""
    answered_at = _instant(answered_at, "The answer")
    closed = [
        replace(pause, ends_at=max(answered_at, pause.begins_at)) if pause.ends_at is None else pause
        for pause in pauses
    ]
    return deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=closed)


def explain(*, ended_at: datetime, days: int, calendar: Calendar, pauses: Iterable[Pause] = ()) -> list[Day]:
    """Every date after the shoot up to the promised one, each with its number or the reason it does not
    count.

    While an open pause stands in the way the list ends at the first day it costs, with the reason `paused`.
    """
    return list(
        _days(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses, stops_at_open_pause=True)
    )


def _last(days: Iterable[Day]) -> Day:
    *_before, last = days
    return last


def _days(
    *,
    ended_at: datetime,
    days: int,
    calendar: Calendar,
    pauses: Iterable[Pause],
    stops_at_open_pause: bool = False,
) -> Iterator[Day]:
    """Walk the dates after the shoot until the promised one, which comes last."""
    if days < 1:
        raise WorkdaysError(_("A promise needs at least one working day."))
    waits = united(pauses)
    on, counted = calendar.local_date(ended_at), 0
    while True:
        on = _later(on, 1)
        closing = calendar.closes_at(on)
        if off := calendar.day_off(on):
            yield Day(on, closing, None, *off)
            continue
        wait = _last_begun(waits, closing)
        if wait and wait.ends_at is None:
            if not stops_at_open_pause:
                raise ClockPaused(_PAUSED)
            yield Day(on, closing, None, Reason.PAUSED)
            return
        if wait and wait.ends_at and closing < wait.ends_at:
            yield Day(on, closing, None, Reason.PAUSED)
            continue
        counted = min(counted + 1, days)
        if counted < days:
            yield Day(on, closing, counted)
        elif wait and wait.ends_at and closing - wait.ends_at < FLOOR:
            yield Day(on, closing, counted, Reason.JUST_ANSWERED)
        else:
            yield Day(on, closing, counted)
            return


def _last_begun(waits: list[Pause], moment: datetime) -> Pause | None:
    """The last of the united pauses that has begun at that moment: it covers it, or is the last that ended
    before.
    """
    return next((wait for wait in reversed(waits) if wait.begins_at <= moment), None)


# --- the inverse questions


def working_days_left(now: datetime, due_at: datetime, calendar: Calendar) -> int:
    """Working days strictly after today's local date, up to the due date; 0 when due today or past.

    It is the inverse of the rule: when the shoot ends n are left, on the day before the due day one is.
    """
    on, last, left = calendar.local_date(now), calendar.local_date(due_at), 0
    while on < last:
        on = _later(on, 1)
        left += calendar.is_working_day(on)
    return left


def add_working_days(on: date, days: int, calendar: Calendar) -> date:
    """The n-th working day strictly after that date (before it, when negative); 0 is the date itself."""
    step = 1 if days > 0 else -1
    while days:
        on = _later(on, step)
        days -= step * calendar.is_working_day(on)
    return on


def next_working_closing(after: datetime, calendar: Calendar) -> datetime:
    """The first closing of a working day strictly after that moment, in UTC."""
    after = _instant(after, "The moment")
    on = _later(calendar.local_date(after), -1)  # a closing near midnight can jump into the next date
    while True:
        if calendar.is_working_day(on) and (closing := calendar.closes_at(on)) > after:
            return closing
        on = _later(on, 1)


def working_hours_before(moment: datetime, hours: float, calendar: Calendar) -> datetime:
    """Go back that many working hours (from opening to closing of working days) from a moment.

    From Wednesday 10:00, four hours back is Tuesday 15:00 where the studio works from 9 to 18. Raises
    CalendarError when the calendar has no working hours to go back through.
    """
    end = _instant(moment, "The moment")
    remaining = timedelta(hours=hours)
    on = calendar.local_date(end)
    for back in range(-1, 3660):
        day = _later(on, -back)
        if not calendar.is_working_day(day):
            continue
        opening, closing = calendar.opens_at(day), min(calendar.closes_at(day), end)
        if closing - opening >= remaining:
            return closing - remaining
        remaining -= max(closing - opening, timedelta())
    raise CalendarError(_("The calendar has no working hours."))


@dataclass(frozen=True, slots=True)
class Warnings:
    """The instants at which people are warned before a promise falls due, earliest first."""

    one_day_at: datetime  # one working day is left: the closing of the working day before
    four_hours_at: datetime  # four working hours are left
    one_hour_at: datetime  # one hour is left


def warnings_before(due_at: datetime, calendar: Calendar) -> Warnings:
    """When to warn of `due_at`: at the previous working day's closing, 4 working hours and 1 hour before."""
    due_at = _instant(due_at, "The promise")
    eve = add_working_days(calendar.local_date(due_at), -1, calendar)
    return Warnings(
        one_day_at=calendar.closes_at(eve),
        four_hours_at=working_hours_before(due_at, 4, calendar),
        one_hour_at=due_at - timedelta(hours=1),
    )


# --- stored inputs: a promise can be recomputed from what was known when it was made


def inputs_of(
    *, ended_at: datetime, days: int, calendar: Calendar, pauses: Iterable[Pause] = ()
) -> dict[str, Any]:
    """The inputs of a promise as plain JSON values, with the closures from the shoot to 92 days past the
    promise.

    The margin is there because a later pause can push the promise beyond the days first looked at. While an
    open pause leaves nothing promised, every closure after the shoot is kept.
    """
    waits = united(pauses)
    ended_on = calendar.local_date(ended_at)
    try:
        due_at = deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=waits)
        until = min(date.max - STORED_MARGIN, calendar.local_date(due_at)) + STORED_MARGIN
    except ClockPaused:
        until = date.max
    return {
        "rule": RULE,
        "tzdata": zones.release(),
        "ended_at": _instant(ended_at, "The end of the shoot").isoformat(),
        "days": days,
        "pauses": inputs_of_pauses(waits),
        "from": ended_on.isoformat(),
        "until": until.isoformat(),
        "calendar": calendar_to_json(calendar, first=ended_on, last=until),
    }


def inputs_of_pauses(pauses: Iterable[Pause]) -> list[list[str | None]]:
    """Pauses as plain JSON values, united: `[begins_at, ends_at or null]`."""
    return [
        [pause.begins_at.isoformat(), pause.ends_at.isoformat() if pause.ends_at else None]
        for pause in united(pauses)
    ]


def recompute(inputs: Mapping[str, Any]) -> datetime:
    """The promise from its stored inputs. Raises ClockPaused as `deliver_by` does, WorkdaysError for another
    rule.
    """
    if inputs.get("rule") != RULE:
        raise WorkdaysError(_("The promise was made by another rule."))
    return deliver_by(
        ended_at=datetime.fromisoformat(inputs["ended_at"]),
        days=inputs["days"],
        calendar=calendar_from_json(inputs["calendar"]),
        pauses=pauses_of(inputs),
    )


def pauses_of(inputs: Mapping[str, Any]) -> list[Pause]:
    """The pauses in stored inputs."""
    return [
        Pause(datetime.fromisoformat(begins), datetime.fromisoformat(ends) if ends else None)
        for begins, ends in inputs["pauses"]
    ]


def promised_again(
    inputs: Mapping[str, Any], *, calendar: Calendar, pauses: Iterable[Pause]
) -> tuple[datetime, dict[str, Any]]:
    """A running promise with today's calendar and pauses: `(deliver_by, inputs to store)`.

    Closures changed since never make it later: the earlier of the promise by the calendar as it was (beyond
    its stored window, as it is) and by the calendar as it is. Raises ClockPaused while nothing is promised.
    """
    rule = {
        "ended_at": datetime.fromisoformat(inputs["ended_at"]),
        "days": inputs["days"],
        "pauses": united(pauses),
    }
    ways: list[tuple[datetime, Calendar]] = []
    for way in (as_promised(inputs, calendar), calendar):
        with suppress(ClockPaused):
            ways.append((deliver_by(calendar=way, **rule), way))
    if not ways:
        raise ClockPaused(_PAUSED)
    due_at, chosen = min(ways, key=lambda way: way[0])
    return due_at, inputs_of(calendar=chosen, **rule)


def as_promised(inputs: Mapping[str, Any], calendar: Calendar) -> Calendar:
    """The calendar a promise was made with; beyond its stored window, closures and half days of today's
    calendar.
    """
    then = calendar_from_json(inputs["calendar"])
    until = date.fromisoformat(inputs["until"])
    return replace(
        then,
        closures={**then.closures} | {on: name for on, name in calendar.closures.items() if on > until},
        half_days={**then.half_days} | {on: at for on, at in calendar.half_days.items() if on > until},
    )


def calendar_to_json(calendar: Calendar, *, first: date = date.min, last: date = date.max) -> dict[str, Any]:
    """A calendar as plain JSON values, with the closures and half days of `[first, last]`."""
    return {
        "tz": calendar.zone,
        "week": "".join("1" if weekday in calendar.week else "0" for weekday in range(7)),
        "open": calendar.opens.isoformat("minutes")
        if not calendar.opens.second
        else calendar.opens.isoformat(),
        "close": calendar.closes.isoformat(),
        "half_day_counts": calendar.half_day_counts,
        "closures": {on.isoformat(): n for on, n in sorted(calendar.closures.items()) if first <= on <= last},
        "half_days": {
            on.isoformat(): at.isoformat()
            for on, at in sorted(calendar.half_days.items())
            if first <= on <= last
        },
    }


def calendar_from_json(data: Mapping[str, Any]) -> Calendar:
    """A calendar from plain JSON values; raises CalendarError when a part is missing or malformed.

    Closures may be a mapping to names or a plain list of dates; an absent part takes the calendar's default.
    """
    try:
        closures = data.get("closures") or {}
        named = closures if isinstance(closures, Mapping) else dict.fromkeys(closures, "")
        closes = time.fromisoformat(data.get("close", "18:00"))
        return Calendar(
            zone=data["tz"],
            week=_week(data.get("week", "1111100")),
            closes=closes,
            closures={date.fromisoformat(on): name for on, name in named.items()},
            half_days={
                date.fromisoformat(on): time.fromisoformat(at)
                for on, at in (data.get("half_days") or {}).items()
            },
            half_day_counts=data.get("half_day_counts", True),
            opens=time.fromisoformat(data["open"]) if "open" in data else min(time(9), closes),
        )
    except CalendarError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CalendarError(f"The calendar cannot be read: {error!r}") from error


def _week(mask: str) -> frozenset[int]:
    if len(mask) != 7 or not set(mask) <= {"0", "1"}:
        raise CalendarError(_("The working week is seven digits, Monday first, such as 1111100."))
    return frozenset(weekday for weekday, works in enumerate(mask) if works == "1")


# --- in words


def words(day: Day) -> str:
    """Why a day is not the promised one, in a few words for a page; empty when it counts."""
    match day.why:
        case Reason.CLOSURE:
            return day.name or gettext("closed")
        case Reason.DAY_OFF:
            return gettext("not a working day")
        case Reason.HALF_DAY:
            return gettext("a half day, which does not count")
        case Reason.PAUSED:
            return gettext("the studio was waiting for your answer at closing time")
        case Reason.JUST_ANSWERED:
            return gettext("your answer came less than 4 hours before closing time")
        case None:
            return ""
