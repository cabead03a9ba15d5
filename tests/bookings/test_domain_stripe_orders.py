"""What Stripe says wins, in whatever order its bells ring; and money in currencies with no or three decimals."""

import json
from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from bookings import charges, checkout, disputes, holds, invariants, lifecycle, payments, vouchers, webhooks
from bookings import stripe_gateway as gateway
from bookings.models import Payment, Refund
from bookings.statuses import BookingStatus, RefundStatus
from devtools.stripe_server import sign
from studio.actors import Actor, ActorKind
from studio.models import StatusChange
from studio.templatetags.studio_tags import money
from tests import factories

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=0)


def ready(now, *, currency="USD", price=18000, **fields):
    """A hold with its details, in a currency."""
    place = factories.location(currency=currency)
    factories.crew(place)
    kind = factories.session_type(locations=[place], price=price, horizon_days=90, **fields)
    starts_at = now.replace(hour=16, minute=0, second=0) + timedelta(days=14)
    starts_at += timedelta(days=(1 - starts_at.weekday()) % 7)  # a Tuesday morning in Chicago
    booking = holds.place(
        session_type_id=kind.pk, location_id=place.pk, add_ons={}, starts_at=starts_at, form_token=uuid4(), by=GUEST,
        now=now,
    )  # fmt: skip
    return checkout.take_details(
        booking_id=booking.pk, name="Robin", email="r@x.example", policy_accepted=True, by=GUEST, now=now
    )


def page_of(booking, now):
    checkout.open_checkout(booking_id=booking.pk, now=now)
    return booking.checkouts.latest("pk")


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_every_order_and_doubling_of_payment_refund_and_dispute_ends_in_stripes_state(
    stripe, now, every: int
) -> None:
    """All 120 orders in `make slow`; each seventh of them, 18, in every run."""
    booking = ready(now)
    page = page_of(booking, now)
    stripe.pay(page.session_id)
    intent = gateway.fetch_checkout(page.session_id).payment_intent
    gateway.refund(payment_intent=intent, amount=5000, idempotency_key="dashboard")
    stripe.dispute_becomes(stripe.dispute(intent), "lost")
    heard = (
        "checkout.session.completed",
        "payment_intent.succeeded",
        "refund.created",
        "charge.dispute.created",
        "charge.dispute.closed",
    )
    bells = [event for event in stripe.events() if event["type"] in heard]
    assert [event["type"] for event in bells] == [
        "payment_intent.succeeded",
        "checkout.session.completed",
        "refund.created",
        "charge.dispute.created",
        "charge.dispute.closed",
    ]
    orders = list(permutations(json.dumps(event).encode() for event in bells))
    assert len(orders) == 120
    for order in orders[::every]:
        with transaction.atomic():
            for payload in [*order, *order]:
                webhooks.receive(payload=payload, signature=sign(payload, stripe.webhook_secret), now=now)
                while webhooks.handle_next(now=now):
                    pass
            payments.reconcile(now=now)
            disputes.look_again(now=now)
            booking.refresh_from_db()
            assert booking.status == BookingStatus.CONFIRMED
            assert [row.amount for row in Payment.objects.all()] == [18000]
            back = sorted(Refund.objects.values_list("amount", "status"))
            assert back == [(5000, RefundStatus.DONE), (13000, RefundStatus.DONE)]
            assert (booking.price, payments.balance(booking).due) == (0, 0)  # a gift, not a debt
            assert list(invariants.money_stripe_sees_otherwise(now)) == []
            transaction.set_rollback(True)


