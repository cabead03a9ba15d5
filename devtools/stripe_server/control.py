"""How a test holds the server: start it, make it misbehave, look behind it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .engine import Options
from .errors import Json
from .ids import letters
from .server import serve


class ControlRefused(Exception):
    """A private endpoint did not take its arguments."""


@dataclass(frozen=True)
class StripeControl:
    """The private endpoints of a server, in this process or in another one on this machine."""

    url: str
    api_key: str = ""
    webhook_secret: str = ""

    def fault(
        self, kind: str, *, match: str = ".*", times: int = 1, seconds: float = 30.0, status: int = 500
    ) -> None:
        """Make the next `times` requests whose "METHOD /path" matches misbehave; kinds in `faults.KINDS`."""
        self._call("fault", kind=kind, match=match, times=times, seconds=seconds, status=status)

    def behave(self) -> None:
        """No faults any more, webhooks as they should be."""
        self._call("behave")

    def webhooks(
        self, *, copies: int = 1, delay: float = 0.0, withhold: bool = False, types: list[str] | None = None
    ) -> None:
        """From now on send each event `copies` times, `delay` seconds late, or not at all until `release`."""
        self._call("webhooks", copies=copies, delay=delay, withhold=withhold, types=types)

    def release(self, order: list[str] | None = None, *, parallel: bool = False) -> list[Json]:
        """Send what was withheld, now: oldest first, or in the order of these event ids or types.

        Answers one {event, type, status} per delivery when all have been answered."""
        sent: list[Json] = self._call("release", order=order, parallel=parallel)["sent"]
        return sent

    def send(self, event_id: str, *, copies: int = 1, parallel: bool = False) -> list[int | None]:
        """Send an event again; the receiver's status codes (None: nobody answered)."""
        statuses: list[int | None] = self._call("send", event=event_id, copies=copies, parallel=parallel)[
            "statuses"
        ]
        return statuses

    def events(self, type: str | None = None) -> list[Json]:
        """Every event so far, oldest first."""
        found: list[Json] = self._call("events", type=type)["events"]
        return found

    def deliveries(self) -> list[Json]:
        """Every webhook delivery with its state (pending, withheld, delivered, failed) and attempts."""
        found: list[Json] = self._call("deliveries")["deliveries"]
        return found

    def requests(self) -> list[Json]:
        """The requests to the API so far: method, path, idempotency_key, status, fault, replayed."""
        found: list[Json] = self._call("requests")["requests"]
        return found

    def pay(self, session_id: str, choice: str = "success", *, email: str = "") -> Json:
        """Press a button of the payment page: success, declined, slow, slow_fails; refund_fails. {goes_to, problem}."""
        return self._call("pay", session=session_id, choice=choice, email=email)

    def dispute(
        self,
        payment_intent: str,
        *,
        reason: str = "fraudulent",
        amount: int | None = None,
        is_inquiry: bool = False,
    ) -> str:
        """The client asks their bank for the money back; an inquiry leaves it where it is. The dispute's id."""
        made: str = self._call(
            "dispute", payment_intent=payment_intent, reason=reason, amount=amount, is_inquiry=is_inquiry
        )["id"]
        return made

    def dispute_becomes(self, dispute_id: str, status: str) -> None:
        """Move it on (`under_review`, `needs_response`) or end it (`won`, `lost`, `warning_closed`)."""
        self._call("dispute_becomes", dispute=dispute_id, status=status)

    def advance(self, seconds: float) -> None:
        """Move the server's clock forward (sessions expire, slow payments end, keys are forgotten)."""
        self._call("advance", seconds=seconds)

    def reset(self) -> None:
        """Forget everything and behave."""
        self._call("reset")

    def wait_delivered(self, *, seconds: float = 5.0) -> None:
        """Return when no webhook is pending. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while any(delivery["state"] == "pending" for delivery in self.deliveries()):
            if time.monotonic() > until:
                raise TimeoutError("webhooks are still pending")
            time.sleep(0.02)

    def _call(self, name: str, **given: Any) -> Json:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=60)
        try:
            headers = {"X-Test-Control": "1", "Content-Type": "application/json"}
            connection.request("POST", f"/_test/{name}", json.dumps(given), headers)
            answer = connection.getresponse()
            body: Json = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ControlRefused(body["error"]["message"])
        return body


@contextmanager
def running(
    *,
    webhook_url: str | None = None,
    folder: Path | None = None,
    slow_seconds: float = 0.3,
    retry_after: tuple[float, ...] = (0.1, 0.2, 0.5),
    port: int = 0,
    api_key: str | None = None,
    webhook_secret: str | None = None,
) -> Iterator[StripeControl]:
    """A test server on loopback in this process, for the length of the block; only `api_key` opens it."""
    key = api_key or f"sk_test_{letters(24)}"
    secret = webhook_secret or f"whsec_{letters(32)}"
    options = Options(
        webhook_url=webhook_url,
        webhook_secret=secret,
        api_keys=frozenset({key}),
        folder=folder,
        slow_seconds=slow_seconds,
        retry_after=retry_after,
    )
    server = serve(options, port=port)
    try:
        yield StripeControl(server.url, key, secret)
    finally:
        server.stop()
