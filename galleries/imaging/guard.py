"""How much a retouched face differs from its original: shape, texture, colour, eye whites.

Lengths are in the distance between the eyes (IOD). Thresholds were set on other faces than those in the tests; their
reach and limits are in docs/imaging.md. Only shape and texture block. What cannot be measured is "not measured",
never "passed".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

import cv2
import numpy as np

from . import faces
from .faces import Face, Image, Mask
from .retouch import blurred, filled, skin_mask, to_lab, within

SHAPE_IOD, TEXTURE_IOD, SKIN_IOD = 200.0, 360.0, 120.0
LEAST_IOD = 32.0
MARGIN = 0.28
ALIKE = 0.55  # correlation of the two cut-outs below which they do not show the same frame

SHAPE_LIMIT = 0.0022  # 95th percentile of movement, in IOD
WINDOW = 0.07  # sigma of the windows in which movement is looked for, in IOD
SHADING = (
    0.06  # what is softer than this (in IOD) is light, not form: evened skin and lifted shadows change it
)
SURE, GRAIN = 2.6, 12.0  # standard errors taken off; pixels that share their noise
MOST_TURN = 0.6  # beyond three-quarter view the mesh is a guess
FINEST = 0.5  # pixels
FOREIGN = 0.55  # of the usual correlation, below which a tile's texture is not from this picture
TEXTURE_RATIO_LIMIT = 0.76  # 10th percentile over skin tiles of the fine band's strength, after over before
TEXTURE_KEPT_LIMIT = 0.60  # correlation of the fine band
SKIN_LIGHT_LIMIT, SKIN_COLOUR_LIMIT = 2.0, 2.2  # ΔL, ΔE beyond the picture's own curve
CURVE_DOUBT = 0.3  # of what the curve itself moves skin: so well is it known where the rest has no such tones
EYE_WHITE_LIMIT = 2.2  # ΔL beyond the curve
REPLACED_LIMIT = 0.30  # side of the largest patch whose texture is another's, in IOD
TURNED_LIMIT = 20.0  # degrees: more than anybody levels, so the file lies on its side
OUTSIDE_DELTA, OUTSIDE_LIMIT = 8.0, 0.004  # ΔE, share of the frame outside the face


class Status(StrEnum):
    """What the guard says of a final."""

    PASSED = "passed"
    BLOCKED = "blocked"
    NOT_MEASURED = "not_measured"


BLOCKING = {"shape", "texture", "replaced"}
REASONS = (
    "no_models",
    "no_face",
    "small_face",
    "faces_not_looked_for",
    "different_picture",
    "face_gone",
    "hidden_skin",
    "turned_away",
)


@dataclass(frozen=True)
class Finding:
    """One limit that was passed. `kind`: shape, texture, replaced (these block), colour, eye_white, outside, turned."""

    kind: str
    value: float
    limit: float
    is_blocking: bool


@dataclass(frozen=True)
class GuardReport:
    """The guard's answer for one picture.

    `reason` says why it was not measured, one of `REASONS`. `numbers` holds every measure of the worst face,
    for staff.
    """

    status: Status
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    face_count: int = 0
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Measured:
    """A report and, where a face was measured, its heat map: the original's face with changes in colour."""

    report: GuardReport
    heat: Image | None = None


def measure(before: Image, after: Image) -> Measured:
    """Compare a final with its original: upright 8-bit sRGB, of any sizes; a crop of it is registered first."""
    if not faces.are_available():
        return _not_measured("no_models")
    originals = [face for face in faces.find(before) if face.eye_distance > 0]
    if not originals:
        return _not_measured("no_face")
    largest = originals[0].eye_distance
    wanted = [face for face in originals if face.eye_distance >= 0.5 * largest][:4]
    finals = cache(lambda: faces.find(after))  # not needed where the final lies on the original as it is
    answers = [_measure_face(before, after, face, finals) for face in wanted]
    return _worst(answers)


def _not_measured(reason: str, count: int = 0) -> Measured:
    return Measured(GuardReport(Status.NOT_MEASURED, reason=reason, face_count=count))


def _worst(answers: list[Measured]) -> Measured:
    """One answer for several faces: a block outweighs what was not measured, and that outweighs a pass."""
    order = {Status.BLOCKED: 0, Status.NOT_MEASURED: 1, Status.PASSED: 2}
    worst = min(answers, key=lambda answer: (order[answer.report.status], -len(answer.report.findings)))
    report = worst.report
    kinds: dict[str, Finding] = {}
    for finding in (finding for answer in answers for finding in answer.report.findings):
        if (
            finding.kind not in kinds
            or finding.value / finding.limit > kinds[finding.kind].value / finding.limit
        ):
            kinds[finding.kind] = finding
    findings = tuple(kinds.values()) if report.status is not Status.NOT_MEASURED else report.findings
    return Measured(
        GuardReport(report.status, findings, report.reason, face_count=len(answers), numbers=report.numbers),
        worst.heat,
    )


