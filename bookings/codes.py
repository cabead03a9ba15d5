"""Discount codes on held bookings. The price falls before anything is paid; a code is used once it lies on a booking.

How often a code may be used, and once per client, is counted under the code's lock and held by PostgreSQL as well.
A booking that ends before it took place gives its use back. Lock order: Booking, then the code (with the ledger).
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from bookings import vouchers
from bookings.charges import discount_of, lines_of
from bookings.holds import held
from bookings.ledger import balance, mind_open_pages, refund_booking
from bookings.models import Booking, CodeUse, DiscountCode
from bookings.pricing import due_when_booking
from bookings.refusals import NotNow
from studio.actors import Actor

ONCE = "You have used this code before; it is meant for one session."


def use(*, booking_id: int, code: str, by: Actor, now: datetime) -> str:
    """Put what a client typed on a held booking: a discount code, or a gift voucher. Returns "code" or "voucher".

    Raises HoldOver, NotNow with a sentence.
    """
    word = "".join(code.upper().split())[:40]
    if not word:
        raise NotNow(_("Please type the code."))
    if DiscountCode.objects.filter(code=word).exists():
        apply(booking_id=booking_id, code=word, by=by, now=now)
        return "code"
    vouchers.redeem(booking_id=booking_id, code=word, by=by, now=now)
    return "voucher"


def apply(*, booking_id: int, code: str, by: Actor, now: datetime) -> Booking:
    """Lower the price of a held booking by a discount code; another code on it is taken off.

    The same code again changes nothing. Raises HoldOver, NotNow.
    """
    with transaction.atomic():
        booking = held(booking_id, now=now)
        here = CodeUse.objects.filter(booking=booking, released_at=None).values("code")
        both = DiscountCode.objects.filter(Q(code=code) | Q(pk__in=here)).order_by("pk")
        found = next((row for row in both.select_for_update(of=("self",)) if row.code == code), None)
        if found is None or not found.is_active:
            raise NotNow(_("We do not know this code. Please check the letters."))
        if CodeUse.objects.filter(code=found, booking=booking, released_at=None).exists():
            return booking
        _check(found, booking, now=now)
        _release([booking.pk], now=now)
        DiscountCode.objects.filter(pk=found.pk).update(used_count=F("used_count") + 1)
        email = booking.payer.email.lower() if booking.payer and found.is_once_per_client else None
        _write_use(found, booking, email, now=now)
        _set_discount(booking, discount_of(booking))
        _return_surplus(booking, by=by, now=now)
        mind_open_pages(booking)
        return booking


def _check(code: DiscountCode, booking: Booking, *, now: datetime) -> None:
    if code.starts_at is not None and now < code.starts_at:
        raise NotNow(_("This code is not valid yet."))
    if code.ends_at is not None and now >= code.ends_at:
        raise NotNow(_("This code is not valid any more."))
    kinds = code.session_types.all()
    if kinds.exists() and not kinds.filter(pk=booking.session_type_id).exists():
        raise NotNow(_("This code is not meant for this session."))
    if code.amount is not None and code.currency != booking.currency.upper():
        raise NotNow(_("This code is in another currency."))
    if code.max_uses is not None and code.used_count >= code.max_uses:
        raise NotNow(_("This code has been used as often as it may."))


def _write_use(code: DiscountCode, booking: Booking, email: str | None, *, now: datetime) -> None:
    try:
        with transaction.atomic():
            CodeUse.objects.create(code=code, booking=booking, once_for=email, used_at=now)
    except IntegrityError:
        raise NotNow(_(ONCE)) from None


def _set_discount(booking: Booking, discount: int) -> None:
    booking.discount = discount
    lines = lines_of(booking)
    booking.price, booking.tax = sum(line.gross for line in lines), sum(line.tax for line in lines)
    asked = due_when_booking(booking.session_type, booking.price, booking.currency)
    booking.due_now = 0 if booking.pays_at_studio else asked
    booking.save(update_fields=["discount", "price", "tax", "due_now"])


def _return_surplus(booking: Booking, *, by: Actor, now: datetime) -> None:
    """A voucher lay on the booking first and paid more than it costs now."""
    surplus = balance(booking).kept - booking.price
    if surplus > 0:
        count = booking.allocations.filter(refund__isnull=False).count()
        refund_booking(
            booking,
            amount=surplus,
            reason=_("A code lowered the price"),
            once=f"code:{booking.pk}:{count}",
            by=by,
            now=now,
        )


def know_client(booking: Booking) -> None:
    """The client of a held booking is known now: a code that is theirs once cannot be here a second time.

    Inside a transaction, with the Booking locked. Raises NotNow.
    """
    use_here = CodeUse.objects.select_related("code").filter(booking=booking, released_at=None).first()
    if use_here is None or not use_here.code.is_once_per_client or booking.payer is None:
        return
    try:
        with transaction.atomic():
            CodeUse.objects.filter(pk=use_here.pk).update(once_for=booking.payer.email.lower())
    except IntegrityError:
        raise NotNow(_(ONCE)) from None


def take_off(*, booking_id: int, by: Actor, now: datetime) -> Booking:
    """Take the code off a held booking again. Raises HoldOver, NotNow while a page with the lower price is open."""
    with transaction.atomic():
        booking = held(booking_id, now=now)
        if _release([booking.pk], now=now):
            _set_discount(booking, 0)
            mind_open_pages(booking)
        return booking


def take_again(booking: Booking, *, now: datetime) -> bool:
    """An expired booking stands after all: the code it was priced with is used again. False when it may not be by now:
    used up meanwhile, or by the same client on another booking. Call it with the Booking locked, in a transaction."""
    last = CodeUse.objects.filter(booking=booking).order_by("-pk").first() if booking.discount else None
    if last is None or last.released_at is None:
        return True
    code = DiscountCode.objects.select_for_update(of=("self",)).get(pk=last.code_id)
    if code.max_uses is not None and code.used_count >= code.max_uses:
        return False
    try:
        with transaction.atomic():
            CodeUse.objects.filter(pk=last.pk).update(released_at=None)
    except IntegrityError:
        return False
    DiscountCode.objects.filter(pk=code.pk).update(used_count=F("used_count") + 1)
    return True


def release(booking_ids: Sequence[int], *, now: datetime) -> int:
    """Bookings that will not take place give their codes back; the price they were agreed at stays."""
    return _release(booking_ids, now=now)


def _release(booking_ids: Sequence[int], *, now: datetime) -> int:
    uses = CodeUse.objects.filter(booking__in=booking_ids, released_at=None)
    code_ids = sorted(uses.values_list("code", flat=True))
    for code_id in sorted(set(code_ids)):
        DiscountCode.objects.filter(pk=code_id).update(used_count=F("used_count") - code_ids.count(code_id))
    return uses.update(released_at=now)
