"""The tus resumable upload protocol 1.0.0 over HTTP: core, creation, creation-with-upload, checksum, expiration,
termination. (https://tus.io/protocols/resumable-upload; section names below are its own.)

Speaks HTTP only; what happens to the bytes is `galleries.receiving`. Every request is a signed-in person's, with
CSRF token, who still may add files to that gallery; an upload goes on with whoever began it, or an owner.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from galleries import receiving
from galleries.models import Card, Gallery, Retouch, Upload
from galleries.receiving.shelves import ALGORITHMS
from galleries.receiving.verbs import PREVIEW
from galleries.rights import may_add, may_sort, roles_at, roles_in
from galleries.statuses import UploadStatus
from studio import storage
from studio.actors import Actor
from studio.models import Role, User

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
PIECE = 256 * 1024
STALL_SECONDS = (
    30  # a sender that is silent so long has lost its line; its lock must not hold up the next try
)
BODY_TYPE = "application/offset+octet-stream"


class TusError(Exception):
    """A request that breaks the protocol: a status and a sentence."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        self.status, self.sentence, self.headers = status, sentence, headers
        super().__init__(sentence)


View = Callable[..., HttpResponse]
_STATUS: dict[type[Exception], int] = {
    receiving.WrongOffset: 409,
    receiving.Overrun: 413,
    receiving.TooLarge: 413,
    receiving.WrongChecksum: 460,
    receiving.Busy: 423,
    receiving.Gone: 410,
    receiving.ReceivingError: 400,
    storage.StorageFull: 507,
    storage.StorageError: 503,
}


def _protocol(view: View) -> View:
    """Version negotiation, and every error as a status with a plain sentence."""

    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            if _method(request) != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
                raise TusError(412, _("This server speaks tus 1.0.0."), **{"Tus-Version": VERSION})
            response = view(request, *args, **kwargs)
        except TusError as error:
            response = _sentence(error.status, error.sentence, error.headers)
        except receiving.Interrupted as error:
            response = _sentence(400, str(error))
        except (receiving.ReceivingError, storage.StorageError) as error:
            status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
            response = _sentence(status, str(error))
            if isinstance(error, receiving.WrongOffset):
                response.headers["Upload-Offset"] = str(error.offset)
            if status in (423, 503):
                response.headers["Retry-After"] = "2"
        response.headers["Tus-Resumable"] = VERSION
        response.headers["Cache-Control"] = "no-store"
        return response

    return wrapped


def _sentence(status: int, sentence: str, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(
        sentence + "\n", status=status, content_type="text/plain; charset=utf-8", headers=headers or {}
    )


def _method(request: HttpRequest) -> str:
    """X-HTTP-Method-Override (core, "Headers"): for senders whose network lets no PATCH through."""
    return (request.headers.get("X-HTTP-Method-Override") or request.method or "").upper()


@require_http_methods(["OPTIONS", "POST"])
@_protocol
def uploads(request: HttpRequest) -> HttpResponse:
    """`/uploads/`: OPTIONS says what we can do, POST begins an upload."""
    user = _person(request)
    if _method(request) == "OPTIONS":
        return _abilities()
    return _create(request, user, now=timezone.now())


@require_http_methods(["OPTIONS", "HEAD", "PATCH", "DELETE", "POST"])
@_protocol
def upload(request: HttpRequest, public_id: str) -> HttpResponse:
    """`/uploads/<public_id>`: HEAD asks for the offset, PATCH adds a piece, DELETE ends it."""
    user = _person(request)
    method = _method(request)
    if method == "OPTIONS":
        return _abilities()
    now = timezone.now()
    row = _own_upload(user, public_id)
    if method == "HEAD":
        return _head(row)
    if method == "PATCH":
        return _patch(request, row, now=now)
    if method == "DELETE":
        if not receiving.terminate(upload_id=row.pk, by=Actor.user(user), now=now):
            raise receiving.Gone(_("This upload is past stopping."))
        return HttpResponse(status=204)
    raise TusError(405, _("A piece is sent with PATCH."), Allow="OPTIONS, HEAD, PATCH, DELETE")


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User) or not request.user.is_active:
        raise TusError(401, _("Please sign in again."))
    return request.user


def _own_upload(user: User, public_id: str) -> Upload:
    """The upload, if this person may go on with it. Unknown and not yours look alike."""
    rows = Upload.objects.select_related("gallery__shoot__booking", "card")
    row = rows.filter(public_id=public_id).first()
    if row is None or not _may_go_on(user, row):
        raise TusError(404, _("There is no such upload."))
    return row


def _may_go_on(user: User, row: Upload) -> bool:
    """A file of a card asks for the rights at the card's location, also when it has been sorted since."""
    if row.card is not None:
        location = row.card.location_id
        return may_sort(user, location) and (row.by_id == user.pk or Role.OWNER in roles_in(user, location))
    if row.gallery is None or not may_add(user, row.gallery, purpose=row.purpose):
        return False
    return row.by_id == user.pk or Role.OWNER in roles_at(user, row.gallery)


def _abilities() -> HttpResponse:
    from django.conf import settings

    return HttpResponse(
        status=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(settings.MAX_UPLOAD_BYTES),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        },
    )


