"""Discount codes and gift vouchers: how much they take off, how often, and where the money is when plans change."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from bookings import checkout, codes, holds, invariants, lifecycle, payments, vouchers
from bookings.models import CodeUse, DiscountCode, Payment, PaymentPlan, Refund, Voucher
from bookings.refusals import DetailsRefused, NotNow
from bookings.statuses import BookingStatus, RefundStatus, VoucherStatus
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Message
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")
TUESDAY = datetime(2026, 11, 24, 16, tzinfo=UTC)


@pytest.fixture
def kind(place):
    factories.crew(place)
    factories.crew(place)
    return factories.session_type(locations=[place])


def hold(kind, place, starts_at=TUESDAY, now=NOW):
    return holds.place(
        session_type_id=kind.pk, location_id=place.pk, add_ons={}, starts_at=starts_at, form_token=uuid4(),
        by=GUEST, now=now,
    )  # fmt: skip


def details(booking, email="robin@client.example", now=NOW):
    return checkout.take_details(
        booking_id=booking.pk, name="Robin Sample", email=email, policy_accepted=True, by=GUEST, now=now
    )


def gift(amount=10000, **fields):
    return vouchers.issue(
        **{
            "amount": amount, "currency": "USD", "recipient_name": "Zoë Łukasz", "recipient_email": "zoe@x.example",
            "reason": "A prize", "by": STAFF, "now": NOW,
        }
        | fields
    )  # fmt: skip


def broken() -> list[str]:
    return [
        line
        for check in (invariants.money_not_allocated, invariants.vouchers_and_codes)
        for line in check(NOW)
    ]


# --- codes --------------------------------------------------------------------------------------------------


def test_a_percentage_lowers_price_and_what_is_due(kind, place) -> None:
    kind.payment_plan, kind.deposit = PaymentPlan.DEPOSIT_PERCENT, 50
    kind.save()
    DiscountCode.objects.create(code="SPRING", percent=10)
    booking = hold(kind, place)

    assert codes.use(booking_id=booking.pk, code=" spring ", by=GUEST, now=NOW) == "code"

    booking.refresh_from_db()
    assert (booking.discount, booking.price, booking.due_now) == (1800, 16200, 8100)
    codes.take_off(booking_id=booking.pk, by=GUEST, now=NOW)
    booking.refresh_from_db()
    assert (booking.discount, booking.price, booking.due_now) == (0, 18000, 9000)
    assert DiscountCode.objects.get().used_count == 0
    assert broken() == []


def test_an_amount_takes_no_more_than_the_price(kind, place) -> None:
    DiscountCode.objects.create(code="ALL", amount=99999, currency="USD")
    booking = codes.apply(booking_id=hold(kind, place).pk, code="ALL", by=GUEST, now=NOW)
    assert (booking.price, booking.due_now) == (0, 0)
    details(booking)
    assert (
        checkout.confirm_at_studio(booking_id=booking.pk, by=GUEST, now=NOW).status == BookingStatus.CONFIRMED
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"is_active": False}, "We do not know this code. Please check the letters."),
        ({"starts_at": NOW + timedelta(days=1)}, "This code is not valid yet."),
        ({"ends_at": NOW}, "This code is not valid any more."),
        ({"max_uses": 1, "used_count": 1}, "This code has been used as often as it may."),
        ({"percent": None, "amount": 500, "currency": "EUR"}, "This code is in another currency."),
    ],
)
def test_a_code_that_does_not_hold_says_why(kind, place, fields, sentence) -> None:
    DiscountCode.objects.create(**{"code": "SPRING", "percent": 10} | fields)
    with pytest.raises(NotNow) as refusal:
        codes.use(booking_id=hold(kind, place).pk, code="SPRING", by=GUEST, now=NOW)
    assert refusal.value.sentence == sentence
    assert not CodeUse.objects.exists()


def test_a_code_for_another_session_is_refused(kind, place) -> None:
    code = DiscountCode.objects.create(code="SPRING", percent=10)
    code.session_types.add(factories.session_type(locations=[place]))
    with pytest.raises(NotNow, match="not meant for this session"):
        codes.apply(booking_id=hold(kind, place).pk, code="SPRING", by=GUEST, now=NOW)


def test_a_code_is_used_once_per_client_whoever_types_first(kind, place) -> None:
    DiscountCode.objects.create(code="SPRING", percent=10)
    first, second = hold(kind, place), hold(kind, place, TUESDAY + timedelta(hours=3))
    for booking in (first, second):
        codes.apply(booking_id=booking.pk, code="SPRING", by=GUEST, now=NOW)
    details(first, "Robin@client.example")
    with pytest.raises(DetailsRefused) as refusal:
        details(second, "robin@CLIENT.example")
    assert list(refusal.value.problems) == ["code"]


def test_a_lapsed_hold_gives_its_use_back(kind, place) -> None:
    DiscountCode.objects.create(code="ONE", percent=10, max_uses=1)
    codes.apply(booking_id=hold(kind, place).pk, code="ONE", by=GUEST, now=NOW)
    holds.expire_due(now=NOW + timedelta(hours=1))
    later = NOW + timedelta(hours=1)
    codes.apply(booking_id=hold(kind, place, now=later).pk, code="ONE", by=GUEST, now=later)
    assert DiscountCode.objects.get().used_count == 1
    assert broken() == []


def test_postgresql_itself_counts_uses(kind, place) -> None:
    code = DiscountCode.objects.create(code="ONE", percent=10, max_uses=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        DiscountCode.objects.filter(pk=code.pk).update(used_count=2)


# --- vouchers -----------------------------------------------------------------------------------------------


def test_a_voucher_is_mailed_with_its_code_and_words() -> None:
    factories.studio()
    voucher = gift(greeting="Enjoy <b>it</b>")
    mail = Message.objects.get(name="voucher")
    assert (mail.to_address, mail.subject) == (
        "zoe@x.example",
        "A voucher over $100 for Northlight Headshots",
    )
    assert voucher.code in mail.body_text
    assert "<b>it</b>" not in mail.body_html


def test_one_cause_gives_one_voucher(place) -> None:
    assert gift(once="late:1") == gift(once="late:1")
    assert Message.objects.filter(name="voucher").count() == 1


@pytest.mark.parametrize("fields", [{"amount": 0}, {"amount": -1}, {"reason": ""}, {"recipient_email": "no"}])
def test_a_voucher_that_makes_no_sense_is_refused(fields) -> None:
    with pytest.raises(DetailsRefused):
        gift(**fields)


def test_a_client_cannot_give_vouchers_away() -> None:
    with pytest.raises(NotNow):
        gift(by=GUEST)


def test_a_voucher_pays_a_part_and_keeps_the_rest(kind, place) -> None:
    voucher = gift(30000)
    booking = hold(kind, place)
    codes.use(booking_id=booking.pk, code=voucher.code.lower().replace("-", " "), by=GUEST, now=NOW)
    details(booking)
    checkout.confirm_at_studio(booking_id=booking.pk, by=GUEST, now=NOW)

    voucher.refresh_from_db()
    booking.refresh_from_db()
    assert (voucher.left, payments.balance(booking).due, booking.status) == (
        12000,
        0,
        BookingStatus.CONFIRMED,
    )
    assert broken() == []


def test_a_lapsed_hold_puts_the_money_back_on_the_voucher(kind, place) -> None:
    voucher = gift()
    booking = hold(kind, place)
    vouchers.redeem(booking_id=booking.pk, code=voucher.code, by=GUEST, now=NOW)
    holds.expire_due(now=NOW + timedelta(hours=1))
    voucher.refresh_from_db()
    assert voucher.left == 10000
    assert Refund.objects.get().status == RefundStatus.DONE
    assert broken() == []


def test_a_cancelled_booking_pays_back_to_the_voucher_even_after_its_end(kind, place) -> None:
    voucher = gift(18000, expires_at=NOW + timedelta(days=1))
    booking = hold(kind, place)
    vouchers.redeem(booking_id=booking.pk, code=voucher.code, by=GUEST, now=NOW)
    details(booking)
    checkout.confirm_at_studio(booking_id=booking.pk, by=GUEST, now=NOW)
    later = NOW + timedelta(days=3)
    lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=later)
    voucher.refresh_from_db()
    assert voucher.left == 18000
    assert voucher.expires_at == later + timedelta(days=90)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"currency": "EUR"}, "This voucher is in EUR, the session is in USD."),
        ({"expires_at": NOW}, "This voucher has expired."),
    ],
)
def test_a_voucher_that_does_not_fit_says_why(kind, place, fields, sentence) -> None:
    voucher = gift(**fields)
    with pytest.raises(NotNow) as refusal:
        vouchers.redeem(booking_id=hold(kind, place).pk, code=voucher.code, by=GUEST, now=NOW)
    assert refusal.value.sentence == sentence


def test_a_spent_voucher_and_a_guess_are_refused(kind, place) -> None:
    voucher = gift(18000)
    vouchers.redeem(booking_id=hold(kind, place).pk, code=voucher.code, by=GUEST, now=NOW)
    other = hold(kind, place, TUESDAY + timedelta(hours=3))
    for code in (voucher.code, "AAAA-BBBB-CCCC", "", "x" * 9000, "😀"):
        with pytest.raises(NotNow):
            vouchers.redeem(booking_id=other.pk, code=code, by=GUEST, now=NOW)


def test_postgresql_itself_refuses_to_overspend() -> None:
    voucher = gift()
    with pytest.raises(IntegrityError), transaction.atomic():
        Voucher.objects.filter(pk=voucher.pk).update(spent=10001)


def test_verify_sees_a_balance_that_does_not_add_up() -> None:
    voucher = gift()
    Voucher.objects.filter(pk=voucher.pk).update(spent=5)
    assert broken() == [f"voucher {voucher.public_id}: 5 spent, its payments say 0"]


# --- bought online ------------------------------------------------------------------------------------------


def order(place, now, token=None, **fields):
    return vouchers.order(
        **{
            "location_id": place.pk, "amount": 15000, "buyer_name": "Ada", "buyer_email": "ada@x.example",
            "recipient_name": "Zoë", "recipient_email": "zoe@x.example", "greeting": "For you",
            "form_token": token or uuid4(), "by": GUEST, "now": now,
        }
        | fields
    )  # fmt: skip


def test_a_bought_voucher_is_mailed_when_it_is_paid_and_once(place, stripe) -> None:
    now = timezone.now().replace(microsecond=0)
    voucher = order(place, now)
    checkout.open_voucher_page(voucher_id=voucher.pk, now=now)
    assert not Message.objects.exists()
    page = voucher.checkouts.get()
    stripe.pay(page.session_id)
    for _time in range(2):
        payments.settle_checkout(checkout_id=page.pk, now=now)

    voucher.refresh_from_db()
    assert voucher.status == VoucherStatus.ISSUED
    assert Payment.objects.get().allocations.get().voucher == voucher
    assert sorted(Message.objects.values_list("name", flat=True)) == ["voucher", "voucher_bought"]
    assert list(invariants.money_stripe_sees_otherwise(now)) == broken() == []


def test_an_unspent_voucher_is_taken_back_and_the_card_gets_its_money(place, stripe) -> None:
    now = timezone.now().replace(microsecond=0)
    voucher = order(place, now)
    checkout.open_voucher_page(voucher_id=voucher.pk, now=now)
    stripe.pay(voucher.checkouts.get().session_id)
    payments.reconcile(now=now)

    assert vouchers.void(voucher_id=voucher.pk, reason="Changed their mind", by=STAFF, now=now) == 15000
    assert vouchers.void(voucher_id=voucher.pk, reason="Again", by=STAFF, now=now) == 0
    assert payments.send_next_refund(now=now)
    assert [found.amount for found in payments.gateway.list_refunds()] == [15000]
    assert list(invariants.money_stripe_sees_otherwise(now)) == broken() == []


@pytest.mark.parametrize("amount", [0, -5, 999, 500001])
def test_a_forged_amount_is_refused(place, amount) -> None:
    with pytest.raises(DetailsRefused) as refusal:
        order(place, NOW, amount=amount)
    assert refusal.value.problems == {"amount": "Please choose an amount between $10 and $5,000."}


def test_the_same_form_orders_one_voucher_and_an_unpaid_one_lapses(place) -> None:
    token = uuid4()
    assert order(place, NOW, token) == order(place, NOW, token)
    assert vouchers.lapse_unpaid(now=NOW + timedelta(days=3)) == 1
    assert vouchers.sold(Voucher.objects.get(), by=WORKER, now=NOW)
