"""From bytes nobody trusts to pixels: identify by content, then open with the right reader.

Call these only inside a limited child (child.py): the header checks stop what is known to be dangerous,
the child's limits stop the rest.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from PIL import Image

from . import rawfile
from .colour import ADOBE_RGB, flattened
from .containers import Data, Header, bmff, jpeg, png, tiff, webp
from .limits import LIMITS, Limits
from .metadata import interoperability_index
from .refusals import Refusal, Refused

# Loaders that parse more than pixels (SVG, PDF, Magick …) stay shut whatever the bytes say.
pyvips.block_untrusted_set(True)
pyvips.cache_set_max(0)

SNIFF_BYTES = 64
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", *tiff.RAW_MAGICS)
STILL_BRANDS = bmff.HEIF_BRANDS | bmff.AVIF_BRANDS | bmff.SEQUENCE_BRANDS | {b"crx "}
FOREIGN = (
    (b"8BPS", "layered"),
    (b"GIF8", "gif"),
    (b"BM", "gif"),
    (b"%PDF", "document"),
    (b"%!PS", "document"),
    (b"\xc5\xd0\xd3\xc6", "document"),
    (b"<", "document"),
    (b"\xef\xbb\xbf<", "document"),
    (b"PK\x03\x04", "document"),
    (b"\x00\x00\x00\x0cJXL ", "jxl"),
    (b"\xff\x0a", "jxl"),
    (b"\x1aE\xdf\xa3", "video"),
)


@dataclass(frozen=True)
class Identified:
    """A file whose container we know and whose header is within the limits.

    Sides are as stored; `orientation` is the Exif value 1–8 still to be applied (1 when the decoder applies it).
    """

    path: Path
    format: str
    width: int
    height: int
    bits: int
    codec: str
    bytes: int
    orientation: int
    notes: tuple[str, ...]
    header: Header = field(repr=False)


@dataclass(frozen=True)
class Opened:
    """Pixels ready to be read once, before orientation and colour conversion.

    `icc` is the embedded profile or None; `notes` adds what had to be assumed.
    """

    image: pyvips.Image
    orientation: int
    icc: bytes | None
    notes: tuple[str, ...]
    full_width: int
    full_height: int


def identify(path: Path, limits: Limits = LIMITS) -> Identified | Refusal:
    """Say what a file is, by its content alone, or why it is refused."""
    try:
        return require(path, limits)
    except Refused as refused:
        return refused.refusal


def require(path: Path, limits: Limits = LIMITS) -> Identified:
    """`identify`, raising Refused."""
    try:
        size = path.stat().st_size
    except OSError:
        raise Refused("missing") from None
    if size == 0:
        raise Refused("empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        header = _reader(data[:SNIFF_BYTES])(data, limits)
        if header.format == "raw":
            header = rawfile.with_sides(path, header, limits)
        return Identified(
            path=path,
            format=header.format,
            width=header.width,
            height=header.height,
            bits=header.bits,
            codec=header.codec,
            bytes=size,
            orientation=_orientation(header, data),
            notes=header.notes,
            header=header,
        )


def _reader(start: bytes) -> Callable[[Data, Limits], Header]:
    """The container reader for the first bytes. RAW comes before TIFF inside `tiff.read`."""
    if start[:3] == b"\xff\xd8\xff":
        return jpeg.read
    if start[:8] == png.SIGNATURE:
        return png.read
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return webp.read
    if start[:4] in TIFF_STARTS:
        return tiff.read
    if start[:15] == rawfile.FUJI_MAGIC:
        return rawfile.read_fuji
    if start[4:8] == b"ftyp":
        return bmff.read
    raise Refused(next((code for magic, code in FOREIGN if start.lstrip().startswith(magic)), "unknown"))


def _orientation(header: Header, data: Data) -> int:
    """Exif orientation 1–8; anything else, or nothing, counts as upright."""
    if header.is_oriented_by_decoder or header.format == "raw":
        return 1
    block = data if header.format == "tiff" else header.exif
    if not block:
        return 1
    try:
        value = next(tiff.directories(block)).number(274, 1)
    except (Refused, StopIteration):
        return 1
    return value if 1 <= value <= 8 else 1


def open_pixels(found: Identified, *, wanted_edge: int | None = None, is_strict: bool = True) -> Opened:
    """Open for one sequential pass. With `wanted_edge` the result may be smaller, its long edge at least
    1.4 times that, so one good filter step remains (JPEG: decoding at 1/2, 1/4, 1/8). Strict reading stops at any
    warning of the JPEG decoder. Raises Refused.
    """
    try:
        return _OPENERS[found.format](found, wanted_edge, is_strict)
    except pyvips.Error as error:
        raise Refused(code_of(str(error))) from error


# What libjpeg warns of when pixels are lost. Its other warnings (stray bytes before a marker, odd scan parameters) are
# known from cameras whose pictures are whole.
LOST_PIXELS = ("premature end", "bad huffman", "instead of rst", "inconsistent progression", "bogus")


def read_pixels(found: Identified, *, wanted_edge: int | None = None) -> Opened:
    """`open_pixels`, decoded into memory and without transparency. Raises Refused, also for pixels that were lost."""
    opened = open_pixels(found, wanted_edge=wanted_edge)
    try:
        return replace(opened, image=_in_memory(opened.image))
    except pyvips.Error as error:
        message = str(error).lower()
        if "jpeg" not in message or any(words in message for words in LOST_PIXELS):
            raise Refused(code_of(message)) from error
    opened = open_pixels(found, wanted_edge=wanted_edge, is_strict=False)
    try:
        return replace(opened, image=_in_memory(opened.image))
    except pyvips.Error as error:
        raise Refused(code_of(str(error))) from error


def _in_memory(image: pyvips.Image) -> pyvips.Image:
    """The one pass over the file. The lazy image is kept alive: an array's memory is only lent to it."""
    flat = flattened(image)
    copy = flat.copy_memory()
    copy._references.extend(image._references)
    return copy


