"""The tus endpoint: whatever happens on the line, what is acknowledged is what is kept."""

import base64
import errno
import hashlib
import http.client
import os
import random
import socket
import threading
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from galleries import jobs, receiving, tus
from galleries.models import Gallery, Job, Upload
from studio import storage
from studio.actors import WORKER
from studio.models import Role, User
from tests.galleries.making import make_gallery, make_location, make_user, sign_in

BODY = {"content_type": "application/offset+octet-stream"}
DATA = random.Random(7).randbytes(300_000)
CUTS = 13

pytestmark = pytest.mark.django_db


@pytest.fixture
def gallery(db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=timezone.now())


@pytest.fixture
def photographer(gallery: Gallery) -> User:
    return make_user(Role.PHOTOGRAPHER)


@pytest.fixture
def sender(photographer: User) -> Browser:
    browser = Browser(headers={"Tus-Resumable": "1.0.0"})
    sign_in(browser, photographer)
    return browser


def told(**facts: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in facts.items())


def begin(sender: Browser, gallery: Gallery, size: int = len(DATA), **facts: str) -> HttpResponse:
    facts = {"filename": "IMG_0001.CR3", "gallery": gallery.public_id, **facts}
    return sender.post(
        "/uploads/",
        data=b"",
        headers={"Upload-Length": str(size), "Upload-Metadata": told(**facts)},
        content_type="",
    )


def patch(sender: Browser, url: str, at: int, data: bytes, **headers: str) -> HttpResponse:
    return sender.patch(url, data=data, headers={"Upload-Offset": str(at), **headers}, **BODY)


def location(response: HttpResponse) -> str:
    assert response.status_code == 201, response.content
    return urlsplit(response.headers["Location"]).path


def checksum(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def kept() -> bytes:
    """The bytes of the one finished original."""
    (found,) = storage.listed(storage.originals())
    return b"".join(storage.open_range(storage.originals(), found.key, 0, found.size))


def part_of(media_storage: Path) -> Path:
    (part,) = (media_storage / "originals" / ".incoming").iterdir()
    return part


# --- the protocol


def test_options_says_what_we_can_do(sender: Browser, settings) -> None:
    settings.MAX_UPLOAD_BYTES = 1234
    answer = sender.options("/uploads/")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,creation-with-upload,checksum,expiration,termination"
    assert (answer.headers["Tus-Max-Size"], answer.headers["Tus-Checksum-Algorithm"]) == (
        "1234",
        "sha1,sha256",
    )


def test_a_file_in_pieces_is_whole_and_handed_to_the_checks(
    sender: Browser, gallery: Gallery, photographer: User, media_storage: Path
) -> None:
    answer = begin(sender, gallery)
    url = location(answer)
    assert "Upload-Expires" in answer.headers
    first = patch(sender, url, 0, DATA[:100_000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "100000")
    assert part_of(media_storage).stat().st_size == 100_000
    head = sender.head(url)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("100000", "300000")
    assert head.headers["Cache-Control"] == "no-store"
    last = patch(sender, url, 100_000, DATA[100_000:])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, "300000")
    upload = Upload.objects.get()
    assert (upload.status, upload.by, upload.name) == ("checking", photographer, "IMG_0001.CR3")
    assert kept() == DATA
    assert Job.objects.get().kind == "intake"


def test_creation_may_carry_the_first_bytes(sender: Browser, gallery: Gallery) -> None:
    metadata = told(filename="a.jpg", gallery=gallery.public_id)
    answer = sender.post(
        "/uploads/", data=DATA, headers={"Upload-Length": str(len(DATA)), "Upload-Metadata": metadata}, **BODY
    )
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "300000")
    assert kept() == DATA


