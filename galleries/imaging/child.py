"""Work on files from outside in a limited process, so no file can hurt the one that asked.

Each worker process keeps one warm child (`python -m galleries.imaging.child`): it has everything imported, reads one
order per line and forks for each. The fork gets its own limits on CPU time, wall time and memory; a crash or a limit
becomes a Refusal, and the warm child lives on, having touched no pixel itself. Forking costs milliseconds, starting
Python costs half a second. Plain `subprocess`, because Celery's daemonic workers may not use multiprocessing.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import hashlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .limits import LIMITS
from .plain import from_plain, to_plain
from .refusals import Refusal, Refused, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .aids import Aids
    from .crop import Crop, Head
    from .guard import GuardReport
    from .jobs import Accepted, Cast, Drafted, Job, Likeness, Seen
    from .metadata import Credits
    from .recipes import Recipe
    from .render import Rendering
    from .retouch import Parameters
    from .watermark import Mark

ROOT = Path(__file__).resolve().parents[2]
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "SYSTEMROOT",
    "LIKENESS_MODELS",
    "LD_LIBRARY_PATH",
)
QUIET = {
    "VIPS_CONCURRENCY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    # A fork meets each page of its pictures for the first time: asking for large ones saves an eighth of all its CPU.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"
    ":glibc.malloc.mmap_threshold=33554432"
    ":glibc.malloc.trim_threshold=2000000000",
}
WALL_FACTOR, WALL_EXTRA_SECONDS = 4.0, 15.0
MAX_ANSWER_BYTES = 4_000_000
MEGA = 1_000_000


class ChildLost(RuntimeError):
    """The warm child itself went away twice: the machine's trouble, not the file's. Try the job again later."""


@dataclass(frozen=True)
class Cost:
    """What a job used: CPU seconds of its own process and its peak memory in MB."""

    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Done[T]:
    """A job's value with its cost."""

    value: T | Refusal
    cost: Cost


# --- the side that asks


class Child:
    """One warm child. Calls are serialised; it is started on first use and again when it is gone.

    `knows_faces` loads the face models before the first fork; taking files in does without them and stays small.
    """

    def __init__(self, module: str = "galleries.imaging.child", *, knows_faces: bool = False) -> None:
        self._command = [sys.executable, "-m", module, *(["--faces"] if knows_faces else [])]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask[T](self, job: str, order: object, kind: type[T]) -> Done[T]:
        """Run one job. Raises ChildLost when the child cannot be reached twice running."""
        line = json.dumps({"job": job, "order": to_plain(order)}).encode() + b"\n"
        with self._lock:
            answer = self._exchange(line) or self._exchange(line)
        if answer is None:
            raise ChildLost("the imaging child could not be started or did not answer")
        cost = from_plain(Cost, answer["cost"])
        if answer["refusal"]:
            return Done(refuse(answer["refusal"]), cost)
        return Done(from_plain(kind, answer["value"]), cost)

    def close(self) -> None:
        """End the child and wait for it."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                cast(Any, process.stdin).close()
            process.kill()
            process.wait()
            cast(Any, process.stdout).close()

    def _exchange(self, line: bytes) -> dict[str, Any] | None:
        try:
            if self._process is None or self._process.poll() is not None:
                self.close()  # one found dead still has its pipes
                self._start()
            process = cast("subprocess.Popen[bytes]", self._process)
            cast(Any, process.stdin).write(line)
            cast(Any, process.stdin).flush()
            answer = cast(Any, process.stdout).readline()
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            self.close()
            return None
        return cast("dict[str, Any]", json.loads(answer))

    def _start(self) -> None:
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment
            | QUIET
            | {"PYTHONPATH": str(ROOT)},  # no secrets: this process reads hostile files
        )


_children: dict[tuple[int, bool], Child] = {}


def warm_child(*, knows_faces: bool = False) -> Child:
    """This process's child. A forked worker gets its own, never its parent's pipes."""
    mine = (os.getpid(), knows_faces)
    if mine not in _children:
        for other in [key for key in _children if key[0] != mine[0]]:
            del _children[other]  # inherited from the parent process: not ours to close
        if not _children:
            atexit.register(close_children)
        _children[mine] = Child(knows_faces=knows_faces)
    return _children[mine]


def close_children() -> None:
    """End this process's children; they start again when asked."""
    for key in [key for key in _children if key[0] == os.getpid()]:
        _children.pop(key).close()


