"""A card as a camera writes it: portraits and photographed codes with capture times, models and serial numbers."""

from datetime import datetime
from functools import cache
from io import BytesIO

import numpy as np
import segno
from PIL import Image, ImageFilter

from tests.portraits import GRACE_HOPPER

SIDES = (900, 1200)
PERSPECTIVE, BICUBIC = Image.Transform.PERSPECTIVE, Image.Resampling.BICUBIC


@cache
def _portrait() -> Image.Image:
    with Image.open(GRACE_HOPPER) as picture:
        return picture.convert("RGB").resize(SIDES)


def exif_of(taken_at: datetime | None, *, model: str = "Z 6", serial: str = "") -> bytes:
    """The Exif block of a camera whose clock shows `taken_at` (naive)."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "NIKON", f"NIKON {model}"
    detail = exif.get_ifd(0x8769)
    if taken_at is not None:
        detail[0x9003] = f"{taken_at:%Y:%m:%d %H:%M:%S}"
    if serial:
        detail[0xA431] = serial
    return exif.tobytes()


def frame(taken_at: datetime | None, *, shade: int = 0, **camera: str) -> bytes:
    """A portrait; `shade` makes its bytes its own."""
    buffer = BytesIO()
    picture = _portrait().copy()
    picture.paste((shade * 37 % 256, shade // 7 * 50 % 256, 90), (0, 0, 48, 48))
    picture.save(buffer, "JPEG", quality=82, exif=exif_of(taken_at, **camera))
    return buffer.getvalue()


def photographed(
    text: str,
    taken_at: datetime | None,
    *,
    share: float = 0.3,
    turn: float = 0.0,
    lean: float = 0.0,
    contrast: float = 1.0,
    noise: float = 5.0,
    orientation: int = 1,
    **camera: str,
) -> bytes:
    """Somebody holds a slate: `share` of the picture's width, turned by degrees, leaning back, flat or grainy."""
    code = BytesIO()
    segno.make(text, error="h").save(code, kind="png", scale=12, border=4)
    sheet = Image.open(code).convert("L")
    side = sheet.width
    levels = np.asarray(sheet, dtype=np.float32) / 255
    sheet = Image.fromarray(((0.5 + (levels - 0.5) * contrast) * 255).astype(np.uint8))
    slip = lean * side  # the upper edge is farther away
    corners = [(0, 0), (side, 0), (side, side), (0, side)]
    wanted = [(slip, slip * 0.5), (side - slip * 0.6, 0), (side, side), (0, side)]
    numbers = _coefficients(wanted, corners)
    held = sheet.transform(
        (side, side), Image.Transform.PERSPECTIVE, _coefficients(wanted, corners), Image.Resampling.BICUBIC
    )
    mask = Image.new("L", (side, side), 255).transform((side, side), PERSPECTIVE, numbers)
    width = round(SIDES[0] * share)
    held, mask = (
        layer.resize((width, width), Image.Resampling.LANCZOS).rotate(
            turn, expand=True, resample=Image.Resampling.BICUBIC
        )
        for layer in (held, mask)
    )
    picture = _portrait().copy()
    picture.paste(held.convert("RGB"), ((SIDES[0] - held.width) // 2, SIDES[1] // 2 - held.height // 3), mask)
    grain = np.random.default_rng(5).normal(0, noise, (SIDES[1], SIDES[0], 3))
    picture = Image.fromarray(np.clip(np.asarray(picture, dtype=np.float32) + grain, 0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif.load(exif_of(taken_at, **camera))
    if orientation != 1:
        exif[0x0112] = orientation
    buffer = BytesIO()
    picture.filter(ImageFilter.GaussianBlur(0.4)).save(buffer, "JPEG", quality=82, exif=exif.tobytes())
    return buffer.getvalue()


def _coefficients(wanted: list[tuple[float, float]], source: list[tuple[float, float]]) -> list[float]:
    """Pillow's eight numbers of a perspective: where each wanted corner comes from."""
    rows, values = [], []
    for (x, y), (u, v) in zip(wanted, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return list(np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float)))
