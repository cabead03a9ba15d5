"""The desk in a browser: today without a connection, a booking moved in the calendar, axe over its pages."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client as Visitor
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from bookings import lifecycle
from bookings.models import Booking, SessionType
from studio.actors import WORKER
from studio.models import Location, Message, Role
from tests import factories
from tests.browser.test_booking import no_serious_issue
from tests.galleries.making import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def place(transactional_db: None) -> Location:
    """Where it is noon now, so that "today" has hours before and after."""
    hours = 12 - timezone.now().hour
    name = f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"
    return factories.location(name="Lake Street", zone=name, weekdays=range(7))


@pytest.fixture
def kind(place: Location) -> SessionType:
    for skills, what in ((("photographer",), "person"), (("camera-room",), "room")):
        factories.resource(*skills, kind=what, at=place, weekdays=range(7))
    return factories.session_type(slug="portrait", name="Portrait", locations=[place], increment_minutes=15)


def at(place: Location, hour: int, days: int = 0) -> datetime:
    zone = ZoneInfo(place.zone)
    on = timezone.now().astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(on, time(hour), tzinfo=zone).astimezone(UTC)


@pytest.fixture
def booked(kind: SessionType, place: Location) -> Booking:
    now = timezone.now()
    return factories.booking(
        session_type=kind, at=place, starts_at=at(place, 14), is_paid=True, now=now,
        payer=factories.client(name="Nadia Petrov"),
    )  # fmt: skip


def let_in(context: BrowserContext, site: str) -> None:
    visitor = Visitor()
    sign_in(visitor, factories.user(Role.OWNER))
    cookie = visitor.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": site}])


@pytest.fixture
def desk(page: Page, site: str, booked: Booking) -> Page:
    let_in(page.context, site)
    return page


# --- without a connection -----------------------------------------------------------------------------------


@pytest.fixture
def tablet(browser: Browser, site: str, booked: Booking) -> Iterator[Page]:
    context = browser.new_context(base_url=site, locale="en-GB", service_workers="allow")
    let_in(context, site)
    yield context.new_page()
    context.close()


OF_YESTERDAY = """async () => {
  const cache = await caches.open("today"), kept = await cache.match("/desk/"), headers = new Headers(kept.headers);
  headers.set("Date", new Date(Date.now() - 19 * 3600 * 1000).toUTCString());
  await cache.put("/desk/", new Response(await kept.text(), { headers }));
}"""


def test_todays_page_is_read_without_a_connection_and_gone_after_signing_out(tablet: Page) -> None:
    tablet.goto("/desk/")
    expect(tablet.locator("[data-kept=yes]")).to_be_hidden()  # one visit is enough
    expect(tablet.locator("[data-kept=yes]")).to_have_count(1)
    tablet.context.set_offline(True)
    tablet.goto("/desk/")
    expect(tablet.locator("#panel-today")).to_be_visible()
    expect(tablet.get_by_text("Nadia Petrov").first).to_be_visible()
    expect(tablet.get_by_role("status")).to_contain_text("; you are offline.")
    expect(tablet.get_by_role("button", name="Check in")).to_be_disabled()
    tablet.context.set_offline(False)
    expect(tablet.get_by_role("button", name="Check in")).to_be_enabled()
    tablet.evaluate(OF_YESTERDAY)
    tablet.context.set_offline(True)
    with pytest.raises(Error, match="ERR_FAILED"):
        tablet.goto("/desk/")
    tablet.context.set_offline(False)
    tablet.goto("/desk/")
    tablet.get_by_role("button", name="Sign out").click()
    expect(tablet.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assert tablet.evaluate("caches.has('today')") is False


# --- the calendar -------------------------------------------------------------------------------------------


def cell_at(desk: Page, when: datetime) -> tuple[float, float]:
    """Where on the page a free moment of the photographer's column lies."""
    for cell in desk.locator(".plan-free").all():
        begins = datetime.fromisoformat(cell.get_attribute("data-at") or "")
        until = begins + timedelta(minutes=5) * int(cell.get_attribute("data-rows") or 0)
        if begins <= when < until:
            cell.scroll_into_view_if_needed()
            box = cell.bounding_box()
            assert box is not None
            share = (when - begins) / (until - begins)
            return box["x"] + box["width"] / 2, box["y"] + box["height"] * share + 2
    raise AssertionError("no such free time")


