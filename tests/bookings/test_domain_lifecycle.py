"""A standing booking: moved, cancelled, carried out; what is told, what is mailed, what goes back."""

from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from bookings import away, holds, ics, lifecycle, policy, stand_ins
from bookings.models import Booking, Claim, Consent, ConsentPurpose, Refund, Shoot
from bookings.refusals import DetailsRefused, NotNow, TooLate
from bookings.statuses import BookingStatus, ShootStatus
from studio import happenings
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Closure, Credential, Message, MessageStatus, StatusChange
from studio.templatetags.studio_tags import money
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")
GUEST = Actor(ActorKind.CLIENT, 1, "Robin")
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # a Tuesday, 10:00 in Chicago
HOUR = timedelta(hours=1)


@pytest.fixture
def place():
    return factories.location(address="1 Lake Street\nChicago", directions="Second floor")


@pytest.fixture
def make_up():
    return factories.add_on()


@pytest.fixture
def kind(place, make_up):
    factories.crew(place)
    return factories.session_type(locations=[place], add_ons=[make_up])


@pytest.fixture
def booking(kind, place):
    return factories.booking(session_type=kind, at=place, starts_at=TEN, is_paid=True)


@pytest.fixture
def told(monkeypatch):
    """The happenings that are told, in order."""
    heard: list[str] = []
    for name in happenings.HAPPENINGS:
        monkeypatch.setitem(happenings._listeners, name, [lambda name=name, **_facts: heard.append(name)])
    return heard


def mails(booking, status=MessageStatus.QUEUED):
    about = Message.objects.filter(about_id=booking.pk, about_model="bookings.booking", status=status)
    return list(about.order_by("pk").values_list("name", flat=True))


def move(booking, starts_at, by=GUEST, now=NOW, **fields):
    return lifecycle.move_to(booking_id=booking.pk, starts_at=starts_at, by=by, now=now, **fields)


# --- confirming ---------------------------------------------------------------------------------------------


SEQUENCE = ["booking_reminder", "booking_prepare", "booking_wear"]


def test_confirming_tells_mails_and_plans_reminders(kind, place, told):
    held = factories.booking(
        session_type=kind,
        at=place,
        starts_at=TEN,
        status=BookingStatus.HELD,
        payer=factories.client(name="Robin Sample"),
    )
    assert lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW) is True
    assert lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW) is False
    assert told == ["booking_confirmed"]
    assert mails(held) == ["booking_confirmed", *SEQUENCE]
    due = dict(Message.objects.filter(name__in=SEQUENCE).values_list("name", "due_at"))
    assert due == {
        "booking_wear": TEN - 7 * 24 * HOUR,
        "booking_prepare": TEN - 72 * HOUR,
        "booking_reminder": TEN - 24 * HOUR,
    }
    mail = Message.objects.get(name="booking_confirmed")
    assert (mail.to_name, mail.attachments[0]["type"]) == (
        "Robin Sample",
        "text/calendar; method=REQUEST; charset=utf-8",
    )
    assert "10:00" in mail.body_text and "/open/" in mail.body_text
    links = Credential.objects.filter(scope="booking", target=held.public_id, holder_id=held.payer_id)
    assert links.count() == len(mails(held))  # one in each mail


def test_a_happening_that_fails_undoes_the_confirmation(kind, place, monkeypatch):
    held = factories.booking(
        session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD, payer=factories.client()
    )

    def fail(**_facts):
        raise RuntimeError("no gallery")

    monkeypatch.setitem(happenings._listeners, "booking_confirmed", [fail])
    with pytest.raises(RuntimeError):
        lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW)
    held.refresh_from_db()
    assert (held.status, mails(held)) == (BookingStatus.HELD, [])


def test_nobody_is_confirmed_without_a_name(kind, place):
    held = factories.booking(session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD)
    with pytest.raises(NotNow):
        lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW)


def test_a_request_keeps_its_claims_until_staff_say_yes(kind, place, told):
    kind.is_confirmed_by_staff = True
    kind.save()
    held = factories.booking(
        session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD, payer=factories.client()
    )
    lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW)
    held.refresh_from_db()
    assert (held.status, told) == (BookingStatus.REQUESTED, [])
    assert mails(held) == ["booking_requested", "desk_request", "desk_request_waits"]
    assert holds.expire_due(now=NOW + 24 * HOUR) == 0
    assert lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW) is False
    assert lifecycle.confirm(booking_id=held.pk, by=STAFF, now=NOW) is True
    assert told == ["booking_confirmed"]


