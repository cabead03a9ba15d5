"""Logs carry no key of a private page: every address of the site that has one is tried."""

import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from gunicorn.config import Config

from studio.access_log import AccessLog
from studio.demo import Demo
from studio.discreet import Line, without_keys

SECRET = "q1W-2e_3r:4t"
KEYED = {"token", "key", "signed"}


def addresses(resolver: URLResolver, head: str = "/"):
    for entry in resolver.url_patterns:
        path = head + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from addresses(entry, path)
        elif isinstance(entry, URLPattern) and KEYED & set(entry.pattern.converters):
            for name, _converter in entry.pattern.converters.items():
                path = path.replace(f"<str:{name}>", SECRET if name in KEYED else "other")
            yield path


def test_every_address_with_a_key_is_written_without_it():
    found = list(addresses(get_resolver()))
    assert len(found) >= 5 and all(SECRET in path for path in found)
    for path in found:
        assert SECRET not in without_keys(f"GET {path}?next=/ HTTP/1.1")


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/password/reset/key/1-set-password/",
        f"/accounts/password/reset/key/3-{SECRET}/",
        f"/accounts/confirm-email/{SECRET}/",
    ],
)
def test_the_keys_of_accounts_are_not_written_either(path):
    assert without_keys(path).endswith("/…/")


@pytest.mark.parametrize(
    "path", ["/desk/calendar/2026-11-27/", "/booking/ab12cd/move", "/open/", "/book/open/"]
)
def test_other_addresses_are_written_whole(path):
    assert without_keys(path) == path


def test_the_access_log_hides_keys_in_address_and_referrer():
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": f"/open/{SECRET}?a=1",
        "PATH_INFO": f"/open/{SECRET}",
        "QUERY_STRING": "a=1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_REFERER": f"https://studio.example/mine/{SECRET}/",
    }
    headers = [("REFERER", environ["HTTP_REFERER"])]
    answer = SimpleNamespace(status="200 OK", sent=10, headers=[])
    atoms = AccessLog(Config()).atoms(answer, SimpleNamespace(headers=headers), environ, timedelta(seconds=1))
    assert atoms["r"] == "GET /open/…?a=1 HTTP/1.1"
    assert SECRET not in str({name: value for name, value in atoms.items() if not name.endswith("}e")})
    assert SECRET not in str([value for name, value in atoms.items() if name.endswith("}e")])


def test_what_django_writes_hides_them_too():
    formatter = settings.LOGGING["formatters"]["line"]
    assert formatter["()"] == "studio.discreet.Line"
    record = logging.makeLogRecord(
        {"msg": "%s: %s", "args": ("Not Found", f"/open/{SECRET}"), "name": "django"}
    )
    assert Line(formatter["fmt"]).format(record).endswith("Not Found: /open/…")


def test_both_ways_to_run_it_use_that_log(settings):
    asked = "studio.access_log.AccessLog"
    assert asked in (settings.BASE_DIR / "Dockerfile").read_text()
    assert asked in Demo.web_options(SimpleNamespace(port=1, folder=settings.BASE_DIR))
