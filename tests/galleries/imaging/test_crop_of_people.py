"""Where the square is cut on pictures of people: the eyes in their band, the face inside the circle LinkedIn shows.

What is worn and what grows is painted on, so that the truth is known: the crop is placed on the painted picture and
measured on the clean one. `LIKENESS_PORTRAITS=folder pytest -m slow` does the same on every picture of a folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips

from galleries.imaging import crop, faces, jobs, models, render
from galleries.imaging.crop import EYE_LINE_HIGH, EYE_LINE_LOW, Crop
from galleries.imaging.faces import Face, Image
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

pytestmark = pytest.mark.skipif(bool(models.missing()), reason="the face models are not there: make models")
DOUBT = 0.006  # of the height: the mesh on the cut picture against the mesh on the whole one
Change = Callable[[Image, Face], Image]
DARK = (38, 30, 26)


def opened(path: Path, edge: int = 900) -> tuple[Image, Face]:
    image = np.ascontiguousarray(jobs.upright_pixels(path, edge)[0])
    found = faces.find(image)
    if not found:
        pytest.fail(f"no face is found in {path.name}")
    return image, found[0]


# --- how the picture was taken


def mirrored(image: Image, face: Face) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


def far_away(image: Image, face: Face) -> Image:
    """The same face small: half its size on a wide even ground, at the left."""
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    tall, wide = small.shape[:2]
    ground = np.full((2 * tall, 3 * wide, 3), image[:8, :8].mean(axis=(0, 1)), np.uint8)
    ground[tall // 2 : tall // 2 + tall, wide // 2 : wide // 2 + wide] = small
    return ground


def at_the_edge(way: str) -> Change:
    """The frame ends 1.6 eye distances beside the eyes, or right above the hair, or below the chin."""

    def cut(image: Image, face: Face) -> Image:
        reach, eyes, head = 1.6 * face.eye_distance, face.head.eyes, face.head
        left = max(0, round(eyes.x - reach)) if way == "left" else 0
        right = round(eyes.x + reach) if way == "right" else image.shape[1]
        top = max(0, round(head.crown.y)) if way == "top" else 0
        bottom = round(head.chin.y + 0.3 * face.eye_distance) if way == "bottom" else image.shape[0]
        return np.ascontiguousarray(image[top:bottom, left:right])

    return cut


def tilted(degrees: float) -> Change:
    def turn(image: Image, face: Face) -> Image:
        eyes = (face.head.eyes.x, face.head.eyes.y)
        matrix = cv2.getRotationMatrix2D(eyes, degrees, 1)
        size = (image.shape[1], image.shape[0])
        return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return turn


# --- what is worn and what grows


def _with_grain(image: Image, area: Image, colour: tuple[int, int, int]) -> Image:
    grain = np.random.default_rng(2).normal(0, 9, image.shape[:2])[..., None]
    soft = cv2.GaussianBlur(area.astype(np.float32), (0, 0), 1.5)[..., None]
    painted = np.clip(np.array(colour, np.float32) + grain, 0, 255)
    return np.asarray(image * (1 - soft) + painted * soft, np.uint8)


def beard(image: Image, face: Face) -> Image:
    """From under the nose to a hand below the chin, the mouth left free."""
    area = np.zeros(image.shape[:2], np.uint8)
    nose, chin, iod = face.points[2, :2], face.head.chin, face.eye_distance
    middle = (round((nose[0] + chin.x) / 2), round((nose[1] + chin.y) / 2 + 0.25 * iod))
    cv2.ellipse(area, middle, (round(0.72 * iod), round(chin.y - middle[1] + 0.3 * iod)), 0, -15, 195, 1, -1)
    mouth = face.points[[13, 14], :2].mean(axis=0)
    cv2.ellipse(
        area, (round(mouth[0]), round(mouth[1])), (round(0.36 * iod), round(0.12 * iod)), 0, 0, 360, 0, -1
    )
    return _with_grain(image, area, DARK)


def glasses(image: Image, face: Face) -> Image:
    made, iod = image.copy(), face.eye_distance
    for eye in (face.head.left_eye, face.head.right_eye):
        cv2.circle(made, (round(eye.x), round(eye.y)), round(0.42 * iod), DARK, max(2, round(0.06 * iod)))
    return made


def hat(image: Image, face: Face) -> Image:
    """A brim right above the brows, and a crown of its own height."""
    area = np.zeros(image.shape[:2], np.uint8)
    eyes, iod = face.head.eyes, face.eye_distance
    brim = round(eyes.y - 0.62 * iod)
    cv2.rectangle(
        area,
        (round(eyes.x - 1.5 * iod), brim - round(0.18 * iod)),
        (round(eyes.x + 1.5 * iod), max(0, brim)),
        1,
        -1,
    )
    cv2.rectangle(area, (round(eyes.x - iod), 0), (round(eyes.x + iod), max(0, brim)), 1, -1)
    return _with_grain(image, area, (60, 58, 66))


def long_hair(image: Image, face: Face) -> Image:
    """Down both sides of the face to the lower edge."""
    area = np.zeros(image.shape[:2], np.uint8)
    eyes, iod = face.head.eyes, face.eye_distance
    for way in (-1, 1):
        inner, outer = sorted((round(eyes.x + way * 0.95 * iod), round(eyes.x + way * 1.7 * iod)))
        area[max(0, round(eyes.y - 0.8 * iod)) :, max(0, inner) : max(0, outer)] = 1
    return _with_grain(image, area, DARK)


TAKEN: dict[str, Change] = {
    "as it is": lambda image, _face: image,
    "mirrored": mirrored,
    "far away": far_away,
    "left edge": at_the_edge("left"),
    "right edge": at_the_edge("right"),
    "top edge": at_the_edge("top"),
    "bottom edge": at_the_edge("bottom"),
    "tilted 2": tilted(2),
    "tilted 12": tilted(12),
    "tilted -25": tilted(-25),
}
WORN: dict[str, Change] = {"beard": beard, "glasses": glasses, "hat": hat, "long hair": long_hair}


def placed(image: Image) -> Crop:
    """The square by itself, as the finals are cut."""
    found = faces.find(image)
    assert found, "no face is found"
    return crop.place(crop.SQUARE, image.shape[1], image.shape[0], found[0].head)


def cut(image: Image, place: Crop) -> Image:
    whole = pyvips.Image.new_from_array(np.ascontiguousarray(image)).copy(interpretation="srgb")
    return np.ascontiguousarray(render.cut(whole, place).numpy())


def seen(square: Image) -> tuple[float, float]:
    """The eyes' share of the height, and how far the face's outline reaches from the middle, 1 at the circle."""
    face = faces.find(square)[0]
    side = square.shape[0]
    outline = face.polygon(faces.OVAL)
    reach = max(math.hypot(x - side / 2, y - side / 2) for x, y in outline) / (side / 2)
    return face.head.eyes.y / side, reach


def assert_well_cut(clean: Image, place: Crop) -> None:
    eye_line, reach = seen(cut(clean, place))
    assert EYE_LINE_LOW - DOUBT <= eye_line <= EYE_LINE_HIGH + DOUBT
    assert reach <= 1
    assert place.eye_line == pytest.approx(eye_line, abs=0.03)


@pytest.mark.parametrize("path", [GRACE_HOPPER, EILEEN_COLLINS], ids=["grace", "eileen"])
@pytest.mark.parametrize("taken", TAKEN)
def test_the_square_has_the_eyes_in_their_band_and_the_face_in_the_circle(path: Path, taken: str):
    picture = TAKEN[taken](*opened(path))
    assert_well_cut(picture, placed(picture))


@pytest.mark.parametrize("path", [GRACE_HOPPER, EILEEN_COLLINS], ids=["grace", "eileen"])
@pytest.mark.parametrize("worn", WORN)
def test_what_is_worn_or_grows_moves_no_eye_line(path: Path, worn: str):
    clean, face = opened(path)
    assert_well_cut(clean, placed(WORN[worn](clean, face)))


@pytest.mark.slow
def test_every_portrait_of_a_folder_is_well_cut():
    """Every picture of the folder, each way it may be taken and with everything it may wear."""
    folder = os.environ.get("LIKENESS_PORTRAITS", "")
    if not folder:
        pytest.skip("LIKENESS_PORTRAITS names no folder")
    failed, count = [], 0
    for path in sorted(Path(folder).iterdir()):
        clean, face = opened(path)
        for name, change in (TAKEN | WORN).items():
            picture = change(clean, face)
            count += 1
            try:
                assert_well_cut(clean if name in WORN else picture, placed(picture))
            except AssertionError as wrong:
                failed.append(f"{path.name}, {name}: {wrong}")
    assert count and not failed, "\n".join(failed)
