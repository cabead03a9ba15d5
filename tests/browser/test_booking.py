"""Booking as a client does it on a phone: choose, hold, pay, move, cancel, take a waiting-list offer. Axe looks on."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Browser, Page, Route, expect

from bookings import agreements, payments, questionnaires, waiting
from bookings.models import AddOn, Booking, Client, DiscountCode, Placement, Refund, SessionType, WaitingOffer
from bookings.questionnaires import Draft
from bookings.statuses import BookingStatus
from devtools.stripe_server import StripeControl
from studio import credentials
from studio.actors import WORKER
from studio.models import Message
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def kind(transactional_db: None) -> SessionType:
    """An hour, with make-up and hair at the same time beside each other, every day of the week."""
    place = factories.location(name="Brooklyn", zone="America/New_York", weekdays=range(7))
    for skills in (("photographer",), ("make-up-artist",), ("hair-stylist",)):
        factories.resource(*skills, at=place, weekdays=range(7))
    factories.resource("camera-room", kind="room", at=place)
    factories.resource("make-up-chair", kind="chair", at=place)
    factories.resource("hair-chair", kind="chair", at=place)
    make_up = factories.add_on(name="Make-up", placement=Placement.BEFORE_PARALLEL, minutes=45)
    hair = factories.add_on(
        name="Hair", kind="hair", placement=Placement.BEFORE_PARALLEL, minutes=30, price=6000,
        needs=("hair-stylist", "hair-chair"),
    )  # fmt: skip
    kind = factories.session_type(
        slug="signature", name="Signature", locations=[place], add_ons=[make_up, hair]
    )
    now = timezone.now()
    questionnaires.publish(owner=kind, drafts=[Draft("text", "Where will you use it?")], by=WORKER, now=now)
    agreements.publish_text(
        kind="agreement", title="Agreement", body="We photograph you.", by=WORKER, now=now
    )
    return kind


@pytest.fixture
def phone(page: Page) -> Page:
    page.set_viewport_size(PHONE)
    return page


def no_serious_issue(page: Page, width: int = PHONE["width"]) -> None:
    """Axe's serious and critical findings, as lines one can act on; and nothing wider than the phone."""
    # Without preloading: axe would write the stylesheets into the page, which the content security policy forbids.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    serious = [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def days_ahead(kind: SessionType, days: int, hour: int = 12) -> datetime:
    """A wall-clock hour at the location, some days from today, whatever the season."""
    zone = ZoneInfo(kind.locations.get().zone)
    on: date = timezone.now().astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(on, time(hour), tzinfo=zone).astimezone(UTC)


def open_booking(phone: Page, booked: Booking) -> None:
    assert booked.payer is not None
    given = credentials.grant(
        scope="booking", target=booked.public_id, now=timezone.now(), holder_id=booked.payer.pk,
        holder_label=booked.payer.name,
    )  # fmt: skip
    phone.goto(given.url)


def test_book_with_hair_beside_make_up_and_pay(phone: Page, kind: SessionType, stripe: StripeControl) -> None:
    phone.goto("/")
    no_serious_issue(phone)
    phone.get_by_role("link", name="Signature", exact=True).click()
    for add_on in ("Make-up", "Hair"):
        with phone.expect_response(re.compile(r"/book/signature/\?")):
            phone.locator(".option", has_text=add_on).locator("input").check()
    expect(phone.locator("#times .price")).to_have_text("$330")
    no_serious_issue(phone)
    phone.locator("#week .slot").first.click()
    expect(phone.get_by_role("heading", name="Almost yours")).to_be_visible()
    no_serious_issue(phone)
    booked = Booking.objects.get()
    make_up, hair = booked.add_ons.order_by("add_on__name").values_list("starts_at", "ends_at").reverse()
    assert make_up[1] == hair[1] == booked.shoots.get().starts_at  # beside each other, ready together
    phone.get_by_label("Your name").fill("Ada Ōyama-Ünal 🎈")
    phone.get_by_label("E-mail").fill("ada@client.example")
    phone.get_by_label("I accept the booking conditions").check()
    phone.get_by_role("button", name="Go to payment").click()
    phone.get_by_role("button", name="Pay with a test card").click()
    expect(phone.get_by_role("heading", name="One moment")).to_be_visible()
    no_serious_issue(phone)
    payments.reconcile(now=timezone.now())
    expect(phone.get_by_role("heading", name="See you soon, Ada")).to_be_visible()
    no_serious_issue(phone)
    assert Message.objects.filter(name="booking_confirmed").count() == 1


