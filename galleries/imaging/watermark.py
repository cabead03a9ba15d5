"""The mark on proofs: a small line on the lower edge, or a full pattern while money is open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyvips
from PIL import Image, ImageDraw, ImageFont

EDGE, PATTERN = "edge", "pattern"
LEFT, CENTRE, RIGHT = "left", "centre", "right"
MOST_TEXT = 60
SLANT = 30  # degrees

type Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Mark:
    """What stands on a proof. `text` is usually the studio's name and the client's code; opacity 0–1; `place`
    on the lower edge: "left", "centre" or "right"."""

    text: str = "PROOF"
    opacity: float = 0.6
    place: str = RIGHT

    def __post_init__(self) -> None:
        if self.place not in (LEFT, CENTRE, RIGHT):
            raise ValueError(f"a mark stands left, centre or right, not {self.place!r}")
        if not 0 < self.opacity <= 1:
            raise ValueError("a mark's opacity lies in (0, 1]")


def apply(image: pyvips.Image, mark: Mark, style: str) -> pyvips.Image:
    """A marked copy of an 8-bit sRGB picture. Style "edge" or "pattern"."""
    text = "".join(ch for ch in mark.text if ch.isprintable())[:MOST_TEXT] or "PROOF"
    if style == EDGE:
        size = max(12, min(image.width, image.height) // 36)
        layer = _edge_layer(text, round(mark.opacity * 255), image.width, size, mark.place)
        height = layer.shape[0]
        if height >= image.height:
            return image
        top = image.height - height
        strip = _blend(image.crop(0, top, image.width, height), layer)
        return image.insert(strip, 0, top)
    if style == PATTERN:
        return _blend(image, _pattern_layer(text, round(mark.opacity * 255), image.width, image.height))
    raise ValueError(f"unknown mark style {style!r}")


def _blend(image: pyvips.Image, layer: Pixels) -> pyvips.Image:
    """image · (1 − alpha) + colour · alpha, with the layer's grey and alpha planes."""
    grey = pyvips.Image.new_from_array(
        np.ascontiguousarray(layer[:, :, 0].astype(np.uint16) * layer[:, :, 1] // 255)
    )
    rest = pyvips.Image.new_from_array(np.ascontiguousarray(255 - layer[:, :, 1]))
    return (image * rest * (1 / 255) + grey).cast("uchar").copy(interpretation="srgb")


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


@lru_cache(maxsize=16)
def _edge_layer(text: str, opacity: int, width: int, size: int, place: str) -> Pixels:
    """Grey and alpha planes of the lower edge: a soft dark ramp with the text at its place."""
    height = round(size * 2.2)
    ramp = np.linspace(0, 0.42 * opacity, height).astype(np.uint8)
    layer = np.zeros((height, width, 2), np.uint8)
    layer[:, :, 1] = ramp[:, None]
    ink = Image.new("L", (width, height), 0)
    font = _font(size)
    x, anchor = {LEFT: (size, "ls"), CENTRE: (width // 2, "ms"), RIGHT: (width - size, "rs")}[place]
    ImageDraw.Draw(ink).text((x, height - round(size * 0.75)), text, fill=255, font=font, anchor=anchor)
    return _with_ink(layer, np.asarray(ink), opacity)


@lru_cache(maxsize=4)
def _pattern_layer(text: str, opacity: int, width: int, height: int) -> Pixels:
    """Grey and alpha planes of the whole picture: the text in slanted rows, light with a dark rim.

    The text is drawn and turned once and then laid down like a stamp: a fork keeps no layer for the next picture.
    """
    size = max(18, min(width, height) // 22)
    font = _font(size)
    length = round(font.getlength(text))
    stamp = Image.new("L", (length + size, 2 * size), 0)
    ImageDraw.Draw(stamp).text((size // 2, size), text, fill=255, font=font, anchor="lm")
    turned = np.asarray(stamp.rotate(SLANT, Image.Resampling.BILINEAR, expand=True))
    shine, shade = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    for x, y in _lattice(width, height, across=length + 3 * size, down=4 * size):
        left, top = x - turned.shape[1] // 2, y - turned.shape[0] // 2
        _lay(shine, turned, left, top)
        _lay(shade, turned, left + 1, top + 1)
    layer = np.zeros((height, width, 2), np.uint8)
    layer[:, :, 1] = (shade.astype(np.uint16) * (opacity // 3) // 255).astype(np.uint8)
    return _with_ink(layer, shine, round(opacity * 0.75))


def _lattice(width: int, height: int, *, across: int, down: int) -> list[tuple[int, int]]:
    """Where stamps go: rows `down` apart, `across` within a row, every second row shifted by half, all slanted."""
    turn = math.radians(-SLANT)
    cosine, sine = math.cos(turn), math.sin(turn)
    reach = math.hypot(width, height) / 2 + across
    places = []
    for row in range(-int(reach // down) - 1, int(reach // down) + 2):
        for column in range(-int(reach // across) - 1, int(reach // across) + 2):
            u, v = (column + 0.5 * (row % 2)) * across, row * down
            places.append(
                (round(width / 2 + u * cosine - v * sine), round(height / 2 + u * sine + v * cosine))
            )
    return places


def _lay(plane: Pixels, stamp: Pixels, left: int, top: int) -> None:
    """Lay a stamp on a plane, the brighter of both; what hangs over the edge is cut off."""
    height, width = plane.shape
    x1, y1, x2, y2 = (
        max(left, 0),
        max(top, 0),
        min(left + stamp.shape[1], width),
        min(top + stamp.shape[0], height),
    )
    if x1 < x2 and y1 < y2:
        part = plane[y1:y2, x1:x2]
        np.maximum(part, stamp[y1 - top : y2 - top, x1 - left : x2 - left], out=part)


def _with_ink(layer: Pixels, ink: Pixels, opacity: int) -> Pixels:
    """White ink over the layer."""
    alpha = ink.astype(np.float32) / 255 * (opacity / 255)
    under = layer[:, :, 1].astype(np.float32) / 255
    total = alpha + under * (1 - alpha)
    grey = np.divide(alpha * 255, total, out=np.zeros_like(total), where=total > 0)
    return np.stack([grey.round(), (total * 255).round()], axis=2).astype(np.uint8)
