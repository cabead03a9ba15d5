"""What happens by itself when the server's clock has moved on: pages expire, slow payments and refunds end."""

from __future__ import annotations

from . import checkout, refunds
from .engine import Engine


def do_due(engine: Engine) -> int:
    """Do all that is due now; the caller holds the store's lock and commits. Returns how much it was."""
    store = engine.store
    due = [row for row in store.oldest_first("_timer") if row.body["due_at"] <= store.clock()]
    for row in due:
        store.remove(row)
        args = row.body["args"]
        if row.body["action"] == "settle":
            checkout.settle(engine, args["intent"], ok=args["ok"])
        else:
            refunds.end_refund(engine, args["refund"], ok=args["ok"])
    return checkout.expire_due(engine) + len(due)
