"""Gift vouchers: bought online and mailed, or given by the studio; spent on bookings wholly or in part.

A voucher's money moves as every other: what is spent is a Payment by voucher, allocated to the booking; what comes
back from a booking is a Refund of that Payment, done at once. `Voucher.spent` repeats their sum under the voucher's
lock, and PostgreSQL refuses more than the amount. Lock order: Booking, then the Voucher (with the ledger).
"""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Sum
from django.utils.translation import gettext as _

from bookings.ledger import (
    balance,
    given_back,
    live_on,
    mind_open_pages,
    refund_booking,
    write_payment,
    write_refund,
)
from bookings.models import Booking, Payment, PaymentMethod, Refund, Voucher
from bookings.people import clean, known_client, read_person
from bookings.refusals import DetailsRefused, NotNow
from bookings.statuses import BookingStatus, VoucherStatus
from studio import outbox
from studio.actors import WORKER, Actor, ActorKind
from studio.background import ring_on_commit
from studio.currencies import decimals, step
from studio.models import Location, StatusChange, Studio
from studio.templatetags.studio_tags import money
from studio.transitions import begin, move, move_where

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that is misread
SMALLEST, LARGEST = 1_000, 500_000  # of a bought voucher, in hundredths of the main unit
UNPAID = timedelta(days=2)


def issue(
    *,
    amount: int,
    currency: str,
    recipient_name: str,
    recipient_email: str,
    reason: str,
    greeting: str = "",
    booking_id: int | None = None,
    expires_at: datetime | None = None,
    once: str | None = None,
    by: Actor,
    now: datetime,
) -> Voucher:
    """The studio gives a voucher away and mails it: a gift, or what makes up for a broken promise.

    `amount` in minor units. `once` names the cause: the same one again returns the voucher it made. Not for clients.
    Raises DetailsRefused, NotNow.
    """
    if once and (found := Voucher.objects.filter(once=once).first()):
        return found
    if by.kind == ActorKind.CLIENT:
        raise NotNow(_("Only the studio gives vouchers away."))
    problems: dict[str, str] = {}
    person = read_person(recipient_name, recipient_email, problems, prefix="recipient_")
    if amount <= 0 or amount % step(currency) or amount > 99_999_999:
        problems["amount"] = _("Please give an amount that is more than nothing and can be paid.")
    reason = clean(reason)[:200]
    if not reason:
        problems["reason"] = _("Please say why; it stays on record.")
    if problems:
        raise DetailsRefused(problems)
    with transaction.atomic():
        voucher = begin(
            Voucher(
                code=_code(),
                amount=amount,
                currency=currency.upper(),
                recipient=known_client(**person, now=now),
                greeting=clean(greeting)[:500],
                reason=reason,
                booking_id=booking_id,
                expires_at=expires_at,
                once=once,
                created_at=now,
                actor_kind=by.kind,
                actor_id=by.id,
                actor_label=by.label,
            ),
            by=by,
            now=now,
        )
        move(Voucher, voucher.pk, "issue", by=by, now=now)
        voucher.refresh_from_db()
        _mail(voucher, now=now)
        return voucher


