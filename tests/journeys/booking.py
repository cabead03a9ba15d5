"""A client books: a session, a time that fits everybody, a hold, the details, the payment, the mail."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.message import EmailMessage
from zoneinfo import ZoneInfo

from icalendar import Calendar
from playwright.sync_api import Locator, Page, expect

from bookings.models import Booking, Busy
from bookings.statuses import BookingStatus
from studio import credentials
from studio.models import Message
from tests.journeys.fleet import wait_until
from tests.journeys.mailbox import attachments, link_in
from tests.journeys.story import Story
from tests.journeys.windows import LAPTOP, PHONE


@dataclass(frozen=True, slots=True)
class Person:
    """Who books."""

    name: str
    email: str
    mobile: str


def open_session(page: Page, name: str) -> None:
    """From the front page to a session's times."""
    page.goto("/")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def add(page: Page, add_on: str) -> None:
    """Tick an add-on; the times that fit change without a reload."""
    with page.expect_response(re.compile(r"/book/")):
        page.locator(".option", has_text=re.compile(rf"^\s*{add_on}")).locator("input").check()
    expect(page.locator("#times")).not_to_have_class(re.compile("htmx-"))


def days_offered(story: Story, page: Page) -> list[date]:
    """The days at the place with a free time in the week on show."""
    zone = ZoneInfo(story.seed.rows["brooklyn"].zone)
    firsts = page.locator("#week .slots-day .slot:first-child")
    return [_instant(firsts.nth(number)).astimezone(zone).date() for number in range(firsts.count())]


def _instant(slot: Locator) -> datetime:
    return datetime.fromisoformat(slot.get_attribute("value") or "")


def keep_artists_busy(story: Story, offered: list[date]) -> list[date]:
    """Nobody does make-up on the first day offered, nor within 48 hours: what is left can still be moved for free."""
    zone = ZoneInfo(story.seed.rows["brooklyn"].zone)
    soon = datetime.now(zone).date() + timedelta(days=2)
    days = [day for day in offered if day <= max(offered[0], soon)]
    for day in days:
        starts_at = datetime.combine(day, time(0), tzinfo=zone)
        for key in ("resource mira", "resource jules"):
            Busy.objects.create(
                resource=story.seed.rows[key], starts_at=starts_at, ends_at=starts_at + timedelta(days=1)
            )
    return days


def hold_first(page: Page) -> datetime:
    """Press the first time offered; it is held for fifteen minutes."""
    slot = page.locator("#week .slot").first
    starts_at = _instant(slot)
    slot.click()
    expect(page.get_by_role("heading", name="Almost yours")).to_be_visible()
    held = Booking.objects.get(starts_at=starts_at)
    assert held.status == BookingStatus.HELD
    assert held.hold_expires_at is not None
    assert held.hold_expires_at - held.created_at == timedelta(minutes=15)
    return starts_at


def find_it_taken(story: Story, rival: Page, starts_at: datetime) -> None:
    """Somebody else presses the same time a moment later: a sentence, and times nearby."""
    before = Booking.objects.count()
    rival.locator(f'#week .slot[value^="{starts_at.isoformat()}"]').click()
    expect(rival.get_by_role("heading", name="Free close by")).to_be_visible()
    sentence = rival.get_by_role("alert").inner_text()
    assert "taken" in sentence.lower() or "no longer" in sentence.lower(), sentence
    nearby = rival.locator("#nearby .slot")
    assert nearby.count() > 0
    assert starts_at not in {_instant(nearby.nth(number)) for number in range(nearby.count())}
    assert Booking.objects.count() == before
    story.look(rival, "taken")


def give_details(story: Story, page: Page, person: Person, *, name: str) -> None:
    """Who it is; nothing else is asked."""
    page.get_by_label("Your name").fill(person.name)
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Mobile").fill(person.mobile)
    page.get_by_label("I accept the booking conditions").check()
    story.look(page, name)
    page.get_by_role("button", name="Go to payment").click()


def pay_with_test_card(story: Story, page: Page, person: Person) -> None:
    """The test payment page, then back to the confirmation, when Stripe's webhook has been handled."""
    expect(page.get_by_text("no money moves")).to_be_visible()
    assert story.fleet.stripe is not None
    assert page.url.startswith(story.fleet.stripe.url)
    page.get_by_role("button", name="Pay with a test card").click()
    first = person.name.split()[0]
    expect(page.get_by_role("heading", name=f"See you soon, {first}")).to_be_visible()
    assert page.url.startswith(story.windows.site)


def confirmation_of(story: Story, booking: Booking, person: Person) -> EmailMessage:
    """The confirmation came by mail, with the session for any calendar; its row says so."""
    mails = wait_until(
        "the confirmation", lambda: story.fleet.mailbox.to(person.email, subject="Your session on")
    )
    assert len(mails) == 1
    calendar = Calendar.from_ical(attachments(mails[0])["session.ics"])
    assert str(calendar["METHOD"]) == "REQUEST"
    event = calendar.walk("VEVENT")[0]
    assert event.decoded("dtstart").astimezone(UTC) == booking.starts_at
    assert event.decoded("dtend").astimezone(UTC) == booking.ends_at
    row = Message.objects.get(name="booking_confirmed", about_id=booking.pk)
    wait_until("the row says sent", lambda: _is_sent(row))
    assert [each["name"] for each in row.attachments] == ["session.ics"]
    assert "/open/…" in row.body_text, "a sent mail's link is not kept"
    return mails[0]


def _is_sent(row: Message) -> bool:
    row.refresh_from_db()
    return row.status == "sent"


def open_link(story: Story, mail: EmailMessage, *, size: dict[str, int] = PHONE) -> Page:
    """The link of a mail in a browser that has never been here; the secret does not stay in the address."""
    page = story.windows.open(size)
    link = link_in(mail)
    page.goto(link)
    assert link.rpartition("/")[2] not in page.url
    return page


def find_dead_links_alike(story: Story, booking: Booking) -> None:
    """A wrong link, an expired one, and somebody else's booking: the same page, the same status."""
    now = datetime.now(UTC)
    expired = credentials.grant(
        scope="booking", target=booking.public_id, now=now, lifetime=-timedelta(minutes=1)
    )
    page = story.windows.open(LAPTOP)
    seen = set()
    for address in ("/open/" + "x" * 43, expired.url.partition("//")[2].partition("/")[2], "booking/nobody/",
                    f"booking/{booking.public_id}/", "gallery/nobody/"):  # fmt: skip
        answer = page.goto("/" + address.lstrip("/"))
        assert answer is not None
        seen.add((answer.status, page.inner_text("main")))
    assert len(seen) == 1, seen
    assert "This link does not open anything." in seen.pop()[1]
    story.look(page, "dead-link")
    page.context.close()
