"""What is kept how long, and how it goes: told first, erased on the day that was told, and written down.

| what | erased | told |
| --- | --- | --- |
| pictures nobody chose | 90 days after the delivery (`Studio.keeps_unpicked_days`) | by mail, 14 days before |
| files that a change replaced | 30 days after the change was delivered | with that delivery |
| finished files | 30 days after they were put away (`finals_expire_at`) | 30, 7 and 1 days before that day, and on it |
| originals of what was chosen | 36 months after delivery (`Studio.keeps_originals_months`) | by mail, 30 days before |

Telling is a row (`Farewell`) with the day; PostgreSQL refuses one that is erased before it. What changes in between
(finals kept longer, a gallery taken back into work) calls it off. A picture that was shown to the wrong client is held
back until its record is closed: what was leaked has to be there to be looked at; the others go on their day.
`manage.py retention` lists what would happen.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from galleries import deadlines
from galleries.models import Farewell, FarewellKind, Gallery, Leak, PhotoFile, Rendition, Version
from galleries.statuses import GalleryStatus
from studio import credentials, storage
from studio.models import Studio
from studio.outbox import queue_message

log = logging.getLogger(__name__)

TELL_BEFORE = {
    FarewellKind.UNPICKED: timedelta(days=14),
    FarewellKind.FINALS: timedelta(days=30),
    FarewellKind.ORIGINALS: timedelta(days=30),
}
REPLACED_LIVE = timedelta(days=30)
MONTH = timedelta(days=365) / 12
TIDY_FOR = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Due:
    """Files of a gallery that may go from `at` on."""

    gallery: Gallery
    kind: FarewellKind
    at: datetime

    @property
    def tell_at(self) -> datetime:
        """When the client is told."""
        return self.at - TELL_BEFORE[self.kind]


@dataclass(slots=True)
class Files:
    """What goes: rows with their bytes. Photos, versions and deliveries stay on record, without them."""

    originals: list[PhotoFile] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    renditions: list[Rendition] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.originals) + len(self.versions) + len(self.renditions)

    @property
    def bytes(self) -> int:
        rows: list[PhotoFile | Version | Rendition] = [*self.originals, *self.versions, *self.renditions]
        return sum(row.size for row in rows)


# --- what is due


def to_tell(*, now: datetime) -> Iterator[Due]:
    """What has to be told now: its day is near, and it was neither told nor done."""
    studio = Studio.objects.first()
    if studio is None:
        return
    unpicked, originals = (
        timedelta(days=studio.keeps_unpicked_days),
        studio.keeps_originals_months * MONTH,
    )
    delivered = Gallery.objects.filter(status=GalleryStatus.DELIVERED).order_by("delivered_at", "pk")
    for kind, kept in ((FarewellKind.UNPICKED, unpicked), (FarewellKind.ORIGINALS, originals)):
        before = now + TELL_BEFORE[kind] - kept
        for gallery in _untold(delivered.filter(delivered_at__lte=before), kind):
            assert gallery.delivered_at is not None
            yield Due(gallery, kind, gallery.delivered_at + kept)
    for gallery in _untold(delivered.filter(finals_expire_at__lte=now), FarewellKind.FINALS):
        assert gallery.finals_expire_at is not None
        yield Due(gallery, FarewellKind.FINALS, gallery.finals_expire_at + TELL_BEFORE[FarewellKind.FINALS])


def _untold(rows: "QuerySet[Gallery]", kind: FarewellKind) -> "QuerySet[Gallery]":
    """Those that have such files, without those told of, or gone since the last delivery.

    Without files nothing is told, and such a gallery would stand in the way of others at every sweep.
    """
    told = Farewell.objects.filter(gallery=OuterRef("pk"), kind=kind, called_off_at=None)
    files = PhotoFile.objects.filter(gallery=OuterRef("pk"), erased_at=None, expired_at=None)
    made = Rendition.objects.filter(photo__gallery=OuterRef("pk"), version__isnull=False, erased_at=None)
    has: dict[FarewellKind, Exists] = {
        FarewellKind.UNPICKED: Exists(files.filter(photo__pick=None)),
        FarewellKind.ORIGINALS: Exists(files),
        FarewellKind.FINALS: Exists(made),
    }
    gone = told.filter(Q(done_at=None) | Q(done_at__gte=OuterRef("delivered_at")))
    return rows.filter(has[kind]).exclude(Exists(gone))


def files_of(gallery: Gallery, kind: FarewellKind) -> Files:
    """The files of a gallery that go with this kind, without those that are gone already or held back."""
    held = held_back(gallery)
    originals = PhotoFile.objects.filter(gallery=gallery, erased_at=None, expired_at=None).exclude(
        photo__in=held
    )
    versions = Version.objects.filter(retouch__gallery=gallery, erased_at=None).exclude(
        retouch__pick__photo__in=held
    )
    made = Rendition.objects.filter(photo__gallery=gallery, erased_at=None).exclude(photo__in=held)
    if kind == FarewellKind.UNPICKED:
        return Files(
            originals=list(originals.filter(photo__pick=None)),
            renditions=list(made.filter(photo__pick=None)),
        )
    if kind == FarewellKind.ORIGINALS:
        return Files(
            originals=list(originals),
            versions=list(versions),
            renditions=list(made.filter(version=None)),
        )
    of_versions = made.filter(version__isnull=False)
    if kind == FarewellKind.FINALS:
        return Files(renditions=list(of_versions))
    last = gallery.deliveries.filter(is_partial=False).order_by("-number").first()
    kept = list(last.files.values_list("rendition", flat=True)) if last else []
    return Files(
        renditions=list(of_versions.filter(deliveries__isnull=False).exclude(pk__in=kept).distinct())
    )


def held_back(gallery: Gallery) -> "QuerySet[Leak, int]":
    """The gallery's photos whose leak is still being looked into: nothing of them goes."""
    return Leak.objects.filter(photo__gallery=gallery, closed_at=None).values_list("photo", flat=True)


