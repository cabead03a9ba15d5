"""A client asks their bank for the money back: who is told, until when, and what the ledger says at the end."""

import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from bookings import (
    charges,
    checkout,
    disputes,
    forgetting,
    holds,
    invariants,
    lifecycle,
    payments,
    vouchers,
    webhooks,
)
from bookings import stripe_gateway as gateway
from bookings.models import Booking, Dispute, Refund
from bookings.statuses import BookingStatus, DisputeStatus, RefundStatus
from devtools.stripe_server import StripeControl, sign
from studio.actors import Actor, ActorKind
from studio.models import Message, Role, StatusChange, WebhookEvent
from studio.templatetags.studio_tags import local
from tests import factories
from tests.galleries.making import sign_in

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def paid(stripe, now) -> Booking:
    """A confirmed booking, 180.00 paid by card."""
    factories.studio(email="desk@studio.example")
    place = factories.location()
    factories.crew(place)
    kind = factories.session_type(locations=[place], price=18000, horizon_days=90)
    starts_at = now.replace(hour=16, minute=0, second=0) + timedelta(days=14)
    starts_at += timedelta(days=(1 - starts_at.weekday()) % 7)
    booking = holds.place(
        session_type_id=kind.pk, location_id=place.pk, add_ons={}, starts_at=starts_at, form_token=uuid4(), by=GUEST,
        now=now,
    )  # fmt: skip
    checkout.take_details(
        booking_id=booking.pk, name="Robin", email="r@x.example", policy_accepted=True, by=GUEST, now=now
    )
    checkout.open_checkout(booking_id=booking.pk, now=now)
    page = booking.checkouts.get()
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    booking.refresh_from_db()
    assert booking.status == BookingStatus.CONFIRMED
    return booking


def intent_of(booking: Booking) -> str:
    return str(booking.allocations.get(payment__isnull=False).payment.gateway_id)


def ring(stripe: StripeControl, now) -> None:
    """Every bell about disputes, each twice."""
    for event in [e for e in stripe.events() if e["type"].startswith("charge.dispute.")] * 2:
        payload = json.dumps(event).encode()
        webhooks.receive(payload=payload, signature=sign(payload, stripe.webhook_secret), now=now)
    while webhooks.handle_next(now=now):
        pass
    assert not WebhookEvent.objects.filter(handled_at=None).exists()


def told(name: str) -> list[Message]:
    return list(Message.objects.filter(name=name).order_by("pk"))


def assert_as_at_stripe(now) -> None:
    later = now + timedelta(hours=1)
    assert list(invariants.money_stripe_sees_otherwise(later)) == []
    assert list(invariants.money_not_allocated(later)) == []
    assert list(invariants.prices_that_do_not_add_up(later)) == []
    assert list(invariants.vouchers_and_codes(later)) == []


def test_the_desk_is_told_once_with_amount_booking_reason_and_deadline(paid, stripe, now, client) -> None:
    dispute_id = stripe.dispute(intent_of(paid), reason="product_not_received")
    ring(stripe, now)
    (mail,) = told("desk_dispute")
    answer_by = gateway.fetch_dispute(dispute_id).answer_by
    for words in (
        "$180",
        "Robin",
        "did not get what they paid for",
        f"before {local(answer_by, paid.location)}",
        reverse("desk_booking", args=[paid.public_id]),
        f"https://dashboard.stripe.com/test/payments/{intent_of(paid)}",
        "The bank has taken the money",
    ):
        assert words in mail.subject + mail.body_text
    assert mail.to_address == "desk@studio.example"
    assert (Dispute.objects.get().status, Refund.objects.count()) == (DisputeStatus.OPEN, 0)
    assert payments.balance(paid).kept == 18000
    assert StatusChange.objects.filter(verb="disputed", object_id=paid.pk).count() == 1
    assert "has not decided" in " ".join(forgetting.hindrances(paid.payer, now=now))

    sign_in(client, factories.user(Role.OWNER))
    page = client.get(reverse("desk")).content.decode()
    assert "Robin asked their bank for $180 back" in page
    assert "before " + local(answer_by, paid.location) in page
    assert "Payment disputed" in client.get(reverse("desk_booking", args=[paid.public_id])).content.decode()

    stripe.dispute_becomes(dispute_id, "under_review")
    ring(stripe, now)
    assert "asked their bank" not in client.get(reverse("desk")).content.decode()
    assert len(told("desk_dispute")) == 1


def test_a_lost_dispute_is_money_given_back_that_nobody_owes_again(paid, stripe, now) -> None:
    charges.add_extra(booking_id=paid.pk, label="Print", amount=2000, by=STAFF, now=now)
    dispute_id = stripe.dispute(intent_of(paid))
    ring(stripe, now)
    stripe.dispute_becomes(dispute_id, "lost")
    ring(stripe, now)
    paid.refresh_from_db()
    refund = Refund.objects.get()
    assert (refund.amount, refund.status, refund.dispute) == (18000, RefundStatus.DONE, Dispute.objects.get())
    assert (paid.price, payments.balance(paid).due) == (2000, 2000)  # what was open stays open
    (mail,) = told("desk_dispute_ended")
    assert "$180 came off the price" in mail.body_text
    assert "still booked" in mail.body_text
    assert_as_at_stripe(now)


