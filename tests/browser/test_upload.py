"""Files in, as a photographer sees it: the drop, the total, the reasons, and what is left after a reload."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from django.db import connections
from django.test import Client as Browser
from django.utils import timezone
from PIL import Image
from playwright.sync_api import Page, Response, Route, expect

from galleries import jobs
from galleries.models import Gallery, Photo, PhotoFile, Upload
from studio.models import Role
from tests.browser.test_choosing import wait_until
from tests.galleries.imaging.files import dng
from tests.galleries.making import make_gallery, make_user, sign_in

PORTRAIT = Path(__file__).parent.parent / "portraits" / "grace_hopper.jpg"

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=timezone.now() - timedelta(minutes=20))


@pytest.fixture
def worker() -> Iterator[None]:
    """One images worker, in a thread."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            if not jobs.work_next(now=timezone.now()):
                stop.wait(0.1)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join(30)


@pytest.fixture
def desk(page: Page, gallery: Gallery) -> Page:
    """The gallery's page, open for a photographer."""
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER, name="Pat Example"))
    page.context.add_cookies(
        [
            {"name": name, "value": morsel.value, "domain": "localhost", "path": "/"}
            for name, morsel in browser.cookies.items()
        ]
    )
    page.goto(f"/desk/galleries/{gallery.public_id}/")
    return page


def frame(number: int, width: int = 900, height: int = 1200) -> bytes:
    buffer = BytesIO()
    with Image.open(PORTRAIT) as image:
        turned = image.convert("RGB").rotate(number % 5 - 2).resize((width, height))
    turned.save(buffer, "JPEG", quality=80 + number % 15)
    return buffer.getvalue()


def files(count: int, *, first: int = 1) -> list[dict[str, object]]:
    return [
        {"name": f"IMG_{number:04d}.JPG", "mimeType": "image/jpeg", "buffer": frame(number)}
        for number in range(first, first + count)
    ]


def shoot(page: Page, name: str) -> None:
    """Screenshots at phone and laptop width, where SHOTS names a folder."""
    if folder := os.environ.get("SHOTS"):
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)


def test_a_drop_is_received_checked_and_shown_without_a_reload(
    desk: Page, worker: None, gallery: Gallery
) -> None:
    shoot(desk, "gallery-empty")
    bad = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"shopping list"}
    empty = {"name": "IMG_0000.JPG", "mimeType": "image/jpeg", "buffer": b""}
    desk.set_input_files("[data-files]", [*files(6), bad, empty])
    expect(desk.locator("[data-total-files]")).to_have_text("8 of 8 files · 2 refused", timeout=30_000)
    expect(desk.locator("[data-frames] .picture")).to_have_count(6)
    expect(desk.locator("[data-count]")).to_have_text("6")
    reasons = desk.locator(".file.is-bad .file-reason").all_inner_texts()
    assert "The file is empty. Please send it again." in reasons
    assert any(reason.startswith("This is not a photo we can read.") for reason in reasons)
    images = desk.locator("[data-frames] img")
    desk.wait_for_function(
        "[...document.querySelectorAll('[data-frames] img')].every(i => i.complete && i.naturalWidth)"
    )
    assert images.count() == 6
    shoot(desk, "gallery-received")
    assert Photo.objects.count() == 6
    desk.set_input_files("[data-files]", files(2))  # the same bytes again
    expect(desk.locator("[data-total-files]")).to_contain_text("10 of 10 files", timeout=30_000)
    desk.reload()
    expect(desk.locator("[data-frames] .picture")).to_have_count(6)
    assert Photo.objects.count() == 6


