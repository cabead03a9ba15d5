"""`manage.py bench availability`: sixty days of start times for a chain of four Resources, database load included."""

import statistics
import time as clock
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Model

from bookings import availability
from bookings import booking_bench as booking_bench  # registers its own
from bookings.availability import Slot
from bookings.boards import Leeway, filled, frame
from bookings.models import (
    AddOn,
    AddOnKind,
    Booking,
    Claim,
    Requirement,
    Resource,
    ResourceHours,
    ResourceKind,
    SessionType,
    Skill,
)
from bookings.seating import Board, Need, Step
from bookings.timeline import DAY, MINUTE, instant
from studio.benching import BenchOptions, BenchResult, bench
from studio.models import Location, OpeningHours

NOW = datetime(2026, 11, 16, 10, tzinfo=UTC)
FIRST_ON, DAYS = date(2026, 11, 17), 60
ROLES = ("photographer", "camera-room", "make-up-artist", "make-up-chair")
PER_DAY = 4  # chains booked on each day and team: half of what fits


@bench("availability")
def availability_bench(options: BenchOptions) -> BenchResult:
    """Three calendars in one run, asked in turn: 5,000 bookings of four Resources, the same with twenty times the
    past, and eight Resources with 100,000 bookings. Nothing is left in the database."""
    sizes = {"four": (1, 5_000), "four_long_past": (1, 50_000), "eight": (2, 100_000)}
    if options.quick:
        sizes = {"four": (1, 500), "four_long_past": (1, 2_000), "eight": (2, 2_000)}
    with transaction.atomic():
        studios = {name: _Studio(name, *size) for name, size in sizes.items()}
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE bookings_claim, bookings_booking")
        measured = _interleaved({name: studio.ask for name, studio in studios.items()}, options.runs)
        plain = _interleaved({"plain": studios["four"].ask_plainly}, max(1, options.runs // 2))["plain"]
        found = {name: len(studio.ask()) for name, studio in studios.items()}
        agrees = [slot.starts_at for slot in studios["four"].ask()] == studios["four"].ask_plainly()
        transaction.set_rollback(True)
    figures: dict[str, float | int | str] = {"plain_loops_agree": int(agrees)}
    for name, times in measured.items():
        figures[f"{name}_ms"] = round(statistics.median(times), 2)
        figures[f"{name}_best_ms"] = round(min(times), 2)
        figures[f"{name}_worst_ms"] = round(max(times), 2)
        figures[f"{name}_slots"] = found[name]
    ours = statistics.median(measured["four"])
    return BenchResult(
        figures=figures,
        peers={"plain_loops": {"ms": round(statistics.median(plain), 2)}},
        ratios={
            "plain_loops": round(statistics.median(plain) / ours, 1),
            "ten_times_the_past": round(statistics.median(measured["four_long_past"]) / ours, 2),
        },
        conditions={
            "days": DAYS,
            "increment_minutes": 15,
            "runs": options.runs,
            **{f"{name}_bookings": size[1] for name, size in sizes.items()},
        },
        table=_table(measured, plain, sizes),
    )


def _interleaved(calls: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Milliseconds per call, each called once per round; the first round only warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(runs + 1):
        for name, call in calls.items():
            began = clock.perf_counter()
            call()
            if number:
                times[name].append((clock.perf_counter() - began) * 1000)
    return times


def _table(measured: dict[str, list[float]], plain: list[float], sizes: dict[str, tuple[int, int]]) -> str:
    lines = [f"{'60 days, 15 min':<34}{'bookings':>10}{'best ms':>10}{'median ms':>11}{'worst ms':>10}"]
    for name, times in measured.items():
        teams, stored = sizes[name]
        label = f"{teams * len(ROLES)} Resources ({name})"
        lines.append(_line(label, stored, times))
    label = "4 Resources, plain interval loops"
    lines.append(_line(label, sizes["four"][1], plain))
    return "\n".join(lines)


def _line(label: str, stored: int, times: list[float]) -> str:
    return f"{label:<34}{stored:>10,}{min(times):>10.1f}{statistics.median(times):>11.1f}{max(times):>10.1f}"


class _Studio:
    """A location with teams of four and a history; every fourth slot of the coming days is booked as well."""

    def __init__(self, name: str, teams: int, stored: int) -> None:
        self.location = Location.objects.create(
            slug=f"bench-{name}-{uuid4().hex[:8]}", name=name, country="US", zone="America/Chicago"
        )
        OpeningHours.objects.bulk_create(
            OpeningHours(location=self.location, weekday=day, opens_at=time(9), closes_at=time(19))
            for day in range(7)
        )
        skills = {role: Skill.objects.get_or_create(slug=role, defaults={"name": role})[0] for role in ROLES}
        self.session_type = SessionType.objects.create(
            slug=self.location.slug, name="Bench", minutes=60, price=1, horizon_days=90
        )
        self.session_type.locations.add(self.location)
        self.make_up = AddOn.objects.create(
            slug=self.location.slug, kind=AddOnKind.MAKE_UP, name="Make-up", price=1, minutes=45
        )
        self.session_type.add_ons.add(self.make_up)
        for role in ROLES[:2]:
            Requirement.objects.create(session_type=self.session_type, skill=skills[role], after_minutes=15)
        for role in ROLES[2:]:
            Requirement.objects.create(add_on=self.make_up, skill=skills[role], after_minutes=10)
        self.teams = [[self._resource(role, skills[role]) for role in ROLES] for _team in range(teams)]
        self._fill(stored)

    def _resource(self, role: str, skill: Skill) -> int:
        kind = {"camera-room": ResourceKind.ROOM, "make-up-chair": ResourceKind.CHAIR}.get(
            role, ResourceKind.PERSON
        )
        row = Resource.objects.create(
            kind=kind, name=role, location=None if kind == ResourceKind.PERSON else self.location
        )
        row.skills.add(skill)
        if kind == ResourceKind.PERSON:
            ResourceHours.objects.bulk_create(
                ResourceHours(
                    resource=row, location=self.location, weekday=day, starts_at=time(9), ends_at=time(19)
                )
                for day in range(7)
            )
        return row.pk

    def _fill(self, stored: int) -> None:
        """Two hours each from 9:00 on, at most four a day and team: the coming days first, then back in time."""
        zone = ZoneInfo(self.location.zone)
        ahead = [FIRST_ON + number * DAY for number in range(DAYS)]
        back = (stored - len(ahead) * len(self.teams) * 2) // (len(self.teams) * PER_DAY) + 1
        rows = [(on, number) for on in ahead for number in (0, 2)]
        rows += [(FIRST_ON - number * DAY, turn) for number in range(1, back + 1) for turn in range(PER_DAY)]
        starts = [instant(zone, on, time(9)) + turn * 135 * MINUTE for on, turn in rows]
        booking, claim = self._templates()
        with connection.cursor() as cursor:
            for team in self.teams:
                cursor.execute(_copies(booking, _BOOKING, "unnest(%s::timestamptz[]) AS at"), [starts])
                ids = [row[0] for row in cursor.fetchall()]
                source = f"unnest(%s::bigint[], %s::timestamptz[]) AS made(booking, at), {_SEATS}"
                cursor.execute(_copies(claim, _CLAIM, source), [ids, starts, *team])
        booking.delete()

    def _templates(self) -> tuple[Booking, Claim]:
        """One booking and one claim, of which all others are copies with their own times."""
        long_ago = NOW - timedelta(days=36_000)
        booking = Booking.objects.create(
            session_type=self.session_type,
            location=self.location,
            starts_at=long_ago,
            ends_at=long_ago + DAY,
            hold_expires_at=NOW + 400 * DAY,
            created_at=NOW,
            currency="USD",
            session_fee=1,
            price=1,
            due_now=1,
            finals_included=1,
        )
        claim = Claim.objects.create(
            booking=booking,
            resource_id=self.teams[0][0],
            starts_at=long_ago,
            works_from=long_ago,
            works_until=long_ago + DAY,
            ends_at=long_ago + DAY,
            purpose="bench",
        )
        return booking, claim

    def ask(self) -> list[Slot]:
        """What the booking page asks."""
        return availability.slots(
            session_type=self.session_type,
            location=self.location,
            add_ons={self.make_up.pk: 1},
            first_on=FIRST_ON,
            last_on=FIRST_ON + (DAYS - 1) * DAY,
            now=NOW,
        )

    def ask_plainly(self) -> list[datetime]:
        """The peer: the same rows, each start and each Resource looked at in plain loops over intervals."""
        cast = availability.cast_of(
            session_type=self.session_type, location=self.location, add_ons={self.make_up.pk: 1}
        )
        board = frame(
            cast, first_on=FIRST_ON, last_on=FIRST_ON + (DAYS - 1) * DAY, now=NOW, leeway=Leeway.CLIENT
        )
        return list(_plain_starts(filled(cast, board, now=NOW)))


def _plain_starts(board: Board) -> list[datetime]:
    zone = ZoneInfo(board.zone)
    found = []
    for number in range((board.last_on - board.first_on).days + 1):
        on = board.first_on + number * DAY
        opens, closes = (instant(zone, on, wall) for wall in board.opening[on.weekday()][0])
        start = opens
        while start + board.chain.minutes * MINUTE <= closes:
            if all(_somebody(board, start, step, need) for step in board.chain.steps for need in step.needs):
                found.append(start)
            start += board.increment * MINUTE
    return found


def _somebody(board: Board, start: datetime, step: Step, need: Need) -> bool:
    begins = start + (step.begins - need.before) * MINUTE
    until = start + (step.begins + step.minutes + need.after) * MINUTE
    return any(
        not any(taken_from < until and begins < taken_until for taken_from, taken_until in calendar.taken)
        for calendar in board.calendars
        if need.skill_id in calendar.skills
    )


# What differs from the template, as SQL over the rows a copy is made for.
_BOOKING = {
    "public_id": "substr(md5(random()::text), 1, 24)",
    "form_token": "gen_random_uuid()",
    "starts_at": "at",
    "ends_at": "at + interval '105 minutes'",
}
_CLAIM = {
    "booking_id": "made.booking",
    "resource_id": "seat.resource",
    "starts_at": "at + begins * interval '1 minute'",
    "works_from": "at + begins * interval '1 minute'",
    "works_until": "at + works_until_minute * interval '1 minute'",
    "ends_at": "at + until * interval '1 minute'",
}
_SEATS = """(VALUES (%s::bigint, 45, 105, 120), (%s::bigint, 45, 105, 120), (%s::bigint, 0, 45, 55),
  (%s::bigint, 0, 45, 55)) AS seat(resource, begins, works_until_minute, until)"""


def _copies(template: Model, differs: dict[str, str], source: str) -> str:
    """SQL that copies one row once for each row of `source`: every column of the model, whatever it has by then."""
    table = template._meta.db_table
    columns = [str(row.column) for row in template._meta.concrete_fields if not row.primary_key]
    values = ", ".join(differs.get(column, f'template."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    return (  # only names of our own models and the constants above
        f'INSERT INTO "{table}" ({names}) SELECT {values} FROM "{table}" AS template, {source} '  # noqa: S608
        f"WHERE template.id = {template.pk} RETURNING id"
    )
