"""From received bytes to a Photo, or to a reason a photographer understands.

Each step has one contract: it takes the Candidate and returns it knowing more, or raises Refused. In order: read the
bytes back and hash them, compare with what the sender declared, recognise bytes we have, decode in the limited child
(identify → limits → pixels → first renditions). Only then are rows written, in one transaction.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from galleries import culling, deadlines, jobs, renditions
from galleries.imaging import child
from galleries.imaging.jobs import Accepted
from galleries.imaging.recipes import THUMB, Recipe
from galleries.imaging.refusals import Refusal
from galleries.models import Gallery, Job, JobKind, Photo, PhotoFile, Rendition, Upload
from galleries.receiving.verbs import FRAME, forget_bytes
from galleries.statuses import UploadStatus
from galleries.workroom import workroom
from studio import storage
from studio.actors import WORKER, Actor
from studio.models import User
from studio.transitions import move

log = logging.getLogger(__name__)


class Refused(Exception):
    """This file is not taken: a code for the machine, a sentence for the photographer."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code, self.sentence = code, sentence
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file on its way in, and what the steps so far have found."""

    upload: Upload
    room: Path
    stored: storage.Stored | None = None
    twin: PhotoFile | None = None
    picture: Accepted | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A new Photo, with its first renditions."""

    photo: Photo
    renditions: Sequence[Rendition] = field(default=())


@dataclass(frozen=True, slots=True)
class Recognised:
    """The same bytes as a file of this gallery: nothing was added."""

    photo: Photo


@dataclass(frozen=True, slots=True)
class HandedOn:
    """A finished file, given to whoever waits for its purpose."""

    purpose: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Not taken, and why."""

    code: str
    sentence: str


Outcome = Taken | Recognised | HandedOn | TurnedAway
Step = Callable[[Candidate], Candidate]


class Receiver(Protocol):
    """Who takes accepted files of a purpose, inside the accepting transaction. May raise Refused."""

    def __call__(
        self, *, upload: Upload, format: str, width: int, height: int, by: Actor, now: datetime
    ) -> object: ...


_receivers: dict[str, Receiver] = {}


def on_accepted(purpose: str) -> Callable[[Receiver], Receiver]:
    """Register who takes files of a purpose: `@on_accepted("hand_in")`."""

    def decorate(receiver: Receiver) -> Receiver:
        _receivers[purpose] = receiver
        return receiver

    return decorate


# --- the steps


def read_back(candidate: Candidate) -> Candidate:
    """Hash what is stored, not what was sent. Raises Refused when the sender declared another SHA-256."""
    upload = candidate.upload
    try:
        stored = storage.fingerprint(storage.originals(), upload.key)
    except storage.NoSuchObject as error:
        raise Refused("lost", _("The file is not in the store any more. Please send it again.")) from error
    if stored.size != upload.size:
        raise Refused("lost", _("The file was not kept whole. Please send it again."))
    if upload.declared_sha256 and upload.declared_sha256 != stored.sha256:
        raise Refused("changed", _("The file was changed on its way. Please send it again."))
    return replace(candidate, stored=stored)


def recognise(candidate: Candidate) -> Candidate:
    """Find the same bytes in this gallery; other galleries are never looked at."""
    if candidate.upload.purpose != FRAME or candidate.stored is None:
        return candidate
    return replace(candidate, twin=_twin(candidate.upload, candidate.stored))


def decode(candidate: Candidate) -> Candidate:
    """Identify, check the limits, decode and render in the limited child. Raises Refused with the child's reason."""
    if candidate.twin is not None:
        return candidate
    upload = candidate.upload
    look = renditions.look_of(upload.gallery)
    path = storage.fetch_to(storage.originals(), upload.key, candidate.room)
    made = child.accept(path, _recipes(upload), candidate.room, credits=look.credits, mark=look.mark)
    if isinstance(made, Refusal):
        if made.code == "no_room":
            raise storage.StorageFull(_(made.sentence))
        raise Refused(made.code, _(made.sentence))
    return replace(candidate, picture=made)


