"""The round trip: the selection goes out, files edited outside come back by drop or folder, each to its pick."""

import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from galleries import jobs, proofing, receiving, renditions, retouching, selection_out, watching
from galleries.imaging import match
from galleries.imaging.match import SURE
from galleries.imaging.recipes import GRID
from galleries.models import FinishedFile, Gallery, Photo, Retouch, Version
from galleries.retouching import RetouchRefused
from galleries.statuses import FinishedStatus
from studio import storage
from studio.actors import WORKER, Actor
from studio.models import Role
from tests.galleries.framing import ANA, make_photo
from tests.galleries.making import make_gallery, make_user
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


def neighbour(portrait: Image.Image, *, moved_by: float = 0.03) -> Image.Image:
    """The next frame of a burst: the same place and light, the person has moved a little (a share of the width)."""
    pixels = np.asarray(portrait)
    height, width = pixels.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    near = np.exp(
        -(((xs - width * 0.5) / (width * 0.3)) ** 2) - ((ys - height * 0.42) / (height * 0.35)) ** 2
    )
    moved = cv2.remap(
        pixels,
        np.float32(xs + near * width * moved_by),
        np.float32(ys + near * height * moved_by / 2 * np.sin(xs / width * 9)),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Image.fromarray(moved)


@pytest.fixture(scope="module")
def frames() -> dict[int, Image.Image]:
    """Three frames: one of each of two people, and the first person a moment later."""
    grace = Image.open(GRACE_HOPPER).convert("RGB")
    return {1: grace, 2: Image.open(EILEEN_COLLINS).convert("RGB"), 3: neighbour(grace)}


def packed(image: Image.Image, format: str = "JPEG") -> bytes:
    out = BytesIO()
    image.save(out, format, **({"quality": 93} if format == "JPEG" else {}))
    return out.getvalue()


def edited(image: Image.Image, *, crop: float = 0.0) -> Image.Image:
    """As a retoucher's program leaves it: brighter, a little warmer, perhaps cropped."""
    width, height = image.size
    box = (int(width * crop), int(height * crop / 2), int(width * (1 - crop)), int(height * (1 - crop)))
    return ImageEnhance.Color(ImageEnhance.Brightness(image.crop(box)).enhance(1.08)).enhance(1.1)


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path, frames: dict[int, Image.Image]) -> Gallery:
    """Three frames picked and sent, IMG_0001 to IMG_0003, with their small views; no draft is made."""
    gallery = make_gallery(now=NOW, clock_started_at=NOW, finals_included=3)
    for number, image in frames.items():
        photo = received(gallery, f"IMG_{number:04d}.JPG", packed(image))
        renditions.ensure(photo=photo, recipes=[GRID], now=NOW)
        proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    gallery.jobs.all().delete()
    return gallery


def received(gallery: Gallery, name: str, data: bytes) -> Photo:
    photo = make_photo(gallery, gallery.photos.count() + 1, now=NOW, name=name)
    key = storage.random_key(f"s{gallery.shoot.public_id}", ".jpg")
    kept = storage.put(storage.originals(), key, BytesIO(data))
    photo.files.create(
        gallery=gallery,
        format="jpeg",
        name=name,
        key=key,
        size=kept.size,
        sha256=kept.sha256,
        crc32=kept.crc32,
        stored_at=NOW,
        checked_at=NOW,
    )
    return photo


def bring_back(gallery: Gallery, name: str, data: bytes) -> FinishedFile:
    """Drop one finished file and let the worker check and match it; measuring is left out."""
    upload = receiving.receive_whole(
        BytesIO(data),
        size=len(data),
        name=name,
        gallery=gallery,
        purpose=receiving.FINISHED,
        source="watch",
        by=WORKER,
        now=NOW,
    )
    work(gallery)
    return FinishedFile.objects.get(upload=upload)


def work(gallery: Gallery) -> None:
    while gallery.jobs.filter(status="waiting", kind__in=["intake", "match"]).exists():
        gallery.jobs.filter(kind="measure").delete()
        jobs.work_next(now=NOW + timedelta(seconds=5))
    gallery.jobs.filter(kind="measure").delete()


def pick_of(gallery: Gallery, number: int) -> Retouch:
    return gallery.retouches.get(pick__photo__number=number)


# --- out


