"""What comes off an agreed price because the studio did not keep its word.

The price falls, and what was paid beyond it goes back the way it came (a worker sends card refunds, cash is handed
back at the desk). So nothing is asked back later as an open balance. Lock order: Booking, then the ledger.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils.translation import gettext as _

from bookings.charges import change_price, settle_surplus
from bookings.ledger import balance
from bookings.models import Booking, PaymentMethod
from bookings.notes import note
from bookings.refusals import NotNow, OtherAmount
from bookings.statuses import ACTIVE_BOOKING
from studio.actors import Actor
from studio.templatetags.studio_tags import money


@transaction.atomic
def take_off(
    *,
    booking_id: int,
    amount: int,
    reason: str,
    once: str,
    by: Actor,
    now: datetime,
    methods: Sequence[PaymentMethod] = (),
) -> tuple[int, int]:
    """Take `amount` (minor units) off the price; at most the price. Returns (taken off, of it given back).

    Call it inside the transaction that makes its cause happen once; `once` names the refund. `methods`: only what was
    paid that way goes back.
    """
    booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
    was_due = balance(booking).due
    amount = min(amount, booking.price)
    Booking.objects.filter(pk=booking.pk).update(allowance=F("allowance") + amount)
    booking.refresh_from_db()
    change_price(booking, now=now)
    back = settle_surplus(booking, was_due=was_due, reason=reason, once=once, by=by, now=now)
    return amount, back


@transaction.atomic
def take_off_by_hand(
    *, booking_id: int, amount: int, shown: int, reason: str, once: str, by: Actor, now: datetime
) -> tuple[int, int]:
    """Somebody of the studio takes something off, and says why: the reason is kept with the booking.

    `shown` is the price as they saw it, so that one form sent twice (a double click, the back button, another tab)
    takes off once. Returns the same as `take_off`. Raises OtherAmount, and NotNow for nothing or more than the price.
    """
    booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
    if not 0 < amount <= booking.price:
        raise NotNow(_("The amount must be more than nothing and no more than the price."))
    if shown != booking.price:
        raise OtherAmount(
            _("The price is %(price)s by now. Please look once more whether this is to come off as well.")
            % {"price": money(booking.price, booking.currency)}
        )
    taken = take_off(booking_id=booking_id, amount=amount, reason=reason, once=once, by=by, now=now)
    note(booking, "taken_off", f"{money(amount, booking.currency)}. {reason}", by=by, now=now)
    return taken


def forgive(booking: Booking, *, was_due: int, reason: str, once: str, by: Actor, now: datetime) -> int:
    """Take off the price what money that went back outside our rules has opened again: nobody asks the client for it.

    `was_due` is what was open before. Call it with the Booking locked. Returns what came off.
    """
    opened = balance(booking).due - was_due
    if opened <= 0:
        return 0
    take_off(booking_id=booking.pk, amount=opened, reason=reason, once=once, by=by, now=now)
    words = _("%(reason)s: %(amount)s comes off the price.") % {
        "reason": reason,
        "amount": money(opened, booking.currency),
    }
    note(booking, "given_back", words, by=by, now=now)
    return opened


def put_back(
    booking: Booking, *, amount: int, was_due: int, reason: str, once: str, by: Actor, now: datetime
) -> int:
    """Put on the price again what `forgive` took off, because that money came back after all: it is paid by it, and
    nothing more is asked for. What is paid beyond the price goes back as always; `once` names that refund.

    A booking that is over keeps its price. `was_due` is what was open before. Call it with the Booking locked.
    Returns what is on the price again.
    """
    if booking.status not in ACTIVE_BOOKING:
        return 0
    amount = min(amount, booking.allowance)
    if amount:
        Booking.objects.filter(pk=booking.pk).update(allowance=F("allowance") - amount)
        booking.refresh_from_db()
        change_price(booking, now=now)
        words = _("%(reason)s: %(amount)s is on the price again.") % {
            "reason": reason,
            "amount": money(amount, booking.currency),
        }
        note(booking, "put_back", words, by=by, now=now)
    settle_surplus(booking, was_due=was_due, reason=reason, once=once, by=by, now=now)
    return amount


BY_ITSELF = (PaymentMethod.STRIPE, PaymentMethod.VOUCHER)  # what goes back without a person


def kept_by_itself(booking: Booking) -> int:
    """What of the booking was paid in ways that go back by themselves, less what went back."""
    moved = Q(payment__method__in=BY_ITSELF) | Q(refund__payment__method__in=BY_ITSELF)
    return int(booking.allocations.filter(moved).aggregate(sum=Sum("amount"))["sum"] or 0)
