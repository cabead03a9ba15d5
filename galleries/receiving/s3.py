"""Unfinished uploads on an S3 server: whole parts in a multipart upload, the rest in a small object of its own.

S3 wants parts of at least 5 MB, a sender may send less; what does not fill a part waits as `<key>.tail0` or `.tail1`,
written in turn so that the one the row names is never half-written. The row's `backend` says which parts count:
a part that was sent but never recorded is simply sent again under the same number.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.db import connection
from django.utils.translation import gettext as _

from galleries.models import Upload
from galleries.receiving.shelves import Busy, Checksum, Interrupted, measured, wrong_checksum
from studio.s3_store import PART, S3Store, sentences
from studio.storage import NoSuchObject, StorageError

_LOCK_CLASS = 0x55504C  # "UPL": our part of the advisory lock numbers
_NO_UPLOAD = {"NoSuchUpload", "404", "NoSuchKey"}


class S3Shelf:
    """Several web servers may share it, so PostgreSQL says who writes."""

    def __init__(self, store: S3Store) -> None:
        self.store = store

    @contextmanager
    def hold(self, upload: Upload) -> Iterator["S3Hold"]:
        """Lock by an advisory lock that falls with our connection."""
        numbers = [_LOCK_CLASS, upload.pk % 2**31]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", numbers)
            if not cursor.fetchone()[0]:
                raise Busy(_("This file is being sent from somewhere else just now."))
        try:
            upload.refresh_from_db()
            yield S3Hold(self.store, upload)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", numbers)


class S3Hold:
    """One upload's parts and tail, as its row names them."""

    def __init__(self, store: S3Store, upload: Upload) -> None:
        self.store, self.upload = store, upload
        self.backend: dict[str, Any] = dict(upload.backend)
        self.offset = upload.offset

    @property
    def _parts(self) -> list[list[Any]]:
        return list(self.backend.get("parts", []))  # [[number, etag, size], …]

    def _tail_key(self, slot: int) -> str:
        return f"{self.upload.key}.tail{slot}"

    def append(self, chunks: Iterable[bytes], *, room: int, checksum: Checksum | None) -> None:
        """Send whole parts as they fill, then keep the tail; `backend` and `offset` change only when all is kept."""
        seen = checksum.fresh() if checksum else None
        piece = _Piece(self)
        cut_off: Interrupted | None = None
        try:
            for chunk in measured(chunks, room=room):
                if seen is not None:
                    seen.update(chunk)
                piece.add(chunk)
        except Interrupted as error:
            if seen is not None:
                raise
            cut_off = error
        if checksum is not None and seen is not None and not checksum.fits(seen):
            raise wrong_checksum()
        self.backend = piece.kept()
        self.offset = sum(part[2] for part in self._parts) + self.backend["tail"]["size"]
        if cut_off is not None:
            raise cut_off

    def tail(self) -> bytes:
        """The bytes after the last whole part."""
        named = self.backend.get("tail") or {"slot": 0, "size": 0}
        if not named["size"]:
            return b""
        kept = b"".join(self.store.read_range(self._tail_key(named["slot"]), 0, None))
        if len(kept) != named["size"]:
            raise StorageError(_("The picture store did not keep what was sent."))
        return kept

    def begin_parts(self) -> str:
        """The multipart upload's id; begun when the first part is full."""
        if "id" not in self.backend:
            with sentences():
                begun = self.store.client.create_multipart_upload(
                    **self.store.where(self.upload.key), ContentType="application/octet-stream"
                )
            self.backend["id"] = begun["UploadId"]
        return str(self.backend["id"])

    def send_part(self, number: int, body: bytes) -> list[Any]:
        """One part under its number; the row does not count it yet."""
        upload_id = self.begin_parts()
        with sentences():
            answer = self.store.client.upload_part(
                **self.store.where(self.upload.key), UploadId=upload_id, PartNumber=number, Body=body
            )
        return [number, answer["ETag"], len(body)]

    def keep_tail(self, body: bytes, slot: int) -> None:
        with sentences():
            self.store.client.put_object(**self.store.where(self._tail_key(slot)), Body=body)

    def finish(self) -> None:
        """Put the tail as the last part and complete; then the server's size must be the announced one."""
        if self._size_there() != self.upload.size:
            parts, tail = self._parts, self.tail()
            if not parts:
                with sentences():
                    self.store.client.put_object(**self.store.where(self.upload.key), Body=tail)
            else:
                if tail:
                    parts.append(self.send_part(len(parts) + 1, tail))
                self._complete(parts)
            if self._size_there() != self.upload.size:
                raise StorageError(_("The picture store did not keep what was sent."))
        self._drop_tails()

    def _complete(self, parts: list[list[Any]]) -> None:
        listed = [{"PartNumber": number, "ETag": tag} for number, tag, _size in parts]
        with sentences():
            self.store.client.complete_multipart_upload(
                **self.store.where(self.upload.key),
                UploadId=self.backend["id"],
                MultipartUpload={"Parts": listed},
            )

    def _size_there(self) -> int | None:
        try:
            return self.store.size_of(self.upload.key)
        except NoSuchObject:
            return None

    def _drop_tails(self) -> None:
        for slot in (0, 1):
            self.store.remove(self._tail_key(slot))

    def discard(self) -> None:
        """Abort the parts, delete tails and the object."""
        if "id" in self.backend:
            with suppress(ClientError, BotoCoreError):  # `remove_leftovers` aborts it later
                self.store.client.abort_multipart_upload(
                    **self.store.where(self.upload.key), UploadId=self.backend["id"]
                )
        self._drop_tails()
        self.store.remove(self.upload.key)


class _Piece:
    """Bytes on their way into parts: at most one part and one chunk are in memory."""

    def __init__(self, hold: S3Hold) -> None:
        self.hold, self.parts = hold, hold._parts
        self.waiting = bytearray(hold.tail())

    def add(self, chunk: bytes) -> None:
        self.waiting += chunk
        while len(self.waiting) >= PART:
            body = bytes(self.waiting[:PART])
            self.parts.append(self.hold.send_part(len(self.parts) + 1, body))
            del self.waiting[:PART]

    def kept(self) -> dict[str, Any]:
        """Store the tail and return what the row is to say."""
        slot = 1 - (self.hold.backend.get("tail") or {"slot": 1})["slot"]
        if self.waiting:
            self.hold.keep_tail(bytes(self.waiting), slot)
        return {**self.hold.backend, "parts": self.parts, "tail": {"slot": slot, "size": len(self.waiting)}}
