"""How the promise was kept, month by month, for the books: on-time rate, turnaround, causes of what was missed.

Reshoots stand apart: in columns of their own, and not in the rate and the spans of the sessions.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from galleries import board

MONTHS = 12
COLUMNS = (
    "month",
    "delivered",
    "on time",
    "on time percent",
    "median hours",
    "90th percentile hours",
    "missed",
    "causes",
    "reshoots",
    "reshoots on time",
    "reshot",
)


def as_csv(*, now: datetime) -> str:
    """A line for each of the last twelve months (in UTC, by the end of the shoot), then one for all of them."""
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(COLUMNS)
    months = list(_months(now))
    for begins, ends in months:
        lines.writerow(_line(f"{begins:%Y-%m}", begins, ends, now=now))
    lines.writerow(_line("all", months[0][0], months[-1][1], now=now))
    return out.getvalue()


def _months(now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The last twelve calendar months, this one included, oldest first."""
    this = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begins = this.replace(year=this.year - 1)
    for _month in range(MONTHS):
        begins = (begins + timedelta(days=32)).replace(day=1)
        yield begins, (begins + timedelta(days=32)).replace(day=1)


def _line(name: str, begins: datetime, ends: datetime, *, now: datetime) -> list[str]:
    kept = board.record(since=begins, until=ends, now=now, reshoots=False)
    again = board.record(since=begins, until=ends, now=now, reshoots=True)
    missed = board.causes(since=begins, until=ends)
    return [
        name,
        str(kept.delivered),
        str(kept.on_time),
        "" if kept.percent is None else str(kept.percent),
        _hours(kept.median),
        _hours(kept.nine_in_ten),
        str(sum(count for _cause, count in missed)),
        "; ".join(f"{count} × {cause}" for cause, count in missed),  # begins with a digit: never a formula
        str(again.delivered),
        str(again.on_time),
        str(board.reshot(since=begins, until=ends)),
    ]


def _hours(span: timedelta | None) -> str:
    return "" if span is None else f"{span / timedelta(hours=1):.1f}"
