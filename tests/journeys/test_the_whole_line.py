"""The whole line once, for real: book, shoot, upload, choose, retouch, approve, deliver in time, download.

Two clients and a photographer in browser windows; gunicorn, both Celery workers and beat as in production; Stripe's
test server with its webhooks; mail by SMTP. Nothing is played, and no function of the product is called in their
place but one: the photographer moves a session to today.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from bookings.models import Booking, Consent, Payment, Shoot
from galleries import renditions
from galleries.models import DeliveredFile, Gallery, Job, JobKind, PhotoFile, Rendition, Upload
from studio import storage
from studio.models import Message
from tests.journeys import booking as client
from tests.journeys import card, desk
from tests.journeys.booking import Person
from tests.journeys.fleet import PATIENCE, wait_until, whole_studio
from tests.journeys.mailbox import link_in, text_of
from tests.journeys.story import Story
from tests.journeys.town import found_studio, let_it_be_today, promised
from tests.journeys.windows import LAPTOP, PHONE, windows

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NORA = Person("Nora Whitfield", "nora@client.example", "+1 718 555 0199")
OMAR = Person("Omar Haddad", "omar@client.example", "+1 718 555 0177")


def test_two_clients_from_the_first_page_to_the_last_file(
    browser: Browser, tmp_path: Path, settings: "Settings"
) -> None:
    use_store(settings, tmp_path / "media")
    with whole_studio(tmp_path) as fleet, windows(browser, fleet.site) as opened:
        story = Story(fleet, opened, found_studio(datetime.now(UTC)), tmp_path)
        photographer = desk.sign_in_for_the_first_time(story)
        nora = book_with_make_up(story)
        nora_is_photographed_and_chooses_in_the_studio(story, photographer, nora)
        retouch_nora(story, photographer, nora)
        nora_downloads(story, nora)
        omar = omar_books(story)
        omar_is_photographed(story, photographer, omar)
        omar_chooses_at_home(story, photographer, omar)
        omar_gets_his_picture(story, photographer, omar)
        nothing_is_broken(story)
        assert opened.complaints == []


def use_store(settings: "Settings", folder: Path) -> None:
    """The test looks into the same store as the processes."""
    settings.STORAGE_URL, settings.MEDIA_ROOT = f"file://{folder}", str(folder)
    settings.STORAGES = settings.STORAGES | storage.storages_from_url(settings.STORAGE_URL, folder)


# --- 1. the client books


def book_with_make_up(story: Story) -> Booking:
    page = story.windows.open(PHONE)
    page.goto("/")
    story.look(page, "front")
    client.open_session(page, "Signature")
    busy = client.keep_artists_busy(story, client.days_offered(story, page))
    client.add(page, "Make-up")
    offered = client.days_offered(story, page)
    assert not set(busy) & set(offered), "make-up is offered on a day without an artist"
    story.look(page, "times")
    rival = story.windows.open(LAPTOP)
    rival.goto(page.url)
    starts_at = client.hold_first(page)
    client.find_it_taken(story, rival, starts_at)
    client.give_details(story, page, NORA, name="details")
    story.look(page, "payment")
    client.pay_with_test_card(story, page, NORA)
    story.look(page, "confirmed")

    booking = Booking.objects.get(starts_at=starts_at)
    shoot = booking.shoots.get()
    assert shoot.starts_at >= starts_at + timedelta(minutes=45), "make-up comes before the camera"
    assert {claim.resource.name for claim in booking.claims.select_related("resource")} >= {"Ana Duarte"}
    assert booking.claims.count() == 4
    assert Payment.objects.get().amount == booking.due_now == booking.price // 2
    client.find_dead_links_alike(story, booking)
    nora_prepares(story, booking)
    return booking


def nora_prepares(story: Story, booking: Booking) -> None:
    """By the private link: what worries her, and one consent given and taken back."""
    page = client.open_link(story, client.confirmation_of(story, booking, NORA))
    page.get_by_label("I freeze in front of a camera").check()
    page.get_by_label("Anything else").fill("My last picture was taken at a wedding.")
    page.get_by_role("button", name="Tell the photographer").click()
    expect(page.get_by_text("Only your photographer reads this.")).to_be_visible()
    for is_given in (True, False):
        page.locator("#consents input[type=checkbox]").first.set_checked(is_given)
        page.get_by_role("button", name="Save my answers").click()
        expect(page.get_by_text("Saved. You can change this at any time.")).to_be_visible()
    answers = Consent.objects.filter(shoot__booking=booking).order_by("pk")
    assert [answer.is_given for answer in answers if answer.purpose == answers[0].purpose][-2:] == [
        True,
        False,
    ]
    story.look(page, "private-page")
    page.get_by_role("link", name="Move", exact=True).click()
    expect(page.get_by_role("heading", name="Another time")).to_be_visible()
    story.look(page, "move")
    page.get_by_role("link", name="Your session").click()
    page.get_by_role("link", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="Cancel it?")).to_be_visible()
    story.look(page, "cancel")
    page.context.close()


# --- 2. the photographer's day


def nora_is_photographed_and_chooses_in_the_studio(story: Story, page: Page, booking: Booking) -> None:
    inbox = story.folder / "inbox"
    inbox.mkdir()
    watch = story.fleet.manage("watch", str(inbox), "--room", "Room 1")
    let_it_be_today(booking, owner=story.seed.rows["ana"])
    page.goto("/desk/")
    story.look(page, "desk")
    desk.check_in(story, page, NORA.name)
    desk.open_booking(page, booking)
    page.get_by_role("link", name="For me only").click()
    expect(page.get_by_text("My last picture was taken at a wedding.")).to_be_visible()
    story.look(page, "for-me-only")
    desk.open_booking(page, booking)
    desk.write_down_payment(page, "Card terminal")
    story.look(page, "desk-booking")

    gallery = Gallery.objects.get(shoot__booking=booking)
    desk.open_gallery(page, gallery)
    story.look(page, "desk-gallery-empty")
    cards = story.folder / "card"
    cards.mkdir()
    sent = [
        card.frame(cards / "NL_0001.JPG"),
        card.frame(cards / "NL_0002.JPG", card.EILEEN_COLLINS),
        card.frame(cards / "NL_0003.JPG", card.EILEEN_COLLINS, brightness=1.06),
        card.large_frame(cards / "NL_0004.JPG"),
    ]
    desk.choose_files(page, sent[:2])
    expect(desk.frames_on_page(page)).to_have_count(2)
    notes = cards / "notes.txt"
    notes.write_text("shopping list")
    for path, count in ((sent[2], 3), (notes, 3), (sent[3], 4)):
        (inbox / path.name).write_bytes(path.read_bytes())
        expect(desk.frames_on_page(page)).to_have_count(count)
    refused = wait_until(
        "the refusal", lambda: Upload.objects.filter(gallery=gallery, status="refused").first()
    )
    assert refused is not None
    assert (refused.name, refused.refusal[:32]) == ("notes.txt", "This is not a photo we can read.")
    assert refused.refusal in story.fleet.said(watch)
    wait_until("the folder is empty", lambda: [path.name for path in inbox.iterdir() if path.is_file()] == [])
    watch.stop()
    page.reload()
    expect(page.get_by_text(refused.refusal)).to_be_visible()
    story.look(page, "desk-gallery")
    originals_are_what_was_sent(gallery, sent)
    choose_together(story, page, gallery)

    before = datetime.now(UTC)
    desk.open_booking(page, booking)
    desk.complete(page)
    shoot = Shoot.objects.get(booking=booking)
    assert shoot.completed_at is not None
    assert before <= shoot.completed_at <= datetime.now(UTC)
    gallery.refresh_from_db()
    assert gallery.deliver_by == promised(shoot.completed_at, booking.location)


def originals_are_what_was_sent(gallery: Gallery, sent: list[Path]) -> None:
    """Byte for byte: what stands in the store is what the camera wrote."""
    files = {file.name: file for file in PhotoFile.objects.filter(gallery=gallery)}
    assert set(files) == {path.name for path in sent}
    for path in sent:
        stored = storage.fingerprint(storage.originals(), files[path.name].key)
        assert stored.sha256 == files[path.name].sha256 == card.sha256(path)


def choose_together(story: Story, page: Page, gallery: Gallery) -> None:
    """On the big screen, by keys: marks, two side by side, two picks. Nothing pauses."""
    page.get_by_role("link", name="Choose together").click()
    expect(page.locator(".viewer-strip a")).to_have_count(4)
    page.wait_for_load_state()  # before its script has run the page hears no keys
    page.keyboard.press("Home")
    page.keyboard.press("x")
    for key in ("ArrowRight", "r", "4"):
        page.keyboard.press(key)
    page.keyboard.press("c")
    expect(page.locator(".viewer-stage figure:visible")).to_have_count(2)
    story.look(page, "choose-compare")
    page.keyboard.press("c")
    page.keyboard.press("p")
    expect(page.locator("[data-count-words]")).to_have_text("1 of 2 included")
    page.keyboard.press("End")
    page.keyboard.press("p")
    expect(page.locator("[data-count-words]")).to_have_text("2 of 2 included")
    expect(page.locator("[data-saving-words]")).to_have_text(re.compile("Saved|^$"))
    story.look(page, "choose")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/review/"))
    story.look(page, "choose-review")
    desk.send_selection(story, page)
    first, second, _third, last = gallery.photos.order_by("number")
    assert first.is_rejected
    assert (second.is_recommended, second.rating, last.name) == (True, 4, "NL_0004.JPG")
    assert list(gallery.picks.order_by("picked_at").values_list("photo", flat=True)) == [second.pk, last.pk]
    assert gallery.pauses.count() == 0


# --- 3. the retouch desk


def retouch_nora(story: Story, page: Page, booking: Booking) -> None:
    gallery = Gallery.objects.get(shoot__booking=booking)
    first, second = gallery.retouches.order_by("pick__picked_at")
    page.goto("/desk/retouching/")
    story.look(page, "retouch-queue")
    desk.open_retouch(page, first)
    story.look(page, "retouch")
    desk.accept(page)
    desk.open_retouch(page, second)
    desk.set_strength(page, "Skin", "0.4")
    expect(page.locator(".versions li")).to_have_count(2)
    desk.open_retouch(page, second)
    story.look(page, "retouch-adjusted")
    desk.accept(page)
    desk.delivered(gallery)
    assert gallery.was_on_time
    second.refresh_from_db()
    assert second.approved_version is not None
    assert second.approved_version.number == 2
    page.goto("/desk/promises/")
    story.look(page, "promises")


# --- 4. the client downloads


def nora_downloads(story: Story, booking: Booking) -> None:
    gallery = Gallery.objects.get(shoot__booking=booking)
    mails = wait_until(
        "the delivery", lambda: story.fleet.mailbox.to(NORA.email, subject="Your pictures are ready")
    )
    page = client.open_link(story, mails[0])
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    story.look(page, "gallery")
    with page.expect_download() as one:
        page.get_by_role("link", name=re.compile("Download.*Square")).first.click()
    single = story.folder / one.value.suggested_filename
    one.value.save_as(single)
    assert single.name == "nora-whitfield-01-square.jpg"
    page.set_viewport_size(LAPTOP)  # type: ignore[arg-type]
    with page.expect_download() as all_of_it:
        page.get_by_role("link", name=re.compile("Everything as ZIP")).click()
    archive = story.folder / "everything.zip"
    all_of_it.value.save_as(archive)
    finals_are_right(gallery, archive, single)
    a_cut_download_goes_on(page, gallery, archive)
    open_elsewhere(story, page)
    page.context.close()


def finals_are_right(gallery: Gallery, archive: Path, single: Path) -> None:
    """`unzip -t` passes; sRGB, the sizes as named, and nothing that says where or with which camera."""
    tested = run(["unzip", "-t", str(archive)], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    finals = card.unpacked(archive, archive.parent / "finals")
    assert set(finals) == set(
        DeliveredFile.objects.filter(delivery__gallery=gallery).values_list("name", flat=True)
    )
    assert len(finals) == 8
    sizes = {}
    for name, path in finals.items():
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert card.is_srgb(image), name
            sizes[name.removeprefix("nora-whitfield-")] = image.size
        assert not card.tells_where(path), name
    small = gallery.picks.earliest("picked_at").photo
    assert sizes["01-full.jpg"] == sizes["01-web.jpg"] == (small.width, small.height), "nothing is enlarged"
    assert sizes["02-full.jpg"] == (card.CAMERA_WIDTH, card.CAMERA_HEIGHT)
    assert sizes["02-web.jpg"] == (1365, 2048)
    assert sizes["02-square.jpg"] == (1600, 1600)
    assert sizes["02-portrait.jpg"] == (1280, 1600)
    width, height = sizes["01-square.jpg"]  # cut around the face, as many pixels as there are
    assert width == height <= min(small.width, small.height)
    assert finals[single.name].read_bytes() == single.read_bytes()


def a_cut_download_goes_on(page: Page, gallery: Gallery, archive: Path) -> None:
    """The second half by Range is exactly what was missing."""
    address = f"/gallery/{gallery.public_id}/zip/all"
    whole = archive.read_bytes()
    half = len(whole) // 2
    tag = page.context.request.head(address).headers["etag"]
    rest = page.context.request.get(address, headers={"Range": f"bytes={half}-", "If-Range": tag})
    assert rest.status == 206
    assert rest.headers["content-range"] == f"bytes {half}-{len(whole) - 1}/{len(whole)}"
    assert whole[:half] + rest.body() == whole


def open_elsewhere(story: Story, page: Page) -> None:
    """A fresh link for the other device."""
    page.get_by_role("button", name="Open on another device").click()
    link = page.locator(".link-text").inner_text()
    story.look(page, "elsewhere")
    other = story.windows.open(LAPTOP)
    other.goto(link)
    expect(other.get_by_role("heading", name="Picture 1", exact=True)).to_be_visible()
    other.context.close()


# --- 5. a client who chooses at home


def omar_books(story: Story) -> Booking:
    page = story.windows.open(PHONE)
    client.open_session(page, "Express")
    starts_at = client.hold_first(page)
    client.give_details(story, page, OMAR, name="details-full-price")
    client.pay_with_test_card(story, page, OMAR)
    page.context.close()
    booking = Booking.objects.get(starts_at=starts_at)
    client.confirmation_of(story, booking, OMAR)
    return booking


def omar_is_photographed(story: Story, page: Page, booking: Booking) -> None:
    let_it_be_today(booking, owner=story.seed.rows["ana"])
    desk.check_in(story, page, OMAR.name)
    gallery = Gallery.objects.get(shoot__booking=booking)
    desk.open_gallery(page, gallery)
    cards = story.folder / "second-card"
    cards.mkdir()
    sent = [
        card.frame(cards / f"NL_{number:04d}.JPG", brightness=1 + number / 50) for number in range(11, 14)
    ]
    desk.drop_files(page, sent)
    lose_the_worker_and_the_queue(story)
    expect(desk.frames_on_page(page)).to_have_count(3)
    originals_are_what_was_sent(gallery, sent)
    made = Rendition.objects.filter(photo__gallery=gallery)
    assert made.count() == 3 * len(renditions.WANTED) == made.values("photo", "recipe").distinct().count()
    desk.open_booking(page, booking)
    desk.complete(page)


def lose_the_worker_and_the_queue(story: Story) -> None:
    """While the frames come in: `kill -9` the images worker, empty the broker, start another one. The rows remember."""
    wait_until(
        "a frame is being checked", lambda: Job.objects.filter(kind=JobKind.INTAKE, status="running").exists()
    )
    story.fleet.kill(next(child for child in story.fleet.children if child.name == "worker-images"))
    story.fleet.broker.flushdb()
    Job.objects.update(
        rung_at=datetime.now(UTC) - timedelta(minutes=1)
    )  # the minute after which a sweep rings again
    story.fleet.worker("images")


def omar_chooses_at_home(story: Story, page: Page, booking: Booking) -> None:
    gallery = Gallery.objects.get(shoot__booking=booking)
    page.goto(f"/desk/galleries/{gallery.public_id}/choose/review/")
    page.get_by_role("button", name="Publish 3 pictures").click()
    expect(page.get_by_text("3 pictures are published.")).to_be_visible()
    story.look(page, "published")
    gallery.refresh_from_db()
    assert gallery.deliver_by is None, "the clock stands still while the client chooses"
    pause = gallery.pauses.get()
    assert (pause.reason, pause.ended_at) == ("choosing", None)

    mails = wait_until(
        "the proofs", lambda: story.fleet.mailbox.to(OMAR.email, subject="Your pictures are ready to choose")
    )
    assert "stands still" in text_of(mails[0])
    phone = client.open_link(story, mails[0])
    expect(phone.locator(".pictures .picture")).to_have_count(3)
    story.look(phone, "proofs")
    phone.locator(".picture-frame").nth(1).click()
    phone.get_by_role("button", name="Choose", exact=True).click()
    expect(phone.locator("[data-count-words]")).to_have_text("1 of 1 included")
    phone.get_by_label("Your note on this picture").fill("Please keep the grey in my beard.")
    phone.get_by_role("link", name="Back to all pictures").click()  # at once: what was written is not lost
    expect(phone.locator(".pictures .picture")).to_have_count(3)
    phone.locator(".picture-frame").nth(1).click()
    expect(phone.get_by_label("Your note on this picture")).to_have_value("Please keep the grey in my beard.")
    story.look(phone, "proof")
    phone.get_by_role("link", name="Back to all pictures").click()
    phone.get_by_role("button", name="Choose picture 1").click()
    expect(phone.locator("[data-sentence]")).to_contain_text("One picture is included")
    assert gallery.picks.count() == 1, "held to the number included"
    phone.get_by_role("link", name="I'm done").click()
    expect(phone.get_by_text("Please keep the grey in my beard.")).to_be_visible()
    story.look(phone, "proofs-review")
    phone.get_by_role("button", name="Send my selection").click()
    expect(phone.get_by_role("heading", name="Thank you, Omar. We have your selection.")).to_be_visible()
    story.look(phone, "proofs-sent")
    phone.context.close()

    gallery.refresh_from_db()
    pause.refresh_from_db()
    assert pause.ended_at == gallery.selection_submitted_at
    assert gallery.clock_started_at is not None
    assert gallery.deliver_by == promised(gallery.clock_started_at, booking.location)


def omar_gets_his_picture(story: Story, page: Page, booking: Booking) -> None:
    gallery = Gallery.objects.get(shoot__booking=booking)
    retouch = gallery.retouches.get()
    desk.open_retouch(page, retouch)
    expect(page.get_by_text("Please keep the grey in my beard.")).to_be_visible()
    desk.accept(page)
    desk.delivered(gallery)
    mails = wait_until(
        "the delivery", lambda: story.fleet.mailbox.to(OMAR.email, subject="Your pictures are ready")[1:]
    )
    phone = client.open_link(story, mails[-1])
    with phone.expect_download() as one:
        phone.get_by_role("link", name=re.compile("Download.*Square")).click()
    assert one.value.suggested_filename == "omar-haddad-01-square.jpg"
    phone.context.close()


# --- and then


def nothing_is_broken(story: Story) -> None:
    """No mail failed, and the judge finds every invariant kept; one broken by hand it names."""
    page = story.windows.open(LAPTOP)
    assert not Message.objects.filter(status="failed").exists()
    assert link_in(story.fleet.mailbox.mails[0])
    page.context.close()
    assert verdict(story)[0] == 0, verdict(story)[1]
    gallery = Gallery.objects.filter(deliver_by__isnull=False).first()
    assert gallery is not None
    assert gallery.deliver_by is not None
    Gallery.objects.filter(pk=gallery.pk).update(deliver_by=gallery.deliver_by + timedelta(hours=1))
    code, words = verdict(story)
    assert code == 1
    assert "BROKEN  Every deliver_by equals the promise recomputed" in words


def verdict(story: Story) -> tuple[int, str]:
    """What `manage.py verify` answers and says."""
    (story.fleet.folder / "verify.log").unlink(missing_ok=True)
    judge = story.fleet.manage("verify")
    assert judge.process is not None
    return judge.process.wait(PATIENCE), story.fleet.said(judge)
