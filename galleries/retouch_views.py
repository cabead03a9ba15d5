"""The retouching on the desk: the queue by promise, and one pick with its before and after."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from galleries import deadlines, jobs, pictures, receiving, retouching, rights, workbench
from galleries.choosing_panels import open_orders
from galleries.imaging.recipes import FINAL_FULL, PROOF, SCREEN
from galleries.models import Gallery, Guard, Job, JobKind, Note, Retouch, Version
from galleries.receiving.verbs import HAND_IN
from galleries.retouching import RetouchRefused
from galleries.retouching.rows import IN_WORK
from galleries.statuses import FinishedStatus, JobStatus, RetouchStatus, UploadStatus
from studio import storage
from studio.access import at_my_places, staff
from studio.actors import Actor
from studio.forms import typed_id
from studio.models import Role, User

Deed = Callable[[HttpRequest, Retouch, Actor, datetime], str]


def to_retouch() -> "QuerySet[Retouch]":
    """The open work orders with what the queue says about each."""
    return (
        open_orders()
        .prefetch_related("pick__photo__renditions")
        .annotate(
            note_count=Count("pick__photo__notes", distinct=True),
            failed_count=Count("jobs", filter=Q(jobs__status=JobStatus.FAILED), distinct=True),
            blocked_count=Count("versions", filter=Q(versions__guard=Guard.BLOCKED), distinct=True),
        )
    )


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def retouch_queue(request: HttpRequest) -> HttpResponse:
    """What is to be retouched, session by session in the order of the promises; all of it, mine, or nobody's."""
    user = _user(request)
    places = rights.places_of(user, rights.SEES_PICTURES)
    rows = to_retouch()
    if places is not None:
        rows = rows.filter(gallery__shoot__booking__location__in=places)
    counts = {"all": rows.count(), "mine": rows.filter(assigned_to=user).count()}
    counts["nobody"] = rows.filter(assigned_to=None).count()
    whose = request.GET.get("whose", "all")
    if whose == "mine":
        rows = rows.filter(assigned_to=user)
    elif whose == "nobody":
        rows = rows.filter(assigned_to=None)
    sessions: dict[int, list[Retouch]] = {}
    for row in rows[:200]:
        sessions.setdefault(row.gallery_id, []).append(row)
    mine = at_my_places(request, "gallery__shoot__booking__location", roles=rights.SEES_PICTURES)
    shown = (
        Retouch.objects.filter(mine, status=RetouchStatus.IN_REVIEW, gallery__status__in=IN_WORK)
        .select_related("pick__photo", "gallery__shoot__sitter", "gallery__shoot__booking__location")
        .prefetch_related("pick__photo__renditions")
        .order_by("shown_at")[:50]
    )
    context = {
        "sessions": [(found[0].gallery, found) for found in sessions.values()],
        "counts": counts,
        "whose": whose if whose in counts else "all",
        "trays": _trays(places),
        "shown": shown,
        "user": user,
        "now": timezone.now(),
    }
    return render(request, "galleries/retouch_queue.html", context)


