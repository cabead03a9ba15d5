"""Camera-sized pictures for benches, made from a bundled portrait when no folder with real ones is given."""

from pathlib import Path

import numpy as np
import pyvips

PORTRAITS = Path(__file__).resolve().parents[2] / "tests" / "portraits"
WIDTH, HEIGHT = 4000, 6000


def camera_frame(target: Path, portrait: str = "grace_hopper.jpg", *, seed: int = 1) -> Path:
    """Write a 24-megapixel JPEG (quality 94, 4:2:0, 6 to 9 MB) with sensor-like noise. The same for each seed."""
    image = pyvips.Image.new_from_file(str(PORTRAITS / portrait)).colourspace("srgb")
    scale = max(WIDTH / image.width, HEIGHT / image.height)
    image = image.resize(scale, kernel="cubic")
    image = image.crop((image.width - WIDTH) // 2, (image.height - HEIGHT) // 4, WIDTH, HEIGHT).copy_memory()
    noise = np.random.default_rng(seed).normal(0.0, 3.0, (512, 512)).astype(np.float32)
    tile = pyvips.Image.new_from_array(noise).replicate(-(-WIDTH // 512), -(-HEIGHT // 512))
    frame = (image + tile.crop(0, 0, WIDTH, HEIGHT)).cast("uchar").copy(interpretation="srgb")
    frame.jpegsave(str(target), Q=94, subsample_mode="on", keep="none")
    return target
