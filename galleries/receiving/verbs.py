"""Open an upload, add a piece, end it, and tidy up after senders who never came back."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, NotRequired, TypedDict, Unpack

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from galleries import jobs
from galleries.models import Card, Gallery, JobKind, Retouch, Upload
from galleries.receiving.shelves import (
    Busy,
    Checksum,
    Gone,
    Hold,
    Interrupted,
    Overrun,
    ReceivingError,
    TooLarge,
    WrongOffset,
    shelf,
)
from galleries.statuses import GalleryStatus, UploadStatus
from studio import storage
from studio.actors import WORKER, Actor, ActorKind
from studio.transitions import begin, move, move_where

log = logging.getLogger(__name__)

ABANDONED_AFTER = timedelta(hours=24)
PIECE = 1 << 20  # bytes read at a time
FRAME, HAND_IN, FINISHED = "frame", "hand_in", "finished"
PREVIEW = "preview"  # the JPEG inside a RAW file, sent ahead of it
_ERASED = gettext_lazy("The person in these pictures was erased. Their gallery takes no more files.")
_UNWANTED = re.compile(r"[\x00-\x1f\x7f]")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,10}")


def open_upload(
    *,
    gallery: Gallery | None = None,
    card: Card | None = None,
    name: str,
    size: int,
    purpose: str = FRAME,
    retouch: Retouch | None = None,
    cut_from: Mapping[str, object] | None = None,
    declared_sha256: str = "",
    source: str = "desk",
    by: Actor,
    now: datetime,
) -> Upload:
    """Make the row of a file that is about to be sent. An empty file is refused at once, visibly.

    It goes to a gallery, or to a card whose files are sorted later; its key stays the same either way (ADR 9).
    Raises TooLarge, StorageFull, or ReceivingError when this gallery takes no files of that purpose.
    """
    name = clean_name(name)
    _may_take(gallery, card, purpose, retouch, cut_from)
    if size > settings.MAX_UPLOAD_BYTES:
        limit = settings.MAX_UPLOAD_BYTES // 1_000_000
        raise TooLarge(
            _("The file is larger than %(limit)s MB, the most this studio takes.") % {"limit": limit}
        )
    free = storage.free_bytes(storage.originals())
    if free is not None and free < size:
        raise storage.StorageFull(
            _("The disk is full. The file was not kept; please make room and try again.")
        )
    upload = Upload(
        gallery=gallery,
        card=card,
        purpose=purpose,
        retouch=retouch,
        name=name,
        size=size,
        declared_sha256=declared_sha256.lower(),
        key=storage.random_key(_folder(gallery, card), ".jpg" if purpose == PREVIEW else _suffix(name)),
        cut_from=dict(cut_from or {}),
        source=source,
        by_id=by.id if by.kind == ActorKind.USER else None,
        created_at=now,
        touched_at=now,
    )
    with transaction.atomic():
        begin(upload, by=by, now=now)
        # Asked again, now that our row keeps the gallery's from being closed.
        if Gallery.objects.filter(pk=upload.gallery_id or 0, status=GalleryStatus.ERASED).exists():
            raise ReceivingError(_ERASED)
        if card is not None:  # more is coming, so it is not to be sorted yet
            Card.objects.filter(pk=card.pk).update(closed_at=None, is_cut_short=False)
        if size == 0:
            sentence = _("The file is empty. Please send it again.")
            move(Upload, upload.pk, "refuse", by=by, now=now, refusal_code="empty", refusal=sentence)
            upload.refresh_from_db()
    return upload


def _folder(gallery: Gallery | None, card: Card | None) -> str:
    """Where the file arrives: under its shoot, or under its card. Letters first: a part may not begin with a dash."""
    return f"s{gallery.shoot.public_id}" if gallery is not None else f"c{card.public_id if card else ''}"


def _may_take(
    gallery: Gallery | None,
    card: Card | None,
    purpose: str,
    retouch: Retouch | None,
    cut_from: Mapping[str, object] | None,
) -> None:
    if (gallery is None) == (card is None) or (card is not None and purpose != FRAME):
        raise ReceivingError(_("It is not clear where this file goes."))
    if gallery is None:
        return
    if (purpose == PREVIEW) != bool(cut_from):
        raise ReceivingError(_("It is not clear what this preview was cut from."))
    if purpose not in (FRAME, PREVIEW, HAND_IN, FINISHED) or (purpose == HAND_IN) != (retouch is not None):
        raise ReceivingError(_("It is not clear what this file is for."))
    if retouch is not None and retouch.gallery_id != gallery.pk:
        raise ReceivingError(_("This retouch belongs to another gallery."))
    if gallery.status == GalleryStatus.ERASED:
        raise ReceivingError(_ERASED)
    if gallery.status == GalleryStatus.CANCELLED:
        raise ReceivingError(_("This booking was cancelled. Its gallery takes no more files."))


def clean_name(name: str) -> str:
    """The last part of a path, without control characters: what a camera or browser called the file."""
    last = _UNWANTED.sub("", name.replace("\\", "/")).strip().rpartition("/")[2]
    return last[-255:] or _("unnamed")


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def offset_of(upload: Upload) -> int:
    """How many bytes are kept for good. Also ends what a crash left one step before its end.

    Raises Gone. While somebody is sending, the last acknowledged offset is the answer.
    """
    _must_be_wanted(upload)
    if upload.status != UploadStatus.RECEIVING:
        return upload.size
    try:
        with shelf().hold(upload) as hold:
            _remember(upload, hold)
            return hold.offset
    except Busy:
        return upload.offset


def append(
    *,
    upload_id: int,
    at: int,
    chunks: Iterable[bytes],
    length: int | None = None,
    checksum: Checksum | None = None,
    now: datetime,
) -> Upload:
    """Keep one piece that begins at byte `at`; with the last byte the file is handed to the checks.

    `length` is the announced length of the piece, where the sender announces one. Raises WrongOffset, Overrun,
    WrongChecksum, Busy, Gone, Interrupted, StorageFull or StorageError; then the offset is where it was, except
    that an interrupted piece without a checksum counts as far as it came.
    """
    upload = Upload.objects.get(pk=upload_id)
    _must_be_wanted(upload)
    with shelf().hold(upload) as hold:
        _must_be_wanted(upload)
        if at != hold.offset:
            raise WrongOffset(hold.offset)
        room = upload.size - at
        if length is not None and length > room:
            raise Overrun(_("More was sent than the file was said to have."))
        if upload.status == UploadStatus.RECEIVING:
            try:
                hold.append(_whole(chunks, length), room=room, checksum=checksum)
            finally:
                _remember(upload, hold, now=now)
            _finish(upload, hold, now=now)
    return upload


def _whole(chunks: Iterable[bytes], length: int | None) -> Iterator[bytes]:
    """The chunks; Interrupted when they end before the announced length."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        yield chunk
    if length is not None and seen < length:
        raise Interrupted(_("The connection was lost. What arrived is kept."))


