"""Why a file was refused: a code for the machine, a sentence for the photographer, in one table."""

from __future__ import annotations

from dataclasses import dataclass


def gettext_noop(sentence: str) -> str:
    """Mark a sentence for translation without Django: `makemessages` finds it, the caller translates it."""
    return sentence


SENTENCES: dict[str, str] = {
    "missing": gettext_noop("The file could not be found."),
    "empty": gettext_noop("The file is empty. Please send it again."),
    "unknown": gettext_noop(
        "This is not a photo we can read. Send JPEG, PNG, TIFF, WebP, HEIC, AVIF or camera RAW."
    ),
    "video": gettext_noop("This is a video. Only still photos can be added."),
    "document": gettext_noop("This is a document or drawing, not a photo."),
    "sidecar": gettext_noop("This sidecar is not XMP that can be read. Save it again in your editor."),
    "gif": gettext_noop("GIF and BMP pictures are not accepted. Export a JPEG or TIFF."),
    "layered": gettext_noop("This is a Photoshop file. Export a flattened TIFF or JPEG and send that."),
    "jxl": gettext_noop("JPEG XL is not accepted yet. Export a JPEG or TIFF."),
    "truncated": gettext_noop(
        "The file stops before the picture ends. Copy it from the card again and resend it."
    ),
    "damaged": gettext_noop(
        "The file is damaged and cannot be read as a picture. Copy it from the card again."
    ),
    "too_small": gettext_noop("The picture is too small to be a photo."),
    "too_large": gettext_noop("The picture has too many pixels. The most we can take is 120 megapixels."),
    "too_narrow": gettext_noop("The picture is far too long and narrow to be a photo."),
    "several_frames": gettext_noop(
        "The file holds several pictures or an animation. Send one picture per file."
    ),
    "unsupported": gettext_noop(
        "The file uses a variant of its format we cannot read. Export a standard JPEG or an 8 or 16 bit TIFF."
    ),
    "bomb": gettext_noop(
        "The file is built to unpack into something far larger than a photo, so it was refused."
    ),
    "too_many_scans": gettext_noop(
        "The JPEG is built from far too many passes. Save it again as a normal JPEG."
    ),
    "no_preview": gettext_noop(
        "The RAW file could not be developed. Export a JPEG or TIFF from your RAW software."
    ),
    "too_slow": gettext_noop(
        "Reading the file took too long, so it was refused. Save it again and resend it."
    ),
    "too_much_memory": gettext_noop("Reading the file needed too much memory, so it was refused."),
    "crashed": gettext_noop(
        "The file made the picture reader stop, so it was refused. Save it again and resend it."
    ),
    "no_room": gettext_noop("There was no room on the disk to work on this file. It will be tried again."),
}


@dataclass(frozen=True)
class Refusal:
    """A file we will not take. `code` is a key of SENTENCES, `sentence` is English and translatable."""

    code: str
    sentence: str

    def __post_init__(self) -> None:
        if self.code not in SENTENCES:
            raise ValueError(f"unknown refusal code {self.code!r}")


class Refused(Exception):
    """Raised inside the package to leave with a Refusal; public functions return the Refusal instead."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.refusal = refuse(code)


def refuse(code: str) -> Refusal:
    """The Refusal for a code of the table."""
    return Refusal(code=code, sentence=SENTENCES[code])
