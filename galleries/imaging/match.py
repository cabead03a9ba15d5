"""Which frame a finished file was made from: by what it shows, without looking at faces.

The file is laid over each candidate by matched features (a similarity: shifted, turned, scaled), then compared tile by
tile in the fine structure, where a retouch changes little and another frame of the same person nearly everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .faces import Image

EDGE = 800  # long edge at which files are compared
FEATURES = 1_500
RATIO = 0.78  # Lowe's test: the best match is this much nearer than the second
LEAST_INLIERS = 14
LEAST_COVER = 0.9  # of the finished file that must lie on the frame: a crop does, another framing does not
TILE = 48
FLAT = 2.0  # contrast of a tile (levels) below which it says nothing
SURE = 0.85  # likeness from which a file shows this frame; a neighbouring frame of a burst stays below 0.7
CLEAR = 0.1  # how much likelier the best must be than the second


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture's lightness, its fine structure, and its features."""

    light: Any
    fine: Any
    points: Any
    descriptors: Any


def seen(image: Image) -> _Seen:
    """What is compared of a picture: upright 8-bit sRGB of any size."""
    scale = min(1.0, EDGE / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    even = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(light)
    found, descriptors = cv2.SIFT.create(nfeatures=FEATURES).detectAndCompute(even, None)
    points = np.array([key.pt for key in found], np.float32).reshape(-1, 2)
    return _Seen(light, _fine(light.astype(np.float32)), points, descriptors)


def alike(finished: _Seen, frame: _Seen) -> float:
    """0 to 1: how surely the finished picture was made from this frame; 0 when one cannot be laid over the other."""
    matrix = _laid_over(finished, frame)
    if matrix is None or _cover(finished, frame, matrix) < LEAST_COVER:
        return 0.0
    height, width = frame.light.shape
    shown = cv2.warpAffine(np.full(finished.light.shape, 255, np.uint8), matrix, (width, height)) > 250
    moved = cv2.warpAffine(finished.light.astype(np.float32), matrix, (width, height), flags=cv2.INTER_AREA)
    return _same_structure(_fine(moved), frame.fine, shown)


def _laid_over(finished: _Seen, frame: _Seen) -> Any:
    if finished.descriptors is None or frame.descriptors is None or len(frame.descriptors) < 2:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(finished.descriptors, frame.descriptors, k=2)
    good = [one for one, *rest in pairs if rest and one.distance < RATIO * rest[0].distance]
    if len(good) < LEAST_INLIERS:
        return None
    here = np.array([finished.points[match.queryIdx] for match in good], np.float32)
    there = np.array([frame.points[match.trainIdx] for match in good], np.float32)
    cv2.setRNGSeed(1)  # the same files give the same answer
    matrix, inliers = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=2.0)
    return matrix if matrix is not None and int(inliers.sum()) >= LEAST_INLIERS else None


def _cover(finished: _Seen, frame: _Seen, matrix: Any) -> float:
    """The share of the finished picture that lies on the frame."""
    height, width = finished.light.shape
    xs, ys = np.meshgrid(np.linspace(0, width, 21), np.linspace(0, height, 21))
    placed = np.stack([xs, ys, np.ones_like(xs)], axis=-1) @ matrix.T
    tall, wide = frame.light.shape
    inside = (placed >= -0.01 * wide) & (placed <= np.array([1.01 * wide, 1.01 * tall]))
    return float(inside.all(axis=-1).mean())


def _fine(light: Any) -> Any:
    """Structure between about one and eight pixels, in levels."""
    return cv2.GaussianBlur(light, (0, 0), 1.2) - cv2.GaussianBlur(light, (0, 0), 6.0)


def _same_structure(one: Any, two: Any, shown: Any) -> float:
    """The lower quartile over tiles with contrast of their correlation: every part must agree, not most."""
    agree = []
    for top in range(0, one.shape[0] - TILE + 1, TILE):
        for left in range(0, one.shape[1] - TILE + 1, TILE):
            place = np.s_[top : top + TILE, left : left + TILE]
            if not shown[place].all():
                continue
            first, second = one[place].ravel(), two[place].ravel()
            if min(first.std(), second.std()) >= FLAT:
                agree.append(float(np.corrcoef(first, second)[0, 1]))
    return round(max(0.0, float(np.percentile(agree, 25))), 4) if len(agree) >= 6 else 0.0
