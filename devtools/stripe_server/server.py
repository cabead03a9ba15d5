"""The HTTP server: the API under /v1, the payment page under /c/pay, the private endpoints under /_test."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from . import api, checkout, page, private
from .courier import Courier
from .engine import Engine, Options
from .errors import Json, StripeFault
from .faults import Fault, FaultPlan
from .store import Store

log = logging.getLogger("stripe_server")
LARGEST_BODY = 1_000_000  # bytes


class StripeServer(ThreadingHTTPServer):
    """One running test server. `start()` returns at once; `stop()` closes every connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options: Options, *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((host, port), Handler)
        store = Store(options.folder)
        self.engine = Engine(store, options, url=f"http://{host}:{self.server_address[1]}")
        self.courier = Courier(self.engine)
        self.stage = private.Backstage(self.engine, self.courier, FaultPlan())
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="stripe-http", daemon=True
        )

    @property
    def url(self) -> str:
        """The address of the API."""
        return self.engine.url

    def start(self) -> None:
        """Serve in the background."""
        self.courier.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, hang up, keep what is stored."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.courier.stop()
        self.server_close()
        self.engine.store.close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remember the connection, so that stopping can hang up."""
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is not news; anything else is a mistake of ours."""
        if not isinstance(sys.exception(), OSError):
            log.exception("a request could not be answered")


