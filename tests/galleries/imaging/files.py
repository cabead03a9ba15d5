"""Small hostile and odd files, built byte by byte, one maker per class of trouble."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image

from tests.portraits import GRACE_HOPPER


def jpeg(width: int = 64, height: int = 80, **options: object) -> bytes:
    """A small valid JPEG with something in it."""
    out = io.BytesIO()
    with Image.open(GRACE_HOPPER) as picture:
        picture.convert("RGB").resize((width, height)).save(out, "JPEG", quality=85, **options)
    return out.getvalue()


def with_sides(data: bytes, width: int, height: int) -> bytes:
    """The same JPEG with other sides in its frame header."""
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """A segment right after SOI."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def scan_bomb(scans: int, width: int = 2000, height: int = 2000) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (120, 90, 80)).save(out, "JPEG", quality=60, progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*extra: bytes, width: int = 16, height: int = 16, idat: bytes | None = None) -> bytes:
    """A grey PNG with extra chunks before its pixels."""
    rows = b"".join(b"\0" + bytes(range(width)) for _ in range(height))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows) if idat is None else idat)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + pixels + chunk(b"IEND", b"")


def tiff(entries: list[tuple[int, int, int, int]], *, following: int = 0, tail: bytes = b"") -> bytes:
    """A little-endian TIFF with one directory of (tag, type, count, value) at offset 8."""
    body = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in sorted(entries)
    )
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", following) + tail


def grey_tiff(width: int, height: int, *, at: int = 200, count: int | None = None, **options: int) -> bytes:
    """An uncompressed grey TIFF whose one strip is said to lie at `at`."""
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, options.get("bits", 8)),
        (259, 3, 1, options.get("compression", 1)),
        (262, 3, 1, options.get("photometric", 1)),
        (273, 4, 1, at),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, min(width * height, 2**31) if count is None else count),
    ]
    data = tiff(entries, following=options.get("following", 0))
    return data.ljust(at, b"\0") + bytes(min(width * height, 100_000))


def exif(entries: list[tuple[int, int, int, bytes]], order: str = "<") -> bytes:
    """An Exif block from (tag, type, count, value bytes)."""
    at = 8 + 2 + 12 * len(entries) + 4
    table, body = b"", b""
    for tag, kind, count, raw in sorted(entries):
        place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(order + "I", at + len(body))
        body += raw if len(raw) > 4 else b""
        table += struct.pack(order + "HHI", tag, kind, count) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + struct.pack(order + "H", len(entries)) + table + bytes(4) + body


def oriented(data: bytes, orientation: int) -> bytes:
    """A JPEG with an Exif orientation."""
    block = exif([(274, 3, 1, struct.pack("<H", orientation))])
    return with_segment(data, 0xE1, b"Exif\0\0" + block)


def gps_exif() -> bytes:
    """An Exif block with a camera, a serial number in the body and a GPS directory."""
    serial, latitude = b"SERIAL-4711\0", struct.pack("<6I", 59, 1, 20, 1, 30, 1)
    camera = b"Nikon Z8\0"
    entries = [(272, 2, len(camera), camera), (42033, 2, len(serial), serial), (2, 5, 3, latitude)]
    return exif(entries)


def dng(width: int = 640, height: int = 480, *, preview: bytes = b"", cut: int = 0, taken: str = "") -> bytes:
    """An uncompressed 16-bit DNG of a colour ramp (RGGB), with an embedded JPEG preview when given."""
    ys, xs = np.mgrid[0:height, 0:width]
    sensor = (400 + 3000 * xs / width + 500 * ys / height).astype("<u2")
    pixels = sensor.tobytes()
    matrix = struct.pack("<18i", *(v for n in (10000, 0, 0, 0, 10000, 0, 0, 0, 10000) for v in (n, 10000)))
    entries = [
        (254, 4, 1, struct.pack("<I", 0)),
        (256, 4, 1, struct.pack("<I", width)),
        (257, 4, 1, struct.pack("<I", height)),
        (258, 3, 1, struct.pack("<H", 16)),
        (259, 3, 1, struct.pack("<H", 1)),
        (262, 3, 1, struct.pack("<H", 32803)),
        (271, 2, 5, b"Test\0"),
        (272, 2, 7, b"Camera\0"),
        (274, 3, 1, struct.pack("<H", 1)),
        (277, 3, 1, struct.pack("<H", 1)),
        (278, 4, 1, struct.pack("<I", height)),
        (279, 4, 1, struct.pack("<I", len(pixels))),
        (33421, 3, 2, struct.pack("<HH", 2, 2)),
        (33422, 1, 4, bytes([0, 1, 1, 2])),
        (50706, 1, 4, bytes([1, 4, 0, 0])),
        (50708, 2, 12, b"Test Camera\0"),
        (50714, 4, 1, struct.pack("<I", 0)),
        (50717, 4, 1, struct.pack("<I", 4095)),
        (50721, 10, 9, matrix),
        (50778, 3, 1, struct.pack("<H", 21)),
    ]
    if taken:  # DateTime of the first directory, which cameras write beside the one in the Exif directory
        entries.append((306, 2, 20, taken.encode() + b"\0"))
    if preview:
        entries.append((330, 4, 1, b"SUBD"))
    at = len(exif([*entries, (273, 4, 1, bytes(4))]))
    start = at + (at & 1)
    child = b""
    if preview:
        sub = start + len(pixels)
        child = _preview_directory(preview, sub)
        entries = [entry if entry[0] != 330 else (330, 4, 1, struct.pack("<I", sub)) for entry in entries]
    data = exif([*entries, (273, 4, 1, struct.pack("<I", start))]).ljust(start, b"\0") + pixels + child
    whole: bytes = data[: len(data) - cut]
    return whole


def _preview_directory(preview: bytes, at: int) -> bytes:
    with Image.open(io.BytesIO(preview)) as picture:
        width, height = picture.size
    entries = [
        (254, 4, 1, 1),
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 7),
        (262, 3, 1, 6),
        (273, 4, 1, at + 2 + 12 * 10 + 4),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(preview)),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + table + bytes(4) + preview


def ramp_tiff(path: Path, bits: int = 16) -> Path:
    """A colour ramp as a TIFF of 8 or 16 bits."""
    ramp = np.zeros((120, 160, 3), np.uint16 if bits == 16 else np.uint8)
    ramp[:] = (np.linspace(0, 1, 160)[None, :, None] * (65535 if bits == 16 else 255)).astype(ramp.dtype)
    image = pyvips.Image.new_from_array(ramp).copy(interpretation="rgb16" if bits == 16 else "srgb")
    image.tiffsave(str(path), compression="lzw")
    return path