STEPS: tuple[Step, ...] = (read_back, recognise, decode)


def _recipes(upload: Upload) -> Sequence[Recipe]:
    return renditions.wanted_by(upload.gallery) if upload.purpose == FRAME else (THUMB,)


def _twin(upload: Upload, stored: storage.Stored) -> PhotoFile | None:
    same = PhotoFile.objects.filter(gallery_id=upload.gallery_id, sha256=stored.sha256)
    return same.select_related("photo").first()


# --- the whole way


@jobs.handler(JobKind.INTAKE)
def check(job: Job, now: datetime) -> None:
    """Take one upload in. A second run finds it taken and changes nothing."""
    if job.upload_id is None:
        return
    rows = Upload.objects.select_related("gallery__shoot__booking__location", "by")
    upload = rows.filter(pk=job.upload_id, status=UploadStatus.CHECKING).first()
    if upload is not None:
        outcome = take_in(upload, now=now)
        log.info("Upload %s: %s", upload.pk, type(outcome).__name__)


def take_in(upload: Upload, *, now: datetime) -> Outcome:
    """Run the steps and write down what they found. Outside any transaction, in an `images` worker.

    An earlier run may have died half-way: what it stored without a row is removed first. Raises StorageError and
    ChildLost, for which trying later helps.
    """
    renditions.clear_strays(renditions.folder_of(upload.gallery, upload.public_id))
    with workroom() as room:
        candidate = Candidate(upload, room)
        try:
            for step in STEPS:
                candidate = step(candidate)
            return _write_down(candidate, now=now)
        except Refused as refused:
            return _refuse(upload, refused, now=now)


def _write_down(candidate: Candidate, *, now: datetime) -> Outcome:
    if candidate.twin is not None:
        return _recognised(candidate, candidate.twin, now=now)
    if candidate.upload.purpose != FRAME:
        return _handed_on(candidate, now=now)
    rows = _first_renditions(candidate, now=now)
    try:
        return _taken(candidate, rows, now=now)
    except BaseException:
        renditions.discard(rows)
        raise


def _first_renditions(candidate: Candidate, *, now: datetime) -> list[Rendition]:
    """Store what the child made. A store that fails does not hold up the original: a job makes them later."""
    upload, picture = candidate.upload, _known(candidate.picture)
    try:
        return renditions.keep(
            picture.rendering.files,
            folder=renditions.folder_of(upload.gallery, upload.public_id),
            look=renditions.look_of(upload.gallery),
            notes=picture.rendering.notes,
            now=now,
        )
    except storage.StorageError as error:
        log.warning("First renditions of upload %s come later: %s", upload.pk, type(error).__name__)
        return []


@transaction.atomic
def _taken(candidate: Candidate, rows: Sequence[Rendition], *, now: datetime) -> Outcome:
    """Photo, its file, its renditions, and the upload's last status: all or nothing."""
    upload, stored, picture = candidate.upload, _known(candidate.stored), _known(candidate.picture)
    gallery = Gallery.objects.select_for_update().get(
        pk=upload.gallery_id
    )  # numbers are given under this lock
    twin = _twin(upload, stored)
    if twin is not None:  # the same bytes came twice at once
        renditions.discard(rows)
        return _recognised(candidate, twin, now=now)
    photo = Photo.objects.create(
        public_id=upload.public_id,  # known before the row, so that its folder survives a second try
        gallery=gallery,
        number=(gallery.photos.aggregate(last=Max("number"))["last"] or 0) + 1,
        name=_told_apart(gallery, upload.name),
        width=picture.width,
        height=picture.height,
        dominant_colour=picture.rendering.dominant_colour,
        accepted_at=now,
        **_facts(picture, upload),
    )
    PhotoFile.objects.create(
        photo=photo,
        upload=upload,
        gallery=gallery,
        kind=PhotoFile.Kind.RAW if picture.format == "raw" else PhotoFile.Kind.IMAGE,
        format=picture.format,
        name=upload.name,
        key=upload.key,
        size=stored.size,
        sha256=stored.sha256,
        crc32=stored.crc32,
        stored_at=upload.received_at or now,
        checked_at=now,
    )
    for row in rows:
        row.photo = photo
    Rendition.objects.bulk_create(rows)
    _accept(upload, stored, now=now)
    culling.state_aids(photo=photo, gallery=gallery, now=now)
    if len(rows) < len(picture.rendering.files):
        jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, now=now, urgent_at=now)
    return Taken(photo, rows)