# --- telling and erasing


def sweep(*, now: datetime, limit: int = 200) -> int:
    """Tell what is to be told, erase what is due. Returns how many galleries lost files."""
    _tidy(now=now)
    for due in list(to_tell(now=now))[:limit]:
        _guarded_tell(due, now=now)
    open_ones = Farewell.objects.filter(done_at=None, called_off_at=None, due_at__lte=now).order_by("due_at")
    return sum(_guarded_erase(pk, now=now) for pk in open_ones.values_list("pk", flat=True)[:limit])


def _guarded_tell(due: Due, *, now: datetime) -> None:
    try:
        tell(gallery_id=due.gallery.pk, kind=due.kind, at=due.at, now=now)
    except Exception:
        log.exception("Gallery %s could not be told of; the next sweep tries again", due.gallery.pk)


def _guarded_erase(pk: int, *, now: datetime) -> bool:
    try:
        return erase(farewell_id=pk, now=now)
    except Exception:
        log.exception("Farewell %s could not be carried out; the next sweep tries again", pk)
        return False


@transaction.atomic
def tell(*, gallery_id: int, kind: FarewellKind, at: datetime, now: datetime) -> Farewell | None:
    """Write down that these files go at `at`, but no sooner than the client had time, and write to the client.

    None when it is told already, or when there is nothing to erase.
    """
    gallery = deadlines.locked(gallery_id)
    if not (files := files_of(gallery, kind)).count:
        return None
    due_at = max(at, now + TELL_BEFORE[kind])
    farewell, is_new = Farewell.objects.get_or_create(
        gallery=gallery,
        kind=kind,
        done_at=None,
        called_off_at=None,
        defaults={"told_at": now, "due_at": due_at},
    )
    if not is_new:
        return None
    sitter = deadlines.sitter_of(gallery)
    if sitter is not None and sitter.erased_at is None:
        link = credentials.grant(
            scope="gallery", target=gallery.public_id, now=now, holder_id=sitter.pk, holder_label=str(sitter)
        )
        zone = gallery.shoot.booking.location
        queue_message(
            f"farewell_{kind}",
            to=sitter,
            about=gallery,
            context={
                "gallery": gallery,
                "location": zone,
                "day": due_at,
                "link": link.url,
                "count": len(files.originals) or len(files.renditions),
            },
            now=now,
            once=f"farewell:{farewell.pk}",
        )
    return farewell