def _measure_face(before: Image, after: Image, face: Face, finals: Callable[[], list[Face]]) -> Measured:
    if face.turn > MOST_TURN:
        return _not_measured("turned_away", 1)
    pair = _registered(before, after, face, finals)
    if isinstance(pair, str):
        return _not_measured(pair, 1)
    skin = _skin(pair)
    if skin.sum() < 0.12 * filled(skin.shape, pair.face.polygon(faces.OVAL)).sum():
        return _not_measured("hidden_skin", 1)
    expected = _expected(pair, skin)
    moved = _movement(pair, expected)
    texture = _texture(pair, skin, expected)
    tone = _tone(pair, skin, expected)
    own = {"iod": round(pair.face.eye_distance, 1), "turned": round(pair.turned, 2)}
    numbers = {**own, **moved.numbers, **texture.numbers, **tone.numbers}
    findings = tuple(_findings(numbers))
    status = Status.BLOCKED if any(finding.is_blocking for finding in findings) else Status.PASSED
    heat = _heat(pair, moved.excess, texture.excess, tone.excess)
    return Measured(GuardReport(status, findings, face_count=1, numbers=numbers), heat)


def _skin(pair: _Pair) -> Mask:
    """The skin mask, made at a size that is enough for a soft mask."""
    ratio = min(1.0, SKIN_IOD / pair.face.eye_distance)
    height, width = pair.before.shape[:2]
    small = cv2.resize(
        pair.before, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_AREA
    )
    mask = skin_mask(small, to_lab(small), pair.face.scaled(small.shape[1] / width))
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _findings(numbers: dict[str, float]) -> list[Finding]:
    found = []

    def check(kind: str, value: float, limit: float, *, is_over: bool) -> None:
        if is_over:
            found.append(Finding(kind, round(value, 5), round(limit, 5), kind in BLOCKING))

    shape, ratio, kept = numbers["shape_p95"], numbers["texture_ratio_p10"], numbers["texture_kept"]
    check("shape", shape, SHAPE_LIMIT, is_over=shape > SHAPE_LIMIT)
    if ratio < TEXTURE_RATIO_LIMIT:
        check("texture", ratio, TEXTURE_RATIO_LIMIT, is_over=True)
    elif kept < TEXTURE_KEPT_LIMIT:
        check("texture", kept, TEXTURE_KEPT_LIMIT, is_over=True)
    replaced = numbers["replaced_side"]
    check("replaced", replaced, REPLACED_LIMIT, is_over=replaced > REPLACED_LIMIT)
    light, colour = numbers["skin_delta_l"], numbers["skin_delta_e"]
    doubt = CURVE_DOUBT * numbers["curve_shift"]
    if light > SKIN_LIGHT_LIMIT + doubt:
        check("colour", light, SKIN_LIGHT_LIMIT + doubt, is_over=True)
    else:
        check("colour", colour, SKIN_COLOUR_LIMIT + doubt, is_over=colour > SKIN_COLOUR_LIMIT + doubt)
    white = numbers["eye_white_delta_l"]
    check("eye_white", white, EYE_WHITE_LIMIT, is_over=white > EYE_WHITE_LIMIT)
    outside = numbers["outside_share"]
    check("outside", outside, OUTSIDE_LIMIT, is_over=outside > OUTSIDE_LIMIT)
    turned = numbers["turned"]
    check("turned", turned, TURNED_LIMIT, is_over=turned > TURNED_LIMIT)
    return found


# --- registration: both faces in one frame


@dataclass(frozen=True, eq=False)
class _Pair:
    """The two cut-outs in the same frame, IOD as in `face`, and small views of the whole frame for the curve."""

    before: Image
    after: Image
    face: Face
    lab: Any
    lab_after: Any
    valid: Mask  # 1 where the final has pixels
    whole_before: Image
    whole_after: Image
    whole_valid: Mask
    whole_face: Mask  # 1 where a face's oval is
    turned: float  # degrees the final had to be turned to lie on the original


