"""Money from hold to ledger, against the Stripe test server: once, in full, and never for a time that is gone."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from html import unescape
from urllib.request import urlopen
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from bookings import away, blocks, checkout, closing, codes, holds, lifecycle, payments, webhooks
from bookings import stripe_gateway as gateway
from bookings.invariants import money_kept_for_nothing, vouchers_and_codes
from bookings.models import Allocation, Booking, Checkout, Client, DiscountCode, Payment, PaymentPlan, Refund
from bookings.refusals import DetailsRefused, HoldOver, NotKept, NotNow
from bookings.statuses import BookingStatus, CheckoutStatus, RefundStatus, ShootStatus
from bookings.views import HELD_HERE
from devtools.stripe_server import sign
from studio.actors import Actor, ActorKind
from studio.models import Message, WebhookEvent
from tests import factories

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def now() -> datetime:
    """Stripe's clock is the real one."""
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def kind(place):
    factories.crew(place)
    return factories.session_type(locations=[place], horizon_days=90)


def a_tuesday(now, weeks=2):
    """10:00 in Chicago on a Tuesday some weeks ahead, without a change of clocks in reach of the test."""
    day = (now + timedelta(weeks=weeks)).date()
    day += timedelta(days=(1 - day.weekday()) % 7)
    return datetime(day.year, day.month, day.day, 10, tzinfo=ZoneInfo("America/Chicago")).astimezone(UTC)


def hold(kind, place, now, **fields):
    return holds.place(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        form_token=uuid4(),
        by=GUEST,
        now=now,
        **{"starts_at": a_tuesday(now), **fields},
    )


def details(booking, now, **fields):
    return checkout.take_details(
        **{
            "booking_id": booking.pk,
            "name": "Robin Sample",
            "email": "robin@client.example",
            "mobile": "(312) 555-0123",
            "policy_accepted": True,
            "by": GUEST,
            "now": now,
        }
        | fields
    )


@pytest.fixture
def ready(kind, place, now):
    """A held booking with its details."""
    booking = hold(kind, place, now)
    details(booking, now)
    booking.refresh_from_db()
    return booking


def open_page(booking, now):
    checkout.open_checkout(booking_id=booking.pk, now=now)
    return booking.checkouts.get()


def said_at(page):
    """What the payment page itself says is paid."""
    shown = urlopen(page.url).read().decode()
    return unescape(re.search(r"<li><span>(.*?)</span>", shown).group(1))


def names(booking):
    return sorted(
        Message.objects.filter(about_id=booking.pk, about_model="bookings.booking").values_list(
            "name", flat=True
        )
    )


def assert_ledger_whole():
    for payment in Payment.objects.all():
        assert sum(payment.allocations.values_list("amount", flat=True)) == payment.amount
    for refund in Refund.objects.all():
        assert sum(refund.allocations.values_list("amount", flat=True)) == -refund.amount


# --- details ------------------------------------------------------------------------------------------------


def test_details_make_the_payer_who_is_also_the_sitter(ready):
    assert (ready.payer.name, ready.payer.email, ready.payer.mobile) == (
        "Robin Sample",
        "robin@client.example",
        "+13125550123",
    )
    assert ready.shoots.get().sitter == ready.payer
    assert ready.policy_accepted_at is not None


def test_details_name_what_cannot_be_used(kind, place, now):
    booking = hold(kind, place, now)
    with pytest.raises(DetailsRefused) as refused:
        details(booking, now, name="  ", email="robin@", mobile="12", policy_accepted=False)
    assert set(refused.value.problems) == {"name", "email", "mobile", "policy_accepted"}
    with pytest.raises(DetailsRefused):
        details(booking, now, name="x" * 10_000)
    assert Client.objects.count() == 0


def test_control_and_direction_characters_do_not_reach_a_name(kind, place, now):
    booking = hold(kind, place, now)
    details(booking, now, name="Ro\u202ebin\r\n Bcc:\x00 x \N{GRINNING FACE}")
    booking.refresh_from_db()
    assert booking.payer.name == "Robin Bcc: x \N{GRINNING FACE}"