def test_on_a_wide_screen_the_price_begins_beside_the_form(phone: Page, kind: SessionType) -> None:
    phone.set_viewport_size({"width": 1440, "height": 900})
    phone.goto("/book/signature/?week=1")
    phone.locator("#week .slot").first.click()
    expect(phone.get_by_role("heading", name="Almost yours")).to_be_visible()
    tops = phone.evaluate(
        "[...document.querySelector('.split').children].map(e => e.getBoundingClientRect().top)"
    )
    assert len(tops) == 2 and tops[0] == tops[1]


def test_what_is_ticked_before_the_scripts_have_come_counts(phone: Page, kind: SessionType) -> None:
    held: list[Route] = []
    phone.route(re.compile(r"/htmx-2\.min"), lambda route: held.append(route))
    phone.goto("/book/signature/", wait_until="commit")
    phone.locator(".option", has_text="Make-up").locator("input").check()
    before = phone.locator("#times .price").inner_text()
    assert len(held) == 1
    held[0].continue_()
    expect(phone.locator("#times .price")).not_to_have_text(before)
    phone.locator("#week .slot").first.click()
    expect(phone.get_by_role("heading", name="Almost yours")).to_be_visible()
    assert Booking.objects.get().add_ons.get().add_on.name == "Make-up"


def test_where_nothing_was_ticked_the_page_stays_as_it_came(phone: Page, kind: SessionType) -> None:
    kind.add_ons.add(
        factories.add_on(name="Finals", minutes=0, placement=Placement.NO_TIME, max_count=5, needs=())
    )
    asked: list[str] = []
    phone.on("request", lambda request: asked.append(request.url))
    phone.goto("/book/signature/?week=1", wait_until="networkidle")
    assert [url for url in asked if "/book/signature/" in url] == [phone.url]
    expect(phone.get_by_role("link", name="Earlier")).to_be_visible()


def test_three_of_an_add_on_and_enter_in_the_code_field(phone: Page, kind: SessionType) -> None:
    finals = factories.add_on(
        name="One more picture", price=4500, minutes=0, placement=Placement.NO_TIME, max_count=5, needs=()
    )
    kind.add_ons.add(finals)
    DiscountCode.objects.create(code="HELLO", percent=10, is_once_per_client=False)
    phone.goto("/book/signature/?week=1")
    with phone.expect_response(re.compile(r"/book/signature/\?")):
        phone.get_by_label("How many: One more picture").select_option("3")
    expect(phone.locator("#times .price")).to_have_text("$315")
    no_serious_issue(phone)
    phone.locator("#week .slot").first.click()
    expect(phone.get_by_role("heading", name="Almost yours")).to_be_visible()
    row = Booking.objects.get().add_ons.get()
    assert (row.add_on, row.count) == (finals, 3)
    phone.get_by_label("Your name").fill("Ada")
    phone.get_by_text("A code or a gift voucher").click()
    phone.get_by_label("Code").fill("hullo")
    phone.get_by_label("E-mail").fill("ada@client.example")
    phone.get_by_label("I accept the booking conditions").check()
    phone.get_by_role("button", name="Go to payment").click()
    expect(phone.locator("#code-problem")).to_be_in_viewport()  # far below the button that was pressed
    expect(phone.get_by_label("Code")).to_be_focused()
    phone.get_by_label("Code").fill("hello")
    phone.get_by_label("Code").press("Enter")
    expect(phone.get_by_role("button", name="Take the code off")).to_be_visible()
    expect(phone.get_by_label("Your name")).to_have_value("Ada")
    assert Booking.objects.get().status == "held"


