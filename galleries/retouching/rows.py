"""The rows of the retouching under their locks, and what may be done while. Lock order: Booking, Gallery, Retouch."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.utils.translation import gettext as _

from bookings.models import Consent, ConsentPurpose
from galleries import deadlines, renditions
from galleries.models import Gallery, Photo, PhotoFile, Retouch, Version
from galleries.statuses import GalleryStatus
from studio import storage

_LOCK_CLASS = 0x524554  # "RET": our part of the advisory lock numbers
IN_WORK = (GalleryStatus.RETOUCHING, GalleryStatus.APPROVING, GalleryStatus.READY)


class RetouchRefused(Exception):
    """Something that cannot be done with a retouch now. The message is a sentence for whoever tried."""


def locked(retouch_id: int) -> tuple[Gallery, Retouch]:
    """The booking, the gallery and then the retouch, each under its row lock."""
    gallery = deadlines.locked(Retouch.objects.values_list("gallery_id", flat=True).get(pk=retouch_id))
    retouch = (
        Retouch.objects.select_for_update(of=("self",))
        .select_related("pick__photo", "approved_version", "shown_version")
        .get(pk=retouch_id)
    )
    return gallery, retouch


def must_be_in_work(gallery: Gallery) -> None:
    if gallery.status not in IN_WORK:
        raise RetouchRefused(
            _("These pictures are not in work: %(status)s.") % {"status": gallery.get_status_display()}
        )


def may_find_face(gallery: Gallery) -> bool:
    """Whether this sitter's face may be outlined, as the location's legal mode says.

    Under "notice" unless the sitter has objected; under "release" only once the sitter has agreed.
    """
    answers = Consent.objects.filter(shoot_id=gallery.shoot_id, purpose=ConsentPurpose.FACE_PROCESSING)
    latest = answers.order_by("-id").values_list("is_given", flat=True).first()
    if gallery.shoot.booking.location.face_processing == "release":
        return latest is True
    return latest is not False


def original_of(photo: Photo) -> PhotoFile:
    """The file a retouch starts from. Raises NoOriginal when its bytes are archived, erased or damaged."""
    file = renditions.original_of(photo)
    if file is None:
        if renditions.preview_of(photo) is not None:
            raise renditions.NoOriginal(
                _("The original of %(name)s has not come yet: only its preview is here.")
                % {"name": photo.name}
            )
        raise renditions.NoOriginal(
            _("The original of %(name)s is archived, erased or damaged.") % {"name": photo.name}
        )
    return file


def folder_of(retouch: Retouch) -> str:
    """The folder of a pick's versions in the derived store, beside those of the photos."""
    return f"s{retouch.gallery.shoot.public_id}/r{retouch.public_id}"


@contextmanager
def one_at_a_time(retouch: Retouch) -> Iterator[None]:
    """At most one worker makes files for a pick at a time, so that strays can be told from work going on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [_LOCK_CLASS, retouch.pk % 2**31])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_CLASS, retouch.pk % 2**31])


def store_of(version: Version) -> storage.Store:
    """The store a Version's file is in."""
    return storage.originals() if version.store == "originals" else storage.derived()
