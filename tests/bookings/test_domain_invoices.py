"""Numbered papers: what is on them, that they never change, and that what changes makes another one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError, transaction

from bookings import (
    allowances,
    charges,
    checkout,
    codes,
    holds,
    invariants,
    invoices,
    lifecycle,
    payments,
    vouchers,
)
from bookings.models import Booking, DiscountCode, Invoice, InvoiceKind, Placement, TaxRate
from bookings.refusals import NotNow
from bookings.taxes import split
from studio.actors import Actor, ActorKind
from studio.documents import Paper
from studio.models import LegalEntity
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")
TUESDAY = datetime(2026, 11, 24, 16, tzinfo=UTC)


@pytest.fixture
def firm():
    entity = LegalEntity.objects.create(
        name="Northlight Ltd",
        address="1 High St\nLondon",
        country="GB",
        tax_number="GB 123",
        number_prefix="LDN-",
    )
    TaxRate.objects.create(entity=entity, name="VAT", percent=20)
    return entity


@pytest.fixture
def place(firm):
    row = factories.location(entity=firm, country="GB", currency="GBP")
    factories.crew(row)
    return row


def book(place, kind=None, add_ons=(), code="", *, pay=True, firm_name="", **fields):
    kind = kind or factories.session_type(locations=[place], add_ons=add_ons)
    booking = holds.place(
        session_type_id=kind.pk, location_id=place.pk, add_ons={row.pk: 1 for row in add_ons}, starts_at=TUESDAY,
        form_token=uuid4(), by=GUEST, now=NOW,
    )  # fmt: skip
    if code:
        codes.apply(booking_id=booking.pk, code=code, by=GUEST, now=NOW)
    checkout.take_details(
        booking_id=booking.pk, name="Zoë Łukasz", email="zoe@x.example", policy_accepted=True, by=STAFF, now=NOW,
        firm=firm_name, **fields,
    )  # fmt: skip
    if pay:
        due = payments.balance(Booking.objects.get(pk=booking.pk)).due
        payments.record_by_staff(booking_id=booking.pk, method="cash", amount=due, by=STAFF, now=NOW)
    else:
        lifecycle.confirm(booking_id=booking.pk, by=STAFF, now=NOW)
    return Booking.objects.get(pk=booking.pk)


def write_all(now=NOW) -> list[str]:
    while invoices.issue_next(now=now):
        pass
    checks = (
        invariants.papers_with_gaps,
        invariants.prices_that_do_not_add_up,
        invariants.money_not_allocated,
    )
    assert [line for check in checks for line in check(now)] == []
    return [f"{paper.label} {paper.total}" for paper in Invoice.objects.order_by("pk")]


# --- tax ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "percent", "is_added", "currency", "parts"),
    [
        (12000, "20", False, "GBP", (10000, 2000, 12000)),
        (10000, "8.875", True, "USD", (10000, 888, 10888)),
        (-12000, "20", False, "GBP", (-10000, -2000, -12000)),
        (5000, "10", True, "JPY", (5000, 500, 5500)),
        (12345, "5", True, "KWD", (12345, 620, 12965)),
        (99, "0", True, "USD", (99, 0, 99)),
    ],
)
def test_tax_is_in_the_price_or_on_top(amount, percent, is_added, currency, parts) -> None:
    found = split(amount, Decimal(percent), is_added=is_added, currency=currency)
    assert (found.net, found.tax, found.gross) == parts


def test_added_tax_raises_price_and_deposit_and_each_line_has_its_own_rate(firm, place) -> None:
    firm.is_tax_added = True
    firm.save()
    looks = factories.add_on(placement=Placement.NO_TIME, minutes=0, price=5000)
    TaxRate.objects.create(entity=firm, name="Reduced", percent=5, add_on=looks)
    kind = factories.session_type(
        locations=[place], add_ons=[looks], payment_plan="deposit_percent", deposit=50
    )
    booking = book(place, kind, [looks], pay=False)
    assert (booking.price, booking.tax, booking.due_now) == (18000 + 3600 + 5000 + 250, 3850, 13425)
    assert write_all() == []


# --- papers -------------------------------------------------------------------------------------------------


def test_a_paid_booking_gets_one_receipt_with_everything_on_it(place) -> None:
    booking = book(place, firm_name="Łódź & Söhne", firm_address="Rynek 1", tax_number="PL 99")
    assert write_all() == ["LDN-00001 18000"]
    paper = Invoice.objects.get()
    assert (paper.net, paper.tax, paper.kind, paper.currency) == (15000, 3000, InvoiceKind.INVOICE, "GBP")
    assert paper.buyer == {
        "name": "Zoë Łukasz", "firm": "Łódź & Söhne", "address": "Rynek 1", "tax_number": "PL 99",
        "email": "zoe@x.example",
    }  # fmt: skip
    assert paper.seller["name"] == "Northlight Ltd"
    assert paper.lines[0]["tax_name"] == "VAT"
    assert paper.payments == [{"on": "2026-11-16", "how": "Cash", "amount": 18000}]
    assert invoices.title_of(paper) == "Receipt LDN-00001"
    assert write_all() == ["LDN-00001 18000"]
    assert Booking.objects.get(pk=booking.pk).invoice_due_at is None


def test_nothing_is_written_while_money_is_open_unless_the_studio_says_so(place) -> None:
    booking = book(place, pay=False)
    assert write_all() == []
    with pytest.raises(NotNow):
        invoices.issue_now(booking_id=booking.pk, by=GUEST, now=NOW)
    invoices.issue_now(booking_id=booking.pk, by=STAFF, now=NOW)
    assert invoices.title_of(Invoice.objects.get()) == "Invoice LDN-00001"
    with pytest.raises(NotNow, match="on paper already"):
        invoices.issue_now(booking_id=booking.pk, by=STAFF, now=NOW)


def test_an_extra_makes_a_second_paper_and_dropping_it_a_credit_note(place) -> None:
    booking = book(place)
    write_all()
    extra = charges.add_extra(booking_id=booking.pk, label="Look", amount=6000, by=STAFF, now=NOW)
    assert write_all() == ["LDN-00001 18000", "LDN-00002 6000"]
    charges.drop_extra(extra_id=extra.pk, by=STAFF, now=NOW)
    assert write_all() == ["LDN-00001 18000", "LDN-00002 6000", "LDN-C00001 -6000"]
    assert Invoice.objects.get(kind="credit_note").corrects.label == "LDN-00002"


def with_deposit(place, add_ons=()):
    kind = factories.session_type(
        locations=[place], add_ons=add_ons, payment_plan="deposit_percent", deposit=50
    )
    booking = book(place, kind, add_ons, pay=False)
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=9000, by=STAFF, now=NOW)
    return Booking.objects.get(pk=booking.pk)


def test_a_deposit_has_a_receipt_and_the_last_one_takes_it_into_account(place) -> None:
    booking = with_deposit(place)
    assert write_all() == ["LDN-00001 9000"]
    first = Invoice.objects.get()
    assert (first.tax, first.lines[0]["label"]) == (1500, f"Deposit: {booking.session_type.name}")
    assert invoices.title_of(first) == "Receipt LDN-00001"
    payments.record_by_staff(booking_id=booking.pk, method="terminal", amount=9000, by=STAFF, now=NOW)
    assert write_all() == ["LDN-00001 9000", "LDN-00002 9000"]
    last = Invoice.objects.get(label="LDN-00002")
    assert [line["gross"] for line in last.lines] == [18000, -9000]
    assert (last.tax, invoices.title_of(last)) == (1500, "Receipt LDN-00002")


def test_a_deposit_is_split_over_the_rates_of_what_it_is_paid_for(firm, place) -> None:
    looks = factories.add_on(placement=Placement.NO_TIME, minutes=0, price=2000)
    TaxRate.objects.create(entity=firm, name="Reduced", percent=5, add_on=looks)
    with_deposit(place, [looks])
    assert write_all() == ["LDN-00001 9000"]
    lines = {line["tax_percent"]: line["gross"] for line in Invoice.objects.get().lines}
    assert lines == {"20": 8100, "5": 900}


@pytest.mark.parametrize(
    ("hours", "papers"),
    [(100, ["LDN-C00001 -9000"]), (30, ["LDN-C00001 -4500"]), (2, [])],
)
def test_a_deposit_of_a_cancelled_booking_is_taken_back_as_far_as_it_goes_back(place, hours, papers) -> None:
    place.country = "US"
    place.save()
    booking = with_deposit(place)
    write_all()
    at = TUESDAY - timedelta(hours=hours)
    lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=at)
    assert write_all(at) == ["LDN-00001 9000", *papers]


def test_an_invoice_whose_extra_is_not_paid_is_no_receipt(place) -> None:
    booking = book(place)
    write_all()
    charges.add_extra(booking_id=booking.pk, label="Look", amount=6000, by=STAFF, now=NOW)
    write_all()
    titles = [invoices.title_of(paper) for paper in Invoice.objects.order_by("pk")]
    assert titles == ["Receipt LDN-00001", "Invoice LDN-00002"]


def test_a_credit_note_names_every_invoice_it_takes_back(place) -> None:
    booking = book(place)
    charges.add_extra(booking_id=booking.pk, label="Look", amount=6000, by=STAFF, now=NOW)
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=6000, by=STAFF, now=NOW)
    write_all()
    charges.add_extra(booking_id=booking.pk, label="Print", amount=1000, by=STAFF, now=NOW)
    write_all()
    lifecycle.cancel(booking_id=booking.pk, full_refund=True, reason="Ill", by=STAFF, now=NOW)
    write_all()
    note = Invoice.objects.get(kind="credit_note")
    assert note.takes_back == ["LDN-00001", "LDN-00002"]
    assert [line["of"] for line in note.lines] == [["LDN-00001"], ["LDN-00001"], ["LDN-00002"]]


def test_what_is_taken_off_later_is_a_credit_note(place) -> None:
    booking = book(place)
    write_all()
    allowances.take_off(booking_id=booking.pk, amount=1800, reason="Late", once="late:1", by=STAFF, now=NOW)
    assert write_all() == ["LDN-00001 18000", "LDN-C00001 -1800"]
    assert Invoice.objects.get(kind="credit_note").tax == -300


def test_a_cancelled_booking_is_taken_back_and_what_is_kept_has_its_own_paper(place) -> None:
    place.country = "US"
    place.save()
    DiscountCode.objects.create(code="TEN", percent=10)
    booking = book(place, code="TEN")
    assert write_all() == ["LDN-00001 16200"]
    later = TUESDAY - timedelta(hours=30)
    assert lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=later).amount == 8100
    assert write_all(later) == ["LDN-00001 16200", "LDN-C00001 -16200", "LDN-00002 8100"]
    assert Invoice.objects.get(label="LDN-00002").lines[0]["key"] == "cancellation"


def test_a_place_without_a_legal_entity_makes_no_papers(place) -> None:
    place.entity = None
    place.save()
    booking = book(place)
    assert write_all() == []
    with pytest.raises(NotNow, match="no legal entity"):
        invoices.issue_now(booking_id=booking.pk, by=STAFF, now=NOW)


def test_postgresql_refuses_to_change_or_delete_a_paper(place) -> None:
    book(place)
    write_all()
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        Invoice.objects.update(total=1, net=1, tax=0)
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        Invoice.objects.get().delete()
    assert Invoice.objects.get().total == 18000


def test_a_voucher_is_a_way_to_pay_and_changes_no_paper(place) -> None:
    voucher = vouchers.issue(
        amount=20000, currency="GBP", recipient_name="Z", recipient_email="z@x.example", reason="Gift", by=STAFF,
        now=NOW,
    )  # fmt: skip
    booking = book(place, pay=False)
    assert payments.pay_by_voucher(booking_id=booking.pk, code=voucher.code, by=GUEST, now=NOW) == 18000
    assert write_all() == ["LDN-00001 18000"]
    assert Invoice.objects.get().payments[0]["how"] == "Gift voucher"


# --- the PDF ------------------------------------------------------------------------------------------------


def test_the_same_paper_is_the_same_bytes_whatever_happened_since(firm, place) -> None:
    booking = book(place)
    write_all()
    before = invoices.pdf_of(Invoice.objects.get())
    firm.name = "Another"
    firm.save()
    booking.payer.name = "Somebody else"
    booking.payer.save()
    assert invoices.pdf_of(Invoice.objects.get()) == before
    assert before.startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("typed", "drawn"),
    [
        ("Zoë Łukasz Ağaoğlu", "Zoë Łukasz Ağaoğlu"),
        ("Александра", "Александра"),
        ("a\u0308", "ä"),
        ("מרים (תל)", "(לת) םירמ"),
        ("Chloé \U0001f469\U0001f3fd\u200d\U0001f3a8 李", "Chloé □□□ □"),
        ("a\x00b\u202e", "ab"),
        ("لا", "\ufefb"),
    ],
)
def test_names_from_everywhere_are_drawn_and_what_the_font_lacks_is_a_square(typed, drawn) -> None:
    paper = Paper(title="x", by="y", at=NOW)
    assert paper.drawn(typed) == drawn


def test_a_name_of_ten_thousand_letters_and_a_hundred_lines_make_a_paper() -> None:
    paper = Paper(title="x", by="y", at=NOW, foot="f" * 5000)
    paper.text("Ø" * 10_000)
    paper.facts([("Label", "w" * 3000)])
    paper.lines(["What", "Amount"], [["<b>x</b>" * 50, "1"]] * 100, widths=[3, 1])
    assert paper.bytes().startswith(b"%PDF-")