def test_a_declined_request_gives_everything_back(kind, place, told):
    asked = factories.booking(
        session_type=kind, at=place, starts_at=TEN, status=BookingStatus.REQUESTED, is_paid=True
    )
    soon = TEN - HOUR
    assert lifecycle.decline(booking_id=asked.pk, by=STAFF, now=soon) is True
    assert lifecycle.decline(booking_id=asked.pk, by=STAFF, now=soon) is False
    assert [refund.amount for refund in Refund.objects.all()] == [18000]
    assert (told, mails(asked)) == (["booking_cancelled"], ["booking_cancelled"])


# --- moving -------------------------------------------------------------------------------------------------


def test_moving_takes_every_claim_along(kind, place, make_up, told):
    booking = factories.booking(session_type=kind, at=place, starts_at=TEN, add_ons={make_up: 1})
    later = TEN + timedelta(days=1, hours=2)
    moved = move(booking, later)
    assert (moved.starts_at, moved.ends_at) == (later, later + timedelta(minutes=105))
    assert (moved.moved_count, moved.ics_sequence, told) == (1, 1, ["booking_moved"])
    shoot = moved.shoots.get()
    assert (shoot.starts_at, shoot.ends_at) == (later + timedelta(minutes=45), moved.ends_at)
    extra = moved.add_ons.get()
    assert (extra.starts_at, extra.ends_at) == (later, later + timedelta(minutes=45))
    active = moved.claims.filter(is_active=True)
    assert active.count() == 4
    assert min(active.values_list("starts_at", flat=True)) == later
    change = StatusChange.objects.filter(model="bookings.booking", object_id=moved.pk).latest("pk")
    assert (change.verb, change.before, change.after, change.actor_label) == (
        "move_to",
        "confirmed",
        "confirmed",
        "Robin",
    )


def test_moving_keeps_the_people_where_they_are_free(kind, place, booking):
    ana = booking.claims.get(resource__kind="person").resource
    theo = factories.resource("photographer", at=place, name="Theo")
    stand_ins.swap(claim_id=booking.claims.get(resource=ana).pk, resource_id=theo.pk, by=STAFF, now=NOW)
    move(booking, TEN + timedelta(days=1), by=STAFF)
    assert booking.claims.filter(resource=theo, is_active=True).exists()
    away.away(resource_id=theo.pk, first_on=(TEN + timedelta(days=2)).date(), by=STAFF, now=NOW)
    move(booking, TEN + timedelta(days=2), by=STAFF)
    assert booking.claims.filter(resource=ana, is_active=True).exists()


def test_a_client_moves_once_and_not_in_the_last_two_days(booking):
    move(booking, TEN + 4 * HOUR)
    with pytest.raises(TooLate):
        move(booking, TEN)
    assert move(booking, TEN, by=STAFF).moved_count == 1
    Booking.objects.update(moved_count=0)
    with pytest.raises(TooLate):
        move(booking, TEN + 4 * HOUR, now=TEN - 48 * HOUR + timedelta(seconds=1))
    assert move(booking, TEN + 4 * HOUR, now=TEN - 48 * HOUR).starts_at == TEN + 4 * HOUR


def test_moving_to_the_same_time_changes_nothing(booking, told):
    assert move(booking, TEN).moved_count == 0
    assert (told, mails(booking)) == ([], [])


def test_a_booking_may_overlap_its_own_old_time_but_nobody_elses(kind, place, booking):
    assert move(booking, TEN + timedelta(minutes=30)).starts_at == TEN + timedelta(minutes=30)
    other = factories.booking(session_type=kind, at=place, starts_at=TEN + 4 * HOUR)
    with pytest.raises(holds.SlotTaken) as refused:
        move(other, TEN, by=STAFF)
    assert refused.value.nearby
    other.refresh_from_db()
    assert other.starts_at == TEN + 4 * HOUR
    assert other.claims.filter(is_active=True).count() == 2
    with pytest.raises(holds.NotOffered):
        move(other, TEN + 12 * HOUR, by=STAFF)


