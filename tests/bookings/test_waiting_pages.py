"""The waiting list through its pages: join from a full week, open the offer by its link, take it, pass it on, leave."""

import re
from datetime import UTC, datetime, time, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from bookings import waiting
from bookings.models import WaitingOffer, WaitingPlace
from studio.models import Message, Role
from tests import factories
from tests.galleries.making import sign_in
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db


@pytest.fixture
def noon(monkeypatch):
    """A Monday noon in Chicago, for the pages too."""
    moment = datetime(2026, 11, 16, 18, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: moment)
    return moment


@pytest.fixture
def kind(noon):
    place = factories.location(hours=(time(10), time(11)))
    factories.crew(place)
    return factories.session_type(slug="portrait", locations=[place])


def form(kind, **fields):
    return {
        "location": kind.locations.get().slug,
        "first_on": "2026-11-24",
        "last_on": "2026-11-24",
        "name": "Ada Ümläut 🎈",
        "email": "ada@client.example",
        "form_token": "0b6d2a8e-6a63-4a55-b8a5-111111111111",
    } | fields


def open_offer(client, mail):
    link = re.search(r"http://testserver(/open/\S+)", mail.body_text).group(1)
    return client.get(link, follow=True)


def test_a_client_joins_takes_and_lands_on_the_details(client, kind, noon):
    page = client.get(reverse("wait", args=["portrait"]))
    assert_no_inline(page.text)
    done = client.post(reverse("wait", args=["portrait"]), form(kind))
    assert "You are on the list" in done.text
    assert done.text.count("24 November") == 1  # one day is not said as from and to
    assert Message.objects.get(name="waiting_joined").body_text.count("24 November") == 1
    waiting.offer_due(now=noon)
    shown = open_offer(client, Message.objects.get(name="waiting_offer"))
    assert_no_inline(shown.text)
    assert "A time is free, and it is yours" in shown.text
    place = WaitingPlace.objects.get()
    answer = client.post(reverse("waiting_take", args=[place.public_id]))
    assert answer.headers["Location"] == reverse(
        "booking_details", args=[WaitingOffer.objects.get().booking.public_id]
    )
    details = client.get(answer.headers["Location"])
    assert 'value="ada@client.example"' in details.text
    # The back button and a second tap: the same booking.
    assert (
        client.post(reverse("waiting_take", args=[place.public_id])).headers["Location"]
        == answer.headers["Location"]
    )


def test_an_offer_that_lapsed_says_so_and_keeps_the_place(client, kind, noon, monkeypatch):
    client.post(reverse("wait", args=["portrait"]), form(kind))
    waiting.offer_due(now=noon)
    place = WaitingPlace.objects.get()
    open_offer(client, Message.objects.get(name="waiting_offer"))
    monkeypatch.setattr(timezone, "now", lambda: noon + timedelta(hours=2, minutes=1))
    answer = client.post(reverse("waiting_take", args=[place.public_id]), follow=True)
    assert "not held for you any more" in answer.text


def test_passing_on_and_leaving(client, kind, noon):
    client.post(reverse("wait", args=["portrait"]), form(kind))
    waiting.offer_due(now=noon)
    place = WaitingPlace.objects.get()
    open_offer(client, Message.objects.get(name="waiting_offer"))
    assert (
        "Somebody else gets it"
        in client.post(reverse("waiting_pass", args=[place.public_id]), follow=True).text
    )
    assert (
        "You are off the list"
        in client.post(reverse("waiting_leave", args=[place.public_id]), follow=True).text
    )
    assert WaitingPlace.objects.get().status == "left"


def test_bad_input_is_answered_in_a_sentence_and_kept_in_the_form(client, kind):
    for fields, words in [
        ({"name": "x" * 10_000}, "150"),
        ({"email": "nobody"}, "valid email"),
        ({"last_on": "2026-11-20"}, "before the first"),
        ({"first_on": "not a day"}, "valid date"),
        ({"location": "elsewhere", "last_on": "2030-01-01"}, "half a year"),
    ]:
        answer = client.post(reverse("wait", args=["portrait"]), form(kind, **fields))
        assert answer.status_code == 422, fields
        assert words in answer.text, fields
    assert WaitingPlace.objects.count() == 0


def test_markup_in_a_name_stays_text_on_the_desk(client, kind):
    client.post(
        reverse("wait", args=["portrait"]), form(kind, name='<img src=x onerror="alert(1)">\u202egro')
    )
    sign_in(client, factories.user(Role.OWNER))
    desk = client.get(reverse("desk_waiting")).text
    assert "<img src=x" not in desk
    assert "&lt;img src=x" in desk
    assert "\u202e" not in desk
