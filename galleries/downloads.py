"""What a client may fetch, how it is streamed, and the record of it.

A download is one file of a delivery or a ZIP of many. The archive is never built: its length, ETag and any byte
of it follow from sizes and CRC-32 kept when the files were made. While it streams, the right to it is asked again
every few seconds, so that revoking a link ends the download.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

from galleries import locks, ranges
from galleries.archive import ArchivePlan, Entry, clean_names
from galleries.models import DeliveredFile, Delivery, Download, FarewellKind, Gallery, Rendition
from galleries.statuses import GalleryStatus
from studio import storage
from studio.models import Credential

ASK_AGAIN_SECONDS = 3.0
RELEASED = (GalleryStatus.DELIVERED, GalleryStatus.RETOUCHING, GalleryStatus.APPROVING, GalleryStatus.READY)
MayGoOn = Callable[[], bool]


class Withdrawn(Exception):
    """The right to this download ended while it was under way: cut it, do not pretend it is whole."""


@dataclass(frozen=True, slots=True)
class Body:
    """Something to send: its name, type, length, strong ETag and any part of it."""

    name: str
    content_type: str
    length: int
    etag: str
    made_at: datetime
    read: Callable[[int, int], Iterator[bytes]]
    rendition: Rendition | None = None


def current_delivery(gallery: Gallery, *, now: datetime) -> Delivery | None:
    """The newest whole delivery (or the newest partial one before it). None before delivery and after expiry."""
    if gallery.status not in RELEASED or (gallery.finals_expire_at and gallery.finals_expire_at <= now):
        return None
    return gallery.deliveries.order_by("is_partial", "-number").first()


def shown_of(delivery: Delivery) -> "QuerySet[DeliveredFile]":
    """The files of a delivery without pictures that were taken back since, and without what was erased."""
    return delivery.files.filter(rendition__photo__withdrawn_at=None, rendition__erased_at=None)


def replaced_files(gallery: Gallery, *, now: datetime) -> tuple[list[DeliveredFile], datetime | None]:
    """Files of earlier deliveries that a change replaced and that are still kept, with the day they go.

    A download that began before the change was delivered goes on; the page offers them under "before the change".
    """
    current = current_delivery(gallery, now=now)
    open_one = gallery.farewells.filter(
        kind=FarewellKind.REPLACED, done_at=None, called_off_at=None, due_at__gt=now
    ).first()
    if current is None or open_one is None:
        return [], None
    here = current.files.values("rendition")
    older = DeliveredFile.objects.filter(
        delivery__gallery=gallery, delivery__is_partial=False, delivery__number__lt=current.number
    )
    rows = older.exclude(rendition__in=here).filter(
        rendition__erased_at=None, rendition__photo__withdrawn_at=None
    )
    return list(
        rows.select_related("rendition", "delivery").order_by("-delivery__number", "position", "id")
    ), open_one.due_at


def file_of(gallery: Gallery, file_id: int, *, now: datetime) -> DeliveredFile | None:
    """One file the client may fetch now: of the current delivery, or one that a change replaced a while ago."""
    current = current_delivery(gallery, now=now)
    if current is None:
        return None
    found = shown_of(current).select_related("rendition").filter(pk=file_id).first()
    return found or next((file for file in replaced_files(gallery, now=now)[0] if file.pk == file_id), None)


def files_of(delivery: Delivery, size: str = "") -> list[DeliveredFile]:
    """The files of a delivery in the order of the picks, all or of one size."""
    rows = shown_of(delivery).select_related("rendition")
    return list(rows.filter(rendition__recipe=size) if size else rows)


def single(file: DeliveredFile) -> Body:
    """One final, as an attachment."""
    made = file.rendition
    return Body(
        name=file.name,
        content_type="image/jpeg",
        length=made.size,
        etag=f'"{made.sha256}"',
        made_at=made.made_at,
        read=partial(storage.open_range, storage.derived(), made.key),
        rendition=made,
    )


def archive(delivery: Delivery, files: list[DeliveredFile], *, name: str) -> Body:
    """A ZIP of these files, in one folder per size."""
    names = clean_names(file.name for file in files)
    plan = ArchivePlan(
        Entry(
            name=f"{file.rendition.recipe}/{clean}",
            size=file.rendition.size,
            crc32=file.rendition.crc32,
            modified_at=delivery.delivered_at,
            digest=file.rendition.sha256,
            open=partial(_span, file.rendition.key),
        )
        for file, clean in zip(files, names, strict=True)
    )
    return Body(name, "application/zip", plan.length, plan.etag, delivery.delivered_at, plan.read)


def _span(key: str, start: int, length: int) -> Iterator[bytes]:
    return storage.open_range(storage.derived(), key, start, start + length)


def issue(file: DeliveredFile, *, gallery: Gallery, credential: Credential, now: datetime) -> str:
    """An address at which an S3 store itself sends the file, for a minute; counted as issued. Empty: send it from here.

    Nobody can take such an address back, so a gallery with a PIN has none.
    """
    if locks.pin_of(gallery, credential):
        return ""
    made = file.rendition
    url = storage.presigned_url(storage.derived(), made.key, name=file.name, content_type="image/jpeg")
    if url:
        Download.objects.create(
            gallery=gallery,
            credential_id=credential.pk,
            holder_label=credential.holder_label,
            what=file.name[:160],
            rendition=made,
            started_at=now,
            is_issued=True,
        )
    return url or ""


def send(
    request: HttpRequest,
    body: Body,
    *,
    gallery: Gallery | None,
    credential: Credential | None,
    may_go_on: MayGoOn,
    now: datetime,
) -> HttpResponse | StreamingHttpResponse:
    """Answer a GET or HEAD for a body: whole, one range, 304 or 416, and record what a client fetched.

    Without a gallery (the owner's copy of somebody's data) there is no client who fetches, and no credential.
    """
    answer = ranges.answer(
        length=body.length,
        etag=body.etag,
        modified_at=body.made_at,
        range_header=request.headers.get("Range", "") if request.method == "GET" else "",
        if_range=request.headers.get("If-Range", ""),
        if_none_match=request.headers.get("If-None-Match", ""),
    )
    headers = {
        **answer.headers,
        "Content-Disposition": content_disposition_header(True, body.name) or "attachment",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if request.method == "HEAD" or answer.status in (304, 416):
        return HttpResponse(status=answer.status, headers=headers, content_type=body.content_type)
    record = None
    if credential is not None:
        assert gallery is not None
        record = Download.objects.create(
            gallery=gallery,
            credential_id=credential.pk,
            holder_label=credential.holder_label,
            what=body.name[:160],
            rendition=body.rendition,
            started_at=now,
            first_byte=answer.start,
        )
    stream = _recorded(body.read(answer.start, answer.stop), record, answer.stop - answer.start, may_go_on)
    return StreamingHttpResponse(
        stream, status=answer.status, headers=headers, content_type=body.content_type
    )


def _recorded(
    chunks: Iterator[bytes], record: Download | None, length: int, may_go_on: MayGoOn
) -> Iterator[bytes]:
    """Pass the bytes on, ask again for the right to them, and write down how far it came, also when cut."""
    sent, asked_at = 0, time.monotonic()
    _let_go()
    try:
        for chunk in chunks:
            if time.monotonic() - asked_at > ASK_AGAIN_SECONDS:
                allowed = may_go_on()
                _let_go()
                if not allowed:
                    raise Withdrawn
                asked_at = time.monotonic()
            yield chunk
            sent += len(chunk)
    finally:
        if record is not None:
            Download.objects.filter(pk=record.pk).update(bytes_sent=sent, is_complete=sent == length)
            _let_go()


def _let_go() -> None:
    """A slow phone may take an hour: it must not hold a database connection for that long."""
    if not connection.in_atomic_block:
        connection.close()


def still_open(credential_id: int) -> MayGoOn:
    """Whether a guest's link is still good; asked while streaming."""

    def ask() -> bool:
        return Credential.objects.filter(
            pk=credential_id, revoked_at=None, expires_at__gt=timezone.now()
        ).exists()

    return ask
