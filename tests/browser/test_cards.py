"""A whole card in the browser: dropped, sorted by its slates, the rest in the tray; slates, the clock, a leak."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.utils import timezone
from playwright.sync_api import Page, expect

from galleries import codes
from galleries.models import Card, Gallery, Photo
from studio import credentials
from studio.models import Role
from tests.browser.test_upload import shoot, worker
from tests.galleries.making import make_client, make_gallery, make_shoot, make_user, sign_in
from tests.galleries.slating import frame, photographed

assert worker  # the fixture

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def two(transactional_db: None, media_storage: Path) -> list[Gallery]:
    """Two sessions of today at one place."""
    now = timezone.now()
    first = make_shoot(
        now=now, starts_at=now - timedelta(hours=3), client=make_client(now=now, name="Ana Example")
    )
    place, kind = first.booking.location, first.booking.session_type
    bea = make_client(now=now, name="Bea Longname-Hutchinson of Example")
    second = make_shoot(
        now=now, location=place, session_type=kind, starts_at=now - timedelta(hours=1), client=bea
    )
    return [make_gallery(now=now, shoot=first), make_gallery(now=now, shoot=second)]


@pytest.fixture
def desk(page: Page, two: list[Gallery]) -> Page:
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER, name="Pat Example"))
    page.context.add_cookies(
        [
            {"name": name, "value": morsel.value, "domain": "localhost", "path": "/"}
            for name, morsel in browser.cookies.items()
        ]
    )
    return page


def files(two: list[Gallery]) -> list[dict[str, object]]:
    start = two[0].shoot.starts_at.replace(tzinfo=None)

    def at(minutes: int):
        return start + timedelta(minutes=minutes)

    ana, bea = (codes.slate_text(gallery.shoot.code) for gallery in two)
    data = [
        frame(at(-20), shade=1),
        photographed(ana, at(0), turn=12),
        frame(at(2), shade=2),
        frame(at(3), shade=3),
        photographed(bea, at(121), share=0.2),
        frame(at(122), shade=4),
        frame(None, shade=5),
    ]
    return [
        {"name": f"DSC_{number:04d}.JPG", "mimeType": "image/jpeg", "buffer": bytes_}
        for number, bytes_ in enumerate(data)
    ]


def test_a_card_is_dropped_sorted_and_its_tray_emptied(desk: Page, worker: None, two: list[Gallery]) -> None:
    desk.goto("/desk/cards/")
    shoot(desk, "cards-empty")
    desk.get_by_role("button", name="Begin with a card").click()
    expect(desk.get_by_role("heading", name="A whole card")).to_be_visible()
    desk.set_input_files("[data-files]", files(two))
    expect(desk.locator("[data-total-files]")).to_contain_text("7 of 7 files", timeout=60_000)
    expect(desk.locator("[data-total-files]")).to_contain_text("2 in the tray")
    expect(desk.locator("[data-card-state]")).to_contain_text("Ana Example")
    expect(desk.locator("[data-card-state]")).to_contain_text("2 slates and clocks were filed away")
    shoot(desk, "card-sorted")
    desk.get_by_role("link", name="Frames wait in the tray: show them").click()
    expect(desk.get_by_role("heading", name="Tray 2")).to_be_visible()
    desk.go_back()
    desk.reload()
    tray = desk.locator("#tray")
    expect(tray).to_contain_text("It was taken before the first slate of this card.")
    expect(tray).to_contain_text("The camera wrote no time into it.")
    desk.wait_for_function(
        "[...document.querySelectorAll('#tray img')].every(i => i.complete && i.naturalWidth)"
    )
    shoot(desk, "card-tray")
    desk.goto("/desk/tray/")
    shoot(desk, "tray")
    desk.get_by_role("button", name=re.compile("^To Ana Example")).first.click()
    expect(desk.get_by_text(f"1 file went to {two[0].shoot.code}.")).to_be_visible()
    desk.get_by_role("button", name="Leave out").first.click()
    expect(desk.get_by_role("heading", name="The tray is empty")).to_be_visible()
    shoot(desk, "tray-empty")
    desk.goto("/desk/cards/")
    shoot(desk, "cards")
    card = Card.objects.get()
    assert card.closed_at is not None and card.expected == 7
    desk.goto(f"/desk/galleries/{two[0].public_id}/")
    expect(desk.locator("[data-frames] .picture")).to_have_count(3, timeout=30_000)


def test_slates_and_the_clock_are_shown_to_be_photographed(desk: Page, two: list[Gallery]) -> None:
    day = f"{two[1].shoot.starts_at:%Y-%m-%d}"
    desk.goto(f"/desk/slates/?day={day}")
    expect(desk.locator(".slate-sheet").first).to_be_visible()
    shoot(desk, "slates")
    desk.emulate_media(media="print")
    shoot(desk, "slates-print")
    desk.emulate_media(media="screen")
    desk.goto(f"/desk/slates/{two[1].shoot.public_id}/")
    expect(desk.locator("svg.qr")).to_be_visible()
    shoot(desk, "slate")
    desk.goto("/desk/clock/")
    shown = desk.locator(".clock-time").inner_text()
    expect(desk.locator(".clock-time")).not_to_have_text(shown, timeout=10_000)  # it runs
    desk.get_by_role("combobox", name="Camera").fill("NIKON Z 6")
    desk.get_by_label("Add to its time").fill("an hour or so")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("Write the difference as hours and minutes")).to_be_visible()
    desk.get_by_role("combobox", name="Camera").fill("NIKON Z 6")
    desk.get_by_label("Add to its time").fill("-1:00")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("NIKON Z 6: -1:00:00 is added to its times from now on.")).to_be_visible()
    shoot(desk, "clock")
    assert codes.read([codes.slate_text("ABC123")]) == ([codes.Slate("ABC123")], [])


def test_a_leak_is_walked_through_on_the_desk(desk: Page, worker: None, two: list[Gallery]) -> None:
    desk.goto(f"/desk/galleries/{two[0].public_id}/")
    frames = [row for row in files(two) if row["name"] in ("DSC_0002.JPG", "DSC_0003.JPG", "DSC_0005.JPG")]
    desk.set_input_files("[data-files]", frames)
    expect(desk.locator("[data-frames] .picture")).to_have_count(3, timeout=60_000)
    Photo.objects.filter(number__in=[1, 2]).update(is_published=True)
    given = credentials.grant(
        scope="gallery", target=two[0].public_id, now=timezone.now(), holder_label="Ana Example"
    ).credential
    given.last_used_at = timezone.now()
    given.save()
    desk.reload()
    desk.get_by_role("link", name="A frame is in the wrong booking").click()
    shoot(desk, "wrong-booking")
    name = Photo.objects.get(number=2).name
    desk.get_by_label(name).check()
    desk.get_by_label("What happened").fill("two cards were mixed up")
    desk.get_by_role("button", name="Hide at once").click()
    expect(desk.get_by_text("Could see it", exact=True)).to_be_visible()
    desk.get_by_label("It belongs to").select_option(two[1].public_id)
    desk.get_by_role("button", name="Move it there").click()
    expect(desk.get_by_text("Moved to Bea")).to_be_visible()
    shoot(desk, "leak")
    desk.get_by_role("button", name="Send").first.click()
    expect(desk.get_by_text("The message is on its way, and kept here word for word.")).to_be_visible()
    desk.get_by_label("How it ended").fill("Both were told; nobody had saved it.")
    desk.get_by_role("button", name="Close the record").click()
    expect(desk.get_by_text("The record is closed.")).to_be_visible()
    shoot(desk, "leak-closed")
    assert Photo.objects.get(name=name).gallery == two[1]
