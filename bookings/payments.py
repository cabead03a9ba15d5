"""Money: an append-only ledger, allocated in full. What Stripe says is fetched, never believed from an event.

A Payment is written once per Checkout (under the locks of its Booking and Checkout). A Refund is a row with its
own idempotency key first, and is carried out afterwards by a worker.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from psycopg.errors import ExclusionViolation

from bookings import allowances, availability, charges, codes, holds, lifecycle, messages, vouchers
from bookings import stripe_gateway as gateway
from bookings.availability import Leeway
from bookings.boards import has_room_on
from bookings.checkout import adopt, recover
from bookings.ledger import Balance, balance, give_back_unmade, refund_booking, write_payment, write_refund
from bookings.models import Allocation, Booking, Checkout, Payment, PaymentMethod, Refund, Shoot, Voucher
from bookings.refusals import NotNow
from bookings.statuses import (
    ACTIVE_BOOKING,
    BookingStatus,
    CheckoutStatus,
    ExtraStatus,
    RefundStatus,
    VoucherStatus,
)
from studio.actors import STRIPE, WORKER, Actor, ActorKind
from studio.background import ring_on_commit
from studio.happenings import tell
from studio.models import StatusChange
from studio.transitions import move, move_where

__all__ = ["Balance", "balance", "reconcile", "record_by_staff", "send_next_refund", "settle_checkout"]

log = logging.getLogger(__name__)

BACKOFF = [timedelta(minutes=m) for m in (1, 5, 20, 60, 180, 720, 1440)]
LEASE = timedelta(minutes=5)  # how long a refund that is being sent is left alone
PROCESSING = timedelta(hours=1)  # a hold is kept this much longer each time the bank is still thinking
LOOK_BACK = timedelta(hours=26)  # a page lives for at most 24 hours
BY_HAND = (PaymentMethod.CASH, PaymentMethod.TERMINAL, PaymentMethod.TRANSFER)
GIVEN_BACK = ("succeeded", "pending", "requires_action")


class WrongMoney(Exception):
    """What Stripe has for a page is not what was asked for: amount, currency or booking differ. Nothing is written."""


# --- what Stripe says ---------------------------------------------------------------------------------------


def settle_checkout(*, checkout_id: int, now: datetime) -> Checkout:
    """Ask Stripe what became of a page and write it down, once. Safe to call any number of times.

    Paid: the ledger, then the booking is confirmed, re-seated if its hold had lapsed and the time is free, or the
    money goes back. Raises gateway.GatewayError, WrongMoney.
    """
    checkout = Checkout.objects.get(pk=checkout_id)
    if checkout.status == CheckoutStatus.PAID or checkout.session_id is None:
        return checkout
    return settle(checkout, gateway.fetch_checkout(checkout.session_id), now=now)


def settle(checkout: Checkout, session: gateway.CheckoutSession, *, now: datetime) -> Checkout:
    """Write down what a fetched session says."""
    if session.is_paid:
        _check(checkout, session)
        receive(checkout_id=checkout.pk, payment_intent=session.payment_intent, now=now)
    elif session.is_processing:
        _keep_waiting(checkout, now=now)
    elif session.status == "expired" and checkout.status in (CheckoutStatus.WANTED, CheckoutStatus.OPEN):
        move_where(Checkout.objects.filter(pk=checkout.pk), "expire", by=STRIPE, now=now)
    elif session.has_failed:
        move_where(Checkout.objects.filter(pk=checkout.pk), "fail", by=STRIPE, now=now)
    checkout.refresh_from_db()
    return checkout


def _check(checkout: Checkout, session: gateway.CheckoutSession) -> None:
    what = checkout.booking or checkout.voucher
    assert what is not None
    ours = (checkout.amount, checkout.currency.lower(), what.public_id, checkout.public_id)
    theirs = (session.amount, session.currency.lower(), session.public_id, session.metadata.get("checkout"))
    if ours != theirs:
        log.error("Checkout %s: Stripe has %s, we asked for %s", checkout.public_id, theirs, ours)
        raise WrongMoney(f"checkout {checkout.public_id}")


def receive(*, checkout_id: int, payment_intent: str, now: datetime) -> Payment | None:
    """Write the payment of a paid page and do what it pays for. None if somebody already did."""
    with transaction.atomic():
        if Checkout.objects.filter(pk=checkout_id, voucher__isnull=False).exists():
            return _receive_for_voucher(checkout_id, payment_intent=payment_intent, now=now)
        booking = Booking.objects.select_for_update(of=("self",)).get(checkouts=checkout_id)
        checkout = move(Checkout, checkout_id, "paid", by=STRIPE, now=now)
        if checkout is None:
            return None
        assert booking.payer is not None
        payment = write_payment(
            booking,
            method=PaymentMethod.STRIPE,
            amount=checkout.amount,
            checkout=checkout,
            gateway_id=payment_intent,
            by=STRIPE,
            now=now,
        )
        extra = checkout.extra
        is_offered = extra is not None and extra.status == ExtraStatus.PROPOSED
        if extra is not None and is_offered and booking.status == BookingStatus.CONFIRMED:
            charges.agree(extra, booking=booking, by=STRIPE, now=now)
        if booking.status == BookingStatus.HELD and not holds.still_stands(booking, now=now):
            _seat_elsewhere(booking, payment, now=now)
        elif booking.status == BookingStatus.HELD:
            _give_back_surplus(booking, payment, now=now)
            lifecycle.confirm(booking_id=booking.pk, by=STRIPE, now=now)
        elif booking.status == BookingStatus.EXPIRED:
            _come_late(booking, payment, now=now)
        elif booking.status == BookingStatus.CANCELLED:
            _give_back_late(booking, payment, now=now)
        else:
            _paid_more(booking, payment, now=now)
    return payment


def _receive_for_voucher(checkout_id: int, *, payment_intent: str, now: datetime) -> Payment | None:
    """Money that buys a voucher; a second one for the same voucher goes back."""
    from bookings.tasks import send_refunds

    voucher = Voucher.objects.select_for_update(of=("self",)).get(checkouts=checkout_id)
    checkout = move(Checkout, checkout_id, "paid", by=STRIPE, now=now)
    if checkout is None:
        return None
    payment = write_payment(
        voucher,
        method=PaymentMethod.STRIPE,
        amount=checkout.amount,
        checkout=checkout,
        gateway_id=payment_intent,
        by=STRIPE,
        now=now,
    )
    is_sold = voucher.status in (VoucherStatus.WANTED, VoucherStatus.LAPSED)
    if is_sold:
        vouchers.sold(voucher, by=STRIPE, now=now)
    else:
        once = f"surplus:{payment.pk}"
        write_refund(voucher, payment, payment.amount, reason=_("Paid twice"), once=once, by=WORKER, now=now)
        ring_on_commit(send_refunds)
    return payment


def _keep_waiting(checkout: Checkout, *, now: datetime) -> None:
    """The client has paid and the bank is thinking: the hold does not lapse meanwhile."""
    Booking.objects.filter(
        checkouts=checkout, status=BookingStatus.HELD, hold_expires_at__lt=now + PROCESSING / 2
    ).update(hold_expires_at=now + PROCESSING)


def _paid_more(booking: Booking, payment: Payment, *, now: datetime) -> None:
    """Money for a standing booking: what is too much goes back, what settles it is told."""
    surplus = _give_back_surplus(booking, payment, now=now)
    if 0 <= surplus < payment.amount:
        tell("booking_paid", booking=booking, by=STRIPE, now=now)


def _give_back_surplus(booking: Booking, payment: Payment, *, now: datetime) -> int:
    """What was paid beyond the price goes back: two pages, a code that lowered it meanwhile. Negative: still open."""
    have = balance(booking)
    if (surplus := have.kept - have.price) > 0:
        refund_booking(
            booking,
            amount=min(surplus, payment.amount),
            reason=_("Paid twice"),
            once=f"surplus:{payment.pk}",
            by=WORKER,
            now=now,
        )
    return surplus


def _seat_elsewhere(booking: Booking, payment: Payment, *, now: datetime) -> None:
    """The studio closed, or somebody went away, while the client paid: at the same time with others, or all of it goes
    back, what a voucher had paid as well."""
    move(Booking, booking.pk, "expire", by=WORKER, now=now, reason=_("Closed or away meanwhile"))
    booking.claims.filter(is_active=True).update(is_active=False)
    move_where(Shoot.objects.filter(booking=booking), "cancel", by=WORKER, now=now)
    codes.release([booking.pk], now=now)
    booking.refresh_from_db()
    if not _reseat(booking, now=now):
        _give_back_late(booking, payment, now=now, has_closed=True)
        give_back_unmade([booking.pk], now=now)
        return
    booking.refresh_from_db()
    _give_back_surplus(booking, payment, now=now)
    if booking.status == BookingStatus.CONFIRMED:
        lifecycle.after_confirming(booking, message="booking_confirmed", by=STRIPE, now=now)


# --- money for a time that lapsed ---------------------------------------------------------------------------


def _come_late(booking: Booking, payment: Payment, *, now: datetime) -> None:
    if not _reseat(booking, now=now):
        _give_back_late(booking, payment, now=now)
        return
    booking.refresh_from_db()
    if booking.status == BookingStatus.CONFIRMED:
        lifecycle.after_confirming(booking, message="booking_late_payment_reseated", by=STRIPE, now=now)
    messages.tell_studio(
        "desk_late_payment", booking=booking, once=f"desk_late:{payment.pk}", now=now, is_seated=True
    )


def _reseat(booking: Booking, *, now: datetime) -> bool:
    """Seat an expired booking at its own time again, if that is ahead and free for anybody who can do it.

    What it had to meet when it was booked it meets now: the day's cap (unless staff booked it), the code it was priced
    with, and the studio's yes where the studio confirms by hand.
    """
    cast = holds.cast_of(booking)
    holds.lock_resources(cast)
    holds.expire_due(now=now, resource_ids=cast.resource_ids)
    leeway = Leeway.OVERRIDE if booking.override_reason else Leeway.STAFF
    slot = availability.slot_at(cast, booking.starts_at, now=now, leeway=leeway)
    is_by_staff = lifecycle.was_booked_by_staff(booking)
    if slot is None or not (is_by_staff or has_room_on(cast, booking.starts_at, now=now)):
        return False
    if not codes.take_again(booking, now=now):
        return False
    try:
        with transaction.atomic():
            holds.claim(booking, slot)
    except IntegrityError as error:
        if isinstance(error.__cause__, ExclusionViolation):
            codes.release([booking.pk], now=now)
            return False
        raise
    if booking.session_type.is_confirmed_by_staff and not is_by_staff:
        lifecycle.ask_studio(booking, by=STRIPE, now=now)
    else:
        move(Booking, booking.pk, "reseat", by=STRIPE, now=now)
    move_where(Shoot.objects.filter(booking=booking), "replan", by=STRIPE, now=now)
    return True


def _give_back_late(booking: Booking, payment: Payment, *, now: datetime, has_closed: bool = False) -> None:
    refund_booking(
        booking,
        amount=payment.amount,
        reason=_("Closed or away meanwhile")
        if has_closed
        else _("The time was no longer free when the payment came"),
        once=f"late:{payment.pk}",
        by=WORKER,
        now=now,
    )
    messages.tell_client(
        "booking_late_payment_refunded",
        booking=booking,
        once=f"booking_late_payment_refunded:{payment.pk}",
        amount=payment.amount,
        has_closed=has_closed,
        now=now,
    )
    messages.tell_studio(
        "desk_late_payment",
        booking=booking,
        once=f"desk_late:{payment.pk}",
        now=now,
        is_seated=False,
        has_closed=has_closed,
    )


# --- by the studio ------------------------------------------------------------------------------------------


def pay_by_voucher(*, booking_id: int, code: str, by: Actor, now: datetime) -> int:
    """Pay what is open with a voucher, as far as it reaches. Returns the amount. Raises NotNow."""
    with transaction.atomic():
        amount = vouchers.redeem(booking_id=booking_id, code=code, by=by, now=now)
        booking = Booking.objects.get(pk=booking_id)
        if booking.status == BookingStatus.CONFIRMED and not balance(booking).due:
            tell("booking_paid", booking=booking, by=by, now=now)
        return amount


def record_by_staff(
    *,
    booking_id: int,
    method: PaymentMethod | str,
    amount: int,
    by: Actor,
    now: datetime,
    form_token: UUID | None = None,
) -> Payment:
    """Write down cash, a terminal slip or a transfer. A hold with its details is confirmed when enough is paid.

    The same `form_token` again returns the payment it made. Raises NotNow: not staff, a method that is not by
    hand, nothing or more than is due.
    """
    once = f"desk:{form_token}" if form_token else None
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        if once and (found := Payment.objects.filter(once=once).first()):
            return found
        if by.kind != ActorKind.USER or method not in BY_HAND:
            raise NotNow(_("Only the studio records cash, card terminal and transfers."))
        if booking.status not in ACTIVE_BOOKING or booking.payer_id is None:
            raise NotNow(_("Nothing can be paid for this booking."))
        due = balance(booking).due
        if not 0 < amount <= due:
            raise NotNow(_("The amount must be more than nothing and no more than what is due."))
        payment = write_payment(
            booking, method=PaymentMethod(method), amount=amount, once=once, by=by, now=now
        )
        if booking.status == BookingStatus.HELD:
            if balance(booking).kept >= booking.due_now:
                lifecycle.confirm(booking_id=booking.pk, by=by, now=now)
        elif amount == due:
            tell("booking_paid", booking=booking, by=by, now=now)
        return payment


# --- money back ---------------------------------------------------------------------------------------------


def send_next_refund(*, now: datetime) -> bool:
    """Carry out one due refund of a card payment at Stripe; False when none waits.

    The try is committed before Stripe is called. A try whose answer was lost is found again in Stripe's own list by
    its name, so that it is not sent twice even after Stripe has forgotten the key (24 hours).
    """
    with transaction.atomic():
        refund = (
            Refund.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(status=RefundStatus.DUE, next_try_at__lte=now, payment__method=PaymentMethod.STRIPE)
            .select_related("payment")
            .order_by("next_try_at", "pk")
            .first()
        )
        if refund is None:
            return False
        refund.attempts += 1
        refund.next_try_at = now + LEASE
        refund.save(update_fields=["attempts", "next_try_at"])
    try:
        sent = _already_sent(refund) or gateway.refund(
            payment_intent=refund.payment.gateway_id or "",
            amount=refund.amount,
            idempotency_key="-".join(["refund", *_name_of(refund).values()]),
            reason="requested_by_customer",
            metadata=_name_of(refund),
        )
    except gateway.GatewayUnavailable as error:
        due_at = now + BACKOFF[min(refund.attempts, len(BACKOFF)) - 1]
        Refund.objects.filter(pk=refund.pk).update(next_try_at=due_at, last_error=str(error)[:300])
    except gateway.GatewayRefused as error:
        move(Refund, refund.pk, "fail", by=STRIPE, now=now, last_error=str(error)[:300])
        log.error("Refund %s was refused: %s", refund.public_id, error)
    else:
        note_refund(sent, now=now)
    return True


def _already_sent(refund: Refund) -> gateway.Refund | None:
    if refund.attempts < 2:
        return None
    known = gateway.list_refunds(payment_intent=refund.payment.gateway_id)
    return next((found for found in known if _is_named(found, refund)), None)


def _name_of(refund: Refund) -> dict[str, str]:
    """What a refund is called at Stripe, and keyed by. Sent anew after it had failed it is another one there: under the
    old key Stripe would only say once more what became of the first."""
    again = StatusChange.objects.filter(
        model=Refund._meta.label_lower, object_id=refund.pk, verb="again"
    ).count()
    return {"once": refund.once} | ({"again": str(again)} if again else {})


def _is_named(found: gateway.Refund, refund: Refund) -> bool:
    name = _name_of(refund)
    return {key: value for key, value in found.metadata.items() if key in ("once", "again")} == name


def hand_back(*, refund_id: int, by: Actor, now: datetime) -> bool:
    """The studio gave cash (or a transfer) back itself. False if that was written before."""
    with transaction.atomic():
        refund = Refund.objects.select_related("payment").get(pk=refund_id)
        if by.kind != ActorKind.USER or refund.payment.method == PaymentMethod.STRIPE:
            raise NotNow(_("This refund goes back to the card it came from."))
        return move(Refund, refund_id, "done", by=by, now=now) is not None


def try_again(*, refund_id: int, by: Actor, now: datetime) -> bool:
    """Send a refund once more that had failed. False if it is waiting already."""
    from bookings.tasks import send_refunds

    with transaction.atomic():
        moved = move(Refund, refund_id, "again", by=by, now=now, next_try_at=now, gateway_id=None)
        ring_on_commit(send_refunds)
        return moved is not None


def sync_refund(*, gateway_id: str, now: datetime) -> None:
    """Fetch a refund and make the ledger say what Stripe says, also for one made in Stripe's own dashboard."""
    note_refund(gateway.fetch_refund(gateway_id), now=now)


