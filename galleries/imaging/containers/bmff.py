"""ISO base media boxes (ISO/IEC 14496-12) as HEIF, AVIF and CR3 use them (ISO/IEC 23008-12).

A HEIC cut short decodes 98 % blank without an error, so every box and every item's bytes are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from galleries.imaging.limits import LIMITS, Limits
from galleries.imaging.refusals import Refused

from . import Data, Header

MAX_BOXES, MAX_ITEMS, MAX_EXTENTS = 2_000, 4_000, 20_000
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"miaf"}
AVIF_BRANDS = {b"avif"}
SEQUENCE_BRANDS = {b"hevc", b"hevx", b"hevm", b"hevs", b"avis", b"msf1"}


@dataclass(frozen=True)
class Box:
    """One box: its four-letter kind and where its body lies."""

    kind: bytes
    start: int
    end: int


@dataclass
class _Items:
    """The item tables of a `meta` box."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    sizes: list[tuple[int, int] | None] = field(default_factory=list)
    profiles: list[bytes | None] = field(default_factory=list)
    properties: dict[int, list[int]] = field(default_factory=dict)
    data_start: int = -1
    data_end: int = -1
    in_data_box: set[int] = field(default_factory=set)


def boxes(data: Data, start: int, end: int) -> Iterator[Box]:
    """Boxes between two offsets. Raises Refused when one reaches beyond the end."""
    for _ in range(MAX_BOXES):
        if start == end:
            return
        if start + 8 > end:
            raise Refused("truncated")
        size, body = int.from_bytes(data[start : start + 4], "big"), start + 8
        kind = bytes(data[start + 4 : start + 8])
        if size == 1:
            size, body = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        elif size == 0:
            size = end - start
        if size < body - start:
            raise Refused("damaged")
        if start + size > end:
            raise Refused("truncated")
        yield Box(kind=kind, start=body, end=start + size)
        start += size
    raise Refused("bomb")


def brands(data: Data) -> list[bytes]:
    """Major and compatible brands of the `ftyp` box at the start."""
    size = min(int.from_bytes(data[:4], "big"), 512, len(data))
    return [bytes(data[8:12]), *(bytes(data[at : at + 4]) for at in range(16, size - 3, 4))]


def read(data: Data, limits: Limits) -> Header:
    """A HEIF or AVIF still, or a Canon CR3 (format "raw"). Raises Refused."""
    named = brands(data)
    top = list(boxes(data, 0, len(data)))
    if named[0] == b"crx ":
        return Header(format="raw", width=0, height=0, bits=16, codec="cr3")
    if named[0] in SEQUENCE_BRANDS:
        raise Refused("several_frames")
    kind = "avif" if AVIF_BRANDS & set(named) else "heif" if HEIF_BRANDS & set(named) else ""
    if not kind:
        raise Refused("video")
    meta = next((box for box in top if box.kind == b"meta"), None)
    if meta is None:
        raise Refused("damaged")
    items = _items(data, meta)
    _check_extents(items, len(data))
    width, height = _primary_size(items)
    limits.check_sides(width, height)
    return Header(
        format=kind,
        width=width,
        height=height,
        codec=items.kinds.get(items.primary, b"").decode("ascii", "replace"),
        is_oriented_by_decoder=True,
        exif=_exif(data, items),
        icc=_profile(items, limits),
        xmp=_first(data, items, b"mime", limits.max_text_bytes),
    )


class _Reader:
    """Big-endian integers from a box body. Raises Refused beyond its end."""

    def __init__(self, data: Data, start: int, end: int) -> None:
        self.data, self.at, self.end = data, start, end

    def take(self, size: int) -> int:
        if self.at + size > self.end:
            raise Refused("damaged")
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "big")


def _items(data: Data, meta: Box) -> _Items:
    items = _Items()
    readers = {b"pitm": _read_primary, b"iinf": _read_kinds, b"iloc": _read_places, b"iprp": _read_properties}
    for box in boxes(data, meta.start + 4, meta.end):
        if box.kind == b"idat":
            items.data_start, items.data_end = box.start, box.end
        elif box.kind in readers:
            readers[box.kind](data, box, items)
    return items


def _read_primary(data: Data, box: Box, items: _Items) -> None:
    reader = _Reader(data, box.start, box.end)
    version = reader.take(4) >> 24
    items.primary = reader.take(2 if version == 0 else 4)


