"""The client's phone follows the big screen: that one frame, while it is switched on, and its heart counts."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from bookings import payments
from galleries import pictures, proofing, together
from galleries.imaging.recipes import PROOF, SCREEN
from galleries.models import Gallery, Photo, Rendition
from galleries.proofing import SelectionClosed
from studio import credentials
from studio.actors import Actor
from studio.models import Role
from tests.galleries.framing import ANA, make_photos
from tests.galleries.making import make_gallery, make_user, sign_in
from tests.html import assert_no_inline

NOW = timezone.now()


@pytest.fixture
def gallery(db: None, media_storage: Path) -> Gallery:
    """Three frames, none published, everything paid; still in the studio."""
    gallery = make_gallery(now=NOW)
    booking = gallery.shoot.booking
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=booking.price, by=ANA, now=NOW)
    for photo in make_photos(gallery, 3, now=NOW):
        for recipe in (PROOF, SCREEN):
            Rendition.objects.create(
                photo=photo, recipe=recipe.name, recipe_version=1, digest="", key=f"s/{photo.pk}-{recipe.name}.jpg",
                width=1000, height=1250, size=1, sha256="c", crc32=1, made_at=NOW,
            )  # fmt: skip
    return gallery


@pytest.fixture
def ada(gallery: Gallery) -> Actor:
    sitter = gallery.shoot.sitter
    assert sitter is not None
    return Actor.client(sitter.pk, sitter.name)


@pytest.fixture
def phone(gallery: Gallery, ada: Actor) -> Browser:
    browser = Browser()
    link = credentials.grant(
        scope="gallery", target=gallery.public_id, now=NOW, holder_id=ada.id, holder_label=ada.label
    )
    browser.get(link.url, follow=True)
    return browser


def frame(gallery: Gallery, number: int) -> Photo:
    return gallery.photos.select_related("gallery__shoot__booking").get(number=number)


def sees(photo: Photo, recipe: str, *, after: timedelta = timedelta(0)) -> bool:
    rendition = Rendition.objects.select_related("photo__gallery__shoot__booking").get(
        photo=photo, version=None, recipe=recipe
    )
    return pictures.may_client_see(rendition, now=NOW + after)


def stage(gallery: Gallery, number: int) -> None:
    together.follow(gallery_id=gallery.pk, by=ANA, now=NOW)
    together.put_on_stage(gallery_id=gallery.pk, photo_id=frame(gallery, number).pk, by=ANA, now=NOW)


def test_only_the_frame_on_the_big_screen_is_seen_and_only_while_it_is_followed(gallery: Gallery) -> None:
    assert not sees(frame(gallery, 2), PROOF.name)
    stage(gallery, 2)
    assert sees(frame(gallery, 2), PROOF.name)
    assert not sees(frame(gallery, 2), SCREEN.name)  # the large file is the studio's
    assert not sees(frame(gallery, 1), PROOF.name)
    assert not sees(frame(gallery, 2), PROOF.name, after=timedelta(hours=5))
    together.stop(gallery_id=gallery.pk, by=ANA, now=NOW)
    assert not sees(frame(gallery, 2), PROOF.name)


def test_the_heart_of_the_phone_counts_for_that_frame_alone(gallery: Gallery, ada: Actor) -> None:
    stage(gallery, 2)
    proofing.pick(photo_id=frame(gallery, 2).pk, by=ada, now=NOW)
    with pytest.raises(SelectionClosed):
        proofing.pick(photo_id=frame(gallery, 1).pk, by=ada, now=NOW)
    assert [row.photo.number for row in proofing.chosen(gallery)] == [2]
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    with pytest.raises(SelectionClosed):
        proofing.unpick(photo_id=frame(gallery, 2).pk, by=ada, now=NOW)


def test_nobody_follows_before_it_is_switched_on(gallery: Gallery, phone: Browser) -> None:
    assert not together.put_on_stage(gallery_id=gallery.pk, photo_id=frame(gallery, 1).pk, by=ANA, now=NOW)
    answer = phone.get(reverse("gallery_follow", args=[gallery.public_id]))
    assert answer["Location"] == reverse("gallery", args=[gallery.public_id])


def test_the_phone_shows_what_the_desk_shows(gallery: Gallery, phone: Browser, client: Browser) -> None:
    sign_in(client, make_user(Role.PHOTOGRAPHER))
    code = client.post(reverse("choose_follow", args=[gallery.public_id])).content.decode()
    assert "point the phone's camera at this code" in code
    assert_no_inline(code)
    client.post(reverse("choose_stage", args=[gallery.public_id]), {"photo": frame(gallery, 3).public_id})
    there = reverse("gallery_follow", args=[gallery.public_id])
    assert phone.get(reverse("gallery", args=[gallery.public_id]))["Location"] == there
    html = phone.get(there).content.decode()
    assert "Picture 3" in html
    assert_no_inline(html)
    have = html.split('data-tally="')[1].split('"')[0]
    assert phone.get(there, {"have": have}).status_code == 204

    phone.post(reverse("gallery_choose", args=[gallery.public_id]), {"pick": frame(gallery, 3).public_id})
    again = phone.get(there, {"have": have})
    assert "1 of 2 included" in again.content.decode()
    assert gallery.picks.get().photo.number == 3
    refused = phone.post(
        reverse("gallery_choose", args=[gallery.public_id]), {"pick": frame(gallery, 1).public_id}
    )
    assert refused.status_code == 404

    client.post(reverse("choose_follow", args=[gallery.public_id]), {"stop": "1"})
    assert phone.get(there, {"have": have}).status_code == 205
