"""The Selection for other programs: camera names as text, everything as CSV, and ratings as XMP sidecars."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from xml.sax.saxutils import escape, quoteattr

from galleries.models import Gallery, Pick

CHOSEN_STARS = 5  # what a chosen frame is rated for the catalogue, whatever the studio rated it here
CHOSEN_LABEL = "Green"


def camera_names(gallery: Gallery) -> str:
    """The camera file names of the picks without suffix, one a line: to paste into a catalogue's search."""
    return "".join(f"{name}\n" for name in dict.fromkeys(_stem(row) for row in _chosen(gallery)))


def selection_csv(gallery: Gallery) -> str:
    """The Selection as CSV (RFC 4180, UTF-8): number, camera file, use, rating, notes. Cells cannot be formulas."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["number", "camera_file", "use", "rating", "notes"])
    for row in _chosen(gallery):
        words = " / ".join(note.words for note in row.photo.notes.all())
        rows.writerow(_plain([row.photo.number, _camera_file(row), row.use, row.photo.rating, words]))
    return out.getvalue()


def sidecars(gallery: Gallery) -> bytes:
    """A ZIP of XMP sidecars beside which the camera's files are laid: Lightroom and Capture One read the rating."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, row in _named_apart(_chosen(gallery)):
            stamp = (row.picked_at.year, *row.picked_at.timetuple()[1:6])
            archive.writestr(zipfile.ZipInfo(f"{name}.xmp", stamp), sidecar(row))
    return out.getvalue()


def sidecar(pick: Pick) -> str:
    """The XMP of one pick (Adobe XMP Specification part 1, 7.4): stars, a label, what it is for, what was said."""
    words = "\n".join(note.words for note in pick.photo.notes.all())
    subject = (
        f"<dc:subject><rdf:Bag><rdf:li>{_clean(pick.use)}</rdf:li></rdf:Bag></dc:subject>" if pick.use else ""
    )
    said = (
        f"<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>{_clean(words)}</rdf:li></rdf:Alt></dc:description>"
        if words
        else ""
    )
    return (
        "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>\n"
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'>\n"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\n"
        "<rdf:Description rdf:about='' xmlns:xmp='http://ns.adobe.com/xap/1.0/'"
        " xmlns:dc='http://purl.org/dc/elements/1.1/'"
        f" xmp:Rating='{CHOSEN_STARS}' xmp:Label={quoteattr(CHOSEN_LABEL)}>{subject}{said}</rdf:Description>\n"
        "</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end='w'?>\n"
    )


def _chosen(gallery: Gallery) -> list[Pick]:
    rows = gallery.picks.select_related("photo").prefetch_related("photo__files", "photo__notes")
    return list(rows.order_by("picked_at", "id"))


def _camera_file(pick: Pick) -> str:
    """What the camera called it; a photo of a name that came twice is told apart here, not in the catalogue."""
    return next((file.name for file in pick.photo.files.all()), pick.photo.name)


def _stem(pick: Pick) -> str:
    return PurePath(_camera_file(pick)).stem


def _named_apart(picks: Iterable[Pick]) -> Iterator[tuple[str, Pick]]:
    """Each pick with its camera name; the second of the same name goes into a folder of its own, never renamed."""
    seen: dict[str, int] = {}
    for row in picks:
        name = _stem(row)
        seen[name.casefold()] = seen.get(name.casefold(), 0) + 1
        times = seen[name.casefold()]
        yield (name if times == 1 else f"{times}/{name}"), row


def _plain(cells: Iterable[object]) -> list[str]:
    """A spreadsheet runs a cell that begins like a formula; an apostrophe in front keeps it text (OWASP)."""
    texts = [str(cell) for cell in cells]
    return [f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text for text in texts]


def _clean(text: str) -> str:
    """Text for XML 1.0: escaped, without the control characters it forbids."""
    return escape("".join(ch for ch in text if ch in "\t\n" or ch >= " "))
