"""The rotating hash check and the judge's I3, I4, I5 and I8: what is broken by hand is named."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from galleries import invariants, jobs, keeping, renditions
from galleries.models import Gallery, Job, JobKind, Photo, Rendition, Upload
from studio import storage
from studio.models import Message, Role
from tests.galleries.making import make_gallery, make_user
from tests.galleries.test_intake import picture, receive, work

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=20)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    monkeypatch.setattr(jobs, "_MODULES", ("intake", "renditions"))
    gallery = make_gallery(now=NOW)
    for width in (60, 61, 62):
        receive(gallery, picture(width=width), f"{width}.jpg")
    work()
    return gallery


def found(code: str) -> list[str]:
    from studio.verification import invariants as registered

    assert invariants is not None
    mine = [one for one in registered() if one.code == code]
    return [line for one in mine for line in one.find(datetime.now(UTC) + timedelta(hours=1))]


def flip_a_byte(key: str) -> None:
    path = storage.originals().local_path(key)
    assert path is not None
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)


def test_one_flipped_byte_is_found_alarmed_and_never_used(gallery: Gallery) -> None:
    owner = make_user(Role.OWNER)
    photo = gallery.photos.get(number=2)
    flip_a_byte(photo.files.get().key)
    assert keeping.check_originals(now=LATER) == 1
    assert photo.files.get().is_damaged
    assert renditions.original_of(photo) is None
    message = Message.objects.get()
    assert (message.to_address, message.subject) == (
        owner.email,
        f"An original of {gallery.shoot.code} is damaged",
    )
    assert "61.jpg" in message.body_text
    assert keeping.check_originals(now=LATER + timedelta(days=40)) == 0  # known already, told once


def test_originals_checked_longest_ago_come_first_and_each_has_its_turn(gallery: Gallery) -> None:
    files = list(gallery.files.order_by("pk"))
    assert keeping.check_originals(now=NOW + timedelta(days=1)) == 0
    assert set(gallery.files.values_list("checked_at", flat=True)) == {NOW}  # too soon
    for turn, file in enumerate(files):
        keeping.check_originals(now=LATER + timedelta(hours=turn), limit=1)
        file.refresh_from_db()
        assert file.checked_at == LATER + timedelta(hours=turn)


def test_a_lost_original_is_damaged_too(gallery: Gallery) -> None:
    storage.delete(storage.originals(), gallery.files.first().key)  # type: ignore[union-attr]
    assert keeping.check_originals(now=LATER) == 1


def test_a_sound_gallery_breaks_nothing(gallery: Gallery) -> None:
    assert [found(code) for code in ("I3", "I4", "I5", "I8")] == [[], [], [], []]


def test_i3_names_bytes_that_changed_or_went(gallery: Gallery) -> None:
    first, second, _third = gallery.files.order_by("pk")
    flip_a_byte(first.key)
    storage.delete(storage.originals(), second.key)
    assert found("I3") == [
        f"photo file {first.pk}: its bytes are not what was received",
        f"photo file {second.pk}: its bytes are gone",
    ]
    second.archived_at, second.archived_where = NOW, "s3://cold/"
    second.save()
    assert found("I3")[1:] == [f"photo file {second.pk} lies in s3://cold/, and no ARCHIVE_URL is set"]


def test_i3_names_an_upload_whose_bytes_are_not_there(gallery: Gallery) -> None:
    upload = receive(gallery, picture(width=70), "70.jpg")
    storage.delete(storage.originals(), upload.key)
    assert f"upload {upload.pk} was received but its bytes are not there" in found("I3")


def test_i4_names_a_photo_without_its_renditions(gallery: Gallery) -> None:
    photo = gallery.photos.get(number=1)
    row = Rendition.objects.get(photo=photo, recipe="proof")
    storage.delete(storage.derived(), row.key)
    row.delete()
    assert found("I4") == [f"photo {photo.pk} lacks proof and no job makes them"]
    jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, now=NOW)
    assert found("I4") == []


def test_i5_names_work_nobody_rang_for(gallery: Gallery) -> None:
    photo = gallery.photos.get(number=1)
    job = jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, now=NOW)
    assert found("I5")[0].startswith(f"job {job.pk} (renditions) waits since")
    Job.objects.filter(pk=job.pk).update(status="running", claimed_at=NOW)
    assert found("I5")[0].startswith(f"job {job.pk} (renditions) runs since")
    Job.objects.filter(pk=job.pk).update(status="done")
    upload = Upload.objects.first()
    Upload.objects.filter(pk=upload.pk).update(status="receiving")  # type: ignore[union-attr]
    assert found("I5")[0].startswith(f"upload {upload.pk} is whole since")  # type: ignore[union-attr]


def test_i8_names_objects_and_rows_without_each_other(gallery: Gallery) -> None:
    stray = storage.random_key("nowhere", ".jpg")
    storage.put(storage.derived(), stray, BytesIO(b"x"))
    lost = Rendition.objects.order_by("pk").first()
    storage.delete(storage.derived(), lost.key)  # type: ignore[union-attr]
    assert found("I8") == [
        f"derived: the object {stray} belongs to no row",
        f"derived: the object {lost.key} of a row is not there",  # type: ignore[union-attr]
    ]
    assert Photo.objects.count() == 3
