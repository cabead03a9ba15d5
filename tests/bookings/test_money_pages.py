"""The pages of money as people use them: codes while booking, receipts, the desk's daily work, statements."""

import re
from datetime import timedelta

import pytest
from django.test import Client as Browser
from django.utils import timezone

from bookings import charges, invoices, lifecycle, payments, policy, shares, vouchers
from bookings.models import BookingExtra, DiscountCode, Invoice, Refund, Shoot, TaxRate, Voucher
from bookings.statuses import BookingStatus, RefundStatus
from studio import credentials
from studio.actors import WORKER, Actor, ActorKind
from studio.models import LegalEntity, Message, Role
from studio.transitions import move
from tests import factories
from tests.galleries.making import sign_in
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def place():
    entity = LegalEntity.objects.create(name="Firm", address="Street", country="US", number_prefix="A-")
    TaxRate.objects.create(entity=entity, name="Sales tax", percent=5)
    return factories.location(entity=entity)


def book(place, now, **fields):
    kind = factories.session_type(locations=[place])
    given = {"session_type": kind, "at": place, "now": now, "starts_at": now + timedelta(days=20)}
    return factories.booking(**given | fields)


@pytest.fixture
def desk():
    browser = Browser()
    sign_in(browser, factories.user(Role.OWNER))
    return browser


def opened(booking, now, holder=None) -> Browser:
    browser = Browser()
    holder = holder or booking.payer
    link = credentials.grant(
        scope="booking", target=booking.public_id, now=now, holder_id=holder.pk, holder_label=holder.name
    )
    browser.get(link.url.removeprefix("http://testserver"))
    return browser


def deed(desk, booking, verb, **typed):
    answer = desk.post(f"/desk/bookings/{booking.public_id}/money/{verb}", typed, follow=True)
    return [str(message) for message in answer.context["messages"]]


# --- booking ------------------------------------------------------------------------------------------------


def prices(page):
    """What the list of prices says: label and amount of each row."""
    listed = re.search(r'<dl class="prices">(.*?)</dl>', page.text, re.S).group(1)
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", listed))


def test_a_deposit_is_called_one_and_what_is_open_after_it_is_said(place, now) -> None:
    booking = book(
        place, now, status=BookingStatus.HELD, price=18000, due_now=9000, hold_expires_at=now + timedelta(1)
    )
    browser = Browser()
    session = browser.session
    session["holds"] = [booking.public_id]
    session.save()
    page = browser.get(f"/hold/{booking.public_id}/")
    shown = prices(page)
    assert (shown["Deposit, due now"], shown["Open until the session"]) == ("$90", "$90")
    assert "deposit, on the next page, by card; $90 is open until the session" in page.text
    gift = vouchers.issue(
        amount=5000, currency="USD", recipient_name="Zoë", recipient_email="zoe@x.example", reason="A prize",
        by=STAFF, now=now,
    )  # fmt: skip
    vouchers.redeem(booking_id=booking.pk, code=gift.code, by=Actor(ActorKind.CLIENT), now=now)
    shown = prices(browser.get(f"/hold/{booking.public_id}/"))
    assert (shown["Deposit, due now"], shown["Open until the session"]) == ("$40", "$90")
    type(booking).objects.update(due_now=18000)
    page = browser.get(f"/hold/{booking.public_id}/")
    assert prices(page)["Due now"] == "$130" and "eposit" not in page.text


def test_the_conditions_say_the_tiers_that_are_computed(place, now, desk, monkeypatch) -> None:
    booking = book(place, now, status=BookingStatus.HELD)
    browser = Browser()
    session = browser.session
    session["holds"] = [booking.public_id]
    session.save()
    stricter = policy.Policy(tiers=(policy.Tier(96, 100), policy.Tier(12, 30)), free_moves=2, move_hours=60)
    words = policy.in_words(stricter)
    monkeypatch.setattr(policy.in_words, "__defaults__", (stricter,))
    for page in (browser.get(f"/hold/{booking.public_id}/"), desk.get("/desk/studio/")):
        assert all(sentence in page.text for sentence in words)
    for at_least, percent in ((96, 100), (12, 30)):
        begins = now + timedelta(hours=at_least)
        assert policy.refund_percent(starts_at=begins, at=now, policy=stricter) == percent
        assert any(f"{at_least} hours" in sentence for sentence in words)
    assert "2 times" in words[0] and "60 hours" in words[0]


