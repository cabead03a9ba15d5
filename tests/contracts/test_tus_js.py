"""Foreign clients from npm, tus-js-client and Uppy, against our endpoint: they must not notice whose server it is.

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

from galleries import cards
from galleries.models import Gallery, Upload
from studio import storage
from studio.actors import WORKER
from studio.models import Role
from tests.galleries.making import make_gallery, make_user, sign_in

VERSION = "4.3.1"
FOLDER = Path(__file__).resolve().parents[2] / "var" / "node" / f"tus-js-client-{VERSION}"
UPPY = ("@uppy/core@5.2.0", "@uppy/tus@5.1.1")
UPPY_FOLDER = FOLDER.with_name("uppy-5.2.0")
UPPY_SCRIPT = Path(__file__).with_name("uppy_client.mjs")
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
    return installed(FOLDER, f"tus-js-client@{VERSION}") / "tus-js-client"


@pytest.fixture(scope="session")
def uppy() -> Path:
    """The folder that holds Uppy's modules."""
    return installed(UPPY_FOLDER, *UPPY)


def installed(folder: Path, *packages: str) -> Path:
    """The modules of these packages, fetched once by npm without running any of their scripts."""
    modules = folder / "node_modules"
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        missing("No npm: install Node.js to try foreign clients against the upload endpoint.")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((modules / name.rpartition("@")[0]).exists() for name in packages):
            command = [str(npm), "install", "--prefix", str(folder), "--no-save", "--no-package-lock"]
            command += ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run([*command, *packages], capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                missing(f"npm could not fetch {' '.join(packages)}: {done.stderr.strip()[-200:]}")
    return modules


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=timezone.now())


def photographers_headers() -> dict[str, str]:
    """What a signed-in photographer's browser sends."""
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER))
    cookies = [f"{name}={morsel.value}" for name, morsel in browser.cookies.items()]
    token = "b" * 32
    cookies.append(f"{django_settings.CSRF_COOKIE_NAME}={token}")
    return {"Cookie": "; ".join(cookies), "X-CSRFToken": token}


class Sender:
    """tus-js-client in a node process of its own, signed in as a photographer."""

    def __init__(self, module: Path, site: str, gallery: Gallery, file: Path) -> None:
        self.order: dict[str, Any] = {
            "module": str(module),
            "endpoint": f"{site}/uploads/",
            "file": str(file),
            "headers": photographers_headers(),
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


# --- Uppy


def run_uppy(
    uppy: Path, site: str, metadata: dict[str, str], files: list[Path], **more: Any
) -> dict[str, Any]:
    order = {
        "folder": str(uppy.parent),
        "endpoint": f"{site}/uploads/",
        "files": [str(file) for file in files],
        "headers": photographers_headers(),
        "metadata": metadata,
    }
    done = subprocess.run(
        ["node", str(UPPY_SCRIPT)], input=json.dumps(order | more), capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def three_files(tmp_path: Path) -> list[Path]:
    chance = random.Random(3)
    files = [tmp_path / f"DSC_{number}.NEF" for number in range(3)]
    for file in files:
        file.write_bytes(chance.randbytes(900_000))
    return files


def kept_files() -> dict[str, bytes]:
    return {
        row.name: b"".join(storage.open_range(storage.originals(), row.key, 0, row.size))
        for row in Upload.objects.filter(status="checking")
    }


@pytest.mark.parametrize("chunk", [None, 250_000], ids=["in one piece", "in chunks"])
def test_uppy_sends_a_batch_to_a_gallery(
    uppy: Path, live_server, gallery: Gallery, three_files: list[Path], chunk: int | None
) -> None:
    said = run_uppy(uppy, live_server.url, {"gallery": gallery.public_id}, three_files, chunkSize=chunk)
    assert (said["failed"], len(said["successful"])) == ([], 3)
    assert kept_files() == {file.name: file.read_bytes() for file in three_files}
    assert all(status.split()[1] in ("200", "201", "204") for status in said["statuses"])


def test_uppy_drops_a_card(uppy: Path, live_server, gallery: Gallery, three_files: list[Path]) -> None:
    card = cards.open_card(location=gallery.shoot.booking.location, by=WORKER, now=timezone.now())
    said = run_uppy(uppy, live_server.url, {"card": card.public_id}, three_files)
    assert (said["failed"], len(said["successful"])) == ([], 3)
    assert {row.name: row.gallery for row in card.uploads.all()} == {file.name: None for file in three_files}


def test_uppy_is_told_why_a_stranger_is_refused(
    uppy: Path, live_server, gallery: Gallery, three_files: list[Path]
) -> None:
    token = "b" * 32
    headers = {"X-CSRFToken": token, "Cookie": f"{django_settings.CSRF_COOKIE_NAME}={token}"}
    said = run_uppy(uppy, live_server.url, {"gallery": gallery.public_id}, three_files[:1], headers=headers)
    assert said["successful"] == [] and "401" in said["failed"][0][1]
    assert Upload.objects.count() == 0
