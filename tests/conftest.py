"""The tests bring their own services: started once per run before the settings load, shared by all workers.

They use a temporary folder and Unix sockets, so they run beside a demo, and end with the run however it ends.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_socket import socket_allow_hosts

from studio import embedded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from pytest_django.fixtures import Settings
    from pytest_django.live_server_helper import LiveServer

    from devtools.stripe_server import StripeControl
    from tests.connections import RealConnections

LOOPBACK = ["127.0.0.1", "::1", "localhost"]
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000  # how long a page may take to show what is expected: a slow machine is no failure
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

_for_the_run = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """The first process starts the services; workers find their addresses in the environment they inherit."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        _start_services()
    _choose_settings(worker)
    _load_settings()
    if not worker and config.getoption("numprocesses", None):
        # The workers choose for themselves: inherited, pytest-django would load the settings before they can.
        del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this process started."""
    _for_the_run.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that reaches outside the machine fails."""
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


def _start_services() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scratch = _for_the_run.enter_context(embedded.scratch_folder())
    try:
        running = _for_the_run.enter_context(embedded.services(folder=scratch / "services", durable=False))
    except embedded.EmbeddedError as error:
        raise pytest.UsageError(str(error)) from error
    os.environ.update(running.environment | {"LIKENESS_TEST_FOLDER": str(scratch)})


def _choose_settings(worker: str) -> None:
    """The environment of the tests: the same on every machine, whatever the person has set."""
    from django.conf import settings

    if settings.configured:
        raise pytest.UsageError(
            "DJANGO_SETTINGS_MODULE is set too early: the tests choose the environment first."
        )
    data = Path(os.environ["LIKENESS_TEST_FOLDER"]) / (worker or "main")  # the first process removes them all
    (data / "static").mkdir(parents=True)
    number = int(worker.removeprefix("gw") or 0) if worker else 0
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": "studio.settings",
            "SECRET_KEY": "only-for-tests-" + "k" * 50,
            "DEBUG": "0",
            "LIKENESS_DEMO": "0",
            "SITE_URL": "http://testserver",
            "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
            "LIKENESS_DATA": str(data),
            "STORAGE_URL": f"file://{data / 'media'}",
            "REDIS_URL": _own_database(os.environ["REDIS_URL"], number),
            "CACHE_URL": _own_database(os.environ["CACHE_URL"], number),
            "STRIPE_SECRET_KEY": "sk_test_only_for_tests",
            "STRIPE_WEBHOOK_SECRET": "whsec_only_for_tests",
            "STRIPE_API_BASE": "http://127.0.0.1:9",  # nobody listens
            "MAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
            "TRUSTED_PROXY_COUNT": "0",
            "LOG_LEVEL": "WARNING",
        }
    )


def _own_database(url: str, number: int) -> str:
    """A Valkey database of its own per worker, where the address is one of ours."""
    return url.replace("virtual_host=0", f"virtual_host={number}").replace("?db=0", f"?db={number}")


def _load_settings() -> None:
    import django
    from django.conf import settings

    # Before anything reads them: a cheap hash (the real one costs 0.6 s on purpose), files as they are named.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    django.setup()


@pytest.fixture
def now() -> datetime:
    """A Monday morning in November, far from any change of the clocks."""
    return datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


@pytest.fixture
def media_storage(settings: "Settings", tmp_path: Path) -> Path:
    """An empty store for this test only; the folder its files are in."""
    from studio.storage import storages_from_url

    folder = tmp_path / "media"
    settings.MEDIA_ROOT = str(folder)
    settings.STORAGE_URL = f"file://{folder}"
    settings.STORAGES = settings.STORAGES | storages_from_url(settings.STORAGE_URL, folder)
    return folder


@pytest.fixture
def real_connections(transactional_db: None) -> "RealConnections":
    """Run calls at the same moment on connections of their own: `real_connections.run([call, …])`."""
    from tests.connections import RealConnections

    return RealConnections()


def chromium_path() -> str | None:
    """An installed Chromium: the one named by CHROMIUM, on PATH, or Playwright's own."""
    if named := os.environ.get("CHROMIUM"):
        return named
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    return None


@pytest.fixture(scope="session")
def browser(django_db_setup: None) -> Iterator["Browser"]:
    """One Chromium for the run; without one the test is skipped, and fails where CI is set."""
    from playwright.sync_api import Error, expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    # Playwright's loop lives in this thread from now on, but the tests' own queries are ordinary ones.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        except Error as error:
            no_browser(str(error))
        yield chromium
        chromium.close()


def no_browser(reason: str) -> None:
    """Skip with one line how to get a browser; in CI its absence is a failure."""
    line = (
        "No Chromium: `apt-get install chromium`, `.venv/bin/playwright install chromium`, or set CHROMIUM."
    )
    if IN_CI:
        pytest.fail(f"{line} ({reason.splitlines()[0]})", pytrace=False)
    pytest.skip(line)


@pytest.fixture
def site(live_server: "LiveServer", settings: "Settings") -> str:
    """The address of the running site; links in mails and payment pages lead back to it."""
    settings.SITE_URL = live_server.url
    settings.CSRF_TRUSTED_ORIGINS = [live_server.url]
    return str(live_server.url)


@pytest.fixture
def page(browser: "Browser", site: str) -> Iterator["Page"]:
    """A fresh browser window on the running site. Fails at the end on any script error or CSP violation."""
    context = browser.new_context(
        base_url=site, locale="en-GB", timezone_id="Europe/London",
        service_workers="block",  # it asks behind a page's back; what it does is tried in test_desk.py
    )  # fmt: skip
    window = context.new_page()
    complaints: list[str] = []
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.on(
        "console", lambda message: complaints.append(message.text) if _is_violation(message.text) else None
    )
    yield window
    context.close()
    time.sleep(0.1)  # what the page had just asked for is answered before the database is taken away
    assert complaints == []


def _is_violation(text: str) -> bool:
    return "Content Security Policy" in text


@pytest.fixture
def stripe(request: pytest.FixtureRequest, settings: "Settings") -> "Iterator[StripeControl]":
    """A Stripe without money. In a browser test it listens for webhooks that nobody hears, so that the reconcile has to
    find the payment, and pages may send their forms to it."""
    from devtools.stripe_server import receiving, running

    with contextlib.ExitStack() as stack:
        in_browser = request.node.get_closest_marker("browser") is not None
        nobody = stack.enter_context(receiving()).url if in_browser else None
        server = stack.enter_context(running(webhook_url=nobody))
        settings.STRIPE_SECRET_KEY = server.api_key
        settings.STRIPE_API_BASE = server.url
        settings.STRIPE_WEBHOOK_SECRET = server.webhook_secret
        csp = settings.SECURE_CSP
        settings.SECURE_CSP = csp | {"form-action": [*csp["form-action"], server.url]}
        yield server