def test_a_client_elsewhere_reads_the_hold_and_the_session_on_their_own_clock(
    browser: Browser, kind: SessionType, site: str
) -> None:
    elsewhere = browser.new_page(base_url=site, viewport=PHONE, timezone_id="Asia/Kathmandu")
    elsewhere.goto("/book/signature/?week=1")
    elsewhere.locator("#week .slot").last.click()  # late in the day in New York: the next morning there
    held = Booking.objects.get()
    assert held.hold_expires_at is not None
    there = ZoneInfo("Asia/Kathmandu")
    expect(elsewhere.locator(".countdown time")).to_have_text(
        f"{held.hold_expires_at.astimezone(there):%H:%M}"
    )
    own = elsewhere.locator("[data-own-time]")
    expect(own).to_contain_text(f"{held.starts_at.astimezone(there):%a}")
    expect(own).to_contain_text(f"{held.starts_at.astimezone(there):%H:%M} your time")
    no_serious_issue(elsewhere)
    elsewhere.context.close()


def test_a_hold_expires_in_front_of_the_client(phone: Page, kind: SessionType) -> None:
    phone.goto("/book/signature/?week=1")
    phone.locator("#week .slot").first.click()
    expect(phone.locator(".countdown")).to_contain_text("Held until")
    Booking.objects.update(hold_expires_at=timezone.now() + timedelta(seconds=4))
    phone.reload()
    expect(phone.locator(".countdown.is-short time")).to_have_text(re.compile(r"^0:0\d$"))
    expect(phone.locator(".countdown.is-over")).to_have_attribute("role", "alert")
    phone.get_by_label("Your name").fill("Ada")
    phone.get_by_label("E-mail").fill("ada@client.example")
    phone.get_by_label("I accept the booking conditions").check()
    phone.get_by_role("button", name="Go to payment").click()
    expect(phone.get_by_role("heading", name="The 15 minutes are over")).to_be_visible()
    no_serious_issue(phone)
    phone.get_by_role("link", name="Choose again").click()
    expect(phone.locator("#week .slot").first).to_be_visible()


def test_move_to_another_time(phone: Page, kind: SessionType) -> None:
    booked = factories.booking(session_type=kind, starts_at=days_ahead(kind, 5), is_paid=True)
    open_booking(phone, booked)
    phone.get_by_role("link", name="Move", exact=True).click()
    no_serious_issue(phone)
    expect(phone.locator(".slot[aria-current]")).to_be_visible()  # the week of the session is open
    phone.locator(".slot:not([aria-current])").last.click()
    expect(phone.get_by_role("heading", name="Move it to this time?")).to_be_visible()
    no_serious_issue(phone)
    was = booked.starts_at
    booked.refresh_from_db()
    assert booked.starts_at == was  # one tap shows it
    phone.get_by_role("button", name="Move it").click()
    expect(phone.get_by_text("Moved. The new time is in your mail")).to_be_visible()
    booked.refresh_from_db()
    phone.go_back()  # to what was asked about, and no error of the browser
    expect(phone.get_by_role("heading", name="Another time")).to_be_visible()
    phone.goto(f"/booking/{booked.public_id}/")
    assert (booked.starts_at != was, booked.moved_count, booked.ics_sequence) == (True, 1, 1)
    expect(phone.get_by_role("link", name="Move", exact=True)).to_have_count(0)


def test_cancel_with_half_of_it_back(phone: Page, kind: SessionType) -> None:
    booked = factories.booking(
        session_type=kind,
        starts_at=(timezone.now() + timedelta(hours=36)).replace(second=0, microsecond=0),
        is_paid=True,
    )
    open_booking(phone, booked)
    phone.get_by_role("link", name="Cancel", exact=True).click()
    expect(phone.get_by_text("You get back $90 of the $180 you paid.")).to_be_visible()
    no_serious_issue(phone)
    phone.get_by_role("button", name="Cancel the session").click()
    expect(phone.get_by_role("heading", name="This session is cancelled")).to_be_visible()
    no_serious_issue(phone)
    phone.go_back()  # the button once more
    with phone.expect_navigation():
        phone.get_by_role("button", name="Cancel the session").click()
    assert list(Refund.objects.values_list("amount", flat=True)) == [9000]


