"""Aids tell sharp from soft and open from closed, by numbers of one frame only."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from galleries.imaging import aids, child, faces
from galleries.imaging.aids import Aids, AidsOrder
from galleries.imaging.jobs import upright_pixels
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

needs_models = pytest.mark.skipif(not faces.are_available(), reason="make models")


def likeness_bits(one: Aids, other: Aids) -> int:
    return (int(one.likeness, 16) ^ int(other.likeness, 16)).bit_count()


def pixels_of(path: Path) -> faces.Image:
    return upright_pixels(path, 0)[0]


@needs_models
def test_a_soft_frame_has_less_of_its_fine_band() -> None:
    sharp = pixels_of(EILEEN_COLLINS)
    people = faces.find(sharp)
    measured = [
        aids.measure(cv2.GaussianBlur(sharp, (0, 0), blur) if blur else sharp, people, count=1).sharpness
        for blur in (0, 1.5)
    ]
    assert measured[1] < 0.75 * measured[0]


@needs_models
def test_brighter_or_darker_is_not_softer() -> None:
    sharp = pixels_of(EILEEN_COLLINS)
    people = faces.find(sharp)
    plain, dim = (
        aids.measure((sharp * share).astype(np.uint8), people, count=1).sharpness for share in (1, 0.6)
    )
    assert dim == pytest.approx(plain, rel=0.1)


@needs_models
def test_lids_are_measured_in_iris_diameters() -> None:
    face = faces.find(pixels_of(GRACE_HOPPER))[0]
    points = face.points.copy()
    for upper, lower in aids.LIDS:
        points[upper] = points[lower]
    assert aids.lid_gap(face) > 0.4
    assert aids.lid_gap(face.scaled(3)) == pytest.approx(aids.lid_gap(face), rel=0.01)
    assert aids.lid_gap(replace(face, points=points)) == 0


def test_clipping_counts_the_middle_without_a_face_and_not_the_backdrop() -> None:
    frame = np.full((100, 100, 3), 120, np.uint8)
    frame[:15] = 255
    assert aids.measure(frame, [], count=0).bright == 0
    frame[30:50, 30:50] = 255
    frame[60:70, 30:70] = 0
    seen = aids.measure(frame, [], count=0)
    assert seen.bright == pytest.approx(400 / 3600, abs=1e-3)
    assert seen.dark == pytest.approx(400 / 3600, abs=1e-3)


def test_near_frames_are_alike_and_others_are_not() -> None:
    one = pixels_of(GRACE_HOPPER)
    near = np.roll(one, 2, axis=1)
    other = cv2.resize(pixels_of(EILEEN_COLLINS), (one.shape[1], one.shape[0]))
    first, moved, foreign = (aids.measure(image, [], count=0) for image in (one, near, other))
    assert likeness_bits(first, moved) <= 32 < likeness_bits(first, foreign)


def test_no_face_is_looked_for_where_that_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "find", lambda image: pytest.fail("a face was looked for"))
    seen = aids.look(AidsOrder(GRACE_HOPPER, look_for_faces=False))
    assert (seen.faces, seen.lid_gap) == (None, None)
    assert seen.sharpness > 0


@needs_models
def test_the_child_looks_at_a_frame() -> None:
    seen = child.aids(GRACE_HOPPER)
    assert isinstance(seen, Aids)
    assert (seen.faces, len(seen.likeness)) == (1, 64)
    assert seen.lid_gap is not None and 0.4 < seen.lid_gap < 1.2
