"""The background of the server: the clock that ends sessions and payments, and the courier that posts webhooks.

A delivery is a row, so nothing that was promised is lost when the server is killed. Each is signed as Stripe signs
(`t=…,v1=HMAC-SHA256(secret, "t.body")`), posted without following redirects, and tried again after a pause until the
receiver answers 2xx or the pauses run out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException, HTTPMessage
from typing import IO, Any

from . import timers
from .engine import DEFAULT_ENDPOINT, Engine
from .errors import Json
from .ids import new_id
from .store import Row

log = logging.getLogger("stripe_server")
TICK = 0.2  # seconds between looks at the clock
POSTMEN = 6  # webhooks under way at once


def sign(payload: bytes, secret: str, *, at: int | None = None) -> str:
    """The `Stripe-Signature` header for a body."""
    stamp = int(time.time()) if at is None else at
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256)
    return f"t={stamp},v1={mac.hexdigest()}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A webhook receiver that redirects has not received: Stripe counts it as a failure."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


def post(url: str, payload: bytes, secret: str, *, timeout: float) -> int | None:
    """Post one signed body; the status code, or None when nobody answered."""
    request = urllib.request.Request(
        url,
        data=payload,
        method="POST",
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5, application/xml",
            "Stripe-Signature": sign(payload, secret),
        },
    )
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code
    except (OSError, HTTPException, ValueError):
        return None


class Courier:
    """One thread that watches the clock, a few that post."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._under_way: set[str] = set()
        self._pool = ThreadPoolExecutor(POSTMEN, thread_name_prefix="webhook")
        self._thread = threading.Thread(target=self._run, name="stripe-clock", daemon=True)

    def start(self) -> None:
        """Begin; deliveries left over from before a restart go out again."""
        self._thread.start()
        self.engine.store.changed = self._wake.set

    def stop(self) -> None:
        """End after the posts under way."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait(TICK)
            self._wake.clear()
            try:
                self._look()
            except Exception:  # one bad row must not stop the clock for the others
                log.exception("the clock stumbled")

    def _look(self) -> None:
        store = self.engine.store
        with store.lock:
            if timers.do_due(self.engine):
                store.commit()
            due = [
                row.id
                for row in store.oldest_first("_delivery")
                if row.body["state"] == "pending"
                and row.body["due_at"] <= store.clock()
                and row.id not in self._under_way
            ]
            self._under_way.update(due)
        for delivery_id in due:
            self._pool.submit(self._carry, delivery_id)

    def _carry(self, delivery_id: str) -> None:
        try:
            self.deliver(delivery_id)
        except Exception:
            log.exception("a webhook could not be posted")
        finally:
            self._under_way.discard(delivery_id)

    def deliver(self, delivery_id: str) -> int | None:
        """Post one delivery now and note the outcome; the status code, None when nobody answered."""
        store = self.engine.store
        with store.lock:
            row = store.find("_delivery", delivery_id)
            if row is None:
                return None
            payload = self._payload(row)
            url, secret = self._target(row)
        status = post(url, payload, secret, timeout=self.engine.options.webhook_timeout)
        with store.lock:
            if store.find("_delivery", delivery_id) is row:
                self._note(row, status)
                store.commit()
        return status

    def _target(self, row: Row) -> tuple[str, str]:
        """The shop may have moved since the event: what the server was started with counts now."""
        options = self.engine.options
        if row.body["endpoint"] == DEFAULT_ENDPOINT and options.webhook_url:
            return options.webhook_url, options.webhook_secret
        return row.body["url"], row.hidden["secret"]

    def _payload(self, row: Row) -> bytes:
        event = self.engine.need("event", row.body["event"])
        shown = {**event.body, "pending_webhooks": self.engine.pending_webhooks(event.id)}
        return json.dumps(shown, indent=2, ensure_ascii=False).encode()

    def _note(self, row: Row, status: int | None) -> None:
        body = row.body
        body["attempts"] += 1
        body["last_status"] = status
        pauses = self.engine.options.retry_after
        if status is not None and 200 <= status < 300:
            body["state"] = "delivered"
        elif body["attempts"] > len(pauses):
            body["state"] = "failed"
        else:
            body["state"] = "pending"
            body["due_at"] = self.engine.store.clock() + pauses[body["attempts"] - 1]
        self.engine.store.touch(row)

    # --- for tests ----------------------------------------------------------------------------------------------------

    def send_again(self, event_id: str, *, copies: int, parallel: bool) -> list[int | None]:
        """Post an event again to everybody who wants its type, now; the status codes in the order of posting."""
        store = self.engine.store
        with store.lock:
            event = self.engine.need("event", event_id)
            targets = self.engine.endpoints_for(event.body["type"]) * copies
            fresh = [self._extra_delivery(event, *target).id for target in targets]
            store.commit()
        return self._deliver_all(fresh, parallel=parallel)

    def release(self, order: list[str] | None, *, parallel: bool) -> list[Json]:
        """Post what is withheld, oldest first or in the given order of event ids and event types."""
        store = self.engine.store
        with store.lock:
            held = [row for row in store.oldest_first("_delivery") if row.body["state"] == "withheld"]
            if order is not None:
                held = [
                    row for name in order for row in held if name in (row.body["event"], row.body["type"])
                ]
        statuses = self._deliver_all([row.id for row in held], parallel=parallel)
        return [
            {"event": row.body["event"], "type": row.body["type"], "status": status}
            for row, status in zip(held, statuses, strict=True)
        ]

    def _extra_delivery(self, event: Row, endpoint_id: str, url: str, secret: str) -> Row:
        body: dict[str, Any] = {
            "event": event.id,
            "type": event.body["type"],
            "endpoint": endpoint_id,
            "url": url,
            "state": "by hand",
            "attempts": 0,
            "due_at": self.engine.store.clock(),
            "last_status": None,
        }
        return self.engine.store.add("_delivery", new_id("_delivery"), body, secret=secret)

    def _deliver_all(self, ids: list[str], *, parallel: bool) -> list[int | None]:
        if not parallel:
            return [self.deliver(delivery_id) for delivery_id in ids]
        with ThreadPoolExecutor(max(1, len(ids))) as pool:
            return list(pool.map(self.deliver, ids))
