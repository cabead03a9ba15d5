"""The cull view: the photographer's own look through a shoot, by keyboard, with advice beside each frame."""

import hashlib

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from galleries import culling, pictures
from galleries.choosing_views import take_mark
from galleries.culling import CullFrame, Show
from galleries.models import Gallery
from galleries.together_views import STUDIO_VERBS, gallery_for
from studio.access import staff
from studio.models import Role

POLL_SECONDS = 3
VERBS = {name: STUDIO_VERBS[name] for name in ("recommend", "unrecommend", "reject", "unreject", "rate")}


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def cull(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """One frame as large as it goes, the strip below, marks by key or touch; `?show=` narrows, `?at=` names a frame."""
    gallery, _by = gallery_for(request, public_id)
    show = _show(request)
    shown = culling.cull(gallery, show=show)
    numbers = {str(each.photo.number): each for each in shown}
    on_stage = numbers.get(request.GET.get("at", "")) or (shown[0] if shown else None)
    place = shown.index(on_stage) if on_stage else 0
    context = {
        "gallery": gallery,
        "shown": shown,
        "on_stage": on_stage,
        "place": place + 1,
        "back": shown[place - 1] if place else None,
        "on": shown[place + 1] if place + 1 < len(shown) else None,
        "tabs": _tabs(gallery, show),
        "show": show,
        "tally": _tally(shown),
        "lacking": gallery.photos.filter(aids=None).count(),
        "waiting": culling.how_many_waiting(gallery),
        "poll_seconds": POLL_SECONDS,
    }
    return render(request, "galleries/cull.html", context)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def cull_strip(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The strip again when a frame, a mark or an advice has changed (`?have=` names what the page has); else 204."""
    gallery, _by = gallery_for(request, public_id)
    show = _show(request)
    shown = culling.cull(gallery, show=show)
    tally = _tally(shown)
    if request.GET.get("have") == tally:
        return HttpResponse(status=204)
    home = reverse("cull", args=[public_id])
    context = {"gallery": gallery, "shown": shown, "tally": tally, "show": show, "base_url": home}
    return render(request, "galleries/_cull_strip.html", context)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def cull_mark(request: HttpRequest, public_id: str) -> HttpResponse:
    """One mark of the photographer. Recommended and rated frames are what is published."""
    gallery, by = gallery_for(request, public_id)
    home = reverse("cull", args=[public_id])
    back = request.POST.get("back", "")
    back = back if back.startswith(home) else home
    return take_mark(request, gallery, gallery.photos.all(), VERBS, by=by, now=timezone.now(), back=back)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_http_methods(["GET", "HEAD", "POST"])
def cull_loupe(request: HttpRequest, public_id: str) -> JsonResponse:
    """Where the frame is at full size: a POST orders it, a GET asks whether it is there (else an empty address)."""
    gallery, _by = gallery_for(request, public_id)
    named = (request.POST if request.method == "POST" else request.GET).get("photo", "")
    if not named:
        return JsonResponse({"url": ""}, status=400)
    photo = get_object_or_404(gallery.photos.select_related("gallery"), public_id=named)
    now = timezone.now()
    made = culling.ask_loupe(photo=photo, now=now) if request.method == "POST" else culling.loupe_of(photo)
    if made is None:
        return JsonResponse({"url": ""})
    return JsonResponse({"url": pictures.picture_url(made, now=now), "width": made.width})


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def cull_look(request: HttpRequest, public_id: str) -> HttpResponse:
    """Look at the frames that came before there were aids, or whose looking failed."""
    gallery, _by = gallery_for(request, public_id)
    count = culling.state_missing(gallery=gallery, now=timezone.now())
    words = ngettext("%(count)d frame is being looked at.", "%(count)d frames are being looked at.", count)
    messages.success(request, words % {"count": count})
    return redirect("cull", public_id)


def _show(request: HttpRequest) -> str:
    asked = request.GET.get("show", Show.ALL)
    return asked if asked in culling.SHOWS else Show.ALL


def _tabs(gallery: Gallery, show: str) -> list[dict[str, object]]:
    names = {
        Show.ALL: _("All"),
        Show.UNMARKED: _("Unmarked"),
        Show.RECOMMENDED: _("Recommended"),
        Show.RATED: _("Rated"),
        Show.REJECTED: _("Rejected"),
        Show.SHARP: _("Nothing stands out"),
    }
    counts = culling.counts(gallery)
    return [
        {"show": name, "label": label, "count": counts.get(name), "is_current": name == show}
        for name, label in names.items()
    ]


def _tally(shown: list[CullFrame]) -> str:
    """A short name for what the strip shows: it changes with every frame, mark and advice."""
    facts = [
        (
            each.photo.pk,
            each.frame.large.pk if each.frame.large else 0,
            each.photo.rating,
            each.photo.is_recommended,
            each.photo.is_rejected,
            each.advice,
            each.stack,
        )
        for each in shown
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
