"""Codes in a picture: the QR slate between two sittings, and the clock page of the desk.

Reads at 1600 px, from the same small decode as a preview. There a code is found down to about a sixteenth of the
picture's width, turned any way, in perspective and with little contrast; it costs 10 to 20 ms.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyvips
import zxingcpp

from .decode import bytes_of
from .metadata import CaptureFacts

READ_EDGE = 1_600
ENOUGH_EDGE = 1_000  # for frames of a chosen booking, where a slate is the exception: a tenth of the width
LOOK_EDGE = 480
ONLY_QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
MOST_CODES, MOST_LETTERS = 8, 120


def codes_in(image: pyvips.Image) -> tuple[str, ...]:
    """The texts of the QR codes in an 8-bit picture, each once, in no order that means anything."""
    grey = image.colourspace("b-w") if image.bands >= 3 else image
    grey = grey[0].cast("uchar")
    if max(grey.width, grey.height) > READ_EDGE:
        grey = grey.resize(READ_EDGE / max(grey.width, grey.height))
    pixels = np.ascontiguousarray(bytes_of(grey)[..., 0])
    found = zxingcpp.read_barcodes(pixels, formats=ONLY_QR)
    texts = {code.text[:MOST_LETTERS] for code in found if code.valid}
    return tuple(sorted(texts))[:MOST_CODES]


def camera_of(facts: CaptureFacts) -> str:
    """The camera as one can tell it from another: its model, and four letters for the body where it has a number."""
    return " · ".join(part for part in (facts.camera, facts.body) if part)[:160]


def write_look(image: pyvips.Image, out: Path) -> None:
    """A small sRGB JPEG for a person who has to say what it shows."""
    small = image.thumbnail_image(LOOK_EDGE, height=LOOK_EDGE, size="down")
    small.jpegsave(str(out), Q=78, keep="none", optimize_coding=True)
