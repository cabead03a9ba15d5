"""What a client asks about their own data: written down with a day, told to both sides, done by a person alone."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from galleries import forgetting, wishes
from galleries.models import DataCopy, Erasure, PersonWish, WishKind
from studio import credentials, outbox
from studio.actors import Actor, ActorKind
from studio.models import Message, Role
from tests.galleries.making import make_client, make_shoot, make_user, sign_in
from tests.galleries.somebody import Somebody, make_somebody

pytestmark = pytest.mark.django_db
OWNER = Actor(ActorKind.USER, 1, "Olive Owner")
DAY = timedelta(days=1)


@pytest.fixture
def robin(media_storage: Path, now) -> Somebody:
    return make_somebody(now=now)


def test_asking_tells_both_sides_the_same_day_and_does_nothing_else(robin, now):
    owner = make_user(Role.OWNER)
    wish = wishes.ask(client_id=robin.client.pk, kind=WishKind.FORGET, now=now)
    assert wish.due_at == now + 30 * DAY
    to_client, to_owner = (
        Message.objects.get(name="person_wish"),
        Message.objects.get(name="desk_person_wish"),
    )
    assert (to_client.to_address, to_owner.to_address) == (robin.client.email, owner.email)
    assert all("16 December 2026" in letter.body_text for letter in (to_client, to_owner))
    assert "Download your pictures before" in to_client.body_text
    assert not Erasure.objects.exists() and not DataCopy.objects.exists()
    robin.client.refresh_from_db()
    assert robin.client.erased_at is None


def test_asked_again_is_the_same_wish_until_it_is_settled(robin, now):
    first = wishes.ask(client_id=robin.client.pk, kind=WishKind.COPY, now=now)
    assert wishes.ask(client_id=robin.client.pk, kind=WishKind.COPY, now=now + DAY) == first
    with pytest.raises(wishes.NotNow):
        wishes.settle(wish_id=first.pk, words="  ", by=OWNER, now=now)
    assert wishes.settle(wish_id=first.pk, words="Handed over on a stick", by=OWNER, now=now + DAY)
    assert not wishes.settle(wish_id=first.pk, words="again", by=OWNER, now=now + DAY)
    assert wishes.ask(client_id=robin.client.pk, kind=WishKind.COPY, now=now + 2 * DAY) != first
    assert Message.objects.filter(name="person_wish").count() == 2


def test_what_cannot_be_wished_is_refused(robin, now):
    with pytest.raises(wishes.NotNow):
        wishes.ask(client_id=robin.client.pk, kind="everything", now=now)
    forgetting.want(client_id=robin.client.pk, typed=robin.client.name, by=OWNER, now=now)
    with pytest.raises(wishes.NotNow, match="erased already"):
        wishes.ask(client_id=robin.client.pk, kind=WishKind.COPY, now=now)
    assert not PersonWish.objects.exists()


def test_owners_are_reminded_once_a_week_before(robin, now):
    make_user(Role.OWNER)
    wishes.ask(client_id=robin.client.pk, kind=WishKind.COPY, now=now)
    assert wishes.sweep(now=now + 23 * DAY - timedelta(seconds=1)) == 0
    assert [wishes.sweep(now=now + 23 * DAY), wishes.sweep(now=now + 24 * DAY)] == [1, 0]
    assert Message.objects.filter(name="desk_person_wish_due").count() == 1


def test_settled_wish_is_not_reminded_of(robin, now):
    wish = wishes.ask(client_id=robin.client.pk, kind=WishKind.COPY, now=now)
    wishes.settle(wish_id=wish.pk, words="done", by=OWNER, now=now)
    assert wishes.sweep(now=now + 29 * DAY) == 0


def test_erasing_settles_what_they_wished_and_leaves_no_words(robin, now):
    wish = wishes.ask(client_id=robin.client.pk, kind=WishKind.COPY, now=now)
    wishes.settle(wish_id=wish.pk, words="Robin got it by mail", by=OWNER, now=now)
    wishes.ask(client_id=robin.client.pk, kind=WishKind.FORGET, now=now)
    forgetting.want(client_id=robin.client.pk, typed=robin.client.name, by=OWNER, now=now)
    for minutes in (0, 1):
        while forgetting.work_next(now=now + timedelta(minutes=minutes)):
            pass
        while outbox.send_next(now=now):
            pass
    assert not wishes.open_wishes().exists()
    assert list(PersonWish.objects.values_list("settled_by", "settled_words")) == [(str(OWNER), "")] * 2


# --- pages


def opened(robin: Somebody) -> Browser:
    browser = Browser()
    given = credentials.grant(
        scope="booking",
        target=robin.shoot.booking.public_id,
        now=timezone.now(),
        holder_id=robin.client.pk,
        holder_label=robin.client.name,
    )
    assert browser.get(given.url.removeprefix(settings.SITE_URL)).status_code == 302
    return browser


def test_client_asks_on_their_page_and_the_desk_shows_it(robin, client: Browser):
    mine = opened(robin)
    page = reverse("booking", args=[robin.shoot.booking.public_id])
    seen = mine.get(page).content.decode()
    assert "Ask for my data" in seen and "Ask to be forgotten" in seen
    answer = mine.post(
        reverse("booking_data_wish", args=[robin.shoot.booking.public_id]), {"kind": "forget"}, follow=True
    )
    seen = answer.content.decode()
    assert "You asked to be forgotten. We answer by" in seen and "Ask to be forgotten" not in seen
    sign_in(client, make_user(Role.OWNER))
    assert "asks to be forgotten" in client.get(reverse("desk")).content.decode()
    desk_page = reverse("desk_client", args=[robin.client.public_id])
    assert "They ask to be forgotten" in client.get(desk_page).content.decode()
    done = {"kind": "forget", "words": "They changed their mind on the phone"}
    assert client.post(reverse("desk_client_wish", args=[robin.client.public_id]), done).status_code == 302
    assert not wishes.open_wishes().exists()
    assert "asks to be forgotten" not in client.get(reverse("desk")).content.decode()


def test_browser_that_only_placed_the_booking_cannot_ask(robin):
    browser = Browser()
    session = browser.session
    session["holds"] = [robin.shoot.booking.public_id]
    session.save()
    page = reverse("booking", args=[robin.shoot.booking.public_id])
    assert "Ask for my data" not in browser.get(page).content.decode()
    asked = browser.post(reverse("booking_data_wish", args=[robin.shoot.booking.public_id]), {"kind": "copy"})
    assert asked.status_code == 404 and not PersonWish.objects.exists()


def test_who_sits_asks_for_their_own_data_not_the_payers(robin, now):
    sitter = make_client(now=now, name="Sit Ter")
    shoot = make_shoot(now=timezone.now(), client=robin.client)
    type(shoot).objects.filter(pk=shoot.pk).update(sitter=sitter)
    browser = Browser()
    given = credentials.grant(
        scope="booking", target=shoot.booking.public_id, now=timezone.now(), holder_id=sitter.pk
    )
    browser.get(given.url.removeprefix(settings.SITE_URL))
    browser.post(reverse("booking_data_wish", args=[shoot.booking.public_id]), {"kind": "copy"})
    assert PersonWish.objects.get().client == sitter
