"""The face models: where they lie, how they are fetched, and that they are the ones we know.

MediaPipe's TensorFlow Lite files (Apache-2.0, Google) travel inside the wheel `mediapipe==0.10.21` only; newer wheels
carry none. The wheel is downloaded as a file, never installed. Without them drafts are global corrections and
the guard says "not measured".

    python -m galleries.imaging.models --fetch [FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "mediapipe==0.10.21"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "macosx_11_0_universal2", "win_amd64")
INSIDE = {
    "face_detection_short_range.tflite": "mediapipe/modules/face_detection/",
    "face_landmark.tflite": "mediapipe/modules/face_landmark/",
    "iris_landmark.tflite": "mediapipe/modules/iris_landmark/",
    "selfie_segmentation.tflite": "mediapipe/modules/selfie_segmentation/",
    "LICENSE": "mediapipe-0.10.21.dist-info/",
}
SHA256 = {
    "face_detection_short_range.tflite": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    "face_landmark.tflite": "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    "iris_landmark.tflite": "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
    "selfie_segmentation.tflite": "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    "LICENSE": "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
}
DETECTOR, MESH, IRIS, SEGMENTATION = (name for name in SHA256 if name.endswith(".tflite"))
PROJECT = Path(__file__).resolve().parents[2]


class ModelsUnavailable(RuntimeError):
    """The models could not be fetched, or are not the files we know."""


def folder() -> Path:
    """Where the models lie: `LIKENESS_MODELS`, else `var/models` under the project."""
    return Path(os.environ.get("LIKENESS_MODELS") or PROJECT / "var" / "models")


def missing(where: Path | None = None) -> list[str]:
    """Names of files that are absent or have another checksum."""
    place = where or folder()
    return [name for name, wanted in SHA256.items() if _sha256(place / name) != wanted]


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def fetch(where: Path | None = None) -> bool:
    """Put the models into the folder; False when they were there already. Raises ModelsUnavailable."""
    place = where or folder()
    if not missing(place):
        return False
    with tempfile.TemporaryDirectory() as scratch:
        _extract(_download(Path(scratch)), place)
    if left := missing(place):
        raise ModelsUnavailable(f"wrong checksum: {', '.join(left)}")
    return True


def _download(scratch: Path) -> Path:
    """The wheel of any platform: its model files are the same in all. Raises ModelsUnavailable."""
    said = ""
    for platform in PLATFORMS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--platform", platform, "--implementation", "cp"]
        command += ["--python-version", "3.12", "--dest", str(scratch), WHEEL]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(scratch.glob("mediapipe-*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        said = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no wheel"
    raise ModelsUnavailable(f"pip could not download {WHEEL}: {said}")


def _extract(wheel: Path, place: Path) -> None:
    """Checked bytes only, each written under another name first so a cut never leaves half a model."""
    place.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name, inside in INSIDE.items():
            data = archive.read(inside + name)
            if hashlib.sha256(data).hexdigest() != SHA256[name]:
                raise ModelsUnavailable(f"wrong checksum: {name}")
            part = place / f".{name}.{os.getpid()}"
            part.write_bytes(data)
            part.replace(place / name)


def main() -> int:
    """Fetch from the command line: `--fetch [FOLDER]`."""
    parser = argparse.ArgumentParser(description="Fetch the face models and check their checksums.")
    parser.add_argument("--fetch", nargs="?", type=Path, const=folder(), required=True, metavar="FOLDER")
    where: Path = parser.parse_args().fetch
    try:
        is_new = fetch(where)
    except ModelsUnavailable as error:
        print(f"Face models: {error}. Drafts stay global and the guard cannot measure.", file=sys.stderr)  # noqa: T201
        return 1
    print(f"Face models: {'fetched to' if is_new else 'already in'} {where}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
