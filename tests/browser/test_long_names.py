"""Names no camera would write, on a phone: nothing is wider than the screen."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from bookings import charges, vouchers
from bookings.models import Voucher
from galleries import cards, codes, jobs, leaks, receiving
from galleries.models import Card, Gallery
from studio.actors import WORKER
from studio.models import Role
from tests.browser.test_upload import shoot
from tests.galleries.framing import make_photo, store_screen
from tests.galleries.making import make_gallery, make_shoot, make_user, sign_in
from tests.galleries.slating import frame, photographed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NAMES = {
    "long": "W" * 216 + ".JPG",
    "from right to left": "صورة" * 40 + ".JPG",
    "pictures": "👩🏽‍💼" * 14 + ".JPG",
}
# What begins inside the screen and ends outside, named by where it first does; what scrolls or is cut by itself may.
TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter(each => {
  const at = each.getBoundingClientRect();
  if (!at.width || (at.right <= innerWidth + 1 && at.left >= -1)) return false;
  for (let box = each.parentElement; box; box = box.parentElement)
    if (getComputedStyle(box).overflowX !== "visible") return false;
  return true;
}).map(each => each.outerHTML.slice(0, 90))"""


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path) -> Gallery:
    """Three frames with such names, and another session at the same place."""
    now = timezone.now()
    gallery = make_gallery(now=now - timedelta(hours=1))
    booking = gallery.shoot.booking
    beside = make_shoot(now=now, location=booking.location, session_type=booking.session_type)
    make_gallery(now=now, shoot=beside)
    for number, name in enumerate(NAMES.values(), start=1):
        store_screen(make_photo(gallery, number, now=now, name=name), now=now)
    return gallery


@pytest.fixture
def phone(page: Page, gallery: Gallery, site: str) -> Page:
    browser = Browser()
    sign_in(browser, make_user(Role.OWNER, name="Pat Example"))
    page.context.add_cookies(
        [
            {"name": name, "value": morsel.value, "url": site, "httpOnly": True}
            for name, morsel in browser.cookies.items()
        ]
    )
    page.set_viewport_size({"width": 390, "height": 844})
    return page


def too_wide(page: Page, name: str) -> list[str]:
    """What does not fit on the phone."""
    shoot(page, f"long-{name}")
    page.set_viewport_size({"width": 390, "height": 844})
    if page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        return [f"{name}: {found}" for found in page.evaluate(TOO_WIDE)]
    return [f"{name}: the page", *(f"{name}: {found}" for found in page.evaluate(TOO_WIDE))]


def whole_card(gallery: Gallery) -> Card:
    """A card with such frames in the tray, and a slate."""
    now, when = timezone.now(), gallery.shoot.starts_at.replace(tzinfo=None)
    card = cards.open_card(
        location=gallery.shoot.booking.location, name=NAMES["long"][:120], by=WORKER, now=now
    )
    slate = photographed(codes.slate_text(gallery.shoot.code), when)
    data = [frame(None, shade=1), frame(None, shade=2), slate]
    for name, sent in zip(NAMES.values(), data, strict=True):
        upload = receiving.open_upload(card=card, name=name, size=len(sent), by=WORKER, now=now)
        receiving.append(upload_id=upload.pk, at=0, chunks=[sent], now=now)
    while jobs.work_next(now=now):
        pass
    cards.close(card_id=card.pk, by=WORKER, now=now)
    return card


def test_names_of_any_length_fit_on_a_phone(phone: Page, gallery: Gallery) -> None:
    card = whole_card(gallery)
    phone.goto(reverse("card", args=[card.public_id]))
    phone.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    expect(phone.get_by_role("button", name="This is a picture")).to_be_visible()
    found = too_wide(phone, "card")
    for name in ("cards", "frame_tray"):
        phone.goto(reverse(name))
        found += too_wide(phone, name)

    for name in ("cull", "choose_together", "wrong_booking", "choose_review"):
        phone.goto(reverse(name, args=[gallery.public_id]))
        found += too_wide(phone, name)
    (leak,) = leaks.hide(
        photo_ids=[gallery.photos.get(number=1).pk], words="W" * 200, by=WORKER, now=timezone.now()
    )
    phone.goto(reverse("leak", args=[leak.public_id]))
    assert found + too_wide(phone, "leak") == []


def test_a_list_of_uploads_with_such_names_fits_on_a_phone(phone: Page, gallery: Gallery) -> None:
    phone.goto(reverse("desk_gallery", args=[gallery.public_id]))
    phone.set_input_files(
        "[data-files]",
        [
            {
                "name": name,
                "mimeType": "image/jpeg",
                "buffer": b"" if name == NAMES["long"] else b"no picture",
            }
            for name in NAMES.values()
        ],
    )
    expect(phone.locator(".file.is-bad .file-reason")).to_contain_text("empty")
    expect(phone.locator("[data-rows] .file")).to_have_count(3)
    assert too_wide(phone, "uploads") == []


def test_a_frames_name_takes_two_lines_and_opens_by_key(phone: Page, gallery: Gallery, site: str) -> None:
    phone.goto(f"{site}{reverse('desk_gallery', args=[gallery.public_id])}")
    name = phone.get_by_text(NAMES["long"], exact=True)
    two_lines = name.evaluate("each => parseFloat(getComputedStyle(each).lineHeight) * 2 + 2")
    assert name.evaluate("each => each.getBoundingClientRect().height") <= two_lines
    name.locator("xpath=..").focus()
    phone.keyboard.press("Enter")
    expect(phone.locator("details.whole-name[open]")).to_have_count(1)
    assert name.evaluate("each => each.getBoundingClientRect().height") > two_lines


def test_a_name_from_right_to_left_leaves_the_code_beside_it_in_one_piece(phone: Page, site: str) -> None:
    voucher = vouchers.issue(
        amount=10000, currency="USD", recipient_name="Zoë مريم", recipient_email="zoe@client.example",
        reason="A gift", by=WORKER, now=timezone.now(),
    )  # fmt: skip
    Voucher.objects.filter(pk=voucher.pk).update(code="4UFJ-PV9F-SHJZ")
    phone.goto(f"{site}{reverse('desk_vouchers')}")
    line = phone.locator(".row-main", has_text="4UFJ-PV9F-SHJZ")
    name, code = (line.locator(tag).first.evaluate("e => [...e.getClientRects()].map(r => [r.left, r.right])")
                  for tag in ("strong", "small"))  # fmt: skip
    assert len(code) == 1  # else the first digit stands before the name, and the rest after it
    assert max(right for _left, right in name) <= code[0][0]


def test_an_extra_of_one_long_word_fits_on_a_phone(phone: Page, gallery: Gallery, site: str) -> None:
    booking = gallery.shoot.booking
    charges.add_extra(booking_id=booking.pk, label="W" * 120, amount=4000, by=WORKER, now=timezone.now())
    phone.goto(f"{site}{reverse('desk_booking', args=[booking.public_id])}")
    expect(phone.get_by_text("W" * 120).first).to_be_visible()
    assert too_wide(phone, "extra") == []