def test_what_is_over_or_has_begun_does_not_move(kind, place, booking):
    lifecycle.check_in(shoot_id=booking.shoots.get().pk, by=STAFF, now=TEN)
    with pytest.raises(NotNow):
        move(booking, TEN + 24 * HOUR, by=STAFF, now=TEN)
    cancelled = factories.booking(
        session_type=kind, at=place, starts_at=TEN + 4 * HOUR, status=BookingStatus.CANCELLED
    )
    with pytest.raises(NotNow):
        move(cancelled, TEN + 48 * HOUR, by=STAFF)


def test_reminders_move_with_the_booking(kind, place):
    held = factories.booking(
        session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD, payer=factories.client()
    )
    lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW)
    move(held, TEN + 48 * HOUR)
    waiting = Message.objects.filter(name__in=SEQUENCE, status=MessageStatus.QUEUED)
    assert sorted(waiting.values_list("due_at", flat=True)) == [
        TEN - 5 * 24 * HOUR,
        TEN - 24 * HOUR,
        TEN + 24 * HOUR,
    ]
    assert Message.objects.filter(name__in=SEQUENCE, status=MessageStatus.CANCELLED).count() == 3
    moved_mail = Message.objects.get(name="booking_moved")
    event = Calendar.from_ical(moved_mail.attachments[0]["text"]).walk("VEVENT")[0]
    assert (event["UID"], int(event["SEQUENCE"])) == (ics.uid(held), 1)


# --- cancelling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "back"),
    [
        (timedelta(hours=72), 18000),
        (timedelta(hours=72) - timedelta(seconds=1), 9000),
        (timedelta(hours=24), 9000),
        (timedelta(hours=24) - timedelta(seconds=1), 0),
    ],
)
def test_cancelling_gives_back_what_the_policy_says_and_was_shown(booking, before, back, told):
    shown = lifecycle.refund_preview(booking=booking, now=TEN - before)
    done = lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=TEN - before)
    assert (shown, shown.amount) == (done, back)
    assert sum(refund.amount for refund in Refund.objects.all()) == back
    assert told == ["booking_cancelled"]


def test_cancelling_twice_pays_once(booking):
    lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=NOW)
    again = lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=NOW)
    assert (
        again.amount,
        Refund.objects.count(),
        Message.objects.filter(name="booking_cancelled").count(),
    ) == (18000, 1, 1)


def test_cancelling_frees_the_time_and_stops_every_mail(kind, place):
    held = factories.booking(
        session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD, payer=factories.client()
    )
    lifecycle.confirm(booking_id=held.pk, by=GUEST, now=NOW)
    lifecycle.cancel(booking_id=held.pk, by=GUEST, now=NOW)
    assert mails(held) == ["booking_cancelled"]
    assert Claim.objects.filter(is_active=True).count() == 0
    assert Shoot.objects.get().status == ShootStatus.CANCELLED
    calendar = Calendar.from_ical(Message.objects.get(name="booking_cancelled").attachments[0]["text"])
    event = calendar.walk("VEVENT")[0]
    assert (calendar["METHOD"], event["STATUS"], int(event["SEQUENCE"])) == ("CANCEL", "CANCELLED", 1)


def test_what_the_studio_causes_is_given_back_in_full_and_only_the_studio_may_say_so(booking):
    with pytest.raises(NotNow):
        lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=TEN - HOUR, full_refund=True)
    done = lifecycle.cancel(booking_id=booking.pk, by=STAFF, now=TEN - HOUR, full_refund=True, reason="Flood")
    assert (done.amount, Refund.objects.get().reason) == (18000, "Flood")


def test_a_client_cannot_cancel_what_has_begun(booking):
    with pytest.raises(NotNow):
        lifecycle.cancel(booking_id=booking.pk, by=GUEST, now=TEN)
    lifecycle.check_in(shoot_id=booking.shoots.get().pk, by=STAFF, now=TEN)
    with pytest.raises(NotNow):
        lifecycle.cancel(booking_id=booking.pk, by=STAFF, now=TEN, full_refund=True)
    assert Refund.objects.count() == 0


