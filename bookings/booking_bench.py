"""`manage.py bench booking`: twenty clients over 300 times, fifty at once on one, arrivals at 70 % of what it bears.

Clients press the page's own button over HTTP: each press is a new browser with its token, its own address and no
session, sent to gunicorn on a processor core of its own where there are two. Rows are committed and removed afterwards,
so it runs on a database without bookings only (`make bench`), where the guard can be taken away as well: the same
clients without lock and constraint show how many would sit on one another's chair. django-appointment, which meets the
same clients in its own environment, shows what a studio that picks the best-known Django package would have.
"""

import http.client
import json
import os
import random
import re
import subprocess
import tempfile
import threading
import time as clock
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from urllib.parse import urlencode
from uuid import uuid4

from django.core.management.base import CommandError
from django.db import connection
from django.urls import reverse

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
from bookings.timeline import DAY, MINUTE
from studio.benching import BenchOptions, BenchResult, bench, peer_python
from studio.models import Location, OpeningHours, StatusChange, Throttle
from studio.serving import as_deployed, free_port, gunicorn

PER_DAY, LENGTH = 20, 30
CLIENTS, TIMES, AT_ONCE, SHARE = 20, 300, 50, 0.7
TRIES = 2  # each time is wanted by two clients
WANTED = {"one_slot_50_posts_slowest_s": 3.0, "poisson_p99_ms": 300.0}
PEER = "django-appointment"
UNGUARDED = "booking_bench_unguarded:application"  # beside this module


@dataclass(frozen=True, slots=True)
class Press:
    """One client's press: how long the answer took, in seconds, and whether it was a booking."""

    seconds: float
    is_booked: bool


@bench("booking")
def booking_bench(options: BenchOptions) -> BenchResult:
    """Saturation with and without the guard, fifty posts on one time, Poisson arrivals, and the peer."""
    if Booking.objects.exists():
        raise CommandError(
            "This bench takes guards away: it needs a database without bookings. Try `make bench`."
        )
    times, runs = (40, 1) if options.quick else (TIMES, max(1, min(3, options.runs)))
    town = _Town()
    try:
        with _site("studio.wsgi:application") as site:
            town.rush(site, PER_DAY)  # what is imported and cached with the first requests
            rush = [town.rush(site, times) for _run in range(runs)]
            crowd = [town.crowd(site) for _run in range(runs)]
            rate = median(found.answered for found in rush)
            arrivals = town.arrive(site, rate * SHARE, times)
        with _without_guard(), _site(UNGUARDED) as site:
            off = town.rush(site, times)
    finally:
        town.forget()
    peer = _peer(times)
    figures: dict[str, float | int | str] = {
        "bookings_per_second": round(median(found.rate for found in rush), 1),
        "answers_per_second": round(rate, 1),
        "p99_ms": round(median(found.p99 for found in rush) * 1000, 1),
        "double_bookings": sum(found.doubles for found in rush),
        "one_slot_50_posts_slowest_s": round(max(found.slowest for found in crowd), 2),
        "one_slot_50_posts_booked": max(found.booked for found in crowd),
        "poisson_arrivals_per_second": round(rate * SHARE, 1),
        "poisson_p50_ms": round(arrivals.share(0.5) * 1000, 1),
        "poisson_p99_ms": round(arrivals.p99 * 1000, 1),
        "guard_off_bookings_per_second": round(off.rate, 1),
        "guard_off_double_bookings": off.doubles,
    }
    lines = [f"{name:<36}{value:>10}" for name, value in figures.items()]
    lines += [f"{f'{PEER}: {name}':<36}{value:>10}" for name, value in peer.items()]
    lines.append("wanted: " + ", ".join(f"{name} ≤ {limit:g}" for name, limit in WANTED.items()))
    return BenchResult(
        figures=figures,
        peers={PEER.replace("-", "_"): peer},
        ratios={"guard_costs": round(off.rate / max(median(found.rate for found in rush), 0.1), 2)},
        conditions={
            "clients": CLIENTS,
            "times": times,
            "tries_per_time": TRIES,
            "runs": runs,
            "clients_are": "browsers over HTTP",
            "cores": os.cpu_count() or 1,
            "load": round(os.getloadavg()[0], 1),
        },
        table="\n".join(lines),
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
    def answered(self) -> float:
        """Presses answered per second, those told that the time is gone among them."""
        return len(self.presses) / self.seconds

    @property
    def slowest(self) -> float:
        return max(press.seconds for press in self.presses)

    @property
    def p99(self) -> float:
        return self.share(0.99)

    def share(self, part: float) -> float:
        """Seconds within which that part of the presses was answered."""
        ordered = sorted(press.seconds for press in self.presses)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


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
        opens = datetime.combine(datetime.now(UTC).date() + 2 * DAY, time(8), tzinfo=UTC)
        return [
            opens + number // PER_DAY * DAY + number % PER_DAY * LENGTH * MINUTE for number in range(count)
        ]

    def press(self, site: "_Site", starts_at: datetime, since: float | None = None) -> Press:
        """What the page's button does. With `since` the wait before it counts as well."""
        began = clock.perf_counter() if since is None else since
        facts = {"location": self.place.slug, "starts_at": starts_at.isoformat(), "form_token": uuid4()}
        status = site.post(reverse("hold", args=[self.kind.slug]), facts)
        return Press(clock.perf_counter() - began, status == 302)

    def rush(self, site: "_Site", count: int) -> Found:
        """Twenty clients, each with a share of the times in an order of its own, as fast as they can."""
        chance = random.Random(1)
        wanted = self.starts(count) * TRIES
        chance.shuffle(wanted)
        shares = [wanted[number::CLIENTS] for number in range(CLIENTS)]
        found = self._at_once([partial(self._one_after_the_other, site, share) for share in shares])
        self._empty()
        return found

    def _one_after_the_other(self, site: "_Site", wanted: Sequence[datetime]) -> list[Press]:
        return [self.press(site, at) for at in wanted]

    def crowd(self, site: "_Site") -> Found:
        """Fifty clients press the same time at the same instant."""
        at = self.starts(1)[0]
        found = self._at_once([lambda: [self.press(site, at)]] * AT_ONCE)
        self._empty()
        return found

    def arrive(self, site: "_Site", per_second: float, count: int) -> Found:
        """Clients come by chance (a Poisson process), each for a time of their own; waiting in a queue counts."""
        chance = random.Random(2)
        at, arrivals = 0.0, []
        for starts_at in self.starts(count):
            at += chance.expovariate(per_second)
            arrivals.append((at, starts_at))
        with ThreadPoolExecutor(CLIENTS * 2) as pool:
            began = clock.perf_counter()
            waiting = []
            for at, starts_at in arrivals:
                clock.sleep(max(0.0, began + at - clock.perf_counter()))
                waiting.append(pool.submit(self.press, site, starts_at, began + at))
            presses = [one.result() for one in waiting]
            seconds = clock.perf_counter() - began
        found = Found(presses, seconds, doubles())
        self._empty()
        return found

    def _at_once(self, calls: Sequence[Callable[[], list[Press]]]) -> Found:
        start = threading.Barrier(len(calls) + 1)
        answers: list[Press] = []

        def one(call: Callable[[], list[Press]]) -> None:
            start.wait()
            answers.extend(call())

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
        Throttle.objects.all().delete()
        StatusChange.objects.filter(model__in=["bookings.booking", "bookings.shoot"]).delete()
        Resource.objects.filter(skills__in=self.skills).delete()
        self.kind.delete()
        for skill in self.skills:
            skill.delete()
        self.place.delete()


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
    """No constraint, put back whatever happens. The server that runs meanwhile takes no locks either."""
    rule = next(rule for rule in Claim._meta.constraints if rule.name == "nobody_in_two_places")
    with connection.schema_editor() as editor:
        editor.remove_constraint(Claim, rule)
    try:
        yield
    finally:
        Booking.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Claim, rule)