def _registered(before: Image, after: Image, face: Face, finals: Callable[[], list[Face]]) -> _Pair | str:
    """Cut both out, after finding the similarity that lays the final on the original. A reason when there is none."""
    matrices = []
    if before.shape == after.shape:
        unmoved = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        iod = min(face.eye_distance, TEXTURE_IOD)
        if iod < LEAST_IOD:
            return "small_face"
        pair = _cut(before, after, face, unmoved, iod)
        if _alike(pair) > 0.9:
            return pair
        matrices.append(unmoved)
    matrices += [matrix for other in finals()[:4] if (matrix := _by_mesh(other, face)) is not None]
    if not matrices:
        return "face_gone"
    iod = min(
        [face.eye_distance, TEXTURE_IOD, *(face.eye_distance / _scale_of(matrix) for matrix in matrices[:1])]
    )
    if iod < LEAST_IOD:
        return "small_face"
    best: tuple[float, _Pair] | None = None
    for number, matrix in enumerate(matrices):
        is_same = number == 0 and before.shape == after.shape
        pair = _cut(before, after, face, matrix, iod)
        alike = _alike(pair)
        if not is_same and alike > 0.2:
            matrix = _refined(pair, matrix, face, iod)
            pair = _cut(before, after, face, matrix, iod)
            alike = _alike(pair)
        if best is None or alike > best[0]:
            best = (alike, pair)
        if alike > 0.9:
            break
    if best is None or best[0] < ALIKE:
        return "different_picture"
    return best[1]


def _by_mesh(other: Face, face: Face) -> Any:
    matrix, _ = cv2.estimateAffinePartial2D(other.points, face.points, method=cv2.LMEDS)
    return matrix


def _scale_of(matrix: Any) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _frame(face: Face, shape: tuple[int, ...], iod: float) -> tuple[Any, tuple[int, int]]:
    """The matrix from the original to the cut-out, and the cut-out's width and height."""
    across, down = face.box[2] - face.box[0], face.box[3] - face.box[1]
    left, top = max(0.0, face.box[0] - MARGIN * across), max(0.0, face.box[1] - MARGIN * down)
    right, bottom = min(shape[1], face.box[2] + MARGIN * across), min(shape[0], face.box[3] + MARGIN * down)
    scale = iod / face.eye_distance
    size = (max(16, round((right - left) * scale)), max(16, round((bottom - top) * scale)))
    return np.array([[scale, 0, -left * scale], [0, scale, -top * scale]]), size


def _joined(second: Any, first: Any) -> Any:
    """The matrix that does `first`, then `second`."""
    full = np.vstack([first, [0, 0, 1]])
    return second @ full


def _cut(before: Image, after: Image, face: Face, matrix: Any, iod: float) -> _Pair:
    place, size = _frame(face, before.shape, iod)
    one = _warped(before, place, size)
    two = _warped(after, _joined(place, matrix), size)
    white = np.full(after.shape[:2], 255, np.uint8)
    valid = (cv2.warpAffine(white, _joined(place, matrix), size, flags=cv2.INTER_NEAREST) > 0).astype(
        np.float32
    )
    scale = 320 / max(before.shape[:2])
    whole_size = (max(1, round(before.shape[1] * scale)), max(1, round(before.shape[0] * scale)))
    whole = np.array([[scale, 0, 0], [0, scale, 0]])
    seen = cv2.warpAffine(white, _joined(whole, matrix), whole_size, flags=cv2.INTER_NEAREST) > 0
    seen = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    cut_face = _placed(face, place)
    whole_before, whole_after = (
        _warped(before, whole, whole_size),
        _warped(after, _joined(whole, matrix), whole_size),
    )
    oval = filled(whole_before.shape, face.scaled(scale).polygon(faces.OVAL))
    oval = cv2.dilate(oval, np.ones((5, 5), np.uint8))
    return _Pair(
        one,
        two,
        cut_face,
        to_lab(one),
        to_lab(two),
        valid,
        whole_before,
        whole_after,
        seen,
        np.asarray(oval),
        abs(float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))),
    )


def _placed(face: Face, place: Any) -> Face:
    scale = float(place[0, 0])
    return face.moved(float(place[0, 2]) / scale, float(place[1, 2]) / scale).scaled(scale)