def _must_be_wanted(upload: Upload) -> None:
    if upload.status in (UploadStatus.REFUSED, UploadStatus.ABANDONED, UploadStatus.EXPIRED):
        raise Gone(upload.refusal or _("This upload was ended. Please send the file again."))


def _remember(upload: Upload, hold: Hold, *, now: datetime | None = None) -> None:
    upload.offset, upload.backend = hold.offset, hold.backend
    upload.touched_at = now or upload.touched_at
    row = Upload.objects.filter(pk=upload.pk, status=UploadStatus.RECEIVING)
    row.update(offset=upload.offset, backend=upload.backend, touched_at=upload.touched_at)


def _finish(upload: Upload, hold: Hold, *, now: datetime, by: Actor = WORKER) -> bool:
    if upload.status != UploadStatus.RECEIVING or hold.offset != upload.size:
        return False
    hold.finish()
    with transaction.atomic():
        if move(Upload, upload.pk, "received", by=by, now=now, offset=upload.size) is None:
            return False
        upload.refresh_from_db()
        kind = JobKind.LOOK if upload.gallery is None else JobKind.INTAKE
        jobs.state(kind, gallery=upload.gallery, upload=upload, now=now, urgent_at=now)
    return True


def finish_if_whole(*, upload_id: int, now: datetime) -> bool:
    """Hand a file to the checks whose last byte was kept, but whose server died before saying so."""
    upload = Upload.objects.get(pk=upload_id)
    if upload.status != UploadStatus.RECEIVING:
        return False
    with shelf().hold(upload) as hold:
        _remember(upload, hold)
        return _finish(upload, hold, now=now)


