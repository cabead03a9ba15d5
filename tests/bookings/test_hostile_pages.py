"""Pages as a stranger uses them: a link that is somebody else's, forms sent twice, numbers without an end."""

from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.utils import timezone

from bookings import allowances, away, changes, charges, messages, payments
from bookings.models import AgreementKind, BookingExtra, Placement, Refund
from bookings.refusals import OtherAmount
from studio.actors import Actor, ActorKind
from studio.models import Message, MessageStatus
from tests import factories
from tests.bookings.test_money_pages import deed, opened
from tests.bookings.test_money_pages import desk as desk

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def look():
    return factories.add_on(name="A second look", price=9000, placement=Placement.NO_TIME, minutes=0)


@pytest.fixture
def booked(place, now, look):
    """A booking whose payer sends somebody else to be photographed."""
    factories.crew(place)
    kind = factories.session_type(locations=[place], add_ons=[look], horizon_days=90)
    at = (now + timedelta(days=20)).replace(hour=16, minute=0, second=0)
    at += timedelta(days=(1 - at.weekday()) % 7)
    return factories.booking(session_type=kind, at=place, now=now, starts_at=at, sitter=factories.client())


def test_who_is_in_the_picture_neither_sees_nor_raises_what_the_payer_pays(booked, now, look):
    sitter = opened(booked, now, booked.shoots.get().sitter)
    page = f"/booking/{booked.public_id}/add-ons"
    forged = {"chosen": "1", f"add-{look.pk}": "1", "confirm": "1", "price": "27000", "back": "0"}
    for answer in (sitter.get(page), sitter.get(page, forged), sitter.post(page, forged)):
        assert (answer.status_code, answer.url) == (302, f"/booking/{booked.public_id}/")
    own_page = sitter.get(f"/booking/{booked.public_id}/").content.decode()
    assert ("Only who booked" in own_page, page in own_page, "$" in own_page) == (True, False, False)
    booked.refresh_from_db()
    assert booked.price == 18000
    assert opened(booked, now).post(page, forged).url == f"/booking/{booked.public_id}/"
    booked.refresh_from_db()
    assert booked.price == 27000


def test_who_is_in_the_picture_says_no_to_no_offer_of_the_payers(booked, now):
    extra = charges.add_extra(
        booking_id=booked.pk, label="Look", amount=4000, is_owed=False, by=STAFF, now=now
    )
    typed = {"extra": extra.public_id, "answer": "no"}
    opened(booked, now, booked.shoots.get().sitter).post(f"/booking/{booked.public_id}/offer", typed)
    extra.refresh_from_db()
    assert extra.status == "proposed"


# --- a form sent twice ------------------------------------------------------------------------------------------


def test_what_is_taken_off_is_taken_off_once_and_its_reason_is_kept(booked, desk):
    first = {"amount": "10", "reason": "The rain came in", "form_token": str(uuid4()), "shown": "18000"}
    second = first | {"amount": "5", "form_token": str(uuid4()), "shown": "17000"}
    assert deed(desk, booked, "less", **first) == ["$10 taken off the price; $0 goes back."]
    assert deed(desk, booked, "less", **second) == ["$5 taken off the price; $0 goes back."]
    (said,) = deed(desk, booked, "less", **first)
    assert said == "The price is $165 by now. Please look once more whether this is to come off as well."
    booked.refresh_from_db()
    assert booked.price == 16500
    page = desk.get(f"/desk/bookings/{booked.public_id}/").content.decode()
    assert ("$10. The rain came in" in page, 'name="shown" value="16500"' in page) == (True, True)


@pytest.mark.django_db(transaction=True)
def test_a_double_click_takes_off_once(real_connections, now):
    booking = factories.booking(now=now, starts_at=now + timedelta(days=20))
    press = partial(
        allowances.take_off_by_hand, booking_id=booking.pk, amount=1000, shown=18000, reason="Late", once="form",
        by=STAFF, now=now,
    )  # fmt: skip
    answers = real_connections.run([press] * 4)
    assert sum(isinstance(answer, OtherAmount) for answer in answers) == 3
    booking.refresh_from_db()
    assert booking.price == 17000


def test_what_fell_out_and_was_booked_anew_can_fall_out_again(place, now):
    factories.crew(place)
    make_up = factories.add_on()
    kind = factories.session_type(locations=[place], add_ons=[make_up], horizon_days=90)
    at = (now + timedelta(days=20)).replace(hour=17, minute=0, second=0)
    at += timedelta(days=(1 - at.weekday()) % 7)
    booking = factories.booking(
        session_type=kind, at=place, now=now, starts_at=at, add_ons={make_up: 1}, is_paid=True
    )
    booking.add_ons.update(starts_at=at, ends_at=at + timedelta(minutes=45))
    for paid_again in (True, False):
        assert away.come_without(booking_id=booking.pk, add_on_id=make_up.pk, by=STAFF, now=now) == 9000
        if paid_again:
            changes.change_add_ons(booking_id=booking.pk, add_ons={make_up.pk: 1}, by=STAFF, now=now)
            Refund.objects.get()
            payments.record_by_staff(booking_id=booking.pk, method="cash", amount=4000, by=STAFF, now=now)
            payments.record_by_staff(booking_id=booking.pk, method="cash", amount=5000, by=STAFF, now=now)
    assert payments.balance(booking).kept == 18000


# --- what is planned names what is booked ------------------------------------------------------------------------


def test_a_mail_that_is_planned_names_the_add_ons_and_the_price_of_now(booked, now, look):
    messages.plan_reminders(booked, now=now)
    changes.change_add_ons(booking_id=booked.pk, add_ons={look.pk: 1}, by=STAFF, now=now)
    planned = Message.objects.filter(name="booking_prepare", client_id=booked.payer_id)
    waiting = planned.get(status=MessageStatus.QUEUED)
    assert "A second look" in waiting.body_text
    assert planned.exclude(pk=waiting.pk).get().status == MessageStatus.CANCELLED


# --- numbers and words without an end ----------------------------------------------------------------------------

LONG, MANY = "x" * 10_000, "9" * 5_000
ODD = [MANY, "²", "-1", "1e400", "\u0663", LONG, "", "\U0001f600", "\u202e<script>"]


@pytest.mark.parametrize("odd", ODD)
def test_no_form_of_the_private_page_breaks_on_what_is_typed(booked, now, look, odd):
    browser = opened(booked, now)
    forms = {
        "tip": {"payee": odd, "amount": odd},
        "pay": {"amount": odd},
        "voucher": {"code": odd},
        "offer": {"extra": odd, "answer": odd},
        "sitter": {"name": odd, "email": odd, "guardian_name": odd, "is_minor": odd},
        "ask": {"text": odd, "form_token": odd},
        "nerves": {"words": odd, "nerves": odd},
        "consents": {odd: odd},
        "questions": {"questionnaire": odd, "form_token": odd, f"q-{odd}": odd},
        "add-ons": {"chosen": "1", f"add-{look.pk}": odd, f"add-{odd}": "0", "confirm": "1", "price": odd},
        "cancel": {"shown": odd},
        "move": {"starts_at": odd, "sure": "1"},
        f"sign/{AgreementKind.AGREEMENT}": {"text": odd, "typed_name": odd},
    }
    for verb, typed in forms.items():
        answer = browser.post(f"/booking/{booked.public_id}/{verb}", typed)
        assert answer.status_code < 500, verb
    booked.refresh_from_db()
    assert (booked.price, booked.status, BookingExtra.objects.count()) == (18000, "confirmed", 0)