def test_after_a_reload_only_what_is_missing_is_sent(desk: Page, worker: None, gallery: Gallery) -> None:
    sent: list[int] = []
    lost = [0]

    def lose_the_line(route: Route) -> None:
        if route.request.method == "PATCH":
            lost[0] += 1
            if lost[0] > 3:
                route.abort()
                return
        route.continue_()

    desk.route("**/uploads/*", lose_the_line)
    desk.set_input_files("[data-files]", files(6))
    expect(desk.locator("[data-frames] .picture")).to_have_count(3, timeout=30_000)
    expect(desk.locator(".file-state", has_text="Trying again").first).to_be_visible()
    # the studio has heard of all six, and none of the three goes through before the page is left
    wait_until(desk, lambda: Upload.objects.filter(status="receiving").count() == 3, "three are half there")
    shoot(desk, "gallery-lost-line")
    desk.on("dialog", lambda dialog: dialog.accept())
    desk.reload()
    desk.unroute("**/uploads/*")
    expect(desk.locator("[data-unfinished]")).to_contain_text("3 files have not arrived yet")
    desk.on("request", lambda request: sent.append(1) if request.method == "PATCH" else None)
    desk.set_input_files("[data-files]", files(6))
    expect(desk.locator("[data-total-files]")).to_contain_text("6 of 6 files", timeout=30_000)
    expect(desk.locator("[data-frames] .picture")).to_have_count(6)
    assert len(sent) == 3
    assert Photo.objects.count() == 6
    assert Upload.objects.filter(status="receiving").count() == 0


def test_after_a_reload_files_that_were_never_begun_are_named_too(
    desk: Page, worker: None, gallery: Gallery
) -> None:
    desk.route("**/uploads/", lambda route: route.abort())
    desk.set_input_files("[data-files]", files(6))
    expect(desk.locator(".file-state", has_text="Trying again").first).to_be_visible()
    assert Upload.objects.count() == 0
    desk.on("dialog", lambda dialog: dialog.accept())
    desk.reload()
    desk.unroute("**/uploads/")
    missing = desk.locator("[data-unfinished]")
    expect(missing).to_contain_text("6 files have not arrived yet")
    desk.get_by_text("Which ones").click()
    expect(desk.locator("[data-missing] li")).to_have_count(6)
    shoot(desk, "gallery-missing")
    desk.set_input_files("[data-files]", files(2))
    expect(missing).to_contain_text("4 files have not arrived yet")
    expect(desk.locator("[data-total-files]")).to_contain_text("2 of 2 files")
    desk.reload()
    expect(missing).to_contain_text("4 files have not arrived yet")
    desk.get_by_role("button", name="They are not needed any more").click()
    expect(missing).to_be_hidden()
    desk.reload()
    expect(desk.locator("[data-frames] .picture")).to_have_count(2)
    expect(missing).to_be_hidden()


def test_a_lost_answer_begins_no_file_twice(desk: Page, worker: None, gallery: Gallery) -> None:
    lost: list[str] = []

    def lose_the_answer(route: Route) -> None:
        if route.request.method == "POST" and len(lost) < 2:
            lost.append(route.request.url)
            route.fetch()  # the studio has it
            route.abort()  # the page never hears of it
        else:
            route.continue_()

    desk.route("**/uploads/", lose_the_answer)
    desk.set_input_files("[data-files]", files(4))
    expect(desk.locator("[data-total-files]")).to_contain_text("4 of 4 files")
    expect(desk.locator("[data-frames] .picture")).to_have_count(4)
    assert len(lost) == 2
    assert list(Upload.objects.values_list("status", flat=True)) == ["accepted"] * 4


def write_folder(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"IMG_{number:04d}.JPG").write_bytes(frame(number, 90 + number, 120))
    return folder


def wait_for(page: Page, seen: list[str], count: int) -> None:
    """Let the page go on until so many requests were seen."""
    until = time.monotonic() + 120
    while len(seen) < count and time.monotonic() < until:
        page.wait_for_timeout(20)
    assert len(seen) >= count


