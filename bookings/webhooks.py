"""Stripe's events are bells: verified, recorded once, and then the object is fetched again."""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from bookings import disputes, payments
from bookings import stripe_gateway as gateway
from bookings.models import Checkout
from studio.background import ring_on_commit
from studio.models import WebhookEvent

log = logging.getLogger(__name__)
BadSignature = gateway.BadSignature
LEASE = timedelta(minutes=2)
BACKOFF = [timedelta(minutes=m) for m in (1, 2, 5, 15, 60, 240)]
GIVE_UP = 30  # tries, about four days; the reconcile sweep has long found the money by then


def receive(*, payload: bytes, signature: str, now: datetime) -> bool:
    """Verify and record one event; False if it was recorded before. Raises BadSignature, storing nothing."""
    from bookings.tasks import handle_webhooks

    bell = gateway.parse_webhook(payload, signature)
    with transaction.atomic():
        _event, is_new = WebhookEvent.objects.get_or_create(
            event_id=bell.event_id[:255],
            defaults={
                "kind": bell.type[:100],
                "object_id": bell.object_id[:255],
                "created_at": bell.created_at,
                "received_at": now,
                "next_try_at": now,
            },
        )
        ring_on_commit(handle_webhooks)
    return is_new


def handle_next(*, now: datetime) -> bool:
    """Handle one event that waits; False when none does. A failed one waits longer each time and blocks nobody."""
    with transaction.atomic():
        event = (
            WebhookEvent.objects.select_for_update(skip_locked=True)
            .filter(handled_at=None, next_try_at__lte=now, attempts__lt=GIVE_UP)
            .order_by("next_try_at", "pk")
            .first()
        )
        if event is None:
            return False
        event.attempts += 1
        event.next_try_at = now + LEASE
        event.save(update_fields=["attempts", "next_try_at"])
    try:
        _handle(event, now=now)
    except Exception as error:
        log.warning("Event %s (%s) failed: %s", event.event_id, event.kind, error)
        due_at = now + BACKOFF[min(event.attempts, len(BACKOFF)) - 1]
        sentence = f"{type(error).__name__}: {error}"[:300]
        WebhookEvent.objects.filter(pk=event.pk).update(next_try_at=due_at, last_error=sentence)
    else:
        WebhookEvent.objects.filter(pk=event.pk).update(handled_at=now, last_error="")
    return True


def _handle(event: WebhookEvent, *, now: datetime) -> None:
    """Fetch what the bell rang for. Kinds that say nothing about our money are simply done."""
    if event.kind.startswith("checkout.session."):
        checkout = Checkout.objects.filter(session_id=event.object_id).first()
        if checkout is not None:
            payments.settle_checkout(checkout_id=checkout.pk, now=now)
            return
        session = gateway.fetch_checkout(event.object_id)
        checkout = payments.page_row(session, now=now)
        if checkout is not None:
            payments.settle(checkout, session, now=now)
    elif event.kind.startswith("refund.") or event.kind == "charge.refund.updated":
        payments.sync_refund(gateway_id=event.object_id, now=now)
    elif event.kind.startswith("charge.dispute."):
        disputes.sync(gateway_id=event.object_id, now=now)
