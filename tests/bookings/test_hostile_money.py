"""Money as a stranger tries it: what fails and is sent again, what rounds, what is open in another tab."""

from datetime import timedelta

import pytest
from django.utils import timezone

from bookings import lifecycle, payments
from bookings import stripe_gateway as gateway
from bookings.models import Refund
from bookings.statuses import RefundStatus
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