def _warped(image: Image, matrix: Any, size: tuple[int, int]) -> Image:
    """Warp with the shrinking done by area first, so nothing aliases."""
    shrink = 1 / max(_scale_of(matrix), 1e-9)
    if shrink > 1.02:
        small = (max(1, round(image.shape[1] / shrink)), max(1, round(image.shape[0] / shrink)))
        x, y = image.shape[1] / small[0], image.shape[0] / small[1]
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        # pixel centres: full = (small + ½)·step − ½
        matrix = _joined(matrix, np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5]]))
    warped: Image = cv2.warpAffine(
        image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def _alike(pair: _Pair) -> float:
    """Correlation of the two faces' contrast-normalised lightness."""
    iod = pair.face.eye_distance
    area = (filled(pair.before.shape, pair.face.polygon(faces.OVAL)) * pair.valid) > 0
    if area.sum() < 100:
        return 0.0
    one, two = (blurred(_normal(lab[..., 0], iod), 0.012 * iod)[area] for lab in (pair.lab, pair.lab_after))
    return float(np.corrcoef(one, two)[0, 1])


def _refined(pair: _Pair, matrix: Any, face: Face, iod: float) -> Any:
    """Improve the mesh's similarity by the flow between the cut-outs."""
    flow = _flow(pair, pair.lab)
    fit = _similarity(flow, _face_points(pair, flow))
    if fit is None:
        return matrix
    ratio = flow.shape[1] / pair.before.shape[1]
    fit = fit.copy()
    fit[:, 2] /= ratio
    place, _ = _frame(face, (10**9, 10**9), iod)
    place = np.array([[place[0, 0], 0, 0], [0, place[1, 1], 0]])
    offset = pair.face.points[0] / place[0, 0] - face.points[0]
    place[:, 2] = offset * place[0, 0]
    there = cv2.invertAffineTransform(fit)  # final's cut-out to the original's
    back = cv2.invertAffineTransform(place)
    return _joined(back, _joined(there, _joined(place, matrix)))


# --- shape


@dataclass(frozen=True, eq=False)
class _Measure:
    numbers: dict[str, float]
    excess: Mask  # per pixel, 1 at the limit


def _normal(light: Any, iod: float) -> Any:
    """Lightness with local mean and contrast taken out: what moves is left, what was lightened is not."""
    centred = light - blurred(light, 0.12 * iod)
    return centred / (np.sqrt(blurred(centred * centred, 0.12 * iod)) + 1.5)


def _flow(pair: _Pair, lab_before: Any) -> Any:
    """Dense movement from the original to the final, in pixels of the flow's own grid (IOD at most 200)."""
    ratio = min(1.0, SHAPE_IOD / pair.face.eye_distance)
    size = (round(pair.before.shape[1] * ratio), round(pair.before.shape[0] * ratio))
    planes = []
    for lab in (lab_before, pair.lab_after):
        light = cv2.resize(np.ascontiguousarray(lab[..., 0]), size, interpolation=cv2.INTER_AREA)
        normal = blurred(_normal(light, pair.face.eye_distance * ratio), 0.9)
        planes.append(np.clip(128 + 44 * normal, 0, 255).astype(np.uint8))
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    finder.setFinestScale(0 if pair.face.eye_distance * ratio < 100 else 1)
    finder.setVariationalRefinementIterations(8)
    return finder.calc(planes[0], planes[1], None)


def _face_points(pair: _Pair, flow: Any) -> Any:
    """1 on the face and a little around it, on the flow's grid."""
    shape, ratio = flow.shape[:2], flow.shape[1] / pair.before.shape[1]
    iod = pair.face.eye_distance * ratio
    oval = filled(shape, pair.face.scaled(ratio).polygon(faces.OVAL))
    size = 2 * max(1, round(0.05 * iod)) + 1
    area = cv2.dilate(oval, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    area = area * cv2.resize(pair.valid, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return area


def _similarity(flow: Any, area: Any) -> Any:
    """The best similarity inside the movement, by the median over the face's grid points."""
    step = max(2, flow.shape[1] // 60)
    ys, xs = np.nonzero(area[::step, ::step] > 0)
    if len(xs) < 20:
        return None
    start = np.stack([xs * step, ys * step], axis=1).astype(np.float32)
    end = start + flow[ys * step, xs * step]
    matrix, _ = cv2.estimateAffinePartial2D(start, end, method=cv2.LMEDS, refineIters=20)
    return matrix


def _unclipped(pair: _Pair, expected: Any, shape: tuple[int, int]) -> Any:
    """0 where either picture is burnt out or black: there is nothing to follow."""
    light = np.maximum(expected[..., 0], pair.lab_after[..., 0])
    dark = np.minimum(expected[..., 0], pair.lab_after[..., 0])
    lost = cv2.resize(
        ((light > 96) | (dark < 3)).astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA
    )
    reach = 2 * max(1, round(0.05 * pair.face.eye_distance * shape[1] / pair.before.shape[1])) + 1
    return (cv2.dilate(lost, np.ones((reach, reach), np.uint8)) < 0.2).astype(np.float32)


def _movement(pair: _Pair, expected: Any) -> _Measure:
    """How far places on the face moved, beyond the best similarity and beyond what noise alone would show.

    In windows of 0.07 IOD the final is explained as the original moved, lightened and with other contrast; what that
    leaves unexplained says how well the movement is known there. `SURE` times that error is taken off: flat skin, a
    block of JPEG noise or a shadow taken out cannot look like a moved face.
    """
    iod = min(SHAPE_IOD, pair.face.eye_distance)
    ratio = iod / pair.face.eye_distance
    size = (round(pair.before.shape[1] * ratio), round(pair.before.shape[0] * ratio))
    one, two = (
        cv2.GaussianBlur(
            cv2.resize(np.ascontiguousarray(lab[..., 0]), size, interpolation=cv2.INTER_AREA), (0, 0), 0.8
        )
        for lab in (expected, pair.lab_after)
    )
    one, two = (light - blurred(light, SHADING * iod) for light in (one, two))
    usable = _unclipped(pair, expected, (size[1], size[0]))
    usable *= cv2.resize(pair.valid, size, interpolation=cv2.INTER_NEAREST)
    move, error, cell = _windowed_movement(one, two, usable, iod)
    area = _face_points(pair, move)
    known = area * (error.max(axis=2) < 0.02 * iod)
    if known.sum() < 12:
        return _Measure({"shape_p95": 0.0, "shape_known": 0.0}, np.zeros(pair.before.shape[:2], np.float32))
    move = move - _similar_movement(move, error, known, cell)
    length = np.sqrt((move**2).sum(axis=2))
    along = np.sqrt(((move * error) ** 2).sum(axis=2)) / np.maximum(length, 1e-6)
    sure = np.maximum(length - SURE * along, 0) * known / iod
    inside = sure[area > 0]
    excess = cv2.resize(sure, (pair.before.shape[1], pair.before.shape[0])) / SHAPE_LIMIT
    numbers = {
        "shape_p95": float(np.percentile(inside, 95)),
        "shape_p99": float(np.percentile(inside, 99)),
        "shape_known": float(known.sum() / area.sum()),
    }
    return _Measure(
        {name: round(value, 6) for name, value in numbers.items()}, np.asarray(excess, np.float32)
    )


def _windowed_movement(one: Any, two: Any, usable: Any, iod: float) -> tuple[Any, Any, float]:
    """Movement (x, y) from `one` to `two` per cell, its standard error, and a cell's side; all in pixels.

    Lucas and Kanade's least squares with lightness and contrast as two more unknowns of each window.
    """
    cell = max(2.0, 0.03 * iod)
    grid = (max(4, round(one.shape[1] / cell)), max(4, round(one.shape[0] / cell)))
    sigma = WINDOW * iod / cell
    gx, gy = (cv2.Scharr(one, cv2.CV_32F, dx, dy, scale=1 / 32) for dx, dy in ((1, 0), (0, 1)))
    terms = (gx, gy, one, np.ones_like(one))

    def gathered(plane: Any) -> Any:
        return cv2.GaussianBlur(cv2.resize(plane * usable, grid, interpolation=cv2.INTER_AREA), (0, 0), sigma)

    weight = gathered(np.ones_like(one)) + 1e-4
    normal = np.stack(
        [
            gathered(terms[i] * terms[j]) if i <= j else np.zeros(grid[::-1], np.float32)
            for i in range(4)
            for j in range(4)
        ],
        axis=-1,
    ).reshape(*grid[::-1], 4, 4)
    normal = (normal + np.triu(np.ones((4, 4)), 1).T * normal.swapaxes(-1, -2)) / weight[..., None, None]
    normal = normal + np.diag([2e-3, 2e-3, 0.5, 1e-4])
    inverse = np.linalg.inv(normal.astype(np.float64))
    total = np.zeros((*grid[::-1], 2), np.float32)
    ys, xs = np.mgrid[0 : one.shape[0], 0 : one.shape[1]].astype(np.float32)
    wide = (one.shape[1], one.shape[0])
    for _ in range(4):
        dense = cv2.resize(total, wide, interpolation=cv2.INTER_LINEAR)
        moved = cv2.remap(
            two, xs + dense[..., 0], ys + dense[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        miss = one - moved
        right = np.stack([gathered(term * miss) for term in terms], axis=-1) / weight[..., None]
        step = (inverse @ right[..., None].astype(np.float64))[..., 0]
        total = np.clip(total + step[..., :2], -0.12 * iod, 0.12 * iod).astype(np.float32)
    left_over = gathered(miss * miss) / weight - (right * step).sum(axis=-1)
    independent = np.maximum(4 * np.pi * (WINDOW * iod) ** 2 / GRAIN, 4.0)
    spread = np.maximum(left_over, 0.02)[..., None] / independent
    error = np.sqrt(spread * np.stack([inverse[..., 0, 0], inverse[..., 1, 1]], axis=-1))
    return total, error.astype(np.float32), one.shape[1] / grid[0]


def _similar_movement(move: Any, error: Any, known: Any, cell: float) -> Any:
    """The movement of the best similarity, by least squares that trusts the surest cells and ignores outliers."""
    ys, xs = np.mgrid[0 : move.shape[0], 0 : move.shape[1]].astype(np.float64) * cell
    zero, unit = np.zeros_like(xs), np.ones_like(xs)
    rows = np.stack([np.stack([xs, -ys, unit, zero], -1), np.stack([ys, xs, zero, unit], -1)], -2)
    use = known > 0
    terms, wanted = rows[use].reshape(-1, 4), move[use].reshape(-1).astype(np.float64)
    base = 1 / (error[use].reshape(-1).astype(np.float64) ** 2 + (0.002 * cell / 0.03) ** 2)
    weight = base
    fit = np.zeros(4)
    for _ in range(8):
        left = (terms * weight[:, None]).T
        fit = np.linalg.solve(left @ terms + 1e-6 * np.eye(4), left @ wanted)
        miss = np.abs(terms @ fit - wanted)
        typical = max(float(np.median(miss)), 1e-3)
        weight = base / np.maximum(miss / (1.5 * typical), 1.0) ** 2
    return (rows @ fit).astype(np.float32)


# --- the picture's own curve


def _expected(pair: _Pair, skin: Mask) -> Any:
    """The original's cut-out as exposure, white balance and contrast alone would have made it, in Lab.

    One smooth curve per channel, fitted outside the face: to all of it, and to backdrop, body and the ring of hair and
    neck by themselves. A jacket or a backdrop may have been recoloured, so the part that explains the skin best is
    believed: skin is only recoloured when it changed, and like nothing else in the picture.
    """
    solid = skin * pair.valid > 0.5
    step = max(1, int(solid.sum() / 20_000))
    before, after = pair.before[solid][::step][None], pair.lab_after[solid].mean(axis=0)

    def miss(curves: Any) -> float:
        return float(np.abs(_through(before, curves)[0].mean(axis=0) - after).sum())

    curves = [_UNCHANGED, *(_curves(one, two) for one, two in _witnesses(pair))]
    return _through(pair.before, min(curves, key=miss)) if solid.any() else pair.lab


def _witnesses(pair: _Pair) -> list[tuple[Any, Any]]:
    """Pixels before and after of the parts outside the face that are large enough to speak."""
    height, width = pair.whole_face.shape
    seen = (pair.whole_face == 0) & (pair.whole_valid > 0)
    rows = np.flatnonzero(pair.whole_face.any(axis=1))
    if not len(rows):
        return []
    tall = max(4, int(rows[-1] - rows[0]))
    ring_size = 2 * (tall // 4) + 1
    ring = cv2.dilate(pair.whole_face, np.ones((ring_size, ring_size), np.uint8)) > 0
    below = np.zeros((height, width), bool)
    below[min(height, rows[-1] + tall // 6) :] = True
    parts = (seen, seen & ring, seen & below & ~ring, seen & ~below & ~ring)
    return [(pair.whole_before[part], pair.whole_after[part]) for part in parts if part.sum() >= 1_500]


_UNCHANGED = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1)


def _curves(one: Any, two: Any) -> Any:
    """The three curves (256, 3) that lead from the pixels `one` to the pixels `two`."""
    return np.stack([_curve(one[:, channel], two[:, channel]) for channel in range(3)], axis=1)


def _through(image: Image, curves: Any) -> Any:
    """The picture through three curves, in Lab."""
    return cv2.cvtColor(cv2.LUT(image, curves[None] / np.float32(255)), cv2.COLOR_RGB2Lab)


def _curve(one: Any, two: Any) -> Any:
    """What 0–255 become: log₂ out = c₀ + c₁·log₂ in + c₂·(log₂ in)², robustly, with c₁ near 1 and c₂ near 0."""
    usable = (one > 8) & (one < 246) & (two > 3) & (two < 250)  # a white backdrop at its end says nothing
    if usable.sum() < 300:
        usable = (one > 4) & (two > 4)
    if usable.sum() < 100:
        return np.arange(256, dtype=np.float32)
    one, two, usable = (values[:: max(1, len(values) // 12_000)] for values in (one, two, usable))
    x, y = np.log2(one[usable] / 128.0), np.log2(two[usable] / 128.0)
    rows = np.stack([np.ones_like(x), x, x * x], axis=1)
    weight = np.ones_like(x)
    prior, pull = np.array([0.0, 1.0, 0.0]), np.diag([0.0, 0.02, 0.2]) * len(x)
    fit = prior
    for _ in range(6):
        left = (rows * weight[:, None]).T @ rows + pull
        fit = np.linalg.solve(left, (rows * weight[:, None]).T @ y + pull @ prior)
        miss = np.abs(rows @ fit - y)
        weight = 1 / np.maximum(miss / max(1.4826 * float(np.median(miss)), 0.004), 1.0) ** 2
    codes = np.log2(np.maximum(np.arange(256), 1) / 128.0)
    smooth = fit[0] + fit[1] * codes + fit[2] * codes * codes
    return np.clip(128 * 2 ** (smooth + _bend(one[usable], y - rows @ fit, weight)), 0, 255).astype(
        np.float32
    )


def _bend(one: Any, miss: Any, weight: Any) -> Any:
    """What a film-like shoulder adds to the smooth curve: the local mean of what it misses, where there is evidence."""
    evidence = np.bincount(one, weight, 256).astype(np.float32)[None]
    total = np.bincount(one, weight * miss, 256).astype(np.float32)[None]
    evidence, total = (
        cv2.GaussianBlur(plane, (0, 0), 7.0, borderType=cv2.BORDER_CONSTANT) for plane in (evidence, total)
    )
    return (total / (evidence + 0.0005 * len(one)))[0]


# --- texture


def _texture(pair: _Pair, skin: Mask, expected: Any) -> _Measure:
    """The pores' band of lightness, tile by tile: how strong it still is, and whether it is still the same.

    Single pixels are left out of the band (`FINEST`): what saving, resizing and sensor noise change is there. The
    patch that came from elsewhere is looked for in a band a little wider, which survives them better still.
    """
    iod = pair.face.eye_distance
    tile = max(8, round(0.14 * iod))
    light = (expected[..., 0], pair.lab_after[..., 0])
    solid = np.asarray((skin > 0.6) & (pair.valid > 0) & (light[0] < 92) & (light[1] < 94), np.float32)
    share = _tiles(solid, tile)
    enough = share > 0.6
    if enough.sum() < 6:
        enough = share > 0.3
    fine = _Band.of(light, FINEST, max(1.2, 0.012 * iod), solid, tile)
    use = enough & (fine.before / np.maximum(share, 1e-6) > 0.12**2)  # flatter has no texture to lose
    if use.sum() < 4:
        numbers = {"texture_ratio_p10": 1.0, "texture_kept": 1.0, "replaced_side": 0.0, "texture_tiles": 0.0}
        return _Measure(numbers, np.zeros(skin.shape, np.float32))
    ratio, kept = fine.ratio, fine.kept
    # A patch may reach over lips and brows, so the whole face is asked, not its skin alone.
    whole = filled(skin.shape, pair.face.polygon(faces.OVAL)) * pair.valid * (light[0] < 92) * (light[1] < 94)
    broad = _Band.of(light, FINEST, max(1.8, 0.02 * iod), np.asarray(whole, np.float32), tile)
    covered = _tiles(np.asarray(whole, np.float32), tile)
    asked = (covered > 0.4) & (broad.before / np.maximum(covered, 1e-6) > 0.2**2)
    wide = broad.kept
    usual = float(np.median(wide[asked])) if asked.any() else 0.0
    lost = asked & (wide < FOREIGN * usual)
    numbers = {
        "texture_ratio_p10": float(np.percentile(ratio[use], 10)),
        "texture_ratio_p90": float(np.percentile(ratio[use], 90)),
        "texture_kept": float(np.median(kept[use])),
        "texture_kept_p10": float(np.percentile(kept[use], 10)),
        "replaced_side": _largest_side(lost) * max(1, tile // 2) / iod if usual > 0.6 else 0.0,
        "texture_tiles": float(use.sum()),
    }
    gone = np.where(
        use, np.maximum((1 - ratio) / (1 - TEXTURE_RATIO_LIMIT), (1 - kept) / (1 - TEXTURE_KEPT_LIMIT)), 0
    )
    size = (skin.shape[1], skin.shape[0])
    on_skin = cv2.resize(gone.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) * skin
    foreign = cv2.resize(lost.astype(np.float32) * 1.2, size, interpolation=cv2.INTER_LINEAR) * whole
    excess = np.maximum(on_skin, foreign) if numbers["replaced_side"] > REPLACED_LIMIT else on_skin
    return _Measure(
        {name: round(value, 5) for name, value in numbers.items()}, np.asarray(excess, np.float32)
    )


@dataclass(frozen=True, eq=False)
class _Band:
    """A band of lightness in both pictures: mean power before and after and their product, per tile."""

    before: Any
    after: Any
    both: Any

    @classmethod
    def of(cls, light: tuple[Any, Any], finest: float, coarsest: float, solid: Any, tile: int) -> _Band:
        one, two = (
            cv2.GaussianBlur(plane, (0, 0), finest) - cv2.GaussianBlur(plane, (0, 0), coarsest)
            for plane in light
        )
        return cls(*(_tiles(product * solid, tile) for product in (one * one, two * two, one * two)))

    @property
    def ratio(self) -> Any:
        """Strength after over before."""
        return np.sqrt((self.after + 1e-6) / (self.before + 1e-6))

    @property
    def kept(self) -> Any:
        """Correlation: 1 when it is the same texture, however strong."""
        return self.both / np.sqrt((self.before + 1e-6) * (self.after + 1e-6))


def _tiles(plane: Any, tile: int) -> Any:
    """Means over tiles that overlap by half."""
    mean = cv2.boxFilter(plane.astype(np.float32), -1, (tile, tile), borderType=cv2.BORDER_CONSTANT)
    half = tile // 2
    return mean[half::half, half::half]


def _largest_side(tiles: Any) -> float:
    """Side, in tile steps, of the square with as many tiles as the largest connected patch."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(tiles.astype(np.uint8), connectivity=4)
    return float(np.sqrt(stats[1:, cv2.CC_STAT_AREA].max())) if count > 1 else 0.0


# --- colour


def _tone(pair: _Pair, skin: Mask, expected: Any) -> _Measure:
    """Skin and eye whites against what the picture's own curve explains, and what changed outside the face."""
    iod = pair.face.eye_distance
    solid = np.asarray(skin * pair.valid, np.float32)
    change = within(np.asarray(pair.lab_after - expected, np.float32), solid, 0.07 * iod)
    area = solid > 0.5
    light, colour = np.abs(change[..., 0]), np.sqrt((change**2).sum(axis=2))
    shift = (expected - pair.lab)[area].mean(axis=0) if area.any() else np.zeros(3)
    numbers = {
        "curve_shift": float(np.sqrt((shift**2).sum())),
        "skin_delta_l": float(np.percentile(light[area], 80)) if area.any() else 0.0,
        "skin_delta_e": float(np.percentile(colour[area], 80)) if area.any() else 0.0,
        "eye_white_delta_l": _eye_whites(pair, expected),
        "outside_share": _outside(pair),
    }
    excess = np.maximum(light / SKIN_LIGHT_LIMIT, colour / SKIN_COLOUR_LIMIT) * solid
    return _Measure(
        {name: round(value, 4) for name, value in numbers.items()}, np.asarray(excess, np.float32)
    )


def _eye_whites(pair: _Pair, expected: Any) -> float:
    """Median lightening of the white of the eyes, the larger of the two."""
    worst = 0.0
    for corners, iris in zip(faces.EYES, pair.face.irises, strict=True):
        white = filled(pair.before.shape, pair.face.polygon(corners))
        pupil = np.zeros_like(white)
        cv2.circle(pupil, (round(iris[0]), round(iris[1])), max(1, round(iris[2] * 0.58)), 1, -1)
        place = (white > 0) & (pupil == 0) & (pair.valid > 0)
        bright = (
            place & (expected[..., 0] > np.percentile(expected[..., 0][place], 40))
            if place.sum() > 12
            else place
        )
        if bright.sum() >= 8:
            worst = max(worst, float(np.median((pair.lab_after[..., 0] - expected[..., 0])[bright])))
    return worst


def _outside(pair: _Pair) -> float:
    """Share of the frame outside the face that changed by more than the curve explains: hair, clothing, backdrop."""
    area = (pair.whole_face == 0) & (pair.whole_valid > 0)
    if area.sum() < 500:
        return 0.0
    expected = _through(pair.whole_before, _curves(pair.whole_before[area], pair.whole_after[area]))
    apart = np.sqrt(((cv2.GaussianBlur(to_lab(pair.whole_after) - expected, (0, 0), 1.0)) ** 2).sum(axis=2))
    return float((apart[area] > OUTSIDE_DELTA).mean())


# --- the heat map


def _heat(pair: _Pair, *excesses: Mask) -> Image:
    """The original's face in grey; from half a limit on amber, at the limit and beyond red."""
    worst = np.max(np.stack(excesses), axis=0)
    grey = np.repeat(cv2.cvtColor(pair.before, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.float32)
    amber, red = np.array([245, 180, 40], np.float32), np.array([215, 35, 35], np.float32)
    share = np.clip((worst - 0.5) * 2, 0, 1)[..., None]
    strength = np.clip((worst - 0.35) * 1.6, 0, 0.72)[..., None]
    colour = amber * (1 - share) + red * share
    return np.asarray(np.clip(grey * (1 - strength) + colour * strength, 0, 255), np.uint8)
