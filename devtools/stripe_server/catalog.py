"""Customers, products, prices, payment methods and webhook endpoints: what a payment refers to."""

from __future__ import annotations

from typing import Any

from . import payments, shapes
from .engine import Call, Engine, check_currency, check_email, list_rows, merge_metadata
from .errors import Json, StripeFault, bad_param, missing_param, not_built
from .ids import new_id
from .store import Row

# --- customers --------------------------------------------------------------------------------------------------------

_CUSTOMER = (
    "address",
    "description",
    "email",
    "name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
)


def new_customer(engine: Engine, **given: Any) -> Row:
    """A stored customer and its event."""
    row = engine.keep(shapes.customer(new_id("customer"), created=engine.store.now(), **given))
    engine.emit("customer.created", row.body)
    return row


def create_customer(call: Call) -> Json:
    """POST /v1/customers"""
    return new_customer(call.engine, **_customer_values(call.params, {})).body


def update_customer(call: Call) -> Json:
    """POST /v1/customers/:id"""
    row = _customer(call)
    previous = call.engine.change(row, **_customer_values(call.params, row.body["metadata"]))
    call.emit("customer.updated", row.body, previous)
    return row.body


def _customer_values(params: Json, metadata: Json) -> Json:
    for name in params:
        if name not in (*_CUSTOMER, "metadata", "expand"):
            raise not_built(name)
    if params.get("email"):
        check_email(params["email"], param="email")
    values = {name: params[name] or None for name in _CUSTOMER if name in params}
    if "metadata" in params:
        values["metadata"] = merge_metadata(metadata, params["metadata"])
    return values


def retrieve_customer(call: Call) -> Json:
    """GET /v1/customers/:id"""
    return _customer(call).body


def delete_customer(call: Call) -> Json:
    """DELETE /v1/customers/:id"""
    row = _customer(call)
    call.store.remove(row)
    call.emit("customer.deleted", row.body)
    return {"id": row.id, "object": "customer", "deleted": True}


def list_customers(call: Call) -> Json:
    """GET /v1/customers"""
    return list_rows(call, "customer", filters=("email",), url="/v1/customers")


def _customer(call: Call) -> Row:
    return call.engine.need("customer", call.ids[0])


# --- products and prices ----------------------------------------------------------------------------------------------

_PRODUCT = (
    "active",
    "description",
    "images",
    "name",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
)


def new_product(engine: Engine, *, name: str, **given: Any) -> Row:
    """A stored product and its event."""
    body = shapes.product(new_id("product"), created=engine.store.now(), name=name, **given)
    row = engine.keep(body)
    engine.emit("product.created", body)
    return row


def create_product(call: Call) -> Json:
    """POST /v1/products"""
    for name in call.params:
        if name not in (*_PRODUCT, "metadata", "expand"):
            raise not_built(name)
    given = {k: call.params[k] for k in _PRODUCT if k in call.params and k != "name"}
    metadata = merge_metadata({}, call.params.get("metadata"))
    return new_product(call.engine, name=call.params["name"], metadata=metadata, **given).body


def update_product(call: Call) -> Json:
    """POST /v1/products/:id"""
    row = call.engine.need("product", call.ids[0])
    for name in call.params:
        if name not in (*_PRODUCT, "metadata", "expand"):
            raise not_built(name)
    values = {k: call.params[k] for k in _PRODUCT if k in call.params}
    if "metadata" in call.params:
        values["metadata"] = merge_metadata(row.body["metadata"], call.params["metadata"])
    previous = call.engine.change(row, updated=call.store.now(), **values)
    call.emit("product.updated", row.body, previous)
    return row.body


def retrieve_product(call: Call) -> Json:
    """GET /v1/products/:id"""
    return call.engine.need("product", call.ids[0]).body


def list_products(call: Call) -> Json:
    """GET /v1/products"""
    return list_rows(call, "product", filters=("active",), url="/v1/products")


