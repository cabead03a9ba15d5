"""The two public-domain portraits, and camera-sized files made from them when needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyvips

FOLDER = Path(__file__).parent
GRACE_HOPPER = FOLDER / "grace_hopper.jpg"
EILEEN_COLLINS = FOLDER / "eileen_collins.png"
GRACE_HOPPER_HEIC = FOLDER / "grace_hopper.heic"
CAMERA_WIDTH, CAMERA_HEIGHT = 4000, 6000


def large_portrait(
    source: Path, target: Path, *, width: int = CAMERA_WIDTH, height: int = CAMERA_HEIGHT, seed: int = 1
) -> Path:
    """Write a portrait enlarged to width × height (the middle of it, filling the frame) with sensor-like noise.

    JPEG quality 94 as cameras write it: about 6 to 9 MB at 24 megapixels. The same seed gives the same pixels.
    """
    image = pyvips.Image.new_from_file(str(source)).colourspace("srgb")
    scale = max(width / image.width, height / image.height)
    image = image.resize(scale, kernel="cubic")
    image = image.crop((image.width - width) // 2, (image.height - height) // 4, width, height).copy_memory()
    noise = np.random.default_rng(seed).normal(0.0, 3.0, (512, 512)).astype(np.float32)
    tile = (
        pyvips.Image.new_from_array(noise)
        .replicate(-(-width // 512), -(-height // 512))
        .crop(0, 0, width, height)
    )
    frame = (image + tile).cast("uchar").copy(interpretation="srgb")
    frame.jpegsave(str(target), Q=94, subsample_mode="on", keep="none")
    return target
