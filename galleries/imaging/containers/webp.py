"""WebP chunks (RIFF container, RFC 9649)."""

from __future__ import annotations

from galleries.imaging.limits import Limits
from galleries.imaging.refusals import Refused

from . import Data, Header

MAX_CHUNKS = 1_000


def read(data: Data, limits: Limits) -> Header:
    """Walk the RIFF chunks. Raises Refused for damage, truncation and animations."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Refused("truncated")
    canvas: tuple[int, int] | None = None
    coded: tuple[int, int] | None = None
    blobs: dict[bytes, bytes] = {}
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > end:
            break
        kind, length = (
            bytes(data[position : position + 4]),
            int.from_bytes(data[position + 4 : position + 8], "little"),
        )
        if position + 8 + length > end:
            raise Refused("truncated")
        body = data[position + 8 : position + 8 + length]
        if kind in (b"ANIM", b"ANMF"):
            raise Refused("several_frames")
        if kind == b"VP8X":
            canvas = _canvas(body)
        elif kind in (b"VP8 ", b"VP8L"):
            coded = _lossy(body) if kind == b"VP8 " else _lossless(body)
        elif kind in (b"EXIF", b"ICCP", b"XMP "):
            blobs[kind] = bytes(body)
        position += 8 + length + (length & 1)
    if coded is None:
        raise Refused("truncated")
    if canvas is not None and canvas != coded:
        raise Refused("damaged")
    if len(blobs.get(b"ICCP", b"")) > limits.max_profile_bytes:
        raise Refused("bomb")
    limits.check_sides(*coded)
    exif = blobs.get(b"EXIF")
    return Header(
        format="webp",
        width=coded[0],
        height=coded[1],
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        icc=blobs.get(b"ICCP"),
        xmp=blobs.get(b"XMP "),
    )


def _canvas(body: bytes) -> tuple[int, int]:
    if len(body) < 10:
        raise Refused("damaged")
    if body[0] & 0x02:
        raise Refused("several_frames")
    return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")


def _lossy(body: bytes) -> tuple[int, int]:
    if len(body) < 10 or bytes(body[3:6]) != b"\x9d\x01\x2a":
        raise Refused("damaged")
    first_partition = int.from_bytes(body[:3], "little") >> 5
    if first_partition > len(body):
        raise Refused("truncated")
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _lossless(body: bytes) -> tuple[int, int]:
    if len(body) < 5 or body[0] != 0x2F:
        raise Refused("damaged")
    bits = int.from_bytes(body[1:5], "little")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
