"""Other add-ons on a standing booking: the camera time stays where it can, the price follows, all or nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from bookings import allowances, changes, charges, holds, lifecycle, stand_ins
from bookings.ledger import balance
from bookings.models import AddOn, Claim, CodeUse, DiscountCode, Placement, Refund, SessionType
from bookings.refusals import NotNow, NotOffered, SlotTaken, TooLate
from studio.actors import Actor, ActorKind
from studio.models import Closure, Message
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
ADA = Actor(ActorKind.CLIENT, 1, "Ada")
OWNER = Actor(ActorKind.USER, 1, "Owner")
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago, a Tuesday


@pytest.fixture
def crew(place):
    return factories.crew(place)


@pytest.fixture
def make_up():
    return factories.add_on()


@pytest.fixture
def picture():
    return factories.add_on(
        kind="extra_finals", placement=Placement.NO_TIME, minutes=0, price=4500, finals=1, max_count=5
    )


@pytest.fixture
def kind(place, crew, make_up, picture):
    return factories.session_type(locations=[place], add_ons=[make_up, picture])


@pytest.fixture
def booked(kind):
    return factories.booking(session_type=kind, starts_at=TEN, is_paid=True)


def change(booking, add_ons, *, by=ADA, now=NOW, **fields):
    return changes.change_add_ons(booking_id=booking.pk, add_ons=add_ons, by=by, now=now, **fields)


def seats(booking):
    return set(
        Claim.objects.filter(booking=booking, is_active=True).values_list(
            "resource", "works_from", "works_until"
        )
    )


def test_adding_make_up_moves_the_arrival_and_not_the_camera(booked, crew, make_up):
    found = change(booked, {make_up.pk: 1})
    booked.refresh_from_db()
    assert (found.price_before, found.price, found.due, found.back) == (18000, 27000, 9000, 0)
    assert (booked.starts_at, booked.ends_at) == (TEN - timedelta(minutes=45), TEN + timedelta(hours=1))
    assert booked.shoots.get().starts_at == TEN
    artist = (crew["make-up-artist"].pk, TEN - timedelta(minutes=45), TEN)
    assert artist in seats(booked)
    assert len(seats(booked)) == 4
    mail = Message.objects.get(name="booking_changed")
    assert "$270" in mail.body_text and "$90 is still open" in mail.body_text
    assert mail.attachments[0]["name"] == "session.ics"


def test_taking_it_off_gives_the_difference_back_once(booked, make_up):
    change(booked, {make_up.pk: 1})
    factories.payment(booked, amount=9000)
    found = change(booked, {})
    assert (found.price, found.due, found.back) == (18000, 0, 9000)
    assert change(booked, {}).back == 0  # the same again changes nothing
    assert sum(Refund.objects.values_list("amount", flat=True)) == 9000
    booked.refresh_from_db()
    assert (booked.starts_at, len(seats(booked))) == (TEN, 2)
    assert balance(booked).due == 0


def test_what_is_finer_than_the_start_grid_can_be_left_out(place, crew, kind):
    """Fifty minutes before a camera at ten to eleven: without them the client comes at ten to eleven, on no grid. The
    studio's closure since then and its notice are no reason to keep somebody at make-up."""
    long = factories.add_on(minutes=50)
    kind.add_ons.add(long)
    booked = factories.booking(session_type=kind, starts_at=TEN, add_ons={long: 1}, is_paid=True)
    Closure.objects.create(location=place, on=TEN.date(), name="Inventory")
    SessionType.objects.filter(pk=kind.pk).update(min_notice_hours=24 * 9)
    before = seats(booked)
    seen = changes.preview(booking_id=booked.pk, add_ons={}, by=ADA, now=NOW)
    found = change(booked, {}, shown=(seen.price, seen.back))
    booked.refresh_from_db()
    assert (found.price, found.back) == (18000, 9000)
    assert (booked.starts_at, booked.ends_at) == (TEN + timedelta(minutes=50), TEN + timedelta(minutes=110))
    assert booked.shoots.get().starts_at == booked.starts_at and booked.moved_count == 0
    assert seats(booked) < before and len(seats(booked)) == 2
    with pytest.raises(SlotTaken):  # to have it again is to be booked again
        change(booked, {long.pk: 1})


