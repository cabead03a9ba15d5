"""A copy of everything kept about one person: a ZIP for the owner to hand over, fetched for seven days.

    everything.json     what is kept in rows, section by section
    papers/…            invoices, agreements and releases as PDF
    pictures/CODE/…     the finished pictures of the current delivery, and every other picture as its proof

Originals are named in the JSON (file name, size, SHA-256) and are not in it: the licence is for the finished pictures.
The worker writes the JSON and the papers, a few rows at a time, into the derived store; pictures are only listed. The
archive itself is never built: as with a gallery's ZIP its bytes follow from sizes and CRC-32 (`archive.py`), so memory
stays small however much there is, and a cut download goes on where it stopped.
"""

import json
import logging
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from bookings import dossier
from bookings.models import Client
from galleries import downloads
from galleries.archive import ArchivePlan, Entry, clean_names
from galleries.imaging.recipes import FINALS, GRID, PROOF, PROOF_UNPAID
from galleries.models import (
    DataCopy,
    DataCopyFile,
    Download,
    Gallery,
    Note,
    PersonWish,
    Photo,
    PhotoFile,
    Pick,
    Rendition,
    YearLater,
)
from galleries.statuses import CopyStatus
from studio import storage
from studio.actors import WORKER, Actor
from studio.background import only_one, ring_on_commit
from studio.models import Studio
from studio.transitions import MoveRefused, begin, move

log = logging.getLogger(__name__)

LIVES = timedelta(days=7)
ATTEMPTS = 3
FORMAT = "likeness-person-1"
LIVE = (CopyStatus.WANTED, CopyStatus.MAKING)
PROOF_NAMES = (PROOF.name, PROOF_UNPAID.name, GRID.name)  # the first that is there
BUFFER = 1 << 20  # of the JSON: what is larger goes through the disk
TAKEN = 500  # listed pictures written at a time


class NoCopy(Exception):
    """There is nothing to make or to fetch; the message is a sentence for the owner."""


# --- wanted, fetched, gone


def want(*, client_id: int, by: Actor, now: datetime) -> DataCopy:
    """Ask a worker for a copy; while one is being made it is the answer. Raises NoCopy for somebody erased."""
    from galleries.tasks import make_copies

    try:
        with transaction.atomic():
            client = Client.objects.select_for_update().get(pk=client_id)
            if client.erased_at is not None:
                raise NoCopy(_("This person is erased. There is nothing left to copy."))
            for older in client.data_copies.filter(status__in=[CopyStatus.READY, CopyStatus.FAILED]):
                let_go(older, by=by, now=now)
            copy = begin(
                DataCopy(client=client, wanted_at=now, wanted_by=str(by)[:200]),
                by=by,
                now=now,
            )
            ring_on_commit(make_copies)
            return copy
    except IntegrityError:  # the other half of a double click
        return DataCopy.objects.get(client=client_id, status__in=LIVE)


def let_go(copy: DataCopy, *, by: Actor, now: datetime) -> None:
    """Its own files go after the commit, its rows now. Inside the caller's transaction."""
    if move(DataCopy, copy.pk, "let_go", by=by, now=now) is None:
        return
    for key in copy.files.filter(store=DataCopyFile.Store.COPY).values_list("key", flat=True):
        storage.delete_after_commit(storage.derived(), key)
    copy.files.all().delete()


def body_of(copy: DataCopy, *, now: datetime) -> downloads.Body:
    """The archive, ready to be sent whole or in part. Raises NoCopy when it is over or a picture went meanwhile."""
    if copy.status != CopyStatus.READY or copy.expires_at is None or copy.expires_at <= now:
        raise NoCopy(_("This copy is not there any more. Please make it again."))
    files = list(copy.files.all())
    pictures = {file.key for file in files if file.store == DataCopyFile.Store.DERIVED}
    kept = Rendition.objects.filter(key__in=pictures, erased_at=None).count()
    if kept != len(pictures):
        raise NoCopy(_("A picture was erased since this copy was made. Please make it again."))
    plan = ArchivePlan(
        Entry(
            name=file.name,
            size=file.size,
            crc32=file.crc32,
            modified_at=file.made_at,
            digest=file.sha256,
            open=partial(_span, file.key),
        )
        for file in files
    )
    assert copy.ready_at is not None
    name = (
        f"everything-kept-{copy.ready_at:%Y-%m-%d}.zip"  # no name of a person: it lands in lists of downloads
    )
    return downloads.Body(name, "application/zip", plan.length, plan.etag, copy.ready_at, plan.read)


