"""Pixel work as rows: stated in the transaction of its cause, claimed by urgency, finished by status.

Celery only rings. A worker holds a PostgreSQL advisory lock on its job for as long as it works; the lock falls
with the worker's connection, so the sweep knows a dead worker from a slow one within a minute. A job that ends
its worker three times is left alone, visibly, and the others go on. Handlers must bear running twice: between
their last write and `finish` a worker can die.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, models, transaction
from django.utils.translation import gettext as _

from galleries.models import Gallery, Job, JobKind, Photo, Retouch, Upload, Version
from galleries.statuses import GalleryStatus, JobStatus
from studio.actors import WORKER, Actor
from studio.background import ring, ring_on_commit
from studio.transitions import begin, move

log = logging.getLogger(__name__)

Handler = Callable[[Job, datetime], object]
MAX_ATTEMPTS = 3
BACKOFF = (timedelta(seconds=30), timedelta(minutes=2))
RING_AGAIN_AFTER = timedelta(seconds=55)  # a little less than a sweep, so that each sweep may ring
BELLS_PER_SWEEP = 8
HELD_PAUSE = timedelta(minutes=1)
WITHOUT_PROMISE = timedelta(days=2)
_LOCK_CLASS = 0x4A4F42  # "JOB": our part of the advisory lock numbers
_MODULES = ("intake", "cards", "renditions", "retouching", "delivery", "culling")  # where handlers live
_handlers: dict[str, Handler] = {}


class JobRefused(Exception):
    """Raised by a handler when trying again cannot help. The message is a sentence for the desk."""


def handler(kind: JobKind) -> Callable[[Handler], Handler]:
    """Register what does a kind of job: `@handler(JobKind.DRAFT)` over `def make_draft(job, now)`."""

    def decorate(function: Handler) -> Handler:
        _handlers[kind] = function
        return function

    return decorate


def known_handlers() -> Mapping[str, Handler]:
    """All handlers, their modules loaded. A worker claims only kinds it knows, so an old one lets new ones be."""
    for name in _MODULES:
        if find_spec(f"galleries.{name}"):
            import_module(f"galleries.{name}")
    return _handlers


def state(
    kind: JobKind,
    *,
    gallery: Gallery | None,
    now: datetime,
    upload: Upload | None = None,
    photo: Photo | None = None,
    retouch: Retouch | None = None,
    version: Version | None = None,
    parameters: Mapping[str, Any] | None = None,
    urgent_at: datetime | None = None,
    by: Actor = WORKER,
) -> Job:
    """State a piece of work in the caller's transaction and ring on commit. Stated twice it is the same job.

    Two statements are the same when kind, subject and `parameters` (JSON values) are. Without `urgent_at` the
    gallery's promise decides; a gallery without one counts as promised in two days. Only a file of a card has no
    gallery yet.
    """
    subjects = {"upload": upload, "photo": photo, "retouch": retouch, "version": version}
    once = _once(kind, gallery, subjects, parameters or {})
    job = Job(
        kind=kind,
        once=once,
        gallery=gallery,
        **subjects,
        parameters=dict(parameters or {}),
        urgent_at=urgent_at or (gallery.deliver_by if gallery else None) or now + WITHOUT_PROMISE,
        not_before=now,
        created_at=now,
        rung_at=now,
    )
    try:
        with transaction.atomic():
            begin(job, by=by, now=now)
    except IntegrityError:
        existing = Job.objects.filter(once=once).first()
        if existing is None:
            raise
        return existing
    _ring_on_commit()
    return job


def _once(
    kind: JobKind,
    gallery: Gallery | None,
    subjects: Mapping[str, models.Model | None],
    parameters: Mapping[str, Any],
) -> str:
    named = [f"{name}:{row.pk}" for name, row in subjects.items() if row is not None]
    words = [str(kind), *(named or [f"gallery:{gallery.pk if gallery else 0}"])]
    if parameters:
        text = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
        words.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    return " ".join(words)


def _ring_on_commit() -> None:
    from galleries.tasks import work

    ring_on_commit(work)


def work_next(*, now: datetime) -> bool:
    """Claim the most urgent waiting job and do it; False when none waits.

    The claim is committed before the work begins and the work runs outside any transaction. A failure is tried
    again after a pause, three times in all; then the job is failed with a sentence and stays visible.
    """
    started = time.monotonic()
    handlers = known_handlers()
    job = _claim(handlers, now=now)
    if job is None:
        return False
    try:
        handlers[job.kind](job, now)
    except Exception as error:
        log.exception("Job %s failed (try %s)", job.pk, job.attempts)
        _put_off(job, error, now=_later(now, started))
    else:
        _end(job, "finish", now=_later(now, started), error="")
    finally:
        _unlock(job.pk)
    return True


def _later(now: datetime, started: float) -> datetime:
    return now + timedelta(seconds=time.monotonic() - started)


@transaction.atomic
def _claim(handlers: Mapping[str, Handler], *, now: datetime) -> Job | None:
    job = _first_free(handlers, now=now)
    if job is None:
        return None
    move(Job, job.pk, "claim", by=WORKER, now=now, attempts=job.attempts + 1, error="")
    return Job.objects.select_related("gallery__shoot", "upload", "photo", "retouch", "version").get(
        pk=job.pk
    )


def _first_free(handlers: Mapping[str, Handler], *, now: datetime) -> Job | None:
    """The most urgent waiting job nobody holds, its row and its advisory lock taken.

    The lock comes before the claim is committed, so that no sweep can take a fresh claim for a dead worker's. Where a
    worker still holds the lock of a job that was taken from it, that job waits a minute and the next one is looked at.
    """
    waiting = Job.objects.filter(status=JobStatus.WAITING, not_before__lte=now, kind__in=list(handlers))
    waiting = waiting.exclude(gallery__status=GalleryStatus.ERASED)  # nothing new is made of them
    while True:
        job = waiting.select_for_update(skip_locked=True, of=("self",)).order_by("urgent_at", "id").first()
        if job is None or _lock(job.pk):
            return job
        Job.objects.filter(pk=job.pk).update(not_before=now + HELD_PAUSE)


def _put_off(job: Job, error: Exception, *, now: datetime) -> None:
    if isinstance(error, JobRefused):
        _end(job, "fail", now=now, error=str(error)[:500])
    elif job.attempts >= MAX_ATTEMPTS:
        why = f"{type(error).__name__}: {error}"
        _end(job, "fail", now=now, error=(_("Tried three times without success. %s") % why)[:500])
    else:
        pause = BACKOFF[min(job.attempts, len(BACKOFF)) - 1]
        _end(job, "again", now=now, error=f"{type(error).__name__}: {error}"[:500], not_before=now + pause)


@transaction.atomic
def _end(job: Job, verb: str, *, now: datetime, **fields: Any) -> bool:
    """Move our own claim on; False when it was taken from us meanwhile (then another worker answers for it)."""
    mine = Job.objects.select_for_update().filter(
        pk=job.pk, status=JobStatus.RUNNING, claimed_at=job.claimed_at
    )
    if not mine.exists():
        return False
    move(Job, job.pk, verb, by=WORKER, now=now, **fields)
    return True


def retry(*, job_id: int, by: Actor, now: datetime) -> bool:
    """Give a failed job three new tries. False if somebody already did."""
    job = move(Job, job_id, "again", by=by, now=now, attempts=0, not_before=now, rung_at=now, error="")
    if job is None:
        return False
    _ring_on_commit()
    return True


def follow_deadline(*, gallery: Gallery) -> int:
    """After a promise changed: what waits for this gallery is as urgent as the new promise. Returns how many."""
    if gallery.deliver_by is None:
        return 0
    waiting = gallery.jobs.filter(status=JobStatus.WAITING, urgent_at__gt=gallery.deliver_by)
    waiting = waiting.exclude(kind=JobKind.AIDS)  # advice is never urgent
    return waiting.update(urgent_at=gallery.deliver_by)


def is_worked_on(gallery: Gallery) -> bool:
    """Whether a worker does something for this gallery, or still holds the lock of a job that was taken from it."""
    for pk, status in gallery.jobs.exclude(status=JobStatus.DONE).values_list("pk", "status"):
        if status == JobStatus.RUNNING or not _lock(pk):
            return True
        _unlock(pk)
    return False


def drop_waiting(gallery: Gallery) -> int:
    """Take back what no worker is at. A claim that is being committed is waited for, and stays. Returns how many."""
    free = gallery.jobs.exclude(status=JobStatus.RUNNING).select_for_update(of=("self",))
    pks = list(free.values_list("pk", flat=True))
    return Job.objects.filter(pk__in=pks).delete()[0]


def sweep(*, now: datetime) -> int:
    """Put back what dead workers left running and ring for what waits. Returns how many were put back.

    A worker is dead when nobody holds its job's lock, or when it claimed longer ago than a task may run.
    """
    running = Job.objects.filter(status=JobStatus.RUNNING).values_list("pk", flat=True)
    back = sum(_put_back_if_dead(pk, now=now) for pk in running)
    _ring_for_waiting(now=now)
    return back


@transaction.atomic
def _put_back_if_dead(pk: int, *, now: datetime) -> bool:
    job = Job.objects.select_for_update(skip_locked=True).filter(pk=pk, status=JobStatus.RUNNING).first()
    if job is None or job.claimed_at is None:
        return False
    is_free = _lock(pk)
    if is_free:
        _unlock(pk)
    elif job.claimed_at > now - timedelta(seconds=settings.TASK_HARD_LIMIT):
        return False
    if job.attempts >= MAX_ATTEMPTS:
        sentence = _("The worker was lost three times while doing this, so it was stopped. Others go on.")
        move(Job, pk, "fail", by=WORKER, now=now, error=sentence)
    else:
        move(Job, pk, "again", by=WORKER, now=now, not_before=now, rung_at=now - RING_AGAIN_AFTER)
    return True


def _ring_for_waiting(*, now: datetime) -> None:
    from galleries.tasks import work

    due = Job.objects.filter(status=JobStatus.WAITING, not_before__lte=now)
    quiet = due.filter(rung_at__lte=now - RING_AGAIN_AFTER).update(rung_at=now)
    for _bell in range(min(quiet, BELLS_PER_SWEEP)):
        ring(work)


def _lock(pk: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_CLASS, pk % 2**31])
        return bool(cursor.fetchone()[0])


def _unlock(pk: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_CLASS, pk % 2**31])
