"""Amounts and percentages as people type them: what is read, and the one sentence for what is not."""

import re
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from bookings.amounts import AmountField
from bookings.models import BookingExtra, Payment, TaxRate
from studio.models import LegalEntity, Role
from tests import factories
from tests.galleries.making import sign_in

DIGITS = "Please give the amount in digits, like 90 or 90.50."
FINE = "This amount is finer than the smallest coin."
MUCH = "This amount is more than can be written down here. Please look at its digits once more."


@pytest.mark.parametrize(
    ("typed", "currency", "minor"),
    [
        ("90", "USD", 9000),
        (" 90.5 ", "USD", 9050),
        ("90,50", "EUR", 9050),
        ("0", "USD", 0),
        ("12000", "JPY", 12000),
        ("1.250", "KWD", 1250),
    ],
)
def test_an_amount_is_read_as_people_type_it(typed, currency, minor) -> None:
    field = AmountField(currency=currency)
    assert field.clean(typed) == minor
    assert field.clean(field.prepare_value(minor)) == minor


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Please give an amount."),
        ("ninety", DIGITS),
        ("1,250", DIGITS),
        ("1.250,00", DIGITS),
        ("NaN", DIGITS),
        ("9" * 5000, DIGITS),
        ("-5", "An amount cannot be less than nothing."),
        ("90.505", FINE),
        ("90.5055", FINE),
        ("123456789012", MUCH),
        ("9e30", MUCH),
    ],
)
def test_what_is_no_amount_is_answered_in_one_sentence_of_ours(typed, sentence) -> None:
    with pytest.raises(ValidationError) as refused:
        AmountField(currency="USD").clean(typed)
    assert refused.value.messages[0] == sentence


@pytest.fixture
def owner():
    browser = Browser()
    sign_in(browser, factories.user(Role.OWNER, is_staff=True))
    return browser


@pytest.fixture
def booked():
    place = factories.location()
    kind = factories.session_type(locations=[place])
    now = timezone.now()
    return factories.booking(session_type=kind, at=place, now=now, starts_at=now + timedelta(days=9))


def errors(page) -> list[str]:
    return [unescape(found) for found in re.findall(r'<ul class="errorlist"[^>]*><li>(.*?)</li>', page.text)]


@pytest.mark.django_db
def test_a_payment_that_cannot_be_written_down_stays_as_it_was_typed(owner, booked) -> None:
    address = reverse("desk_booking_payment", args=[booked.public_id])
    for typed, sentence in (
        ("123456789012", MUCH),
        ("180.01", "The amount must be more than nothing and no more than what is due."),
    ):
        page = owner.post(address, {"amount": typed, "method": "terminal", "form_token": str(uuid4())})
        assert (page.status_code, errors(page)) == (422, [sentence])
        assert f'value="{typed}"' in page.text and '<option value="terminal" selected>' in page.text
    assert not Payment.objects.exists()
    right = {"amount": "80,50", "method": "terminal", "form_token": str(uuid4())}
    assert owner.post(address, right).status_code == 302
    assert Payment.objects.get().amount == 8050


@pytest.mark.django_db
def test_the_desk_says_what_is_wrong_with_an_extra(owner, booked) -> None:
    address = reverse("desk_booking_money", args=[booked.public_id, "extra"])
    page = owner.post(address, {"label": "Print", "amount": "123456789012"}, follow=True)
    assert [str(said) for said in page.context["messages"]] == [MUCH]
    assert not BookingExtra.objects.exists()


@pytest.mark.django_db
def test_a_voucher_says_it_too(owner) -> None:
    factories.location()
    page = owner.post(reverse("desk_vouchers"), {"amount": "123456789012"})
    assert errors(page)[0] == MUCH


@pytest.mark.django_db
@pytest.mark.parametrize("typed", ["1234.5678", "8.87555", "-1", "101", "a lot"])
def test_a_tax_rate_is_asked_for_as_a_percentage(owner, typed) -> None:
    entity = LegalEntity.objects.create(name="Firm", address="Street", country="US", number_prefix="A-")
    rows = {"TOTAL_FORMS": "1", "INITIAL_FORMS": "0", "0-name": "Tax", "0-percent": typed}
    form = {"name": "Firm", "address": "Street", "country": "US", "number_prefix": "A-"}
    page = owner.post(
        reverse("admin:studio_legalentity_change", args=[entity.pk]),
        form | {f"tax_rates-{name}": value for name, value in rows.items()},
    )
    sentence = "Please give a percentage between 0 and 100, with three decimals at most, like 20 or 8.875."
    assert errors(page) == [sentence]
    assert not TaxRate.objects.exists()
