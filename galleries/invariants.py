"""What `manage.py verify` asks of the galleries."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet

from bookings.models import Client
from galleries import cards, forgetting, renditions
from galleries.models import (
    DataCopyFile,
    Erasure,
    ErasureFile,
    FinishedFile,
    Gallery,
    Guard,
    Job,
    JobKind,
    Photo,
    PhotoFile,
    Pick,
    Rendition,
    Retouch,
    Upload,
    Version,
)
from galleries.statuses import CLOSED, CopyStatus, FinishedStatus, GalleryStatus, JobStatus, UploadStatus
from studio import storage, workdays
from studio.models import Studio
from studio.verification import invariant


@invariant("I7", "Every deliver_by equals the promise recomputed from its stored inputs")
def promises_recompute(now: datetime) -> Iterator[str]:
    """An open pause means no promise; otherwise rule S over the stored calendar and pauses gives the same instant."""
    rows = Gallery.objects.filter(clock_started_at__isnull=False).prefetch_related("pauses")
    for gallery in rows.iterator(chunk_size=500):
        try:
            expected = workdays.recompute(gallery.promise)
        except workdays.ClockPaused:
            expected = None
        except workdays.WorkdaysError as error:
            yield f"{gallery}: the stored promise cannot be read: {error}"
            continue
        if expected != gallery.deliver_by:
            yield f"{gallery}: deliver_by is {gallery.deliver_by}, its inputs give {expected}"
        stored = workdays.pauses_of(gallery.promise)
        rows_say = workdays.united(
            workdays.Pause(row.begins_at, row.ended_at) for row in gallery.pauses.all()
        )
        if gallery.alarm_at is not None and stored != rows_say:
            yield f"{gallery}: its pauses are not those its promise was computed with"


@invariant("I3", "Every acknowledged upload exists with its SHA-256, or a dated row says why not")
def acknowledged_bytes_are_kept(now: datetime) -> Iterator[str]:
    """Reads every original back: complete uploads under check, files of photos, and finished files handed in."""
    store = storage.originals()
    held = [UploadStatus.SORTING, UploadStatus.FILED]
    for upload in Upload.objects.filter(status__in=held).iterator():
        yield from _differs(f"upload {upload.pk}", store, upload.key, upload.size, upload.sha256)
    for upload in Upload.objects.filter(status=UploadStatus.CHECKING).iterator():
        try:
            size = storage.size(store, upload.key)
        except storage.NoSuchObject:
            size = -1
        if size != upload.size:
            yield f"upload {upload.pk} was received but its bytes are not there"
    files = PhotoFile.objects.filter(erased_at=None, archived_at=None, expired_at=None)
    for file in files.iterator():
        yield from _differs(f"photo file {file.pk}", store, file.key, file.size, file.sha256)
    cold = storage.archive()
    for file in PhotoFile.objects.filter(
        erased_at=None, expired_at=None, archived_at__isnull=False
    ).iterator():
        if cold is None:
            yield f"photo file {file.pk} lies in {file.archived_where}, and no ARCHIVE_URL is set"
        else:
            yield from _differs(f"archived photo file {file.pk}", cold, file.key, file.size, file.sha256)
    for version in Version.objects.filter(store="originals", erased_at=None).iterator():
        yield from _differs(f"version {version.pk}", store, version.key, version.size, version.output_sha256)
    for upload in Upload.objects.filter(status=UploadStatus.ACCEPTED, is_duplicate=True).iterator():
        if not PhotoFile.objects.filter(gallery=upload.gallery_id, sha256=upload.sha256).exists():
            yield f"upload {upload.pk} was called a duplicate, but its bytes are nowhere in the gallery"


def _differs(what: str, store: storage.Store, key: str, size: int, sha256: str) -> Iterator[str]:
    try:
        seen = storage.fingerprint(store, key)
    except storage.NoSuchObject:
        yield f"{what}: its bytes are gone"
        return
    if (seen.size, seen.sha256) != (size, sha256):
        yield f"{what}: its bytes are not what was received"


@invariant("I4", "Every photo has each wanted rendition, or a job that says it is coming or has failed")
def photos_have_their_renditions(now: datetime) -> Iterator[str]:
    """A job that waits or runs counts while I5 holds; a failed one is visible on the desk."""
    wanted = {(recipe.name, recipe.version) for recipe in renditions.WANTED}
    rows = Photo.objects.prefetch_related("renditions")
    for photo in rows.iterator(chunk_size=500):
        have = {(row.recipe, row.recipe_version) for row in photo.renditions.all() if row.version_id is None}
        if wanted - have and not _is_job_visible(photo):
            names = ", ".join(sorted(name for name, _version in wanted - have))
            yield f"photo {photo.pk} lacks {names} and no job makes them"


def _is_job_visible(photo: Photo) -> bool:
    unfinished = photo.jobs.filter(kind=JobKind.RENDITIONS).exclude(status=JobStatus.DONE)
    return (
        unfinished.exists()
        or not photo.files.filter(is_damaged=False, erased_at=None, expired_at=None).exists()
    )


@invariant("I5", "No job is stale for more than five minutes without being rung again")
def jobs_are_rung(now: datetime) -> Iterator[str]:
    """Waiting: the bell rang lately. Running: claimed within what a task may last. Receiving: the last step done."""
    late = now - timedelta(minutes=5)
    for job in Job.objects.filter(status=JobStatus.WAITING, not_before__lt=late, rung_at__lt=late):
        yield f"job {job.pk} ({job.kind}) waits since {job.not_before} and was last rung at {job.rung_at}"
    longest = late - timedelta(seconds=settings.TASK_HARD_LIMIT)
    for job in Job.objects.filter(status=JobStatus.RUNNING, claimed_at__lt=longest):
        yield f"job {job.pk} ({job.kind}) runs since {job.claimed_at}"
    whole = Upload.objects.filter(status=UploadStatus.RECEIVING, offset=F("size"), touched_at__lt=late)
    for upload in whole:
        yield f"upload {upload.pk} is whole since {upload.touched_at} and was not handed to the checks"
    for upload in Upload.objects.filter(status=UploadStatus.CHECKING, jobs=None):
        yield f"upload {upload.pk} is to be checked, but no job does it"
    for card in cards.unsorted_cards(before=late):
        yield f"card {card.pk} is whole, but frames of it were neither sorted nor put into the tray"


@invariant("I8", "No object without a row, no row without its object")
def objects_and_rows_agree(now: datetime) -> Iterator[str]:
    """Objects younger than a minute may still wait for their row, and rows for their object's deletion."""
    yield from _agree(
        "originals",
        storage.originals(),
        _original_keys(),
        _passing_keys(now) | _objects_to_go("originals"),
        now=now,
    )
    yield from _agree(
        "derived",
        storage.derived(),
        _derived_keys(),
        _copies_under_way() | _objects_to_go("derived"),
        now=now,
    )
    if (cold := storage.archive()) is not None:
        archived = PhotoFile.objects.filter(erased_at=None, expired_at=None, archived_at__isnull=False)
        moving = PhotoFile.objects.filter(erased_at=None, archived_at=None)  # on their way there or back
        keys = set(archived.values_list("key", flat=True))
        passing = {*moving.values_list("key", flat=True), *_objects_to_go("archive")}
        yield from _agree("archive", cold, keys, passing, now=now)


