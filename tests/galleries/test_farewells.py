"""What is kept how long: told first, erased on the day, or called off; and the archive, with its way back."""

from datetime import datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from galleries import afterwards, coldstore, delivery, farewells, invariants, leaks
from galleries.models import Farewell, FarewellKind, Gallery, Leak, PhotoFile, Rendition
from galleries.statuses import GalleryStatus
from studio import storage
from studio.actors import WORKER
from studio.models import Message, Studio
from studio.storage import archive_from_url
from tests.galleries.finals import approve, in_retouching, pay
from tests.galleries.framing import make_photo
from tests.galleries.making import make_gallery

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def archive(settings: Any, tmp_path: Path) -> Path:
    """A second folder to which originals move."""
    settings.ARCHIVE_URL = f"file://{tmp_path / 'cold'}"
    settings.STORAGES = settings.STORAGES | archive_from_url(settings.ARCHIVE_URL)
    return tmp_path / "cold"


def keep_original(photo: Any, *, now: datetime) -> PhotoFile:
    """An original that is really stored."""
    key = storage.random_key("originals", ".jpg")
    kept = storage.put(storage.originals(), key, BytesIO(f"original {photo.pk}".encode() * 50))
    return PhotoFile.objects.create(
        photo=photo,
        gallery=photo.gallery,
        format="jpeg",
        name=photo.name,
        key=key,
        size=kept.size,
        sha256=kept.sha256,
        crc32=kept.crc32,
        stored_at=now,
        checked_at=now,
    )


@pytest.fixture
def delivered(media_storage: Path, now: datetime) -> Gallery:
    """Two pictures delivered, two nobody chose; each with its original."""
    gallery = make_gallery(now=now)
    pay(gallery, 20000, now=now)
    for retouch in in_retouching(gallery, now=now):
        approve(retouch, now=now)
        keep_original(retouch.pick.photo, now=now)
    for number in (8, 9):
        keep_original(make_photo(gallery, number, now=now), now=now)
    delivery.finals_made(gallery_id=gallery.pk, now=now)
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.DELIVERED
    return gallery


def broken(at: datetime) -> list[str]:
    """What verify says of originals and objects; versions have no files in these tests."""
    found = [*invariants.acknowledged_bytes_are_kept(at), *invariants.objects_and_rows_agree(at)]
    return [line for line in found if "versions/" not in line]


def originals(gallery: Gallery, **facts: object) -> int:
    return PhotoFile.objects.filter(gallery=gallery, **facts).count()


# --- retention


def test_pictures_nobody_chose_go_on_the_day_that_was_told(delivered: Gallery, now: datetime) -> None:
    assert farewells.sweep(now=now + 75 * DAY) == 0
    assert not Farewell.objects.exists()
    assert farewells.sweep(now=now + 76 * DAY) == 0  # fourteen days before
    told = Farewell.objects.get(kind=FarewellKind.UNPICKED)
    assert told.due_at == now + 90 * DAY
    mail = Message.objects.get(name="farewell_unpicked")
    assert "2 pictures of your session were not chosen" in mail.body_text
    farewells.sweep(now=now + 76 * DAY)
    farewells.sweep(now=now + 89 * DAY)
    assert originals(delivered, expired_at=None) == 4
    assert farewells.sweep(now=now + 90 * DAY) == 1
    assert originals(delivered, expired_at=None) == 2
    assert farewells.sweep(now=now + 91 * DAY) == 0
    told.refresh_from_db()
    assert (told.files_count, told.done_at) == (2, now + 90 * DAY)
    assert Message.objects.filter(name="farewell_unpicked").count() == 1


def test_a_dead_beat_still_leaves_the_client_the_time_that_is_said(delivered: Gallery, now: datetime) -> None:
    farewells.sweep(now=now + 200 * DAY)
    assert originals(delivered, expired_at=None) == 4
    assert Farewell.objects.get(kind=FarewellKind.UNPICKED).due_at == now + 214 * DAY


