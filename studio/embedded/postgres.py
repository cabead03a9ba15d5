"""One PostgreSQL cluster."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import psycopg.sql

from studio.embedded.binaries import postgres_binaries
from studio.embedded.home import CHILD_ENVIRONMENT, EmbeddedError, Home, is_alive, sentence_from_log
from studio.processes import Account, Child


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
        command: list[str | Path] = [
            self.binaries / "initdb",
            "-D",
            fresh,
            "-U",
            "likeness",
            "-A",
            "peer",
            "--encoding=UTF8",
        ]
        command += ["--no-instructions", *self._locale()]
        if not self.durable:
            command.append("--no-sync")
        made = _run(command, self.home.account)
        if made.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            self.log.write_bytes(made.stdout)
            raise EmbeddedError(sentence_from_log("PostgreSQL", self.log))
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
        """We hold the lock, so no server of ours lives; only one started by hand could own the data."""
        for marks in (self.data / "postmaster.pid", self.home.sockets / ".s.PGSQL.5432.lock"):
            pid = marks.read_text().split("\n", 1)[0].strip() if marks.exists() else ""
            if (
                pid
                and is_alive(pid)
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


def _run(command: Sequence[str | Path], account: Account | None) -> subprocess.CompletedProcess[bytes]:
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
