"""The private endpoints under /_test: how a test makes the server misbehave and looks behind it.

Only from this machine, only with the header `X-Test-Control: 1`, which a foreign web page cannot send.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import disputes, page, timers
from .courier import Courier
from .engine import Engine, WebhookManners
from .errors import Json, StripeFault
from .faults import Fault, FaultPlan

LOG_LENGTH = 2000


@dataclass
class Backstage:
    """Everything a private endpoint may touch."""

    engine: Engine
    courier: Courier
    faults: FaultPlan
    log: list[Json] = field(default_factory=list)

    def note(self, **entry: Any) -> None:
        """Remember a request to the API."""
        self.log.append(entry)
        del self.log[:-LOG_LENGTH]


def answer(stage: Backstage, path: str, given: Json) -> Json:
    """Answer one private request. Raises KeyError for an unknown path, ValueError or TypeError for bad arguments."""
    return _PATHS[path](stage, **given)


def _fault(stage: Backstage, **given: Any) -> Json:
    stage.faults.add(Fault(**given))
    return {}


def _behave(stage: Backstage) -> Json:
    stage.faults.clear()
    stage.engine.manners = WebhookManners()
    return {}


def _webhooks(stage: Backstage, types: list[str] | None = None, **given: Any) -> Json:
    stage.engine.manners = WebhookManners(types=frozenset(types or ()), **given)
    return {}


def _release(stage: Backstage, order: list[str] | None = None, parallel: bool = False) -> Json:
    return {"sent": stage.courier.release(order, parallel=parallel)}


def _send(stage: Backstage, event: str, copies: int = 1, parallel: bool = False) -> Json:
    return {"statuses": stage.courier.send_again(event, copies=copies, parallel=parallel)}


def _events(stage: Backstage, type: str | None = None) -> Json:
    with stage.engine.store.lock:
        rows = stage.engine.store.oldest_first("event")
        return {"events": [row.body for row in rows if type in (None, row.body["type"])]}


def _deliveries(stage: Backstage) -> Json:
    with stage.engine.store.lock:
        return {"deliveries": [{"id": r.id, **r.body} for r in stage.engine.store.oldest_first("_delivery")]}


def _requests(stage: Backstage) -> Json:
    return {"requests": list(stage.log)}


def _pay(stage: Backstage, session: str, choice: str = "success", email: str = "") -> Json:
    """The same as pressing a button of the page, with an e-mail address made up when there is none."""
    engine = stage.engine
    with engine.store.lock:
        row = engine.need("checkout.session", session)
        try:
            goes_to = page.submit(
                engine, row, choice, email or row.body["customer_email"] or "client@example.com"
            )
            return {"goes_to": goes_to, "problem": None}
        except StripeFault as fault:
            return {"goes_to": None, "problem": fault.error}
        finally:
            engine.store.commit()


def _dispute(
    stage: Backstage,
    payment_intent: str,
    reason: str = "fraudulent",
    amount: int | None = None,
    is_inquiry: bool = False,
) -> Json:
    with stage.engine.store.lock:
        row = disputes.open_dispute(
            stage.engine, payment_intent, reason=reason, amount=amount, is_inquiry=is_inquiry
        )
        stage.engine.store.commit()
        return {"id": row.id}


def _dispute_becomes(stage: Backstage, dispute: str, status: str) -> Json:
    with stage.engine.store.lock:
        disputes.become(stage.engine, dispute, status)
        stage.engine.store.commit()
        return {}


def _advance(stage: Backstage, seconds: float) -> Json:
    with stage.engine.store.lock:
        stage.engine.store.advance(seconds)
        timers.do_due(stage.engine)  # seen by the very next request
        stage.engine.store.commit()
        return {"now": stage.engine.store.now()}


def _reset(stage: Backstage) -> Json:
    _behave(stage)
    stage.log.clear()
    stage.engine.store.clear()
    return {}


_PATHS: dict[str, Callable[..., Json]] = {
    "/_test/fault": _fault,
    "/_test/behave": _behave,
    "/_test/webhooks": _webhooks,
    "/_test/release": _release,
    "/_test/send": _send,
    "/_test/events": _events,
    "/_test/deliveries": _deliveries,
    "/_test/requests": _requests,
    "/_test/pay": _pay,
    "/_test/dispute": _dispute,
    "/_test/dispute_becomes": _dispute_becomes,
    "/_test/advance": _advance,
    "/_test/reset": _reset,
}
