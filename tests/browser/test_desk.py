"""The desk in a browser: today without a connection, a booking moved in the calendar, axe over its pages."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import Client as Visitor
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from bookings.models import Booking, SessionType
from studio.models import Location, Role
from tests import factories
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
