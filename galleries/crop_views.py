"""The crop tool: one cropped final of a pick, by preset or by hand, with the eye line and the air above the hair."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from galleries import pictures, retouching
from galleries.imaging.crop import EYE_LINE_HIGH, EYE_LINE_LOW, ROOMY
from galleries.imaging.recipes import SCREEN
from galleries.models import CropSpec, PickCrop, Retouch, Version
from galleries.retouch_views import found_retouch, wanted_version
from galleries.retouching import RetouchRefused
from galleries.retouching.crops import CROP_NOTES, SHAPES, Place, clear_crop, set_crop, suggest
from galleries.retouching.rows import IN_WORK
from studio.access import staff
from studio.forms import typed_id
from studio.models import Role

NAMES = {"square": gettext_lazy("Square · LinkedIn, Teams, Zoom"), "portrait": gettext_lazy("Portrait · 4:5")}

LIVE = {"headroom_missing"}


def _subject(request: HttpRequest, public_id: str) -> tuple[Retouch, Version, str]:
    """The pick, the version on show, and which of the cropped finals is meant."""
    retouch, _by = found_retouch(request, public_id)
    version = wanted_version(request, retouch, list(retouch.versions.order_by("-number")))
    recipe = request.GET.get("recipe") or request.POST.get("recipe") or "square"
    if version is None or recipe not in SHAPES:
        raise Http404
    return retouch, version, recipe


def _spec(request: HttpRequest) -> CropSpec | None:
    named = request.GET.get("preset") or request.POST.get("preset") or ""
    pk = typed_id(named)
    return None if pk is None else get_object_or_404(CropSpec, pk=pk, is_active=True)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def crop(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The picture with the crop on it: as a person set it, else as it would be placed."""
    retouch, version, recipe = _subject(request, public_id)
    kept = PickCrop.objects.filter(retouch=retouch, recipe=recipe).first()
    advice = suggest(retouch, version, recipe, _spec(request))
    place = advice.place
    if kept is not None and "preset" not in request.GET:
        place = Place(kept.left, kept.top, kept.width, kept.height, kept.rotation)
    context = {
        "retouch": retouch,
        "gallery": retouch.gallery,
        "photo": retouch.pick.photo,
        "version": version,
        "picture": pictures.of(retouch.pick.photo, SCREEN.name, version=version),
        "recipe": recipe,
        "shape": SHAPES[recipe],
        "names": NAMES.items(),
        "specs": CropSpec.objects.filter(is_active=True),
        "kept": kept,
        "preset": request.GET.get("preset", ""),
        "fields": _fields(place),
        "advice": advice,
        "notes": [(CROP_NOTES[note], note in LIVE) for note in advice.notes if note in CROP_NOTES],
        "may_find_face": retouching.may_find_face(retouch.gallery),
        "facts": _facts(advice.place, advice, version, recipe),
        "is_in_work": retouch.gallery.status in IN_WORK,
    }
    return render(request, "galleries/crop.html", context)


def _fields(place: Place) -> list[tuple[str, str, float, float, float, float]]:
    """What a person sets: name, label, lowest, highest, step, value; in percent of the picture, and degrees."""
    return [
        ("left", _("From the left"), 0, 100, 0.1, round(place.left * 100, 2)),
        ("top", _("From the top"), 0, 100, 0.1, round(place.top * 100, 2)),
        ("width", _("Width"), 5, 100, 0.1, round(place.width * 100, 2)),
        ("rotation", _("Turn, in degrees"), -3, 3, 0.1, round(place.rotation, 2)),
    ]


def _facts(place: Place, advice: Any, version: Version, recipe: str) -> dict[str, float | str]:
    """What the script needs: proportions, the head in shares of the height, and the limits of the guides."""
    facts: dict[str, float | str] = {
        "aspect": SHAPES[recipe].aspect * version.height / version.width,
        "low": EYE_LINE_LOW,
        "high": EYE_LINE_HIGH,
        "roomy": ROOMY,
        "pixels": version.height,
    }
    for name in ("eyes", "crown", "chin"):
        value = getattr(advice, name)
        if value is not None:
            facts[name] = round(value, 5)
    return facts


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_safe
def crop_place(request: HttpRequest, public_id: str) -> JsonResponse:
    """Where a preset puts the crop, worked out now: in percent of the picture, with what to look at."""
    retouch, version, recipe = _subject(request, public_id)
    advice = suggest(retouch, version, recipe, _spec(request))
    place = advice.place
    return JsonResponse(
        {
            "left": place.left * 100,
            "top": place.top * 100,
            "width": place.width * 100,
            "rotation": place.rotation,
            # what the guides say while the frame moves is not said twice
            "notes": [
                str(CROP_NOTES[note]) for note in advice.notes if note in CROP_NOTES and note not in LIVE
            ],
        }
    )


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def crop_save(request: HttpRequest, public_id: str) -> HttpResponse:
    """Keep the crop, or let it be placed by itself again (`clear`)."""
    retouch, version, recipe = _subject(request, public_id)
    _found, by = found_retouch(request, public_id)
    now = timezone.now()
    try:
        if "clear" in request.POST:
            clear_crop(retouch_id=retouch.pk, recipe=recipe, by=by, now=now)
            messages.success(request, _("It is placed by itself again."))
        else:
            set_crop(
                retouch_id=retouch.pk,
                version_id=version.pk,
                recipe=recipe,
                place=_posted(request),
                preset=_preset_name(request),
                by=by,
                now=now,
            )
            messages.success(request, _("Kept. The finals are cut like this."))
    except RetouchRefused as refused:
        messages.warning(request, str(refused))
    return redirect(f"{reverse('crop', args=[public_id])}?recipe={recipe}&version={version.number}")


def _preset_name(request: HttpRequest) -> str:
    spec = _spec(request)
    return spec.name if spec is not None else request.POST.get("preset", "")


def _posted(request: HttpRequest) -> Place:
    """The place of the form. Raises RetouchRefused for what is no number."""
    try:
        left, top, width = (float(request.POST.get(name, "")) / 100 for name in ("left", "top", "width"))
        rotation = float(request.POST.get("rotation") or 0)
    except ValueError as error:
        raise RetouchRefused(_("Please give numbers.")) from error
    return Place(left, top, width, 0.0, rotation)
