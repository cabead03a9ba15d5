"""A person is erased while a file of theirs is sent, a worker makes their pictures, and their delivery goes out."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bookings.models import Shoot
from galleries import delivery, forgetting, invariants, jobs, receiving
from galleries.models import Erasure, Gallery, Job, JobKind, Photo, PhotoFile, Rendition, Upload
from galleries.statuses import ErasureStatus, GalleryStatus
from studio import outbox, storage
from studio.actors import WORKER, Actor, ActorKind
from studio.background import only_one
from studio.models import Credential, Message
from studio.s3_store import PART
from tests.galleries.somebody import Somebody, make_somebody, objects_left
from tests.stores import s3_url  # noqa: F401  a fixture

pytestmark = [pytest.mark.races, pytest.mark.django_db(transaction=True)]
OWNER = Actor(ActorKind.USER, 1, "Olive Owner")
PATIENCE = 60.0


@pytest.fixture
def robin(media_storage: Path, transactional_db: None, now) -> Somebody:
    return make_somebody(now=now)


def want(robin: Somebody, *, now) -> Erasure:
    return forgetting.want(client_id=robin.client.pk, typed=robin.client.name, by=OWNER, now=now)


def to_the_end(now) -> Erasure:
    """The sweeps of the next minutes, with the mail between them."""
    for minutes in range(1, 4):
        at = now + timedelta(minutes=minutes)
        while forgetting.work_next(now=at):
            pass
        while outbox.send_next(now=at):
            pass
    return Erasure.objects.get()


def is_nothing_left(now) -> bool:
    return (
        not objects_left() and not Photo.objects.exists() and not list(invariants.erased_people_are_gone(now))
    )


class Meeting:
    """Two that wait for each other: a worker in the middle of its picture, and the eraser."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def in_the_middle(self) -> None:
        self.has_begun.set()
        assert self.may_end.wait(PATIENCE)


def slow_worker(meeting: Meeting, robin: Somebody, monkeypatch: Any, *, now) -> None:
    """A job whose worker stores a picture late, bytes first and row second, as all of them do."""
    photo = robin.gallery.photos.get(number=90)

    def make_late(job: Job, at: Any) -> None:
        meeting.in_the_middle()
        key = storage.random_key(f"s{robin.shoot.public_id}/p{photo.public_id}", ".jpg")
        kept = storage.put(storage.derived(), key, BytesIO(b"made late"))
        Rendition.objects.create(
            photo=photo, recipe="grid", recipe_version=1, digest="late", key=key, width=1, height=1, size=kept.size,
            sha256=kept.sha256, crc32=kept.crc32, made_at=at,
        )  # fmt: skip

    jobs.known_handlers()
    monkeypatch.setitem(jobs._handlers, JobKind.AIDS, make_late)
    jobs.state(JobKind.AIDS, gallery=robin.gallery, photo=photo, now=now)


def erase_meanwhile(meeting: Meeting, robin: Somebody, *, now) -> str:
    assert meeting.has_begun.wait(PATIENCE)
    want(robin, now=now)
    while forgetting.work_next(now=now):
        pass
    meeting.may_end.set()
    return Erasure.objects.get().waits_for


def test_worker_in_the_middle_of_a_picture_is_waited_for(real_connections, robin, monkeypatch, now):
    meeting = Meeting()
    slow_worker(meeting, robin, monkeypatch, now=now)
    done, waits_for = real_connections.run(
        [lambda: jobs.work_next(now=now), lambda: erase_meanwhile(meeting, robin, now=now)]
    )
    assert (done, waits_for) == (True, "A worker is still busy with a picture of theirs.")
    assert to_the_end(now).status == ErasureStatus.DONE
    assert is_nothing_left(now)


def test_without_waiting_the_late_picture_would_stay(real_connections, robin, monkeypatch, now):
    """The control: what the wait is for."""
    meeting = Meeting()
    slow_worker(meeting, robin, monkeypatch, now=now)
    monkeypatch.setattr(jobs, "is_worked_on", lambda gallery: False)
    real_connections.run([lambda: jobs.work_next(now=now), lambda: erase_meanwhile(meeting, robin, now=now)])
    assert to_the_end(now).status == ErasureStatus.DONE
    assert len(objects_left()) == 1


