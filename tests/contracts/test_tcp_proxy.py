"""The proxy for fault tests does to the bytes what it says, and nothing in fair weather."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.tcp_proxy import TcpProxy, Weather, proxied


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while chunk := self.request.recv(65536):
            self.request.sendall(chunk)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def echo() -> Iterator[int]:
    with _Server(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=3)


def read(line: socket.socket, count: int) -> bytes:
    """At most `count` bytes: fewer when the other side hangs up."""
    got = b""
    while len(got) < count and (chunk := line.recv(count - len(got))):
        got += chunk
    return got


def has_hung_up(line: socket.socket) -> bool:
    """Politely or with a reset: no byte comes any more. A silent line times out."""
    try:
        return line.recv(1) == b""
    except ConnectionError:
        return True


def is_turned_away(proxy: TcpProxy) -> bool:
    """The reset may arrive while we connect, or just after."""
    try:
        with connect(proxy) as line:
            return has_hung_up(line)
    except ConnectionError:
        return True


def test_fair_weather_passes_everything_both_ways(echo):
    data = bytes(range(256)) * 8192  # 2 MB: more than any buffer on the way
    with proxied("127.0.0.1", echo) as proxy, connect(proxy) as line:
        sender = threading.Thread(target=line.sendall, args=(data,))
        sender.start()
        assert read(line, len(data)) == data
        sender.join()
        assert (proxy.bytes_to_upstream, proxy.bytes_to_client) == (len(data), len(data))


def test_half_closed_connection_still_gets_its_answer(echo):
    with proxied("127.0.0.1", echo) as proxy, connect(proxy) as line:
        line.sendall(b"last words")
        line.shutdown(socket.SHUT_WR)
        assert read(line, 100) == b"last words"


def test_answer_and_request_are_cut_after_so_many_bytes(echo):
    with proxied("127.0.0.1", echo, Weather(cut_answer_after=7)) as proxy, connect(proxy) as line:
        line.sendall(b"0123456789")
        assert read(line, 10) == b"0123456"
    with proxied("127.0.0.1", echo, Weather(cut_request_after=3)) as proxy, connect(proxy) as line:
        line.sendall(b"0123456789")
        assert read(line, 10) in (b"", b"012")
        assert proxy.bytes_to_upstream == 3


def test_delay_counts_both_ways(echo):
    with proxied("127.0.0.1", echo, Weather(delay=0.2)) as proxy, connect(proxy) as line:
        began = time.monotonic()
        line.sendall(b"x")
        assert read(line, 1) == b"x"
        assert time.monotonic() - began >= 0.4


def test_throttle_holds_the_rate(echo):
    """20 kB at 200 kbit/s take 0.8 s one way."""
    with proxied("127.0.0.1", echo, Weather(bits_per_second=200_000)) as proxy, connect(proxy) as line:
        began = time.monotonic()
        line.sendall(b"x" * 20_000)
        assert len(read(line, 20_000)) == 20_000
        assert time.monotonic() - began >= 0.7


def test_reset_breaks_an_open_connection(echo):
    with proxied("127.0.0.1", echo) as proxy, connect(proxy) as line:
        line.sendall(b"x")
        assert read(line, 1) == b"x"
        proxy.weather = Weather(reset=True)
        with pytest.raises(ConnectionResetError):
            line.recv(1)


def test_refused_connection_ends_and_the_next_one_works(echo):
    with proxied("127.0.0.1", echo, Weather(refuse=True)) as proxy:
        assert is_turned_away(proxy)
        proxy.weather = Weather()
        with connect(proxy) as line:
            line.sendall(b"y")
            assert read(line, 1) == b"y"
        assert (proxy.connection_count, proxy.bytes_to_upstream) == (2, 1)


def test_silence_keeps_the_connection_and_swallows_the_answer(echo):
    with proxied("127.0.0.1", echo, Weather(silent=True)) as proxy, connect(proxy) as line:
        line.settimeout(0.3)
        line.sendall(b"x")
        with pytest.raises(TimeoutError):
            line.recv(1)
        assert (proxy.bytes_to_upstream, proxy.bytes_to_client) == (1, 1)


def test_unix_socket_can_be_the_upstream(tmp_path: Path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(1)
        with proxied(path) as proxy, connect(proxy) as line:
            upstream, _ = listener.accept()
            with upstream:
                line.sendall(b"hello")
                assert read(upstream, 5) == b"hello"


def test_closing_hangs_up_and_leaves_nothing_listening(echo):
    with proxied("127.0.0.1", echo) as proxy:
        line = connect(proxy)
        line.sendall(b"x")
        assert read(line, 1) == b"x"
    with line:
        assert has_hung_up(line)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