def test_moving_and_cancelling_are_one_tap_from_the_top(phone: Page, kind: SessionType) -> None:
    booked = factories.booking(session_type=kind, starts_at=days_ahead(kind, 5), is_paid=True)
    open_booking(phone, booked)
    jump = phone.get_by_role("link", name="Move or cancel")
    expect(jump).to_be_visible()
    jump.click()
    expect(phone.get_by_role("link", name="Cancel", exact=True)).to_be_in_viewport()
    phone.set_viewport_size({"width": 1440, "height": 900})
    expect(jump).to_be_hidden()


def test_a_name_without_spaces_fits_on_the_private_page(phone: Page, kind: SessionType) -> None:
    booked = factories.booking(session_type=kind, starts_at=days_ahead(kind, 5), is_paid=True)
    Client.objects.filter(pk=booked.payer_id).update(name="\u202eÅ" + "a" * 148)
    open_booking(phone, booked)
    no_serious_issue(phone)


def test_take_an_offer_of_the_waiting_list(phone: Page, kind: SessionType) -> None:
    phone.goto("/book/signature/wait")
    no_serious_issue(phone)
    first, last = days_ahead(kind, 4).date(), days_ahead(kind, 5).date()
    phone.get_by_label("From").fill(first.isoformat())
    phone.get_by_label("Until").fill(last.isoformat())
    phone.get_by_label("Your name").fill("Ada")
    phone.get_by_label("E-mail").fill("ada@client.example")
    phone.get_by_role("button", name="Join the waiting list").click()
    expect(phone.get_by_role("heading", name="You are on the list")).to_be_visible()
    no_serious_issue(phone)
    assert waiting.offer_due(now=days_ahead(kind, 1)) == 1  # tomorrow noon: offers are made in the daytime
    mail = Message.objects.get(name="waiting_offer")
    link = re.search(r"http\S+/open/\S+", mail.body_text)
    assert link is not None
    phone.goto(link.group())
    expect(phone.get_by_role("heading", name="A time is free, and it is yours")).to_be_visible()
    no_serious_issue(phone)
    phone.get_by_role("button", name="Take it").click()
    expect(phone.get_by_role("heading", name="Almost yours")).to_be_visible()
    assert phone.get_by_label("E-mail").input_value() == "ada@client.example"
    assert WaitingOffer.objects.get().booking.status == BookingStatus.HELD


def test_other_add_ons_questions_and_signature(phone: Page, kind: SessionType) -> None:
    booked = factories.booking(session_type=kind, starts_at=days_ahead(kind, 5), is_paid=True)
    open_booking(phone, booked)
    no_serious_issue(phone)
    phone.get_by_role("link", name="Hair, make-up and more").click()
    phone.locator(".option", has_text="Make-up").locator("input").check()
    phone.get_by_role("button", name="See what it costs").click()
    expect(phone.get_by_text("$270")).to_be_visible()
    no_serious_issue(phone)
    phone.get_by_role("button", name="Change it").click()
    expect(phone.get_by_text("The difference is open")).to_be_visible()
    phone.get_by_role("link", name="A few questions").click()
    phone.get_by_label("Where will you use it?").fill("LinkedIn")
    no_serious_issue(phone)
    phone.get_by_role("button", name="Save my answers").click()
    phone.get_by_role("link", name="Agreement").click()
    no_serious_issue(phone)
    phone.get_by_label("Type your full name").fill("Robin Sample")
    phone.get_by_role("button", name="Sign").click()
    expect(phone.locator(".badge", has_text="Done")).to_have_count(2)
    phone.get_by_label("Your question").fill("May I bring my dog?")
    phone.get_by_role("button", name="Send").click()
    expect(phone.locator(".thread-entry")).to_have_count(1)
    assert AddOn.objects.filter(bookingaddon__booking=booked).get().name == "Make-up"
