"""The only door to Stripe, and the only importer of `stripe`.

Plain values go in, frozen values come out; no model is known here. Money is in minor units with a lower-case ISO
currency, times are aware datetimes in UTC. Every call is short (5 s to connect, 15 s to answer) and repeated twice by
the library; each call that moves money or opens a page carries the idempotency key its caller stored first, so a call
that acted and then timed out is simply made again.

Raises `GatewayUnavailable` when the same call may succeed later (network, 5xx, 429, another call with this key under
way), `GatewayRefused` when it will not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import stripe
from django.conf import settings
from django.utils.translation import gettext as _

CONNECT_SECONDS = 5
READ_SECONDS = 15
RETRIES = 2
SIGNATURE_AGE = 300  # seconds a signature stays good: Stripe's own advice

RefundReason = Literal["duplicate", "fraudulent", "requested_by_customer"]


class GatewayError(Exception):
    """Stripe did not do what was asked. `sentence` may be shown; `detail` is Stripe's own, for staff and logs."""

    def __init__(self, sentence: str, *, detail: str = "") -> None:
        super().__init__(detail or sentence)
        self.sentence = sentence
        self.detail = detail


class GatewayUnavailable(GatewayError):
    """No answer, or "later": whether Stripe acted is unknown; make the same call again with the same key."""


class GatewayRefused(GatewayError):
    """A final no. `code` is Stripe's error code, or one of ours: `not_configured`, `wrong_mode`, `wrong_key`,
    `refund_too_large`, `refused`."""

    def __init__(self, code: str, sentence: str, *, detail: str = "") -> None:
        super().__init__(sentence, detail=detail)
        self.code = code


class BadSignature(Exception):
    """A webhook that Stripe did not sign with our secret in the last five minutes: answer 400, store nothing."""


class WrongMode(BadSignature):
    """A well-signed event of the test mode in a live installation, or the other way round."""


@dataclass(frozen=True)
class CheckoutSession:
    """A hosted payment page and what became of it."""

    id: str
    url: str  # empty once it is not open any more
    status: str  # open, complete, expired
    payment_status: str  # unpaid, paid, no_payment_required
    amount: int
    currency: str
    payment_intent: str  # empty before the first attempt to pay
    intent_status: str  # the PaymentIntent's own status; empty where it was not fetched
    public_id: str  # the booking it pays for
    email: str
    metadata: Mapping[str, str]
    created_at: datetime
    expires_at: datetime

    @property
    def is_paid(self) -> bool:
        """The money is ours."""
        return self.payment_status == "paid"

    @property
    def is_processing(self) -> bool:
        """The client has done their part and the bank is still thinking: neither expire nor call it paid."""
        if self.is_paid or self.status == "expired":
            return False
        return self.intent_status == "processing" or (self.status == "complete" and not self.has_failed)

    @property
    def has_failed(self) -> bool:
        """The page was completed but the bank said no afterwards; it cannot be paid any more."""
        return (
            self.status == "complete"
            and self.payment_status == "unpaid"
            and self.intent_status in ("requires_payment_method", "canceled")
        )


@dataclass(frozen=True)
class Refund:
    """Money on its way back. Only `succeeded` and `pending` count as given back."""

    id: str
    status: str  # pending, requires_action, succeeded, failed, canceled
    amount: int
    currency: str
    payment_intent: str
    reason: str
    failure_reason: str
    metadata: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True)
class Dispute:
    """A payment whose client asked their bank for the money back."""

    id: str
    status: str  # needs_response, under_review, won, lost; for an inquiry warning_needs_response, …, warning_closed
    amount: int
    currency: str
    payment_intent: str
    reason: str
    answer_by: datetime | None
    created_at: datetime

    @property
    def is_inquiry(self) -> bool:
        """The bank only asks; it has not taken the money."""
        return self.status.startswith("warning_")

    @property
    def needs_answer(self) -> bool:
        """Stripe waits for the studio."""
        return self.status in ("needs_response", "warning_needs_response")


