"""A full studio: the later honest date while booking, agreed when the time is held, kept by the gallery's clock."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.test import Client as Browser

from bookings import holds
from bookings.models import SessionType
from bookings.views import GUEST
from galleries import board, capacity, deadlines, risk
from galleries.models import Gallery
from galleries.statuses import GalleryStatus
from studio import promises
from studio.models import Location, Message, Role, StatusChange, Studio
from studio.workdays import Calendar
from tests import factories
from tests.galleries.making import make_gallery, make_shoot, make_user

CHICAGO = ZoneInfo("America/Chicago")
MONDAY = datetime(2026, 11, 16, 10, 0, tzinfo=CHICAGO)
TUESDAY = date(2026, 11, 24)
pytestmark = pytest.mark.django_db


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=CHICAGO)


@pytest.fixture
def place() -> Location:
    return factories.location()


@pytest.fixture
def kind(place: Location) -> SessionType:
    factories.crew(place)
    return factories.session_type(locations=[place], finals_included=3)


def booked(*, pictures: int, ends_at: datetime) -> Gallery:
    """A booked session whose pictures come in then."""
    shoot = make_shoot(now=MONDAY, starts_at=ends_at - timedelta(hours=1))
    return make_gallery(now=MONDAY, shoot=shoot, finals_included=pictures)


def test_work_is_done_in_the_order_it_comes_in_by_everybody_together() -> None:
    time = risk.WorkingTime(Calendar(zone="America/Chicago"), MONDAY)  # from 9 to 18
    work = [(at(17, 9), 6), (MONDAY, 12)]
    queue = capacity.Queue(time, work, a_minute=2 / 60)  # two people at an hour a picture
    assert queue.finish(MONDAY, 2) == at(16, 17)  # twelve pictures take six hours, two more one
    assert queue.finish(at(17, 9), 4) == at(17, 14)  # the six come first
    assert queue.finish(at(20, 9), 4) == at(20, 11)  # nothing waits by then
    assert queue.finish(at(20, 9), 10**6) is None


def test_working_minutes_until_a_moment_leave_out_nights_and_days_off() -> None:
    time = risk.WorkingTime(Calendar(zone="America/Chicago"), MONDAY)
    assert time.until(MONDAY) == 0
    assert time.until(at(16, 12)) == 120
    assert time.until(at(16, 22)) == time.until(at(17, 9)) == 480
    assert time.until(at(23, 10)) == 480 + 4 * 540 + 60


def test_with_nothing_in_hand_the_rule_is_said(place: Location) -> None:
    make_user(Role.RETOUCHER)
    outlook = promises.Outlook(location=place, days=2, pictures=3, now=MONDAY)
    assert outlook.said(at(24, 11)) == promises.Said(at(26, 18), 2, is_later=False)


def test_a_full_studio_says_the_later_date_and_agrees_to_it(place: Location, kind: SessionType) -> None:
    make_user(Role.RETOUCHER)  # twenty minutes a picture, nine hours a day: 27 pictures
    booked(pictures=100, ends_at=at(24, 9))
    booking = holds.place(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        starts_at=at(24, 10),
        form_token=uuid4(),
        by=GUEST,
        now=MONDAY,
    )
    outlook = promises.Outlook(location=place, days=2, pictures=3, now=MONDAY)
    said = outlook.said(booking.ends_at)
    assert said.is_later and said.due_at > at(26, 18)
    assert booking.promise_days == said.days
    gallery = make_gallery(now=MONDAY, shoot=booking.shoots.get())
    deadlines.start(gallery_id=gallery.pk, ended_at=booking.ends_at, now=booking.ends_at)
    assert Gallery.objects.get(pk=gallery.pk).deliver_by == said.due_at


def test_an_owner_who_works_alone_is_the_one_who_retouches(place: Location) -> None:
    outlook = {"location": place, "days": 2, "pictures": 3, "now": MONDAY}
    owner = make_user(Role.OWNER)
    booked(pictures=100, ends_at=at(24, 9))
    alone = promises.Outlook(**outlook).said(at(24, 11))
    assert board.retouchers() == [owner.pk]
    assert alone.is_later and alone.due_at == at(27, 18)  # 103 pictures of twenty minutes, nine hours a day
    StatusChange.objects.bulk_create(  # measured: a picture in two minutes
        StatusChange(
            model="galleries.retouch", object_id=n, verb="approve", after="approved",
            actor_kind="user", actor_id=owner.pk, at=MONDAY - timedelta(minutes=2 * n),
        )
        for n in range(1, 9)
    )  # fmt: skip
    assert promises.Outlook(**outlook).said(at(24, 11)) == promises.Said(at(26, 18), 2, is_later=False)
    retoucher = make_user(Role.RETOUCHER)  # from then on it is theirs
    assert board.retouchers() == [retoucher.pk]


def test_work_that_is_over_fills_nothing(place: Location) -> None:
    make_user(Role.RETOUCHER)
    over = booked(pictures=100, ends_at=at(24, 9))
    Gallery.objects.filter(pk=over.pk).update(status=GalleryStatus.CANCELLED)
    assert capacity.arrivals(now=MONDAY) == []


def test_the_page_says_by_when_and_a_switch_hides_what_is_full(
    place: Location, kind: SessionType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: MONDAY.astimezone(UTC))
    browser, address = Browser(), f"/book/{kind.slug}/?location={place.slug}&week=1"
    usual = browser.get(address).content.decode()
    assert "Pictures by Fri 27 November, 18:00" in usual
    make_user(Role.RETOUCHER)
    booked(pictures=100, ends_at=at(24, 9))
    full = browser.get(address).content.decode()
    assert "We are busy: pictures by" in full
    assert full.count('name="starts_at"') == usual.count('name="starts_at"')
    Studio.objects.update(hides_full_slots=True)
    hidden = browser.get(address).content.decode()
    assert "We are busy" not in hidden
    assert (
        0 < hidden.count('name="starts_at"') < full.count('name="starts_at"')
    )  # Monday comes before the work


def test_the_confirmation_names_the_day(place: Location, kind: SessionType) -> None:
    from bookings import messages

    booking = factories.booking(session_type=kind, location=place)
    messages.tell_client("booking_confirmed", booking=booking, now=MONDAY)
    sent = Message.objects.get(name="booking_confirmed")
    assert "Your pictures: by " in sent.body_text
