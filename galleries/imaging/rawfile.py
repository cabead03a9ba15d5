"""Camera RAW through LibRaw: sides, the embedded preview, and developing without one.

LibRaw comes first and alone: Pillow would open NEF and DNG as TIFF and hand back a stamp-sized preview.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rawpy

from .containers import Data, Header, jpeg
from .limits import LIMITS, Limits
from .refusals import Refused

FUJI_MAGIC = b"FUJIFILMCCD-RAW"
PREVIEW_EDGE = 1_600
FLIPS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's flip to Exif orientation

type Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def read_fuji(data: Data, limits: Limits) -> Header:
    """RAF: preview, metadata and sensor blocks are named by offset and length at byte 84. Raises Refused."""
    if len(data) < 108:
        raise Refused("truncated")
    for at in (84, 92, 100):
        start, length = (int.from_bytes(data[p : p + 4], "big") for p in (at, at + 4))
        if start + length > len(data):
            raise Refused("truncated")
    return Header(format="raw", width=0, height=0, bits=16, codec="raf")


def _open(path: Path) -> Any:
    try:
        return rawpy.imread(str(path))
    except MemoryError:
        raise Refused("too_much_memory") from None
    except Exception as error:  # rawpy raises its own tree of LibRaw errors and plain ones
        raise Refused("damaged") from error


def with_sides(path: Path, header: Header, limits: Limits) -> Header:
    """The header with the developed picture's sides, unrotated, as LibRaw reads them. Raises Refused."""
    with _open(path) as raw:
        sizes = raw.sizes
        width, height = int(sizes.width), int(sizes.height)
        limits.check_sides(width, height)
        limits.check_sides(int(sizes.raw_width), int(sizes.raw_height))
        if sizes.flip in (5, 6):
            width, height = height, width
    return replace(header, width=width, height=height, bits=16)


def preview(path: Path) -> tuple[int, bytes] | None:
    """Orientation still to apply and the bytes of the embedded JPEG, when its long edge is at least 1600 px."""
    with _open(path) as raw:
        try:
            thumb = raw.extract_thumb()
        except Exception:  # no or unsupported thumbnail: develop instead
            return None
        flip = int(raw.sizes.flip)
        if thumb.format != rawpy.ThumbFormat.JPEG:
            return None
        packed = bytes(thumb.data)
    try:
        header = jpeg.read(packed, LIMITS)
    except Refused:
        return None
    if max(header.width, header.height) < PREVIEW_EDGE:
        return None
    return FLIPS.get(flip, 1), packed


def develop(path: Path, *, half: bool) -> Pixels:
    """Demosaic to upright 8-bit sRGB with the camera's white balance; `half` is four times cheaper.

    Shape (height, width, 3). Raises Refused.
    """
    with _open(path) as raw:
        try:
            pixels: Pixels = raw.postprocess(
                half_size=half,
                use_camera_wb=True,
                output_color=rawpy.ColorSpace.sRGB,
                output_bps=8,
                no_auto_bright=False,
            )
        except MemoryError:
            raise Refused("too_much_memory") from None
        except Exception as error:
            raise Refused("no_preview") from error
    return np.ascontiguousarray(pixels)
