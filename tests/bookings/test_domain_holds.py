"""Placing a hold: everything is computed again on the server, and nothing is stored when it is refused."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4

import pytest

from bookings import holds
from bookings.models import AddOn, Booking, BookingAddOn, Busy, Claim, PaymentPlan, ResourceDay, Shoot
from bookings.statuses import BookingStatus, CheckoutStatus, ShootStatus
from studio.actors import Actor, ActorKind
from studio.models import Closure, StatusChange
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")
TUESDAY = date(2026, 11, 24)


def at(hour, minute=0, on=TUESDAY):
    """A Chicago wall time in November (UTC-6)."""
    return datetime(on.year, on.month, on.day, hour, minute, tzinfo=UTC) + timedelta(hours=6)


@pytest.fixture
def crew(place):
    return factories.crew(place)


@pytest.fixture
def make_up():
    return factories.add_on(max_count=2)


@pytest.fixture
def kind(place, crew, make_up):
    return factories.session_type(locations=[place], add_ons=[make_up])


def hold(kind, place, starts_at=None, *, add_ons=None, token=None, by=GUEST, now=NOW, **fields):
    return holds.place(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons=add_ons or {},
        starts_at=starts_at or at(10),
        form_token=token or uuid4(),
        by=by,
        now=now,
        **fields,
    )


def nothing_stored():
    return not (
        Booking.objects.exists()
        or Claim.objects.exists()
        or Shoot.objects.exists()
        or BookingAddOn.objects.exists()
    )


def test_place_writes_booking_claims_and_shoot_together(kind, place, crew, make_up):
    booking = hold(kind, place, at(10), add_ons={make_up.pk: 1})
    assert (booking.status, booking.hold_expires_at) == (BookingStatus.HELD, NOW + timedelta(minutes=15))
    assert (booking.starts_at, booking.ends_at) == (at(10), at(11, 45))
    assert (booking.price, booking.due_now, booking.session_fee) == (27000, 27000, 18000)
    shoot = booking.shoots.get()
    assert (shoot.starts_at, shoot.ends_at, shoot.status) == (at(10, 45), at(11, 45), ShootStatus.PLANNED)
    extra = booking.add_ons.get()
    assert (extra.price, extra.starts_at, extra.ends_at) == (9000, at(10), at(10, 45))
    assert set(booking.claims.values_list("resource", "starts_at", "ends_at", "is_shoot")) == {
        (crew["make-up-artist"].pk, at(10), at(10, 55), False),
        (crew["make-up-chair"].pk, at(10), at(10, 55), False),
        (crew["photographer"].pk, at(10, 45), at(12), True),
        (crew["camera-room"].pk, at(10, 45), at(12), True),
    }
    assert (
        StatusChange.objects.filter(model="bookings.booking", object_id=booking.pk, after="held").count() == 1
    )


def test_the_same_form_again_is_the_same_booking(kind, place):
    token = uuid4()
    first = hold(kind, place, token=token)
    assert hold(kind, place, token=token).pk == first.pk
    assert Booking.objects.count() == 1


def test_another_choice_from_the_same_form_is_another_booking(kind, place, make_up):
    """The back button: the page, and its token, come from the browser's cache."""
    token = uuid4()
    first = hold(kind, place, at(10), token=token)
    second = hold(kind, place, at(14), token=token)
    with_make_up = hold(kind, place, at(16), token=token, add_ons={make_up.pk: 1})
    assert len({first.pk, second.pk, with_make_up.pk}) == 3
    assert hold(kind, place, at(14), token=token, add_ons={make_up.pk: 0}).pk == second.pk


def test_a_taken_time_is_refused_with_open_ones_nearby(kind, place):
    hold(kind, place, at(10))
    with pytest.raises(holds.SlotTaken) as refused:
        hold(kind, place, at(10, 15))
    # Held until 11:15 with its buffer; anything earlier would need 75 minutes before 10:00.
    quarters = [at(11, 15) + number * timedelta(minutes=15) for number in range(6)]
    assert [slot.starts_at for slot in refused.value.nearby] == quarters
    assert Booking.objects.count() == 1


@pytest.mark.parametrize(
    ("starts_at", "words"),
    [
        (NOW - timedelta(days=1), "passed"),
        (NOW + timedelta(hours=5), "ahead"),
        (at(10, 7), "minute"),
        (at(10) + timedelta(seconds=3), "minute"),
        (at(8, 45), "not open"),
        (at(17, 15), "not open"),
        (at(10, on=date(2026, 11, 22)), "not open"),  # a Sunday
        (at(10, on=date(2027, 3, 1)), "days ahead"),
    ],
)
def test_a_time_that_is_not_offered_is_refused_in_a_sentence(kind, place, starts_at, words):
    with pytest.raises(holds.NotOffered) as refused:
        hold(kind, place, starts_at)
    assert words in refused.value.sentence
    assert nothing_stored()


