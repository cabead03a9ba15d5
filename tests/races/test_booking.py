"""Guarantee 1 on real connections: nobody is in two places, whoever presses at the same moment.

Each promise has its control: the same people with the guard taken away do harm, so the test can see it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import connection
from psycopg.errors import DeadlockDetected

from bookings import checkout, holds, lifecycle
from bookings.models import Booking, Claim, Refund
from bookings.notes import note
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus, CheckoutStatus
from studio.actors import Actor, ActorKind
from studio.models import Message, StatusChange
from tests import factories
from tests.connections import LONGEST, elsewhere, ends_or_waits_for_me
from tests.factories import NOW

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago


@pytest.fixture
def place():
    return factories.location()


def press(kind, place, starts_at=TEN, *, token=None, add_ons=None, now=NOW):
    """One client presses the button; how long the answer took is kept beside it."""
    began = time.perf_counter()
    found: Booking | Exception
    try:
        found = holds.place(
            session_type_id=kind.pk,
            location_id=place.pk,
            add_ons=add_ons or {},
            starts_at=starts_at,
            form_token=token or uuid4(),
            by=GUEST,
            now=now,
        )
    except (holds.SlotTaken, holds.NotOffered) as refusal:
        found = refusal
    return found, time.perf_counter() - began


def doubles() -> int:
    """Pairs of active claims of one Resource that overlap."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM bookings_claim a JOIN bookings_claim b
               ON a.resource_id = b.resource_id AND a.id < b.id AND a.is_active AND b.is_active
               AND tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)"""
        )
        return int(cursor.fetchone()[0])


@contextmanager
def without_constraint() -> Iterator[None]:
    """Take the exclusion constraint away and put it back, whatever was booked meanwhile."""
    rule = next(rule for rule in Claim._meta.constraints if rule.name == "nobody_in_two_places")
    with connection.schema_editor() as editor:
        editor.remove_constraint(Claim, rule)
    try:
        yield
    finally:
        Booking.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Claim, rule)


def test_fifty_clients_on_one_slot_make_one_booking(place, real_connections):
    factories.crew(place)
    kind = factories.session_type(locations=[place])
    answers = real_connections.run([partial(press, kind, place)] * 50)
    booked = [found for found, _seconds in answers if isinstance(found, Booking)]
    refused = [found for found, _seconds in answers if isinstance(found, holds.SlotTaken)]
    assert (len(booked), len(refused)) == (1, 49)
    assert Booking.objects.count() == 1
    assert doubles() == 0
    assert all(refusal.nearby for refusal in refused)


def test_fifty_clients_without_constraint_and_locks_book_twice(place, real_connections, monkeypatch):
    """The control."""
    factories.crew(place)
    kind = factories.session_type(locations=[place])
    monkeypatch.setattr(holds, "lock_resources", lambda cast: None)
    with without_constraint():
        answers = real_connections.run([partial(press, kind, place)] * 50)
        booked = [found for found, _seconds in answers if isinstance(found, Booking)]
        assert len(booked) > 1
        assert doubles() > 0
    monkeypatch.undo()
    with pytest.raises(holds.SlotTaken):
        press_or_raise(kind, place)


def press_or_raise(kind, place):
    """The guard is back: of two, one is refused."""
    for _client in range(2):
        found, _seconds = press(kind, place)
    raise found


def test_the_constraint_alone_still_seats_one(place, real_connections, monkeypatch):
    """The backstop: with the locks gone PostgreSQL refuses the second claim, and the client reads "taken"."""
    factories.crew(place)
    kind = factories.session_type(locations=[place])
    monkeypatch.setattr(holds, "lock_resources", lambda cast: None)
    answers = [found for found, _ in real_connections.run([partial(press, kind, place)] * 12)]
    assert sum(isinstance(found, Booking) for found in answers) == 1
    assert sum(isinstance(found, holds.SlotTaken) for found in answers) == 11
    assert doubles() == 0


def test_two_resources_in_opposite_order_show_no_deadlock(place, real_connections):
    """Two session types ask for the same pair the other way round; each slot is fought over by both."""
    factories.crew(place)
    one = factories.session_type(locations=[place], needs=["photographer", "camera-room"])
    other = factories.session_type(locations=[place], needs=["camera-room", "photographer"])
    hours = [TEN + timedelta(days=day, hours=hour) for day in (0, 1) for hour in range(6)]
    calls = [partial(press, kind, place, hour) for hour in hours for kind in (one, other)]
    answers = real_connections.run(calls)
    assert [found for found in answers if isinstance(found, Exception)] == []
    booked = [found for found, _seconds in answers if isinstance(found, Booking)]
    slowest = sorted(seconds for _found, seconds in answers)[-1]
    assert len(booked) == len(hours)
    assert doubles() == 0
    assert slowest < 8  # a machine with other work; a deadlock or a lock that waits would show as 10 s


def test_a_double_click_is_one_booking(place, real_connections):
    factories.crew(place)
    kind = factories.session_type(locations=[place])
    token = uuid4()
    answers = real_connections.run([partial(press, kind, place, token=token)] * 8)
    assert {found.pk for found, _seconds in answers} == {Booking.objects.get().pk}


def tabs_of_one_browser(place, real_connections, monkeypatch):
    """Each tab presses another time instead of what all of them hold, named in another order; the sweep passes by. No
    deadlock is tried again, and whoever gives two holds back takes a moment between them."""
    release = holds.release

    def slowly(**what):
        found = release(**what)
        time.sleep(0.1)
        return found

    monkeypatch.setattr(holds, "release", slowly)
    monkeypatch.setattr(holds, "DEADLOCK_TRIES", 1)
    for _pair in range(3):
        factories.crew(place)
    kind = factories.session_type(locations=[place])
    first = [press(kind, place, TEN + timedelta(hours=hour))[0].pk for hour in (0, 2, 4)]

    def other(number):
        return holds.place(
            session_type_id=kind.pk,
            location_id=place.pk,
            add_ons={},
            starts_at=TEN + timedelta(hours=2 * (number % 3)),
            form_token=uuid4(),
            instead_of=first if number % 2 else first[::-1],
            by=GUEST,
            now=NOW,
        )

    calls = [partial(other, number) for number in range(6)] + [partial(holds.expire_due, now=NOW)] * 2
    answers = real_connections.run(calls)
    return first, [found for found in answers if isinstance(found, Exception)]


def given_up_as_they_come(booking_ids, *, by, now):
    """What a tab holds is given back without being locked before."""
    for pk in booking_ids:
        holds.release(booking_id=pk, by=by, now=now)


def test_many_tabs_of_one_browser_end_with_one_hold_each_and_no_deadlock(
    place, real_connections, monkeypatch
):
    first, wrong = tabs_of_one_browser(place, real_connections, monkeypatch)
    assert wrong == []
    assert set(Booking.objects.filter(pk__in=first).values_list("status", flat=True)) == {"cancelled"}
    assert Booking.objects.filter(status=BookingStatus.HELD).count() == 6
    assert doubles() == 0


def test_tabs_that_lock_nothing_before_they_give_up_meet_in_a_deadlock(place, real_connections, monkeypatch):
    """The control."""
    monkeypatch.setattr(holds, "_give_up", given_up_as_they_come)
    _first, wrong = tabs_of_one_browser(place, real_connections, monkeypatch)
    assert {type(error.__cause__) for error in wrong} == {DeadlockDetected}


def pays_in_another_tab(place, monkeypatch):
    """One tab asks for the payment page of a hold while another gives it back; whether a page is wanted after that, and
    whether it was asked for before the hold was gone."""
    factories.crew(place)
    kind = factories.session_type(locations=[place])
    first = factories.booking(
        session_type=kind,
        at=place,
        starts_at=TEN,
        status=BookingStatus.HELD,
        payer=factories.client(),
        policy_accepted_at=NOW,
    )
    release, asked, threads = holds.release, [], []

    def pay():
        with suppress(holds.HoldOver):
            checkout._wanted(first.pk, "booking", extra_id=None, return_path="", now=NOW)

    def slowly(**what):
        threads.append(elsewhere(pay))
        asked.append(ends_or_waits_for_me(threads[0]))
        return release(**what)

    monkeypatch.setattr(holds, "release", slowly)
    holds.place(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        starts_at=TEN + timedelta(hours=2),
        form_token=uuid4(),
        instead_of=[first.pk],
        by=GUEST,
        now=NOW,
    )
    threads[0].join(LONGEST)
    first.refresh_from_db()
    assert first.status == BookingStatus.CANCELLED
    return first.checkouts.filter(status=CheckoutStatus.WANTED).exists(), asked[0]


def test_no_payment_page_opens_for_a_hold_that_is_being_given_back(place, monkeypatch):
    assert pays_in_another_tab(place, monkeypatch) == (False, False)


def test_without_its_lock_a_given_up_hold_gets_a_payment_page(place, monkeypatch):
    """The control."""
    monkeypatch.setattr(holds, "_give_up", given_up_as_they_come)
    assert pays_in_another_tab(place, monkeypatch) == (True, True)


def test_a_lapsed_hold_is_taken_over_by_exactly_one_of_many(place, real_connections):
    factories.crew(place)
    kind = factories.session_type(locations=[place])
    press(kind, place)
    later = NOW + timedelta(minutes=16)
    sweep = partial(holds.expire_due, now=later)
    answers = real_connections.run([partial(press, kind, place, now=later)] * 12 + [sweep, sweep])
    assert [found for found in answers if isinstance(found, Exception)] == []
    assert sum(isinstance(found, Booking) for found, _seconds in answers[:12]) == 1
    assert sorted(Booking.objects.values_list("status", flat=True)) == [
        BookingStatus.EXPIRED,
        BookingStatus.HELD,
    ]
    assert doubles() == 0


def test_the_last_place_under_the_daily_cap_goes_to_one(place, real_connections):
    """Different Resources, same cap: the session type's own lock decides."""
    factories.crew(place)
    factories.crew(place)
    kind = factories.session_type(locations=[place], daily_cap=1)
    calls = [partial(press, kind, place, TEN + timedelta(hours=hour)) for hour in (0, 2, 4, 6)]
    answers = [found for found, _ in real_connections.run(calls)]
    assert sum(isinstance(found, Booking) for found in answers) == 1


