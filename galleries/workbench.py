"""The retoucher's workbench: what the studio asks of the imaging, and how its answers are kept.

Between the rows (`galleries.retouching`) and the pixels (`galleries.imaging`), which know nothing of each other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from galleries import jobs
from galleries.imaging import child
from galleries.imaging.metadata import Credits
from galleries.imaging.recipes import FINAL_FULL
from galleries.imaging.refusals import Refusal
from galleries.models import Guard
from galleries.workroom import workroom
from studio import storage

if TYPE_CHECKING:
    from galleries.imaging.crop import Head
    from galleries.imaging.retouch import Parameters
    from galleries.imaging.sketch import Sketch

PREVIEW_EDGE = 1400  # what a slider shows while it is dragged
MOST_SKETCHES = 4  # per web process, about 12 MB each
_sketches: "dict[tuple[str, bool], Sketch]" = {}
_sketching = Lock()
HEAT = "guard-heat"  # the guard's heat map, kept as a rendition of its Version


@dataclass(frozen=True, slots=True)
class Slider:
    """One strength a person can set: its name in the imaging, its range and where it stands by itself."""

    name: str
    label: str | Promise
    lowest: float
    highest: float
    step: float
    default: float

    @property
    def is_share(self) -> bool:
        """Shown as a percentage; the others are stops."""
        return self.lowest == 0


SLIDERS = (
    Slider("overall", gettext_lazy("Overall"), 0, 1, 0.05, 1),
    Slider("skin", gettext_lazy("Skin"), 0, 1, 0.05, 0.8),
    Slider("under_eye", gettext_lazy("Under the eyes"), 0, 1, 0.05, 1),
    Slider("blemish", gettext_lazy("Blemishes"), 0, 1, 0.05, 0.8),
    Slider("exposure", gettext_lazy("Exposure"), -1, 1, 0.05, 0),
    Slider("white_balance", gettext_lazy("White balance"), 0, 1, 0.05, 0.5),
    Slider("backdrop", gettext_lazy("Plain backdrop"), 0, 1, 0.05, 0),
)
DEFAULT_STRENGTHS = {slider.name: float(slider.default) for slider in SLIDERS}


def strengths(raw: Mapping[str, object]) -> dict[str, float]:
    """Every slider's value, each within its range, on its step; a missing one keeps its default.

    Raises ValueError for what is no number.
    """
    values = {}
    for slider in SLIDERS:
        value = float(str(raw.get(slider.name, slider.default)))
        if not math.isfinite(value):
            raise ValueError(f"{slider.name} is not a number")
        steps = round((min(max(value, slider.lowest), slider.highest) - slider.lowest) / slider.step)
        values[slider.name] = round(slider.lowest + steps * slider.step, 4) + 0.0
    return values


@dataclass(frozen=True, slots=True)
class Made:
    """A finished file at full size, and what was done to the original, in order, for the Version's record."""

    path: Path
    width: int
    height: int
    operations: list[dict[str, Any]]


def draft(
    source: Path,
    folder: Path,
    wanted: Mapping[str, float],
    *,
    may_find_face: bool,
    credits: Credits,
    cast: tuple[float, float] | None = None,
) -> Made:
    """The natural draft at full size. Without models or leave to find the face: exposure and white balance only.

    `cast` is the shoot's own; without it the frame's is measured. The first operation carries what was asked for.
    Raises jobs.JobRefused when the original cannot be read.
    """
    made = child.draft(
        source,
        folder / "draft.jpg",
        parameters=_parameters(wanted, cast),
        credits=credits,
        look_for_faces=may_find_face,
    )
    if isinstance(made, Refusal):
        raise jobs.JobRefused(_(made.sentence))
    done = [
        {"recipe": each.name, "version": each.version, "parameters": each.parameters}
        for each in made.operations
    ]
    asked = {"recipe": "draft", "version": 1, "parameters": dict(wanted), "notes": list(made.notes)}
    return Made(made.path, made.width, made.height, [asked, *done])