def _facts(picture: Accepted, upload: Upload) -> dict[str, object]:
    """What the camera said, as columns. A camera clock without a zone is taken to show the location's time."""
    facts = picture.facts
    captured_at = facts.captured_at
    if captured_at is not None and captured_at.tzinfo is None:
        captured_at = captured_at.replace(tzinfo=ZoneInfo(upload.gallery.shoot.booking.location.zone))
    exposure = {
        "seconds": facts.exposure_seconds,
        "f_number": facts.f_number,
        "iso": facts.iso,
        "focal_length": facts.focal_length_mm,
    }
    return {
        "captured_at": captured_at.astimezone(UTC) if captured_at is not None else None,
        "camera": facts.camera[:120],
        "lens": facts.lens[:120],
        "exposure": {name: value for name, value in exposure.items() if value is not None},
    }


def _told_apart(gallery: Gallery, name: str) -> str:
    """The name, or `IMG_1 (2).jpg` where the gallery has one of that name with other bytes."""
    taken = {known.casefold() for known in gallery.photos.values_list("name", flat=True)}
    if name.casefold() not in taken:
        return name
    stem, dot, suffix = name.rpartition(".")
    stem, ending = (stem, f".{suffix}") if dot and stem else (name, "")
    number = 2
    while (candidate := f"{stem[: 240 - len(ending)]} ({number}){ending}").casefold() in taken:
        number += 1
    return candidate


@transaction.atomic
def _handed_on(candidate: Candidate, *, now: datetime) -> Outcome:
    """A finished file: accepted, and taken by whoever registered for its purpose, in one transaction."""
    upload, stored, picture = candidate.upload, _known(candidate.stored), _known(candidate.picture)
    receiver = _receivers.get(upload.purpose)
    if receiver is None:
        raise Refused("no_purpose", _("It is not clear what this file is for."))
    deadlines.locked(upload.gallery_id)  # as the receiver locks it: the booking first
    upload.sha256, upload.crc32 = stored.sha256, stored.crc32
    by = Actor.user(upload.by) if isinstance(upload.by, User) else WORKER
    receiver(upload=upload, format=picture.format, width=picture.width, height=picture.height, by=by, now=now)
    _accept(upload, stored, now=now)
    return HandedOn(upload.purpose)


def _recognised(candidate: Candidate, twin: PhotoFile, *, now: datetime) -> Recognised:
    upload, stored = candidate.upload, _known(candidate.stored)
    sentence = _("Already here as %(name)s.") % {"name": twin.photo.name}
    if _accept(upload, stored, now=now, is_duplicate=True, refusal=sentence[:300]):
        transaction.on_commit(lambda: forget_bytes(upload))
    return Recognised(twin.photo)


def _accept(upload: Upload, stored: storage.Stored, *, now: datetime, **fields: object) -> bool:
    values = {"sha256": stored.sha256, "crc32": stored.crc32, **fields}
    return move(Upload, upload.pk, "accept", by=WORKER, now=now, reason="", **values) is not None


def _refuse(upload: Upload, refused: Refused, *, now: datetime) -> TurnedAway:
    values = {"refusal_code": refused.code[:40], "refusal": refused.sentence[:300]}
    with transaction.atomic():
        if move(Upload, upload.pk, "refuse", by=WORKER, now=now, reason="", **values) is not None:
            transaction.on_commit(lambda: forget_bytes(upload))
    return TurnedAway(refused.code, refused.sentence)


def _known[T](value: T | None) -> T:
    if value is None:
        raise AssertionError("a step was left out")
    return value
