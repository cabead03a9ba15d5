"""Real HEIC, RAW and 16-bit TIFF end as right-side-up sRGB, CIEDE2000 at most 2 from a reference conversion."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pi_heif
import pytest
import pyvips
import rawpy
from PIL import Image

from galleries.imaging import colour
from galleries.imaging.recipes import FINAL_FULL, GRID, Recipe
from galleries.imaging.render import render
from tests.galleries.imaging import files
from tests.galleries.imaging.difference import de2000, de2000_lab
from tests.portraits import GRACE_HOPPER, GRACE_HOPPER_HEIC

type Pixels = np.ndarray[Any, Any]
RECIPES = (FINAL_FULL, GRID)
# IEC 61966-2-1 and Adobe RGB (1998), section 4.3.5.1, both under D65.
SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
ADOBE_TO_XYZ = np.array(
    [
        [0.5767309, 0.1855540, 0.1881852],
        [0.2973769, 0.6273491, 0.0752741],
        [0.0270343, 0.0706872, 0.9911085],
    ]
)


def shown(path: Path) -> Pixels:
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        assert picture.info["icc_profile"] == colour.SRGB
        return np.asarray(picture)


def difference(path: Path, reference: Pixels) -> float:
    """Mean CIEDE2000 at an eighth of the size, where neither JPEG noise nor the shrinking filter counts."""
    small = []
    for pixels in (shown(path), reference):
        picture = Image.fromarray(pixels.astype(np.uint8)).resize((64, 80), Image.Resampling.BOX)
        small.append(np.asarray(picture))
    return float(de2000(*small).mean())


def check(source: Path, folder: Path, reference: Pixels, *recipes: Recipe) -> None:
    done = render(source, recipes or RECIPES, folder)
    tall = reference.shape[0] > reference.shape[1]
    for file in done.files:
        assert (file.height > file.width) is tall
        assert difference(file.path, reference) <= 2.0
        assert difference(file.path, np.rot90(reference, 2)) > 5  # upside down would be seen


def test_the_measure_is_the_published_one() -> None:
    """Pairs 1, 7, 17 and 25 of Sharma's table."""
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ]
    for one, two, wanted in pairs:
        assert float(de2000_lab(np.array(one, float), np.array(two, float))) == pytest.approx(
            wanted, abs=1e-4
        )


def adobe_16_bit(true: Pixels) -> Pixels:
    """sRGB in 16-bit Adobe RGB (1998), by the published formulas: no colour engine is asked."""
    code = true.astype(np.float64) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    wide = np.clip(linear @ SRGB_TO_XYZ.T @ np.linalg.inv(ADOBE_TO_XYZ).T, 0, 1)
    coded: Pixels = np.round(wide ** (256 / 563) * 65535).astype(np.uint16)
    return coded


def test_a_16_bit_tiff_in_adobe_rgb_lying_on_its_side(tmp_path: Path) -> None:
    with Image.open(GRACE_HOPPER) as picture:
        true = np.asarray(picture.convert("RGB"))
    stored = np.ascontiguousarray(np.rot90(adobe_16_bit(true)))  # orientation 6 turns it clockwise again
    image = pyvips.Image.new_from_array(stored).copy(interpretation="rgb16").copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", colour.ADOBE_RGB)
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    source = tmp_path / "side.tif"
    image.tiffsave(str(source), compression="lzw")
    lying = pyvips.Image.new_from_file(str(source))
    assert (lying.width, lying.height, lying.get("orientation")) == (600, 512, 6)
    check(source, tmp_path, true)
    plain = np.rot90(stored >> 8, -1)
    made = render(source, [FINAL_FULL], tmp_path).files[0].path
    assert difference(made, plain) > 2  # what it would cost to ignore the profile


def test_a_real_heic(tmp_path: Path) -> None:
    with pi_heif.open_heif(GRACE_HOPPER_HEIC).to_pillow() as picture:
        reference = np.asarray(picture.convert("RGB"))
    check(GRACE_HOPPER_HEIC, tmp_path, reference)


def dng_lying(orientation: int) -> bytes:
    data = files.dng(640, 480)
    field = struct.pack("<HHIH", 274, 3, 1, 1)
    assert data.count(field) == 1
    return data.replace(field, struct.pack("<HHIH", 274, 3, 1, orientation))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_dng_is_developed_upright(tmp_path: Path, orientation: int) -> None:
    """The reference is LibRaw's own 16-bit full-size development, brought to 8 bits by us."""
    source = tmp_path / "frame.dng"
    source.write_bytes(dng_lying(orientation))
    with rawpy.imread(str(source)) as raw:
        wide = raw.postprocess(use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB, output_bps=16)
    check(source, tmp_path, wide >> 8)


def test_the_preview_of_a_dng_lying_on_its_side(tmp_path: Path) -> None:
    """A preview as cameras store it, in sensor orientation: turned by what the RAW says."""
    with Image.open(GRACE_HOPPER) as picture:
        true = np.asarray(picture.convert("RGB").resize((1600, 1875)))
    lying = tmp_path / "lying.jpg"
    Image.fromarray(np.ascontiguousarray(np.rot90(true))).save(lying, quality=95)
    data = files.dng(640, 480, preview=lying.read_bytes())
    data = data.replace(struct.pack("<HHIH", 274, 3, 1, 1), struct.pack("<HHIH", 274, 3, 1, 6))
    source = tmp_path / "frame.dng"
    source.write_bytes(data)
    check(source, tmp_path, true, GRID)