def _read_kinds(data: Data, box: Box, items: _Items) -> None:
    reader = _Reader(data, box.start, box.end)
    count = reader.take(2 if reader.take(4) >> 24 == 0 else 4)
    if count > MAX_ITEMS:
        raise Refused("bomb")
    for entry in boxes(data, reader.at, box.end):
        inner = _Reader(data, entry.start, entry.end)
        version = inner.take(4) >> 24
        number = inner.take(4 if version >= 3 else 2)
        inner.take(2)
        items.kinds[number] = inner.take(4).to_bytes(4, "big") if version >= 2 else b""


def _read_places(data: Data, box: Box, items: _Items) -> None:
    reader = _Reader(data, box.start, box.end)
    version = reader.take(4) >> 24
    sizes = reader.take(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    total = 0
    for _ in range(min(reader.take(2 if version < 2 else 4), MAX_ITEMS + 1)):
        number = reader.take(2 if version < 2 else 4)
        method = reader.take(2) & 15 if version in (1, 2) else 0
        reader.take(2)
        base = reader.take(base_size)
        places = []
        for _extent in range(reader.take(2)):
            reader.take(index_size)
            places.append((base + reader.take(offset_size), reader.take(length_size)))
            total += 1
        if total > MAX_EXTENTS or len(items.extents) > MAX_ITEMS:
            raise Refused("bomb")
        if method == 1:
            items.in_data_box.add(number)
        if method in (0, 1):
            items.extents[number] = places


def _read_properties(data: Data, box: Box, items: _Items) -> None:
    for inner in boxes(data, box.start, box.end):
        if inner.kind == b"ipco":
            for entry in boxes(data, inner.start, inner.end):
                _read_property(data, entry, items)
        elif inner.kind == b"ipma":
            _read_associations(data, inner, items)


def _read_property(data: Data, entry: Box, items: _Items) -> None:
    size: tuple[int, int] | None = None
    profile: bytes | None = None
    if entry.kind == b"ispe":
        reader = _Reader(data, entry.start + 4, entry.end)
        size = (reader.take(4), reader.take(4))
    elif entry.kind == b"colr" and bytes(data[entry.start : entry.start + 4]) in (b"prof", b"rICC"):
        if entry.end - entry.start > LIMITS.max_heif_profile_bytes:
            raise Refused("bomb")
        profile = bytes(data[entry.start + 4 : entry.end])
    items.sizes.append(size)
    items.profiles.append(profile)


def _read_associations(data: Data, box: Box, items: _Items) -> None:
    reader = _Reader(data, box.start, box.end)
    head = reader.take(4)
    version, is_wide = head >> 24, head & 1
    for _ in range(min(reader.take(4), MAX_ITEMS)):
        number = reader.take(2 if version < 1 else 4)
        mask = 0x7FFF if is_wide else 0x7F
        items.properties[number] = [reader.take(2 if is_wide else 1) & mask for _ in range(reader.take(1))]


def _check_extents(items: _Items, size: int) -> None:
    for number, places in items.extents.items():
        start, end = (items.data_start, items.data_end) if number in items.in_data_box else (0, size)
        if start < 0 or any(start + offset + length > end for offset, length in places):
            raise Refused("truncated")


def _primary_size(items: _Items) -> tuple[int, int]:
    """Sides of the primary item; every size named anywhere counts against the limits, so the largest is used."""
    sizes = [size for size in items.sizes if size is not None]
    if not sizes or items.primary not in items.kinds:
        raise Refused("damaged")
    own = [items.sizes[i - 1] for i in items.properties.get(items.primary, []) if 0 < i <= len(items.sizes)]
    named = [size for size in own if size is not None]
    if not named:
        raise Refused("damaged")
    return named[0]


def _first(data: Data, items: _Items, kind: bytes, most: int) -> bytes | None:
    for number, found in items.kinds.items():
        places = items.extents.get(number, [])
        if found == kind and number not in items.in_data_box and sum(length for _, length in places) <= most:
            return b"".join(bytes(data[at : at + length]) for at, length in places)
    return None


def _exif(data: Data, items: _Items) -> bytes | None:
    blob = _first(data, items, b"Exif", 1_000_000)
    if blob is None or len(blob) < 8:
        return None
    return blob[4 + int.from_bytes(blob[:4], "big") :]  # a leading offset to the TIFF header


def _profile(items: _Items, limits: Limits) -> bytes | None:
    own = [
        items.profiles[i - 1] for i in items.properties.get(items.primary, []) if 0 < i <= len(items.profiles)
    ]
    found = next((profile for profile in own if profile), None)
    return found if found and len(found) <= limits.max_profile_bytes else None
