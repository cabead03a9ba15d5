"""Work on what somebody else wrote, in a process of its own with limits on time and memory.

Whatever the work does to its libraries (loop for ever, fill the memory, crash), only that process ends. It is started
anew each time: for a job that takes a second and comes every few minutes, nothing has to stay warm. It gets no secrets,
and it cannot outlive its CPU seconds even when whoever asked is gone.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")


class TooSlow(Exception):
    """Its time was over before it had an answer."""


class Broke(Exception):
    """It ended without an answer: out of memory, or a crash."""


def ask(module: str, order: bytes, *, cpu_seconds: float, wall_seconds: float, memory_bytes: int) -> bytes:
    """Run `python -m module`, which calls `answer`, with the order on its standard input. Raises TooSlow, Broke.

    `wall_seconds` leave room for a machine with other work, which gives a process a part of a core.
    """
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    seconds = max(1, round(cpu_seconds))
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, str(seconds), str(memory_bytes)],
            input=order,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=wall_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TooSlow from error
    if done.returncode == -signal.SIGXCPU:
        raise TooSlow
    if done.returncode:
        raise Broke
    return done.stdout


def answer(work: Callable[[bytes], bytes]) -> None:
    """The other side: take on the limits named on the command line, then do the work on standard input."""
    seconds, memory = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    if sys.platform.startswith("linux"):  # elsewhere the kernel does not hold it
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not answer
    found = work(sys.stdin.buffer.read())
    with os.fdopen(answers, "wb") as out:
        out.write(found)