def _span(key: str, start: int, length: int) -> Iterator[bytes]:
    return storage.open_range(storage.derived(), key, start, start + length)


def still_there(copy_id: int) -> downloads.MayGoOn:
    """Whether a copy may still be fetched; asked while streaming."""
    return DataCopy.objects.filter(pk=copy_id, status=CopyStatus.READY).exists


# --- making


def make_next(*, now: datetime) -> bool:
    """Make the copy that waits longest, from the beginning. False when none waits, or another worker is at it.

    Whoever holds the lock makes the only one: a copy found half made was left by a worker that died.
    """
    with only_one("galleries.copies") as mine:
        if not mine:
            return False
        copy = _claimed(now=now)
        if copy is None:
            return False
        try:
            _make(copy, now=now)
        except Exception as error:
            log.exception("Copy %s could not be made (try %s)", copy.pk, copy.attempts)
            _put_off(copy, error, now=now)
        return True


@transaction.atomic
def _claimed(*, now: datetime) -> DataCopy | None:
    copy = DataCopy.objects.select_for_update(of=("self",)).filter(status__in=LIVE).order_by("pk").first()
    if copy is None:
        return None
    if copy.status == CopyStatus.MAKING:
        if copy.attempts >= ATTEMPTS:
            sentence = _("The worker was lost three times while making it. Please look at the disk.")
            move(DataCopy, copy.pk, "fail", by=WORKER, now=now, error=sentence)
            return None
        move(DataCopy, copy.pk, "again", by=WORKER, now=now)
    return move(
        DataCopy,
        copy.pk,
        "begin_making",
        by=WORKER,
        now=now,
        attempts=copy.attempts + 1,
        done_count=0,
        error="",
    )


def _put_off(copy: DataCopy, error: Exception, *, now: datetime) -> None:
    """Tried again by the next sweep, three times in all; a store that is full or away may come back."""
    verb = "fail" if copy.attempts >= ATTEMPTS else "again"
    try:
        move(DataCopy, copy.pk, verb, by=WORKER, now=now, error=f"{type(error).__name__}: {error}"[:300])
    except MoveRefused:  # the person was erased meanwhile, and the copy with them
        _forget_files(copy)


def _make(copy: DataCopy, *, now: datetime) -> None:
    client = copy.client
    _forget_files(copy)
    pictures = list(_pictures(client))
    total = dossier.count_papers(client) + len(pictures) + 1
    DataCopy.objects.filter(pk=copy.pk).update(total_count=total, done_count=0)
    for paper in dossier.papers(client):
        _keep(copy, paper.name, BytesIO(paper.make()), made_at=paper.made_at)
    _list(copy, pictures)
    with tempfile.SpooledTemporaryFile(max_size=BUFFER) as file:
        write_json(client, file, now=now)
        file.seek(0)
        _keep(copy, "everything.json", file, made_at=now)
    _finish(copy, now=now)


@transaction.atomic
def _finish(copy: DataCopy, *, now: datetime) -> None:
    """Names are made unique last: two papers of one day may have the same."""
    files = list(copy.files.all())
    for file, name in zip(files, _unique(file.name for file in files), strict=True):
        if file.name != name:
            file.name = name
            file.save(update_fields=["name"])
    move(DataCopy, copy.pk, "make_ready", by=WORKER, now=now, expires_at=now + LIVES)


