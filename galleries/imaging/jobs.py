"""What the child can be asked to do. Each job takes plain arguments and returns a frozen dataclass.

Runs inside the limited child only; `child.py` holds the typed calls for the rest of the program.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyvips

from . import aids, faces, guard, match, retouch, sidecar, slate
from .colour import to_srgb
from .containers import tiff
from .crop import Crop, Head
from .decode import Identified, bytes_of, code_of, read_pixels, require
from .faces import Face, Image
from .guard import GuardReport, Status
from .metadata import CaptureFacts, Credits, capture_facts, segments, with_segments
from .recipes import SCREEN, Recipe
from .refusals import Refused
from .render import Rendering, render, shrunk, upright
from .retouch import DEFAULTS, Operation, Parameters
from .watermark import Mark


@dataclass(frozen=True)
class RenderOrder:
    """Everything a rendering needs. `head` and the crops are in upright pixels of the original."""

    path: Path
    out_dir: Path
    recipes: tuple[Recipe, ...]
    credits: Credits = field(default_factory=Credits)
    mark: Mark = field(default_factory=Mark)
    head: Head | None = None
    look_for_head: bool = True
    crops: dict[str, Crop] | None = None


@dataclass(frozen=True)
class Accepted:
    """A file taken in: what it is, what the camera said, and its first renditions."""

    format: str
    codec: str
    width: int
    height: int
    facts: CaptureFacts
    rendering: Rendering
    codes: tuple[str, ...] = ()


def accept(order: RenderOrder) -> Accepted:
    """Identify, decode once, render. Sides are upright. Raises Refused."""
    found = require(order.path)
    rendering = _rendered(found, order)
    return Accepted(
        format=found.format,
        codec=found.codec,
        width=rendering.width,
        height=rendering.height,
        facts=facts_of(found),
        rendering=rendering,
        codes=_codes_in(rendering),
    )


def _codes_in(rendering: Rendering) -> tuple[str, ...]:
    """QR codes, from the picture just made that carries no mark. None are looked for where none was made."""
    plain = next((file for file in rendering.files if file.recipe == SCREEN.name), None)
    if plain is None:
        return ()
    half = 2 if max(plain.width, plain.height) >= 2 * slate.ENOUGH_EDGE else 1
    return slate.codes_in(pyvips.Image.jpegload(str(plain.path), shrink=half))


def make(order: RenderOrder) -> Rendering:
    """Render a picture that was accepted before. Raises Refused."""
    return _rendered(require(order.path), order)


def _rendered(found: Identified, order: RenderOrder) -> Rendering:
    return render(
        found,
        order.recipes,
        order.out_dir,
        credits=order.credits,
        mark=order.mark,
        head=order.head,
        look_for_head=order.look_for_head,
        crops=order.crops,
    )


def facts_of(found: Identified) -> CaptureFacts:
    """Capture facts from the Exif block; a TIFF, and RAW in TIFF clothes, is its own."""
    if found.header.exif is not None:
        return capture_facts(found.header.exif)
    with found.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        is_tiff = found.format in ("tiff", "raw") and bytes(data[:4]) not in tiff.RAW_MAGICS
        return capture_facts(data) if is_tiff else CaptureFacts()


@dataclass(frozen=True)
class LookOrder:
    """A file whose shoot is not known yet; `out` receives a small view of a picture, where one is wanted."""

    path: Path
    out: Path | None = None


@dataclass(frozen=True)
class Seen:
    """What a first look finds: a picture with its facts and the codes in it, or a sidecar with its rating.

    `camera` tells one body from another. `format` is empty for a sidecar.
    """

    format: str
    facts: CaptureFacts = field(default_factory=CaptureFacts)
    camera: str = ""
    codes: tuple[str, ...] = ()
    rating: int | None = None


def look(order: LookOrder) -> Seen:
    """Identify a file, read its facts and the codes in it. Raises Refused."""
    if sidecar.is_sidecar(order.path):
        return Seen(format="", rating=sidecar_rating(order.path))
    found = require(order.path)
    facts = facts_of(found)
    try:
        opened = read_pixels(found, wanted_edge=slate.READ_EDGE)
        image, _ = to_srgb(shrunk(opened.image, slate.READ_EDGE), opened.icc)
        image = image.copy_memory()
        codes = slate.codes_in(image)
        if order.out is not None:
            slate.write_look(upright(image, opened.orientation), order.out)
    except pyvips.Error as error:
        raise Refused(code_of(str(error))) from error
    return Seen(format=found.format, facts=facts, camera=slate.camera_of(facts), codes=codes)


def sidecar_rating(path: Path) -> int | None:
    """The rating of a sidecar. Raises Refused when it cannot be read."""
    try:
        return sidecar.rating_of(path)
    except ValueError:
        raise Refused("sidecar") from None


@dataclass(frozen=True)
class DraftOrder:
    """A draft of one picture. `edge` limits the long edge, for a preview; 0 is full size.

    `look_for_faces` off (no release signed, or the sitter objects) leaves the global corrections.
    """

    path: Path
    out: Path
    parameters: Parameters = DEFAULTS
    credits: Credits = field(default_factory=Credits)
    edge: int = 0
    quality: int = 95
    look_for_faces: bool = True


@dataclass(frozen=True)
class Drafted:
    """A draft's file and its record: the operations in order, notes (`no_face`, `no_models`, …), faces seen."""

    path: Path
    width: int
    height: int
    bytes: int
    sha256: str
    operations: tuple[Operation, ...]
    notes: tuple[str, ...]
    face_count: int


