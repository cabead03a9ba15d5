"""Where a person wants the cropped finals of a pick cut, and where a preset would cut them.

A crop is kept in shares of the picture it was set on and holds for every Version of the same proportions. The finals
are made with it; without one they are placed by themselves. The head that guides a preset is looked for when somebody
asks, in memory only, and not at all where the sitter's leave is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from galleries import jobs, workbench
from galleries.imaging import crop as geometry
from galleries.imaging.crop import Crop, Head, Shape
from galleries.imaging.recipes import (
    FINAL_PORTRAIT,
    FINAL_PRINT,
    FINAL_SQUARE,
    PREVIEW_PORTRAIT,
    PREVIEW_SQUARE,
    Recipe,
)
from galleries.imaging.recipes import digest as recipe_digest
from galleries.models import CropSpec, Gallery, JobKind, PickCrop, Rendition, Retouch, Version
from galleries.pictures import of
from galleries.retouching.rows import RetouchRefused, locked, may_find_face, must_be_in_work
from galleries.statuses import GalleryStatus, RetouchStatus
from studio import storage
from studio.actors import Actor
from studio.transitions import move

SHAPES: dict[str, Shape] = {FINAL_SQUARE.name: geometry.SQUARE, FINAL_PORTRAIT.name: geometry.PORTRAIT}
# of the same proportions, so they are cut alike
FOLLOWERS = {FINAL_SQUARE.name: (PREVIEW_SQUARE,), FINAL_PORTRAIT.name: (FINAL_PRINT, PREVIEW_PORTRAIT)}
SAME_PROPORTIONS = 0.01
LEAST_SIDE = 0.05  # of the picture: a crop smaller than this was a slip


@dataclass(frozen=True, slots=True)
class Place:
    """A crop in shares of the picture, 0…1; `rotation` in degrees, positive turns the picture to the left."""

    left: float
    top: float
    width: float
    height: float
    rotation: float = 0.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Where a preset puts a crop, what a person should look at, and the head it went by (shares), if one was found."""

    place: Place
    notes: tuple[str, ...]
    missing_headroom: float
    eyes: float | None = None
    crown: float | None = None
    chin: float | None = None


def crops_of(version: Version) -> dict[str, Crop]:
    """The stored crops that hold for a version, by recipe, in its pixels; for its previews as well."""
    return _by_recipe(version, PickCrop.objects.filter(retouch=version.retouch_id))


def _by_recipe(version: Version, rows: Iterable[PickCrop]) -> dict[str, Crop]:
    found: dict[str, Crop] = {}
    for row in rows:
        if _holds_for(row, version):
            crop = in_pixels(_place_of(row), version.width, version.height)
            for recipe in (row.recipe, *(follower.name for follower in FOLLOWERS[row.recipe])):
                found[recipe] = crop
    return found


def _place_of(row: PickCrop) -> Place:
    return Place(row.left, row.top, row.width, row.height, row.rotation)


def _holds_for(row: PickCrop, version: Version) -> bool:
    ratio = (version.width / version.height) / (row.picture_width / row.picture_height)
    return abs(ratio - 1) <= SAME_PROPORTIONS


def in_pixels(place: Place, width: int, height: int) -> Crop:
    """The crop in pixels of a picture of these sides, inside it whatever was rounded."""
    wide = max(1, min(width, round(place.width * width)))
    tall = max(1, min(height, round(place.height * height)))
    left = min(max(0, round(place.left * width)), width - wide)
    top = min(max(0, round(place.top * height)), height - tall)
    return Crop(left=left, top=top, width=wide, height=tall, rotation=round(place.rotation, 3))


def digests_of(versions: Iterable[Version]) -> dict[tuple[int, str], str]:
    """(version id, recipe) → the digest its file must have, for each version that has a stored crop."""
    versions = list(versions)
    rows: dict[int, list[PickCrop]] = {}
    for row in PickCrop.objects.filter(retouch__in=[version.retouch_id for version in versions]):
        rows.setdefault(row.retouch_id, []).append(row)
    return {
        (version.pk, name): recipe_digest(_RECIPES[name], {"crop": repr(crop)})
        for version in versions
        for name, crop in _by_recipe(version, rows.get(version.retouch_id, ())).items()
        if name in _RECIPES
    }


_RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe for recipe in (FINAL_SQUARE, FINAL_PORTRAIT, FINAL_PRINT)
}


# --- setting one


