"""A TCP proxy that makes a network bad on purpose: slow, throttled, cut after so many bytes, reset, refused.

```python
with proxied("127.0.0.1", 6379, Weather(delay=0.2)) as proxy:
    client = connect(proxy.host, proxy.port)
    proxy.weather = Weather(reset=True)      # from now on, for open connections too
```
The upstream may also be a Unix socket: `proxied("/run/postgresql/.s.PGSQL.5432")`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CHUNK = 16 * 1024
LOOK = 0.05  # seconds between looks at the weather while nothing flows


@dataclass(frozen=True)
class Weather:
    """What happens to the bytes. Limits count per connection and direction, from its beginning.

    `delay`: seconds added to each chunk, both ways. `bits_per_second`: throttle, each way. `cut_request_after` and
    `cut_answer_after`: close the connection once so many bytes have gone to, or come from, the upstream. `silent`:
    swallow the answers, keep the connection. `reset`: break open connections with a TCP reset. `refuse`: close new
    connections at once.
    """

    delay: float = 0.0
    bits_per_second: float | None = None
    cut_request_after: int | None = None
    cut_answer_after: int | None = None
    silent: bool = False
    reset: bool = False
    refuse: bool = False


class TcpProxy:
    """Listens on loopback and passes bytes on as the weather allows; `weather` may be changed at any time."""

    def __init__(self, upstream: tuple[str, int] | str, weather: Weather) -> None:
        self.upstream = upstream
        self.weather = weather
        self.connection_count = 0
        self.bytes_to_upstream = 0
        self.bytes_to_client = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(LOOK)
        self.host, self.port = self._listener.getsockname()[:2]
        self._stopped = threading.Event()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        """`http://host:port` of the proxy."""
        return f"http://{self.host}:{self.port}"

    def break_all(self) -> None:
        """Break every open connection now, with a reset."""
        with self._lock:
            pairs = list(self._pairs)
        for client, server in pairs:
            _break(client, hard=True)
            _break(server, hard=False)

    def close(self) -> None:
        """Stop listening and hang up."""
        self._stopped.set()
        self.break_all()
        for thread in self._threads:
            thread.join(timeout=5)
        self._listener.close()

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connection_count += 1
            self._open(client)

    def _open(self, client: socket.socket) -> None:
        if self.weather.refuse:
            _break(client, hard=True)
            client.close()
            return
        try:
            server = _connect(self.upstream)
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.settimeout(LOOK)
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        self._start(self._carry, pair)

    def _carry(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Both directions of one connection; ends when either does."""
        client, server = pair
        ended = threading.Event()
        back = threading.Thread(target=self._pump, args=(server, client, ended, False), daemon=True)
        back.start()
        self._pump(client, server, ended, True)
        back.join()
        with self._lock:
            self._pairs.discard(pair)
        client.close()
        server.close()

    def _pump(
        self, source: socket.socket, sink: socket.socket, ended: threading.Event, outward: bool
    ) -> None:
        passed = 0
        while not (self._stopped.is_set() or ended.is_set()):
            if self.weather.reset:
                _break(sink if not outward else source, hard=True)
                break
            try:
                chunk = source.recv(CHUNK)
            except TimeoutError:
                continue
            except OSError:
                break
            if not chunk or not self._pass(chunk, sink, passed, outward):
                break
            passed += len(chunk)
        # A half-closed connection still has answers to bring: only the way back ends both.
        if outward and not ended.is_set():
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
        else:
            ended.set()
            _break(source, hard=False)
            _break(sink, hard=False)

    def _pass(self, chunk: bytes, sink: socket.socket, passed: int, outward: bool) -> bool:
        """Send one chunk on; False when the connection is to end here."""
        weather = self.weather
        limit = weather.cut_request_after if outward else weather.cut_answer_after
        cut = limit is not None and passed + len(chunk) > limit
        if cut and limit is not None:
            chunk = chunk[: max(0, limit - passed)]
        if outward:
            self.bytes_to_upstream += len(chunk)
        else:
            self.bytes_to_client += len(chunk)
        if weather.delay:
            self._stopped.wait(weather.delay)
        if not (weather.silent and not outward):
            try:
                self._send(chunk, sink, weather.bits_per_second)
            except OSError:
                return False
        if cut:
            _break(sink, hard=False)
        return not cut

    def _send(self, chunk: bytes, sink: socket.socket, bits_per_second: float | None) -> None:
        step = (
            len(chunk) if not bits_per_second else max(1, int(bits_per_second / 8 / 20))
        )  # 20 steps a second
        for start in range(0, len(chunk), max(1, step)):
            began = time.monotonic()
            piece = chunk[start : start + step]
            _send_all(sink, piece, self._stopped)
            if bits_per_second:
                self._stopped.wait(max(0.0, len(piece) * 8 / bits_per_second - (time.monotonic() - began)))


def _send_all(sink: socket.socket, data: bytes, stopped: threading.Event) -> None:
    """`sendall` that survives a slow reader: the short timeout of the socket is only our look at the weather."""
    view = memoryview(data)
    while view and not stopped.is_set():
        try:
            view = view[sink.send(view) :]
        except TimeoutError:
            continue


def _connect(upstream: tuple[str, int] | str) -> socket.socket:
    if isinstance(upstream, str):
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.settimeout(5)
        server.connect(upstream)
        return server
    return socket.create_connection(upstream, timeout=5)


def _break(end: socket.socket, *, hard: bool) -> None:
    """Hang up: politely, or with a reset that the other side sees as an error."""
    with contextlib.suppress(OSError):
        if hard:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        else:
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(host: str, port: int = 0, weather: Weather | None = None) -> Iterator[TcpProxy]:
    """A proxy in front of `host:port`, or of the Unix socket `host` when it is a path."""
    proxy = TcpProxy(host if host.startswith("/") else (host, port), weather or Weather())
    try:
        yield proxy
    finally:
        proxy.close()
