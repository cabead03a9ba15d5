"""Where to crop a headshot: geometry only, no pixels.

Lengths are pixels of the upright picture, y grows downwards. The eye line of a square stands between 0.36 and
0.46 of its height, so it sits well in a circle too. Pixels are never invented: what is missing is reported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EYE_LINE_LOW, EYE_LINE_HIGH = 0.36, 0.46
MOST_ROTATION = 3.0
LEAST_ROTATION = 0.5
TIGHT_HEAD = 0.86  # a head taller than this share of the crop has no air left
ROOMY = 0.08  # air above the hair, as a share of the crop's height, below which headroom is reported missing


@dataclass(frozen=True)
class Point:
    """A place in pixels."""

    x: float
    y: float


@dataclass(frozen=True)
class Head:
    """What a crop needs to know of a head. `crown` is an estimate of the top of the hair."""

    left_eye: Point
    right_eye: Point
    chin: Point
    crown: Point

    def __post_init__(self) -> None:
        if self.chin.y <= self.crown.y:
            raise ValueError("the chin lies below the crown")

    @property
    def eyes(self) -> Point:
        """The point between the eyes."""
        return Point((self.left_eye.x + self.right_eye.x) / 2, (self.left_eye.y + self.right_eye.y) / 2)

    @property
    def height(self) -> float:
        """Crown to chin."""
        return self.chin.y - self.crown.y

    @property
    def tilt(self) -> float:
        """Degrees the eye line falls to the right (clockwise positive)."""
        first, second = sorted((self.left_eye, self.right_eye), key=lambda eye: eye.x)
        return math.degrees(math.atan2(second.y - first.y, second.x - first.x))

    def scaled(self, factor: float) -> Head:
        """The same head in a picture of another size."""
        points = (self.left_eye, self.right_eye, self.chin, self.crown)
        return Head(*(Point(point.x * factor, point.y * factor) for point in points))


@dataclass(frozen=True)
class Shape:
    """A crop's proportions: width over height, the head's share of the height, and where the eyes go."""

    aspect: float
    head_share: float
    eye_line: float

    def __post_init__(self) -> None:
        if (
            self.aspect <= 0
            or not 0 < self.head_share < 1
            or not EYE_LINE_LOW <= self.eye_line <= EYE_LINE_HIGH
        ):
            raise ValueError(
                "a shape needs a positive aspect, a head share below 1 and an eye line in its band"
            )


SQUARE = Shape(aspect=1.0, head_share=0.54, eye_line=0.42)
PORTRAIT = Shape(aspect=0.8, head_share=0.44, eye_line=0.40)


@dataclass(frozen=True)
class Crop:
    """A rectangle, turned by `rotation` degrees about its centre to level the eyes (counter-clockwise positive).

    `eye_line` is the eyes' share of the height (None without a face); `missing_headroom` is the height in pixels
    that would be needed above the picture; `notes` names what a person should look at.
    """

    left: int
    top: int
    width: int
    height: int
    rotation: float = 0.0
    eye_line: float | None = None
    missing_headroom: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or min(self.left, self.top) < 0:
            raise ValueError("a crop lies inside the picture and is not empty")
        if abs(self.rotation) > MOST_ROTATION:
            raise ValueError("a crop is turned by at most three degrees")

    def scaled(self, factor: float) -> Crop:
        """The same crop in a picture of another size."""
        return Crop(
            left=int(self.left * factor),
            top=int(self.top * factor),
            width=max(1, round(self.width * factor)),
            height=max(1, round(self.height * factor)),
            rotation=self.rotation,
            eye_line=self.eye_line,
            missing_headroom=round(self.missing_headroom * factor),
            notes=self.notes,
        )


def place(shape: Shape, width: int, height: int, head: Head | None, *, level: bool = True) -> Crop:
    """The crop of a picture of these sides: around the head, or the upper middle when no face is known."""
    if head is None or not (0 <= head.eyes.x < width and 0 < head.eyes.y < height):
        return _upper_middle(shape, width, height)
    return _around(shape, width, height, head, level=level)


def _upper_middle(shape: Shape, width: int, height: int) -> Crop:
    """As large as fits; in the middle across, a fifth of the spare height from the top. Noted `no_face`."""
    wide, tall = _fitting(shape, width, height, float(height))
    return Crop(
        left=(width - wide) // 2, top=(height - tall) // 5, width=wide, height=tall, notes=("no_face",)
    )


def _fitting(shape: Shape, width: int, height: int, tall: float) -> tuple[int, int]:
    tall = min(tall, height, width / shape.aspect)
    return max(1, min(width, math.floor(tall * shape.aspect))), max(1, math.floor(tall))


def _around(shape: Shape, width: int, height: int, head: Head, *, level: bool) -> Crop:
    eyes, wanted = head.eyes, head.height / shape.head_share
    # The band holds at top t when t is between eyes − high·s and eyes − low·s, and 0 ≤ t ≤ height − s.
    most = min(eyes.y / EYE_LINE_LOW, (height - eyes.y) / (1 - EYE_LINE_HIGH))
    wide, tall = _fitting(shape, width, height, min(wanted, most))
    ideal_top = eyes.y - shape.eye_line * tall
    top = round(
        _between(
            ideal_top,
            max(0.0, eyes.y - EYE_LINE_HIGH * tall),
            min(height - tall, eyes.y - EYE_LINE_LOW * tall),
        )
    )
    top = min(max(top, 0), height - tall)
    left = min(max(round(_middle(head) - wide / 2), 0), width - wide)
    missing = max(0, round(ROOMY * tall - (head.crown.y - top)))
    notes = []
    if missing:
        notes.append("headroom_missing")
    if head.height > TIGHT_HEAD * tall:
        notes.append("tight")
    if abs(left + wide / 2 - _middle(head)) > 0.05 * wide:
        notes.append("off_centre")
    rotation = _rotation(head, left, top, wide, tall, width, height) if level else 0.0
    if level and abs(head.tilt) > MOST_ROTATION:
        notes.append("tilted")
    return Crop(
        left=left,
        top=top,
        width=wide,
        height=tall,
        rotation=rotation,
        eye_line=round((eyes.y - top) / tall, 4),
        missing_headroom=missing,
        notes=tuple(notes),
    )


def _between(value: float, low: float, high: float) -> float:
    return max(low, min(value, high))


def _middle(head: Head) -> float:
    """Across, a head is centred between its eyes and its chin: that holds for a slightly turned face too."""
    return 0.6 * head.eyes.x + 0.4 * head.chin.x


def _rotation(head: Head, left: int, top: int, wide: int, tall: int, width: int, height: int) -> float:
    """Degrees to level the eyes, limited; 0 when the turned rectangle would leave the picture."""
    if abs(head.tilt) < LEAST_ROTATION:
        return 0.0
    turn = _between(head.tilt, -MOST_ROTATION, MOST_ROTATION)
    sine, cosine = abs(math.sin(math.radians(turn))), abs(math.cos(math.radians(turn)))
    across, down = wide * cosine + tall * sine, wide * sine + tall * cosine
    x, y = left + wide / 2, top + tall / 2
    fits = x - across / 2 >= 0 and x + across / 2 <= width and y - down / 2 >= 0 and y + down / 2 <= height
    return round(turn, 3) if fits else 0.0