def test_foreign_add_ons_counts_and_places_are_refused(kind, place, make_up):
    other_place = factories.location()
    foreign, retired = factories.add_on(), factories.add_on(is_active=False)
    kind.add_ons.add(retired)
    for add_ons in ({foreign.pk: 1}, {retired.pk: 1}, {make_up.pk: 3}, {make_up.pk: -1}, {999_999: 1}):
        with pytest.raises(holds.NotOffered):
            hold(kind, place, add_ons=add_ons)
    with pytest.raises(holds.NotOffered):
        hold(kind, other_place)
    kind.is_active = False
    kind.save()
    with pytest.raises(holds.NotOffered):
        hold(kind, place)
    assert nothing_stored()


def test_paying_at_the_studio_only_where_it_is_offered(kind, place):
    with pytest.raises(holds.NotOffered):
        hold(kind, place, pays_at_studio=True)
    kind.may_pay_at_studio = True
    kind.save()
    booking = hold(kind, place, pays_at_studio=True)
    assert (booking.due_now, booking.price, booking.pays_at_studio) == (0, 18000, True)


def test_closures_away_days_and_busy_times_are_kept_free(kind, place, crew):
    Closure.objects.create(location=place, on=date(2026, 11, 26), name="Thanksgiving")
    Closure.objects.create(location=place, on=date(2026, 11, 25), name="Half day", closes_at="13:00")
    ResourceDay.objects.create(resource=crew["photographer"], on=date(2026, 11, 27), reason="leave")
    Busy.objects.create(resource=crew["camera-room"], starts_at=at(12), ends_at=at(13))
    for starts_at in (at(10, on=date(2026, 11, 26)), at(12, 15, on=date(2026, 11, 25))):
        with pytest.raises(holds.NotOffered):
            hold(kind, place, starts_at)
    for starts_at in (at(10, on=date(2026, 11, 27)), at(11)):
        with pytest.raises(holds.SlotTaken):
            hold(kind, place, starts_at)
    assert hold(kind, place, at(12, on=date(2026, 11, 25))).status == BookingStatus.HELD
    assert hold(kind, place, at(10, 45)).status == BookingStatus.HELD


def test_a_photographer_on_the_way_between_places_is_not_free(kind, place, crew):
    other = factories.location()
    photographer = crew["photographer"]
    photographer.travel_gap_minutes = 90
    photographer.save()
    photographer.hours.create(location=other, weekday=1, starts_at="09:00", ends_at="18:00")
    factories.resource("camera-room", kind="room", at=other)
    there = factories.session_type(locations=[other])
    hold(there, other, at(12))  # claimed until 13:15
    with pytest.raises(holds.SlotTaken):
        hold(kind, place, at(14, 30))
    assert hold(kind, place, at(14, 45)).starts_at == at(14, 45)


def test_the_daily_cap_counts_what_stands_and_not_what_lapsed(kind, place):
    kind.daily_cap = 1
    kind.save()
    hold(kind, place, at(10))
    with pytest.raises(holds.NotOffered) as refused:
        hold(kind, place, at(14))
    assert "fully booked" in refused.value.sentence
    assert hold(kind, place, at(14), now=NOW + timedelta(minutes=15)).starts_at == at(14)


def test_staff_need_no_notice_and_with_a_reason_no_hours_but_never_a_taken_resource(kind, place):
    soon = at(10, on=date(2026, 11, 16))  # the same day, six hours ahead
    assert hold(kind, place, soon, by=STAFF).starts_at == soon
    with pytest.raises(holds.NotOffered):
        hold(kind, place, at(20, 10), by=STAFF)
    late = hold(kind, place, at(20, 10), by=STAFF, override_reason="Board photo after hours")
    assert late.override_reason == "Board photo after hours"
    with pytest.raises(holds.SlotTaken):
        hold(kind, place, at(20, 30), by=STAFF, override_reason="And another")
    with pytest.raises(holds.NotOffered):
        hold(kind, place, at(21, 30), override_reason="a client cannot say this")


