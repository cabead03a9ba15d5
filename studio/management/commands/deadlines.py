"""`manage.py deadlines check FILE`: does the promise agree with a file of worked cases?

The file is JSON: `calendars` (name → tz, week, close, closures, half_days) and `cases` (calendar,
session_end_utc or session_end_local with fold, n, pauses, half_day_counts, expected_S.due_utc). Times without
an offset are local to the case's calendar. docs/deadlines.md describes every field.
"""

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError

from studio.workdays import (
    Calendar,
    ClockPaused,
    Pause,
    WorkdaysError,
    calendar_from_json,
    deliver_by,
)

PAUSED, REFUSED = "paused", "refused"


def moment(text: str, calendar: Calendar, fold: int = 0) -> datetime:
    """An instant from ISO text; without an offset it is local to the calendar (fold 1: the second of two)."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=ZoneInfo(calendar.zone), fold=fold)
    return parsed.astimezone(UTC)


def pause(pair: Any, calendar: Calendar) -> Pause:
    """A pause from `[begin, end]`; an end of null, or none, is a pause still open."""
    begins, ends = (*pair, None)[:2]
    return Pause(moment(begins, calendar), moment(ends, calendar) if ends else None)


def calendar_of(case: Mapping[str, Any], calendars: Mapping[str, Any]) -> Calendar:
    """The calendar a case names (or holds), with the case's own `half_day_counts` when it has one."""
    named = case["calendar"]
    data = dict(calendars[named] if isinstance(named, str) else named)
    data.setdefault("tz", case.get("tz"))
    calendar = calendar_from_json(data)
    return replace(calendar, half_day_counts=case.get("half_day_counts", calendar.half_day_counts))


def computed(case: Mapping[str, Any], calendars: Mapping[str, Any]) -> str:
    """The promise of a case as UTC text, or "paused" or "refused: why"."""
    try:
        calendar = calendar_of(case, calendars)
        ended = case.get("session_end_utc") or case["session_end_local"]
        due_at = deliver_by(
            ended_at=moment(ended, calendar, case.get("fold") or 0),
            days=case.get("n", 2),
            calendar=calendar,
            pauses=[pause(pair, calendar) for pair in case.get("pauses") or []],
        )
    except ClockPaused:
        return PAUSED
    except (WorkdaysError, KeyError, TypeError, ValueError) as error:
        return f"{REFUSED}: {error}"
    return due_at.isoformat()


def expected(case: Mapping[str, Any]) -> str:
    """What a case says rule S gives: UTC text; "paused" when its due time is null; "refused" when it has an
    error.
    """
    answer = case["expected_S"]
    if answer is None:
        return PAUSED
    if "error" in answer:
        return REFUSED
    due = answer["due_utc"] if "due_utc" in answer else answer["due_local"]
    return PAUSED if due is None else datetime.fromisoformat(due).astimezone(UTC).isoformat()


def differences(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The cases that differ: `(id, expected, computed)`."""
    for number, case in enumerate(data["cases"], start=1):
        try:
            wanted = expected(case)
        except (KeyError, TypeError, ValueError) as error:
            wanted = f"no readable expected_S ({error!r})"
        found = computed(case, data.get("calendars", {}))
        if wanted != found and not (wanted == REFUSED and found.startswith(REFUSED)):
            yield str(case.get("id", f"#{number}")), wanted, found


class Command(BaseCommand):
    """Check the promise against a file of cases."""

    help = "deadlines check FILE: compare the promise (rule S) with a file of worked cases."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`check` and the file."""
        actions = parser.add_subparsers(dest="action", required=True)
        check = actions.add_parser("check", help="compare rule S with the cases of a JSON file")
        check.add_argument("file", type=Path)

    def handle(self, *, file: Path, **options: Any) -> None:
        """Print `N agree, M differ` and one line per case that differs; exit 1 when any does."""
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            differing, total = list(differences(data)), len(data["cases"])
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CommandError(f"{file} is not a file of cases: {error}") from error
        if not total:
            raise CommandError(f"{file} holds no cases.")
        for case_id, wanted, found in differing:
            self.stdout.write(f"{case_id}: expected {wanted}, computed {found}")
        ids = ": " + " ".join(case_id for case_id, *_ in differing) if differing else ""
        self.stdout.write(f"{total - len(differing)} agree, {len(differing)} differ{ids}")
        if differing:
            raise SystemExit(1)
