"""One client, one photographer: five of sixty on a phone, one paid for, a change with a pin, the second version.

The photographer's side is done with the keyboard. Photos are rows with small pictures; only what is picked has pixels.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from PIL import Image
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from bookings import payments
from devtools.stripe_server import StripeControl
from galleries import jobs, proofing, renditions
from galleries.imaging.recipes import GRID, PROOF, THUMB
from galleries.models import Gallery, Note, Photo, Rendition
from galleries.statuses import GalleryStatus, RetouchStatus
from studio import credentials, storage
from studio.models import Role
from tests.browser.test_choosing import PHONE, wait_until
from tests.galleries.framing import ANA, store_original
from tests.galleries.making import make_gallery, make_session_type, make_shoot, make_user, sign_in
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PICKED = (3, 8, 21, 34, 60)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path, now: datetime, tmp_path: Path) -> Gallery:
    """Sixty proofs are out; four finals are included and paid, one more is 45; the client looks first."""
    kind = make_session_type(finals_included=4)
    gallery = make_gallery(
        now=now,
        shoot=make_shoot(now=now, session_type=kind),
        clock_started_at=now - timedelta(hours=1),
        client_looks_first=True,
        extra_final_price=4500,
    )
    price = gallery.shoot.booking.price
    payments.record_by_staff(
        booking_id=gallery.shoot.booking_id, method="cash", amount=price, by=ANA, now=now
    )
    small = tmp_path / "small.jpg"
    Image.open(GRACE_HOPPER).convert("RGB").resize((160, 188)).save(small, quality=60)
    photos = Photo.objects.bulk_create(
        Photo(
            gallery=gallery,
            number=number,
            name=f"IMG_{number:04d}.JPG",
            width=512,
            height=600,
            dominant_colour="#806a58",
            is_recommended=number % 7 == 0,
            rating=1,
            accepted_at=now,
        )
        for number in range(1, 61)
    )
    views = (_view(photo, recipe, small, now) for photo in photos for recipe in (THUMB, GRID, PROOF))
    Rendition.objects.bulk_create(views)
    for photo in photos:
        if photo.number in PICKED:
            path = (GRACE_HOPPER, EILEEN_COLLINS)[photo.number % 2]
            store_original(photo, now=now, path=path)
            photo.renditions.all().delete()
            renditions.ensure(photo=photo, recipes=renditions.wanted_by(gallery), now=now)
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=now, is_sure=True)
    gallery.jobs.all().delete()  # the others have no pixels to make anything from
    return gallery


def _view(photo: Photo, recipe: object, path: Path, now: datetime) -> Rendition:
    key = storage.random_key(f"s{photo.gallery.shoot.public_id}/p{photo.public_id}", ".jpg")
    kept = storage.put(storage.derived(), key, ContentFile(path.read_bytes()))
    return Rendition(
        photo=photo,
        recipe=recipe.name,  # type: ignore[attr-defined]
        recipe_version=1,
        digest="",
        key=key,
        width=160,
        height=188,
        size=kept.size,
        sha256=kept.sha256,
        crc32=kept.crc32,
        made_at=now,
    )


@pytest.fixture
def phone(page: Page, gallery: Gallery, now: datetime) -> Page:
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
def desk(browser: Chromium, site: str, gallery: Gallery) -> Iterator[Page]:
    """The photographer's window, beside the client's."""
    signed_in = Browser()
    sign_in(signed_in, make_user(Role.PHOTOGRAPHER, name="Pat Example"))
    context = browser.new_context(base_url=site, locale="en-GB")
    context.add_cookies(
        [
            {"name": name, "value": morsel.value, "domain": "localhost", "path": "/"}
            for name, morsel in signed_in.cookies.items()
        ]
    )
    window = context.new_page()
    window.set_viewport_size({"width": 1440, "height": 900})
    yield window
    context.close()


def work() -> None:
    while jobs.work_next(now=timezone.now() + timedelta(seconds=5)):
        pass


def test_five_of_sixty_one_paid_one_changed_and_the_second_version_delivered(
    phone: Page, desk: Page, gallery: Gallery, stripe: StripeControl, site: str
) -> None:
    # --- the client picks five of sixty on a phone
    phone.goto(reverse("gallery", args=[gallery.public_id]) + "?show=all")
    expect(phone.locator(".picture")).to_have_count(60)
    for number in PICKED:
        phone.get_by_role("button", name=f"Choose picture {number}", exact=True).click()
    expect(phone.locator("[data-count-words]")).to_have_text("4 included + 1 extra")
    expect(phone.locator("[data-sentence]")).to_contain_text("£45 each")
    expect(phone.locator("[data-saving-words]")).to_have_text("Saved")

    # --- pays one extra, and that sends it
    phone.get_by_role("link", name="I'm done").click()
    phone.get_by_role("button", name="Pay £45 and send").click()
    phone.locator("button.pay").click()
    expect(phone.get_by_role("heading", level=1)).to_contain_text("the bank is confirming")
    payments.reconcile(now=timezone.now())
    expect(phone.get_by_role("heading", level=1)).to_contain_text("We have your selection")
    gallery.refresh_from_db()
    assert (gallery.status, gallery.picks.count(), gallery.finals_extra) == (GalleryStatus.RETOUCHING, 5, 1)

    # --- the photographer shows all five, by keyboard alone
    work()
    first = gallery.retouches.order_by("id")[0]
    desk.goto(reverse("desk_retouch", args=[first.public_id]))
    for shown in range(1, 6):
        expect(desk.locator("h1")).to_contain_text(f"{shown} of 5")
        desk.wait_for_load_state("load")  # the keys are listened to
        desk.keyboard.press("a")
        wait_until(
            desk,
            lambda shown=shown: gallery.retouches.filter(status=RetouchStatus.IN_REVIEW).count() == shown,
            f"{shown} shown",
        )
    expect(desk.get_by_role("heading", level=1)).to_have_text("Retouching")

    # --- the client asks for a change with a pin, and likes the others
    phone.goto(reverse("gallery", args=[gallery.public_id]))
    expect(phone.get_by_role("heading", level=1)).to_contain_text("please have a look")
    for _liked in range(4):
        phone.get_by_role("button", name="Yes, finish it like this").last.click()
        expect(phone.get_by_text("We finish this picture as you saw it")).to_be_visible()
    phone.get_by_role("link", name="Change something").click()
    expect(phone.get_by_role("button", name="Add a pin")).to_be_visible()  # the picture takes pins by now
    phone.locator("[data-picture]").click(position={"x": 100, "y": 120})
    phone.keyboard.type("softer <b>here</b>")
    phone.get_by_role("button", name="Send to the studio").click()
    expect(phone.get_by_text("We have your words")).to_be_visible()
    note = Note.objects.get(is_change_request=True)
    changed = gallery.retouches.get(status=RetouchStatus.CHANGE_ASKED)
    assert note.version == changed.shown_version

    # --- the photographer makes a second version by keyboard and shows it
    desk.goto(reverse("desk_retouch", args=[changed.public_id]))
    expect(desk.get_by_text("softer <b>here</b>")).to_be_visible()
    desk.keyboard.press("s")
    for _step in range(4):
        desk.keyboard.press("ArrowLeft")
    desk.get_by_role("button", name="Make this version").focus()
    desk.keyboard.press("Enter")
    desk.wait_for_load_state()
    work()
    expect(desk.locator(".versions > li")).to_have_count(2)
    desk.goto(reverse("desk_retouch", args=[changed.public_id]))  # no news can turn the page under the key
    desk.keyboard.press("a")
    wait_until(
        desk,
        lambda: gallery.retouches.filter(shown_version__number=2).exists(),
        "the second version is shown",
    )

    # --- the client approves it, and everything is delivered
    phone.goto(reverse("gallery", args=[gallery.public_id]))
    phone.get_by_role("button", name="Yes, finish it like this").click()
    expect(phone.get_by_text("We finish this picture as you saw it")).to_be_visible()
    work()
    gallery.refresh_from_db()
    changed.refresh_from_db()
    assert changed.approved_version is not None
    assert (gallery.status, changed.approved_version.number) == (GalleryStatus.DELIVERED, 2)
    assert gallery.deliveries.get().files.count() == 5 * 4
    assert payments.balance(gallery.shoot.booking).due == 0
