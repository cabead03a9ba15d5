"""`manage.py bench zip`: a resumable archive of two gigabytes, beside one plain file and beside zipstream-ng."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from zlib import crc32

from django.conf import settings

from galleries.benches.zip_client import fetch
from studio.benching import BenchOptions, BenchResult, bench, peer_python

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEER = "zipstream-ng"
AT_ONCE = 10
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """One gunicorn with one worker, so that its memory is one number."""

    port: int
    worker: int

    def rss(self) -> float:
        """The worker's resident memory in megabytes."""
        for line in Path(f"/proc/{self.worker}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024 / MEGABYTE
        return 0.0


@bench("zip")
def run(options: BenchOptions) -> BenchResult:
    """Measure, interleaved: our ZIP, one file of that size by the same server, its sendfile, zipstream-ng."""
    count, size = (20, 2 * MEGABYTE) if options.quick else (100, 20 * MEGABYTE)
    home = Path(settings.DATA) / "bench"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="zip-") as folder:
        total = _make_pictures(Path(folder), count, size)
        peer = peer_python(PEER)
        with (
            _server(Path(sys.executable), "zip_server", Path(folder)) as ours,
            _server(peer, "zipstream_peer", Path(folder)) as theirs,
        ):
            return _measure(options, ours, theirs, count, size, total)


def _measure(
    options: BenchOptions, ours: Server, theirs: Server, count: int, size: int, total: int
) -> BenchResult:
    ways = {
        "likeness": (ours, "/archive"),
        "file": (ours, "/file"),
        "sendfile": (ours, "/sendfile"),
        PEER: (theirs, "/archive"),
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    firsts: dict[str, list[float]] = {way: [] for way in ways}
    for _warm in ways.values():
        _client(*_warm)
    for _run in range(options.runs):
        for way, (server, path) in ways.items():
            found = _client(server, path)
            if found["bytes"] < total:
                raise RuntimeError(f"{way} sent {found['bytes']} bytes of {total}.")
            speeds[way].append(found["bytes"] / found["seconds"] / MEGABYTE)
            firsts[way].append(found["first"] * 1000)
    speed = {way: round(median(found), 1) for way, found in speeds.items()}
    first = {way: round(median(found), 2) for way, found in firsts.items()}
    resumed = _resume(ours, total)
    growth, peer_growth = _growth(ours), _growth(theirs)
    figures: dict[str, float | int | str] = {
        "megabytes_per_second": speed["likeness"],
        "first_byte_ms": first["likeness"],
        "resume_first_byte_ms": resumed["early"],
        "resume_late_first_byte_ms": resumed["late"],
        "memory_growth_mb_ten_at_once": growth,
        "file_megabytes_per_second": speed["file"],
        "sendfile_megabytes_per_second": speed["sendfile"],
    }
    peers: dict[str, dict[str, float | int | str]] = {
        PEER: {
            "megabytes_per_second": speed[PEER],
            "first_byte_ms": first[PEER],
            "memory_growth_mb_ten_at_once": peer_growth,
            "resume": "none",
        }
    }
    ratios = {
        "file_by_same_server": _ratio(speeds["likeness"], speeds["file"]),
        "sendfile_by_same_server": _ratio(speeds["likeness"], speeds["sendfile"]),
        "zipstream_ng": _ratio(speeds["likeness"], speeds[PEER]),
    }
    conditions: dict[str, str | int | float] = {
        "pictures": count,
        "megabytes_each": size // MEGABYTE,
        "runs": options.runs,
        "cores": os.cpu_count() or 1,
        "server": "gunicorn gthread, one worker, loopback, files in the page cache",
    }
    return BenchResult(
        figures, peers, ratios, conditions, _table(speed, first, growth, peer_growth, resumed, ratios)
    )


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios: what else the machine did in a round slowed both."""
    return round(median(one / other for one, other in zip(ours, theirs, strict=True)), 3)


def _make_pictures(folder: Path, count: int, size: int) -> int:
    """Files of noise, as JPEGs are to a ZIP, and one file as long as all of them; returns their bytes."""
    pictures = []
    with (folder / "big.bin").open("wb") as big:
        for number in range(count):
            noise = random.randbytes(size)
            key = f"{number:04}.jpg"
            (folder / key).write_bytes(noise)
            big.write(noise)
            pictures.append({"name": f"full/{key}", "key": key, "size": size, "crc32": crc32(noise)})
    (folder / "pictures.json").write_text(json.dumps(pictures))
    return count * size


@contextmanager
def _server(python: Path, module: str, folder: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command: list[str | Path] = [
        python,
        "-m",
        "gunicorn",
        f"{module}:application",
        "--bind",
        f"127.0.0.1:{port}",
    ]
    command += [
        "--worker-class",
        "gthread",
        "--threads",
        str(AT_ONCE),
        "--workers",
        "1",
        "--log-level",
        "error",
    ]
    command += ["--pythonpath", f"{ROOT},{HERE}", "--timeout", "300", "--no-control-socket"]
    environment = {**os.environ, "BENCH_STORE": str(folder)}
    process = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True)
    try:
        yield Server(port, _worker_of(process, port))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def _worker_of(process: "subprocess.Popen[bytes]", port: int) -> int:
    """The one child of gunicorn's master, once the port answers."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
            continue
        if children:
            return int(children[0])
    raise RuntimeError("The bench's server did not start.")


def _client(server: Server, path: str, byte_range: str = "") -> dict[str, Any]:
    """Fetch in a process of its own, so that the client's work is not ours."""
    command: list[str | Path] = [sys.executable, HERE / "zip_client.py", str(server.port), path, byte_range]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _resume(server: Server, total: int) -> dict[str, float]:
    """Milliseconds to the first byte when resuming in the first and in the last tenth: equal when it costs O(1)."""
    found: dict[str, list[float]] = {"early": [], "late": []}
    for _time in range(20):
        for part, low in (("early", 0), ("late", total * 9 // 10)):
            start = low + random.randrange(total // 10)
            found[part].append(
                fetch(server.port, "/archive", f"bytes={start}-{start + 100_000}")["first"] * 1000
            )
    return {part: round(median(times), 2) for part, times in found.items()}


def _growth(server: Server) -> float:
    """How far the worker's memory rises, in megabytes, while ten clients fetch the archive at once."""
    before = peak = server.rss()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(_client, server, "/archive") for _number in range(AT_ONCE)]
        while not all(one.done() for one in waiting):
            peak = max(peak, server.rss())
            time.sleep(0.02)
        for one in waiting:
            one.result()
    return round(peak - before, 1)


def _table(
    speed: dict[str, float],
    first: dict[str, float],
    growth: float,
    peer_growth: float,
    resumed: dict[str, float],
    ratios: dict[str, float],
) -> str:
    lines = [f"{'':24}{'MB/s':>10}{'first byte ms':>16}{'MB for ten':>12}{'resume ms':>12}"]
    rows = {
        "our ZIP": ("likeness", growth, f"{resumed['early']}/{resumed['late']}"),
        "one file, same server": ("file", "", ""),
        "one file, sendfile": ("sendfile", "", ""),
        PEER: (PEER, peer_growth, "none"),
    }
    for title, (way, memory, resume) in rows.items():
        lines.append(f"{title:24}{speed[way]:>10}{first[way]:>16}{memory:>12}{resume:>12}")
    lines += [f"ratio {name}: {ratio}" for name, ratio in ratios.items()]
    return "\n".join(lines)