@dataclass(frozen=True)
class Payment:
    """What Stripe's own list says came in for one PaymentIntent."""

    id: str
    status: str
    amount_received: int
    currency: str
    metadata: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True)
class WebhookBell:
    """That something happened to an object. Only a bell: fetch the object to learn what is true."""

    event_id: str
    type: str
    object_id: str
    livemode: bool
    created_at: datetime


# --- the payment page -------------------------------------------------------------------------------------------------


def create_checkout(
    *,
    public_id: str,
    amount: int,
    currency: str,
    description: str,
    email: str,
    success_url: str,
    cancel_url: str,
    expires_at: datetime,
    idempotency_key: str,
    metadata: Mapping[str, str],
) -> CheckoutSession:
    """Open a payment page for one booking.

    `expires_at` must lie 30 min to 24 h ahead (Stripe's rule). Stripe compares the parameters of a repeated key, so a
    repeated call must carry the stored values of the first one, `expires_at` included. `{CHECKOUT_SESSION_ID}` in
    `success_url` is filled in by Stripe.
    """
    tags = {**metadata, "booking": public_id}
    with _speaking() as client:
        session = client.v1.checkout.sessions.create(
            params={
                "mode": "payment",
                "client_reference_id": public_id,
                "customer_email": email,
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {
                            "currency": currency.lower(),
                            "unit_amount": amount,
                            "product_data": {"name": description},
                        },
                    }
                ],
                "payment_intent_data": {"description": description, "metadata": tags},
                "metadata": tags,
                "submit_type": "book",
                # The price was quoted in the studio's currency; what we check later must be what was shown.
                "adaptive_pricing": {"enabled": False},
                "expires_at": int(expires_at.timestamp()),
                "success_url": success_url,
                "cancel_url": cancel_url,
            },
            options={"idempotency_key": idempotency_key},
        )
        return _session(session)


def fetch_checkout(session_id: str) -> CheckoutSession:
    """The session as it is now, with the status of its PaymentIntent."""
    with _speaking() as client:
        return _session(
            client.v1.checkout.sessions.retrieve(session_id, params={"expand": ["payment_intent"]})
        )


def expire_checkout(session_id: str) -> CheckoutSession:
    """Close the payment page. A page that was paid or closed meanwhile is returned as it is, not an error:
    the caller looks at `status`."""
    with _speaking() as client:
        try:
            return _session(client.v1.checkout.sessions.expire(session_id))
        except stripe.InvalidRequestError:
            now = fetch_checkout(session_id)
            if now.status == "open":
                raise
            return now


def list_checkouts(created_after: datetime) -> list[CheckoutSession]:
    """Every session made at or after an instant, newest first, whatever became of it: for the reconcile sweep."""
    with _speaking() as client:
        page = client.v1.checkout.sessions.list(
            params={
                "created": {"gte": int(created_after.timestamp())},
                "limit": 100,
                "expand": ["data.payment_intent"],
            }
        )
        return [_session(session) for session in page.auto_paging_iter()]


# --- money back, and what came in -------------------------------------------------------------------------------------


