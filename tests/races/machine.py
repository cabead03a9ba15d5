"""The machine: one day of one small studio, and what up to three people do to it at the same moment.

Each deed is a call of the product on a database connection of its own; all deeds of a step begin at one signal. The
rows they act on are looked up before it, so that two who act on one booking really do. `tests/races/test_machine.py`
plays it.
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import uuid4

from django.apps import apps
from django.core import mail
from django.db import connection, connections, transaction
from django.db.models import Exists, F, OuterRef, Q
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bookings import blocks, by_phone, checkout, holds, lifecycle, payments, waiting
from bookings.invariants import SETTLING
from bookings.ledger import balance
from bookings.models import Booking, Busy, Checkout, Claim, PaymentMethod, WaitingOffer, WaitingPlace
from bookings.refusals import Refused
from bookings.statuses import ACTIVE_BOOKING, BookingStatus, CheckoutStatus, OfferStatus
from studio import outbox
from studio.actors import Actor, ActorKind
from studio.models import Credential, Message, StatusChange
from studio.transitions import MoveRefused
from studio.verification import invariants
from tests import factories
from tests.races.bank import Bank

GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")
PEOPLE = ("Ada", "Bea", "Cy")
TUESDAY = date(2026, 11, 24)
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago, the studio opens
FRIDAY = datetime(
    2026, 11, 20, 14, tzinfo=UTC
)  # 8:00 in Chicago, the first minute at which a time is offered
STARTS = [TEN + timedelta(minutes=minutes) for minutes in (0, 45, 75, 150)]
OUTSIDE = [TEN + timedelta(minutes=minutes) for minutes in (-127, 7, 82, 262)]  # off the grid, early, late
BLOCKED = timedelta(minutes=75)


# --- connections --------------------------------------------------------------------------------------------


class Line:
    """A thread that does what it is given, on a database connection of its own."""

    def __init__(self) -> None:
        self._given: queue.Queue[Callable[[], object] | None] = queue.Queue()
        self._done: queue.Queue[object] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        connections["default"].ensure_connection()
        while (call := self._given.get()) is not None:
            try:
                self._done.put(call())
            except Exception as error:  # the machine judges it, whatever it is
                self._done.put(error)
        connections.close_all()

    def give(self, call: Callable[[], object]) -> None:
        self._given.put(call)

    def answer(self) -> object:
        return self._done.get(timeout=60)

    def close(self) -> None:
        self._given.put(None)
        self._thread.join(timeout=10)


@dataclass(frozen=True)
class World:
    """What is sold and who works, made once; the bank; three connections."""

    place: Any
    kinds: list[Any]
    make_up: Any
    crew: list[Any]
    bank: Bank
    lines: list[Line] = field(default_factory=lambda: [Line() for _ in range(3)])

    @classmethod
    def made(cls) -> "World":
        """Four hours on a Tuesday, one of each Resource; one session is confirmed at once, one by the studio."""
        at = factories.location(hours=(time(10), time(14)), weekdays=[TUESDAY.weekday()])
        crew = list(factories.crew(at).values())
        make_up = factories.add_on()
        sold = {"locations": [at], "add_ons": [make_up], "horizon_days": 7, "min_notice_hours": 2}
        kinds = [factories.session_type(**sold), factories.session_type(**sold, is_confirmed_by_staff=True)]
        return cls(at, kinds, make_up, crew, Bank(FRIDAY))

    def close(self) -> None:
        for line in self.lines:
            line.close()


SOLD = {"sessiontype", "addon", "requirement", "skill", "resource", "resourcehours"}


def empty_the_day() -> None:
    """A new example begins without bookings, people and history; what is sold stays.

    Without the triggers of foreign keys: emptying everything in any order takes milliseconds, TRUNCATE half a second.
    """
    rooms = [*apps.get_app_config("bookings").get_models(), *apps.get_app_config("galleries").get_models()]
    tables = [row._meta.db_table for row in rooms if row._meta.model_name not in SOLD]
    tables += [row._meta.db_table for row in (StatusChange, Message, Credential)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("".join(f'DELETE FROM "{table}";' for table in tables))
    mail.outbox.clear()


# --- what somebody does: bookings ---------------------------------------------------------------------------


def address(who: str) -> str:
    return f"{who.lower()}@client.example"


def take_a_time(world, now, *, who, kind, start, with_make_up, goes_on):
    """A client holds a time; who goes on gives a name and opens the payment page, which lengthens the hold."""
    booking = holds.place(
        session_type_id=world.kinds[kind].pk,
        location_id=world.place.pk,
        add_ons={world.make_up.pk: 1} if with_make_up else {},
        starts_at=STARTS[start],
        form_token=uuid4(),
        by=GUEST,
        now=now,
    )
    return to_the_page(booking, who, now) if goes_on else booking


def book_and_pay(world, now, *, who, kind, start):
    """A client who does not hesitate: confirmed, or requested where the studio confirms by hand."""
    take_a_time(world, now, who=who, kind=kind, start=start, with_make_up=False, goes_on=True)
    mine = Booking.objects.filter(payer__name=who, starts_at=STARTS[start], status=BookingStatus.HELD)
    return (booking := mine.first()) and pay(world, now, booking=booking)


def to_the_page(booking, who, now):
    checkout.take_details(
        booking_id=booking.pk, name=who, email=address(who), policy_accepted=True, by=GUEST, now=now
    )
    return checkout.open_checkout(booking_id=booking.pk, now=now)


def book_by_phone(world, now, *, who, kind, start, reason):
    """The studio books for a caller who pays at the studio; with a reason outside hours and grid."""
    return by_phone.book(
        session_type_id=world.kinds[kind].pk,
        location_id=world.place.pk,
        add_ons={},
        starts_at=(OUTSIDE if reason else STARTS)[start],
        form_token=uuid4(),
        caller=by_phone.Caller(who, address(who)),
        paying=by_phone.Paying.STUDIO,
        override_reason=reason,
        by=STAFF,
        now=now,
    )


def extend(world, now, *, booking):
    return holds.extend(booking_id=booking.pk, until=now + timedelta(minutes=31), by=GUEST, now=now)


def release(world, now, *, booking):
    return holds.release(booking_id=booking.pk, by=GUEST, now=now)


def expire(world, now):
    return holds.expire_due(now=now)


def pay(world, now, *, booking):
    """The newest page of a booking is paid, if the bank still takes it, and the bell rings."""
    page = booking.checkouts.exclude(session_id=None).order_by("-pk").first()
    if page is None or not world.bank.is_paid_by_client(page.session_id):
        return None
    return payments.settle_checkout(checkout_id=page.pk, now=now)


def pay_cash(world, now, *, booking, part):
    """Somebody pays a part at the desk."""
    return payments.record_by_staff(
        booking_id=booking.pk,
        method=PaymentMethod.CASH,
        amount=balance(booking).due // part,
        by=STAFF,
        now=now,
    )


def pay_late(world, now, *, late):
    return pay(world, now, booking=late)


def client_of(booking):
    return Actor(ActorKind.CLIENT, booking.payer_id)


def move(world, now, *, booking, start, is_staff):
    by = STAFF if is_staff else client_of(booking)
    return lifecycle.move_to(booking_id=booking.pk, starts_at=STARTS[start], by=by, now=now)


def move_outside(world, now, *, booking, start):
    return lifecycle.move_to(
        booking_id=booking.pk, starts_at=OUTSIDE[start], override_reason="Flies at noon", by=STAFF, now=now
    )


def cancel(world, now, *, booking, is_staff):
    by = STAFF if is_staff else client_of(booking)
    return lifecycle.cancel(booking_id=booking.pk, by=by, now=now, full_refund=is_staff)


def decide(world, now, *, asked, takes):
    """The studio answers a request."""
    verb = lifecycle.confirm if takes else lifecycle.decline
    with suppress(MoveRefused):  # it is over: the desk says so
        return verb(booking_id=asked.pk, by=STAFF, now=now)


def block(world, now, *, whom, start):
    begins = STARTS[start]
    return blocks.block(
        resource_id=world.crew[whom].pk, starts_at=begins, ends_at=begins + BLOCKED, by=STAFF, now=now
    )


def unblock(world, now, *, busy):
    return blocks.unblock(busy_id=busy.pk, by=STAFF, now=now)


# --- what somebody does: the waiting list -------------------------------------------------------------------


def join(world, now, *, who, kind):
    return waiting.join(
        session_type_id=world.kinds[kind].pk,
        location_id=world.place.pk,
        add_ons={},
        first_on=TUESDAY,
        last_on=TUESDAY,
        name=who,
        email=address(who),
        form_token=uuid4(),
        by=GUEST,
        now=now,
    )


def offer(world, now):
    return waiting.offer_due(now=now)


def take_offer(world, now, *, offered, goes_on):
    booking = waiting.take(offer_id=offered.pk, by=GUEST, now=now)
    return to_the_page(booking, offered.place.client.name, now) if goes_on else booking


def pass_on(world, now, *, offered):
    return waiting.pass_on(offer_id=offered.pk, by=GUEST, now=now)


def leave(world, now, *, waits):
    return waiting.leave(place_id=waits.pk, by=GUEST, now=now)


def lapse(world, now):
    """The sweep: what has lapsed is over, and goes to the next person."""
    holds.expire_due(now=now)
    waiting.sweep(now=now)
    return True


VERBS = [
    *(take_a_time, book_and_pay, book_by_phone, extend, release, expire, pay, pay_cash, pay_late),
    *(move, move_outside, cancel, decide, block, unblock),
    *(join, offer, take_offer, pass_on, leave, lapse),
]

# --- on what ------------------------------------------------------------------------------------------------


def one_of(rows, number, *order):
    """One of these rows, by a number that means the same when an example is run again."""
    pks = list(dict.fromkeys(rows.order_by(*order, "pk").values_list("pk", flat=True)))
    return rows.model._default_manager.get(pk=pks[number % len(pks)]) if pks else None


def a_booking(now, number):
    """Mostly one that stands: with an open page, then requested, held, confirmed. Sometimes any there ever was."""
    standing = Booking.objects.filter(status__in=ACTIVE_BOOKING)
    is_open = Exists(Checkout.objects.filter(booking=OuterRef("pk"), status=CheckoutStatus.OPEN))
    found = one_of(standing.annotate(is_open=is_open), number, "-is_open", "-status") if number < 6 else None
    return found or one_of(Booking.objects.all(), number)


def a_late_one(now, number):
    """A booking that is over, or whose hold has lapsed, with a page that can be paid."""
    over = Q(status__in=[BookingStatus.EXPIRED, BookingStatus.CANCELLED]) | Q(
        status=BookingStatus.HELD, hold_expires_at__lte=now
    )
    return one_of(Booking.objects.filter(over, checkouts__status=CheckoutStatus.OPEN), number)


def a_request(now, number):
    return one_of(Booking.objects.filter(status=BookingStatus.REQUESTED), number)


def an_offer(now, number):
    open_ones = WaitingOffer.objects.filter(status=OfferStatus.OPEN)
    return one_of(open_ones, number) or one_of(WaitingOffer.objects.all(), number)


def a_place(now, number):
    return one_of(WaitingPlace.objects.filter(status__in=waiting.LIVE), number)


def a_block(now, number):
    return one_of(Busy.objects.all(), number)


FINDERS = {
    "booking": a_booking,
    "late": a_late_one,
    "asked": a_request,
    "offered": an_offer,
    "waits": a_place,
    "busy": a_block,
}


@dataclass(frozen=True)
class Deed:
    """What one person is about to do; it reads as it is called."""

    verb: Callable[..., object]
    words: dict[str, Any]

    def __repr__(self) -> str:
        words = ", ".join(f"{name}={value!r}" for name, value in self.words.items())
        return f"{self.verb.__name__}({words})"

    def ready(self, world: World, now: datetime) -> Callable[[], object] | None:
        """The call on the rows there are; None where there is none to act on."""
        found = {
            name: FINDERS[name](now, value) if name in FINDERS else value
            for name, value in self.words.items()
        }
        return None if None in found.values() else partial(self.verb, world, now, **found)


def doing(verb, **words):
    return st.builds(Deed, st.just(verb), st.fixed_dictionaries(words))


# --- who meets whom -----------------------------------------------------------------------------------------

numbers, starts, either = st.integers(0, 7), st.integers(0, len(STARTS) - 1), st.booleans()
someone, kinds, anybody = st.sampled_from(PEOPLE), st.integers(0, 1), st.integers(0, 3)
mostly = st.sampled_from([True, True, True, False])
waited = st.sampled_from([0, 0, 0, 0, 1, 10, 16, 32, 121, 26 * 60])  # minutes since the last step


def wanting(start):
    """Somebody wants a time: a client, the studio for a caller, a booking that moves, a block."""
    return st.one_of(
        doing(take_a_time, who=someone, kind=kinds, start=start, with_make_up=either, goes_on=mostly),
        doing(book_and_pay, who=someone, kind=kinds, start=start),
        doing(book_by_phone, who=someone, kind=kinds, start=start, reason=st.sampled_from(["", "A friend"])),
        doing(move, booking=numbers, start=start, is_staff=either),
        doing(move_outside, booking=numbers, start=start),
        doing(block, whom=anybody, start=start),
        doing(unblock, busy=numbers),
    )


def about(number):
    """Somebody acts on a booking: its client, the bank, the studio, the sweep."""
    return st.one_of(
        doing(pay, booking=number),
        doing(pay, booking=number),
        doing(pay_late, late=number),
        doing(pay_cash, booking=number, part=st.integers(1, 2)),
        doing(extend, booking=number),
        doing(release, booking=number),
        doing(move, booking=number, start=starts, is_staff=either),
        doing(cancel, booking=number, is_staff=either),
        doing(decide, asked=number, takes=either),
        doing(expire),
    )


def in_line(number):
    """Somebody acts on the waiting list: who waits, the sweep, and the bank for what was taken."""
    return st.one_of(
        doing(join, who=someone, kind=kinds),
        doing(offer),
        doing(take_offer, offered=number, goes_on=mostly),
        doing(take_offer, offered=number, goes_on=mostly),
        doing(pass_on, offered=number),
        doing(leave, waits=number),
        doing(lapse),
        doing(pay, booking=number),
    )


def over_a_lapsed_hold(start):
    """The client pays after all, the sweep comes, and others want the time."""
    return st.one_of(
        doing(pay_late, late=st.just(0)),
        doing(pay_late, late=st.just(0)),
        doing(expire),
        doing(extend, booking=st.just(0)),
        doing(take_a_time, who=someone, kind=kinds, start=start, with_make_up=either, goes_on=mostly),
        doing(block, whom=anybody, start=start),
    )


somebody_books = st.one_of(
    doing(take_a_time, who=someone, kind=kinds, start=starts, with_make_up=either, goes_on=st.just(True)),
    doing(book_and_pay, who=someone, kind=kinds, start=starts),
    doing(book_by_phone, who=someone, kind=kinds, start=starts, reason=st.just("")),
)
anything = st.one_of(wanting(starts), about(numbers), in_line(numbers))


def meeting(deeds, what):
    """Two or three people, all about the same."""
    return what.flatmap(lambda one: st.lists(deeds(st.just(one)), min_size=2, max_size=3))


# --- the judges ---------------------------------------------------------------------------------------------

JUDGES = [
    one.find for one in invariants() if one.code in ("I1", "I2", "I9") and "gateway" not in one.sentence
]


def claims_on_blocks(now: datetime) -> Iterator[str]:
    """What the studio has blocked is not booked, and what is booked is not blocked: only the Resource locks hold it."""
    for busy in Busy.objects.all():
        here = Claim.objects.filter(resource=busy.resource_id, is_active=True)
        for claim in here.filter(starts_at__lt=busy.ends_at, ends_at__gt=busy.starts_at):
            yield f"claim {claim.pk} of booking {claim.booking_id} lies on block {busy.pk}"


def offers_taken_when_over(now: datetime) -> Iterator[str]:
    """Nobody was told "it is yours" about a time that was not held any more."""
    taken = WaitingOffer.objects.exclude(taken_at=None)
    extended = Q(booking__hold_extended_at__lt=F("taken_at"))
    for one in taken.filter(taken_at__gte=F("expires_at")).exclude(extended):
        yield f"waiting offer {one.pk} was taken after its end"


def people_who_wait_in_vain(now: datetime) -> Iterator[str]:
    """Who has booked waits no longer, a sweep later at the latest."""
    for place in WaitingPlace.objects.filter(status__in=waiting.LIVE).select_related("client"):
        stands = Booking.objects.filter(
            status=BookingStatus.CONFIRMED,
            session_type=place.session_type_id,
            payer__name=place.client.name,
            confirmed_at__range=(place.created_at, now - SETTLING),
        )
        if stands.exists():
            yield f"waiting place {place.pk} waits for what its client has booked"


JUDGES += [claims_on_blocks, offers_taken_when_over, people_who_wait_in_vain]


# --- the day ------------------------------------------------------------------------------------------------


class Day(RuleBasedStateMachine):
    """One day of one room, one photographer, one make-up artist and chair."""

    world: ClassVar[World]
    patience = 0.5  # seconds for which those of a story wait for each other
    days: ClassVar[int] = 0
    steps: ClassVar[int] = 0
    met: ClassVar[Counter[str]] = Counter()  # what came of each deed, over all days
    crowds: ClassVar[Counter[int]] = Counter()  # how many began at one signal
    ended: ClassVar[Counter[str]] = Counter()  # the statuses bookings ended in
    heard: ClassVar[
        list[str]
    ] = []  # all that was wrong: a race that went wrong once may go right when it is played again

    @classmethod
    def forget(cls) -> None:
        cls.days, cls.steps, cls.heard = 0, 0, []
        cls.met, cls.crowds, cls.ended = Counter(), Counter(), Counter()

    @initialize()
    def begin(self) -> None:
        Day.days += 1
        empty_the_day()
        self.now = FRIDAY
        self.world.bank.open(FRIDAY)
        self.is_sound = True

    @rule(minutes=waited, together=st.lists(anything, min_size=1, max_size=3))
    def people_act(self, minutes, together) -> None:
        self.time_passes(minutes)
        self.act(*together)

    @rule(minutes=waited, together=meeting(wanting, starts))
    def people_want_the_same_time(self, minutes, together) -> None:
        self.time_passes(minutes)
        self.act(*together)

    @rule(minutes=waited, first=somebody_books, together=meeting(about, numbers))
    def people_act_on_the_same_booking(self, minutes, first, together) -> None:
        self.time_passes(minutes)
        if not Booking.objects.filter(status__in=ACTIVE_BOOKING).exists():
            self.act(first)
        self.act(*together)

    @rule(minutes=waited, first=doing(join, who=someone, kind=kinds), together=meeting(in_line, numbers))
    def people_meet_in_the_line(self, minutes, first, together) -> None:
        self.time_passes(minutes)
        if not WaitingOffer.objects.filter(status=OfferStatus.OPEN).exists():
            self.act(first)
            self.act(Deed(offer, {}))
        self.act(*together)

    @rule(start=starts, who=someone, kind=kinds, together=meeting(over_a_lapsed_hold, starts))
    def people_meet_over_a_lapsed_hold(self, start, who, kind, together) -> None:
        words = {"who": who, "kind": kind, "start": start, "with_make_up": False, "goes_on": True}
        self.act(Deed(take_a_time, words))
        self.time_passes(32)
        self.act(*together)

    @invariant()
    def the_judges_find_nothing(self) -> None:
        assert self.found() == []

    def teardown(self) -> None:
        """The day ends: what nobody went on with lapses, and all that verify asks is asked."""
        if getattr(self, "is_sound", False):
            self.ended.update(Booking.objects.values_list("status", flat=True))
            self.time_passes(32)
            self.sweep()
            assert self.broken() == []

    def time_passes(self, minutes: int) -> None:
        """The sweep has run when the clock moves on; what lapses from here is swept by whoever comes first."""
        if minutes:
            self.sweep()
            self.now += timedelta(minutes=minutes)
            self.world.bank.now = self.now

    def act(self, *together: Deed) -> list[object]:
        """Up to three people at one signal. Only a refusal with a sentence may be an answer besides success."""
        ready = [(deed, call) for deed in together if (call := deed.ready(self.world, self.now))]
        self.crowds[len(ready)] += 1
        signal = threading.Barrier(max(1, len(ready)))
        lines = self.world.lines[: len(ready)]
        for line, (_deed, call) in zip(lines, ready, strict=True):
            line.give(partial(_at_the_signal, signal, call))
        answers = [line.answer() for line in lines]
        for (deed, _call), answer in zip(ready, answers, strict=True):
            self.met[f"{deed.verb.__name__} {_outcome(answer)}"] += 1
        failed = [
            f"{deed}: {answer!r}"
            for (deed, _call), answer in zip(ready, answers, strict=True)
            if _outcome(answer) == "failed"
        ]
        assert self._heard(failed) == []
        return answers

    def _heard(self, lines: list[str]) -> list[str]:
        self.heard.extend(lines)
        self.is_sound = self.is_sound and not lines
        return lines

    def sweep(self) -> None:
        """What beat rings each minute."""
        holds.expire_due(now=self.now)
        checkout.close_pages(now=self.now)
        waiting.sweep(now=self.now)
        while payments.send_next_refund(now=self.now):
            pass

    def found(self) -> list[str]:
        """What the judges of I1, I2 and I9 have to say."""
        if not hasattr(self, "now"):
            return []
        Day.steps += 1
        return self._heard([line for find in JUDGES for line in find(self.now)])

    def broken(self) -> list[str]:
        """All that `manage.py verify` asks, the bank's list included, when the mail has gone."""
        while outbox.send_next(now=self.now):
            pass
        return self._heard([f"{one.code}: {line}" for one in invariants() for line in one.find(self.now)])


MEETINGS = [
    "people_want_the_same_time",
    "people_act_on_the_same_booking",
    "people_meet_in_the_line",
    "people_meet_over_a_lapsed_hold",
]


def days_of(meeting: str) -> type[Day]:
    """Days on which people meet in one way only: a few of them show what many days of all kinds might leave out."""
    return type(meeting, (Day,), {other: None for other in ["people_act", *MEETINGS] if other != meeting})


def _at_the_signal(signal: threading.Barrier, call: Callable[[], object]) -> object:
    signal.wait(timeout=30)
    return call()


def _outcome(answer: object) -> str:
    if isinstance(answer, Refused):  # somebody else was first, said in a sentence
        return "refused"
    if isinstance(answer, Exception):
        return "failed"
    return "done" if answer else "nothing"
