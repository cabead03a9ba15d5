"""The natural draft: a small correction, worked out at low resolution and added to untouched pixels.

Skin keeps its pores because the correction holds nothing finer than about 0.014 of the distance between the eyes
(IOD): the full-resolution pixels only receive a smooth difference. Nothing moves, nothing is generated.
Pictures are upright 8-bit sRGB (height, width, 3); colour differences are CIE Lab (D65).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from . import faces
from .faces import Face, Image, Mask

WORK_IOD = 160.0  # pixels between the eyes at which corrections are worked out
MARGIN = 0.12  # of the face's box, around it
LEAST_IOD = 24.0  # below this a face is too small to be helped

FINE, MIDDLE, COARSE = 0.014, 0.055, 0.12  # of IOD
LEAST_FINE = 1.6  # pixels: in a small picture the pores' own band is left alone too
EVEN_SHARE = 0.45  # of the middle band, at full strength
EVEN_MOST = 2.6  # ΔL the evening may move a pixel
UNDER_EYE_SHARE, UNDER_EYE_MOST = 0.35, 3.5  # of the gap to the cheek; ΔL
SPOT_RED, SPOT_DARK = 2.2, -6.0  # Δa* that makes a spot; ΔL below which it is a mole, which stays
NEUTRAL_MOST, CAST_MOST, CAST_SHARE = 9.0, 4.0, 0.6
BACKDROP_EDGE = 500  # pixels at which the backdrop is judged
BACKDROP_LEAST = 0.06  # of the frame, below which there is no backdrop to speak of
BACKDROP_PLAIN = 5.0  # ΔE from a smooth fall-off that a plain backdrop keeps to on 80 % of its area
BACKDROP_NEAR = 7.0  # ΔE up to which a mark belongs to the backdrop

type Lab = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Parameters:
    """Strengths 0–1 of each operation, `overall` scaling them all; `exposure` in stops, −2 to 2.

    `white_balance` is how much of a measured cast is removed; `cast` (Δa*, Δb*) replaces the measurement, so a whole
    shoot can share one. `backdrop` evens an already plain backdrop; off by default.
    """

    overall: float = 1.0
    blemish: float = 0.8
    skin: float = 0.8
    under_eye: float = 1.0
    exposure: float = 0.0
    white_balance: float = 0.5
    backdrop: float = 0.0
    cast: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("overall", "blemish", "skin", "under_eye", "white_balance", "backdrop"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies between 0 and 1")
        if not -2 <= self.exposure <= 2:
            raise ValueError("exposure lies between -2 and 2 stops")
        if self.cast is not None and max(map(abs, self.cast)) > 20:
            raise ValueError("a cast is at most 20 in a* and b*")


DEFAULTS = Parameters()


@dataclass(frozen=True)
class Operation:
    """One thing a draft did, for the Version's record: its name, the recipe's version and its numbers."""

    name: str
    version: int
    parameters: dict[str, float]


@dataclass(frozen=True, eq=False)
class Draft:
    """The drafted picture and what was done, in order.

    `notes`: `no_face`, `two_faces`, `small_face`, `backdrop_not_plain` (asked for, and left alone).
    """

    image: Image
    operations: tuple[Operation, ...]
    notes: tuple[str, ...]


def draft(image: Image, found: list[Face], parameters: Parameters = DEFAULTS) -> Draft:
    """Correct exposure and white balance everywhere, then every face that is large enough.

    Without faces only the global corrections are made, and a note says so.
    """
    cast = parameters.cast if parameters.cast is not None else measured_cast(image, found)
    toned, operations = _toned(image, parameters, cast)
    notes = []
    large = [face for face in found if face.eye_distance >= LEAST_IOD]
    if not found:
        notes.append("no_face")
    elif not large:
        notes.append("small_face")
    elif len(large) > 1:
        notes.append("two_faces")
    wants_backdrop = bool(large) and parameters.backdrop * parameters.overall > 0
    result = toned.copy() if large and toned is image else toned
    if wants_backdrop:
        evened = _backdrop_evened(result, parameters.backdrop * parameters.overall)
        operations += evened
        notes += [] if evened else ["backdrop_not_plain"]
    for face in large:
        operations += _helped(result, face, parameters)
    return Draft(image=result, operations=tuple(operations), notes=tuple(notes))


# --- everywhere: one curve per channel


def shared_cast(measured: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """One cast for a whole shoot: the median of its frames' own, so that one odd frame does not pull the others."""
    casts = np.array(list(measured), np.float64).reshape(-1, 2)
    if not len(casts):
        return 0.0, 0.0
    a, b = np.median(casts, axis=0)
    return round(float(a), 3), round(float(b), 3)