def replaced(gallery: Gallery, *, now: datetime) -> Farewell | None:
    """A change was delivered: the files it replaced stay for thirty days. The delivery's own mail and page say so.

    Inside the caller's transaction. A change upon a change keeps the earlier day for what went before it.
    """
    if not files_of(gallery, FarewellKind.REPLACED).count:
        return None
    found, _is_new = Farewell.objects.get_or_create(
        gallery=gallery,
        kind=FarewellKind.REPLACED,
        done_at=None,
        called_off_at=None,
        defaults={"told_at": now, "due_at": now + REPLACED_LIVE},
    )
    if found.due_at < now + REPLACED_LIVE:
        found.due_at = now + REPLACED_LIVE
        found.save(update_fields=["due_at"])
    return found


@transaction.atomic
def erase(*, farewell_id: int, now: datetime) -> bool:
    """Erase what was told, or call it off where it does not hold any more. False if there was nothing to do.

    While pictures are held back it stays open, and the sweeps after take the rest.
    """
    found = Farewell.objects.values_list("gallery_id", flat=True).get(pk=farewell_id)
    gallery = deadlines.locked(found)
    farewell = Farewell.objects.select_for_update().get(pk=farewell_id)
    if farewell.done_at or farewell.called_off_at or farewell.due_at > now:
        return False
    if not _holds(gallery, FarewellKind(farewell.kind), now=now):
        farewell.called_off_at = now
        farewell.save(update_fields=["called_off_at"])
        return False
    files = files_of(gallery, FarewellKind(farewell.kind))
    _erase(files, FarewellKind(farewell.kind), now=now)
    farewell.done_at = None if held_back(gallery).exists() else now
    farewell.files_count += files.count
    farewell.bytes_count += files.bytes
    farewell.save(update_fields=["done_at", "files_count", "bytes_count"])
    return bool(files.count)


def _holds(gallery: Gallery, kind: FarewellKind, *, now: datetime) -> bool:
    """Whether what was told still holds: nothing goes from a gallery in work, nor what the client kept longer."""
    if kind == FarewellKind.REPLACED:
        return True
    if gallery.status != GalleryStatus.DELIVERED:
        return False
    is_live = gallery.finals_expire_at is not None and gallery.finals_expire_at > now
    return not (is_live and kind == FarewellKind.FINALS)


def _erase(files: Files, kind: FarewellKind, *, now: datetime) -> None:
    """Rows say that the bytes are gone, and why; the bytes go after the commit."""
    gone = {"expired_at" if kind == FarewellKind.UNPICKED else "erased_at": now}
    PhotoFile.objects.filter(pk__in=[row.pk for row in files.originals]).update(**gone)
    Version.objects.filter(pk__in=[row.pk for row in files.versions]).update(erased_at=now)
    Rendition.objects.filter(pk__in=[row.pk for row in files.renditions]).update(erased_at=now)
    for row in files.originals:
        for store in _stores_of(row):
            storage.delete_after_commit(store, row.key)
    for version in files.versions:
        kept_in = storage.originals() if version.store == "originals" else storage.derived()
        storage.delete_after_commit(kept_in, version.key)
    for rendition in files.renditions:
        storage.delete_after_commit(storage.derived(), rendition.key)


def _stores_of(file: PhotoFile) -> Iterator[storage.Store]:
    """Where an original may be: where it was received, and in the archive."""
    yield storage.originals()
    if file.archived_at is not None and (cold := storage.archive()) is not None:
        yield cold


def _tidy(*, now: datetime) -> None:
    """Remove what was erased a little while ago once more: a killed worker may have left bytes. Gone is fine."""
    lately = now - TIDY_FOR
    for file in PhotoFile.objects.filter(Q(erased_at__gte=lately) | Q(expired_at__gte=lately)):
        for store in _stores_of(file):
            storage.delete(store, file.key)
    for version in Version.objects.filter(erased_at__gte=lately):
        kept_in = storage.originals() if version.store == "originals" else storage.derived()
        storage.delete(kept_in, version.key)
    for key in Rendition.objects.filter(erased_at__gte=lately).values_list("key", flat=True):
        storage.delete(storage.derived(), key)


def call_off(gallery: Gallery, kind: FarewellKind, *, now: datetime) -> int:
    """The client keeps these files after all. Inside the caller's transaction."""
    open_ones = gallery.farewells.filter(kind=kind, done_at=None, called_off_at=None)
    return open_ones.update(called_off_at=now)


def is_gone(gallery: Gallery) -> bool:
    """Whether the finished files of the last delivery were erased: they cannot be kept longer any more."""
    last = gallery.deliveries.order_by("is_partial", "-number").first()
    return last is not None and last.files.filter(rendition__erased_at__isnull=False).exists()
