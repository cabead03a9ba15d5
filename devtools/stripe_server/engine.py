"""The state every endpoint works on, and the events that tell the outside about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import shapes
from .errors import Json, StripeFault, bad_param, no_such
from .ids import new_id
from .store import Row, Store, snapshot

DEFAULT_ENDPOINT = "we_default"
NO_REQUEST: Json = {"id": None, "idempotency_key": None}
RETRY_AFTER = (1.0, 5.0, 30.0, 120.0, 600.0)  # seconds between attempts; Stripe's own are hours


@dataclass(frozen=True)
class Options:
    """How one server is set up. Times in seconds."""

    webhook_url: str | None = None
    webhook_secret: str = ""
    api_keys: frozenset[str] = frozenset()  # empty: any test-mode key
    public_url: str | None = None  # what browsers call this server; its own address when None
    folder: Path | None = None
    slow_seconds: float = 8.0  # how long a slow payment stays in processing
    retry_after: tuple[float, ...] = RETRY_AFTER
    webhook_timeout: float = 10.0


@dataclass
class WebhookManners:
    """How badly webhooks behave from now on."""

    copies: int = 1
    delay: float = 0.0
    withhold: bool = False
    types: frozenset[str] = frozenset()  # empty: all types

    def touch(self, event_type: str) -> bool:
        """Whether this event is among those that behave badly."""
        return not self.types or event_type in self.types


@dataclass
class Engine:
    """Store, options and the manners of the webhooks: one per server."""

    store: Store
    options: Options
    url: str = ""
    manners: WebhookManners = field(default_factory=WebhookManners)

    @property
    def public_url(self) -> str:
        """The address browsers use."""
        return (self.options.public_url or self.url).rstrip("/")

    # --- rows ---------------------------------------------------------------------------------------------------------

    def need(self, kind: str, object_id: str, *, param: str = "id", status: int = 404) -> Row:
        """The row, or Stripe's "No such …"."""
        row = self.store.find(kind, object_id)
        if row is None:
            raise no_such(kind.removeprefix("checkout."), object_id, param=param, status=status)
        return row

    def keep(self, body: Json, **hidden: Any) -> Row:
        """Store a new object under its own id and kind."""
        return self.store.add(body["object"], body["id"], body, **hidden)

    def change(self, row: Row, **values: Any) -> Json:
        """Set fields of an object; returns what they were before, for `previous_attributes`."""
        before = {name: row.body.get(name) for name in values if row.body.get(name) != values[name]}
        row.body.update(values)
        self.store.touch(row)
        return snapshot(before)

    # --- events -------------------------------------------------------------------------------------------------------

    def emit(
        self, event_type: str, body: Json, *, request: Json = NO_REQUEST, previous: Json | None = None
    ) -> Row:
        """Record an event with a snapshot of its object and queue one delivery for each endpoint that listens."""
        data: Json = {"object": snapshot(body)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = self.keep(
            shapes.event(
                new_id("event"), created=self.store.now(), type=event_type, data=data, request=dict(request)
            )
        )
        for endpoint_id, url, secret in self.endpoints_for(event_type):
            self._queue(event, endpoint_id, url, secret)
        return event

    def endpoints_for(self, event_type: str) -> list[tuple[str, str, str]]:
        """(endpoint id, address, secret) of everybody who wants this type."""
        found = []
        if self.options.webhook_url:
            found.append((DEFAULT_ENDPOINT, self.options.webhook_url, self.options.webhook_secret))
        for row in self.store.oldest_first("webhook_endpoint"):
            wants = row.body["enabled_events"]
            if row.body["status"] == "enabled" and ("*" in wants or event_type in wants):
                found.append((row.id, row.body["url"], row.hidden["secret"]))
        return found

    def _queue(self, event: Row, endpoint_id: str, url: str, secret: str) -> None:
        bad = self.manners.touch(event.body["type"])
        copies = self.manners.copies if bad else 1
        for _ in range(copies):
            self.store.add(
                "_delivery",
                new_id("_delivery"),
                {
                    "event": event.id,
                    "type": event.body["type"],
                    "endpoint": endpoint_id,
                    "url": url,
                    "state": "withheld" if bad and self.manners.withhold else "pending",
                    "attempts": 0,
                    "due_at": self.store.clock() + (self.manners.delay if bad else 0.0),
                    "last_status": None,
                },
                secret=secret,
            )

    def pending_webhooks(self, event_id: str) -> int:
        """How many endpoints have not yet answered 2xx for this event."""
        waiting = {
            d.body["endpoint"]
            for d in self.store.oldest_first("_delivery")
            if d.body["event"] == event_id and d.body["state"] != "delivered"
        }
        return len(waiting)

    # --- later --------------------------------------------------------------------------------------------------------

    def later(self, seconds: float, action: str, **args: Any) -> None:
        """Do something when the server's clock has moved on; survives a restart."""
        self.store.add(
            "_timer",
            new_id("_timer"),
            {"due_at": self.store.clock() + seconds, "action": action, "args": args},
        )


@dataclass
class Call:
    """One request as an endpoint sees it: parameters in their types, the ids of the path, who asked."""

    engine: Engine
    params: Json
    ids: tuple[str, ...]
    request: Json
    path: str = ""

    @property
    def store(self) -> Store:
        """The engine's rows."""
        return self.engine.store

    def emit(self, event_type: str, body: Json, previous: Json | None = None) -> None:
        """Emit an event caused by this request."""
        self.engine.emit(event_type, body, request=self.request, previous=previous)


Endpoint = Callable[[Call], Json]


# --- rules shared by the endpoints ------------------------------------------------------------------------------------

_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
MINIMUM = {  # smallest charge by currency, minor units (Stripe's published table)
    **dict.fromkeys(("usd", "eur", "cad", "aud", "nzd", "chf", "sgd", "brl", "inr"), 50),
    "gbp": 30,
    "jpy": 50,
    "dkk": 250,
    "sek": 300,
    "nok": 300,
    "mxn": 1000,
    "hkd": 400,
    "pln": 200,
    "czk": 1500,
}
_NO_MINOR_UNIT = frozenset(
    (
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "ugx",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    )
)
LARGEST = 99_999_999


def check_amount(amount: int, currency: str, *, param: str = "amount") -> None:
    """Amount in minor units within Stripe's limits for one charge."""
    if amount < 1:
        raise bad_param(
            "This value must be greater than or equal to 1.", param=param, code="parameter_invalid_integer"
        )
    least = MINIMUM.get(currency, 50)
    if amount < least:
        raise StripeFault(
            f"Amount must be at least {money(least, currency)}", code="amount_too_small", param=param
        )
    if amount > LARGEST:
        raise StripeFault(
            f"Amount must be no more than {money(LARGEST, currency)}", code="amount_too_large", param=param
        )


def check_currency(currency: str, *, param: str = "currency") -> str:
    """A lower-case ISO currency code."""
    code = currency.lower()
    if not re.fullmatch(r"[a-z]{3}", code):
        raise bad_param(f"Invalid currency: {currency}.", param=param)
    return code


def check_email(email: str, *, param: str) -> str:
    """An address that looks like one."""
    if not _EMAIL.match(email) or len(email) > 512:
        raise bad_param(f"Invalid email address: {email}", param=param, code="email_invalid")
    return email


def money(amount: int, currency: str) -> str:
    """An amount as Stripe writes it in sentences and as the test page shows it: `$12.50`, `€5.00`, `¥500`."""
    sign = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}.get(currency, f"{currency.upper()} ")
    return f"{sign}{amount:,}" if currency in _NO_MINOR_UNIT else f"{sign}{amount / 100:,.2f}"


