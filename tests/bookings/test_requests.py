"""Bookings the studio confirms by hand: who is told, how long a request waits, and what is left when it lapses."""

from datetime import UTC, datetime, time, timedelta
from importlib import import_module
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from icalendar import Calendar

from bookings import by_phone, ics, lifecycle, requesting, tasks
from bookings.ledger import balance
from bookings.models import Booking, Claim, Refund, Resource, ResourceDay, ResourceKind, Shoot
from bookings.refusals import NoLongerStands, NotNow
from bookings.statuses import BookingStatus, ShootStatus
from bookings.views import HELD_HERE
from studio.actors import Actor, ActorKind
from studio.models import Closure, Message, Role, StatusChange, Studio
from studio.transitions import MoveRefused
from tests import factories
from tests.factories import NOW
from tests.galleries.making import sign_in
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")
GUEST = Actor(ActorKind.CLIENT, 1, "Robin")
TEN = datetime(
    2026, 11, 24, 16, tzinfo=UTC
)  # a Tuesday, 10:00 in Chicago; NOW is the Monday of the week before
HOUR = timedelta(hours=1)
BY = datetime(2026, 11, 19, 0, tzinfo=UTC)  # the closing of Wednesday, two working days after NOW


@pytest.fixture
def kind(place):
    factories.crew(place)
    return factories.session_type(locations=[place], is_confirmed_by_staff=True)


@pytest.fixture
def held(kind, place):
    return factories.booking(
        session_type=kind,
        at=place,
        starts_at=TEN,
        status=BookingStatus.HELD,
        payer=factories.client(name="Robin Sample"),
        is_paid=True,
    )


@pytest.fixture
def asked(held):
    lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW)
    held.refresh_from_db()
    return held


def queued():
    return sorted(Message.objects.filter(status="queued").values_list("name", flat=True))


def entry(mail):
    """The one event of a mail's calendar file, and the file's method."""
    calendar = Calendar.from_ical(mail.attachments[0]["text"])
    return calendar.walk("VEVENT")[0], calendar["method"]


def test_the_studio_is_told_at_once_and_again_before_the_deadline(asked):
    assert asked.answer_by == BY
    first = Message.objects.get(name="desk_request")
    again = Message.objects.get(name="desk_request_waits")
    assert (first.to_address, first.due_at) == (Studio.objects.get().email, NOW)
    assert (again.to_address, again.due_at) == (Studio.objects.get().email, BY - 4 * HOUR)
    assert "Wed 18 November, 18:00" in first.body_text and asked.public_id in first.body_text
    told = Message.objects.get(name="booking_requested")
    assert "before Wed 18 November, 18:00" in told.body_text


@pytest.mark.parametrize("answer", [lifecycle.confirm, lifecycle.decline])
def test_nobody_is_reminded_of_what_is_answered(asked, answer):
    answer(booking_id=asked.pk, by=STAFF, now=NOW + HOUR)
    assert not [name for name in queued() if name.startswith("desk_")]
    asked.refresh_from_db()
    assert asked.answer_by is None


@pytest.mark.parametrize(
    ("starts_at", "now", "by"),
    [
        (TEN, NOW, BY),
        (TEN, TEN - 4 * 24 * HOUR, TEN - 14 * HOUR),  # Friday: the notice of 12 hours is 22:00, so 20:00
        (TEN, TEN - 15 * HOUR, TEN - 13 * HOUR),  # 19:00: two hours of daytime all the same
        (TEN, TEN - HOUR, TEN),  # never after it has begun
    ],
)
def test_a_deadline_is_two_working_days_or_the_notice(held, starts_at, now, by):
    assert requesting.deadline(held, now=now) == by


def test_a_deadline_follows_the_studios_days_and_setting(held, kind, place):
    Closure.objects.create(location=place, on=datetime(2026, 11, 17).date(), name="Closed")
    assert requesting.deadline(held, now=NOW) == BY + 24 * HOUR
    kind.answer_days = 1
    kind.save()
    held.refresh_from_db()
    assert requesting.deadline(held, now=NOW) == BY
    place.closes_at = time(15)
    place.save()
    held.refresh_from_db()
    assert requesting.deadline(held, now=NOW) == BY - 3 * HOUR


