"""The waiting list: in turn, one offer at a time, a held time for each, and nothing lost when a sweep is missed."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from bookings import checkout, holds, lifecycle, waiting
from bookings.invariants import offers_that_hold_nothing
from bookings.models import Booking, Claim, WaitingOffer, WaitingPlace
from bookings.refusals import DetailsRefused, HoldOver, NotOffered
from bookings.statuses import BookingStatus, OfferStatus, WaitingStatus
from studio import credentials
from studio.actors import Actor, ActorKind
from studio.models import Message
from tests import factories

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
TUESDAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 16, 18, tzinfo=UTC)  # Monday 12:00 in Chicago
HOUR = timedelta(hours=1)


def at(hour, minute=0, on=TUESDAY):
    """A Chicago wall time in November (UTC-6)."""
    return datetime(on.year, on.month, on.day, hour, minute, tzinfo=UTC) + timedelta(hours=6)


@pytest.fixture
def place():
    """Open for exactly one session a day."""
    return factories.location(hours=(time(10), time(11)))


@pytest.fixture
def kind(place):
    factories.crew(place)
    return factories.session_type(locations=[place], payment_plan="at_studio", may_pay_at_studio=True)


@pytest.fixture
def taken(kind, place):
    """The only time of Tuesday."""
    return factories.booking(session_type=kind, at=place, starts_at=at(10), now=NOON)


def join(kind, place, name="Ada", *, now=NOON, first_on=TUESDAY, last_on=TUESDAY, token=None, **fields):
    return waiting.join(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        first_on=first_on,
        last_on=last_on,
        name=name,
        email=f"{name.lower()}@client.example",
        form_token=token or uuid4(),
        by=GUEST,
        now=now,
        **fields,
    )


def cancel(booking, *, now):
    lifecycle.cancel(booking_id=booking.pk, by=Actor(ActorKind.USER, 1, "Owner"), now=now, full_refund=True)


def test_nothing_is_offered_while_nothing_is_free(kind, place, taken):
    join(kind, place)
    assert waiting.offer_due(now=NOON) == 0
    assert WaitingOffer.objects.count() == 0


def test_a_freed_time_is_held_for_the_first_in_the_line_and_told(kind, place, taken):
    first = join(kind, place, "Ada")
    second = join(kind, place, "Bea", now=NOON + timedelta(minutes=1))
    cancel(taken, now=NOON + timedelta(hours=1))
    now = NOON + timedelta(hours=1)
    assert waiting.offer_due(now=now) == 1
    offer = WaitingOffer.objects.get()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (offer.place, first.status, second.status) == (first, "offered", "waiting")
    held = offer.booking
    assert (held.status, held.hold_expires_at) == (BookingStatus.HELD, now + timedelta(hours=2))
    assert Claim.objects.filter(booking=held, is_active=True).count() == 2
    mail = Message.objects.get(name="waiting_offer")
    assert (mail.to_address, "/open/" in mail.body_text) == ("ada@client.example", True)
    assert "10:00" in mail.subject
    assert waiting.offer_due(now=now + timedelta(minutes=1)) == 0  # no second offer, no second mail


def test_an_offer_says_until_when_on_the_clients_own_clock_too(kind, place):
    join(kind, place, "Ada", mobile="+44 20 7946 0018", zone="Europe/London")
    assert waiting.offer_due(now=NOON) == 1
    mail, text = Message.objects.filter(name="waiting_offer").order_by("pk")
    for words in (mail.body_text, text.body_text):
        assert "Tue 24 November, 10:00 (16:00 your time, Europe/London)" in words
        assert "until 14:00 (20:00 your time, Europe/London)" in words


def test_an_offer_not_taken_goes_to_the_next_and_keeps_the_place(kind, place):
    first, second = join(kind, place, "Ada"), join(kind, place, "Bea", now=NOON + timedelta(minutes=1))
    assert waiting.offer_due(now=NOON) == 1
    later = NOON + timedelta(hours=2, minutes=1)
    holds.expire_due(now=later)
    waiting.sweep(now=later)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (WaitingStatus.WAITING, WaitingStatus.OFFERED)
    assert list(WaitingOffer.objects.order_by("pk").values_list("status", flat=True)) == ["lapsed", "open"]
    # When the second lets it lapse too, nobody is offered the same time again.
    last = later + timedelta(hours=2, minutes=1)
    holds.expire_due(now=last)
    waiting.sweep(now=last)
    assert WaitingOffer.objects.filter(status="open").count() == 0


def test_never_at_night_and_short_when_the_time_is_near(kind, place):
    kind.min_notice_hours = 1
    kind.save()
    join(kind, place)
    night = datetime(
        2026, 11, 24, 3, 30, tzinfo=UTC
    )  # 21:30 on Monday in Chicago, the session at 10 on Tuesday
    assert waiting.offer_due(now=night) == 0
    morning = at(8, 15)
    assert waiting.offer_due(now=morning) == 1
    assert WaitingOffer.objects.get().expires_at == morning + timedelta(minutes=30)


def test_an_offer_lies_wholly_in_the_day(kind, place):
    join(kind, place)
    evening = datetime(2026, 11, 17, 1, 30, tzinfo=UTC)  # 19:30: two hours would end at night
    assert waiting.offer_due(now=evening) == 0
    assert waiting.offer_due(now=evening + timedelta(hours=12, minutes=30)) == 1


def test_taking_goes_on_as_an_ordinary_booking_and_ends_the_wait(kind, place):
    waits = join(kind, place)
    waiting.offer_due(now=NOON)
    offer = WaitingOffer.objects.get()
    late = NOON + timedelta(hours=1, minutes=55)
    booking = waiting.take(offer_id=offer.pk, by=GUEST, now=late)
    assert booking.hold_expires_at == late + timedelta(minutes=15)
    assert waiting.take(offer_id=offer.pk, by=GUEST, now=late).pk == booking.pk  # a double click
    checkout.take_details(
        booking_id=booking.pk,
        name="Ada",
        email="ada@client.example",
        policy_accepted=True,
        by=GUEST,
        now=late,
    )
    checkout.confirm_at_studio(booking_id=booking.pk, by=GUEST, now=late)
    waits.refresh_from_db()
    offer.refresh_from_db()
    assert (waits.status, offer.status) == (WaitingStatus.BOOKED, OfferStatus.BOOKED)
    assert Message.objects.filter(name="waiting_booked").count() == 0


def taken_and_asked(kind, place):
    """Where the studio says yes by hand: a place whose offered time is asked for."""
    kind.is_confirmed_by_staff = True
    kind.save()
    waits = join(kind, place)
    waiting.offer_due(now=NOON)
    booking = waiting.take(offer_id=WaitingOffer.objects.get().pk, by=GUEST, now=NOON)
    details = {"name": "Ada", "email": "ada@client.example", "policy_accepted": True}
    checkout.take_details(booking_id=booking.pk, **details, by=GUEST, now=NOON)
    checkout.confirm_at_studio(booking_id=booking.pk, by=GUEST, now=NOON)
    booking.refresh_from_db()
    assert booking.status == BookingStatus.REQUESTED
    return waits, booking


@pytest.mark.parametrize(
    ("answer", "place_is", "offer_is"),
    [
        (lifecycle.confirm, WaitingStatus.BOOKED, OfferStatus.BOOKED),
        (lifecycle.decline, WaitingStatus.WAITING, OfferStatus.LAPSED),
    ],
)
def test_a_place_outlives_a_request_that_is_declined(kind, place, client, answer, place_is, offer_is):
    waits, booking = taken_and_asked(kind, place)
    waiting.sweep(now=NOON + HOUR)
    waits.refresh_from_db()
    assert waits.status == WaitingStatus.OFFERED
    assert list(offers_that_hold_nothing(NOON + 24 * HOUR)) == []
    link = credentials.grant(scope="waiting", target=waits.public_id, now=timezone.now()).url
    page = client.get(link.removeprefix(settings.SITE_URL), follow=True).content.decode()
    assert "your place on the list is still yours" in page
    answer(booking_id=booking.pk, by=Actor(ActorKind.USER, 1, "Owner"), now=NOON + HOUR)
    waiting.lapse_due(now=NOON + HOUR)
    waits.refresh_from_db()
    assert (waits.status, WaitingOffer.objects.get().status) == (place_is, offer_is)
    assert list(offers_that_hold_nothing(NOON + 24 * HOUR)) == []


def test_a_lapsed_offer_cannot_be_taken(kind, place):
    join(kind, place)
    waiting.offer_due(now=NOON)
    with pytest.raises(HoldOver):
        waiting.take(offer_id=WaitingOffer.objects.get().pk, by=GUEST, now=NOON + timedelta(hours=2))


def test_passing_on_and_leaving_free_the_time_for_the_next(kind, place):
    places = [
        join(kind, place, name, now=NOON + timedelta(seconds=n))
        for n, name in enumerate(["Ada", "Bea", "Cy"])
    ]
    waiting.offer_due(now=NOON)
    assert waiting.pass_on(offer_id=WaitingOffer.objects.get().pk, by=GUEST, now=NOON) is True
    waiting.sweep(now=NOON)
    assert waiting.leave(place_id=places[1].pk, by=GUEST, now=NOON) is True
    assert waiting.leave(place_id=places[1].pk, by=GUEST, now=NOON) is False
    waiting.sweep(now=NOON)
    assert [WaitingPlace.objects.get(pk=row.pk).status for row in places] == ["waiting", "left", "offered"]
    assert Booking.objects.filter(status=BookingStatus.HELD).count() == 1


def test_booking_elsewhere_frees_the_offered_time(kind, place):
    waits = join(kind, place, last_on=TUESDAY + timedelta(days=1))
    waiting.offer_due(now=NOON)
    offered = WaitingOffer.objects.get().booking
    elsewhere = holds.place(
        session_type_id=kind.pk, location_id=place.pk, add_ons={}, starts_at=at(10, on=TUESDAY + timedelta(days=2)),
        form_token=uuid4(), by=GUEST, now=NOON,
    )  # fmt: skip
    checkout.take_details(
        booking_id=elsewhere.pk,
        name="Ada",
        email="ada@client.example",
        policy_accepted=True,
        by=GUEST,
        now=NOON,
    )
    checkout.confirm_at_studio(booking_id=elsewhere.pk, by=GUEST, now=NOON)
    waits.refresh_from_db()
    offered.refresh_from_db()
    assert (waits.status, offered.status) == (WaitingStatus.BOOKED, BookingStatus.CANCELLED)
    assert not Claim.objects.filter(booking=offered, is_active=True).exists()
    assert Message.objects.filter(name="waiting_booked").count() == 1


def person_with_an_offer_who_booked(kind, place, monkeypatch, meanwhile):
    """Ada's other booking is confirmed at the moment at which `meanwhile` happens to her place."""
    waits, thursday = join(kind, place, "Ada"), at(10, on=TUESDAY + timedelta(days=2))
    booking = factories.booking(
        session_type=kind, at=place, status="held", starts_at=thursday, payer=waits.client, now=NOON
    )
    lock = waiting._lock

    def one_is_faster(model, pk, **how):
        monkeypatch.setattr(waiting, "_lock", lock)
        return meanwhile(model, pk, **how)

    monkeypatch.setattr(waiting, "_lock", one_is_faster)
    lifecycle.confirm(booking_id=booking.pk, by=Actor(ActorKind.USER, 1, "Owner"), now=NOON)
    return waits


