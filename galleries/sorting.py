"""Which shoot is it? Frames of a card to shoots, by slates and by the camera's time. Pure: no clock, no queries.

Each camera is sorted by itself, in the order of its own times, so that slates work whatever its clock says. A frame
that is not clear is a Doubt with a reason, never a guess: a person says where it belongs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

BESIDE = timedelta(minutes=15)  # before the first and after the last frame of a shoot that stands alone
EARLY, LATE = (
    timedelta(minutes=30),
    timedelta(hours=1),
)  # around a shoot, for the time to agree with its slate
LONG_AFTER = timedelta(hours=2)  # beyond the length of the shoot: then a slate was probably forgotten
_PARTS = re.compile(r"(\d+)")
_CAMERA_RAW = ("cr2", "cr3", "nef", "arw", "raf", "rw2", "dng", "orf")
_PICTURE_SUFFIXES = frozenset(
    ("jpg", "jpeg", "tif", "tiff", "png", "webp", "heic", "heif", "avif", *_CAMERA_RAW)
)


@dataclass(frozen=True, slots=True)
class Span:
    """A shoot's time: planned, or as it was where somebody pressed the buttons."""

    gallery_id: int
    code: str
    begins: datetime
    ends: datetime
    is_open: bool = True  # its gallery still takes frames by itself

    def covers(
        self, instant: datetime, *, before: timedelta = timedelta(), after: timedelta = timedelta()
    ) -> bool:
        """Whether an instant lies in the half-open time, widened on both sides."""
        return self.begins - before <= instant < self.ends + after


@dataclass(frozen=True, slots=True)
class Frame:
    """A file of a card. `taken_at` is the camera's time with its offset, which is known or not."""

    pk: int
    name: str
    camera: str = ""
    taken_at: datetime | None = None
    is_clock_known: bool = False
    slates: tuple[str, ...] = ()
    is_clock: bool = False  # the photographed clock page
    is_sidecar: bool = False


@dataclass(frozen=True, slots=True)
class Belongs:
    """To this gallery, and by what: slate, time or name."""

    gallery_id: int
    by: str


@dataclass(frozen=True, slots=True)
class FileAway:
    """A slate or the clock page: no picture of anybody."""

    gallery_id: int | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Not clear: a code that says why, the likeliest gallery if there is one, and another that speaks against it."""

    code: str
    guess: int | None = None
    other: int | None = None


Verdict = Belongs | FileAway | Doubt


def sort(
    frames: Iterable[Frame], spans: Sequence[Span], *, placed: Mapping[str, set[int]] | None = None
) -> dict[int, Verdict]:
    """A verdict for every frame, by its pk. `placed`: the galleries to which pictures of a stem went before."""
    known = list(frames)
    pictures = [frame for frame in known if not frame.is_sidecar]
    verdicts: dict[int, Verdict] = {}
    for _camera, group in groupby(sorted(pictures, key=lambda one: one.camera), key=lambda one: one.camera):
        verdicts |= _sort_camera(list(group), spans)
    by_stem: dict[str, set[Verdict]] = {
        stem: {Belongs(pk, "name") for pk in galleries} for stem, galleries in (placed or {}).items()
    }
    for frame in pictures:
        verdict = verdicts[frame.pk]
        if isinstance(verdict, Belongs):
            verdict = Belongs(verdict.gallery_id, "name")
        by_stem.setdefault(stem_of(frame.name), set()).add(verdict)
    for frame in known:
        if frame.is_sidecar:
            verdicts[frame.pk] = _as_its_picture(by_stem.get(stem_of(frame.name), set()))
    return verdicts


def stem_of(name: str) -> str:
    """`IMG_1` of IMG_1.CR3, IMG_1.xmp and IMG_1.CR3.xmp, without regard to case."""
    stem, dot, suffix = name.casefold().rpartition(".")
    if not dot:
        return suffix
    inner, dot, picture = stem.rpartition(".")
    return inner if suffix == "xmp" and dot and picture in _PICTURE_SUFFIXES else stem


def in_order(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts IMG_9 before IMG_10."""
    parts = _PARTS.split(name.casefold())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part]


