"""Money on real connections: one voucher, one code, one number. Each promise has its control."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.db.models import F, Sum

from bookings import codes, invoices, ledger, vouchers
from bookings.models import (
    Booking,
    CodeUse,
    DiscountCode,
    Invoice,
    InvoiceKind,
    NumberSequence,
    Payment,
    Voucher,
)
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus
from studio.actors import Actor, ActorKind
from studio.models import LegalEntity
from tests import factories
from tests.factories import NOW

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")


@contextmanager
def without(model, *names) -> Iterator[None]:
    """Take constraints away and put them back."""
    rules = [rule for rule in model._meta.constraints if rule.name in names]
    with connection.schema_editor() as editor:
        for rule in rules:
            editor.remove_constraint(model, rule)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            if model is Voucher:
                Voucher.objects.filter(spent__gt=F("amount")).update(spent=0)
            if model is DiscountCode:
                DiscountCode.objects.update(used_count=0)
            for rule in rules:
                editor.add_constraint(model, rule)


def held(count):
    place = factories.location()
    kind = factories.session_type(locations=[place])
    return [
        factories.booking(
            session_type=kind, status=BookingStatus.HELD, payer=factories.client(),
            starts_at=NOW + timedelta(days=7, hours=number * 2),
        )
        for number in range(count)
    ]  # fmt: skip


def gift():
    return vouchers.issue(
        amount=20000, currency="USD", recipient_name="Zoë", recipient_email="zoe@x.example", reason="A prize",
        by=STAFF, now=NOW,
    )  # fmt: skip


def spend(booking, voucher):
    return vouchers.redeem(booking_id=booking.pk, code=voucher.code, by=GUEST, now=NOW)


def test_two_bookings_spend_one_voucher_only_as_far_as_it_goes(real_connections):
    voucher, bookings = gift(), held(6)
    answers = real_connections.run([partial(spend, booking, voucher) for booking in bookings])
    assert sum(answer for answer in answers if isinstance(answer, int)) == 20000
    assert sum(isinstance(answer, NotNow) for answer in answers) == 4
    voucher.refresh_from_db()
    assert (voucher.spent, Payment.objects.aggregate(all=Sum("amount"))["all"]) == (20000, 20000)


def test_without_lock_and_constraint_the_voucher_is_overspent(real_connections, monkeypatch):
    """The control."""
    voucher, bookings = gift(), held(6)
    unlocked = type(Voucher.objects.all()).select_for_update

    def only_others(rows, *args, **options):
        return rows.all() if rows.model is Voucher else unlocked(rows, *args, **options)

    monkeypatch.setattr(type(Voucher.objects.all()), "select_for_update", only_others)
    writes = ledger.write_payment

    def slowly(*args, **options):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.05)")
        return writes(*args, **options)

    monkeypatch.setattr(vouchers, "write_payment", slowly)
    with without(Voucher, "voucher_not_overspent"):
        real_connections.run([partial(spend, booking, voucher) for booking in bookings])
        assert Payment.objects.aggregate(all=Sum("amount"))["all"] > 20000


def use(booking):
    return codes.apply(booking_id=booking.pk, code="ONE", by=GUEST, now=NOW)


def test_a_code_is_used_no_more_often_than_it_may(real_connections):
    DiscountCode.objects.create(code="ONE", percent=10, max_uses=1)
    answers = real_connections.run([partial(use, booking) for booking in held(6)])
    assert sum(isinstance(answer, Booking) for answer in answers) == 1
    assert sum(isinstance(answer, NotNow) for answer in answers) == 5
    assert (CodeUse.objects.count(), DiscountCode.objects.get().used_count) == (1, 1)


def firm():
    return LegalEntity.objects.create(name="Firm", address="Street 1", country="US", number_prefix="A-")


def paid(count):
    entity = firm()
    place = factories.location(entity=entity)
    kind = factories.session_type(locations=[place])
    for number in range(count):
        booking = factories.booking(
            session_type=kind, is_paid=True, starts_at=NOW + timedelta(days=7, hours=number * 2)
        )
        Booking.objects.filter(pk=booking.pk).update(invoice_due_at=NOW)
    return entity


def test_receipts_made_at_the_same_moment_have_no_gap_and_no_double(real_connections):
    paid(8)
    answers = real_connections.run([partial(invoices.issue_next, now=NOW)] * 8)
    assert answers == [True] * 8
    assert sorted(Invoice.objects.values_list("number", flat=True)) == list(range(1, 9))
    assert NumberSequence.objects.get().last == 8


def test_a_paper_that_fails_takes_no_number(monkeypatch):
    paid(2)
    buyers = iter([RuntimeError("no"), {"name": "x"}])

    def buyer(booking):
        found = next(buyers)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(invoices, "_payments", lambda booking, zone: buyer(booking) and [])
    assert [invoices.issue_next(now=NOW) for _time in range(3)] == [True, True, False]
    assert list(Invoice.objects.values_list("number", flat=True)) == [1]


def test_without_the_sequences_lock_a_number_is_wanted_twice(real_connections, monkeypatch):
    """The control: the unique number refuses the second, which is tried again later."""
    paid(6)

    def without_lock(entity, kind):
        last = NumberSequence.objects.filter(entity=entity, kind=InvoiceKind(kind)).first()
        number = (last.last if last else 0) + 1
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.05)")
        NumberSequence.objects.update_or_create(entity=entity, kind=kind, defaults={"last": number})
        return number

    monkeypatch.setattr(invoices, "take_number", without_lock)
    real_connections.run([partial(invoices.issue_next, now=NOW)] * 6)
    assert Invoice.objects.count() < 6
