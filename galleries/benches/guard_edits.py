"""Edits a retoucher might make: forbidden ones the guard must catch, allowed ones it must let pass.

Each takes an upright 8-bit RGB picture, its face and a random generator, and returns the edited picture. Lengths are in
the distance between the eyes (IOD). Strengths are the weakest that a client would notice beside the original.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from galleries.imaging import faces, retouch
from galleries.imaging.faces import Face, Image
from galleries.imaging.retouch import Parameters, Region, blurred, filled, from_lab, skin_mask, to_lab

type Edit = Callable[[Image, Face, np.random.Generator], Image]


def _warped(image: Image, move_x: Any, move_y: Any) -> Image:
    """Fetch each pixel from a little elsewhere."""
    ys, xs = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    x, y = (xs + move_x).astype(np.float32), (ys + move_y).astype(np.float32)
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _bump(image: Image, x: float, y: float, radius_x: float, radius_y: float) -> Any:
    """1 in the middle, falling smoothly to 0 at the radii."""
    ys, xs = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    far = np.clip(np.hypot((xs - x) / radius_x, (ys - y) / radius_y), 0, 1)
    return (1 - far**2) ** 2


def _scaled_around(
    image: Image, x: float, y: float, radius: float, share: float, *, only_across: bool = False
) -> Image:
    """Enlarge (share > 0) or shrink what lies around a point."""
    ys, xs = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    weight = _bump(image, x, y, radius, radius) * share
    return _warped(image, -(xs - x) * weight, 0 * ys if only_across else -(ys - y) * weight)


# --- forbidden: shape


def slim(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Cheeks and jaw narrower by up to four per cent of their own distance from the middle."""
    middle = face.points[[2, 152]].mean(axis=0)
    width = face.box[2] - face.box[0]
    ys, xs = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    weight = _bump(image, float(middle[0]), float(middle[1]), 0.95 * width, 0.85 * width) * 0.04
    return _warped(image, (xs - middle[0]) * weight, 0 * ys)


