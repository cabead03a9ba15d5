"""The ledger: append-only payments and refunds, each allocated in full to its booking.

Nothing here speaks to Stripe. A Refund is only stated; `payments.send_next_refund` carries it out.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, Sum

from bookings.models import Allocation, Booking, Checkout, Payment, PaymentMethod, Refund
from bookings.statuses import ACTIVE_BOOKING, RefundStatus
from studio.actors import Actor
from studio.background import ring_on_commit
from studio.transitions import begin


@dataclass(frozen=True, slots=True)
class Balance:
    """A booking's money in minor units. `refunded` counts what is promised back; `due` is what is still to be paid."""

    price: int
    paid: int
    refunded: int
    due: int

    @property
    def kept(self) -> int:
        """What was paid and not given back."""
        return self.paid - self.refunded


def balance(booking: Booking) -> Balance:
    """What was agreed, paid and given back. Nothing is due for a booking that is over."""
    sums = booking.allocations.aggregate(
        paid=Sum("amount", filter=Q(amount__gt=0)), back=Sum("amount", filter=Q(amount__lt=0))
    )
    paid, refunded = sums["paid"] or 0, -(sums["back"] or 0)
    due = max(0, booking.price - paid + refunded) if booking.status in ACTIVE_BOOKING else 0
    return Balance(booking.price, paid, refunded, due)


def write_payment(
    booking: Booking,
    *,
    method: PaymentMethod,
    amount: int,
    by: Actor,
    now: datetime,
    checkout: Checkout | None = None,
    gateway_id: str | None = None,
    once: str | None = None,
) -> Payment:
    """Write money that came in, allocated to the booking in full. The booking has its Payer by then."""
    assert booking.payer is not None
    payment = Payment.objects.create(
        payer=booking.payer,
        method=method,
        amount=amount,
        currency=booking.currency,
        checkout=checkout,
        gateway_id=gateway_id,
        once=once,
        received_at=now,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
    )
    Allocation.objects.create(booking=booking, payment=payment, amount=amount)
    mark_for_invoice(booking, now=now)
    return payment


def mark_for_invoice(booking: Booking, *, now: datetime) -> None:
    """State, with its cause, that a numbered paper may be due; `invoices.issue_next` looks what is."""
    Booking.objects.filter(pk=booking.pk).update(invoice_due_at=now)


def refund_booking(
    booking: Booking, *, amount: int, reason: str, once: str, by: Actor, now: datetime
) -> list[Refund]:
    """State that `amount` goes back, to the payments it came from, the latest first; a worker sends it.

    Call it with the Booking locked, inside the transaction of its cause. `once` names the cause: the same cause
    cannot pay twice. Raises ValueError when more would go back than was paid.
    """
    from bookings.tasks import send_refunds

    rows: list[Refund] = []
    for payment in Payment.objects.filter(allocations__booking=booking).order_by("-pk"):
        spent = payment.refunds.aggregate(all=Sum("amount"))["all"] or 0
        part = min(amount, payment.amount - spent)
        if part <= 0:
            continue
        amount -= part
        rows.append(
            write_refund(booking, payment, part, reason=reason, once=f"{once}:{payment.pk}", by=by, now=now)
        )
    if amount:
        raise ValueError(f"Booking {booking.pk}: {amount} more than was paid would go back.")
    if rows:
        ring_on_commit(send_refunds)
    return rows


def write_refund(
    booking: Booking,
    payment: Payment,
    amount: int,
    *,
    reason: str,
    once: str,
    by: Actor,
    now: datetime,
    status: RefundStatus = RefundStatus.DUE,
    gateway_id: str | None = None,
) -> Refund:
    """Write money that goes back, allocated to the booking in full."""
    refund = begin(
        Refund(
            payment=payment,
            amount=amount,
            status=status,
            reason=reason[:200],
            once=once,
            gateway_id=gateway_id,
            created_at=now,
            done_at=now if status == RefundStatus.DONE else None,
            next_try_at=now,
            actor_kind=by.kind,
            actor_id=by.id,
            actor_label=by.label,
        ),
        by=by,
        now=now,
    )
    Allocation.objects.create(booking=booking, refund=refund, amount=-amount)
    mark_for_invoice(booking, now=now)
    return refund