def test_the_calendar_of_today_opens_at_this_hour(desk: Page, place: Location) -> None:
    desk.set_viewport_size({"width": 1440, "height": 700})
    desk.goto("/desk/calendar/")
    box = desk.locator(".plan-scroll")
    expect(box.get_by_text("12:00", exact=True)).to_be_in_viewport()
    assert box.evaluate("box => box.scrollTop") > 0
    desk.goto(f"/desk/calendar/?on={at(place, 12, days=1):%Y-%m-%d}")
    assert desk.locator(".plan-scroll").evaluate("box => box.scrollTop") == 0


def test_a_booking_is_moved_by_dragging_it(desk: Page, booked: Booking, place: Location) -> None:
    desk.set_viewport_size({"width": 1440, "height": 1600})
    desk.goto("/desk/calendar/")
    claim = desk.locator(".plan-claim", has_text="Nadia Petrov").first
    box = claim.bounding_box()
    assert box is not None
    desk.mouse.move(box["x"] + 20, box["y"] + 4)
    desk.mouse.down()
    x, y = cell_at(desk, at(place, 16))
    desk.mouse.move(x, y - 8)
    desk.mouse.move(x, y + 2, steps=4)
    expect(desk.locator(".is-over")).to_have_attribute("data-drop", "16:00")
    desk.mouse.up()
    booked.refresh_from_db()
    assert booked.starts_at == at(place, 14)  # nothing is moved before somebody has looked
    desk.get_by_role("button", name="Move to").click()
    expect(desk.get_by_text("Moved. The client has the new time")).to_be_visible()
    booked.refresh_from_db()
    assert booked.starts_at == at(place, 16)


def test_a_payment_that_is_refused_is_in_sight_and_one_that_is_written_down_is_said_so(
    desk: Page, kind: SessionType, place: Location
) -> None:
    starts_at, now = at(place, 10, days=2), timezone.now()
    open_one = factories.booking(session_type=kind, at=place, starts_at=starts_at, now=now)
    desk.set_viewport_size({"width": 390, "height": 844})
    desk.goto(f"/desk/bookings/{open_one.public_id}/")
    desk.get_by_text("Write down a payment").click()
    desk.locator("#id_amount").fill("ninety")
    desk.get_by_role("button", name="Paid", exact=True).click()
    expect(desk.get_by_text("Please give the amount in digits")).to_be_in_viewport()
    desk.locator("#id_amount").fill("90")
    desk.get_by_role("button", name="Paid", exact=True).click()
    expect(desk.get_by_text("Written down.")).to_be_in_viewport()


def test_a_booking_is_moved_by_its_form(desk: Page, booked: Booking, place: Location) -> None:
    desk.goto(f"/desk/bookings/{booked.public_id}/")
    desk.get_by_role("link", name="Move", exact=True).click()
    desk.get_by_label("Time").fill("16:30")
    desk.get_by_role("button", name="Look").click()
    desk.get_by_label("Why").fill("Train")
    desk.get_by_role("button", name="Move to").click()
    expect(desk.get_by_text("Moved. The client has the new time")).to_be_visible()
    booked.refresh_from_db()
    assert booked.starts_at == at(place, 16) + timedelta(minutes=30)


# --- every page ---------------------------------------------------------------------------------------------

PAGES = (
    ("/desk/", "/desk/calendar/", "/desk/calendar/?view=week"),
    ("/desk/bookings/", "/desk/bookings/{booking}/", "/desk/bookings/{booking}/move/"),
    ("/desk/bookings/{booking}/late/", "/desk/calendar/book/", "/desk/people/"),
    ("/desk/people/{person}/", "/desk/messages/", "/desk/messages/{message}/"),
    ("/desk/money/", "/desk/money/vouchers/", "/desk/money/statements/"),
)


@pytest.mark.parametrize("pages", PAGES)
def test_the_pages_of_the_desk_suit_everybody_on_a_phone_and_a_laptop(
    desk: Page, booked: Booking, pages: tuple[str, ...]
) -> None:
    with transaction.atomic():
        lifecycle.after_confirming(booked, message="booking_confirmed", by=WORKER, now=timezone.now())
    names = {
        "booking": booked.public_id,
        "person": booked.claims.order_by("pk")[0].resource.public_id,
        "message": Message.objects.order_by("pk")[0].public_id,
    }
    for page in pages:
        answer = desk.goto(page.format(**names))
        assert answer is not None and answer.status == 200, page
        for width in (390, 1440):
            desk.set_viewport_size({"width": width, "height": 900})
            no_serious_issue(desk, width=width)