def test_a_wrong_offset_is_409_with_the_right_one(sender: Browser, gallery: Gallery) -> None:
    url = location(begin(sender, gallery))
    patch(sender, url, 0, DATA[:1000])
    again = patch(sender, url, 0, DATA[:1000])  # the same chunk twice
    ahead = patch(sender, url, 5000, DATA[5000:6000])
    assert (again.status_code, again.headers["Upload-Offset"]) == (409, "1000")
    assert (ahead.status_code, ahead.headers["Upload-Offset"]) == (409, "1000")
    assert sender.head(url).headers["Upload-Offset"] == "1000"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_piece_with_a_wrong_checksum_is_460_and_not_kept(
    sender: Browser, gallery: Gallery, media_storage: Path, algorithm: str
) -> None:
    url = location(begin(sender, gallery))
    good = patch(sender, url, 0, DATA[:5000], **{"Upload-Checksum": checksum(DATA[:5000], algorithm)})
    bad = patch(sender, url, 5000, DATA[5000:9000], **{"Upload-Checksum": checksum(DATA[:5000], algorithm)})
    assert (good.status_code, bad.status_code) == (204, 460)
    assert part_of(media_storage).stat().st_size == 5000
    unknown = patch(sender, url, 5000, DATA[5000:9000], **{"Upload-Checksum": "md5 AAAA"})
    assert unknown.status_code == 400
    assert sender.head(url).headers["Upload-Offset"] == "5000"


def test_more_than_announced_is_413_and_not_kept(
    sender: Browser, gallery: Gallery, media_storage: Path
) -> None:
    url = location(begin(sender, gallery, size=1000))
    assert patch(sender, url, 0, DATA[:1001]).status_code == 413
    assert sender.head(url).headers["Upload-Offset"] == "0"
    upload = Upload.objects.get()
    with pytest.raises(receiving.Overrun):  # a sender that announces no length of its piece
        receiving.append(upload_id=upload.pk, at=0, chunks=[DATA[:900], DATA[:900]], now=timezone.now())
    assert part_of(media_storage).stat().st_size == 0


def test_a_file_beyond_the_limit_is_413(sender: Browser, gallery: Gallery, settings) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    assert begin(sender, gallery, size=1001).status_code == 413
    assert begin(sender, gallery, size=1000).status_code == 201


def test_termination_deletes_and_is_gone_afterwards(
    sender: Browser, gallery: Gallery, media_storage: Path
) -> None:
    url = location(begin(sender, gallery))
    patch(sender, url, 0, DATA[:1000])
    assert sender.delete(url).status_code == 204
    assert [sender.head(url).status_code, patch(sender, url, 1000, b"x").status_code] == [410, 410]
    assert sender.delete(url).status_code == 410
    assert list((media_storage / "originals" / ".incoming").iterdir()) == []
    assert Upload.objects.get().backend == {"gone": True}


def test_an_empty_file_is_refused_with_its_reason(sender: Browser, gallery: Gallery) -> None:
    answer = begin(sender, gallery, size=0)
    assert (answer.status_code, answer.content) == (400, b"The file is empty. Please send it again.\n")
    assert Upload.objects.get().status == "refused"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Upload-Length": "-5"}, 400),
        ({"Upload-Length": "many"}, 400),
        ({"Upload-Metadata": "filename notbase64!"}, 400),
        ({"Upload-Metadata": ""}, 404),
    ],
)
def test_a_malformed_creation_is_refused(
    sender: Browser, gallery: Gallery, headers: dict[str, str], status: int
) -> None:
    good = {"Upload-Length": "5", "Upload-Metadata": told(filename="a.jpg", gallery=gallery.public_id)}
    answer = sender.post("/uploads/", data=b"", headers={**good, **headers}, **BODY)
    assert answer.status_code == status
    assert Upload.objects.count() == 0


def test_a_piece_of_another_type_is_415(sender: Browser, gallery: Gallery) -> None:
    url = location(begin(sender, gallery))
    answer = sender.patch(url, data=b"x", headers={"Upload-Offset": "0"}, content_type="image/jpeg")
    assert answer.status_code == 415


