"""Somebody booked for somebody else: the one in the picture hears all that happens to their session, and no money."""

from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar

from bookings import away, changes, ics, late, lifecycle, messages
from bookings.models import Client
from bookings.statuses import BookingStatus
from studio import wording
from studio.actors import Actor, ActorKind
from studio.models import Credential, Message
from studio.wording import WordingRefused
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")
GUEST = Actor(ActorKind.CLIENT, 1, "Robin")
TEN = datetime(2026, 11, 26, 16, tzinfo=UTC)  # Thursday 10:00 in Chicago, ten days after NOW
HOUR = timedelta(hours=1)
REMINDERS = ["booking_prepare", "booking_reminder", "booking_wear"]


@pytest.fixture
def payer():
    return factories.client(name="Paula Payer", email="office@firm.example", mobile="+13125550100")


@pytest.fixture
def sitter():
    return factories.client(name="Sid Sitter", email="sid@firm.example", mobile="+13125550111")


@pytest.fixture
def make_up():
    return factories.add_on(name="Make-up")


@pytest.fixture
def booked(payer, sitter, make_up):
    place = factories.location()
    factories.crew(place)
    kind = factories.session_type(name="Signature", locations=[place], add_ons=[make_up])
    held = factories.booking(
        session_type=kind,
        add_ons={make_up: 1},
        starts_at=TEN,
        status=BookingStatus.HELD,
        payer=payer,
        sitter=sitter,
        is_paid=True,
    )
    held.add_ons.update(starts_at=TEN, ends_at=TEN + 45 * HOUR / 60)
    lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW)
    held.refresh_from_db()
    return held


def to(person, status="queued"):
    """The mails to a person, newest first by name."""
    return {mail.name: mail for mail in Message.objects.filter(client_id=person.pk, status=status)}


def entry(mail):
    calendar = Calendar.from_ical(mail.attachments[0]["text"])
    event = calendar.walk("VEVENT")[0]
    return calendar["method"], event["status"], event["sequence"], event


def assert_no_money(mails, payer):
    for mail in mails:
        text = mail.subject + mail.body_text + mail.body_html + str(mail.attachments)
        assert not [word for word in ("$", "refund", "paid", "Banks") if word in text], mail.name
        assert payer.email not in text and payer.name not in text


def test_the_sitter_is_reminded_like_the_payer(booked, payer, sitter):
    planned = to(sitter)
    assert sorted(planned) == sorted([*REMINDERS, "booking_sitter", "text_reminder"])
    assert {name: planned[name].due_at for name in REMINDERS} == {
        name: to(payer)[name].due_at for name in REMINDERS
    }
    assert planned["text_reminder"].to_address == sitter.mobile
    holders = Credential.objects.filter(target=booked.public_id, holder_id=sitter.pk).count()
    assert holders == 4  # each mail has the sitter's own link


def test_what_the_sitter_tapped_is_answered_to_them_alone(booked, payer, sitter):
    lifecycle.set_nerves(shoot_id=booked.shoots.get().pk, chips=["blink"], by=STAFF, now=NOW)
    assert "short runs" in to(sitter)["booking_prepare"].body_text
    assert "short runs" not in to(payer)["booking_prepare"].body_text


def test_telling_something_shortly_before_takes_no_reminder_away(booked, sitter):
    shortly = TEN - 24 * HOUR - 5 * HOUR
    lifecycle.set_nerves(shoot_id=booked.shoots.get().pk, chips=["blink"], by=STAFF, now=shortly)
    assert to(sitter)["booking_reminder"].due_at == TEN - 24 * HOUR


