"""The retouch desk's round trip and the crop tool as a person does them: drop, tap in the tray, keys on the frame."""

from io import BytesIO

import pytest
from django.urls import reverse
from PIL import Image, ImageEnhance, ImageOps
from playwright.sync_api import Page, expect

from galleries.models import Gallery, PickCrop
from tests.browser.test_choosing import desk, gallery, now, retouched, wait_until, work
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

__all__ = ["desk", "gallery", "now", "retouched"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def finished(image: Image.Image, name: str) -> dict[str, object]:
    out = BytesIO()
    ImageEnhance.Brightness(image).enhance(1.06).save(out, "JPEG", quality=92)
    return {"name": name, "mimeType": "image/jpeg", "buffer": out.getvalue()}


def test_files_are_dropped_matched_and_the_doubtful_one_assigned(desk: Page, retouched: Gallery) -> None:
    """DSC_0001 is Eileen Collins, DSC_0002 Grace Hopper; what comes back is named so, not at all, and wrongly."""
    eileen, grace = (Image.open(path).convert("RGB") for path in (EILEEN_COLLINS, GRACE_HOPPER))
    desk.goto(reverse("retouch_session", args=[retouched.public_id]))
    files = [
        finished(grace, "DSC_0002-Edit.jpg"),
        finished(eileen.crop((20, 10, 500, 500)), "a.jpg"),
        finished(ImageOps.mirror(grace), "b.jpg"),
    ]
    desk.locator("[data-files]").set_input_files(files)  # type: ignore[arg-type]
    wait_until(desk, lambda: retouched.uploads.filter(status="checking").count() == 3, "all three arrived")
    work()
    expect(desk.get_by_role("heading", name="The tray")).to_be_visible()
    first, second = retouched.retouches.order_by("id")
    assert [row.versions.filter(kind="hand_made").count() for row in (first, second)] == [1, 1]
    desk.get_by_role("button", name="DSC_0002.NEF").click()
    expect(desk.get_by_text("b.jpg is a version of DSC_0002.NEF now.")).to_be_visible()
    assert second.versions.filter(kind="hand_made").count() == 2
    expect(desk.get_by_role("heading", name="The tray")).to_be_hidden()


def test_a_crop_is_set_with_the_keys(desk: Page, retouched: Gallery) -> None:
    retouch = retouched.retouches.order_by("id")[0]
    desk.goto(reverse("crop", args=[retouch.public_id]) + "?recipe=square")
    expect(desk.locator("output[for=c-width]")).to_contain_text("%")
    before = float(desk.locator("#c-left").input_value())
    for key in ("-", "-", "ArrowRight", "ArrowRight", "]"):
        desk.keyboard.press(key)
    expect(desk.locator("output[for=c-rotation]")).to_have_text("0.1°")
    assert float(desk.locator("#c-left").input_value()) > before
    desk.get_by_role("button", name="Keep this crop").click()
    expect(desk.get_by_text("Kept. The finals are cut like this.")).to_be_visible()
    assert PickCrop.objects.get().rotation == pytest.approx(0.1)