@dataclass(slots=True)
class _Slates:
    """What the last slate said, while walking along a camera's frames."""

    spans: Sequence[Span]
    span: Span | None = None
    shot_at: datetime | None = None
    problem: str = "before_slate"
    by_code: dict[str, Span] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_code = {span.code.upper(): span for span in self.spans}

    def take(self, frame: Frame) -> FileAway:
        self.span, self.shot_at, self.problem = None, frame.taken_at, ""
        if len(set(frame.slates)) > 1:
            self.problem = "two_slates"
        else:
            self.span = self.by_code.get(frame.slates[0])
            self.problem = "" if self.span else "strange_slate"
        return FileAway(self.span.gallery_id if self.span else None)

    def say(self, frame: Frame) -> Verdict:
        if self.span is None:
            return Doubt(self.problem, _likeliest(frame, self.spans))
        here = self.span.gallery_id
        if (
            frame.is_clock_known
            and frame.taken_at
            and not self.span.covers(frame.taken_at, before=EARLY, after=LATE)
        ):
            at_that_time = [span.gallery_id for span in self.spans if span.covers(frame.taken_at)]
            return Doubt("against_time", here, at_that_time[0] if at_that_time else None)
        if frame.taken_at and self.shot_at:
            length = self.span.ends - self.span.begins
            if frame.taken_at - self.shot_at > length + LONG_AFTER:
                return Doubt("long_after", here)
        return Belongs(here, "slate") if self.span.is_open else Doubt("finished", here)


def _sort_camera(frames: list[Frame], spans: Sequence[Span]) -> dict[int, Verdict]:
    has_times = any(frame.taken_at for frame in frames)
    lost = [frame for frame in frames if has_times and frame.taken_at is None]
    rest = [frame for frame in frames if frame.taken_at is not None or not has_times]
    rest.sort(key=lambda one: (one.taken_at.timestamp() if one.taken_at else 0.0, in_order(one.name)))
    slates = _Slates(spans)
    has_slates = any(frame.slates for frame in rest)
    verdicts: dict[int, Verdict] = {frame.pk: _without_time(frame) for frame in lost}
    for frame in rest:
        if frame.slates:
            verdicts[frame.pk] = slates.take(frame)
        elif frame.is_clock:
            verdicts[frame.pk] = FileAway()
        else:
            verdicts[frame.pk] = slates.say(frame) if has_slates else _by_time(frame, spans)
    return verdicts


def _without_time(frame: Frame) -> Verdict:
    return FileAway() if frame.slates or frame.is_clock else Doubt("no_time")


def _by_time(frame: Frame, spans: Sequence[Span]) -> Verdict:
    if frame.taken_at is None:
        return Doubt("no_time")
    guess = _likeliest(frame, spans)
    if not frame.is_clock_known:
        return Doubt("unknown_clock", guess)
    inside = [span for span in spans if span.covers(frame.taken_at)]
    if len(inside) > 1:
        return Doubt("two_at_once", inside[0].gallery_id, inside[1].gallery_id)
    beside = [span for span in spans if span.covers(frame.taken_at, before=BESIDE, after=BESIDE)]
    found = inside or beside
    if len(found) != 1:
        return Doubt("between" if found else "no_shoot", guess)
    return (
        Belongs(found[0].gallery_id, "time") if found[0].is_open else Doubt("finished", found[0].gallery_id)
    )


def _likeliest(frame: Frame, spans: Sequence[Span]) -> int | None:
    """The shoot nearest in time, within two hours."""
    if frame.taken_at is None:
        return None
    taken_at = frame.taken_at
    far = [(max(span.begins - taken_at, taken_at - span.ends, timedelta()), span) for span in spans]
    near = [(gap, span.begins, span.gallery_id) for gap, span in far if gap <= LONG_AFTER]
    return min(near)[2] if near else None


def _as_its_picture(verdicts: set[Verdict]) -> Verdict:
    """A sidecar goes where the pictures of its name go, when they agree."""
    if len(verdicts) != 1:
        return Doubt("no_picture" if not verdicts else "pictures_apart")
    return next(iter(verdicts))
