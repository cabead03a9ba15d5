"""Checkout sessions: made by the shop, paid on the test payment page, expired by the clock or on request."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from . import payments, shapes
from .catalog import new_customer, new_price, new_product
from .engine import (
    LARGEST,
    MINIMUM,
    NO_REQUEST,
    Call,
    Engine,
    check_currency,
    check_email,
    list_rows,
    merge_metadata,
    money,
)
from .errors import Json, StripeFault, bad_param, missing_param, not_built
from .ids import new_id
from .store import Row, snapshot

SHORTEST = 30 * 60  # seconds a session lives at least
LONGEST = 24 * 3600

_ECHO = (
    "billing_address_collection", "cancel_url", "client_reference_id", "locale", "submit_type", "success_url",
    "customer_creation", "payment_method_options", "phone_number_collection",
)  # fmt: skip
_KNOWN = {
    "adaptive_pricing", "customer", "customer_email", "expand", "expires_at", "line_items", "metadata", "mode",
    "payment_intent_data", "payment_method_types", "allowed_payment_method_types", "ui_mode", "currency",
    "custom_text", *_ECHO,
}  # fmt: skip
_INTENT_DATA = ("description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor_suffix",
                "statement_descriptor", "transfer_group")  # fmt: skip


# --- making one -------------------------------------------------------------------------------------------------------


def create_session(call: Call) -> Json:
    """POST /v1/checkout/sessions"""
    params = call.params
    _check_params(params)
    lines = [_line(call, given, f"line_items[{number}]") for number, given in enumerate(params["line_items"])]
    currency = _one_currency(lines, params)
    total = sum(line["amount_total"] for line in lines)
    _check_total(total, currency)
    session_id = new_id("checkout.session")
    now = call.store.now()
    body = shapes.checkout_session(
        session_id,
        created=now,
        currency=currency,
        url=f"{call.engine.public_url}/c/pay/{session_id}",
        amount_subtotal=total,
        amount_total=total,
        expires_at=_expiry(params, now),
        metadata=merge_metadata({}, params.get("metadata")),
        payment_method_types=payments.method_types(params, ["card"]),
        **_people(call),
        **{name: params[name] for name in _ECHO if params.get(name) not in (None, "")},
    )
    body["custom_text"].update(params.get("custom_text") or {})
    _store_lines(call.engine, body, lines, _intent_data(params))
    return body


def _store_lines(engine: Engine, body: Json, lines: list[Json], intent_data: Json) -> None:
    engine.keep(body, lines=lines, intent_data=intent_data)


def _check_params(params: Json) -> None:
    for name in params:
        if name not in _KNOWN:
            raise not_built(name)
    if "mode" not in params:
        raise missing_param("mode")
    if params["mode"] != "payment":
        raise bad_param(
            "The test server only plays mode=payment.", param="mode", code="test_server_not_implemented"
        )
    if params.get("ui_mode", "hosted_page") not in ("hosted", "hosted_page"):
        raise not_built(f"ui_mode={params['ui_mode']}")
    if (params.get("adaptive_pricing") or {}).get("enabled"):
        raise not_built("adaptive_pricing[enabled]=true")
    if not params.get("line_items"):
        raise missing_param("line_items")
    if "success_url" not in params:
        raise missing_param("success_url")
    for name in ("success_url", "cancel_url"):
        if name in params:
            _check_url(params[name], name)
    if len(params.get("client_reference_id", "")) > 200:
        raise bad_param(
            "Invalid string: client_reference_id can have up to 200 characters.", param="client_reference_id"
        )
    if params.get("customer") and params.get("customer_email"):
        raise bad_param(
            "You may only specify one of these parameters: customer, customer_email.", param="customer_email"
        )


def _check_url(url: str, param: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > 5000:
        raise bad_param("Not a valid URL", param=param, code="url_invalid")


def _people(call: Call) -> Json:
    params = call.params
    if params.get("customer"):
        customer = call.engine.need("customer", params["customer"], param="customer", status=400)
        return {"customer": customer.id, "customer_creation": None}
    if params.get("customer_email"):
        return {"customer_email": check_email(params["customer_email"], param="customer_email")}
    return {}


def _expiry(params: Json, now: int) -> int:
    if "expires_at" not in params:
        return now + LONGEST
    at: int = params["expires_at"]
    if at < now + SHORTEST:
        raise bad_param(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            param="expires_at",
        )
    if at > now + LONGEST:
        raise bad_param(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    return at


def _intent_data(params: Json) -> Json:
    given: Json = params.get("payment_intent_data") or {}
    for name in given:
        if name not in (*_INTENT_DATA, "metadata", "capture_method"):
            raise not_built(f"payment_intent_data[{name}]")
    if given.get("capture_method", "automatic_async") == "manual":
        raise not_built("payment_intent_data[capture_method]=manual")
    kept = {
        name: given[name] for name in (*_INTENT_DATA, "capture_method") if given.get(name) not in (None, "")
    }
    return {**kept, "metadata": merge_metadata({}, given.get("metadata"))}


def _line(call: Call, given: Json, path: str) -> Json:
    for name in given:
        if name not in ("price", "price_data", "quantity", "metadata"):
            raise not_built(f"{path}[{name}]")
    if ("price" in given) == ("price_data" in given):
        raise bad_param(
            "You must specify either `price` or `price_data` when creating a line item.", param=path
        )
    quantity = given.get("quantity", 1)
    if quantity < 1:
        raise bad_param(
            "This value must be greater than or equal to 1.",
            param=f"{path}[quantity]",
            code="parameter_invalid_integer",
        )
    if "price" in given:
        price = call.engine.need("price", given["price"], param=f"{path}[price]", status=400).body
    else:
        price = _inline_price(call, given["price_data"], f"{path}[price_data]")
    if price["type"] != "one_time":
        raise bad_param("You specified `payment` mode but passed a recurring price.", param=f"{path}[price]")
    product = call.engine.need("product", price["product"])
    return shapes.line_item(
        new_id("item"),
        price=snapshot(price),
        quantity=quantity,
        description=product.body["name"],
    )


def _inline_price(call: Call, data: Json, path: str) -> Json:
    for name in data:
        if name not in ("currency", "unit_amount", "product", "product_data", "tax_behavior"):
            raise not_built(f"{path}[{name}]")
    if "unit_amount" not in data:
        raise missing_param(f"{path}[unit_amount]")
    if data["unit_amount"] < 0:
        raise bad_param(
            "This value must be greater than or equal to 0.",
            param=f"{path}[unit_amount]",
            code="parameter_invalid_integer",
        )
    if ("product" in data) == ("product_data" in data):
        raise bad_param(f"You must specify either `product` or `product_data` in {path}.", param=path)
    currency = check_currency(data["currency"], param=f"{path}[currency]")
    if "product" in data:
        product_id = call.engine.need("product", data["product"], param=f"{path}[product]", status=400).id
    else:
        shown = data["product_data"]
        product_id = new_product(
            call.engine,
            name=shown["name"],
            description=shown.get("description"),
            images=shown.get("images", []),
            metadata=merge_metadata({}, shown.get("metadata")),
            active=False,
        ).id
    price = new_price(
        call.engine, product_id=product_id, unit_amount=data["unit_amount"], currency=currency, active=False
    )
    return price.body


def _one_currency(lines: list[Json], params: Json) -> str:
    currencies = {line["currency"] for line in lines}
    if "currency" in params:
        currencies.add(check_currency(params["currency"]))
    if len(currencies) > 1:
        raise bad_param(
            "All line items must have the same currency: received " + ", ".join(sorted(currencies)) + ".",
            param="line_items",
        )
    only: str = currencies.pop()
    return only


def _check_total(total: int, currency: str) -> None:
    least = MINIMUM.get(currency, 50)
    if total < least:
        raise StripeFault(
            f"The Checkout Session's total amount due must add up to at least {money(least, currency)} {currency}",
            code="amount_too_small",
        )
    if total > LARGEST:
        raise StripeFault(
            f"The Checkout Session's total amount must be no more than {money(LARGEST, currency)}",
            code="amount_too_large",
        )


# --- looking, listing, ending -----------------------------------------------------------------------------------------


def retrieve_session(call: Call) -> Json:
    """GET /v1/checkout/sessions/:id"""
    return _need(call).body


def update_session(call: Call) -> Json:
    """POST /v1/checkout/sessions/:id: only the metadata."""
    session = _need(call)
    for name in call.params:
        if name not in ("metadata", "expand"):
            raise not_built(name)
    call.engine.change(
        session, metadata=merge_metadata(session.body["metadata"], call.params.get("metadata"))
    )
    return session.body


def list_sessions(call: Call) -> Json:
    """GET /v1/checkout/sessions"""
    expire_due(call.engine)
    for name in call.params:
        if name in ("subscription", "customer_account", "payment_link"):
            raise not_built(name)
    rows = list(call.store.every("checkout.session"))
    wanted = (call.params.get("customer_details") or {}).get("email")
    if wanted:
        rows = [r for r in rows if (r.body["customer_details"] or {}).get("email") == wanted]
    return list_rows(
        call,
        "checkout.session",
        filters=("customer", "payment_intent", "status"),
        url="/v1/checkout/sessions",
        rows=rows,
    )


def list_line_items(call: Call) -> Json:
    """GET /v1/checkout/sessions/:id/line_items"""
    session = _need(call)
    limit = call.params.get("limit", 10)
    lines = session.hidden["lines"]
    return shapes.page_of(lines[:limit], url=call.path, has_more=len(lines) > limit)


def expire_session(call: Call) -> Json:
    """POST /v1/checkout/sessions/:id/expire"""
    session = _need(call)
    if session.body["status"] != "open":
        raise StripeFault(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"`{session.body['status']}`."
        )
    expire(call.engine, session, request=call.request)
    return session.body


def expire(engine: Engine, session: Row, *, request: Json = NO_REQUEST) -> None:
    """End an unpaid session; a PaymentIntent left by a declined attempt is cancelled with it."""
    engine.change(session, status="expired", url=None)
    intent = engine.store.find("payment_intent", session.body["payment_intent"] or "")
    if intent is not None and intent.body["status"] in ("requires_payment_method", "requires_action"):
        payments.cancel(engine, intent, reason="automatic", request=request)
    engine.emit("checkout.session.expired", session.body, request=request)


def expire_due(engine: Engine) -> int:
    """Expire every open session whose time has come; returns how many."""
    now = engine.store.now()
    due = [
        row
        for row in engine.store.oldest_first("checkout.session")
        if row.body["status"] == "open" and row.body["expires_at"] <= now
    ]
    for session in due:
        expire(engine, session)
    return len(due)


# --- paying -----------------------------------------------------------------------------------------------------------


def pay(
    engine: Engine,
    session: Row,
    method: Row,
    *,
    email: str | None = None,
    name: str | None = None,
    request: Json = NO_REQUEST,
) -> None:
    """The client presses Pay. Raises `StripeFault` when the session is not open or the bank declines."""
    _must_be_open(session)
    body = session.body
    email = (
        email
        or body["customer_email"]
        or method.body["billing_details"]["email"]
        or _known_email(engine, body)
    )
    if not email:
        raise bad_param("An e-mail address is needed to pay.", param="email")
    check_email(email, param="email")
    intent = _intent_for(engine, session, request)
    engine.change(intent, payment_method=method.id)
    payments.confirm(engine, intent, request=request)
    if intent.body["status"] == "requires_action":
        return
    paid = intent.body["status"] == "succeeded"
    engine.change(
        session,
        status="complete",
        payment_status="paid" if paid else "unpaid",
        url=None,
        customer_details=_details(method.body, email, name),
        **_customer_after(engine, session, email),
    )
    engine.emit("checkout.session.completed", body, request=request)


def _must_be_open(session: Row) -> None:
    status = session.body["status"]
    if status != "open":
        word = "already been completed" if status == "complete" else "expired"
        raise StripeFault(f"This Checkout Session has {word}.", code="checkout_session_not_open")


def _known_email(engine: Engine, body: Json) -> str | None:
    customer = engine.store.find("customer", body["customer"] or "")
    return customer.body["email"] if customer else None


def _intent_for(engine: Engine, session: Row, request: Json) -> Row:
    """Stripe makes the PaymentIntent when the client first tries to pay; a second try uses the same."""
    found = engine.store.find("payment_intent", session.body["payment_intent"] or "")
    if found is not None:
        return found
    intent = payments.open_intent(
        engine,
        amount=session.body["amount_total"],
        currency=session.body["currency"],
        request=request,
        customer=session.body["customer"],
        payment_method_types=list(session.body["payment_method_types"]),
        **snapshot(session.hidden["intent_data"]),
    )
    engine.change(session, payment_intent=intent.id)
    return intent


def _details(method: Json, email: str, name: str | None) -> Json:
    billing = method["billing_details"]
    return {
        "address": billing["address"],
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name or billing["name"],
        "phone": billing["phone"],
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _customer_after(engine: Engine, session: Row, email: str) -> dict[str, Any]:
    if session.body["customer"] or session.body["customer_creation"] != "always":
        return {}
    return {"customer": new_customer(engine, email=email).id}


def settle(engine: Engine, intent_id: str, *, ok: bool) -> None:
    """A payment in processing ends; the session it belongs to says so."""
    intent = payments.settle(engine, intent_id, ok=ok)
    if intent is None:
        return
    for session in engine.store.oldest_first("checkout.session"):
        if session.body["payment_intent"] == intent_id and session.body["status"] == "complete":
            if ok:
                engine.change(session, payment_status="paid")
            word = "succeeded" if ok else "failed"
            engine.emit(f"checkout.session.async_payment_{word}", session.body)


# --- what only Stripe's own page and CLI call -------------------------------------------------------------------------


def retrieve_payment_page(call: Call) -> Json:
    """GET /v1/payment_pages/:session: undocumented by Stripe; its CLI asks for it before it pays."""
    return _payment_page(_need(call))


def confirm_payment_page(call: Call) -> Json:
    """POST /v1/payment_pages/:session/confirm: undocumented by Stripe; how its CLI pays a session."""
    session = _need(call)
    expected = call.params.get("expected_amount")
    if expected is not None and int(expected) != session.body["amount_total"]:
        raise StripeFault("The amount of this Checkout Session has changed.", code="checkout_amount_mismatch")
    method = payments.find_method(call.engine, call.params.get("payment_method", ""))
    pay(call.engine, session, method, request=call.request)
    return _payment_page(session)


def _payment_page(session: Row) -> Json:
    return {
        "id": session.id.replace("cs_test_", "ppage_"),
        "object": "payment_page",
        "session_id": session.id,
        "state": {"open": "active", "complete": "succeeded", "expired": "expired"}[session.body["status"]],
        "livemode": False,
    }


def _need(call: Call) -> Row:
    expire_due(call.engine)
    return call.engine.need("checkout.session", call.ids[0], param="session")
