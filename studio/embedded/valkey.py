"""Valkey, once as the broker and once as the cache."""

import socket
from dataclasses import dataclass, field
from pathlib import Path

from studio.embedded.binaries import valkey_binary
from studio.embedded.home import CHILD_ENVIRONMENT, Home
from studio.processes import Child


@dataclass(slots=True)
class Valkey:
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
