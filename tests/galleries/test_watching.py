"""A watched folder: closed files go where they belong, once, and nothing is guessed."""

from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from bookings.models import Claim, Resource, ResourceKind
from bookings.statuses import ShootStatus
from galleries import jobs, watching
from galleries.models import Gallery, Photo, Upload
from tests.galleries.making import make_gallery, make_shoot
from tests.galleries.test_intake import picture

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gallery(transactional_db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tether"
    path.mkdir()
    return path


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def run(self, watcher: watching.Watcher, steps: int = 3) -> None:
        for _step in range(steps):
            self.seconds += 0.6
            watcher.step(seconds=self.seconds, now=NOW)
            while jobs.work_next(now=NOW):
                pass


def watcher_of(
    folder: Path, where: Callable[[], Gallery | None], said: list[str] | None = None
) -> watching.Watcher:
    return watching.Watcher(folder, where, (said if said is not None else []).append)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def room_of(gallery: Gallery) -> Resource:
    booking = gallery.shoot.booking
    room = Resource.objects.create(kind=ResourceKind.ROOM, name="Room 1", location=booking.location)
    Claim.objects.create(
        booking=booking,
        resource=room,
        starts_at=booking.starts_at,
        ends_at=booking.ends_at,
        works_from=booking.starts_at,
        works_until=booking.ends_at,
        purpose="Portrait",
    )
    return room


def test_closed_files_become_photos_and_move_to_done(gallery: Gallery, folder: Path) -> None:
    (folder / "IMG_1.JPG").write_bytes(picture())
    (folder / "look two").mkdir()
    (folder / "look two" / "IMG_2.JPG").write_bytes(picture(width=70))
    (folder / ".hidden.jpg").write_bytes(b"x")
    (folder / "IMG_3.JPG.tmp").write_bytes(b"x")
    Clock().run(watcher_of(folder, lambda: gallery))
    assert names(folder) == [".hidden.jpg", "IMG_3.JPG.tmp", "done/IMG_1.JPG", "done/look two/IMG_2.JPG"]
    assert sorted(gallery.photos.values_list("name", flat=True)) == ["IMG_1.JPG", "IMG_2.JPG"]
    assert set(Upload.objects.values_list("source", flat=True)) == {"watch"}


def test_what_is_no_photo_moves_to_refused_with_the_reason(gallery: Gallery, folder: Path) -> None:
    said: list[str] = []
    (folder / "notes.txt").write_bytes(b"shopping list")
    (folder / "empty.jpg").write_bytes(b"")
    Clock().run(watcher_of(folder, lambda: gallery, said))
    assert names(folder) == [
        "refused/empty.jpg",
        "refused/empty.jpg.txt",
        "refused/notes.txt",
        "refused/notes.txt.txt",
    ]
    assert (folder / "refused" / "empty.jpg.txt").read_text() == "The file is empty. Please send it again.\n"
    assert any(line.startswith("notes.txt: This is not a photo") for line in said)


def test_a_file_that_is_still_written_is_left_alone(gallery: Gallery, folder: Path) -> None:
    clock, watcher = Clock(), watcher_of(folder, lambda: gallery)
    data = picture()
    with (folder / "IMG_1.JPG").open("wb") as file:
        file.write(data[:300])
        file.flush()
        clock.run(watcher, steps=5)
        assert Upload.objects.count() == 0
        file.write(data[300:])
    clock.run(watcher)
    assert names(folder) == ["done/IMG_1.JPG"]
    assert Photo.objects.count() == 1


def test_without_leases_a_file_must_rest_for_a_second(gallery: Gallery, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(watching, "_is_open_elsewhere", lambda path: None)
    path = folder / "IMG_1.JPG"
    path.write_bytes(picture())
    watcher = watcher_of(folder, lambda: gallery)
    for seconds, count in ((0.0, 0), (0.6, 0), (1.1, 1)):
        watcher.step(seconds=seconds, now=NOW)
        assert Upload.objects.count() == count


def test_frames_go_to_whoever_is_checked_in_at_the_room(gallery: Gallery, folder: Path) -> None:
    room = room_of(gallery)
    other = make_gallery(now=NOW)  # checked in, but elsewhere
    clock, watcher = Clock(), watcher_of(folder, lambda: watching.gallery_in(room))
    (folder / "IMG_1.JPG").write_bytes(picture())
    clock.run(watcher)
    assert (gallery.photos.count(), other.photos.count()) == (1, 0)


def test_frames_wait_while_nobody_is_checked_in(gallery: Gallery, folder: Path) -> None:
    room, said = room_of(gallery), []
    gallery.shoot.status = ShootStatus.PLANNED
    gallery.shoot.save()
    clock, watcher = Clock(), watcher_of(folder, lambda: watching.gallery_in(room), said)
    (folder / "IMG_1.JPG").write_bytes(picture())
    clock.run(watcher, steps=4)
    assert (names(folder), Upload.objects.count()) == (["IMG_1.JPG"], 0)
    assert said == ["1 files wait: nobody is checked in here."]
    gallery.shoot.status = ShootStatus.CHECKED_IN
    gallery.shoot.save()
    clock.run(watcher)
    assert gallery.photos.count() == 1


def test_a_restart_takes_nothing_twice(gallery: Gallery, folder: Path) -> None:
    (folder / "IMG_1.JPG").write_bytes(picture())
    first = watcher_of(folder, lambda: gallery)
    first.step(seconds=0, now=NOW)
    first.step(seconds=1, now=NOW)
    assert Upload.objects.count() == 1  # received, and killed before it was put away
    Clock().run(watcher_of(folder, lambda: gallery))
    assert names(folder) == ["done/IMG_1.JPG"]
    assert Photo.objects.count() == 1


def test_same_names_in_done_are_told_apart(gallery: Gallery, folder: Path) -> None:
    clock, watcher = Clock(), watcher_of(folder, lambda: gallery)
    for width in (60, 61):
        (folder / "IMG_1.JPG").write_bytes(picture(width=width))
        clock.run(watcher)
    assert names(folder) == ["done/IMG_1 (2).JPG", "done/IMG_1.JPG"]


def test_places_are_found_by_name_or_said_to_be_unknown(gallery: Gallery) -> None:
    room = room_of(gallery)
    assert watching.room_called("room 1") == room
    assert watching.gallery_of(gallery.shoot.code.lower()) == gallery
    assert watching.gallery_of(gallery.shoot.booking.public_id) == gallery
    with pytest.raises(watching.NoSuchPlace, match="There are: Room 1"):
        watching.room_called("Cellar")
    with pytest.raises(watching.NoSuchPlace):
        watching.gallery_of("nothing")


def test_ingest_takes_a_folder_and_says_what_was_not_taken(gallery: Gallery, folder: Path) -> None:
    (folder / "card").mkdir()
    (folder / "card" / "A.JPG").write_bytes(picture())
    (folder / "empty.jpg").write_bytes(b"")
    said, wrong = StringIO(), StringIO()
    with pytest.raises(CommandError, match="Not every file was taken"):
        call_command("ingest", str(folder), booking=gallery.shoot.code, stdout=said, stderr=wrong)
    assert "1 of 2 files received" in said.getvalue()
    assert "The file is empty." in wrong.getvalue()
    assert names(folder) == ["card/A.JPG", "empty.jpg"]  # the files stay
    while jobs.work_next(now=datetime.now(UTC)):
        pass
    said = StringIO()
    call_command("ingest", str(folder / "card"), booking=gallery.shoot.code, stdout=said)
    while jobs.work_next(now=datetime.now(UTC)):
        pass
    assert Photo.objects.count() == 1
    assert make_shoot(now=NOW).code != gallery.shoot.code


def test_a_file_is_on_its_way_within_the_second_it_is_closed(gallery: Gallery, folder: Path) -> None:
    """Two looks 0.2 s apart are enough where the system can say that a file is closed."""
    (folder / "IMG_1.JPG").write_bytes(picture())
    watcher = watcher_of(folder, lambda: gallery)
    for look in range(2):
        assert not Upload.objects.exists()
        watcher.step(seconds=0.2 * look, now=NOW)
    assert Upload.objects.exists()
