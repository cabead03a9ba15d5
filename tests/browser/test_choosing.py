"""Choosing and retouching as people do it: a phone on a bad line, a photographer's keyboard, a retoucher's sliders."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from galleries import jobs, proofing, renditions, retouching
from galleries.models import Gallery, Note, Photo
from galleries.statuses import GalleryStatus, RetouchStatus
from studio import credentials
from studio.models import Role
from tests.galleries.framing import ANA, make_photo, store_original
from tests.galleries.making import make_gallery, make_user, sign_in
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}
SCALES = "all => all.map((one) => new DOMMatrix(getComputedStyle(one).transform).a)"


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path, now: datetime) -> Gallery:
    return make_gallery(now=now, clock_started_at=now - timedelta(hours=1))


def arrive(gallery: Gallery, *numbers: int) -> list[Photo]:
    """Frames with their pictures, as intake leaves them."""
    photos = []
    for number in numbers:
        photo = make_photo(gallery, number, now=timezone.now())
        store_original(photo, now=timezone.now(), path=(GRACE_HOPPER, EILEEN_COLLINS)[number % 2])
        renditions.ensure(photo=photo, recipes=renditions.wanted_by(gallery), now=timezone.now())
        photos.append(photo)
    return photos


def wait_until(page: Page, truth: Callable[[], bool], what: str) -> None:
    for _try in range(600):
        if truth():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not so within thirty seconds: {what}")


def closer(page: Page) -> set[bool]:
    return {scale > 1 for scale in page.locator("[data-zoom]").evaluate_all(SCALES)}


@pytest.fixture
def phone(page: Page, gallery: Gallery, now: datetime, site: str) -> Page:
    """The client's phone with the proofs open: four pictures, two included."""
    arrive(gallery, 1, 2, 3, 4)
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=now)
    link = credentials.grant(
        scope="gallery",
        target=gallery.public_id,
        now=now,
        holder_id=gallery.shoot.sitter_id,
        holder_label="Ada",
    )
    page.set_viewport_size(PHONE)
    page.goto(link.url)
    return page


@pytest.fixture
def desk(page: Page) -> Page:
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER, name="Pat Example"))
    page.context.add_cookies(
        [
            {"name": name, "value": morsel.value, "domain": "localhost", "path": "/"}
            for name, morsel in browser.cookies.items()
        ]
    )
    page.set_viewport_size({"width": 1440, "height": 900})
    return page


def picked(gallery: Gallery) -> list[int]:
    return sorted(gallery.picks.values_list("photo__number", flat=True))


# --- at home


def test_a_client_chooses_two_of_four_on_a_phone_and_sends(phone: Page, gallery: Gallery) -> None:
    expect(phone.locator("[data-count-words]")).to_have_text("0 of 2 included")
    phone.get_by_role("button", name="Choose picture 2").click()
    expect(phone.locator("[data-count-words]")).to_have_text("1 of 2 included")
    phone.get_by_role("button", name="Choose picture 4").click()
    expect(phone.locator("[data-saving-words]")).to_have_text("Saved")
    phone.get_by_role("button", name="Choose picture 1").click()
    expect(phone.get_by_role("alert")).to_contain_text("2 pictures are included, and you have chosen them")
    assert picked(gallery) == [2, 4]

    phone.locator("#p4 a.picture-frame").click()
    expect(phone.locator("[data-place-words]")).to_have_text("Picture 4 of 4")
    phone.get_by_label("Your note on this picture").fill("Please watch the collar.")
    wait_until(
        phone, lambda: Note.objects.filter(words="Please watch the collar.").exists(), "the note is saved"
    )
    phone.get_by_label("What it is for").fill("LinkedIn")
    phone.get_by_label("What it is for").blur()
    wait_until(phone, lambda: gallery.picks.filter(use="LinkedIn").exists(), "the use is saved")

    phone.goto(reverse("gallery_review", args=[gallery.public_id]))
    expect(phone.get_by_text("“Please watch the collar.”")).to_be_visible()
    phone.get_by_role("button", name="Send my selection").click()
    expect(phone.get_by_role("heading", level=1)).to_contain_text("We have your selection")
    expect(phone.get_by_text("You have your finished pictures by")).to_be_visible()
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.RETOUCHING


def test_a_lost_network_loses_no_choice(phone: Page, gallery: Gallery) -> None:
    phone.context.set_offline(True)
    phone.get_by_role("button", name="Choose picture 3").click()
    expect(phone.locator("[data-count-words]")).to_have_text("1 of 2 included")
    expect(phone.locator("[data-saving-words]")).to_contain_text("No connection")
    assert picked(gallery) == []
    phone.context.set_offline(False)
    expect(phone.locator("[data-saving-words]")).to_have_text("Saved")
    assert picked(gallery) == [3]


