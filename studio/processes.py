"""Child processes that cannot outlive the process that started them, however it dies.

Two nets. On Linux the kernel signals each child when its parent is gone (PR_SET_PDEATHSIG). Everywhere a
small watchdog process reads a pipe whose other end only we hold: when the pipe closes, we are dead, and the
watchdog signals each child and, five seconds later, kills its whole process group. The second net also
catches grandchildren and works on macOS.

Standard library only: this module runs before anything is installed or configured.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
ORPHAN_GRACE_SECONDS = 5.0
LOG_LIMIT_BYTES = 10_000_000
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system account a child runs under; only root can choose one."""

    name: str
    uid: int
    gid: int


@dataclass(slots=True)
class Child:
    """One program kept running: how to start it, how to know it answers, how to stop it.

    Start it from a thread that lives as long as the child should (the main thread): the kernel's parent-death
    signal belongs to the starting thread, not to its process.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    folder: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    keep_open: tuple[int, ...] = ()
    prepare: Callable[[], None] | None = None
    is_ready: Callable[[], bool] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the program in a session of its own, its output appended to `log`."""
        if self.prepare is not None:
            self.prepare()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".old.log"))
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=dict(self.environment),
                pass_fds=self.keep_open,
                start_new_session=True,
                preexec_fn=_die_with_parent(self.orphan_signal),
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        _watchdog().watch(self.process.pid, self.orphan_signal)

    @property
    def is_running(self) -> bool:
        """Whether the started program is still there."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Ask the program to end, wait `stop_seconds`, then kill what is left of its process group."""
        if self.process is None:
            return
        self.ask_to_stop()
        self.finish_stopping(until=time.monotonic() + self.stop_seconds)

    def ask_to_stop(self) -> None:
        """Send the stop signal and return at once, so that several children can end side by side."""
        if self.is_running and self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.stop_signal)

    def finish_stopping(self, *, until: float) -> None:
        """Wait for the end until `until` (monotonic seconds), then kill the whole process group."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=max(0.0, until - time.monotonic()))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        _watchdog().forget(self.process.pid)
        self.process = None

    def last_words(self, *, lines: int = 5) -> str:
        """The last lines of the log, for the sentence that says why it did not start."""
        return tail(self.log, lines=lines)


def tail(path: Path, *, lines: int) -> str:
    """The last `lines` lines of a text file, empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _die_with_parent(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """Between fork and exec, and after the account is dropped, which would clear the request."""
    libc, parent = _libc, os.getpid()
    if libc is None:
        return None

    def ask_the_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(orphan_signal))
        if os.getppid() != parent:  # died in the moment before the request
            os._exit(1)

    return ask_the_kernel


class Watchdog:
    """Our end of the pipe to the watchdog process. One line per change: `+pid signal` or `-pid`."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def watch(self, pid: int, orphan_signal: signal.Signals) -> None:
        """From now on `pid` is signalled when we are gone."""
        self._say(f"+{pid} {int(orphan_signal)}\n")

    def forget(self, pid: int) -> None:
        """`pid` has ended and its number may be given to somebody else."""
        self._say(f"-{pid}\n")

    def close(self) -> None:
        """Let the watchdog go, at the end of the process that owns it."""
        if self.owner == os.getpid() and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait()

    def _say(self, line: str) -> None:
        if self.process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()


_our_watchdog: Watchdog | None = None


def _watchdog() -> Watchdog:
    """The watchdog of this process, started on first use, and again in a forked child."""
    global _our_watchdog
    if _our_watchdog is None or _our_watchdog.owner != os.getpid():
        _our_watchdog = Watchdog()
        atexit.register(_our_watchdog.close)
    return _our_watchdog


def watch_over(pipe: IO[bytes]) -> None:
    """The watchdog process: remember the children until the pipe closes, then end those that are left."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    children: dict[int, int] = {}
    for line in pipe:
        if line.startswith(b"+"):
            number, orphan_signal = line[1:].split()
            children[int(number)] = int(orphan_signal)
        else:
            children.pop(int(line[1:]), None)
    for pid, wanted in children.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, wanted)
    end = time.monotonic() + ORPHAN_GRACE_SECONDS
    while time.monotonic() < end and any(_group_exists(pid) for pid in children):
        time.sleep(0.05)
    for pid in children:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _group_exists(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    watch_over(sys.stdin.buffer)
