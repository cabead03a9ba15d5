"""A week of forty galleries under a clock the test moves: every warning once, in order, misses and refunds once."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pytest_django.fixtures import Settings

from bookings.models import Refund
from galleries import afterwards, alarms, deadlines, delivery, invariants
from galleries.models import Breach, DeadlineNotice, Delivery, Gallery, PauseReason
from galleries.statuses import GalleryStatus
from studio import outbox
from studio.actors import WORKER
from studio.models import LateWay, Message, Role, Studio
from studio.storage import storages_from_url
from studio.verification import invariants as verified
from tests.galleries.finals import approve, in_retouching, pay
from tests.galleries.making import make_gallery, make_location, make_session_type, make_shoot, make_user
from tests.journeys.fleet import workshop

LONDON = ZoneInfo("Europe/London")
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=LONDON)
FORTY = 40
ORDER = ("one_day", "four_hours", "one_hour", "finish", "overdue")
pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# What happens to a gallery, by its number: delivered in time, half of it, never, with a pause, only the button missing.
KINDS = ("in time", "half", "never", "paused", "button")


def sweep_here(now: datetime) -> None:
    """What the beat rings for each minute, in this process."""
    alarms.sweep(now=now)
    afterwards.sweep(now=now)


def play(
    *,
    dead: tuple[datetime, datetime] | None = None,
    sweeps: int = 1,
    sweep: Callable[[datetime], None] = sweep_here,
) -> dict[int, str]:
    """Two weeks at steps of ten minutes; no sweep runs while the beat is dead. Returns what each gallery was."""
    chance = random.Random(7)
    place = make_location()
    Studio.objects.update(late_way=LateWay.CASH_BACK)
    make_user(Role.OWNER)
    with_button = make_session_type(delivers_by_itself=False)
    by_itself = make_session_type()
    kinds: dict[int, str] = {}
    plan: dict[datetime, list[tuple[str, int]]] = {}
    for number in range(FORTY):
        kind = KINDS[number % len(KINDS)]
        ended = MONDAY + timedelta(days=number % 7, minutes=10 * chance.randrange(48))
        shoot = make_shoot(
            now=ended, location=place, session_type=with_button if kind == "button" else by_itself
        )
        gallery = make_gallery(now=ended, shoot=shoot)
        kinds[gallery.pk] = kind
        plan.setdefault(ended, []).append(("begin", gallery.pk))
        plan.setdefault(ended + timedelta(minutes=20), []).append(("choose", gallery.pk))
        if kind in ("in time", "half", "button", "paused"):
            plan.setdefault(ended + timedelta(hours=5), []).append(("work", gallery.pk))
        if kind == "paused":
            plan.setdefault(ended + timedelta(minutes=30), []).append(("pause", gallery.pk))
            plan.setdefault(ended + timedelta(hours=30), []).append(("answer", gallery.pk))
    now = MONDAY
    while now < MONDAY + timedelta(days=14):
        for deed, pk in plan.get(now, ()):
            do(deed, pk, kinds[pk], now=now)
        if dead is None or not dead[0] <= now < dead[1]:
            for _sweep in range(sweeps):
                sweep(now)
        now += timedelta(minutes=10)
    return kinds


def do(deed: str, pk: int, kind: str, *, now: datetime) -> None:
    gallery = Gallery.objects.get(pk=pk)
    if deed == "begin":
        deadlines.start(gallery_id=pk, ended_at=now, now=now)
        pay(gallery, 20000, now=now)
    elif deed == "choose":
        in_retouching(gallery, now=now)
    elif deed == "pause":
        deadlines.open_pause(gallery_id=pk, reason=PauseReason.APPROVING, by=WORKER, now=now)
    elif deed == "answer":
        deadlines.close_pause(gallery_id=pk, reason=PauseReason.APPROVING, by=WORKER, now=now)
        delivery.finals_made(gallery_id=pk, now=now)
    else:
        retouches = list(gallery.retouches.all())
        for retouch in retouches[: 1 if kind == "half" else 2]:
            approve(retouch, now=now, size=10)
        if kind != "paused":
            delivery.finals_made(gallery_id=pk, now=now)


CODES = ("I1", "I2", "I5", "I6", "I7", "I8", "I9")  # I3 and I4 ask for pictures


def nothing_is_broken() -> None:
    """What `manage.py verify` asks, when the mail has gone."""
    end = MONDAY + timedelta(days=14)
    while outbox.send_next(now=end):
        pass
    lines = [line for one in verified() if one.code in CODES for line in one.find(end)]
    assert [line for line in lines if "versions/" not in line] == []  # versions are rows only here


def judge(kinds: dict[int, str]) -> None:
    """What must be true however the sweeps fell."""
    late = {pk for pk, kind in kinds.items() if kind in ("half", "never")}
    assert set(Breach.objects.values_list("gallery", flat=True)) == late
    assert Breach.objects.count() == len(late) == 16
    assert set(Breach.objects.values_list("late_policy", flat=True)) == {"done"}
    assert sorted(Refund.objects.values_list("amount", flat=True)) == [2000] * 16
    assert Message.objects.filter(name="deadline_missed_client").count() == 16
    assert Message.objects.filter(name="deadline_missed_owner").count() == 16
    assert Delivery.objects.filter(is_partial=True).count() == 8
    for pk, kind in kinds.items():
        gallery = Gallery.objects.get(pk=pk)
        is_in_work = kind in ("half", "never")
        assert gallery.status == (GalleryStatus.RETOUCHING if is_in_work else GalleryStatus.DELIVERED), kind
        assert gallery.was_on_time is (None if is_in_work else True), kind
        given = list(gallery.notices.order_by("given_at", "pk").values_list("kind", flat=True))
        assert given == list(dict.fromkeys(given)), kind
        assert [ORDER.index(each) for each in given] == sorted(ORDER.index(each) for each in given)
        if is_in_work:
            assert given == list(ORDER)
    names = Message.objects.filter(name="deadline_warning").values_list("once", flat=True)
    assert len(names) == len(set(names))
    assert Message.objects.filter(name="thank_you").count() == 24
    assert list(invariants.promises_recompute(MONDAY + timedelta(days=14))) == []


def test_a_week_of_forty_galleries(media_storage: object) -> None:
    kinds = play()
    judge(kinds)
    for notice in DeadlineNotice.objects.all():
        assert notice.given_at <= notice.deliver_by + timedelta(minutes=10)
    nothing_is_broken()


def judge_gaps(kinds: dict[int, str]) -> None:
    """With sweeps missing: what only waited for the button may have come late, said so once; all else as ever."""
    on_time = {pk for pk, kind in kinds.items() if kind == "button"}
    missed = set(Breach.objects.filter(gallery__in=on_time).values_list("gallery", flat=True))
    assert Breach.objects.filter(gallery__in=on_time).count() == len(missed)
    assert set(Gallery.objects.filter(was_on_time=False).values_list("pk", flat=True)) == missed
    assert Breach.objects.exclude(gallery__in=on_time).count() == 16
    assert Refund.objects.count() == 16 + len(missed)
    assert Message.objects.filter(name="deadline_missed_client").count() == 16
    names = Message.objects.filter(name="deadline_warning").values_list("once", flat=True)
    assert len(names) == len(set(names))
    for gallery in Gallery.objects.all():
        given = list(gallery.notices.order_by("given_at", "pk").values_list("kind", flat=True))
        assert [ORDER.index(each) for each in given] == sorted({ORDER.index(each) for each in given})
    assert list(invariants.promises_recompute(MONDAY + timedelta(days=14))) == []


def test_the_week_with_the_beat_dead_for_a_day_and_each_sweep_twice(media_storage: object) -> None:
    wednesday = MONDAY + timedelta(days=2, hours=3)
    judge_gaps(play(dead=(wednesday, wednesday + timedelta(days=1)), sweeps=2))
    nothing_is_broken()


# --- workers killed

FORKER = """
import os, sys
import django
django.setup()
from datetime import datetime
from galleries import afterwards, alarms
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        now = datetime.fromisoformat(line.strip())
        alarms.sweep(now=now)
        afterwards.sweep(now=now)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@dataclass
