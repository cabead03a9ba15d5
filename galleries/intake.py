"""From received bytes to a Photo, or to a reason a photographer understands.

Each step has one contract: it takes the Candidate and returns it knowing more, or raises Refused. In order: read the
bytes back and hash them, compare with what the sender declared, recognise bytes we have, decode in the limited child
(identify → limits → pixels → first renditions). Only then are rows written, in one transaction.

RAW and JPEG of one frame are one Photo with two files: the same stem and the same camera time. An XMP sidecar goes to
the picture of its name and brings its rating; one that comes first waits for it.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from galleries import clocks, codes, culling, deadlines, jobs, renditions, sorting
from galleries.imaging import child
from galleries.imaging.jobs import Accepted, Seen
from galleries.imaging.recipes import THUMB
from galleries.imaging.refusals import Refusal
from galleries.imaging.sidecar import is_sidecar
from galleries.imaging.slate import camera_of
from galleries.models import Gallery, Job, JobKind, Photo, PhotoFile, Rendition, Upload
from galleries.receiving.verbs import FRAME, PREVIEW, forget_bytes
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
    sidecar: Seen | None = None
    preview: PhotoFile | None = None

    @property
    def gallery(self) -> Gallery:
        """Where the file goes. A file of a card comes here when it is sorted."""
        return _known(self.upload.gallery)


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
class Joined:
    """A further file of a Photo that is here: the other half of RAW and JPEG, its sidecar, or an expired original."""

    photo: Photo


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sidecar whose picture has not come yet."""

    upload: Upload


@dataclass(frozen=True, slots=True)
class FiledAway:
    """A slate or the clock page: kept, no Photo."""

    upload: Upload


@dataclass(frozen=True, slots=True)
class HandedOn:
    """A finished file, given to whoever waits for its purpose."""

    purpose: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Not taken, and why."""

    code: str
    sentence: str


Outcome = Taken | Recognised | Joined | Waiting | FiledAway | HandedOn | TurnedAway
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
    if candidate.upload.purpose not in (FRAME, PREVIEW) or candidate.stored is None:
        return candidate
    return replace(candidate, twin=_twin(candidate.gallery, candidate.stored))


def find_preview(candidate: Candidate) -> Candidate:
    """Whether this is the original of a preview that was sent ahead: same name, same size, and the very same bytes
    where the preview was cut out of it."""
    upload = candidate.upload
    if upload.purpose != FRAME or candidate.twin is not None:
        return candidate
    ahead = PhotoFile.objects.filter(
        gallery=candidate.gallery,
        kind=PhotoFile.Kind.PREVIEW,
        cut_from__name=upload.name,
        cut_from__size=upload.size,
    )
    for file in ahead.order_by("pk"):
        at = int(file.cut_from["at"])
        digest = hashlib.sha256()
        for chunk in storage.open_range(
            storage.originals(), upload.key, at, min(at + file.size, upload.size)
        ):
            digest.update(chunk)
        if digest.hexdigest() == file.sha256:
            return replace(candidate, preview=file)
    return candidate


def decode(candidate: Candidate) -> Candidate:
    """Identify, check the limits, decode and render in the limited child. Raises Refused with the child's reason."""
    if candidate.twin is not None and candidate.twin.expired_at is None:
        return candidate
    upload = candidate.upload
    look = renditions.look_of(candidate.gallery)
    path = storage.fetch_to(storage.originals(), upload.key, candidate.room)
    if upload.purpose == FRAME and is_sidecar(path):
        return replace(candidate, sidecar=_agreed(child.look(path)))
    recipes = renditions.wanted_by(candidate.gallery) if upload.purpose in (FRAME, PREVIEW) else (THUMB,)
    made = child.accept(path, recipes, candidate.room, credits=look.credits, mark=look.mark)
    return replace(candidate, picture=_agreed(made))


def _agreed[T](made: T | Refusal) -> T:
    """What the child made of the file. Raises Refused with its reason, StorageFull where only room was lacking."""
    if isinstance(made, Refusal):
        if made.code == "no_room":
            raise storage.StorageFull(_(made.sentence))
        raise Refused(made.code, _(made.sentence))
    return made