def test_a_move_moves_the_sitter_too(booked, payer, sitter):
    later = TEN + 24 * HOUR
    lifecycle.move_to(booking_id=booked.pk, starts_at=later, by=GUEST, now=NOW + HOUR)
    booked.refresh_from_db()
    moved = to(sitter)["booking_moved"]
    assert "Thu 26 November, 10:00" in moved.body_text and "Fri 27 November, 10:00" in moved.body_text
    assert "cancel" not in moved.body_text.lower()
    method, status, sequence, event = entry(moved)
    assert (method, status, sequence) == ("REQUEST", "CONFIRMED", 1)
    assert (event["uid"], event.decoded("dtstart")) == (ics.uid(booked), later)
    assert event["attendee"] == f"mailto:{sitter.email}"
    assert to(sitter)["booking_reminder"].due_at == later - 24 * HOUR
    assert sorted(name for name in to(sitter, "cancelled")) == [*REMINDERS, "text_reminder"]
    assert_no_money([moved, *to(sitter).values()], payer)
    assert entry(to(payer)["booking_moved"])[3]["attendee"] == f"mailto:{payer.email}"


@pytest.mark.parametrize("by_studio", [True, False])
def test_a_cancellation_reaches_the_sitter_without_the_money(booked, payer, sitter, by_studio):
    lifecycle.cancel(
        booking_id=booked.pk, by=STAFF if by_studio else GUEST, now=NOW + HOUR, full_refund=by_studio
    )
    assert set(to(sitter)) == {"booking_sitter_cancelled"}
    mail = to(sitter)["booking_sitter_cancelled"]
    assert entry(mail)[:3] == ("CANCEL", "CANCELLED", 1)
    assert ("we are sorry" in mail.body_text) is by_studio
    assert_no_money([mail], payer)
    assert "$270" in to(payer)["booking_cancelled"].body_text


def test_of_a_request_that_comes_to_nothing_the_sitter_hears_nothing(booked, sitter, payer):
    kind = booked.session_type
    kind.is_confirmed_by_staff = True
    kind.save()
    asked = factories.booking(
        session_type=kind,
        starts_at=TEN + 24 * HOUR,
        status=BookingStatus.HELD,
        payer=payer,
        sitter=factories.client(),
    )
    lifecycle.confirm(booking_id=asked.pk, by=GUEST, now=NOW)
    lifecycle.decline(booking_id=asked.pk, by=STAFF, now=NOW)
    assert to(asked.shoots.get().sitter) == {}


@pytest.mark.parametrize("email", ["office@firm.example", " Office@FIRM.example"])
def test_one_address_gets_no_double_mail(booked, payer, sitter, email):
    Client.objects.filter(pk=sitter.pk).update(email=email.strip())
    Message.objects.all().delete()
    lifecycle.move_to(booking_id=booked.pk, starts_at=TEN + 24 * HOUR, by=GUEST, now=NOW)
    lifecycle.cancel(booking_id=booked.pk, by=GUEST, now=NOW)
    assert to(sitter) | to(sitter, "cancelled") == {}
    assert len(to(payer)) == 1


def test_who_shares_the_payers_address_gets_their_link_and_no_second_entry(booked, payer):
    shared = lifecycle.set_sitter(
        shoot_id=booked.shoots.get().pk, name="Ada", email=payer.email.upper(), by=GUEST, now=NOW
    ).sitter
    assert list(to(shared)) == ["booking_sitter"]
    assert to(shared)["booking_sitter"].attachments == []


def test_a_payer_who_sits_gets_everything_once(booked, payer):
    Message.objects.all().delete()
    mine = factories.booking(
        session_type=booked.session_type, starts_at=TEN + 24 * HOUR, payer=payer, status=BookingStatus.HELD
    )
    lifecycle.confirm(booking_id=mine.pk, by=GUEST, now=NOW)
    lifecycle.move_to(booking_id=mine.pk, starts_at=TEN + 26 * HOUR, by=STAFF, now=NOW)
    names = list(Message.objects.filter(status="queued").values_list("name", flat=True))
    assert sorted(names) == sorted([*REMINDERS, "text_reminder", "booking_confirmed", "booking_moved"])


