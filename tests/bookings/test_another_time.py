"""A client goes back and presses another time: one browser holds one time, and what was paid is never given away."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from bookings import checkout, holds
from bookings.models import Booking, Checkout, Claim
from bookings.statuses import BookingStatus, CheckoutStatus
from studio.actors import Actor, ActorKind
from tests import factories

pytestmark = pytest.mark.django_db
GUEST = Actor(ActorKind.CLIENT)


@pytest.fixture
def kind(place):
    factories.crew(place)
    return factories.session_type(locations=[place], slug="portrait", horizon_days=90)


@pytest.fixture
def ten() -> datetime:
    """10:00 in Chicago on a Tuesday two weeks ahead."""
    day = (timezone.now() + timedelta(weeks=2)).date()
    day += timedelta(days=(1 - day.weekday()) % 7)
    return datetime(day.year, day.month, day.day, 10, tzinfo=ZoneInfo("America/Chicago")).astimezone(UTC)


def press(client, place, starts_at, token=None):
    form = {"location": place.slug, "starts_at": starts_at.isoformat(), "form_token": token or uuid4()}
    return client.post(reverse("hold", args=["portrait"]), form)


def held(answer) -> Booking:
    assert answer.status_code == 302
    return Booking.objects.get(public_id=answer["Location"].rstrip("/").split("/")[-1])


def details_of(client, booking):
    return client.get(reverse("booking_details", args=[booking.public_id]))


def page_of(booking: Booking) -> Checkout:
    now = timezone.now()
    checkout.take_details(
        booking_id=booking.pk,
        name="Robin Sample",
        email="robin@client.example",
        policy_accepted=True,
        by=GUEST,
        now=now,
    )
    checkout.open_checkout(booking_id=booking.pk, now=now)
    return booking.checkouts.get()


def statuses() -> list[str]:
    return list(Booking.objects.order_by("pk").values_list("status", flat=True))


def test_a_time_beside_the_own_hold_is_not_taken(client, kind, place, ten):
    first = held(press(client, place, ten))
    second = held(press(client, place, ten + timedelta(minutes=30)))
    assert statuses() == [BookingStatus.CANCELLED, BookingStatus.HELD]
    assert set(Claim.objects.filter(is_active=True).values_list("booking", flat=True)) == {second.pk}
    over = details_of(client, first)  # the tab that was left open
    assert over.status_code == 410 and "open to others again" in over.content.decode()
    assert details_of(client, second).status_code == 200


def test_there_and_back_on_one_form_holds_the_first_again(client, kind, place, ten):
    token = uuid4()
    press(client, place, ten, token)
    press(client, place, ten + timedelta(hours=2), token)
    again = held(press(client, place, ten, token))
    assert (again.status, again.starts_at) == (BookingStatus.HELD, ten)
    assert held(press(client, place, ten, token)) == again  # a double click
    assert statuses() == [BookingStatus.CANCELLED, BookingStatus.CANCELLED, BookingStatus.HELD]


def test_what_cannot_be_had_instead_takes_nothing_away(client, kind, place, ten):
    first = held(press(client, place, ten))
    factories.booking(session_type=kind, at=place, starts_at=ten + timedelta(hours=4), now=timezone.now())
    assert press(client, place, ten + timedelta(hours=4)).status_code == 409
    assert press(client, place, ten + timedelta(minutes=7)).status_code == 409
    assert details_of(client, first).status_code == 200


def test_nobody_elses_hold_is_touched(client, kind, place, ten):
    other = holds.place(
        session_type_id=kind.pk,
        location_id=place.pk,
        add_ons={},
        starts_at=ten,
        form_token=uuid4(),
        by=GUEST,
        now=timezone.now(),
    )
    assert press(client, place, ten).status_code == 409
    press(client, place, ten + timedelta(hours=2))
    press(client, place, ten + timedelta(hours=4))
    other.refresh_from_db()
    assert other.status == BookingStatus.HELD


def test_an_open_payment_page_is_closed_first(client, kind, place, ten, stripe):
    first = held(press(client, place, ten))
    page = page_of(first)
    held(press(client, place, ten + timedelta(minutes=30)))
    page.refresh_from_db()
    assert page.status == CheckoutStatus.EXPIRED
    assert statuses() == [BookingStatus.CANCELLED, BookingStatus.HELD]


def test_what_was_paid_meanwhile_is_kept_and_said(client, kind, place, ten, stripe):
    """The other tab has just paid, and nobody has told us."""
    first = held(press(client, place, ten))
    stripe.pay(page_of(first).session_id)
    answer = press(client, place, ten + timedelta(hours=2))
    assert answer["Location"] == reverse("booking", args=[first.public_id])
    assert statuses() == [BookingStatus.CONFIRMED]
    assert "You have paid for this time already" in client.get(answer["Location"]).content.decode()
    held(press(client, place, ten + timedelta(hours=2)))  # another session, if that is what they want
    assert statuses() == [BookingStatus.CONFIRMED, BookingStatus.HELD]


def test_a_page_that_may_be_open_keeps_its_hold(client, kind, place, ten, stripe):
    """Stripe does not answer, or a page is being opened at this moment: nobody knows whether it is being paid."""
    first = held(press(client, place, ten))
    page_of(first)
    stripe.fault("fail", match="expire$", times=10)
    held(press(client, place, ten + timedelta(hours=2)))
    assert statuses() == [BookingStatus.HELD, BookingStatus.HELD]
