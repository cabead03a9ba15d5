"""Faces in memory only: where they are, their 468-point mesh, the irises, and the person's outline.

Runs MediaPipe's models (models.py) in OpenCV's dnn. Nothing here identifies anybody, nothing is stored.
`python -m galleries.imaging.faces --fetch [FOLDER]` fetches the models.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from . import models
from .crop import Head, Point

type Image = np.ndarray[Any, np.dtype[np.uint8]]
type Mask = np.ndarray[Any, np.dtype[np.float32]]
type Points = np.ndarray[Any, np.dtype[np.float32]]

cv2.setNumThreads(1)

DETECTOR_SIDE, MESH_SIDE, IRIS_SIDE, OUTLINE_SIDE = 128, 192, 64, 256
LEAST_SCORE, LEAST_MESH_SCORE = 0.5, 0.5
OVERLAP = 0.3
WORK_EDGE = 1_024  # finding a face needs no more

# Mesh indices, MediaPipe face mesh topology (face_mesh_connections.py).
# fmt: off
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
EYES = ((33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
        (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466))
BROWS = ((46, 53, 52, 65, 55, 107, 66, 105, 63, 70), (276, 283, 282, 295, 285, 336, 296, 334, 293, 300))
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
MOUTH = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
NOSTRILS = (64, 98, 97, 2, 326, 327, 294, 4)
UNDER_EYES = ((111, 117, 118, 119, 120, 121, 128, 245, 233, 232, 231, 230, 229, 228, 31, 226),
              (340, 346, 347, 348, 349, 350, 357, 465, 453, 452, 451, 450, 449, 448, 261, 446))
CHEEKS = ((50, 101, 36, 205, 187, 123), (280, 330, 266, 425, 411, 352))
# fmt: on
EYE_CORNERS = ((33, 133), (362, 263))
CHIN, FOREHEAD = 152, 10


@dataclass(frozen=True, eq=False)
class Face:
    """One face in the pixels of one picture.

    `points` (468, 2) x and y; `irises` ((x, y, diameter), …) of the picture's left and right eye; `box` left, top,
    right, bottom; `crown` y of the top of the hair, an estimate; `score` 0–1.
    """

    points: Points
    irises: tuple[tuple[float, float, float], tuple[float, float, float]]
    box: tuple[float, float, float, float]
    crown: float
    score: float

    @property
    def eye_distance(self) -> float:
        """Between the iris centres, in pixels: the unit of every length in retouching and guard (IOD)."""
        (x1, y1, _), (x2, y2, _) = self.irises
        return math.hypot(x2 - x1, y2 - y1)

    @property
    def turn(self) -> float:
        """How far the head is turned: 0 facing the camera, towards 1 in profile."""
        nose, left, right = self.points[1], self.points[234], self.points[454]
        to_left, to_right = float(np.hypot(*(nose - left))), float(np.hypot(*(right - nose)))
        return abs(to_left - to_right) / max(to_left + to_right, 1e-6)

    @property
    def head(self) -> Head:
        """What the crop needs."""
        (x1, y1, _), (x2, y2, _) = self.irises
        chin = self.points[CHIN]
        crown = min(self.crown, float(chin[1]) - 1)
        return Head(
            Point(x1, y1),
            Point(x2, y2),
            Point(float(chin[0]), float(chin[1])),
            Point(float(self.points[10][0]), crown),
        )

    def scaled(self, factor: float) -> Face:
        """The same face in a picture of another size."""
        (x1, y1, d1), (x2, y2, d2) = self.irises
        left, top, right, bottom = self.box
        return replace(
            self,
            points=self.points * np.float32(factor),
            irises=((x1 * factor, y1 * factor, d1 * factor), (x2 * factor, y2 * factor, d2 * factor)),
            box=(left * factor, top * factor, right * factor, bottom * factor),
            crown=self.crown * factor,
        )

    def moved(self, x: float, y: float) -> Face:
        """The same face seen from another origin."""
        left, right = ((iris[0] + x, iris[1] + y, iris[2]) for iris in self.irises)
        box = (self.box[0] + x, self.box[1] + y, self.box[2] + x, self.box[3] + y)
        return replace(
            self,
            points=self.points + np.array([x, y], np.float32),
            irises=(left, right),
            box=box,
            crown=self.crown + y,
        )

    def polygon(self, indices: tuple[int, ...]) -> Points:
        """Mesh points by index."""
        return self.points[list(indices)]


@lru_cache(maxsize=1)
def _nets() -> dict[str, Any] | None:
    """The networks, loaded once per process, or None when a model file is absent or not the one we know."""
    place = models.folder()
    if models.missing(place):
        return None
    names = (models.DETECTOR, models.MESH, models.IRIS, models.SEGMENTATION)
    # OpenCV 5's new engine keeps only one of a network's outputs; the classic one keeps all.
    return {
        name: cv2.dnn.readNetFromTFLite(str(Path(place) / name), cv2.dnn.ENGINE_CLASSIC) for name in names
    }


def are_available() -> bool:
    """Whether faces can be looked for at all."""
    return _nets() is not None


def warm() -> bool:
    """Load the models and run each once, so a fork finds them ready. False without models."""
    if not are_available():
        return False
    blank = np.zeros((MESH_SIDE, MESH_SIDE, 3), np.uint8)
    row = np.array([1, 60, 60, 130, 130, 80, 80, 110, 80, *[95] * 8], np.float32)
    _detect(blank, 0, 0, MESH_SIDE)
    _meshed(blank, row)
    _iris(blank, np.stack([np.arange(468), np.arange(468)], axis=1).astype(np.float32), 0)
    outline(blank)
    return True


def find(image: Image) -> list[Face]:
    """Faces of an upright 8-bit RGB picture (height, width, 3), largest first. Empty without models."""
    if not are_available():
        return []
    scale = min(1.0, WORK_EDGE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    found = [face for box in _detect_everywhere(small) if (face := _meshed(small, box)) is not None]
    found.sort(key=lambda face: -face.eye_distance)
    return [_crowned(small, face).scaled(1 / scale) for face in found]


def outline(image: Image) -> Mask:
    """How much each pixel belongs to a person, 0–1, in the picture's size. Raises RuntimeError without models."""
    small = cv2.resize(image, (OUTLINE_SIDE, OUTLINE_SIDE), interpolation=cv2.INTER_AREA)
    raw = _run(models.SEGMENTATION, small, 0.0, 1 / 255)[0].reshape(OUTLINE_SIDE, OUTLINE_SIDE, -1)[:, :, -1]
    person: Mask = cv2.resize(
        np.clip(raw, 0, 1), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR
    )
    return person


