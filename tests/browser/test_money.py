"""A gift on a phone: bought, mailed, and spent on a booking beside a discount code. Axe looks on."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from bookings import invoices, payments
from bookings.models import Booking, DiscountCode, Invoice, SessionType, Voucher
from bookings.statuses import BookingStatus
from devtools.stripe_server import StripeControl
from studio.models import LegalEntity, Location
from tests.browser.test_booking import kind, no_serious_issue, open_booking, phone

__all__ = ["kind", "phone"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_voucher_is_bought_mailed_and_pays_a_booking_with_a_code(
    phone: Page, kind: SessionType, stripe: StripeControl
) -> None:
    entity = LegalEntity.objects.create(name="Firm", address="Street 1", country="US", number_prefix="A-")
    Location.objects.update(entity=entity)
    DiscountCode.objects.create(code="TEN", percent=10)
    phone.goto("/vouchers/")
    no_serious_issue(phone)
    phone.get_by_label("Amount").fill("200")
    phone.get_by_label("Your name").fill("Ada")
    phone.get_by_label("Your e-mail").fill("ada@client.example")
    phone.get_by_label("Who is it for").fill("Zoë Łukasz 🎈")
    phone.get_by_label("Their e-mail").fill("zoe@client.example")
    phone.get_by_role("button", name="Go to payment").click()
    phone.get_by_role("button", name="Pay with a test card").click()
    expect(phone.get_by_role("heading", name="Thank you")).to_be_visible()
    no_serious_issue(phone)
    payments.reconcile(now=timezone.now())
    voucher = Voucher.objects.get(status="issued")

    phone.goto("/book/signature/?week=1")
    phone.locator("#week .slot").first.click()
    phone.get_by_label("Your name").fill("Zoë Łukasz")
    phone.get_by_label("E-mail").fill("zoe@client.example")
    phone.get_by_text("A code or a gift voucher").click()
    phone.get_by_label("Code", exact=True).fill("TEM")
    phone.get_by_role("button", name="Use it").press("Enter")
    expect(phone.get_by_text("We do not know this code.")).to_be_visible()
    no_serious_issue(phone)
    phone.get_by_label("Code", exact=True).fill("ten")
    phone.get_by_role("button", name="Use it").press("Enter")
    expect(phone.locator(".prices .is-due dd")).to_have_text("$162")
    phone.get_by_text("A code or a gift voucher").click()
    phone.get_by_label("Code", exact=True).fill(voucher.code.replace("-", " "))
    phone.get_by_role("button", name="Use it").click()
    expect(phone.locator(".prices .is-due dd")).to_have_text("$0")
    expect(phone.get_by_label("Your name")).to_have_value("Zoë Łukasz")
    no_serious_issue(phone)
    phone.get_by_label("I accept the booking conditions").check()
    phone.get_by_role("button", name="Book it").click()
    expect(phone.get_by_role("heading", name="See you soon, Zoë")).to_be_visible()

    assert invoices.issue_next(now=timezone.now())
    booking = Booking.objects.get()
    voucher.refresh_from_db()
    assert (booking.status, booking.price, voucher.left) == (BookingStatus.CONFIRMED, 16200, 3800)
    open_booking(phone, booking)
    expect(phone.get_by_role("link", name=f"Receipt {Invoice.objects.get().label}")).to_be_visible()
    no_serious_issue(phone)
