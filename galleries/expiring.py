"""Originals that nobody chose are kept for 90 days after the choice was sent; then their bytes go and the row says so.

Proofs stay, so the gallery looks as before; a picked frame, one that was taken back (a leak) and every frame of a
choice that is still open are never touched. A file that comes again takes its row's place (`galleries.intake`).
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from galleries.models import Gallery, PhotoFile
from galleries.statuses import GalleryStatus
from studio import storage

KEPT_FOR = timedelta(days=90)
_CHOOSING = (GalleryStatus.OPEN, GalleryStatus.PROOFING)
AT_ONCE = 500


def due(*, now: datetime) -> QuerySet[PhotoFile]:
    """The originals whose time is over."""
    rows = PhotoFile.objects.filter(
        expired_at=None,
        erased_at=None,
        archived_at=None,
        photo__pick=None,
        photo__withdrawn_at=None,
        stored_at__lt=now - KEPT_FOR,
        gallery__selection_submitted_at__lt=now - KEPT_FOR,
    )
    return (
        rows.exclude(gallery__status__in=_CHOOSING).select_related("photo", "gallery__shoot").order_by("pk")
    )


def expire(*, now: datetime, limit: int = AT_ONCE) -> int:
    """Expire what is due. Returns how many files. Each under its gallery's lock, where picks are made."""
    return sum(_expire_one(file.pk, file.gallery_id, now=now) for file in due(now=now)[:limit])


@transaction.atomic
def _expire_one(pk: int, gallery_id: int, *, now: datetime) -> bool:
    Gallery.objects.select_for_update(of=("self",)).get(pk=gallery_id)
    if not due(now=now).filter(pk=pk).exists():  # chosen, or taken back, since the list was made
        return False
    file = PhotoFile.objects.get(pk=pk)
    PhotoFile.objects.filter(pk=pk).update(expired_at=now)
    storage.delete_after_commit(storage.originals(), file.key)
    return True


def not_kept(gallery: Gallery) -> int:
    """How many originals of a gallery have expired, for its page."""
    return gallery.files.filter(~Q(expired_at=None)).count()
