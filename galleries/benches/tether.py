"""`manage.py bench watch`: from a closed file in a watched folder to the choose-together screen, one frame at a time.

The real `manage.py watch` runs beside this process, as beside a tethered camera; this process is the `images` worker
and the screen, which asks as often as the page does, at whatever moment. The clock starts when a frame is closed.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from django.db import connections

from galleries import frames, jobs
from galleries.benches.camera_frames import camera_frame
from galleries.benches.studio_rows import bench_store, receiving_gallery
from galleries.models import Gallery
from galleries.together_views import POLL_SECONDS
from studio.benching import BenchOptions, BenchResult, bench
from studio.serving import ROOT

FRAMES, QUICK_FRAMES, WANTED = 20, 3, 2.0
PATIENCE = 60.0
PARTS = (
    "until_work_begins_s",
    "work_s",
    "until_asked_s",
)  # medians: noticed and received, checked and made, shown


@bench("watch")
def run(options: BenchOptions) -> BenchResult:
    """Seconds from closing a 24-megapixel frame to the picture's address in what the screen is sent."""
    count = options.count or (QUICK_FRAMES if options.quick else FRAMES)
    with bench_store("watch-") as home, receiving_gallery("bench-watch") as gallery:
        watched = home / "tether"
        watched.mkdir()
        frame = camera_frame(home / "frame.jpg").read_bytes()
        with _watching(watched, gallery, home), _working() as work:
            ways = [_way_of(frame, number, watched, gallery, work) for number in range(count + 1)][1:]
    seconds = sorted(sum(way) for way in ways)
    parts = [round(median(part), 2) for part in zip(*ways, strict=True)]
    figures: dict[str, float | int | str] = {
        "median_s": round(median(seconds), 2),
        "p95_s": round(seconds[min(count - 1, int(count * 0.95))], 2),
        "slowest_s": round(seconds[-1], 2),
        **dict(zip(PARTS, parts, strict=True)),
        "megabytes": round(len(frame) / 1e6, 1),
    }
    lines = [f"{name:<22}{value:>8}" for name, value in figures.items()]
    lines.append(f"wanted: ≤ {WANTED} s; the screen asks every {POLL_SECONDS} s")
    conditions: dict[str, str | int | float] = {"frames": count, "load": round(os.getloadavg()[0], 1)}
    return BenchResult(figures=figures, conditions=conditions, table="\n".join(lines))


def _way_of(
    frame: bytes, number: int, folder: Path, gallery: Gallery, work: list[tuple[float, float]]
) -> tuple[float, float, float]:
    """Write one frame; how long until the screen, asking as the page asks, is sent its large picture: three parts."""
    name = f"TETHER_{number:04d}.JPG"
    head, rest = frame[:2], frame[2:]
    comment = f"frame {number}".encode()
    segment = (
        b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment
    )  # other bytes each time, the same picture
    (folder / name).write_bytes(head + segment + rest)
    closed = time.perf_counter()
    time.sleep(random.Random(number).uniform(0, POLL_SECONDS))  # the screen asked a moment ago, or longer
    while time.perf_counter() - closed < PATIENCE:
        shown = frames.for_studio(gallery)
        if any(one.photo.name == name and one.large_url for one in shown):
            shown_at = time.perf_counter()
            begun, made = next(
                ((begun, made) for begun, made in work if closed < begun), (shown_at, shown_at)
            )
            made = min(made, shown_at)
            return begun - closed, made - begun, shown_at - made
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{name} was not shown within {PATIENCE:.0f} seconds")


@contextmanager
def _watching(folder: Path, gallery: Gallery, home: Path) -> Iterator[None]:
    """`manage.py watch FOLDER --booking …` with this bench's store, while the block runs."""
    command = [sys.executable, "manage.py", "watch", str(folder), "--booking", gallery.public_id]
    environment = {**os.environ, "STORAGE_URL": f"file://{home}/media"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@contextmanager
def _working() -> Iterator[list[tuple[float, float]]]:
    """One worker in a thread of its own; it looks often instead of being rung. Yields when each job began and ended."""
    stop = threading.Event()
    done: list[tuple[float, float]] = []

    def work() -> None:
        while not stop.is_set():
            begun = time.perf_counter()
            if jobs.work_next(now=datetime.now(UTC)):
                done.append((begun, time.perf_counter()))
            else:
                stop.wait(0.02)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(30)