def test_moves_cancels_and_holds_at_once_leave_nobody_in_two_places(place, real_connections):
    """Four bookings all move to where another one is, while others book and cancel: no deadlock is shown."""
    factories.crew(place)
    kind = factories.session_type(locations=[place])
    hours = [TEN + timedelta(hours=hour) for hour in (0, 2, 4, 6)]
    booked = [factories.booking(session_type=kind, at=place, starts_at=hour) for hour in hours]

    def move(number):
        try:
            return lifecycle.move_to(
                booking_id=booked[number].pk, starts_at=hours[(number + 1) % 4], by=STAFF, now=NOW
            )
        except holds.SlotTaken as refusal:
            return refusal

    def cancel(number):
        return lifecycle.cancel(booking_id=booked[number].pk, by=STAFF, now=NOW)

    calls = [partial(move, number) for number in range(4)] * 2
    calls += [
        partial(cancel, 0),
        partial(cancel, 0),
        partial(press, kind, place, hours[0]),
        partial(press, kind, place, hours[2]),
    ]
    answers = real_connections.run(calls)
    expected = (holds.SlotTaken, NotNow)
    unexpected = [
        found for found in answers if isinstance(found, Exception) and not isinstance(found, expected)
    ]
    assert unexpected == []
    assert doubles() == 0
    for booking in Booking.objects.filter(status=BookingStatus.CONFIRMED):
        assert booking.claims.filter(is_active=True).count() == 2


