"""The guard: each Version measured against its original, the report for staff, the words for the client."""

from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext as _

from galleries import jobs, pictures, renditions, workbench
from galleries.imaging.recipes import FINAL_FULL, GRID, PROOF, SCREEN
from galleries.models import Guard, Job, JobKind, Rendition, Retouch, Version
from galleries.renditions import clear_strays
from galleries.retouching.drafts import soften
from galleries.retouching.rows import (
    RetouchRefused,
    folder_of,
    locked,
    may_find_face,
    one_at_a_time,
    original_of,
    store_of,
)
from galleries.workroom import workroom
from studio import storage
from studio.actors import Actor

# The desk compares on SCREEN and, one to one, on FINAL_FULL; a client who looks first sees PROOF.
ON_SCREEN = (SCREEN, GRID, PROOF, FINAL_FULL)


class GuardBlocks(RetouchRefused):
    """The guard found the face's shape or the skin's texture changed, and nobody has overridden it."""


class GuardStillMeasures(RetouchRefused):
    """The version is being measured; that takes about a second."""


@jobs.handler(JobKind.MEASURE)
def measure(job: Job, now: datetime) -> None:
    """Make a Version's pictures for the screen, measure it against the original and keep the report.

    Without models, or without the sitter's leave: not measured, never passed.
    """
    version = (
        Version.objects.select_related("retouch__pick__photo", "retouch__gallery__shoot__booking__location")
        .filter(pk=job.version_id or 0)
        .first()
    )
    if version is None:
        return
    photo = version.retouch.pick.photo
    recipes = {recipe.name: recipe for recipe in (*ON_SCREEN, *pictures.client_recipes(photo.gallery))}
    renditions.ensure(photo=photo, recipes=list(recipes.values()), version=version, now=now)
    renditions.ensure(photo=photo, recipes=[SCREEN, FINAL_FULL], now=now)
    if version.guard != Guard.WAITING:
        return
    if may_find_face(version.retouch.gallery):
        _report(version, _measured(version, now=now), now=now)
    else:
        why = _("The sitter has not agreed to having their face outlined, so it was not measured.")
        _report(version, workbench.not_measured(why), now=now)


def _measured(version: Version, *, now: datetime) -> workbench.Verdict:
    original = original_of(version.retouch.pick.photo)
    with one_at_a_time(version.retouch), workroom() as room:
        clear_strays(folder_of(version.retouch))
        before = storage.fetch_to(storage.originals(), original.key, room)
        after = storage.fetch_to(store_of(version), version.key, room)
        verdict = workbench.measure(before, after, room)
        if heat_of(version) is None:
            _keep_heat(version, verdict, now=now)
    return verdict


def _keep_heat(version: Version, verdict: workbench.Verdict, *, now: datetime) -> None:
    if verdict.heat is None:
        return
    width, height = png_size(verdict.heat)
    key = storage.random_key(folder_of(version.retouch), ".png")
    kept = storage.put(storage.derived(), key, verdict.heat)
    Rendition.objects.create(
        photo=version.retouch.pick.photo,
        version=version,
        recipe=workbench.HEAT,
        recipe_version=1,
        digest="",
        key=key,
        format="png",
        width=width,
        height=height,
        size=kept.size,
        sha256=kept.sha256,
        crc32=kept.crc32,
        made_at=now,
    )


def png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file, from its first chunk (PNG specification, 11.2.1)."""
    with path.open("rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def heat_of(version: Version) -> Rendition | None:
    """Where the guard found something, as a picture for staff."""
    return Rendition.objects.filter(version=version, recipe=workbench.HEAT).first()


@transaction.atomic
def _report(version: Version, verdict: workbench.Verdict, *, now: datetime) -> None:
    if not Retouch.objects.filter(pk=version.retouch_id).exists():
        return  # the pick was taken back while this was measured
    gallery, retouch = locked(version.retouch_id)
    report = verdict.report | {"measured_at": now.isoformat()}
    is_new = Version.objects.filter(pk=version.pk, guard=Guard.WAITING).update(
        guard=verdict.guard, guard_report=report
    )
    if is_new and verdict.guard == Guard.BLOCKED:
        soften(gallery, retouch, version, now=now)


@transaction.atomic
def override(*, version_id: int, reason: str, by: Actor, now: datetime) -> Version:
    """Let a blocked Version pass, with a reason the client can read. Raises RetouchRefused without one."""
    version = Version.objects.select_for_update(of=("self",)).get(pk=version_id)
    reason = " ".join(reason.split())[:300]
    if not reason:
        raise RetouchRefused(_("Say why: the client will read “Changed at your request: …”."))
    if version.guard == Guard.OVERRIDDEN:
        return version
    if version.guard != Guard.BLOCKED:
        raise RetouchRefused(_("There is nothing to override: the guard does not block this version."))
    version.guard = Guard.OVERRIDDEN
    version.override_reason = reason
    version.override_by = str(by)
    version.save(update_fields=["guard", "override_reason", "override_by"])
    return version


def let_pass(version: Version) -> None:
    if version.guard == Guard.WAITING:
        raise GuardStillMeasures(_("This version is still being measured. Try again in a moment."))
    if version.guard == Guard.BLOCKED:
        raise GuardBlocks(
            _(
                "The guard found the face shape or the skin texture changed. Adjust it, or override with a reason."
            )
        )


def guard_words(version: Version) -> str:
    """What the client reads about a Version: words, never numbers."""
    if version.kind == Version.Kind.UNTOUCHED:
        return _("As photographed: nothing was retouched.")
    if version.guard == Guard.PASSED:
        return _(
            "Measured against the original: we found no change to your face shape; your skin keeps its texture."
        )
    if version.guard == Guard.OVERRIDDEN:
        return _("Changed at your request: %(reason)s") % {"reason": version.override_reason}
    return _("Not measured against the original.")