def _unique(names: Iterable[str]) -> Iterator[str]:
    """Each name clean for every system and different from the others, folder by folder."""
    folders: dict[str, list[tuple[int, str]]] = {}
    for number, name in enumerate(names):
        folder, _slash, last = name.rpartition("/")
        folders.setdefault(folder, []).append((number, last))
    done: dict[int, str] = {}
    for folder, rows in folders.items():
        for (number, _last), name in zip(rows, clean_names(last for _number, last in rows), strict=True):
            done[number] = f"{folder}/{name}" if folder else name
    return (done[number] for number in range(len(done)))


def _keep(copy: DataCopy, name: str, source: Any, *, made_at: datetime) -> None:
    """One file of our own: first its row, then its bytes, then what they are."""
    suffix = f".{name.rpartition('.')[2]}"
    key = storage.random_key(f"copies/c{copy.public_id}", suffix)
    row = DataCopyFile.objects.create(
        copy=copy, store=DataCopyFile.Store.COPY, name=name[:200], key=key, made_at=made_at
    )
    kept = storage.put(storage.derived(), key, source)
    row.size, row.crc32, row.sha256 = kept.size, kept.crc32, kept.sha256
    row.save(update_fields=["size", "crc32", "sha256"])
    DataCopy.objects.filter(pk=copy.pk).update(done_count=F("done_count") + 1)


def _list(copy: DataCopy, pictures: list[tuple[str, Rendition]]) -> None:
    rows = [
        DataCopyFile(
            copy=copy,
            store=DataCopyFile.Store.DERIVED,
            name=name[:200],
            key=made.key,
            size=made.size,
            crc32=made.crc32,
            sha256=made.sha256,
            made_at=made.made_at,
        )
        for name, made in pictures
    ]
    DataCopyFile.objects.bulk_create(rows, batch_size=TAKEN)
    DataCopy.objects.filter(pk=copy.pk).update(done_count=F("done_count") + len(rows))


def _forget_files(copy: DataCopy) -> None:
    """What an earlier try left: bytes first, then the rows that name them."""
    for key in copy.files.filter(store=DataCopyFile.Store.COPY).values_list("key", flat=True):
        storage.delete(storage.derived(), key)
    copy.files.all().delete()


# --- what is in it


def galleries_of(client: Client) -> "QuerySet[Gallery]":
    """The galleries of the pictures somebody is in; of their bookings where no sitter was named."""
    whose = Q(shoot__sitter=client) | Q(shoot__sitter=None, shoot__booking__payer=client)
    return Gallery.objects.filter(whose).select_related("shoot").order_by("pk")


def _pictures(client: Client) -> Iterator[tuple[str, Rendition]]:
    """The finals of the current delivery under their own names, and each other picture as its proof."""
    for gallery in galleries_of(client):
        folder = f"pictures/{gallery.shoot.code}"
        last = gallery.deliveries.order_by("is_partial", "-number").first()
        finals = list(downloads.shown_of(last).select_related("rendition")) if last else []
        wanted = {recipe.name for recipe in FINALS}
        for file in finals:
            if file.rendition.recipe in wanted or file.rendition.recipe.startswith(("print", "black")):
                yield f"{folder}/finished/{file.name}", file.rendition
        shown = {file.rendition.photo_id for file in finals}
        for photo in gallery.photos.exclude(pk__in=shown).filter(withdrawn_at=None).order_by("number"):
            if (made := _proof_of(photo)) is not None:
                yield f"{folder}/proofs/{photo.number:04d}.jpg", made


def _proof_of(photo: Photo) -> Rendition | None:
    made = {
        row.recipe: row
        for row in photo.renditions.filter(recipe__in=PROOF_NAMES, version=None, erased_at=None).order_by(
            "pk"
        )
    }
    return next((made[name] for name in PROOF_NAMES if name in made), None)


