"""PaymentIntents, their charges and the balance they move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import shapes
from .engine import Call, Engine, check_amount, check_currency, check_email, list_rows, merge_metadata
from .errors import Json, StripeFault, bad_param, no_such, not_built
from .ids import new_id
from .store import Row, snapshot

# --- payment methods that behave on purpose ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Manner:
    """How a test payment method behaves when it is charged or refunded."""

    kind: str = "pays"  # pays, declines, asks, settles, bounces
    code: str | None = None
    decline_code: str | None = None
    refund: str = "succeeds"  # succeeds, fails, waits
    brand: str = "visa"
    last4: str = "4242"


_DECLINE = Manner("declines", "card_declined", "generic_decline", last4="0002")
CARDS = {  # Stripe's published test names, without the pm_card_ or tok_ in front
    "visa": Manner(),
    "mastercard": Manner(brand="mastercard", last4="4444"),
    "amex": Manner(brand="amex", last4="0005"),
    "bypassPending": Manner(last4="0077"),
    "chargeDeclined": _DECLINE,
    "visa_chargeDeclined": _DECLINE,
    "chargeDeclinedInsufficientFunds": Manner(
        "declines", "card_declined", "insufficient_funds", last4="9995"
    ),
    "chargeDeclinedExpiredCard": Manner("declines", "expired_card", last4="0069"),
    "chargeDeclinedIncorrectCvc": Manner("declines", "incorrect_cvc", last4="0127"),
    "chargeDeclinedProcessingError": Manner("declines", "processing_error", last4="0119"),
    "authenticationRequired": Manner("asks", last4="3184"),
    "refundFail": Manner(refund="fails", last4="5126"),
    "pendingRefund": Manner(refund="waits", last4="7726"),
}
BANKS = {  # Stripe's published test IBANs by what they do
    "settles": Manner("settles"),
    "bounces": Manner("bounces"),
}
_BOUNCING_IBANS = frozenset({"AT861904300235473202", "DE62370400440532013001", "IT60X0542811101000000123456"})
_SENTENCES = {
    "card_declined": "Your card was declined.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
}


def make_card(engine: Engine, name: str, *, billing: Json | None = None) -> Row:
    """A payment method from one of Stripe's test names (`visa`, `chargeDeclined`, …)."""
    manner = CARDS[name]
    body = shapes.payment_method(
        new_id("payment_method"),
        created=engine.store.now(),
        brand=manner.brand,
        last4=manner.last4,
        billing=billing,
    )
    return engine.keep(body, manner=name)


def make_bank(engine: Engine, iban: str, *, billing: Json | None = None) -> Row:
    """A SEPA debit that settles later, or bounces later for the IBANs Stripe names for that."""
    iban = iban.replace(" ", "").upper()
    body = shapes.bank_debit(new_id("payment_method"), created=engine.store.now(), iban=iban, billing=billing)
    return engine.keep(body, manner="bounces" if iban in _BOUNCING_IBANS else "settles")


def find_method(engine: Engine, method_id: str, *, param: str = "payment_method") -> Row:
    """A stored payment method, or a fresh one for a test name such as `pm_card_visa`."""
    name = method_id.removeprefix("pm_card_")
    if method_id.startswith("pm_card_") and name in CARDS:
        return make_card(engine, name)
    row = engine.store.find("payment_method", method_id)
    if row is None:
        raise StripeFault(
            f"No such PaymentMethod: '{method_id}'", status=400, code="resource_missing", param=param
        )
    return row


def manner_of(method: Row) -> Manner:
    """How this payment method behaves."""
    name = method.hidden["manner"]
    return CARDS.get(name) or BANKS[name]


# --- endpoints --------------------------------------------------------------------------------------------------------

_ECHO = (
    "description", "receipt_email", "shipping", "statement_descriptor", "statement_descriptor_suffix",
    "setup_future_usage", "transfer_group", "payment_method_options", "confirmation_method", "capture_method",
)  # fmt: skip
_KNOWN = {
    "expand", "metadata", "amount", "currency", "customer", "payment_method", "payment_method_types", "confirm",
    "allowed_payment_method_types", "automatic_payment_methods", "return_url", "off_session", "use_stripe_sdk",
    "error_on_requires_action", "mandate_data", *_ECHO,
}  # fmt: skip


