"""Where the servers' data and sockets live, under which account, and who holds it."""

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.processes import Account, tail

SOCKET_PATH_LIMIT = 103  # bytes; Linux takes 107, macOS 103
LONGEST_SOCKET_NAME = len("/.s.PGSQL.5432")
LOCK_SECONDS = 10.0
CHILD_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


class EmbeddedError(Exception):
    """Why the services cannot run, in one sentence for the person who started them."""


@dataclass(slots=True)
class Home:
    """The data folder, its sockets, and the account that owns the servers' files."""

    folder: Path
    sockets: Path
    account: Account | None

    @classmethod
    def prepare(cls, folder: Path, *, notes: list[str]) -> "Home":
        """Make the folder usable; as root, by an unprivileged account too, or another folder is taken."""
        folder = folder.absolute()
        account = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                account = unprivileged_account(folder)
                folder = _reachable(folder, account, notes)
            for name in ("postgres", "broker", "cache", "sockets"):
                _private_folder(folder / name, account)
            (folder / "logs").mkdir(exist_ok=True)
            return cls(folder, _socket_folder(folder, account), account)
        except OSError as error:
            raise EmbeddedError(f"{folder} cannot be used for data: {error.strerror}.") from error

    def remove_sockets(self) -> None:
        """A socket folder outside the data folder is not left behind."""
        if self.sockets.parent != self.folder:
            with contextlib.suppress(OSError):
                self.sockets.rmdir()


@contextlib.contextmanager
def locked(
    folder: Path, *, holds: str = "{folder} is in use by another run (process {pid})."
) -> Iterator[int]:
    """Hold the folder's lock, whose number children may inherit. Waits a little for what is just ending.

    Raises EmbeddedError, in the words of `holds`, when a living process has it.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + LOCK_SECONDS
        while not _try_lock(lock):
            pid = os.pread(lock, 20, 0).decode("ascii", "ignore").strip()
            if pid and is_alive(pid):
                raise EmbeddedError(holds.format(folder=folder, pid=pid))
            if time.monotonic() > until:
                raise EmbeddedError(f"{folder} is still in use by servers of an earlier run.")
            time.sleep(0.05)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)


def remove(folder: Path) -> None:
    """Delete the services' data for good. Raises EmbeddedError while they run."""
    for place in (folder, elsewhere(folder)):
        if place.exists():
            with locked(place):
                shutil.rmtree(place)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_alive(pid: str) -> bool:
    """Whether a process of that number exists."""
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def unprivileged_account(folder: Path) -> Account:
    """Whom root becomes: the owner of existing data, else `nobody`; EmbeddedError without either."""
    data = folder / "postgres"
    wanted = [data.stat().st_uid] if data.exists() and data.stat().st_uid != 0 else []
    entries = [pwd.getpwuid(uid) for uid in wanted]
    for name in ("nobody", "daemon"):
        with contextlib.suppress(KeyError):
            entries.append(pwd.getpwnam(name))
    for entry in entries:
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and no unprivileged account (nobody) exists here."
    )


def can_reach(account: Account, path: Path) -> bool:
    """Whether `account` may enter the folder (or run the file) at `path`: the kernel is asked."""
    answer = subprocess.run(
        ["/bin/sh", "-c", 'test -x "$1"', "sh", path],
        cwd="/",
        env=CHILD_ENVIRONMENT,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        check=False,
    )
    return answer.returncode == 0


def _reachable(folder: Path, account: Account, notes: list[str]) -> Path:
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)
    try:
        if can_reach(account, folder):
            return folder
    except (PermissionError, subprocess.SubprocessError, OSError) as error:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, and this machine does not let root become {account.name}."
        ) from error
    other = elsewhere(folder)
    other.mkdir(parents=True, exist_ok=True, mode=0o711)
    if not can_reach(account, other):
        raise EmbeddedError(
            f"{folder} is closed to the account {account.name} that PostgreSQL runs under; "
            "set LIKENESS_DATA to a folder it can reach."
        )
    notes.append(f"{folder} is closed to the account {account.name}; the database lives in {other}.")
    return other


def elsewhere(folder: Path) -> Path:
    """Root's other place for the data of `folder` when that folder is out of reach; always the same one."""
    digest = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:12]
    root = Path("/var/lib") if os.access("/var/lib", os.W_OK) else Path("/tmp")  # noqa: S108
    return root / f"likeness-{digest}"


def _private_folder(path: Path, account: Account | None) -> None:
    """A folder only its owner can enter. Refuses one that belongs to somebody else (perhaps planted)."""
    path.mkdir(mode=0o700, exist_ok=True)
    owner = account.uid if account else os.geteuid()
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {owner, os.geteuid()}:
        raise EmbeddedError(f"{path} belongs to another account; run as that account or set LIKENESS_DATA.")
    path.chmod(0o700)
    if account and status.st_uid != owner:
        os.chown(path, account.uid, account.gid)


def _socket_folder(folder: Path, account: Account | None) -> Path:
    """Inside the data folder if that is short and plain enough for a socket and a URL, else in /tmp."""
    inside = folder / "sockets"
    if len(os.fsencode(inside)) + LONGEST_SOCKET_NAME <= SOCKET_PATH_LIMIT and re.fullmatch(
        r"[\w./-]+", str(inside), re.ASCII
    ):
        return inside
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    outside = Path("/tmp") / f"likeness-{os.geteuid()}-{digest}"  # noqa: S108 - owner and mode are checked
    _private_folder(outside, account)
    return outside


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder that the servers can use, gone afterwards with everything in it."""
    folder = Path(tempfile.mkdtemp(prefix="likeness-"))
    try:
        if os.geteuid() == 0:
            folder.chmod(0o711)  # the account root drops to must pass through; each folder inside is private
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if os.geteuid() == 0:
            shutil.rmtree(elsewhere(folder / "services"), ignore_errors=True)


def sentence_from_log(name: str, log: Path) -> str:
    """Why a server could not start, in its own last words."""
    words = tail(log, lines=30)
    if "No space left on device" in words:
        return f"{name} could not start: the disk that holds {log.parent.parent} is full."
    lines = [line for line in words.splitlines() if line.strip()]
    return f"{name} could not start: {lines[-1] if lines else 'it said nothing'} (see {log})."
