"""A webhook receiver for tests: keeps what it gets, answers what it is told."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .errors import Json


@dataclass(frozen=True)
class Received:
    """One webhook as it arrived."""

    body: bytes
    signature: str
    at: float  # time.monotonic()

    @property
    def event(self) -> Json:
        """The parsed event."""
        parsed: Json = json.loads(self.body)
        return parsed


class Receiver:
    """Everything that arrived, oldest first; `answers` are the next status codes (200 when there is none)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Received] = []
        self.answers: deque[int] = deque()
        self.arrived = threading.Condition()

    @property
    def types(self) -> list[str]:
        """The types of the events, in the order they arrived."""
        return [item.event["type"] for item in self.received]

    def wait_for(self, event_type: str, *, count: int = 1, seconds: float = 5.0) -> list[Received]:
        """The webhooks of a type once there are so many. Raises TimeoutError."""
        until = time.monotonic() + seconds
        with self.arrived:
            while True:
                found = [item for item in self.received if item.event["type"] == event_type]
                if len(found) >= count:
                    return found
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{len(found)} of {count} {event_type}; arrived: {self.types}")
                self.arrived.wait(left)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a storm arrives at once; the default of 5 turns some away
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver = self.server.receiver
        with receiver.arrived:
            receiver.received.append(Received(body, self.headers["Stripe-Signature"], time.monotonic()))
            status = receiver.answers.popleft() if receiver.answers else 200
            receiver.arrived.notify_all()
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", receiver.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Where a redirect would lead: content, but a webhook must never get here."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on loopback for the length of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/webhooks")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
