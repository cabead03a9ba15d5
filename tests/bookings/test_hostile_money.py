"""Money as a stranger tries it: what fails and is sent again, what rounds, what is open in another tab."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import uuid4

import pytest
from django.db.models import Sum
from django.utils import timezone

from bookings import (
    allowances,
    changes,
    charges,
    codes,
    holds,
    invoices,
    ledger,
    lifecycle,
    payments,
    vouchers,
)
from bookings import stripe_gateway as gateway
from bookings.models import DiscountCode, Invoice, InvoiceKind, Placement, Refund, TaxRate
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus, CheckoutStatus, RefundStatus
from bookings.views import HELD_HERE
from studio.actors import Actor, ActorKind
from studio.models import LegalEntity
from tests import factories
from tests.bookings.test_domain_payments import a_tuesday, details, open_page

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def now():
    """Stripe's clock is the real one."""
    return timezone.now().replace(microsecond=0)


def held(kind, place, now, **fields):
    booking = holds.place(
        session_type_id=kind.pk, location_id=place.pk, form_token=uuid4(), by=GUEST, now=now,
        **{"starts_at": a_tuesday(now, weeks=4), "add_ons": {}} | fields,
    )  # fmt: skip
    details(booking, now)
    booking.refresh_from_db()
    return booking


# --- a refund that comes back from the bank --------------------------------------------------------------------


@pytest.fixture
def bounced(kind, place, now, stripe):
    """A refund Stripe took and the bank sent back half an hour later."""
    booking = held(kind, place, now)
    page = open_page(booking, now)
    stripe.pay(page.session_id, "refund_fails")
    payments.settle_checkout(checkout_id=page.pk, now=now)
    lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=now)
    payments.send_next_refund(now=now)
    refund = Refund.objects.get()
    stripe.advance(1800)
    payments.sync_refund(gateway_id=refund.gateway_id, now=now)
    refund.refresh_from_db()
    assert (refund.status, refund.last_error) == (RefundStatus.FAILED, "expired_or_canceled_card")
    return refund


def test_a_refund_the_bank_sent_back_is_really_sent_again(bounced, now):
    first = bounced.gateway_id
    payments.try_again(refund_id=bounced.pk, by=STAFF, now=now)
    payments.send_next_refund(now=now + timedelta(minutes=1))
    bounced.refresh_from_db()
    assert (bounced.status, bounced.gateway_id != first) == (RefundStatus.DONE, True)
    at_stripe = gateway.list_refunds(payment_intent=bounced.payment.gateway_id)
    assert [(found.id, found.status) for found in at_stripe] == [
        (bounced.gateway_id, "succeeded"),
        (first, "failed"),
    ]


def test_old_news_of_the_first_refund_does_not_stop_the_second(bounced, now):
    first = bounced.gateway_id
    payments.try_again(refund_id=bounced.pk, by=STAFF, now=now)
    payments.sync_refund(gateway_id=first, now=now)
    bounced.refresh_from_db()
    assert bounced.status == RefundStatus.DUE


def test_the_second_refund_is_sent_once_though_its_answer_is_lost(bounced, now, stripe):
    payments.try_again(refund_id=bounced.pk, by=STAFF, now=now)
    stripe.fault("act_then_cut", match="POST /v1/refunds", times=10)
    payments.send_next_refund(now=now)
    stripe.behave()
    stripe.advance(25 * 3600)
    payments.send_next_refund(now=now + timedelta(hours=25))
    at_stripe = gateway.list_refunds(payment_intent=bounced.payment.gateway_id)
    bounced.refresh_from_db()
    assert (len(at_stripe), bounced.gateway_id) == (2, at_stripe[0].id)


# --- a page in another tab that asks for less ------------------------------------------------------------------


def with_code(booking, now):
    DiscountCode.objects.create(code="NINETY", percent=90)
    codes.apply(booking_id=booking.pk, code="NINETY", by=GUEST, now=now)
    return partial(codes.take_off, booking_id=booking.pk, by=GUEST, now=now)


def with_a_dearer_code(booking, now):
    with_code(booking, now)
    DiscountCode.objects.create(code="FIVE", percent=5)
    return partial(codes.apply, booking_id=booking.pk, code="FIVE", by=GUEST, now=now)


def with_voucher(booking, now):
    given = vouchers.issue(
        amount=16000, currency="USD", recipient_name="Zoë", recipient_email="zoe@x.example", reason="A prize",
        by=STAFF, now=now,
    )  # fmt: skip
    vouchers.redeem(booking_id=booking.pk, code=given.code, by=GUEST, now=now)
    return partial(vouchers.take_off_hold, booking_id=booking.pk, by=GUEST, now=now)


@pytest.mark.parametrize("cheaper", [with_code, with_a_dearer_code, with_voucher])
def test_nothing_is_confirmed_for_a_price_that_was_taken_back(kind, place, now, stripe, cheaper):
    booking = held(kind, place, now)
    take_back = cheaper(booking, now)
    page = open_page(booking, now)
    with pytest.raises(NotNow, match="still open"):
        take_back()
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    booking.refresh_from_db()
    assert (booking.status, payments.balance(booking).due) == (BookingStatus.CONFIRMED, 0)


