"""Disputes: a client asked their bank for the money back. What Stripe says is fetched, whichever bell rang.

The studio answers in Stripe's dashboard; here it is told, until when and why. An open dispute moves nothing in the
ledger, for nothing is decided. One that is lost is money given back: what it would open again comes off the price, so
that nobody dunns a client whose bank has judged (meant otherwise, it is put on the bill again as an extra). A lost one
may be won after all, months later; then all of that is undone. Nothing follows on won, so an answer of Stripe's that is
read late cannot undo it.

Lock order: Booking or Voucher, then the Dispute, then the ledger.
"""

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q
from django.utils.translation import gettext as _

from bookings import allowances, messages, vouchers
from bookings import stripe_gateway as gateway
from bookings.ledger import balance, bring_back, given_back, write_refund
from bookings.models import Booking, Dispute, Payment, Refund, Voucher
from bookings.notes import note
from bookings.payments import LOOK_BACK, WrongMoney, guarded, locked_target
from bookings.statuses import UNSENT, DisputeStatus, RefundStatus, VoucherStatus
from studio import outbox
from studio.actors import STRIPE
from studio.models import Studio
from studio.templatetags.studio_tags import money
from studio.transitions import begin, move

log = logging.getLogger(__name__)

APPEALS = timedelta(days=365)  # how long Stripe is asked whether a lost one was won after all
ENDS = {"won": "win", "lost": "lose", "warning_closed": "close", "prevented": "close"}


def sync(*, gateway_id: str, now: datetime) -> None:
    """Fetch a dispute and write down what Stripe says. Raises gateway.GatewayError, WrongMoney."""
    note_dispute(gateway.fetch_dispute(gateway_id), now=now)


def note_dispute(found: gateway.Dispute, *, now: datetime) -> None:
    """Write down what a fetched dispute says, and tell the studio of what is new. Not ours: nothing.

    Raises WrongMoney when one is lost in another currency than was paid.
    """
    with transaction.atomic():
        payment = Payment.objects.filter(gateway_id=found.payment_intent).first()
        if payment is None:
            return
        paid_for = locked_target(payment)
        dispute, is_news = _row_of(found, payment, now=now)
        if dispute.status == DisputeStatus.LOST and found.status == "won":
            _win_after_all(dispute, paid_for, now=now)
        if dispute.status != DisputeStatus.OPEN:
            return
        if found.needs_answer and is_news:
            _ask_for_answer(dispute, paid_for, now=now)
        if found.status in ENDS:
            _end(dispute, found, paid_for, now=now)


def _row_of(found: gateway.Dispute, payment: Payment, *, now: datetime) -> tuple[Dispute, bool]:
    """Our row as Stripe has it now, and whether that is another step than before."""
    facts: dict[str, Any] = {
        "amount": found.amount,
        "currency": found.currency.upper(),
        "reason": found.reason[:40],
        "answer_by": found.answer_by,
        "is_inquiry": found.is_inquiry,
        "is_answered": not found.needs_answer,
    }
    dispute = Dispute.objects.select_for_update(of=("self",)).filter(gateway_id=found.id).first()
    if dispute is None:
        row = Dispute(gateway_id=found.id, payment=payment, opened_at=found.created_at, **facts)
        return begin(row, by=STRIPE, now=now), True
    if dispute.status != DisputeStatus.OPEN:
        return dispute, False
    before = (dispute.is_inquiry, dispute.is_answered)
    Dispute.objects.filter(pk=dispute.pk).update(**facts)
    dispute.refresh_from_db()
    return dispute, before != (dispute.is_inquiry, dispute.is_answered)


def _ask_for_answer(dispute: Dispute, paid_for: Booking | Voucher, *, now: datetime) -> None:
    """Tell the desk, once for the bank's question and once more when the bank takes the money."""
    once = f"desk_dispute:{dispute.pk}:{'asked' if dispute.is_inquiry else 'taken'}"
    _tell_desk("desk_dispute", dispute, paid_for, once=once, now=now)
    if isinstance(paid_for, Booking):
        words = f"{money(dispute.amount, dispute.currency)}: {dispute.reason_in_words}"
        note(paid_for, "disputed", words, by=STRIPE, now=now)


def _end(dispute: Dispute, found: gateway.Dispute, paid_for: Booking | Voucher, *, now: datetime) -> None:
    move(Dispute, dispute.pk, ENDS[found.status], by=STRIPE, now=now)
    dispute.refresh_from_db()
    came_off = _lose(dispute, paid_for, now=now) if dispute.status == DisputeStatus.LOST else 0
    _tell_desk(
        "desk_dispute_ended",
        dispute,
        paid_for,
        once=f"desk_dispute_ended:{dispute.pk}",
        now=now,
        came_off=money(came_off, dispute.currency) if came_off else "",
    )
    if isinstance(paid_for, Booking):
        words = f"{money(dispute.amount, dispute.currency)}: {dispute.get_status_display()}"
        note(paid_for, "dispute_ended", words, by=STRIPE, now=now)