# --- requests ---------------------------------------------------------------------------------------------------


def without_looking_again(monkeypatch):
    """A request is answered as it was read: neither locked nor judged by the table of moves when it is written."""

    def read(booking_id):
        found = Booking.objects.get(pk=booking_id)
        time.sleep(0.3)
        return found

    def write(model, pk, verb, *, by, now, reason="", **fields):
        Booking.objects.filter(pk=pk).update(status=Booking.moves[verb].target, **fields)
        found = Booking.objects.get(pk=pk)
        note(found, verb, reason, by=by, now=now)
        return found

    monkeypatch.setattr(lifecycle, "_locked", read)
    monkeypatch.setattr(lifecycle, "move", write)


def ends_of(asked):
    """What was written down of how a request ended."""
    ended = StatusChange.objects.filter(
        model="bookings.booking", object_id=asked.pk, verb__in=["confirm", "lapse"]
    )
    return sorted(ended.values_list("verb", flat=True))


def sweeps_on_one_request(place, real_connections):
    """Eight sweeps look at one paid request that has lapsed; how often each consequence followed."""
    factories.crew(place)
    kind = factories.session_type(locations=[place], is_confirmed_by_staff=True)
    asked = factories.booking(
        session_type=kind, at=place, starts_at=TEN, status=BookingStatus.REQUESTED, is_paid=True
    )
    assert asked.answer_by is not None
    found = real_connections.run([partial(lifecycle.lapse_requests, now=asked.answer_by)] * 8)
    asked.refresh_from_db()
    return found, asked