def accept(
    path: Path,
    recipes: Sequence[Recipe],
    out_dir: Path,
    *,
    credits: Credits | None = None,
    mark: Mark | None = None,
) -> Accepted | Refusal:
    """Take a file in: identify it, read its capture facts and make its first renditions in `out_dir`."""
    return accept_with_cost(path, recipes, out_dir, credits=credits, mark=mark).value


def accept_with_cost(
    path: Path,
    recipes: Sequence[Recipe],
    out_dir: Path,
    *,
    credits: Credits | None = None,
    mark: Mark | None = None,
) -> Done[Accepted]:
    """`accept` with what it used."""
    from . import jobs

    return warm_child().ask("accept", _render_order(path, recipes, out_dir, credits, mark), jobs.Accepted)


def look(path: Path, *, out: Path | None = None) -> Seen | Refusal:
    """A first look at a file whose shoot is not known: its facts, the codes in it, and a small view in `out`."""
    from . import jobs

    order = jobs.LookOrder(path=path.resolve(), out=out.resolve() if out else None)
    return warm_child().ask("look", order, jobs.Seen).value


def make(
    path: Path,
    recipes: Sequence[Recipe],
    out_dir: Path,
    *,
    credits: Credits | None = None,
    mark: Mark | None = None,
    head: Head | None = None,
    look_for_head: bool = True,
    crops: Mapping[str, Crop] | None = None,
) -> Rendering | Refusal:
    """Make more files of a picture that was accepted before: other renditions, or the finals of a Version.

    `head` and `crops` (by recipe name) are in upright pixels of the picture; without both the face is
    looked for, unless `look_for_head` is off (no release signed, or the sitter objects).
    """
    from . import render

    order = _render_order(path, recipes, out_dir, credits, mark, head, look_for_head, crops)
    given = crops or {}
    needs_face = head is None and any(recipe.is_cropped and recipe.name not in given for recipe in recipes)
    child = warm_child(knows_faces=needs_face and look_for_head)
    return child.ask("make", order, render.Rendering).value


def _render_order(
    path: Path,
    recipes: Sequence[Recipe],
    out_dir: Path,
    credits: Credits | None,
    mark: Mark | None,
    head: Head | None = None,
    look_for_head: bool = True,
    crops: Mapping[str, Crop] | None = None,
) -> object:
    from . import jobs, metadata, watermark

    return jobs.RenderOrder(
        path=path.resolve(),
        out_dir=out_dir.resolve(),
        recipes=tuple(recipes),
        credits=credits or metadata.Credits(),
        mark=mark or watermark.Mark(),
        head=head,
        look_for_head=look_for_head,
        crops=dict(crops) if crops else None,
    )


def draft(
    path: Path,
    out: Path,
    *,
    parameters: Parameters | None = None,
    credits: Credits | None = None,
    edge: int = 0,
    look_for_faces: bool = True,
) -> Drafted | Refusal:
    """Write the natural draft of a picture to `out` (JPEG, sRGB), full size, or with a long edge for a preview."""
    from . import jobs, metadata, retouch

    order = jobs.DraftOrder(
        path=path.resolve(),
        out=out.resolve(),
        parameters=parameters or retouch.DEFAULTS,
        credits=credits or metadata.Credits(),
        edge=edge,
        quality=82 if edge else 95,
        look_for_faces=look_for_faces,
    )
    return warm_child(knows_faces=look_for_faces).ask("draft", order, jobs.Drafted).value