def test_post_with_an_override_is_a_patch(sender: Browser, gallery: Gallery) -> None:
    url = location(begin(sender, gallery))
    headers = {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert sender.post(url, data=b"abc", headers=headers, **BODY).status_code == 204
    assert sender.post(url, data=b"abc", headers={"Upload-Offset": "3"}, **BODY).status_code == 405


@pytest.mark.parametrize("name", ["../../etc/passwd.jpg", "C:\\card\\IMG\x00_1.JPG", "a/b/IMG_1.JPG"])
def test_names_from_outside_are_cut_to_their_last_part(sender: Browser, gallery: Gallery, name: str) -> None:
    begin(sender, gallery, filename=name)
    upload = Upload.objects.get()
    assert "/" not in upload.name and "\x00" not in upload.name
    assert upload.key.startswith(f"s{gallery.shoot.public_id}/")
    assert upload.name.rpartition(".")[0] not in upload.key


# --- who may


def statuses(browser: Browser, gallery: Gallery, url: str) -> list[int]:
    return [
        begin(browser, gallery).status_code,
        browser.head(url).status_code,
        patch(browser, url, 0, DATA[:10]).status_code,
        browser.delete(url).status_code,
    ]


def test_each_request_asks_who_it_is(sender: Browser, gallery: Gallery, photographer: User) -> None:
    url = location(begin(sender, gallery))
    tus_only = {"Tus-Resumable": "1.0.0"}
    stranger = Browser(headers=tus_only)
    assert statuses(stranger, gallery, url) == [401, 401, 401, 401]
    for roles in ([Role.ARTIST], [Role.RETOUCHER], []):
        browser = Browser(headers=tus_only)
        sign_in(browser, make_user(*roles))
        assert statuses(browser, gallery, url) == [404, 404, 404, 404]
    colleague = Browser(headers=tus_only)
    sign_in(colleague, make_user(Role.PHOTOGRAPHER))
    assert statuses(colleague, gallery, url) == [201, 404, 404, 404]  # not their upload
    photographer.staff_roles.all().delete()
    assert statuses(sender, gallery, url) == [404, 404, 404, 404]
    photographer.is_active = False
    photographer.save()
    assert sender.head(url).status_code == 401
    owner = Browser(headers=tus_only)
    sign_in(owner, make_user(Role.OWNER))
    assert statuses(owner, gallery, url) == [201, 200, 204, 204]


def test_a_role_at_another_location_opens_nothing(gallery: Gallery) -> None:
    browser = Browser(headers={"Tus-Resumable": "1.0.0"})
    sign_in(browser, make_user(Role.PHOTOGRAPHER, location=make_location()))
    assert begin(browser, gallery).status_code == 404


def test_without_the_csrf_token_nothing_is_taken(gallery: Gallery, photographer: User) -> None:
    browser = Browser(enforce_csrf_checks=True, headers={"Tus-Resumable": "1.0.0"})
    sign_in(browser, photographer)
    assert begin(browser, gallery).status_code == 403
    browser.cookies[django_settings.CSRF_COOKIE_NAME] = "a" * 32
    facts = {"Upload-Length": "5", "Upload-Metadata": told(filename="a.jpg", gallery=gallery.public_id)}
    answer = browser.post("/uploads/", data=b"", headers={**facts, "X-CSRFToken": "a" * 32}, **BODY)
    assert answer.status_code == 201
    assert Upload.objects.count() == 1


# --- disks and crashes


def test_a_full_disk_acknowledges_nothing(
    sender: Browser, gallery: Gallery, media_storage: Path, monkeypatch
) -> None:
    url = location(begin(sender, gallery))
    patch(sender, url, 0, DATA[:1000])
    write, room = os.write, [1500]

    def small_disk(descriptor: int, data: bytes) -> int:
        if len(data) < 500:  # not ours: the test's own pipes
            return write(descriptor, data)
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", small_disk)
        assert patch(sender, url, 1000, DATA[1000:9000]).status_code == 507
    assert part_of(media_storage).stat().st_size == 1000
    assert sender.head(url).headers["Upload-Offset"] == "1000"
    assert patch(sender, url, 1000, DATA[1000:]).status_code == 204
    assert kept() == DATA


def test_a_file_larger_than_what_is_free_is_507_at_once(
    sender: Browser, gallery: Gallery, monkeypatch
) -> None:
    monkeypatch.setattr(storage, "free_bytes", lambda store: 1000)
    assert begin(sender, gallery, size=1001).status_code == 507
    assert Upload.objects.count() == 0


def test_bytes_that_were_never_acknowledged_are_cut_before_going_on(
    sender: Browser, gallery: Gallery, media_storage: Path
) -> None:
    url = location(begin(sender, gallery))
    patch(sender, url, 0, DATA[:1000])
    with part_of(media_storage).open("ab") as file:  # a server killed in the middle of a chunk
        file.write(b"\0" * 500)
    assert sender.head(url).headers["Upload-Offset"] == "1000"
    assert part_of(media_storage).stat().st_size == 1000
    patch(sender, url, 1000, DATA[1000:])
    assert kept() == DATA


def test_a_file_shorter_than_acknowledged_goes_on_where_it_ends(
    sender: Browser, gallery: Gallery, media_storage: Path
) -> None:
    url = location(begin(sender, gallery))
    patch(sender, url, 0, DATA[:1000])
    os.truncate(part_of(media_storage), 400)  # the disk was restored from a backup
    assert sender.head(url).headers["Upload-Offset"] == "400"
    patch(sender, url, 400, DATA[400:])
    assert kept() == DATA


@pytest.mark.parametrize("died_before", ["adopt", "move"])
def test_a_server_that_died_at_the_last_step_is_caught_up(
    sender: Browser, gallery: Gallery, monkeypatch, died_before: str
) -> None:
    from galleries.receiving import disk, verbs

    url = location(begin(sender, gallery))

    def die(*args: object, **kwargs: object) -> None:
        raise RuntimeError("killed")

    sender.raise_request_exception = False
    with monkeypatch.context() as patched:
        if died_before == "adopt":
            patched.setattr(disk.DiskHold, "finish", die)
        else:
            patched.setattr(verbs, "move", die)
        assert patch(sender, url, 0, DATA).status_code == 500
    assert Upload.objects.get().status == "receiving"
    receiving.sweep(now=timezone.now() + timedelta(minutes=2))
    assert Upload.objects.get().status == "checking"
    assert kept() == DATA
    assert sender.head(url).headers["Upload-Offset"] == "300000"


def test_abandoned_uploads_are_deleted_after_a_day(
    sender: Browser, gallery: Gallery, media_storage: Path
) -> None:
    url = location(begin(sender, gallery))
    patch(sender, url, 0, DATA[:1000])
    receiving.sweep(now=timezone.now() + timedelta(hours=23))
    assert sender.head(url).status_code == 200
    receiving.sweep(now=timezone.now() + timedelta(hours=25))
    assert sender.head(url).status_code == 410
    assert list((media_storage / "originals" / ".incoming").iterdir()) == []


# --- real connections


class Line:
    """HTTP to the live server with the sender's session, cut wherever the test likes."""

    def __init__(self, address: str, browser: Browser) -> None:
        self.host, self.port = str(urlsplit(address).hostname), int(urlsplit(address).port or 80)
        self.cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
        self.token = "a" * 32
        self.cookie += f"; {django_settings.CSRF_COOKIE_NAME}={self.token}"

    def headers(self, **more: str) -> dict[str, str]:
        return {
            "Tus-Resumable": "1.0.0",
            "Cookie": self.cookie,
            "X-CSRFToken": self.token,
            "Content-Type": "application/offset+octet-stream",
            **more,
        }

    def ask(
        self, method: str, url: str, body: bytes | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        connection.request(method, url, body=body, headers=self.headers(**headers))
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def offset(self, url: str) -> int:
        return int(self.ask("HEAD", url).headers["Upload-Offset"])

    def send_and_cut(self, url: str, at: int, data: bytes, cut: int, **headers: str) -> None:
        """Announce all of `data`, send `cut` bytes of it, and hang up."""
        head = self.headers(**{"Upload-Offset": str(at), "Content-Length": str(len(data)), **headers})
        lines = [
            f"PATCH {url} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            *(f"{k}: {v}" for k, v in head.items()),
        ]
        with socket.create_connection((self.host, self.port), timeout=10) as wire:
            wire.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data[:cut])


def wait_until_free(line: Line, url: str) -> int:
    """The offset once the cut request has let go of the upload."""
    import time

    seen = -1
    for _try in range(100):
        offset = line.offset(url)
        if offset == seen:
            return offset
        seen = offset
        time.sleep(0.05)
    return seen


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(4))  # 52 cuts in all
def test_an_upload_cut_at_random_bytes_and_resumed_is_equal(
    live_server, sender: Browser, gallery: Gallery, seed: int
) -> None:
    chance = random.Random(seed)
    line = Line(live_server.url, sender)
    url = location(begin(sender, gallery))
    cuts = 0
    while (at := wait_until_free(line, url)) < len(DATA) and cuts < CUTS:
        line.send_and_cut(url, at, DATA[at:], chance.randrange(0, len(DATA) - at))
        cuts += 1
    at = wait_until_free(line, url)
    while at < len(DATA):
        answer = line.ask("PATCH", url, DATA[at:], **{"Upload-Offset": str(at)})
        assert answer.status in (204, 409, 423)
        at = line.offset(url)
    assert cuts == CUTS
    assert kept() == DATA
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_cut_piece_with_a_checksum_does_not_count(live_server, sender: Browser, gallery: Gallery) -> None:
    line = Line(live_server.url, sender)
    url = location(begin(sender, gallery))
    line.send_and_cut(url, 0, DATA, 123_456, **{"Upload-Checksum": checksum(DATA)})
    assert wait_until_free(line, url) == 0


