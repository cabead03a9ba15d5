"""The photographer's day: sign in with a second factor, today, files in, choosing together, the retouch desk."""

import base64
import re
import time
from pathlib import Path

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Locator, Page, expect

from bookings.models import Booking
from galleries.models import Gallery, Retouch
from tests.journeys.fleet import wait_until
from tests.journeys.story import Story
from tests.journeys.town import PASSWORD
from tests.journeys.windows import LAPTOP


def sign_in_for_the_first_time(story: Story) -> Page:
    """The password alone opens nothing; an authenticator app is set up, then the desk opens."""
    page = story.windows.open(LAPTOP)
    page.goto("/desk/")
    story.look(page, "sign-in")
    page.get_by_label("Email").fill(story.seed.rows["ana"].email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("First, a second factor")).to_be_visible()
    story.look(page, "second-factor")
    page.get_by_role("link", name="Set it up").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    secret = page.locator("#authenticator_secret").input_value()
    story.look(page, "authenticator")
    page.get_by_label("Authenticator code").fill(
        format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    )
    page.get_by_role("button", name="Activate").click()
    page.wait_for_url(re.compile("recovery"))
    page.goto("/desk/")
    return page


def check_in(story: Story, page: Page, name: str) -> None:
    """Today on the desk, one tap."""
    page.goto("/desk/")
    row = page.locator(".row", has=page.get_by_role("link", name=name)).first
    row.get_by_role("button", name="Check in").click()
    expect(page.get_by_text("Frames from this room go to this session now.")).to_be_visible()


def open_booking(page: Page, booking: Booking) -> None:
    page.goto(f"/desk/bookings/{booking.public_id}/")


def write_down_payment(page: Page, how: str) -> None:
    """Money taken at the desk."""
    page.get_by_text("Write down a payment").click()
    page.get_by_label("How").select_option(label=how)
    page.get_by_role("button", name="Paid").click()
    expect(page.get_by_text("Written down.")).to_be_visible()


def complete(page: Page) -> None:
    page.get_by_role("button", name="Complete").click()
    expect(page.get_by_text("Completed. The promise runs.")).to_be_visible()


def open_gallery(page: Page, gallery: Gallery) -> None:
    page.goto(f"/desk/galleries/{gallery.public_id}/")


def choose_files(page: Page, files: list[Path]) -> None:
    """Files through the page's own button."""
    page.set_input_files("[data-files]", files)


def drop_files(page: Page, files: list[Path]) -> None:
    """Files dropped onto the page."""
    given = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in files]
    handle = page.evaluate_handle(
        """given => { const transfer = new DataTransfer();
        for (const [name, text] of given) {
            const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
        } return transfer; }""",
        given,
    )
    page.locator("[data-drop]").dispatch_event("drop", {"dataTransfer": handle})


def frames_on_page(page: Page) -> Locator:
    return page.locator("[data-frames] .picture")


def send_selection(story: Story, page: Page) -> None:
    """From the review to the retouch desk."""
    page.get_by_role("button", name="Send the selection").click()
    expect(page.get_by_text("Sent. The drafts are being made.")).to_be_visible()


def open_retouch(page: Page, retouch: Retouch) -> None:
    """The retouch desk of a pick, when its draft is made and measured; the page shows it by itself."""
    page.goto(f"/desk/retouching/{retouch.public_id}/")
    expect(page.locator("[data-approve]:not(:disabled)")).to_be_visible(timeout=120_000)
    expect(page.locator("[data-compare] img")).to_have_count(2)


def accept(page: Page) -> None:
    page.locator("[data-approve]").click()
    expect(page.get_by_text(re.compile("^Done: "))).to_be_visible()


def set_strength(page: Page, name: str, value: str) -> None:
    """Move a slider and make the version."""
    with page.expect_response(re.compile("/preview")):
        page.get_by_label(name).fill(value)
    page.get_by_role("button", name="Make this version").click()


def delivered(gallery: Gallery) -> Gallery:
    """Wait until the gallery has delivered itself."""

    def is_delivered() -> bool:
        gallery.refresh_from_db()
        return gallery.status == "delivered"

    wait_until("the gallery is delivered", is_delivered)
    return gallery