def shared_cast(paths: Sequence[Path], *, look_for_faces: bool = True) -> Cast | Refusal:
    """The colour cast a shoot's frames have in common; give it to each draft as `Parameters.cast`."""
    from . import jobs

    order = jobs.CastOrder(tuple(path.resolve() for path in paths), look_for_faces)
    return warm_child(knows_faces=look_for_faces).ask("cast", order, jobs.Cast).value


def measure(
    before: Path, after: Path, *, heat: Path | None = None, look_for_faces: bool = True
) -> GuardReport | Refusal:
    """The guard's report on a final against its original; `heat` receives the heat map (PNG) where one was made."""
    from . import guard, jobs

    order = jobs.MeasureOrder(
        before.resolve(), after.resolve(), heat.resolve() if heat else None, look_for_faces
    )
    return warm_child(knows_faces=look_for_faces).ask("measure", order, guard.GuardReport).value


def aids(path: Path, *, look_for_faces: bool = True) -> Aids | Refusal:
    """What helps to cull: sharpness, lids, clipping and likeness of one frame."""
    from . import aids as culling

    order = culling.AidsOrder(path.resolve(), look_for_faces)
    return warm_child(knows_faces=look_for_faces).ask("aids", order, culling.Aids).value


def likeness(path: Path, frames: Sequence[Path]) -> Likeness | Refusal:
    """How alike a finished file is to each of these frames; no face is looked for."""
    from . import jobs

    order = jobs.MatchOrder(path.resolve(), tuple(frame.resolve() for frame in frames))
    return warm_child().ask("likeness", order, jobs.Likeness).value


# --- the warm child


def serve() -> None:
    """Read orders from standard input until it closes; answer each with one line."""
    from .jobs import JOBS

    if "--faces" in sys.argv:
        from . import faces

        faces.warm()
    orders, answers = sys.stdin.fileno(), os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not answer
    waiting = b""
    while True:
        while b"\n" not in waiting:
            more = os.read(orders, 1 << 20)
            if not more:
                return
            waiting += more
        line, _, waiting = waiting.partition(b"\n")
        request = json.loads(line)
        answer = _answer_to(JOBS[request["job"]], request["order"], orders)
        _write_all(answers, json.dumps(answer).encode() + b"\n")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@dataclass(frozen=True)
class Slowness:
    """How many times longer this machine takes just now than the one the limits were measured on."""

    cpu: float
    wall: float


# What PROBE costs on the machine on which the limits were chosen, quiet.
PROBE_SECONDS = 0.0062
PROBE_ROUNDS = 25
ENOUGH_TO_BLAME, MOST_PATIENCE = 1.3, 4.0


def slowness() -> Slowness:
    """Measure a fixed piece of work, the best of three."""
    cpu, wall = [], []
    for _try in range(3):
        started, began = time.process_time(), time.monotonic()
        packed = bytes(range(256)) * 512
        for _round in range(PROBE_ROUNDS):
            hashlib.sha256(packed).digest()
            zlib.crc32(packed)
            zlib.compress(packed, 1)
        cpu.append(time.process_time() - started)
        wall.append(time.monotonic() - began)
    return Slowness(min(cpu) / PROBE_SECONDS, min(wall) / PROBE_SECONDS)


