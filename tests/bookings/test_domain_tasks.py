"""The sweeps find what nobody rang for, and the invariants name what is broken by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from bookings import disputes, invariants, messages, tasks
from bookings import stripe_gateway as gateway
from bookings.models import Allocation, Booking, Claim, Payment, Refund
from bookings.statuses import BookingStatus, ShootStatus
from studio.models import Heartbeat, WebhookEvent
from studio.verification import invariants as all_invariants
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)


@pytest.fixture
def rung(monkeypatch):
    names: list[str] = []
    monkeypatch.setattr(tasks, "ring", lambda task: names.append(task.name))
    return names


def test_the_sweep_expires_completes_and_rings(kind, place, rung):
    now = timezone.now()
    lapsed = factories.booking(
        session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD, now=now - timedelta(hours=1)
    )
    over = factories.booking(session_type=kind, at=place, starts_at=now - timedelta(days=3))
    WebhookEvent.objects.create(
        event_id="evt_1", kind="checkout.session.completed", created_at=now, received_at=now, next_try_at=now
    )
    payment = factories.payment(over, amount=100)
    Refund.objects.create(
        payment=payment, amount=1, reason="r", once="o", created_at=now, next_try_at=now, actor_kind="user"
    )
    tasks.sweep()
    lapsed.refresh_from_db()
    assert lapsed.status == BookingStatus.EXPIRED
    assert over.shoots.get().status == ShootStatus.COMPLETED
    assert rung == [tasks.handle_webhooks.name, tasks.send_refunds.name]
    assert Heartbeat.objects.filter(name="bookings.sweep", beat_at__gte=now).exists()


def test_the_tasks_stand_in_the_schedule(settings):
    for task in (tasks.sweep, tasks.reconcile):
        assert task.name in settings.CELERY_BEAT_SCHEDULE


def test_quiet_hours_end_the_evening_before(place):
    night = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)  # 3:30 in Chicago
    evening = datetime(2026, 11, 24, 2, tzinfo=UTC)  # 20:00 the day before
    assert messages.awake(night, place) == evening
    assert messages.awake(datetime(2026, 11, 24, 3, tzinfo=UTC), place) == evening
    assert messages.awake(TEN, place) == TEN


# --- verify -------------------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch):
    """Stripe's own lists, to be filled by a test."""
    lists: dict[str, list[object]] = {"payments": [], "refunds": [], "disputes": []}
    monkeypatch.setattr(gateway, "list_payments", lambda since: lists["payments"])
    monkeypatch.setattr(gateway, "list_refunds", lambda created_after: lists["refunds"])
    monkeypatch.setattr(gateway, "list_disputes", lambda created_after: lists["disputes"])
    return lists


def broken():
    return [line for rule in all_invariants() if rule.code in ("I1", "I2") for line in rule.find(NOW)]


def at_stripe(payment):
    return gateway.Payment(
        id=payment.gateway_id,
        status="succeeded",
        amount_received=payment.amount,
        currency="usd",
        metadata={"checkout": "x"},
        created_at=NOW - timedelta(hours=1),
    )


def test_a_whole_house_breaks_no_invariant(kind, place, offline):
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN, is_paid=True)
    factories.booking(
        session_type=kind, at=place, starts_at=TEN + timedelta(hours=3), status=BookingStatus.EXPIRED
    )
    offline["payments"] = [at_stripe(booked.allocations.get().payment)]
    assert broken() == []


def test_i1_names_two_claims_on_one_resource(kind, place, offline):
    one = factories.booking(session_type=kind, at=place, starts_at=TEN).claims.earliest("pk")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE bookings_claim DROP CONSTRAINT nobody_in_two_places")
    two = Claim.objects.create(
        booking=one.booking,
        resource=one.resource,
        starts_at=one.starts_at,
        ends_at=one.ends_at,
        works_from=one.works_from,
        works_until=one.works_until,
        purpose="twice",
    )
    assert broken() == [f"claims {one.pk} and {two.pk} overlap on resource {one.resource_id}"]


def test_i1_names_claims_of_the_dead_and_bookings_without(kind, place, offline):
    gone = factories.booking(session_type=kind, at=place, starts_at=TEN, status=BookingStatus.EXPIRED)
    gone.claims.update(is_active=True)
    bare = factories.booking(session_type=kind, at=place, starts_at=TEN + timedelta(hours=3))
    bare.claims.all().delete()
    lines = broken()
    assert len(lines) == 3
    assert lines[-1] == f"booking {bare.pk} stands and holds nothing"


def test_i2_names_money_that_is_not_allocated(kind, place, offline):
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN)
    payment = factories.payment(booked, amount=100, method="cash")
    Allocation.objects.update(amount=99)
    refund = Refund.objects.create(
        payment=payment, amount=101, reason="r", once="o", created_at=NOW, next_try_at=NOW, actor_kind="user"
    )
    assert broken() == [
        f"payment {payment.public_id}: 100, allocated 99",
        f"refund {refund.public_id}: 101, allocated None",
        f"payment {payment.public_id}: 101 of 100 goes back",
    ]
    Booking.objects.update(currency="EUR")
    assert f"payment {payment.public_id} is allocated to a booking in another currency" in broken()


def test_i2_names_what_stripe_sees_otherwise(kind, place, offline):
    factories.booking(session_type=kind, at=place, starts_at=TEN, is_paid=True)
    payment = Payment.objects.get()
    assert broken() == [f"payment {payment.gateway_id}: 18000 with us, None at Stripe"]
    stranger = Payment(gateway_id="pi_stranger", amount=5)
    offline["payments"] = [at_stripe(payment), at_stripe(stranger)]
    assert broken() == ["payment pi_stranger: 5 at Stripe, nothing with us"]
    offline["payments"] = [at_stripe(payment)]
    offline["refunds"] = [
        gateway.Refund(
            id="re_1",
            status="succeeded",
            amount=7,
            currency="usd",
            payment_intent=payment.gateway_id or "",
            reason="",
            failure_reason="",
            metadata={},
            created_at=NOW - timedelta(hours=1),
        )
    ]
    assert broken() == ["refund re_1: 7 at Stripe, nothing with us"]
    offline["refunds"] = []
    lost = gateway.Dispute(
        id="dp_1",
        status="lost",
        amount=7,
        currency="usd",
        payment_intent=payment.gateway_id or "",
        reason="general",
        answer_by=None,
        created_at=NOW - timedelta(hours=1),
    )
    offline["disputes"] = [lost]
    assert broken() == ["dispute dp_1: 7 lost at Stripe, nothing with us"]
    disputes.note_dispute(lost, now=NOW)
    assert broken() == []
    offline["disputes"] = [replace(lost, status="won")]  # by an appeal
    assert broken() == ["dispute dp_1: 7 with us, None lost at Stripe"]
    disputes.look_again(now=NOW)
    assert broken() == []


def test_without_stripe_nobody_is_asked(kind, place, settings):
    settings.STRIPE_SECRET_KEY = ""
    factories.booking(session_type=kind, at=place, starts_at=TEN, is_paid=True)
    assert list(invariants.money_stripe_sees_otherwise(NOW)) == []
