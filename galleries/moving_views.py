"""A frame in the wrong booking on the desk: moved while nobody has seen it, taken back and told when somebody has."""

from datetime import datetime, timedelta
from typing import cast

from django.contrib import messages
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from galleries import leaks, moving, rights
from galleries.imaging.recipes import GRID, THUMB
from galleries.models import Gallery, Leak, Photo, Rendition
from galleries.statuses import CLOSED
from galleries.together_views import gallery_for
from studio.access import staff
from studio.actors import Actor
from studio.models import Role, User

NEAR = timedelta(days=7)
SHOWN = 600  # frames on the page


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_safe
def wrong_booking(request: HttpRequest, public_id: str) -> HttpResponse:
    """Choose frames that are somebody else's: those not shown are moved, those shown are taken back."""
    gallery, _by = gallery_for(request, public_id)
    small = Rendition.objects.filter(version=None, recipe__in=[THUMB.name, GRID.name])
    photos = gallery.photos.select_related("pick").prefetch_related(Prefetch("renditions", small))[:SHOWN]
    shown = [photo for photo in photos if photo.is_published or hasattr(photo, "pick")]
    context = {
        "gallery": gallery,
        "location": gallery.shoot.booking.location,
        "movable": [photo for photo in photos if photo not in shown],
        "shown": shown,
        "others": _others(gallery),
        "leaks": gallery.leaks.select_related("photo"),
    }
    return render(request, "galleries/wrong_booking.html", context)


def _others(gallery: Gallery) -> "QuerySet[Gallery]":
    """The sessions of the place around this one: what a frame is most likely of."""
    middle = gallery.shoot.starts_at
    return (
        Gallery.objects.filter(
            shoot__booking__location=gallery.shoot.booking.location,
            shoot__starts_at__range=(middle - NEAR, middle + NEAR),
        )
        .exclude(pk=gallery.pk)
        .exclude(status__in=CLOSED)
        .select_related("shoot__sitter")
        .order_by("shoot__starts_at")
    )


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def frames_move(request: HttpRequest, public_id: str) -> HttpResponse:
    """Move the chosen frames to another booking."""
    gallery, by = gallery_for(request, public_id)
    target = (
        Gallery.objects.select_related("shoot__booking").filter(public_id=request.POST.get("to", "")).first()
    )
    chosen = _chosen(request, gallery)
    if not chosen:
        messages.info(request, _("Choose the frames first."))
    elif target is None or not rights.may_add(cast(User, request.user), target, purpose="frame"):
        messages.error(request, _("Say to which session they belong."))
    else:
        try:
            count = moving.move_frames(photo_ids=chosen, gallery_id=target.pk, by=by, now=timezone.now())
        except moving.CannotMove as error:
            messages.error(request, str(error))
        else:
            words = ngettext("%(count)s frame went to %(code)s.", "%(count)s frames went to %(code)s.", count)
            messages.success(request, words % {"count": count, "code": target.shoot.code})
    return redirect("wrong_booking", public_id)


def _chosen(request: HttpRequest, gallery: Gallery) -> list[int]:
    names = request.POST.getlist("photo")[:SHOWN]
    return list(gallery.photos.filter(public_id__in=names).values_list("pk", flat=True))


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def leak_hide(request: HttpRequest, public_id: str) -> HttpResponse:
    """Take the chosen pictures back at once."""
    gallery, by = gallery_for(request, public_id)
    chosen = _chosen(request, gallery)
    if not chosen:
        messages.info(request, _("Choose the frames first."))
        return redirect("wrong_booking", public_id)
    found = leaks.hide(photo_ids=chosen, words=request.POST.get("words", ""), by=by, now=timezone.now())
    messages.success(request, _("Hidden, and every link to this gallery is closed."))
    return redirect("leak", found[0].public_id) if found else redirect("wrong_booking", public_id)


