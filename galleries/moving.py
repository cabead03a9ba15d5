"""A frame that lies in the wrong booking goes to the right one, as long as no client has seen it.

One transaction of rows: the files keep their keys (ADR 9), the pictures made of them carry the other booking's mark and
are made anew. A frame that was shown already is a leak (`galleries.leaks`), and may be moved after it was taken back.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from galleries import jobs, renditions
from galleries.intake import told_apart
from galleries.models import Gallery, Job, JobKind, Photo, PhotoFile, Upload
from galleries.statuses import CLOSED
from studio import storage
from studio.actors import Actor
from studio.models import StatusChange


class CannotMove(Exception):
    """This frame stays where it is; the message says why."""


@transaction.atomic
def move_frames(*, photo_ids: Iterable[int], gallery_id: int, by: Actor, now: datetime) -> int:
    """Give frames of one gallery to another, all of them or none. Returns how many. Raises CannotMove.

    Frames that are there already are left alone. Both galleries are locked by id, then the frames.
    """
    wanted = sorted(set(photo_ids))
    homes = set(Photo.objects.filter(pk__in=wanted).values_list("gallery_id", flat=True))
    rows = Gallery.objects.filter(pk__in={*homes, gallery_id}).select_related("shoot")
    galleries = {row.pk: row for row in rows.select_for_update(of=("self",)).order_by("pk")}
    target = galleries.get(gallery_id)
    if target is None or target.status in CLOSED:
        raise CannotMove(_("This booking takes no more files."))
    photos = Photo.objects.filter(pk__in=wanted).exclude(gallery=target)
    locked = list(photos.select_for_update(of=("self",)).order_by("pk"))
    for photo in locked:
        _move(photo, target, by=by, now=now)
    return len(locked)


def why_not(photo: Photo) -> str:
    """Why a frame cannot be moved, in a sentence; empty when it can."""
    if photo.is_published:
        return _("%(name)s was shown to the client already: take it back first.") % {"name": photo.name}
    if hasattr(photo, "pick"):
        return _("%(name)s is chosen: take the choice back first.") % {"name": photo.name}
    return ""


def _move(photo: Photo, target: Gallery, *, by: Actor, now: datetime) -> None:
    if reason := why_not(photo):
        raise CannotMove(reason)
    if not _is_left_alone(photo):
        raise CannotMove(
            _("Pictures of %(name)s are being made. Try again in a moment.") % {"name": photo.name}
        )
    digests = list(photo.files.values_list("sha256", flat=True))
    twin = PhotoFile.objects.filter(gallery=target, sha256__in=digests).select_related("photo").first()
    if twin is not None:
        facts = {"name": photo.name, "other": twin.photo.name}
        raise CannotMove(_("%(name)s is there already, as %(other)s.") % facts)
    home = photo.gallery
    photo.number = (target.photos.aggregate(last=Max("number"))["last"] or 0) + 1
    photo.name = told_apart(
        target, photo.files.order_by("pk").values_list("name", flat=True).first() or photo.name
    )
    photo.gallery, photo.withdrawn_at, photo.is_rejected = (
        target,
        None,
        photo.is_rejected and not photo.withdrawn_at,
    )
    photo.save(update_fields=["gallery", "number", "name", "withdrawn_at", "is_rejected"])
    Upload.objects.filter(gallery=home, sha256__in=digests).update(gallery=target)  # doubles of it as well
    photo.files.update(gallery=target)
    Job.objects.filter(photo=photo).update(gallery=target)
    for row in photo.renditions.all():
        storage.delete_after_commit(storage.derived(), row.key)
    photo.renditions.all().delete()
    jobs.state(
        JobKind.RENDITIONS,
        gallery=target,
        photo=photo,
        parameters={"to": target.pk, "moved_at": now.isoformat()},
        urgent_at=now,
        now=now,
        by=by,
    )
    _record(photo, home, target, by=by, now=now)


def _is_left_alone(photo: Photo) -> bool:
    """Keep workers from making this frame's pictures until we commit. False when one is at it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [renditions.LOCK_CLASS, photo.pk % 2**31])
        return bool(cursor.fetchone()[0])


def _record(photo: Photo, home: Gallery, target: Gallery, *, by: Actor, now: datetime) -> None:
    for gallery in (home, target):
        StatusChange.objects.create(
            model=Gallery._meta.label_lower,
            object_id=gallery.pk,
            verb="move_frame",
            before=gallery.status,
            after=gallery.status,
            actor_kind=by.kind,
            actor_id=by.id,
            actor_label=by.label,
            reason=f"{photo.name}: {home.shoot.code} → {target.shoot.code}"[:300],
            at=now,
        )
