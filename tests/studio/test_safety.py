"""What holds on every response, and who gets past the door."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as live
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from studio import credentials, outbox, throttles, views
from studio.models import Credential, Message, Role, Throttle
from tests import factories
from tests.galleries.making import sign_in

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


# --- headers


@pytest.mark.parametrize(
    "address", ["/", "/healthz", "/links/", "/open/nothing", "/nothing", "/accounts/login/", "/desk/"]
)
def test_every_answer_carries_the_strict_policy(client: Client, address: str) -> None:
    factories.studio()
    response = client.get(address)
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("address", ["/links/", "/open/nothing", "/accounts/login/", "/desk/", "/nothing"])
def test_private_pages_are_kept_by_nobody_and_listed_nowhere(client: Client, address: str) -> None:
    response = client.get(address)
    assert {"private", "no-store"} <= set(response.headers["Cache-Control"].split(", "))
    assert response.headers["X-Robots-Tag"] == "noindex, nofollow"


def test_public_pages_may_be_listed(client: Client) -> None:
    factories.studio()
    assert "X-Robots-Tag" not in client.get("/").headers


def settings_with(**environment: str) -> dict[str, str]:
    """What the settings say in a fresh process with this environment."""
    code = (
        "import django; from django.conf import settings as s;"
        "print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE,"
        "s.SECURE_SSL_REDIRECT, s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=live.BASE_DIR,
    )
    names = ["session", "csrf", "session_secure", "csrf_secure", "redirects", "http_only", "same_site"]
    return dict(zip(names, answer.stdout.split(), strict=True))


def test_cookies_are_host_bound_with_https() -> None:
    assert settings_with(SITE_URL="https://studio.example") == {
        "session": "__Host-session",
        "csrf": "__Host-csrf",
        "session_secure": "True",
        "csrf_secure": "True",
        "redirects": "True",
        "http_only": "True",
        "same_site": "Lax",
    }


def test_session_cookie_is_for_the_server_only(client: Client) -> None:
    person = factories.user(password="a long password")
    answer = client.post(reverse("account_login"), {"login": person.email, "password": "a long password"})
    cookie = answer.cookies[live.SESSION_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (
        True,
        "Lax",
        "/",
        "",
    )


# --- the second factor


@pytest.mark.parametrize("address", ["/desk/", "/desk/messages/", "/admin/", "/admin/studio/user/"])
def test_password_alone_opens_nothing_of_the_studio(client: Client, address: str) -> None:
    person = factories.user(is_staff=True, is_superuser=True)
    client.force_login(person)
    response = client.get(address)
    assert (response.status_code, response.headers["Location"]) == (302, reverse("mfa_index"))
    assert client.post(address).status_code == 302


def test_person_without_second_factor_may_set_one_up_and_sign_out(client: Client) -> None:
    client.force_login(factories.user())
    assert client.get(reverse("mfa_index")).status_code == 200
    assert client.post(reverse("account_logout")).headers["Location"] == "/desk/"


def test_second_factor_opens_the_desk_and_the_admin(client: Client) -> None:
    sign_in(client, factories.user(is_staff=True))
    assert client.get("/desk/messages/").status_code == 200
    assert client.get("/admin/studio/user/").status_code == 200


def test_demo_goes_without(client: Client, settings: Any) -> None:
    settings.DEMO = True
    client.force_login(factories.user())
    assert client.get("/desk/messages/").status_code == 200


def test_admin_has_no_sign_in_of_its_own(client: Client) -> None:
    response = client.get("/admin/", follow=True)
    assert response.request["PATH_INFO"] == reverse("account_login")


def test_admin_of_people_is_for_owners(client: Client) -> None:
    """Nobody raises their own role: whoever is not an owner already cannot see people there at all."""
    sign_in(client, factories.user(Role.PHOTOGRAPHER, is_staff=True))
    assert client.get("/admin/studio/user/").status_code == 403
    assert client.get("/admin/studio/location/").status_code == 403


def test_session_id_changes_on_sign_in(client: Client) -> None:
    person = factories.user(password="a long password")
    client.get(reverse("account_login"))
    session = client.session
    session["before"] = True
    session.save()
    before = session.session_key
    client.post(reverse("account_login"), {"login": person.email, "password": "a long password"})
    assert client.session.session_key != before
    assert int(client.session["_auth_user_id"]) == person.pk


def test_somebody_who_left_is_out_at_once(client: Client) -> None:
    person = factories.user()
    sign_in(client, person)
    person.is_active = False
    person.save()
    assert client.get("/desk/messages/").status_code == 302


# --- guest links


@pytest.fixture
def landing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(views.LANDINGS, "sample", "message_detail")


def test_token_is_stored_only_as_its_hash() -> None:
    given = credentials.grant(scope="sample", target="abc", now=NOW)
    token = given.url.rsplit("/", 1)[1]
    assert len(token) >= 43  # 256 bits
    row = Credential.objects.get()
    assert token not in str(vars(row))
    assert credentials.find(token, now=NOW) == row
    assert credentials.find(row.token_hash, now=NOW) is None


def test_link_is_swapped_for_a_session_with_a_new_id(client: Client, landing: None) -> None:
    token = credentials.grant(scope="sample", target="abc", now=timezone.now()).url.rsplit("/", 1)[1]
    session = client.session
    session["before"] = "kept"
    session.save()
    before = session.session_key
    response = client.get(reverse("open_link", args=[token]))
    assert response.headers["Location"] == reverse("message_detail", args=["abc"])
    assert client.session.session_key != before
    assert client.session["before"] == "kept"
    assert token not in str(dict(client.session))


def test_opening_twice_works_for_scanner_and_client(client: Client, landing: None) -> None:
    token = credentials.grant(scope="sample", target="abc", now=timezone.now()).url.rsplit("/", 1)[1]
    for browser in (Client(), client):
        assert browser.get(reverse("open_link", args=[token])).status_code == 302


def opened_by(client: Client, now: datetime) -> Credential | None:
    request = RequestFactory().get("/")
    request.session = client.session
    return credentials.opened(request, scope="sample", target="abc", now=now)


def test_revoking_ends_an_opened_session(client: Client, landing: None) -> None:
    now = timezone.now()
    token = credentials.grant(scope="sample", target="abc", now=now).url.rsplit("/", 1)[1]
    client.get(reverse("open_link", args=[token]))
    assert opened_by(client, now) is not None
    assert credentials.revoke(scope="sample", target="abc", now=now) == 1
    assert opened_by(client, now) is None
    assert credentials.find(token, now=now) is None


def test_revoking_one_holder_leaves_the_other() -> None:
    for holder in (1, 2):
        credentials.grant(scope="sample", target="abc", holder_id=holder, now=NOW)
    assert credentials.revoke(scope="sample", target="abc", holder_id=1, now=NOW) == 1
    assert Credential.objects.get(revoked_at=None).holder_id == 2


def test_links_expire_also_when_opened_before(client: Client, landing: None) -> None:
    now = timezone.now()
    token = credentials.grant(scope="sample", target="abc", lifetime=timedelta(days=1), now=now).url.rsplit(
        "/", 1
    )[1]
    client.get(reverse("open_link", args=[token]))
    assert opened_by(client, now + timedelta(hours=23)) is not None
    assert opened_by(client, now + timedelta(days=1)) is None
    assert credentials.find(token, now=now + timedelta(days=1)) is None


def test_one_link_opens_one_thing(client: Client, landing: None) -> None:
    now = timezone.now()
    token = credentials.grant(scope="sample", target="abc", now=now).url.rsplit("/", 1)[1]
    client.get(reverse("open_link", args=[token]))
    request = RequestFactory().get("/")
    request.session = client.session
    assert credentials.opened(request, scope="sample", target="abd", now=now) is None
    assert credentials.opened(request, scope="other", target="abc", now=now) is None


def test_wrong_expired_revoked_and_foreign_links_look_alike(client: Client, landing: None) -> None:
    now = timezone.now()
    grant = {"target": "abc", "now": now}
    expired = credentials.grant(scope="sample", lifetime=timedelta(seconds=-1), **grant).url
    revoked = credentials.grant(scope="sample", **grant)
    Credential.objects.filter(pk=revoked.credential.pk).update(revoked_at=now)
    unknown_scope = credentials.grant(scope="nowhere", **grant).url
    factories.studio()
    pages = set()
    for url in (expired, revoked.url, unknown_scope, "/open/wrong"):
        response = Client().get(url.removeprefix(live.SITE_URL))
        text = response.content.decode()
        pages.add((response.status_code, text.split("csrfmiddlewaretoken")[0], text.split("</form>")[1]))
    assert len(pages) == 1
    assert next(iter(pages))[0] == 404


# --- throttles


def test_throttle_counts_to_its_limit_and_begins_again() -> None:
    hour = timedelta(hours=1)
    tries = [throttles.allow("door", limit=3, per=hour, now=NOW) for _ in range(5)]
    assert tries == [True, True, True, False, False]
    assert throttles.allow("window", limit=3, per=hour, now=NOW)
    assert throttles.allow("door", limit=3, per=hour, now=NOW + hour)
    assert throttles.sweep(now=NOW + timedelta(days=3)) == Throttle.objects.count() + 3


def test_forwarded_for_is_not_believed_without_a_proxy(settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": "198.51.100.9"})
    assert throttles.network(request) == "192.0.2.1"


def test_behind_one_proxy_only_the_last_hop_counts(settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    header = {"X-Forwarded-For": "203.0.113.7, 198.51.100.9"}
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers=header)
    assert throttles.network(request) == "198.51.100.9"


def test_sign_in_throttle_is_not_reset_by_forwarded_for(client: Client, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    person = factories.user(password="a long password")
    for number in range(12):
        client.post(
            reverse("account_login"),
            {"login": person.email, "password": "wrong"},
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
        )
    response = client.post(
        reverse("account_login"),
        {"login": person.email, "password": "a long password"},
        headers={"X-Forwarded-For": "203.0.113.99"},
    )
    assert "_auth_user_id" not in client.session
    assert response.status_code in (200, 429)


def test_reset_link_leads_to_our_own_address(client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    person = factories.user(password="a long password")
    client.post(reverse("account_reset_password"), {"email": person.email}, headers={"Host": "evil.example"})
    (sent,) = Message.objects.filter(to_address=person.email)
    assert f"{settings.SITE_URL}/accounts/password/reset/key/" in sent.body_text
    assert "evil.example" not in sent.body_text


def test_reset_waits_for_the_mail_server_and_its_key_is_shown_to_nobody(client: Client) -> None:
    person = factories.user(password="a long password")
    answer = client.post(reverse("account_reset_password"), {"email": person.email})
    assert answer.status_code == 302
    message = Message.objects.get(to_address=person.email)
    (key,) = re.findall(r"/reset/key/([\w-]+)", message.body_text)
    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    shown = client.get(reverse("message_detail", args=[message.public_id])).content.decode()
    assert message.subject in shown
    assert key not in shown
    assert mail.outbox == []  # no mail server is spoken to in a request
    outbox.send_next(now=message.due_at)
    assert key in mail.outbox[-1].body
    message.refresh_from_db()
    assert (message.status, key in message.body_text) == ("sent", False)


def test_reset_answers_alike_for_known_and_unknown(client: Client) -> None:
    person = factories.user()
    answers = [
        client.post(reverse("account_reset_password"), {"email": email})
        for email in (person.email, "nobody@example.org")
    ]
    assert [(a.status_code, a.headers["Location"]) for a in answers] == [
        (302, reverse("account_reset_password_done"))
    ] * 2


def test_csrf_is_asked_for_everywhere_a_form_posts() -> None:
    browser = Client(enforce_csrf_checks=True)
    for name in ("account_login", "account_logout", "ask_for_link", "account_reset_password"):
        assert browser.post(reverse(name), {}).status_code == 403
