"""Bells of the bookings. The rows say what is to be done; each task looks for itself."""

import logging
from collections.abc import Callable

from django.utils import timezone

from bookings import (
    another_time,
    asking,
    balances,
    calendar_feeds,
    call_sheets,
    checkout,
    disputes,
    holds,
    invoices,
    lifecycle,
    payments,
    vouchers,
    waiting,
    webhooks,
)
from bookings.models import Booking, PaymentMethod, Refund
from bookings.statuses import RefundStatus
from studio.background import only_one, quick_task, ring
from studio.models import Heartbeat, WebhookEvent

log = logging.getLogger(__name__)


@quick_task
def handle_webhooks() -> None:
    """Handle one event, ring again if more wait."""
    if webhooks.handle_next(now=timezone.now()):
        ring(handle_webhooks)


@quick_task
def send_refunds() -> None:
    """Send one refund, ring again if more wait."""
    if payments.send_next_refund(now=timezone.now()):
        ring(send_refunds)


@quick_task
def issue_invoices() -> None:
    """Issue the papers of one booking, ring again if more wait."""
    if invoices.issue_next(now=timezone.now()):
        ring(issue_invoices)


@quick_task
def close_pages() -> None:
    """Close the payment pages of bookings that are over."""
    checkout.close_pages(now=timezone.now())


@quick_task
def offer_times() -> None:
    """A time may have become free: settle the waiting list's offers and make the next."""
    with only_one("bookings.waiting") as mine:
        if mine:
            waiting.sweep(now=timezone.now())


@quick_task
def fetch_calendars() -> None:
    """Read one calendar that is due, ring again if more may wait. Beat rings it each minute as well.

    One at a time, whoever rings: slow ones never hold more than one of the workers that send mail and take payments.
    """
    with only_one("bookings.calendars") as mine:
        is_more = mine and calendar_feeds.fetch_next(now=timezone.now())
    if is_more:
        ring(fetch_calendars)


STEPS: tuple[Callable[..., object], ...] = (
    holds.expire_due,
    lifecycle.lapse_requests,
    lifecycle.complete_overdue,
    asking.lapse_due,
    checkout.close_pages,
    call_sheets.send_due,
    balances.ask_for_balances,
    another_time.tell_studio,
    vouchers.lapse_unpaid,
)


@quick_task
def sweep() -> None:
    """Each minute: lapsed holds and requests, payment pages, shoots nobody completed, and whatever was not rung for."""
    now = timezone.now()
    with only_one("bookings.sweep") as mine:
        if not mine:
            return
        is_whole = True
        for step in STEPS:  # what cannot be done holds up nothing else, and is tried again in a minute
            try:
                step(now=now)
            except Exception:
                is_whole = False
                log.exception("The minute's sweep could not do %s.%s", step.__module__, step.__qualname__)
        if waiting.is_awaited():
            ring(offer_times)
        if Booking.objects.filter(invoice_due_at__lte=now).exists():
            ring(issue_invoices)
        if WebhookEvent.objects.filter(handled_at=None, next_try_at__lte=now).exists():
            ring(handle_webhooks)
        due = Refund.objects.filter(
            status=RefundStatus.DUE, next_try_at__lte=now, payment__method=PaymentMethod.STRIPE
        )
        if due.exists():
            ring(send_refunds)
        if is_whole:  # else the missing beat is what tells the studio
            Heartbeat.objects.update_or_create(name="bookings.sweep", defaults={"beat_at": now})


@quick_task
def reconcile() -> None:
    """Every five minutes: ask Stripe about money no event told us of."""
    now = timezone.now()
    with only_one("bookings.reconcile") as mine:
        if mine:
            payments.reconcile(now=now)
            disputes.look_again(now=now)
            Heartbeat.objects.update_or_create(name="bookings.reconcile", defaults={"beat_at": now})
