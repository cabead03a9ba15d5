"""A warm child whose jobs misbehave: `python -m tests.galleries.imaging.rogue_child`. Its machine is never slow."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from galleries.imaging import child, jobs
from galleries.imaging.refusals import Refused


@dataclass(frozen=True)
class Order:
    """What to do, and a file to write to."""

    deed: str
    path: Path


@dataclass(frozen=True)
class Said:
    """An answer in one word."""

    word: str


def misbehave(order: Order) -> Said:
    deeds = {
        "spin": spin,
        "half a second": spin_half_a_second,
        "sleep": lambda: time.sleep(60),
        "eat": lambda: bytearray(3_000_000_000),
        "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "raise": lambda: 1 / 0,
        "exit": lambda: os._exit(7),
        "print": lambda: print("noise that must not become an answer"),
        "refuse": refuse,
        "fill": lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    }
    if order.deed == "environment":
        return Said(" ".join(sorted(os.environ)))
    if order.deed == "pid":
        return Said(f"{os.getpid()} {os.getppid()}")
    if order.deed in deeds:
        deeds[order.deed]()
    return Said("fine")


def spin() -> None:
    while True:
        pass


def spin_half_a_second() -> None:
    until = time.process_time() + 0.5
    while time.process_time() < until:
        pass


def refuse() -> None:
    raise Refused("truncated")


def serve(*, slowness: float) -> None:
    jobs.JOBS["misbehave"] = jobs.Job(misbehave, Order)
    jobs.JOBS["patient"] = jobs.Job(misbehave, Order, cpu_extra_seconds=2)
    jobs.JOBS["half"] = jobs.Job(misbehave, Order, cpu_extra_seconds=-1.4)
    jobs.JOBS["brief"] = jobs.Job(misbehave, Order, cpu_extra_seconds=-1.6)
    # The CPU limit comes first, also on a busy machine; only the brief job meets its wall.
    child.WALL_FACTOR, child.WALL_EXTRA_SECONDS = 20.0, 0.5
    child.slowness = lambda: child.Slowness(cpu=slowness, wall=slowness)
    child.serve()


if __name__ == "__main__":
    serve(slowness=1.0)