def test_a_hold_is_released_and_not_cancelled(kind, place):
    held = factories.booking(session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD)
    with pytest.raises(NotNow):
        lifecycle.cancel(booking_id=held.pk, by=STAFF, now=NOW)


def test_half_a_cent_goes_to_the_client():
    assert policy.refund_amount(paid=101, percent=50) == 51


# --- the day ------------------------------------------------------------------------------------------------


def test_check_in_and_complete_are_told_once(booking, told):
    shoot = booking.shoots.get()
    assert lifecycle.check_in(shoot_id=shoot.pk, by=STAFF, now=TEN) is True
    assert lifecycle.check_in(shoot_id=shoot.pk, by=STAFF, now=TEN) is False
    assert lifecycle.complete(shoot_id=shoot.pk, by=STAFF, now=TEN + HOUR) is True
    assert lifecycle.complete(shoot_id=shoot.pk, by=STAFF, now=TEN + 2 * HOUR) is False
    shoot.refresh_from_db()
    assert (shoot.completed_at, shoot.was_completed_by_sweep) == (TEN + HOUR, False)
    assert told == ["shoot_checked_in", "shoot_completed"]


def test_only_a_confirmed_booking_is_checked_in(kind, place):
    held = factories.booking(session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD)
    for verb in (lifecycle.check_in, lifecycle.complete, lifecycle.no_show):
        with pytest.raises(NotNow):
            verb(shoot_id=held.shoots.get().pk, by=STAFF, now=TEN)


def test_nobody_is_checked_in_or_completed_before_the_day_of_the_session(booking, told):
    shoot = booking.shoots.get()
    zone = ZoneInfo(booking.location.zone)
    midnight = booking.starts_at.astimezone(zone).replace(hour=0, minute=0)
    for verb in (lifecycle.check_in, lifecycle.complete):
        with pytest.raises(NotNow, match="on another day"):
            verb(shoot_id=shoot.pk, by=STAFF, now=midnight - timedelta(minutes=1))
    shoot.refresh_from_db()
    assert (shoot.status, told) == ("planned", [])
    assert lifecycle.check_in(shoot_id=shoot.pk, by=STAFF, now=midnight) is True


def test_a_no_show_is_known_only_after_the_start_and_may_still_come(booking):
    shoot = booking.shoots.get()
    with pytest.raises(NotNow):
        lifecycle.no_show(shoot_id=shoot.pk, by=STAFF, now=TEN - HOUR)
    assert lifecycle.no_show(shoot_id=shoot.pk, by=STAFF, now=TEN + HOUR) is True
    assert lifecycle.check_in(shoot_id=shoot.pk, by=STAFF, now=TEN + HOUR) is True


def test_who_did_not_come_is_told_what_stays_unless_they_come_after_all(kind, place):
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN, is_paid=True, now=NOW)
    shoot = booked.shoots.get()
    lifecycle.no_show(shoot_id=shoot.pk, by=STAFF, now=TEN + HOUR)
    mail = Message.objects.get(name="booking_missed")
    assert (mail.status, mail.due_at) == ("queued", TEN + HOUR + timedelta(minutes=15))
    assert money(booked.price, booked.currency) in mail.body_text
    lifecycle.check_in(shoot_id=shoot.pk, by=STAFF, now=TEN + HOUR)
    mail.refresh_from_db()
    assert mail.status == "cancelled"


def test_the_fee_of_a_no_show_is_waived_with_a_reason_and_once(kind, place):
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN, is_paid=True, now=NOW)
    lifecycle.no_show(shoot_id=booked.shoots.get().pk, by=STAFF, now=TEN + HOUR)
    waive = partial(lifecycle.cancel, booking_id=booked.pk, by=STAFF, now=TEN + 2 * HOUR)
    for how in ({"full_refund": True}, {"reason": "ill"}):
        with pytest.raises(NotNow, match="say why"):
            waive(**how)
    assert not Refund.objects.exists()
    assert waive(full_refund=True, reason="Her child was ill").amount == booked.price
    waive(full_refund=True, reason="Her child was ill")
    assert Refund.objects.get().amount == booked.price
    told = Message.objects.get(name="booking_cancelled")
    assert "the fee for it is waived" in told.body_text
    assert "we are sorry" not in told.body_text
    assert Message.objects.get(name="booking_missed").status == "cancelled"
    change = StatusChange.objects.filter(model="bookings.booking", object_id=booked.pk).latest("pk")
    assert (change.verb, change.reason) == ("cancel", "Her child was ill")


