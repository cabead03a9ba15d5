"""Refunds, with Stripe's limit: never more than what was taken and is not yet given back."""

from __future__ import annotations

from . import disputes, shapes
from .engine import Call, Engine, list_rows, merge_metadata, money
from .errors import Json, StripeFault, bad_param, missing_param, not_built
from .ids import new_id
from .payments import manner_of
from .store import Row

_REASONS = ("duplicate", "fraudulent", "requested_by_customer")
_KNOWN = {"payment_intent", "charge", "amount", "reason", "metadata", "expand"}


def create_refund(call: Call) -> Json:
    """POST /v1/refunds"""
    params = call.params
    for name in params:
        if name not in _KNOWN:
            raise not_built(name)
    charge = _charge_of(call)
    amount = _amount_of(call, charge)
    reason = params.get("reason") or None
    if reason is not None and reason not in _REASONS:
        raise bad_param(
            f"Invalid reason: must be one of {', '.join(_REASONS[:-1])}, or {_REASONS[-1]}", param="reason"
        )
    metadata = merge_metadata({}, params.get("metadata"))
    return _give_back(call, charge, amount, reason, metadata).body


def _charge_of(call: Call) -> Row:
    params = call.params
    if params.get("charge"):
        return call.engine.need("charge", params["charge"], param="charge", status=400)
    if not params.get("payment_intent"):
        raise missing_param("payment_intent")
    intent = call.engine.need("payment_intent", params["payment_intent"], param="payment_intent", status=400)
    charge = call.store.find("charge", intent.body["latest_charge"] or "")
    if charge is None or charge.body["status"] != "succeeded":
        raise StripeFault(
            f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.",
            param="payment_intent",
            code="payment_intent_unexpected_state" if intent.body["status"] != "succeeded" else None,
        )
    return charge


def _amount_of(call: Call, charge: Row) -> int:
    body, params = charge.body, call.params
    left: int = body["amount"] - body["amount_refunded"]
    if body["status"] != "succeeded":
        raise StripeFault(f"Charge {charge.id} was not successful and cannot be refunded.", param="charge")
    if left == 0:
        raise StripeFault(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    if disputes.is_taken(call.engine, charge.id):
        raise StripeFault(
            f"Charge {charge.id} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    amount: int = params.get("amount", left)
    if amount < 1:
        raise bad_param(
            "This value must be greater than or equal to 1.", param="amount", code="parameter_invalid_integer"
        )
    if amount > left:
        asked, most = money(amount, body["currency"]), money(left, body["currency"])
        whole = "charge amount" if left == body["amount"] else "unrefunded amount on charge"
        raise StripeFault(f"Refund amount ({asked}) is greater than {whole} ({most})", param="amount")
    return amount


def _give_back(call: Call, charge: Row, amount: int, reason: str | None, metadata: Json) -> Row:
    engine = call.engine
    body = shapes.refund(
        new_id("refund"),
        created=engine.store.now(),
        amount=amount,
        charge=charge.body,
        reason=reason,
        metadata=metadata,
    )
    manner = manner_of(engine.need("payment_method", charge.body["payment_method"]))
    refund = engine.keep(body)
    if manner.refund == "waits":
        body["status"] = "pending"
    _move_balance(engine, refund, -amount, "refund", "balance_transaction")
    _count_back(engine, charge)
    call.emit("refund.created", refund.body)
    call.emit("charge.refunded", charge.body)
    if manner.refund != "succeeds":
        engine.later(engine.options.slow_seconds, "end_refund", refund=refund.id, ok=manner.refund == "waits")
    return refund


def _move_balance(engine: Engine, refund: Row, amount: int, kind: str, field: str) -> None:
    txn = shapes.balance_transaction(
        new_id("balance_transaction"),
        created=engine.store.now(),
        amount=amount,
        fee=0,
        kind=kind,
        source=refund.body,
    )
    engine.keep(txn)
    engine.change(refund, **{field: txn["id"]})


def _count_back(engine: Engine, charge: Row) -> None:
    """amount_refunded is the sum of what really went back (or is on its way)."""
    body = charge.body
    released = body["amount"] - body["amount_captured"] if body["captured"] else 0
    returned = sum(r.body["amount"] for r in refunds_of(engine, charge.id) if r.body["status"] not in _GONE)
    engine.change(charge, amount_refunded=released + returned, refunded=released + returned >= body["amount"])


_GONE = ("failed", "canceled")


def refunds_of(engine: Engine, charge_id: str) -> list[Row]:
    """The refunds of one charge, newest first."""
    return [r for r in engine.store.every("refund") if r.body["charge"] == charge_id]


def end_refund(engine: Engine, refund_id: str, *, ok: bool) -> None:
    """A refund that waited goes through, or one that was accepted comes back from the bank."""
    refund = engine.need("refund", refund_id)
    if refund.body["status"] in _GONE:
        return
    if ok:
        previous = engine.change(refund, status="succeeded")
    else:
        previous = engine.change(refund, status="failed", failure_reason="expired_or_canceled_card")
        _move_balance(engine, refund, refund.body["amount"], "refund_failure", "failure_balance_transaction")
        _count_back(engine, engine.need("charge", refund.body["charge"]))
        engine.emit("refund.failed", refund.body)
    engine.emit("refund.updated", refund.body, previous=previous)
    engine.emit("charge.refund.updated", refund.body, previous=previous)


def retrieve_refund(call: Call) -> Json:
    """GET /v1/refunds/:id"""
    return call.engine.need("refund", call.ids[0]).body


def update_refund(call: Call) -> Json:
    """POST /v1/refunds/:id: only the metadata."""
    refund = call.engine.need("refund", call.ids[0])
    previous = call.engine.change(
        refund, metadata=merge_metadata(refund.body["metadata"], call.params.get("metadata"))
    )
    call.emit("refund.updated", refund.body, previous)
    call.emit("charge.refund.updated", refund.body, previous)
    return refund.body


def list_refunds(call: Call) -> Json:
    """GET /v1/refunds"""
    return list_rows(call, "refund", filters=("charge", "payment_intent"), url="/v1/refunds")


def list_refunds_of_charge(call: Call) -> Json:
    """GET /v1/charges/:id/refunds"""
    charge = call.engine.need("charge", call.ids[0])
    return list_rows(call, "refund", url=call.path, rows=refunds_of(call.engine, charge.id))