def test_a_longer_session_becomes_shorter_in_its_own_seats(kind, crew):
    outfit = factories.add_on(minutes=20, placement=Placement.LENGTHENS, needs=(), max_count=3)
    kind.add_ons.add(outfit)
    booked = factories.booking(session_type=kind, starts_at=TEN, add_ons={outfit: 2}, is_paid=True)
    change(booked, {outfit.pk: 1})
    booked.refresh_from_db()
    assert booked.ends_at == booked.shoots.get().ends_at == TEN + timedelta(minutes=80)
    ends = set(Claim.objects.filter(booking=booked, is_active=True).values_list("works_until", "ends_at"))
    assert ends == {(TEN + timedelta(minutes=80), TEN + timedelta(minutes=95))}


def test_what_comes_later_once_something_is_left_out_still_needs_its_people(kind, crew):
    """The hair was done before the make-up: without make-up it is done later, if she is there then."""
    first, then = factories.add_on(minutes=20, position=1), factories.add_on(minutes=25, position=2)
    kind.add_ons.add(first, then)
    booked = factories.booking(session_type=kind, starts_at=TEN, add_ons={first: 1, then: 1}, is_paid=True)
    gone = crew["make-up-artist"].days.create(on=TEN.date())
    with pytest.raises(SlotTaken):
        change(booked, {first.pk: 1})
    gone.delete()
    change(booked, {first.pk: 1})
    booked.refresh_from_db()
    assert booked.starts_at == TEN + timedelta(minutes=25)
    assert booked.shoots.get().starts_at == TEN + timedelta(minutes=45)


def with_code(booking, **worth):
    code = DiscountCode.objects.create(code="SPRING", **worth)
    CodeUse.objects.create(code=code, booking=booking, used_at=NOW)
    DiscountCode.objects.filter(pk=code.pk).update(used_count=1)
    charges.reprice(booking_id=booking.pk, reason="A code", once="code", by=ADA, now=NOW)
    booking.refresh_from_db()
    return booking


def test_a_percentage_is_of_what_is_booked_now_and_not_of_what_was(booked, make_up):
    assert with_code(booked, percent=50).price == 9000
    assert change(booked, {make_up.pk: 1}).price == 13500
    assert change(booked, {}).price == 9000


def test_a_fixed_sum_stays_and_takes_no_more_than_there_is(booked, make_up):
    change(booked, {make_up.pk: 1})
    booked.refresh_from_db()
    assert with_code(booked, amount=25000, currency="USD").price == 2000
    without = change(booked, {})
    assert (without.price, without.back, without.due) == (0, 2000, 0)
    assert change(booked, {make_up.pk: 1}).due == 2000


def test_what_was_taken_off_for_a_fault_never_makes_a_price_below_nothing(booked, make_up):
    change(booked, {make_up.pk: 1})
    allowances.take_off(
        booking_id=booked.pk, amount=22000, reason="We were late", once="late", by=OWNER, now=NOW
    )
    assert change(booked, {}).price == 0


def test_more_pictures_need_nobody_and_nobodys_time(booked, picture):
    before = seats(booked)
    found = change(booked, {picture.pk: 3})
    booked.refresh_from_db()
    assert (found.difference, booked.finals_included, seats(booked)) == (13500, 5, before)


def test_the_preview_is_what_would_happen_and_writes_nothing(booked, make_up):
    before = (seats(booked), booked.ics_sequence)
    found = changes.preview(booking_id=booked.pk, add_ons={make_up.pk: 1}, by=ADA, now=NOW)
    booked.refresh_from_db()
    assert (found.difference, found.starts_at) == (9000, TEN - timedelta(minutes=45))
    assert (seats(booked), booked.ics_sequence, booked.price) == (*before, 18000)
    assert Message.objects.count() == 0


def test_where_the_time_cannot_be_kept_others_are_shown_and_nothing_changes(booked, kind, crew, make_up):
    taken = factories.booking(session_type=kind, starts_at=TEN - timedelta(hours=1, minutes=15), add_ons={})
    Claim.objects.filter(booking=taken, resource=crew["photographer"]).update(resource=crew["make-up-artist"])
    with pytest.raises(SlotTaken) as refused:
        change(booked, {make_up.pk: 1})
    assert refused.value.nearby
    booked.refresh_from_db()
    assert (booked.price, booked.add_ons.count(), len(seats(booked))) == (18000, 0, 2)
    other = refused.value.nearby[0]
    found = change(booked, {make_up.pk: 1}, starts_at=other.starts_at)
    booked.refresh_from_db()
    assert (booked.starts_at, booked.moved_count, found.due) == (other.starts_at, 1, 9000)


