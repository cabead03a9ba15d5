"""Somebody closes the studio, or goes away, while somebody else books: one of the two always sees the other."""

import threading
import time
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connections

from bookings import availability, away, closing, holds, lifecycle
from bookings.models import Booking
from bookings.refusals import NotOffered, Refused, SlotTaken
from studio.actors import Actor, ActorKind
from tests import factories
from tests.factories import NOW

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago
ON = TEN.date()
HOW = ["closed", "closed early", "day moved", "away", "other hours"]


@pytest.fixture
def place():
    return factories.location()


@pytest.fixture
def crew(place):
    return factories.crew(place)


@pytest.fixture
def kind(place, crew):
    return factories.session_type(locations=[place])


def shut(how, place, crew):
    """What the studio does on its own connection."""
    closed = {"location": place, "by": STAFF, "now": NOW}
    person = {"resource_id": crew["photographer"].pk, "by": STAFF, "now": NOW}
    early = datetime(2026, 11, 24, 10, 30).time()
    match how:
        case "closed":
            closing.close(first_on=ON, name="Inventory", **closed)
        case "closed early":
            closing.close(first_on=ON, name="Party", closes_at=early, **closed)
        case "day moved":
            away.move_day(on=ON, reason="Power cut", closes=True, **closed)
        case "away":
            away.away(first_on=ON, **person)
        case "other hours":
            away.other_hours(location=place, on=ON, starts_at=early, ends_at=early.replace(hour=18), **person)


def elsewhere(call, *args):
    """Run it in a thread with a connection of its own."""

    def run():
        try:
            call(*args)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def press(kind, place):
    return holds.place(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        starts_at=TEN,
        form_token=uuid4(),
        by=GUEST,
        now=NOW,
    )


def shut_before_the_locks(monkeypatch, how, place, crew):
    """The studio acts after the client's page was read and before the locks are taken."""
    locks = holds.lock_resources

    def lock(cast):
        elsewhere(shut, how, place, crew).join(20)
        locks(cast)

    monkeypatch.setattr(holds, "lock_resources", lock)


@pytest.mark.parametrize("how", HOW)
def test_what_was_closed_before_the_locks_is_not_booked(how, place, crew, kind, monkeypatch):
    shut_before_the_locks(monkeypatch, how, place, crew)
    with pytest.raises((NotOffered, SlotTaken)) as refused:
        press(kind, place)
    assert not Booking.objects.exists()
    nearby = getattr(refused.value, "nearby", [])
    assert TEN not in [slot.starts_at for slot in nearby]


@pytest.mark.parametrize("how", ["closed", "away"])
def test_nothing_is_moved_to_a_day_that_was_closed_before_the_locks(how, place, crew, kind, monkeypatch):
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN.replace(day=25))
    shut_before_the_locks(monkeypatch, how, place, crew)
    with pytest.raises(Refused):
        lifecycle.move_to(booking_id=booked.pk, starts_at=TEN, by=STAFF, now=NOW)
    booked.refresh_from_db()
    assert booked.starts_at == TEN.replace(day=25)


def test_without_asking_again_a_closed_day_is_booked(place, crew, kind, monkeypatch):
    """The control: hours and closures as they were when the button was pressed."""
    enquire = availability.enquire

    def looked(*args, **facts):
        asked = enquire(*args, **facts)
        assert asked.frame.opening
        return asked

    monkeypatch.setattr(availability, "enquire", looked)
    monkeypatch.setattr(availability.Enquiry, "again", lambda self: self)
    shut_before_the_locks(monkeypatch, "closed", place, crew)
    assert press(kind, place).starts_at == TEN


def closes_while_somebody_is_seated(monkeypatch, how, place, crew, kind):
    """Whether the closing had ended before the seats were committed."""
    claim, ended, threads = holds.claim, [], []

    def slow(booking, slot):
        claim(booking, slot)
        threads.append(elsewhere(shut, how, place, crew))
        time.sleep(0.5)
        ended.append(not threads[0].is_alive())

    monkeypatch.setattr(holds, "claim", slow)
    press(kind, place)
    threads[0].join(20)
    return ended[0]


@pytest.mark.parametrize("how", HOW)
def test_whoever_closes_waits_for_who_is_being_seated(how, place, crew, kind, monkeypatch):
    assert closes_while_somebody_is_seated(monkeypatch, how, place, crew, kind) is False


def test_without_their_locks_a_closing_passes_who_is_being_seated(place, crew, kind, monkeypatch):
    """The control."""
    monkeypatch.setattr(holds, "lock_everybody_at", lambda location: None)
    assert closes_while_somebody_is_seated(monkeypatch, "closed", place, crew, kind) is True