def bigger_eyes(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Both eyes larger by seven per cent."""
    for x, y, _ in face.irises:
        image = _scaled_around(image, x, y, 0.42 * face.eye_distance, 0.07)
    return image


def smaller_nose(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """The nose smaller by seven per cent."""
    x, y = (float(value) for value in face.points[[1, 195]].mean(axis=0))
    return _scaled_around(image, x, y, 0.55 * face.eye_distance, -0.07)


def lifted_mouth(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """The corners of the mouth up by three per cent of IOD."""
    iod = face.eye_distance
    corners = (face.points[61], face.points[291])
    weight = sum(_bump(image, float(x), float(y), 0.4 * iod, 0.4 * iod) for x, y in corners)
    return _warped(image, 0 * weight, weight * 0.03 * iod)


def shorter_chin(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """The chin up by three per cent of IOD."""
    iod = face.eye_distance
    x, y = (float(value) for value in face.points[152])
    weight = _bump(image, x, y, 0.8 * iod, 0.6 * iod)
    return _warped(image, 0 * weight, weight * 0.03 * iod)


# --- forbidden: texture


def _on_skin(image: Image, face: Face, made: Any) -> Image:
    """Replace the skin by `made` (float 0–255)."""
    region = Region.of(image, face, work_iod=1e9)
    if region is None:
        return image
    small = Region.of(image, face)
    if small is None:
        return image
    mask = skin_mask(small.small, to_lab(small.small), small.face)
    size = (region.right - region.left, region.bottom - region.top)
    mask = np.clip(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), 0, 1)[..., None]
    result = image.copy()
    part = result[region.top : region.bottom, region.left : region.right]
    new = made[region.top : region.bottom, region.left : region.right]
    part[:] = np.clip(part * (1 - mask) + new * mask + 0.5, 0, 255).astype(np.uint8)
    return result


def blur(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Skin blurred over 0.012 IOD."""
    return _on_skin(
        image, face, cv2.GaussianBlur(image, (0, 0), max(0.9, 0.012 * face.eye_distance)).astype(np.float32)
    )


def bilateral(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """The beauty filter of telephones: smooth inside edges."""
    sigma = max(2.0, 0.03 * face.eye_distance)
    scale = min(1.0, 240 / face.eye_distance)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    smooth = cv2.bilateralFilter(small, -1, 28, sigma * scale)
    return _on_skin(image, face, cv2.resize(smooth, (image.shape[1], image.shape[0])).astype(np.float32))


def plastic_and_grain(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Skin made smooth, then given grain as strong as the texture that was there."""
    iod = face.eye_distance
    smooth = cv2.GaussianBlur(image, (0, 0), max(1.5, 0.022 * iod)).astype(np.float32)
    box = [max(0, round(value)) for value in face.box]
    fine = image.astype(np.float32) - cv2.GaussianBlur(image, (0, 0), max(0.9, 0.008 * iod))
    strength = float(np.median(np.abs(fine[box[1] : box[3], box[0] : box[2]]))) * 1.48 + 0.8
    grain = rng.normal(0, strength, image.shape[:2]).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), max(0.5, 0.003 * iod))
    grain *= strength / max(float(grain.std()), 1e-3)
    return _on_skin(image, face, smooth + grain[..., None])


def face_patch(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """A cheek laid over the other cheek, mirrored: someone's skin, but not from there."""
    iod = face.eye_distance
    (x1, y1), (x2, y2) = (face.polygon(cheek).mean(axis=0) for cheek in faces.CHEEKS)
    size = int(0.36 * iod)
    if (
        min(x1, y1, x2, y2) < size
        or max(x1, x2) > image.shape[1] - size
        or max(y1, y2) > image.shape[0] - size
    ):
        return image
    source = image[int(y1) - size : int(y1) + size, int(x1) - size : int(x1) + size][:, ::-1].astype(
        np.float32
    )
    place = (slice(int(y2) - size, int(y2) + size), slice(int(x2) - size, int(x2) + size))
    target = image[place].astype(np.float32)
    source = source - blurred(source, 0.2 * iod) + blurred(target, 0.2 * iod)
    ys, xs = np.mgrid[-1 : 1 : source.shape[0] * 1j, -1 : 1 : source.shape[1] * 1j]
    weight = np.clip((1 - np.hypot(xs, ys)) * 4, 0, 1)[..., None]
    result = image.copy()
    result[place] = np.clip(target * (1 - weight) + source * weight + 0.5, 0, 255).astype(np.uint8)
    return result


# --- forbidden: colour


def _recoloured(image: Image, face: Face, light: float, a: float, b: float) -> Image:
    lab = to_lab(image)
    lab += np.array([light, a, b], np.float32)
    return _on_skin(image, face, from_lab(lab) * 255)


def lighten(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Skin lighter by 5 L*."""
    return _recoloured(image, face, 5, 0, 0)


def tan(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Skin darker and browner."""
    return _recoloured(image, face, -4, 1.5, 4)


def strong_eye_white(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Whites of the eyes lighter by 9 L* and without colour."""
    return _eye_whites(image, face, 9.0, 0.3)


def _eye_whites(image: Image, face: Face, light: float, colour: float) -> Image:
    lab = to_lab(image)
    for corners, iris in zip(faces.EYES, face.irises, strict=True):
        white = filled(image.shape, face.polygon(corners))
        pupil = np.zeros_like(white)
        cv2.circle(pupil, (round(iris[0]), round(iris[1])), max(1, round(iris[2] * 0.55)), 1, -1)
        place = blurred(white * (1 - pupil), max(0.6, 0.008 * face.eye_distance))
        lab[..., 0] += light * place
        lab[..., 1:] *= 1 - (1 - colour) * place[..., None]
    return np.asarray(np.clip(from_lab(lab) * 255 + 0.5, 0, 255), np.uint8)


# --- allowed


def _drafted(strength: float) -> Edit:
    def edit(image: Image, face: Face, rng: np.random.Generator) -> Image:
        return retouch.draft(image, [face], Parameters(overall=strength)).image

    return edit


def _toned(stops: float, a: float, b: float) -> Edit:
    parameters = Parameters(
        blemish=0, skin=0, under_eye=0, exposure=stops, white_balance=1.0, cast=(-a / 0.6, -b / 0.6)
    )

    def edit(image: Image, face: Face, rng: np.random.Generator) -> Image:
        return retouch.draft(image, [], parameters).image

    return edit


def cropped(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """A tighter frame around the head."""
    left, top, right, bottom = face.box
    width, height = right - left, bottom - top
    x1, y1 = int(max(0, left - 0.45 * width)), int(max(0, top - 0.45 * height))
    x2, y2 = int(min(image.shape[1], right + 0.45 * width)), int(min(image.shape[0], bottom + 0.4 * height))
    return np.ascontiguousarray(image[y1:y2, x1:x2])


def flyaway_hair(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Fine structure beside and above the hair painted away."""
    left, top, right, _ = face.box
    width = right - left
    mask = np.zeros(image.shape[:2], np.float32)
    head = (int((left + right) / 2), int(top + 0.3 * width))
    cv2.ellipse(
        mask, head, (int(0.95 * width), int(1.05 * width)), 0, 180, 360, 1.0, max(2, int(0.16 * width))
    )
    weight = blurred(mask, 0.03 * width)[..., None]
    smooth = cv2.medianBlur(image, 2 * max(1, int(0.02 * width)) + 1)
    return np.asarray(np.clip(image * (1 - weight) + smooth * weight + 0.5, 0, 255), np.uint8)


def glasses_glare(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """A bright reflection beside one eye taken down."""
    x, y, _ = face.irises[0]
    iod = face.eye_distance
    weight = _bump(image, x - 0.16 * iod, y - 0.05 * iod, 0.10 * iod, 0.12 * iod)
    lab = to_lab(image)
    lab[..., 0] -= weight * np.clip(lab[..., 0] - 40, 0, 14)
    return np.asarray(np.clip(from_lab(lab) * 255 + 0.5, 0, 255), np.uint8)


def bloodshot_eyes(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Half of the colour out of the whites, hardly lighter."""
    return _eye_whites(image, face, 0.8, 0.5)


def clothing(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """A jacket in another colour."""
    lab = to_lab(image)
    ys = np.arange(image.shape[0], dtype=np.float32)[:, None, None]
    weight = np.clip((ys - (face.box[3] + 0.35 * face.eye_distance)) / (0.3 * face.eye_distance), 0, 1)
    lab += weight * np.array([2, -10, -14], np.float32)
    return np.asarray(np.clip(from_lab(lab) * 255 + 0.5, 0, 255), np.uint8)


def backdrop(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """The background lighter, where no person is."""
    weight = 1 - np.clip(blurred(faces.outline(image), 0.05 * face.eye_distance) * 1.6, 0, 1)[..., None]
    lab = to_lab(image) + weight * np.array([9, 0, 3], np.float32)
    return np.asarray(np.clip(from_lab(lab) * 255 + 0.5, 0, 255), np.uint8)


def healed_spots(image: Image, face: Face, rng: np.random.Generator) -> Image:
    """Five spots on cheeks and forehead filled from around them, with their grain."""
    iod = face.eye_distance
    mask = np.zeros(image.shape[:2], np.uint8)
    for index in (50, 280, 151, 205, 425):
        x, y = face.points[index]
        cv2.circle(mask, (round(float(x)), round(float(y))), max(1, round(0.028 * iod)), 255, -1)
    filled_in = cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA).astype(np.float32)
    filled_in += rng.normal(0, 1.2, (*image.shape[:2], 1)) * (mask > 0)[..., None]
    return np.asarray(np.clip(filled_in + 0.5, 0, 255), np.uint8)


FORBIDDEN: dict[str, Edit] = {
    "slim": slim,
    "bigger_eyes": bigger_eyes,
    "smaller_nose": smaller_nose,
    "lifted_mouth": lifted_mouth,
    "shorter_chin": shorter_chin,
    "blur": blur,
    "bilateral": bilateral,
    "plastic_and_grain": plastic_and_grain,
    "face_patch": face_patch,
    "lighten": lighten,
    "tan": tan,
    "strong_eye_white": strong_eye_white,
}
ALLOWED: dict[str, Edit] = {
    "draft_half": _drafted(0.5),
    "draft": _drafted(1.0),
    "draft_full": lambda image, face, rng: (
        retouch.draft(image, [face], Parameters(blemish=1, skin=1, under_eye=1, white_balance=1)).image
    ),
    "exposure_up": _toned(0.35, 0, 0),
    "exposure_down": _toned(-0.4, 0, 0),
    "warmer": _toned(0.0, 1.0, 4.0),
    "cooler": _toned(0.0, -0.5, -4.0),
    "cropped": cropped,
    "flyaway_hair": flyaway_hair,
    "glasses_glare": glasses_glare,
    "bloodshot_eyes": bloodshot_eyes,
    "clothing": clothing,
    "backdrop": backdrop,
    "healed_spots": healed_spots,
}
