"""JPEG markers (ITU-T T.81 Annex B): frame size, number of scans, end marker, Exif, XMP and ICC segments."""

from __future__ import annotations

import numpy as np

from galleries.imaging.limits import Limits
from galleries.imaging.refusals import Refused

from . import Data, Header

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
FRAMES_READ = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive; all Huffman
FRAMES_OTHER = {
    0xC3,
    0xC5,
    0xC6,
    0xC7,
    0xC9,
    0xCA,
    0xCB,
    0xCD,
    0xCE,
    0xCF,
}  # lossless, hierarchical, arithmetic
STANDALONE = {0x01, *range(0xD0, 0xD8)}
MAX_SEGMENTS = 5_000
WINDOW = 1 << 18  # what a core keeps at hand
IN_SCAN = np.zeros(256, bool)  # what may follow 0xFF inside a scan: stuffing, restarts, fill
IN_SCAN[[0x00, 0xFF, *range(0xD0, 0xD8)]] = True


class _Walk:
    """State gathered on the way through one file."""

    def __init__(self) -> None:
        self.width = self.height = self.scans = self.blocks = self.coded = 0
        self.components = 0
        self.progressive = False
        self.exif: bytes | None = None
        self.xmp: bytes | None = None
        self.icc_parts: dict[int, bytes] = {}
        self.icc_total = 0
        self.icc_broken = False


def read(data: Data, limits: Limits) -> Header:
    """Walk every marker up to EOI. Raises Refused for damage, truncation, odd variants and scan bombs."""
    walk = _Walk()
    position, size = 2, len(data)
    for _ in range(MAX_SEGMENTS):
        if position + 2 > size:
            raise Refused("truncated")
        if data[position] != 0xFF:
            raise Refused("damaged")
        while position < size and data[position] == 0xFF:  # fill bytes are allowed before a marker
            position += 1
        if position >= size:
            raise Refused("truncated")
        marker = data[position]
        position += 1
        if marker == EOI:
            return _header(walk, limits)
        if marker in STANDALONE:
            continue
        position = _segment(data, position, marker, walk, limits)
    raise Refused("bomb")


def _segment(data: Data, position: int, marker: int, walk: _Walk, limits: Limits) -> int:
    """Read one segment with a length; for SOS skip its coded data too. Returns the next position."""
    if position + 2 > len(data):
        raise Refused("truncated")
    end = position + int.from_bytes(data[position : position + 2], "big")
    if end < position + 2:
        raise Refused("damaged")
    if end > len(data):
        raise Refused("truncated")
    body = position + 2
    if marker in FRAMES_OTHER:
        raise Refused("unsupported")
    if marker in FRAMES_READ:
        _frame(data[body:end], marker, walk, limits)
    elif marker == 0xE1:
        _app1(data[body:end], walk)
    elif marker == 0xE2 and data[body : body + 12] == b"ICC_PROFILE\0":
        _icc_part(data[body:end], walk, limits)
    elif marker == 0xDC:
        raise Refused("unsupported")  # DNL: the height comes after the pixels
    if marker != SOS:
        return end
    return _scan(data, end, walk, limits)


def _frame(body: bytes, marker: int, walk: _Walk, limits: Limits) -> None:
    if walk.width:
        raise Refused("damaged")  # two frames in one picture
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise Refused("damaged")
    precision, count = body[0], body[5]
    if precision != 8 or count not in (1, 3, 4):
        raise Refused("unsupported")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    limits.check_sides(width, height)
    factors = [(body[7 + 3 * i] >> 4, body[7 + 3 * i] & 15) for i in range(count)]
    if not all(1 <= h <= 4 and 1 <= v <= 4 for h, v in factors):
        raise Refused("damaged")
    widest, tallest = max(h for h, _ in factors), max(v for _, v in factors)
    walk.blocks = sum(
        -(-width * h // (8 * widest)) * -(-height * v // (8 * tallest)) for h, v in factors
    )  # 8×8 blocks, partial ones counted once
    walk.width, walk.height, walk.components = width, height, count
    walk.progressive = marker == 0xC2


def _app1(body: bytes, walk: _Walk) -> None:
    if body[:6] == b"Exif\0\0" and walk.exif is None:
        walk.exif = body[6:]
    elif body[:29] == b"http://ns.adobe.com/xap/1.0/\0" and walk.xmp is None:
        walk.xmp = body[29:]


def _icc_part(body: bytes, walk: _Walk, limits: Limits) -> None:
    if len(body) < 14:
        walk.icc_broken = True
        return
    number, total = body[12], body[13]
    if not 1 <= number <= total or number in walk.icc_parts or walk.icc_total not in (0, total):
        walk.icc_broken = True
        return
    walk.icc_total = total
    walk.icc_parts[number] = body[14:]
    if sum(map(len, walk.icc_parts.values())) > limits.max_profile_bytes:
        raise Refused("bomb")


def _scan(data: Data, position: int, walk: _Walk, limits: Limits) -> int:
    if not walk.width:
        raise Refused("damaged")
    walk.scans += 1
    limits.check_scans(walk.scans, walk.width, walk.height)
    found = _next_marker(data, position)
    walk.coded += found - position
    return found


def _next_marker(data: Data, start: int) -> int:
    """Offset of the next marker that ends a scan. Raises Refused when the file ends first."""
    for at in range(start, len(data), WINDOW):
        window = np.frombuffer(data[at : at + WINDOW + 1], np.uint8)
        places = np.flatnonzero(window[:-1] == 0xFF)
        ends = places[~IN_SCAN[window[places + 1]]]
        if len(ends):
            return at + int(ends[0])
    raise Refused("truncated")


def _header(walk: _Walk, limits: Limits) -> Header:
    if not walk.scans:
        raise Refused("truncated")
    # A Huffman-coded sequential block takes at least one bit for DC and one for the end of block: less coded
    # data than that means the size was patched or the middle of the file is gone.
    if not walk.progressive and walk.coded * 8 < walk.blocks * 2:
        raise Refused("truncated")
    icc, notes = _profile(walk)
    return Header(
        format="jpeg",
        width=walk.width,
        height=walk.height,
        codec={1: "grey", 3: "colour", 4: "four-colour"}[walk.components],
        scans=walk.scans,
        exif=walk.exif,
        xmp=walk.xmp,
        icc=icc,
        notes=notes,
    )


def _profile(walk: _Walk) -> tuple[bytes | None, tuple[str, ...]]:
    if not walk.icc_parts and not walk.icc_broken:
        return None, ()
    if walk.icc_broken or len(walk.icc_parts) != walk.icc_total:
        return None, ("profile_ignored",)
    return b"".join(walk.icc_parts[number] for number in sorted(walk.icc_parts)), ()