def test_the_selection_goes_out_as_names_csv_and_sidecars(gallery: Gallery) -> None:
    pick = pick_of(gallery, 2).pick
    pick.use = "Press & <web>"
    pick.save()
    pick.photo.notes.create(words="=HYPERLINK(1)\x0b\nwatch the collar", written_at=NOW, actor_kind="client")
    assert selection_out.camera_names(gallery) == "IMG_0001\nIMG_0002\nIMG_0003\n"
    assert "'=HYPERLINK(1)" in selection_out.selection_csv(gallery)
    with zipfile.ZipFile(BytesIO(selection_out.sidecars(gallery))) as archive:
        assert archive.namelist() == ["IMG_0001.xmp", "IMG_0002.xmp", "IMG_0003.xmp"]
        tree = ElementTree.fromstring(archive.read("IMG_0002.xmp").decode())
    described = next(tree.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"))
    assert described.get("{http://ns.adobe.com/xap/1.0/}Rating") == "5"
    texts = [each.text for each in tree.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")]
    assert texts == ["Press & <web>", "=HYPERLINK(1)\nwatch the collar"]


def test_two_frames_of_one_camera_name_keep_it_in_the_export(gallery: Gallery) -> None:
    photo = pick_of(gallery, 3).pick.photo
    photo.files.update(name="IMG_0001.JPG")
    assert selection_out.camera_names(gallery) == "IMG_0001\nIMG_0002\n"
    with zipfile.ZipFile(BytesIO(selection_out.sidecars(gallery))) as archive:
        assert archive.namelist() == ["IMG_0001.xmp", "IMG_0002.xmp", "2/IMG_0001.xmp"]


# --- and back


def test_a_file_finds_its_pick_by_name_and_content(gallery: Gallery, frames: dict[int, Image.Image]) -> None:
    back = bring_back(gallery, "IMG_0002-Edit.tif", packed(edited(frames[2]), "TIFF"))
    assert (back.status, back.matched_by) == (FinishedStatus.ASSIGNED, "name and content")
    version = pick_of(gallery, 2).versions.get()
    assert (back.retouch_id, version.kind, version.format) == (version.retouch_id, "hand_made", "tiff")
    assert version.operations[0]["parameters"]["file"] == "IMG_0002-Edit.tif"
    assert storage.fingerprint(storage.originals(), version.key).sha256 == version.output_sha256


def test_a_renamed_and_cropped_file_finds_its_pick_by_content_never_by_position(
    gallery: Gallery, frames: dict[int, Image.Image]
) -> None:
    """Dropped in the reverse order under numbers that mean nothing."""
    third = bring_back(gallery, "1.jpg", packed(edited(frames[3], crop=0.08)))
    first = bring_back(gallery, "3.jpg", packed(edited(frames[1])))
    assert (third.matched_by, first.matched_by) == ("content", "content")
    assert (third.retouch_id, first.retouch_id) == (pick_of(gallery, 3).pk, pick_of(gallery, 1).pk)


def test_what_is_doubtful_waits_in_the_tray_and_one_tap_assigns_it(
    gallery: Gallery, frames: dict[int, Image.Image]
) -> None:
    wrong_name = bring_back(gallery, "IMG_0001.jpg", packed(edited(frames[2])))
    stranger = bring_back(gallery, "IMG_0003.jpg", packed(ImageOps.mirror(frames[2])))
    unknown = bring_back(gallery, "final.jpg", packed(ImageOps.mirror(edited(frames[1]))))
    assert [row.doubt for row in retouching.in_tray(gallery)] == [
        "name_against_content",
        "unlike",
        "no_match",
    ]
    assert not Version.objects.exists()
    assert wrong_name.candidates[0]["retouch"] == pick_of(gallery, 2).pk
    assert stranger.candidates[0] == {"retouch": pick_of(gallery, 3).pk, "is_named": True, "alike": 0.0}

    done = [
        retouching.assign_finished(
            finished_id=wrong_name.pk, retouch_id=pick_of(gallery, 2).pk, by=ANA, now=NOW
        )
        for _tap in range(2)
    ]
    assert done == [True, False]
    wrong_name.refresh_from_db()
    version = pick_of(gallery, 2).versions.get()
    assert (wrong_name.matched_by, version.actor_label) == ("person", ANA.label)
    retouching.put_finished_aside(finished_id=unknown.pk, by=ANA, now=NOW)
    assert list(retouching.in_tray(gallery)) == [stranger]
    assert [str(line) for line in complaints()] == []


def test_the_next_frame_of_a_burst_is_not_taken_for_the_chosen_one(
    gallery: Gallery, frames: dict[int, Image.Image]
) -> None:
    """Only the first was chosen; what comes back is its neighbour, under no name and under the chosen one's."""
    near = edited(neighbour(frames[1], moved_by=0.012))
    pick_of(gallery, 3).delete()
    gallery.picks.filter(photo__number=3).delete()
    nameless = bring_back(gallery, "final.jpg", packed(near))
    misnamed = bring_back(gallery, "IMG_0001-Edit.jpg", packed(near, "TIFF"))
    assert [row.doubt for row in (nameless, misnamed)] == ["no_match", "unlike"]
    likeness = match.alike(match.seen(np.asarray(near)), match.seen(np.asarray(frames[1])))
    assert 0.3 < likeness < SURE - 0.05
    assert not Version.objects.exists()


def test_a_pick_of_another_session_is_refused(gallery: Gallery, frames: dict[int, Image.Image]) -> None:
    waiting = bring_back(gallery, "x.jpg", packed(ImageOps.mirror(frames[1])))
    other = make_gallery(now=NOW)
    photo = make_photo(other, 1, now=NOW)
    elsewhere = Retouch.objects.create(
        gallery=other, pick=proofing.pick(photo_id=photo.pk, by=ANA, now=NOW), created_at=NOW
    )
    with pytest.raises(RetouchRefused, match="not of this session"):
        retouching.assign_finished(finished_id=waiting.pk, retouch_id=elsewhere.pk, by=ANA, now=NOW)
    assert not Version.objects.exists()


def test_the_same_bytes_twice_are_one_version(gallery: Gallery, frames: dict[int, Image.Image]) -> None:
    data = packed(edited(frames[1]))
    bring_back(gallery, "IMG_0001.jpg", data)
    again = bring_back(gallery, "IMG_0001 copy.jpg", data)
    assert (again.status, again.doubt) == (FinishedStatus.PUT_ASIDE, "same_bytes")
    assert Version.objects.count() == 1
    assert [str(line) for line in complaints()] == []


def test_matching_twice_changes_nothing(gallery: Gallery, frames: dict[int, Image.Image]) -> None:
    """A worker that died after its last write: the job runs again."""
    back = bring_back(gallery, "IMG_0001.jpg", packed(edited(frames[1])))
    job = gallery.jobs.get(kind="match")
    retouching.find_pick(job, NOW)
    assert Version.objects.count() == 1
    FinishedFile.objects.filter(pk=back.pk).update(status="matching", matched_by="", retouch=None)
    retouching.find_pick(job, NOW)  # died between the version and the status is not possible: one transaction
    assert Version.objects.count() == 1
    assert [str(line) for line in complaints()] == []


def test_a_folder_of_finished_files_is_watched(
    gallery: Gallery, frames: dict[int, Image.Image], tmp_path: Path
) -> None:
    folder = tmp_path / "finished"
    (folder / gallery.shoot.code).mkdir(parents=True)
    (folder / gallery.shoot.code / "final-b.jpg").write_bytes(packed(edited(frames[2])))
    (folder / "IMG_0001-Edit.jpg").write_bytes(packed(edited(frames[1])))
    (folder / "holiday.jpg").write_bytes(packed(frames[3]))
    said: list[str] = []
    watcher = watching.Watcher(folder, lambda: None, said.append, purpose=receiving.FINISHED)
    watcher.where_of = lambda path: watching.session_of(folder, path)
    for second in range(6):
        watcher.step(seconds=second * 1.1, now=NOW)
        work(gallery)
    by = {row.upload.name: row.matched_by for row in FinishedFile.objects.all()}
    assert by == {"final-b.jpg": "content", "IMG_0001-Edit.jpg": "name and content"}
    assert said[0] == "holiday.jpg waits: put it into a folder named like its session's code."
    assert said.count(said[0]) == 1
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    assert left == ["done/IMG_0001-Edit.jpg", f"done/{gallery.shoot.code}/final-b.jpg", "holiday.jpg"]


def complaints() -> list[object]:
    """What verify says about finished files, and about versions and bytes."""
    from galleries import invariants

    checks = [invariants.finished_files_have_a_place, invariants.versions_are_links]
    return [line for check in checks for line in check(NOW)]


def test_who_sent_it_made_the_version(gallery: Gallery, frames: dict[int, Image.Image]) -> None:
    person = make_user(Role.RETOUCHER, name="Rae Toucher")
    data = packed(edited(frames[1]))
    receiving.receive_whole(
        BytesIO(data),
        size=len(data),
        name="IMG_0001.jpg",
        gallery=gallery,
        purpose=receiving.FINISHED,
        source="desk",
        by=Actor.user(person),
        now=NOW,
    )
    work(gallery)
    assert pick_of(gallery, 1).versions.get().actor_label == "Rae Toucher"
