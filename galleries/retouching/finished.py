"""Finished files that come back, many at once: each finds its pick, or waits in the tray for a person.

The way: the file is received and checked like every upload, a worker compares it with the chosen frames outside of any
transaction, and one transaction either makes it a Version of its pick or writes down the doubt. Lock order: Booking,
Gallery, Retouch.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from galleries import deadlines, jobs, pictures
from galleries.imaging import child
from galleries.imaging.recipes import GRID, SCREEN, THUMB
from galleries.imaging.refusals import Refusal
from galleries.intake import on_accepted
from galleries.models import FinishedFile, Gallery, Job, JobKind, Photo, Retouch, Upload, Version
from galleries.receiving.verbs import FINISHED
from galleries.retouching.drafts import take_file
from galleries.retouching.matching import PERSON, Decision, decide, named, stem_of
from galleries.retouching.rows import RetouchRefused
from galleries.statuses import FinishedStatus
from galleries.workroom import workroom
from studio import storage
from studio.actors import WORKER, Actor
from studio.models import User
from studio.transitions import begin, move

MOST_CANDIDATES = 60  # a selection larger than this is compared by name first, then in part


def folder_of(finished: FinishedFile) -> str:
    """The folder of a finished file's small view in the derived store."""
    return f"s{finished.gallery.shoot.public_id}/f{finished.public_id}"


@on_accepted(FINISHED)
def take_finished(
    *, upload: Upload, format: str, width: int, height: int, by: Actor, now: datetime
) -> FinishedFile | None:
    """Take an accepted file whose pick is not known yet and have it matched. None if it was taken before."""
    if FinishedFile.objects.filter(upload=upload).exists():
        return None
    finished = begin(
        FinishedFile(
            gallery=upload.gallery, upload=upload, format=format, width=width, height=height, came_at=now
        ),
        by=by,
        now=now,
    )
    jobs.state(JobKind.MATCH, gallery=upload.gallery, upload=upload, now=now)
    return finished


# --- finding the pick


@jobs.handler(JobKind.MATCH)
def find_pick(job: Job, now: datetime) -> None:
    """Compare one finished file with the picks and assign it, or leave it in the tray. A second run changes nothing."""
    rows = FinishedFile.objects.select_related("gallery__shoot", "upload__by")
    finished = rows.filter(upload=job.upload_id, status=FinishedStatus.MATCHING).first()
    if finished is None:
        return
    clear_strays_of(finished)
    candidates = _candidates(finished)
    with workroom() as room:
        file = storage.fetch_to(storage.originals(), finished.upload.key, room)
        alike = _compared(file, candidates, room)
        thumb_key = _keep_thumb(finished, file, room)
    if not _write_down(finished, candidates, alike, thumb_key, now=now) and thumb_key:
        storage.delete(storage.derived(), thumb_key)


def clear_strays_of(finished: FinishedFile) -> None:
    """What a killed worker left in this file's folder."""
    for found in storage.listed(storage.derived(), f"{folder_of(finished)}/"):
        if found.key != finished.thumb_key:
            storage.delete(storage.derived(), found.key)


def _candidates(finished: FinishedFile) -> list[Retouch]:
    rows = Retouch.objects.filter(gallery=finished.gallery).select_related("pick__photo")
    found = list(rows.prefetch_related("pick__photo__files", "pick__photo__renditions").order_by("id"))
    by_name = named(finished.upload.name, {row.pk: stems_of(row.pick.photo) for row in found})
    return sorted(found, key=lambda row: row.pk not in by_name)[:MOST_CANDIDATES]


def stems_of(photo: Photo) -> list[str]:
    """The camera's names of a photo, without suffix: of its files, since a name that came twice is told apart."""
    return [stem_of(file.name) for file in photo.files.all()] or [stem_of(photo.name)]


def _compared(file: Path, candidates: Sequence[Retouch], room: Path) -> dict[int, float] | None:
    frames: dict[int, Path] = {}
    for row in candidates:
        seen = pictures.of(row.pick.photo, GRID.name) or pictures.of(row.pick.photo, SCREEN.name)
        if seen is not None:
            frames[row.pk] = storage.fetch_to(storage.derived(), seen.key, room)
    if not frames:
        return {}
    answer = child.likeness(file, list(frames.values()))
    return None if isinstance(answer, Refusal) else dict(zip(frames, answer.alike, strict=True))


