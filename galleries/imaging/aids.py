"""Culling aids of one frame: how sharp the eyes are, how far open, what is clipped, and what the frame looks like.

Advice for the photographer and nothing else. A face is looked for only where that is allowed; its mesh lives for the
length of the call, and four numbers leave it. All of them mean something only beside the other frames of one shoot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips

from . import faces
from .colour import to_srgb
from .decode import bytes_of, code_of, read_pixels, require
from .faces import Face, Image
from .refusals import Refused
from .render import upright

type Plane = np.ndarray[Any, np.dtype[np.float32]]

LOOKED_AT_EDGE = 2_000  # decoding leaves at least 1.4 times that: half of a camera's 24 megapixels
EYE_PIXELS = 240.0  # the eyes' distance in which bands are measured; a nearer face is shrunk to it
FINE, MIDDLE = 1.0, 4.0  # pixels: what the finest and the next band are parted by
LIDS = ((159, 145), (386, 374))  # the middle of the upper and of the lower lid, of the left and the right eye
WHITE, BLACK = 254, 1
HASH_SIDE = 16


@dataclass(frozen=True)
class Aids:
    """`sharpness`: fine over middle band at the eyes (without a face: in the middle of the frame). `lid_gap`: lid gap
    in iris diameters, None without a face. `bright` and `dark`: clipped shares 0–1 of the face, or of the middle.
    `likeness`: 64 hexadecimal digits that differ in few bits for frames that look alike. `faces`: how many, None
    when they were not looked for.
    """

    sharpness: float
    lid_gap: float | None
    bright: float
    dark: float
    likeness: str
    faces: int | None


@dataclass(frozen=True)
class AidsOrder:
    """One frame to be looked at."""

    path: Path
    look_for_faces: bool = True


def look(order: AidsOrder) -> Aids:
    """Look at one frame. Raises Refused for a picture that cannot be read."""
    found = require(order.path)
    try:
        opened = read_pixels(found, wanted_edge=LOOKED_AT_EDGE)
        image, _ = to_srgb(opened.image, opened.icc)
        pixels = bytes_of(upright(image, opened.orientation))
    except pyvips.Error as error:
        raise Refused(code_of(str(error))) from error
    may_look = order.look_for_faces and faces.are_available()
    people = faces.find(pixels) if may_look else []
    return measure(pixels, people, count=len(people) if may_look else None)


def measure(pixels: Image, people: list[Face], *, count: int | None) -> Aids:
    """The aids from upright 8-bit sRGB pixels and the faces in them, largest first."""
    face = people[0] if people else None
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    bright, dark = _clipped(pixels, face)
    return Aids(
        sharpness=round(_sharpness(grey, face), 4),
        lid_gap=round(lid_gap(face), 4) if face else None,
        bright=round(bright, 4),
        dark=round(dark, 4),
        likeness=likeness(grey),
        faces=count,
    )


def lid_gap(face: Face) -> float:
    """How far the lids are open, in iris diameters, the mean of both eyes: a person's own measure, not a norm."""
    gaps = [
        float(np.hypot(*(face.points[upper] - face.points[lower]))) / max(iris[2], 1e-6)
        for (upper, lower), iris in zip(LIDS, face.irises, strict=True)
    ]
    return sum(gaps) / len(gaps)


def likeness(grey: Image) -> str:
    """A difference hash (16 × 16 steps from left to right) as hexadecimal digits."""
    small = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = np.packbits((small[:, 1:] > small[:, :-1]).ravel())
    return bits.tobytes().hex()


def _sharpness(grey: Image, face: Face | None) -> float:
    part = _eyes(grey, face) if face else _middle(grey)
    shrink = min(1.0, EYE_PIXELS / face.eye_distance) if face else 1.0
    if shrink < 1:
        part = cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    plane: Plane = part.astype(np.float32)
    soft: Plane = cv2.GaussianBlur(plane, (0, 0), FINE)
    softer: Plane = cv2.GaussianBlur(plane, (0, 0), MIDDLE)
    return float((plane - soft).std() / max(float((soft - softer).std()), 1e-3))


def _eyes(grey: Image, face: Face) -> Image:
    """Both eyes with their brows and the bridge of the nose."""
    (x1, y1, _), (x2, y2, _) = face.irises
    wide, tall = 0.45 * face.eye_distance, 0.30 * face.eye_distance
    return _cut(grey, min(x1, x2) - wide, min(y1, y2) - tall, max(x1, x2) + wide, max(y1, y2) + tall)


def _middle(image: Image) -> Image:
    height, width = image.shape[:2]
    return _cut(image, 0.2 * width, 0.2 * height, 0.8 * width, 0.8 * height)


def _clipped(pixels: Image, face: Face | None) -> tuple[float, float]:
    """Shares of the face (its box) that are white in some channel and black in all: a white backdrop is no mistake."""
    part = _cut(pixels, *face.box) if face else _middle(pixels)
    return float((part.max(axis=2) >= WHITE).mean()), float((part.max(axis=2) <= BLACK).mean())


def _cut(image: Image, left: float, top: float, right: float, bottom: float) -> Image:
    """A part within the picture, at least two pixels wide and tall."""
    height, width = image.shape[:2]
    x1, y1 = min(max(int(left), 0), width - 2), min(max(int(top), 0), height - 2)
    x2, y2 = max(min(int(right), width), x1 + 2), max(min(int(bottom), height), y1 + 2)
    return image[y1:y2, x1:x2]