@pytest.mark.parametrize(("cheaper", "button"), [(with_code, "drop_code"), (with_voucher, "drop_voucher")])
def test_on_the_page_the_cheaper_payment_page_is_closed_first(
    kind, place, now, stripe, client, cheaper, button
):
    booking = held(kind, place, now)
    cheaper(booking, now)
    page = open_page(booking, now)
    session = client.session
    session[HELD_HERE] = [booking.public_id]
    session.save()
    assert client.post(f"/hold/{booking.public_id}/", {button: "1"}).status_code == 200
    booking.refresh_from_db()
    page.refresh_from_db()
    assert (page.status, ledger.due_now(booking)) == (CheckoutStatus.EXPIRED, 18000)
    assert stripe.pay(page.session_id)["problem"] is not None


# --- rounding --------------------------------------------------------------------------------------------------


def priced(now, *, rate, is_added, session, add_ons, currency="USD"):
    """A held booking at a firm with one rate for the session and, if named, others for its add-ons."""
    entity = LegalEntity.objects.create(
        name="Firm", address="Street", country="US", number_prefix="A-", is_tax_added=is_added
    )
    TaxRate.objects.create(entity=entity, name="Tax", percent=Decimal(rate))
    place = factories.location(entity=entity, currency=currency)
    factories.crew(place)
    rows = []
    for price, own_rate in add_ons:
        row = factories.add_on(price=price, placement=Placement.NO_TIME, minutes=0)
        if own_rate is not None:
            TaxRate.objects.create(entity=entity, name="Own", percent=Decimal(own_rate), add_on=row)
        rows.append(row)
    kind = factories.session_type(locations=[place], add_ons=rows, price=session, horizon_days=90)
    return held(kind, place, now, add_ons={row.pk: 1 for row in rows})


ROUNDED = [
    ("8.875", True, 20000, [(4500, None), (5500, None)], "USD"),  # three halves of a cent
    ("19", True, 20002, [(5002, None)], "USD"),
    ("10", True, 4, [(4, None), (6, None)], "JPY"),
    ("5", True, 12350, [(12350, None), (12350, None)], "KWD"),
    ("19", False, 5, [(5, None), (5, None)], "USD"),
    ("20", False, 1000, [(10000, "0")], "USD"),  # most of it is not taxed
    ("20", True, 1000, [(10000, "0"), (999, "7.7")], "USD"),
]


@pytest.mark.parametrize(("rate", "is_added", "session", "add_ons", "currency"), ROUNDED)
@pytest.mark.parametrize("percent", [100, 99, 50, 1])
def test_a_code_takes_a_price_to_nothing_and_never_below(
    now, rate, is_added, session, add_ons, currency, percent
):
    booking = priced(now, rate=rate, is_added=is_added, session=session, add_ons=add_ons, currency=currency)
    DiscountCode.objects.create(code="LESS", percent=percent)
    booking = codes.apply(booking_id=booking.pk, code="LESS", by=GUEST, now=now)
    assert percent < 100 or booking.price == 0
    assert 0 <= booking.tax <= booking.price
    assert sum(line.gross for line in charges.lines_of(booking)) == booking.price


@pytest.mark.parametrize(("rate", "is_added", "session", "add_ons", "currency"), ROUNDED)
def test_all_of_a_price_can_be_taken_off_and_the_papers_say_it(
    now, rate, is_added, session, add_ons, currency
):
    booking = priced(now, rate=rate, is_added=is_added, session=session, add_ons=add_ons, currency=currency)
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=booking.price, by=STAFF, now=now)
    parts = (booking.price // 3, booking.price)  # of all rates a part, then what is left
    for number, amount in enumerate(parts):
        allowances.take_off(
            booking_id=booking.pk, amount=amount, reason="Late", once=f"late:{number}", by=STAFF, now=now
        )
        while invoices.issue_next(now=now):
            pass
        booking.refresh_from_db()
        papers = Invoice.objects.filter(booking=booking).aggregate(total=Sum("total"), tax=Sum("tax"))
        assert papers == {"total": booking.price, "tax": booking.tax}
    assert (booking.price, booking.tax, payments.balance(booking).kept) == (0, 0, 0)


def test_a_discount_of_one_rate_is_not_written_as_that_of_another(now):
    """An add-on is dropped: the credit note takes back its discount, and leaves that of the next rate alone."""
    booking = priced(
        now, rate="20", is_added=False, session=10000, add_ons=[(3000, "10"), (2000, "5")], currency="USD"
    )
    DiscountCode.objects.create(code="HALF", percent=50)
    codes.apply(booking_id=booking.pk, code="HALF", by=GUEST, now=now)
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=7500, by=STAFF, now=now)
    while invoices.issue_next(now=now):
        pass
    rows = booking.add_ons.order_by("price")
    changes.change_add_ons(booking_id=booking.pk, add_ons={rows[0].add_on_id: 1}, by=STAFF, now=now)
    while invoices.issue_next(now=now):
        pass
    note = Invoice.objects.get(kind=InvoiceKind.CREDIT_NOTE)
    assert {(line["tax_percent"], line["gross"]) for line in note.lines} == {("10", -3000), ("10", 1500)}
