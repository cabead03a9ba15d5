"""The memory card of a journey: frames of the two portraits as cameras write them, and what is no frame."""

import hashlib
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import Image, ImageCms, ImageEnhance

from tests.portraits import CAMERA_HEIGHT, CAMERA_WIDTH, EILEEN_COLLINS, GRACE_HOPPER, large_portrait

GPS, GPS_LATITUDE, CAMERA_SERIAL, MAKE = 0x8825, 2, 0xA431, 0x010F


def frame(path: Path, source: Path = GRACE_HOPPER, *, brightness: float = 1.0) -> Path:
    """A small frame that says where and with which camera it was taken."""
    with Image.open(source) as opened:
        image = ImageEnhance.Brightness(opened.convert("RGB")).enhance(brightness)
    exif = image.getexif()
    exif[MAKE] = "Northlight"
    exif.get_ifd(GPS)[GPS_LATITUDE] = (51.0, 31.0, 30.0)
    exif.get_ifd(0x8769)[CAMERA_SERIAL] = "1234567890"
    image.save(path, quality=92, exif=exif)
    return path


def large_frame(path: Path) -> Path:
    """24 megapixels."""
    return large_portrait(EILEEN_COLLINS, path)


def tells_where(path: Path) -> bool:
    """Whether a file says where or with which camera it was taken, anywhere in its bytes."""
    with Image.open(path) as image:
        exif = image.getexif()
        facts = bool(exif.get_ifd(GPS)) or CAMERA_SERIAL in exif.get_ifd(0x8769)
    return facts or b"1234567890" in path.read_bytes()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_srgb(image: Image.Image) -> bool:
    """Whether the embedded profile says sRGB: its colours are those of sRGB, but for what a profile rounds."""
    data = image.info.get("icc_profile")
    if not data:
        return False
    patches = Image.fromarray(
        np.array([[[200, 40, 40], [40, 200, 40], [40, 40, 200], [128, 128, 128]]], np.uint8)
    )
    profile = ImageCms.ImageCmsProfile(BytesIO(data))
    same = ImageCms.profileToProfile(patches, profile, ImageCms.createProfile("sRGB"))
    assert same is not None
    return int(np.abs(np.asarray(same, int) - np.asarray(patches, int)).max()) <= 2


def unpacked(archive: Path, folder: Path) -> dict[str, Path]:
    """Every file of a ZIP by its name, which is told apart without the folder it lies in."""
    with ZipFile(archive) as opened:
        opened.extractall(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    named = {path.name: path for path in files}
    assert len(named) == len(files)
    return named


__all__ = ["CAMERA_HEIGHT", "CAMERA_WIDTH", "EILEEN_COLLINS", "GRACE_HOPPER"]