def test_a_request_lapses_once_and_gives_everything_back(asked):
    assert lifecycle.lapse_requests(now=BY - timedelta(seconds=1)) == 0
    assert lifecycle.lapse_requests(now=BY) == 1
    assert lifecycle.lapse_requests(now=BY) == 0
    asked.refresh_from_db()
    assert (asked.status, asked.answer_by, asked.cancelled_at) == (BookingStatus.CANCELLED, None, BY)
    assert Claim.objects.filter(is_active=True).count() == 0
    assert Shoot.objects.get().status == ShootStatus.CANCELLED
    assert [refund.amount for refund in Refund.objects.all()] == [asked.price]
    assert queued() == ["booking_request_lapsed", "desk_request_lapsed"]
    kindly = Message.objects.get(name="booking_request_lapsed")
    assert "$180" in kindly.body_text and "not yours" in kindly.body_text
    event, method = entry(kindly)
    assert (method, event["status"], event["sequence"]) == ("CANCEL", "CANCELLED", 1)
    with pytest.raises(MoveRefused):
        lifecycle.confirm(booking_id=asked.pk, by=STAFF, now=BY)


def test_what_was_answered_in_time_does_not_lapse(asked):
    lifecycle.confirm(booking_id=asked.pk, by=STAFF, now=BY - HOUR)
    assert lifecycle.lapse_requests(now=BY + HOUR) == 0
    asked.refresh_from_db()
    assert asked.status == BookingStatus.CONFIRMED


def test_a_request_with_a_new_deadline_is_left_alone_by_a_sweep_that_saw_the_old_one(asked):
    lifecycle.move_to(booking_id=asked.pk, starts_at=TEN + HOUR, by=GUEST, now=BY - HOUR)
    assert lifecycle._lapse(asked.pk, now=BY) is False
    asked.refresh_from_db()
    assert asked.status == BookingStatus.REQUESTED


def test_one_request_that_cannot_be_let_go_stops_no_other(asked, kind, place, monkeypatch):
    other = factories.booking(
        session_type=kind, at=place, starts_at=TEN + 3 * HOUR, status=BookingStatus.REQUESTED
    )
    lapse = lifecycle._lapse

    def fail(booking_id, *, now):
        if booking_id == asked.pk:
            raise RuntimeError("no")
        return lapse(booking_id, now=now)

    monkeypatch.setattr(lifecycle, "_lapse", fail)
    assert lifecycle.lapse_requests(now=BY + HOUR) == 1
    other.refresh_from_db()
    assert other.status == BookingStatus.CANCELLED


def test_the_sweep_lets_requests_go():
    assert lifecycle.lapse_requests in tasks.STEPS


def test_the_database_refuses_a_request_without_a_deadline(held):
    with pytest.raises(IntegrityError), transaction.atomic():
        Booking.objects.filter(pk=held.pk).update(status=BookingStatus.REQUESTED)


def test_a_request_is_tentative_and_each_answer_is_its_next_revision(asked):
    event, method = entry(Message.objects.get(name="booking_requested"))
    assert (method, event["status"], event["sequence"]) == ("REQUEST", "TENTATIVE", 0)
    assert event["uid"] == ics.uid(asked)
    lifecycle.confirm(booking_id=asked.pk, by=STAFF, now=NOW + HOUR)
    event, method = entry(Message.objects.get(name="booking_confirmed"))
    assert (method, event["status"], event["sequence"]) == ("REQUEST", "CONFIRMED", 1)
    assert event["uid"] == ics.uid(asked)


def test_a_no_takes_the_entry_out_of_the_calendar(asked):
    lifecycle.decline(booking_id=asked.pk, by=STAFF, now=NOW + HOUR)
    event, method = entry(Message.objects.get(name="booking_cancelled"))
    assert (method, event["status"], event["sequence"]) == ("CANCEL", "CANCELLED", 1)
    asked.refresh_from_db()
    assert "STATUS:CANCELLED" in ics.calendar_text(asked, method="PUBLISH", now=NOW)


def test_a_booking_that_needs_no_yes_begins_at_the_first_revision(held, kind):
    kind.is_confirmed_by_staff = False
    kind.save()
    lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW)
    event, _method = entry(Message.objects.get(name="booking_confirmed"))
    assert (event["status"], event["sequence"]) == ("CONFIRMED", 0)


def test_what_the_studio_booked_by_phone_needs_no_second_yes(kind, place):
    """The client pays by the link a while later: the time was the studio's own choice."""
    booked = by_phone.book(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        starts_at=TEN,
        form_token=uuid4(),
        caller=by_phone.Caller("Robin Sample", "robin@client.example"),
        paying="link",
        by=STAFF,
        now=NOW,
    )
    lifecycle.confirm(booking_id=booked.pk, by=Actor(ActorKind.STRIPE, None, "Stripe"), now=NOW)
    booked.refresh_from_db()
    assert booked.status == BookingStatus.CONFIRMED


