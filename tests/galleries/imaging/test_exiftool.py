"""What a rendition carries, read back by another program: exiftool finds the allow-list and nothing else."""

import json
import os
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from galleries.imaging import child
from galleries.imaging.metadata import Credits
from galleries.imaging.recipes import RECIPES
from galleries.imaging.render import Rendering
from galleries.imaging.watermark import Mark
from tests.galleries.imaging import files
from tests.portraits import GRACE_HOPPER, GRACE_HOPPER_HEIC

EXIFTOOL = shutil.which("exiftool")
pytestmark = pytest.mark.skipif(
    EXIFTOOL is None and not os.environ.get("CI"), reason="apt install libimage-exiftool-perl"
)

CREDITS = Credits(
    creator="North Light", copyright="© North Light", credit="North Light", usage_terms="Ask the studio."
)
# Everything exiftool may find, by group. Composite and File are what it works out itself; JFIF is the file's frame.
ALLOWED = {
    "IFD0": {"Artist", "Copyright"},
    "ExifIFD": {"ColorSpace"},
    "XMP-dc": {"Creator", "Rights"},
    "XMP-xmpRights": {"Marked", "UsageTerms"},
    "XMP-photoshop": {"Credit"},
    "XMP-plus": {"DataMining"},
    "JFIF": {"JFIFVersion", "ResolutionUnit", "XResolution", "YResolution"},
}
OWN = {"ExifTool", "System", "File", "Composite", "ICC_Profile", "ICC-header"}
SECRETS = ("4711", "GPS", "59.", "Owner", "Serial", "Thumbnail", "Nikon", "Z8", "secret")


def told(paths: list[Path]) -> list[dict[str, object]]:
    command = [EXIFTOOL or "exiftool", "-json", "-G1", "-a", "-u", "-U", "-s", "-ee", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def with_everything(path: Path) -> Path:
    """A portrait with what cameras and editors leave: place, serial, owner, maker, thumbnail, comment, XMP, IPTC."""
    buffer = BytesIO()
    with Image.open(GRACE_HOPPER) as picture:
        exif = Image.Exif()
        exif[0x010F], exif[0x0110], exif[0x013B] = "Nikon", "Z8", "secret photographer"
        gps, detail = exif.get_ifd(0x8825), exif.get_ifd(0x8769)
        gps[1], gps[2], gps[3], gps[4] = "N", (59.0, 20.0, 30.0), "E", (18.0, 3.0, 0.0)
        detail[0xA430], detail[0xA431], detail[0x9286] = "Owner secret", "SERIAL-4711", b"ASCII\0\0\0secret"
        picture.save(buffer, "JPEG", quality=92, exif=exif.tobytes(), comment=b"secret comment")
    data = buffer.getvalue()
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    packet += b'<rdf:Description rdf:about="" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" aux:SerialNumber="4711"/>'
    packet += b"</rdf:RDF></x:xmpmeta>"
    data = files.with_segment(data, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
    iptc = b"\x1c\x02\x50\x00\x06secret"
    block = (
        b"Photoshop 3.0\x008BIM\x04\x04\x00\x00"
        + len(iptc).to_bytes(4, "big")
        + iptc
        + b"\0" * (len(iptc) % 2)
    )
    path.write_bytes(files.with_segment(data, 0xED, block))
    return path


def strangers(row: dict[str, object]) -> list[str]:
    found = []
    for name, value in row.items():
        group, _colon, tag = name.partition(":")
        if name == "SourceFile" or group in OWN:
            continue
        if tag not in ALLOWED.get(group, set()):
            found.append(f"{name} = {value}")
    return found


def test_exiftool_sees_what_the_source_gives_away(tmp_path: Path) -> None:
    """The control: the reader finds every secret in the source, so finding none in a rendition means something."""
    row = told([with_everything(tmp_path / "frame.jpg")])[0]
    text = json.dumps(row)
    assert [
        word for word in ("4711", "GPS", "Owner secret", "secret comment", "Nikon") if word not in text
    ] == []
    assert len(strangers(row)) > 10


@pytest.mark.parametrize("source", ["everything", "heic"])
def test_every_rendition_and_final_carries_the_allow_list_only(tmp_path: Path, source: str) -> None:
    frame = with_everything(tmp_path / "frame.jpg") if source == "everything" else GRACE_HOPPER_HEIC
    recipes = tuple(RECIPES.values())
    made = child.make(
        frame, recipes, tmp_path, credits=CREDITS, mark=Mark("North Light · LK-1"), look_for_head=False
    )
    assert isinstance(made, Rendering)
    rows = told([file.path for file in made.files])
    assert len(rows) == len(recipes)
    for row in rows:
        assert strangers(row) == []
        text = json.dumps({name: value for name, value in row.items() if name.partition(":")[0] not in OWN})
        assert [word for word in SECRETS if word in text] == []
        assert row["IFD0:Copyright"] == "© North Light"
        assert "Prohibited" in str(row["XMP-plus:DataMining"]) or "PROHIBITED" in str(
            row["XMP-plus:DataMining"]
        )
        assert "ICC_Profile:ProfileDescription" in row


def test_a_draft_carries_the_allow_list_only(tmp_path: Path) -> None:
    out = tmp_path / "draft.jpg"
    child.draft(with_everything(tmp_path / "frame.jpg"), out, credits=CREDITS, look_for_faces=False)
    assert strangers(told([out])[0]) == []
