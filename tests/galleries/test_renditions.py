"""Renditions: one file each, nothing left behind, and only allowed words in them."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from galleries import jobs, renditions
from galleries.imaging.recipes import GRID, PROOF, THUMB, Fit, Recipe
from galleries.imaging.watermark import Mark
from galleries.models import Gallery, JobKind, Photo, PhotoFile, Rendition
from studio import storage
from studio.models import Studio
from tests.galleries.making import make_gallery

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
PORTRAIT = Path(__file__).parent.parent / "portraits" / "grace_hopper.jpg"


@pytest.fixture
def gallery(db: None, media_storage: Path, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    monkeypatch.setattr(jobs, "_MODULES", ("renditions",))
    return make_gallery(now=NOW)


def original(gallery: Gallery, source: bytes | None = None, *, number: int = 1) -> Photo:
    """A photo with its stored original, as intake leaves it, but without renditions."""
    data = source or PORTRAIT.read_bytes()
    key = storage.random_key(f"s{gallery.shoot.public_id}", ".jpg")
    stored = storage.put(storage.originals(), key, BytesIO(data))
    photo = Photo.objects.create(
        gallery=gallery, number=number, name=f"{number}.jpg", width=512, height=600, accepted_at=NOW
    )
    PhotoFile.objects.create(
        photo=photo,
        gallery=gallery,
        format="jpeg",
        name=photo.name,
        key=key,
        size=stored.size,
        sha256=stored.sha256,
        crc32=stored.crc32,
        stored_at=NOW,
        checked_at=NOW,
    )
    return photo


def derived_keys() -> set[str]:
    return {found.key for found in storage.listed(storage.derived())}


def test_ensure_makes_each_file_once(gallery: Gallery) -> None:
    photo = original(gallery)
    first = renditions.ensure(photo=photo, recipes=renditions.WANTED, now=NOW)
    again = renditions.ensure(photo=photo, recipes=renditions.WANTED, now=NOW)
    assert [row.recipe for row in first] == ["thumb", "grid", "proof", "screen"]
    assert [row.pk for row in first] == [row.pk for row in again]
    assert derived_keys() == {row.key for row in first}
    thumb = first[0]
    with Image.open(storage.derived().local_path(thumb.key)) as image:  # type: ignore[arg-type]
        assert image.size == (thumb.width, thumb.height)
        assert max(image.size) == 560
    assert storage.fingerprint(storage.derived(), thumb.key).sha256 == thumb.sha256


def test_a_changed_recipe_makes_new_files_and_drops_the_old(
    gallery: Gallery, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    photo = original(gallery)
    old = renditions.ensure(photo=photo, recipes=[THUMB], now=NOW)[0]
    newer = Recipe("thumb", THUMB.version + 1, Fit.INSIDE, 300, 80)
    monkeypatch.setattr(renditions, "WANTED", (newer,))
    monkeypatch.setattr(renditions, "is_money_open", lambda gallery: False)
    monkeypatch.setitem(renditions.RECIPES, "thumb", newer)
    job = jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, now=NOW)
    with django_capture_on_commit_callbacks(execute=True):
        renditions.make_renditions(job, NOW)
    new = Rendition.objects.get()
    assert (old.recipe_version, new.recipe_version, new.height) == (THUMB.version, newer.version, 300)
    assert derived_keys() == {new.key}


def test_a_changed_mark_makes_new_proofs_and_drops_the_old(
    gallery: Gallery, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    photo = original(gallery)
    monkeypatch.setattr(renditions, "WANTED", (GRID, PROOF))
    monkeypatch.setattr(renditions, "is_money_open", lambda gallery: False)
    before, grid = renditions.ensure(photo=photo, recipes=[PROOF, GRID], now=NOW)
    assert renditions.missing_of(photo) == []
    Studio.objects.update(mark_text="Sample", mark_opacity=40, mark_place="left")
    assert renditions.missing_of(photo) == [PROOF]
    assert renditions.look_of(gallery).mark == Mark(f"Sample · {gallery.shoot.code}", 0.4, "left")
    assert renditions.state_missing(gallery=gallery, now=NOW) == 1
    with django_capture_on_commit_callbacks(execute=True):
        assert jobs.work_next(now=NOW) is True
    after = Rendition.objects.get(recipe="proof")
    assert (after.pk > before.pk, after.digest != before.digest) == (True, True)
    assert derived_keys() == {after.key, grid.key}
    assert renditions.missing_of(photo) == []


def test_the_loser_of_a_race_deletes_its_own_bytes(gallery: Gallery, monkeypatch) -> None:
    photo = original(gallery)
    keep = renditions.keep

    def keep_late(*args, **kwargs):
        rows = keep(*args, **kwargs)
        for row in rows:  # meanwhile somebody else stored the same recipe
            other = keep([made for made in args[0] if made.recipe == row.recipe], **kwargs)[0]
            other.photo = photo
            other.save()
        return rows

    monkeypatch.setattr(renditions, "keep", keep_late)
    row = renditions.ensure(photo=photo, recipes=[THUMB], now=NOW)[0]
    assert derived_keys() == {row.key}
    assert Rendition.objects.count() == 1


def test_what_a_killed_worker_stored_without_a_row_is_removed_on_the_next_run(gallery: Gallery) -> None:
    photo = original(gallery)
    folder = renditions.folder_of(gallery, photo.public_id)
    storage.put(storage.derived(), storage.random_key(f"{folder}/thumb-1-x", ".jpg"), BytesIO(b"half"))
    rows = renditions.ensure(photo=photo, recipes=[THUMB], now=NOW)
    assert derived_keys() == {row.key for row in rows}


def test_a_full_disk_leaves_no_part_of_a_rendition(gallery: Gallery, monkeypatch) -> None:
    photo = original(gallery)
    put, calls = storage.put, []

    def full(store, key, source):
        calls.append(key)
        if len(calls) == 2:
            raise storage.StorageFull("full")
        return put(store, key, source)

    monkeypatch.setattr(storage, "put", full)
    with pytest.raises(storage.StorageFull):
        renditions.ensure(photo=photo, recipes=[THUMB, GRID], now=NOW)
    assert (derived_keys(), Rendition.objects.count()) == (set(), 0)


def test_renditions_job_makes_what_is_missing_and_a_second_run_changes_nothing(gallery: Gallery) -> None:
    photo = original(gallery)
    jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, now=NOW)
    assert jobs.work_next(now=NOW) is True
    made = set(Rendition.objects.values_list("pk", "key"))
    renditions.make_renditions(photo.jobs.get(), NOW)
    assert set(Rendition.objects.values_list("pk", "key")) == made
    assert renditions.missing_of(photo) == []
    assert photo.jobs.get().status == "done"


def test_an_original_that_is_gone_fails_visibly(gallery: Gallery) -> None:
    photo = original(gallery)
    photo.files.update(is_damaged=True)
    jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, now=NOW)
    jobs.work_next(now=NOW)
    job = photo.jobs.get()
    assert (job.status, job.attempts) == ("failed", 1)
    assert job.error.startswith("The original of this picture is archived, erased or damaged")


def test_renditions_carry_no_place_no_serial_and_no_thumbnail(gallery: Gallery) -> None:
    buffer = BytesIO()
    with Image.open(PORTRAIT) as image:
        exif = Image.Exif()
        exif[0x010F] = "Camera Maker"
        exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (51.0, 30.0, 0.0)
        exif.get_ifd(0x8769)[0xA431] = "SERIAL-4711"
        image.save(buffer, "JPEG", exif=exif.tobytes())
    assert b"SERIAL-4711" in buffer.getvalue()
    photo = original(gallery, buffer.getvalue())
    for row in renditions.ensure(photo=photo, recipes=renditions.WANTED, now=NOW):
        data = b"".join(storage.open_range(storage.derived(), row.key, 0, row.size))
        with Image.open(BytesIO(data)) as image:
            assert dict(image.getexif().get_ifd(0x8825)) == {}
        assert b"SERIAL-4711" not in data
        assert b"Camera Maker" not in data


def test_proofs_carry_the_mark_and_grids_do_not(gallery: Gallery) -> None:
    photo = original(gallery)
    looks = renditions.look_of(gallery)
    assert gallery.shoot.code in looks.mark.text
    proof, grid = renditions.ensure(photo=photo, recipes=[PROOF, GRID], now=NOW)
    assert renditions.parameters_of(PROOF, looks) == {"mark": looks.mark.text}
    assert renditions.parameters_of(GRID, looks) == {}
    assert proof.digest != grid.digest
