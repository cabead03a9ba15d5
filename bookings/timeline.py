"""Time as a line of minutes. A set of minutes is one Python integer whose bit t is minute t.

"Free for 75 minutes from t" is seven shifts of 10 kB for sixty days, whatever the calendar holds. Local walls become
instants once, through zoneinfo: a time that does not exist (clocks forward) means the first instant after the gap,
one that exists twice (clocks back) its first occurrence. Pure: no clock, no queries.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
DAY_MINUTES = 24 * 60

Walls = tuple[time, time]  # [from, until) on the wall clock of one date


def instant(zone: ZoneInfo, on: date, at: time) -> datetime:
    """The first instant (UTC) at which the wall clock of `on` has reached `at`."""
    wall = datetime.combine(on, at.replace(second=0, microsecond=0), tzinfo=zone)
    found = wall.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return found
    # The wall time is inside a gap: its two readings embrace the change of the clocks; step to it.
    candidate = wall.replace(fold=1).astimezone(UTC)
    while candidate.astimezone(zone).replace(tzinfo=None) < wall.replace(tzinfo=None):
        candidate += MINUTE
    return candidate


class Timeline:
    """The minutes of a window: from `begins_at`, `length` of them, with the dates of one zone on it."""

    def __init__(self, zone: str, first_on: date, last_on: date, *, before: int = 0, after: int = 0) -> None:
        self.zone = ZoneInfo(zone)
        self._midnights: dict[date, int] = {}
        self.begins_at = instant(self.zone, first_on, time()) - before * MINUTE
        self.first_on, self.last_on = first_on, last_on
        self.length = self.midnight(last_on + DAY) + after

    def midnight(self, on: date) -> int:
        """The minute at which a local date begins."""
        found = self._midnights.get(on)
        if found is None:
            found = self._midnights[on] = self.floor(instant(self.zone, on, time()))
        return found

    def minute(self, on: date, at: time) -> int:
        """The minute at which the wall clock of `on` reaches `at`."""
        midnight = self.midnight(on)
        if self.midnight(on + DAY) - midnight == DAY_MINUTES:  # no change of the clocks on that day
            return midnight + at.hour * 60 + at.minute
        return self.floor(instant(self.zone, on, at))

    def floor(self, moment: datetime) -> int:
        """The minute an instant lies in."""
        return (moment - self.begins_at) // MINUTE

    def ceil(self, moment: datetime) -> int:
        """The first minute not before an instant."""
        return -((self.begins_at - moment) // MINUTE)

    def at(self, minute: int) -> datetime:
        """The instant of a minute."""
        return self.begins_at + minute * MINUTE

    def dates(self) -> Iterator[date]:
        """The local dates that touch the line, margins included."""
        on = self.begins_at.astimezone(self.zone).date()
        last = self.at(self.length).astimezone(self.zone).date()
        while on <= last:
            yield on
            on += DAY

    def bits(self, spans: Iterable[tuple[int, int]]) -> int:
        """The set of minutes of half-open spans, cut to the line.

        Disjoint spans [a, b) sum to the difference of all 2^b and all 2^a, so one subtraction makes the set.
        """
        starts = bytearray(self.length // 8 + 1)
        ends = bytearray(self.length // 8 + 1)
        for begins, until in united(spans):
            begins, until = max(begins, 0), min(until, self.length)
            if begins < until:
                starts[begins >> 3] |= 1 << (begins & 7)
                ends[until >> 3] |= 1 << (until & 7)
        return int.from_bytes(ends, "little") - int.from_bytes(starts, "little")

    def hours(self, week: Mapping[int, Sequence[Walls]], days: Mapping[date, Sequence[Walls]]) -> int:
        """The minutes of weekly hours with the exceptions of single dates."""
        return self.bits(
            (self.minute(on, begins), self.minute(on, until))
            for on in self.dates()
            for begins, until in days.get(on, week.get(on.weekday(), ()))
        )

    def grid(self, increment: int) -> int:
        """The minutes at which the wall clock stands on a multiple of `increment` since midnight."""
        day = sum(1 << minute for minute in range(0, DAY_MINUTES, increment))
        found = 0
        for number in range((self.last_on - self.first_on).days + 1):
            on = self.first_on + number * DAY
            begins, until = self.midnight(on), self.midnight(on + DAY)
            if until - begins == DAY_MINUTES:
                found |= day << begins
                continue
            for minute in range(begins, until):
                wall = self.at(minute).astimezone(self.zone)
                if (wall.hour * 60 + wall.minute) % increment == 0:
                    found |= 1 << minute
        return found


def united(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans in order, those that overlap or touch made one."""
    ordered = sorted(span for span in spans if span[0] < span[1])
    if not ordered:
        return
    begins, until = ordered[0]
    for start, end in ordered:
        if start > until:
            yield begins, until
            begins, until = start, end
        elif end > until:
            until = end
    yield begins, until


def runs(minutes: int, length: int) -> int:
    """Minutes from which `length` minutes in a row are in the set."""
    have = 1
    while have < length:
        step = min(have, length - have)
        minutes &= minutes >> step
        have += step
    return minutes


def shifted(minutes: int, by: int) -> int:
    return minutes >> by if by >= 0 else minutes << -by


def minutes_of(bits: int) -> Iterator[int]:
    """The minutes in a set, in order."""
    text = bin(bits)[:1:-1]
    minute = text.find("1")
    while minute >= 0:
        yield minute
        minute = text.find("1", minute + 1)