def test_nothing_can_be_erased_before_its_day(delivered: Gallery, now: datetime) -> None:
    told = farewells.tell(
        gallery_id=delivered.pk, kind=FarewellKind.UNPICKED, at=now + 90 * DAY, now=now + 76 * DAY
    )
    assert told is not None
    assert not farewells.erase(farewell_id=told.pk, now=now + 89 * DAY)
    with pytest.raises(IntegrityError), transaction.atomic():
        Farewell.objects.filter(pk=told.pk).update(done_at=now + 80 * DAY)


def test_finals_are_put_away_and_erased_thirty_days_later_unless_brought_back(
    delivered: Gallery, now: datetime
) -> None:
    ends = delivered.finals_expire_at
    assert ends is not None
    farewells.sweep(now=ends)
    assert "put away" in Message.objects.get(name="farewell_finals").subject
    assert afterwards.renew(gallery_id=delivered.pk, by=WORKER, now=ends + 20 * DAY)
    farewells.sweep(now=ends + 40 * DAY)
    kept = Rendition.objects.filter(version__isnull=False)
    assert not kept.filter(erased_at__isnull=False).exists()
    delivered.refresh_from_db()
    again = delivered.finals_expire_at
    assert again is not None
    farewells.sweep(now=again)
    farewells.sweep(now=again + 31 * DAY)
    assert not kept.filter(erased_at=None).exists()
    assert not afterwards.renew(gallery_id=delivered.pk, by=WORKER, now=again + 32 * DAY)
    assert farewells.is_gone(delivered)


def test_a_gallery_taken_back_into_work_keeps_everything(delivered: Gallery, now: datetime) -> None:
    farewells.sweep(now=now + 76 * DAY)
    delivery.reopen(gallery_id=delivered.pk, by=WORKER, now=now + 80 * DAY)
    assert farewells.sweep(now=now + 91 * DAY) == 0
    assert Farewell.objects.get(kind=FarewellKind.UNPICKED).called_off_at == now + 91 * DAY
    assert originals(delivered, expired_at=None) == 4


def test_a_leaked_picture_is_held_back_until_its_record_is_closed(delivered: Gallery, now: datetime) -> None:
    leaked = delivered.photos.filter(pick=None).first()
    (leak,) = leaks.hide(photo_ids=[leaked.pk], by=WORKER, now=now)
    farewells.sweep(now=now + 76 * DAY)
    assert farewells.sweep(now=now + 90 * DAY) == 1
    assert originals(delivered, photo__pick=None, expired_at=None) == 1
    kept = PhotoFile.objects.get(photo=leaked)
    assert storage.exists(storage.originals(), kept.key)
    assert farewells.sweep(now=now + 120 * DAY) == 0
    farewell = Farewell.objects.get(kind=FarewellKind.UNPICKED)
    assert (farewell.done_at, farewell.files_count > 0) == (None, True)

    Leak.objects.filter(pk=leak.pk).update(closed_at=now + 121 * DAY)
    count = farewell.files_count
    assert farewells.sweep(now=now + 122 * DAY) == 1
    farewell.refresh_from_db()
    assert (farewell.done_at, farewell.files_count > count) == (now + 122 * DAY, True)
    assert originals(delivered, photo__pick=None, expired_at=None) == 0


def test_the_originals_of_what_was_chosen_go_after_three_years(
    delivered: Gallery, now: datetime, django_capture_on_commit_callbacks: Any
) -> None:
    for days in (76, 90, 365, 396, 1066, 1096):
        with django_capture_on_commit_callbacks(execute=True):
            farewells.sweep(now=now + days * DAY)
    assert originals(delivered, erased_at__isnull=False) == 2
    assert list(storage.listed(storage.originals())) == []
    assert [line for line in broken(now + 1100 * DAY) if "original" in line] == []
    kinds = set(Message.objects.filter(name__startswith="farewell").values_list("name", flat=True))
    assert kinds == {"farewell_unpicked", "farewell_finals", "farewell_originals"}


def test_the_command_says_what_would_happen_and_changes_nothing(delivered: Gallery, now: datetime) -> None:
    out = StringIO()
    call_command("retention", days=20000, stdout=out)
    assert "unpicked: 2 files" in out.getvalue()
    assert "finals: 8 files" in out.getvalue()
    assert "Nothing was changed" in out.getvalue()
    assert not Farewell.objects.exists()
    assert originals(delivered, expired_at=None) == 4