def note_refund(found: gateway.Refund, *, now: datetime) -> None:
    """Write down what a fetched refund says."""
    with transaction.atomic():
        payment = Payment.objects.filter(gateway_id=found.payment_intent).first()
        if payment is None:
            return
        paid_for = locked_target(payment)
        named = Q(gateway_id=found.id) | Q(once=found.metadata.get("once", ""), gateway_id=None)
        ours = Refund.objects.select_for_update(of=("self",)).filter(named, payment=payment).first()
        if ours is not None and ours.gateway_id is None and not _is_named(found, ours):
            ours = None  # an earlier sending, which had failed: what Stripe says of it is old news
        if found.status in GIVEN_BACK:
            ours = ours or _sent_by_hand(found, payment)
            if ours is None:
                _given_by_hand(found, payment, paid_for, now=now)
            elif ours.status != RefundStatus.DONE:
                move(Refund, ours.pk, "done", by=STRIPE, now=now, gateway_id=found.id, last_error="")
        elif ours is not None and ours.status != RefundStatus.FAILED and ours.dispute_id is None:
            why = found.failure_reason or found.status
            move(Refund, ours.pk, "bounce", by=STRIPE, now=now, gateway_id=found.id, last_error=why[:300])


def _sent_by_hand(found: gateway.Refund, payment: Payment) -> Refund | None:
    """A refund of ours that had failed, and that somebody sent again in Stripe's dashboard."""
    failed = Refund.objects.select_for_update(of=("self",)).filter(
        payment=payment, amount=found.amount, status=RefundStatus.FAILED
    )
    return failed.order_by("pk").first()


