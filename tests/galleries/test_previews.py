"""Previews first: proofs from the JPEG inside a RAW file, the original later or never."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from galleries import jobs, receiving, retouching
from galleries.models import Gallery, Job, Photo, PhotoFile, Pick, Upload
from galleries.renditions import NoOriginal, original_of
from studio import storage, verification
from studio.actors import WORKER
from tests.galleries.imaging.files import dng
from tests.galleries.making import make_gallery
from tests.galleries.slating import frame

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=NOW)


def raw(colour: str = "teal") -> tuple[bytes, bytes, int]:
    """A DNG, the JPEG in it, and where that lies."""
    packed = BytesIO()
    Image.effect_noise((1600, 1200), 40).convert("RGB").save(
        packed, "JPEG", quality=70, comment=colour.encode()
    )
    data = dng(preview=packed.getvalue(), taken="2026:11:16 09:55:01")
    return data, packed.getvalue(), data.index(packed.getvalue())


def send(gallery: Gallery, data: bytes, name: str, **more: object) -> Upload:
    upload = receiving.open_upload(gallery=gallery, name=name, size=len(data), by=WORKER, now=NOW, **more)  # type: ignore[arg-type]
    receiving.append(upload_id=upload.pk, at=0, chunks=[data], now=NOW)
    while jobs.work_next(now=NOW):
        pass
    upload.refresh_from_db()
    return upload


def send_preview(gallery: Gallery, data: bytes, preview: bytes, at: int, name: str = "IMG_1.DNG") -> Upload:
    return send(
        gallery, preview, name, purpose="preview", cut_from={"name": name, "size": len(data), "at": at}
    )


def broken(now: datetime = NOW) -> list[str]:
    return [line for check in verification.invariants() for line in check.find(now)]


def test_proofs_come_from_the_preview_and_the_original_takes_its_place(gallery: Gallery) -> None:
    data, preview, at = raw()
    ahead = send_preview(gallery, data, preview, at)
    photo = Photo.objects.get()
    proofs = set(photo.renditions.values_list("key", flat=True))
    assert (ahead.status, photo.name, photo.files.get().kind, len(proofs)) == (
        "accepted",
        "IMG_1.DNG",
        "preview",
        5,
    )
    assert original_of(photo) is None
    with pytest.raises(NoOriginal, match="only its preview is here"):
        retouching.original_of(photo)
    assert broken() == []
    original = send(gallery, data, "IMG_1.DNG")
    photo = Photo.objects.get()
    file = photo.files.get()
    assert (original.status, file.kind, file.key) == ("accepted", "raw", original.key)
    assert (photo.camera, photo.captured_at) == ("Test Camera", datetime(2026, 11, 16, 9, 55, 1, tzinfo=UTC))
    assert set(photo.renditions.values_list("key", flat=True)) == proofs
    assert not storage.exists(storage.originals(), ahead.key)
    assert broken() == []


def test_another_file_of_that_name_and_size_is_another_photo(gallery: Gallery) -> None:
    data, preview, at = raw()
    other = bytearray(data)
    other[at + 1000 : at + 1004] = b"\0\0\0\0"
    send_preview(gallery, data, preview, at)
    send(gallery, bytes(other), "IMG_1.DNG")
    assert sorted(PhotoFile.objects.values_list("kind", flat=True)) == ["preview", "raw"]
    assert Photo.objects.count() == 2


def test_a_preview_sent_twice_is_one_photo(gallery: Gallery) -> None:
    data, preview, at = raw()
    send_preview(gallery, data, preview, at)
    assert send_preview(gallery, data, preview, at).is_duplicate
    assert Photo.objects.count() == 1


def test_a_retouch_that_waited_for_the_original_is_tried_again(gallery: Gallery) -> None:
    data, preview, at = raw()
    send_preview(gallery, data, preview, at)
    Pick.objects.create(gallery=gallery, photo=Photo.objects.get(), picked_at=NOW, actor_kind="client")
    retouching.order(gallery_id=gallery.pk, by=WORKER, now=NOW)
    while jobs.work_next(now=NOW):
        pass
    draft = Job.objects.get(kind="draft")
    assert (draft.status, draft.error) == (
        "failed",
        "The original of IMG_1.DNG has not come yet: only its preview is here.",
    )
    send(gallery, data, "IMG_1.DNG")
    draft.refresh_from_db()
    assert draft.status in ("done", "waiting")


@pytest.mark.parametrize("cut_from", [{}, None], ids=["empty", "none"])
def test_a_preview_says_what_it_was_cut_from(gallery: Gallery, cut_from: object) -> None:
    with pytest.raises(receiving.ReceivingError):
        send(gallery, frame(None), "IMG_1.DNG", purpose="preview", cut_from=cut_from)