@transaction.atomic
def set_crop(
    *,
    retouch_id: int,
    version_id: int,
    recipe: str,
    place: Place,
    preset: str = "",
    by: Actor,
    now: datetime,
) -> PickCrop:
    """Keep where this final is cut; its proportions are the recipe's, its height follows from its width.

    An approved picture's files are made again. Raises RetouchRefused outside of the picture or of the retouching.
    """
    gallery, retouch = locked(retouch_id)
    must_be_in_work(gallery)
    version = retouch.versions.get(pk=version_id)
    if recipe not in SHAPES:
        raise RetouchRefused(_("There is no such crop."))
    place = _checked(place, SHAPES[recipe], version.width, version.height)
    row, _is_new = PickCrop.objects.update_or_create(
        retouch=retouch,
        recipe=recipe,
        defaults={
            "preset": preset[:80],
            "left": place.left,
            "top": place.top,
            "width": place.width,
            "height": place.height,
            "rotation": place.rotation,
            "picture_width": version.width,
            "picture_height": version.height,
            "set_at": now,
            "actor_kind": by.kind,
            "actor_id": by.id,
            "actor_label": by.label,
        },
    )
    _make_again(gallery, retouch, recipe, by=by, now=now)
    return row


def _checked(place: Place, shape: Shape, width: int, height: int) -> Place:
    tall = place.width * width / shape.aspect / height
    whole = Place(place.left, place.top, place.width, tall, place.rotation)
    is_inside = (
        min(whole.left, whole.top) >= -0.001
        and whole.left + whole.width <= 1.001
        and whole.top + whole.height <= 1.001
    )
    if not is_inside or min(whole.width, whole.height) < LEAST_SIDE:
        raise RetouchRefused(_("That crop does not lie inside the picture."))
    if abs(whole.rotation) > geometry.MOST_ROTATION:
        raise RetouchRefused(_("A picture is turned by three degrees at most."))
    left, top = max(0.0, whole.left), max(0.0, whole.top)
    return Place(left, top, min(whole.width, 1 - left), min(whole.height, 1 - top), whole.rotation)


@transaction.atomic
def clear_crop(*, retouch_id: int, recipe: str, by: Actor, now: datetime) -> bool:
    """Let this final be placed by itself again. False if it is already."""
    gallery, retouch = locked(retouch_id)
    must_be_in_work(gallery)
    gone, _kinds = PickCrop.objects.filter(retouch=retouch, recipe=recipe).delete()
    if gone:
        _make_again(gallery, retouch, recipe, by=by, now=now)
    return bool(gone)


def _make_again(gallery: Gallery, retouch: Retouch, recipe: str, *, by: Actor, now: datetime) -> None:
    """Forget files cut otherwise that nobody has got yet, and have an approved picture's made anew."""
    names = (recipe, *(follower.name for follower in FOLLOWERS[recipe]))
    stale = Rendition.objects.filter(version__retouch=retouch, recipe__in=names, deliveries=None)
    for rendition in stale:
        storage.delete_after_commit(storage.derived(), rendition.key)
    stale.delete()
    if retouch.status != RetouchStatus.APPROVED or retouch.approved_version is None:
        return
    if gallery.status == GalleryStatus.READY:
        move(Gallery, gallery.pk, "take_back", by=by, now=now)
    wanted = {
        "crops": sorted(f"{name} {crop!r}" for name, crop in crops_of(retouch.approved_version).items())
    }
    wanted["at"] = [now.isoformat()]  # cut back and forth, each time is work of its own
    jobs.state(JobKind.FINALS, gallery=gallery, version=retouch.approved_version, parameters=wanted, now=now)


# --- where a preset puts it


def suggest(retouch: Retouch, version: Version, recipe: str, spec: CropSpec | None = None) -> Suggestion:
    """Place a crop by the recipe's own shape or by a firm's. Looks for the head now, if that is allowed, and keeps it
    nowhere."""
    shape = SHAPES[recipe]
    if spec is not None:
        shape = Shape(shape.aspect, spec.head_share, spec.eye_line)
    head = _head(retouch, version)
    crop = geometry.place(shape, version.width, version.height, head)
    wide, tall = version.width, version.height
    place = Place(crop.left / wide, crop.top / tall, crop.width / wide, crop.height / tall, crop.rotation)
    missing = crop.missing_headroom / tall
    if head is None:
        return Suggestion(place, crop.notes, missing)
    return Suggestion(place, crop.notes, missing, head.eyes.y / tall, head.crown.y / tall, head.chin.y / tall)


def _head(retouch: Retouch, version: Version) -> Head | None:
    seen = of(retouch.pick.photo, "screen", version=version)
    if seen is None or not may_find_face(retouch.gallery):
        return None
    found = workbench.head_of(seen.key)
    return found.scaled(version.width / seen.width) if found is not None else None


CROP_NOTES: dict[str, str | Promise] = {
    "no_face": gettext_lazy("No face was found, so it is placed in the upper middle."),
    "headroom_missing": gettext_lazy(
        "There is too little air above the hair. Nothing is invented: take a wider crop, or leave it."
    ),
    "tight": gettext_lazy("The head fills nearly all of the height."),
    "off_centre": gettext_lazy("The picture ends before the head is in the middle."),
    "tilted": gettext_lazy("The head is tilted by more than the three degrees a crop levels."),
}
