"""Saving to Photos: the first tap fetches the files, the second opens the phone's own list, ten at a time."""

from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from galleries import delivery
from galleries.models import Download
from studio import credentials
from tests.galleries.finals import approve, in_retouching, pay
from tests.galleries.making import make_gallery, make_session_type, make_shoot

PHONE = """
window.shared = [];
Object.defineProperty(navigator, "canShare", {value: (what) => what.files.every((f) => f.type === "image/jpeg")});
Object.defineProperty(navigator, "share", {value: async (what) => {
  if (!navigator.userActivation.isActive) throw new DOMException("no tap", "NotAllowedError");
  window.shared.push(what.files.map((f) => [f.name, f.size]));
}});
"""
NO_SHARE = 'Object.defineProperty(navigator, "canShare", {value: undefined});'


def open_delivered(page: Page, site: str, *, picks: int) -> None:
    now = timezone.now()
    shoot = make_shoot(now=now, session_type=make_session_type(finals_included=picks))
    gallery = make_gallery(now=now, shoot=shoot)
    pay(gallery, 20000, now=now)
    for retouch in in_retouching(gallery, now=now, picks=picks):
        approve(retouch, now=now, size=500)
    assert delivery.finals_made(gallery_id=gallery.pk, now=now)
    link = credentials.grant(scope="gallery", target=gallery.public_id, now=now, holder_label="Ada")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(link.url)


@pytest.mark.django_db(transaction=True)
def test_a_phone_saves_ten_pictures_at_a_time(page: Page, site: str, media_storage: Path) -> None:
    page.add_init_script(PHONE)
    open_delivered(page, site, picks=6)
    button = page.locator("[data-saver] button")
    button.get_by_text("Save 10 pictures to Photos").click()
    button.get_by_text("Now tap again to save 10").click()
    button.get_by_text("Save 2 pictures to Photos").click()
    button.get_by_text("Now tap again to save 2").click()
    page.get_by_text("Saved.", exact=True).wait_for()
    shared = page.evaluate("window.shared")
    assert [len(batch) for batch in shared] == [10, 2]
    names = [name for batch in shared for name, size in batch if size == 500]
    wanted = [f"ada-example-{n:02d}-{size}.jpg" for n in range(1, 7) for size in ("square", "web")]
    assert sorted(names) == sorted(wanted)
    assert Download.objects.filter(is_complete=True).count() == 12


@pytest.mark.django_db(transaction=True)
def test_without_web_share_there_are_plain_links_only(page: Page, site: str, media_storage: Path) -> None:
    page.add_init_script(NO_SHARE)
    open_delivered(page, site, picks=1)
    page.get_by_role("heading", name="Picture 1").wait_for()
    assert page.locator("[data-saver]").is_hidden()
    assert page.locator("a[data-save]").count() == 4
