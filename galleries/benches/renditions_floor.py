"""The floor: what libjpeg-turbo and one clean filter cost and nothing else; no metadata, no profile, no checks.

    python renditions_floor.py SOURCE COUNT   →   one JSON line: CPU seconds of each picture, peak megabytes

Decoded at half size (what 2048 px need), averaged by area, encoded. OpenCV carries libjpeg-turbo.
"""

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np

cv2.setNumThreads(1)


def once(source: Path) -> int:
    """Three JPEGs from one decode; returns their bytes."""
    half = np.asarray(cv2.imdecode(np.fromfile(source, np.uint8), cv2.IMREAD_REDUCED_COLOR_2))
    total = 0
    for edge in (2048, 1600, 400):
        scale = edge / max(half.shape[:2])
        small = cv2.resize(half, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        total += len(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])
    return total


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
        once(source)
        spent.append(time.process_time() - start)
    print(json.dumps({"cpu_seconds": spent[1:], "peak_mb": peak_mb()}))


main()
