"""Culling by keyboard: rate, recommend, reject, undo, compare four, one to one, narrow."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from galleries import jobs, renditions
from galleries.models import Gallery, JobKind, Photo, PhotoAids
from studio.models import Role
from tests.galleries.framing import make_photo, store_original
from tests.galleries.making import make_gallery, make_user, sign_in
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=timezone.now())


@pytest.fixture
def frames(gallery: Gallery) -> list[Photo]:
    """Six frames as intake and the worker leave them: 2 and 3 look alike, 4 is soft, 5 blinks."""
    photos = []
    start = timezone.now() - timedelta(hours=1)
    for number in range(1, 7):
        photo = make_photo(
            gallery, number, now=timezone.now(), captured_at=start + timedelta(minutes=number // 2 * 5)
        )
        store_original(photo, now=timezone.now(), path=(GRACE_HOPPER, EILEEN_COLLINS)[number // 2 % 2])
        renditions.ensure(photo=photo, recipes=renditions.wanted_by(gallery), now=timezone.now())
        PhotoAids.objects.create(
            photo=photo,
            sharpness=0.1 if number == 4 else 0.4,
            lid_gap=0.1 if number == 5 else 0.7,
            bright=0,
            dark=0,
            likeness=f"{number // 2 % 2 * 10 + 5:x}" * 64,
            looked_for_faces=True,
            measured_at=timezone.now(),
        )
        photos.append(photo)
    return photos


@pytest.fixture
def cull(page: Page, gallery: Gallery, frames: list[Photo], site: str) -> Page:
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER, name="Pat Example"))
    page.context.add_cookies(
        [
            {"name": name, "value": morsel.value, "url": site, "httpOnly": True}
            for name, morsel in browser.cookies.items()
        ]
    )
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(reverse("cull", args=[gallery.public_id]))
    return page


def wait_until(page: Page, truth: Callable[[], bool], what: str) -> None:
    for _try in range(600):
        if truth():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not so within thirty seconds: {what}")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def marks(gallery: Gallery) -> list[tuple[int, int, bool, bool]]:
    rows = gallery.photos.order_by("number")
    return list(rows.values_list("number", "rating", "is_recommended", "is_rejected"))


def test_a_shoot_is_culled_by_keyboard(cull: Page, gallery: Gallery) -> None:
    expect(cull.locator("[data-place-words]")).to_have_text("Picture 1 of 6")
    press(cull, "4", "ArrowRight", "p", "ArrowRight", "x", "ArrowRight")
    expect(cull.locator("[data-advice-words]")).to_have_text("Softer than the others")
    press(cull, "x", "ArrowRight")
    expect(cull.locator("[data-advice-words]")).to_have_text("Eyes look closed")
    press(cull, "5", "x", "u")  # the last is taken back, the rating stays
    expect(cull.locator("[data-tab-count=rejected]")).to_have_text("2")
    expect(cull.locator("[data-saving-words]")).to_have_text("Saved")
    wanted = [
        (1, 4, False, False),
        (2, 0, True, False),
        (3, 0, False, True),
        (4, 0, False, True),
        (5, 5, False, False),
        (6, 0, False, False),
    ]
    wait_until(cull, lambda: marks(gallery) == wanted, "the marks are kept")
    press(cull, "f")  # only what carries no mark yet
    expect(cull.locator("[data-place-words]")).to_have_text("Picture 1 of 1")
    assert cull.locator(".viewer-strip a[data-photo]").count() == 1


def test_up_to_four_stand_side_by_side_and_the_marked_one_is_seen(cull: Page, gallery: Gallery) -> None:
    shown = cull.locator(".viewer-stage figure")
    for count in (2, 3, 4):
        press(cull, "c")
        expect(shown).to_have_count(count)
    press(cull, "ArrowRight", "ArrowRight", "3")
    expect(cull.locator("figure.is-active figcaption")).to_have_text("Picture 3 · ★★★")
    press(cull, "End")
    expect(shown.last.locator("figcaption")).to_contain_text("Picture 6")
    press(cull, "Escape")
    expect(shown).to_have_count(1)
    press(cull, "Home", "ArrowRight", "s")  # 2 and 3 look alike
    expect(shown).to_have_count(2)
    expect(cull.locator("[data-alike-words]")).to_have_text("1 of 2 alike")
    press(cull, "c")
    wait_until(cull, lambda: (3, 3, False, False) in marks(gallery), "the rating is kept")


def test_one_to_one_fetches_the_cameras_own_pixels(cull: Page, gallery: Gallery, frames: list[Photo]) -> None:
    picture = cull.locator(".viewer-stage img[data-zoom]")
    before = picture.get_attribute("src")
    press(cull, "z")
    expect(cull.locator(".viewer-stage")).to_have_class("viewer-stage is-zoomed")
    wait_until(
        cull,
        lambda: gallery.jobs.filter(kind=JobKind.RENDITIONS, parameters__has_key=renditions.ASKED).exists(),
        "the full size is ordered",
    )
    assert jobs.work_next(now=datetime.now(tz=timezone.get_current_timezone())) is True
    expect(picture).not_to_have_attribute("src", before or "")
    assert frames[0].renditions.filter(recipe="loupe").count() == 1


def test_the_list_of_keys_gives_the_keys_back(cull: Page, gallery: Gallery) -> None:
    press(cull, "?")
    expect(cull.get_by_role("dialog")).to_be_visible()
    press(cull, "Escape", "2")
    wait_until(cull, lambda: marks(gallery)[0] == (1, 2, False, False), "the key meant the picture")