def _run(name: str, image: Image, offset: float, scale: float, outputs: tuple[str, ...] = ()) -> list[Any]:
    nets = _nets()
    if nets is None:
        raise RuntimeError("the face models are not there")
    net = nets[name]
    blob = (image.astype(np.float32) * scale + offset).transpose(2, 0, 1)[None]
    net.setInput(np.ascontiguousarray(blob))
    if outputs:
        return list(net.forward(outputs))
    return [net.forward()]


# --- detection: a single-shot detector with 896 anchors (MediaPipe face_detection_short_range)


@lru_cache(maxsize=1)
def _anchors() -> Points:
    """Anchor centres 0–1: two per cell of 16×16, then six per cell of 8×8."""
    rows = []
    for cells, each in ((16, 2), (8, 6)):
        for y in range(cells):
            for x in range(cells):
                rows += [((x + 0.5) / cells, (y + 0.5) / cells)] * each
    return np.array(rows, np.float32)


def _detect_everywhere(image: Image) -> list[Points]:
    """Detections of the whole picture, and of its parts when none is found: the detector is short-sighted."""
    height, width = image.shape[:2]
    side = max(height, width)
    found = _detect(image, 0, 0, side)
    if not found:
        part = round(side * 0.55)
        for top in range(0, max(1, height - part // 2), max(1, part // 2)):
            for left in range(0, max(1, width - part // 2), max(1, part // 2)):
                found += _detect(image, left, top, part)
    return _distinct(found)


def _detect(image: Image, left: int, top: int, side: int) -> list[Points]:
    """Rows of (score, left, top, right, bottom, six key points x y …) in the picture's pixels."""
    part = image[top : top + side, left : left + side]
    pad_x, pad_y = (side - part.shape[1]) // 2, (side - part.shape[0]) // 2
    square = cv2.copyMakeBorder(
        part, pad_y, side - part.shape[0] - pad_y, pad_x, side - part.shape[1] - pad_x, cv2.BORDER_CONSTANT
    )
    small = cv2.resize(square, (DETECTOR_SIDE, DETECTOR_SIDE), interpolation=cv2.INTER_AREA)
    boxes, scores = _run(models.DETECTOR, small, -1.0, 1 / 127.5, ("regressors", "classificators"))
    boxes, logits = boxes.reshape(896, 16), np.clip(scores.reshape(896), -100, 100)
    likely = 1 / (1 + np.exp(-logits.astype(np.float64)))
    rows = []
    for index in np.flatnonzero(likely >= LEAST_SCORE):
        centre, raw = _anchors()[index], boxes[index] / DETECTOR_SIDE
        x, y, w, h = raw[0] + centre[0], raw[1] + centre[1], raw[2], raw[3]
        marks = raw[4:].reshape(6, 2) + centre
        flat = np.concatenate([[x - w / 2, y - h / 2, x + w / 2, y + h / 2], marks.ravel()]) * side
        flat += np.tile([left - pad_x, top - pad_y], 8)
        rows.append(np.concatenate([[likely[index]], flat]).astype(np.float32))
    return rows


def _distinct(rows: list[Points]) -> list[Points]:
    """Weighted non-maximum suppression, as MediaPipe does it: overlapping boxes are averaged by score."""
    left, kept = sorted(rows, key=lambda row: -row[0]), []
    while left:
        best = left[0]
        near = [row for row in left if _overlap(best, row) > OVERLAP]
        left = [row for row in left if _overlap(best, row) <= OVERLAP]
        mean = np.average(np.stack(near), axis=0, weights=[row[0] for row in near]).astype(np.float32)
        mean[0] = best[0]
        kept.append(mean)
    return kept


def _overlap(a: Points, b: Points) -> float:
    width = min(a[3], b[3]) - max(a[1], b[1])
    height = min(a[4], b[4]) - max(a[2], b[2])
    if width <= 0 or height <= 0:
        return 0.0
    both = (a[3] - a[1]) * (a[4] - a[2]) + (b[3] - b[1]) * (b[4] - b[2])
    return float(width * height / max(both - width * height, 1e-6))


# --- the mesh: the face turned upright and cut out at 192 px


def _meshed(image: Image, row: Points) -> Face | None:
    eyes = row[5:9].reshape(2, 2)
    centre = np.array([(row[1] + row[3]) / 2, (row[2] + row[4]) / 2])
    side = 1.5 * float(max(row[3] - row[1], row[4] - row[2]))
    angle = math.atan2(eyes[1, 1] - eyes[0, 1], eyes[1, 0] - eyes[0, 0])
    points = score = None
    for _ in range(2):  # the second look, placed by the first mesh, is the steadier one
        place = _placement(centre, side, angle, MESH_SIDE)
        cutout = cv2.warpAffine(image, place, (MESH_SIDE, MESH_SIDE), flags=cv2.INTER_LINEAR)
        raw, flag = _run(models.MESH, cutout, 0.0, 1 / 255, ("conv2d_21", "conv2d_31"))
        score = 1 / (1 + math.exp(-float(np.clip(flag.reshape(-1)[0], -50, 50))))
        if score < LEAST_MESH_SCORE:
            return None
        points = _back(raw.reshape(468, 3)[:, :2], place)
        low, high = points.min(axis=0), points.max(axis=0)
        centre, side = (low + high) / 2, 1.5 * float(max(high - low))
        angle = math.atan2(points[263, 1] - points[33, 1], points[263, 0] - points[33, 0])
    if points is None or score is None:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    irises = (_iris(image, points, 0), _iris(image, points, 1))
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return Face(points=points.astype(np.float32), irises=irises, box=box, crown=box[1], score=float(row[0]))


def _placement(centre: Any, side: float, angle: float, target: int) -> Any:
    """The matrix from the picture to an upright square cut-out."""
    scale = target / max(side, 1e-6)
    cosine, sine = math.cos(-angle) * scale, math.sin(-angle) * scale
    x, y = float(centre[0]), float(centre[1])
    return np.array(
        [
            [cosine, -sine, target / 2 - cosine * x + sine * y],
            [sine, cosine, target / 2 - sine * x - cosine * y],
        ]
    )


def _back(points: Any, place: Any) -> Points:
    inverse = cv2.invertAffineTransform(place)
    moved: Points = (points @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
    return moved


def _iris(image: Image, points: Points, which: int) -> tuple[float, float, float]:
    """Centre and diameter of one iris; the model knows left eyes, the other is shown to it mirrored."""
    first, second = (points[index] for index in EYE_CORNERS[which])
    centre, side = (first + second) / 2, 2.3 * float(np.hypot(*(second - first)))
    angle = math.atan2(second[1] - first[1], second[0] - first[0])
    place = _placement(centre, side, angle, IRIS_SIDE)
    cutout = cv2.warpAffine(image, place, (IRIS_SIDE, IRIS_SIDE), flags=cv2.INTER_LINEAR)
    if which == 1:
        cutout = cutout[:, ::-1]
    marks = _run(models.IRIS, cutout, 0.0, 1 / 255, ("output_iris",))[0].reshape(5, 3)[:, :2]
    if which == 1:
        marks = np.stack([IRIS_SIDE - 1 - marks[:, 0], marks[:, 1]], axis=1)
    found = _back(marks, place)
    across = float(np.hypot(*(found[1] - found[3])) + np.hypot(*(found[2] - found[4]))) / 2
    return float(found[0, 0]), float(found[0, 1]), across


def _crowned(image: Image, face: Face) -> Face:
    """With the top of the hair: where the person's outline ends above the face, within what heads allow."""
    tall = face.box[3] - face.box[1]
    left, right = (round(face.box[0] + share * (face.box[2] - face.box[0])) for share in (0.25, 0.75))
    bottom = round(face.box[1])
    low, high = face.box[1] - 0.55 * tall, face.box[1] - 0.10 * tall
    crown = face.box[1] - 0.28 * tall
    if bottom > 0 and right > left:
        person = outline(image)[:bottom, max(left, 0) : right].mean(axis=1)
        empty = np.flatnonzero(person < 0.5)
        if len(empty):
            crown = float(empty[-1] + 1)
        elif len(person):
            crown = 0.0
    return replace(face, crown=min(max(crown, low), high))


if __name__ == "__main__":
    sys.exit(models.main())