def _given_by_hand(
    found: gateway.Refund, payment: Payment, paid_for: Booking | Voucher, *, now: datetime
) -> None:
    """Write down what the studio gave back in Stripe's dashboard. It is a gift: what would be open again by it comes
    off the price, so that nobody asks the client for it. Meant otherwise, it is put on the bill again as an extra."""
    was_due = balance(paid_for).due if isinstance(paid_for, Booking) else 0
    reason, once = _("Given back at Stripe"), f"stripe:{found.id}"
    write_refund(
        paid_for,
        payment,
        found.amount,
        reason=reason,
        once=once,
        by=STRIPE,
        now=now,
        status=RefundStatus.DONE,
        gateway_id=found.id,
    )
    if isinstance(paid_for, Booking):
        allowances.forgive(paid_for, was_due=was_due, reason=reason, once=once, by=STRIPE, now=now)


def locked_target(payment: Payment) -> Booking | Voucher:
    """What a payment was for, locked."""
    allocation = Allocation.objects.get(payment=payment)
    if allocation.booking_id is not None:
        return Booking.objects.select_for_update(of=("self",)).get(pk=allocation.booking_id)
    return Voucher.objects.select_for_update(of=("self",)).get(pk=allocation.voucher_id or 0)


# --- what no event told us ----------------------------------------------------------------------------------