def test_what_is_given_back_by_hand_is_neither_owed_again_nor_a_second_refund(stripe, now) -> None:
    booking = ready(now)
    page = page_of(booking, now)
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    intent = gateway.fetch_checkout(page.session_id).payment_intent
    charges.add_extra(booking_id=booking.pk, label="Print", amount=2000, by=STAFF, now=now)
    gift = gateway.refund(payment_intent=intent, amount=5000, idempotency_key="by hand")
    for _twice in range(2):
        payments.sync_refund(gateway_id=gift.id, now=now)
    booking.refresh_from_db()
    assert (booking.price, payments.balance(booking).due) == (15000, 2000)  # what was open stays open
    assert StatusChange.objects.filter(verb="given_back", object_id=booking.pk).count() == 1

    quoted = lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=now)
    Refund.objects.filter(status=RefundStatus.DUE).update(status=RefundStatus.FAILED)
    again = gateway.refund(payment_intent=intent, amount=quoted.amount, idempotency_key="sent again by hand")
    payments.sync_refund(gateway_id=again.id, now=now)
    assert sorted(Refund.objects.values_list("amount", "status")) == [
        (5000, RefundStatus.DONE),
        (13000, RefundStatus.DONE),
    ]


@pytest.mark.parametrize(
    ("currency", "price", "deposit", "shown"),
    [("JPY", 25001, 12501, "¥12,501"), ("KWD", 12350, 6180, "KWD\xa06.180"), ("ISK", 1250100, 625100, None)],
)  # fmt: skip
def test_other_decimals_are_paid_and_half_refunded_exactly(
    stripe, now, currency, price, deposit, shown
) -> None:
    booking = ready(now, currency=currency, price=price, payment_plan="deposit_percent", deposit=50)
    assert booking.due_now == deposit
    assert shown is None or money(deposit, currency) == shown
    page = page_of(booking, now)
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    booking.refresh_from_db()
    quoted = lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=booking.starts_at - timedelta(hours=30))
    assert quoted.amount in ((deposit + 1) // 2, -(-deposit // 20) * 10, -(-deposit // 200) * 100)
    assert payments.send_next_refund(now=booking.starts_at)
    assert [(found.amount, found.currency) for found in gateway.list_refunds()] == [
        (quoted.amount, currency.lower())
    ]


def test_a_page_paid_after_a_voucher_paid_a_part_gives_the_surplus_back(stripe, now) -> None:
    booking = ready(now)
    page = page_of(booking, now)
    gift = vouchers.issue(
        amount=10000, currency="USD", recipient_name="Z", recipient_email="z@x.example", reason="Gift", by=STAFF,
        now=now,
    )  # fmt: skip
    vouchers.redeem(booking_id=booking.pk, code=gift.code, by=GUEST, now=now)
    smaller = page_of(booking, now)
    assert (page.amount, smaller.amount) == (18000, 8000)
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    balance = payments.balance(type(booking).objects.get(pk=booking.pk))
    assert (balance.kept, balance.due) == (18000, 0)
    assert Refund.objects.get(status=RefundStatus.DUE).amount == 10000


def test_money_for_a_voucher_that_nobody_told_of_is_found(stripe, now) -> None:
    place = factories.location()
    voucher = vouchers.order(
        location_id=place.pk, amount=5000, buyer_name="A", buyer_email="a@x.example", recipient_name="B",
        recipient_email="b@x.example", form_token=uuid4(), by=GUEST, now=now,
    )  # fmt: skip
    checkout.open_voucher_page(voucher_id=voucher.pk, now=now)
    stripe.pay(voucher.checkouts.get().session_id)
    assert payments.reconcile(now=now) == 1
    voucher.refresh_from_db()
    assert voucher.status == "issued"


def test_the_answer_of_a_vouchers_page_is_lost_and_it_is_charged_once(stripe, now) -> None:
    place = factories.location()
    voucher = vouchers.order(
        location_id=place.pk, amount=5000, buyer_name="A", buyer_email="a@x.example", recipient_name="B",
        recipient_email="b@x.example", form_token=uuid4(), by=GUEST, now=now,
    )  # fmt: skip
    stripe.fault("act_then_cut", match="POST /v1/checkout/sessions", times=10)
    with pytest.raises(gateway.GatewayUnavailable):
        checkout.open_voucher_page(voucher_id=voucher.pk, now=now)
    stripe.behave()
    url = checkout.open_voucher_page(voucher_id=voucher.pk, now=now)
    assert url == voucher.checkouts.get().url
    assert len(gateway.list_checkouts(now - timedelta(days=1))) == 1