def _parameters(wanted: Mapping[str, float], cast: tuple[float, float] | None = None) -> "Parameters":
    from galleries.imaging.retouch import Parameters

    values: dict[str, Any] = dict(wanted)
    return Parameters(**values, cast=cast)


def shared_cast(frames: Sequence[Path], *, may_find_face: bool) -> dict[str, float]:
    """The colour cast these frames of one shoot have in common (`a`, `b`, `frames`); empty when none can be read."""
    found = child.shared_cast(frames, look_for_faces=may_find_face)
    if isinstance(found, Refusal) or not found.frame_count:
        return {}
    return {"a": found.a, "b": found.b, "frames": found.frame_count}


def untouched(source: Path, folder: Path, *, credits: Credits) -> Made:
    """The frame as photographed, at full size, only turned upright and brought to sRGB."""
    made = child.make(source, [FINAL_FULL], folder, credits=credits)
    if isinstance(made, Refusal):
        raise jobs.JobRefused(_(made.sentence))
    file = made.files[0]
    operations = [{"recipe": file.recipe, "version": file.version, "parameters": {}}]
    return Made(file.path, file.width, file.height, operations)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says of a Version: a `Guard` value, the numbers for staff, and where it found something."""

    guard: str
    report: dict[str, Any] = field(default_factory=dict)
    heat: Path | None = None


def not_measured(why: str) -> Verdict:
    """Nothing was measured, and why, in a sentence. Never the same as passed."""
    return Verdict(Guard.NOT_MEASURED, {"why": why})


def measure(before: Path, after: Path, folder: Path) -> Verdict:
    """Measure a Version against its original; both may be any file the studio has accepted."""
    heat = folder / "heat.png"
    report = child.measure(before, after, heat=heat)
    if isinstance(report, Refusal):
        return not_measured(_(report.sentence))
    facts = {
        "findings": [
            {"kind": each.kind, "value": each.value, "limit": each.limit, "is_blocking": each.is_blocking}
            for each in report.findings
        ],
        "numbers": dict(report.numbers),
        "faces": report.face_count,
        "why": str(REASONS.get(report.reason, report.reason)),
    }
    return Verdict(str(report.status), facts, heat if heat.exists() else None)


def preview(
    screen_key: str,
    wanted: Mapping[str, float],
    *,
    may_find_face: bool,
    cast: tuple[float, float] | None = None,
) -> bytes:
    """The draft at screen size as JPEG bytes, from the photo's SCREEN rendition (ours, so it is read right here).

    What each operation would change is worked out on the first call for a picture and kept in this process for the
    last few pictures; moving a slider then only adds it up.
    """
    return _sketch(screen_key, may_find_face).jpeg(_parameters(wanted, cast))


def head_of(screen_key: str) -> "Head | None":
    """The largest head on a SCREEN rendition (ours, so it is read right here), in its pixels. Kept nowhere.

    None without a face or without the models.
    """
    import numpy as np
    import pyvips

    from galleries.imaging import faces

    if not faces.are_available():
        return None
    with workroom() as room:
        source = storage.fetch_to(storage.derived(), screen_key, room)
        shown = pyvips.Image.new_from_file(str(source)).colourspace("srgb").extract_band(0, n=3)
        found = faces.find(np.ascontiguousarray(shown.numpy()))
    return found[0].head if found else None


def _sketch(screen_key: str, may_find_face: bool) -> "Sketch":
    from galleries.imaging.sketch import Sketch

    wanted = (screen_key, may_find_face)
    with _sketching:
        found = _sketches.pop(wanted, None)
        if found is None:
            with workroom() as room:
                source = storage.fetch_to(storage.derived(), screen_key, room)
                found = Sketch(source, PREVIEW_EDGE, look_for_faces=may_find_face)
        _sketches[wanted] = found  # the newest stands last
        while len(_sketches) > MOST_SKETCHES:
            del _sketches[next(iter(_sketches))]
    return found


REASONS = {
    "no_models": gettext_lazy("The face models are not installed here."),
    "no_face": gettext_lazy("No face was found in the original."),
    "small_face": gettext_lazy("The face is too small to measure."),
    "different_picture": gettext_lazy("The file does not show the same frame as the original."),
    "face_gone": gettext_lazy("The face of the original was not found in this version."),
    "hidden_skin": gettext_lazy("Too little skin can be seen to measure it."),
    "turned_away": gettext_lazy("The head is turned too far to the side to measure the face."),
    "faces_not_looked_for": gettext_lazy("This sitter's face may not be outlined, so it was not measured."),
}
GUARD_WORDS: dict[str, str | Promise] = {
    Guard.WAITING: gettext_lazy("Measuring"),
    Guard.PASSED: gettext_lazy("Passed"),
    Guard.BLOCKED: gettext_lazy("Blocks"),
    Guard.NOT_MEASURED: gettext_lazy("Not measured"),
    Guard.OVERRIDDEN: gettext_lazy("Overridden"),
}
FINDINGS = {
    "shape": gettext_lazy("Face shape moved"),
    "texture": gettext_lazy("Skin texture lost"),
    "replaced": gettext_lazy("A patch of skin is not from this picture"),
    "colour": gettext_lazy("Skin recoloured"),
    "eye_white": gettext_lazy("Eye whites lightened"),
    "outside": gettext_lazy("Something outside the face changed"),
    "turned": gettext_lazy("The file lies on its side or upside down (degrees)"),
}
NUMBERS = {
    "shape_p95": gettext_lazy("Movement, share of the eye distance (95th percentile)"),
    "texture_ratio_p10": gettext_lazy("Skin texture left (10th percentile)"),
    "texture_kept": gettext_lazy("Skin texture the same (correlation)"),
    "replaced_side": gettext_lazy("Largest foreign patch, share of the eye distance"),
    "skin_delta_l": gettext_lazy("Skin lightness beyond the picture's own curve (ΔL*)"),
    "skin_delta_e": gettext_lazy("Skin colour beyond the curve (ΔE)"),
    "eye_white_delta_l": gettext_lazy("Eye whites beyond the curve (ΔL*)"),
    "outside_share": gettext_lazy("Changed outside the face, share of the frame"),
    "iod": gettext_lazy("Distance between the eyes when it was measured, in pixels"),
    "turned": gettext_lazy("Head turned to the side, share"),
    "shape_p99": gettext_lazy("Movement, share of the eye distance (99th percentile)"),
    "shape_known": gettext_lazy("Of the face, where movement could be told"),
    "curve_shift": gettext_lazy("Light and colour of the whole picture changed (ΔE)"),
    "texture_tiles": gettext_lazy("Pieces of skin that were looked at"),
    "texture_kept_p10": gettext_lazy("Skin texture the same (10th percentile)"),
    "texture_ratio_p90": gettext_lazy("Skin texture left (90th percentile)"),
}

# What a draft notes about a frame (imaging.retouch, imaging.jobs), for whoever retouches it.
DRAFT_NOTES = {
    "no_face": gettext_lazy(
        "No face was found in this frame. Only exposure and white balance were set; retouch it by hand."
    ),
    "no_models": gettext_lazy(
        "The face models are not installed here. Only exposure and white balance were set."
    ),
    "faces_not_looked_for": gettext_lazy(
        "This sitter's face may not be outlined. Only exposure and white balance were set."
    ),
    "small_face": gettext_lazy(
        "The face is too small in this frame to retouch it by itself. Only exposure and white balance were set."
    ),
    "two_faces": gettext_lazy(
        "More than one face is in this frame, and each was retouched. Look at all of them."
    ),
    "backdrop_not_plain": gettext_lazy(
        "The backdrop is not plain enough to be evened without touching hair or clothing, so it was left alone."
    ),
    "profile_ignored": gettext_lazy("The colour profile in this file cannot be used. It was read as sRGB."),
    "adobe_rgb_by_camera": gettext_lazy(
        "This file carries no colour profile. It was read as Adobe RGB, as its camera says."
    ),
    "from_preview": gettext_lazy(
        "This frame was read from the picture its camera put into the RAW file, not from the RAW data."
    ),
}


def draft_notes(operations: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the draft noted about this frame, in words; a note that has none is shown as it stands, never dropped."""
    noted = [note for operation in operations for note in operation.get("notes", ())]
    return [str(DRAFT_NOTES.get(note, note.replace("_", " "))) for note in dict.fromkeys(noted)]