def test_a_code_on_the_details_page_keeps_what_was_typed(place, now) -> None:
    DiscountCode.objects.create(code="TEN", percent=10)
    booking = book(place, now, status=BookingStatus.HELD)
    browser = Browser()
    session = browser.session
    session["holds"] = [booking.public_id]
    session.save()
    page = f"/hold/{booking.public_id}/"
    wrong = browser.post(page, {"name": "Zoë", "email": "z@x.example", "code": "<b>", "use_code": "1"})
    assert wrong.status_code == 422
    html = wrong.content.decode()
    assert 'value="Zoë"' in html
    assert "We do not know this code." in html
    assert "<b>" not in html.split("<main")[1]
    assert_no_inline(html)

    right = browser.post(page, {"name": "Zoë", "email": "z@x.example", "code": "ten"}).content.decode()
    assert "−$18" in right
    assert "$162" in right
    booking.refresh_from_db()
    assert (booking.price, booking.payer) == (16200, None)


def test_codes_are_not_guessed_by_trying(place, now) -> None:
    booking = book(place, now, status=BookingStatus.HELD)
    browser = Browser()
    session = browser.session
    session["holds"] = [booking.public_id]
    session.save()
    pages = [
        browser.post(f"/hold/{booking.public_id}/", {"code": f"GUESS-{n}"}).content.decode()
        for n in range(21)
    ]
    assert "We do not know this code." in pages[19]
    assert "Too many codes were tried from here." in pages[20]


# --- the client ---------------------------------------------------------------------------------------------


