"""Money as a stranger tries it: what fails and is sent again, what rounds, what is open in another tab."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from bookings import checkout, codes, lifecycle, payments, vouchers
from bookings import stripe_gateway as gateway
from bookings.models import DiscountCode, Refund
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus, CheckoutStatus, RefundStatus
from bookings.views import HELD_HERE
from studio.actors import Actor, ActorKind
from tests.bookings.test_domain_payments import a_tuesday, details, hold, open_page

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def now():
    """Stripe's clock is the real one."""
    return timezone.now().replace(microsecond=0)


def held(kind, place, now, **fields):
    booking = hold(kind, place, now, **{"starts_at": a_tuesday(now, weeks=4)} | fields)
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
    assert (page.status, checkout.due_now(booking)) == (CheckoutStatus.EXPIRED, 18000)
    assert stripe.pay(page.session_id)["problem"] is not None
