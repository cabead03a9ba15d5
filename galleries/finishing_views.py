"""The first screen of retouching one session: the selection goes out, finished files come back, then compare."""

from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from galleries import deadlines, pictures, receiving, retouching, rights, workbench
from galleries.imaging.recipes import GRID, THUMB
from galleries.models import FinishedFile, Gallery, Rendition, Retouch, Version
from galleries.retouching.matching import DOUBTS
from galleries.retouching.rows import IN_WORK, RetouchRefused
from galleries.statuses import FinishedStatus, JobStatus, UploadStatus
from galleries.together_views import gallery_for
from studio import storage
from studio.access import staff
from studio.models import Role

LATELY = 12  # finished files shown with where they went


@dataclass(frozen=True, slots=True)
class Line:
    """One pick: its frame and its newest version, side by side."""

    retouch: Retouch
    before: Rendition | None
    after: Rendition | None
    version: Version | None


@dataclass(frozen=True, slots=True)
class Doubt:
    """One file in the tray: why it waits, and the picks it may belong to, the likeliest first."""

    finished: FinishedFile
    sentence: str
    picks: list[Line]
    others: list[Line]


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def retouch_session(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """Export the selection, drop the finished files, compare; the tray for what is doubtful."""
    gallery, _by = gallery_for(request, public_id)
    return render(request, "galleries/retouch_session.html", _context(gallery))


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def finished_news(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The tray and the pairs again when a file has found its place (`?have=` names what the page has); else 204."""
    gallery, _by = gallery_for(request, public_id)
    if request.GET.get("have") == _tally(gallery):
        return HttpResponse(status=204)
    return render(request, "galleries/_finished.html", _context(gallery))


def _context(gallery: Gallery) -> dict[str, object]:
    lines = _lines(gallery)
    finished = list(
        gallery.finished_files.select_related("upload", "retouch__pick__photo").order_by("-id")[:200]
    )
    return {
        "gallery": gallery,
        "sitter": deadlines.sitter_of(gallery),
        "zone": gallery.shoot.booking.location.zone,
        "due_at": deadlines.local_promise(gallery),
        "lines": lines,
        "tray": [_doubt(row, lines) for row in reversed(finished) if row.status == FinishedStatus.WAITING],
        "settled": [
            row for row in finished if row.status in (FinishedStatus.ASSIGNED, FinishedStatus.PUT_ASIDE)
        ][:LATELY],
        "matching": sum(1 for row in finished if row.status == FinishedStatus.MATCHING)
        + gallery.uploads.filter(purpose=receiving.FINISHED, status=UploadStatus.CHECKING).count(),
        "refused": gallery.uploads.filter(purpose=receiving.FINISHED, status=UploadStatus.REFUSED).order_by(
            "-id"
        )[:5],
        "doubts": DOUBTS,
        "sliders": [(slider, slider.default) for slider in workbench.SLIDERS],
        "is_in_work": gallery.status in IN_WORK,
        "balance": gallery.white_balance,
        "tally": _tally(gallery),
    }


def _tally(gallery: Gallery) -> str:
    """Changes with every file that comes, every version, verdict and status of this session."""
    files = gallery.finished_files.aggregate(
        all=Count("pk"),
        matching=Count("pk", filter=Q(status=FinishedStatus.MATCHING)),
        waiting=Count("pk", filter=Q(status=FinishedStatus.WAITING)),
    )
    sent = gallery.uploads.filter(purpose=receiving.FINISHED).exclude(status=UploadStatus.RECEIVING).count()
    made = gallery.retouches.aggregate(
        made=Count("versions", distinct=True),
        measured=Count("versions", filter=~Q(versions__guard="waiting"), distinct=True),
    )
    shown = Rendition.objects.filter(version__retouch__gallery=gallery, recipe=GRID.name).count()
    statuses = "".join(sorted(gallery.retouches.values_list("status", flat=True)))
    return f"{'.'.join(str(value) for value in (*files.values(), sent, *made.values(), shown))}-{statuses}"


def _lines(gallery: Gallery) -> list[Line]:
    rows = (
        gallery.retouches.select_related("pick__photo", "assigned_to", "approved_version")
        .prefetch_related("pick__photo__renditions", "versions")
        .annotate(
            note_count=Count("pick__photo__notes", distinct=True),
            failed_count=Count("jobs", filter=Q(jobs__status=JobStatus.FAILED), distinct=True),
        )
        .order_by("pick__picked_at", "pick_id")
    )
    return [_line(row) for row in rows]


def _line(retouch: Retouch) -> Line:
    photo = retouch.pick.photo
    versions = sorted(retouch.versions.all(), key=lambda row: row.number)
    version = retouch.approved_version or (versions[-1] if versions else None)
    after = pictures.of(photo, GRID.name, version=version) if version else None
    return Line(retouch, pictures.of(photo, GRID.name) or pictures.of(photo, THUMB.name), after, version)


def _doubt(finished: FinishedFile, lines: list[Line]) -> Doubt:
    by_pk = {line.retouch.pk: line for line in lines}
    likely = [by_pk[row["retouch"]] for row in finished.candidates if row["retouch"] in by_pk]
    others = [line for line in lines if line not in likely]
    return Doubt(finished, str(DOUBTS.get(finished.doubt, "")), likely, others)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def finished_view(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The small view of one finished file in the tray (`?file=`)."""
    gallery, _by = gallery_for(request, public_id)
    finished = get_object_or_404(gallery.finished_files, public_id=request.GET.get("file", ""))
    if not finished.thumb_key:
        raise Http404
    store = storage.derived()
    try:
        length = storage.size(store, finished.thumb_key)
    except storage.NoSuchObject:
        raise Http404 from None
    return StreamingHttpResponse(
        storage.open_range(store, finished.thumb_key, 0, length),
        content_type="image/jpeg",
        headers={"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"},
    )


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def finished_add(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """Finished files by a plain form, whole and many at once."""
    gallery, by = gallery_for(request, public_id)
    if not rights.may_add(request.user, gallery, purpose=receiving.FINISHED):
        return HttpResponse(status=403)
    taken = 0
    for file in request.FILES.getlist("files"):
        try:
            upload = receiving.receive_whole(
                file,
                size=file.size or 0,
                name=file.name or "",
                gallery=gallery,
                purpose=receiving.FINISHED,
                source="desk",
                by=by,
                now=timezone.now(),
            )
        except (receiving.ReceivingError, storage.StorageError) as error:
            messages.error(request, f"{file.name}: {error}")
            continue
        if upload.status == UploadStatus.REFUSED:
            messages.error(request, f"{upload.name}: {upload.refusal}")
        else:
            taken += 1
    if taken:
        words = ngettext(
            "%(count)d file arrived and is being matched.",
            "%(count)d files arrived and are being matched.",
            taken,
        )
        messages.success(request, words % {"count": taken})
    elif not request.FILES:
        messages.info(request, _("No file was chosen."))
    return redirect("retouch_session", public_id)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def finished_place(request: HttpRequest, public_id: str) -> HttpResponse:
    """One tap in the tray: the pick a file belongs to (`pick`), or put it aside."""
    gallery, by = gallery_for(request, public_id)
    finished = get_object_or_404(gallery.finished_files, public_id=request.POST.get("file", ""))
    now = timezone.now()
    try:
        if "aside" in request.POST:
            retouching.put_finished_aside(finished_id=finished.pk, by=by, now=now)
        else:
            retouch = get_object_or_404(gallery.retouches, public_id=request.POST.get("pick", ""))
            retouching.assign_finished(finished_id=finished.pk, retouch_id=retouch.pk, by=by, now=now)
            messages.success(request, _("%(file)s is a version of %(name)s now.") % _names(finished, retouch))
    except RetouchRefused as refused:
        messages.warning(request, str(refused))
    return redirect("retouch_session", public_id)


def _names(finished: FinishedFile, retouch: Retouch) -> dict[str, str]:
    return {"file": finished.upload.name, "name": retouch.pick.photo.name}


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def session_drafts(request: HttpRequest, public_id: str) -> HttpResponse:
    """Drafts of every open pick of the session at these strengths; they share the shoot's white balance."""
    gallery, by = gallery_for(request, public_id)
    try:
        count = retouching.draft_all(
            gallery_id=gallery.pk,
            parameters=request.POST.dict(),
            by=by,
            now=timezone.now(),
        )
    except RetouchRefused as refused:
        messages.warning(request, str(refused))
        return redirect("retouch_session", public_id)
    words = ngettext("%(count)d draft is being made.", "%(count)d drafts are being made.", count)
    messages.success(
        request, words % {"count": count} if count else _("Every picture has this draft already.")
    )
    return redirect("retouch_session", public_id)
