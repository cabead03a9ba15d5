"""What a camera wrote, read with care; what a rendition carries, written from an allow-list.

Read: capture time, camera, lens, exposure, and four letters that tell two bodies of a model apart. Never kept: GPS,
serial numbers, owner, thumbnails.
Written: creator, copyright, credit, usage terms and the no-training mark; nothing is copied over.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from xml.sax.saxutils import escape

from .colour import SRGB
from .containers import Data
from .containers.tiff import Directory, directories, read_directory
from .refusals import Refused

MAKE, MODEL, ORIENTATION, MODIFIED = 271, 272, 274, 306
EXIF_DIRECTORY, INTEROP_DIRECTORY = 34665, 40965
EXPOSURE_TIME, F_NUMBER, ISO, TAKEN, FOCAL_LENGTH = 33434, 33437, 34855, 36867, 37386
OFFSET_TAKEN, SUBSECONDS_TAKEN, SERIAL, LENS = 36881, 37521, 42033, 42036
TEXT_BYTES = 256
STAMP = re.compile(r"(\d{4})[:\-/](\d{2})[:\-/](\d{2})[ T](\d{2}):(\d{2}):(\d{2})")
OFFSET = re.compile(r"([+-])(\d{2}):(\d{2})")
NO_TRAINING = "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING"


@dataclass(frozen=True)
class CaptureFacts:
    """What the camera said. `captured_at` is naive camera time unless the camera wrote its UTC offset.

    `exposure_seconds`, `focal_length_mm` and `f_number` are numbers; None where absent or impossible.
    """

    captured_at: datetime | None = None
    camera: str = ""
    lens: str = ""
    exposure_seconds: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length_mm: float | None = None
    orientation: int = 1
    body: str = ""


@dataclass(frozen=True)
class Credits:
    """The only texts a rendition may carry. Empty ones are left out; the no-training mark is always written."""

    creator: str = ""
    copyright: str = ""
    credit: str = ""
    usage_terms: str = ""


def capture_facts(exif: Data | None) -> CaptureFacts:
    """Read an Exif block (or a whole TIFF or TIFF-like RAW). Damage yields fewer facts, never an error."""
    directory = _first(exif)
    if exif is None or directory is None:
        return CaptureFacts()
    detail = _child(exif, directory, EXIF_DIRECTORY) or Directory(data=exif)
    make, model = _text(directory, MAKE), _text(directory, MODEL)
    iso = _integer(detail, ISO)
    return CaptureFacts(
        captured_at=_captured_at(directory, detail),
        camera=model if model.lower().startswith(make.lower().split(" ")[0]) else f"{make} {model}".strip(),
        lens=_text(detail, LENS),
        exposure_seconds=_ratio(detail, EXPOSURE_TIME, 100_000),
        f_number=_ratio(detail, F_NUMBER, 1_000),
        iso=iso if iso and iso < 10_000_000 else None,
        focal_length_mm=_ratio(detail, FOCAL_LENGTH, 10_000),
        orientation=_orientation(directory),
        body=_body(_text(detail, SERIAL)),
    )


def _body(serial: str) -> str:
    """Four letters of the serial number's digest: enough for a studio's cameras, too few to find the number again."""
    return hashlib.sha256(serial.encode()).hexdigest()[:4] if serial else ""


def interoperability_index(exif: Data) -> str:
    """ "R98" for sRGB, "R03" for Adobe RGB, "" when absent or unreadable."""
    directory = _first(exif)
    detail = _child(exif, directory, EXIF_DIRECTORY) if directory else None
    interop = _child(exif, detail, INTEROP_DIRECTORY) if detail else None
    return _text(interop, 1) if interop else ""


def _first(exif: Data | None) -> Directory | None:
    if exif is None or bytes(exif[:2]) not in (b"II", b"MM"):
        return None
    try:
        return next(directories(exif), None)
    except (Refused, struct.error, KeyError):
        return None


def _child(exif: Data, parent: Directory, tag: int) -> Directory | None:
    try:
        start = parent.number(tag)
        return read_directory(exif, start, parent.order)[0] if start else None
    except (Refused, struct.error, KeyError):
        return None


def _orientation(directory: Directory) -> int:
    value = _integer(directory, ORIENTATION)
    return value if value is not None and 1 <= value <= 8 else 1


def _integer(directory: Directory, tag: int) -> int | None:
    try:
        values = directory.numbers(tag)
    except (Refused, struct.error):
        return None
    return values[0] if values else None


def _text(directory: Directory, tag: int) -> str:
    raw = directory.blob(tag, TEXT_BYTES)
    if raw is None:
        return ""
    text = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
    return " ".join("".join(ch for ch in text if ch.isprintable()).split())


def _ratio(directory: Directory, tag: int, most: float) -> float | None:
    raw = directory.blob(tag, 8)
    if raw is None or len(raw) != 8:
        return None
    over, under = struct.unpack(directory.order + "II", raw)
    value = over / under if under else 0.0
    return value if 0 < value <= most else None


def _captured_at(directory: Directory, detail: Directory) -> datetime | None:
    match = STAMP.match(_text(detail, TAKEN) or _text(directory, MODIFIED))
    if match is None:
        return None
    fraction = re.match(r"\d{1,6}", _text(detail, SUBSECONDS_TAKEN))
    micro = int(fraction.group().ljust(6, "0")) if fraction else 0
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, micro, tzinfo=_zone(detail))
    except ValueError:
        return None


def _zone(detail: Directory) -> timezone | None:
    match = OFFSET.fullmatch(_text(detail, OFFSET_TAKEN))
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    return timezone(offset) if abs(offset) <= timedelta(hours=14) else None


# --- writing


def segments(credits: Credits) -> bytes:
    """The APP1 Exif, APP1 XMP and APP2 ICC segments of a rendition, to stand right after SOI and JFIF."""
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet(credits)
    icc = b"ICC_PROFILE\0\x01\x01" + SRGB
    return _segment(0xE1, b"Exif\0\0" + exif_block(credits)) + _segment(0xE1, xmp) + _segment(0xE2, icc)


def _segment(marker: int, body: bytes) -> bytes:
    if len(body) > 65_533:
        raise ValueError("a JPEG segment holds at most 65,533 bytes")
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def exif_block(credits: Credits) -> bytes:
    """A fresh Exif block: artist, copyright, colour space sRGB. UTF-8, as Exif 3.0 allows."""
    texts = {315: credits.creator[:500], 33432: credits.copyright[:500]}
    fields = [(tag, text.encode() + b"\0") for tag, text in sorted(texts.items()) if text]
    count = len(fields) + 1
    at = 8 + 2 + 12 * count + 4
    entries, body = b"", b""
    for tag, raw in fields:
        entries += _text_entry(tag, raw, at + len(body))
        body += raw + bytes(len(raw) % 2) if len(raw) > 4 else b""
    exif_at = at + len(body)
    entries += struct.pack(">HHII", EXIF_DIRECTORY, 4, 1, exif_at)
    detail = struct.pack(">H", 1) + struct.pack(">HHIHH", 40961, 3, 1, 1, 0) + bytes(4)
    return b"MM\0*" + struct.pack(">IH", 8, count) + entries + bytes(4) + body + detail


def _text_entry(tag: int, raw: bytes, at: int) -> bytes:
    place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(">I", at)
    return struct.pack(">HHI", tag, 2, len(raw)) + place


def xmp_packet(credits: Credits) -> bytes:
    """An XMP packet with the allow-list: Dublin Core, Photoshop credit, usage terms, PLUS data mining."""
    parts = [f"<plus:DataMining>{NO_TRAINING}</plus:DataMining>"]
    if credits.creator:
        parts.append(f"<dc:creator><rdf:Seq><rdf:li>{_xml(credits.creator)}</rdf:li></rdf:Seq></dc:creator>")
    if credits.copyright:
        parts.append(f"<dc:rights>{_alternative(credits.copyright)}</dc:rights>")
        parts.append("<xmpRights:Marked>True</xmpRights:Marked>")
    if credits.credit:
        parts.append(f"<photoshop:Credit>{_xml(credits.credit)}</photoshop:Credit>")
    if credits.usage_terms:
        parts.append(f"<xmpRights:UsageTerms>{_alternative(credits.usage_terms)}</xmpRights:UsageTerms>")
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"'
        ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/">'
        f'{"".join(parts)}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def _xml(text: str) -> str:
    """Text for XML: escaped, without control characters, at most 2,000 characters."""
    return escape("".join(ch for ch in text[:2_000] if ch.isprintable()))


def _alternative(text: str) -> str:
    return f'<rdf:Alt><rdf:li xml:lang="x-default">{_xml(text)}</rdf:li></rdf:Alt>'


def density(dots_per_inch: int) -> bytes:
    """The JFIF segment that says in which size a picture is printed (T.871, 10.1); it stands before all others."""
    return b"\xff\xe0" + struct.pack(
        ">H5sHBHHBB", 16, b"JFIF\0", 0x0102, 1, dots_per_inch, dots_per_inch, 0, 0
    )


def with_segments(jpeg: bytes, block: bytes) -> bytes:
    """A bare JPEG with the block placed after SOI and its JFIF segment; other APP and COM segments are dropped."""
    if jpeg[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG")
    at, kept = 2, b""
    while jpeg[at + 1] in (*range(0xE0, 0xF0), 0xFE):
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] in (0xE0, 0xEE):  # JFIF and Adobe (colour transform) are needed to read the pixels
            kept += jpeg[at:end]
        at = end
    return b"".join((b"\xff\xd8", kept, block, jpeg[at:]))