def create_intent(call: Call) -> Json:
    """POST /v1/payment_intents"""
    params = call.params
    for name in params:
        if name not in _KNOWN:
            raise not_built(name)
    currency = check_currency(params["currency"])
    check_amount(params["amount"], currency)
    if params.get("customer"):
        call.engine.need("customer", params["customer"], param="customer", status=400)
    intent = open_intent(
        call.engine,
        amount=params["amount"],
        currency=currency,
        request=call.request,
        customer=params.get("customer") or None,
        metadata=merge_metadata({}, params.get("metadata")),
        automatic_payment_methods=_automatic(params),
        payment_method_types=method_types(params, ["card", "link"]),
        **{name: params[name] for name in _ECHO if params.get(name) not in (None, "")},
    )
    if params.get("payment_method"):
        method = find_method(call.engine, params["payment_method"])
        call.engine.change(intent, payment_method=method.id, status="requires_confirmation")
    if params.get("confirm"):
        confirm(call.engine, intent, request=call.request)
    return intent.body


def _automatic(params: Json) -> Json | None:
    if "payment_method_types" in params or "allowed_payment_method_types" in params:
        return None
    given = params.get("automatic_payment_methods") or {}
    return {"enabled": given.get("enabled", True), "allow_redirects": given.get("allow_redirects", "always")}


def open_intent(engine: Engine, *, amount: int, currency: str, request: Json, **given: Any) -> Row:
    """A new PaymentIntent and its event."""
    if given.get("receipt_email"):
        check_email(given["receipt_email"], param="receipt_email")
    body = shapes.payment_intent(
        new_id("payment_intent"), created=engine.store.now(), amount=amount, currency=currency, **given
    )
    intent = engine.keep(body)
    engine.emit("payment_intent.created", body, request=request)
    return intent


def retrieve_intent(call: Call) -> Json:
    """GET /v1/payment_intents/:id"""
    return _need(call).body


def list_intents(call: Call) -> Json:
    """GET /v1/payment_intents"""
    return list_rows(call, "payment_intent", filters=("customer",), url="/v1/payment_intents")


def update_intent(call: Call) -> Json:
    """POST /v1/payment_intents/:id: what may change while nothing is being paid."""
    intent = _need(call)
    allowed = {"metadata", "description", "receipt_email", "shipping", "transfer_group", "expand"}
    for name in call.params:
        if name not in allowed:
            raise not_built(name)
    values = {k: v or None for k, v in call.params.items() if k in allowed - {"metadata", "expand"}}
    if "metadata" in call.params:
        values["metadata"] = merge_metadata(intent.body["metadata"], call.params["metadata"])
    call.engine.change(intent, **values)
    return intent.body


def confirm_intent(call: Call) -> Json:
    """POST /v1/payment_intents/:id/confirm"""
    intent = _need(call)
    _expect(intent, "confirm", "requires_payment_method", "requires_confirmation", "requires_action")
    if call.params.get("payment_method"):
        method = find_method(call.engine, call.params["payment_method"])
        call.engine.change(intent, payment_method=method.id)
    confirm(call.engine, intent, request=call.request)
    return intent.body


def capture_intent(call: Call) -> Json:
    """POST /v1/payment_intents/:id/capture: all of it or a part; the rest is given free."""
    intent = _need(call)
    _expect(intent, "captured", "requires_capture")
    most: int = intent.body["amount_capturable"]
    amount: int = call.params.get("amount_to_capture", most)
    if not 1 <= amount <= most:
        raise StripeFault(
            f"The provided amount_to_capture ({amount}) is greater than the amount capturable.",
            param="amount_to_capture",
            code="amount_too_large",
        )
    charge = call.engine.need("charge", intent.body["latest_charge"])
    _capture(call.engine, intent, charge, amount, call.request)
    call.emit("charge.captured", charge.body)
    call.emit("payment_intent.succeeded", intent.body)
    return intent.body


def cancel_intent(call: Call) -> Json:
    """POST /v1/payment_intents/:id/cancel"""
    intent = _need(call)
    cancellable = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")
    _expect(intent, "canceled", *cancellable)
    cancel(call.engine, intent, reason=call.params.get("cancellation_reason"), request=call.request)
    return intent.body


def cancel(engine: Engine, intent: Row, *, reason: str | None, request: Json) -> None:
    """Give up a PaymentIntent; an uncaptured charge is released."""
    if intent.body["status"] == "requires_capture":
        charge = engine.need("charge", intent.body["latest_charge"])
        engine.change(charge, refunded=True, amount_refunded=charge.body["amount"])
    engine.change(
        intent,
        status="canceled",
        amount_capturable=0,
        canceled_at=engine.store.now(),
        cancellation_reason=reason,
        next_action=None,
    )
    engine.emit("payment_intent.canceled", intent.body, request=request)


