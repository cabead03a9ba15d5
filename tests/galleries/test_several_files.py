"""RAW and JPEG of a frame are one Photo, sidecars join their picture, frames move, and leaks are hidden and told."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from galleries import intake, jobs, moving, receiving
from galleries.imaging.sidecar import rating_of
from galleries.models import Gallery, Photo, PhotoFile, Pick, Rendition, Upload
from galleries.renditions import original_of
from studio import storage, verification
from studio.actors import WORKER
from tests.galleries.imaging.files import dng
from tests.galleries.making import make_gallery
from tests.galleries.slating import frame

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
TAKEN = datetime(2026, 11, 16, 9, 55, 1)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=NOW)


def drop(gallery: Gallery, data: bytes, name: str) -> Upload:
    upload = receiving.open_upload(gallery=gallery, name=name, size=len(data), by=WORKER, now=NOW)
    receiving.append(upload_id=upload.pk, at=0, chunks=[data], now=NOW)
    while jobs.work_next(now=NOW):
        pass
    upload.refresh_from_db()
    return upload


def raw(taken_at: datetime = TAKEN) -> bytes:
    preview = BytesIO()
    Image.new("RGB", (1600, 1200), "teal").save(preview, "JPEG")
    return dng(preview=preview.getvalue(), taken=f"{taken_at:%Y:%m:%d %H:%M:%S}")


def xmp(rating: str = 'xmp:Rating="4"') -> bytes:
    return f"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" {rating}/></rdf:RDF></x:xmpmeta>""".encode()


def broken() -> list[str]:
    return [line for check in verification.invariants() for line in check.find(NOW)]


@pytest.mark.parametrize("order", [("raw", "jpeg"), ("jpeg", "raw")], ids=" first ".join)
def test_raw_and_jpeg_of_a_frame_are_one_photo(gallery: Gallery, order: tuple[str, str]) -> None:
    data = {"raw": (raw(), "IMG_1.DNG"), "jpeg": (frame(TAKEN), "IMG_1.JPG")}
    for kind in order:
        drop(gallery, *data[kind])
    photo = Photo.objects.get()
    assert sorted(photo.files.values_list("kind", flat=True)) == ["image", "raw"]
    assert getattr(original_of(photo), "kind", "") == "image"  # the camera's own picture is what is worked on
    assert broken() == []


def test_another_moment_or_another_name_is_another_photo(gallery: Gallery) -> None:
    drop(gallery, raw(), "IMG_1.DNG")
    drop(gallery, frame(TAKEN + timedelta(seconds=1), shade=1), "IMG_1.JPG")
    drop(gallery, frame(TAKEN, shade=2), "IMG_2.JPG")
    drop(gallery, frame(None, shade=3), "IMG_1.JPG")
    assert Photo.objects.count() == 4


def test_the_second_jpeg_of_a_moment_is_not_half_of_a_pair(gallery: Gallery) -> None:
    for shade in (1, 2):
        drop(gallery, frame(TAKEN, shade=shade), "IMG_1.JPG")
    assert list(Photo.objects.values_list("name", flat=True)) == ["IMG_1.JPG", "IMG_1 (2).JPG"]


@pytest.mark.parametrize("first", ["picture", "sidecar"])
def test_a_sidecar_joins_its_picture_and_brings_the_rating(gallery: Gallery, first: str) -> None:
    files = [(frame(TAKEN), "IMG_1.JPG"), (xmp(), "img_1.xmp")]
    for data, name in files if first == "picture" else reversed(files):
        upload = drop(gallery, data, name)
        if first == "sidecar" and name == "img_1.xmp":
            assert (upload.status, upload.refusal) == ("sorting", "It waits for the picture of its name.")
            assert broken() == []
    photo = Photo.objects.get()
    assert photo.rating == 4
    sidecar = photo.files.get(kind="sidecar")
    assert b"".join(storage.open_range(storage.originals(), sidecar.key, 0, sidecar.size)) == xmp()
    assert Upload.objects.get(name="img_1.xmp").status == "accepted"
    drop(gallery, xmp('xmp:Rating="2" xmp:Label="Red"'), "IMG_1.JPG.xmp")
    photo.refresh_from_db()
    assert (photo.rating, photo.files.count()) == (2, 3)
    assert broken() == []


def test_a_sidecar_of_two_pictures_of_one_name_is_not_guessed(gallery: Gallery) -> None:
    for shade in (1, 2):
        drop(gallery, frame(TAKEN, shade=shade), "IMG_1.JPG")
    upload = drop(gallery, xmp(), "IMG_1.xmp")
    assert (upload.status, upload.refusal_code) == ("refused", "two_pictures")


BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "data",
    [
        BOMB + b'<x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>',
        b'<html xmlns:x="adobe:ns:meta/"></html>',
        xmp()[:-20],
    ],
    ids=["entities", "html", "cut"],
)
def test_a_sidecar_that_is_none_is_refused_with_a_reason(gallery: Gallery, data: bytes) -> None:
    upload = drop(gallery, data, "IMG_1.xmp")
    assert (upload.status, upload.refusal_code) == ("refused", "sidecar")


