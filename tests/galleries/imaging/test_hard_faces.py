"""What a studio meets besides one face looking at the camera: each has a right answer, and where it is no, a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from galleries import workbench
from galleries.benches.guard_edits import FORBIDDEN
from galleries.imaging import child, faces, guard, jobs, models, retouch
from galleries.imaging.faces import Face, Image
from galleries.imaging.guard import GuardReport, Status
from galleries.imaging.jobs import Drafted
from galleries.imaging.retouch import Parameters
from tests.galleries.imaging.files import dng
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER, large_portrait

pytestmark = pytest.mark.skipif(bool(models.missing()), reason="the face models are not there: make models")
FACE_ONLY = Parameters(white_balance=0)


@pytest.fixture(scope="module")
def grace() -> tuple[Image, Face]:
    image = jobs.upright_pixels(GRACE_HOPPER, 0)[0]
    return image, faces.find(image)[0]


def packed(image: Image, quality: int = 92) -> bytes:
    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def handed_in(image: Image, quality: int = 92) -> Image:
    opened = cv2.imdecode(np.frombuffer(packed(image, quality), np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(opened, np.uint8)[:, :, ::-1])


def drafted(image: Image, parameters: Parameters = FACE_ONLY) -> Image:
    return retouch.draft(image, faces.find(image), parameters).image


def skin_lightness(image: Image, face: Face) -> float:
    lab = retouch.to_lab(image)
    return float(np.average(lab[..., 0], weights=retouch.skin_mask(image, lab, face)))


# --- the picture


@pytest.mark.parametrize("stops", [-1.8, 0.0, 0.6])
def test_no_skin_is_drawn_towards_a_lightness(grace: tuple[Image, Face], stops: float):
    """A draft changes dark, medium and light skin equally little, and the guard lets it pass."""
    image, face = grace
    toned = retouch.draft(image, [], Parameters(exposure=stops, white_balance=0)).image
    made = drafted(toned)
    assert abs(skin_lightness(made, face) - skin_lightness(toned, face)) < 0.8
    assert guard.measure(toned, handed_in(made, 95)).report.status is Status.PASSED


def test_monochrome_stays_monochrome_and_is_measured(grace: tuple[Image, Face]):
    image, face = grace
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    made = drafted(np.ascontiguousarray(grey))
    assert np.abs(made.astype(int) - made[..., :1]).max() <= 1
    assert guard.measure(grey, handed_in(made, 95)).report.status is Status.PASSED
    blurred = FORBIDDEN["blur"](grey, face, np.random.default_rng(1))
    assert guard.measure(grey, handed_in(blurred, 95)).report.status is Status.BLOCKED


def test_a_black_and_white_version_of_a_colour_picture_does_not_block(grace: tuple[Image, Face]):
    image, _ = grace
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert guard.measure(image, handed_in(grey)).report.status is Status.PASSED


def test_heavy_noise_is_neither_texture_lost_nor_a_moved_face(grace: tuple[Image, Face]):
    image, _ = grace
    noise = np.random.default_rng(4).normal(0, 14, image.shape)
    noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
    report = guard.measure(noisy, handed_in(drafted(noisy), 95)).report
    assert (report.status, report.reason) == (Status.PASSED, "")


def test_freckles_stay(grace: tuple[Image, Face]):
    """Thirty small yellow-brown marks on the cheeks keep nearly all of their darkness."""
    image, _ = grace
    big = np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    face = faces.find(big)[0]
    iod, rng = face.eye_distance, np.random.default_rng(3)
    marks = np.zeros(big.shape[:2], np.float32)
    for cheek in faces.CHEEKS:
        middle = face.polygon(cheek).mean(axis=0)
        for x, y in rng.normal(middle, 0.12 * iod, (15, 2)):
            cv2.circle(marks, (round(x), round(y)), max(1, round(0.012 * iod)), 1, -1)
    marks = cv2.GaussianBlur(marks, (0, 0), 1.0)
    lab = retouch.to_lab(big) + marks[..., None] * np.array([-9, 3, 7], np.float32)
    freckled = np.clip(retouch.from_lab(lab) * 255 + 0.5, 0, 255).astype(np.uint8)
    most = Parameters(white_balance=0, blemish=1, skin=1, under_eye=1)
    made = retouch.draft(freckled, [face], most).image
    clean = retouch.draft(big, [face], most).image
    there = marks > 0.5
    was = float((retouch.to_lab(big) - retouch.to_lab(freckled))[..., 0][there].mean())
    now = float((retouch.to_lab(clean) - retouch.to_lab(made))[..., 0][there].mean())
    assert now > 0.65 * was


@pytest.mark.parametrize("edge", [500, 1400])
def test_small_pictures_are_drafted_and_measured(grace: tuple[Image, Face], edge: int):
    image, _ = grace
    scale = edge / max(image.shape[:2])
    sized = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    assert guard.measure(sized, handed_in(drafted(sized), 95)).report.status is Status.PASSED


@pytest.mark.slow
def test_sixty_megapixels_are_drafted_and_measured(tmp_path: Path):
    frame = large_portrait(GRACE_HOPPER, tmp_path / "frame.jpg", width=7160, height=8390)
    made = child.draft(frame, tmp_path / "draft.jpg")
    assert isinstance(made, Drafted) and made.width * made.height > 59_000_000
    report = child.measure(frame, made.path)
    assert isinstance(report, GuardReport) and report.status is Status.PASSED


# --- who is in it


def test_two_faces_are_both_helped_and_that_is_noted(grace: tuple[Image, Face]):
    image, _ = grace
    both = np.ascontiguousarray(np.concatenate([image, image[:, ::-1]], axis=1))
    made = retouch.draft(both, faces.find(both), FACE_ONLY)
    assert made.notes == ("two_faces",)
    assert [operation.name for operation in made.operations].count("even_skin") == 2
    assert guard.measure(both, handed_in(made.image, 95)).report.face_count == 2


def test_a_profile_is_not_measured(grace: tuple[Image, Face], monkeypatch: pytest.MonkeyPatch):
    """The mesh of a face turned beyond three quarters is a guess: nothing is concluded from it."""
    image, face = grace
    points = face.points.copy()
    points[1] = points[234] + 0.05 * (points[454] - points[234])
    aside = replace(face, points=points)
    monkeypatch.setattr(guard.faces, "find", lambda _: [aside])
    report = guard.measure(image, image).report
    assert (report.status, report.reason) == (Status.NOT_MEASURED, "turned_away")


# --- the file that comes back


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_file_on_its_side_is_said_to_be(grace: tuple[Image, Face], turns: int):
    """The face in it may be untouched; that it lies on its side is said, or it is not measured."""
    image, _ = grace
    report = guard.measure(image, np.ascontiguousarray(np.rot90(image, turns))).report
    if report.status is Status.NOT_MEASURED:
        assert report.reason in ("face_gone", "different_picture")
    else:
        assert [finding.kind for finding in report.findings] == ["turned"]


def test_another_person_of_the_same_size_is_not_measured(grace: tuple[Image, Face]):
    image, _ = grace
    other = cv2.resize(jobs.upright_pixels(EILEEN_COLLINS, 0)[0], (image.shape[1], image.shape[0]))
    report = guard.measure(image, np.asarray(other, np.uint8)).report
    assert (report.status, report.reason) == (Status.NOT_MEASURED, "different_picture")


@pytest.mark.parametrize("edit", ["", "slim", "blur", "lighten"])
def test_a_crop_is_registered_before_it_is_measured(grace: tuple[Image, Face], edit: str):
    image, face = grace
    made = FORBIDDEN[edit](image, face, np.random.default_rng(1)) if edit else image
    report = guard.measure(image, handed_in(np.ascontiguousarray(made[40:520, 60:460]))).report
    assert report.status is (Status.BLOCKED if edit in ("slim", "blur") else Status.PASSED)
    assert ("colour" in {finding.kind for finding in report.findings}) is (edit == "lighten")


def test_a_file_from_raw_is_measured_against_our_rendering_of_the_frame(
    grace: tuple[Image, Face], tmp_path: Path
):
    """The original is camera RAW, the final a JPEG of another size made from the same frame."""
    image, _ = grace
    big = np.asarray(cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), np.uint8)
    raw, final = tmp_path / "frame.dng", tmp_path / "final.jpg"
    raw.write_bytes(dng(preview=packed(big)))
    final.write_bytes(packed(np.ascontiguousarray(big[100:1700, 50:1450]), 95))
    same = child.measure(raw, final)
    assert isinstance(same, GuardReport) and same.status is Status.PASSED
    final.write_bytes(packed(FORBIDDEN["slim"](big, faces.find(big)[0], np.random.default_rng(1))))
    moved = child.measure(raw, final)
    assert isinstance(moved, GuardReport) and moved.status is Status.BLOCKED
    other = child.measure(raw, EILEEN_COLLINS)
    assert isinstance(other, GuardReport)
    assert (other.status, other.reason) == (Status.NOT_MEASURED, "different_picture")


def test_every_reason_has_a_sentence():
    assert set(workbench.REASONS) == set(guard.REASONS)
    assert all(str(sentence).endswith(".") for sentence in workbench.REASONS.values())
