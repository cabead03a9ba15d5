"""TIFF 6.0 and BigTIFF directories: size, strips inside the file, pages, and camera RAW told apart from photos.

The same reader serves Exif blocks (`directories`), which are small TIFF files without pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from galleries.imaging.limits import Limits
from galleries.imaging.refusals import Refused

from . import Data, Header

TYPE_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
INTEGER_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
MAX_DIRECTORIES, MAX_ENTRIES, MAX_VALUES = 40, 2_000, 400_000

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
SUB_DIRECTORIES, SAMPLE_FORMAT, XMP, ICC, DNG_VERSION = 330, 339, 700, 34675, 50706
JPEG_OFFSET, JPEG_COUNT = 513, 514

OLD_JPEG = 6
COMPRESSIONS = {
    1: "plain",
    5: "lzw",
    OLD_JPEG: "old-jpeg",
    7: "jpeg",
    8: "deflate",
    32946: "deflate",
    32773: "packbits",
}
PHOTO_KINDS = {0, 1, 2, 3, 5, 6, 8}
SENSOR_KINDS = {32803, 34892}  # colour filter array, linear raw
RAW_MAGICS = {
    b"IIRO": "orf",
    b"IIRS": "orf",
    b"MMOR": "orf",
    b"IIU\0": "rw2",
}


@dataclass(frozen=True)
class Entry:
    """One field of a directory: where its values lie, not yet read."""

    kind: int
    count: int
    offset: int


@dataclass
class Directory:
    """One image file directory with lazy, bounded access to its values."""

    data: Data = field(repr=False)
    order: str = "<"
    entries: dict[int, Entry] = field(default_factory=dict)

    def numbers(self, tag: int) -> list[int]:
        """Integer values of a field; empty when absent. Raises Refused when they lie outside the file."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in INTEGER_CODES:
            return []
        if entry.count > MAX_VALUES:
            raise Refused("damaged")
        blob = self._bytes(entry)
        return list(struct.unpack(f"{self.order}{entry.count}{INTEGER_CODES[entry.kind]}", blob))

    def number(self, tag: int, default: int = 0) -> int:
        """The first integer value of a field."""
        values = self.numbers(tag)
        return values[0] if values else default

    def blob(self, tag: int, most: int) -> bytes | None:
        """Raw bytes of a field, or None when absent, too long or outside the file."""
        entry = self.entries.get(tag)
        if entry is None or entry.count * TYPE_SIZES[entry.kind] > most:
            return None
        try:
            return self._bytes(entry)
        except Refused:
            return None

    def _bytes(self, entry: Entry) -> bytes:
        end = entry.offset + entry.count * TYPE_SIZES[entry.kind]
        if end > len(self.data):
            raise Refused("truncated")
        return bytes(self.data[entry.offset : end])


def directories(data: Data) -> Iterator[Directory]:
    """The chain of top directories. Raises Refused for loops and directories outside the file."""
    if len(data) < 8:
        raise Refused("truncated")
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack(order + "H", data[2:4])[0] == 43
    start = _number(data, 8, order, 8) if is_big else _number(data, 4, order, 4)
    seen: set[int] = set()
    while start:
        if start in seen or len(seen) >= MAX_DIRECTORIES:
            raise Refused("damaged")
        seen.add(start)
        directory, start = read_directory(data, start, order, is_big=is_big)
        yield directory


def read_directory(data: Data, start: int, order: str, *, is_big: bool = False) -> tuple[Directory, int]:
    """One directory at an offset, and the offset of the next (0 for none). Raises Refused."""
    count_size, entry_size, pointer = (8, 20, 8) if is_big else (2, 12, 4)
    count = _number(data, start, order, count_size)
    end = start + count_size + count * entry_size
    if count > MAX_ENTRIES:
        raise Refused("damaged")
    if end > len(data):
        raise Refused("truncated")
    directory = Directory(data=data, order=order)
    for position in range(start + count_size, end, entry_size):
        tag, kind = struct.unpack(order + "HH", data[position : position + 4])
        if kind not in TYPE_SIZES:
            continue  # an unknown field type is to be skipped (TIFF 6.0, section 2)
        values = _number(data, position + 4, order, pointer)
        at = position + 4 + pointer
        if values * TYPE_SIZES[kind] > pointer:
            at = _number(data, at, order, pointer)
        directory.entries.setdefault(tag, Entry(kind=kind, count=values, offset=at))
    following = _number(data, end, order, pointer) if end + pointer <= len(data) else 0
    return directory, following


def _number(data: Data, at: int, order: str, size: int) -> int:
    if at + size > len(data):
        raise Refused("truncated")
    value: int = struct.unpack(order + {2: "H", 4: "I", 8: "Q"}[size], data[at : at + size])[0]
    return value