# kind → what was looked at, what it means when nothing was found, and when something was
CHECKS: dict[str, tuple[str | Promise, str | Promise, str | Promise]] = {
    "shape": (
        gettext_lazy("Face shape"),
        gettext_lazy("Nothing of the face was moved, made smaller or larger."),
        gettext_lazy("Parts of the face stand elsewhere than the camera saw them: this blocks the delivery."),
    ),
    "texture": (
        gettext_lazy("Skin texture"),
        gettext_lazy("Pores and fine lines are still there."),
        gettext_lazy("Pores and fine lines are gone or painted over: this blocks the delivery."),
    ),
    "replaced": (
        gettext_lazy("Foreign patches"),
        gettext_lazy("All of the skin is from this picture."),
        gettext_lazy("A piece of skin comes from somewhere else: this blocks the delivery."),
    ),
    "colour": (
        gettext_lazy("Skin colour"),
        gettext_lazy("The skin has the colour the picture's light gives it."),
        gettext_lazy("The skin was made lighter, darker or another colour than the rest of the picture."),
    ),
    "eye_white": (
        gettext_lazy("Eye whites"),
        gettext_lazy("The eye whites are as light as they were."),
        gettext_lazy("The eye whites were lightened beyond what is natural."),
    ),
    "outside": (
        gettext_lazy("Outside of the face"),
        gettext_lazy("Hair, clothing and backdrop are as photographed."),
        gettext_lazy("Something outside of the face changed. That is allowed, and only listed."),
    ),
}