def test_the_sweep_completes_at_the_booked_end_once_the_location_has_closed(booking, told):
    shoot = booking.shoots.get()
    closing = TEN + 8 * HOUR  # 18:00
    assert lifecycle.complete_overdue(now=closing - timedelta(seconds=1)) == 0
    assert lifecycle.complete_overdue(now=closing) == 1
    assert lifecycle.complete_overdue(now=closing) == 0
    shoot.refresh_from_db()
    assert (shoot.status, shoot.completed_at, shoot.was_completed_by_sweep) == (
        ShootStatus.COMPLETED,
        TEN + HOUR,
        True,
    )
    change = StatusChange.objects.filter(model="bookings.shoot", object_id=shoot.pk).latest("pk")
    assert (change.actor_kind, change.at, told) == (WORKER.kind, closing, ["shoot_completed"])


def test_the_sweep_obeys_half_days_and_leaves_others_alone(kind, place, booking):
    Closure.objects.create(location=place, on="2026-11-24", name="Half day", closes_at="13:00")
    factories.shoot(session_type=kind, at=place, starts_at=TEN + 24 * HOUR, status=ShootStatus.NO_SHOW)
    factories.booking(session_type=kind, at=place, starts_at=TEN + 4 * HOUR, status=BookingStatus.CANCELLED)
    assert lifecycle.complete_overdue(now=TEN + 3 * HOUR - timedelta(seconds=1)) == 0
    assert lifecycle.complete_overdue(now=TEN + 3 * HOUR) == 1
    assert lifecycle.complete_overdue(now=TEN + 72 * HOUR) == 0


def test_one_shoot_that_fails_does_not_stop_the_sweep(kind, place, booking, monkeypatch, caplog):
    other = factories.booking(session_type=kind, at=place, starts_at=TEN + 4 * HOUR)

    def fail_for_the_first(*, shoot, **_facts):
        if shoot.booking_id == booking.pk:
            raise RuntimeError("no clock")

    monkeypatch.setitem(happenings._listeners, "shoot_completed", [fail_for_the_first])
    assert lifecycle.complete_overdue(now=TEN + 12 * HOUR) == 1
    assert booking.shoots.get().status == ShootStatus.PLANNED
    assert other.shoots.get().status == ShootStatus.COMPLETED
    assert "could not be completed" in caplog.text


# --- the sitter ---------------------------------------------------------------------------------------------


def set_sitter(booking, **fields):
    shoot = booking.shoots.get()
    defaults = {"name": booking.payer.name, "email": booking.payer.email, "by": GUEST, "now": NOW}
    return lifecycle.set_sitter(shoot_id=shoot.pk, **defaults | fields)


def test_the_payer_as_sitter_says_what_to_call_them(booking):
    shoot = set_sitter(booking, called="Rob", pronounced="ROB", access_needs="step-free")
    assert (shoot.sitter, shoot.sitter.called, shoot.access_needs) == (booking.payer, "Rob", "step-free")
    assert mails(booking) == []


def test_another_sitter_gets_a_link_of_their_own_and_the_payer_keeps_theirs(booking):
    shoot = set_sitter(booking, name="Sam Sitter", email="sam@client.example", called="Sam")
    assert shoot.sitter.name == "Sam Sitter"
    assert booking.payer.called == ""
    mail = Message.objects.get(name="booking_sitter")
    assert mail.to_address == "sam@client.example"
    links = Credential.objects.filter(target=booking.public_id)
    assert set(links.values_list("holder_id", flat=True)) == {shoot.sitter_id}
    set_sitter(booking, name="Sam Sitter", email="sam@client.example", called="Sammy")
    assert Message.objects.filter(name="booking_sitter").count() == 1


def test_a_minor_needs_a_guardian_and_a_session_for_minors(booking, kind):
    with pytest.raises(DetailsRefused) as refused:
        set_sitter(booking, is_minor=True, guardian_name="Pat Parent")
    assert set(refused.value.problems) == {"is_minor"}
    kind.allows_minors = True
    kind.save()
    with pytest.raises(DetailsRefused) as refused:
        set_sitter(booking, is_minor=True)
    assert set(refused.value.problems) == {"guardian_name"}
    assert set_sitter(booking, is_minor=True, guardian_name="Pat Parent").sitter_is_minor is True