def test_a_gallery_without_such_files_stands_in_nobodys_way(delivered: Gallery, now: datetime) -> None:
    empty = make_gallery(now=now)
    Gallery.objects.filter(pk=empty.pk).update(status=GalleryStatus.DELIVERED, delivered_at=now - DAY)
    farewells.sweep(now=now + 80 * DAY, limit=1)
    assert Farewell.objects.get().gallery == delivered


# --- the archive


def test_originals_move_to_the_archive_and_come_back_byte_for_byte(
    delivered: Gallery, archive: Path, now: datetime, django_capture_on_commit_callbacks: Any
) -> None:
    Studio.objects.update(keeps_unpicked_days=400)
    later = now + 90 * DAY
    assert coldstore.sweep(now=later - DAY) == 0
    with django_capture_on_commit_callbacks(execute=True):
        assert coldstore.sweep(now=later) == 4
    assert list(storage.listed(storage.originals())) == []
    assert originals(delivered, archived_at=later, archived_where=f"file://{archive}") == 4
    assert broken(later) == []
    with django_capture_on_commit_callbacks(execute=True):
        assert coldstore.ask_back(gallery_id=delivered.pk, by=WORKER, now=later + DAY) == 4
        assert coldstore.bring_back_next(now=later + DAY)
    assert not coldstore.bring_back_next(now=later + DAY)
    cold = storage.archive()
    assert cold is not None and list(storage.listed(cold)) == []
    assert originals(delivered, archived_at=None) == 4
    assert broken(later + DAY) == []
    assert coldstore.sweep(now=later + 2 * DAY) == 0  # it stays at hand as long again


def test_an_archived_original_that_is_gone_is_said(
    delivered: Gallery, archive: Path, now: datetime, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        coldstore.sweep(now=now + 90 * DAY)
    victim = PhotoFile.objects.order_by("pk").first()
    cold = storage.archive()
    assert victim is not None and cold is not None
    storage.delete(cold, victim.key)
    lines = broken(now + 90 * DAY)
    assert any(f"archived photo file {victim.pk}: its bytes are gone" in line for line in lines)


def test_a_damaged_original_is_not_archived_but_told(
    delivered: Gallery, archive: Path, now: datetime
) -> None:
    from studio.models import Role
    from tests.galleries.making import make_user

    make_user(Role.OWNER)
    victim = PhotoFile.objects.order_by("pk").first()
    assert victim is not None
    PhotoFile.objects.filter(pk=victim.pk).update(sha256="0" * 64)
    assert coldstore.sweep(now=now + 90 * DAY) == 3
    victim.refresh_from_db()
    assert victim.is_damaged and victim.archived_at is None
    assert Message.objects.filter(name="original_damaged").count() == 1
    cold = storage.archive()
    assert cold is not None and victim.key not in {found.key for found in storage.listed(cold)}


def test_a_worker_killed_after_its_copy_or_after_the_row_leaves_nothing_behind(
    delivered: Gallery, archive: Path, now: datetime
) -> None:
    first, second, *_rest = PhotoFile.objects.order_by("pk")
    cold, later = storage.archive(), now + 90 * DAY
    assert cold is not None
    with BytesIO(b"half a copy") as half:  # a copy of an earlier try, and not whole
        storage.put(cold, first.key, half)
    coldstore.sweep(now=later)  # its deletions are never run here: as if it died after each commit
    assert {first.key, second.key} <= {found.key for found in storage.listed(storage.originals())}
    assert storage.fingerprint(cold, first.key).sha256 == first.sha256
    assert broken(later) == []  # a copy too many is no break while the sweep is about to remove it
    coldstore.sweep(now=later + timedelta(hours=1))
    assert list(storage.listed(storage.originals())) == []


def test_without_an_archive_nothing_moves(delivered: Gallery, now: datetime) -> None:
    assert coldstore.sweep(now=now + 900 * DAY) == 0
    PhotoFile.objects.update(archived_at=now, archived_where="s3://gone/")
    with pytest.raises(coldstore.NoArchive):
        coldstore.ask_back(gallery_id=delivered.pk, by=WORKER, now=now)
    assert any("no ARCHIVE_URL is set" in line for line in broken(now))
