"""Bytes acknowledged are bytes kept: every original is read back and hashed at least once in thirty days.

A difference is written on the file's row, which takes it out of every further work and delivery, and the owners are
told. Nothing is repaired here: a backup is put back by a person.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from galleries.deadlines import owners
from galleries.models import PhotoFile
from studio import storage
from studio.outbox import queue_message

log = logging.getLogger(__name__)

REST = timedelta(days=15)  # a file checked more recently is left alone
RUNS_IN_A_ROUND = 24 * 20  # hourly: a round takes at most 20 of the 30 days, so that lost hours do no harm


def check_originals(*, now: datetime, limit: int | None = None) -> int:
    """Read back the originals checked longest ago; returns how many were found damaged. Outside a transaction.

    A store that does not answer raises StorageError: it says nothing about the files.
    """
    kept = PhotoFile.objects.filter(erased_at=None, archived_at=None, expired_at=None)
    due = kept.filter(checked_at__lt=now - REST, is_damaged=False).order_by("checked_at", "pk")
    share = limit or max(20, -(-kept.count() // RUNS_IN_A_ROUND))
    return sum(not _is_as_it_came(file, now=now) for file in due[:share])


def _is_as_it_came(file: PhotoFile, *, now: datetime) -> bool:
    try:
        seen = storage.fingerprint(storage.originals(), file.key)
        is_good = (seen.size, seen.sha256) == (file.size, file.sha256)
    except storage.NoSuchObject:
        is_good = False
    with transaction.atomic():
        PhotoFile.objects.filter(pk=file.pk).update(checked_at=now, is_damaged=not is_good)
        if not is_good:
            _alarm(file, now=now)
    return is_good


def mark_damaged(file: PhotoFile, *, now: datetime) -> None:
    """An original is not what was received: it is taken out of all work, and the owners are told."""
    with transaction.atomic():
        PhotoFile.objects.filter(pk=file.pk).update(checked_at=now, is_damaged=True)
        file.checked_at = now
        _alarm(file, now=now)


def _alarm(file: PhotoFile, *, now: datetime) -> None:
    log.error("Original %s is not what was received", file.pk)
    for owner in owners():
        queue_message(
            "original_damaged",
            to=owner,
            about=file.gallery,
            context={"file": file, "gallery": file.gallery},
            once=f"original_damaged:{file.pk}:{file.checked_at:%Y-%m-%d}:{owner.pk}",
            now=now,
        )
