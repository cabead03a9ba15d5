"""Somebody closes the studio, or goes away, while somebody else books: one of the two always sees the other."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from bookings import availability, away, closing, holds, lifecycle
from bookings.models import Booking
from bookings.refusals import NotOffered, Refused, SlotTaken
from studio.actors import Actor, ActorKind
from tests import factories
from tests.connections import LONGEST, elsewhere, ends_or_waits_for_me
from tests.factories import NOW
from tests.galleries.making import sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago
ON = TEN.date()
HOW = ["closed", "closed early", "day moved", "away", "other hours", "weekly hours"]
IN_THE_ADMIN = ["a closure in the admin", "opening hours in the admin"]


@pytest.fixture
def place():
    return factories.location()


@pytest.fixture
def crew(place):
    return factories.crew(place)


@pytest.fixture
def kind(place, crew):
    return factories.session_type(locations=[place])


@pytest.fixture
def owner():
    """The owner's browser, signed in before anything is timed."""
    browser, person = Client(), factories.user(is_staff=True, is_superuser=True)
    sign_in(browser, person)
    return browser


def as_typed(place, **closed):
    """The admin's form of a place as it stands, with other opening hours on Tuesday or one closure more."""
    form: dict[str, object] = {
        name: str(getattr(place, name))
        for name in ("name", "slug", "zone", "country", "working_week", "position")
    }
    form |= {"opens_at": "09:00", "closes_at": "18:00", "face_processing": "notice"}
    form |= {"half_day_counts": "on", "is_active": "on"}
    hours = list(place.opening_hours.all())
    form |= {"opening_hours-TOTAL_FORMS": str(len(hours)), "opening_hours-INITIAL_FORMS": str(len(hours))}
    for number, row in enumerate(hours):
        mark = f"opening_hours-{number}"
        opens = "10:30" if row.weekday == ON.weekday() and not closed else "09:00"
        form |= {f"{mark}-id": row.pk, f"{mark}-location": place.pk, f"{mark}-weekday": row.weekday}
        form |= {f"{mark}-opens_at": opens, f"{mark}-closes_at": "18:00"}
    form |= {"closures-TOTAL_FORMS": str(len(closed)), "closures-INITIAL_FORMS": "0"}
    for number, name in enumerate(closed.values()):
        form |= {
            f"closures-{number}-location": place.pk,
            f"closures-{number}-on": ON,
            f"closures-{number}-name": name,
        }
    return form


def shut(how, place, crew, owner):
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
        case "weekly hours":
            typed = {"from-1-0": "10:30", "until-1-0": "18:00", "place-1-0": place.pk}
            answer = owner.post(reverse("desk_person_hours", args=[crew["photographer"].public_id]), typed)
            assert answer.status_code == 302
        case "a closure in the admin" | "opening hours in the admin":
            typed = as_typed(place, name="Inventory") if "closure" in how else as_typed(place)
            answer = owner.post(f"/admin/studio/location/{place.pk}/change/", typed)
            assert answer.status_code == 302, answer.content.decode()


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


def shut_before_the_locks(monkeypatch, how, place, crew, owner):
    """The studio acts after the client's page was read and before the locks are taken."""
    locks = holds.lock_resources

    def lock(cast):
        elsewhere(shut, how, place, crew, owner).join(LONGEST)
        locks(cast)

    monkeypatch.setattr(holds, "lock_resources", lock)


@pytest.mark.parametrize("how", HOW + IN_THE_ADMIN)
def test_what_was_closed_before_the_locks_is_not_booked(how, place, crew, kind, owner, monkeypatch):
    shut_before_the_locks(monkeypatch, how, place, crew, owner)
    with pytest.raises((NotOffered, SlotTaken)) as refused:
        press(kind, place)
    assert not Booking.objects.exists()
    nearby = getattr(refused.value, "nearby", [])
    assert TEN not in [slot.starts_at for slot in nearby]


@pytest.mark.parametrize("how", ["closed", "away"])
def test_nothing_is_moved_to_a_day_that_was_closed_before_the_locks(
    how, place, crew, kind, owner, monkeypatch
):
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN.replace(day=25))
    shut_before_the_locks(monkeypatch, how, place, crew, owner)
    with pytest.raises(Refused):
        lifecycle.move_to(booking_id=booked.pk, starts_at=TEN, by=STAFF, now=NOW)
    booked.refresh_from_db()
    assert booked.starts_at == TEN.replace(day=25)


def test_without_asking_again_a_closed_day_is_booked(place, crew, kind, owner, monkeypatch):
    """The control: hours and closures as they were when the button was pressed."""
    enquire = availability.enquire

    def looked(*args, **facts):
        asked = enquire(*args, **facts)
        assert asked.frame.opening
        return asked

    monkeypatch.setattr(availability, "enquire", looked)
    monkeypatch.setattr(availability.Enquiry, "again", lambda self: self)
    shut_before_the_locks(monkeypatch, "closed", place, crew, owner)
    assert press(kind, place).starts_at == TEN


def closes_while_somebody_is_seated(monkeypatch, how, place, crew, kind, owner):
    """Whether the closing had ended before the seats were committed; else it was waiting for them when they were."""
    claim, ended, threads = holds.claim, [], []

    def slow(booking, slot):
        claim(booking, slot)
        threads.append(elsewhere(shut, how, place, crew, owner))
        ended.append(ends_or_waits_for_me(threads[0]))

    monkeypatch.setattr(holds, "claim", slow)
    press(kind, place)
    threads[0].join(LONGEST)
    return ended[0]


@pytest.mark.parametrize("how", HOW + IN_THE_ADMIN)
def test_whoever_closes_waits_for_who_is_being_seated(how, place, crew, kind, owner, monkeypatch):
    assert closes_while_somebody_is_seated(monkeypatch, how, place, crew, kind, owner) is False


@pytest.mark.parametrize("how", ["closed", *IN_THE_ADMIN])
def test_without_their_locks_a_closing_passes_who_is_being_seated(how, place, crew, kind, owner, monkeypatch):
    """The control."""
    monkeypatch.setattr(holds, "lock_everybody_at", lambda location: None)
    assert closes_while_somebody_is_seated(monkeypatch, how, place, crew, kind, owner) is True
