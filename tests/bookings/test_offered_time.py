"""The studio asked for another time and the client says nothing: who is reminded, when, and what ends it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from bookings import another_time, away, balances, forgetting, lifecycle, messages
from bookings.models import Booking
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus, ShootStatus
from studio import credentials
from studio.actors import Actor, ActorKind
from studio.models import Message, MessageStatus
from tests import factories
from tests.factories import NOW
from tests.galleries.making import sign_in

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")
GUEST = Actor(ActorKind.CLIENT)
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago
NOON = datetime(2026, 11, 17, 18, tzinfo=UTC)  # 12:00 there, a week before
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def booked(place, kind):
    booking = factories.booking(session_type=kind, at=place, starts_at=TEN, is_paid=True)
    messages.plan_reminders(booking, now=NOW)
    return booking


def offer(booking, *, now=NOON):
    away.offer_change(booking_id=booking.pk, reason="The boiler burst.", by=STAFF, now=now)
    booking.refresh_from_db()
    return booking


def waiting(booking, name):
    """When mails of this name are to go out."""
    rows = Message.objects.filter(name=name, about_id=booking.pk, status=MessageStatus.QUEUED)
    return list(rows.order_by("due_at").values_list("due_at", flat=True))


def queued(booking):
    rows = Message.objects.filter(about_id=booking.pk, status=MessageStatus.QUEUED, due_at__gt=NOON)
    return set(rows.values_list("name", flat=True))


def test_a_silent_client_is_reminded_and_the_studio_told_two_days_before(booked):
    offer(booked)
    assert waiting(booked, "booking_time_waits") == [NOON + DAY, NOON + 3 * DAY, TEN - DAY]
    assert queued(booked) == {"booking_time_waits"}
    assert another_time.tell_studio(now=TEN - 2 * DAY - HOUR) == 0
    assert another_time.tell_studio(now=TEN - 2 * DAY) == 1
    assert another_time.tell_studio(now=TEN - DAY) == 0  # told once
    mail = Message.objects.filter(name="booking_time_waits").first()
    assert (mail.to_address, "/open/" in mail.body_text) == (booked.payer.email, True)


@pytest.mark.parametrize("hours_before", [1, 8, 13, 20, 26, 37, 60, 100, 160])
@pytest.mark.parametrize("hour", [0, 5, 7, 11, 15, 20])
def test_no_reminder_comes_at_night_or_within_twelve_hours_of_another(booked, place, hours_before, hour):
    starts_at = TEN.replace(hour=0) + hour * HOUR
    type(booked).objects.filter(pk=booked.pk).update(starts_at=starts_at, ends_at=starts_at + HOUR)
    now = starts_at - hours_before * HOUR
    offer(booked, now=now)
    times = [now, *waiting(booked, "booking_time_waits")]
    assert all(messages.awake(at, place) == at for at in times[1:])
    assert all(later - sooner >= 12 * HOUR for sooner, later in pairwise(times))
    assert all(now < at <= starts_at - 12 * HOUR for at in times[1:])


def moved(booking):
    lifecycle.move_to(booking_id=booking.pk, starts_at=TEN + DAY, by=GUEST, now=NOON)


def cancelled(booking):
    lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=NOON)


def kept(booking):
    assert another_time.keep_time(booking_id=booking.pk, by=STAFF, now=NOON) is True


@pytest.mark.parametrize("answer", [moved, cancelled, kept])
def test_an_answer_ends_it(booked, answer):
    offer(booked)
    answer(booked)
    assert waiting(booked, "booking_time_waits") == []
    assert another_time.tell_studio(now=TEN - 2 * DAY) == 0
    assert list(another_time.unanswered(now=TEN)) == []


def test_moving_a_request_ends_it_too(booked, kind):
    type(booked).objects.filter(pk=booked.pk).update(status=BookingStatus.REQUESTED, answer_by=TEN - DAY)
    offer(booked)
    moved(booked)
    assert waiting(booked, "booking_time_waits") == []
    assert another_time.tell_studio(now=TEN - 2 * DAY) == 0


# --- the studio is told of a day ----------------------------------------------------------------------------


def to_studio() -> list[Message]:
    return list(Message.objects.filter(name="desk_offer_waits").order_by("pk"))


@pytest.fixture
def moved_day(place, kind):
    """Three sessions of one day, whose clients are all asked for another time."""
    for number, name in enumerate(["Ada", "Bo", "Cy"]):
        payer = factories.client(name=f"{name} Long", email=f"{name}@client.example")
        factories.booking(session_type=kind, at=place, starts_at=TEN + 2 * number * HOUR, payer=payer)
    assert away.move_day(location=place, on=TEN.date(), reason="Flood", closes=False, by=STAFF, now=NOON) == 3
    return list(Booking.objects.order_by("starts_at"))


def test_a_moved_day_is_one_mail_that_lists_who_has_not_answered_by_then(moved_day):
    lifecycle.move_to(booking_id=moved_day[1].pk, starts_at=TEN + DAY, by=GUEST, now=NOON)
    assert another_time.tell_studio(now=TEN - 2 * DAY) == 1
    assert another_time.tell_studio(now=TEN - 2 * DAY + HOUR) == 0
    [mail] = to_studio()
    assert mail.subject == "2 clients have not answered: another time than Tuesday 24 November"
    assert [name in mail.body_text for name in ("Ada Long", "Bo Long", "Cy Long")] == [True, False, True]
    assert f"/desk/bookings/{moved_day[2].public_id}/" in mail.body_text


def test_who_is_asked_later_is_told_once_more_and_nobody_else(moved_day, place, kind):
    assert another_time.tell_studio(now=TEN - 2 * DAY) == 1
    late = factories.booking(session_type=kind, at=place, starts_at=TEN + 6 * HOUR)
    offer(late, now=TEN - 2 * DAY + HOUR)
    assert another_time.tell_studio(now=TEN - 2 * DAY + 2 * HOUR) == 0  # they have two hours
    assert another_time.tell_studio(now=TEN - 2 * DAY + 3 * HOUR) == 1
    kept(late)
    assert another_time.tell_studio(now=TEN - 2 * DAY + 4 * HOUR) == 0
    assert [mail.subject[:9] for mail in to_studio()] == ["3 clients", "4 clients"]


def test_the_studio_is_not_told_at_night_and_not_of_what_is_over(moved_day):
    assert another_time.tell_studio(now=TEN - DAY - 12 * HOUR) == 0  # 22:00
    assert another_time.tell_studio(now=TEN + 12 * HOUR) == 0


def test_the_list_goes_with_whoever_of_it_is_erased(moved_day):
    another_time.tell_studio(now=TEN - 2 * DAY)
    for booking in moved_day:
        assert booking.payer is not None
        assert forgetting.messages_about(booking.payer).filter(name="desk_offer_waits").count() == 1


def test_the_time_that_stands_after_all_is_written_and_can_be_asked_for_again(booked):
    assert another_time.keep_time(booking_id=booked.pk, by=STAFF, now=NOON) is False
    offer(booked)
    kept(booked)
    assert Message.objects.filter(name="booking_time_stands").count() == 1
    assert "booking_reminder" in queued(booked)
    assert lifecycle.refund_preview(booking=booked, now=TEN - HOUR).amount == booked.price  # of the old row
    booked.refresh_from_db()
    assert lifecycle.refund_preview(booking=booked, now=TEN - HOUR).amount == 0
    offer(booked, now=NOON + HOUR)
    assert Message.objects.filter(name="booking_time_offered").count() == 2
    assert waiting(booked, "booking_time_waits")[0] == NOON + HOUR + DAY
    with pytest.raises(NotNow):
        another_time.keep_time(booking_id=booked.pk, by=STAFF, now=TEN)


def test_nothing_else_is_written_about_a_time_that_cannot_be_kept(place, kind, booked):
    owing = factories.booking(session_type=kind, at=place, starts_at=TEN + 2 * HOUR)
    for booking in (booked, offer(owing)):
        offer(booking)
        messages.plan_again(booking, now=NOON)
    assert queued(booked) == queued(owing) == {"booking_time_waits"}
    assert balances.ask_for_balances(now=TEN - DAY + HOUR) == 0
    kept(owing)
    assert balances.ask_for_balances(now=TEN - DAY + HOUR) == 1


def test_the_sweep_completes_no_shoot_whose_time_was_not_kept(booked):
    offer(booked)
    night = TEN + 14 * HOUR
    assert lifecycle.complete_overdue(now=night) == 0
    assert list(another_time.unanswered(now=night)) == [booked]
    booked.shoots.update(status=ShootStatus.CHECKED_IN)  # they came all the same
    assert list(another_time.unanswered(now=night)) == []
    assert lifecycle.complete_overdue(now=night) == 1


def test_the_desk_and_the_client_read_it(place, kind):
    soon = timezone.now() + DAY
    booking = offer(factories.booking(session_type=kind, at=place, starts_at=soon), now=timezone.now())
    desk, phone = Browser(), Browser()
    sign_in(desk, factories.user())
    link = credentials.grant(
        scope="booking",
        target=booking.public_id,
        now=timezone.now(),
        holder_id=booking.payer_id,
        holder_label="",
    )
    phone.get(link.url, follow=True)
    phone.post(link.url, follow=True)
    assert "No answer since" in desk.get(reverse("desk")).content.decode()
    assert "We need another time" in phone.get(reverse("booking", args=[booking.public_id])).content.decode()
    answer = desk.post(reverse("desk_mend", args=[booking.public_id, "stands"]), follow=True).content.decode()
    assert "The client is told that their time stands." in answer
    assert "Another time was offered" in answer  # in the history only
    assert "have not answered" not in answer
    assert "No answer since" not in desk.get(reverse("desk")).content.decode()
    assert "We need another" not in phone.get(reverse("booking", args=[booking.public_id])).content.decode()
    again = desk.post(reverse("desk_mend", args=[booking.public_id, "stands"]), follow=True).content.decode()
    assert "No other time was asked for any more." in again
