"""Uploads on a real S3 server: pieces of any size, wrong checksums, crashes between parts, and nothing left over."""

import hashlib
import random
from datetime import timedelta

import pytest
from django.utils import timezone

from galleries import jobs, receiving
from galleries.models import Gallery, Photo, Upload
from galleries.receiving.s3 import S3Hold
from studio import storage
from studio.actors import WORKER
from studio.s3_store import PART
from studio.storage import storages_from_url
from tests.galleries.making import make_gallery
from tests.galleries.test_intake import picture
from tests.stores import s3_url  # noqa: F401  a fixture

DATA = random.Random(3).randbytes(2 * PART + 1_234_567)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gallery(transactional_db: None, s3_url: str, settings) -> Gallery:  # noqa: F811
    settings.STORAGES = settings.STORAGES | storages_from_url(s3_url, "/unused")
    return make_gallery(now=timezone.now())


def begin(gallery: Gallery, data: bytes = DATA) -> Upload:
    return receiving.open_upload(
        gallery=gallery, name="IMG_1.NEF", size=len(data), by=WORKER, now=timezone.now()
    )


def send(upload: Upload, at: int, data: bytes, **facts: object) -> int:
    receiving.append(upload_id=upload.pk, at=at, chunks=[data], now=timezone.now(), **facts)  # type: ignore[arg-type]
    upload.refresh_from_db()
    return upload.offset


def objects(gallery: Gallery) -> list[str]:
    return [found.key for found in storage.listed(storage.originals(), f"s{gallery.shoot.public_id}/")]


def whole(upload: Upload) -> bytes:
    return b"".join(storage.open_range(storage.originals(), upload.key, 0, upload.size))


def test_pieces_of_any_size_make_the_whole_file(gallery: Gallery) -> None:
    upload, at = begin(gallery), 0
    chance = random.Random(5)
    while at < len(DATA):
        step = chance.choice([1, 700_000, 3_000_000, PART, PART + 1])
        at = send(upload, at, DATA[at : at + step])
    assert upload.status == "checking"
    assert whole(upload) == DATA
    assert objects(gallery) == [upload.key]  # no tail is left


def test_a_file_smaller_than_a_part_is_one_object(gallery: Gallery) -> None:
    upload = begin(gallery, DATA[:5000])
    send(upload, 0, DATA[:3000])
    send(upload, 3000, DATA[3000:5000])
    assert whole(upload) == DATA[:5000]
    assert objects(gallery) == [upload.key]


def test_a_wrong_checksum_keeps_nothing_of_the_piece(gallery: Gallery) -> None:
    upload = begin(gallery)
    send(upload, 0, DATA[:1_000_000])
    wrong = receiving.Checksum("sha256", hashlib.sha256(b"else").digest())
    with pytest.raises(receiving.WrongChecksum):
        send(upload, 1_000_000, b"\0" * PART, checksum=wrong)
    upload.refresh_from_db()
    assert upload.offset == 1_000_000
    right = receiving.Checksum("sha256", hashlib.sha256(DATA[1_000_000:]).digest())
    send(upload, 1_000_000, DATA[1_000_000:], checksum=right)
    assert whole(upload) == DATA


def test_a_wrong_offset_and_an_overrun_are_refused(gallery: Gallery) -> None:
    upload = begin(gallery)
    send(upload, 0, DATA[:1000])
    with pytest.raises(receiving.WrongOffset) as wrong:
        send(upload, 0, DATA[:1000])
    assert wrong.value.offset == 1000
    with pytest.raises(receiving.Overrun):
        send(upload, 1000, DATA + b"x")
    upload.refresh_from_db()
    assert upload.offset == 1000


def test_parts_sent_by_a_server_that_died_are_sent_again(gallery: Gallery, monkeypatch) -> None:
    upload = begin(gallery)
    send(upload, 0, DATA[:1_000_000])

    def die(self: S3Hold, body: bytes, slot: int) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(S3Hold, "keep_tail", die)
        with pytest.raises(SystemExit):
            send(upload, 1_000_000, b"\1" * (PART + 5))
    upload.refresh_from_db()
    assert upload.offset == 1_000_000
    send(upload, 1_000_000, DATA[1_000_000:])
    assert whole(upload) == DATA


def test_a_server_that_died_after_completing_is_caught_up(gallery: Gallery, monkeypatch) -> None:
    from galleries.receiving import verbs

    upload = begin(gallery)

    def die(*args: object, **kwargs: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(verbs, "move", die)
        with pytest.raises(SystemExit):
            send(upload, 0, DATA)
    receiving.sweep(now=timezone.now() + timedelta(minutes=2))
    upload.refresh_from_db()
    assert upload.status == "checking"
    assert whole(upload) == DATA
    assert objects(gallery) == [upload.key]


def test_giving_up_leaves_nothing_on_the_server(gallery: Gallery) -> None:
    upload = begin(gallery)
    send(upload, 0, DATA[: PART + 1000])
    assert receiving.terminate(upload_id=upload.pk, by=WORKER, now=timezone.now())
    client = storage.originals().client  # type: ignore[attr-defined]
    begun = client.list_multipart_uploads(Bucket=storage.originals().bucket_name)  # type: ignore[attr-defined]
    assert upload.key not in str(begun.get("Uploads", []))
    assert objects(gallery) == []


def test_a_photo_is_taken_in_from_s3(gallery: Gallery) -> None:
    data = picture()
    upload = receiving.open_upload(
        gallery=gallery, name="a.jpg", size=len(data), by=WORKER, now=timezone.now()
    )
    send(upload, 0, data)
    while jobs.work_next(now=timezone.now()):
        pass
    photo = Photo.objects.get()
    assert photo.files.get().sha256 == hashlib.sha256(data).hexdigest()
    for row in photo.renditions.all():
        assert storage.fingerprint(storage.derived(), row.key).sha256 == row.sha256