def terminate(*, upload_id: int, by: Actor, now: datetime) -> bool:
    """The sender does not want this upload any more. False when it is past stopping. Raises Busy."""
    upload = Upload.objects.get(pk=upload_id)
    with shelf().hold(upload) as hold:
        if upload.status != UploadStatus.RECEIVING:
            return False
        move(Upload, upload.pk, "abandon", by=by, now=now, backend=hold.backend)
        upload.refresh_from_db()
    forget_bytes(upload)
    return True


def forget_bytes(upload: Upload) -> None:
    """Delete what is stored of an upload that came to nothing, and note that it is gone. Outside a transaction.

    A failure is left to the sweep, which finds the row without the note.
    """
    try:
        with shelf().hold(upload) as hold:
            hold.discard()
    except (Busy, storage.StorageError) as error:
        log.warning("The bytes of upload %s will be deleted later: %s", upload.pk, type(error).__name__)
        return
    upload.backend = {"gone": True}
    Upload.objects.filter(pk=upload.pk).update(backend=upload.backend)


def receive_file(path: Path, *, name: str = "", **facts: Unpack["Facts"]) -> Upload:
    """Take a whole file from this machine (`watch`, `ingest`). Raises as `open_upload` and `append` do."""
    with path.open("rb") as file:
        return receive_whole(file, size=path.stat().st_size, name=name or path.name, **facts)


class Facts(TypedDict):
    """What goes with a file that is already on this machine."""

    gallery: NotRequired[Gallery]
    card: NotRequired[Card]
    purpose: NotRequired[str]
    retouch: NotRequired[Retouch | None]
    source: str
    by: Actor
    now: datetime


def receive_whole(file: IO[bytes], *, size: int, name: str, **facts: Unpack[Facts]) -> Upload:
    """Take a whole open file (a plain form's). When it cannot be kept whole, nothing of it is.

    Raises as `open_upload` and `append` do.
    """
    upload = open_upload(name=name, size=size, **facts)
    if upload.status != UploadStatus.RECEIVING:
        return upload
    pieces = iter(lambda: file.read(PIECE), b"")
    try:
        return append(upload_id=upload.pk, at=0, chunks=pieces, length=size, now=facts["now"])
    except BaseException:
        terminate(upload_id=upload.pk, by=facts["by"], now=facts["now"])
        raise


def sweep(*, now: datetime) -> None:
    """Each minute: end what nobody goes on with, finish what only lacked the last step, delete what is unwanted."""
    idle = Upload.objects.filter(status=UploadStatus.RECEIVING, touched_at__lt=now - ABANDONED_AFTER)
    move_where(idle, "abandon", by=WORKER, now=now)
    quiet = now - timedelta(minutes=1)
    for upload in Upload.objects.filter(status=UploadStatus.RECEIVING, touched_at__lt=quiet, size__gt=0):
        if upload.offset == upload.size:
            _try_to_finish(upload, now=now)
    ended = [UploadStatus.REFUSED, UploadStatus.ABANDONED, UploadStatus.EXPIRED]
    unwanted = Upload.objects.filter(status__in=ended)
    copies = Upload.objects.filter(status=UploadStatus.ACCEPTED, is_duplicate=True)
    for upload in (unwanted | copies).exclude(backend={"gone": True})[:500]:
        forget_bytes(upload)
    storage.remove_leftovers(storage.originals(), before=now - 2 * ABANDONED_AFTER)
    storage.remove_leftovers(storage.derived(), before=now - ABANDONED_AFTER)


def _try_to_finish(upload: Upload, *, now: datetime) -> None:
    try:
        finish_if_whole(upload_id=upload.pk, now=now)
    except (ReceivingError, storage.StorageError) as error:
        log.warning("Upload %s could not be finished yet: %s", upload.pk, type(error).__name__)


def expires_at(upload: Upload) -> datetime:
    """When an unfinished upload is given up if nothing more comes."""
    return upload.touched_at + ABANDONED_AFTER