def _lose(dispute: Dispute, paid_for: Booking | Voucher, *, now: datetime) -> int:
    """The money is gone for good: the ledger says so. Returns what came off the price.

    A refund of ours that Stripe refused meanwhile (nothing is given back while the bank has it) is this money, not
    money on top of it.
    """
    payment = dispute.payment
    if dispute.currency != payment.currency:
        raise WrongMoney(f"dispute {dispute.gateway_id}: {dispute.currency} of {payment.currency}")
    was_due = balance(paid_for).due if isinstance(paid_for, Booking) else 0
    rest = dispute.amount
    waiting = payment.refunds.select_for_update(of=("self",)).filter(status__in=UNSENT)
    for refund in waiting.order_by("pk"):
        if refund.amount <= rest:
            move(Refund, refund.pk, "done", by=STRIPE, now=now, dispute=dispute, last_error="")
            rest -= refund.amount
    once, reason = _once(dispute), _("Taken back by the client's bank")
    if part := min(rest, payment.amount - given_back(payment)):
        write_refund(
            paid_for,
            payment,
            part,
            reason=reason,
            once=once,
            by=STRIPE,
            now=now,
            status=RefundStatus.DONE,
            dispute=dispute,
        )
    if isinstance(paid_for, Booking):
        return allowances.forgive(paid_for, was_due=was_due, reason=reason, once=once, by=STRIPE, now=now)
    if part and paid_for.status == VoucherStatus.ISSUED and not paid_for.spent:
        move(Voucher, paid_for.pk, "void", by=STRIPE, now=now, reason=reason)
    return 0


def _once(dispute: Dispute) -> str:
    """The name of the refund that is the bank's own doing, not one of ours that it stands for."""
    return f"dispute:{dispute.gateway_id}"


def _win_after_all(dispute: Dispute, paid_for: Booking | Voucher, *, now: datetime) -> None:
    """The money came back by an appeal: what was written when it was lost is undone, as if it had been won at once."""
    move(Dispute, dispute.pk, "win", by=STRIPE, now=now)
    was_due = balance(paid_for).due if isinstance(paid_for, Booking) else 0
    came_back = promised = put_back = 0
    for refund in (
        dispute.refunds.select_for_update(of=("self",)).filter(status=RefundStatus.DONE).order_by("pk")
    ):
        if refund.once == _once(dispute):
            bring_back(refund, paid_for, by=STRIPE, now=now)
            came_back += refund.amount
        else:  # what we had promised anyway is promised again; a person says whether it is sent
            error = _("The client's bank gave it back to you, so the client does not have it.")
            move(Refund, refund.pk, "bounce", by=STRIPE, now=now, dispute=None, last_error=error)
            promised += refund.amount
    dispute.refresh_from_db()
    reason = _("Given back by the client's bank")
    if isinstance(paid_for, Booking):
        put_back = allowances.put_back(
            paid_for, amount=came_back, was_due=was_due, reason=reason, once=f"{_once(dispute)}:back", by=STRIPE,
            now=now,
        )  # fmt: skip
        words = f"{money(dispute.amount, dispute.currency)}: {dispute.get_status_display()}"
        note(paid_for, "dispute_ended", words, by=STRIPE, now=now)
    elif paid_for.status == VoucherStatus.VOID and not _is_lost_for(paid_for):
        vouchers.restore(voucher_id=paid_for.pk, reason=reason, by=STRIPE, now=now)
        paid_for.refresh_from_db()
    currency = dispute.currency
    _tell_desk(
        "desk_dispute_won_after_all",
        dispute,
        paid_for,
        once=f"desk_dispute_won_after_all:{dispute.pk}",
        now=now,
        put_back=money(put_back, currency) if put_back else "",
        promised=money(promised, currency) if promised else "",
        came_back=money(came_back, currency) if came_back else "",
    )


def _is_lost_for(voucher: Voucher) -> bool:
    """Whether a bank has money that a voucher was bought with."""
    disputes = Dispute.objects.filter(payment__allocations__voucher=voucher, status=DisputeStatus.LOST)
    return disputes.exists()


def _tell_desk(
    name: str,
    dispute: Dispute,
    paid_for: Booking | Voucher,
    *,
    once: str,
    now: datetime,
    **more: str,
) -> None:
    mode = "" if settings.STRIPE_LIVE else "test/"
    facts: dict[str, Any] = {
        "dispute": dispute,
        "payer": dispute.payment.payer,
        "amount": money(dispute.amount, dispute.currency),
        "why": dispute.reason_in_words,
        "stripe_url": f"https://dashboard.stripe.com/{mode}payments/{dispute.payment.gateway_id}",
        **more,
    }
    if isinstance(paid_for, Booking):
        messages.tell_studio(name, booking=paid_for, once=once, now=now, **facts)
    elif (studio := Studio.objects.first()) is not None and studio.email:
        context = {"voucher": paid_for, "location": paid_for.location, **facts}
        outbox.queue_message(name, to=studio, about=paid_for, context=context, now=now, once=once)


def look_again(*, now: datetime) -> None:
    """Ask Stripe about every dispute that may still change, and about young ones no event told of: one list, back to
    the oldest of them. One that fails stops no other."""
    if not settings.STRIPE_SECRET_KEY:
        return
    may_change = Q(status=DisputeStatus.OPEN) | Q(status=DisputeStatus.LOST, ended_at__gt=now - APPEALS)
    oldest = Dispute.objects.filter(may_change).aggregate(at=Min("opened_at"))["at"]
    since = now - LOOK_BACK
    try:
        for found in gateway.list_disputes(created_after=min(since, oldest) if oldest else since):
            guarded(partial(note_dispute, found, now=now), f"dispute {found.id}")
    except gateway.GatewayUnavailable as error:
        log.warning("Looking at disputes ended early: %s", error)
