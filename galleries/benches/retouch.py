"""`manage.py bench retouch`: CPU seconds of a draft, a slider's answer and the guard, beside a full-size filter.

A slider is answered by a sketch: the first time the picture is read and its face found, then only strengths are moved.

The peer is what a studio would script instead: OpenCV's bilateral filter over the face at full size.
"""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from galleries.benches.camera_frames import camera_frame
from galleries.imaging import faces
from galleries.imaging.child import Child
from galleries.imaging.guard import GuardReport, Status
from galleries.imaging.jobs import Drafted, DraftOrder, MeasureOrder, RenderOrder, upright_pixels
from galleries.imaging.recipes import SCREEN
from galleries.imaging.refusals import Refusal
from galleries.imaging.render import Rendering
from galleries.imaging.retouch import DEFAULTS, Region, draft
from galleries.imaging.sketch import Sketch
from galleries.workbench import PREVIEW_EDGE
from studio.benching import BenchOptions, BenchResult, bench

MEGA = 1_000_000
SHOWN = ("passed", "shape_p95", "texture_ratio_p10", "texture_kept", "replaced_side", "skin_delta_e")
_said: dict[str, float] = {}  # the guard's own figures of the draft; the same in each run


@bench("retouch")
def run(options: BenchOptions) -> BenchResult:
    """Each step in its own process, as a worker runs it; the correction alone and the peer in this one."""
    if not faces.are_available():
        raise RuntimeError("The face models are missing: manage.py fetch_face_models")
    child = Child(knows_faces=True)
    with tempfile.TemporaryDirectory(prefix="likeness-bench-") as folder:
        source = camera_frame(Path(folder) / "frame.jpg")
        try:
            steps = [_steps(child, source, Path(folder)) for _ in range(options.runs + 1)][1:]
        finally:
            child.close()
        correction, filtered, face_megapixels = _correction(source, 1 if options.quick else options.runs)
    spent = {name: round(median(step[name] for step in steps), 3) for name in steps[0]}
    figures: dict[str, float | int | str] = {f"{name}_cpu_seconds": value for name, value in spent.items()}
    figures |= {"correction_cpu_seconds": correction, "face_megapixels": face_megapixels}
    figures |= {f"guard_{name}": _said[name] for name in SHOWN}
    peers: dict[str, dict[str, float | int | str]] = {"bilateral_full_size": {"cpu_seconds": filtered}}
    ratios = {"bilateral_full_size": round(filtered / correction, 1)}
    conditions: dict[str, str | int | float] = {
        "megapixels": 24,
        "runs": options.runs,
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
    }
    lines = [f"{'step':34}{'CPU s':>8}"]
    lines += [f"{name.replace('_', ' '):34}{value:8.3f}" for name, value in spent.items()]
    lines.append(f"{f'correction of a {face_megapixels} MP face':34}{correction:8.3f}")
    lines.append(f"{'bilateral filter of that face':34}{filtered:8.3f}")
    lines += ["", *(f"{f'guard: {name}':34}{_said[name]:8.4f}" for name in SHOWN)]
    return BenchResult(figures, peers, ratios, conditions, "\n".join(lines))


def _steps(child: Child, source: Path, folder: Path) -> dict[str, float]:
    """One frame's way: draft, screen rendition, draft on the screen, guard."""
    drafted = folder / "draft.jpg"
    whole = child.ask("draft", DraftOrder(source, drafted), Drafted)
    made = child.ask("make", RenderOrder(source, folder, (SCREEN,)), Rendering)
    if isinstance(whole.value, Refusal) or isinstance(made.value, Refusal):
        raise RuntimeError("the bench picture was refused")
    screen = made.value.files[0].path
    first, moved = _slider(screen)
    shown = child.ask("draft", DraftOrder(screen, folder / "shown.jpg", edge=1400, quality=82), Drafted)
    measured = child.ask("measure", MeasureOrder(source, drafted), GuardReport)
    if isinstance(measured.value, Refusal):
        raise RuntimeError("the draft could not be measured")
    _said.update(measured.value.numbers, passed=float(measured.value.status is Status.PASSED))
    return {
        "draft_24mp_frame": whole.cost.cpu_seconds,
        "draft_on_screen": shown.cost.cpu_seconds,
        "guard": measured.cost.cpu_seconds,
        "first_slider_answer": first,
        "moved_slider_answer": moved,
    }


def _slider(screen: Path) -> tuple[float, float]:
    """CPU seconds from the screen rendition to the first answer, and of an answer to one more move."""
    start = time.process_time()
    sketch = Sketch(screen, PREVIEW_EDGE)
    sketch.jpeg(DEFAULTS)
    first = time.process_time()
    sketch.jpeg(replace(DEFAULTS, skin=DEFAULTS.skin / 2, under_eye=DEFAULTS.under_eye / 2))
    return first - start, time.process_time() - first


def _correction(source: Path, runs: int) -> tuple[float, float, float]:
    """CPU seconds of the correction alone and of the peer, and the face region's megapixels."""
    image, _ = upright_pixels(source, 0)
    found = faces.find(image)
    region = Region.of(image, found[0], margin=0.35)
    if region is None:
        raise RuntimeError("the bench picture has no face")
    part = np.ascontiguousarray(image[region.top : region.bottom, region.left : region.right])
    face = found[0].moved(-region.left, -region.top)
    ours, theirs = [], []
    for _ in range(runs):
        start = time.process_time()
        draft(part, [face], DEFAULTS)
        ours.append(time.process_time() - start)
        start = time.process_time()
        cv2.bilateralFilter(part, 25, 28, 8)
        theirs.append(time.process_time() - start)
    size = round(part.shape[0] * part.shape[1] / MEGA, 1)
    return round(median(ours), 3), round(median(theirs), 3), size