def _keep_thumb(finished: FinishedFile, file: Path, room: Path) -> str:
    made = child.make(file, [THUMB], room)
    if isinstance(made, Refusal):
        return ""
    key = storage.random_key(folder_of(finished), ".jpg")
    storage.put(storage.derived(), key, made.files[0].path)
    return key


@transaction.atomic
def _write_down(
    finished: FinishedFile,
    candidates: Sequence[Retouch],
    alike: dict[int, float] | None,
    thumb_key: str,
    *,
    now: datetime,
) -> bool:
    """False when somebody has settled it meanwhile."""
    gallery = deadlines.locked(finished.gallery_id)
    row = FinishedFile.objects.select_for_update(of=("self",)).get(pk=finished.pk)
    if row.status != FinishedStatus.MATCHING:
        return False
    row.thumb_key = thumb_key
    by_name = named(finished.upload.name, {each.pk: stems_of(each.pick.photo) for each in candidates})
    row.candidates = _in_order(by_name, alike or {})
    row.save(update_fields=["thumb_key", "candidates"])
    if _is_here_already(finished):
        move(FinishedFile, row.pk, "put_aside", by=WORKER, now=now, doubt="same_bytes")
        return True
    others = {
        photo.pk: stems_of(photo)
        for photo in gallery.photos.filter(pick__isnull=True).prefetch_related("files")
    }
    decision = decide(
        by_name=by_name, alike=alike, is_name_of_another=bool(named(finished.upload.name, others))
    )
    _carry_out(row, decision, by=_sender(finished.upload), now=now)
    return True


def _in_order(by_name: set[int], alike: dict[int, float]) -> list[dict[str, int | float]]:
    known = sorted(by_name | set(alike), key=lambda key: (-alike.get(key, 0.0), key not in by_name))
    return [
        {"retouch": key, "is_named": key in by_name, "alike": alike.get(key, 0.0)}
        for key in known
        if key in by_name or alike.get(key, 0.0) > 0.3
    ][:4]


def _is_here_already(finished: FinishedFile) -> bool:
    same = Version.objects.filter(
        retouch__gallery=finished.gallery_id, output_sha256=finished.upload.sha256
    ).exclude(key=finished.upload.key)
    return same.exists()


def _carry_out(finished: FinishedFile, decision: Decision, *, by: Actor, now: datetime) -> None:
    if decision.pick is None:
        move(FinishedFile, finished.pk, "doubt", by=WORKER, now=now, doubt=decision.doubt)
        return
    _assign(finished, decision.pick, matched_by=decision.by, by=by, now=now)


def _sender(upload: Upload) -> Actor:
    return Actor.user(upload.by) if isinstance(upload.by, User) else WORKER


def _assign(finished: FinishedFile, retouch_id: int, *, matched_by: str, by: Actor, now: datetime) -> None:
    move(
        FinishedFile,
        finished.pk,
        "assign",
        by=by,
        now=now,
        matched_by=matched_by,
        retouch_id=retouch_id,
        doubt="",
    )
    take_file(
        upload=finished.upload,
        retouch_id=retouch_id,
        format=finished.format,
        width=finished.width,
        height=finished.height,
        by=by,
        now=now,
    )


# --- the tray


def in_tray(gallery: Gallery) -> "QuerySet[FinishedFile]":
    """What a person has to say something about, the oldest first."""
    return gallery.finished_files.filter(status=FinishedStatus.WAITING).select_related("upload")


@transaction.atomic
def assign(*, finished_id: int, retouch_id: int, by: Actor, now: datetime) -> bool:
    """A person says which pick a file in the tray belongs to. False if it was assigned already.

    Raises RetouchRefused for a pick of another gallery.
    """
    gallery = deadlines.locked(FinishedFile.objects.values_list("gallery_id", flat=True).get(pk=finished_id))
    finished = (
        FinishedFile.objects.select_for_update(of=("self",)).select_related("upload").get(pk=finished_id)
    )
    if finished.status == FinishedStatus.ASSIGNED:
        return False
    if finished.status == FinishedStatus.MATCHING:
        raise RetouchRefused(_("This file is still being compared. Try again in a moment."))
    if not gallery.retouches.filter(pk=retouch_id).exists():
        raise RetouchRefused(_("That picture is not of this session."))
    _assign(finished, retouch_id, matched_by=PERSON, by=by, now=now)
    return True


@transaction.atomic
def put_aside(*, finished_id: int, by: Actor, now: datetime) -> bool:
    """Take a file out of the tray without using it; its bytes stay. False if it is not in the tray any more."""
    return move(FinishedFile, finished_id, "put_aside", by=by, now=now) is not None
