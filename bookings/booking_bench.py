"""`manage.py bench booking`: twenty clients over 300 times, fifty at once on one, arrivals at 70 % of what it bears.

Clients are threads with connections of their own that call the verb the page calls; rows are committed and removed
afterwards. So it runs on a database without bookings only (`make bench`), where the guard can be taken away as well:
the same clients without locks and constraint show how many would sit on one another's chair.
"""

import random
import threading
import time as clock
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from statistics import median
from uuid import uuid4

from django.core.management.base import CommandError
from django.db import connection, connections

from bookings import holds
from bookings.models import (
    Booking,
    Claim,
    Requirement,
    Resource,
    ResourceHours,
    ResourceKind,
    SessionType,
    Skill,
)
from bookings.refusals import Refused
from bookings.timeline import DAY, MINUTE
from studio.actors import Actor, ActorKind
from studio.benching import BenchOptions, BenchResult, bench
from studio.models import Location, OpeningHours, StatusChange

NOW = datetime(2026, 11, 16, 10, tzinfo=UTC)
FIRST_ON, PER_DAY, LENGTH = date(2026, 11, 17), 20, 30
GUEST = Actor(ActorKind.CLIENT)
CLIENTS, TIMES, AT_ONCE, SHARE = 20, 300, 50, 0.7
TRIES = 2  # each time is wanted by two clients


@dataclass(frozen=True, slots=True)
class Press:
    """One client's press: how long the answer took, in seconds, and whether it was a booking."""

    seconds: float
    is_booked: bool