def test_a_place_somebody_acts_on_is_left_to_the_sweep(kind, place, monkeypatch):
    waits = person_with_an_offer_who_booked(kind, place, monkeypatch, lambda *_, **__: None)
    waits.refresh_from_db()
    assert waits.status == WaitingStatus.WAITING
    waiting.sweep(now=NOON + timedelta(minutes=1))
    waits.refresh_from_db()
    assert (waits.status, WaitingOffer.objects.count()) == (WaitingStatus.BOOKED, 0)
    assert Message.objects.filter(name="waiting_booked").count() == 1


def test_an_offer_made_while_its_place_is_being_ended_holds_nothing(kind, place, monkeypatch):
    def offered_first(model, pk, **_how):
        assert waiting.offer_due(now=NOON) == 1
        return model.objects.get(pk=pk)

    waits = person_with_an_offer_who_booked(kind, place, monkeypatch, offered_first)
    assert list(offers_that_hold_nothing(NOON)) == []
    waiting.sweep(now=NOON + timedelta(minutes=1))
    waits.refresh_from_db()
    assert (waits.status, WaitingOffer.objects.get().status) == (WaitingStatus.BOOKED, OfferStatus.DECLINED)
    assert WaitingOffer.objects.get().booking.status == BookingStatus.CANCELLED


