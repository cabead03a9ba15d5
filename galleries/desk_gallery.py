"""What the desk shows of one gallery: its files on their way in, its frames, and what is to be done next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Prefetch, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from galleries.imaging.recipes import GRID, THUMB
from galleries.models import Gallery, Job, JobKind, Photo, PhotoFile, Rendition, Upload
from galleries.statuses import GalleryStatus, JobStatus, RetouchStatus, UploadStatus

ARRIVING = (GalleryStatus.OPEN, GalleryStatus.PROOFING)  # frames are still expected
PAGE = 240  # frames on one page
ALIVE = timedelta(minutes=10)  # a sender that was silent for longer has stopped


@dataclass(frozen=True, slots=True)
class Tally:
    """The files of a gallery in numbers: one honest total."""

    photos: int
    receiving: int
    checking: int
    refused: int
    failed_jobs: int

    def as_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do next with a gallery: a label and where it is done."""

    label: str
    url: str


def tally(gallery: Gallery) -> Tally:
    """Count in two queries."""
    rows = dict(gallery.uploads.values_list("status").annotate(count=Count("pk")))
    return Tally(
        photos=gallery.photos.count(),
        receiving=rows.get(UploadStatus.RECEIVING, 0),
        checking=rows.get(UploadStatus.CHECKING, 0),
        refused=rows.get(UploadStatus.REFUSED, 0),
        failed_jobs=gallery.jobs.filter(status=JobStatus.FAILED).count(),
    )


def frames(gallery: Gallery) -> QuerySet[Photo]:
    """The frames, newest first, with the pictures a grid needs."""
    small = Rendition.objects.filter(version=None, recipe__in=[THUMB.name, GRID.name])
    rows = gallery.photos.select_related("pick").prefetch_related(Prefetch("renditions", small))
    return rows.order_by("-number")


def upload_line(upload: Upload) -> dict[str, Any]:
    """One file as the page's script reads it."""
    return {
        "id": upload.public_id,
        "name": upload.name,
        "size": upload.size,
        "offset": upload.offset,
        "status": upload.status,
        "sha256": upload.sha256 or upload.declared_sha256,
        "reason": upload.refusal or upload.doubt,
        "isDuplicate": upload.is_duplicate,
        "previewOf": upload.cut_from.get("size", 0),
    }


def on_their_way(gallery: Gallery) -> QuerySet[Upload]:
    """Every file somebody sent or is sending, but for those they took back."""
    return gallery.uploads.exclude(status=UploadStatus.ABANDONED).order_by("pk")


def settled(gallery: Gallery, public_ids: Sequence[str]) -> QuerySet[Upload]:
    """Those of the named files that were accepted or refused, filed away, or wait for the picture of their name."""
    ended = [UploadStatus.ACCEPTED, UploadStatus.REFUSED, UploadStatus.FILED, UploadStatus.SORTING]
    return gallery.uploads.filter(public_id__in=public_ids, status__in=ended).order_by("pk")


def wanted_originals(gallery: Gallery) -> list[str]:
    """Originals that are waited for before all others, as `name/size`: of picks, chosen or the photographer's."""
    ahead = gallery.files.filter(kind=PhotoFile.Kind.PREVIEW)
    chosen = ahead.filter(Q(photo__pick__isnull=False) | Q(photo__is_recommended=True))
    return [f"{file.cut_from['name']}/{file.cut_from['size']}" for file in chosen]


def refused_lately(gallery: Gallery, *, now: datetime) -> QuerySet[Upload]:
    """Refused files of the last day, for a page without scripts."""
    return gallery.uploads.filter(
        status=UploadStatus.REFUSED, finished_at__gte=now - timedelta(days=1)
    ).order_by("-finished_at")


def filed_away(gallery: Gallery) -> QuerySet[Upload]:
    """Slates and clock pages photographed among the frames; those of a card are shown on its page."""
    return gallery.uploads.filter(status=UploadStatus.FILED, card=None).order_by("name")


def next_step(gallery: Gallery) -> NextStep | None:
    """The one plain button of the page (the page hides it until there is a frame). None: nothing to do."""
    if gallery.status == GalleryStatus.OPEN:
        return NextStep(_("Choose together"), reverse("choose_together", args=[gallery.public_id]))
    if gallery.status == GalleryStatus.PROOFING:
        return NextStep(_("See the choice"), reverse("choose_review", args=[gallery.public_id]))
    is_worked_on = gallery.status in (GalleryStatus.RETOUCHING, GalleryStatus.APPROVING)
    if is_worked_on and gallery.retouches.exclude(status=RetouchStatus.APPROVED).exists():
        return NextStep(_("Retouch"), reverse("retouch_session", args=[gallery.public_id]))
    if gallery.status in (GalleryStatus.READY, GalleryStatus.DELIVERED):
        return NextStep(_("Delivery"), reverse("gallery_delivery", args=[gallery.public_id]))
    return None


# --- the whole desk


def trouble(*, now: datetime, galleries: QuerySet[Gallery]) -> Mapping[str, Any] | None:
    """Files being received, senders that went silent, failed work and damaged originals; None when all is quiet."""
    of_them = Q(gallery__in=galleries)
    open_uploads = Upload.objects.filter(of_them, status=UploadStatus.RECEIVING)
    lively = open_uploads.filter(touched_at__gte=now - ALIVE)
    silent = open_uploads.filter(touched_at__lt=now - ALIVE)
    failed = Job.objects.filter(of_them | Q(gallery=None), status=JobStatus.FAILED).select_related(
        "gallery__shoot__sitter", "photo", "upload", "retouch__pick__photo", "version__retouch__pick__photo"
    )
    checking = Job.objects.filter(
        of_them, kind=JobKind.INTAKE, status__in=[JobStatus.WAITING, JobStatus.RUNNING]
    )
    damaged = _galleries(galleries.filter(files__is_damaged=True, files__erased_at=None))
    context = {
        "sending": _galleries(Gallery.objects.filter(uploads__in=lively)),
        "silent": _galleries(Gallery.objects.filter(uploads__in=silent)),
        "checking": checking.count(),
        "failed": list(failed.order_by("urgent_at")[:10]),
        "failed_count": failed.count(),
        "damaged": damaged,
    }
    return context if any(context.values()) else None


def _galleries(rows: QuerySet[Gallery]) -> list[Gallery]:
    """Galleries with `how_many` of what they were filtered by."""
    return list(
        rows.select_related("shoot__sitter").annotate(how_many=Count("pk")).order_by("-how_many", "pk")[:10]
    )
