"""Choosing together with the client's phone in their hand: it shows what is on the big screen, and its heart counts.

The photographer switches it on; from then on each frame put on the big screen is named in the gallery's row, and the
holder of the gallery's link may see that one frame, nothing else, until it is switched off or the evening is over.
"""

from datetime import datetime, timedelta

from galleries.models import Gallery, Photo
from galleries.statuses import GalleryStatus
from studio.actors import Actor

FOLLOW_FOR = timedelta(hours=4)  # after the last frame was put on the screen
TOGETHER = (GalleryStatus.OPEN, GalleryStatus.PROOFING)


def is_followed(gallery: Gallery, *, now: datetime) -> bool:
    """Whether the client's phone may follow just now."""
    return gallery.status in TOGETHER and gallery.stage_at is not None and now < gallery.stage_at + FOLLOW_FOR


def is_on_stage(photo: Photo, *, now: datetime) -> bool:
    """Whether this frame is what the client's phone shows just now."""
    return photo.gallery.stage_photo_id == photo.pk and is_followed(photo.gallery, now=now)


def follow(*, gallery_id: int, by: Actor, now: datetime) -> None:
    """Let the client's phone follow from now on."""
    Gallery.objects.filter(pk=gallery_id, status__in=TOGETHER).update(stage_at=now)


def put_on_stage(*, gallery_id: int, photo_id: int, by: Actor, now: datetime) -> bool:
    """Name the frame on the big screen. False when nobody follows."""
    followed = Gallery.objects.filter(pk=gallery_id, status__in=TOGETHER, stage_at__gt=now - FOLLOW_FOR)
    return bool(followed.update(stage_photo=photo_id, stage_at=now))


def stop(*, gallery_id: int, by: Actor, now: datetime) -> None:
    """The phone follows no longer."""
    Gallery.objects.filter(pk=gallery_id).update(stage_photo=None, stage_at=None)
