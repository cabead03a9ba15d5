"""The open balance is asked for 7 days and 1 day before, never at night, never twice; the law beside the policy."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bookings import balances, checkout, lifecycle, messages, payments, policy
from bookings.models import Booking
from bookings.refusals import DetailsRefused
from bookings.statuses import BookingStatus
from studio.actors import Actor, ActorKind
from studio.models import Message
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)
STAFF = Actor(ActorKind.USER, 1, "Owner")
SESSION = datetime(2026, 12, 8, 14, tzinfo=ZoneInfo("America/Chicago")).astimezone(UTC)


@pytest.fixture
def booked():
    return factories.booking(starts_at=SESSION, now=NOW)


def asked(at) -> int:
    return balances.ask_for_balances(now=at)


def run_days(first, last) -> list[tuple[str, str]]:
    """The sweep each hour; when it wrote (Chicago) and the subject."""
    at, found = first, []
    while at < last:
        before = Message.objects.filter(name="balance_request").count()
        asked(at)
        for mail in Message.objects.filter(name="balance_request").order_by("pk")[before:]:
            found.append((f"{at.astimezone(ZoneInfo('America/Chicago')):%d %H:%M}", mail.subject))
        at += timedelta(hours=1)
    return found


def test_asked_a_week_and_a_day_before_with_the_amount_of_that_moment(booked) -> None:
    written = run_days(SESSION - timedelta(days=7, hours=6), SESSION - timedelta(days=6, hours=12))
    payments.record_by_staff(
        booking_id=booked.pk, method="cash", amount=8000, by=STAFF, now=SESSION - timedelta(days=3)
    )
    written += run_days(SESSION - timedelta(hours=30), SESSION - timedelta(hours=10))
    assert written == [
        ("01 13:00", "$180 before your session"),
        ("07 13:00", "Tomorrow at 14:00, and $100 still open"),
    ]


def test_the_last_request_takes_the_place_of_the_days_reminder(booked) -> None:
    messages.plan_reminders(booked, now=NOW)
    run_days(SESSION - timedelta(hours=30), SESSION - timedelta(hours=10))
    sequence = Message.objects.filter(name__in=messages.REMINDER_NAMES)
    statuses = dict(sequence.values_list("due_at", "status"))
    assert statuses[SESSION - timedelta(days=1)] == "cancelled"
    assert statuses[SESSION - timedelta(days=3)] == "queued"


def test_a_session_late_in_the_evening_is_not_asked_for_at_night() -> None:
    late = datetime(2026, 12, 8, 22, 30, tzinfo=ZoneInfo("America/Chicago")).astimezone(UTC)
    factories.booking(starts_at=late, now=NOW)
    hour = late.replace(minute=0)
    for days, moment in ((7, "01 19:00"), (1, "07 19:00")):
        first = hour - timedelta(days=days, hours=6)
        assert [at for at, _subject in run_days(first, first + timedelta(hours=16))] == [moment]


@pytest.mark.parametrize("change", ["paid", "cancelled", "at_studio", "plan_at_studio", "just_booked"])
def test_who_owes_nothing_now_is_not_asked(booked, change) -> None:
    at = SESSION - timedelta(days=1)
    if change == "paid":
        payments.record_by_staff(booking_id=booked.pk, method="cash", amount=18000, by=STAFF, now=NOW)
    if change == "cancelled":
        lifecycle.cancel(booking_id=booked.pk, by=STAFF, now=NOW)
    if change == "at_studio":
        Booking.objects.update(pays_at_studio=True)
    if change == "plan_at_studio":
        booked.session_type.payment_plan = "at_studio"
        booked.session_type.save()
    if change == "just_booked":
        Booking.objects.update(confirmed_at=at - timedelta(hours=2))
    assert asked(at) == 0


# --- the law beside the policy ------------------------------------------------------------------------------


def preview(country, *, agreed, hours, firm=""):
    """Paid 180.00, cancelled so many hours before the session, agreed so many days before that moment."""
    place = factories.location(country=country)
    booking = factories.booking(
        at=place, session_type=factories.session_type(locations=[place]), starts_at=SESSION, now=NOW, is_paid=True,
        payer=factories.client(firm=firm),
    )  # fmt: skip
    at = SESSION - timedelta(hours=hours)
    Booking.objects.filter(pk=booking.pk).update(confirmed_at=at - timedelta(days=agreed))
    booking.refresh_from_db()
    return lifecycle.refund_preview(booking=booking, now=at)


@pytest.mark.parametrize(
    ("country", "agreed", "hours", "firm", "amount"),
    [
        ("US", 3, 30, "", 9000),
        ("GB", 3, 30, "", 18000),
        ("DE", 13, 2, "", 18000),
        ("DE", 15, 30, "", 9000),
        ("DE", 15, 80, "", 18000),
        ("GB", 3, 30, "Acme Ltd", 9000),
        ("GB", 3, 2, "Acme Ltd", 0),
    ],
)
def test_the_refund_shown_is_the_better_of_policy_and_law(country, agreed, hours, firm, amount) -> None:
    assert preview(country, agreed=agreed, hours=hours, firm=firm).amount == amount


def test_the_sentence_names_the_law_where_it_gives_more() -> None:
    found = preview("FR", agreed=2, hours=20)
    assert found.sentence == "You booked less than 14 days ago: by law you get everything back, $180."


def details(booking, **fields):
    return checkout.take_details(
        booking_id=booking.pk,
        name="Robin",
        email="r@x.example",
        policy_accepted=True,
        by=GUEST,
        now=NOW,
        **fields,
    )


@pytest.mark.parametrize(
    ("country", "days", "firm", "is_needed"),
    [("GB", 8, "", True), ("GB", 15, "", False), ("US", 8, "", False), ("GB", 8, "Acme", False)],
)
def test_a_session_within_the_days_is_begun_early_only_when_asked(country, days, firm, is_needed) -> None:
    place = factories.location(country=country)
    booking = factories.booking(
        at=place, session_type=factories.session_type(locations=[place]), status=BookingStatus.HELD,
        starts_at=NOW + timedelta(days=days),
    )  # fmt: skip
    if is_needed:
        with pytest.raises(DetailsRefused) as refusal:
            details(booking, firm=firm)
        assert list(refusal.value.problems) == ["express_requested"]
        assert details(booking, firm=firm, express_requested=True).express_requested_at == NOW
    else:
        assert details(booking, firm=firm).express_requested_at is None


def test_elapsed_days_count_not_dates() -> None:
    ends = policy.withdrawal_ends(country="gb", agreed_at=NOW, is_consumer=True)
    assert ends == NOW + timedelta(days=14)


def test_a_sweep_that_was_down_does_not_wake_anybody(booked) -> None:
    night = datetime(2026, 12, 2, 3, tzinfo=ZoneInfo("America/Chicago")).astimezone(UTC)
    assert asked(night) == 0
    assert asked(night + timedelta(hours=5)) == 1