def new_price(engine: Engine, *, product_id: str, unit_amount: int, currency: str, **given: Any) -> Row:
    """A stored one-time price and its event."""
    body = shapes.price(
        new_id("price"),
        created=engine.store.now(),
        product_id=product_id,
        unit_amount=unit_amount,
        currency=currency,
        **given,
    )
    row = engine.keep(body)
    engine.emit("price.created", body)
    return row


_PRICE = ("active", "lookup_key", "nickname", "tax_behavior")


def create_price(call: Call) -> Json:
    """POST /v1/prices"""
    params = call.params
    for name in params:
        if name not in (
            *_PRICE,
            "currency",
            "unit_amount",
            "product",
            "product_data",
            "recurring",
            "metadata",
            "expand",
        ):
            raise not_built(name)
    if "unit_amount" not in params:
        raise missing_param("unit_amount")
    if ("product" in params) == ("product_data" in params):
        raise bad_param("You must specify either `product` or `product_data`.", param="product")
    if "product" in params:
        product = call.engine.need("product", params["product"], param="product", status=400)
    else:
        product = new_product(call.engine, name=params["product_data"]["name"])
    given = {k: params[k] for k in _PRICE if k in params}
    if params.get("recurring"):
        given |= {"type": "recurring", "recurring": _recurring(params["recurring"])}
    return new_price(
        call.engine,
        product_id=product.id,
        unit_amount=params["unit_amount"],
        currency=check_currency(params["currency"]),
        metadata=merge_metadata({}, params.get("metadata")),
        **given,
    ).body


def _recurring(given: Json) -> Json:
    """Recurring prices can be made and looked at; nothing here charges them."""
    plain = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
    return {**plain, **given}


def update_price(call: Call) -> Json:
    """POST /v1/prices/:id"""
    row = call.engine.need("price", call.ids[0])
    for name in call.params:
        if name not in (*_PRICE, "metadata", "expand"):
            raise not_built(name)
    values = {k: call.params[k] for k in _PRICE if k in call.params}
    if "metadata" in call.params:
        values["metadata"] = merge_metadata(row.body["metadata"], call.params["metadata"])
    previous = call.engine.change(row, **values)
    call.emit("price.updated", row.body, previous)
    return row.body


def retrieve_price(call: Call) -> Json:
    """GET /v1/prices/:id"""
    return call.engine.need("price", call.ids[0]).body


def list_prices(call: Call) -> Json:
    """GET /v1/prices"""
    return list_rows(call, "price", filters=("active", "currency", "product"), url="/v1/prices")


# --- payment methods --------------------------------------------------------------------------------------------------


def create_payment_method(call: Call) -> Json:
    """POST /v1/payment_methods: a card by one of Stripe's test tokens, or a SEPA debit by IBAN."""
    params = call.params
    for name in params:
        if name not in ("type", "card", "sepa_debit", "billing_details", "metadata", "expand"):
            raise not_built(name)
    kind, billing = params.get("type"), params.get("billing_details") or {}
    if kind == "card":
        row = payments.make_card(call.engine, _token(params.get("card") or {}), billing=billing)
    elif kind == "sepa_debit":
        iban = (params.get("sepa_debit") or {}).get("iban")
        if not iban:
            raise missing_param("sepa_debit[iban]")
        row = payments.make_bank(call.engine, iban, billing=billing)
    elif kind is None:
        raise missing_param("type")
    else:
        raise not_built(f"type={kind}")
    call.engine.change(row, metadata=merge_metadata({}, params.get("metadata")))
    return row.body


def _token(card: Json) -> str:
    if "number" in card:
        raise StripeFault(
            "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test "
            "tokens that map to the test card you are using.",
            status=402,
            type="card_error",
        )
    token: str = card.get("token", "")
    name = token.removeprefix("tok_")
    if not token.startswith("tok_") or name not in payments.CARDS:
        raise StripeFault(f"No such token: '{token}'", code="resource_missing", param="card[token]")
    return name


