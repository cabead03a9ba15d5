"""The mark on proofs: a small line on the lower edge, or a full pattern while money is open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyvips
from PIL import Image, ImageDraw, ImageFont

EDGE, PATTERN = "edge", "pattern"
MOST_TEXT = 60

type Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Mark:
    """What stands on a proof. `text` is usually the studio's name and the client's code; opacity 0–1."""

    text: str = "PROOF"
    opacity: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.opacity <= 1:
            raise ValueError("a mark's opacity lies in (0, 1]")


def apply(image: pyvips.Image, mark: Mark, style: str) -> pyvips.Image:
    """A marked copy of an 8-bit sRGB picture. Style "edge" or "pattern"."""
    text = "".join(ch for ch in mark.text if ch.isprintable())[:MOST_TEXT] or "PROOF"
    if style == EDGE:
        layer = _edge_layer(
            text, round(mark.opacity * 255), image.width, max(12, min(image.width, image.height) // 36)
        )
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
def _edge_layer(text: str, opacity: int, width: int, size: int) -> Pixels:
    """Grey and alpha planes of the lower edge: a soft dark ramp with the text on the right."""
    height = round(size * 2.2)
    ramp = np.linspace(0, 0.42 * opacity, height).astype(np.uint8)
    layer = np.zeros((height, width, 2), np.uint8)
    layer[:, :, 1] = ramp[:, None]
    ink = Image.new("L", (width, height), 0)
    font = _font(size)
    ImageDraw.Draw(ink).text(
        (width - size, height - round(size * 0.75)), text, fill=255, font=font, anchor="rs"
    )
    return _with_ink(layer, np.asarray(ink), opacity)


@lru_cache(maxsize=4)
def _pattern_layer(text: str, opacity: int, width: int, height: int) -> Pixels:
    """Grey and alpha planes of the whole picture: the text in rows, slanted by 30°, light with a dark rim."""
    size = max(18, min(width, height) // 22)
    font = _font(size)
    step = round(font.getlength(text)) + 3 * size
    side = round((width**2 + height**2) ** 0.5) + 2 * step
    light, dark = Image.new("L", (side, side), 0), Image.new("L", (side, side), 0)
    light_pen, dark_pen = ImageDraw.Draw(light), ImageDraw.Draw(dark)
    for row, y in enumerate(range(0, side, 4 * size)):
        for x in range(-step * (row % 2) // 2, side, step):
            dark_pen.text((x + 1, y + 1), text, fill=255, font=font)
            light_pen.text((x, y), text, fill=255, font=font)
    box = ((side - width) // 2, (side - height) // 2)
    cut = (box[0], box[1], box[0] + width, box[1] + height)
    shine, shade = (
        np.asarray(plane.rotate(30, Image.Resampling.BILINEAR).crop(cut)) for plane in (light, dark)
    )
    layer = np.zeros((height, width, 2), np.uint8)
    layer[:, :, 1] = (shade.astype(np.uint16) * (opacity // 3) // 255).astype(np.uint8)
    return _with_ink(layer, shine, round(opacity * 0.75))


def _with_ink(layer: Pixels, ink: Pixels, opacity: int) -> Pixels:
    """White ink over the layer."""
    alpha = ink.astype(np.float32) / 255 * (opacity / 255)
    under = layer[:, :, 1].astype(np.float32) / 255
    total = alpha + under * (1 - alpha)
    grey = np.divide(alpha * 255, total, out=np.zeros_like(total), where=total > 0)
    return np.stack([grey.round(), (total * 255).round()], axis=2).astype(np.uint8)