@bench("booking")
def booking_bench(options: BenchOptions) -> BenchResult:
    """Saturation with and without the guard, fifty posts on one time, then Poisson arrivals."""
    if Booking.objects.exists():
        raise CommandError(
            "This bench takes guards away: it needs a database without bookings. Try `make bench`."
        )
    times, runs = (40, 1) if options.quick else (TIMES, max(1, min(3, options.runs)))
    town = _Town()
    try:
        rush = [town.rush(times) for _run in range(runs)]
        crowd = [town.crowd() for _run in range(runs)]
        rate = median(found.rate for found in rush)
        arrivals = town.arrive(rate * SHARE, times)
        with _without_guard():
            off = town.rush(times)
    finally:
        town.forget()
    figures: dict[str, float | int | str] = {
        "bookings_per_second": round(rate, 1),
        "p99_ms": round(median(found.p99 for found in rush) * 1000, 1),
        "double_bookings": sum(found.doubles for found in rush),
        "one_slot_50_posts_slowest_s": round(max(found.slowest for found in crowd), 2),
        "one_slot_50_posts_booked": max(found.booked for found in crowd),
        "poisson_arrivals_per_second": round(rate * SHARE, 1),
        "poisson_p99_ms": round(arrivals.p99 * 1000, 1),
        "guard_off_bookings_per_second": round(off.rate, 1),
        "guard_off_double_bookings": off.doubles,
    }
    return BenchResult(
        figures=figures,
        ratios={"guard_costs": round(off.rate / rate, 2) if rate else 0.0},
        conditions={
            "clients": CLIENTS,
            "times": times,
            "tries_per_time": TRIES,
            "runs": runs,
            "clients_are": "threads",
        },
        table="\n".join(f"{name:<34}{value:>12}" for name, value in figures.items()),
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What a crowd of presses came to."""

    presses: Sequence[Press]
    seconds: float
    doubles: int

    @property
    def booked(self) -> int:
        return sum(press.is_booked for press in self.presses)

    @property
    def rate(self) -> float:
        """Bookings made per second."""
        return self.booked / self.seconds

    @property
    def slowest(self) -> float:
        return max(press.seconds for press in self.presses)

    @property
    def p99(self) -> float:
        ordered = sorted(press.seconds for press in self.presses)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


class _Town:
    """One photographer and one room, and clients who want their time."""

    def __init__(self) -> None:
        name = f"bench-{uuid4().hex[:8]}"
        self.place = Location.objects.create(slug=name, name=name, country="US", zone="UTC")
        OpeningHours.objects.bulk_create(
            OpeningHours(location=self.place, weekday=day, opens_at=time(8), closes_at=time(18))
            for day in range(7)
        )
        self.kind = SessionType.objects.create(
            slug=name, name=name, minutes=LENGTH, price=1, horizon_days=90, increment_minutes=LENGTH
        )
        self.kind.locations.add(self.place)
        self.skills = [
            Skill.objects.create(slug=f"{name}-{role}", name=role) for role in ("photographer", "room")
        ]
        for skill, kind in zip(self.skills, (ResourceKind.PERSON, ResourceKind.ROOM), strict=True):
            Requirement.objects.create(session_type=self.kind, skill=skill)
            row = Resource.objects.create(
                kind=kind, name=skill.name, location=None if kind == "person" else self.place
            )
            row.skills.add(skill)
            if kind == ResourceKind.PERSON:
                ResourceHours.objects.bulk_create(
                    ResourceHours(
                        resource=row, location=self.place, weekday=day, starts_at=time(8), ends_at=time(18)
                    )
                    for day in range(7)
                )

    def starts(self, count: int) -> list[datetime]:
        """The first times there are, thirty minutes apart, twenty a day."""
        opens = datetime.combine(FIRST_ON, time(8), tzinfo=UTC)
        return [
            opens + number // PER_DAY * DAY + number % PER_DAY * LENGTH * MINUTE for number in range(count)
        ]

    def press(self, starts_at: datetime, since: float | None = None) -> Press:
        """What the page's button does. With `since` the wait before it counts as well."""
        began = clock.perf_counter() if since is None else since
        try:
            holds.place(
                session_type_id=self.kind.pk,
                location_id=self.place.pk,
                add_ons={},
                starts_at=starts_at,
                form_token=uuid4(),
                by=GUEST,
                now=NOW,
            )
            is_booked = True
        except Refused:
            is_booked = False
        return Press(clock.perf_counter() - began, is_booked)

    def rush(self, count: int) -> Found:
        """Twenty clients, each with a share of the times in an order of its own, as fast as they can."""
        chance = random.Random(1)
        wanted = self.starts(count) * TRIES
        chance.shuffle(wanted)
        shares = [wanted[number::CLIENTS] for number in range(CLIENTS)]
        found = self._at_once([partial(self._one_after_the_other, share) for share in shares])
        self._empty()
        return found

    def _one_after_the_other(self, wanted: Sequence[datetime]) -> list[Press]:
        return [self.press(at) for at in wanted]

    def crowd(self) -> Found:
        """Fifty clients press the same time at the same instant."""
        at = self.starts(1)[0]
        found = self._at_once([lambda: [self.press(at)]] * AT_ONCE)
        self._empty()
        return found

    def arrive(self, per_second: float, count: int) -> Found:
        """Clients come by chance (a Poisson process), each for a time of their own; waiting in a queue counts."""
        chance = random.Random(2)
        at, arrivals = 0.0, []
        for starts_at in self.starts(count):
            at += chance.expovariate(per_second)
            arrivals.append((at, starts_at))
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda _number: connection.ensure_connection(), range(CLIENTS)))
            began = clock.perf_counter()
            waiting = []
            for at, starts_at in arrivals:
                clock.sleep(max(0.0, began + at - clock.perf_counter()))
                waiting.append(pool.submit(self.press, starts_at, began + at))
            presses = [one.result() for one in waiting]
            seconds = clock.perf_counter() - began
            barrier = threading.Barrier(CLIENTS)
            list(pool.map(_hang_up, [barrier] * CLIENTS))
        found = Found(presses, seconds, doubles())
        self._empty()
        return found

    def _at_once(self, calls: Sequence[Callable[[], list[Press]]]) -> Found:
        start = threading.Barrier(len(calls) + 1)
        answers: list[Press] = []

        def one(call: Callable[[], list[Press]]) -> None:
            try:
                connection.ensure_connection()
                start.wait()
                answers.extend(call())
            finally:
                connections.close_all()

        threads = [threading.Thread(target=one, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        start.wait()
        began = clock.perf_counter()
        for thread in threads:
            thread.join()
        return Found(answers, clock.perf_counter() - began, doubles())

    def _empty(self) -> None:
        Booking.objects.filter(session_type=self.kind).delete()

    def forget(self) -> None:
        """Leave nothing behind."""
        self._empty()
        StatusChange.objects.filter(model__in=["bookings.booking", "bookings.shoot"]).delete()
        Resource.objects.filter(skills__in=self.skills).delete()
        self.kind.delete()
        for skill in self.skills:
            skill.delete()
        self.place.delete()


def _hang_up(barrier: threading.Barrier) -> None:
    """Each thread of the pool closes its own connection."""
    barrier.wait()
    connections.close_all()


def doubles() -> int:
    """Pairs of active claims of one Resource that overlap."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM bookings_claim a JOIN bookings_claim b
               ON a.resource_id = b.resource_id AND a.id < b.id AND a.is_active AND b.is_active
               AND tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)"""
        )
        return int(cursor.fetchone()[0])


@contextmanager
def _without_guard() -> Iterator[None]:
    """No locks and no constraint, put back whatever happens."""
    rule = next(rule for rule in Claim._meta.constraints if rule.name == "nobody_in_two_places")
    lock = holds.lock_resources
    with connection.schema_editor() as editor:
        editor.remove_constraint(Claim, rule)
    holds.lock_resources = lambda cast: None
    try:
        yield
    finally:
        holds.lock_resources = lock
        Booking.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Claim, rule)
