"""The ledger: append-only payments and refunds, each allocated in full to its booking.

Nothing here speaks to Stripe. A Refund is only stated; `payments.send_next_refund` carries it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from bookings.models import Allocation, Booking, Checkout, Dispute, Payment, PaymentMethod, Refund, Voucher
from bookings.refusals import NotNow
from bookings.statuses import ACTIVE_BOOKING, BookingStatus, CheckoutStatus, RefundStatus
from studio.actors import WORKER, Actor
from studio.background import ring_on_commit
from studio.transitions import begin, move

LIVES_ON = timedelta(days=90)


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
        paid=Sum("amount", filter=Q(refund=None)), back=Sum("amount", filter=Q(payment=None))
    )
    paid, refunded = sums["paid"] or 0, -(sums["back"] or 0)
    due = max(0, booking.price - paid + refunded) if booking.status in ACTIVE_BOOKING else 0
    return Balance(booking.price, paid, refunded, due)


def due_now(booking: Booking) -> int:
    """What a held booking still needs to be confirmed: a voucher may have paid some of it."""
    return max(0, booking.due_now - balance(booking).kept)


def mind_open_pages(booking: Booking) -> None:
    """After more became due for a locked hold: paid on a page that asks for less, it would be confirmed for less.

    Raises NotNow while such a page may be open; the change is to be undone.
    """
    waiting = booking.checkouts.filter(
        purpose="booking", status__in=[CheckoutStatus.WANTED, CheckoutStatus.OPEN]
    )
    if waiting.filter(amount__lt=due_now(booking)).exists():
        raise NotNow(_("A payment page with the lower price is still open. Please try again in a minute."))


def given_back(payment: Payment) -> int:
    """What of a payment went back or is promised back. What came back to the studio again does not count."""
    sums = Allocation.objects.filter(refund__payment=payment).aggregate(all=Sum("amount"))
    return -(sums["all"] or 0)


def write_payment(
    booking: Booking | Voucher,
    *,
    method: PaymentMethod,
    amount: int,
    by: Actor,
    now: datetime,
    checkout: Checkout | None = None,
    gateway_id: str | None = None,
    voucher: Voucher | None = None,
    once: str | None = None,
) -> Payment:
    """Write money that came in, allocated in full to a booking, or to a voucher that is bought.

    `voucher` is what paid. A booking that is paid by voucher while it is held may not have its Payer yet: the payment
    is then the voucher's recipient's.
    """
    payer = booking.buyer if isinstance(booking, Voucher) else booking.payer
    payer = payer or (voucher.recipient if voucher else None)
    assert payer is not None
    payment = Payment.objects.create(
        payer=payer,
        voucher=voucher,
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
    _allocate(booking, amount, now=now, payment=payment)
    return payment


def _allocate(to: Booking | Voucher, amount: int, *, now: datetime, **source: Payment | Refund) -> None:
    if isinstance(to, Voucher):
        Allocation.objects.create(voucher=to, amount=amount, **source)
    else:
        Allocation.objects.create(booking=to, amount=amount, **source)
        mark_for_invoice(to, now=now)


def mark_for_invoice(booking: Booking, *, now: datetime) -> None:
    """State, with its cause, that a numbered paper may be due; `invoices.issue_next` looks what is."""
    from bookings.tasks import issue_invoices

    ring_on_commit(issue_invoices)
    Booking.objects.filter(pk=booking.pk).update(invoice_due_at=now)


def refund_booking(
    booking: Booking,
    *,
    amount: int,
    reason: str,
    once: str,
    by: Actor,
    now: datetime,
    methods: Sequence[PaymentMethod] = (),
) -> list[Refund]:
    """State that `amount` goes back, to the payments it came from, the latest first; a worker sends it.

    What a voucher paid is on the voucher again at once. `methods` limits it to payments made that way.

    Call it with the Booking locked, inside the transaction of its cause. `once` names the cause: the same cause
    cannot pay twice. Raises ValueError when more would go back than was paid.
    """
    from bookings.tasks import send_refunds

    rows: list[Refund] = []
    payments = Payment.objects.filter(allocations__booking=booking)
    if methods:
        payments = payments.filter(method__in=methods)
    for payment in payments.order_by("-pk"):
        part = min(amount, payment.amount - given_back(payment))
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


def give_back_unmade(booking_ids: Sequence[int], *, now: datetime) -> None:
    """Holds that ended without a booking keep nothing: vouchers have again what they paid, a part that was paid at the
    desk is to be handed back. With the Bookings locked."""
    unmade = Booking.objects.filter(
        Q(status=BookingStatus.EXPIRED)
        | Q(status=BookingStatus.CANCELLED, confirmed_at=None, requested_at=None),
        pk__in=booking_ids,
        allocations__payment__isnull=False,
    )
    for booking in unmade.distinct():
        if kept := balance(booking).kept:
            refund_booking(
                booking,
                amount=kept,
                reason=_("The booking was not made"),
                once=f"unmade:{booking.pk}:{int(now.timestamp())}",
                by=WORKER,
                now=now,
            )


def write_refund(
    booking: Booking | Voucher,
    payment: Payment,
    amount: int,
    *,
    reason: str,
    once: str,
    by: Actor,
    now: datetime,
    status: RefundStatus = RefundStatus.DUE,
    gateway_id: str | None = None,
    dispute: Dispute | None = None,
) -> Refund:
    """Write money that goes back, allocated in full to what it was paid for."""
    if payment.voucher_id is not None:
        status = RefundStatus.DONE
        _came_back(payment.voucher_id, amount, now=now)
    refund = begin(
        Refund(
            payment=payment,
            amount=amount,
            status=status,
            reason=reason[:200],
            once=once,
            gateway_id=gateway_id,
            dispute=dispute,
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
    _allocate(booking, -amount, now=now, refund=refund)
    return refund


def bring_back(refund: Refund, to: Booking | Voucher, *, by: Actor, now: datetime) -> bool:
    """What a bank had taken is here again: the refund counts no more. False if that was written before."""
    if move(Refund, refund.pk, "come_back", by=by, now=now) is None:
        return False
    _allocate(to, refund.amount, now=now, refund=refund)
    return True


def _came_back(voucher_id: int, amount: int, *, now: datetime) -> None:
    """What a voucher had paid is on it again; one that ended meanwhile lives a while longer."""
    voucher = Voucher.objects.select_for_update(of=("self",)).get(pk=voucher_id)
    voucher.spent -= amount
    live_on(voucher, now=now)
    voucher.save(update_fields=["spent", "expires_at"])


def live_on(voucher: Voucher, *, now: datetime) -> None:
    """Let a voucher that gets something back last long enough to be used. The caller saves it."""
    if voucher.expires_at is not None:
        voucher.expires_at = max(voucher.expires_at, now + LIVES_ON)