def test_a_choice_made_offline_survives_closing_the_page(phone: Page, gallery: Gallery) -> None:
    address = phone.url
    phone.context.set_offline(True)
    phone.get_by_role("button", name="Choose picture 1").click()
    expect(phone.locator("[data-saving-words]")).to_contain_text("No connection")
    phone.close()
    phone.context.set_offline(False)
    again = phone.context.new_page()
    again.goto(address)
    expect(again.locator("[data-count-words]")).to_have_text("1 of 2 included")
    expect(again.locator("[data-saving-words]")).to_have_text("Saved")
    assert picked(gallery) == [1]


def test_a_second_tab_is_told_that_the_selection_was_sent(
    phone: Page, gallery: Gallery, now: datetime
) -> None:
    phone.get_by_role("button", name="Choose picture 1").click()
    expect(phone.locator("[data-saving-words]")).to_have_text("Saved")
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=now)
    phone.get_by_role("button", name="Choose picture 2").click()
    expect(phone.get_by_role("alert")).to_contain_text("sent already")
    expect(phone.get_by_role("button", name="Choose picture 2")).to_have_attribute("aria-pressed", "false")
    expect(phone.locator("[data-count-words]")).to_have_text("1 of 2 included")
    assert picked(gallery) == [1]


def test_keys_swipe_undo_and_compare_on_one_picture(phone: Page, gallery: Gallery) -> None:
    phone.goto(reverse("gallery_proof", args=[gallery.public_id, 2]))
    place = phone.locator("[data-place-words]")
    phone.keyboard.press("ArrowRight")
    expect(place).to_have_text("Picture 3 of 4")
    phone.mouse.move(300, 300)
    phone.mouse.down()
    phone.mouse.move(80, 310, steps=4)
    phone.mouse.up()
    expect(place).to_have_text("Picture 4 of 4")
    phone.keyboard.press("p")
    expect(phone.get_by_role("button", name="Chosen")).to_have_attribute("aria-pressed", "true")
    phone.keyboard.press("u")
    expect(phone.get_by_role("button", name="Choose", exact=True)).to_have_attribute("aria-pressed", "false")
    phone.keyboard.press("c")
    expect(phone.locator(".viewer-stage figure")).to_have_count(2)
    phone.keyboard.press("z")
    wait_until(phone, lambda: closer(phone) == {True}, "both pictures are nearer")
    wait_until(phone, lambda: picked(gallery) == [], "the pick was taken back")
    assert phone.url.endswith("/proof/4/")


# --- together


def test_the_photographer_chooses_by_keyboard_and_frames_arrive(desk: Page, gallery: Gallery) -> None:
    one, two, three = arrive(gallery, 1, 2, 3)
    desk.goto(reverse("choose_together", args=[gallery.public_id]) + "?at=1")
    for key in ("p", "r", "4", "ArrowRight", "x", "ArrowRight", "p"):
        desk.keyboard.press(key)
    expect(desk.locator("[data-count-words]")).to_have_text("2 of 2 included")
    expect(desk.locator("[data-saving-words]")).to_have_text("Saved")
    for photo in (one, two, three):
        photo.refresh_from_db()
    assert (one.is_recommended, one.rating, two.is_rejected) == (True, 4, True)
    assert picked(gallery) == [1, 3]

    arrive(gallery, 4)
    expect(desk.locator("[data-place-words]")).to_have_text("Picture 4 of 4")
    desk.keyboard.press("p")
    expect(desk.get_by_role("alert")).to_contain_text("All 2 included pictures are chosen")
    desk.keyboard.press("ArrowLeft")
    desk.keyboard.press("u")
    expect(desk.locator("[data-count-words]")).to_have_text("1 of 2 included")
    wait_until(desk, lambda: picked(gallery) == [1], "the last pick is undone")

    desk.keyboard.press("c")
    expect(desk.locator(".viewer-stage figure")).to_have_count(2)
    desk.keyboard.press("c")
    desk.keyboard.press("?")
    expect(desk.get_by_role("dialog")).to_be_visible()
    desk.keyboard.press("Escape")
    desk.keyboard.press("Enter")  # at once: for a moment the closed list's button still has the focus
    expect(desk.get_by_role("heading", level=1)).to_contain_text("the selection")
    desk.get_by_role("button", name="Send the selection").click()
    expect(desk.get_by_role("heading", level=1)).to_have_text("Retouching")
    gallery.refresh_from_db()
    assert (gallery.status, gallery.pauses.count()) == (GalleryStatus.RETOUCHING, 0)


def test_the_first_frame_appears_on_an_empty_screen(desk: Page, gallery: Gallery) -> None:
    desk.goto(reverse("choose_together", args=[gallery.public_id]))
    expect(desk.get_by_text("Waiting for the first frame")).to_be_visible()
    arrive(gallery, 1)
    expect(desk.locator("[data-place-words]")).to_have_text("Picture 1 of 1")