def code_of(message: str) -> str:
    """The refusal for a decoder's message."""
    text = message.lower()
    if any(
        word in text
        for word in ("out of memory", "unable to allocate", "cannot allocate", "malloc", "memory allocation")
    ):
        return "too_much_memory"
    if any(word in text for word in ("no space left", "disk full", "write error")):
        return "no_room"
    if any(word in text for word in ("premature end", "truncat", "unexpected end", "eof", "not enough")):
        return "truncated"
    return "damaged"


def _check_same(found: Identified, width: int, height: int) -> None:
    """A decoder that disagrees with the header is reading something else."""
    if sorted((width, height)) != sorted((found.width, found.height)):
        raise Refused("damaged")


def _opened(
    found: Identified, image: pyvips.Image, *, icc: bytes | None, notes: tuple[str, ...] = ()
) -> Opened:
    return Opened(
        image=image,
        orientation=found.orientation,
        icc=icc,
        notes=found.notes + notes,
        full_width=found.width,
        full_height=found.height,
    )


def shrink_for(long_edge: int, wanted_edge: int | None) -> int:
    """The largest of 1, 2, 4, 8 that still leaves 1.4 times the wanted edge."""
    if wanted_edge is None:
        return 1
    return next((by for by in (8, 4, 2) if long_edge / by >= 1.4 * wanted_edge), 1)


def _open_jpeg(found: Identified, wanted_edge: int | None, is_strict: bool) -> Opened:
    shrink = shrink_for(max(found.width, found.height), wanted_edge)
    image = pyvips.Image.jpegload(
        str(found.path), shrink=shrink, access="sequential", fail_on=_fail_on(is_strict)
    )
    icc, notes = found.header.icc, tuple[str, ...]()
    if icc is None and "profile_ignored" not in found.notes and _is_camera_adobe_rgb(found.header.exif):
        icc, notes = ADOBE_RGB, ("adobe_rgb_by_camera",)
    return _opened(found, image, icc=icc, notes=notes)


def _fail_on(is_strict: bool) -> str:
    return "warning" if is_strict else "truncated"