@pytest.mark.parametrize(
    "theirs",
    [
        {"mobile": "+13125559999"},
        {"firm": "Sample & Daughters"},
        {"called": "Bobby"},
        {"pronoun": "they"},
        {"name": "Robyn Sample"},
    ],
)
def test_typing_somebodys_address_shows_and_changes_nothing_of_theirs(kind, place, now, theirs):
    """They differ in one thing from what is typed; that thing must not show on the stranger's booking."""
    same = {"name": "Robin Sample", "email": "robin@client.example", "mobile": "+13125550123"}
    known = factories.client(**same | theirs)
    booking = hold(kind, place, now)
    details(booking, now)
    booking.refresh_from_db()
    assert booking.payer != known
    assert {name: getattr(booking.payer, name) for name in theirs} != theirs
    known.refresh_from_db()
    assert {name: getattr(known, name) for name in theirs} == theirs


def test_exactly_the_same_details_are_the_same_client(ready, kind, place, now):
    again = holds.place(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        starts_at=a_tuesday(now) + timedelta(hours=4),
        form_token=uuid4(),
        by=GUEST,
        now=now,
    )
    details(again, now, email="Robin@Client.example")
    again.refresh_from_db()
    assert again.payer == ready.payer


def test_a_sitter_who_is_somebody_else_is_a_client_of_their_own(kind, place, now):
    booking = hold(kind, place, now)
    details(booking, now, sitter_name="Sam Sitter", sitter_email="sam@client.example")
    booking.refresh_from_db()
    sitter = booking.shoots.get().sitter
    assert (sitter.name, sitter.email, sitter.mobile) == ("Sam Sitter", "sam@client.example", "")
    assert booking.payer.name == "Robin Sample"


def test_a_corrected_form_leaves_nobody_behind(kind, place, now):
    known = factories.client(name="Known Sitter", email="known@client.example")
    factories.booking(
        session_type=kind, at=place, starts_at=a_tuesday(now) + timedelta(days=1), payer=known, now=now
    )
    booking = hold(kind, place, now)
    details(
        booking,
        now,
        email="robn@client.example",
        sitter_name="Known Sitter",
        sitter_email="known@client.example",
    )
    details(booking, now, email="robin@client.example")
    booking.refresh_from_db()
    assert sorted(Client.objects.values_list("email", flat=True)) == [
        "known@client.example",
        "robin@client.example",
    ]
    assert booking.shoots.get().sitter == booking.payer


def test_details_after_the_hold_are_refused(kind, place, now):
    booking = hold(kind, place, now)
    with pytest.raises(HoldOver):
        details(booking, now + timedelta(minutes=15))


# --- paying -------------------------------------------------------------------------------------------------


def test_opening_the_page_lengthens_the_hold_to_the_same_instant(ready, stripe, now):
    page = open_page(ready, now)
    ready.refresh_from_db()
    session = gateway.fetch_checkout(page.session_id)
    assert ready.hold_expires_at == page.expires_at == session.expires_at == now + timedelta(minutes=31)
    assert (page.status, page.amount, session.amount, session.currency) == (
        CheckoutStatus.OPEN,
        18000,
        18000,
        "usd",
    )


def test_a_second_click_opens_the_same_page(ready, stripe, now):
    first = checkout.open_checkout(booking_id=ready.pk, now=now)
    assert checkout.open_checkout(booking_id=ready.pk, now=now + timedelta(minutes=1)) == first
    assert Checkout.objects.count() == 1


def test_no_page_without_details_or_for_a_lapsed_hold(kind, place, now, stripe):
    booking = hold(kind, place, now)
    with pytest.raises(NotNow):
        checkout.open_checkout(booking_id=booking.pk, now=now)
    details(booking, now)
    with pytest.raises(HoldOver):
        checkout.open_checkout(booking_id=booking.pk, now=now + timedelta(minutes=16))
    assert Checkout.objects.count() == 0


