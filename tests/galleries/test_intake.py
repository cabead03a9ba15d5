"""Intake: what is a photo becomes one, once; what is not is refused with a reason, and the others go on."""

import struct
import time
import zlib
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from galleries import intake, jobs, receiving, renditions
from galleries.models import Gallery, Job, Photo, PhotoFile, Rendition, Upload
from galleries.statuses import UploadStatus
from studio import storage
from studio.actors import WORKER
from tests.galleries.making import make_gallery

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
PORTRAIT = Path(__file__).parent.parent / "portraits" / "grace_hopper.jpg"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    monkeypatch.setattr(jobs, "_MODULES", ("intake", "renditions"))
    return make_gallery(now=NOW)


def picture(width: int = 60, height: int = 40, colour: str = "red", **save: object) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG", **save)
    return buffer.getvalue()


def receive(gallery: Gallery, data: bytes, name: str = "IMG_0001.JPG", **facts: object) -> Upload:
    upload = receiving.open_upload(gallery=gallery, name=name, size=len(data), by=WORKER, now=NOW, **facts)  # type: ignore[arg-type]
    if upload.status == UploadStatus.RECEIVING:
        receiving.append(upload_id=upload.pk, at=0, chunks=[data], now=NOW)
    return upload


def work() -> None:
    while jobs.work_next(now=NOW):
        pass


def keys(store: storage.Store) -> set[str]:
    return {found.key for found in storage.listed(store)}


def test_a_photo_is_kept_byte_for_byte_with_its_renditions(gallery: Gallery) -> None:
    data = PORTRAIT.read_bytes()
    upload = receive(gallery, data, declared_sha256=sha256(data).hexdigest())
    work()
    upload.refresh_from_db()
    photo = Photo.objects.get()
    file = photo.files.get()
    with Image.open(BytesIO(data)) as image:
        assert (photo.width, photo.height) == image.size
    assert (upload.status, photo.number, photo.name, file.format) == ("accepted", 1, "IMG_0001.JPG", "jpeg")
    assert b"".join(storage.open_range(storage.originals(), file.key, 0, file.size)) == data
    assert file.sha256 == upload.sha256 == sha256(data).hexdigest()
    assert file.crc32 == zlib.crc32(data)
    assert sorted(photo.renditions.values_list("recipe", flat=True)) == [
        "grid",
        "proof",
        "proof-unpaid",  # nothing is paid yet
        "screen",
        "thumb",
    ]
    assert photo.dominant_colour.startswith("#")
    assert keys(storage.derived()) == set(Rendition.objects.values_list("key", flat=True))
    assert set(Job.objects.values_list("status", flat=True)) == {"done"}


def test_what_the_camera_knew_becomes_columns(gallery: Gallery) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "NIKON CORPORATION", "NIKON Z 6"
    detail = exif.get_ifd(0x8769)
    detail[0x9003], detail[0x829A], detail[0x829D], detail[0x8827] = (
        "2026:11:16 09:55:01",
        IFDRational(1, 125),
        IFDRational(56, 10),
        400,
    )
    receive(gallery, picture(exif=exif.tobytes()))
    work()
    photo = Photo.objects.get()
    assert photo.captured_at == datetime(2026, 11, 16, 9, 55, 1, tzinfo=UTC)  # London in November
    assert (photo.camera, photo.exposure) == ("NIKON Z 6", {"seconds": 0.008, "f_number": 5.6, "iso": 400})


def test_the_same_bytes_are_recognised_and_said(gallery: Gallery) -> None:
    data = picture()
    receive(gallery, data, "A.JPG")
    again = receive(gallery, data, "B.JPG")
    work()
    again.refresh_from_db()
    assert (again.status, again.is_duplicate, again.refusal) == ("accepted", True, "Already here as A.JPG.")
    assert Photo.objects.count() == PhotoFile.objects.count() == 1
    assert keys(storage.originals()) == {PhotoFile.objects.get().key}
    assert again.backend == {"gone": True}


def test_the_same_bytes_in_another_gallery_are_another_photo(gallery: Gallery) -> None:
    data = picture()
    receive(gallery, data)
    receive(make_gallery(now=NOW), data)
    work()
    assert Photo.objects.count() == 2
    assert len(keys(storage.originals())) == 2


def test_same_name_with_other_bytes_is_kept_and_named_apart(gallery: Gallery) -> None:
    for colour in ("red", "green", "blue"):
        receive(gallery, picture(colour=colour), "img_1.jpg")
    work()
    assert list(gallery.photos.values_list("number", "name")) == [
        (1, "img_1.jpg"),
        (2, "img_1 (2).jpg"),
        (3, "img_1 (3).jpg"),
    ]