def measured_cast(image: Image, found: list[Face]) -> tuple[float, float]:
    """The colour of what should be neutral (Δa*, Δb*), from nearly grey pixels outside faces; (0, 0) when unsure."""
    scale = min(1.0, 400 / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    lab = to_lab(small)
    usable = (lab[..., 0] > 35) & (lab[..., 0] < 94) & (np.hypot(lab[..., 1], lab[..., 2]) < NEUTRAL_MOST)
    for face in found:
        left, top, right, bottom = (round(value * scale) for value in face.box)
        usable[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = False
    if usable.mean() < 0.04:
        return 0.0, 0.0
    a, b = float(np.median(lab[..., 1][usable])), float(np.median(lab[..., 2][usable]))
    size = float(np.hypot(a, b))
    if size < 0.6:
        return 0.0, 0.0
    limit = min(1.0, CAST_MOST / size)
    return round(a * limit, 3), round(b * limit, 3)


def _toned(image: Image, parameters: Parameters, cast: tuple[float, float]) -> tuple[Image, list[Operation]]:
    stops = parameters.exposure * parameters.overall
    share = parameters.white_balance * parameters.overall * CAST_SHARE
    a, b = cast[0] * share, cast[1] * share
    operations = []
    if max(abs(a), abs(b)) >= 0.1:
        operations.append(Operation("white_balance", 1, {"delta_a": round(-a, 3), "delta_b": round(-b, 3)}))
    else:
        a = b = 0.0
    if stops:
        operations.append(Operation("exposure", 1, {"stops": stops}))
    if not operations:
        return image, operations
    curves = _curves(stops, a, b)
    toned: Image = cv2.LUT(image, curves)
    return toned, operations


def _curves(stops: float, a: float, b: float) -> Image:
    """Look-up tables (1, 256, 3): a gain per channel in linear light, rolled off so highlights do not clip."""
    grey = to_lab(np.full((1, 1, 3), 160, np.uint8))
    wanted = grey.copy()
    wanted[..., 1] -= a
    wanted[..., 2] -= b
    before, after = (_linear(from_lab(value)[0, 0]) for value in (grey, wanted))
    gains = after / before * 2.0**stops
    code = np.arange(256, dtype=np.float32) / 255
    linear = _linear(code)[:, None] * gains
    if stops > 0:
        knee = 0.6
        over = np.maximum(linear - knee, 0)
        top = float(2.0**stops) - knee
        room = 1 - knee
        rolled = knee + room * (1 - np.exp(-over / room)) / (1 - np.exp(-top / room))
        linear = np.where(linear > knee, rolled, linear)
    table = np.clip(_encoded(linear) * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(table[None])


def _linear(value: Any) -> Any:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _encoded(value: Any) -> Any:
    value = np.clip(value, 0, 1)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)


# --- the backdrop


def _backdrop_evened(result: Image, strength: float) -> list[Operation]:
    """Even the backdrop in place; nothing, and no operation, where it is not plain."""
    change = backdrop_change(result)
    if change is None:
        return []
    add_everywhere(result, change * np.float32(strength))
    return [Operation("even_backdrop", 1, {"strength": round(strength, 3)})]


def backdrop_change(image: Image) -> Lab | None:
    """The difference (8-bit units, small) that makes a plain backdrop even: marks, creases and blotches taken back to
    the smooth fall-off of its light. None where no plain backdrop is.

    The fall-off is a curved surface through what lies well clear of every person. Only what is near it is brought to
    it: hair, a shoulder or a lamp stand differ by more and stay. Grain stays: only a smooth difference is added.
    """
    scale = min(1.0, BACKDROP_EDGE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    edge = max(small.shape[:2])
    person = faces.outline(small)
    clear = _shrunk(np.asarray(person < 0.1, np.float32), 0.03 * edge)
    if clear.mean() < BACKDROP_LEAST:
        return None
    lab = blurred(to_lab(small), 0.003 * edge)
    surface = _surface(lab, clear > 0)
    off = np.sqrt((((lab - surface) * [1.0, 1.5, 1.5]) ** 2).sum(axis=2))
    if float(np.percentile(off[clear > 0], 80)) > BACKDROP_PLAIN:
        return None
    near = np.clip(2 - off / BACKDROP_NEAR, 0, 1)
    weight = blurred(clear, 0.012 * edge) * near
    even = from_lab(lab + (surface - lab) * weight[..., None])
    return np.asarray((even - from_lab(lab)) * 255, np.float32)


def _surface(lab: Lab, place: Any) -> Lab:
    """A cubic surface per channel through the pixels of `place`, robustly."""
    height, width = place.shape
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([xs**i * ys**j for i in range(4) for j in range(4 - i)], axis=-1)
    step = max(1, int(np.sqrt(place.sum() / 6_000)))
    taken = np.zeros_like(place)
    taken[::step, ::step] = place[::step, ::step]
    rows, values = terms[taken].astype(np.float64), lab[taken].astype(np.float64)
    weight = np.ones(len(rows))
    fit = np.zeros((rows.shape[1], 3))
    for _ in range(5):
        left = (rows * weight[:, None]).T
        fit = np.linalg.solve(left @ rows + 1e-3 * np.eye(rows.shape[1]), left @ values)
        miss = np.abs(rows @ fit - values).sum(axis=1)
        weight = 1 / np.maximum(miss / max(1.5 * float(np.median(miss)), 0.2), 1.0) ** 2
    return np.asarray(terms @ fit.astype(np.float32), np.float32)


def add_everywhere(image: Image, change: Lab) -> None:
    """Add a small smooth difference (8-bit units) to the whole picture in place, band by band to spare memory."""
    height, width = image.shape[:2]
    down = change.shape[0] / height
    for top in range(0, height, 512):
        bottom = min(height, top + 512)
        place = np.array(
            [
                [change.shape[1] / width, 0, 0.5 * (change.shape[1] / width - 1)],
                [0, down, (top + 0.5) * down - 0.5],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        full = cv2.warpAffine(
            change, place, (width, bottom - top), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        part = image[top:bottom]
        cv2.add(part, full, dst=part, dtype=cv2.CV_8U)


# --- on the face


def _helped(result: Image, face: Face, parameters: Parameters) -> list[Operation]:
    """Add one face's correction to the picture in place."""
    region = Region.of(result, face)
    if region is None:
        return []
    lab = to_lab(region.small)
    skin = skin_mask(region.small, lab, region.face)
    iod, overall = region.face.eye_distance, parameters.overall
    change = np.zeros_like(lab)
    operations = []
    if parameters.blemish * overall > 0:
        change += _healed(lab, skin, iod) * np.float32(parameters.blemish * overall)
        operations.append(Operation("heal_spots", 1, {"strength": round(parameters.blemish * overall, 3)}))
    if parameters.skin * overall > 0:
        change += _evened(lab + change, skin, iod) * np.float32(parameters.skin * overall)
        operations.append(Operation("even_skin", 1, {"strength": round(parameters.skin * overall, 3)}))
    if parameters.under_eye * overall > 0:
        change += _lifted(lab + change, skin, region.face) * np.float32(parameters.under_eye * overall)
        operations.append(
            Operation("lift_under_eyes", 1, {"strength": round(parameters.under_eye * overall, 3)})
        )
    if operations:
        region.add(result, from_lab(lab + change) * np.float32(255) - region.small.astype(np.float32))
    return operations


@dataclass(frozen=True, eq=False)
class Region:
    """The part of a picture around one face, full size by its bounds and small for the work."""

    left: int
    top: int
    right: int
    bottom: int
    small: Image
    face: Face  # in pixels of `small`

    @classmethod
    def of(
        cls, image: Image, face: Face, work_iod: float = WORK_IOD, margin: float = MARGIN
    ) -> Region | None:
        """Cut out around a face; None when it lies outside the picture."""
        height, width = image.shape[:2]
        across, down = face.box[2] - face.box[0], face.box[3] - face.box[1]
        left, right = (
            max(0, int(face.box[0] - margin * across)),
            min(width, int(face.box[2] + margin * across)),
        )
        top, bottom = max(0, int(face.box[1] - margin * down)), min(height, int(face.box[3] + margin * down))
        if right - left < 16 or bottom - top < 16:
            return None
        scale = min(1.0, work_iod / face.eye_distance)
        part = image[top:bottom, left:right]
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        small = cv2.resize(part, size, interpolation=cv2.INTER_AREA) if scale < 1 else part.copy()
        return cls(left, top, right, bottom, small, face.moved(-left, -top).scaled(size[0] / part.shape[1]))

    def add(self, image: Image, change: Lab) -> None:
        """Add a small difference in 8-bit units to the full-size pixels, in place, where there is any."""
        smooth = cv2.GaussianBlur(change, (0, 0), 0.6)
        rows, columns = (np.flatnonzero(np.abs(smooth).max(axis=(axis, 2)) > 0.02) for axis in (1, 0))
        if not len(rows) or not len(columns):
            return
        scale_x = (self.right - self.left) / change.shape[1]
        scale_y = (self.bottom - self.top) / change.shape[0]
        # The cut is placed by a matrix, so its pixels fall exactly where resizing the whole would put them.
        x1, x2 = int(columns[0] * scale_x), min(int((columns[-1] + 1) * scale_x) + 1, self.right - self.left)
        y1, y2 = int(rows[0] * scale_y), min(int((rows[-1] + 1) * scale_y) + 1, self.bottom - self.top)
        place = np.array(
            [[1 / scale_x, 0, (x1 + 0.5) / scale_x - 0.5], [0, 1 / scale_y, (y1 + 0.5) / scale_y - 0.5]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        full = cv2.warpAffine(smooth, place, (x2 - x1, y2 - y1), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        part = image[self.top + y1 : self.top + y2, self.left + x1 : self.left + x2]
        cv2.add(part, full, dst=part, dtype=cv2.CV_8U)


def to_lab(image: Image) -> Lab:
    """8-bit sRGB to Lab, 32-bit."""
    lab: Lab = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)
    return lab


def from_lab(lab: Lab) -> Lab:
    """Lab to sRGB 0–1, 32-bit."""
    rgb: Lab = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB)
    return rgb


def blurred(plane: Any, sigma: float) -> Any:
    """A Gaussian, sigma in pixels. Wide ones are made at a smaller size, which nobody can tell from the result."""
    shrink = int(sigma / 2.2)
    if shrink < 2 or min(plane.shape[:2]) < 8 * shrink:
        return cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.3))
    height, width = plane.shape[:2]
    small = cv2.resize(plane, (-(-width // shrink), -(-height // shrink)), interpolation=cv2.INTER_AREA)
    # Averaging and interpolating widen the filter a little themselves.
    own = max((sigma / shrink) ** 2 - 0.25, 0.1) ** 0.5
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), own), (width, height), interpolation=cv2.INTER_LINEAR)


def within(lab: Lab, mask: Mask, sigma: float) -> Lab:
    """A Gaussian mean of what the mask covers only, so lips and hair do not bleed into skin."""
    weight = blurred(mask, sigma) + np.float32(1e-3)
    return np.asarray(blurred(lab * mask[..., None], sigma) / weight[..., None], np.float32)


def filled(shape: tuple[int, ...], *polygons: Any) -> Mask:
    """1 inside the polygons, 0 outside."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(polygon).astype(np.int32) for polygon in polygons], 1)
    return mask.astype(np.float32)


def skin_mask(image: Image, lab: Lab, face: Face) -> Mask:
    """Where the face is skin, 0–1, soft: inside the oval without features, glasses, hair and beard."""
    iod = face.eye_distance
    oval = filled(image.shape, face.polygon(faces.OVAL))
    features = np.zeros(image.shape[:2], np.float32)
    for eye in faces.EYES:
        features = np.maximum(features, _grown(filled(image.shape, face.polygon(eye)), 0.06 * iod))
    for brow in faces.BROWS:
        features = np.maximum(
            features, _grown(filled(image.shape, cv2.convexHull(face.polygon(brow))), 0.05 * iod)
        )
    features = np.maximum(features, _grown(filled(image.shape, face.polygon(faces.LIPS)), 0.05 * iod))
    features = np.maximum(features, filled(image.shape, cv2.convexHull(face.polygon(faces.NOSTRILS))))
    plain = (oval > 0) & (features == 0)
    if plain.sum() < 50:
        return np.zeros(image.shape[:2], np.float32)
    likely = _skin_like(lab, plain, iod)
    inner = _shrunk(oval, 0.05 * iod) * (1 - features) * likely
    return np.asarray(blurred(_shrunk(np.asarray(inner, np.float32), 0.02 * iod), 0.02 * iod), np.float32)


def _skin_like(lab: Lab, plain: Any, iod: float) -> Mask:
    """How much each pixel looks like this person's own skin: near its colour, and no finer texture than its skin."""
    soft = blurred(lab, 0.02 * iod)
    middle = np.median(soft[plain], axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(soft[plain] - middle), axis=0), [6.0, 2.5, 3.0])
    far = np.sqrt((((soft - middle) / spread) ** 2 * [0.35, 1.0, 1.0]).sum(axis=2))
    by_colour = np.clip((4.2 - far) / 1.4, 0, 1)
    rough = blurred(np.abs(lab[..., 0] - soft[..., 0]), 0.03 * iod)
    usual = float(np.median(rough[plain]))
    by_texture = np.clip((4.0 * usual + 0.8 - rough) / (1.5 * usual + 0.4), 0, 1)
    return np.asarray(by_colour * by_texture, np.float32)


def _grown(mask: Mask, radius: float) -> Mask:
    size = 2 * max(1, round(radius)) + 1
    grown: Mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return grown


def _shrunk(mask: Mask, radius: float) -> Mask:
    size = 2 * max(1, round(radius)) + 1
    shrunk: Mask = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return shrunk


def _healed(lab: Lab, skin: Mask, iod: float) -> Lab:
    """Small reddish spots, not darker than their surroundings by much, brought to them. Moles and freckles stay."""
    whole = _shrunk(_grown(skin, 0.04 * iod), 0.04 * iod)  # a spot is skin too, though it has another colour
    around = within(lab, skin, 0.06 * iod)
    spot = blurred(lab, 0.010 * iod) - around
    red = np.clip((spot[..., 1] - SPOT_RED) / 1.2, 0, 1)
    light = np.clip((spot[..., 0] - SPOT_DARK) / 1.5, 0, 1)
    brown = np.clip((3.5 - spot[..., 2]) / 1.5, 0, 1)  # freckles are yellower than they are red
    small = _small_only((red * light * brown * whole > 0.2).astype(np.uint8), iod)
    near = blurred(small * np.minimum(1, red * light * brown * 1.5) * whole, 0.008 * iod)
    return np.asarray(
        -spot * np.clip(near, 0, 1)[..., None] * np.array([0.7, 0.9, 0.6], np.float32), np.float32
    )


def _small_only(spots: Any, iod: float) -> Mask:
    """Spots between 0.012 and 0.075 IOD across; a blush, a scar or a shadow is not a spot."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(spots, connectivity=8)
    longest = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    keep = (longest >= 0.012 * iod) & (longest <= 0.075 * iod)
    keep &= stats[:, cv2.CC_STAT_AREA] >= 0.4 * longest  # no hairs
    keep[0] = False
    kept = keep[labels].astype(np.uint8)
    grown: Mask = cv2.dilate(kept, np.ones((3, 3), np.uint8), iterations=max(1, round(0.008 * iod)))
    return grown.astype(np.float32)


def _evened(lab: Lab, skin: Mask, iod: float) -> Lab:
    """Less of the middle band: blotches and tired shading, not pores (finer) and not the face's form (coarser)."""
    fine = max(FINE * iod, LEAST_FINE)
    band = blurred(lab, fine) - within(lab, skin, max(MIDDLE * iod, 2 * fine))
    change = -EVEN_SHARE * band
    most = np.float32(EVEN_MOST)
    return np.asarray(most * np.tanh(change / most) * skin[..., None], np.float32)


def _lifted(lab: Lab, skin: Mask, face: Face) -> Lab:
    """Under each eye, a share of what it is darker than the cheek below, never more than 3.5 L*."""
    iod = face.eye_distance
    change = np.zeros_like(lab)
    low = within(lab, skin, 0.07 * iod)
    for below, cheek in zip(faces.UNDER_EYES, faces.CHEEKS, strict=True):
        lit = filled(lab.shape, cv2.convexHull(face.polygon(cheek))) * skin > 0.5
        zone = (
            blurred(filled(lab.shape, cv2.convexHull(face.polygon(below))) * (skin > 0.3), 0.07 * iod) * skin
        )
        if lit.sum() < 20:
            continue
        gap = np.median(lab[lit], axis=0) - low
        step = UNDER_EYE_SHARE * gap
        light = np.clip(step[..., 0], 0, UNDER_EYE_MOST)
        colour = np.clip(step[..., 1:] * 0.5, -1.2, 1.2) * (light > 0)[..., None]
        change += np.concatenate([light[..., None], colour], axis=2) * zone[..., None]
    return np.asarray(change, np.float32)