def order(
    *,
    location_id: int,
    amount: int,
    buyer_name: str,
    buyer_email: str,
    recipient_name: str,
    recipient_email: str,
    greeting: str = "",
    form_token: UUID,
    by: Actor,
    now: datetime,
) -> Voucher:
    """Somebody wants to buy a voucher; it is issued when it is paid (`checkout.open_voucher_page`).

    The same form again returns the voucher it asked for. Raises DetailsRefused with a sentence per field.
    """
    once = f"order:{form_token}"
    if found := Voucher.objects.filter(once=once).first():
        return found
    location = Location.objects.get(pk=location_id, is_active=True)
    studio = Studio.objects.first()
    currency = (location.currency or (studio.currency if studio else "USD")).upper()
    problems: dict[str, str] = {}
    buyer = read_person(buyer_name, buyer_email, problems, prefix="buyer_")
    recipient = read_person(recipient_name, recipient_email, problems, prefix="recipient_")
    lowest, highest = limits(currency)
    if not lowest <= amount <= highest or amount % step(currency):
        problems["amount"] = _("Please choose an amount between %(lowest)s and %(highest)s.") % {
            "lowest": money(lowest, currency),
            "highest": money(highest, currency),
        }
    if problems:
        raise DetailsRefused(problems)
    with transaction.atomic():
        return begin(
            Voucher(
                code=_code(),
                amount=amount,
                currency=currency,
                buyer=known_client(**buyer, now=now),
                recipient=known_client(**recipient, now=now),
                greeting=clean(greeting)[:500],
                location=location,
                once=once,
                created_at=now,
                actor_kind=by.kind,
                actor_id=by.id,
                actor_label=by.label,
            ),
            by=by,
            now=now,
        )


def limits(currency: str) -> tuple[int, int]:
    """The smallest and largest voucher that can be bought, in minor units of a currency."""
    scale = 10 ** decimals(currency)
    return SMALLEST * scale // 100, LARGEST * scale // 100


def sold(voucher: Voucher, *, now: datetime, by: Actor) -> bool:
    """Its money is here: the voucher is valid and mailed to both. Inside the ledger's transaction."""
    moved = move(Voucher, voucher.pk, "issue", by=by, now=now)
    if moved is None:
        return False
    _mail(moved, now=now)
    if moved.buyer is not None and moved.buyer_id != moved.recipient_id:
        outbox.queue_message(
            "voucher_bought",
            to=moved.buyer,
            about=moved,
            context={"voucher": moved},
            now=now,
            once=f"voucher_bought:{moved.pk}",
        )
    return True


def _mail(voucher: Voucher, *, now: datetime) -> None:
    outbox.queue_message(
        "voucher",
        to=voucher.recipient,
        about=voucher,
        context={"voucher": voucher},
        now=now,
        once=f"voucher:{voucher.pk}",
    )


def _code() -> str:
    while True:
        letters = "".join(secrets.choice(LETTERS) for _letter in range(12))
        code = f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"
        if not Voucher.objects.filter(code=code).exists():
            return code


# --- spending -----------------------------------------------------------------------------------------------


def find(code: str) -> Voucher | None:
    """The voucher of a typed code; spaces, case and hyphens do not matter."""
    letters = "".join(letter for letter in code.upper() if letter.isalnum())[:40]
    if len(letters) != 12:
        return None
    return Voucher.objects.filter(code=f"{letters[:4]}-{letters[4:8]}-{letters[8:]}").first()


def redeem(*, booking_id: int, code: str, by: Actor, now: datetime) -> int:
    """Pay for a held or standing booking with a voucher, as much as is open and it has. Returns the amount.

    Two bookings that spend one voucher at the same instant wait for each other, and the second finds what is left.
    Raises NotNow with a sentence.
    """
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        open_amount = balance(booking).due
        lapsed = booking.status == BookingStatus.HELD and (
            booking.hold_expires_at is not None and booking.hold_expires_at <= now
        )
        if booking.status not in (BookingStatus.HELD, BookingStatus.CONFIRMED) or lapsed or not open_amount:
            raise NotNow(_("There is nothing to pay for this booking."))
        found = find(code)
        voucher = Voucher.objects.select_for_update(of=("self",)).get(pk=found.pk) if found else None
        _check(voucher, booking, now=now)
        assert voucher is not None
        amount = min(open_amount, voucher.amount - voucher.spent)
        Voucher.objects.filter(pk=voucher.pk).update(spent=F("spent") + amount)
        write_payment(booking, method=PaymentMethod.VOUCHER, amount=amount, voucher=voucher, by=by, now=now)
        return amount