def send_through_trouble(desk: Page, folder: Path, count: int) -> None:
    """A folder is dropped; the network goes away twice, and in between the page is reloaded and asks for the folder."""
    desk.on("dialog", lambda dialog: dialog.accept())
    desk.route("**/uploads/*", _slowly)
    lost: list[str] = []
    desk.on(
        "requestfailed", lambda request: lost.append(request.method) if "/uploads/" in request.url else None
    )
    sent: list[str] = []
    desk.on("response", lambda answer: sent.append(answer.url) if _has_kept(answer) else None)
    desk.set_input_files("[data-folder]", folder)
    wait_for(desk, sent, count // 6)
    cut_the_network(desk, lost)
    wait_for(desk, sent, count // 3)
    desk.reload()
    desk.set_input_files("[data-folder]", folder)
    wait_for(desk, sent, count // 2)
    cut_the_network(desk, lost)
    expect(desk.locator("[data-total-files]")).to_contain_text(f"{count} of {count} files", timeout=300_000)
    assert Photo.objects.count() == count
    assert Upload.objects.filter(status="accepted", is_duplicate=False).count() == count
    assert Upload.objects.exclude(status="accepted").count() == 0
    assert Upload.objects.filter(is_duplicate=True).count() == 0
    assert len(sent) == len(set(sent)) > count // 2  # each fits one piece, and none was kept twice


def _has_kept(answer: Response) -> bool:
    return bool(answer.request.method == "PATCH" and answer.status == 204)


def _slowly(route: Route) -> None:
    time.sleep(0.1)  # small files on this machine would be through before anything can be cut
    route.continue_()


def cut_the_network(page: Page, lost: list[str]) -> None:
    before = len(lost)
    page.context.set_offline(True)
    wait_for(page, lost, before + 1)  # else nothing was on its way, and this would show nothing
    expect(page.locator("[data-total-left]")).to_have_text(
        "No connection. It goes on by itself.", timeout=20_000
    )
    page.context.set_offline(False)


def test_twelve_files_survive_two_cuts_and_a_reload(desk: Page, worker: None, tmp_path: Path) -> None:
    send_through_trouble(desk, write_folder(tmp_path / "card", 12), 12)


@pytest.mark.slow
def test_two_hundred_files_survive_two_cuts_and_a_reload(desk: Page, worker: None, tmp_path: Path) -> None:
    send_through_trouble(desk, write_folder(tmp_path / "card", 200), 200)


# --- previews first


def raw_file(folder: Path, number: int, *, sides: tuple[int, int] = (320, 240), noise: int = 25) -> Path:
    """A DNG with a JPEG of 1620 pixels in it, all bytes its own."""
    preview = BytesIO()
    Image.effect_noise((1620, 1080), noise).convert("RGB").save(
        preview, "JPEG", quality=60, comment=b"%d" % number
    )
    path = folder / f"DSC_{number:04d}.DNG"
    path.write_bytes(
        dng(*sides, preview=preview.getvalue(), taken=f"2026:11:16 09:{number // 60:02d}:{number % 60:02d}")
    )
    return path


def test_previews_of_raw_files_go_first_and_the_originals_take_their_places(
    desk: Page, worker: None, tmp_path: Path
) -> None:
    paths = [raw_file(tmp_path, number, sides=(1600, 1200)) for number in range(4)]
    desk.set_input_files("[data-files]", paths)
    expect(desk.locator("[data-total-files]")).to_contain_text("4 of 4 files", timeout=60_000)
    rows = Upload.objects.order_by("pk").values_list("purpose", "name")
    order = [(purpose, Path(name).stem) for purpose, name in rows]
    # Three ways lead out: the last preview may still be on its way when the first original begins.
    assert [purpose for purpose, _stem in order[:3]] == ["preview"] * 3
    for path in paths:
        assert order.index(("preview", path.stem)) < order.index(("frame", path.stem))
    assert len(order) == 8
    assert sorted(PhotoFile.objects.values_list("kind", flat=True)) == ["raw"] * 4
    assert Photo.objects.count() == 4
    expect(desk.locator("[data-frames] .picture")).to_have_count(4)


def test_only_originals_of_picks_are_sent_when_the_photographer_says_so(
    desk: Page, worker: None, tmp_path: Path
) -> None:
    paths = [raw_file(tmp_path, number, sides=(1600, 1200)) for number in range(4)]
    desk.evaluate("document.querySelector('[data-originals]').value = 'picks'")
    desk.set_input_files("[data-files]", paths)
    expect(desk.locator("[data-total-files]")).to_contain_text("4 originals stay on the card", timeout=60_000)
    expect(desk.locator("[data-frames] .picture")).to_have_count(4, timeout=30_000)
    shoot(desk, "gallery-originals")
    Photo.objects.filter(name="DSC_0002.DNG").update(is_recommended=True)
    expect(desk.locator("[data-total-files]")).to_contain_text("3 originals stay on the card", timeout=30_000)
    expect(desk.locator(".file.is-good .file-name", has_text="DSC_0002.DNG")).to_be_visible(timeout=30_000)
    assert list(PhotoFile.objects.filter(kind="raw").values_list("name", flat=True)) == ["DSC_0002.DNG"]


@pytest.mark.slow
def test_proofs_of_a_hundred_raw_files_in_three_minutes_on_twenty_megabits(
    desk: Page, worker: None, tmp_path: Path
) -> None:
    """100 files of 8 MB with previews of about 1 MB; the line is held to 20 Mbit/s by the browser itself."""
    paths = [raw_file(tmp_path, number, sides=(2400, 1600), noise=90) for number in range(100)]
    line = desk.context.new_cdp_session(desk)
    conditions = {
        "offline": False,
        "latency": 20,
        "downloadThroughput": 2_500_000,
        "uploadThroughput": 2_500_000,
    }
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", conditions)
    desk.evaluate("document.querySelector('[data-originals]').value = 'picks'")
    began = time.monotonic()
    desk.set_input_files("[data-files]", paths)
    expect(desk.locator("[data-count]")).to_have_text("100", timeout=400_000)
    took = time.monotonic() - began
    sent = sum(Upload.objects.values_list("size", flat=True))
    print(f"proofs of 100 RAW files ({sum(path.stat().st_size for path in paths) / 1e6:.0f} MB)", end=" ")
    print(f"after {took:.0f} s and {sent / 1e6:.0f} MB sent: the line alone needs {sent / 2.5e6:.0f} s")
    assert Photo.objects.exclude(renditions=None).count() == 100
    assert sent / 2_500_000 <= 120  # what is left of the three minutes is the worker's


def test_pause_stops_sending_and_go_on_finishes(desk: Page, worker: None, gallery: Gallery) -> None:
    desk.set_input_files("[data-files]", files(1))
    desk.get_by_role("button", name="Pause").click()
    desk.set_input_files("[data-files]", files(3, first=10))
    expect(desk.locator(".file-state", has_text="Paused").first).to_be_visible()
    count = Upload.objects.count()
    desk.wait_for_timeout(600)
    assert Upload.objects.count() == count
    desk.get_by_role("button", name="Go on").click()
    expect(desk.locator("[data-total-files]")).to_contain_text("4 of 4 files", timeout=30_000)
    assert Photo.objects.count() == 4


@pytest.mark.slow
def test_two_thousand_files_leave_the_page_responsive(desk: Page, gallery: Gallery) -> None:
    """No long task over 200 ms while 2,000 files are queued and three go out at a time."""
    desk.evaluate(
        """() => { window.longest = 0;
        const note = (list) => { for (const e of list.getEntries()) longest = Math.max(longest, e.duration); };
        new PerformanceObserver(note).observe({ type: "longtask" }); }"""
    )
    desk.evaluate(
        """() => { const data = new DataTransfer();
        const bytes = (n) => [new Uint8Array(2000).fill(n % 251), String(n)];
        for (let n = 0; n < 2000; n += 1) data.items.add(new File(bytes(n), `IMG_${n}.JPG`));
        document.querySelector("[data-files]").files = data.files; }"""
    )
    desk.wait_for_timeout(1000)  # the test's own making of 2,000 files is not the page's
    desk.evaluate("window.longest = 0")
    desk.evaluate("document.querySelector('[data-files]').dispatchEvent(new Event('change'))")
    expect(desk.locator("[data-total-files]")).to_contain_text("of 2000 files")
    desk.wait_for_timeout(4000)
    assert desk.locator("[data-rows] > li").count() <= 60
    assert desk.evaluate("longest") <= 200
    assert Upload.objects.count() > 10
    desk.get_by_role("button", name="Pause").click()


def test_a_plain_form_works_without_scripts(browser, site: str, gallery: Gallery, worker: None) -> None:
    session = Browser()
    sign_in(session, make_user(Role.PHOTOGRAPHER))
    context = browser.new_context(base_url=site, java_script_enabled=False)
    context.add_cookies(
        [
            {"name": name, "value": morsel.value, "domain": "localhost", "path": "/"}
            for name, morsel in session.cookies.items()
        ]
    )
    page = context.new_page()
    page.goto(f"/desk/galleries/{gallery.public_id}/")
    page.set_input_files(
        "[data-plain]", [*files(2), {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""}]
    )
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("2 files arrived and are being checked.")).to_be_visible()
    expect(page.get_by_text("empty.jpg: The file is empty.")).to_be_visible()
    shoot(page, "gallery-plain")
    context.close()
    assert Upload.objects.exclude(status="refused").count() == 2