STEPS: tuple[Step, ...] = (read_back, recognise, find_preview, decode)


def _twin(gallery: Gallery, stored: storage.Stored) -> PhotoFile | None:
    same = PhotoFile.objects.filter(gallery=gallery, sha256=stored.sha256)
    return same.select_related("photo").first()


# --- the whole way


@jobs.handler(JobKind.INTAKE)
def check(job: Job, now: datetime) -> None:
    """Take one upload in. A second run finds it taken and changes nothing."""
    if job.upload_id is None:
        return
    rows = Upload.objects.select_related("gallery__shoot__booking__location", "by")
    upload = rows.filter(pk=job.upload_id, status=UploadStatus.CHECKING, gallery__isnull=False).first()
    if upload is not None:
        outcome = take_in(upload, now=now)
        log.info("Upload %s: %s", upload.pk, type(outcome).__name__)


def take_in(upload: Upload, *, now: datetime) -> Outcome:
    """Run the steps and write down what they found. Outside any transaction, in an `images` worker.

    An earlier run may have died half-way: what it stored without a row is removed first. Raises StorageError and
    ChildLost, for which trying later helps.
    """
    renditions.clear_strays(renditions.folder_of(_known(upload.gallery), upload.public_id))
    with workroom() as room:
        candidate = Candidate(upload, room)
        try:
            for step in STEPS:
                candidate = step(candidate)
            return _write_down(candidate, now=now)
        except Refused as refused:
            return _refuse(upload, refused, now=now)


def _write_down(candidate: Candidate, *, now: datetime) -> Outcome:
    if candidate.sidecar is not None:
        return _sidecar_taken(candidate, candidate.sidecar, now=now)
    if candidate.twin is not None and candidate.twin.expired_at is None:
        return _recognised(candidate, candidate.twin, now=now)
    if candidate.upload.purpose not in (FRAME, PREVIEW):
        return _handed_on(candidate, now=now)
    slates, shown = codes.read(_known(candidate.picture).codes)
    if (slates or shown) and not candidate.upload.facts.get("is_picture"):
        return _filed_away(candidate, shown, now=now)
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
            folder=renditions.folder_of(candidate.gallery, upload.public_id),
            look=renditions.look_of(candidate.gallery),
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
    gallery = _locked(candidate)  # numbers are given under this lock
    twin = _twin(gallery, stored)
    if twin is not None and twin.expired_at is None:  # the same bytes came twice at once
        renditions.discard(rows)
        return _recognised(candidate, twin, now=now)
    facts = _facts(picture, gallery)
    if candidate.preview is not None:
        transaction.on_commit(lambda: renditions.discard(rows))  # its proofs are there
        return _original_came(candidate, candidate.preview, facts, now=now)
    photo = twin.photo if twin is not None else _other_half(gallery, upload, picture, facts)
    if photo is not None:
        transaction.on_commit(lambda: renditions.discard(rows))  # it has its pictures
        return _joined(candidate, photo, twin, now=now)
    photo = Photo.objects.create(
        public_id=upload.public_id,  # known before the row, so that its folder survives a second try
        gallery=gallery,
        number=(gallery.photos.aggregate(last=Max("number"))["last"] or 0) + 1,
        name=told_apart(gallery, upload.name),
        width=picture.width,
        height=picture.height,
        dominant_colour=picture.rendering.dominant_colour,
        accepted_at=now,
        **facts,
    )
    _add_file(photo, upload, stored, kind=_kind_of(picture, upload), format=picture.format, now=now)
    for row in rows:
        row.photo = photo
    Rendition.objects.bulk_create(rows)
    _accept(upload, stored, now=now)
    _take_waiting_sidecars(photo, upload.name, now=now)
    if upload.purpose != PREVIEW:  # sharpness is a matter of the original
        culling.state_aids(photo=photo, gallery=gallery, now=now)
    if len(rows) < len(picture.rendering.files):
        jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, now=now, urgent_at=now)
    return Taken(photo, rows)