def test_the_price_of_what_stays_is_that_of_its_day(booked, make_up, picture):
    change(booked, {make_up.pk: 1})
    make_up.price = 50000
    make_up.save()
    assert change(booked, {make_up.pk: 1, picture.pk: 1}).price == 31500


@pytest.mark.parametrize("hours", [47, 1])
def test_clients_ask_after_the_cut_off_and_staff_need_not(booked, picture, hours):
    late = TEN - timedelta(hours=hours)
    with pytest.raises(TooLate):
        change(booked, {picture.pk: 1}, now=late)
    assert change(booked, {picture.pk: 1}, by=OWNER, now=late).difference == 4500


def test_forged_add_ons_are_refused(booked, picture):
    foreign = factories.add_on()
    for wrong in ({foreign.pk: 1}, {picture.pk: 6}, {picture.pk: -1}, {999_999: 1}):
        with pytest.raises(NotOffered):
            change(booked, wrong)
    assert booked.add_ons.count() == 0


def test_a_booking_that_is_over_is_not_changed(booked, picture):
    with pytest.raises(NotNow):
        change(booked, {picture.pk: 1}, by=OWNER, now=TEN + timedelta(minutes=1))


# --- what stays as it was ---------------------------------------------------------------------------------------------


def test_who_photographs_stays_the_same_when_make_up_is_added(booked, place, crew, make_up):
    """The studio gave the session to somebody who stands after others in its order."""
    theo = factories.resource("photographer", at=place, name="Theo")
    claim = booked.claims.get(resource=crew["photographer"])
    stand_ins.swap(claim_id=claim.pk, resource_id=theo.pk, by=OWNER, now=NOW)
    change(booked, {make_up.pk: 1})
    assert booked.claims.filter(is_active=True, resource=theo, is_shoot=True).exists()
    assert not booked.claims.filter(is_active=True, resource=crew["photographer"]).exists()


def test_a_session_stays_as_long_as_it_was_booked(booked, kind, make_up):
    """It is sold shorter by now, and make-up takes longer."""
    change(booked, {make_up.pk: 1})
    SessionType.objects.filter(pk=kind.pk).update(minutes=30)
    AddOn.objects.filter(pk=make_up.pk).update(minutes=60)
    lifecycle.move_to(booking_id=booked.pk, starts_at=TEN + timedelta(days=1), by=OWNER, now=NOW)
    shoot, row = booked.shoots.get(), booked.add_ons.get()
    assert (shoot.starts_at, shoot.ends_at) == (row.ends_at, row.ends_at + timedelta(hours=1))
    assert (row.starts_at, row.ends_at - row.starts_at) == (TEN + timedelta(days=1), timedelta(minutes=45))


def test_what_lengthens_a_session_is_told_apart_from_its_own_length(kind):
    longer = factories.add_on(placement=Placement.LENGTHENS, minutes=30, needs=())
    kind.add_ons.add(longer)
    booked = factories.booking(session_type=kind, starts_at=TEN, add_ons={longer: 1}, is_paid=True)
    SessionType.objects.filter(pk=kind.pk).update(minutes=40)
    change(booked, {})
    shoot = booked.shoots.get()
    assert shoot.ends_at - shoot.starts_at == timedelta(hours=1)


def between(monkeypatch, act):
    """Do this after the first look of the next verb, and before it takes its locks."""
    seated = holds.seated

    def acted_first(attempt):
        monkeypatch.setattr(holds, "seated", seated)
        act()
        return seated(attempt)

    monkeypatch.setattr(holds, "seated", acted_first)


def test_a_move_does_not_lose_what_was_added_in_another_tab(booked, make_up, monkeypatch):
    between(monkeypatch, lambda: change(booked, {make_up.pk: 1}))
    with pytest.raises(NotNow, match="Meanwhile"):
        lifecycle.move_to(booking_id=booked.pk, starts_at=TEN + timedelta(days=1), by=OWNER, now=NOW)
    booked.refresh_from_db()
    assert booked.shoots.get().starts_at == TEN
    assert stand_ins.gaps(booked) == []


def test_another_add_on_does_not_undo_a_move_in_another_tab(booked, make_up, monkeypatch):
    moved_to = TEN + timedelta(days=1)
    between(
        monkeypatch,
        lambda: lifecycle.move_to(booking_id=booked.pk, starts_at=moved_to, by=OWNER, now=NOW),
    )
    with pytest.raises(NotNow, match="Meanwhile"):
        change(booked, {make_up.pk: 1})
    assert (booked.shoots.get().starts_at, booked.add_ons.count()) == (moved_to, 0)
