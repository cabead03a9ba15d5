"""Uploads when the machine fails: a web server killed in the middle of a piece, a disk that fills up. Real processes,
a real full disk; the stored bytes are equal or nothing is stored, and `verify` is clean.
"""

import http.client
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client as Browser
from django.utils import timezone

from galleries import receiving
from galleries.models import Gallery, Upload
from studio import storage, verification
from studio.actors import WORKER
from studio.models import Role
from studio.processes import Child
from tests.galleries.making import make_gallery, make_user, sign_in
from tests.journeys.fleet import Fleet, _answers, free_port, wait_until, workshop

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

DATA = random.Random(4).randbytes(24_000_000)
KILLS = 6


@pytest.fixture
def fleet(transactional_db: None, settings, tmp_path: Path) -> Iterator[Fleet]:
    """A web server on the test's database and a store of its own, which this process reads as well."""
    from studio.storage import storages_from_url

    media = tmp_path / "media"
    settings.STORAGES = settings.STORAGES | storages_from_url(f"file://{media}", media)
    settings.MEDIA_ROOT = str(media)
    with workshop(tmp_path) as fleet:
        fleet.site = f"http://127.0.0.1:{free_port()}"
        fleet.environment |= {"SITE_URL": fleet.site, "DEBUG": "1"}
        yield fleet


def start_web(fleet: Fleet) -> Child:
    options = ["--bind", urlsplit(fleet.site).netloc, "--worker-class", "gthread", "--threads", "8"]
    options += ["--no-control-socket", "--worker-tmp-dir", str(fleet.folder)]
    web = fleet.start(fleet.child("web", "-m", "gunicorn", "studio.wsgi:application", *options))
    wait_until("the site answers", lambda: _answers(f"{fleet.site}/healthz"))
    return web


class Line:
    """A photographer's sender, written by hand so that it can be slow."""

    def __init__(self, site: str) -> None:
        browser = Browser()
        sign_in(browser, make_user(Role.PHOTOGRAPHER))
        cookies = [f"{name}={morsel.value}" for name, morsel in browser.cookies.items()]
        token = "b" * 32
        cookies.append(f"{settings.CSRF_COOKIE_NAME}={token}")
        self.site = urlsplit(site)
        self.headers = {"Cookie": "; ".join(cookies), "X-CSRFToken": token, "Tus-Resumable": "1.0.0"}

    def offset(self, path: str) -> int:
        with closing(http.client.HTTPConnection(self.site.netloc, timeout=20)) as line:
            line.request("HEAD", path, headers=self.headers)
            with line.getresponse() as answer:
                return int(answer.headers["Upload-Offset"])

    def send(self, path: str, at: int, data: bytes, *, pause: float = 0.0) -> int:
        """PATCH; with a pause after every megabyte, so that somebody can be killed meanwhile. 0: the line was lost."""
        line = http.client.HTTPConnection(self.site.netloc, timeout=20)
        headers = {
            **self.headers,
            "Upload-Offset": str(at),
            "Content-Type": "application/offset+octet-stream",
        }
        try:
            line.putrequest("PATCH", path)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                line.putheader(name, value)
            line.endheaders()
            for start in range(0, len(data), 1_000_000):
                line.send(data[start : start + 1_000_000])
                time.sleep(pause)
            with line.getresponse() as answer:
                return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            line.close()


def broken() -> list[str]:
    return [line for check in verification.invariants() for line in check.find(timezone.now())]


def test_a_server_killed_in_the_middle_of_a_piece_keeps_the_file_equal(fleet: Fleet) -> None:
    gallery = make_gallery(now=timezone.now())
    line = Line(fleet.site)
    upload = receiving.open_upload(
        gallery=gallery, name="DSC_1.NEF", size=len(DATA), by=WORKER, now=timezone.now()
    )
    Upload.objects.filter(pk=upload.pk).update(by=gallery_owner())
    path = f"/uploads/{upload.public_id}"
    struck = 0
    for kill in range(KILLS):
        web = start_web(fleet)
        at = line.offset(path)
        sender = threading.Thread(
            target=line.send, args=(path, at, DATA[at : at + 12_000_000]), kwargs={"pause": 0.05}
        )
        sender.start()
        time.sleep(0.15 + 0.07 * kill)
        struck += sender.is_alive()
        fleet.kill(web)
        sender.join(30)
    assert struck == KILLS, "a killed server was idle: this has shown nothing"
    start_web(fleet)
    at = line.offset(path)
    while at < len(DATA):
        assert line.send(path, at, DATA[at : at + 8_000_000]) == 204
        at = line.offset(path)
    upload.refresh_from_db()
    assert upload.status == "checking"
    assert b"".join(storage.open_range(storage.originals(), upload.key, 0, upload.size)) == DATA
    assert broken() == []


def gallery_owner() -> int:
    """The photographer whose line it is."""
    from studio.models import User

    return User.objects.order_by("-pk").values_list("pk", flat=True)[0]


# --- a disk that is full


@pytest.fixture
def small_disk(settings, tmp_path: Path, transactional_db: None) -> Iterator[Path]:
    """A store on a disk of 12 MB. Needs the right to mount."""
    from studio.storage import storages_from_url

    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("Only root may mount a small disk.")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"No small disk can be mounted here: {mounted.stderr.strip()}")
    settings.STORAGES = settings.STORAGES | storages_from_url(f"file://{place}", place)
    settings.MEDIA_ROOT = str(place)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_keeps_nothing_half_and_goes_on_when_there_is_room(
    small_disk: Path, transactional_db: None
) -> None:
    gallery: Gallery = make_gallery(now=timezone.now())
    data = DATA[:8_000_000]
    upload = receiving.open_upload(
        gallery=gallery, name="A.JPG", size=len(data), by=WORKER, now=timezone.now()
    )
    receiving.append(upload_id=upload.pk, at=0, chunks=[data[:2_000_000]], now=timezone.now())
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(7_000_000))
    with pytest.raises(storage.StorageFull):
        receiving.append(
            upload_id=upload.pk,
            at=2_000_000,
            chunks=(data[at : at + 500_000] for at in range(2_000_000, len(data), 500_000)),
            now=timezone.now(),
        )
    upload.refresh_from_db()
    assert receiving.offset_of(upload) == 2_000_000  # nothing was acknowledged that is not kept
    with pytest.raises(storage.StorageFull):
        receiving.open_upload(gallery=gallery, name="B.JPG", size=9_000_000, by=WORKER, now=timezone.now())
    ballast.unlink()
    receiving.append(upload_id=upload.pk, at=2_000_000, chunks=[data[2_000_000:]], now=timezone.now())
    upload.refresh_from_db()
    assert upload.status == "checking"
    assert b"".join(storage.open_range(storage.originals(), upload.key, 0, upload.size)) == data
    assert [line for line in broken() if "ballast" not in line] == []