def _original_keys() -> set[str]:
    kept = PhotoFile.objects.filter(erased_at=None, archived_at=None, expired_at=None)
    files = kept.values_list("key", flat=True)
    versions = Version.objects.filter(store="originals", erased_at=None).values_list("key", flat=True)
    held = [UploadStatus.CHECKING, UploadStatus.SORTING, UploadStatus.FILED]
    checking = Upload.objects.filter(status__in=held).values_list("key", flat=True)
    finished = FinishedFile.objects.values_list("upload__key", flat=True)
    return {*files, *versions, *checking, *finished}


def _passing_keys(now: datetime) -> set[str]:
    """Keys that may hold bytes or not: uploads under way with their tails on S3, and what a sweep deletes next."""
    coming = Upload.objects.filter(status=UploadStatus.RECEIVING).values_list("key", flat=True)
    ended = Upload.objects.filter(finished_at__gte=now - timedelta(minutes=5)).exclude(backend={"gone": True})
    lately = now - timedelta(hours=3)  # archived or erased: the sweep removes what a killed worker left
    going = PhotoFile.objects.filter(
        Q(archived_at__gte=lately) | Q(erased_at__gte=lately) | Q(expired_at__gte=lately)
    )
    return {key + tail for key in coming for tail in ("", ".tail0", ".tail1")} | {
        *ended.values_list("key", flat=True),
        *going.values_list("key", flat=True),
        *Version.objects.filter(erased_at__gte=lately).values_list("key", flat=True),
    }


def _derived_keys() -> set[str]:
    made = Rendition.objects.filter(erased_at=None).values_list("key", flat=True)
    covers = Studio.objects.exclude(cover_key="").values_list("cover_key", flat=True)
    views = FinishedFile.objects.exclude(thumb_key="").values_list("thumb_key", flat=True)
    looks = Upload.objects.exclude(look_key="").values_list("look_key", flat=True)
    versions = Version.objects.filter(store="derived", erased_at=None).values_list("key", flat=True)
    copied = _own_files().filter(copy__status=CopyStatus.READY).values_list("key", flat=True)
    return {*made, *covers, *views, *looks, *versions, *copied}


def _copies_under_way() -> set[str]:
    """Files of copies that are being made, or that the sweep still has to take away: their rows come first."""
    return set(_own_files().exclude(copy__status=CopyStatus.READY).values_list("key", flat=True))


