"""What a client fetches: ranges, records, and the end of it when the right to it ends."""

import contextlib
import http.client
import io
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from galleries import delivery, downloads
from galleries.models import DeliveredFile, Download, Gallery
from studio import credentials, storage
from studio.models import Credential, Role
from tests.galleries.finals import approve, in_retouching, make_retouch, open_link, pay
from tests.galleries.making import make_gallery, make_user, sign_in

pytestmark = pytest.mark.django_db


def delivered(*, picks: int = 2, size: int = 1000) -> Gallery:
    now = timezone.now()
    gallery = make_gallery(now=now)
    pay(gallery, 20000, now=now)
    for retouch in in_retouching(gallery, now=now, picks=picks):
        approve(retouch, now=now, size=size)
    assert delivery.finals_made(gallery_id=gallery.pk, now=now)
    gallery.refresh_from_db()
    return gallery


@pytest.fixture
def gallery(media_storage: object) -> Gallery:
    return delivered()


@pytest.fixture
def browser_of_client(gallery: Gallery) -> Browser:
    browser = Browser()
    open_link(browser, gallery, now=timezone.now())
    return browser


def first_file(gallery: Gallery) -> DeliveredFile:
    return downloads.files_of(gallery.deliveries.get())[0]


def path_of(gallery: Gallery, file: DeliveredFile) -> str:
    return f"/gallery/{gallery.public_id}/file/{file.pk}"


def bytes_of(file: DeliveredFile) -> bytes:
    made = file.rendition
    return b"".join(storage.open_range(storage.derived(), made.key, 0, made.size))


def test_a_file_comes_whole_and_is_recorded(gallery: Gallery, browser_of_client: Browser) -> None:
    file = first_file(gallery)
    answer = browser_of_client.get(path_of(gallery, file))
    assert answer.getvalue() == bytes_of(file)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{file.name}"'
    assert answer.headers["ETag"] == f'"{file.rendition.sha256}"'
    record = Download.objects.get()
    assert (record.what, record.bytes_sent, record.is_complete) == (file.name, 1000, True)
    assert record.holder_label == str(gallery.shoot.sitter)


def test_a_cut_download_goes_on_where_it_stopped(gallery: Gallery, browser_of_client: Browser) -> None:
    file = first_file(gallery)
    path, etag = path_of(gallery, file), f'"{file.rendition.sha256}"'
    rest = browser_of_client.get(path, headers={"Range": "bytes=400-", "If-Range": etag})
    assert (rest.status_code, rest.headers["Content-Range"]) == (206, "bytes 400-999/1000")
    assert rest.getvalue() == bytes_of(file)[400:]
    changed = browser_of_client.get(path, headers={"Range": "bytes=400-", "If-Range": '"another"'})
    assert (changed.status_code, len(changed.getvalue())) == (200, 1000)
    assert [(row.first_byte, row.bytes_sent) for row in Download.objects.order_by("pk")] == [
        (400, 600),
        (0, 1000),
    ]