def test_nerves_keep_known_chips_and_words(booking):
    shoot = lifecycle.set_nerves(
        shoot_id=booking.shoots.get().pk,
        chips=["smile", "<b>", "blink", "blink"],
        text=" last time\x00 ",
        by=GUEST,
        now=NOW,
    )
    assert (shoot.nerves, shoot.nerves_text) == (["blink", "smile"], "last time")


def test_only_the_sitter_answers_and_the_latest_answer_counts(booking):
    shoot = booking.shoots.get()
    sitter = Actor.client(shoot.sitter_id, "Robin")

    def answer(is_given, by=sitter, purpose=ConsentPurpose.PORTFOLIO):
        return lifecycle.answer_consent(shoot_id=shoot.pk, purpose=purpose, is_given=is_given, by=by, now=NOW)

    assert lifecycle.consents_of(shoot)[ConsentPurpose.PORTFOLIO] is None
    answer(True)
    answer(True)
    answer(False)
    assert lifecycle.consents_of(shoot)[ConsentPurpose.PORTFOLIO] is False
    assert lifecycle.consents_of(shoot)[ConsentPurpose.SOCIAL] is None
    assert Consent.objects.count() == 2
    for by in (STAFF, Actor.client(factories.client().pk, "Somebody"), Actor(ActorKind.CLIENT), WORKER):
        with pytest.raises(NotNow):
            answer(True, by=by)
    with pytest.raises(NotNow):
        answer(True, purpose="ai_training")


def test_nothing_is_published_of_a_minor(booking):
    shoot = booking.shoots.get()
    Shoot.objects.update(sitter_is_minor=True, guardian_name="Pat")
    sitter = Actor.client(shoot.sitter_id, "Robin")
    with pytest.raises(NotNow):
        lifecycle.answer_consent(shoot_id=shoot.pk, purpose="portfolio", is_given=True, by=sitter, now=NOW)
    given = lifecycle.answer_consent(
        shoot_id=shoot.pk, purpose="face_processing", is_given=True, by=sitter, now=NOW
    )
    assert given.is_given is True


def test_a_new_sitter_inherits_no_consent(booking):
    shoot = booking.shoots.get()
    lifecycle.answer_consent(
        shoot_id=shoot.pk, purpose="portfolio", is_given=True, by=Actor.client(shoot.sitter_id, ""), now=NOW
    )
    shoot = set_sitter(booking, name="Sam Sitter", email="sam@client.example")
    assert lifecycle.consents_of(shoot)[ConsentPurpose.PORTFOLIO] is None


# --- the calendar file --------------------------------------------------------------------------------------


def test_the_calendar_file_says_when_and_where_in_the_locations_zone(booking):
    calendar = Calendar.from_ical(ics.calendar_text(booking, now=NOW))
    event = calendar.walk("VEVENT")[0]
    assert calendar["METHOD"] == "REQUEST"
    assert event["DTSTART"].dt == TEN and event["DTSTART"].params["TZID"] == "America/Chicago"
    assert event["DTEND"].dt == TEN + HOUR
    assert event["DTSTAMP"].dt == NOW
    assert str(event["LOCATION"]).endswith("1 Lake Street, Chicago")
    assert str(event["ATTENDEE"]) == f"mailto:{booking.payer.email}"
    assert [zone["TZID"] for zone in calendar.walk("VTIMEZONE")] == ["America/Chicago"]


def test_a_hostile_name_stays_one_line_of_the_calendar_file(booking):
    booking.payer.name = 'Ro"bin\r\nATTENDEE:mailto:x@evil.example;\N{RIGHT-TO-LEFT OVERRIDE}'
    text = ics.calendar_text(booking, now=NOW)
    events = Calendar.from_ical(text).walk("VEVENT")
    assert str(events[0]["ATTENDEE"]) == f"mailto:{booking.payer.email}"
    assert not any(line.startswith("ATTENDEE:mailto:x@evil") for line in text.splitlines())