def refund(
    *,
    payment_intent: str,
    amount: int,
    idempotency_key: str,
    reason: RefundReason | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Refund:
    """Give back a part or all of a payment. Refused with `refund_too_large` or `charge_already_refunded` when more
    would go back than came in."""
    with _speaking() as client:
        params: stripe.params.RefundCreateParams = {
            "payment_intent": payment_intent,
            "amount": amount,
            "metadata": dict(metadata or {}),
        }
        if reason is not None:
            params["reason"] = reason
        return _refund(client.v1.refunds.create(params=params, options={"idempotency_key": idempotency_key}))


def fetch_refund(refund_id: str) -> Refund:
    """The refund as it is now: one that succeeded may still come back from the bank as failed."""
    with _speaking() as client:
        return _refund(client.v1.refunds.retrieve(refund_id))


def list_refunds(*, payment_intent: str | None = None, created_after: datetime | None = None) -> list[Refund]:
    """Refunds of one payment, or all since an instant; newest first."""
    params: stripe.params.RefundListParams = {"limit": 100}
    if payment_intent is not None:
        params["payment_intent"] = payment_intent
    if created_after is not None:
        params["created"] = {"gte": int(created_after.timestamp())}
    with _speaking() as client:
        return [_refund(found) for found in client.v1.refunds.list(params=params).auto_paging_iter()]


def fetch_dispute(dispute_id: str) -> Dispute:
    """The dispute as it is now."""
    with _speaking() as client:
        return _dispute(client.v1.disputes.retrieve(dispute_id, params={"expand": ["charge"]}))


def list_disputes(*, created_after: datetime) -> list[Dispute]:
    """Every dispute since an instant, newest first, whatever became of it."""
    with _speaking() as client:
        page = client.v1.disputes.list(
            params={
                "created": {"gte": int(created_after.timestamp())},
                "limit": 100,
                "expand": ["data.charge"],
            }
        )
        return [_dispute(found) for found in page.auto_paging_iter()]


def list_payments(created_after: datetime) -> list[Payment]:
    """Stripe's own list of PaymentIntents since an instant, newest first: what our ledger must equal."""
    with _speaking() as client:
        page = client.v1.payment_intents.list(
            params={"created": {"gte": int(created_after.timestamp())}, "limit": 100}
        )
        return [_payment(found) for found in page.auto_paging_iter()]


# --- the bell ---------------------------------------------------------------------------------------------------------


def parse_webhook(payload: bytes, signature: str) -> WebhookBell:
    """Check the signature of a webhook and say what it rings for. Raises `BadSignature`, storing nothing."""
    try:
        stripe.WebhookSignature.verify_header(
            payload, signature, settings.STRIPE_WEBHOOK_SECRET, SIGNATURE_AGE
        )
        event: dict[str, Any] = json.loads(payload)
        bell = WebhookBell(
            event_id=str(event["id"]),
            type=str(event["type"]),
            object_id=str(event["data"]["object"].get("id", "")),
            livemode=bool(event["livemode"]),
            created_at=_instant(event["created"]),
        )
    except stripe.SignatureVerificationError as problem:
        raise BadSignature(str(problem)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadSignature(f"not an event: {type(problem).__name__}") from None
    if bell.livemode != settings.STRIPE_LIVE:
        raise WrongMode("the event is of the other mode")
    return bell


# --- inside -----------------------------------------------------------------------------------------------------------


@contextmanager
def _speaking() -> Iterator[stripe.StripeClient]:
    """A client, with the library's errors turned into ours."""
    if not settings.STRIPE_SECRET_KEY:
        raise GatewayRefused("not_configured", _("Online payment is not set up."))
    try:
        yield _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)
    except stripe.StripeError as problem:
        raise _translated(problem) from problem


@lru_cache(maxsize=4)
def _client(key: str, base: str) -> stripe.StripeClient:
    """One client per key and address: it keeps its connections, one set per thread."""
    return stripe.StripeClient(
        key,
        http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
        max_network_retries=RETRIES,
        base_addresses={"api": base.rstrip("/")} if base else {},
    )


def _translated(problem: stripe.StripeError) -> GatewayError:
    detail = (
        f"{type(problem).__name__} {problem.http_status or ''} {problem.request_id or ''}: {problem}".strip()
    )
    # APIError is a 5xx, a 409, or an answer that is no answer: cut in half, or a proxy's own page.
    if isinstance(problem, stripe.APIConnectionError | stripe.RateLimitError | stripe.APIError):
        return GatewayUnavailable(
            _("The payment service does not answer just now. Nothing is lost; please try again in a minute."),
            detail=detail,
        )
    code = _code(problem)
    return GatewayRefused(code, _sentence(code), detail=detail)


def _code(problem: stripe.StripeError) -> str:
    if isinstance(problem, stripe.AuthenticationError | stripe.PermissionError):
        return "wrong_key"
    if isinstance(problem, stripe.IdempotencyError):
        return "idempotency_key_reused"
    if problem.code:
        return str(problem.code)
    # Stripe gives an over-refund no code of its own, only its parameter and this sentence.
    if getattr(problem, "param", None) == "amount" and str(problem.user_message).startswith("Refund amount"):
        return "refund_too_large"
    return "refused"


def _sentence(code: str) -> str:
    sentences = {
        "refund_too_large": _("More cannot be given back than was paid."),
        "charge_already_refunded": _("This payment has already been given back in full."),
        "charge_disputed": _(
            "The client's bank has taken this payment; nothing can be given back meanwhile."
        ),
        "amount_too_small": _("The amount is too small to be paid online."),
        "amount_too_large": _("The amount is too large to be paid online in one payment."),
        "email_invalid": _("The e-mail address is not accepted by the payment service."),
        "resource_missing": _("The payment service does not know this payment."),
        "wrong_key": _("The payment service does not accept the studio's key."),
        "wrong_mode": _("This payment is of the payment service's other mode (test or live)."),
    }
    return sentences.get(code) or _("The payment service refused the request.")


def _session(found: stripe.checkout.Session) -> CheckoutSession:
    _same_mode(found.livemode)
    intent = found.payment_intent
    return CheckoutSession(
        id=found.id,
        url=found.url or "",
        status=found.status or "open",
        payment_status=found.payment_status,
        amount=found.amount_total or 0,
        currency=found.currency or "",
        payment_intent=_id_of(intent),
        intent_status=intent.status if isinstance(intent, stripe.PaymentIntent) else "",
        public_id=found.client_reference_id or "",
        email=(found.customer_details.email if found.customer_details else found.customer_email) or "",
        metadata=_plain(found.metadata),
        created_at=_instant(found.created),
        expires_at=_instant(found.expires_at),
    )


def _refund(found: stripe.Refund) -> Refund:
    return Refund(
        id=found.id,
        status=found.status or "pending",
        amount=found.amount,
        currency=found.currency,
        payment_intent=_id_of(found.payment_intent),
        reason=found.reason or "",
        failure_reason=getattr(found, "failure_reason", None) or "",
        metadata=_plain(found.metadata),
        created_at=_instant(found.created),
    )


def _dispute(found: stripe.Dispute) -> Dispute:
    _same_mode(found.livemode)
    intent = found.payment_intent or getattr(found.charge, "payment_intent", None)
    due_by = found.evidence_details.due_by
    return Dispute(
        id=found.id,
        status=found.status,
        amount=found.amount,
        currency=found.currency,
        payment_intent=_id_of(intent),
        reason=found.reason,
        answer_by=_instant(due_by) if due_by else None,
        created_at=_instant(found.created),
    )


def _payment(found: stripe.PaymentIntent) -> Payment:
    _same_mode(found.livemode)
    return Payment(
        id=found.id,
        status=found.status,
        amount_received=found.amount_received,
        currency=found.currency,
        metadata=_plain(found.metadata),
        created_at=_instant(found.created),
    )


def _same_mode(livemode: bool) -> None:
    if livemode != settings.STRIPE_LIVE:
        raise GatewayRefused("wrong_mode", _sentence("wrong_mode"))


def _id_of(reference: Any) -> str:
    """The id of a field that holds an id, an expanded object or nothing."""
    return str(getattr(reference, "id", reference) or "")


def _plain(metadata: stripe.StripeObject | None) -> Mapping[str, str]:
    return {name: str(value) for name, value in metadata.to_dict().items()} if metadata is not None else {}


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
