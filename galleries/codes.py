"""What stands in the QR codes that a camera photographs: a slate names a shoot, the clock page names an instant.

The texts use only letters that fit QR's small alphabet, and carry a signature, so that neither a code on somebody's
business card nor a slate of another studio decides anything.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import segno
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.safestring import SafeString, mark_safe

SLATE, CLOCK = "S", "T"
_MARK = "LK"
_SALT = "galleries.codes"
_LETTERS = 8  # 40 bits


@dataclass(frozen=True, slots=True)
class Slate:
    """From here on the frames belong to the shoot of this code."""

    code: str


@dataclass(frozen=True, slots=True)
class Clock:
    """The studio's clock, at the instant it was photographed."""

    shown_at: datetime


def slate_text(code: str) -> str:
    """The text of a shoot's slate."""
    return _signed(SLATE, code.upper())


def clock_text(now: datetime) -> str:
    """The text of the clock page at an instant, to the second."""
    return _signed(CLOCK, str(int(now.timestamp())))


def read(texts: Iterable[str]) -> tuple[list[Slate], list[Clock]]:
    """The slates and clocks among the codes of a picture; everything else is nobody's business."""
    slates: list[Slate] = []
    clocks: list[Clock] = []
    for text in texts:
        parts = text.split(":")
        if len(parts) != 4 or not constant_time_compare(text, _signed(parts[1], parts[2])):
            continue
        if parts[1] == SLATE:
            slates.append(Slate(parts[2]))
        elif parts[1] == CLOCK and parts[2].isdigit() and len(parts[2]) <= 11:
            clocks.append(Clock(datetime.fromtimestamp(int(parts[2]), tz=UTC)))
    return slates, clocks


def picture_of(text: str) -> SafeString:
    """The code as an inline SVG: high error correction, a quiet zone, dark on light whatever is around it."""
    code = segno.make(text, error="h", micro=False)
    svg = code.svg_inline(border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True)
    return mark_safe(svg)  # noqa: S308 - segno's own drawing of our own text


def _signed(kind: str, what: str) -> str:
    seal = salted_hmac(_SALT, f"{kind}:{what}", algorithm="sha256").digest()
    return f"{_MARK}:{kind}:{what}:{base64.b32encode(seal).decode()[:_LETTERS]}"
