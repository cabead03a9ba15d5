"""The waiting list on real connections: two sweeps, a client who leaves, and one who books, at the same moment."""

from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import OperationalError
from psycopg.errors import DeadlockDetected

from bookings import holds, lifecycle, waiting
from bookings.models import Booking, Claim, WaitingOffer, WaitingPlace
from bookings.statuses import BookingStatus
from studio.actors import Actor, ActorKind
from studio.models import Message
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
GUEST = Actor(ActorKind.CLIENT)
TUESDAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 16, 18, tzinfo=UTC)  # Monday 12:00 in Chicago
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)


@pytest.fixture
def place():
    """Open for one session a day, on several days."""
    return factories.location(hours=(time(10), time(11)))


@pytest.fixture
def kind(place):
    factories.crew(place)
    return factories.session_type(locations=[place])


def join(kind, place, name, *, days=0):
    return waiting.join(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        first_on=TUESDAY,
        last_on=TUESDAY + timedelta(days=days),
        name=name,
        email=f"{name.lower()}@client.example",
        form_token=uuid4(),
        by=GUEST,
        now=NOON,
    )


def doubles():
    """Places with more than one standing offer, and offers that hold nothing."""
    standing = WaitingOffer.objects.filter(status__in=["open", "taken"])
    places = list(standing.values_list("place", flat=True))
    empty = [
        row for row in standing if not Claim.objects.filter(booking=row.booking, is_active=True).exists()
    ]
    held = Booking.objects.filter(status=BookingStatus.HELD).count()
    return len(places) - len(set(places)) + len(empty) + abs(held - len(places))


def test_sweeps_at_the_same_moment_make_one_offer_each(kind, place, real_connections):
    for name in ("Ada", "Bea", "Cy"):
        join(kind, place, name, days=4)
    answers = real_connections.run([partial(waiting.offer_due, now=NOON)] * 6)
    assert [row for row in answers if isinstance(row, Exception)] == []
    waiting.offer_due(now=NOON)  # whoever was left alone by the race is served by the next sweep
    assert WaitingOffer.objects.count() == 3
    assert doubles() == 0
    assert Message.objects.filter(name="waiting_offer").count() == 3


def test_without_the_lock_on_the_place_the_database_still_refuses_a_second_offer(
    kind, place, real_connections, monkeypatch
):
    """The backstop, and the control of the test above: the refusals show that the race was real."""
    join(kind, place, "Ada", days=4)
    monkeypatch.setattr(
        waiting, "move", lambda *_args, **_fields: None
    )  # nobody looks, nobody moves the place
    answers = real_connections.run([partial(waiting.offer_due, now=NOON)] * 6)
    monkeypatch.undo()
    assert sum(row for row in answers if isinstance(row, int)) == 1
    assert WaitingOffer.objects.count() == 1
    assert Booking.objects.filter(status=BookingStatus.HELD).count() == 1


def test_leaving_while_an_offer_is_made_leaves_nothing_held(kind, place, real_connections):
    waits = join(kind, place, "Ada")
    real_connections.run(
        [
            partial(waiting.offer_due, now=NOON),
            partial(waiting.leave, place_id=waits.pk, by=GUEST, now=NOON),
            partial(waiting.offer_due, now=NOON),
        ]
    )
    assert WaitingPlace.objects.get().status == "left"
    assert doubles() == 0
    assert Booking.objects.filter(status=BookingStatus.HELD).count() == 0


def test_an_offer_and_a_client_never_get_the_same_time(kind, place, real_connections):
    join(kind, place, "Ada")

    def press():
        return holds.place(
            session_type_id=kind.pk, location_id=place.pk, add_ons={}, starts_at=TEN, form_token=uuid4(),
            by=GUEST, now=NOON,
        )  # fmt: skip

    real_connections.run([press, partial(waiting.offer_due, now=NOON), press])
    assert Booking.objects.filter(status=BookingStatus.HELD, starts_at=TEN).count() == 1


def test_taking_and_lapsing_at_the_same_moment_agree(kind, place, real_connections):
    join(kind, place, "Ada")
    waiting.offer_due(now=NOON)
    offer = WaitingOffer.objects.get()
    end = NOON + timedelta(hours=2)

    def expire():
        holds.expire_due(now=end)
        waiting.lapse_due(now=end)

    taken, _none = real_connections.run(
        [partial(waiting.take, offer_id=offer.pk, by=GUEST, now=end - timedelta(seconds=1)), expire]
    )
    expire()
    offer.refresh_from_db()
    status = Booking.objects.get(pk=offer.booking_id).status
    if isinstance(taken, Exception):
        assert (offer.status, status) == ("lapsed", BookingStatus.EXPIRED)
    else:
        assert (offer.status, status) == ("taken", BookingStatus.HELD)


def two_bookings_of_one_person(kind, place, real_connections, monkeypatch):
    """Ada waits in two lines and is offered a time in both; both are confirmed at the same moment."""
    for days in (4, 5):
        join(kind, place, "Ada", days=days)
    assert waiting.offer_due(now=NOON) == 2
    together, booked = Barrier(2), waiting.booked

    def when_both_hold_their_booking(**facts):
        together.wait(timeout=30)
        booked(**facts)

    monkeypatch.setattr(waiting, "booked", when_both_hold_their_booking)
    held = Booking.objects.filter(status=BookingStatus.HELD).values_list("pk", flat=True)
    confirm = partial(lifecycle.confirm, by=Actor(ActorKind.USER, 1, "Owner"), now=NOON)
    return real_connections.run([partial(confirm, booking_id=pk) for pk in held])


def test_two_bookings_of_one_person_do_not_wait_for_each_other(kind, place, real_connections, monkeypatch):
    assert two_bookings_of_one_person(kind, place, real_connections, monkeypatch) == [True, True]
    assert list(WaitingOffer.objects.values_list("status", "place__status")) == [("booked", "booked")] * 2


def test_two_bookings_of_one_person_that_wait_for_each_other_deadlock(
    kind, place, real_connections, monkeypatch
):
    """The control: whoever waits for another Booking while holding one can wait for ever."""
    lock = waiting._lock
    monkeypatch.setattr(waiting, "_lock", lambda model, pk, **_how: lock(model, pk, is_waiting=True))
    answers = two_bookings_of_one_person(kind, place, real_connections, monkeypatch)
    fallen = [answer for answer in answers if isinstance(answer, OperationalError)]
    assert [type(error.__cause__) for error in fallen] == [DeadlockDetected]
