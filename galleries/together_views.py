"""Choosing together: the frames on the big screen as they arrive, with the client beside the photographer."""

import hashlib
from collections.abc import Callable

import segno
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from galleries import deadlines, extra_finals, frames, proofing, rights, selection_out, together
from galleries.choosing_views import CLIENT_VERBS, USES, Verb, room_at, take_mark
from galleries.models import Gallery, PauseReason
from galleries.proofing import ChoosingRefused, TooManyProofs
from galleries.statuses import GalleryStatus
from studio import credentials
from studio.access import staff
from studio.actors import Actor
from studio.models import Role, User

POLL_SECONDS = 1.0  # a closed file stands on the screen within two seconds: `bench watch`

# kind of file → what makes it, its content type, and how its name ends
OUT: dict[str, tuple[Callable[[Gallery], str | bytes], str, str]] = {
    "txt": (selection_out.camera_names, "text/plain; charset=utf-8", "txt"),
    "csv": (selection_out.selection_csv, "text/csv; charset=utf-8", "csv"),
    "xmp": (selection_out.sidecars, "application/zip", "zip"),
}


def _rating(value: str) -> int:
    if value not in ("0", "1", "2", "3", "4", "5"):
        raise ValueError(_("A rating is 0 to 5."))
    return int(value)


STUDIO_VERBS: dict[str, Verb] = CLIENT_VERBS | {
    "recommend": lambda pk, value, by, now: proofing.mark(photo_id=pk, is_recommended=True, by=by, now=now),
    "unrecommend": lambda pk, value, by, now: proofing.mark(
        photo_id=pk, is_recommended=False, by=by, now=now
    ),
    "reject": lambda pk, value, by, now: proofing.mark(photo_id=pk, is_rejected=True, by=by, now=now),
    "unreject": lambda pk, value, by, now: proofing.mark(photo_id=pk, is_rejected=False, by=by, now=now),
    "rate": lambda pk, value, by, now: proofing.mark(photo_id=pk, rating=_rating(value), by=by, now=now),
}


