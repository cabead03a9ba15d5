"""Signing in as people do it: with an authenticator app, a passkey, a recovery code. The CSP stays clean throughout."""

import re
import time
from datetime import UTC, datetime

import pytest
from allauth.mfa.totp.internal import auth as totp
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from studio.actors import WORKER
from studio.models import Message, User
from studio.transitions import begin
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "a long password for tests"
NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


@pytest.fixture
def person(transactional_db: None) -> User:
    factories.location()
    return factories.user(password=PASSWORD, name="Ana Torres")


@pytest.fixture
def key(page: Page) -> None:
    """A passkey built into the device, which always says yes."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def sign_in(page: Page, person: User) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def confirm_password(page: Page) -> None:
    """Before a factor changes the password is asked again, if it was not just given."""
    if "reauthenticate" in page.url:
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()


def assert_accessible(page: Page) -> None:
    results = Axe().run(page, options={"preload": False})  # else it inlines our stylesheets itself
    serious = [v["id"] for v in results.response["violations"] if v["impact"] in ("serious", "critical")]
    assert serious == [], results.generate_report()


def add_app(page: Page) -> None:
    """Set up the authenticator app."""
    page.get_by_role("link", name="Set it up").click()
    confirm_password(page)
    qr = page.locator("img.qr")
    assert qr.evaluate("image => image.complete && image.naturalWidth > 0")
    secret = page.get_by_label("Authenticator secret").input_value()
    assert_accessible(page)
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Activate").click()


def code_of(secret: str) -> str:
    return str(totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30)))


def test_first_sign_in_leads_to_a_second_factor_and_then_to_the_desk(page: Page, person: User) -> None:
    sign_in(page, person)
    expect(page.get_by_role("heading", name="First, a second factor")).to_be_visible()
    assert_accessible(page)
    add_app(page)
    recovery_code = page.get_by_label("Unused codes").input_value().split()[0]
    assert_accessible(page)
    page.goto("/desk/")
    expect(page).to_have_url(re.compile("/desk/$"))
    page.get_by_role("button", name="Sign out").click()

    sign_in(page, person)
    expect(page.get_by_role("heading", name="Two-Factor Authentication")).to_be_visible()
    assert_accessible(page)
    page.goto("/desk/")
    expect(page).to_have_url(re.compile("/accounts/2fa/authenticate/"))
    page.get_by_label("Code").fill(recovery_code)
    page.get_by_role("button", name="Sign In").click()
    expect(page).to_have_url(re.compile("/desk/$"))


def test_passkey_is_added_and_opens_the_desk(page: Page, person: User, key: None) -> None:
    sign_in(page, person)
    page.get_by_role("link", name="Add a passkey").click()
    confirm_password(page)
    page.get_by_label("Name").fill("This laptop")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add").click()
    page.wait_for_url(re.compile("recovery-codes|webauthn/$|2fa/$"))
    page.goto("/desk/")
    page.get_by_role("button", name="Sign out").click()

    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(re.compile("/desk/$"))
    page.goto("/accounts/2fa/webauthn/")
    confirm_password(page)
    expect(page.get_by_text("This laptop")).to_be_visible()
    assert_accessible(page)


def test_pages_before_the_sign_in_are_accessible(page: Page, person: User) -> None:
    for address in ("/accounts/login/", "/accounts/password/reset/", "/links/", "/open/nothing", "/nothing"):
        page.goto(address)
        assert_accessible(page)


def test_wrong_password_is_said_beside_the_form(page: Page, person: User) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill("not the one")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("not correct")


def test_mail_is_read_on_the_desk_of_the_demo(page: Page, person: User, settings) -> None:
    settings.DEMO = True
    message = begin(
        Message(
            name="booking_confirmed",
            to_address="robin@client.example",
            subject="Your session",
            body_text="Hello",
            body_html='<h1 style="color: rgb(1, 2, 3)">Hello Robin</h1><a href="/links/">your link</a>',
            due_at=NOW,
            created_at=NOW,
        ),
        by=WORKER,
        now=NOW,
    )
    sign_in(page, person)
    page.goto("/desk/messages/")
    assert_accessible(page)
    page.get_by_role("link", name="Your session").click()
    letter = page.frame_locator("iframe")
    heading = letter.get_by_role("heading", name="Hello Robin")
    expect(heading).to_be_visible()
    assert heading.evaluate("heading => getComputedStyle(heading).color") == "rgb(1, 2, 3)"
    with page.context.expect_page() as opened:
        letter.get_by_role("link", name="your link").click()
    expect(opened.value.get_by_role("heading", name="Mail me a new link")).to_be_visible()
    assert message.public_id in page.url


def test_client_asks_for_a_new_link_on_a_phone(page: Page, person: User) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/open/some-old-link")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Your e-mail").fill("robin@client.example")
    page.get_by_role("button", name="Mail me a new link").click()
    expect(page.get_by_role("heading", name="Thank you. Please look into your mail.")).to_be_visible()