def _objects_to_go(store: str) -> set[str]:
    """What an erasure has written down and not removed yet."""
    return set(ErasureFile.objects.filter(store=store).values_list("key", flat=True))


def _own_files() -> "QuerySet[DataCopyFile]":
    return DataCopyFile.objects.filter(store=DataCopyFile.Store.COPY)


def _agree(
    name: str, store: storage.Store, wanted: set[str], allowed: set[str], *, now: datetime
) -> Iterator[str]:
    grace = now - timedelta(minutes=1)
    seen: set[str] = set()
    for found in storage.listed(store):
        seen.add(found.key)
        if found.key not in wanted and found.key not in allowed and found.modified_at < grace:
            yield f"{name}: the object {found.key} belongs to no row"
    for key in sorted(wanted - seen):
        yield f"{name}: the object {key} of a row is not there"


@invariant(
    "I4", "Every pick of a sent selection has its work order, and every order a version or a visible job"
)
def orders_are_worked_on(now: datetime) -> Iterator[str]:
    """After the submission nothing waits silently, and no more is chosen than is included."""
    sent = Gallery.objects.exclude(status__in=[GalleryStatus.OPEN, GalleryStatus.PROOFING, *CLOSED])
    for pick in Pick.objects.filter(gallery__in=sent, retouch=None).iterator():
        yield f"pick {pick.pk} was sent but has no work order"
    most = F("finals_included") + F("finals_extra")
    for gallery in sent.annotate(chosen=Count("picks")).filter(chosen__gt=most).iterator():
        yield f"{gallery}: more is chosen than the {gallery.finals_included} included and {gallery.finals_extra} bought"
    for retouch in Retouch.objects.filter(versions=None).iterator():
        if (
            not Job.objects.filter(retouch=retouch, kind=JobKind.DRAFT)
            .exclude(status=JobStatus.DONE)
            .exists()
        ):
            yield f"retouch {retouch.pk} has no version and no job makes one"


@invariant("I4", "Every finished file is a version of its pick, in the tray, put aside, or being matched")
def finished_files_have_a_place(now: datetime) -> Iterator[str]:
    """None is lost between the upload and its pick, and none is a version twice."""
    for finished in FinishedFile.objects.select_related("upload").iterator(chunk_size=500):
        version = Version.objects.filter(key=finished.upload.key).select_related("retouch").first()
        if (finished.status == FinishedStatus.ASSIGNED) != (version is not None):
            yield f"finished file {finished.pk} is {finished.status}, its version is {version}"
        elif version is not None and version.retouch_id != finished.retouch_id:
            yield f"finished file {finished.pk} is a version of another pick"
        unfinished = Job.objects.filter(upload=finished.upload_id, kind=JobKind.MATCH).exclude(
            status=JobStatus.DONE
        )
        if finished.status == FinishedStatus.MATCHING and not unfinished.exists():
            yield f"finished file {finished.pk} is to be matched, but no job does it"
    taken = Upload.objects.filter(purpose="finished", status=UploadStatus.ACCEPTED, finished_file=None)
    for upload in taken.iterator():
        yield f"upload {upload.pk} was accepted as a finished file and nobody has it"


@invariant("I3", "Every version names its original, and no approved one is blocked or unmeasured")
def versions_are_links(now: datetime) -> Iterator[str]:
    """The chain: a version comes from a file of its photo or from its parent; an approved one went past the guard."""
    rows = Version.objects.select_related("retouch__pick", "parent").prefetch_related(
        "retouch__pick__photo__files"
    )
    for version in rows.iterator(chunk_size=500):
        known = {file.sha256 for file in version.retouch.pick.photo.files.all()}
        if version.parent is not None:
            known = {version.parent.output_sha256}
        if version.input_sha256 not in known:
            yield f"version {version.pk} names an original that its photo does not have"
    unsafe = Retouch.objects.filter(approved_version__guard__in=[Guard.BLOCKED, Guard.WAITING])
    for retouch in unsafe.iterator():
        yield f"retouch {retouch.pk} is approved with a version the guard did not let pass"


@invariant("I10", "Nothing of an erased person is left where it must not be")
def erased_people_are_gone(now: datetime) -> Iterator[str]:
    """Reads what the erasure was to blank or delete; one that does not come to its end within a day is named."""
    for erasure in Erasure.objects.select_related("client", "letter").iterator(chunk_size=100):
        if erasure.status in forgetting.OPEN and erasure.wanted_at < now - timedelta(days=1):
            yield f"{erasure} is {erasure.status} since {erasure.wanted_at}: {erasure.waits_for}"
        if erasure.forgotten_at is not None:
            yield from (f"{erasure}: {what}" for what in forgetting.left(erasure))
    for pk in Client.objects.filter(erased_at__isnull=False, erasure=None).values_list("pk", flat=True):
        yield f"client {pk} is called erased, and no erasure did it"