def test_a_request_that_is_moved_is_a_request_still(asked):
    later = TEN + 2 * HOUR
    lifecycle.move_to(booking_id=asked.pk, starts_at=later, by=GUEST, now=NOW + 24 * HOUR)
    asked.refresh_from_db()
    assert (asked.status, asked.starts_at) == (BookingStatus.REQUESTED, later)
    assert asked.answer_by == BY + 24 * HOUR
    assert queued() == ["booking_requested"] * 2 + ["desk_request", "desk_request_waits"]
    event, _method = entry(Message.objects.filter(name="booking_requested").last())
    assert (event["status"], event["sequence"]) == ("TENTATIVE", 1)


def test_another_time_than_the_one_we_said_yes_to_is_asked_for(asked, client, monkeypatch):
    lifecycle.confirm(booking_id=asked.pk, by=STAFF, now=NOW)
    asked.refresh_from_db()
    assert not lifecycle.may_move(asked, now=NOW)
    with pytest.raises(NotNow, match="agree the times"):
        lifecycle.move_to(booking_id=asked.pk, starts_at=TEN + HOUR, by=GUEST, now=NOW)
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    session = client.session
    session[HELD_HERE] = [asked.public_id]
    session.save()
    assert "Please ask us for another one" in client.get(reverse("booking_move", args=[asked.public_id])).text
    assert lifecycle.move_to(booking_id=asked.pk, starts_at=TEN + HOUR, by=STAFF, now=NOW)
    Booking.objects.filter(pk=asked.pk).update(free_change_since=NOW)  # we asked for another time ourselves
    assert lifecycle.move_to(booking_id=asked.pk, starts_at=TEN + 2 * HOUR, by=GUEST, now=NOW)