def draft(order: DraftOrder) -> Drafted:
    """Draft one picture as an sRGB JPEG. Raises Refused."""
    image, notes = upright_pixels(order.path, order.edge)
    found: list[Face] = []
    seen: tuple[str, ...] = ()
    if not order.look_for_faces:
        seen = ("faces_not_looked_for",)
    elif not faces.are_available():
        seen = ("no_models",)
    else:
        found = faces.find(image)
    done = retouch.draft(image, found, order.parameters)
    made = pyvips.Image.new_from_array(done.image).copy(interpretation="srgb")
    # Optimal Huffman tables would cost four times the encoding for a twentieth of the bytes.
    packed = made.jpegsave_buffer(Q=order.quality, keep="none", optimize_coding=False)
    packed = with_segments(packed, segments(order.credits))
    order.out.write_bytes(packed)
    own = tuple(note for note in done.notes if not (seen and note == "no_face"))
    return Drafted(
        path=order.out,
        width=made.width,
        height=made.height,
        bytes=len(packed),
        sha256=hashlib.sha256(packed).hexdigest(),
        operations=done.operations,
        notes=notes + seen + own,
        face_count=len(found),
    )


CAST_EDGE = 600


@dataclass(frozen=True)
class CastOrder:
    """Frames of one shoot whose white balance is to be one."""

    paths: tuple[Path, ...]
    look_for_faces: bool = True


@dataclass(frozen=True)
class Cast:
    """A shoot's colour cast (Δa*, Δb*), for `Parameters.cast`, and how many frames it was read from."""

    a: float
    b: float
    frame_count: int


def cast(order: CastOrder) -> Cast:
    """The cast that the frames have in common. A frame that cannot be read has no say."""
    measured = []
    for path in order.paths:
        try:
            image, _ = upright_pixels(path, CAST_EDGE)
        except Refused:
            continue
        measured.append(retouch.measured_cast(image, faces.find(image) if order.look_for_faces else []))
    a, b = retouch.shared_cast(measured)
    return Cast(a, b, len(measured))


MEASURE_EDGE = 2_000


@dataclass(frozen=True)
class MeasureOrder:
    """A final to be compared with its original; `heat`, where given, receives the heat map as a PNG."""

    before: Path
    after: Path
    heat: Path | None = None
    look_for_faces: bool = True


