"""The archive: originals of delivered pictures move to a second, cheaper store, and come back when somebody asks.

The archive is chosen by ARCHIVE_URL (a folder on another disk, or an S3 bucket). An original is copied, read back from
there and compared with its SHA-256; only then does its row say that it is archived, and only after that commit does the
first copy go. Nothing is ever moved without having been read back, in either direction.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from galleries import keeping
from galleries.models import Gallery, PhotoFile
from galleries.statuses import GalleryStatus
from galleries.workroom import workroom
from studio import storage
from studio.actors import Actor
from studio.background import ring_on_commit
from studio.models import StatusChange, Studio

log = logging.getLogger(__name__)
TIDY_FOR = timedelta(hours=3)  # a copy that a killed worker left is removed by one of the next sweeps


class NoArchive(Exception):
    """There is no archive, or it cannot give what is asked of it. The message is for the studio."""


def due(*, now: datetime) -> "list[PhotoFile]":
    """Originals that are to move, those delivered longest ago first. None without an archive."""
    studio = Studio.objects.first()
    if storage.archive() is None or studio is None:
        return []
    before = now - timedelta(days=studio.archives_after_days)
    rows = PhotoFile.objects.filter(archived_at=None, erased_at=None, expired_at=None, is_damaged=False)
    rows = rows.filter(
        gallery__status=GalleryStatus.DELIVERED,
        gallery__delivered_at__lte=before,
        gallery__restore_asked_at=None,
        stored_at__lte=before,  # what was brought back stays as long again
    )
    return list(rows.order_by("gallery__delivered_at", "pk"))


def sweep(*, now: datetime, limit: int = 200) -> int:
    """Move what is due; finish what a killed worker left half done. Returns how many files moved."""
    _tidy(now=now)
    return sum(_guarded(file, now=now) for file in due(now=now)[:limit])


def _guarded(file: PhotoFile, *, now: datetime) -> bool:
    try:
        return put_away(file, now=now)
    except storage.StorageError:
        log.exception("Original %s could not be archived; the next sweep tries again", file.pk)
        return False


def put_away(file: PhotoFile, *, now: datetime) -> bool:
    """Copy one original to the archive, read it back, write it down, and let the first copy go.

    False when somebody else did, or when the original is not what was received: then it is marked and stays.
    Outside a transaction. Raises NoArchive or StorageError.
    """
    cold = _archive()
    if not _copied(file, storage.originals(), cold):
        keeping.mark_damaged(file, now=now)
        return False
    with transaction.atomic():
        mine = PhotoFile.objects.filter(pk=file.pk, archived_at=None, erased_at=None, expired_at=None)
        if not mine.update(archived_at=now, archived_where=storage.archive_name()):
            return False
        storage.delete_after_commit(storage.originals(), file.key)
    return True


@transaction.atomic
def ask_back(*, gallery_id: int, by: Actor, now: datetime) -> int:
    """Bring a gallery's originals back from the archive: a worker does it. Returns how many will come.

    Raises NoArchive where they cannot come back.
    """
    from galleries.tasks import bring_back

    gallery = Gallery.objects.select_for_update().get(pk=gallery_id)
    count = gallery.files.filter(archived_at__isnull=False, erased_at=None, expired_at=None).count()
    if not count or gallery.restore_asked_at is not None:
        return count
    _archive()
    gallery.restore_asked_at = now
    gallery.save(update_fields=["restore_asked_at"])
    StatusChange.objects.create(
        model=Gallery._meta.label_lower,
        object_id=gallery.pk,
        verb="bring_back",
        before=gallery.status,
        after=gallery.status,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        at=now,
    )
    ring_on_commit(bring_back)
    return count


def bring_back_next(*, now: datetime) -> bool:
    """Bring back the originals of the gallery that waits longest. False when none waits. Outside a transaction."""
    waiting = Gallery.objects.filter(restore_asked_at__isnull=False).order_by("restore_asked_at", "pk")
    gallery = waiting.first()
    if gallery is None:
        return False
    archived = gallery.files.filter(
        archived_at__isnull=False, erased_at=None, expired_at=None, is_damaged=False
    )
    for file in archived.order_by("pk"):
        bring_back(file, now=now)
    Gallery.objects.filter(pk=gallery.pk).update(restore_asked_at=None)
    return True


def bring_back(file: PhotoFile, *, now: datetime) -> bool:
    """Copy one original from the archive, read it back and write it down. False if it is not what was put there.

    Outside a transaction. Raises NoArchive or StorageError.
    """
    cold = _archive()
    if not _copied(file, cold, storage.originals()):
        keeping.mark_damaged(file, now=now)
        return False
    with transaction.atomic():
        mine = PhotoFile.objects.filter(
            pk=file.pk, archived_at__isnull=False, erased_at=None, expired_at=None
        )
        if mine.update(archived_at=None, archived_where="", stored_at=now, checked_at=now):
            storage.delete_after_commit(cold, file.key)
    return True


def _copied(file: PhotoFile, source: storage.Store, target: storage.Store) -> bool:
    """Whether the target holds the original now, byte for byte. What is not it is removed from there again."""
    with workroom() as room:
        path = storage.fetch_to(source, file.key, room)
        try:
            stored = storage.put(target, file.key, path)
        except storage.KeyTaken:  # a worker was killed after its copy
            stored = storage.fingerprint(target, file.key)
            if (stored.size, stored.sha256) != (file.size, file.sha256):
                storage.delete(target, file.key)
                stored = storage.put(target, file.key, path)
    if (stored.size, stored.sha256) == (file.size, file.sha256):
        return True
    storage.delete(target, file.key)
    return False


def _archive() -> storage.Store:
    store = storage.archive()
    if store is None:
        raise NoArchive(_("There is no archive: ARCHIVE_URL is not set."))
    return store


def _tidy(*, now: datetime) -> None:
    """Remove the first copies of what was archived a little while ago: a killed worker may have left one."""
    lately = PhotoFile.objects.filter(archived_at__gte=now - TIDY_FOR, erased_at=None)
    for key in lately.values_list("key", flat=True):
        storage.delete(storage.originals(), key)