def test_who_is_replaced_is_told_and_reminded_no_more(booked, payer, sitter):
    shoot = booked.shoots.get()
    factories.booking(session_type=booked.session_type, starts_at=TEN + 48 * HOUR, payer=sitter)
    new = lifecycle.set_sitter(
        shoot_id=shoot.pk, name="New One", email="new@firm.example", by=GUEST, now=NOW + HOUR
    ).sitter
    assert set(to(sitter)) == {"booking_sitter", "booking_sitter_off"}
    off = to(sitter)["booking_sitter_off"]
    assert entry(off)[:2] == ("CANCEL", "CANCELLED") and "/open/" not in off.body_text
    assert_no_money([off], payer)
    assert set(to(new)) == {"booking_sitter", *REMINDERS}
    assert not Credential.objects.filter(
        target=booked.public_id, holder_id=sitter.pk, revoked_at=None
    ).exists()
    # and back again: they are asked anew, with a link that opens
    lifecycle.set_sitter(
        shoot_id=shoot.pk,
        name=sitter.name,
        email=sitter.email,
        mobile=sitter.mobile,
        by=GUEST,
        now=NOW + HOUR,
    )
    assert Message.objects.filter(name="booking_sitter", client_id=sitter.pk).count() == 2
    assert set(to(sitter)) >= set(REMINDERS)


def test_a_corrected_name_takes_nothing_out_of_the_calendar(booked, sitter):
    lifecycle.set_sitter(
        shoot_id=booked.shoots.get().pk, name="Sid Sitterson", email=sitter.email, by=GUEST, now=NOW
    )
    assert not Message.objects.filter(name="booking_sitter_off").exists()
    assert (
        Message.objects.filter(name="booking_reminder", status="queued", to_address=sitter.email).count() == 1
    )


def test_without_make_up_the_sitter_comes_later_and_reads_no_amount(booked, payer, sitter, make_up):
    away.come_without(booking_id=booked.pk, add_on_id=make_up.pk, by=STAFF, now=NOW)
    mail = to(sitter)["booking_without"]
    assert "without Make-up" in mail.body_text and entry(mail)[:3] == ("REQUEST", "CONFIRMED", 1)
    assert_no_money([mail], payer)
    assert "$90" in to(payer)["booking_without"].body_text


def test_other_add_ons_tell_the_sitter_the_new_time_only(booked, payer, sitter):
    changes.change_add_ons(booking_id=booked.pk, add_ons={}, by=GUEST, now=NOW)
    assert "booking_changed" not in to(sitter)
    assert "10:45" in to(sitter)["booking_moved"].body_text
    assert_no_money(to(sitter).values(), payer)


def test_who_is_late_reads_what_was_agreed(booked, sitter):
    shoot = booked.shoots.get()
    late.expect(shoot_id=shoot.pk, expected_at=TEN + HOUR / 2, by=STAFF, now=TEN)
    late.make_shorter(shoot_id=shoot.pk, by=STAFF, now=TEN)
    assert "30 of 60 minutes" in to(sitter)["booking_shorter"].body_text


def test_the_studios_own_words_give_the_price_to_the_payer_alone(booked, payer, sitter):
    wording.save(name="booking_reminder", subject="S", body="It costs: {price}. {link}", by=STAFF, now=NOW)
    messages.plan_again(booked, now=NOW)
    assert "It costs: $270." in to(payer)["booking_reminder"].body_text
    assert "It costs: ." in to(sitter)["booking_reminder"].body_text
    with pytest.raises(WordingRefused):
        wording.save(name="booking_sitter_cancelled", subject="S", body="{price}", by=STAFF, now=NOW)


def test_an_erased_sitter_is_not_written_to(booked, sitter):
    Client.objects.filter(pk=sitter.pk).update(email="", erased_at=NOW)
    Message.objects.all().delete()
    lifecycle.cancel(booking_id=booked.pk, by=STAFF, now=NOW)
    assert to(sitter) == {}