def reconcile(*, now: datetime) -> int:
    """Ask Stripe about everything open: pages that may have been paid, answers that were lost, refunds made there.

    Returns how many pages turned out to be paid. One that fails does not stop the others; a Stripe that does not
    answer ends the round.
    """
    if not settings.STRIPE_SECRET_KEY:
        return 0
    before = Checkout.objects.filter(status=CheckoutStatus.PAID).count()
    recover(now=now)
    try:
        for checkout in Checkout.objects.filter(status=CheckoutStatus.OPEN).order_by("pk"):
            guarded(partial(settle_checkout, checkout_id=checkout.pk, now=now), f"checkout {checkout.pk}")
        for session in gateway.list_checkouts(now - LOOK_BACK):
            guarded(partial(_find_page, session, now=now), f"session {session.id}")
        for found in gateway.list_refunds(created_after=now - LOOK_BACK):
            guarded(partial(note_refund, found, now=now), f"refund {found.id}")
    except gateway.GatewayUnavailable as error:
        log.warning("Reconciling ended early: %s", error)
    return Checkout.objects.filter(status=CheckoutStatus.PAID).count() - before


def guarded(call: Callable[[], object], what: str) -> None:
    """One thing of a round: what goes wrong with it is logged, unless Stripe does not answer at all."""
    try:
        call()
    except gateway.GatewayUnavailable:
        raise
    except Exception:
        log.exception("Reconciling %s failed", what)


def _find_page(session: gateway.CheckoutSession, *, now: datetime) -> None:
    checkout = page_row(session, now=now)
    if checkout is not None and checkout.status != CheckoutStatus.PAID and session.is_paid:
        settle(checkout, session, now=now)


def page_row(session: gateway.CheckoutSession, *, now: datetime) -> Checkout | None:
    """Our row of a fetched session, by its id or, where the answer was lost, by the name we gave it."""
    found = Checkout.objects.filter(session_id=session.id).first()
    if found is not None:
        return found
    lost = Checkout.objects.filter(public_id=session.metadata.get("checkout", ""), session_id=None).first()
    return adopt(lost, session, now=now) if lost else None
