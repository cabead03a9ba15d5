"""Work orders and their Versions: drafts made by a worker, the frame as photographed, files made elsewhere."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from galleries import deadlines, jobs, workbench
from galleries.intake import on_accepted
from galleries.models import Gallery, Job, JobKind, PhotoFile, Pick, Rendition, Retouch, Upload, Version
from galleries.renditions import clear_strays, look_of
from galleries.retouching.rows import (
    RetouchRefused,
    folder_of,
    locked,
    may_find_face,
    must_be_in_work,
    one_at_a_time,
    original_of,
)
from galleries.retouching.white_balance import shoot_cast
from galleries.statuses import JobStatus, RetouchStatus
from galleries.workroom import workroom
from studio import storage
from studio.actors import WORKER, Actor
from studio.transitions import begin, move

GENTLER = 0.6  # of the strength the guard blocked
GENTLEST = 0.2  # less than this changes nothing a person would see


def order(*, gallery_id: int, by: Actor, now: datetime) -> list[Retouch]:
    """Open a work order and ask for a draft for each pick that has none. Inside the transaction of the submission."""
    gallery = Gallery.objects.get(pk=gallery_id)
    opened = []
    for pick in Pick.objects.filter(gallery=gallery, retouch=None).order_by("picked_at", "id"):
        retouch = begin(Retouch(pick=pick, gallery=gallery, created_at=now), by=by, now=now)
        state_draft(
            gallery, retouch, workbench.DEFAULT_STRENGTHS, kind=Version.Kind.DRAFT, by=WORKER, now=now
        )
        opened.append(retouch)
    return opened


def withdraw(pick: Pick) -> bool:
    """Forget the work order of a pick that is taken back. False when a person's work is in it: then it must stay.

    Drafts can be made again; a file handed in, something shown to the client or approved cannot.
    """
    retouch = Retouch.objects.select_for_update().filter(pick=pick).first()
    if retouch is None:
        return True
    is_kept = retouch.approved_version_id is not None or retouch.shown_version_id is not None
    if is_kept or retouch.versions.filter(kind=Version.Kind.HAND_MADE).exists():
        return False
    for rendition in Rendition.objects.filter(version__retouch=retouch):
        storage.delete_after_commit(storage.derived(), rendition.key)
    for version in retouch.versions.order_by("-number"):  # children first: a parent is protected
        storage.delete_after_commit(storage.derived(), version.key)
        version.delete()
    retouch.delete()
    return True


@transaction.atomic
def adjust(*, retouch_id: int, parameters: Mapping[str, object], by: Actor, now: datetime) -> Version | None:
    """Ask a worker for the draft at other strengths. The Version, if those strengths were made before; else None.

    `parameters` are the sliders of `workbench.SLIDERS`; what is missing keeps its default. Raises RetouchRefused
    for a value that is no number.
    """
    gallery, retouch = locked(retouch_id)
    must_be_in_work(gallery)
    try:
        strengths = workbench.strengths(parameters)
    except ValueError as error:
        raise RetouchRefused(_("A strength is a number.")) from error
    if made := _same_draft(retouch, strengths):
        return made
    state_draft(gallery, retouch, strengths, kind=Version.Kind.ADJUSTED, by=by, now=now)
    return None


@transaction.atomic
def draft_all(*, gallery_id: int, parameters: Mapping[str, object], by: Actor, now: datetime) -> int:
    """Ask for the draft at these strengths for every pick of a session that is not approved. Returns how many are made.

    Stated twice it is one draft each; a pick that has this draft is left alone. Raises RetouchRefused as `adjust` does.
    """
    gallery = deadlines.locked(gallery_id)
    must_be_in_work(gallery)
    try:
        strengths = workbench.strengths(parameters)
    except ValueError as error:
        raise RetouchRefused(_("A strength is a number.")) from error
    asked = 0
    open_ones = gallery.retouches.exclude(status=RetouchStatus.APPROVED).order_by("id")
    for retouch in open_ones.select_for_update(of=("self",)):
        if _same_draft(retouch, strengths) is None:
            state_draft(gallery, retouch, strengths, kind=Version.Kind.ADJUSTED, by=by, now=now)
            asked += 1
    return asked


@transaction.atomic
def as_photographed(*, retouch_id: int, by: Actor, now: datetime) -> Version | None:
    """Ask a worker for the frame without any retouching. The Version, if it was made before; else None."""
    gallery, retouch = locked(retouch_id)
    must_be_in_work(gallery)
    if made := retouch.versions.filter(kind=Version.Kind.UNTOUCHED).first():
        return made
    state_draft(gallery, retouch, {}, kind=Version.Kind.UNTOUCHED, by=by, now=now)
    return None


def state_draft(
    gallery: Gallery,
    retouch: Retouch,
    strengths: Mapping[str, float],
    *,
    kind: str,
    by: Actor,
    now: datetime,
) -> Job:
    parameters = {
        "kind": str(kind),
        "strengths": dict(strengths),
        "by": {"kind": str(by.kind), "id": by.id, "label": by.label},
    }
    job = jobs.state(JobKind.DRAFT, gallery=gallery, retouch=retouch, parameters=parameters, now=now)
    if job.status == JobStatus.FAILED:
        jobs.retry(job_id=job.pk, by=by, now=now)
    return job


def soften(gallery: Gallery, retouch: Retouch, version: Version, *, now: datetime) -> Job | None:
    """Order a gentler draft after the guard blocked a worker's own. None where a person has the say.

    Nobody should have to undo what a worker proposed. The caller holds the gallery's and the retouch's locks.
    """
    is_ours = version.kind == Version.Kind.DRAFT and retouch.status == RetouchStatus.DRAFTED
    if not is_ours or retouch.versions.filter(number__gt=version.number).exists():
        return None
    before = strengths_of(version)
    gentler = workbench.strengths(before | {"overall": GENTLER * before["overall"]})
    if gentler["overall"] < GENTLEST:
        return None
    return state_draft(gallery, retouch, gentler, kind=Version.Kind.DRAFT, by=WORKER, now=now)


def _same_draft(retouch: Retouch, strengths: Mapping[str, float]) -> Version | None:
    made = retouch.versions.filter(kind__in=[Version.Kind.DRAFT, Version.Kind.ADJUSTED]).order_by("number")
    return next((version for version in made if strengths_of(version) == strengths), None)


def strengths_of(version: Version) -> dict[str, float]:
    """The strengths a draft was asked for; empty for other kinds of Version."""
    if version.kind not in (Version.Kind.DRAFT, Version.Kind.ADJUSTED) or not version.operations:
        return {}
    return dict(version.operations[0]["parameters"])


@jobs.handler(JobKind.DRAFT)
def make_draft(job: Job, now: datetime) -> None:
    """Make one draft from the original at full size and add it to the chain. Run twice it makes one Version."""
    retouch = _with_gallery(job.retouch_id)
    kind, strengths = job.parameters["kind"], job.parameters["strengths"]
    if retouch is None or _made_already(retouch, kind, strengths):
        return
    original = original_of(retouch.pick.photo)
    credits = look_of(retouch.gallery).credits
    with one_at_a_time(retouch), workroom() as room:
        clear_strays(folder_of(retouch))
        if _made_already(retouch, kind, strengths):
            return
        source = storage.fetch_to(storage.originals(), original.key, room)
        if kind == Version.Kind.UNTOUCHED:
            made = workbench.untouched(source, room, credits=credits)
        else:
            allowed = may_find_face(retouch.gallery)
            cast = shoot_cast(retouch.gallery, may_find_face=allowed)
            made = workbench.draft(source, room, strengths, may_find_face=allowed, credits=credits, cast=cast)
        key = storage.random_key(folder_of(retouch), ".jpg")
        kept = storage.put(storage.derived(), key, made.path)
        if not add(_draft_row(job, kind, original, made, key, kept), retouch.pk, strengths, now=now):
            storage.delete(storage.derived(), key)


def _draft_row(
    job: Job, kind: str, original: PhotoFile, made: workbench.Made, key: str, kept: storage.Stored
) -> Version:
    by = job.parameters["by"]
    return Version(
        kind=kind,
        input_sha256=original.sha256,
        output_sha256=kept.sha256,
        operations=made.operations,
        key=key,
        size=kept.size,
        crc32=kept.crc32,
        width=made.width,
        height=made.height,
        actor_kind=by["kind"],
        actor_id=by["id"],
        actor_label=by["label"],
    )


def _with_gallery(retouch_id: int | None) -> Retouch | None:
    return (
        Retouch.objects.select_related("pick__photo", "gallery__shoot__booking__location")
        .filter(pk=retouch_id or 0)
        .first()
    )


def _made_already(retouch: Retouch, kind: str, strengths: Mapping[str, float]) -> bool:
    if kind == Version.Kind.UNTOUCHED:
        return retouch.versions.filter(kind=kind).exists()
    return _same_draft(retouch, strengths) is not None


@transaction.atomic
def add(version: Version, retouch_id: int, strengths: Mapping[str, float], *, now: datetime) -> bool:
    """Put a finished file at the end of the chain and order its measurement. False: another worker's is there."""
    gallery_id = Retouch.objects.filter(pk=retouch_id).values_list("gallery_id", flat=True).first()
    if gallery_id is None:
        return False
    gallery, retouch = locked(retouch_id)
    if version.kind != Version.Kind.HAND_MADE and _made_already(retouch, version.kind, strengths):
        return False
    version.retouch = retouch
    version.number = (retouch.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    version.made_at = now
    version.save(force_insert=True)
    if retouch.status == RetouchStatus.WAITING:
        move(Retouch, retouch.pk, "drafted", by=WORKER, now=now)
    jobs.state(JobKind.MEASURE, gallery=gallery, version=version, now=now)
    return True


@on_accepted("hand_in")
def receive_hand_in(
    *, upload: Upload, format: str, width: int, height: int, by: Actor, now: datetime
) -> Version | None:
    """Take an accepted upload of purpose "hand_in" as a Version, byte for byte where it already is.

    The object stays in the originals store under the upload's key. None if it was taken before (a second run).
    """
    if upload.retouch_id is None:
        raise ValueError("a handed-in file belongs to a retouch")
    return take_file(
        upload=upload, retouch_id=upload.retouch_id, format=format, width=width, height=height, by=by, now=now
    )


@transaction.atomic
def take_file(
    *, upload: Upload, retouch_id: int, format: str, width: int, height: int, by: Actor, now: datetime
) -> Version | None:
    """Make a file that was accepted a Version of this pick, byte for byte. None if it was taken before."""
    _gallery, retouch = locked(retouch_id)
    if Version.objects.filter(key=upload.key).exists():
        return None
    original = original_of(retouch.pick.photo)
    version = Version(
        kind=Version.Kind.HAND_MADE,
        input_sha256=original.sha256,
        output_sha256=upload.sha256,
        operations=[{"recipe": "edited-outside", "version": 1, "parameters": {"file": upload.name}}],
        key=upload.key,
        store="originals",
        format=format,
        size=upload.size,
        crc32=upload.crc32 or 0,
        width=width,
        height=height,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
    )
    add(version, retouch.pk, {}, now=now)
    return version