def merge_metadata(old: Json, given: Any) -> Json:
    """Stripe's rules: "" empties everything, an empty value removes its key, at most 50 keys of 40, values of 500."""
    if given in (None, ""):
        return {} if given == "" else dict(old)
    merged = {**old, **given}
    merged = {key: value for key, value in merged.items() if value != ""}
    if len(merged) > 50:
        raise bad_param("Metadata can have at most 50 keys.", param="metadata")
    for key, value in merged.items():
        if not isinstance(value, str):
            raise bad_param("Metadata values must be strings.", param=f"metadata[{key}]")
        if len(key) > 40:
            raise bad_param(
                f"Metadata keys can have up to 40 characters, but you passed in a key that is {len(key)} characters. "
                f"Invalid key: {key}",
                param="metadata",
            )
        if len(value) > 500:
            raise bad_param(
                "Metadata values can have up to 500 characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value[:40]}…",
                param=f"metadata[{key}]",
            )
    return merged


def list_rows(
    call: Call, kind: str, *, filters: tuple[str, ...] = (), url: str, rows: list[Row] | None = None
) -> Json:
    """Stripe's cursor lists: newest first, `limit` 1–100 (10), `starting_after`, `ending_before`, `created` ranges."""
    params = call.params
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        word = "greater than or equal to 1" if limit < 1 else "less than or equal to 100"
        raise bad_param(f"This value must be {word}.", param="limit", code="parameter_invalid_integer")
    found = list(call.store.every(kind)) if rows is None else rows
    found = [r for r in found if _matches(r.body, params, filters)]
    if "ending_before" in params:
        cursor = call.engine.need(kind, params["ending_before"], param="ending_before", status=400)
        newer = [r for r in found if r.seq > cursor.seq]
        page, more = newer[-limit:], len(newer) > limit
    else:
        if "starting_after" in params:
            cursor = call.engine.need(kind, params["starting_after"], param="starting_after", status=400)
            found = [r for r in found if r.seq < cursor.seq]
        page, more = found[:limit], len(found) > limit
    return shapes.page_of([r.body for r in page], url=url, has_more=more)


def _matches(body: Json, params: Json, filters: tuple[str, ...]) -> bool:
    for name in filters:
        if name in params and body.get(name) != params[name]:
            return False
    created = params.get("created")
    if created is None:
        return True
    at = body["created"]
    if isinstance(created, int):
        return bool(at == created)
    tests = {"gt": at.__gt__, "gte": at.__ge__, "lt": at.__lt__, "lte": at.__le__}
    return all(tests[name](int(bound)) for name, bound in created.items())
