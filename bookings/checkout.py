"""From a hold to a booking: the details, then the payment page (Stripe Checkout) or "pay at the studio".

The Checkout row and its idempotency key are committed before Stripe is called, and no transaction is open while it
is. A call that acted and then timed out is simply made again with the same key.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from bookings import codes, lifecycle, policy
from bookings import stripe_gateway as gateway
from bookings.holds import held, still_stands
from bookings.ledger import balance, due_now
from bookings.models import Booking, BookingExtra, Checkout, Voucher
from bookings.people import clean, forget_if_unused, known_client, known_zone, read_person
from bookings.policy import BALANCE_LINK, CHECKOUT_HOLD
from bookings.refusals import DetailsRefused, NotKept, NotNow
from bookings.statuses import ACTIVE_BOOKING, BookingStatus, CheckoutStatus, ExtraStatus, VoucherStatus
from studio.actors import STRIPE, WORKER, Actor, ActorKind
from studio.templatetags.studio_tags import money
from studio.transitions import MoveRefused, begin, move

log = logging.getLogger(__name__)
LOST_ANSWER = timedelta(minutes=2)  # a page wanted for longer was opened by a call whose answer was lost


# --- who it is ----------------------------------------------------------------------------------------------


def take_details(
    *,
    booking_id: int,
    name: str,
    email: str,
    mobile: str = "",
    firm: str = "",
    firm_address: str = "",
    tax_number: str = "",
    express_requested: bool = False,
    policy_accepted: bool,
    sitter_name: str = "",
    sitter_email: str = "",
    zone: str = "",
    by: Actor,
    now: datetime,
) -> Booking:
    """Write the Payer (and the Sitter, where it is somebody else) of a held booking.

    Raises DetailsRefused with a sentence per field, HoldOver.
    """
    with transaction.atomic():
        booking = held(booking_id, now=now)
        problems: dict[str, str] = {}
        payer = read_person(name, email, problems, mobile=mobile, at=booking.location)
        if not policy_accepted:
            problems["policy_accepted"] = _("Please accept the booking conditions.")
        is_express = policy.needs_express_request(
            country=booking.location.country, starts_at=booking.starts_at, at=now, is_consumer=not clean(firm)
        )
        if is_express and not express_requested and by.kind != ActorKind.USER:
            problems["express_requested"] = _("Please ask us to begin early; without it the law lets us not.")
        has_sitter = bool(clean(sitter_name))
        sitter = (
            read_person(sitter_name, sitter_email or email, problems, prefix="sitter_") if has_sitter else {}
        )
        if problems:
            raise DetailsRefused(problems)
        firm = clean(firm)[:150]
        shoot = booking.shoots.select_related("sitter").get()
        typed_before = {booking.payer, shoot.sitter}
        booking.payer = known_client(
            **payer,
            firm=firm,
            firm_address=clean(firm_address)[:300],
            tax_number=clean(tax_number)[:40],
            zone=known_zone(zone),
            now=now,
        )
        booking.policy_accepted_at = now
        booking.express_requested_at = now if is_express and express_requested else None
        booking.save(update_fields=["payer", "policy_accepted_at", "express_requested_at"])
        shoot.sitter = known_client(**sitter, now=now) if has_sitter else booking.payer
        shoot.save(update_fields=["sitter"])
        try:
            codes.know_client(booking)
        except NotNow as refusal:
            raise DetailsRefused({"code": refusal.sentence}) from refusal
        for client in typed_before - {booking.payer, shoot.sitter}:
            forget_if_unused(client)
        return booking


# --- paying -------------------------------------------------------------------------------------------------


def confirm_at_studio(*, booking_id: int, by: Actor, now: datetime) -> Booking:
    """Confirm a held booking for which nothing is due now. Raises HoldOver (NotKept), NotNow."""
    with transaction.atomic():
        booking = held(booking_id, now=now)
        _need_details(booking)
        if due_now(booking):
            raise NotNow(_("This booking is paid online."))
        if by.kind != ActorKind.USER and not still_stands(booking, now=now):
            raise NotKept
        lifecycle.confirm(booking_id=booking_id, by=by, now=now)
        booking.refresh_from_db()
        return booking


def open_checkout(
    *,
    booking_id: int,
    purpose: str = "booking",
    extra_id: int | None = None,
    return_path: str = "",
    now: datetime,
) -> str:
    """The address of the payment page: for a held booking what is due now, for "balance" what is still open, for
    "extra" the price of one that waits for its payment (`charges.add_extra(is_owed=False)`).

    `return_path` is the page of ours the client comes back to (the booking's own by default). Opening the page of a
    hold lengthens it once to 31 minutes; page and hold end at the same instant. An open page of the same amount is
    used again. Raises HoldOver (NotKept), NotNow, gateway.GatewayUnavailable, gateway.GatewayRefused.
    """
    for is_last in (False, True):
        checkout = _wanted(booking_id, purpose, extra_id=extra_id, return_path=return_path, now=now)
        if checkout.status == CheckoutStatus.OPEN:
            return checkout.url
        try:
            return _open(checkout, now=now).url
        except gateway.GatewayRefused as refusal:
            # A page wanted earlier with other details keeps its key for ever: give up that row, not the client.
            move(Checkout, checkout.pk, "fail", by=STRIPE, now=now, reason=refusal.detail[:500])
            if is_last or checkout.created_at == now:
                raise
    raise AssertionError("unreachable")


def open_voucher_page(*, voucher_id: int, now: datetime) -> str:
    """The address of the payment page of an ordered voucher; an open one is used again.

    Raises NotNow, gateway.GatewayUnavailable, gateway.GatewayRefused.
    """
    with transaction.atomic():
        voucher = Voucher.objects.select_for_update(of=("self",)).get(pk=voucher_id)
        if voucher.status not in (VoucherStatus.WANTED, VoucherStatus.LAPSED):
            raise NotNow(_("This voucher is paid already."))
        waiting = voucher.checkouts.filter(
            status__in=[CheckoutStatus.WANTED, CheckoutStatus.OPEN], expires_at__gt=now
        )
        checkout = waiting.order_by("-pk").first() or begin(
            Checkout(
                voucher=voucher,
                purpose="voucher",
                description=_("Gift voucher"),
                amount=voucher.amount,
                currency=voucher.currency,
                idempotency_key=f"checkout-{uuid4().hex}",
                expires_at=now + BALANCE_LINK,
                created_at=now,
            ),
            by=WORKER,
            now=now,
        )
    if checkout.status == CheckoutStatus.OPEN:
        return checkout.url
    try:
        return _open(checkout, now=now).url
    except gateway.GatewayRefused as refusal:
        move(Checkout, checkout.pk, "fail", by=STRIPE, now=now, reason=refusal.detail[:500])
        raise


def _wanted(
    booking_id: int, purpose: str, *, extra_id: int | None, return_path: str, now: datetime
) -> Checkout:
    """The row that states that a page is wanted, committed before Stripe hears of it."""
    with transaction.atomic():
        extra: BookingExtra | None = None
        if purpose == "booking":
            booking = held(booking_id, now=now)
            _need_details(booking)
            if not still_stands(booking, now=now):  # better said before than paid back after
                raise NotKept
            amount, expires_at = due_now(booking), now + CHECKOUT_HOLD
        else:
            booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
            if booking.status != BookingStatus.CONFIRMED:
                raise NotNow(_("There is nothing to pay for this booking."))
            expires_at = now + BALANCE_LINK
            if purpose == "extra":
                extra = booking.extras.filter(pk=extra_id or 0, status=ExtraStatus.PROPOSED).first()
                amount = extra.total if extra else 0
            else:
                amount = balance(booking).due
        if not amount:
            raise NotNow(_("There is nothing to pay for this booking."))
        found = (
            booking.checkouts.filter(
                purpose=purpose,
                extra=extra,
                amount=amount,
                status__in=[CheckoutStatus.WANTED, CheckoutStatus.OPEN],
                expires_at__gt=now,
            )
            .order_by("-pk")
            .first()
        )
        if found is not None:
            return found
        if purpose == "booking" and booking.hold_extended_at is None:
            # never shorter: an offer of the waiting list holds its time for longer than a payment page is open
            booking.hold_expires_at = max(booking.hold_expires_at or expires_at, expires_at)
            booking.hold_extended_at = now
            booking.save(update_fields=["hold_expires_at", "hold_extended_at"])
        return begin(
            Checkout(
                booking=booking,
                purpose=purpose,
                extra=extra,
                return_path=return_path,
                description=_described(booking, purpose, extra, amount)[:250],
                amount=amount,
                currency=booking.currency,
                idempotency_key=f"checkout-{uuid4().hex}",
                expires_at=expires_at,
                created_at=now,
            ),
            by=WORKER,
            now=now,
        )


def _open(checkout: Checkout, *, now: datetime) -> Checkout:
    """Have Stripe make the page (again, if the answer was lost) and write down its address.

    Every value comes from rows, so that a repeated call says the same.
    """
    what = checkout.voucher or checkout.booking
    assert what is not None
    payer = what.buyer if isinstance(what, Voucher) else what.payer
    assert payer is not None
    own_page = reverse("vouchers") if isinstance(what, Voucher) else reverse("booking", args=[what.public_id])
    page = settings.SITE_URL + (checkout.return_path or own_page)
    session = gateway.create_checkout(
        public_id=what.public_id,
        amount=checkout.amount,
        currency=checkout.currency,
        description=checkout.description or _("Your session"),  # a row from before it was kept
        email=payer.email,
        success_url=f"{page}?paid=1",
        cancel_url=page,
        expires_at=checkout.expires_at,
        idempotency_key=checkout.idempotency_key,
        metadata={"checkout": checkout.public_id},
    )
    return adopt(checkout, session, now=now)


def _described(booking: Booking, purpose: str, extra: BookingExtra | None, amount: int) -> str:
    """What the payment page says is paid: the session, or which part of its price and what is open after it."""
    if extra is not None:
        return extra.label
    have, session = balance(booking), booking.session_type.name
    if have.due > amount:
        facts = {"session": session, "later": money(have.due - amount, booking.currency)}
        return _("%(session)s, deposit (%(later)s is open until the session)") % facts
    if purpose == "balance" and have.kept:
        return _("%(session)s, what was still open") % {"session": session}
    return session


def adopt(checkout: Checkout, session: gateway.CheckoutSession, *, now: datetime) -> Checkout:
    """Write down the page Stripe made for a row. Whoever comes second finds it written."""
    try:
        moved = move(
            Checkout, checkout.pk, "opened", by=STRIPE, now=now, session_id=session.id, url=session.url
        )
    except MoveRefused:
        Checkout.objects.filter(pk=checkout.pk, session_id=None).update(
            session_id=session.id, url=session.url
        )
        moved = None
    return moved or Checkout.objects.get(pk=checkout.pk)


def _need_details(booking: Booking) -> None:
    if booking.payer_id is None or booking.policy_accepted_at is None:
        raise NotNow(_("Please fill in your name and e-mail first."))


# --- closing pages ------------------------------------------------------------------------------------------


def close_pages(*, now: datetime, limit: int = 50) -> int:
    """Expire at Stripe every page whose booking is over or whose time has come; settle what was paid meanwhile.

    Returns how many were closed. What Stripe does not answer is left to the next sweep.
    """
    from bookings.payments import settle

    over = (
        Q(expires_at__lte=now)
        | Q(booking__isnull=False) & ~Q(booking__status__in=ACTIVE_BOOKING)
        | Q(extra__status=ExtraStatus.DROPPED)
        | Q(voucher__status=VoucherStatus.VOID)
    )
    lapsed = Q(purpose="booking", booking__status=BookingStatus.HELD, booking__hold_expires_at__lte=now)
    pages = Checkout.objects.filter(over | lapsed, status=CheckoutStatus.OPEN).order_by("expires_at")
    closed = 0
    for checkout in pages[:limit]:
        assert checkout.session_id is not None
        try:
            session = gateway.expire_checkout(checkout.session_id)
            settle(checkout, session, now=now)
        except gateway.GatewayError as error:
            log.warning("Checkout %s could not be closed: %s", checkout.public_id, error)
            continue
        closed += 1
    return closed


def close_pages_of(*, booking_ids: Sequence[int], now: datetime) -> list[int]:
    """Expire at Stripe the open pages of these holds, so that nobody can pay there any more; settle what was paid.

    Returns those that were paid by then. A page that Stripe does not answer for stays, and with it its hold.
    """
    from bookings.payments import settle

    if not booking_ids:
        return []
    pages = Checkout.objects.filter(booking__in=booking_ids, status=CheckoutStatus.OPEN)
    for checkout in pages.order_by("pk"):
        assert checkout.session_id is not None
        try:
            settle(checkout, gateway.expire_checkout(checkout.session_id), now=now)
        except gateway.GatewayError as error:
            log.warning("Checkout %s could not be closed: %s", checkout.public_id, error)
    paid = Checkout.objects.filter(booking__in=booking_ids, status=CheckoutStatus.PAID)
    return list(paid.order_by("pk").values_list("booking", flat=True).distinct())


def recover(*, now: datetime) -> int:
    """Find out about pages whose answer was lost: make the same call again, with the same key.

    Stripe answers with the page it made, or refuses because it never made one and the time is past.
    """
    lost = Checkout.objects.filter(status=CheckoutStatus.WANTED, created_at__lte=now - LOST_ANSWER)
    found = 0
    for checkout in lost.select_related("booking__payer", "booking__session_type", "voucher__buyer")[:50]:
        try:
            _open(checkout, now=now)
        except gateway.GatewayUnavailable:
            return found
        except gateway.GatewayRefused as refusal:
            move(Checkout, checkout.pk, "fail", by=STRIPE, now=now, reason=refusal.detail[:500])
        else:
            found += 1
    return found
