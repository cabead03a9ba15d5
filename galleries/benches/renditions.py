"""`manage.py bench renditions`: a 24-megapixel JPEG to 2048, 1600 and 400 px, beside django-imagekit and the floor."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from galleries.benches.camera_frames import camera_frame
from galleries.imaging.child import Child
from galleries.imaging.jobs import Accepted, RenderOrder
from galleries.imaging.recipes import Fit, Recipe
from galleries.imaging.refusals import Refusal
from studio.benching import BenchOptions, BenchResult, bench, peer_python

HERE = Path(__file__).resolve().parent
RECIPES = tuple(Recipe(f"bench-{edge}", 1, Fit.INSIDE, edge, 85) for edge in (2048, 1600, 400))
PEER = "django-imagekit"
Way = dict[str, Any]


@bench("renditions")
def run(options: BenchOptions) -> BenchResult:
    """Interleaved rounds of a few pictures each; ours through the limited child, checks and metadata included."""
    each = 1 if options.quick else 4
    python = peer_python(PEER)
    with tempfile.TemporaryDirectory(prefix="likeness-bench-") as folder:
        source = _source(options, Path(folder))
        child = Child()
        try:
            rounds: list[dict[str, Way]] = []
            _ours(child, source, Path(folder), 1)
            for _ in range(options.runs):
                rounds.append(
                    {
                        "likeness": _ours(child, source, Path(folder), each),
                        PEER: _script(python, "renditions_imagekit.py", source, each),
                        "floor": _script(Path(sys.executable), "renditions_floor.py", source, each),
                    }
                )
        finally:
            child.close()
        return _result(rounds, source, options, each)


def _source(options: BenchOptions, folder: Path) -> Path:
    given = sorted(options.data.rglob("*_24mp.jpg")) if options.data else []
    return given[0] if given else camera_frame(folder / "frame.jpg")


def _ours(child: Child, source: Path, folder: Path, count: int) -> Way:
    spent, peak = [], 0.0
    for _ in range(count):
        done = child.ask("accept", RenderOrder(source, folder, RECIPES), Accepted)
        if isinstance(done.value, Refusal):
            raise RuntimeError(done.value.sentence)
        spent.append(done.cost.cpu_seconds)
        peak = max(peak, done.cost.peak_mb)
    return {"cpu_seconds": spent, "peak_mb": peak}


def _script(python: Path, script: str, source: Path, count: int) -> Way:
    command = [str(python), str(HERE / script), str(source), str(count)]
    answer: Way = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return answer


def _result(rounds: list[dict[str, Way]], source: Path, options: BenchOptions, each: int) -> BenchResult:
    ways = list(rounds[0])
    cost = {way: [median(found[way]["cpu_seconds"]) for found in rounds] for way in ways}
    rate = {way: round(1 / median(cost[way]), 2) for way in ways}
    peak = {way: max(found[way]["peak_mb"] for found in rounds) for way in ways}
    ratios = {
        "django_imagekit": _ratio(cost[PEER], cost["likeness"]),
        "decode_floor": _ratio(cost["floor"], cost["likeness"]),
    }
    figures: dict[str, float | int | str] = {
        "images_per_second_per_core": rate["likeness"],
        "peak_mb": peak["likeness"],
    }
    peers: dict[str, dict[str, float | int | str]] = {
        way: {"images_per_second_per_core": rate[way], "peak_mb": peak[way]} for way in ways[1:]
    }
    conditions: dict[str, str | int | float] = {
        "megapixels": 24,
        "source_megabytes": round(source.stat().st_size / 1_000_000, 1),
        "sizes": "2048, 1600, 400, JPEG quality 85",
        "rounds": options.runs,
        "pictures_each": each,
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
    }
    lines = [f"{'':18}{'images/s/core':>15}{'peak MB':>10}"]
    lines += [f"{way:18}{rate[way]:15.2f}{peak[way]:10.1f}" for way in ways]
    lines.append(
        f"{ratios['django_imagekit']} × django-imagekit (wanted ≥ 6), {ratios['decode_floor']} of the floor (≥ 0.7)"
    )
    return BenchResult(figures, peers, ratios, conditions, "\n".join(lines))


def _ratio(theirs: list[float], ours: list[float]) -> float:
    """The median of the rounds' ratios: what else the machine did in a round slowed all."""
    return round(median(other / own for other, own in zip(theirs, ours, strict=True)), 3)