@pytest.mark.parametrize(
    ("written", "rating"),
    [
        ('xmp:Rating="5"', 5),
        ('xmp:Rating="-1"', 0),
        ('xmp:Rating="3.0"', 3),
        ('xmp:Rating="99"', 5),
        ('xmp:Rating="many"', None),
        ('xmp:Rating="nan"', None),
        ('xmp:Label="Red"', None),
    ],
)
def test_ratings_as_editors_write_them(tmp_path: Path, written: str, rating: int | None) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(xmp(written))
    assert rating_of(path) == rating


def test_a_rating_as_an_element(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(
        xmp("").replace(b"/></rdf:RDF>", b"><xmp:Rating>3</xmp:Rating></rdf:Description></rdf:RDF>")
    )
    assert rating_of(path) == 3


# --- moving


def test_a_frame_moves_with_all_its_files_and_gets_new_pictures(gallery: Gallery) -> None:
    other = make_gallery(now=NOW)
    drop(other, frame(TAKEN, shade=9), "IMG_1.JPG")
    drop(gallery, frame(TAKEN), "IMG_1.JPG")
    drop(gallery, xmp(), "IMG_1.xmp")
    photo = gallery.photos.get()
    keys = set(photo.files.values_list("key", flat=True))
    before = set(photo.renditions.values_list("key", flat=True))
    assert moving.move_frames(photo_ids=[photo.pk], gallery_id=other.pk, by=WORKER, now=NOW) == 1
    assert moving.move_frames(photo_ids=[photo.pk], gallery_id=other.pk, by=WORKER, now=NOW) == 0
    while jobs.work_next(now=NOW):
        pass
    photo.refresh_from_db()
    assert (photo.gallery, photo.number, photo.name, photo.rating) == (other, 2, "IMG_1 (2).JPG", 4)
    assert set(PhotoFile.objects.filter(gallery=other, photo=photo).values_list("key", flat=True)) == keys
    after = set(photo.renditions.values_list("key", flat=True))
    assert len(after) == len(before) and not before & after
    assert all(key.startswith(f"s{other.shoot.public_id}/") for key in after)
    assert gallery.photos.count() == gallery.uploads.count() == 0
    assert {found.key for found in storage.listed(storage.derived())} == set(
        Rendition.objects.values_list("key", flat=True)
    )
    assert broken() == []
    assert moving.move_frames(photo_ids=[photo.pk], gallery_id=gallery.pk, by=WORKER, now=NOW) == 1
    while jobs.work_next(now=NOW):
        pass
    assert (photo.renditions.count(), broken()) == (len(before), [])


def test_a_frame_that_was_shown_or_chosen_or_is_there_already_stays(gallery: Gallery) -> None:
    other = make_gallery(now=NOW)
    drop(gallery, frame(TAKEN), "IMG_1.JPG")
    photo = gallery.photos.get()

    def refused() -> str:
        with pytest.raises(moving.CannotMove) as error:
            moving.move_frames(photo_ids=[photo.pk], gallery_id=other.pk, by=WORKER, now=NOW)
        photo.refresh_from_db()
        assert photo.gallery == gallery
        return str(error.value)

    Photo.objects.update(is_published=True)
    assert refused() == "IMG_1.JPG was shown to the client already: take it back first."
    Photo.objects.update(is_published=False)
    chosen = Pick.objects.create(gallery=gallery, photo=photo, picked_at=NOW, actor_kind="client")
    assert refused() == "IMG_1.JPG is chosen: take the choice back first."
    chosen.delete()
    drop(other, frame(TAKEN), "SAME.JPG")
    assert refused() == "IMG_1.JPG is there already, as SAME.JPG."


def test_a_frame_whose_pictures_are_being_made_waits_for_its_move(gallery: Gallery, real_connections) -> None:
    from galleries import renditions

    other = make_gallery(now=NOW)
    drop(gallery, frame(TAKEN), "IMG_1.JPG")
    photo = gallery.photos.get()

    def move_it() -> str:
        try:
            return str(moving.move_frames(photo_ids=[photo.pk], gallery_id=other.pk, by=WORKER, now=NOW))
        except moving.CannotMove as error:
            return str(error)

    with renditions.one_at_a_time(photo.pk):
        (said,) = real_connections.run([move_it])
    assert said == "Pictures of IMG_1.JPG are being made. Try again in a moment."
    assert move_it() == "1"


def test_a_worker_that_began_before_the_move_makes_nothing_for_the_old_booking(gallery: Gallery) -> None:
    from galleries import renditions

    other = make_gallery(now=NOW)
    drop(gallery, frame(TAKEN), "IMG_1.JPG")
    stale = Photo.objects.select_related("gallery__shoot").get()
    moving.move_frames(photo_ids=[stale.pk], gallery_id=other.pk, by=WORKER, now=NOW)
    with pytest.raises(renditions.Moved):
        renditions.ensure(photo=stale, recipes=renditions.WANTED, now=NOW)
    assert Rendition.objects.count() == 0


def test_an_expired_original_that_comes_again_takes_its_place(gallery: Gallery) -> None:
    upload = drop(gallery, frame(TAKEN), "IMG_1.JPG")
    PhotoFile.objects.update(expired_at=NOW)
    storage.delete(storage.originals(), upload.key)
    assert original_of(Photo.objects.get()) is None
    again = drop(gallery, frame(TAKEN), "IMG_1.JPG")
    file = PhotoFile.objects.get()
    assert (again.status, file.key, file.expired_at) == ("accepted", again.key, None)
    assert broken() == []


assert intake  # its handlers are registered by the import
