"""Away today, artists on request, somebody late, a day that has to be moved, and the session once more."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from bookings import another_time, asking, away, holds, late, lifecycle, reshoots, stand_ins
from bookings.models import ArtistAsk, Booking, Refund, Resource, ResourceDay
from bookings.refusals import NotNow, TooLate
from bookings.statuses import AskStatus, BookingStatus, ShootStatus
from galleries.models import Gallery
from studio import credentials
from studio.actors import Actor, ActorKind
from studio.models import Closure, Message, MessageStatus, StatusChange
from studio.verification import invariants
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")
GUEST = Actor(ActorKind.CLIENT)
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago
TUESDAY = date(2026, 11, 24)
HOUR = timedelta(hours=1)


@pytest.fixture
def crew(place):
    return factories.crew(place)


@pytest.fixture
def make_up():
    return factories.add_on(name="Make-up")


@pytest.fixture
def kind(place, crew, make_up):
    return factories.session_type(locations=[place], add_ons=[make_up])


@pytest.fixture
def made_up(kind, place, make_up):
    """A paid session with 45 minutes of make-up from 10:00 on."""
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN, add_ons={make_up: 1}, is_paid=True)
    booked.add_ons.update(starts_at=TEN, ends_at=TEN + 45 * timedelta(minutes=1))
    return booked


def second_artist(place, **fields):
    return factories.resource("make-up-artist", at=place, name="Jules", **fields)


def claim_of(booking, resource):
    return booking.claims.get(resource=resource, is_active=True)


def mails(name, booking=None):
    found = Message.objects.filter(name=name)
    return found.filter(about_id=booking.pk) if booking else found


def judged():
    """What `manage.py verify` finds in the claims, the ledger and the statuses."""
    judges = [one for one in invariants() if one.code in ("I1", "I2", "I9") and "gateway" not in one.sentence]
    return [line for judge in judges for line in judge.find(NOW)]


# --- away today ---------------------------------------------------------------------------------------------


def test_away_lists_who_is_affected_with_what_can_be_done(place, crew, made_up):
    jules = second_artist(place)
    away.away(resource_id=crew["make-up-artist"].pk, first_on=TUESDAY, by=STAFF, now=NOW)
    found = away.affected(resource=crew["make-up-artist"], first_on=TUESDAY, last_on=TUESDAY, now=NOW)
    assert [(one.booking, one.stand_ins, one.add_on.add_on.name) for one in found] == [
        (made_up, [jules], "Make-up")
    ]
    other_day = TUESDAY + timedelta(days=1)
    assert (
        away.affected(resource=crew["make-up-artist"], first_on=other_day, last_on=other_day, now=NOW) == []
    )


def test_leave_is_a_row_a_day_and_the_same_again_adds_nothing(crew):
    ana = crew["photographer"]
    week = {"resource_id": ana.pk, "first_on": TUESDAY, "last_on": TUESDAY + timedelta(days=4)}
    assert len(away.away(**week, reason="Holiday", by=STAFF, now=NOW)) == 5
    assert away.away(**week, reason="Holiday", by=STAFF, now=NOW) == []
    assert away.back(resource_id=ana.pk, on=TUESDAY, by=STAFF, now=NOW) == 1
    assert ResourceDay.objects.filter(resource=ana).count() == 4
    with pytest.raises(NotNow):
        away.away(resource_id=ana.pk, first_on=TUESDAY, last_on=date(2026, 11, 1), by=STAFF, now=NOW)


def test_who_is_away_and_booked_is_told_until_somebody_decides(place, crew, kind, make_up, made_up):
    mira = crew["make-up-artist"]
    evening = datetime(2026, 11, 25, 0, 30, tzinfo=UTC)  # still Tuesday in Chicago
    until = evening + HOUR
    made_up.claims.filter(resource=mira).update(
        starts_at=evening, ends_at=until, works_from=evening, works_until=until
    )
    assert away.absences(now=NOW) == []
    away.away(resource_id=mira.pk, first_on=TUESDAY + timedelta(days=1), by=STAFF, now=NOW)
    assert away.absences(now=NOW) == []
    away.away(resource_id=mira.pk, first_on=TUESDAY, by=STAFF, now=NOW)
    (found,) = away.absences(now=NOW)
    assert (found.resource, found.count, found.first_on, found.last_on) == (mira, 1, TUESDAY, TUESDAY)
    assert len(away.absences(now=NOW, booking=made_up)) == 1
    assert away.absences(now=until) == []
    away.offer_change(booking_id=made_up.pk, by=STAFF, now=NOW)
    assert away.absences(now=NOW) == []


def test_another_artist_takes_the_place_in_one_tap(place, crew, made_up):
    jules = second_artist(place)
    claim = claim_of(made_up, crew["make-up-artist"])
    stand_ins.swap(claim_id=claim.pk, resource_id=jules.pk, by=STAFF, now=NOW)
    taken = claim_of(made_up, jules)
    assert (taken.starts_at, taken.ends_at, taken.purpose) == (claim.starts_at, claim.ends_at, claim.purpose)
    assert not made_up.claims.filter(resource=crew["make-up-artist"], is_active=True).exists()
    assert StatusChange.objects.get(verb="stand_in").reason.startswith("Make-up: ")
    assert judged() == []


def test_an_artist_who_is_busy_or_off_cannot_stand_in(place, crew, made_up, kind, make_up):
    jules = second_artist(place)
    claim = claim_of(made_up, crew["make-up-artist"])
    away.away(resource_id=jules.pk, first_on=TUESDAY, by=STAFF, now=NOW)
    assert stand_ins.stand_ins(claim, now=NOW) == []
    with pytest.raises(NotNow):
        stand_ins.swap(claim_id=claim.pk, resource_id=jules.pk, by=STAFF, now=NOW)


def test_come_without_frees_the_chair_gives_the_price_back_and_says_when_to_come(crew, made_up, make_up):
    given_back = away.come_without(booking_id=made_up.pk, add_on_id=make_up.pk, by=STAFF, now=NOW)
    made_up.refresh_from_db()
    assert given_back == 9000
    assert (made_up.price, made_up.starts_at) == (18000, TEN + 45 * timedelta(minutes=1))
    assert [(row.amount, row.status) for row in Refund.objects.all()] == [(9000, "due")]
    held = set(made_up.claims.filter(is_active=True).values_list("resource", flat=True))
    assert held == {crew["photographer"].pk, crew["camera-room"].pk}
    mail = mails("booking_without").get()
    assert "10:45" in mail.body_text and "$90" in mail.body_text
    assert "SEQUENCE:1" in mail.attachments[0]["text"]
    with pytest.raises(NotNow):
        away.come_without(booking_id=made_up.pk, add_on_id=make_up.pk, by=STAFF, now=NOW)
    assert judged() == []


def waiting_for_an_answer(booking) -> set[str]:
    rows = Message.objects.filter(about_id=booking.pk, status=MessageStatus.QUEUED, due_at__gt=NOW)
    return set(rows.values_list("name", flat=True))


def test_coming_without_answers_the_offer_of_another_time(made_up, make_up):
    away.offer_change(booking_id=made_up.pk, reason="Ana is ill.", by=STAFF, now=NOW)
    away.come_without(booking_id=made_up.pk, add_on_id=make_up.pk, by=STAFF, now=NOW)
    made_up.refresh_from_db()
    assert made_up.free_change_since is None
    assert waiting_for_an_answer(made_up).isdisjoint(another_time.OFFER_MAILS)
    assert "booking_reminder" in waiting_for_an_answer(made_up)
    assert (
        "The other time we asked you for is not needed any more." in mails("booking_without").get().body_text
    )
    late_for_policy = made_up.starts_at - HOUR
    assert lifecycle.refund_preview(booking=made_up, now=late_for_policy).amount == 0
    assert judged() == []


def test_an_offer_stays_where_something_else_stands_against_the_time(place, made_up, make_up):
    away.move_day(location=place, on=TUESDAY, reason="Flood", closes=True, by=STAFF, now=NOW)
    away.come_without(booking_id=made_up.pk, add_on_id=make_up.pk, by=STAFF, now=NOW)
    made_up.refresh_from_db()
    assert made_up.free_change_since == NOW
    assert waiting_for_an_answer(made_up) == set(another_time.OFFER_MAILS)
    assert "not needed any more" not in mails("booking_without").get().body_text


def test_who_comes_without_and_may_not_move_any_more_is_asked_to_write(made_up, make_up):
    soon = TEN - 3 * HOUR
    away.offer_change(booking_id=made_up.pk, by=STAFF, now=soon)
    away.come_without(booking_id=made_up.pk, add_on_id=make_up.pk, by=STAFF, now=soon)
    assert "please ask us on the page of your booking" in mails("booking_without").get().body_text


# --- another time -------------------------------------------------------------------------------------------


def test_an_offered_change_is_free_however_late_and_cancelling_gives_everything_back(made_up):
    soon = TEN - 3 * HOUR
    with pytest.raises(TooLate):
        lifecycle.move_to(booking_id=made_up.pk, starts_at=TEN + 24 * HOUR, by=GUEST, now=soon)
    assert lifecycle.refund_preview(booking=made_up, now=soon).amount == 0
    assert away.offer_change(booking_id=made_up.pk, reason="Ana is ill.", by=STAFF, now=soon) is True
    assert away.offer_change(booking_id=made_up.pk, by=STAFF, now=soon) is False
    made_up.refresh_from_db()
    assert lifecycle.refund_preview(booking=made_up, now=soon).amount == 27000
    mail = mails("booking_time_offered").get()
    assert "Wed 25 November, 10:00" in mail.body_text and "Ana is ill." in mail.body_text
    moved = lifecycle.move_to(booking_id=made_up.pk, starts_at=TEN + 24 * HOUR, by=GUEST, now=soon)
    assert (moved.moved_count, moved.free_change_since) == (0, None)


def test_a_whole_day_is_closed_and_everybody_gets_an_offer(place, kind, made_up):
    other = factories.booking(session_type=kind, at=place, starts_at=TEN + 3 * HOUR)
    factories.booking(session_type=kind, at=place, starts_at=TEN + 24 * HOUR)
    day = {"location": place, "on": TUESDAY, "reason": "The boiler burst.", "closes": True}
    assert away.move_day(**day, by=STAFF, now=NOW) == 2
    assert away.move_day(**day, by=STAFF, now=NOW) == 0
    assert Closure.objects.get(location=place).on == TUESDAY
    assert set(mails("booking_time_offered").values_list("about_id", flat=True)) == {made_up.pk, other.pk}


# --- artists on request -------------------------------------------------------------------------------------


@pytest.fixture
def on_request(crew):
    """The make-up artist wants to be asked each time, and has an address."""
    artist = crew["make-up-artist"]
    artist.is_on_request, artist.user = True, factories.user("artist")
    artist.save()
    return artist


def confirmed(booking):
    """The same booking, confirmed the way a real one is."""
    booking.refresh_from_db()
    lifecycle.after_confirming(booking, message="booking_confirmed", by=STAFF, now=NOW)
    return booking


def test_an_artist_on_request_is_asked_by_mail_and_her_time_is_held(on_request, made_up):
    confirmed(made_up)
    ask = ArtistAsk.objects.get()
    assert (ask.status, ask.resource, ask.answer_by) == (AskStatus.ASKED, on_request, NOW + 6 * HOUR)
    assert asking.waiting(made_up) == [ask]
    assert claim_of(made_up, on_request).is_active
    mail = mails("artist_asked").get()
    assert (mail.to_address, "10:00" in mail.body_text) == (on_request.user.email, True)
    assert made_up.payer.email not in mail.body_text
    assert asking.accept(ask_id=ask.pk, by=GUEST, now=NOW) is True
    assert asking.accept(ask_id=ask.pk, by=GUEST, now=NOW) is False
    assert asking.waiting(made_up) == []


def test_two_hours_of_daytime_never_end_at_night(place):
    def after(hour, minute=0):
        moment = datetime(2026, 11, 16, hour, minute, tzinfo=UTC) + 6 * HOUR
        return asking.daytime_after(moment, 2 * HOUR, place) - 6 * HOUR

    assert after(14) == datetime(2026, 11, 16, 16, tzinfo=UTC)
    assert after(20) == datetime(2026, 11, 17, 9, tzinfo=UTC)
    assert after(3) == datetime(2026, 11, 16, 10, tzinfo=UTC)
    assert after(23, 30) == datetime(2026, 11, 17, 10, tzinfo=UTC)


def test_a_no_asks_the_next_one_and_silence_is_a_no(on_request, place, made_up):
    jules = second_artist(place, is_on_request=True, user=factories.user("artist"))
    kim = factories.resource("make-up-artist", at=place, name="Kim")
    confirmed(made_up)
    first = ArtistAsk.objects.get()
    assert asking.decline(ask_id=first.pk, by=GUEST, now=NOW) is True
    second = ArtistAsk.objects.get(status=AskStatus.ASKED)
    assert (second.resource, claim_of(made_up, jules).purpose) == (jules, "Make-up")
    assert asking.lapse_due(now=second.answer_by - timedelta(seconds=1)) == 0
    assert asking.lapse_due(now=second.answer_by) == 1
    assert claim_of(made_up, kim).is_active  # who needs no asking has it at once
    assert not ArtistAsk.objects.filter(status=AskStatus.ASKED).exists()
    with pytest.raises(NotNow):
        asking.accept(ask_id=second.pk, by=GUEST, now=second.answer_by)
    assert asking.unfilled(now=NOW) == []
    assert judged() == []


def test_when_nobody_is_left_the_desk_is_told_and_the_place_is_open(on_request, made_up, make_up):
    confirmed(made_up)
    asking.decline(ask_id=ArtistAsk.objects.get().pk, by=GUEST, now=NOW)
    assert asking.unfilled(now=NOW) == [made_up]
    assert [(gap.purpose, row.add_on) for gap, row in away.gaps_of(made_up)] == [("Make-up", make_up)]
    assert "Nobody for Make-up" in mails("desk_artist_missing").get().subject
    away.come_without(booking_id=made_up.pk, add_on_id=make_up.pk, by=STAFF, now=NOW)
    assert asking.unfilled(now=NOW) == []


def test_a_move_asks_again_and_a_cancellation_lets_her_go(on_request, made_up):
    confirmed(made_up)
    first = ArtistAsk.objects.get()
    asking.accept(ask_id=first.pk, by=GUEST, now=NOW)
    lifecycle.move_to(booking_id=made_up.pk, starts_at=TEN + 24 * HOUR, by=STAFF, now=NOW)
    assert list(ArtistAsk.objects.order_by("pk").values_list("status", flat=True)) == [
        AskStatus.WITHDRAWN,
        AskStatus.ASKED,
    ]
    assert mails("artist_not_needed").count() == 1
    assert not credentials.live(scope="ask", target=first.public_id, now=NOW).exists()
    lifecycle.cancel(booking_id=made_up.pk, by=STAFF, now=NOW, full_refund=True)
    assert not ArtistAsk.objects.filter(status=AskStatus.ASKED).exists()


def test_who_said_yes_is_told_that_the_session_is_cancelled(on_request, made_up):
    """Everything else that waits to be sent about it is taken back."""
    confirmed(made_up)
    asking.accept(ask_id=ArtistAsk.objects.get().pk, by=GUEST, now=NOW)
    lifecycle.cancel(booking_id=made_up.pk, by=STAFF, now=NOW, full_refund=True)
    assert mails("artist_not_needed").get().status == MessageStatus.QUEUED
    assert mails("artist_asked").get().status == MessageStatus.CANCELLED


def test_nobody_is_asked_until_the_client_stands_in_the_door(on_request, made_up):
    """Booked the evening before: two hours of daytime would end as she begins."""
    made_up.refresh_from_db()
    evening = TEN - 13 * HOUR
    lifecycle.after_confirming(made_up, message="booking_confirmed", by=STAFF, now=evening)
    assert ArtistAsk.objects.get().answer_by == TEN - HOUR
    ArtistAsk.objects.all().delete()
    soon = TEN - 70 * timedelta(minutes=1)
    asking.ask_artists(made_up, by=STAFF, now=soon)
    assert ArtistAsk.objects.get().answer_by == soon + timedelta(minutes=30)


def test_what_took_place_cannot_be_declined_and_stays_on_record(on_request, made_up, place):
    second_artist(place)
    confirmed(made_up)
    ask, shoot = ArtistAsk.objects.get(), made_up.shoots.get()
    asking.accept(ask_id=ask.pk, by=GUEST, now=NOW)
    lifecycle.complete(shoot_id=shoot.pk, by=STAFF, now=shoot.ends_at - HOUR / 2)
    with pytest.raises(NotNow, match="over"):
        asking.decline(ask_id=ask.pk, by=GUEST, now=shoot.ends_at - HOUR / 2)
    assert claim_of(made_up, on_request).is_active


def test_a_silence_that_is_noticed_after_the_session_changes_nobodys_part(on_request, made_up, place):
    """The sweep did not run for a day."""
    second_artist(place)
    confirmed(made_up)
    assert asking.lapse_due(now=made_up.ends_at + HOUR) == 1
    assert claim_of(made_up, on_request).is_active


@pytest.fixture
def both(on_request, place):
    """A session with hair, then make-up, both by the artist who is asked."""
    hair, face = factories.add_on(name="Hair", kind="hair", minutes=30), factories.add_on(name="Face")
    kind = factories.session_type(locations=[place], add_ons=[hair, face])
    booked = holds.place(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={hair.pk: 1, face.pk: 1},
        starts_at=TEN,
        form_token=uuid4(),
        by=GUEST,
        now=NOW,
    )
    Booking.objects.filter(pk=booked.pk).update(payer=factories.client())
    lifecycle.confirm(booking_id=booked.pk, by=STAFF, now=NOW)
    return Booking.objects.get(pk=booked.pk)


def test_who_does_two_things_is_asked_for_the_other_when_one_falls_out(both, on_request):
    hair, face = both.add_ons.order_by("starts_at")
    away.come_without(booking_id=both.pk, add_on_id=hair.add_on_id, by=STAFF, now=NOW)
    assert ArtistAsk.objects.get().status == AskStatus.ASKED
    away.come_without(booking_id=both.pk, add_on_id=face.add_on_id, by=STAFF, now=NOW)
    assert ArtistAsk.objects.get().status == AskStatus.WITHDRAWN


def test_one_other_can_do_both_things(both, on_request, place):
    jules = second_artist(place, is_on_request=True)
    asking.decline(ask_id=ArtistAsk.objects.get().pk, by=GUEST, now=NOW)
    hers = both.claims.filter(resource=jules, is_active=True)
    assert set(hers.values_list("purpose", flat=True)) == {"Hair", "Face"}
    assert ArtistAsk.objects.get(resource=jules).status == AskStatus.ASKED
    assert away.gaps_of(both) == []
    assert judged() == []


def test_two_who_work_beside_each_other_are_two_people(on_request, place):
    beside = {"placement": "before_parallel", "needs": [("make-up-artist", 1, 0, 10)]}
    hair, face = factories.add_on(name="Hair", **beside), factories.add_on(name="Face", **beside)
    jules = second_artist(place)
    kind = factories.session_type(locations=[place], add_ons=[hair, face])
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN, add_ons={hair: 1, face: 1})
    assert stand_ins.stand_ins(claim_of(booked, on_request), now=NOW) == []
    assert {claim_of(booked, one).purpose for one in (on_request, jules)} == {"Hair", "Face"}


def test_somebody_who_left_the_studio_can_be_replaced(place, crew, made_up):
    jules = second_artist(place)
    Resource.objects.filter(pk=crew["make-up-artist"].pk).update(is_active=False)
    assert stand_ins.stand_ins(claim_of(made_up, crew["make-up-artist"]), now=NOW) == [jules]


# --- late ---------------------------------------------------------------------------------------------------


def test_grace_is_fifteen_minutes_and_beyond_it_less_is_left(made_up):
    shoot = made_up.shoots.get()
    within = late.expect(shoot_id=shoot.pk, expected_at=TEN + timedelta(minutes=15), by=STAFF, now=TEN)
    assert (within.is_within_grace, within.booked, within.left) == (True, 60, 45)
    beyond = late.expect(shoot_id=shoot.pk, expected_at=TEN + timedelta(minutes=40), by=STAFF, now=TEN)
    assert (beyond.is_within_grace, beyond.left, beyond.left_without) == (False, 20, 60)
    assert beyond.is_helped_without
    late.make_shorter(shoot_id=shoot.pk, by=STAFF, now=TEN)
    assert mails("booking_shorter").get().subject == "Come when you can: 20 minutes are yours"
    with pytest.raises(NotNow):
        late.expect(shoot_id=shoot.pk, expected_at=TEN + 20 * HOUR, by=STAFF, now=TEN)


def test_make_up_is_skipped_for_somebody_late_and_refunded(made_up, make_up):
    late.expect(
        shoot_id=made_up.shoots.get().pk, expected_at=TEN + 40 * timedelta(minutes=1), by=STAFF, now=TEN
    )
    assert (
        away.come_without(booking_id=made_up.pk, add_on_id=make_up.pk, reason="Late", by=STAFF, now=TEN)
        == 9000
    )
    assert made_up.shoots.get().starts_at == TEN + timedelta(minutes=45)


# --- once more ----------------------------------------------------------------------------------------------


@pytest.fixture
def taken(kind, place, make_up):
    """A session that has taken place, with its gallery."""
    shoot = factories.shoot(session_type=kind, at=place, starts_at=TEN, add_ons={make_up: 1}, is_paid=True)
    lifecycle.after_confirming(shoot.booking, message="booking_confirmed", by=STAFF, now=NOW)
    lifecycle.complete(shoot_id=shoot.pk, by=STAFF, now=shoot.ends_at)
    shoot.refresh_from_db()
    return shoot


def again(booking, token: UUID, starts_at=TEN + 48 * HOUR):
    return reshoots.reshoot(
        booking_id=booking.pk,
        starts_at=starts_at,
        form_token=token,
        reason="Eyes closed in every frame",
        by=STAFF,
        now=TEN + 24 * HOUR,
    )


def test_a_reshoot_is_a_linked_booking_at_no_price_and_ends_the_old_clock(taken):
    token = uuid4()
    gallery = Gallery.objects.get(shoot=taken)
    assert gallery.alarm_at is not None
    made = again(taken.booking, token)
    assert (made.status, made.price, made.due_now, made.reshoot_of) == (
        BookingStatus.CONFIRMED,
        0,
        0,
        taken.booking,
    )
    assert made.shoots.get().sitter == taken.sitter
    assert Gallery.objects.filter(shoot=taken, alarm_at=None, status="cancelled").exists()
    assert again(taken.booking, token) == made
    with pytest.raises(NotNow):
        again(taken.booking, uuid4(), TEN + 50 * HOUR)
    assert judged() == []


def test_only_a_session_that_took_place_is_repeated(made_up):
    with pytest.raises(NotNow):
        again(made_up, uuid4())
    assert made_up.shoots.get().status == ShootStatus.PLANNED
    assert Message.objects.filter(status=MessageStatus.QUEUED, name="booking_confirmed").count() == 0
