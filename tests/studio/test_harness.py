"""What the other tests rely on: their own services, no way outside, real connections, a real browser."""

import os
import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.db import connection
from playwright.sync_api import Page
from pytest_socket import SocketConnectBlockedError

from studio import storage
from tests.connections import RealConnections


def test_network_outside_this_machine_is_closed() -> None:
    with pytest.raises((SocketConnectBlockedError, UserWarning), match=r"192\.0\.2\.1"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_settings_are_those_of_the_tests_whatever_the_person_has_set() -> None:
    assert settings.DEBUG is False
    assert settings.DEMO is False
    assert settings.SITE_URL == "http://testserver"
    assert Path(settings.DATA).parent == Path(os.environ["LIKENESS_TEST_FOLDER"])
    assert settings.STRIPE_API_BASE == "http://127.0.0.1:9"
    assert f"file://{settings.DATA / 'media'}" == settings.STORAGE_URL


def test_each_worker_has_its_own_queue() -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")

    assert settings.CELERY_BROKER_URL.endswith(f"virtual_host={worker}")


def backend(barrier: threading.Barrier) -> int:
    """The number of this thread's database process, once every thread has asked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        barrier.wait(timeout=10)
        return int(cursor.fetchone()[0])


def test_real_connections_run_side_by_side_each_on_its_own(real_connections: RealConnections) -> None:
    together = threading.Barrier(5)

    pids = real_connections.run([partial(backend, together)] * 5)

    assert len(set(pids)) == 5
    assert all(isinstance(pid, int) for pid in pids)


def test_real_connections_hand_back_exceptions_in_place(real_connections: RealConnections) -> None:
    def fail() -> int:
        raise ValueError("on purpose")

    first, second = real_connections.run([fail, lambda: 2])

    assert isinstance(first, ValueError)
    assert second == 2


def test_real_connections_do_not_wait_for_ever(real_connections: RealConnections) -> None:
    with pytest.raises(TimeoutError):
        real_connections.run([partial(time.sleep, 2)], seconds=0.1)


def test_media_storage_is_empty_and_this_tests_own(media_storage: Path) -> None:
    storage.put(storage.originals(), "shoot/a.jpg", ContentFile(b"bytes"))

    assert [path.read_bytes() for path in media_storage.rglob("a.jpg")] == [b"bytes"]


@pytest.mark.browser
def test_browser_opens_the_site_without_complaints(page: Page) -> None:
    page.goto("/accounts/login/")

    assert page.title() != ""
    assert page.locator("input[type=password]").count() == 1
