"""The studio's own pages: they render, they are strict, and each way to fail has its page."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from studio import desk, views
from studio.access import staff
from studio.actors import WORKER
from studio.models import Message, MessageStatus, Role, StatusChange
from studio.stylesheet import bundle
from studio.transitions import begin, move
from tests import factories
from tests.galleries.making import sign_in
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


@pytest.fixture
def owner(client: Client) -> Client:
    factories.location()
    sign_in(client, factories.user())
    return client


@pytest.fixture
def message() -> Message:
    return begin(
        Message(
            name="booking_confirmed",
            to_address="robin@client.example",
            to_name="Robin <b>Sample</b>",
            subject="Your session & more",
            body_text="Hello\n\nhttp://testserver/open/secret-token_1 <script>alert(1)</script>",
            body_html='<p style="color:red">Hi</p><a href="/open/secret-token_1">go</a>',
            attachments=[{"name": "session.ics", "type": "text/calendar", "text": "BEGIN:VCALENDAR"}],
            due_at=NOW,
            created_at=NOW,
        ),
        by=WORKER,
        now=NOW,
    )


def test_message_list_shows_and_finds(owner: Client, message: Message) -> None:
    page = owner.get(reverse("message_list"), {"q": "robin@"}).content.decode()
    assert_no_inline(page)
    assert "Your session &amp; more" in page
    assert "Robin &lt;b&gt;Sample&lt;/b&gt;" in page
    assert "Your session" not in owner.get(reverse("message_list"), {"q": "nobody"}).content.decode()


def test_message_escapes_its_words_and_hides_the_clients_link(owner: Client, message: Message) -> None:
    page = owner.get(reverse("message_detail", args=[message.public_id])).content.decode()
    assert_no_inline(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "secret-token_1" not in page
    assert "session.ics" in page
    assert "BEGIN:VCALENDAR" in page


def test_message_link_can_be_followed_in_the_demo(owner: Client, message: Message, settings: Any) -> None:
    settings.DEMO = True
    page = owner.get(reverse("message_detail", args=[message.public_id])).content.decode()
    assert '<a href="http://testserver/open/secret-token_1" rel="nofollow">' in page


def test_mail_as_html_is_sandboxed(owner: Client, message: Message) -> None:
    response = owner.get(reverse("message_html", args=[message.public_id]))
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    assert "script-src" not in policy
    assert policy["frame-ancestors"] == "'self'"
    assert "secret-token_1" not in response.content.decode()


def test_failed_message_can_be_tried_again_once(owner: Client, message: Message) -> None:
    address = reverse("message_again", args=[message.public_id])
    assert owner.post(address).status_code == 404  # it has not failed
    move(Message, message.pk, "claim", by=WORKER, now=NOW)
    move(Message, message.pk, "fail", by=WORKER, now=NOW, attempts=7)
    assert owner.get(address).status_code == 405
    assert owner.post(address).status_code == 302
    message.refresh_from_db()
    assert (message.status, message.attempts) == (MessageStatus.QUEUED, 0)
    assert (
        StatusChange.objects.filter(model="studio.message", object_id=message.pk, verb="again").count() == 1
    )


def test_desk_shows_panels_in_order_and_by_role(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    panels = {
        name: desk.Panel(name, "sample.html", lambda request, now: {}, order, roles=frozenset(roles))
        for name, order, roles in [("late", 3, []), ("early", 1, []), ("money", 2, [Role.OWNER])]
    }
    monkeypatch.setattr(desk, "_panels", panels)
    monkeypatch.setattr(views, "render_to_string", lambda name, context, request: context["panel"].name)
    sign_in(client, factories.user(Role.ARTIST))
    page = client.get(reverse("desk")).content.decode()
    assert_no_inline(page)
    assert [part.split('"')[0] for part in page.split('id="panel-')[1:]] == ["early", "late"]


def test_panel_that_has_nothing_to_say_is_hidden(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        desk, "_panels", {"quiet": desk.Panel("quiet", "sample.html", lambda request, now: None, 1)}
    )
    sign_in(client, factories.user())
    page = client.get(reverse("desk")).content.decode()
    assert 'id="panel-' not in page
    assert "Nothing for you today" in page


def test_every_desk_link_leads_somewhere() -> None:
    everything = frozenset(Role.values)
    assert [link.url_name for link in desk.links(everything)] != []
    assert all(reverse(link.url_name) for link in desk.links(everything))


@pytest.mark.parametrize("is_demo", [True, False])
def test_demo_says_so_on_every_page(client: Client, settings: Any, is_demo: bool) -> None:
    settings.DEMO = is_demo
    assert ("A demo: no money moves" in client.get(reverse("ask_for_link")).content.decode()) is is_demo


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("400.html", "could not be read"),
        ("500.html", "on our side"),
        ("403_csrf.html", "open too long"),
        ("studio/unavailable.html", "Back in a moment"),
    ],
)
def test_pages_of_failure_need_neither_database_nor_request(
    template: str, words: str, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        page = render_to_string(template)
    assert_no_inline(page)
    assert words in page


def test_unknown_address_has_a_page(client: Client) -> None:
    response = client.get("/nothing/here")
    assert response.status_code == 404
    assert_no_inline(response.content)
    assert "nothing at this address" in response.content.decode()


def test_foreign_role_has_a_page(client: Client) -> None:
    sign_in(client, factories.user(Role.ARTIST))
    response = client.get(reverse("message_list"))
    assert response.status_code == 403
    assert_no_inline(response.content)
    assert "not part of your role" in response.content.decode()


@pytest.mark.parametrize("guard", [{}, {"at": lambda public_id: [1]}, {"everywhere": True}])
def test_places_are_asked_for_only_where_the_page_needs_them(guard: dict[str, Any]) -> None:
    request = RequestFactory().get("/")
    request.user = factories.user(Role.PHOTOGRAPHER)
    view = staff(Role.PHOTOGRAPHER, **guard)(lambda request, public_id: HttpResponse())
    with CaptureQueriesContext(connection) as asked:
        assert view(request, public_id="x").status_code == 200
    assert len(asked) == (2 if guard else 1)  # the roles, and where they were given


def test_missing_token_has_a_page() -> None:
    response = Client(enforce_csrf_checks=True).post(reverse("ask_for_link"), {"email": "a@b.example"})
    assert response.status_code == 403
    assert "open too long" in response.content.decode()


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        yield


def test_view_without_database_answers_503(client: Client, no_database: None) -> None:
    response = client.get(reverse("healthz"))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "Back in a moment" in response.content.decode()
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_middleware_without_database_answers_503(client: Client) -> None:
    sign_in(client, factories.user())
    client.raise_request_exception = False

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("no connection to the server")

    with connection.execute_wrapper(refuse):
        response = client.get(reverse("desk"))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_other_errors_stay_500(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(views, "Heartbeat", SimpleNamespace(objects=SimpleNamespace(filter=fail)))
    monkeypatch.setattr(views.Heartbeat.objects, "filter", lambda **_: fail())
    client.raise_request_exception = False
    response = client.get(reverse("healthz"))
    assert response.status_code == 500
    assert_no_inline(response.content)
    assert "on our side" in response.content.decode()


def test_manifest_carries_the_studios_name(client: Client) -> None:
    factories.studio(name="Morrow Portraits")
    response = client.get(reverse("manifest"))
    assert response.headers["Content-Type"] == "application/manifest+json"
    assert json.loads(response.content)["name"] == "Morrow Portraits"


def test_robots_keeps_searchers_out_of_private_pages(client: Client) -> None:
    lines = client.get("/robots.txt").content.decode().splitlines()
    assert lines[0] == "User-agent: *"
    assert {"Disallow: /desk/", "Disallow: /accounts/", "Disallow: /admin/", "Disallow: /open/"} <= set(lines)


def test_favicon_is_at_the_address_browsers_guess(client: Client) -> None:
    assert client.get("/favicon.ico").headers["Location"] == "/static/img/favicon.svg"


@pytest.mark.parametrize(
    "name",
    [
        "account_login",
        "account_reset_password",
        "account_reset_password_done",
        "account_inactive",
        "ask_for_link",
    ],
)
def test_pages_before_the_sign_in_are_ours_and_strict(client: Client, name: str) -> None:
    page = client.get(reverse(name)).content.decode()
    assert_no_inline(page)
    assert "css/likeness.css" in page
    assert '<main id="main"' in page
    assert "sign up" not in page.lower()


@pytest.mark.parametrize(
    "name",
    [
        "mfa_index",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_list_webauthn",
        "account_change_password",
        "account_logout",
        "account_reauthenticate",
    ],
)
def test_account_pages_are_ours_and_strict(client: Client, name: str) -> None:
    person = factories.user(password="a long password")
    client.post(reverse("account_login"), {"login": person.email, "password": "a long password"})
    response = client.get(reverse(name), follow=True)
    assert response.status_code == 200
    assert_no_inline(response.content)
    assert "css/likeness.css" in response.content.decode()


def test_sign_up_is_closed(client: Client) -> None:
    client.post(
        reverse("account_signup"), {"email": "new@example.org", "password1": "a very long password 9"}
    )
    assert not factories.User.objects.filter(email="new@example.org").exists()


# --- the stylesheet


def test_bundle_puts_each_part_into_its_layer() -> None:
    files = {
        "css/all.css": "@layer base, parts;\n"
        '@import url("base.css") layer(base);\n'
        '@import url("parts/a.css") layer(parts);\n',
        "css/base.css": "p { margin: 0; }\n",
        "css/parts/a.css": ".a { color: red; }\n",
    }
    assert bundle("css/all.css", files.__getitem__) == (
        "@layer base, parts;\n@layer base {\np { margin: 0; }\n}\n@layer parts {\n.a { color: red; }\n}\n"
    )


def test_collectstatic_sends_one_stylesheet(settings: Any, tmp_path: Any) -> None:
    from django.contrib.staticfiles.finders import FileSystemFinder

    from studio.stylesheet import ENTRY, StaticFiles

    storage = StaticFiles(location=str(tmp_path), base_url="/static/")
    paths = {}
    for path, source in FileSystemFinder().list([]):
        if path.startswith("css/"):
            with source.open(path) as file:
                storage.save(path, ContentFile(file.read()))
            paths[path] = (source, path)
    assert [name for name, _, done in storage.post_process(paths) if isinstance(done, Exception)] == []
    text = (tmp_path / storage.stored_name(ENTRY)).read_text()
    assert "@import" not in text
    assert "@layer parts {" in text
    assert ".button {" in text
    assert text.count("{") == text.count("}")


def test_collectstatic_writes_imports_of_scripts_with_their_hashes(settings: Any, tmp_path: Any) -> None:
    """Every `import … from "./x.js"` names a file that is there, by its hash: an update never mixes old and new."""
    from django.contrib.staticfiles.finders import FileSystemFinder

    from studio.stylesheet import StaticFiles

    storage = StaticFiles(location=str(tmp_path), base_url="/static/")
    paths = {}
    for path, source in FileSystemFinder().list([]):
        if path.startswith("js/"):
            with source.open(path) as file:
                storage.save(path, ContentFile(file.read()))
            paths[path] = (source, path)
    assert [name for name, _, done in storage.post_process(paths) if isinstance(done, Exception)] == []
    imports = 0
    for path in paths:
        text = (tmp_path / storage.stored_name(path)).read_text()
        for name in re.findall(r'^import .*? from "(.+?)"', text, re.MULTILINE):
            assert re.fullmatch(r"\./\w+\.[0-9a-f]{12}\.js", name)
            assert (tmp_path / "js" / name).exists()
            imports += 1
        plain = (tmp_path / path).read_text()
        assert re.sub(r"\.[0-9a-f]{12}\.js", ".js", text) == plain  # nothing else was touched
    assert imports > 10


def test_every_part_is_named_in_the_stylesheet_and_carries_no_address() -> None:
    from pathlib import Path

    from django.conf import settings as live

    folder = Path(live.BASE_DIR) / "static" / "css"
    named = (folder / "likeness.css").read_text()
    for part in sorted(folder.glob("parts/*.css")):
        assert f'url("parts/{part.name}")' in named
        assert "url(" not in part.read_text()
        assert "@import" not in part.read_text()


def test_forms_are_labelled_hinted_and_say_what_is_wrong() -> None:
    from django import forms

    class Sample(forms.Form):
        name = forms.CharField(help_text="As on the door.")
        mobile = forms.CharField(required=False)
        agreed = forms.BooleanField(label="Agreed")
        kind = forms.ChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.RadioSelect)

    page = Sample({"name": "", "kind": "a"}).render()
    assert '<label for="id_name">Name</label>' in page
    assert 'id="id_name_helptext"' in page
    assert 'id="id_name_error"' in page
    assert '<label for="id_mobile">Mobile <span class="optional">optional</span></label>' in page
    assert "<fieldset" in page and "<legend>Kind</legend>" in page
    assert page.count("has-errors") == 2
    assert 'role="alert"' in page


def test_request_factory_page_uses_no_query_for_nothing(django_assert_num_queries: Any) -> None:
    """The context is lazy: a page that shows neither studio nor roles asks nothing."""
    from django.template import engines

    from studio.context import studio

    with django_assert_num_queries(0):
        context = studio(RequestFactory().get("/"))
        engines["django"].from_string("{{ is_demo }}").render(context)