# --- the retouch desk


@pytest.fixture
def retouched(gallery: Gallery, now: datetime) -> Gallery:
    for photo in arrive(gallery, 1, 2):
        proofing.pick(photo_id=photo.pk, by=ANA, now=now)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=now)
    work()
    return gallery


def work() -> None:
    while jobs.work_next(now=timezone.now() + timedelta(seconds=5)):
        pass


def test_sliders_show_at_once_and_keys_accept(desk: Page, retouched: Gallery) -> None:
    one, two = retouched.retouches.order_by("id")
    desk.goto(reverse("desk_retouch", args=[one.public_id]))
    shown = desk.locator("[data-after]")
    desk.get_by_label("Exposure").fill("0.6")
    expect(shown).to_have_attribute("src", re.compile("^blob:"))
    expect(desk.locator("[data-after-label]")).to_have_text("Preview")
    expect(desk.locator("output[for=s-exposure]")).to_have_text("+0.60")
    desk.keyboard.press("Escape")
    desk.keyboard.press("b")
    expect(desk.locator(".viewer-stage")).to_have_class("viewer-stage is-before")
    desk.keyboard.press("b")
    desk.keyboard.press("a")
    expect(desk.locator("h1")).to_contain_text("2 of 2")
    one.refresh_from_db()
    assert one.status == RetouchStatus.APPROVED
    assert desk.url.endswith(reverse("desk_retouch", args=[two.public_id]))


def test_a_new_version_appears_by_itself(desk: Page, retouched: Gallery) -> None:
    retouch = retouched.retouches.order_by("id")[0]
    desk.goto(reverse("desk_retouch", args=[retouch.public_id]))
    desk.get_by_label("Skin").fill("0.3")
    desk.get_by_role("button", name="Make this version").click()
    expect(desk.locator("main[data-working]")).to_be_visible()
    work()
    expect(desk.locator(".versions > li")).to_have_count(2)


# --- a change with a pin


@pytest.fixture
def shown(page: Page, retouched: Gallery, now: datetime) -> Page:
    """The client's phone on the page that asks for a change of the first picture."""
    for each in retouched.retouches.all():
        retouching.show_to_client(retouch_id=each.pk, version_id=each.versions.get().pk, by=ANA, now=now)
    link = credentials.grant(scope="gallery", target=retouched.public_id, now=now, holder_label="Ada")
    page.set_viewport_size(PHONE)
    page.goto(link.url)
    page.get_by_role("link", name="Change something").first.click()
    expect(page.get_by_role("button", name="Add a pin")).to_be_visible()  # the picture takes pins by now
    return page


def test_a_wish_on_a_lost_line_is_kept_with_its_pins_and_sent_once(shown: Page, retouched: Gallery) -> None:
    shown.locator("[data-picture]").click(position={"x": 36, "y": 36})
    shown.keyboard.type("softer light here")
    shown.context.set_offline(True)
    shown.get_by_role("button", name="Send to the studio").click()
    expect(shown.get_by_role("alert")).to_contain_text("Your words are kept on this device")
    shown.context.set_offline(False)
    address = shown.url
    other = shown.context.new_page()  # as after a browser that closed the page
    other.goto(address)
    expect(other.get_by_label("At pin 1")).to_have_value("softer light here")
    expect(other.locator(".pin")).to_have_count(1)
    other.get_by_role("button", name="Send to the studio").click()
    expect(other.get_by_text("We have your words")).to_be_visible()
    shown.get_by_role("button", name="Send to the studio").click()  # the first tab knows nothing of it
    expect(shown.get_by_text("We have your words")).to_be_visible()
    note = Note.objects.get(is_change_request=True)
    assert (note.words, 0.05 < (note.pin_x or 0) < 0.15) == ("softer light here", True)
    shown.goto(address)
    expect(shown.get_by_label("What would you like different?")).to_have_value("")


def test_a_client_asks_for_a_change_with_the_keyboard_alone(shown: Page, retouched: Gallery) -> None:
    page, retouch = shown, retouched.retouches.order_by("id")[0]
    page.get_by_role("button", name="Add a pin").focus()
    page.keyboard.press("Enter")
    for _step in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.type("this strand of hair")
    page.locator("[data-picture]").click(position={"x": 36, "y": 36})
    page.keyboard.type("softer light here")
    page.get_by_role("button", name="Send to the studio").click()
    expect(page.get_by_text("We have your words")).to_be_visible()
    first, second = Note.objects.filter(is_change_request=True).order_by("id")
    assert (first.words, first.pin_x, first.pin_y) == ("this strand of hair", 0.55, 0.4)
    assert second.words == "softer light here"
    assert 0.05 < (second.pin_x or 0) < 0.15
    retouch.refresh_from_db()
    assert retouch.status == RetouchStatus.CHANGE_ASKED