def test_head_not_modified_and_bad_ranges_send_no_byte(gallery: Gallery, browser_of_client: Browser) -> None:
    file = first_file(gallery)
    path = path_of(gallery, file)
    head = browser_of_client.head(path)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "1000", b"")
    same = browser_of_client.get(path, headers={"If-None-Match": f'"{file.rendition.sha256}"'})
    assert same.status_code == 304
    beyond = browser_of_client.get(path, headers={"Range": "bytes=1000-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */1000")
    assert Download.objects.count() == 0


def test_the_zip_holds_every_file_in_its_folder(gallery: Gallery, browser_of_client: Browser) -> None:
    path = f"/gallery/{gallery.public_id}/zip/all"
    answer = browser_of_client.get(path)
    body = answer.getvalue()
    assert answer.headers["Content-Length"] == str(len(body))
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        wanted = {
            f"{f.rendition.recipe}/{f.name}": bytes_of(f)
            for f in downloads.files_of(gallery.deliveries.get())
        }
        assert {name: archive.read(name) for name in archive.namelist()} == wanted
    middle = len(body) // 2
    rest = browser_of_client.get(
        path, headers={"Range": f"bytes={middle}-", "If-Range": answer.headers["ETag"]}
    )
    assert rest.getvalue() == body[middle:]
    squares = browser_of_client.get(f"/gallery/{gallery.public_id}/zip/square").getvalue()
    with zipfile.ZipFile(io.BytesIO(squares)) as archive:
        assert [name.split("/")[0] for name in archive.namelist()] == ["square", "square"]
    assert browser_of_client.get(f"/gallery/{gallery.public_id}/zip/nothing").status_code == 404


def test_a_download_given_up_says_how_far_it_came(gallery: Gallery, browser_of_client: Browser) -> None:
    answer = browser_of_client.get(f"/gallery/{gallery.public_id}/zip/all")
    stream = answer._iterator
    next(stream)
    stream.close()
    record = Download.objects.get()
    assert record.is_complete is False
    assert record.bytes_sent < int(answer.headers["Content-Length"])


def test_nobody_else_gets_a_byte(gallery: Gallery, browser_of_client: Browser) -> None:
    other = delivered()
    path = path_of(gallery, first_file(gallery))
    stranger, nobody = Browser(), Browser()
    open_link(stranger, other, now=timezone.now())
    for browser in (stranger, nobody):
        for address in (
            path,
            f"/gallery/{gallery.public_id}/zip/all",
            f"/gallery/{gallery.public_id}/checksums",
        ):
            assert browser.get(address).status_code == 404
    # a file of another gallery under an address one may open
    assert browser_of_client.get(path_of(gallery, first_file(other))).status_code == 404
    assert Download.objects.count() == 0


def test_revoked_and_expired_links_open_nothing(gallery: Gallery, browser_of_client: Browser) -> None:
    path = path_of(gallery, first_file(gallery))
    credentials.revoke(scope="gallery", target=gallery.public_id, now=timezone.now())
    assert browser_of_client.get(path).status_code == 404
    again = Browser()
    open_link(again, gallery, now=timezone.now())
    assert again.get(path).status_code == 200
    Credential.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert again.get(path).status_code == 404


def test_expired_finals_are_put_away(gallery: Gallery, browser_of_client: Browser) -> None:
    path = path_of(gallery, first_file(gallery))
    Gallery.objects.filter(pk=gallery.pk).update(finals_expire_at=timezone.now() - timedelta(seconds=1))
    assert browser_of_client.get(path).status_code == 404
    page = browser_of_client.get(f"/gallery/{gallery.public_id}/")
    assert page.status_code == 200
    assert b"put away" in page.content
    assert b"/file/" not in page.content


def test_nothing_can_be_fetched_before_the_delivery(media_storage: object) -> None:
    now = timezone.now()
    gallery = make_gallery(now=now)
    one, _two = in_retouching(gallery, now=now)
    approve(one, now=now)
    browser = Browser()
    open_link(browser, gallery, now=now)
    for what in ("all", "square", "full"):
        assert browser.get(f"/gallery/{gallery.public_id}/zip/{what}").status_code == 404
    assert browser.get(f"/gallery/{gallery.public_id}/checksums").status_code == 404


def test_a_picture_chosen_later_is_in_no_archive(gallery: Gallery, browser_of_client: Browser) -> None:
    approve(make_retouch(gallery, 9, now=timezone.now()), now=timezone.now())
    body = browser_of_client.get(f"/gallery/{gallery.public_id}/zip/all").getvalue()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert len(archive.namelist()) == 8


def test_the_studio_may_fetch_and_leaves_no_client_record(gallery: Gallery) -> None:
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER))
    file = first_file(gallery)
    assert browser.get(path_of(gallery, file)).getvalue() == bytes_of(file)
    assert Download.objects.count() == 0


def test_checksums_are_those_of_the_files(gallery: Gallery, browser_of_client: Browser) -> None:
    body = browser_of_client.get(f"/gallery/{gallery.public_id}/checksums").content.decode()
    files = downloads.files_of(gallery.deliveries.get())
    assert body.splitlines() == [f"{file.rendition.sha256}  {file.name}" for file in files]


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """The site behind gunicorn, as in production, on this test's database and store."""
    database = urlsplit(os.environ["DATABASE_URL"])
    name = quote(str(connection.settings_dict["NAME"]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(database._replace(path=f"/{name}")),
        "STORAGE_URL": settings.STORAGE_URL,
        "SITE_URL": f"http://{place}",
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    options = ["-b", place, "-k", "gthread", "--threads", "4", "--worker-tmp-dir", str(folder)]
    command = [sys.executable, "-m", "gunicorn", "studio.wsgi", *options, "--no-control-socket"]
    with (folder / "web.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stderr=log, cwd=settings.BASE_DIR)
        try:
            _wait_for(place)
            yield place
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(place: str) -> None:
    for _try in range(600):
        line = http.client.HTTPConnection(place, timeout=30)
        try:
            line.request("GET", "/healthz")
            assert line.getresponse().status == 200
            return
        except ConnectionError:
            time.sleep(0.1)
        finally:
            line.close()
    raise TimeoutError(place)


@pytest.mark.django_db(transaction=True)
def test_revoking_ends_a_running_download(media_storage: Path, tmp_path: Path) -> None:
    """A slow reader of the real server: it stops sending, and the record says how far it came."""
    gallery = delivered(picks=1, size=16_000_000)
    browser = Browser()
    open_link(browser, gallery, now=timezone.now())
    with web_server(tmp_path) as place:
        line = http.client.HTTPConnection(place, timeout=60)
        path = f"/gallery/{gallery.public_id}/zip/all"
        line.request("GET", path, headers={"Cookie": f"session={browser.cookies['session'].value}"})
        answer = line.getresponse()
        length, received, is_revoked = int(answer.headers["Content-Length"]), 0, False
        with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
            while chunk := answer.read(200_000):
                received += len(chunk)
                if not is_revoked and received > 1_000_000:
                    credentials.revoke(scope="gallery", target=gallery.public_id, now=timezone.now())
                    is_revoked = True
                time.sleep(
                    0.05
                )  # at most 4 MB/s: the whole would take 16 seconds, three times ASK_AGAIN_SECONDS
        line.close()
    assert is_revoked
    assert received < length
    record = Download.objects.get()
    assert (record.is_complete, record.bytes_sent < length) == (False, True)