def retrieve_payment_method(call: Call) -> Json:
    """GET /v1/payment_methods/:id"""
    return payments.find_method(call.engine, call.ids[0]).body


def list_payment_methods(call: Call) -> Json:
    """GET /v1/payment_methods"""
    return list_rows(call, "payment_method", filters=("customer", "type"), url="/v1/payment_methods")


def attach_payment_method(call: Call) -> Json:
    """POST /v1/payment_methods/:id/attach"""
    row = payments.find_method(call.engine, call.ids[0])
    if not call.params.get("customer"):
        raise missing_param("customer")
    customer = call.engine.need("customer", call.params["customer"], param="customer", status=400)
    call.engine.change(row, customer=customer.id)
    call.emit("payment_method.attached", row.body)
    return row.body


def detach_payment_method(call: Call) -> Json:
    """POST /v1/payment_methods/:id/detach"""
    row = call.engine.need("payment_method", call.ids[0])
    previous = call.engine.change(row, customer=None)
    call.emit("payment_method.detached", row.body, previous)
    return row.body


# --- webhook endpoints and events -------------------------------------------------------------------------------------


def create_webhook_endpoint(call: Call) -> Json:
    """POST /v1/webhook_endpoints: the only answer that shows the secret."""
    params = call.params
    for name in params:
        if name not in ("url", "enabled_events", "description", "metadata", "expand"):
            raise not_built(name)
    body = shapes.webhook_endpoint(
        new_id("webhook_endpoint"),
        created=call.store.now(),
        url=params["url"],
        enabled_events=params["enabled_events"],
        description=params.get("description"),
        metadata=merge_metadata({}, params.get("metadata")),
    )
    secret = new_id("secret")
    call.engine.keep(body, secret=secret)
    return {**body, "secret": secret}


def update_webhook_endpoint(call: Call) -> Json:
    """POST /v1/webhook_endpoints/:id"""
    row = call.engine.need("webhook_endpoint", call.ids[0])
    values = {k: v for k, v in call.params.items() if k in ("url", "enabled_events", "description")}
    if "disabled" in call.params:
        values["status"] = "disabled" if call.params["disabled"] else "enabled"
    if "metadata" in call.params:
        values["metadata"] = merge_metadata(row.body["metadata"], call.params["metadata"])
    call.engine.change(row, **values)
    return row.body


def retrieve_webhook_endpoint(call: Call) -> Json:
    """GET /v1/webhook_endpoints/:id"""
    return call.engine.need("webhook_endpoint", call.ids[0]).body


def delete_webhook_endpoint(call: Call) -> Json:
    """DELETE /v1/webhook_endpoints/:id"""
    row = call.engine.need("webhook_endpoint", call.ids[0])
    call.store.remove(row)
    return {"id": row.id, "object": "webhook_endpoint", "deleted": True}


def list_webhook_endpoints(call: Call) -> Json:
    """GET /v1/webhook_endpoints"""
    return list_rows(call, "webhook_endpoint", url="/v1/webhook_endpoints")


def retrieve_event(call: Call) -> Json:
    """GET /v1/events/:id"""
    row = call.engine.need("event", call.ids[0])
    return {**row.body, "pending_webhooks": call.engine.pending_webhooks(row.id)}


def list_events(call: Call) -> Json:
    """GET /v1/events"""
    params = call.params
    rows = list(call.store.every("event"))
    if "types" in params:
        rows = [r for r in rows if r.body["type"] in params["types"]]
    if "delivery_success" in params:
        rows = [r for r in rows if (call.engine.pending_webhooks(r.id) == 0) == params["delivery_success"]]
    page = list_rows(call, "event", filters=("type",), url="/v1/events", rows=rows)
    page["data"] = [
        {**body, "pending_webhooks": call.engine.pending_webhooks(body["id"])} for body in page["data"]
    ]
    return page