def retrieve_charge(call: Call) -> Json:
    """GET /v1/charges/:id"""
    return call.engine.need("charge", call.ids[0]).body


def list_charges(call: Call) -> Json:
    """GET /v1/charges"""
    return list_rows(
        call, "charge", filters=("customer", "payment_intent", "transfer_group"), url="/v1/charges"
    )


def update_charge(call: Call) -> Json:
    """POST /v1/charges/:id"""
    charge = call.engine.need("charge", call.ids[0])
    for name in call.params:
        if name not in ("metadata", "description", "receipt_email", "transfer_group", "expand"):
            raise not_built(name)
    values = {k: v or None for k, v in call.params.items() if k not in ("metadata", "expand")}
    if "metadata" in call.params:
        values["metadata"] = merge_metadata(charge.body["metadata"], call.params["metadata"])
    previous = call.engine.change(charge, **values)
    call.emit("charge.updated", charge.body, previous)
    return charge.body


def retrieve_balance_transaction(call: Call) -> Json:
    """GET /v1/balance_transactions/:id"""
    return call.engine.need("balance_transaction", call.ids[0]).body


def list_balance_transactions(call: Call) -> Json:
    """GET /v1/balance_transactions"""
    return list_rows(
        call, "balance_transaction", filters=("type", "source", "currency"), url="/v1/balance_transactions"
    )


def retrieve_balance(call: Call) -> Json:
    """GET /v1/balance: the sum of all movements by currency."""
    sums: dict[str, int] = {}
    for row in call.store.oldest_first("balance_transaction"):
        sums[row.body["currency"]] = sums.get(row.body["currency"], 0) + row.body["net"]
    pending = [
        {"amount": amount, "currency": c, "source_types": {"card": amount}} for c, amount in sums.items()
    ]
    return {"object": "balance", "available": [], "livemode": False, "pending": pending}


# --- taking the money -------------------------------------------------------------------------------------------------


def confirm(engine: Engine, intent: Row, *, request: Json) -> None:
    """Try the payment method. Raises Stripe's card error when the bank says no; the attempt stays recorded."""
    if not intent.body["payment_method"]:
        raise StripeFault(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=snapshot(intent.body),
        )
    method = engine.need("payment_method", intent.body["payment_method"])
    manner = manner_of(method)
    if manner.kind == "declines":
        raise _decline(engine, intent, method, manner, request)
    if manner.kind == "asks":
        _ask(engine, intent, request)
    elif manner.kind in ("settles", "bounces"):
        _process(engine, intent, method, manner, request)
    else:
        _take(engine, intent, method, request)


def _take(engine: Engine, intent: Row, method: Row, request: Json) -> None:
    charge = _new_charge(engine, intent, method)
    engine.change(
        charge,
        status="succeeded",
        paid=True,
        outcome=shapes.outcome(approved=True),
        receipt_url=_receipt(engine, charge),
    )
    engine.change(intent, latest_charge=charge.id, last_payment_error=None, next_action=None)
    if intent.body["capture_method"] == "manual":
        engine.change(intent, status="requires_capture", amount_capturable=intent.body["amount"])
        engine.emit("charge.succeeded", charge.body, request=request)
        engine.emit("payment_intent.amount_capturable_updated", intent.body, request=request)
        return
    _capture(engine, intent, charge, intent.body["amount"], request)
    engine.emit("charge.succeeded", charge.body, request=request)
    engine.emit("payment_intent.succeeded", intent.body, request=request)


def _capture(engine: Engine, intent: Row, charge: Row, amount: int, request: Json) -> None:
    fee = round(amount * 0.029) + 30
    txn = shapes.balance_transaction(
        new_id("balance_transaction"),
        created=engine.store.now(),
        amount=amount,
        fee=fee,
        kind="charge",
        source=charge.body,
    )
    engine.keep(txn)
    released = charge.body["amount"] - amount
    engine.change(
        charge,
        captured=True,
        amount_captured=amount,
        balance_transaction=txn["id"],
        amount_refunded=released,
    )
    engine.change(intent, status="succeeded", amount_received=amount, amount_capturable=0, processing=None)


def _new_charge(engine: Engine, intent: Row, method: Row) -> Row:
    body = shapes.charge(new_id("charge"), created=engine.store.now(), intent=intent.body, method=method.body)
    return engine.keep(body)


def _receipt(engine: Engine, charge: Row) -> str:
    return f"{engine.public_url}/receipts/{charge.id}"


