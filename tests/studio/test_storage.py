"""Private stores: the same promises kept on disk and on a real S3 server."""

import errno
import io
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen
from zlib import crc32

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from devtools.tcp_proxy import Weather, proxied
from studio import storage
from studio.disk_store import INCOMING, DiskStore
from studio.s3_store import PART, S3Store
from studio.storage import (
    BadLink,
    KeyTaken,
    NoSuchObject,
    StorageError,
    StorageFull,
    Stored,
    delete,
    delete_after_commit,
    exists,
    fetch_to,
    listed,
    open_range,
    presigned_url,
    put,
    random_key,
    remove_leftovers,
    signed_path,
    size,
    storages_from_url,
    unsign,
)
from tests.stores import disk, s3, s3_url, store, store_of

__all__ = ["disk", "s3", "s3_url", "store"]  # fixtures

BYTES = bytes(range(256)) * 4100  # a little over four chunks
NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)


@pytest.fixture
def key() -> str:
    return random_key("shoot/42", ".jpg")


def fingerprint_of(content: bytes) -> Stored:
    return Stored(len(content), sha256(content).hexdigest(), crc32(content))


def files_in(store: DiskStore) -> list[str]:
    return [path.name for path in Path(store.location).rglob("*") if path.is_file()]


# --- what both keep


@pytest.mark.parametrize("content", [b"", b"x", BYTES])
def test_what_is_put_is_what_was_kept(store, key, content):
    assert put(store, key, io.BytesIO(content)) == fingerprint_of(content)
    assert b"".join(open_range(store, key, 0, len(content))) == content
    assert size(store, key) == len(content)


def test_a_path_is_put_too(store, key, tmp_path):
    (tmp_path / "frame.jpg").write_bytes(BYTES)
    assert put(store, key, tmp_path / "frame.jpg") == fingerprint_of(BYTES)


def test_a_file_in_parts_is_put_whole(s3, key):
    content = os.urandom(2 * PART + 5)
    assert put(s3, key, io.BytesIO(content)) == fingerprint_of(content)


def test_a_key_is_never_written_twice(store, key):
    put(store, key, io.BytesIO(b"first"))
    with pytest.raises(KeyTaken):
        put(store, key, io.BytesIO(b"second"))
    assert b"".join(open_range(store, key, 0, 5)) == b"first"


def test_a_large_key_is_never_written_twice(s3, key):
    put(s3, key, io.BytesIO(b"first"))
    with pytest.raises(KeyTaken):
        put(s3, key, io.BytesIO(bytes(PART + 1)))
    assert b"".join(open_range(s3, key, 0, 5)) == b"first"


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (0, 0), (5, 5), (255, 257), (300_000, 900_001), (len(BYTES) - 1, len(BYTES))]
)
def test_a_range_is_a_slice(store, key, start, stop):
    put(store, key, io.BytesIO(BYTES))
    assert b"".join(open_range(store, key, start, stop)) == BYTES[start:stop]


def test_no_chunk_is_larger_than_a_quarter_megabyte(store, key):
    put(store, key, io.BytesIO(BYTES))
    chunks = list(open_range(store, key, 0, len(BYTES)))
    assert max(len(chunk) for chunk in chunks) <= 256 * 1024
    assert len(chunks) > 3


@pytest.mark.parametrize(("start", "stop"), [(0, 11), (9, 11), (10, 11), (50, 60)])
def test_a_file_shorter_than_promised_is_not_sent_as_whole(store, key, start, stop):
    put(store, key, io.BytesIO(b"0123456789"))
    with pytest.raises(StorageError):
        list(open_range(store, key, start, stop))


def test_what_is_not_there_is_said(store, key, tmp_path):
    assert not exists(store, key)
    with pytest.raises(NoSuchObject):
        size(store, key)
    with pytest.raises(NoSuchObject):
        list(open_range(store, key, 0, 1))
    if isinstance(store, S3Store):
        with pytest.raises(NoSuchObject):
            fetch_to(store, key, tmp_path)
        assert list(tmp_path.glob("*.jpg")) == []


