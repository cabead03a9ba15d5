"""A foreign client, tus-js-client from npm, against our endpoint: it must not notice whose server it is.

npm installs into `var/node`. Without npm these tests are skipped, and fail where CI is set.
"""

import fcntl
import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client as Browser
from django.utils import timezone

from galleries.models import Gallery, Upload
from studio import storage
from studio.models import Role
from tests.galleries.making import make_gallery, make_user, sign_in

VERSION = "4.3.1"
FOLDER = Path(__file__).resolve().parents[2] / "var" / "node" / f"tus-js-client-{VERSION}"
SCRIPT = Path(__file__).with_name("tus_client.cjs")
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
DATA = random.Random(11).randbytes(2_500_000)

pytestmark = pytest.mark.django_db(transaction=True)


def missing(reason: str) -> None:
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def tus_js() -> Path:
    """The installed module."""
    module = FOLDER / "node_modules" / "tus-js-client"
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        missing("No npm: install Node.js to try tus-js-client against the upload endpoint.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not module.exists():
            command = [str(npm), "install", "--prefix", str(FOLDER), "--no-save", "--no-package-lock"]
            command += ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(
                [*command, f"tus-js-client@{VERSION}"], capture_output=True, text=True, timeout=300
            )
            if done.returncode != 0:
                missing(f"npm could not fetch tus-js-client {VERSION}: {done.stderr.strip()[-200:]}")
    return module


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=timezone.now())


class Sender:
    """tus-js-client in a node process of its own, signed in as a photographer."""

    def __init__(self, module: Path, site: str, gallery: Gallery, file: Path) -> None:
        browser = Browser()
        sign_in(browser, make_user(Role.PHOTOGRAPHER))
        cookies = [f"{name}={morsel.value}" for name, morsel in browser.cookies.items()]
        token = "b" * 32
        cookies.append(f"{django_settings.CSRF_COOKIE_NAME}={token}")
        self.order: dict[str, Any] = {
            "module": str(module),
            "endpoint": f"{site}/uploads/",
            "file": str(file),
            "headers": {"Cookie": "; ".join(cookies), "X-CSRFToken": token},
            "metadata": {"filename": "Wedding – Ünïcode.NEF", "gallery": gallery.public_id},
        }

    def run(self, **more: Any) -> dict[str, Any]:
        done = subprocess.run(
            ["node", str(SCRIPT)],
            input=json.dumps({**self.order, **more}),
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def sender(tus_js: Path, live_server, gallery: Gallery, tmp_path: Path) -> Sender:
    file = tmp_path / "card.nef"
    file.write_bytes(DATA)
    return Sender(tus_js, live_server.url, gallery, file)


def kept() -> bytes:
    upload = Upload.objects.get()
    assert upload.status == "checking"
    return b"".join(storage.open_range(storage.originals(), upload.key, 0, upload.size))


@pytest.mark.parametrize(
    "how",
    [{}, {"chunkSize": 700_000}, {"withCreation": True}, {"stream": True, "chunkSize": 1_000_000}],
    ids=["in one piece", "in chunks", "with creation", "as a stream"],
)
def test_a_file_arrives_as_it_was(sender: Sender, how: dict[str, Any]) -> None:
    said = sender.run(**how)
    assert (said["error"], said["sent"]) == (None, len(DATA))
    assert kept() == DATA
    assert Upload.objects.get().name == "Wedding – Ünïcode.NEF"
    assert all(status.split()[1] in ("200", "201", "204") for status in said["statuses"])


def test_an_aborted_upload_goes_on_from_its_address(sender: Sender) -> None:
    first = sender.run(chunkSize=500_000, stopAfter=1_000_000)
    assert 1_000_000 <= Upload.objects.get().offset < len(DATA)
    second = sender.run(chunkSize=500_000, uploadUrl=first["url"])
    assert (second["error"], second["statuses"][0]) == (None, "HEAD 200")
    assert kept() == DATA


def test_a_terminated_upload_is_gone(sender: Sender) -> None:
    first = sender.run(chunkSize=500_000, stopAfter=500_000)
    assert sender.run(terminate=True, uploadUrl=first["url"])["error"] is None
    assert Upload.objects.get().status == "abandoned"


def test_a_stranger_is_refused_with_the_status(sender: Sender) -> None:
    said = sender.run(
        headers={"X-CSRFToken": "b" * 32, "Cookie": f"{django_settings.CSRF_COOKIE_NAME}={'b' * 32}"}
    )
    assert "401" in said["error"]
    assert Upload.objects.count() == 0
