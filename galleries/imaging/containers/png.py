"""PNG chunks (W3C PNG, third edition): every CRC, the size, animation, and how far hidden text expands."""

from __future__ import annotations

import zlib

from galleries.imaging.limits import Limits
from galleries.imaging.refusals import Refused

from . import Data, Header

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 200_000
DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}  # by colour type
XMP_KEYWORD = b"XML:com.adobe.xmp"


class _Walk:
    def __init__(self) -> None:
        self.width = self.height = self.bits = self.coded = self.text = 0
        self.colour = -1
        self.has_palette = False
        self.exif: bytes | None = None
        self.icc: bytes | None = None
        self.xmp: bytes | None = None
        self.notes: tuple[str, ...] = ()


def read(data: Data, limits: Limits) -> Header:
    """Walk every chunk up to IEND. Raises Refused for damage, truncation, animations and text or profile bombs."""
    walk = _Walk()
    position, size = len(SIGNATURE), len(data)
    for number in range(MAX_CHUNKS):
        if position + 12 > size:
            raise Refused("truncated")
        length = int.from_bytes(data[position : position + 4], "big")
        kind = bytes(data[position + 4 : position + 8])
        if position + 12 + length > size:
            raise Refused("truncated")
        body = data[position + 8 : position + 8 + length]
        crc = int.from_bytes(data[position + 8 + length : position + 12 + length], "big")
        if zlib.crc32(body, zlib.crc32(kind)) != crc or (number == 0) != (kind == b"IHDR"):
            raise Refused("damaged")
        if kind == b"IEND":
            return _header(walk)
        _chunk(kind, body, walk, limits)
        position += 12 + length
    raise Refused("bomb")


def _chunk(kind: bytes, body: bytes, walk: _Walk, limits: Limits) -> None:
    if kind == b"IHDR":
        _size(body, walk, limits)
    elif kind == b"IDAT":
        walk.coded += len(body)
    elif kind == b"PLTE":
        walk.has_palette = True
    elif kind == b"acTL" and int.from_bytes(body[:4], "big") > 1:
        raise Refused("several_frames")
    elif kind == b"eXIf":
        walk.exif = body
    elif kind == b"iCCP":
        _profile(body, walk, limits)
    elif kind in (b"zTXt", b"iTXt"):
        _text(kind, body, walk, limits)
    elif not kind[0] & 0x20 and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
        raise Refused("unsupported")  # a critical chunk nobody knows


def _size(body: bytes, walk: _Walk, limits: Limits) -> None:
    if len(body) != 13:
        raise Refused("damaged")
    walk.width, walk.height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    walk.bits, walk.colour = body[8], body[9]
    if walk.bits not in DEPTHS.get(walk.colour, set()) or body[10] or body[11] or body[12] > 1:
        raise Refused("damaged")
    limits.check_sides(walk.width, walk.height)


def _expand(packed: bytes, most: int) -> bytes:
    """Inflate at most `most` bytes. Raises Refused beyond that, zlib.error for broken data."""
    inflate = zlib.decompressobj()
    text = inflate.decompress(packed, most + 1)
    if len(text) > most:
        raise Refused("bomb")
    return text


def _profile(body: bytes, walk: _Walk, limits: Limits) -> None:
    _name, _, rest = bytes(body).partition(b"\0")
    try:
        walk.icc = _expand(rest[1:], limits.max_profile_bytes)
    except zlib.error:
        walk.notes = ("profile_ignored",)


def _text(kind: bytes, body: bytes, walk: _Walk, limits: Limits) -> None:
    keyword, _, rest = bytes(body).partition(b"\0")
    if kind == b"zTXt":
        is_packed, text = True, rest[1:]
    else:
        is_packed = rest[:1] == b"\x01"
        text = rest[2:].split(b"\0", 2)[-1]
    try:
        text = _expand(text, limits.max_text_bytes) if is_packed else text
    except zlib.error:
        return  # broken text harms nobody: it is not copied anywhere
    walk.text += len(text)
    if walk.text > limits.max_text_bytes:
        raise Refused("bomb")
    if keyword == XMP_KEYWORD:
        walk.xmp = text


def _header(walk: _Walk) -> Header:
    if not walk.coded:
        raise Refused("truncated")
    if walk.colour == 3 and not walk.has_palette:
        raise Refused("damaged")
    return Header(
        format="png",
        width=walk.width,
        height=walk.height,
        bits=walk.bits,
        exif=walk.exif,
        icc=walk.icc,
        xmp=walk.xmp,
        notes=walk.notes,
    )
