"""Disputes: a client asks their bank for the money back, the shop answers, the bank decides.

Nobody opens one by the API: a test does, by the private endpoints, which play the client's bank.
"""

from __future__ import annotations

from . import shapes
from .engine import Call, Engine, list_rows
from .errors import Json, StripeFault, bad_param
from .ids import new_id
from .store import Row

FEE = 1500  # what Stripe asks for a dispute, whatever becomes of it
STATUSES = (
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "won",
    "lost",
)
_ENDED = ("warning_closed", "won", "lost")
_TAKEN = ("needs_response", "under_review", "lost")  # the money is with the bank


def open_dispute(
    engine: Engine, intent_id: str, *, reason: str, amount: int | None = None, is_inquiry: bool = False
) -> Row:
    """The client's bank asks (an inquiry) or takes the money at once. Raises `StripeFault` for what was not paid."""
    intent = engine.need("payment_intent", intent_id)
    charge = engine.store.find("charge", intent.body["latest_charge"] or "")
    if charge is None or charge.body["status"] != "succeeded":
        raise StripeFault(f"PaymentIntent {intent_id} was not paid.", param="payment_intent")
    dispute = engine.keep(
        shapes.dispute(
            new_id("dispute"),
            created=engine.store.now(),
            amount=amount or charge.body["amount"] - charge.body["amount_refunded"],
            charge=charge.body,
            reason=reason,
            is_inquiry=is_inquiry,
        )
    )
    engine.change(charge, disputed=True)
    engine.emit("charge.dispute.created", dispute.body)
    if not is_inquiry:
        _move(engine, dispute, -dispute.body["amount"], fee=FEE)
        engine.emit("charge.dispute.funds_withdrawn", dispute.body)
    return dispute


def become(engine: Engine, dispute_id: str, status: str) -> Row:
    """The dispute goes on, or ends. Raises `StripeFault` when it has ended, or for a word Stripe does not know."""
    dispute = engine.need("dispute", dispute_id)
    before = dispute.body["status"]
    if status not in STATUSES:
        raise bad_param(f"Invalid status: must be one of {', '.join(STATUSES)}", param="status")
    if before in _ENDED and (before, status) != ("lost", "won"):  # an appeal, or the bank saw its mistake
        raise StripeFault(f"This dispute is already closed ({before}).")
    details = dispute.body["evidence_details"]
    is_answered = status.endswith("under_review")
    previous = engine.change(
        dispute,
        status=status,
        is_charge_refundable=status not in _TAKEN,
        evidence_details={
            **details,
            "has_evidence": details["has_evidence"] or is_answered,
            "submission_count": details["submission_count"] + is_answered,
        },
    )
    if status in _TAKEN and before not in _TAKEN:
        _move(engine, dispute, -dispute.body["amount"], fee=FEE)
        engine.emit("charge.dispute.funds_withdrawn", dispute.body)
    if status == "won" and before in _TAKEN:
        still_gone = -sum(moved["amount"] for moved in dispute.body["balance_transactions"])
        _move(engine, dispute, still_gone, fee=0)
        engine.emit("charge.dispute.funds_reinstated", dispute.body)
    if status == "lost" and (twice := _given_back_before(engine, dispute)):
        _move(engine, dispute, twice, fee=0)  # "partially won" in the dashboard; the status stays "lost"
        engine.emit("charge.dispute.funds_reinstated", dispute.body)
    engine.emit(
        "charge.dispute.closed" if status in _ENDED else "charge.dispute.updated",
        dispute.body,
        previous=previous,
    )
    return dispute


def _given_back_before(engine: Engine, dispute: Row) -> int:
    """What of a dispute had been refunded before: the shop does not lose it once more."""
    charge = engine.need("charge", dispute.body["charge"]).body
    twice: int = dispute.body["amount"] + charge["amount_refunded"] - charge["amount"]
    return max(0, twice)


def is_taken(engine: Engine, charge_id: str) -> bool:
    """Whether the client's bank has the money of this charge: nothing can be given back then."""
    rows = engine.store.every("dispute")
    return any(row.body["charge"] == charge_id and row.body["status"] in _TAKEN for row in rows)


def _move(engine: Engine, dispute: Row, amount: int, *, fee: int) -> None:
    txn = shapes.balance_transaction(
        new_id("balance_transaction"),
        created=engine.store.now(),
        amount=amount,
        fee=fee,
        kind="adjustment",
        source=dispute.body,
    )
    engine.keep(txn)
    engine.change(dispute, balance_transactions=[*dispute.body["balance_transactions"], txn])


def retrieve_dispute(call: Call) -> Json:
    """GET /v1/disputes/:id"""
    return call.engine.need("dispute", call.ids[0]).body


def list_disputes(call: Call) -> Json:
    """GET /v1/disputes"""
    return list_rows(call, "dispute", filters=("charge", "payment_intent"), url="/v1/disputes")


def close_dispute(call: Call) -> Json:
    """POST /v1/disputes/:id/close: the shop gives in."""
    return become(call.engine, call.ids[0], "lost").body