def test_a_request_lapses_once_under_many_sweeps(place, real_connections):
    found, asked = sweeps_on_one_request(place, real_connections)
    assert sorted(found) == [0] * 7 + [1]
    assert (asked.status, asked.ics_sequence) == (BookingStatus.CANCELLED, 1)
    assert ends_of(asked) == ["lapse"]
    assert [refund.amount for refund in Refund.objects.all()] == [asked.price]
    assert Message.objects.filter(name="booking_request_lapsed").count() == 1
    assert Message.objects.filter(name="desk_request_lapsed").count() == 1


def test_without_looking_again_a_request_lapses_more_than_once(place, real_connections, monkeypatch):
    """The control."""
    without_looking_again(monkeypatch)
    _found, asked = sweeps_on_one_request(place, real_connections)
    assert ends_of(asked).count("lapse") > 1


def the_yes_meets_the_sweep(place, real_connections, *, times):
    """The studio says yes at the moment at which the request lapses, on one day after another."""
    factories.crew(place)
    kind = factories.session_type(locations=[place], is_confirmed_by_staff=True)
    for number in range(times):
        asked = factories.booking(
            session_type=kind,
            at=place,
            starts_at=TEN + timedelta(days=number),
            status=BookingStatus.REQUESTED,
            is_paid=True,
        )
        assert asked.answer_by is not None
        by = asked.answer_by
        real_connections.run(
            [
                partial(lifecycle.confirm, booking_id=asked.pk, by=STAFF, now=by),
                partial(lifecycle.lapse_requests, now=by),
                partial(lifecycle.lapse_requests, now=by),
            ]
        )
        asked.refresh_from_db()
        yield asked


def test_without_looking_again_a_request_is_confirmed_and_lapses(place, real_connections, monkeypatch):
    """The control."""
    without_looking_again(monkeypatch)
    asked = next(the_yes_meets_the_sweep(place, real_connections, times=1))
    assert set(ends_of(asked)) == {"confirm", "lapse"}


def test_the_yes_and_the_sweep_agree_on_one_end(place, real_connections):
    for asked in the_yes_meets_the_sweep(place, real_connections, times=6):
        told = set(Message.objects.filter(about_id=asked.pk, status="queued").values_list("name", flat=True))
        back = Refund.objects.filter(payment__allocations__booking=asked).count()
        holds_it = asked.claims.filter(is_active=True).exists()
        is_on = asked.status == BookingStatus.CONFIRMED
        assert asked.ics_sequence == 1
        assert ends_of(asked) == ["confirm" if is_on else "lapse"]
        assert (holds_it, back) == ((True, 0) if is_on else (False, 1))
        assert ("booking_confirmed" in told, "booking_request_lapsed" in told) == (is_on, not is_on)
