"""Stripe's API in front of the endpoints: keys, versions, parameters, idempotency, expansion, errors."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from . import catalog, checkout, disputes, payments, refunds
from .engine import Call, Endpoint, Engine
from .errors import Json, StripeFault, bad_param
from .forms import decode_form
from .ids import new_id
from .schema import OLDER, params_class, read_params
from .shapes import ACCOUNT_VERSION, API_VERSION
from .store import Row, snapshot

log = logging.getLogger("stripe_server")
KEY_LIFE = 24 * 3600  # seconds an idempotency key is remembered
_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$")


@dataclass(frozen=True)
class Route:
    """One endpoint: which requests reach it, and which of stripe-python's types knows its parameters."""

    method: str
    path: re.Pattern[str]
    params: str | None
    endpoint: Endpoint
    also: dict[str, Any] = field(default_factory=dict)


def _route(method: str, path: str, params: str | None, endpoint: Endpoint, **also: Any) -> Route:
    return Route(
        method, re.compile("^" + path.replace(":id", r"([A-Za-z0-9_.\-]+)") + "$"), params, endpoint, also
    )


def _resource(path: str, name: str, **endpoints: Endpoint) -> list[Route]:
    """The usual five of a resource, by stripe-python's names of their parameter types."""
    shapes = {
        "create": ("POST", path, f"{name}CreateParams"),
        "list": ("GET", path, f"{name}ListParams"),
        "retrieve": ("GET", f"{path}/:id", f"{name}RetrieveParams"),
        "update": ("POST", f"{path}/:id", f"{name}UpdateParams"),
        "delete": ("DELETE", f"{path}/:id", f"{name}DeleteParams"),
    }
    return [_route(*shapes[verb], endpoint) for verb, endpoint in endpoints.items()]


ROUTES: list[Route] = [
    *_resource(
        "/v1/checkout/sessions",
        "checkout.Session",
        create=checkout.create_session,
        list=checkout.list_sessions,
        retrieve=checkout.retrieve_session,
        update=checkout.update_session,
    ),
    _route(
        "POST", "/v1/checkout/sessions/:id/expire", "checkout.SessionExpireParams", checkout.expire_session
    ),
    _route(
        "GET",
        "/v1/checkout/sessions/:id/line_items",
        "checkout.SessionListLineItemsParams",
        checkout.list_line_items,
    ),
    _route("GET", "/v1/payment_pages/:id", None, checkout.retrieve_payment_page),
    _route(
        "POST",
        "/v1/payment_pages/:id/confirm",
        None,
        checkout.confirm_payment_page,
        payment_method=str,
        expected_amount=int,
    ),
    *_resource(
        "/v1/payment_intents",
        "PaymentIntent",
        create=payments.create_intent,
        list=payments.list_intents,
        retrieve=payments.retrieve_intent,
        update=payments.update_intent,
    ),
    _route("POST", "/v1/payment_intents/:id/confirm", "PaymentIntentConfirmParams", payments.confirm_intent),
    _route("POST", "/v1/payment_intents/:id/capture", "PaymentIntentCaptureParams", payments.capture_intent),
    _route("POST", "/v1/payment_intents/:id/cancel", "PaymentIntentCancelParams", payments.cancel_intent),
    *_resource(
        "/v1/charges",
        "Charge",
        list=payments.list_charges,
        retrieve=payments.retrieve_charge,
        update=payments.update_charge,
    ),
    _route("GET", "/v1/charges/:id/refunds", "ChargeListRefundsParams", refunds.list_refunds_of_charge),
    *_resource(
        "/v1/refunds",
        "Refund",
        create=refunds.create_refund,
        list=refunds.list_refunds,
        retrieve=refunds.retrieve_refund,
        update=refunds.update_refund,
    ),
    *_resource(
        "/v1/disputes",
        "Dispute",
        list=disputes.list_disputes,
        retrieve=disputes.retrieve_dispute,
    ),
    _route("POST", "/v1/disputes/:id/close", "DisputeCloseParams", disputes.close_dispute),
    *_resource(
        "/v1/balance_transactions",
        "BalanceTransaction",
        list=payments.list_balance_transactions,
        retrieve=payments.retrieve_balance_transaction,
    ),
    _route("GET", "/v1/balance", "BalanceRetrieveParams", payments.retrieve_balance),
    *_resource(
        "/v1/customers",
        "Customer",
        create=catalog.create_customer,
        list=catalog.list_customers,
        retrieve=catalog.retrieve_customer,
        update=catalog.update_customer,
        delete=catalog.delete_customer,
    ),
    *_resource(
        "/v1/products",
        "Product",
        create=catalog.create_product,
        list=catalog.list_products,
        retrieve=catalog.retrieve_product,
        update=catalog.update_product,
    ),
    *_resource(
        "/v1/prices",
        "Price",
        create=catalog.create_price,
        list=catalog.list_prices,
        retrieve=catalog.retrieve_price,
        update=catalog.update_price,
    ),
    *_resource(
        "/v1/payment_methods",
        "PaymentMethod",
        create=catalog.create_payment_method,
        list=catalog.list_payment_methods,
        retrieve=catalog.retrieve_payment_method,
    ),
    _route(
        "POST", "/v1/payment_methods/:id/attach", "PaymentMethodAttachParams", catalog.attach_payment_method
    ),
    _route(
        "POST", "/v1/payment_methods/:id/detach", "PaymentMethodDetachParams", catalog.detach_payment_method
    ),
    *_resource("/v1/events", "Event", list=catalog.list_events, retrieve=catalog.retrieve_event),
    *_resource(
        "/v1/webhook_endpoints",
        "WebhookEndpoint",
        create=catalog.create_webhook_endpoint,
        list=catalog.list_webhook_endpoints,
        retrieve=catalog.retrieve_webhook_endpoint,
        update=catalog.update_webhook_endpoint,
        delete=catalog.delete_webhook_endpoint,
    ),
]


