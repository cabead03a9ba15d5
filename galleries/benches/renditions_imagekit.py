"""django-imagekit making 2048, 1600 and 400 px from one file, as its documentation shows. Runs in its own environment.

python renditions_imagekit.py SOURCE COUNT   →   one JSON line: CPU seconds of each picture, peak megabytes
"""

import json
import sys
import time
from pathlib import Path

from django.conf import settings  # type: ignore[import-not-found,unused-ignore]

settings.configure(INSTALLED_APPS=["imagekit"], MEDIA_ROOT="/tmp", CACHES={})

import django  # noqa: E402

django.setup()

from imagekit import ImageSpec  # type: ignore[import-not-found]  # noqa: E402  # lives in the peer's environment
from imagekit.processors import ResizeToFit  # type: ignore[import-not-found]  # noqa: E402


def spec_of(edge: int) -> type:
    """A spec as a Django project writes it."""
    processors, options = [ResizeToFit(edge, edge)], {"quality": 85}
    return type(f"Edge{edge}", (ImageSpec,), {"processors": processors, "format": "JPEG", "options": options})


SPECS = [spec_of(edge) for edge in (2048, 1600, 400)]


def peak_mb() -> float:
    """This program's own peak; ru_maxrss would count the process that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) * 1024 / 1_000_000, 1)
    return 0.0


def main() -> None:
    source, count = Path(sys.argv[1]), int(sys.argv[2])
    spent = []
    for _ in range(count + 1):  # the first warms up
        start = time.process_time()
        for spec in SPECS:
            with source.open("rb") as file:
                spec(source=file).generate().read()
        spent.append(time.process_time() - start)
    print(json.dumps({"cpu_seconds": spent[1:], "peak_mb": peak_mb()}))


main()