class Killer:
    """Each sweep is a process of its own; some are ended with SIGKILL in the middle, and the next comes a minute on."""

    forker: "subprocess.Popen[str]"
    chance: random.Random = field(default_factory=lambda: random.Random(11))
    start: float = 0.05  # seconds until a sweep begins with the first gallery
    pace: float = 0.05  # and for each
    killed: int = 0
    halves: int = 0  # killed when some of what was due was done, and some was not

    def sweep(self, now: datetime) -> None:
        """Sweep until one lives through it. A sweep that finds nothing to do is a process only now and then."""
        while (waiting := self.due(now)) and self.chance.random() < 0.7:
            self.one(now, kill_after=self.chance.uniform(self.start, self.start + self.pace * waiting))
            left = self.due(now)
            self.halves += 0 < left < waiting
            now += timedelta(minutes=1)
        if waiting or self.chance.random() < 0.05:
            began = time.monotonic()
            self.one(now, kill_after=None)
            self.learn(waiting, time.monotonic() - began)

    def learn(self, waiting: int, seconds: float) -> None:
        """How long a sweep takes here, so that the next shots fall into its middle on any machine."""
        if waiting:
            self.pace = 0.7 * self.pace + 0.3 * max(0.005, seconds - self.start) / waiting
        else:
            self.start = 0.5 * self.start + 0.5 * seconds

    def due(self, now: datetime) -> int:
        """How much a sweep has to do: alarms, late policies, thank-yous."""
        policies = Breach.objects.filter(late_policy="proposed", late_policy_due_at__lte=now)
        alarms_due = Gallery.objects.filter(alarm_at__lte=now)
        return alarms_due.count() + policies.count() + Gallery.objects.filter(thank_at__lte=now).count()

    def one(self, now: datetime, *, kill_after: float | None) -> None:
        assert self.forker.stdin is not None and self.forker.stdout is not None
        print(now.isoformat(), file=self.forker.stdin, flush=True)
        child = int(self.forker.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = int(self.forker.stdout.readline())
        self.killed += status == signal.SIGKILL
        assert status in (0, signal.SIGKILL)


@pytest.mark.django_db(transaction=True)
def test_the_week_with_sweeps_killed_at_random(tmp_path: Path, settings: Settings) -> None:
    with workshop(tmp_path) as fleet:
        settings.STORAGES = settings.STORAGES | storages_from_url(fleet.environment["STORAGE_URL"], "/unused")
        child = fleet.child("sweeps", "-c", FORKER)
        forker = subprocess.Popen(
            child.command,
            env={**child.environment, "DJANGO_SETTINGS_MODULE": "studio.settings"},
            cwd=child.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            killer = Killer(forker)
            kinds = play(sweep=killer.sweep)
        finally:
            forker.kill()
            forker.communicate()
    assert killer.killed >= 20 and killer.halves >= 5, "too little was hit: this has shown nothing"
    judge_gaps(kinds)
    nothing_is_broken()