def _answer_to(job: Job, order: Any, orders: int) -> dict[str, Any]:
    """Do the job. A file that ran out of time on a machine that is slow just now gets that much more, once.

    On a quiet machine the limits hold as they stand, so a hostile file gains nothing; on a loaded one an honest file
    is not refused for what its neighbours do.
    """
    seconds = _cpu_seconds(job, order)
    answer = _forked(job, order, orders, cpu=seconds, wall=WALL_FACTOR * seconds + WALL_EXTRA_SECONDS)
    if answer["refusal"] != "too_slow":
        return answer
    slow = slowness()
    if max(slow.cpu, slow.wall) < ENOUGH_TO_BLAME:
        return answer
    more = seconds * min(max(slow.cpu, 1.0), MOST_PATIENCE)
    patience = (WALL_FACTOR * more + WALL_EXTRA_SECONDS) * min(max(slow.wall, 1.0), MOST_PATIENCE)
    again = _forked(job, order, orders, cpu=more, wall=patience)
    again["cost"]["cpu_seconds"] = round(again["cost"]["cpu_seconds"] + answer["cost"]["cpu_seconds"], 4)
    return again


def _forked(job: Job, order: Any, orders: int, *, cpu: float, wall: float) -> dict[str, Any]:
    """Fork, run the job under its limits, and read its answer or the way it ended."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _run_and_exit(job, order, writing, cpu)
    os.close(writing)
    told, is_late = _listen(reading, orders, pid, wall)
    os.close(reading)
    _, status, used = os.wait4(pid, 0)
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    cost = {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 4),
        "peak_mb": round(used.ru_maxrss * scale / MEGA, 1),
    }
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 and told:
        return {**json.loads(told), "cost": cost}
    is_slow = is_late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGXCPU))
    return {"refusal": "too_slow" if is_slow else "crashed", "value": None, "cost": cost}


def _cpu_seconds(job: Job, order: Any) -> float:
    try:
        names = [order[name] for name in ("path", "before", "after") if order.get(name)]
        size = sum(os.stat(name).st_size for name in names)
    except OSError:
        size = 0
    return LIMITS.cpu_seconds(size) * job.cpu_factor + job.cpu_extra_seconds


def _listen(reading: int, orders: int, pid: int, wall_seconds: float) -> tuple[bytes, bool]:
    """What the fork wrote, and whether it had to be ended. Ends it, too, when nobody waits for the answer."""
    told, until = b"", time.monotonic() + wall_seconds
    poll = select.poll()
    poll.register(reading, select.POLLIN | select.POLLHUP)
    poll.register(orders, select.POLLHUP)
    while True:
        events = poll.poll(max(0.0, until - time.monotonic()) * 1000)
        if not events or len(told) > MAX_ANSWER_BYTES:
            os.kill(pid, signal.SIGKILL)
            return b"", True
        for descriptor, _event in events:
            if descriptor == orders:
                os.kill(pid, signal.SIGKILL)
                os._exit(0)
            piece = os.read(reading, 1 << 16)
            if not piece:
                return told, False
            told += piece


def _run_and_exit(job: Job, order: Any, writing: int, cpu: float) -> None:
    """In the fork: take on the limits, do the job, write the answer, leave without any clean-up of the parent's."""
    code = 1
    try:
        _limit(job, cpu)
        _write_all(writing, json.dumps(_answered(job, order)).encode())
        code = 0
    finally:
        os._exit(code)


def _answered(job: Job, order: Any) -> dict[str, Any]:
    try:
        value = job.run(from_plain(job.order, order))
    except Refused as refused:
        return {"refusal": refused.refusal.code, "value": None}
    except MemoryError:
        return {"refusal": "too_much_memory", "value": None}
    except OSError as error:
        if error.errno not in (28, 122):  # no space left, quota reached
            raise
        return {"refusal": "no_room", "value": None}
    return {"refusal": None, "value": to_plain(value)}


def _limit(job: Job, cpu: float) -> None:
    """CPU to the millisecond by ITIMER_PROF, whole seconds by RLIMIT_CPU behind it, memory on top of what is mapped."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, int(cpu) + 2))
    signal.setitimer(signal.ITIMER_PROF, cpu)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no job outlives the warm child
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        room = mapped + int(LIMITS.memory_bytes * job.memory_factor)
        resource.setrlimit(resource.RLIMIT_AS, (room, room))


if __name__ == "__main__":
    serve()