def test_who_asks_is_told_so_before(held, kind, client, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    session = client.session
    session[HELD_HERE] = [held.public_id]
    session.save()
    page = client.get(reverse("booking_details", args=[held.public_id])).text
    assert "you have our answer by mail" in page and "Ask for this time" in page
    assert "You ask for a time" in client.get(reverse("session_type", args=[kind.slug])).text


def test_requests_stand_first_on_the_desk_and_the_soonest_first(asked, kind, place, client, monkeypatch):
    soon = factories.booking(
        session_type=kind,
        at=place,
        starts_at=TEN + 3 * HOUR,
        status=BookingStatus.REQUESTED,
        payer=factories.client(name="Ada <b>Long</b>"),
        now=NOW - 24 * HOUR,
    )
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    page = client.get(reverse("desk")).text
    assert_no_inline(page)
    assert page.index("Waiting for your yes") < page.index("Today")
    assert page.index(soon.public_id) < page.index(asked.public_id)
    assert "lapses Wed 18 November, 18:00" in page
    client.post(reverse("desk_booking_decide", args=[asked.public_id]), {"answer": "yes"})
    asked.refresh_from_db()
    assert asked.status == BookingStatus.CONFIRMED


# --- a yes to a time that does not stand any more ------------------------------------------------------------


def close(place, asked):
    Closure.objects.create(location=place, on=TEN.date(), name="Flood")


def close_early(place, asked):
    Closure.objects.create(location=place, on=TEN.date(), name="Inventory", closes_at=time(10, 30))


def go_away(place, asked):
    person = asked.claims.get(resource__kind=ResourceKind.PERSON).resource
    Resource.objects.filter(pk=person.pk).update(name="Mia <b>Long</b>")
    ResourceDay.objects.create(resource=person, on=TEN.date())


def come_later(place, asked):
    person = asked.claims.get(resource__kind=ResourceKind.PERSON).resource
    Resource.objects.filter(pk=person.pk).update(name="Mia <b>Long</b>")
    ResourceDay.objects.create(
        resource=person, location=place, on=TEN.date(), starts_at=time(10, 30), ends_at=time(18)
    )


NOT_OPEN = "The studio is not open for all of that time."
AGAINST = [
    (close, NOT_OPEN),
    (close_early, NOT_OPEN),
    (go_away, "Mia <b>Long</b> does not work then."),
    (come_later, "Mia <b>Long</b> starts at 10:30."),
]


@pytest.mark.parametrize(("happens", "said"), AGAINST)
def test_a_yes_to_a_time_that_does_not_stand_says_why_and_takes_a_reason(asked, place, happens, said):
    factories.crew(place)  # that others could do it does not help: who was booked cannot
    happens(place, asked)
    with pytest.raises(NoLongerStands) as refused:
        lifecycle.confirm(booking_id=asked.pk, by=STAFF, now=NOW)
    assert refused.value.sentence == said
    asked.refresh_from_db()
    assert (asked.status, asked.answer_by, asked.override_reason) == (BookingStatus.REQUESTED, BY, "")
    assert "booking_confirmed" not in queued()
    assert lifecycle.confirm(booking_id=asked.pk, override_reason="We come in for her", by=STAFF, now=NOW)
    assert lifecycle.confirm(booking_id=asked.pk, by=STAFF, now=NOW) is False
    asked.refresh_from_db()
    assert (asked.status, asked.override_reason) == (BookingStatus.CONFIRMED, "We come in for her")
    change = StatusChange.objects.filter(model="bookings.booking", object_id=asked.pk).latest("pk")
    assert (change.verb, change.actor_label, change.reason) == ("confirm", "Owner", "We come in for her")


def test_a_yes_to_a_time_that_stands_needs_no_reason_and_keeps_none(asked):
    assert lifecycle.confirm(booking_id=asked.pk, override_reason="Just so", by=STAFF, now=NOW)
    asked.refresh_from_db()
    assert (asked.status, asked.override_reason) == (BookingStatus.CONFIRMED, "")


def test_what_staff_asked_for_outside_the_hours_needs_no_second_reason(asked, place):
    Booking.objects.filter(pk=asked.pk).update(override_reason="A senator")
    close(place, asked)
    assert lifecycle.confirm(booking_id=asked.pk, by=STAFF, now=NOW)
    asked.refresh_from_db()
    assert asked.override_reason == "A senator"


def test_the_desk_reads_why_before_and_after_it_presses_yes(asked, place, client, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    page, decide = (reverse(name, args=[asked.public_id]) for name in ("desk_booking", "desk_booking_decide"))
    assert "does not stand any more" not in client.get(page).text
    go_away(place, asked)
    for answer in (
        client.get(page),
        client.post(decide, {"answer": "yes"}),  # the button of the list asks for no reason
        client.post(decide, {"answer": "yes", "override_reason": " \u202e\n "}),
    ):
        assert "This time does not stand any more" in answer.text
        assert "<li>Mia &lt;b&gt;Long&lt;/b&gt; does not work then.</li>" in answer.text
        assert 'name="override_reason"' in answer.text and "Confirm all the same" in answer.text
        assert_no_inline(answer.text)
    assert answer.status_code == 409
    asked.refresh_from_db()
    assert asked.status == BookingStatus.REQUESTED
    client.post(decide, {"answer": "yes", "override_reason": "w" * 400})
    asked.refresh_from_db()
    assert (asked.status, asked.override_reason) == (BookingStatus.CONFIRMED, "w" * 300)
    assert "does not stand any more" not in client.get(page).text


def test_a_request_that_does_not_stand_can_be_declined_without_a_reason(asked, place, client, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    close(place, asked)
    client.post(reverse("desk_booking_decide", args=[asked.public_id]), {"answer": "no"})
    asked.refresh_from_db()
    assert asked.status == BookingStatus.CANCELLED


def test_the_clients_page_says_until_when_and_lets_them_take_it_back(asked, client, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    session = client.session
    session[HELD_HERE] = [asked.public_id]
    session.save()
    page = client.get(reverse("booking", args=[asked.public_id])).text
    assert_no_inline(page)
    assert "We answer before <strong>Wed 18 November, 18:00</strong>" in page
    assert "two hours" not in page and "Take the request back" in page
    file = client.get(reverse("booking_ics", args=[asked.public_id])).text
    assert "STATUS:TENTATIVE" in file
    client.post(reverse("booking_cancel", args=[asked.public_id]), {"shown": balance(asked).kept})
    asked.refresh_from_db()
    assert asked.status == BookingStatus.CANCELLED
    with pytest.raises(NotNow):
        lifecycle.move_to(booking_id=asked.pk, starts_at=TEN + HOUR, by=GUEST, now=NOW)


def test_requests_from_before_get_a_deadline(held):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    rule = next(rule for rule in Booking._meta.constraints if rule.name == "a_request_lapses")
    with connection.schema_editor(atomic=False) as editor:
        editor.remove_constraint(Booking, rule)
    Booking.objects.filter(pk=held.pk).update(status=BookingStatus.REQUESTED)
    import_module("bookings.migrations.0011_open_requests").give_deadlines(apps, None)
    held.refresh_from_db()
    assert held.answer_by is not None and held.answer_by <= held.starts_at
