"""Approving a Version, by the studio or by the client who looks first."""

import logging
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction

from galleries import deadlines, delivery, jobs
from galleries.models import Gallery, JobKind, Pause, PauseReason, Retouch
from galleries.retouching.guard import let_pass
from galleries.retouching.rows import locked, must_be_in_work
from galleries.statuses import GalleryStatus, JobStatus, RetouchStatus
from studio import credentials, workdays
from studio.actors import WORKER, Actor
from studio.outbox import queue_message
from studio.promises import calendar_of
from studio.transitions import move

log = logging.getLogger(__name__)

SILENT_WORKING_DAYS = 3


@transaction.atomic
def approve(*, retouch_id: int, version_id: int, by: Actor, now: datetime) -> bool:
    """Make a Version the final and order its files. False if it is that already.

    Raises GuardStillMeasures, GuardBlocks, or RetouchRefused outside of the retouching. Until the delivery another
    Version can be approved in its place.
    """
    gallery, retouch = locked(retouch_id)
    version = retouch.versions.get(pk=version_id)
    if retouch.status == RetouchStatus.APPROVED and retouch.approved_version_id == version.pk:
        return False
    must_be_in_work(gallery)
    let_pass(version)
    if gallery.status == GalleryStatus.READY:
        move(Gallery, gallery.pk, "take_back", by=by, now=now)
    move(Retouch, retouch.pk, "approve", by=by, now=now, approved_version=version)
    after_answer(gallery, by=by, now=now)
    job = jobs.state(JobKind.FINALS, gallery=gallery, version=version, now=now)
    if job.status == JobStatus.FAILED:
        jobs.retry(job_id=job.pk, by=by, now=now)
    elif job.status == JobStatus.DONE:
        delivery.finals_made(gallery_id=gallery.pk, by=by, now=now)
    return True


@transaction.atomic
def show_to_client(*, retouch_id: int, version_id: int, by: Actor, now: datetime) -> bool:
    """Let the client look before delivery. When every pick is shown or approved, they are asked and the clock pauses.

    False if this version is shown already. Raises as `approve` does.
    """
    gallery, retouch = locked(retouch_id)
    version = retouch.versions.get(pk=version_id)
    if retouch.status == RetouchStatus.IN_REVIEW and retouch.shown_version_id == version.pk:
        return False
    must_be_in_work(gallery)
    let_pass(version)
    if move(Retouch, retouch.pk, "show", by=by, now=now, shown_version=version) is None:
        Retouch.objects.filter(pk=retouch.pk).update(shown_version=version, shown_at=now)
    waiting = gallery.retouches.exclude(status__in=[RetouchStatus.IN_REVIEW, RetouchStatus.APPROVED])
    if gallery.status == GalleryStatus.RETOUCHING and not waiting.exists():
        move(Gallery, gallery.pk, "ask_approval", by=by, now=now)
        deadlines.open_pause(gallery_id=gallery.pk, reason=PauseReason.APPROVING, by=by, now=now)
        _ask_to_look(gallery, now=now)
    return True


def approve_shown(*, retouch_id: int, by: Actor, now: datetime) -> bool:
    """The client likes what they see. False if it was answered before."""
    retouch = Retouch.objects.get(pk=retouch_id)
    if retouch.status != RetouchStatus.IN_REVIEW or retouch.shown_version_id is None:
        return False
    return approve(retouch_id=retouch_id, version_id=retouch.shown_version_id, by=by, now=now)


def after_answer(gallery: Gallery, *, by: Actor, now: datetime) -> None:
    """Once the client has answered about every picture the clock goes on; with a change asked the work does too."""
    gallery.refresh_from_db(fields=["status"])
    if gallery.status != GalleryStatus.APPROVING:
        return
    if gallery.retouches.filter(status=RetouchStatus.IN_REVIEW).exists():
        return
    deadlines.close_pause(gallery_id=gallery.pk, reason=PauseReason.APPROVING, by=by, now=now)
    if gallery.retouches.exclude(status=RetouchStatus.APPROVED).exists():
        move(Gallery, gallery.pk, "take_back", by=by, now=now)


def silence_ends_at(pause: Pause) -> datetime:
    """When the client's silence delivers: the closing of the third working day after they were asked."""
    location = pause.gallery.shoot.booking.location
    asked_on = pause.opened_at.astimezone(ZoneInfo(location.zone)).date()
    calendar = calendar_of(location, first_on=asked_on)
    return workdays.deliver_by(ended_at=pause.opened_at, days=SILENT_WORKING_DAYS, calendar=calendar)


def sweep(*, now: datetime) -> int:
    """Approve what a silent client was shown three working days ago. Returns how many pictures were."""
    waiting = Pause.objects.filter(
        reason=PauseReason.APPROVING, ended_at=None, gallery__status=GalleryStatus.APPROVING
    ).select_related("gallery__shoot__booking__location")
    approved = 0
    for pause in waiting:
        try:
            if silence_ends_at(pause) <= now:
                for pk in pause.gallery.retouches.filter(status=RetouchStatus.IN_REVIEW).values_list(
                    "pk", flat=True
                ):
                    approved += approve_shown(retouch_id=pk, by=WORKER, now=now)
        except Exception:
            log.exception("The silence about gallery %s could not be followed up", pause.gallery_id)
    return approved


def _ask_to_look(gallery: Gallery, *, now: datetime) -> None:
    sitter = gallery.shoot.sitter or gallery.shoot.booking.payer
    if sitter is None:
        return
    link = credentials.grant(
        scope="gallery", target=gallery.public_id, now=now, holder_id=sitter.pk, holder_label=str(sitter)
    )
    pause = gallery.pauses.filter(reason=PauseReason.APPROVING, ended_at=None).first()
    context = {
        "gallery": gallery,
        "link": link.url,
        "silence_ends_at": silence_ends_at(pause) if pause else None,
        "zone": gallery.shoot.booking.location.zone,
        "if_answered_at": deadlines.promise_if_answered(gallery, now=now),
    }
    once = f"retouch_shown:{gallery.pk}:{now:%Y%m%dT%H%M%S%f}"
    queue_message("retouch_shown", to=sitter, about=gallery, context=context, now=now, once=once)
