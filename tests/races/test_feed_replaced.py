"""A calendar is read again while others look and book: they see what it said before or what it says now."""

import threading
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest.mock import MagicMock
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import QuerySet

from bookings import availability, calendar_feeds, holds
from bookings.busy_times import BusyTimes
from bookings.models import Booking, Busy, BusyFeed
from bookings.refusals import SlotTaken
from studio.actors import Actor, ActorKind
from tests import factories
from tests.factories import NOW

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
GUEST = Actor(ActorKind.CLIENT)
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago
HOUR = timedelta(hours=1)
MORNING, DINNER = (TEN - HOUR, TEN + 2 * HOUR), (TEN + 2 * HOUR, TEN + 8 * HOUR)


class Replaced:
    """A feed that said "the morning" is made to say "the morning and the afternoon"; between taking its rows away and
    writing the new ones, others look and press."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = factories.location()
        crew = factories.crew(self.place)
        self.kind = factories.session_type(locations=[self.place])
        ana = crew["photographer"]
        self.feed = BusyFeed.objects.create(
            resource=ana, url="https://calendar.example/me.ics", next_fetch_at=NOW
        )
        Busy.objects.create(resource=ana, starts_at=MORNING[0], ends_at=MORNING[1], source="feed")
        self.seen: list[list[datetime]] = []
        self.pressed: list[threading.Thread] = []
        self.answers: list[object] = []
        writes = QuerySet.bulk_create

        def half(rows, objects, *args, **options):
            if rows.model is Busy:
                self.elsewhere(self.look).join(20)
                self.pressed.append(self.elsewhere(self.press))
                self.pressed[-1].join(0.5)
            return writes(rows, objects, *args, **options)

        monkeypatch.setattr(QuerySet, "bulk_create", half)

    def run(self) -> None:
        calendar_feeds._replace(self.feed, BusyTimes((MORNING, DINNER), 2, 0), now=NOW)
        self.pressed[0].join(20)

    def elsewhere(self, call):
        def run():
            try:
                call()
            finally:
                connections.close_all()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def look(self) -> None:
        found = availability.slots(
            session_type=self.kind,
            location=self.place,
            add_ons={},
            first_on=TEN.date(),
            last_on=TEN.date(),
            now=NOW,
        )
        self.seen.append([slot.starts_at for slot in found])

    def press(self) -> None:
        try:
            self.answers.append(
                holds.place(
                    session_type_id=self.kind.pk,
                    location_id=self.place.pk,
                    add_ons={},
                    starts_at=TEN + 3 * HOUR,  # free before, taken afterwards
                    form_token=uuid4(),
                    by=GUEST,
                    now=NOW,
                )
            )
        except SlotTaken as refusal:
            self.answers.append(refusal)


def test_nobody_sees_half_a_calendar_or_books_into_what_is_being_read(monkeypatch):
    replaced = Replaced(monkeypatch)
    replaced.run()
    assert replaced.seen and TEN not in replaced.seen[0]  # the morning was taken all the time
    assert TEN + 3 * HOUR in replaced.seen[0]
    assert [type(answer) for answer in replaced.answers] == [SlotTaken]  # it waited, and saw the new times
    assert not Booking.objects.exists()


def test_replaced_in_two_steps_half_a_calendar_is_seen_and_booked(monkeypatch):
    """The control: no transaction and no lock."""
    replaced = Replaced(monkeypatch)
    monkeypatch.setattr(calendar_feeds, "transaction", SimpleNamespace(atomic=nullcontext))
    monkeypatch.setattr(calendar_feeds, "Resource", MagicMock())
    replaced.run()
    assert TEN in replaced.seen[0]
    assert [type(answer) for answer in replaced.answers] == [Booking]