def test_a_folder_is_no_object(disk):
    put(disk, "shoot/1/a.jpg", io.BytesIO(b"x"))
    assert not exists(disk, "shoot/1")
    with pytest.raises(NoSuchObject):
        list(open_range(disk, "shoot/1", 0, 1))


def test_deleting_twice_is_fine(store, key):
    put(store, key, io.BytesIO(b"x"))
    delete(store, key)
    delete(store, key)
    assert not exists(store, key)


def test_every_object_is_listed_under_its_prefix(store):
    here, there = random_key("shoot/7"), random_key("shoot/8", ".nef")
    put(store, here, io.BytesIO(b"12345"))
    put(store, there, io.BytesIO(b"1"))
    (found,) = listed(store, "shoot/7/")
    assert (found.key, found.size) == (here, 5)
    assert abs(found.modified_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert {here, there} <= {one.key for one in listed(store)}


def test_a_local_file_has_the_same_bytes(store, key, tmp_path):
    put(store, key, io.BytesIO(BYTES))
    path = fetch_to(store, key, tmp_path)
    assert path.read_bytes() == BYTES
    assert path.suffix == ".jpg"


@pytest.mark.parametrize(
    "bad", ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/.incoming/b", "a b", "a\x00", "ä", "x" * 501]
)
def test_a_key_that_is_no_key_is_refused(store, bad):
    with pytest.raises(ValueError, match="not a storage key"):
        put(store, bad, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="not a storage key"):
        open_range(store, bad, 0, 1)


def test_keys_cannot_be_guessed():
    keys = {random_key("shoot/1", ".jpg") for _number in range(1000)}
    assert len(keys) == 1000
    assert {len(key) for key in keys} == {len("shoot/1/") + 32 + len(".jpg")}
    with pytest.raises(ValueError, match="suffix"):
        random_key("shoot/1", "../x")


def test_a_store_has_no_public_address(store, key):
    with pytest.raises(ValueError, match="private"):
        store.url(key)


# --- nothing half


class Breaks(io.BytesIO):
    """A source whose connection dies after some bytes."""

    def __init__(self, good: int, error: BaseException) -> None:
        super().__init__(bytes(good))
        self.error = error

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        if not chunk:
            raise self.error
        return chunk


@pytest.mark.parametrize("good", [0, 10, PART + 10])
@pytest.mark.parametrize("error", [ConnectionResetError("cut"), KeyboardInterrupt(), RuntimeError("other")])
def test_a_source_that_breaks_leaves_nothing(store, key, good, error):
    with pytest.raises((StorageError, KeyboardInterrupt, RuntimeError)):
        put(store, key, Breaks(good, error))
    assert not exists(store, key)
    assert list(listed(store, key)) == []
    if isinstance(store, DiskStore):
        assert files_in(store) == []
    else:
        assert remove_leftovers(store, before=datetime.now(UTC) + timedelta(days=1)) == 0


def test_a_full_disk_is_said_and_leaves_nothing(disk, key):
    """The file-size limit of the process fails a write in the middle, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
    try:
        with pytest.raises(StorageFull, match="The disk is full"):
            put(disk, key, io.BytesIO(BYTES))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_in(disk) == []
    assert put(disk, key, io.BytesIO(BYTES)).size == len(BYTES)


@pytest.mark.parametrize("step", ["mkdir", "write", "fsync", "replace", "last_fsync"])
def test_a_disk_that_fills_up_at_any_step_leaves_nothing(disk, key, step, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*_given: object, **_named: object) -> None:
        raise full

    if step == "mkdir":
        monkeypatch.setattr(Path, "mkdir", fail)
    elif step == "write":
        monkeypatch.setattr("studio.disk_store._write", fail)
    elif step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        put(disk, random_key("shoot/42"), io.BytesIO(b"makes the folders"))
        monkeypatch.setattr("studio.disk_store._sync_folder", fail)
    before = files_in(disk)
    with pytest.raises(StorageFull):
        put(disk, key, io.BytesIO(BYTES))
    monkeypatch.undo()
    assert files_in(disk) == before
    assert not exists(disk, key)


def test_bytes_are_synced_before_they_are_acknowledged(disk, key, monkeypatch):
    synced = []
    real = os.fsync

    def noted(fd: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(fd).st_mode))
        real(fd)

    monkeypatch.setattr(os, "fsync", noted)
    put(disk, key, io.BytesIO(b"x"))
    folders = ["media", "originals", INCOMING, "shoot", "42"]
    assert synced.count(False) == 1
    assert synced.count(True) == len(folders) + 1  # each new folder in its parent, and the file in its own
    assert synced[-1]


def test_bytes_that_come_back_different_are_not_kept(store, key, monkeypatch):
    """The disk or the server changed a bit: the reading back sees it, and nobody is told it was kept."""
    real = type(store).read_range

    def flipped(self: Any, key: str, start: int, stop: int | None) -> Iterator[bytes]:
        for chunk in real(self, key, start, stop):
            yield bytes([chunk[0] ^ 1]) + chunk[1:]

    monkeypatch.setattr(type(store), "read_range", flipped)
    with pytest.raises(StorageError, match="did not keep the file"):
        put(store, key, io.BytesIO(BYTES))
    monkeypatch.undo()
    assert not exists(store, key)


def test_files_are_for_the_studio_only(disk, key):
    put(disk, key, io.BytesIO(b"x"))
    path = Path(disk.path(key))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_half_written_files_are_not_objects_and_are_swept(disk, key):
    put(disk, key, io.BytesIO(b"x"))
    part = Path(disk.location) / INCOMING / "0123"
    part.write_bytes(b"half")
    assert [one.key for one in listed(disk)] == [key]
    assert remove_leftovers(disk, before=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert remove_leftovers(disk, before=datetime.now(UTC) + timedelta(hours=1)) == 1
    assert not part.exists()


def test_uploads_nobody_finished_are_swept(s3, key):
    s3.client.create_multipart_upload(Bucket=s3.bucket_name, Key=f"originals/{key}")
    assert remove_leftovers(s3, before=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert remove_leftovers(s3, before=datetime.now(UTC) + timedelta(hours=1)) == 1


def test_a_copy_that_does_not_fit_leaves_nothing(s3, key, tmp_path):
    put(s3, key, io.BytesIO(BYTES))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
    try:
        with pytest.raises(StorageFull):
            fetch_to(s3, key, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.glob("*.jpg")) == []


# --- S3 servers that behave otherwise


def refusing(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "PutObject",
    )


def test_a_server_that_cannot_refuse_to_overwrite_is_asked_first(s3, key, monkeypatch):
    client = s3.client
    real = client.put_object

    def old_server(**wish: Any) -> Any:
        if "IfNoneMatch" in wish:
            raise refusing("NotImplemented", 501)
        return real(**wish)

    monkeypatch.setattr(client, "put_object", old_server)
    assert put(s3, key, io.BytesIO(b"first")) == fingerprint_of(b"first")
    with pytest.raises(KeyTaken):
        put(s3, key, io.BytesIO(b"second"))


def test_a_write_repeated_after_a_lost_answer_is_our_own(s3, key, monkeypatch):
    client = s3.client
    real = client.put_object

    def answers_late(**wish: Any) -> Any:
        real(**wish)
        return real(**wish)  # what the client library does when the first answer is lost

    monkeypatch.setattr(client, "put_object", answers_late)
    assert put(s3, key, io.BytesIO(b"once")) == fingerprint_of(b"once")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusing("XMinioStorageFull", 507), StorageFull),
        (refusing("Whatever", 507), StorageFull),
        (refusing("AccessDenied", 403), StorageError),
        (refusing("SlowDown", 503), StorageError),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), StorageError),
    ],
)
def test_what_the_server_says_becomes_a_sentence(s3, key, error, kind, monkeypatch):
    def fail(**_wish: object) -> None:
        raise error

    monkeypatch.setattr(s3.client, "put_object", fail)
    with pytest.raises(StorageError) as raised:
        put(s3, key, io.BytesIO(b"x"))
    assert type(raised.value) is kind
    assert str(raised.value)


def test_a_server_that_is_not_there_is_said_soon(key):
    gone = store_of("s3://key:secret@127.0.0.1:1/likeness?tls=0")
    with pytest.raises(StorageError, match="does not answer"):
        put(gone, key, io.BytesIO(b"x"))


def test_wrong_keys_are_refused(s3_url, key):
    wrong = store_of(s3_url.replace("likeness-secret", "guess"))
    with pytest.raises(StorageError, match="refused"):
        put(wrong, key, io.BytesIO(b"x"))


@contextmanager
def through_bad_network(s3: S3Store, s3_url: str, weather: Weather) -> Iterator[S3Store]:
    port = urlsplit(s3_url).port or 0
    with proxied("127.0.0.1", port, weather) as proxy:
        yield store_of(s3_url.replace(f":{port}/", f":{proxy.port}/"))


def test_half_a_body_is_not_sent_as_a_whole_one(s3, s3_url, key):
    put(s3, key, io.BytesIO(BYTES))
    received: list[bytes] = []
    with (
        through_bad_network(s3, s3_url, Weather(cut_answer_after=500_000)) as cut,
        pytest.raises(StorageError),
    ):
        received += open_range(cut, key, 0, len(BYTES))
    assert BYTES.startswith(b"".join(received))
    assert 0 < sum(len(chunk) for chunk in received) < len(BYTES)


def test_an_upload_that_is_cut_is_not_acknowledged(s3, s3_url, key):
    with (
        through_bad_network(s3, s3_url, Weather(cut_request_after=200_000)) as cut,
        pytest.raises(StorageError),
    ):
        put(cut, key, io.BytesIO(os.urandom(1_000_000)))
    assert not exists(s3, key)


# --- deleting with the row


@pytest.mark.django_db(transaction=True)
def test_an_object_goes_when_the_row_is_gone(disk, key):
    put(disk, key, io.BytesIO(b"x"))
    with transaction.atomic():
        delete_after_commit(disk, key)
        assert exists(disk, key)
    assert not exists(disk, key)


@pytest.mark.django_db(transaction=True)
def test_an_object_stays_when_the_row_stays(disk, key):
    put(disk, key, io.BytesIO(b"x"))
    with transaction.atomic():
        delete_after_commit(disk, key)
        transaction.set_rollback(True)
    assert exists(disk, key)


@pytest.mark.django_db(transaction=True)
def test_a_store_that_does_not_delete_breaks_nothing_else(disk, key, monkeypatch):
    done = []

    def fail(_self: object, _key: str) -> None:
        raise StorageError("away")

    monkeypatch.setattr(DiskStore, "remove", fail)
    with transaction.atomic():
        delete_after_commit(disk, key)
        transaction.on_commit(lambda: done.append(True))
    assert done == [True]


# --- signed names


def test_a_signed_name_says_what_it_was_made_for():
    found = unsign(signed_path("proof", "abc", now=NOW, scope="credential-7"), kind="proof", now=NOW)
    assert (found.kind, found.public_id, found.scope) == ("proof", "abc", "credential-7")
    assert found.expires_at == datetime(2026, 11, 23, tzinfo=UTC)


def test_a_signed_name_is_the_same_all_day():
    assert signed_path("proof", "abc", now=NOW) == signed_path("proof", "abc", now=NOW + timedelta(hours=8))
    assert signed_path("proof", "abc", now=NOW) != signed_path("proof", "abc", now=NOW + timedelta(hours=10))
    assert signed_path("proof", "abc", now=NOW) != signed_path("proof", "abc", now=NOW, scope="other")


def test_a_signed_name_lives_as_long_as_it_was_meant_to_and_ends():
    name = signed_path("proof", "abc", now=NOW, lives=timedelta(hours=3))
    assert unsign(name, kind="proof", now=NOW + timedelta(hours=3)).public_id == "abc"
    with pytest.raises(BadLink):
        unsign(name, kind="proof", now=datetime(2026, 11, 22, tzinfo=UTC))


def test_a_name_for_a_proof_opens_no_final():
    with pytest.raises(BadLink):
        unsign(signed_path("proof", "abc", now=NOW), kind="final", now=NOW)


@given(st.integers(0, 200), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_name_opens_nothing(place, character):
    name = signed_path("proof", "abc", now=NOW)
    place %= len(name)
    changed = name[:place] + character + name[place + 1 :]
    if changed != name:
        with pytest.raises(BadLink):
            unsign(changed, kind="proof", now=NOW)


@pytest.mark.parametrize("name", ["", ":", "a:b", "." * 50, "\x00", "ünïcode", "a" * 5000])
def test_rubbish_opens_nothing(name):
    with pytest.raises(BadLink):
        unsign(name, kind="proof", now=NOW)


def test_another_secret_key_opens_nothing(settings):
    name = signed_path("proof", "abc", now=NOW)
    settings.SECRET_KEY = "another" * 10
    with pytest.raises(BadLink):
        unsign(name, kind="proof", now=NOW)


# --- presigned addresses


def test_a_presigned_address_hands_out_one_object_as_an_attachment(s3, key):
    put(s3, key, io.BytesIO(b"final"))
    address = presigned_url(s3, key, name='Zoë "A".jpg', content_type="image/jpeg")
    assert address is not None
    with urlopen(address) as answer:
        assert answer.read() == b"final"
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Content-Disposition"] == (
            "attachment; filename=\"Zo_ _A_.jpg\"; filename*=UTF-8''Zo%C3%AB%20%22A%22.jpg"
        )
    with pytest.raises(HTTPError):
        urlopen(address.replace(key, random_key("shoot/42", ".jpg")))
    with pytest.raises(HTTPError):
        urlopen(address.partition("?")[0])


@pytest.mark.parametrize("seconds", [0, 61, 3600])
def test_a_presigned_address_lives_a_minute_at_most(s3, key, seconds):
    with pytest.raises(ValueError, match="60 seconds"):
        presigned_url(s3, key, name="a.jpg", seconds=seconds)


def test_a_folder_has_no_presigned_addresses(disk, key):
    assert presigned_url(disk, key, name="a.jpg") is None


# --- STORAGE_URL


def test_a_folder_address_makes_three_apart():
    found = storages_from_url("file:///srv/likeness%20media/", "/unused")
    assert {alias: entry["OPTIONS"]["location"] for alias, entry in found.items()} == {
        alias: f"/srv/likeness media/{alias}" for alias in ("default", "originals", "derived")
    }


def test_no_address_means_the_media_folder():
    assert storages_from_url("", "/srv/media")["derived"]["OPTIONS"]["location"] == "/srv/media/derived"


def test_an_s3_address_is_read_in_full():
    found = storages_from_url("s3://k%2Fy:s%40cret@s3.example:8333/bucket/pre?region=eu-central-1&tls=0", "/")
    assert found["originals"]["OPTIONS"] == {
        "access_key": "k/y",
        "secret_key": "s@cret",
        "bucket_name": "bucket",
        "endpoint_url": "http://s3.example:8333",
        "region_name": "eu-central-1",
        "location": "pre/originals",
    }


def test_an_s3_address_uses_tls_unless_told():
    options = storages_from_url("s3://s3.eu-central-1.amazonaws.com/bucket", "/")["derived"]["OPTIONS"]
    assert options["endpoint_url"] == "https://s3.eu-central-1.amazonaws.com"
    assert (options["access_key"], options["secret_key"], options["location"]) == (None, None, "derived")


@pytest.mark.parametrize(
    "url",
    [
        "http://example/bucket",
        "file://host/folder",
        "file:relative",
        "file:///",
        "s3://key:secret@host",
        "s3:///bucket",
        "s3://host/bucket?tsl=0",
        "/srv/media",
    ],
)
def test_another_address_is_refused_with_a_sentence(url):
    with pytest.raises(ImproperlyConfigured, match="STORAGE_URL"):
        storages_from_url(url, "/unused")


def test_the_settings_name_both_stores():
    for one in (storage.originals(), storage.derived()):
        assert isinstance(one, DiskStore | S3Store)
    assert storage.originals() is not storage.derived()


def test_how_much_room_is_left(disk, s3):
    free = storage.free_bytes(disk)
    assert free is not None
    assert free > 0
    assert storage.free_bytes(s3) is None
