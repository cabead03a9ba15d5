"""XMP sidecars: what an editor wrote beside a picture. Kept byte for byte; only the rating is read."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

MOST_BYTES = 4_000_000  # an editor's whole history of a picture is some hundred kB
SNIFF_BYTES = 4_096
RATING = "{http://ns.adobe.com/xap/1.0/}Rating"
XMP_META = "{adobe:ns:meta/}xmpmeta"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF"


def is_sidecar(path: Path) -> bool:
    """Whether a file is an XMP packet, by its content: text that names Adobe's wrapper or RDF near its beginning."""
    with path.open("rb") as file:
        start = file.read(SNIFF_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"<") and (b"adobe:ns:meta/" in start or b"22-rdf-syntax-ns#" in start)


def rating_of(path: Path) -> int | None:
    """The xmp:Rating of a sidecar, 0 to 5; -1 (rejected) counts as 0. None where there is none.

    Raises ValueError for a file that is no XMP, or whose XML has entities or is too large: it is not parsed then.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("too large")
    try:
        root = fromstring(path.read_bytes(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, UnicodeError, LookupError) as error:
        raise ValueError("no XMP") from error
    if root.tag not in (XMP_META, RDF):
        raise ValueError("no XMP")
    return next((rating for node in root.iter() if (rating := _rating(node)) is not None), None)


def _rating(node: Element) -> int | None:
    """As an attribute (Lightroom, Capture One) or as an element (darktable, exiftool)."""
    written = node.get(RATING) if node.tag != RATING else node.text
    try:
        return None if written is None else min(5, max(0, round(float(written))))
    except (ValueError, OverflowError):
        return None
