"""What is sold after the booking was made: owed at once by the studio, or bought by the client and paid first."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from bookings import charges, checkout, payments
from bookings.models import BookingExtra, ExtraKind, Refund
from bookings.refusals import NotNow
from bookings.statuses import ExtraStatus
from studio.actors import Actor, ActorKind
from studio.happenings import _listeners
from studio.models import Message
from tests import factories

pytestmark = pytest.mark.django_db
CLIENT = Actor(ActorKind.CLIENT, 1, "Robin")
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def now() -> datetime:
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def booked(now):
    return factories.booking(is_paid=True, now=now, starts_at=now + timedelta(days=30))


def owe(booked, now, **fields):
    given = {"label": "Two more finals", "amount": 9000, "kind": ExtraKind.FINALS, "count": 2, "by": STAFF}
    return charges.add_extra(booking_id=booked.pk, now=now, **{**given, **fields})


def test_an_extra_of_the_studio_is_owed_at_once_and_can_be_paid(booked, now) -> None:
    extra = owe(booked, now)

    booked.refresh_from_db()
    assert (extra.status, booked.price, payments.balance(booked).due) == (ExtraStatus.AGREED, 27000, 9000)
    payments.record_by_staff(booking_id=booked.pk, method="cash", amount=9000, by=STAFF, now=now)
    assert payments.balance(booked).due == 0


def test_one_cause_makes_one_extra(booked, now) -> None:
    assert owe(booked, now, once="change:1") == owe(booked, now, once="change:1")
    booked.refresh_from_db()
    assert booked.price == 27000


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"by": CLIENT}, "Only the studio can write something on the bill."),
        ({"amount": 0}, "Please give an amount that is more than nothing and can be paid."),
        ({"amount": -5}, "Please give an amount that is more than nothing and can be paid."),
        ({"amount": 10**12}, "Please give an amount that is more than nothing and can be paid."),
        ({"label": " \u202e "}, "Please say what it is for."),
        ({"kind": "tip"}, "There is no such extra."),
        ({"kind": "gold"}, "There is no such extra."),
        ({"count": 0}, "Please give a number between 1 and 999."),
    ],
)
def test_an_extra_that_makes_no_sense_is_refused(booked, now, fields, sentence) -> None:
    with pytest.raises(NotNow) as refusal:
        owe(booked, now, **fields)
    assert refusal.value.sentence == sentence
    assert not BookingExtra.objects.exists()


def test_dropping_an_extra_gives_back_what_was_paid_for_it(booked, now) -> None:
    extra = owe(booked, now)
    payments.record_by_staff(booking_id=booked.pk, method="cash", amount=9000, by=STAFF, now=now)

    assert charges.drop_extra(extra_id=extra.pk, by=STAFF, now=now)
    assert not charges.drop_extra(extra_id=extra.pk, by=STAFF, now=now)

    booked.refresh_from_db()
    assert booked.price == 18000
    assert list(Refund.objects.values_list("amount", "payment__method")) == [(9000, "cash")]


def test_what_a_client_buys_counts_when_it_is_paid(booked, now, stripe) -> None:
    extra = owe(booked, now, by=CLIENT, is_owed=False)
    booked.refresh_from_db()
    assert (extra.status, booked.price, payments.balance(booked).due) == (ExtraStatus.PROPOSED, 18000, 0)

    heard: list[BookingExtra] = []
    listener = lambda extra, by, now: heard.append(extra)  # noqa: E731
    _listeners["extra_agreed"].append(listener)
    try:
        url = checkout.open_checkout(
            booking_id=booked.pk, purpose="extra", extra_id=extra.pk, return_path="/gallery/x/", now=now
        )
        page = booked.checkouts.get()
        stripe.pay(page.session_id)
        payments.settle_checkout(checkout_id=page.pk, now=now)
        payments.settle_checkout(checkout_id=page.pk, now=now)
    finally:
        _listeners["extra_agreed"].remove(listener)

    extra.refresh_from_db()
    booked.refresh_from_db()
    assert url == page.url
    assert (extra.status, booked.price, payments.balance(booked).due) == (ExtraStatus.AGREED, 27000, 0)
    assert heard == [extra]


def test_money_for_an_offer_that_was_withdrawn_goes_back(booked, now, stripe) -> None:
    extra = owe(booked, now, by=CLIENT, is_owed=False)
    checkout.open_checkout(booking_id=booked.pk, purpose="extra", extra_id=extra.pk, now=now)
    page = booked.checkouts.get()
    stripe.pay(page.session_id)
    assert charges.drop_extra(extra_id=extra.pk, by=CLIENT, now=now)

    payments.settle_checkout(checkout_id=page.pk, now=now)

    booked.refresh_from_db()
    assert booked.price == 18000
    assert Refund.objects.get().amount == 9000


def test_two_taps_open_one_page_and_nothing_is_sold_twice(booked, now, stripe) -> None:
    extra = owe(booked, now, by=CLIENT, is_owed=False)
    urls = {
        checkout.open_checkout(booking_id=booked.pk, purpose="extra", extra_id=extra.pk, now=now)
        for _ in "ab"
    }
    assert len(urls) == 1
    stripe.pay(booked.checkouts.get().session_id)
    payments.settle_checkout(checkout_id=booked.checkouts.get().pk, now=now)
    with pytest.raises(NotNow):
        checkout.open_checkout(booking_id=booked.pk, purpose="extra", extra_id=extra.pk, now=now)


def test_asking_for_money_twice_is_one_mail(booked, now) -> None:
    owe(booked, now)
    at = now.replace(minute=0)
    assert charges.request_payment(booking_id=booked.pk, by=STAFF, now=at) == 9000
    charges.request_payment(booking_id=booked.pk, by=STAFF, now=at + timedelta(minutes=1))
    assert Message.objects.get(name="payment_request").subject == "$90 for your session"


def test_a_tip_waits_for_delivery_and_for_the_studio_to_want_tips(booked, now, monkeypatch) -> None:
    person = booked.claims.filter(resource__kind="person").first()
    factories.crew(booked.location)
    assert person is None  # the plain factory session has no crew: claim one by hand
    artist = factories.resource("photographer", at=booked.location)
    booked.claims.create(
        resource=artist, starts_at=booked.starts_at, ends_at=booked.ends_at, works_from=booked.starts_at,
        works_until=booked.ends_at, purpose="Session",
    )  # fmt: skip

    def tip():
        booked.refresh_from_db()
        return charges.add_tip(booking_id=booked.pk, payee_id=artist.pk, amount=2000, by=CLIENT, now=now)

    with pytest.raises(NotNow):
        tip()
    factories.studio(asks_for_tips=True)
    with pytest.raises(NotNow):
        tip()
    monkeypatch.setattr(charges, "_deliveries", [lambda booking: booking == booked])
    extra = tip()
    assert (extra.status, extra.total, extra.payee, extra.label) == (
        ExtraStatus.PROPOSED,
        2000,
        artist,
        f"Tip for {artist.name}",
    )


def test_the_price_is_the_sum_of_its_lines(booked, now) -> None:
    owe(booked, now)
    booked.refresh_from_db()
    assert sum(line.gross for line in charges.lines_of(booked)) == booked.price