@pytest.mark.django_db(transaction=True)
def test_five_clients_on_one_upload_keep_it_equal(live_server, sender: Browser, gallery: Gallery) -> None:
    url = location(begin(sender, gallery))
    answers: list[int] = []

    def client() -> None:
        line = Line(live_server.url, sender)
        for _round in range(200):
            at = line.offset(url)
            if at >= len(DATA):
                return
            piece = DATA[at : at + 20_000]
            answers.append(line.ask("PATCH", url, piece, **{"Upload-Offset": str(at)}).status)

    threads = [threading.Thread(target=client) for _client in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert kept() == DATA
    assert answers.count(204) == 15
    assert set(answers) <= {204, 409, 423}
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_while_somebody_sends_another_is_told_423(live_server, sender: Browser, gallery: Gallery) -> None:
    line = Line(live_server.url, sender)
    url = location(begin(sender, gallery))
    upload = Upload.objects.get()
    from galleries.receiving.shelves import shelf

    with shelf().hold(upload):
        answer = line.ask("PATCH", url, DATA, **{"Upload-Offset": "0"})
        assert (answer.status, answer.headers["Retry-After"]) == (423, "2")
        assert line.offset(url) == 0
    assert line.ask("PATCH", url, DATA, **{"Upload-Offset": "0"}).status == 204
    assert kept() == DATA


def test_metadata_is_read_as_the_protocol_says() -> None:
    assert tus.metadata("filename d29ybGQ=,is_confidential") == {"filename": "world", "is_confidential": ""}


def test_receive_file_leaves_nothing_when_it_fails(gallery: Gallery, tmp_path: Path, monkeypatch) -> None:
    from galleries.receiving import disk

    path = tmp_path / "a.jpg"
    path.write_bytes(DATA)

    def full(self: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(disk.DiskHold, "_settle", full)
    with pytest.raises(storage.StorageFull):
        receiving.receive_file(path, gallery=gallery, source="ingest", by=WORKER, now=timezone.now())
    assert Upload.objects.get().status == "abandoned"
    assert jobs.work_next(now=timezone.now()) is False


def test_a_silent_sender_is_given_up_after_half_a_minute(rf) -> None:
    class Wire:
        told: list[float | None] = []

        def settimeout(self, seconds: float | None) -> None:
            self.told.append(seconds)

    request = rf.patch("/uploads/x", data=b"abc", **BODY)
    request.META["gunicorn.socket"] = Wire()
    assert list(tus._body(request)) == [b"abc"]
    assert Wire.told == [30, None]  # and the line is as it was for what comes next

    def silent(size: int) -> bytes:
        raise TimeoutError

    request.read = silent
    with pytest.raises(receiving.Interrupted):
        list(tus._body(request))
    assert Wire.told[-1] is None


def test_a_piece_shorter_than_announced_is_an_interruption_and_counts_as_far_as_it_came(
    gallery: Gallery,
) -> None:
    now = timezone.now()
    upload = receiving.open_upload(gallery=gallery, name="a.jpg", size=1000, by=WORKER, now=now)
    with pytest.raises(receiving.Interrupted):
        receiving.append(upload_id=upload.pk, at=0, chunks=[DATA[:400]], length=1000, now=now)
    upload.refresh_from_db()
    assert (upload.status, upload.offset) == ("receiving", 400)