def test_one_that_is_won_or_was_only_a_question_changes_nothing(paid, stripe, now) -> None:
    asked = stripe.dispute(intent_of(paid), is_inquiry=True)
    ring(stripe, now)
    assert "only asks so far" in told("desk_dispute")[0].body_text
    stripe.dispute_becomes(asked, "needs_response")  # it became more than a question: the desk hears of it
    ring(stripe, now)
    assert "has taken the money" in told("desk_dispute")[1].body_text
    stripe.dispute_becomes(asked, "won")
    other = stripe.dispute(intent_of(paid), is_inquiry=True)
    ring(stripe, now)
    stripe.dispute_becomes(other, "warning_closed")
    ring(stripe, now)
    assert sorted(Dispute.objects.values_list("status", flat=True)) == ["closed", "won"]
    assert len(told("desk_dispute_ended")) == 2
    paid.refresh_from_db()
    assert (paid.price, Refund.objects.count(), payments.balance(paid).kept) == (18000, 0, 18000)
    assert_as_at_stripe(now)


def test_a_refund_that_was_refused_meanwhile_is_the_money_the_bank_took(paid, stripe, now) -> None:
    dispute_id = stripe.dispute(intent_of(paid))
    ring(stripe, now)
    lifecycle.cancel(booking_id=paid.pk, by=GUEST, now=now)
    promised = Refund.objects.get()
    assert payments.send_next_refund(now=now)
    promised.refresh_from_db()
    assert promised.status == RefundStatus.FAILED
    stripe.dispute_becomes(dispute_id, "lost")
    ring(stripe, now)
    assert sum(Refund.objects.filter(status=RefundStatus.DONE).values_list("amount", flat=True)) == 18000
    assert not Refund.objects.exclude(status=RefundStatus.DONE).exists()
    assert_as_at_stripe(now)


def test_a_part_that_is_lost_after_a_part_was_given_back(paid, stripe, now) -> None:
    gateway.refund(payment_intent=intent_of(paid), amount=5000, idempotency_key="by hand")
    payments.reconcile(now=now)
    stripe.dispute_becomes(stripe.dispute(intent_of(paid), amount=4000), "lost")
    ring(stripe, now)
    paid.refresh_from_db()
    assert (paid.price, payments.balance(paid).kept, payments.balance(paid).due) == (9000, 9000, 0)
    assert_as_at_stripe(now)


@pytest.mark.parametrize("before", [5000, 18000])
def test_what_was_given_back_before_is_not_lost_once_more(paid, stripe, now, before: int) -> None:
    gateway.refund(payment_intent=intent_of(paid), amount=before, idempotency_key="by hand")
    payments.reconcile(now=now)
    stripe.dispute_becomes(
        stripe.dispute(intent_of(paid), amount=18000), "lost"
    )  # the bank disputes the whole
    ring(stripe, now)
    paid.refresh_from_db()
    assert (
        sum(Refund.objects.filter(dispute__isnull=False).values_list("amount", flat=True)) == 18000 - before
    )
    assert (paid.price, payments.balance(paid).kept, payments.balance(paid).due) == (0, 0, 0)
    assert_as_at_stripe(now)


def test_a_dispute_no_event_told_of_is_found_and_followed_to_its_end(paid, stripe, now) -> None:
    dispute_id = stripe.dispute(intent_of(paid))
    disputes.look_again(now=now)
    assert len(told("desk_dispute")) == 1
    stripe.dispute_becomes(dispute_id, "lost")
    disputes.look_again(now=now + timedelta(days=60))  # long out of Stripe's list of young ones
    assert Dispute.objects.get().status == DisputeStatus.LOST
    assert_as_at_stripe(now)


def test_somebody_elses_dispute_and_another_currency_write_nothing(paid, stripe, now) -> None:
    found = gateway.fetch_dispute(stripe.dispute(intent_of(paid)))
    disputes.note_dispute(replace(found, payment_intent="pi_of_a_shop"), now=now)
    assert (Dispute.objects.count(), told("desk_dispute")) == (0, [])
    with pytest.raises(payments.WrongMoney):
        disputes.note_dispute(replace(found, currency="eur", status="lost"), now=now)
    assert Refund.objects.count() == 0


@pytest.mark.parametrize("is_spent", [False, True])
def test_a_voucher_whose_buyer_took_the_money_back_is_void_unless_it_was_spent(
    paid, stripe, now, is_spent
) -> None:
    voucher = vouchers.order(
        location_id=paid.location_id, amount=5000, buyer_name="A", buyer_email="a@x.example", recipient_name="B",
        recipient_email="b@x.example", form_token=uuid4(), by=GUEST, now=now,
    )  # fmt: skip
    checkout.open_voucher_page(voucher_id=voucher.pk, now=now)
    stripe.pay(voucher.checkouts.get().session_id)
    payments.reconcile(now=now)
    voucher.refresh_from_db()
    if is_spent:
        charges.add_extra(booking_id=paid.pk, label="Print", amount=2000, by=STAFF, now=now)
        payments.pay_by_voucher(booking_id=paid.pk, code=voucher.code, by=GUEST, now=now)
    intent = voucher.allocations.get().payment.gateway_id
    stripe.dispute_becomes(stripe.dispute(intent), "lost")
    ring(stripe, now)
    voucher.refresh_from_db()
    assert voucher.status == ("issued" if is_spent else "void")
    assert voucher.code in told("desk_dispute_ended")[0].body_text
    assert_as_at_stripe(now)