def test_the_payer_downloads_receipts_and_nobody_else(place, now) -> None:
    booking = book(place, now, is_paid=True)
    invoices.issue_now(booking_id=booking.pk, by=STAFF, now=now)
    paper = Invoice.objects.get()
    browser = opened(booking, now)
    page = browser.get(f"/booking/{booking.public_id}/receipts")
    assert "Receipt A-00001" in page.content.decode()
    pdf = browser.get(f"/booking/{booking.public_id}/receipts", {"paper": paper.public_id})
    assert (pdf["Content-Type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert "no-store" in pdf["Cache-Control"]
    other = book(place, now, starts_at=now + timedelta(days=22))
    foreign = opened(other, now)
    for target in (booking, other):
        answer = foreign.get(f"/booking/{target.public_id}/receipts", {"paper": paper.public_id})
        assert answer.status_code == 404
    sitter = factories.client()
    assert opened(booking, now, sitter).get(f"/booking/{booking.public_id}/receipts").status_code == 404


def test_a_client_says_no_to_an_offer_and_spends_a_voucher(place, now) -> None:
    booking = book(place, now)
    extra = charges.add_extra(
        booking_id=booking.pk, label="Look", amount=100, is_owed=False, by=STAFF, now=now
    )
    browser = opened(booking, now)
    assert "Offered to you" in browser.get(f"/booking/{booking.public_id}/").content.decode()
    browser.post(f"/booking/{booking.public_id}/offer", {"extra": extra.public_id, "answer": "no"})
    extra.refresh_from_db()
    assert extra.status == "dropped"
    browser.post(f"/booking/{booking.public_id}/offer", {"extra": extra.public_id, "answer": "pay"})
    assert not booking.checkouts.exists()


# --- the desk -----------------------------------------------------------------------------------------------


def test_extras_card_links_and_money_back_by_hand(place, now, desk) -> None:
    booking = book(place, now)
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=18000, by=STAFF, now=now)
    typed = {"label": "Look", "amount": "40.00", "kind": "other", "ask": "1", "form_token": "t1"}
    assert deed(desk, booking, "extra", **typed) == ["Added, and a card link is on its way to the client."]
    assert deed(desk, booking, "extra", **typed)  # a double click
    booking.refresh_from_db()
    assert (booking.price, BookingExtra.objects.count()) == (22000, 1)
    assert Message.objects.filter(name="payment_request").count() == 1
    off = {"amount": "60", "reason": "Waited", "form_token": "t2", "shown": "22000"}
    assert deed(desk, booking, "less", **off) == ["$60 taken off the price; $20 goes back."]
    assert deed(desk, booking, "less", **off) == ["That is written already."]
    refund = Refund.objects.get()
    page = desk.get(f"/desk/bookings/{booking.public_id}/").content.decode()
    assert "Give $20 back" in page
    assert f"Give $20 back to {booking.payer.name}" in desk.get("/desk/").content.decode()
    assert_no_inline(page)
    assert deed(desk, booking, "hand-back", refund=refund.public_id) == ["Written down: given back."]
    refund.refresh_from_db()
    assert refund.status == RefundStatus.DONE
    assert "Give $20 back" not in desk.get("/desk/").content.decode()


@pytest.mark.parametrize("amount", ["", "-5", "0", "1e9", "9999999999", "1.005", "NaN", "drei"])
def test_an_amount_that_is_none_is_refused_and_changes_nothing(place, now, desk, amount) -> None:
    booking = book(place, now)
    for verb in ("extra", "less", "voucher"):
        (said,) = deed(desk, booking, verb, label="x", reason="x", amount=amount)
        assert "mount" in said
    booking.refresh_from_db()
    assert (booking.price, BookingExtra.objects.count(), Voucher.objects.count()) == (18000, 0, 0)


def test_another_bookings_refund_and_extra_are_not_here(place, now, desk) -> None:
    booking, other = book(place, now), book(place, now, starts_at=now + timedelta(days=23))
    extra = charges.add_extra(booking_id=other.pk, label="x", amount=100, by=STAFF, now=now)
    assert deed(desk, booking, "drop", extra=extra.public_id) == ["This is not here any more."]
    assert deed(desk, booking, "hand-back", refund="x") == ["This is not here any more."]


def test_vouchers_are_given_and_taken_back_on_the_desk(place, desk) -> None:
    token = "5e0a6c0e-5f0e-4b52-9f5e-3a5b7a4f1a11"
    typed = {
        "amount": "50", "recipient_name": "Zoë", "recipient_email": "z@x.example", "reason": "Fair",
        "form_token": token,
    }  # fmt: skip
    for _click in range(2):
        desk.post("/desk/money/vouchers/", typed)
    voucher = Voucher.objects.get()
    assert voucher.code in desk.get("/desk/money/vouchers/").content.decode()
    desk.post("/desk/money/vouchers/", {"void": voucher.public_id})
    voucher.refresh_from_db()
    assert voucher.status == "void"


def test_the_months_papers_as_csv_run_no_formula(place, now, desk) -> None:
    payer = factories.client(name="=1+1")
    booking = book(place, now, is_paid=True, payer=payer, tax_percent=5)
    invoices.issue_now(booking_id=booking.pk, by=STAFF, now=now)
    month = Invoice.objects.get().issued_on
    rows = desk.get("/desk/money/", {"as": "csv", "month": f"{month:%Y-%m}"}).content.decode().splitlines()
    assert len(rows) == 2
    assert ",'=1+1,,USD," in rows[1]
    assert rows[1].endswith(",")
    assert rows[1].startswith("A-00001,invoice,")
    assert "171.43,8.57,180.00" in rows[1]


# --- statements ---------------------------------------------------------------------------------------------


def test_a_statement_has_the_share_before_tax_and_the_tip_in_full(place, now, desk) -> None:
    crew = factories.crew(place)
    make_up = factories.add_on(payee_percent=60)
    kind = factories.session_type(locations=[place], add_ons=[make_up])
    starts_at = now.replace(hour=16, minute=0, second=0) + timedelta(days=1)
    booking = factories.booking(
        session_type=kind, at=place, add_ons={make_up: 1}, starts_at=starts_at, now=now
    )
    artist = crew["make-up-artist"]
    seat = booking.claims.get(resource=artist)
    booking.add_ons.update(
        tax_percent=5, payee_percent=60, starts_at=seat.works_from, ends_at=seat.works_until
    )
    shoot = booking.shoots.get()
    move(Shoot, shoot.pk, "check_in", by=WORKER, now=starts_at)
    move(Shoot, shoot.pk, "complete", by=WORKER, now=booking.ends_at)
    BookingExtra.objects.create(
        booking=booking, kind="tip", label="Tip", amount=2000, total=2000, payee=artist, status="agreed",
        created_at=now, agreed_at=booking.ends_at, actor_kind="client",
    )  # fmt: skip
    month = booking.ends_at.date().replace(day=1)
    (statement,) = shares.statements(month=month)
    assert statement.person == artist
    assert [(line.net, line.percent, line.owed) for line in statement.lines] == [
        (8571, 60, 5143),
        (2000, 100, 2000),
    ]
    assert statement.totals == {"USD": 7143}
    page = desk.get("/desk/money/statements/", {"month": f"{month:%Y-%m}"}).content.decode()
    assert "$71.43" in page
    csv = desk.get("/desk/money/statements/", {"month": f"{month:%Y-%m}", "as": "csv"}).content.decode()
    assert csv.count(artist.name) == 2
    assert shares.statements(month=(month - timedelta(days=40)).replace(day=1)) == []


@pytest.mark.parametrize(("whose", "said"), [("studio", "$180 goes back"), ("client", "$90 goes back")])
def test_the_desk_cancels_for_the_client_by_policy_or_waives_it(place, now, desk, whose, said) -> None:
    booking = book(place, now, is_paid=True, starts_at=now + timedelta(hours=50))
    page = desk.get(f"/desk/bookings/{booking.public_id}/")
    assert "The client: $90 goes back" in page.text and "everything goes back, $180" in page.text
    answer = desk.post(
        f"/desk/bookings/{booking.public_id}/cancel",
        {**shown_on(page.text), "whose": whose, "reason": "Ill"},
        follow=True,
    )
    (message,) = answer.context["messages"]
    assert said in str(message)


def shown_on(page: str) -> dict[str, str]:
    """The amounts a page of the desk says would go back, as its form posts them."""
    return dict(re.findall(r'name="(shown_\w+)" value="([^"]*)"', page))


@pytest.mark.parametrize(
    ("whose", "stale", "asked_again"),
    [("studio", "shown_studio", "everything goes back, $180"), ("client", "shown_client", "$90 goes back")],
)
def test_the_desk_is_asked_again_where_another_amount_would_go_back_by_now(
    place, now, desk, whose, stale, asked_again
) -> None:
    booking = book(place, now, is_paid=True, starts_at=now + timedelta(hours=50))
    url = f"/desk/bookings/{booking.public_id}/"
    typed = {**shown_on(desk.get(url).text), "whose": whose, "reason": "Ill <b>today</b>"}
    assert set(typed) >= {"shown_studio", "shown_client"}
    for said in ("1", "", "9" * 40, "eleven"):
        answer = desk.post(f"{url}cancel", {**typed, stale: said})
        assert answer.status_code == 409
        assert "Meanwhile another amount would go back. Please look once more." in answer.text
        assert asked_again in answer.text and 'value="Ill &lt;b&gt;today&lt;/b&gt;"' in answer.text
        assert f'value="{whose}" checked' in answer.text
        assert shown_on(answer.text) == {"shown_studio": "18000", "shown_client": "9000"}
        assert_no_inline(answer.text)
    booking.refresh_from_db()
    assert booking.status == BookingStatus.CONFIRMED and not Refund.objects.exists()
    desk.post(f"{url}cancel", typed)
    assert Refund.objects.get().amount == int(typed[stale])


def test_waiving_the_fee_of_a_no_show_is_asked_again_too(place, now, desk) -> None:
    booking = book(place, now, is_paid=True, starts_at=now - timedelta(hours=1))
    move(Shoot, booking.shoots.get().pk, "no_show", by=STAFF, now=now)
    url = f"/desk/bookings/{booking.public_id}/"
    typed = {**shown_on(desk.get(url).text), "whose": "studio", "waive": "1", "reason": "Ill"}
    answer = desk.post(f"{url}cancel", {**typed, "shown_studio": "17000"})
    assert answer.status_code == 409 and "Please look once more" in answer.text
    assert 'id="waive-reason" name="reason" value="Ill"' in answer.text
    assert not Refund.objects.exists()
    desk.post(f"{url}cancel", typed)
    assert Refund.objects.get().amount == 18000


# --- cancelling ---------------------------------------------------------------------------------------------


def test_the_desk_computes_what_goes_back_once(place, now, desk, monkeypatch) -> None:
    booking = book(place, now, is_paid=True, starts_at=now + timedelta(hours=60))
    asked, preview = [], lifecycle.refund_preview

    def counted(**given):
        asked.append(given)
        return preview(**given)

    monkeypatch.setattr(lifecycle, "refund_preview", counted)
    page = desk.get(f"/desk/bookings/{booking.public_id}/").text
    assert len(asked) == 1
    assert 'name="shown_studio" value="18000"' in page and 'name="shown_client" value="9000"' in page
    assert "everything goes back, $180" in page and "The client: $90 goes back" in page