def _locked(candidate: Candidate) -> Gallery:
    return Gallery.objects.select_for_update(of=("self",)).get(pk=candidate.gallery.pk)


def _kind_of(picture: Accepted, upload: Upload) -> str:
    if upload.purpose == PREVIEW:
        return PhotoFile.Kind.PREVIEW
    return PhotoFile.Kind.RAW if picture.format == "raw" else PhotoFile.Kind.IMAGE


def _add_file(
    photo: Photo, upload: Upload, stored: storage.Stored, *, kind: str, format: str, now: datetime
) -> PhotoFile:
    return PhotoFile.objects.create(
        photo=photo,
        upload=upload,
        gallery=photo.gallery,
        kind=kind,
        format=format,
        name=upload.name,
        key=upload.key,
        size=stored.size,
        sha256=stored.sha256,
        crc32=stored.crc32,
        stored_at=upload.received_at or now,
        checked_at=now,
        cut_from=upload.cut_from,
    )


# --- several files, one Photo


def _other_half(
    gallery: Gallery, upload: Upload, picture: Accepted, facts: Mapping[str, Any]
) -> Photo | None:
    """The Photo of which this is the RAW or the JPEG: same stem, same camera time, and that half is not here yet."""
    if facts["captured_at"] is None:
        return None
    kind, stem = _kind_of(picture, upload), sorting.stem_of(upload.name)
    if kind == PhotoFile.Kind.PREVIEW:
        kind = PhotoFile.Kind.RAW  # what it stands for
    files = PhotoFile.objects.filter(gallery=gallery, photo__captured_at=facts["captured_at"])
    halves = files.exclude(kind=PhotoFile.Kind.SIDECAR).select_related("photo")
    of_stem = [file for file in halves if sorting.stem_of(file.name) == stem]
    stands_for = {PhotoFile.Kind.PREVIEW: PhotoFile.Kind.RAW}
    has_this_kind = {file.photo_id for file in of_stem if stands_for.get(file.kind, file.kind) == kind}  # type: ignore[call-overload]
    return next((file.photo for file in of_stem if file.photo_id not in has_this_kind), None)


def _original_came(
    candidate: Candidate, preview: PhotoFile, facts: Mapping[str, Any], *, now: datetime
) -> Joined:
    """The original takes its preview's place: its bytes hold the preview's, so those go. What it says of the camera is
    written down, and retouching that waited for it is tried again."""
    upload, stored, picture = candidate.upload, _known(candidate.stored), _known(candidate.picture)
    photo = preview.photo
    for name, value in {**facts, "width": picture.width, "height": picture.height}.items():
        setattr(photo, name, value)
    photo.save(update_fields=[*facts, "width", "height"])
    _add_file(photo, upload, stored, kind=_kind_of(picture, upload), format=picture.format, now=now)
    storage.delete_after_commit(storage.originals(), preview.key)
    preview.delete()
    _accept(upload, stored, now=now, refusal=(_("The original of %(name)s.") % {"name": photo.name})[:300])
    culling.state_aids(photo=photo, gallery=photo.gallery, now=now)
    for job in Job.objects.filter(retouch__pick__photo=photo, kind=JobKind.DRAFT, status="failed"):
        jobs.retry(job_id=job.pk, by=WORKER, now=now)
    return Joined(photo)


def _joined(candidate: Candidate, photo: Photo, expired: PhotoFile | None, *, now: datetime) -> Joined:
    """Add the file to its Photo; an original that had expired and comes again takes its old row's place."""
    upload, stored, picture = candidate.upload, _known(candidate.stored), _known(candidate.picture)
    if expired is not None:
        values = {
            "key": upload.key,
            "upload": upload,
            "stored_at": now,
            "checked_at": now,
            "expired_at": None,
        }
        PhotoFile.objects.filter(pk=expired.pk).update(**values)
    else:
        _add_file(photo, upload, stored, kind=_kind_of(picture, upload), format=picture.format, now=now)
    _accept(upload, stored, now=now, refusal=(_("Kept with %(name)s.") % {"name": photo.name})[:300])
    return Joined(photo)


