"""`manage.py bench intake`: 100 camera-sized files from received to proofs ready, by one images worker.

Each file is received through the domain of the tus endpoint (safe on the disk before it counts), then one worker takes
the jobs as it always does: read back and hash, recognise, decode and render in the limited child, store, write rows.
`--count 1000` shows the growth. Aids for the cull come afterwards in the product and are not part of it.
"""

import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from galleries import intake, jobs, receiving, renditions
from galleries.benches.camera_frames import camera_frame
from galleries.benches.studio_rows import bench_store, receiving_gallery
from galleries.imaging.child import Done, warm_child
from galleries.models import Gallery, JobKind, Upload
from galleries.receiving.verbs import PIECE
from galleries.statuses import JobStatus, UploadStatus
from studio.actors import WORKER
from studio.benching import BenchOptions, BenchResult, bench

FILES, QUICK_FILES = 100, 4
DISTINCT = 4  # frames that are drawn; each file differs from the next by a comment in its head
PARTS = 10


class Clock:
    """Wall and CPU seconds by step, and what the limited child used."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.child_cpu, self.child_peak_mb = 0.0, 0.0

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to the step `name`."""

        def run(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.wall[name] += time.perf_counter() - began

        return run

    def heard(self, ask: Callable[..., Done[Any]]) -> Callable[..., Done[Any]]:
        """The child's `ask`, its cost kept."""

        def run(*args: Any, **kwargs: Any) -> Done[Any]:
            done = ask(*args, **kwargs)
            self.child_cpu += done.cost.cpu_seconds
            self.child_peak_mb = max(self.child_peak_mb, done.cost.peak_mb)
            return done

        return run


@bench("intake")
def run(options: BenchOptions) -> BenchResult:
    """Receive all, then work until every proof is ready; the first file warms the worker up and does not count."""
    logging.getLogger("galleries.intake").setLevel(logging.WARNING)
    count = options.count or (QUICK_FILES if options.quick else FILES)
    with bench_store("intake-") as folder, receiving_gallery("bench-intake") as gallery:
        frames = _frames(options, folder)
        _receive(gallery, frames, 0)
        _drain(gallery)
        clock = Clock()
        began = time.perf_counter()
        for number in range(1, count + 1):
            _receive(gallery, frames, number)
        received = time.perf_counter() - began
        with _watched(clock):
            found = _work(gallery, clock, count)
        _check(gallery, count + 1)
        return _result(clock, found, received, count, frames)


def _frames(options: BenchOptions, folder: Path) -> list[bytes]:
    given = sorted(options.data.rglob("*_24mp.jpg")) if options.data else []
    if given:
        return [path.read_bytes() for path in given]
    made = [
        camera_frame(folder / f"{seed}.jpg", portrait, seed=seed)
        for seed, portrait in enumerate(["grace_hopper.jpg", "eileen_collins.png"] * (DISTINCT // 2))
    ]
    return [path.read_bytes() for path in made]


def _receive(gallery: Gallery, frames: list[bytes], number: int) -> None:
    frame = frames[number % len(frames)]
    words = b"frame %06d" % number
    data = frame[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words + frame[2:]
    now = datetime.now(UTC)
    upload = receiving.open_upload(
        gallery=gallery, name=f"IMG_{number:04}.JPG", size=len(data), by=WORKER, now=now
    )
    pieces = (data[at : at + PIECE] for at in range(0, len(data), PIECE))
    receiving.append(upload_id=upload.pk, at=0, chunks=pieces, now=now)


@contextmanager
def _watched(clock: Clock) -> Iterator[None]:
    """The steps of the intake and the worker's child, timed while the block runs."""
    steps, keep, child = intake.STEPS, renditions.keep, warm_child()
    names = {"read_back": "read back and hash", "recognise": "recognise", "decode": "decode and render"}
    timed = tuple(clock.timed(names.get(step.__name__, step.__name__), step) for step in steps)
    replaced = [(intake, "STEPS", timed, steps), (renditions, "keep", clock.timed("store", keep), keep)]
    for place, name, new, _old in replaced:
        setattr(place, name, new)
    setattr(child, "ask", clock.heard(child.ask))  # noqa: B010  the instance's own, not the class's
    try:
        yield
    finally:
        for place, name, _new, old in replaced:
            setattr(place, name, old)
        delattr(child, "ask")


def _work(gallery: Gallery, clock: Clock, count: int) -> dict[str, Any]:
    """Work as a worker does: seconds by the clock and of CPU, CPU seconds and memory by tenths."""
    part = max(1, count // PARTS)
    parts, memory, done = [], [], 0
    cpu, began = time.process_time(), time.perf_counter()
    since = cpu + clock.child_cpu
    while _waits(gallery):
        jobs.work_next(now=datetime.now(UTC))
        done += 1
        if done % part == 0:
            used = time.process_time() + clock.child_cpu
            parts.append((used - since) / part)
            memory.append(_rss_mb())
            since = used
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "parts": parts,
        "memory": memory,
    }


def _waits(gallery: Gallery) -> bool:
    return gallery.jobs.filter(kind=JobKind.INTAKE, status=JobStatus.WAITING).exists()


def _drain(gallery: Gallery) -> None:
    while _waits(gallery):
        jobs.work_next(now=datetime.now(UTC))


def _check(gallery: Gallery, count: int) -> None:
    ready = Upload.objects.filter(gallery=gallery, status=UploadStatus.ACCEPTED).count()
    made = gallery.photos.filter(renditions__recipe="proof").count()
    if not ready == made == count:
        refusals = set(gallery.uploads.values_list("refusal", flat=True))
        raise RuntimeError(f"{ready} accepted and {made} proofs of {count} files: {refusals}")


def _rss_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) * 1024 / 1_000_000, 1)
    return 0.0


def _result(
    clock: Clock, found: dict[str, Any], received: float, count: int, frames: list[bytes]
) -> BenchResult:
    cpu = found["cpu"] + clock.child_cpu
    steps = dict(clock.wall)
    steps["rows and the rest"] = found["seconds"] - sum(steps.values())
    share = {name: round(seconds / found["seconds"], 3) for name, seconds in steps.items()}
    parts, memory = found["parts"], found["memory"]
    figures: dict[str, float | int | str] = {
        "files_per_second_per_core": round(count / cpu, 2),
        "files_per_second": round(count / found["seconds"], 2),
        "cpu_seconds_per_file": round(cpu / count, 3),
        "of_it_in_the_child": round(clock.child_cpu / count, 3),
        "receive_files_per_second": round(count / received, 1),
        "worker_rss_mb_first_tenth": memory[0],
        "worker_rss_mb_last_tenth": memory[-1],
        "child_peak_mb": clock.child_peak_mb,
        **{f"share_{name.replace(' ', '_')}": value for name, value in share.items()},
    }
    ratios = {
        "last_tenth_to_first": round(parts[-1] / parts[0], 3),
        "memory_last_tenth_to_first": round(memory[-1] / memory[0], 3),
    }
    conditions: dict[str, str | int | float] = {
        "files": count,
        "megabytes_each": round(sum(map(len, frames)) / len(frames) / 1_000_000, 1),
        "megapixels": 24,
        "renditions_each": len(renditions.WANTED),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
    }
    lines = [f"{'step':24}{'share':>8}{'ms/file':>10}"]
    lines += [
        f"{name:24}{share[name]:>8.1%}{seconds / count * 1000:>10.1f}" for name, seconds in steps.items()
    ]
    lines += [
        f"{figures['files_per_second_per_core']} files/s/core (wanted ≥ 4), {figures['files_per_second']} by the "
        f"clock, received at {figures['receive_files_per_second']}",
        f"last tenth / first tenth: {ratios['last_tenth_to_first']} in CPU time, "
        f"{ratios['memory_last_tenth_to_first']} in memory ({memory[0]} → {memory[-1]} MB)",
    ]
    return BenchResult(figures, {}, ratios, conditions, "\n".join(lines))