def _trays(places: list[int] | None) -> list[Gallery]:
    """The sessions whose tray holds files, with `waiting`: also those with nothing else to do."""
    rows = Gallery.objects.filter(finished_files__status=FinishedStatus.WAITING).select_related(
        "shoot__sitter"
    )
    if places is not None:
        rows = rows.filter(shoot__booking__location__in=places)
    return list(rows.annotate(waiting=Count("finished_files")).order_by("deliver_by", "pk")[:20])


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def found_retouch(request: HttpRequest, public_id: str) -> tuple[Retouch, Actor]:
    """The pick, if this person may see its pictures at its location. Raises Http404."""
    retouch = get_object_or_404(
        Retouch.objects.select_related(
            "pick__photo",
            "approved_version",
            "shown_version",
            "gallery__shoot__sitter",
            "gallery__shoot__booking__payer",
            "gallery__shoot__booking__location",
            "gallery__shoot__booking__session_type",
        ),
        public_id=public_id,
    )
    user = _user(request)
    if not rights.roles_at(user, retouch.gallery) & rights.SEES_PICTURES:
        raise Http404
    return retouch, Actor.user(user)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def desk_retouch(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """One pick: before and after, the client's words, the strengths, the guard, the versions."""
    retouch, _by = found_retouch(request, public_id)
    return render(request, "galleries/retouch.html", _context(request, retouch))


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def retouch_news(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """204 while nothing has changed since `?have=`; else 200, and the page is loaded again."""
    retouch, _by = found_retouch(request, public_id)
    if request.GET.get("have") == _tally(retouch):
        return HttpResponse(status=204)
    return HttpResponse(_tally(retouch), content_type="text/plain")


def _tally(retouch: Retouch) -> str:
    """Changes with every version, verdict, status and failed job of this pick."""
    sent = ".".join(f"{row.pk}{row.status[:1]}" for row in retouch.uploads.all())
    versions = ".".join(f"{row.number}{row.guard[:1]}" for row in retouch.versions.all())
    failed = Job.objects.filter(retouch=retouch, status=JobStatus.FAILED).count()
    waiting = Job.objects.filter(retouch=retouch, status__in=[JobStatus.WAITING, JobStatus.RUNNING]).count()
    return f"{retouch.status}-{versions}-{sent}-{failed}-{waiting}"


def _context(request: HttpRequest, retouch: Retouch) -> dict[str, object]:
    gallery, photo = retouch.gallery, retouch.pick.photo
    versions = list(retouch.versions.order_by("-number"))
    version = wanted_version(request, retouch, versions)
    family = list(gallery.retouches.select_related("pick__photo").prefetch_related("pick__photo__renditions"))
    place = next(i for i, row in enumerate(family) if row.pk == retouch.pk)
    notes = list(photo.notes.select_related("version"))
    working = Job.objects.filter(retouch=retouch, status__in=[JobStatus.WAITING, JobStatus.RUNNING])
    measuring = Job.objects.filter(
        version__retouch=retouch, kind=JobKind.MEASURE, status__in=[JobStatus.WAITING, JobStatus.RUNNING]
    )
    checking = retouch.uploads.filter(status__in=[UploadStatus.RECEIVING, UploadStatus.CHECKING])
    return {
        "retouch": retouch,
        "gallery": gallery,
        "photo": photo,
        "sitter": gallery.shoot.sitter or gallery.shoot.booking.payer,
        "zone": gallery.shoot.booking.location.zone,
        "due_at": deadlines.local_promise(gallery),
        "versions": versions,
        "version": version,
        "before": pictures.of(photo, SCREEN.name) or pictures.of(photo, PROOF.name),
        "after": pictures.of(photo, SCREEN.name, version=version) if version else None,
        "before_full": pictures.of(photo, FINAL_FULL.name),
        "after_full": pictures.of(photo, FINAL_FULL.name, version=version) if version else None,
        "uploads": retouch.uploads.exclude(status=UploadStatus.ACCEPTED).order_by("-id")[:3],
        "heat": retouching.heat_of(version) if version else None,
        "guard_word": workbench.GUARD_WORDS[version.guard] if version else "",
        "guard_lines": workbench.guard_lines(version.guard_report) if version else [],
        "draft_notes": workbench.draft_notes(version.operations) if version else [],
        "sliders": _sliders(version),
        "notes": notes,
        "pins": [note for note in notes if note.pin_x is not None],
        "family": family,
        "place": place + 1,
        "back": family[place - 1] if place else None,
        "on": family[place + 1] if place + 1 < len(family) else None,
        "is_in_work": gallery.status in IN_WORK,
        "is_working": working.exists() or measuring.exists() or checking.exists(),
        "people": list(retouching.people_for(gallery)),
        "failed": Job.objects.filter(
            Q(retouch=retouch) | Q(version__retouch=retouch), status=JobStatus.FAILED
        ),
        "tally": _tally(retouch),
        "may_approve": version is not None and version.guard not in (Guard.BLOCKED, Guard.WAITING),
    }


def wanted_version(request: HttpRequest, retouch: Retouch, versions: list[Version]) -> Version | None:
    """The version asked for, else the approved one, else the newest."""
    named = request.GET.get("version") or request.POST.get("version") or ""
    chosen = next((row for row in versions if str(row.number) == named), None)
    return chosen or retouch.approved_version or (versions[0] if versions else None)


def _sliders(version: Version | None) -> list[tuple[workbench.Slider, float]]:
    values = (retouching.strengths_of(version) if version else {}) or workbench.DEFAULT_STRENGTHS
    return [(slider, values.get(slider.name, slider.default)) for slider in workbench.SLIDERS]


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def guard_report(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The guard's report on one version: in plain words, with the heat map, every number, and what the client reads."""
    retouch, _by = found_retouch(request, public_id)
    versions = list(retouch.versions.order_by("-number"))
    version = wanted_version(request, retouch, versions)
    if version is None:
        raise Http404
    photo = retouch.pick.photo
    location = retouch.gallery.shoot.booking.location
    context = {
        "retouch": retouch,
        "gallery": retouch.gallery,
        "photo": photo,
        "version": version,
        "versions": versions,
        "before": pictures.of(photo, SCREEN.name) or pictures.of(photo, PROOF.name),
        "after": pictures.of(photo, SCREEN.name, version=version),
        "heat": retouching.heat_of(version),
        "guard_word": workbench.GUARD_WORDS[version.guard],
        "checks": workbench.guard_checks(version.guard_report),
        "lines": workbench.guard_lines(version.guard_report),
        "client_words": retouching.guard_words(version),
        "legal_mode": location.get_face_processing_display(),
        "may_find_face": retouching.may_find_face(retouch.gallery),
        "is_in_work": retouch.gallery.status in IN_WORK,
        "zone": location.zone,
    }
    return render(request, "galleries/guard.html", context)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def retouch_preview(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The draft at these strengths at screen size, made now and kept nowhere."""
    retouch, _by = found_retouch(request, public_id)
    screen = pictures.of(retouch.pick.photo, SCREEN.name)
    if screen is None:
        raise Http404
    try:
        wanted = workbench.strengths(request.GET.dict())
    except ValueError:
        return HttpResponse(_("A strength is a number."), status=400)
    allowed = retouching.may_find_face(retouch.gallery)
    cast = retouching.known_cast(retouch.gallery)
    picture = workbench.preview(screen.key, wanted, may_find_face=allowed, cast=cast)
    return HttpResponse(picture, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=300"})


# --- deeds


def _adjust(request: HttpRequest, retouch: Retouch, by: Actor, now: datetime) -> str:
    made = retouching.adjust(retouch_id=retouch.pk, parameters=request.POST.dict(), by=by, now=now)
    return "" if made is None else f"version={made.number}"


def _as_photographed(request: HttpRequest, retouch: Retouch, by: Actor, now: datetime) -> str:
    made = retouching.as_photographed(retouch_id=retouch.pk, by=by, now=now)
    return "" if made is None else f"version={made.number}"


def _approve(request: HttpRequest, retouch: Retouch, by: Actor, now: datetime) -> str:
    retouching.approve(retouch_id=retouch.pk, version_id=_version(request, retouch).pk, by=by, now=now)
    return "approved"


def _show(request: HttpRequest, retouch: Retouch, by: Actor, now: datetime) -> str:
    retouching.show_to_client(retouch_id=retouch.pk, version_id=_version(request, retouch).pk, by=by, now=now)
    return "approved"


def _override(request: HttpRequest, retouch: Retouch, by: Actor, now: datetime) -> str:
    version = _version(request, retouch)
    retouching.override(version_id=version.pk, reason=request.POST.get("reason", ""), by=by, now=now)
    return f"version={version.number}"


def _answer(request: HttpRequest, retouch: Retouch, by: Actor, now: datetime) -> str:
    note = get_object_or_404(Note, pk=request.POST.get("note") or 0, photo=retouch.pick.photo)
    retouching.answer(note_id=note.pk, words=request.POST.get("words", ""), by=by, now=now)
    return ""


def _take(request: HttpRequest, retouch: Retouch, by: Actor, now: datetime) -> str:
    chosen = typed_id(request.POST.get("person"))
    retouching.take(retouch_id=retouch.pk, person_id=chosen, by=by, now=now)
    return "queue" if "queue" in request.POST else ""


def _again(request: HttpRequest, retouch: Retouch, by: Actor, now: datetime) -> str:
    mine = Job.objects.filter(Q(retouch=retouch) | Q(version__retouch=retouch), status=JobStatus.FAILED)
    for job in mine:
        jobs.retry(job_id=job.pk, by=by, now=now)
    return ""


DEEDS: dict[str, Deed] = {
    "adjust": _adjust,
    "as_photographed": _as_photographed,
    "approve": _approve,
    "show": _show,
    "override": _override,
    "answer": _answer,
    "again": _again,
    "take": _take,
}


def _version(request: HttpRequest, retouch: Retouch) -> Version:
    return get_object_or_404(retouch.versions, number=request.POST.get("version") or 0)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def retouch_do(request: HttpRequest, public_id: str, deed: str) -> HttpResponse:
    """Do one thing with a retouch, then show it again; after an approval the next one in the queue."""
    retouch, by = found_retouch(request, public_id)
    if deed not in DEEDS:
        raise Http404
    try:
        answer = DEEDS[deed](request, retouch, by, timezone.now())
    except RetouchRefused as refused:
        messages.warning(request, str(refused))
        return redirect(_address(retouch, request.POST.get("version", "")))
    if answer == "queue":
        return redirect("retouch_queue")
    if answer == "approved":
        return _on_to_next(request, retouch)
    return redirect(_address(retouch, answer.removeprefix("version=")))


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def hand_in(request: HttpRequest, public_id: str) -> HttpResponse:
    """A finished file made elsewhere, sent by a plain form; it is checked like every upload and then measured."""
    retouch, by = found_retouch(request, public_id)
    file = request.FILES.get("file")
    if file is None or file.size is None:
        messages.warning(request, _("Choose the file first."))
        return redirect("desk_retouch", public_id)
    now = timezone.now()
    try:
        upload = receiving.open_upload(
            gallery=retouch.gallery,
            name=file.name or "",
            size=file.size,
            purpose=HAND_IN,
            retouch=retouch,
            by=by,
            now=now,
        )
        if upload.status == UploadStatus.RECEIVING:
            receiving.append(upload_id=upload.pk, at=0, chunks=file.chunks(), length=file.size, now=now)
            messages.info(request, _("Received. It is checked and measured now."))
    except (receiving.ReceivingError, storage.StorageError) as error:
        messages.warning(request, str(error))
    return redirect("desk_retouch", public_id)


def _address(retouch: Retouch, version: str) -> str:
    address = reverse("desk_retouch", args=[retouch.public_id])
    return f"{address}?version={version}" if typed_id(version) is not None else address


def _on_to_next(request: HttpRequest, retouch: Retouch) -> HttpResponse:
    following = to_retouch().exclude(pk=retouch.pk).first()
    messages.success(request, _("Done: %(name)s.") % {"name": retouch.pick.photo.name})
    return redirect("desk_retouch", following.public_id) if following else redirect("retouch_queue")
