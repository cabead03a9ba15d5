"""Benchmarks as commands: every bench runs its peers in the same run, interleaved, and reports ratios.

A peer lives in its own environment and process (`requirements-bench/<peer>.txt`), because peers cap Django.
"""

import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from django.conf import settings

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements-bench"


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What the command line asked for."""

    runs: int = 5
    data: Path | None = None  # a folder with wider data, never needed
    quick: bool = False  # a small size that shows the bench works, not a figure to quote
    count: int | None = None  # how many things, where a bench can be made larger


@dataclass(slots=True)
class BenchResult:
    """What a bench found. `ratios` are what travels between machines."""

    figures: dict[str, float | int | str] = field(default_factory=dict)
    peers: dict[str, dict[str, float | int | str]] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    conditions: dict[str, str | int | float] = field(default_factory=dict)
    table: str = ""


Bench = Callable[[BenchOptions], BenchResult]
_benches: dict[str, Bench] = {}


def bench(name: str) -> Callable[[Bench], Bench]:
    """Register a bench: `@bench("renditions")`."""

    def decorate(run: Bench) -> Bench:
        _benches[name] = run
        return run

    return decorate


def benches() -> dict[str, Bench]:
    """All registered benches by name."""
    return dict(sorted(_benches.items()))


def peer_python(peer: str) -> Path:
    """The Python of a peer's own environment, made on first use from requirements-bench/<peer>.txt."""
    wanted = REQUIREMENTS / f"{peer}.txt"
    home = Path(settings.DATA) / "bench" / peer
    python = home / "bin" / "python"
    stamp = home / "stamp"
    digest = sha256(wanted.read_bytes()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == digest):
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True, stdout=sys.stderr)
        stamp.write_text(digest)
    return python