def test_outside_the_hours_whoever_is_there_comes_before_whoever_is_away(kind, place, crew):
    """Ana stands first in the studio's order. She is away; one works that day, another until late."""
    ana = crew["photographer"]
    ResourceDay.objects.create(resource=ana, on=TUESDAY)
    asked = {"starts_at": at(19), "override_reason": "The board flies out tonight", "by": STAFF}

    def photographer():
        held = hold(kind, place, **asked)
        found = held.claims.get(resource__skills__slug="photographer").resource
        holds.release(booking_id=held.pk, by=STAFF, now=NOW)
        return found

    assert photographer() == ana  # who else
    theo = factories.resource("photographer", at=place, name="Theo")
    assert photographer() == theo
    zoe = factories.resource("photographer", at=place, name="Zoe", hours=(time(9), time(22)))
    assert photographer() == zoe


def test_a_lapsed_hold_gives_way_to_the_next_client_without_a_sweep(kind, place):
    first = hold(kind, place)
    with pytest.raises(holds.SlotTaken):
        hold(kind, place, now=NOW + timedelta(minutes=14, seconds=59))
    second = hold(kind, place, now=NOW + timedelta(minutes=15))
    first.refresh_from_db()
    assert (first.status, second.status) == (BookingStatus.EXPIRED, BookingStatus.HELD)
    assert first.claims.filter(is_active=True).count() == 0
    assert first.shoots.get().status == ShootStatus.CANCELLED


def test_expire_due_frees_only_what_has_lapsed(kind, place):
    early = hold(kind, place, at(10))
    late = hold(kind, place, at(14), now=NOW + timedelta(minutes=5))
    assert holds.expire_due(now=NOW + timedelta(minutes=16)) == 1
    early.refresh_from_db()
    late.refresh_from_db()
    assert (early.status, late.status) == (BookingStatus.EXPIRED, BookingStatus.HELD)
    assert holds.expire_due(now=NOW + timedelta(minutes=16)) == 0


def test_release_frees_the_time_once(kind, place):
    booking = hold(kind, place)
    assert holds.release(booking_id=booking.pk, by=GUEST, now=NOW) is True
    assert holds.release(booking_id=booking.pk, by=GUEST, now=NOW) is False
    assert hold(kind, place).pk != booking.pk


def test_release_leaves_a_confirmed_booking_alone(kind, place):
    booking = factories.booking(session_type=kind, at=place, starts_at=at(10))
    assert holds.release(booking_id=booking.pk, by=GUEST, now=NOW) is False
    assert booking.claims.filter(is_active=True).count() == 2


def test_a_hold_is_lengthened_once(kind, place):
    booking = hold(kind, place)
    holds.extend(booking_id=booking.pk, until=NOW + timedelta(minutes=31), by=GUEST, now=NOW)
    again = holds.extend(booking_id=booking.pk, until=NOW + timedelta(hours=5), by=GUEST, now=NOW)
    assert again.hold_expires_at == NOW + timedelta(minutes=31)
    with pytest.raises(holds.HoldOver):
        holds.extend(
            booking_id=booking.pk, until=NOW + timedelta(days=1), by=GUEST, now=NOW + timedelta(minutes=31)
        )


def test_later_prices_do_not_reach_a_booking(kind, place, make_up):
    kind.payment_plan, kind.deposit = PaymentPlan.DEPOSIT_PERCENT, 33
    kind.save()
    booking = hold(kind, place, add_ons={make_up.pk: 2})
    AddOn.objects.update(price=1)
    booking.refresh_from_db()
    assert (booking.price, booking.due_now) == (36000, 11880)
    assert booking.add_ons.get().price == 18000


def test_releasing_rings_for_an_open_payment_page(
    kind, place, django_capture_on_commit_callbacks, monkeypatch
):
    from bookings import tasks

    rung = []
    monkeypatch.setattr("studio.background.ring", lambda task: rung.append(task.name))
    booking = hold(kind, place)
    booking.checkouts.create(
        amount=1,
        currency="USD",
        status=CheckoutStatus.OPEN,
        idempotency_key="k",
        session_id="cs_1",
        expires_at=NOW,
        created_at=NOW,
    )
    with django_capture_on_commit_callbacks(execute=True):
        holds.release(booking_id=booking.pk, by=GUEST, now=NOW)
    assert rung == [tasks.close_pages.name]


def test_the_number_of_questions_does_not_grow_with_history(kind, place, django_assert_max_num_queries):
    from bookings import availability

    for week in range(1, 9):
        factories.booking(
            session_type=kind,
            at=place,
            starts_at=at(10) - timedelta(weeks=week),
            now=NOW - timedelta(weeks=week + 1),
        )
        factories.booking(session_type=kind, at=place, starts_at=at(10) + timedelta(days=week))
    with django_assert_max_num_queries(10):
        found = availability.slots(
            session_type=kind,
            location=place,
            add_ons={},
            first_on=TUESDAY,
            last_on=date(2027, 1, 14),
            now=NOW,
        )
    assert len(found) > 500
