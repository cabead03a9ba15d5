"""A client asks their bank for the money back: who is told, until when, and what the ledger says at the end."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from bookings import (
    charges,
    checkout,
    disputes,
    forgetting,
    holds,
    invariants,
    invoices,
    lifecycle,
    payments,
    vouchers,
    webhooks,
)
from bookings import stripe_gateway as gateway
from bookings.models import Booking, Checkout, Dispute, Invoice, Refund, Voucher
from bookings.statuses import BookingStatus, DisputeStatus, RefundStatus
from devtools.stripe_server import StripeControl, sign
from studio.actors import Actor, ActorKind
from studio.models import LegalEntity, Message, Role, StatusChange, WebhookEvent
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


def bought_voucher(paid: Booking, stripe: StripeControl, now) -> Voucher:
    """A voucher over 50.00 that somebody bought by card."""
    voucher = vouchers.order(
        location_id=paid.location_id, amount=5000, buyer_name="A", buyer_email="a@x.example", recipient_name="B",
        recipient_email="b@x.example", form_token=uuid4(), by=GUEST, now=now,
    )  # fmt: skip
    checkout.open_voucher_page(voucher_id=voucher.pk, now=now)
    stripe.pay(voucher.checkouts.get().session_id)
    payments.reconcile(now=now)
    voucher.refresh_from_db()
    return voucher


def intent_for(voucher: Voucher) -> str:
    return str(voucher.allocations.get(payment__isnull=False).payment.gateway_id)


@pytest.mark.parametrize("is_spent", [False, True])
def test_a_voucher_whose_buyer_took_the_money_back_is_void_unless_it_was_spent(
    paid, stripe, now, is_spent
) -> None:
    voucher = bought_voucher(paid, stripe, now)
    if is_spent:
        charges.add_extra(booking_id=paid.pk, label="Print", amount=2000, by=STAFF, now=now)
        payments.pay_by_voucher(booking_id=paid.pk, code=voucher.code, by=GUEST, now=now)
    stripe.dispute_becomes(stripe.dispute(intent_for(voucher)), "lost")
    ring(stripe, now)
    voucher.refresh_from_db()
    assert voucher.status == ("issued" if is_spent else "void")
    assert voucher.code in told("desk_dispute_ended")[0].body_text
    assert_as_at_stripe(now)


def test_a_voucher_paid_twice_stays_valid_when_the_second_payment_is_taken_back(paid, stripe, now) -> None:
    voucher = bought_voucher(paid, stripe, now)
    first = voucher.checkouts.get()
    again = Checkout.objects.create(
        voucher=voucher, amount=5000, currency="USD", created_at=now, expires_at=now, idempotency_key="again"
    )
    intent = gateway.fetch_checkout(first.session_id).payment_intent
    payment = payments.receive(checkout_id=again.pk, payment_intent="pi_second", now=now)
    assert payment is not None
    found = gateway.fetch_dispute(stripe.dispute(intent))
    disputes.note_dispute(replace(found, payment_intent="pi_second", status="lost"), now=now)
    voucher.refresh_from_db()
    assert (voucher.status, payment.refunds.get().status) == ("issued", RefundStatus.DONE)


# --- won after all ------------------------------------------------------------------------------------------


def lost(payment_intent: str, stripe: StripeControl, now, **how: int) -> str:
    dispute_id = stripe.dispute(payment_intent, **how)
    stripe.dispute_becomes(dispute_id, "lost")
    ring(stripe, now)
    return dispute_id


def test_money_an_appeal_brings_back_is_paid_again_and_on_the_price_again(paid, stripe, now, client) -> None:
    charges.add_extra(booking_id=paid.pk, label="Print", amount=2000, by=STAFF, now=now)
    dispute_id = lost(intent_of(paid), stripe, now)
    as_lost = gateway.fetch_dispute(dispute_id)
    stripe.dispute_becomes(dispute_id, "won")
    ring(stripe, now)
    disputes.note_dispute(as_lost, now=now)  # fetched before, written after
    disputes.look_again(now=now)
    paid.refresh_from_db()
    refund = Refund.objects.get()
    assert (refund.status, refund.returned_at, refund.dispute) == ("returned", now, Dispute.objects.get())
    assert [row.amount for row in refund.allocations.order_by("pk")] == [-18000, 18000]
    assert Dispute.objects.get().status == DisputeStatus.WON
    assert payments.balance(paid) == payments.Balance(price=20000, paid=18000, refunded=0, due=2000)
    (mail,) = told("desk_dispute_won_after_all")
    assert "The bank gave you back $180 of Robin" in mail.subject
    assert (
        "$180 is on the price again, and paid. If you had put it on the booking as an extra" in mail.body_text
    )
    assert "promised" not in mail.body_text
    assert "has to go back" not in "".join(forgetting.hindrances(paid.payer, now=now))
    sign_in(client, factories.user(Role.OWNER))
    page = client.get(reverse("desk_booking", args=[paid.public_id])).content.decode()
    assert (
        page.count("Given back by the bank, ") == page.count("Taken back by the client&#x27;s bank</dt>") == 1
    )
    assert "Given back by the client&#x27;s bank: $180 is on the price again." in page
    assert_as_at_stripe(now)
    lifecycle.cancel(booking_id=paid.pk, by=STAFF, now=now, full_refund=True)
    assert payments.send_next_refund(now=now)
    assert payments.balance(paid).kept == 0
    assert_as_at_stripe(now)


@pytest.mark.parametrize("seen", [*product(("bells", "sweep", "never"), repeat=2)])
def test_whatever_was_seen_of_a_dispute_that_was_lost_first_it_ends_in_stripes_state(
    paid, stripe, now, seen
) -> None:
    look = {
        "bells": lambda: ring(stripe, now),
        "sweep": lambda: disputes.look_again(now=now),
        "never": lambda: None,
    }
    dispute_id = stripe.dispute(intent_of(paid))
    look[seen[0]]()
    stripe.dispute_becomes(dispute_id, "lost")
    look[seen[1]]()
    stripe.dispute_becomes(dispute_id, "won")
    disputes.look_again(now=now)
    ring(stripe, now)
    paid.refresh_from_db()
    assert Dispute.objects.get().status == DisputeStatus.WON
    assert payments.balance(paid) == payments.Balance(price=18000, paid=18000, refunded=0, due=0)
    assert len(told("desk_dispute_ended")) + len(told("desk_dispute_won_after_all")) == 1 + (
        seen[1] != "never"
    )
    assert_as_at_stripe(now)


def test_an_appeal_is_found_months_later_and_after_a_year_by_its_bell_or_by_verify(paid, stripe, now) -> None:
    dispute_id = lost(intent_of(paid), stripe, now)
    stripe.dispute_becomes(dispute_id, "won")
    with transaction.atomic():
        disputes.look_again(now=now + timedelta(days=300))
        assert Dispute.objects.get().status == DisputeStatus.WON
        transaction.set_rollback(True)
    disputes.look_again(now=now + timedelta(days=400))
    assert list(invariants.money_stripe_sees_otherwise(now)) == [
        f"dispute {dispute_id}: 18000 with us, None lost at Stripe"
    ]
    ring(stripe, now)
    assert_as_at_stripe(now)


def test_a_refund_of_ours_that_was_that_money_is_promised_again(paid, stripe, now) -> None:
    dispute_id = stripe.dispute(intent_of(paid))
    lifecycle.cancel(booking_id=paid.pk, by=GUEST, now=now)
    assert payments.send_next_refund(now=now)
    stripe.dispute_becomes(dispute_id, "lost")
    ring(stripe, now)
    refund = Refund.objects.get()
    assert (refund.status, refund.dispute) == (RefundStatus.DONE, Dispute.objects.get())
    stripe.dispute_becomes(dispute_id, "won")
    ring(stripe, now)
    refund.refresh_from_db()
    assert (refund.status, refund.dispute, payments.balance(paid).kept) == (RefundStatus.FAILED, None, 0)
    (mail,) = told("desk_dispute_won_after_all")
    assert "$180 had been promised to the client anyway" in mail.body_text
    assert "nothing goes back by itself" not in mail.body_text
    assert payments.try_again(refund_id=refund.pk, by=STAFF, now=now)
    assert payments.send_next_refund(now=now)
    refund.refresh_from_db()
    assert (refund.status, refund.gateway_id) == (RefundStatus.DONE, gateway.list_refunds()[0].id)
    assert_as_at_stripe(now)


def test_a_late_word_that_our_refund_failed_does_not_undo_what_the_bank_took(paid, stripe, now) -> None:
    lifecycle.cancel(booking_id=paid.pk, by=GUEST, now=now)
    assert payments.send_next_refund(now=now)
    bounced = replace(gateway.list_refunds()[0], status="failed")
    payments.note_refund(bounced, now=now)
    lost(intent_of(paid), stripe, now, amount=18000)
    payments.note_refund(bounced, now=now)
    assert [(row.status, row.dispute_id is None) for row in Refund.objects.all()] == [
        (RefundStatus.DONE, False)
    ]


def test_a_session_that_was_cancelled_meanwhile_is_left_to_a_person(paid, stripe, now) -> None:
    dispute_id = lost(intent_of(paid), stripe, now)
    lifecycle.cancel(booking_id=paid.pk, by=GUEST, now=now)
    stripe.dispute_becomes(dispute_id, "won")
    ring(stripe, now)
    paid.refresh_from_db()
    assert payments.balance(paid) == payments.Balance(price=0, paid=18000, refunded=0, due=0)
    assert "nothing goes back by itself" in told("desk_dispute_won_after_all")[0].body_text
    assert_as_at_stripe(now)


def test_what_came_back_beyond_a_price_that_fell_meanwhile_goes_to_the_client(paid, stripe, now) -> None:
    dispute_id = lost(intent_of(paid), stripe, now)
    Booking.objects.filter(pk=paid.pk).update(session_fee=10000)
    charges.reprice(booking_id=paid.pk, reason="Shorter", once="shorter", by=STAFF, now=now)
    stripe.dispute_becomes(dispute_id, "won")
    ring(stripe, now)
    paid.refresh_from_db()
    assert payments.balance(paid) == payments.Balance(price=10000, paid=18000, refunded=8000, due=0)
    assert payments.send_next_refund(now=now)
    assert [found.amount for found in gateway.list_refunds()] == [8000]
    assert_as_at_stripe(now)


def test_a_payment_that_was_won_back_can_be_lost_to_another_dispute(paid, stripe, now) -> None:
    stripe.dispute_becomes(lost(intent_of(paid), stripe, now), "won")
    ring(stripe, now)
    lost(intent_of(paid), stripe, now, amount=7000)
    paid.refresh_from_db()
    assert payments.balance(paid) == payments.Balance(price=11000, paid=18000, refunded=7000, due=0)
    assert_as_at_stripe(now)


def test_the_papers_say_what_came_back(paid, stripe, now) -> None:
    paid.location.entity = LegalEntity.objects.create(name="Northlight", address="1 High St", country="US")
    paid.location.save()

    def written() -> list[int]:
        while invoices.issue_next(now=now + timedelta(days=2)):
            pass
        return [paper.total for paper in Invoice.objects.order_by("pk")]

    Booking.objects.filter(pk=paid.pk).update(invoice_due_at=now)
    assert written() == [18000]
    dispute_id = lost(intent_of(paid), stripe, now)
    assert written() == [18000, -18000]
    stripe.dispute_becomes(dispute_id, "won")
    ring(stripe, now + timedelta(days=2))
    assert written() == [18000, -18000, 18000]
    last = Invoice.objects.latest("pk")
    assert [line["label"] for line in last.lines] == ["No longer taken off"]
    assert [moved["amount"] for moved in last.payments] == [18000, -18000, 18000]
    assert (last.payments[1]["on"], last.payments[2]["on"]) == (
        now.astimezone(ZoneInfo(paid.location.zone)).date().isoformat(),
        last.issued_on.isoformat(),
    )
    assert last.was_paid
    assert list(invariants.papers_with_gaps(now)) == []


def test_a_voucher_is_valid_again_when_its_money_comes_back(paid, stripe, now) -> None:
    voucher = bought_voucher(paid, stripe, now)
    Voucher.objects.filter(pk=voucher.pk).update(expires_at=now + timedelta(days=1))
    dispute_id = lost(intent_for(voucher), stripe, now)
    stripe.dispute_becomes(dispute_id, "won")
    ring(stripe, now)
    voucher.refresh_from_db()
    assert (voucher.status, voucher.voided_at, voucher.left) == ("issued", None, 5000)
    assert voucher.expires_at == now + timedelta(days=90)
    assert "The voucher is valid, with $50 on it." in told("desk_dispute_won_after_all")[0].body_text
    assert_as_at_stripe(now)
    assert vouchers.void(voucher_id=voucher.pk, reason="Asked for", by=STAFF, now=now) == 5000
    assert payments.send_next_refund(now=now)
    assert_as_at_stripe(now)


def test_a_voucher_stays_void_that_the_studio_took_back_or_another_bank_has(paid, stripe, now) -> None:
    ours, theirs = bought_voucher(paid, stripe, now), bought_voucher(paid, stripe, now)
    taken = stripe.dispute(intent_for(ours))
    vouchers.void(voucher_id=ours.pk, reason="Asked for", by=STAFF, now=now)
    assert payments.send_next_refund(now=now)
    stripe.dispute_becomes(taken, "lost")
    first = stripe.dispute(intent_for(theirs), amount=2000)
    for dispute_id in (first, stripe.dispute(intent_for(theirs), amount=3000)):
        stripe.dispute_becomes(dispute_id, "lost")
    ring(stripe, now)
    for dispute_id in (taken, first):
        stripe.dispute_becomes(dispute_id, "won")
    ring(stripe, now)
    ours.refresh_from_db()
    theirs.refresh_from_db()
    assert (ours.status, theirs.status) == ("void", "void")
    assert Refund.objects.get(payment__allocations__voucher=ours).status == RefundStatus.FAILED
