"""zipstream-ng behind the same gunicorn: what a Django project would pick. Runs in its own environment."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zipstream import ZIP_STORED, ZipStream  # type: ignore[import-not-found]  # lives in the peer's environment

FOLDER = Path(os.environ["BENCH_STORE"])
PICTURES = json.loads((FOLDER / "pictures.json").read_text())


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterator[bytes]:
    """The ZIP of all pictures; it cannot answer a range, so it always sends the whole."""
    stream = ZipStream(sized=True, compress_type=ZIP_STORED)
    for picture in PICTURES:
        stream.add_path(FOLDER / picture["key"], picture["name"])
    start_response("200 Bench", [("Content-Length", str(len(stream)))])
    return iter(stream)