def gallery_for(request: HttpRequest, public_id: str) -> tuple[Gallery, Actor]:
    """The gallery, if this person may see its pictures at its location, and it has not been erased. Raises Http404."""
    gallery = (
        Gallery.objects.select_related(
            "shoot__sitter",
            "shoot__booking__payer",
            "shoot__booking__location",
            "shoot__booking__session_type",
        )
        .filter(public_id=public_id)
        .exclude(status=GalleryStatus.ERASED)
        .first()
    )
    if gallery is None or not isinstance(request.user, User):
        raise Http404
    if not rights.roles_at(request.user, gallery) & rights.SEES_PICTURES:
        raise Http404
    return gallery, Actor.user(request.user)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def choose_together(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The big screen: one frame (or two) as large as it goes, the strip below, marks by key or touch."""
    gallery, by = gallery_for(request, public_id)
    if reason := proofing.why_closed(gallery, by=by):
        messages.info(request, reason)
        return redirect("choose_review", public_id)
    shown = frames.for_studio(gallery)
    room = None
    if shown:
        wanted = request.GET.get("at", "")
        numbers = {str(frame.photo.number) for frame in shown}
        number = int(wanted) if wanted in numbers else shown[-1].photo.number
        room = room_at(shown, number, request.GET.getlist("beside"))
    context = {
        "gallery": gallery,
        "sitter": proofing.sitter_of(gallery),
        "room": room,
        "frames": shown,
        "count": frames.count_of(gallery),
        "tally": _tally(shown),
        "poll_seconds": POLL_SECONDS,
        "is_followed": together.is_followed(gallery, now=timezone.now()),
        "uses": USES,
    }
    return render(request, "galleries/choose.html", context)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def choose_strip(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The strip again when a frame has arrived or a mark has changed (`?have=` names what the page has); else 204."""
    gallery, _by = gallery_for(request, public_id)
    shown = frames.for_studio(gallery)
    tally = _tally(shown)
    if request.GET.get("have") == tally:
        return HttpResponse(status=204)
    context = {
        "gallery": gallery,
        "frames": shown,
        "tally": tally,
        "count": frames.count_of(gallery),
        "base_url": reverse("choose_together", args=[public_id]),
    }
    return render(request, "galleries/_strip.html", context)


def _tally(shown: list[frames.Frame]) -> str:
    """A short name for what the strip shows: it changes with every frame and every mark."""
    facts = [
        (
            frame.photo.pk,
            frame.large.pk if frame.large else 0,
            frame.is_picked,
            frame.photo.rating,
            frame.photo.is_recommended,
            frame.photo.is_rejected,
            frame.note,
        )
        for frame in shown
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def choose_mark(request: HttpRequest, public_id: str) -> HttpResponse:
    """One mark of the photographer, or one pick of the client beside them."""
    gallery, by = gallery_for(request, public_id)
    home = reverse("choose_together", args=[public_id])
    back = request.POST.get("back", "")
    now = timezone.now()
    back = back if back.startswith(home) else home
    return take_mark(request, gallery, gallery.photos.all(), STUDIO_VERBS, by=by, now=now, back=back)


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def choose_follow(request: HttpRequest, public_id: str) -> HttpResponse:
    """Let the client's phone follow: a link of their own as a QR code; or stop it (`stop`)."""
    gallery, by = gallery_for(request, public_id)
    now = timezone.now()
    if "stop" in request.POST:
        together.stop(gallery_id=gallery.pk, by=by, now=now)
        return redirect("choose_together", public_id)
    together.follow(gallery_id=gallery.pk, by=by, now=now)
    sitter = proofing.sitter_of(gallery)
    link = credentials.grant(
        scope="gallery",
        target=gallery.public_id,
        now=now,
        holder_id=sitter.pk if sitter else None,
        holder_label=str(sitter or ""),
    )
    code = segno.make(link.url, error="m").svg_data_uri(scale=6, border=2)
    context = {"gallery": gallery, "sitter": sitter, "link": link.url, "code": code}
    return render(request, "galleries/choose_follow.html", context)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def choose_stage(request: HttpRequest, public_id: str) -> HttpResponse:
    """Name the frame that is on the big screen, for the phone that follows. 204 always: it is a courtesy."""
    gallery, by = gallery_for(request, public_id)
    photo = gallery.photos.filter(public_id=request.POST.get("photo", "")).first()
    if photo is not None:
        together.put_on_stage(gallery_id=gallery.pk, photo_id=photo.pk, by=by, now=timezone.now())
    return HttpResponse(status=204)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def choose_review(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The selection on one page: submit it, publish the proofs instead, take it out for other programs, reopen it."""
    gallery, _by = gallery_for(request, public_id)
    return _review(request, gallery)


def _review(request: HttpRequest, gallery: Gallery, *, too_many: int = 0) -> HttpResponse:
    pause = gallery.pauses.filter(reason=PauseReason.CHOOSING, ended_at=None).first()
    context = {
        "gallery": gallery,
        "sitter": proofing.sitter_of(gallery),
        "frames": frames.for_studio(gallery, show="chosen"),
        "count": frames.count_of(gallery),
        "extra_total": extra_finals.cost(
            gallery.shoot.booking, extra_finals.wanted(gallery) * gallery.extra_final_price
        ),
        "is_open": gallery.status in proofing.CHOOSABLE,
        "is_published": gallery.status == GalleryStatus.PROOFING,
        "can_reopen": gallery.status == GalleryStatus.RETOUCHING and gallery.delivered_at is None,
        "to_publish": proofing.proofs_to_publish(gallery).filter(is_published=False).count(),
        "too_many": too_many,
        "pause": pause,
        "announced_at": proofing.announced_step_at(pause) if pause else None,
        "due_at": deadlines.local_promise(gallery),
        "zone": gallery.shoot.booking.location.zone,
        "uses": USES,
    }
    return render(request, "galleries/choose_review.html", context)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def choose_submit(request: HttpRequest, public_id: str) -> HttpResponse:
    """Submit with the client beside you: no pause opens, the drafts begin."""
    gallery, by = gallery_for(request, public_id)
    try:
        done = proofing.submit_selection(gallery_id=gallery.pk, by=by, now=timezone.now())
    except ChoosingRefused as refused:
        messages.warning(request, str(refused))
        return redirect("choose_review", public_id)
    sentence = _("Sent. The drafts are being made.") if done else _("The selection was sent already.")
    messages.success(request, sentence)
    return redirect("retouch_queue")


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def publish(request: HttpRequest, public_id: str) -> HttpResponse:
    """Publish the proofs, so that the client chooses at home; above 30 the page asks first."""
    gallery, by = gallery_for(request, public_id)
    try:
        count = proofing.publish_proofs(
            gallery_id=gallery.pk, by=by, now=timezone.now(), is_sure="is_sure" in request.POST
        )
    except TooManyProofs as many:
        return _review(request, gallery, too_many=many.count)
    except ChoosingRefused as refused:
        messages.warning(request, str(refused))
    else:
        messages.success(
            request,
            ngettext("%(count)d picture is published.", "%(count)d pictures are published.", count)
            % {"count": count},
        )
    return redirect("choose_review", public_id)


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def reopen(request: HttpRequest, public_id: str) -> HttpResponse:
    """Let the client choose again. The clock does not stop for it."""
    gallery, by = gallery_for(request, public_id)
    reason = request.POST.get("reason", "")[:300]
    try:
        proofing.reopen_selection(gallery_id=gallery.pk, by=by, now=timezone.now(), reason=reason)
    except ChoosingRefused as refused:
        messages.warning(request, str(refused))
    else:
        messages.success(request, _("The selection is open again. The promise runs on."))
    return redirect("choose_review", public_id)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def selection(request: HttpRequest, public_id: str, kind: str) -> HttpResponse:
    """The selection for other programs: camera file names as text, everything as CSV, ratings as XMP sidecars."""
    gallery, _by = gallery_for(request, public_id)
    make, content_type, suffix = OUT[kind]
    name = f"{gallery.shoot.code}-selection.{suffix}"
    return HttpResponse(
        make(gallery),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