def _check(voucher: Voucher | None, booking: Booking, *, now: datetime) -> None:
    if voucher is None or voucher.status != VoucherStatus.ISSUED:
        raise NotNow(_("We do not know this code. Please check the letters."))
    if voucher.currency != booking.currency.upper():
        raise NotNow(
            _("This voucher is in %(theirs)s, the session is in %(ours)s.")
            % {"theirs": voucher.currency, "ours": booking.currency}
        )
    if voucher.expires_at is not None and voucher.expires_at <= now:
        raise NotNow(_("This voucher has expired."))
    if voucher.spent >= voucher.amount:
        raise NotNow(_("This voucher has been spent."))


def _kept_of_vouchers(booking: Booking) -> int:
    paid = Payment.objects.filter(allocations__booking=booking, method=PaymentMethod.VOUCHER)
    back = Refund.objects.filter(payment__in=paid).aggregate(all=Sum("amount"))["all"] or 0
    return (paid.aggregate(all=Sum("amount"))["all"] or 0) - back


def take_off_hold(*, booking_id: int, by: Actor, now: datetime) -> int:
    """The client does not want to pay a held booking by voucher after all. Returns what the voucher has again.

    Raises NotNow while a payment page for the rest alone is open.
    """
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        kept = _kept_of_vouchers(booking)
        if booking.status != BookingStatus.HELD or not kept:
            return 0
        count = booking.allocations.filter(refund__isnull=False).count()
        refund_booking(
            booking, amount=kept, reason=_("Paid another way"), once=f"unspend:{booking.pk}:{count}", by=by,
            now=now, methods=[PaymentMethod.VOUCHER],
        )  # fmt: skip
        mind_open_pages(booking)
        return kept


# --- taking back --------------------------------------------------------------------------------------------


def void(*, voucher_id: int, reason: str, by: Actor, now: datetime) -> int:
    """The studio takes an unspent voucher back; what was paid for it goes back the way it came. Returns that amount.

    Raises NotNow when something was spent from it.
    """
    from bookings.tasks import send_refunds

    if by.kind != ActorKind.USER:
        raise NotNow(_("Only the studio can take a voucher back."))
    with transaction.atomic():
        voucher = Voucher.objects.select_for_update(of=("self",)).get(pk=voucher_id)
        if voucher.status == VoucherStatus.VOID:
            return 0
        if voucher.spent:
            raise NotNow(_("Some of this voucher is spent; cancel that booking first."))
        move(Voucher, voucher.pk, "void", by=by, now=now, reason=reason[:500])
        back = 0
        for payment in Payment.objects.filter(allocations__voucher=voucher):
            part = payment.amount - given_back(payment)
            if part:
                write_refund(
                    voucher, payment, part, reason=reason or _("Voucher taken back"),
                    once=f"void:{voucher.pk}:{payment.pk}", by=by, now=now,
                )  # fmt: skip
            back += part
        if back:
            ring_on_commit(send_refunds)
        return back


def restore(*, voucher_id: int, reason: str, by: Actor, now: datetime) -> bool:
    """A voucher is valid again: a bank had taken what was paid for it, and gave it back. One that ended meanwhile, or
    soon will, lives a while longer. False if it was not a bank that made it void. With the Voucher locked."""
    voids = StatusChange.objects.filter(
        model=Voucher._meta.label_lower, object_id=voucher_id, after=VoucherStatus.VOID
    )
    last = voids.order_by("-pk").first()
    if last is None or last.actor_kind != ActorKind.STRIPE:
        return False
    voucher = Voucher.objects.get(pk=voucher_id)
    live_on(voucher, now=now)
    return (
        move(
            Voucher,
            voucher_id,
            "restore",
            by=by,
            now=now,
            reason=reason,
            voided_at=None,
            expires_at=voucher.expires_at,
        )
        is not None
    )


def lapse_unpaid(*, now: datetime) -> int:
    """Orders nobody paid for two days are put away. Late money still buys them."""
    old = Voucher.objects.filter(status=VoucherStatus.WANTED, created_at__lt=now - UNPAID)
    return len(move_where(old, "lapse", by=WORKER, now=now))