@dataclass(frozen=True, slots=True)
class GuardCheck:
    """One thing the guard looked at, in plain words."""

    name: str
    sentence: str
    is_found: bool
    is_blocking: bool


IS_GREY = (
    "black_and_white"  # among the numbers when only the version has no colour (imaging.jobs.BLACK_AND_WHITE)
)
BLACK_AND_WHITE = gettext_lazy(
    "This version is black and white, so there is no skin colour to compare with the picture's."
)


def _findings(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What passed a limit, without what says nothing: in black and white no skin keeps its colour."""
    is_grey = IS_GREY in report.get("numbers", {})
    return [each for each in report.get("findings", ()) if not (is_grey and each["kind"] == "colour")]


def guard_checks(report: Mapping[str, Any]) -> list[GuardCheck]:
    """What was looked at and what was found, in words; empty when nothing was measured."""
    if not report.get("numbers"):
        return []
    found = {each["kind"]: each for each in _findings(report)}
    is_grey = IS_GREY in report["numbers"]
    known = [
        GuardCheck(
            str(name),
            str(BLACK_AND_WHITE if is_grey and kind == "colour" else bad if kind in found else good),
            kind in found,
            bool(found.get(kind, {}).get("is_blocking")),
        )
        for kind, (name, good, bad) in CHECKS.items()
    ]
    others = [
        GuardCheck(str(FINDINGS.get(kind, kind)), "", True, each["is_blocking"])
        for kind, each in found.items()
        if kind not in CHECKS
    ]
    return known + others


@dataclass(frozen=True, slots=True)
class GuardLine:
    """One line of the guard's report for staff: what, how much, the limit, and whether it blocks."""

    words: str
    value: str
    limit: str = ""
    is_finding: bool = False
    is_blocking: bool = False


def guard_lines(report: Mapping[str, Any]) -> list[GuardLine]:
    """The report for staff: what passed a limit first, then every number measured."""
    lines = [
        GuardLine(
            str(FINDINGS.get(found["kind"], found["kind"])),
            f"{found['value']:.3g}",
            f"{found['limit']:.3g}",
            is_finding=True,
            is_blocking=found["is_blocking"],
        )
        for found in _findings(report)
    ]
    measured = {name: value for name, value in report.get("numbers", {}).items() if name != IS_GREY}
    lines += [GuardLine(str(NUMBERS.get(name, name)), f"{value:.3g}") for name, value in measured.items()]
    return lines