def read(data: Data, limits: Limits) -> Header:
    """A TIFF photo, or a camera RAW file in TIFF clothes (format "raw"). Raises Refused."""
    magic = bytes(data[:4])
    if magic in RAW_MAGICS:
        return Header(format="raw", width=0, height=0, codec=RAW_MAGICS[magic])
    pages = list(directories(data))
    if not pages:
        raise Refused("damaged")
    everything = pages + [child for page in pages for child in _children(page)]
    codec = _raw_codec(data, pages[0], everything)
    if codec:
        return _raw_header(codec, everything, len(data), limits)
    photos = [page for page in pages if not page.number(SUBFILE) & 1]
    if len(photos) > 1:
        raise Refused("several_frames")
    if not photos:
        raise Refused("damaged")
    return _photo_header(photos[0], limits)


def _children(page: Directory) -> list[Directory]:
    offsets = page.numbers(SUB_DIRECTORIES)[:MAX_DIRECTORIES]
    return [read_directory(page.data, offset, page.order)[0] for offset in offsets]


def _raw_codec(data: Data, first: Directory, everything: list[Directory]) -> str:
    if bytes(data[8:10]) == b"CR":
        return "cr2"
    if DNG_VERSION in first.entries:
        return "dng"
    if any(page.number(PHOTOMETRIC, -1) in SENSOR_KINDS for page in everything):
        return "tiff-raw"  # NEF, ARW, PEF, 3FR and relatives
    return ""


def _raw_header(codec: str, everything: list[Directory], size: int, limits: Limits) -> Header:
    """Sides of the largest image inside; every image's bytes must lie inside the file."""
    largest = (0, 0)
    for page in everything:
        for offsets, counts in (
            (STRIP_OFFSETS, STRIP_COUNTS),
            (TILE_OFFSETS, TILE_COUNTS),
            (JPEG_OFFSET, JPEG_COUNT),
        ):
            for start, count in zip(page.numbers(offsets), page.numbers(counts), strict=False):
                if start + count > size:
                    raise Refused("truncated")
        sides = (page.number(WIDTH), page.number(HEIGHT))
        largest = max(largest, sides, key=lambda pair: pair[0] * pair[1])
    if min(largest) > 0:
        limits.check_sides(*largest)
    return Header(format="raw", width=largest[0], height=largest[1], bits=16, codec=codec)


def _photo_header(page: Directory, limits: Limits) -> Header:
    width, height = page.number(WIDTH), page.number(HEIGHT)
    limits.check_sides(width, height)
    samples, depths = page.number(SAMPLES, 1), page.numbers(BITS) or [1]
    compression = page.number(COMPRESSION, 1)
    if compression not in COMPRESSIONS or page.number(PHOTOMETRIC, -1) not in PHOTO_KINDS:
        raise Refused("unsupported")
    if len(set(depths)) != 1 or depths[0] not in (8, 16) or set(page.numbers(SAMPLE_FORMAT)) - {1}:
        raise Refused("unsupported")
    if not 1 <= samples <= 5 or len(depths) not in (1, samples):
        raise Refused("damaged")
    if compression != OLD_JPEG:
        _check_pieces(page, width, height, samples, depths[0], is_plain=compression == 1)
    return Header(
        format="tiff",
        width=width,
        height=height,
        bits=depths[0],
        codec=COMPRESSIONS[compression],
        icc=page.blob(ICC, limits.max_profile_bytes),
        xmp=page.blob(XMP, limits.max_text_bytes),
    )


def _check_pieces(
    page: Directory, width: int, height: int, samples: int, depth: int, *, is_plain: bool
) -> None:
    """Every strip or tile exists, is as many as the size needs, and lies inside the file."""
    planes = samples if page.number(PLANAR, 1) == 2 else 1
    if TILE_OFFSETS in page.entries:
        across, down = page.number(TILE_WIDTH), page.number(TILE_HEIGHT)
        if across <= 0 or down <= 0 or max(across, down) > 65_536:
            raise Refused("damaged")
        wanted = -(-width // across) * -(-height // down) * planes
        offsets, counts = page.numbers(TILE_OFFSETS), page.numbers(TILE_COUNTS)
    else:
        rows = min(page.number(ROWS_PER_STRIP, height) or height, height)
        wanted = -(-height // rows) * planes
        offsets, counts = page.numbers(STRIP_OFFSETS), page.numbers(STRIP_COUNTS)
    if not offsets or len(offsets) < wanted or len(counts) < wanted:
        raise Refused("damaged")
    size = len(page.data)
    if any(start + count > size or count == 0 for start, count in zip(offsets, counts, strict=False)):
        raise Refused("truncated")
    if is_plain and sum(counts) < width * height * samples * depth // 8:
        raise Refused("truncated")
