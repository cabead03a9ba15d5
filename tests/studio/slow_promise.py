"""The promise once more, slowly and by other means: a watch on the wall, moved on by a quarter of an hour at a time.

It shares nothing with `studio/workdays.py`: it reads plain cases (the shape of `manage.py deadlines check`), walks
through UTC and looks at the local clock, and asks each pause by itself. All its closings are on quarters.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

STEP = timedelta(minutes=15)

CALENDARS: dict[str, dict[str, Any]] = {
    "riyadh": {"tz": "Asia/Riyadh", "week": "1111001", "close": "17:00"},  # Sunday to Thursday
    "amman": {"tz": "Asia/Amman", "week": "1111001", "close": "16:30", "half_days": {"2026-12-24": "12:00"}},
    "texas": {
        "tz": "America/Chicago",
        "week": "1111100",
        "close": "18:00",
        "closures": {"2026-11-26": "Thanksgiving", "2026-12-25": "Christmas", "2027-01-01": "New Year"},
        "half_days": {"2026-11-27": "12:00", "2026-12-24": "13:00", "2026-12-31": "10:00"},
    },
    "berlin": {
        "tz": "Europe/Berlin",
        "week": "1111110",  # with Saturdays
        "close": "19:45",
        "closures": ["2026-12-25", "2026-12-26", "2027-01-01"],
        "half_days": {"2026-12-24": "14:00", "2026-12-31": "14:00", "2026-11-14": "11:00"},
        "half_day_counts": False,
    },
    "lord-howe": {
        "tz": "Australia/Lord_Howe",
        "week": "0111110",
        "close": "18:00",
    },  # changes by half an hour
    "chatham": {"tz": "Pacific/Chatham", "week": "1111100", "close": "23:45"},
    "kiritimati": {"tz": "Pacific/Kiritimati", "week": "1111111", "close": "09:00"},
    "sundays": {"tz": "Europe/London", "week": "0000001", "close": "12:00", "closures": ["2026-12-27"]},
    "kathmandu": {"tz": "Asia/Kathmandu", "week": "1111101", "close": "00:15"},
    "vancouver": {"tz": "America/Vancouver", "week": "1111100", "close": "18:00"},
}
# about a year's end and about the nights in which clocks change
AROUND = ["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31", "2026-11-24"]
AROUND += ["2026-12-22", "2026-12-30", "2027-03-13", "2027-03-26", "2028-02-27"]


def promise(case: Mapping[str, Any]) -> datetime | None:
    """When the case's shoot is due; None while an open pause stands in the way."""
    calendar = CALENDARS[case["calendar"]]
    pauses = [(_utc(begin), _utc(end) if end else None) for begin, end in case["pauses"]]
    counted = 0
    for closing in _closings(_utc(case["session_end_utc"]), calendar):
        over = [(begin, end) for begin, end in pauses if begin <= closing and begin != end]
        if any(end is None for _begin, end in over):
            return None
        if any(end > closing for _begin, end in over if end):
            continue  # paused at its closing
        counted += 1
        if counted < case["n"]:
            continue
        # A pause that another one goes on beyond has not ended anything: the last end is what counts.
        if all(end + timedelta(hours=4) <= closing for _begin, end in over if end):
            return closing
    raise AssertionError("the clock never stops")


def _closings(ended_at: datetime, calendar: Mapping[str, Any]) -> Iterator[datetime]:
    """The closings of working days after the day on which the shoot ended, seen as the clock passes them."""
    zone = ZoneInfo(calendar["tz"])
    first, seen = ended_at.astimezone(zone).date(), set[date]()
    moment = ended_at.replace(minute=0, second=0, microsecond=0)
    while True:
        local = moment.astimezone(zone)
        on = local.date()
        if on > first and on not in seen and local.time() >= _closing(calendar, on):
            seen.add(on)
            if _works(calendar, on):
                yield moment
        moment += STEP


def _closing(calendar: Mapping[str, Any], on: date) -> time:
    return time.fromisoformat(calendar.get("half_days", {}).get(on.isoformat(), calendar["close"]))


def _works(calendar: Mapping[str, Any], on: date) -> bool:
    if calendar["week"][on.isoweekday() - 1] == "0" or on.isoformat() in calendar.get("closures", ()):
        return False
    return calendar.get("half_day_counts", True) or on.isoformat() not in calendar.get("half_days", {})


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def odd_cases(count: int) -> Iterator[dict[str, Any]]:
    """The same odd cases in every run, in the shape of a file of cases, each with the slow answer."""
    odd = Random(20261125)
    for number in range(count):
        name = list(CALENDARS)[number % len(CALENDARS)]
        zone = ZoneInfo(CALENDARS[name]["tz"])
        day = datetime.fromisoformat(odd.choice(AROUND)).replace(tzinfo=zone) + timedelta(
            days=odd.randrange(4)
        )
        wall = odd.choice([time(0), time(0, 30), time(2, 30), time(11), time(17), time(18), time(23, 59, 59)])
        ended_at = datetime.combine(day.date(), wall, zone).astimezone(UTC)
        case: dict[str, Any] = {
            "id": f"odd-{number:03}-{name}",
            "calendar": name,
            "session_end_utc": ended_at.isoformat(),
            "n": odd.choice([1, 2, 2, 2, 3, 5]),
            "pauses": [],
        }
        due_at = promise(case)
        assert due_at is not None
        case["pauses"] = [
            _pause(odd, ended_at, due_at) for _pause_number in range(odd.choice([0, 1, 1, 2, 3]))
        ]
        answer = promise(case)
        case["expected_S"] = {"due_utc": answer.isoformat() if answer else None}
        yield case


def _pause(odd: Random, ended_at: datetime, due_at: datetime) -> list[str | None]:
    """Some hang on the closing to the second, some are long, some have no length, a few are still open."""
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    near = odd.choice([ended_at, due_at, due_at - timedelta(days=1), due_at - timedelta(hours=4)])
    begin = near + odd.choice([timedelta(), -second, second, -minute * 59, minute * 240, -minute * 1440])
    lengths = [
        timedelta(),
        second,
        minute * 239,
        minute * 240,
        minute * 840,
        minute * 60 * 64,
        minute * 60 * 24 * 19,
    ]
    end = begin + odd.choice(lengths)
    if odd.random() < 0.3:
        end = max(begin, due_at + odd.choice([timedelta(), -second, second, -minute * 240, -minute * 239]))
    return [begin.isoformat(), None if odd.random() < 0.05 else end.isoformat()]
