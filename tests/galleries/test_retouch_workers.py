"""A worker killed in the middle of drafts: all are made, none is doubled, nothing is left behind."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from galleries import jobs, proofing, tasks
from galleries.models import Gallery, Job, JobKind, Retouch, Version
from galleries.statuses import JobStatus
from studio.storage import storages_from_url
from studio.verification import invariants
from tests.galleries.framing import ANA, make_photo, store_original
from tests.galleries.making import make_gallery
from tests.galleries.test_workers import bells
from tests.journeys.fleet import Fleet, wait_until, workshop
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER, large_portrait

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fleet(transactional_db: None, tmp_path: Path, settings, monkeypatch) -> Iterator[Fleet]:
    with workshop(tmp_path) as fleet:
        settings.STORAGES = settings.STORAGES | storages_from_url(fleet.environment["STORAGE_URL"], "/unused")
        monkeypatch.setattr(tasks.work, "delay", lambda: None)
        yield fleet


def test_drafts_are_made_once_though_their_worker_was_killed(fleet: Fleet, tmp_path: Path) -> None:
    now, count = timezone.now(), 3
    gallery = make_gallery(now=now, clock_started_at=now, finals_included=count)
    for number in range(1, count + 1):
        photo = make_photo(gallery, number, now=now)
        source = (GRACE_HOPPER, EILEEN_COLLINS)[number % 2]
        large = large_portrait(source, tmp_path / f"{number}.jpg", width=2000, height=3000, seed=number)
        store_original(photo, now=now, path=large)
        proofing.pick(photo_id=photo.pk, by=ANA, now=now)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=now)

    worker = fleet.worker("images", concurrency=1)
    bells(fleet, count)
    wait_until(fleet.said(worker)[-300:], lambda: is_at_work(JobKind.DRAFT))
    time.sleep(0.2)
    fleet.kill(worker)
    assert is_at_work(JobKind.DRAFT), "the killed worker was idle: this has shown nothing"
    assert Version.objects.count() < count
    wait_until(
        "its connection falls", lambda: jobs.sweep(now=timezone.now()) or not is_at_work(JobKind.DRAFT)
    )

    fleet.worker("images", concurrency=2)
    bells(fleet, 2)
    wait_until("all is made", lambda: all_measured(gallery, count))
    assert Job.objects.filter(kind=JobKind.DRAFT, attempts=2).count() == 1
    assert sorted(Version.objects.values_list("retouch", "number")) == [
        (retouch.pk, 1) for retouch in Retouch.objects.order_by("pk")
    ]
    soon = timezone.now() + timedelta(minutes=2)
    broken = [line for one in invariants() if one.code in ("I3", "I5", "I8", "I9") for line in one.find(soon)]
    assert broken == []


def is_at_work(kind: JobKind) -> bool:
    return Job.objects.filter(kind=kind, status=JobStatus.RUNNING).exists()


def all_measured(gallery: Gallery, count: int) -> bool:
    made = Version.objects.filter(retouch__gallery=gallery).exclude(guard="waiting").count()
    return made == count and not Job.objects.exclude(status=JobStatus.DONE).exists()