def write_json(client: Client, file: IO[bytes], *, now: datetime) -> None:
    """Every section, row by row: `{"about": …, "person": [ … ], "bookings": [ … ], …}` in UTF-8."""
    studio = Studio.objects.first()
    about = {"format": FORMAT, "made_at": now, "studio": studio.name if studio else ""}
    file.write(b'{\n"about": ' + _said(about))
    for name, rows in _sections(client):
        file.write(f',\n"{name}": ['.encode())
        for number, row in enumerate(rows):
            file.write((b",\n" if number else b"\n") + _said(row))
        file.write(b"]")
    file.write(b"\n}\n")


def _said(row: dict[str, Any]) -> bytes:
    return json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False).encode()


def _sections(client: Client) -> Iterator[tuple[str, Iterable[dossier.Row]]]:
    yield from dossier.sections(client)
    mine = galleries_of(client)
    photos = Photo.objects.filter(gallery__in=mine)
    yield "galleries", _rows(mine, *GALLERY)
    yield "pictures", _rows(photos, *PHOTO)
    yield "originals", _rows(PhotoFile.objects.filter(photo__in=photos), *ORIGINAL)
    yield "chosen", _rows(Pick.objects.filter(gallery__in=mine), *PICK)
    yield "notes", _rows(Note.objects.filter(photo__in=photos), *NOTE)
    yield "downloads", _rows(Download.objects.filter(gallery__in=mine), *DOWNLOAD)
    yield "asked_to_hear_again", _rows(YearLater.objects.filter(client=client), *YEAR_LATER)
    yield "wishes", _rows(PersonWish.objects.filter(client=client), *WISH)
    yield "copies", _rows(client.data_copies.all(), *COPY)


def _rows(found: "QuerySet[Any]", *fields: str) -> Iterator[dossier.Row]:
    return iter(found.order_by("pk").values(*fields).iterator(chunk_size=dossier.BATCH))


GALLERY = (
    "shoot__code",
    "status",
    "finals_included",
    "finals_extra",
    "first_deliver_by",
    "deliver_by",
    "proofs_published_at",
    "selection_submitted_at",
    "delivered_at",
    "finals_expire_at",
)
PHOTO = (
    "gallery__shoot__code",
    "number",
    "name",
    "captured_at",
    "camera",
    "lens",
    "width",
    "height",
    "faces",
    "is_published",
    "withdrawn_at",
    "accepted_at",
)
ORIGINAL = (
    "gallery__shoot__code",
    "photo__number",
    "name",
    "format",
    "size",
    "sha256",
    "stored_at",
    "archived_at",
    "erased_at",
    "expired_at",
)
PICK = ("gallery__shoot__code", "photo__number", "use", "picked_at")
NOTE = (
    "photo__gallery__shoot__code",
    "photo__number",
    "words",
    "pin_x",
    "pin_y",
    "is_change_request",
    "answered",
    "answered_at",
    "written_at",
)
DOWNLOAD = ("gallery__shoot__code", "holder_label", "what", "started_at", "bytes_sent", "is_complete")
YEAR_LATER = ("wished_at", "due_at", "sent_at", "ended_at")
WISH = ("kind", "asked_at", "due_at", "settled_at", "settled_words")
COPY = ("wanted_at", "ready_at", "expires_at", "fetched_at")


# --- the sweep


def sweep(*, now: datetime) -> int:
    """Remove copies whose time is over, and ring for one that waits. Returns how many were removed."""
    from galleries.tasks import make_copies

    over = list(DataCopy.objects.filter(status=CopyStatus.READY, expires_at__lte=now).order_by("pk")[:50])
    for copy in over:
        with transaction.atomic():
            let_go(copy, by=WORKER, now=now)
    for copy in DataCopy.objects.filter(
        status=CopyStatus.GONE, files__store=DataCopyFile.Store.COPY
    ).distinct()[:50]:
        _forget_files(copy)  # its worker went on for a moment after it was let go
    if DataCopy.objects.filter(status__in=LIVE).exists():
        with transaction.atomic():
            ring_on_commit(make_copies)
    return len(over)