def _decline(engine: Engine, intent: Row, method: Row, manner: Manner, request: Json) -> StripeFault:
    """The attempt is kept as a failed charge; the intent asks for another card."""
    assert manner.code is not None
    charge = _new_charge(engine, intent, method)
    sentence = _SENTENCES[manner.code]
    engine.change(
        charge,
        status="failed",
        failure_code=manner.code,
        failure_message=sentence,
        outcome=shapes.outcome(approved=False, decline_code=manner.decline_code or manner.code),
    )
    problem: Json = {
        "charge": charge.id,
        "code": manner.code,
        "doc_url": f"https://docs.stripe.com/error-codes/{manner.code.replace('_', '-')}",
        "message": sentence,
        "payment_method": snapshot(method.body),
        "type": "card_error",
    }
    if manner.decline_code:
        problem["decline_code"] = manner.decline_code
    engine.change(
        intent,
        status="requires_payment_method",
        last_payment_error=problem,
        latest_charge=charge.id,
        payment_method=None,
    )
    engine.emit("charge.failed", charge.body, request=request)
    engine.emit("payment_intent.payment_failed", intent.body, request=request)
    extra: Json = {
        "charge": charge.id,
        "payment_intent": snapshot(intent.body),
        "payment_method": problem["payment_method"],
    }
    if manner.decline_code:
        extra["decline_code"] = manner.decline_code
    return StripeFault(sentence, status=402, type="card_error", code=manner.code, **extra)


def _ask(engine: Engine, intent: Row, request: Json) -> None:
    engine.change(
        intent,
        status="requires_action",
        next_action={"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}},
    )
    engine.emit("payment_intent.requires_action", intent.body, request=request)


def _process(engine: Engine, intent: Row, method: Row, manner: Manner, request: Json) -> None:
    charge = _new_charge(engine, intent, method)
    engine.change(intent, status="processing", latest_charge=charge.id, last_payment_error=None)
    engine.emit("charge.pending", charge.body, request=request)
    engine.emit("payment_intent.processing", intent.body, request=request)
    engine.later(engine.options.slow_seconds, "settle", intent=intent.id, ok=manner.kind == "settles")


def settle(engine: Engine, intent_id: str, *, ok: bool) -> Row | None:
    """A payment in processing ends, well or badly. None if it is not in processing any more."""
    intent = engine.need("payment_intent", intent_id)
    if intent.body["status"] != "processing":
        return None
    charge = engine.need("charge", intent.body["latest_charge"])
    if ok:
        engine.change(
            charge,
            status="succeeded",
            paid=True,
            outcome=shapes.outcome(approved=True),
            receipt_url=_receipt(engine, charge),
        )
        _capture(engine, intent, charge, intent.body["amount"], {})
        engine.emit("charge.succeeded", charge.body)
        engine.emit("payment_intent.succeeded", intent.body)
        return intent
    sentence = "The customer's bank account could not be debited."
    problem = {
        "charge": charge.id,
        "code": "payment_method_provider_decline",
        "message": sentence,
        "type": "card_error",
    }
    engine.change(charge, status="failed", failure_code="debit_not_authorized", failure_message=sentence)
    engine.change(
        intent,
        status="requires_payment_method",
        last_payment_error=problem,
        payment_method=None,
        processing=None,
    )
    engine.emit("charge.failed", charge.body)
    engine.emit("payment_intent.payment_failed", intent.body)
    return intent


def _need(call: Call) -> Row:
    row = call.store.find("payment_intent", call.ids[0])
    if row is None:
        raise no_such("payment_intent", call.ids[0], param="intent")
    return row


def _expect(intent: Row, verb: str, *statuses: str) -> None:
    if intent.body["status"] in statuses:
        return
    word = {"confirm": "confirmed"}.get(verb, verb)
    raise StripeFault(
        f"This PaymentIntent could not be {word} because it has a status of {intent.body['status']}. Only a "
        f"PaymentIntent with one of the following statuses may be {word}: {', '.join(statuses)}.",
        code="payment_intent_unexpected_state",
        payment_intent=snapshot(intent.body),
    )


def method_types(params: Json, otherwise: list[str]) -> list[str]:
    """The kinds of payment a request allows, by the present or the older parameter."""
    name = "payment_method_types" if "payment_method_types" in params else "allowed_payment_method_types"
    given: list[str] = params.get(name) or otherwise
    for kind in given:
        if kind not in ("card", "link", "sepa_debit"):
            raise bad_param(f"The test server does not play the payment method type {kind}.", param=name)
    return given