def _create(request: HttpRequest, user: User, *, now: datetime) -> HttpResponse:
    """Creation and creation-with-upload. Metadata: filename, gallery or card; sha256, purpose, retouch where wanted."""
    size = _number(request, "Upload-Length")
    told = metadata(request.headers.get("Upload-Metadata", ""))
    purpose = told.get("purpose") or "frame"
    gallery, card = _place(user, told, purpose)
    retouch = None
    if told.get("retouch"):
        retouch = Retouch.objects.filter(public_id=told["retouch"], gallery=gallery).first()
    row = receiving.open_upload(
        cut_from=_cut_from(told) if purpose == PREVIEW else None,
        gallery=gallery,
        card=card,
        name=told.get("filename") or told.get("name") or "",
        size=size,
        purpose=purpose,
        retouch=retouch,
        declared_sha256=_sha256(told.get("sha256", "")),
        by=Actor.user(user),
        now=now,
    )
    if row.status == UploadStatus.REFUSED:
        raise TusError(400, row.refusal)
    if request.content_type == BODY_TYPE:
        _append(request, row, at=0, now=now)
        row.refresh_from_db()
    location = request.build_absolute_uri(reverse("upload", args=[row.public_id]))
    headers = {"Location": location, **_state(row)}
    if request.content_type != BODY_TYPE:
        headers.pop("Upload-Offset")
    return HttpResponse(status=201, headers=headers)


def _cut_from(told: dict[str, str]) -> dict[str, object]:
    """Of a preview: the original's name and size, and the byte at which it was cut out. Raises TusError."""
    numbers = [told.get(name, "") for name in ("original-size", "at")]
    if not all(number.isascii() and number.isdigit() and len(number) <= 15 for number in numbers):
        raise TusError(400, _("It is not clear what this preview was cut from."))
    name = receiving.clean_name(told.get("filename", ""))
    return {"name": name, "size": int(numbers[0]), "at": int(numbers[1])}


def _place(user: User, told: dict[str, str], purpose: str) -> tuple[Gallery | None, Card | None]:
    """The gallery or the card a file is for, if this person may add to it. Raises TusError."""
    if told.get("card"):  # an empty field is no card
        card = Card.objects.filter(public_id=told["card"]).first()
        if card is None or not may_sort(user, card.location_id):
            raise TusError(404, _("There is no such card."))
        return None, card
    rows = Gallery.objects.select_related("shoot__booking")
    gallery = rows.filter(public_id=told.get("gallery", "")).first()
    if gallery is None or not may_add(user, gallery, purpose=purpose):
        raise TusError(404, _("There is no such gallery."))
    return gallery, None


def _head(row: Upload) -> HttpResponse:
    offset = receiving.offset_of(row)
    if offset == row.size and row.status == UploadStatus.RECEIVING:
        with suppress(receiving.Busy):  # somebody is just doing it
            receiving.finish_if_whole(upload_id=row.pk, now=timezone.now())
    row.offset = offset
    return HttpResponse(status=200, headers={**_state(row), "Upload-Length": str(row.size)})


def _patch(request: HttpRequest, row: Upload, *, now: datetime) -> HttpResponse:
    if request.content_type != BODY_TYPE:
        raise TusError(415, _("A piece is sent as application/offset+octet-stream."))
    _append(request, row, at=_number(request, "Upload-Offset"), now=now)
    row.refresh_from_db()
    return HttpResponse(status=204, headers=_state(row))


def _append(request: HttpRequest, row: Upload, *, at: int, now: datetime) -> None:
    receiving.append(
        upload_id=row.pk,
        at=at,
        chunks=_body(request),
        length=_length(request),
        checksum=_checksum(request.headers.get("Upload-Checksum", "")),
        now=now,
    )


def _state(row: Upload) -> dict[str, str]:
    """Offset and expiry. An upload that is whole no longer expires."""
    headers = {"Upload-Offset": str(row.offset)}
    if row.status == UploadStatus.RECEIVING:
        headers["Upload-Expires"] = http_date(receiving.expires_at(row).timestamp())
    return headers


def _number(request: HttpRequest, name: str) -> int:
    value = request.headers.get(name, "")
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise TusError(400, _("The header %(name)s must be a number.") % {"name": name})
    return int(value)


def metadata(header: str) -> dict[str, str]:
    """Upload-Metadata: pairs of a key and a Base64 value, separated by commas. Raises TusError."""
    told: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _space, value = pair.partition(" ")
        try:
            told[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise TusError(400, _("The upload's metadata cannot be read.")) from error
    return told


def _sha256(value: str) -> str:
    value = value.lower()
    if value and (len(value) != 64 or not set(value) <= set("0123456789abcdef")):
        raise TusError(400, _("The declared SHA-256 is not one."))
    return value


def _checksum(header: str) -> receiving.Checksum | None:
    """Upload-Checksum: the algorithm and the Base64 digest. 400 for an algorithm we do not offer (checksum)."""
    if not header:
        return None
    algorithm, _space, value = header.partition(" ")
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise TusError(400, _("The checksum cannot be read.")) from error
    if algorithm not in ALGORITHMS:
        raise TusError(400, _("The checksum must be sha1 or sha256."))
    return receiving.Checksum(algorithm, digest)


def _length(request: HttpRequest) -> int | None:
    value = request.META.get("CONTENT_LENGTH") or ""
    return int(value) if value.isdigit() else None


def _body(request: HttpRequest) -> Iterator[bytes]:
    """The piece as it comes, never whole in memory. Raises Interrupted when the line is lost."""
    line = request.META.get("gunicorn.socket")
    is_chunked = _length(request) is None and request.META.get("wsgi.input_terminated")
    source = request.META["wsgi.input"] if is_chunked else request
    try:
        if line is not None:
            line.settimeout(STALL_SECONDS)
        while chunk := source.read(PIECE):
            yield chunk
    except (UnreadablePostError, OSError) as error:
        raise receiving.Interrupted(_("The connection was lost. What arrived is kept.")) from error
    finally:
        if line is not None:
            line.settimeout(None)  # the same line may carry a long download next
