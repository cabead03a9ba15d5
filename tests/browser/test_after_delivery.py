"""What a client sees when a link ends during a download, when the pictures' time is over, and after a change."""

import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from galleries import delivery, downloads, farewells
from galleries.models import Download, Gallery, Retouch
from studio import credentials
from studio.actors import WORKER
from tests.galleries.finals import approve, in_retouching, make_finals, make_version, pay
from tests.galleries.making import make_gallery

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gallery(page: Page, site: str, media_storage: Path) -> Gallery:
    """Two pictures delivered, and open in the browser."""
    now = timezone.now()
    made = make_gallery(now=now)
    pay(made, 20000, now=now)
    for retouch in in_retouching(made, now=now):
        approve(retouch, now=now, size=2_000_000)
    delivery.finals_made(gallery_id=made.pk, now=now)
    sitter = made.shoot.sitter
    assert sitter is not None
    link = credentials.grant(
        scope="gallery", target=made.public_id, now=now, holder_id=sitter.pk, holder_label=str(sitter)
    )
    page.goto(link.url)
    return Gallery.objects.get(pk=made.pk)


def test_a_link_revoked_in_the_middle_ends_the_download_and_says_how_to_go_on(
    page: Page, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def revoked_meanwhile(credential_id: int) -> Callable[[], bool]:
        asked, times = still_open(credential_id), count(1)

        def ask() -> bool:
            if next(times) <= 3:  # some of it must have come, or the browser knows of no download
                return True
            begun.wait(60)
            credentials.revoke(scope="gallery", target=gallery.public_id, now=timezone.now())
            return asked()

        return ask

    begun, still_open = threading.Event(), downloads.still_open
    monkeypatch.setattr(downloads, "still_open", revoked_meanwhile)
    monkeypatch.setattr(downloads, "ASK_AGAIN_SECONDS", 0.0)
    with page.expect_download() as caught:
        page.get_by_role("link", name="All sizes").click()
    begun.set()
    for _try in range(600):
        if Download.objects.filter(bytes_sent__gt=0).exists():
            break  # the answer has ended, and how far it came is written down
        page.wait_for_timeout(100)
    caught.value.cancel()  # a browser may keep a cut download open for ever, to go on with it
    assert caught.value.failure()  # it says so: it is no whole file
    record = Download.objects.get()
    assert (record.is_complete, record.bytes_sent < 16_000_000) == (False, True)
    page.reload()
    expect(page.get_by_role("heading", name="This link does not open anything.")).to_be_visible()
    page.get_by_label("Your e-mail").fill("ada@example.test")
    page.get_by_role("button", name="Mail me a new link").click()
    expect(page.get_by_role("heading", name="Thank you. Please look into your mail.")).to_be_visible()


GOES_ON = """async ([address, have]) => {
  const whole = new Uint8Array(await (await fetch(address)).arrayBuffer());
  const first = await fetch(address, { headers: { Range: `bytes=0-${have - 1}` } });
  const etag = first.headers.get("ETag");
  const begun = new Uint8Array(await first.arrayBuffer());
  const rest = await fetch(address, { headers: { Range: `bytes=${have}-`, "If-Range": etag } });
  const ended = new Uint8Array(await rest.arrayBuffer());
  const joined = new Uint8Array([...begun, ...ended]);
  const stale = await fetch(address, { headers: { Range: `bytes=${have}-`, "If-Range": '"another"' } });
  return {
    statuses: [first.status, rest.status, stale.status],
    same: joined.length === whole.length && joined.every((byte, at) => byte === whole[at]),
  };
}"""


def test_a_download_that_was_cut_goes_on_from_any_byte(page: Page, gallery: Gallery) -> None:
    """What a browser asks when the line comes back; of an archive that is another by then, it gets the whole."""
    address = f"/gallery/{gallery.public_id}/zip/square"
    for have in (1, 1_234_567, 3_999_999):
        found = page.evaluate(GOES_ON, [address, have])
        assert found == {"statuses": [206, 206, 200], "same": True}


def test_a_picture_opens_over_the_whole_screen_by_keyboard(page: Page, gallery: Gallery) -> None:
    grid = page.get_by_role("navigation", name="All pictures")
    expect(grid.get_by_role("link")).to_have_count(2)
    screen = page.locator("dialog#full-screen")
    expect(screen).to_have_attribute("data-ready", "")
    page.locator("[data-full-screen]").first.focus()
    page.keyboard.press("Enter")
    expect(screen.get_by_role("status")).to_have_text("Picture 1 of 2")
    page.keyboard.press("ArrowRight")
    expect(screen.get_by_role("status")).to_have_text("Picture 2 of 2")
    expect(screen.get_by_role("button", name="Next picture")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(screen).to_be_hidden()
    expect(page.locator("[data-full-screen]").last).to_be_focused()


def test_somebody_it_was_shared_with_reads_what_they_may(
    browser: Browser, gallery: Gallery, site: str
) -> None:
    link = credentials.grant(
        scope="gallery",
        target=gallery.public_id,
        now=timezone.now(),
        holder_label="Ana",
        holder_email="ana@agency.test",
    )
    theirs = browser.new_context(base_url=site, locale="en-GB")  # another person, another browser
    page = theirs.new_page()
    page.goto(link.url)
    expect(page.get_by_role("heading", name="Pictures of Ada Example")).to_be_visible()
    expect(page.get_by_text("Ask for a change")).to_have_count(0)
    Gallery.objects.filter(pk=gallery.pk).update(finals_expire_at=timezone.now() - timedelta(days=1))
    page.reload()
    expect(page.get_by_role("heading", name="These pictures are not here now")).to_be_visible()
    expect(page.get_by_role("button", name="Bring them back")).to_have_count(0)
    theirs.close()


def test_what_was_erased_says_so_and_whom_to_ask(
    page: Page, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gallery.objects.filter(pk=gallery.pk).update(finals_expire_at=timezone.now() - timedelta(days=60))
    monkeypatch.setattr(farewells, "is_gone", lambda _gallery: True)
    page.reload()
    expect(page.get_by_role("heading", name="These pictures are erased")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("link", name="hello@example.test")).to_be_visible()
    expect(page.get_by_role("button", name="Bring them back")).to_have_count(0)


def test_pictures_whose_time_is_over_come_back_with_one_tap(page: Page, gallery: Gallery) -> None:
    Gallery.objects.filter(pk=gallery.pk).update(finals_expire_at=timezone.now() - timedelta(days=1))
    page.reload()
    expect(page.get_by_role("heading", name="These pictures are put away")).to_be_visible()
    page.get_by_role("button", name="Bring them back").click()
    expect(page.get_by_text("Your pictures stay another year.")).to_be_visible()
    expect(page.get_by_role("heading", name="Picture 2")).to_be_visible()


def test_after_a_change_the_page_says_what_changed_and_keeps_what_was(page: Page, gallery: Gallery) -> None:
    now = timezone.now()
    delivery.reopen(gallery_id=gallery.pk, by=WORKER, now=now)
    page.reload()
    expect(page.get_by_text("The change you asked for is in work")).to_be_visible()
    last = gallery.retouches.order_by("pk").last()
    assert last is not None
    version = make_version(last, now=now)
    make_finals(version, now=now)
    Retouch.objects.filter(pk=last.pk).update(approved_version=version)
    delivery.finals_made(gallery_id=gallery.pk, now=now)
    page.reload()
    expect(page.get_by_text("Picture 2 was changed and delivered again")).to_be_visible()
    page.get_by_text("Before the change: kept until").click()
    with page.expect_download() as caught:
        page.locator("details.more").get_by_role("link", name="Download").first.click()
    assert caught.value.failure() is None
    assert caught.value.path().stat().st_size == 2_000_000