class Handler(BaseHTTPRequestHandler):
    """Reads one request, lets the right part answer, writes the answer in one piece."""

    server: StripeServer
    protocol_version = "HTTP/1.1"
    server_version = "StripeTestServer"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = 60
    _reasons: ClassVar[dict[int, str]] = {402: "Request Failed", 429: "Too Many Requests"}

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are in the private log, not on the terminal."""

    def _handle(self) -> None:
        body = self._read_body()
        if body is None:
            return
        path = urlsplit(self.path).path
        if path.startswith("/_test/"):
            self._private(path, body)
        elif path.startswith("/c/pay/"):
            self._pay_page(path.removeprefix("/c/pay/"), body)
        elif path.startswith("/receipts/"):
            self._receipt(path.removeprefix("/receipts/"))
        elif path == "/healthz":
            self._send(200, b"ok\n", {"Content-Type": "text/plain"})
        else:
            self._api(body)

    def _read_body(self) -> bytes | None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._send_json(
                413, {"error": {"type": "invalid_request_error", "message": "Request body too large."}}
            )
            return None
        body = self.rfile.read(length)
        if len(body) < length:  # the line was cut: half a request must not be carried out
            self.close_connection = True
            return None
        return body

    # --- the API ------------------------------------------------------------------------------------------------------

    def _api(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = api.Request(self.command, self.path, headers, body)
        fault = self.server.stage.faults.take(self.command, request.path)
        if fault and not self._survives(fault, request):
            return
        answer = api.answer(self.server.engine, request)
        self._note(request, answer.status, fault, replayed="Idempotent-Replayed" in answer.headers)
        if fault and fault.kind in ("act_then_time_out", "act_then_cut"):
            self._hang_up(fault.seconds if fault.kind == "act_then_time_out" else 0)
        elif fault and fault.kind == "act_then_fail":
            self._fail(fault, request)
        else:
            self._send_json(answer.status, answer.body, answer.headers)

    def _survives(self, fault: Fault, request: api.Request) -> bool:
        """Whether the request gets as far as being carried out."""
        if fault.kind == "slow":
            self.server.stopping.wait(fault.seconds)
        if fault.kind in ("slow", "act_then_time_out", "act_then_cut", "act_then_fail"):
            return True
        self._note(request, fault.status if fault.kind == "fail" else None, fault)
        if fault.kind == "fail":
            self._fail(fault, request)
        else:
            self._hang_up(fault.seconds if fault.kind == "time_out" else 0)
        return False

    def _fail(self, fault: Fault, request: api.Request) -> None:
        headers = {"Request-Id": request.id}
        problem: Json = {"type": "api_error", "message": "An unknown error occurred (asked for by a test)."}
        if fault.status == 429:
            problem = {
                "type": "invalid_request_error",
                "code": "rate_limit",
                "message": "Request rate limit exceeded (asked for by a test).",
            }
            headers["Stripe-Rate-Limited-Reason"] = "global-rate"
        if fault.status == 409:
            problem = {
                "type": "idempotency_error",
                "code": "idempotency_key_in_use",
                "message": "There is currently another in-progress request using this Idempotent Key.",
            }
        self._send_json(fault.status, {"error": problem}, headers)

    def _note(
        self, request: api.Request, status: int | None, fault: Fault | None, *, replayed: bool = False
    ) -> None:
        self.server.stage.note(
            id=request.id,
            method=request.method,
            path=request.path,
            idempotency_key=request.headers.get("idempotency-key"),
            status=status,
            fault=fault.kind if fault else None,
            replayed=replayed,
        )

    def _hang_up(self, after: float) -> None:
        """Close without an answer: at once as a reset, or after a silence."""
        self.close_connection = True
        if after:
            self.server.stopping.wait(after)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    # --- the page -----------------------------------------------------------------------------------------------------

    def _pay_page(self, session_id: str, body: bytes) -> None:
        engine = self.server.engine
        with engine.store.lock:
            checkout.expire_due(engine)
            session = engine.store.find("checkout.session", session_id)
            engine.store.commit()
            if session is None:
                self._send_html(404, page.unknown())
            elif self.command != "POST":
                self._send_html(200, page.show(engine, session))
            else:
                fields = {k: v[-1] for k, v in parse_qs(body.decode("utf-8", "replace")).items()}
                try:
                    goes_to = page.submit(
                        engine, session, fields.get("choice", ""), fields.get("email", "").strip()
                    )
                    engine.store.commit()
                    self._send(303, b"", {"Location": goes_to or "/", "Cache-Control": "no-store"})
                except StripeFault as fault:
                    engine.store.commit()
                    self._send_html(fault.status, page.show(engine, session, problem=str(fault)))

    def _receipt(self, charge_id: str) -> None:
        with self.server.engine.store.lock:
            charge = self.server.engine.store.find("charge", charge_id)
            self._send_html(200, page.receipt(charge)) if charge else self._send_html(404, page.unknown())

    # --- behind the stage ---------------------------------------------------------------------------------------------

    def _private(self, path: str, body: bytes) -> None:
        if self.client_address[0] != "127.0.0.1" or self.headers.get("X-Test-Control") != "1":
            self._send_json(403, {"error": {"message": "Only tests on this machine."}})
            return
        try:
            given = json.loads(body or b"{}")
            self._send_json(200, private.answer(self.server.stage, path, given))
        except KeyError:
            self._send_json(404, {"error": {"message": f"No such private endpoint: {path}"}})
        except StripeFault as fault:
            self._send_json(fault.status, fault.body())
        except (TypeError, ValueError) as problem:
            self._send_json(400, {"error": {"message": str(problem)}})

    # --- writing ------------------------------------------------------------------------------------------------------

    def _send_json(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n"
        self._send(
            status, text, {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})}
        )

    def _send_html(self, status: int, text: str) -> None:
        self._send(status, text.encode(), page.HEADERS)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status, self._reasons.get(status))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.command != "HEAD":
            # One write for head and body: two would wait for each other's acknowledgement.
            self._headers_buffer.append(b"\r\n")  # type: ignore[attr-defined]
            self._headers_buffer.append(body)  # type: ignore[attr-defined]
            self.flush_headers()
        else:
            self.end_headers()


def serve(options: Options, *, host: str = "127.0.0.1", port: int = 0) -> StripeServer:
    """A started server."""
    server = StripeServer(options, host=host, port=port)
    server.start()
    return server