def test_three_silent_offers_end_a_place_and_say_so(kind, place):
    waits = join(kind, place, last_on=TUESDAY + timedelta(days=5))
    now = NOON
    for _offer in range(3):
        assert waiting.offer_due(now=now) == 1
        now += timedelta(hours=2, minutes=1)
        holds.expire_due(now=now)
        waiting.lapse_due(now=now)
    waits.refresh_from_db()
    assert waits.status == WaitingStatus.ENDED
    assert Message.objects.filter(name="waiting_silent").count() == 1


def test_days_that_passed_end_a_place(kind, place, taken):
    waits = join(kind, place)
    after = at(10) + timedelta(days=1)
    waiting.sweep(now=after)
    waits.refresh_from_db()
    assert waits.status == WaitingStatus.ENDED
    assert Message.objects.filter(name="waiting_ended").count() == 1


def test_joining_twice_is_one_place(kind, place):
    token = uuid4()
    first = join(kind, place, token=token)
    assert join(kind, place, token=token).pk == first.pk
    assert join(kind, place).pk == first.pk
    assert Message.objects.filter(name="waiting_joined").count() == 1


def test_what_cannot_be_waited_for_is_refused_in_a_sentence(kind, place):
    with pytest.raises(DetailsRefused) as refused:
        join(kind, place, "x" * 10_000, first_on=TUESDAY, last_on=TUESDAY - timedelta(days=1))
    assert set(refused.value.problems) == {"name", "email", "last_on"}
    other = factories.location()
    with pytest.raises(NotOffered):
        join(kind, other)
    assert WaitingPlace.objects.count() == 0