@dataclass
class Request:
    """An HTTP request to the API, and the id it got."""

    method: str
    target: str
    headers: dict[str, str]  # lower-case names
    body: bytes = b""
    id: str = field(default_factory=lambda: new_id("request"))

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path


@dataclass
class Answer:
    """What goes back."""

    status: int
    body: Json
    headers: dict[str, str]


def answer(engine: Engine, request: Request) -> Answer:
    """Answer one request; everything it changed is committed before this returns."""
    headers = {"Request-Id": request.id, "Stripe-Version": ACCOUNT_VERSION}
    with engine.store.lock:
        try:
            return _answer(engine, request, headers)
        except StripeFault as fault:
            return Answer(fault.status, _with_log(fault.body(), request), {**headers, **fault.headers})
        except Exception:  # a mistake in this server: said loudly, and never mistaken for a refusal
            log.exception("%s %s failed", request.method, request.path)
            problem = {"type": "api_error", "message": "The test server made a mistake; its log says which."}
            return Answer(500, {"error": problem}, {**headers, "Stripe-Should-Retry": "false"})
        finally:
            engine.store.commit()


def _answer(engine: Engine, request: Request, headers: dict[str, str]) -> Answer:
    _check_key(engine, request)
    headers["Stripe-Version"] = _version(request)
    route, ids = _find_route(request)
    raw = decode_form(_form_text(request))
    idempotency_key = _idempotency_key(request)
    if idempotency_key:
        headers["Idempotency-Key"] = idempotency_key
        earlier = _earlier(engine, request, idempotency_key, raw)
        if earlier is not None:
            replayed = {"Idempotent-Replayed": "true", "Original-Request": earlier.body["request"]}
            return Answer(earlier.body["status"], earlier.hidden["answer"], {**headers, **replayed})
    try:
        params = _read_params(route, raw, headers["Stripe-Version"])
        body = _act(engine, route, ids, params, request, idempotency_key)
        result = Answer(200, body, headers)
    except StripeFault as fault:
        if not fault.kept:
            raise
        result = Answer(fault.status, _with_log(fault.body(), request), {**headers, **fault.headers})
    if idempotency_key:
        _remember(engine, request, idempotency_key, raw, result)
    return result


def _read_params(route: Route, raw: Json, version: str) -> Json:
    also = dict(route.also)
    if version[:10] < API_VERSION[:10]:
        also.update(OLDER.get(route.params or "", {}))
    return read_params(raw, params_class(route.params or "BalanceRetrieveParams"), also=also)


def _act(
    engine: Engine, route: Route, ids: tuple[str, ...], params: Json, request: Request, key: str | None
) -> Json:
    wanted: list[str] = params.get("expand") or []
    call = Call(engine, params, ids, {"id": request.id, "idempotency_key": key}, request.path)
    body = snapshot(route.endpoint(call))
    for path in wanted:
        if path.count(".") > 3:
            raise bad_param("You cannot expand more than 4 levels of a property.", param="expand")
        _expand(engine, body, path.split("."), path)
    return body