def test_a_paid_page_confirms_the_booking_once(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    for _time in range(3):
        payments.settle_checkout(checkout_id=page.pk, now=now)
    ready.refresh_from_db()
    payment = Payment.objects.get()
    assert ready.status == BookingStatus.CONFIRMED
    assert (payment.amount, payment.method, payment.payer) == (18000, "stripe", ready.payer)
    assert payments.balance(ready) == payments.Balance(price=18000, paid=18000, refunded=0, due=0)
    assert sorted(names(ready)) == [
        "booking_confirmed",
        "booking_prepare",
        "booking_reminder",
        "booking_wear",
        "text_reminder",
    ]
    assert_ledger_whole()


def test_an_unpaid_page_changes_nothing(ready, stripe, now):
    page = open_page(ready, now)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    ready.refresh_from_db()
    assert (ready.status, Payment.objects.count()) == (BookingStatus.HELD, 0)


def test_a_deposit_confirms_and_the_balance_is_asked_for_later(kind, place, now, stripe):
    kind.payment_plan, kind.deposit = PaymentPlan.DEPOSIT_PERCENT, 50
    kind.save()
    booking = hold(kind, place, now)
    details(booking, now)
    page = open_page(booking, now)
    assert said_at(page) == f"{kind.name}, deposit ($90 is open until the session)"
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    booking.refresh_from_db()
    assert (booking.status, payments.balance(booking).due) == (BookingStatus.CONFIRMED, 9000)
    checkout.open_checkout(booking_id=booking.pk, purpose="balance", now=now)
    rest = booking.checkouts.get(purpose="balance")
    assert rest.amount == 9000
    assert said_at(rest) == f"{kind.name}, what was still open"
    stripe.pay(rest.session_id)
    payments.settle_checkout(checkout_id=rest.pk, now=now)
    assert payments.balance(booking).due == 0
    with pytest.raises(NotNow):
        checkout.open_checkout(booking_id=booking.pk, purpose="balance", now=now)
    assert_ledger_whole()


def test_a_session_paid_in_full_is_named_as_it_is(ready, stripe, now):
    assert said_at(open_page(ready, now)) == ready.session_type.name


def test_a_lost_page_is_found_though_what_is_open_later_has_changed(kind, place, now, stripe):
    kind.payment_plan, kind.deposit = PaymentPlan.DEPOSIT_FIXED, 9000
    kind.save()
    booking = hold(kind, place, now)
    details(booking, now)
    stripe.fault("act_then_cut", match="POST /v1/checkout/sessions$", times=10)
    with pytest.raises(gateway.GatewayUnavailable):
        checkout.open_checkout(booking_id=booking.pk, now=now)
    stripe.behave()
    Booking.objects.filter(pk=booking.pk).update(price=16000)  # a code meanwhile
    checkout.open_checkout(booking_id=booking.pk, now=now)
    assert len(gateway.list_checkouts(now - timedelta(hours=1))) == 1
    assert said_at(booking.checkouts.get()) == f"{kind.name}, deposit ($90 is open until the session)"


def test_pay_at_the_studio_confirms_without_a_page(kind, place, now):
    kind.may_pay_at_studio = True
    kind.save()
    online = hold(kind, place, now)
    details(online, now)
    with pytest.raises(NotNow):
        checkout.confirm_at_studio(booking_id=online.pk, by=GUEST, now=now)
    holds.release(booking_id=online.pk, by=GUEST, now=now)
    booking = hold(kind, place, now, pays_at_studio=True)
    with pytest.raises(NotNow):
        checkout.confirm_at_studio(booking_id=booking.pk, by=GUEST, now=now)
    details(booking, now)
    assert (
        checkout.confirm_at_studio(booking_id=booking.pk, by=GUEST, now=now).status == BookingStatus.CONFIRMED
    )
    assert payments.balance(booking).due == 18000


@pytest.mark.parametrize("field", ["amount", "currency", "public_id", "metadata"])
def test_money_that_is_not_what_we_asked_for_is_not_booked(ready, stripe, now, monkeypatch, field):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    session = gateway.fetch_checkout(page.session_id)
    other = {"amount": 1, "currency": "eur", "public_id": "another", "metadata": {"checkout": "another"}}
    forged = replace(session, **{field: other[field]})  # type: ignore[arg-type]
    monkeypatch.setattr(gateway, "fetch_checkout", lambda session_id: forged)
    with pytest.raises(payments.WrongMoney):
        payments.settle_checkout(checkout_id=page.pk, now=now)
    ready.refresh_from_db()
    assert (ready.status, Payment.objects.count()) == (BookingStatus.HELD, 0)


def test_an_answer_that_is_lost_charges_once(ready, stripe, now):
    stripe.fault("act_then_cut", match="POST /v1/checkout/sessions$", times=10)
    with pytest.raises(gateway.GatewayUnavailable):
        checkout.open_checkout(booking_id=ready.pk, now=now)
    stripe.behave()
    assert ready.checkouts.get().status == CheckoutStatus.WANTED
    checkout.open_checkout(booking_id=ready.pk, now=now)
    assert len(gateway.list_checkouts(now - timedelta(hours=1))) == 1
    assert ready.checkouts.get().status == CheckoutStatus.OPEN


def test_reconcile_finds_a_page_whose_answer_was_lost_and_its_money(ready, stripe, now):
    stripe.fault("act_then_cut", match="POST /v1/checkout/sessions$", times=10)
    with pytest.raises(gateway.GatewayUnavailable):
        checkout.open_checkout(booking_id=ready.pk, now=now)
    stripe.behave()
    (page,) = gateway.list_checkouts(now - timedelta(hours=1))
    stripe.pay(page.id)
    assert payments.reconcile(now=now + timedelta(minutes=5)) == 1
    ready.refresh_from_db()
    assert (ready.status, Payment.objects.count()) == (BookingStatus.CONFIRMED, 1)
    assert payments.reconcile(now=now + timedelta(minutes=10)) == 0


def test_reconcile_finds_the_payment_no_event_told_of(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    assert payments.reconcile(now=now + timedelta(minutes=5)) == 1
    ready.refresh_from_db()
    assert ready.status == BookingStatus.CONFIRMED


def test_a_payment_the_bank_is_thinking_about_keeps_the_hold(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id, "slow")
    late = now + timedelta(minutes=30)
    payments.settle_checkout(checkout_id=page.pk, now=late)
    ready.refresh_from_db()
    assert (ready.status, ready.hold_expires_at) == (BookingStatus.HELD, late + timedelta(hours=1))
    stripe.advance(10)
    payments.settle_checkout(checkout_id=page.pk, now=late)
    ready.refresh_from_db()
    assert ready.status == BookingStatus.CONFIRMED


# --- closed or away while a time is held ----------------------------------------------------------------------


def shut(how, place, ready, now):
    on = ready.starts_at.date()
    if how == "closed":
        closing.close(location=place, first_on=on, name="Inventory", by=STAFF, now=now)
    elif how == "closes early":
        closing.close(location=place, first_on=on, name="Party", closes_at=time(10, 30), by=STAFF, now=now)
    else:
        photographer = ready.claims.get(resource__skills__slug="photographer").resource_id
        away.away(resource_id=photographer, first_on=on, by=STAFF, now=now)


HOW = ["closed", "closes early", "away"]


@pytest.mark.parametrize("how", HOW)
def test_a_closed_time_is_refused_before_anything_is_paid(ready, client, place, now, stripe, how):
    shut(how, place, ready, now)
    with pytest.raises(NotKept):
        checkout.open_checkout(booking_id=ready.pk, now=now)
    assert not ready.checkouts.exists()
    Booking.objects.filter(pk=ready.pk).update(due_now=0, pays_at_studio=True)
    with pytest.raises(NotKept):
        checkout.confirm_at_studio(booking_id=ready.pk, by=GUEST, now=now)
    session = client.session
    session[HELD_HERE] = [ready.public_id]
    session.save()
    typed = {"name": "Robin Sample", "email": "robin@client.example", "policy_accepted": "1"}
    page = client.post(reverse("booking_details", args=[ready.public_id]), typed)
    assert page.status_code == 410
    html = page.content.decode()
    assert "had to close at that time" in html and "Nothing was charged." in html and "Choose again" in html
    ready.refresh_from_db()
    assert ready.status == BookingStatus.HELD


@pytest.mark.parametrize("how", HOW)
def test_money_for_a_time_closed_meanwhile_goes_back_in_full_and_is_said(ready, place, now, stripe, how):
    page = open_page(ready, now)
    shut(how, place, ready, now)
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    ready.refresh_from_db()
    assert ready.status == BookingStatus.EXPIRED
    assert not ready.claims.filter(is_active=True).exists()
    assert [row.amount for row in Refund.objects.all()] == [Payment.objects.get().amount]
    assert names(ready) == ["booking_late_payment_refunded", "desk_late_payment"]
    told = Message.objects.get(name="booking_late_payment_refunded").body_text
    assert "while you were paying, the studio had to close" in told
    assert "meanwhile that time was closed" in Message.objects.get(name="desk_late_payment").body_text
    assert_ledger_whole()


def test_somebody_else_takes_the_seat_of_who_went_away_while_the_client_paid(ready, place, now, stripe):
    page = open_page(ready, now)
    shut("away", place, ready, now)
    other = factories.resource("photographer", at=place)
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    ready.refresh_from_db()
    assert (ready.status, ready.shoots.get().status) == (BookingStatus.CONFIRMED, ShootStatus.PLANNED)
    assert ready.claims.filter(is_active=True, resource=other).exists()
    assert "booking_confirmed" in names(ready) and "desk_late_payment" not in names(ready)
    assert not Refund.objects.exists()


def test_who_is_affected_names_what_is_only_held(ready, place, now):
    photographer = ready.claims.get(resource__skills__slug="photographer").resource
    on = {"first_on": ready.starts_at.date(), "last_on": ready.starts_at.date()}
    assert [one.booking for one in away.affected(resource=photographer, now=now, **on)] == [ready]
    lapsed = now + timedelta(minutes=16)
    assert away.affected(resource=photographer, now=lapsed, **on) == []


# --- late money ---------------------------------------------------------------------------------------------


def test_late_money_is_seated_again_when_the_time_is_free(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    late = now + timedelta(minutes=32)
    holds.expire_due(now=late)
    payments.settle_checkout(checkout_id=page.pk, now=late)
    ready.refresh_from_db()
    assert ready.status == BookingStatus.CONFIRMED
    assert ready.claims.filter(is_active=True).count() == 2
    assert ready.shoots.get().status == ShootStatus.PLANNED
    assert "booking_late_payment_reseated" in names(ready) and "desk_late_payment" in names(ready)
    assert Refund.objects.count() == 0


def test_late_money_goes_back_when_the_time_is_gone_and_both_are_told(ready, stripe, kind, place, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    late = now + timedelta(minutes=32)
    other = hold(kind, place, late)
    payments.settle_checkout(checkout_id=page.pk, now=late)
    ready.refresh_from_db()
    assert (ready.status, other.status) == (BookingStatus.EXPIRED, BookingStatus.HELD)
    refund = Refund.objects.get()
    assert (refund.amount, refund.status) == (18000, RefundStatus.DUE)
    assert names(ready) == ["booking_late_payment_refunded", "desk_late_payment"]
    assert payments.send_next_refund(now=late) is True
    assert payments.send_next_refund(now=late) is False
    refund.refresh_from_db()
    assert refund.status == RefundStatus.DONE
    assert [found.amount for found in gateway.list_refunds(created_after=now - timedelta(hours=1))] == [18000]
    assert payments.balance(ready) == payments.Balance(price=18000, paid=18000, refunded=18000, due=0)
    assert_ledger_whole()


def come_late(booking, stripe, now, *, meanwhile=lambda: None):
    """Paid on a page of a hold that has lapsed; `meanwhile` is what others did."""
    page = open_page(booking, now)
    stripe.pay(page.session_id)
    late = now + timedelta(minutes=32)
    holds.expire_due(now=late)
    meanwhile()
    payments.settle_checkout(checkout_id=page.pk, now=late)
    booking.refresh_from_db()
    assert_ledger_whole()
    return booking


def test_late_money_does_not_pass_the_days_cap(ready, stripe, kind, place, now):
    type(kind).objects.filter(pk=kind.pk).update(daily_cap=1)
    later = a_tuesday(now) + timedelta(hours=3)
    taken = partial(hold, kind, place, now + timedelta(minutes=32), starts_at=later)
    assert come_late(ready, stripe, now, meanwhile=taken).status == BookingStatus.EXPIRED
    assert Refund.objects.get().amount == 18000
    assert "booking_late_payment_refunded" in names(ready)


def test_late_money_takes_its_place_of_the_day_when_there_is_one(ready, stripe, kind, now):
    type(kind).objects.filter(pk=kind.pk).update(daily_cap=1)
    assert come_late(ready, stripe, now).status == BookingStatus.CONFIRMED


@pytest.mark.parametrize(("uses", "status"), [(1, BookingStatus.EXPIRED), (2, BookingStatus.CONFIRMED)])
def test_late_money_uses_its_code_again_only_when_there_is_one_left(
    ready, stripe, kind, place, now, uses, status
):
    DiscountCode.objects.create(code="SPRING", percent=10, max_uses=uses, is_once_per_client=False)
    codes.apply(booking_id=ready.pk, code="SPRING", by=GUEST, now=now)

    def somebody_else() -> None:
        other = hold(kind, place, now + timedelta(minutes=32), starts_at=a_tuesday(now) + timedelta(hours=3))
        codes.apply(booking_id=other.pk, code="SPRING", by=GUEST, now=now + timedelta(minutes=32))

    assert come_late(ready, stripe, now, meanwhile=somebody_else).status == status
    assert DiscountCode.objects.get().used_count == uses
    assert list(vouchers_and_codes(now)) == []


def test_late_money_for_a_session_the_studio_confirms_waits_for_its_yes(ready, stripe, kind, now):
    type(kind).objects.filter(pk=kind.pk).update(is_confirmed_by_staff=True)
    assert come_late(ready, stripe, now).status == BookingStatus.REQUESTED
    assert ready.claims.filter(is_active=True).count() == 2
    assert ready.shoots.get().status == ShootStatus.PLANNED
    assert {"booking_requested", "desk_request", "desk_late_payment"} <= set(names(ready))


def test_late_money_is_never_seated_on_a_block(ready, stripe, now):
    """The hold has lapsed, no sweep has come yet, and the studio blocks the time: it is not the client's any more."""
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    late = now + timedelta(minutes=32)
    room = ready.claims.earliest("pk").resource_id
    blocks.block(resource_id=room, starts_at=ready.starts_at, ends_at=ready.ends_at, by=STAFF, now=late)
    payments.settle_checkout(checkout_id=page.pk, now=late)
    ready.refresh_from_db()
    assert (ready.status, ready.claims.filter(is_active=True).count()) == (BookingStatus.EXPIRED, 0)
    assert Refund.objects.get().amount == 18000


def test_a_part_paid_at_the_desk_goes_back_when_the_hold_ends(ready, now):
    payments.record_by_staff(booking_id=ready.pk, method="cash", amount=5000, by=STAFF, now=now)
    assert holds.expire_due(now=now + timedelta(minutes=16)) == 1
    refund = Refund.objects.get()
    assert (refund.amount, refund.status, refund.payment.method) == (5000, RefundStatus.DUE, "cash")
    assert payments.balance(ready).kept == 0
    assert list(money_kept_for_nothing(now)) == []
    assert_ledger_whole()


def test_money_for_a_hold_the_client_gave_back_is_refunded(ready, stripe, now):
    page = open_page(ready, now)
    holds.release(booking_id=ready.pk, by=GUEST, now=now)
    stripe.pay(page.session_id)
    assert checkout.close_pages(now=now) == 1
    assert Refund.objects.get().amount == 18000


def test_late_money_for_a_time_that_has_passed_is_refunded(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    holds.expire_due(now=now + timedelta(hours=1))
    payments.settle_checkout(checkout_id=page.pk, now=ready.starts_at + timedelta(minutes=1))
    assert Refund.objects.get().amount == 18000


def test_the_page_of_a_lapsed_hold_is_closed_at_stripe(ready, stripe, now):
    page = open_page(ready, now)
    late = now + timedelta(minutes=31)
    holds.expire_due(now=late)
    assert checkout.close_pages(now=late) == 1
    page.refresh_from_db()
    assert page.status == CheckoutStatus.EXPIRED
    assert gateway.fetch_checkout(page.session_id).status == "expired"
    assert checkout.close_pages(now=late) == 0


# --- webhooks -----------------------------------------------------------------------------------------------


def delivered(stripe):
    """Every event so far, as Stripe would post it."""
    return [json.dumps(event).encode() for event in stripe.events()]


def ring(stripe, payload, now):
    return webhooks.receive(payload=payload, signature=sign(payload, stripe.webhook_secret), now=now)


def handle_all(now):
    while webhooks.handle_next(now=now):
        pass


def test_events_in_every_doubling_and_order_write_one_payment(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    events = delivered(stripe)
    assert len(events) > 2
    for payload in [*reversed(events), *events]:
        ring(stripe, payload, now)
        handle_all(now)
    ready.refresh_from_db()
    assert (ready.status, Payment.objects.count()) == (BookingStatus.CONFIRMED, 1)
    assert WebhookEvent.objects.count() == len(events)
    assert WebhookEvent.objects.filter(handled_at=None).count() == 0


def test_a_foreign_or_changed_event_stores_nothing(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    payload = delivered(stripe)[0]
    for bad in (sign(payload, "whsec_other"), sign(payload + b" ", stripe.webhook_secret), "", "t=1,v1=00"):
        with pytest.raises(webhooks.BadSignature):
            webhooks.receive(payload=payload, signature=bad, now=now)
    assert WebhookEvent.objects.count() == 0


def test_an_event_that_cannot_be_handled_now_waits_and_blocks_nobody(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    for payload in delivered(stripe):
        ring(stripe, payload, now)
    stripe.fault("fail", match="GET /v1/checkout/sessions/.*", times=50, status=500)
    handle_all(now)
    stripe.behave()
    stuck = WebhookEvent.objects.filter(handled_at=None)
    assert stuck.count() == 1
    assert stuck.get().next_try_at == now + timedelta(minutes=1)
    assert stuck.get().last_error.startswith("GatewayUnavailable")
    handle_all(now + timedelta(minutes=1))
    ready.refresh_from_db()
    assert ready.status == BookingStatus.CONFIRMED


def test_a_refund_made_at_stripe_reaches_the_ledger_once(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    payment = Payment.objects.get()
    gateway.refund(payment_intent=payment.gateway_id or "", amount=5000, idempotency_key="by hand at Stripe")
    for _time in range(2):
        for payload in delivered(stripe):
            ring(stripe, payload, now)
        WebhookEvent.objects.update(handled_at=None, next_try_at=now)
        handle_all(now)
    payments.reconcile(now=now)
    refund = Refund.objects.get()
    assert (refund.amount, refund.status) == (5000, RefundStatus.DONE)
    assert payments.balance(ready).refunded == 5000
    assert_ledger_whole()


# --- refunds and the studio's own hand ----------------------------------------------------------------------


@pytest.fixture
def paid(ready, stripe, now):
    page = open_page(ready, now)
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    ready.refresh_from_db()
    return ready


def test_a_refund_whose_answer_is_lost_is_sent_once_even_after_the_key_is_forgotten(paid, stripe, now):
    lifecycle.cancel(booking_id=paid.pk, by=GUEST, now=now)
    stripe.fault("act_then_cut", match="POST /v1/refunds", times=10)
    payments.send_next_refund(now=now)
    stripe.behave()
    refund = Refund.objects.get()
    assert (refund.status, refund.attempts) == (RefundStatus.DUE, 1)
    assert refund.last_error
    stripe.advance(25 * 3600)
    payments.send_next_refund(now=now + timedelta(hours=25))
    refund.refresh_from_db()
    assert refund.status == RefundStatus.DONE
    assert len(gateway.list_refunds(payment_intent=refund.payment.gateway_id)) == 1


def test_a_refused_refund_stops_and_can_be_tried_again(paid, stripe, now, monkeypatch):
    lifecycle.cancel(booking_id=paid.pk, by=GUEST, now=now)

    def refuse(**_given):
        raise gateway.GatewayRefused("refused", "no")

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "refund", refuse)
        payments.send_next_refund(now=now)
    refund = Refund.objects.get()
    assert refund.status == RefundStatus.FAILED
    assert payments.send_next_refund(now=now) is False
    assert payments.try_again(refund_id=refund.pk, by=STAFF, now=now) is True
    payments.send_next_refund(now=now)
    refund.refresh_from_db()
    assert refund.status == RefundStatus.DONE


def test_staff_record_what_was_paid_at_the_desk_once(kind, place, now):
    booking = factories.booking(session_type=kind, at=place, starts_at=a_tuesday(now), now=now)
    token = uuid4()
    pay = partial(payments.record_by_staff, booking_id=booking.pk, by=STAFF, now=now)
    first = pay(method="cash", amount=10000, form_token=token)
    assert pay(method="cash", amount=10000, form_token=token) == first
    pay(method="terminal", amount=8000)
    assert payments.balance(booking).due == 0
    for method, amount in (("cash", 1), ("cash", 0), ("cash", -5), ("stripe", 100), ("cheque", 100)):
        with pytest.raises(NotNow):
            pay(method=method, amount=amount)
    with pytest.raises(NotNow):
        payments.record_by_staff(booking_id=booking.pk, method="cash", amount=1, by=GUEST, now=now)
    assert (Payment.objects.count(), Allocation.objects.count()) == (2, 2)
    assert_ledger_whole()


def test_cash_goes_back_by_hand_and_is_not_sent_to_stripe(kind, place, now):
    booking = factories.booking(session_type=kind, at=place, starts_at=a_tuesday(now), now=now)
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=18000, by=STAFF, now=now)
    lifecycle.cancel(booking_id=booking.pk, by=STAFF, now=now, full_refund=True)
    assert payments.send_next_refund(now=now) is False
    refund = Refund.objects.get()
    assert payments.hand_back(refund_id=refund.pk, by=STAFF, now=now) is True
    assert payments.hand_back(refund_id=refund.pk, by=STAFF, now=now) is False


def test_a_booking_by_phone_is_confirmed_by_cash(kind, place, now):
    booking = hold(kind, place, now)
    details(booking, now)
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=18000, by=STAFF, now=now)
    booking.refresh_from_db()
    assert booking.status == BookingStatus.CONFIRMED


def test_paid_twice_the_surplus_goes_back(paid, stripe, now):
    """A page left open in another tab and cash at the desk."""
    Booking.objects.filter(pk=paid.pk).update(price=20000)
    checkout.open_checkout(booking_id=paid.pk, purpose="balance", now=now)
    page = paid.checkouts.get(purpose="balance")
    payments.record_by_staff(booking_id=paid.pk, method="cash", amount=2000, by=STAFF, now=now)
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    assert [(refund.amount, refund.payment.method) for refund in Refund.objects.all()] == [(2000, "stripe")]
    assert payments.balance(paid).kept == 20000
    assert_ledger_whole()


@pytest.mark.django_db(transaction=True)
def test_one_event_twenty_times_in_parallel_is_one_payment(stripe, real_connections, now):
    place = factories.location()
    factories.crew(place)
    kind = factories.session_type(locations=[place], horizon_days=90)
    booking = hold(kind, place, now)
    details(booking, now)
    page = open_page(booking, now)
    stripe.pay(page.session_id)
    payloads = [payload for payload in delivered(stripe) if b"checkout.session.completed" in payload]
    answers = real_connections.run([partial(ring, stripe, payloads[0], now)] * 20)
    assert sorted(answers) == [False] * 19 + [True]
    handle = [partial(webhooks.handle_next, now=now)] * 6
    settle = [partial(payments.settle_checkout, checkout_id=page.pk, now=now)] * 14
    answers = real_connections.run([*handle, *settle])
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert (Payment.objects.count(), Allocation.objects.count()) == (1, 1)
    assert Message.objects.filter(name="booking_confirmed").count() == 1