def _is_camera_adobe_rgb(exif: bytes | None) -> bool:
    """Cameras mark AdobeRGB without a profile by InteroperabilityIndex R03 (DCF 2.0, section 4.5.4)."""
    return exif is not None and interoperability_index(exif) == "R03"


def _open_vips(found: Identified, wanted_edge: int | None, is_strict: bool) -> Opened:
    loaders: dict[str, Callable[..., Any]] = {
        "png": pyvips.Image.pngload,
        "tiff": pyvips.Image.tiffload,
        "webp": pyvips.Image.webpload,
        "avif": pyvips.Image.heifload,
    }
    image = loaders[found.format](str(found.path), access="sequential", fail_on="truncated")
    _check_same(found, image.width, image.height)
    return _opened(found, image, icc=found.header.icc)


def _open_tiff(found: Identified, wanted_edge: int | None, is_strict: bool) -> Opened:
    if found.codec == "old-jpeg":  # libvips refuses TIFF 6.0 JPEG; Pillow reads it
        return _open_pillow(found)
    return _open_vips(found, wanted_edge, is_strict)


def _open_pillow(found: Identified) -> Opened:
    Image.MAX_IMAGE_PIXELS = LIMITS.max_pixels
    try:
        with Image.open(found.path, formats=("TIFF",)) as picture:
            _check_same(found, *picture.size)
            pixels = np.asarray(picture.convert("RGB"))
    except Refused:
        raise
    except MemoryError:
        raise Refused("too_much_memory") from None
    except Exception as error:  # Pillow's readers raise whatever their struct unpacking raises
        raise Refused(code_of(str(error))) from error
    return _opened(found, pyvips.Image.new_from_array(pixels), icc=found.header.icc)


def _open_heif(found: Identified, wanted_edge: int | None, is_strict: bool) -> Opened:
    import pi_heif

    try:
        heif = pi_heif.open_heif(found.path, convert_hdr_to_8bit=True)
        _check_same(found, *heif.size)
        pixels = np.array(heif)  # a copy: the view's memory goes with the reader
    except Refused:
        raise
    except MemoryError:
        raise Refused("too_much_memory") from None
    except Exception as error:  # libheif speaks in ValueError, RuntimeError, EOFError, SyntaxError
        raise Refused(code_of(str(error))) from error
    image = pyvips.Image.new_from_array(pixels)
    return _opened(found, image, icc=found.header.icc or heif.info.get("icc_profile"))


def _open_raw(found: Identified, wanted_edge: int | None, is_strict: bool) -> Opened:
    """The embedded preview when only a rendition up to its size is wanted, else developed."""
    preview = rawfile.preview(found.path) if wanted_edge is not None else None
    if preview is None:
        pixels = rawfile.develop(found.path, half=wanted_edge is not None)
        return _opened(found, pyvips.Image.new_from_array(pixels), icc=None)
    orientation, packed = preview
    header = jpeg.read(packed, LIMITS)
    shrink = shrink_for(max(header.width, header.height), wanted_edge)
    image = pyvips.Image.jpegload_buffer(
        packed, shrink=shrink, access="sequential", fail_on=_fail_on(is_strict)
    )
    icc = header.icc or (ADOBE_RGB if _is_camera_adobe_rgb(header.exif) else None)
    notes = ("from_preview",)
    return Opened(image, orientation, icc, found.notes + notes, header.width, header.height)


_OPENERS: dict[str, Callable[[Identified, int | None, bool], Opened]] = {
    "jpeg": _open_jpeg,
    "png": _open_vips,
    "tiff": _open_tiff,
    "webp": _open_vips,
    "avif": _open_vips,
    "heif": _open_heif,
    "raw": _open_raw,
}


def bytes_of(image: pyvips.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Pixels as an array (height, width, bands) of 8 bits."""
    return np.ndarray(
        buffer=image.write_to_memory(), dtype=np.uint8, shape=(image.height, image.width, image.bands)
    )


__all__ = [
    "Identified",
    "Opened",
    "bytes_of",
    "code_of",
    "identify",
    "open_pixels",
    "read_pixels",
    "require",
    "shrink_for",
]