def _with_log(body: Json, request: Request) -> Json:
    body["error"]["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request.id}"
    return body


# --- keys and versions ------------------------------------------------------------------------------------------------


def _check_key(engine: Engine, request: Request) -> None:
    key = _api_key(request.headers.get("authorization", ""))
    if not key:
        raise StripeFault(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
            kept=False,
            headers={"WWW-Authenticate": 'Basic realm="Stripe"'},
        )
    known = engine.options.api_keys
    if key not in known if known else not re.fullmatch(r"(sk|rk)_test_\w+", key):
        hidden = f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * len(key)
        raise StripeFault(f"Invalid API Key provided: {hidden}", status=401, kept=False)


def _api_key(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _version(request: Request) -> str:
    version = request.headers.get("stripe-version", ACCOUNT_VERSION)
    if not _VERSION.match(version):
        raise StripeFault(f"Invalid Stripe API version: {version}", kept=False)
    return version


def _find_route(request: Request) -> tuple[Route, tuple[str, ...]]:
    for route in ROUTES:
        match = route.path.match(request.path)
        if match and route.method == request.method:
            return route, match.groups()
    raise StripeFault(
        f"Unrecognized request URL ({request.method}: {request.path}). Please see https://stripe.com/docs or we can "
        "help at https://support.stripe.com/.",
        status=404,
        kept=False,
    )


def _form_text(request: Request) -> str:
    query = urlsplit(request.target).query
    if request.method != "POST":
        return query
    kind = request.headers.get("content-type", "application/x-www-form-urlencoded").partition(";")[0].strip()
    if request.body and kind != "application/x-www-form-urlencoded":
        raise StripeFault(
            "Invalid request: the API reads form-encoded bodies. Check that your POST content type is "
            "application/x-www-form-urlencoded.",
            kept=False,
        )
    try:
        body = request.body.decode()
    except UnicodeDecodeError:
        raise StripeFault("Invalid request: the body is not UTF-8.", kept=False) from None
    return "&".join(part for part in (query, body) if part)


# --- idempotency ------------------------------------------------------------------------------------------------------


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return None
    if not key.strip() or len(key) > 255:
        raise StripeFault("Idempotency keys must have between 1 and 255 characters.", kept=False)
    return key


def _row_id(request: Request, key: str) -> str:
    return f"{_api_key(request.headers.get('authorization', ''))}\n{key}"


def _earlier(engine: Engine, request: Request, key: str, raw: Json) -> Row | None:
    """The kept answer to this key. Raises Stripe's idempotency error when the request is another one."""
    row = engine.store.find("_idempotency", _row_id(request, key))
    if row is None:
        return None
    if row.body["created"] <= engine.store.now() - KEY_LIFE:
        engine.store.remove(row)
        return None
    if row.body["path"] != request.path:
        raise StripeFault(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{row.body['path']}' vs '{request.path}'). Try using a key other than '{key}' if you meant to execute a "
            "different request.",
            type="idempotency_error",
            kept=False,
        )
    if row.hidden["params"] != json.dumps(raw, sort_keys=True):
        raise StripeFault(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
            f"using a key other than '{key}' if you meant to execute a different request.",
            type="idempotency_error",
            kept=False,
        )
    return row


def _remember(engine: Engine, request: Request, key: str, raw: Json, result: Answer) -> None:
    engine.store.add(
        "_idempotency",
        _row_id(request, key),
        {"created": engine.store.now(), "path": request.path, "request": request.id, "status": result.status},
        params=json.dumps(raw, sort_keys=True),
        answer=result.body,
    )


# --- expansion --------------------------------------------------------------------------------------------------------

EXPANDABLE: dict[str, dict[str, str]] = {  # object → field → kind of the object it names
    "checkout.session": {"payment_intent": "payment_intent", "customer": "customer"},
    "payment_intent": {"latest_charge": "charge", "customer": "customer", "payment_method": "payment_method"},
    "charge": {
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
        "failure_balance_transaction": "balance_transaction",
    },
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "refund": {
        "charge": "charge",
        "payment_intent": "payment_intent",
        "balance_transaction": "balance_transaction",
        "failure_balance_transaction": "balance_transaction",
    },
    "price": {"product": "product"},
    "payment_method": {"customer": "customer"},
    "product": {"default_price": "price"},
}


def _expand(engine: Engine, here: Any, path: list[str], whole: str) -> None:
    """Replace an id by its object along a dotted path, in place; a null on the way ends it quietly."""
    if here is None:
        return
    if isinstance(here, list):
        for item in here:
            _expand(engine, item, path, whole)
        return
    if not isinstance(here, dict):
        raise _cannot_expand(whole)
    name, rest = path[0], path[1:]
    if name == "data" and here.get("object") == "list" and rest:
        _expand(engine, here["data"], rest, whole)
        return
    _fill(engine, here, name, whole)
    if rest:
        _expand(engine, here[name], rest, whole)


def _fill(engine: Engine, here: Json, name: str, whole: str) -> None:
    kind = str(here.get("object"))
    if (kind, name) == ("checkout.session", "line_items"):
        session = engine.need("checkout.session", here["id"])
        here[name] = _sublist(session.hidden["lines"], f"/v1/checkout/sessions/{session.id}/line_items")
    elif (kind, name) == ("charge", "refunds"):
        rows = refunds.refunds_of(engine, here["id"])
        here[name] = _sublist([row.body for row in rows], f"/v1/charges/{here['id']}/refunds")
    elif name in EXPANDABLE.get(kind, {}):
        if isinstance(here.get(name), str):
            here[name] = snapshot(engine.need(EXPANDABLE[kind][name], here[name]).body)
    elif (kind, name) == ("balance_transaction", "source"):
        source = here["source"]
        if isinstance(source, str):
            kind = {"re": "refund", "dp": "dispute"}.get(source[:2], "charge")
            here[name] = snapshot(engine.need(kind, source).body)
    elif not isinstance(here.get(name), dict | list):
        raise _cannot_expand(whole)


def _sublist(rows: list[Json], url: str) -> Json:
    return {
        "object": "list",
        "data": snapshot({"rows": rows[:10]})["rows"],
        "has_more": len(rows) > 10,
        "url": url,
    }


def _cannot_expand(path: str) -> StripeFault:
    return bad_param(f"This property cannot be expanded ({path}).", param="expand")