def bomb() -> bytes:
    """A PNG of 60,000 × 60,000 pixels in a few hundred bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"Dear studio, here are my pictures.", "unknown"),
        (PORTRAIT.read_bytes()[:30_000], "truncated"),
        (bomb(), "too_large"),
        (b"%PDF-1.7 not a picture", "document"),
    ],
    ids=["text", "truncated", "bomb", "pdf"],
)
def test_what_is_no_photo_is_refused_with_a_reason_and_the_others_go_on(
    gallery: Gallery, data: bytes, code: str
) -> None:
    bad = receive(gallery, data, "bad.jpg")
    good = receive(gallery, picture(), "good.jpg")
    work()
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, bad.refusal_code, good.status) == ("refused", code, "accepted")
    assert bad.refusal.endswith(".") and len(bad.refusal) > 20
    assert keys(storage.originals()) == {good.key}
    assert set(Job.objects.values_list("status", flat=True)) == {"done"}


def test_an_empty_file_is_refused_before_a_byte_is_sent(gallery: Gallery) -> None:
    upload = receive(gallery, b"", "empty.jpg")
    assert (upload.status, upload.refusal) == ("refused", "The file is empty. Please send it again.")
    assert Job.objects.count() == 0


def test_bytes_other_than_declared_are_refused(gallery: Gallery) -> None:
    upload = receive(gallery, picture(), declared_sha256="0" * 64)
    work()
    upload.refresh_from_db()
    assert (upload.status, upload.refusal_code) == ("refused", "changed")
    assert keys(storage.originals()) == set()


def test_a_store_without_room_for_renditions_keeps_the_original_and_makes_them_later(
    gallery: Gallery, monkeypatch
) -> None:
    receive(gallery, picture())
    put = storage.put

    def full(store: storage.Store, key: str, source: object) -> storage.Stored:
        raise storage.StorageFull("full")

    monkeypatch.setattr(storage, "put", full)
    assert jobs.work_next(now=NOW)
    photo = Photo.objects.get()
    assert photo.renditions.count() == 0
    monkeypatch.setattr(storage, "put", put)
    work()
    assert renditions.missing_of(photo) == []


def test_a_second_run_of_a_check_changes_nothing(gallery: Gallery) -> None:
    receive(gallery, picture())
    work()
    before = list(Rendition.objects.order_by("pk").values())
    intake.check(Job.objects.get(kind="intake"), NOW)
    assert list(Rendition.objects.order_by("pk").values()) == before
    assert Photo.objects.count() == 1


def test_a_run_that_died_before_its_rows_leaves_nothing_behind(gallery: Gallery, monkeypatch) -> None:
    receive(gallery, picture())

    class Died(BaseException):
        """Nothing of ours catches this, as nothing catches SIGKILL."""

    def die(*args: object, **kwargs: object) -> None:
        raise Died

    monkeypatch.setattr(renditions, "discard", lambda rows: None)
    with monkeypatch.context() as patch:
        patch.setattr(intake, "_taken", die)
        with pytest.raises(Died):
            jobs.work_next(now=NOW)
    assert len(keys(storage.derived())) == 5
    jobs.sweep(now=NOW)
    work()
    assert Photo.objects.count() == 1
    assert keys(storage.derived()) == set(Rendition.objects.values_list("key", flat=True))


@pytest.mark.races
def test_the_same_bytes_twice_at_once_make_one_photo(real_connections, gallery: Gallery) -> None:
    data = picture()
    for _copy in range(4):
        receive(gallery, data)
    real_connections.run([work] * 4)
    assert Photo.objects.count() == 1
    assert Upload.objects.filter(status="accepted", is_duplicate=True).count() == 3
    assert keys(storage.originals()) == {PhotoFile.objects.get().key}
    assert keys(storage.derived()) == set(Rendition.objects.values_list("key", flat=True))


@pytest.mark.races
def test_frames_that_come_together_get_each_number_once(
    real_connections, gallery: Gallery, monkeypatch
) -> None:
    told_apart = intake.told_apart

    def slowly(
        gallery: Gallery, name: str
    ) -> str:  # between counting and writing: where a race would be lost
        time.sleep(0.2)
        return told_apart(gallery, name)

    monkeypatch.setattr(intake, "told_apart", slowly)
    for shade in range(8):
        receive(gallery, picture(width=60 + shade), "same.jpg")
    real_connections.run([work] * 4)
    assert sorted(gallery.photos.values_list("number", flat=True)) == list(range(1, 9))
    assert gallery.photos.values("name").distinct().count() == 8


def test_a_finished_file_goes_to_whoever_registered_for_it(gallery: Gallery, monkeypatch) -> None:
    got: list[tuple[str, int, int, str]] = []

    def take(*, upload: Upload, format: str, width: int, height: int, by: object, now: datetime) -> None:
        got.append((format, width, height, upload.sha256))

    monkeypatch.setattr(intake, "_receivers", {"hand_in": take})
    data = picture()
    upload = receive(gallery, data)
    Upload.objects.filter(pk=upload.pk).update(purpose="hand_in")
    work()
    upload.refresh_from_db()
    assert got == [("jpeg", 60, 40, sha256(data).hexdigest())]
    assert (upload.status, Photo.objects.count()) == ("accepted", 0)