def test_file_that_is_being_sent_is_waited_for(real_connections, robin, now):
    meeting, size = Meeting(), 20
    upload = receiving.open_upload(gallery=robin.gallery, name="late.jpg", size=size, by=WORKER, now=now)

    def pieces() -> Iterator[bytes]:
        yield b"x" * 10
        meeting.in_the_middle()
        yield b"x" * 10

    _sent, waits_for = real_connections.run(
        [
            lambda: receiving.append(upload_id=upload.pk, at=0, chunks=pieces(), length=size, now=now),
            lambda: erase_meanwhile(meeting, robin, now=now),
        ]
    )
    assert waits_for == "A file of theirs is being sent just now."
    assert to_the_end(now).status == ErasureStatus.DONE
    assert is_nothing_left(now) and not Upload.objects.exists()
    gallery = Gallery.objects.select_related("shoot").get(pk=robin.gallery.pk)
    with pytest.raises(receiving.ReceivingError, match="was erased"):
        receiving.open_upload(gallery=gallery, name="b.jpg", size=1, by=WORKER, now=now)


def test_upload_begun_with_a_stale_gallery_is_refused(real_connections, robin, now):
    stale = Gallery.objects.select_related("shoot").get(pk=robin.gallery.pk)
    want(robin, now=now)
    forgetting.close(robin.gallery, now=now)
    with pytest.raises(receiving.ReceivingError, match="was erased"):
        receiving.open_upload(gallery=stale, name="b.jpg", size=1, by=WORKER, now=now)
    assert not Upload.objects.filter(name="b.jpg").exists()


@pytest.mark.parametrize("time", range(3))
def test_delivery_and_erasure_at_the_same_moment(real_connections, media_storage, now, time):
    robin = make_somebody(now=now, is_delivered=False)
    Shoot.objects.filter(pk=robin.shoot.pk).update(status="completed")

    def erase() -> None:
        want(robin, now=now)
        while forgetting.work_next(now=now):
            pass

    real_connections.run([lambda: delivery.finals_made(gallery_id=robin.gallery.pk, now=now), erase])
    assert to_the_end(now).status == ErasureStatus.DONE
    assert is_nothing_left(now)
    assert Gallery.objects.get(pk=robin.gallery.pk).status == GalleryStatus.ERASED
    assert not Credential.objects.filter(revoked_at=None).exists()
    assert not Message.objects.filter(status="queued", to_address__contains=robin.client.email).exists()


def test_two_workers_erase_once(real_connections, robin, now):
    want(robin, now=now)
    results = real_connections.run([lambda: forgetting.work_next(now=now)] * 4)
    assert all(isinstance(one, bool) for one in results)
    assert to_the_end(now).status == ErasureStatus.DONE
    assert is_nothing_left(now)
    assert Message.objects.filter(name="person_erased").count() == 1


def test_originals_on_their_way_to_the_archive_are_waited_for(real_connections, robin, now):
    meeting = Meeting()

    def move_originals() -> None:
        with only_one("galleries.put_away") as mine:
            assert mine
            meeting.in_the_middle()

    _moved, waits_for = real_connections.run(
        [move_originals, lambda: erase_meanwhile(meeting, robin, now=now)]
    )
    assert waits_for == "Originals are being moved to or from the archive."
    assert to_the_end(now).status == ErasureStatus.DONE
    assert is_nothing_left(now)


def test_on_s3_nothing_stays_either(transactional_db, s3_url, settings, now):  # noqa: F811
    settings.STORAGES = settings.STORAGES | storage.storages_from_url(s3_url, "/unused")
    robin = make_somebody(now=now)
    files = set(PhotoFile.objects.values_list("key", flat=True))
    folder = f"s{robin.shoot.public_id}/"
    begun = receiving.open_upload(gallery=robin.gallery, name="late.NEF", size=PART + 20, by=WORKER, now=now)
    receiving.append(upload_id=begun.pk, at=0, chunks=[b"x" * (PART + 10)], now=now)
    assert len(mine_of(folder, files)) >= 4
    want(robin, now=now)
    assert to_the_end(now).status == ErasureStatus.DONE
    assert mine_of(folder, files) == []
    assert is_gone_unfinished(begun)


def mine_of(folder: str, files: set[str]) -> list[str]:
    return [key for key in objects_left() if key in files or key.startswith(folder)]


def is_gone_unfinished(upload: Upload) -> bool:
    """Whether the store keeps no part of an upload that was begun."""
    store: Any = storage.originals()
    open_ones = store.bucket.meta.client.list_multipart_uploads(Bucket=store.bucket_name).get("Uploads", [])
    return not [one for one in open_ones if upload.key in one["Key"]]
