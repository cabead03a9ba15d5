"""A week of forty galleries under a clock the test moves: every warning once, in order, misses and refunds once."""

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bookings.models import Refund
from galleries import afterwards, alarms, deadlines, delivery, invariants
from galleries.models import Breach, DeadlineNotice, Delivery, Gallery, PauseReason
from galleries.statuses import GalleryStatus
from studio.actors import WORKER
from studio.models import Message, Role
from tests.galleries.finals import approve, in_retouching, pay
from tests.galleries.making import make_gallery, make_location, make_session_type, make_shoot, make_user

LONDON = ZoneInfo("Europe/London")
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=LONDON)
FORTY = 40
ORDER = ("one_day", "four_hours", "one_hour", "finish", "overdue")
pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# What happens to a gallery, by its number: delivered in time, half of it, never, with a pause, only the button missing.
KINDS = ("in time", "half", "never", "paused", "button")


def play(*, dead: tuple[datetime, datetime] | None = None, sweeps: int = 1) -> dict[int, str]:
    """Two weeks at steps of ten minutes; no sweep runs while the beat is dead. Returns what each gallery was."""
    chance = random.Random(7)
    place = make_location()
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
                alarms.sweep(now=now)
            afterwards.sweep(now=now)
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


def test_the_week_with_the_beat_dead_for_a_day_and_each_sweep_twice(media_storage: object) -> None:
    wednesday = MONDAY + timedelta(days=2, hours=3)
    judge_late = play(dead=(wednesday, wednesday + timedelta(days=1)), sweeps=2)
    on_time = {pk for pk, kind in judge_late.items() if kind == "button"}
    # What only waited for the sweep to press the button may have come late while the beat was dead: said so, once.
    missed = set(Breach.objects.filter(gallery__in=on_time).values_list("gallery", flat=True))
    assert Breach.objects.filter(gallery__in=on_time).count() == len(missed)
    assert set(Gallery.objects.filter(was_on_time=False).values_list("pk", flat=True)) == missed
    assert Breach.objects.exclude(gallery__in=on_time).count() == 16
    assert Refund.objects.count() == 16 + len(missed)
    assert Message.objects.filter(name="deadline_missed_client").count() == 16
    names = Message.objects.filter(name="deadline_warning").values_list("once", flat=True)
    assert len(names) == len(set(names))
    assert list(invariants.promises_recompute(MONDAY + timedelta(days=14))) == []
