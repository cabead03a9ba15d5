"""Real workers and a real broker: killed, flushed, and everything is made once all the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from django.utils import timezone
from PIL import Image

from galleries import jobs, receiving, renditions, tasks
from galleries.models import Gallery, Job, Photo, Rendition, Upload
from galleries.statuses import JobStatus
from studio import storage
from studio.actors import WORKER
from studio.processes import Child
from studio.storage import storages_from_url
from studio.verification import invariants
from tests.galleries.making import make_gallery
from tests.journeys.fleet import Fleet, wait_until, workshop

PORTRAIT = Path(__file__).parent.parent / "portraits" / "grace_hopper.jpg"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fleet(transactional_db: None, tmp_path: Path, settings, monkeypatch) -> Iterator[Fleet]:
    """Workers to be started, sharing this test's database and store; this process rings in their broker."""
    with workshop(tmp_path) as fleet:
        settings.STORAGES = settings.STORAGES | storages_from_url(fleet.environment["STORAGE_URL"], "/unused")
        monkeypatch.setattr(tasks.work, "delay", lambda: None)  # the sweep rings
        yield fleet


def frame(number: int, edge: int) -> bytes:
    buffer = BytesIO()
    with Image.open(PORTRAIT) as image:
        image.convert("RGB").rotate(number).resize((edge, edge)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def receive(gallery: Gallery, count: int, edge: int = 1200) -> None:
    for number in range(count):
        data = frame(number, edge)
        upload = receiving.open_upload(
            gallery=gallery, name=f"IMG_{number}.JPG", size=len(data), by=WORKER, now=timezone.now()
        )
        receiving.append(upload_id=upload.pk, at=0, chunks=[data], now=timezone.now())


def bells(fleet: Fleet, count: int = 1) -> None:
    """Ring in the broker of the fleet, as this process would if it were one of them."""
    words = f"from galleries.tasks import work; [work.delay() for _bell in range({count})]"
    child = fleet.child("ring", "-c", f"import django; django.setup(); {words}")
    environment = {**child.environment, "DJANGO_SETTINGS_MODULE": "studio.settings"}
    subprocess.run([sys.executable, "-c", child.command[-1]], env=environment, cwd=child.folder, check=True)


def all_done(count: int) -> Callable[[], bool]:
    return lambda: Photo.objects.count() == count and not Job.objects.exclude(status=JobStatus.DONE).exists()


def wait_until_made(count: int, worker: Fleet) -> None:
    try:
        wait_until("all is made", all_done(count))
    except TimeoutError as error:
        logs = "".join(path.read_text()[-3000:] for path in worker.folder.glob("*.log"))
        raise TimeoutError(f"{how_it_stands()}\n{logs}") from error


def drain() -> None:
    """Work here until nothing waits, over the pauses that failures take: time is an argument."""
    for round in range(10):
        now = timezone.now() + timedelta(minutes=3 * round)
        while jobs.work_next(now=now):
            pass
        if not Job.objects.filter(status=JobStatus.WAITING).exists():
            return


def how_it_stands() -> str:
    """Every upload and every job with what it says: read when something is missing."""
    uploads = Upload.objects.values_list("name", "status", "refusal_code", "refusal")
    rows = Job.objects.order_by("pk").values_list("kind", "status", "attempts", "error")
    return f"uploads {list(uploads)}\njobs {list(rows)}"


def check_nothing_lost_or_doubled(count: int) -> None:
    wanted = len(renditions.WANTED) + 1  # nothing is paid: the patterned proof as well
    assert Upload.objects.filter(status="accepted").count() == count, how_it_stands()
    assert Photo.objects.count() == Upload.objects.filter(status="accepted").count() == count
    assert Rendition.objects.count() == count * wanted
    assert Rendition.objects.values("photo", "recipe").distinct().count() == count * wanted
    keys = {found.key for found in storage.listed(storage.derived())}
    assert keys == set(Rendition.objects.values_list("key", flat=True))
    soon = timezone.now() + timedelta(minutes=2)
    broken = [
        line for one in invariants() if one.code in ("I3", "I4", "I5", "I8", "I9") for line in one.find(soon)
    ]
    assert broken == []


LOOP = """
import django; django.setup()
from django.utils import timezone
from galleries import jobs
while jobs.work_next(now=timezone.now()): pass
"""


def test_a_process_killed_in_the_middle_of_its_work_is_caught_up(fleet: Fleet) -> None:
    """Without Celery: whatever process claimed the job, its death is seen at the next sweep."""
    gallery, count = make_gallery(now=timezone.now()), 3
    receive(gallery, count, edge=2400)
    fleet.environment["DJANGO_SETTINGS_MODULE"] = "studio.settings"
    worker = fleet.start(fleet.child("loop", "-c", LOOP))
    wait_until("it works", lambda: _is_caught_at_work(worker))
    fleet.kill(worker)
    assert not _none_running(), "the killed process was idle: this has shown nothing"
    wait_until("its connection falls", lambda: jobs.sweep(now=timezone.now()))
    drain()
    assert Job.objects.filter(attempts__gte=2).count() >= 1
    check_nothing_lost_or_doubled(count)


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(fleet: Fleet) -> None:
    gallery, count = make_gallery(now=timezone.now()), 8
    receive(gallery, count, edge=3000)
    worker = fleet.worker("images", concurrency=2)
    bells(fleet, count)
    wait_until(fleet.said(worker)[-300:], lambda: Job.objects.filter(status=JobStatus.RUNNING).count() >= 1)
    time.sleep(0.15)
    fleet.kill(worker)
    assert not all_done(count)(), "the worker was killed too late: this has shown nothing"
    hit = Job.objects.filter(status=JobStatus.RUNNING).count()
    assert hit >= 1, "the killed worker was idle: this has shown nothing"
    wait_until("its connections fall", lambda: jobs.sweep(now=timezone.now()) or _none_running())
    jobs.sweep(now=timezone.now())
    fleet.worker("images", concurrency=2)
    bells(fleet, 2)
    wait_until_made(count, fleet)
    assert Job.objects.filter(attempts=2).count() >= 1
    check_nothing_lost_or_doubled(count)


def _is_caught_at_work(worker: Child) -> bool:
    """Freeze the process; when a job of its is running then, leave it frozen, so that it cannot end it any more."""
    assert worker.process is not None
    os.kill(worker.process.pid, signal.SIGSTOP)
    if not _none_running():
        return True
    os.kill(worker.process.pid, signal.SIGCONT)
    return False


def _none_running() -> bool:
    return not Job.objects.filter(status=JobStatus.RUNNING).exists()


@pytest.mark.slow
def test_a_flushed_broker_loses_nothing(fleet: Fleet) -> None:
    gallery, count = make_gallery(now=timezone.now()), 6
    receive(gallery, count)
    bells(fleet, count)
    wait_until("the bells are in the queue", lambda: fleet.broker.llen("images") == count)
    fleet.broker.flushdb()
    assert fleet.broker.llen("images") == 0
    fleet.worker("images")
    time.sleep(2)
    assert Photo.objects.count() == 0  # the control: without a sweep nothing happens
    Job.objects.update(rung_at=timezone.now() - timedelta(minutes=2))
    fleet.worker("quick", "--beat", "--schedule", str(fleet.folder / "beat"))
    wait_until_made(count, fleet)
    check_nothing_lost_or_doubled(count)