@transaction.atomic
def _sidecar_taken(candidate: Candidate, seen: Seen, *, now: datetime) -> Outcome:
    """To the picture of its name, or wait for it. Raises Refused where two pictures have that name."""
    upload, stored = candidate.upload, _known(candidate.stored)
    gallery = _locked(candidate)
    stem = sorting.stem_of(upload.name)
    pictures = gallery.files.exclude(kind=PhotoFile.Kind.SIDECAR).select_related("photo__gallery")
    photos = {file.photo_id: file.photo for file in pictures if sorting.stem_of(file.name) == stem}
    if len(photos) > 1:
        raise Refused(
            "two_pictures", _("Two pictures of this booking have that name: it is not clear whose it is.")
        )
    if not photos:
        values = {
            "facts": {"kind": "sidecar", "rating": seen.rating},
            "sha256": stored.sha256,
            "crc32": stored.crc32,
        }
        words = _("It waits for the picture of its name.")
        move(Upload, upload.pk, "looked_at", by=WORKER, now=now, refusal=words, reason="", **values)
        return Waiting(upload)
    photo = next(iter(photos.values()))
    _add_sidecar(photo, upload, stored, seen.rating, now=now)
    return Joined(photo)


def _add_sidecar(
    photo: Photo, upload: Upload, stored: storage.Stored, rating: int | None, *, now: datetime
) -> None:
    """Keep it as a file of the picture. Its rating counts, the latest sidecar's last; one without says nothing."""
    _add_file(photo, upload, stored, kind=PhotoFile.Kind.SIDECAR, format="xmp", now=now)
    if rating is not None:
        photo.rating = rating
        photo.save(update_fields=["rating"])
    _accept(upload, stored, now=now, refusal=(_("Kept with %(name)s.") % {"name": photo.name})[:300])


def _take_waiting_sidecars(photo: Photo, name: str, *, now: datetime) -> None:
    """Sidecars that came before their picture. Under the gallery's lock."""
    stem = sorting.stem_of(name)
    waiting = Upload.objects.filter(gallery=photo.gallery, status=UploadStatus.SORTING, purpose=FRAME)
    for upload in waiting.order_by("pk"):
        if sorting.stem_of(upload.name) == stem:
            stored = storage.Stored(size=upload.size, sha256=upload.sha256, crc32=upload.crc32 or 0)
            move(Upload, upload.pk, "assign", by=WORKER, now=now)
            _add_sidecar(photo, upload, stored, upload.facts.get("rating"), now=now)


@transaction.atomic
def _filed_away(candidate: Candidate, shown: Sequence[codes.Clock], *, now: datetime) -> FiledAway:
    """A photographed slate or clock page among the frames of a chosen booking: kept, shown to nobody."""
    upload, stored, picture = candidate.upload, _known(candidate.stored), _known(candidate.picture)
    words = _("The clock page: kept, but no picture.") if shown else _("A slate: kept, but no picture.")
    values = {"sha256": stored.sha256, "crc32": stored.crc32, "refusal": words}
    moved = move(Upload, upload.pk, "file_away", by=WORKER, now=now, reason="", **values)
    taken_at = picture.facts.captured_at
    if moved is not None and len(shown) == 1 and taken_at is not None:
        clocks.learn(
            camera=camera_of(picture.facts),
            said_at=clocks.with_zone(taken_at, candidate.gallery.shoot.booking.location),
            shown_at=shown[0].shown_at,
            by=Actor.user(upload.by) if isinstance(upload.by, User) else WORKER,
            now=now,
        )
    return FiledAway(upload)


def _facts(picture: Accepted, gallery: Gallery) -> dict[str, Any]:
    """What the camera said, as columns. A camera clock without a zone is taken to show the location's time."""
    facts = picture.facts
    captured_at = facts.captured_at
    if captured_at is not None and captured_at.tzinfo is None:
        captured_at = captured_at.replace(tzinfo=ZoneInfo(gallery.shoot.booking.location.zone))
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


def told_apart(gallery: Gallery, name: str) -> str:
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
    deadlines.locked(candidate.gallery.pk)  # as the receiver locks it: the booking first
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