BLACK_AND_WHITE = "black_and_white"  # in a report's numbers: the final is, its original is not
GREY = 6  # levels between the channels of a grey pixel after a JPEG's rounding


def measure(order: MeasureOrder) -> GuardReport:
    """The guard's report; a black-and-white final of a colour original is named so. Raises Refused."""
    if not order.look_for_faces:
        return GuardReport(Status.NOT_MEASURED, reason="faces_not_looked_for")
    before, _ = upright_pixels(order.before, MEASURE_EDGE)
    after, _ = upright_pixels(order.after, MEASURE_EDGE)
    measured = guard.measure(before, after)
    report = measured.report
    if report.numbers and is_grey(after) and not is_grey(before):
        report = replace(report, numbers=report.numbers | {BLACK_AND_WHITE: 1.0})
    if order.heat is not None and measured.heat is not None:
        heat = pyvips.Image.new_from_array(np.ascontiguousarray(measured.heat)).copy(interpretation="srgb")
        order.heat.write_bytes(heat.pngsave_buffer(keep="none", compression=4))
    return report


def is_grey(image: Image) -> bool:
    """Whether a picture is black and white: no pixel of a sample has a colour beyond what JPEG leaves."""
    few = image[::8, ::8].astype(np.int16)
    return float(np.percentile(few.max(axis=-1) - few.min(axis=-1), 99.5)) <= GREY


@dataclass(frozen=True)
class MatchOrder:
    """A finished file and the frames it may have been made from."""

    path: Path
    frames: tuple[Path, ...]


@dataclass(frozen=True)
class Likeness:
    """How alike the file is to each frame, 0 to 1, in their order."""

    alike: tuple[float, ...]


def likeness(order: MatchOrder) -> Likeness:
    """Compare a finished file with frames, by structure and not by faces. Raises Refused when a file is unreadable."""
    finished = match.seen(upright_pixels(order.path, match.EDGE)[0])
    frames = (upright_pixels(path, match.EDGE)[0] for path in order.frames)
    return Likeness(tuple(match.alike(finished, match.seen(frame)) for frame in frames))


def upright_pixels(path: Path, edge: int) -> tuple[Image, tuple[str, ...]]:
    """Upright 8-bit sRGB pixels, long edge about `edge` (0: full size), and what had to be assumed. Raises Refused."""
    found = require(path)
    try:
        opened = read_pixels(found, wanted_edge=edge or None)
        image, notes = to_srgb(shrunk(opened.image, edge) if edge else opened.image, opened.icc)
        return bytes_of(upright(image, opened.orientation)), opened.notes + notes
    except pyvips.Error as error:
        raise Refused(code_of(str(error))) from error


@dataclass(frozen=True)
class Job:
    """A function of the child, the type of its order, and how much of the limits it may use."""

    run: Callable[..., object]
    order: type
    cpu_factor: float = 1.0
    cpu_extra_seconds: float = 0.0
    memory_factor: float = 1.0


JOBS: dict[str, Job] = {
    "accept": Job(accept, RenderOrder),
    "cast": Job(cast, CastOrder, cpu_factor=3.0, cpu_extra_seconds=20.0),
    "draft": Job(draft, DraftOrder, cpu_factor=3.0, cpu_extra_seconds=20.0, memory_factor=2.0),
    "likeness": Job(likeness, MatchOrder, cpu_factor=3.0, cpu_extra_seconds=30.0, memory_factor=2.0),
    "measure": Job(measure, MeasureOrder, cpu_factor=3.0, cpu_extra_seconds=20.0, memory_factor=2.0),
    "aids": Job(aids.look, aids.AidsOrder, cpu_extra_seconds=3.0),
    "look": Job(look, LookOrder),
    "make": Job(make, RenderOrder, cpu_factor=3.0, cpu_extra_seconds=20.0, memory_factor=2.0),
}