def _leak_for(request: HttpRequest, public_id: str) -> tuple[Leak, Actor]:
    rows = Leak.objects.select_related(
        "photo__gallery__shoot__sitter", "photo__gallery__shoot__booking", "gallery__shoot__booking__location"
    )
    found = rows.filter(public_id=public_id).first()
    if found is None or not isinstance(request.user, User):
        raise Http404
    if not rights.roles_at(request.user, found.gallery) & rights.ADDS_FRAMES:
        raise Http404
    return found, Actor.user(request.user)


@staff(Role.PHOTOGRAPHER)
@require_safe
def leak(request: HttpRequest, public_id: str) -> HttpResponse:
    """One leak: what was done, who could see it, the messages, and how it ended."""
    found, _by = _leak_for(request, public_id)
    lines = [
        {
            **line,
            "since": datetime.fromisoformat(line["since"]),
            "opened": datetime.fromisoformat(line["opened"]) if line["opened"] else None,
            "downloads": [{**row, "when": datetime.fromisoformat(row["when"])} for row in line["downloads"]],
        }
        for line in found.seen
    ]
    context = {
        "leak": found,
        "gallery": found.gallery,
        "location": found.gallery.shoot.booking.location,
        "lines": lines,
        "is_moved": found.photo is not None and found.photo.gallery_id != found.gallery_id,
        "why_not": _why_not(found),
        "others": _others(found.gallery),
        "shown_to": leaks.recipient(found, leaks.SHOWN),
        "shown_draft": leaks.draft(found, leaks.SHOWN),
        "pictured": leaks.recipient(found, leaks.PICTURED),
        "pictured_draft": leaks.draft(found, leaks.PICTURED),
        "picture": _small(found.photo),
    }
    return render(request, "galleries/leak.html", context)


def _why_not(found: Leak) -> str:
    """Why the picture cannot be moved to where it belongs; empty when it can, or was."""
    if found.photo is None:
        return _("The picture was erased since, with the person in it.")
    return "" if found.photo.gallery_id != found.gallery_id else moving.why_not(found.photo)


def _small(photo: Photo | None) -> Rendition | None:
    if photo is None:
        return None
    return photo.renditions.filter(version=None, recipe=THUMB.name).order_by("-recipe_version").first()


@staff(Role.PHOTOGRAPHER)
@require_POST
def leak_do(request: HttpRequest, public_id: str) -> HttpResponse:
    """The next step of a leak: move the frame, send a message, close the record."""
    found, by = _leak_for(request, public_id)
    deed, now = request.POST.get("deed", ""), timezone.now()
    try:
        if deed == "move":
            _move(request, found, by=by, now=now)
        elif deed in (leaks.SHOWN, leaks.PICTURED):
            words = request.POST.get("words", "")
            if leaks.tell(leak_id=found.pk, whom=deed, words=words, by=by, now=now):
                messages.success(request, _("The message is on its way, and kept here word for word."))
            else:
                messages.error(request, _("There is no address to send it to."))
        elif deed == "close":
            leaks.close(leak_id=found.pk, outcome=request.POST.get("outcome", ""), by=by, now=now)
            messages.success(request, _("The record is closed."))
    except (leaks.NotNow, moving.CannotMove) as error:
        messages.error(request, str(error))
    return redirect("leak", public_id)


def _move(request: HttpRequest, found: Leak, *, by: Actor, now: datetime) -> None:
    target = (
        Gallery.objects.select_related("shoot__booking").filter(public_id=request.POST.get("to", "")).first()
    )
    if target is None or not rights.may_add(cast(User, request.user), target, purpose="frame"):
        raise moving.CannotMove(_("Say to which session they belong."))
    if found.photo_id is None:
        raise moving.CannotMove(_why_not(found))
    moving.move_frames(photo_ids=[found.photo_id], gallery_id=target.pk, by=by, now=now)
    messages.success(request, _("The frame went to %(code)s.") % {"code": target.shoot.code})