# --- the site and its visitors


@contextmanager
def _site(application: str) -> Iterator["_Site"]:
    """The site as it is deployed, on the last core, while the block runs on the first."""
    cores = sorted(os.sched_getaffinity(0))
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="likeness-bench-") as folder:
        environment = as_deployed(Path(folder), port) | {"TRUSTED_PROXY_COUNT": "1"}
        os.sched_setaffinity(0, cores[-1:])  # what is started now stays there
        try:
            with gunicorn(application, Path(folder), port, environment, beside=Path(__file__).parent):
                os.sched_setaffinity(0, cores[:1])
                yield _Site(port)
        finally:
            os.sched_setaffinity(0, cores)


class _Site:
    """Posts of one visitor after the other: each from an address of its own, with a form's token."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.addresses = count()
        answer = self._ask("GET", reverse("ask_for_link"), "", {})
        page = answer[1].decode()
        self.token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[0]
        self.cookie = answer[2].split(";")[0]

    def post(self, path: str, facts: dict[str, object]) -> int:
        """The status of the answer. Raises RuntimeError for what no visitor should see."""
        body = urlencode(facts | {"csrfmiddlewaretoken": self.token})
        number = next(self.addresses)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": self.cookie,
            "X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        }
        status, content, _cookie = self._ask("POST", path, body, headers)
        if status not in (302, 409):
            raise RuntimeError(f"{path} answered {status}: {content[:2000].decode(errors='replace')}")
        return status

    def _ask(self, method: str, path: str, body: str, headers: dict[str, str]) -> tuple[int, bytes, str]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return answer.status, answer.read(), answer.headers.get("Set-Cookie", "")
        finally:
            line.close()


# --- the peer


def _peer(times: int) -> dict[str, float | int | str]:
    """django-appointment with the same clients and times, in a database of its own on our server."""
    name = f"peer_{uuid4().hex[:8]}"
    ours = connection.settings_dict
    theirs = {key: str(ours[key]) for key in ("USER", "PASSWORD", "HOST", "PORT")} | {"NAME": name}
    script = Path(__file__).with_name("booking_bench_appointment.py")
    command: list[str | Path] = [peer_python(PEER), script, json.dumps(theirs)]
    command += [str(CLIENTS), str(times), str(TRIES)]
    environment = {key: text for key, text in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    found: dict[str, float | int | str] = json.loads(done.stdout)
    return found
