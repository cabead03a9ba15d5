"""Pictures on an S3-compatible server, through django-storages' client and settings."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import IO, Any, cast
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from django.utils.deconstruct import deconstructible
from django.utils.translation import gettext as _
from storages.backends.s3 import S3Storage

from studio.storage import CHUNK, KeyTaken, Listed, NoSuchObject, StorageError, StorageFull

PART = 8 << 20  # bytes of an upload held at a time; 10,000 parts make 80 GB
_FULL = {"InsufficientStorage", "XMinioStorageFull", "QuotaExceeded", "507"}
_GONE = {"404", "NoSuchKey", "NotFound"}
_TAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict"}
_NO_CONDITIONS = {"NotImplemented", "501"}  # an older server: it cannot refuse to overwrite, so we look first
_PUT_MARK = "likeness-put"  # tells our own retried write from somebody else's object


@deconstructible(path="studio.s3_store.S3Store")
class S3Store(S3Storage):  # type: ignore[misc]  # django-storages ships no types
    """A private prefix of a private bucket. Objects are written once; nothing is public."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            default_acl=None,
            querystring_auth=True,
            file_overwrite=False,
            client_config=Config(
                s3={"addressing_style": "path"},
                signature_version="s3v4",
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 3},
                # Not every S3 server knows the newer checksums; `put` reads back and compares anyway.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
            **settings,
        )

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        """There is none: pictures go out through a view, or by `studio.storage.presigned_url`."""
        raise ValueError("This store is private; use studio.storage.signed_path.")

    @property
    def client(self) -> Any:
        """The S3 client itself, for uploads in parts that outlive one request."""
        return self.connection.meta.client

    def where(self, key: str) -> dict[str, str]:
        """The bucket and full key of an object, as the client wants them named."""
        return {"Bucket": self.bucket_name, "Key": f"{self.location.strip('/')}/{key}"}

    def put_new(self, key: str, source: IO[bytes]) -> None:
        """Upload, in parts when large; the server refuses a key that exists. Returns once the server has
        confirmed.
        """
        mark = secrets.token_hex(8)
        wish = {**self.where(key), "Metadata": {_PUT_MARK: mark}, "ContentType": "application/octet-stream"}
        first = _part(source)
        with sentences():
            if len(first) < PART:
                self._unless_taken(key, mark, self.client.put_object, {**wish, "Body": first})
            else:
                self._put_parts(key, mark, wish, first, source)

    def _put_parts(self, key: str, mark: str, wish: dict[str, Any], first: bytes, source: IO[bytes]) -> None:
        upload = {**self.where(key), "UploadId": self.client.create_multipart_upload(**wish)["UploadId"]}
        try:
            parts: list[dict[str, Any]] = []
            body = first
            while body:
                number = len(parts) + 1
                tag = self.client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
                parts.append({"PartNumber": number, "ETag": tag})
                body = _part(source)
            done = {**upload, "MultipartUpload": {"Parts": parts}}
            self._unless_taken(key, mark, self.client.complete_multipart_upload, done)
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self.client.abort_multipart_upload(**upload)
            raise

    def _unless_taken(self, key: str, mark: str, write: Callable[..., Any], wish: dict[str, Any]) -> None:
        """The writing call, refused when the key exists: by the server, or by looking where it cannot."""
        taken = KeyTaken(_("There is already a file of that name in the store."))
        try:
            write(**wish, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) in _NO_CONDITIONS:
                if self._mark_of(key) is not None:
                    raise taken from error
                write(**wish)
            elif _code(error) not in _TAKEN:
                raise
            elif self._mark_of(key) != mark:  # else it is our own write, repeated after a lost answer
                raise taken from error

    def _mark_of(self, key: str) -> str | None:
        """Which write made the object (empty: not one of ours); None when there is no object."""
        try:
            head = self.client.head_object(**self.where(key))
        except ClientError as error:
            if _code(error) in _GONE:
                return None
            raise
        return cast(str, head.get("Metadata", {}).get(_PUT_MARK, ""))

    def read_range(self, key: str, start: int, stop: int | None) -> Iterator[bytes]:
        """The bytes `[start, stop)`, or to the end, by one ranged GET."""
        if stop is not None and stop <= start:
            return
        asked = (
            {}
            if start == 0 and stop is None
            else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        )
        with sentences():
            answer = self.client.get_object(**self.where(key), **asked)
            body, left = answer["Body"], answer["ContentLength"]
            if stop is not None and left != stop - start:
                body.close()
                raise StorageError(_("The stored file is shorter than it should be."))
            try:
                for chunk in body.iter_chunks(CHUNK):
                    left -= len(chunk)
                    yield chunk
            finally:
                body.close()
            if left:
                raise StorageError(_("The stored file is shorter than it should be."))

    def size_of(self, key: str) -> int:
        """Size in bytes."""
        with sentences():
            return cast(int, self.client.head_object(**self.where(key))["ContentLength"])

    def remove(self, key: str) -> None:
        """Delete it; one that is gone is fine."""
        with sentences():
            self.client.delete_object(**self.where(key))

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Every object under its key."""
        root = self.where("")["Key"]
        with sentences():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket_name, Prefix=root + prefix
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    yield Listed(found["Key"].removeprefix(root), found["Size"], found["LastModified"])

    def local_path(self, key: str) -> None:
        """The object is elsewhere."""
        return None

    def presigned(self, key: str, *, seconds: int, name: str, content_type: str) -> str | None:
        """A GET that the server itself answers with an attachment of that name."""
        plain = name.encode("ascii", "replace").decode().translate({ord(c): "_" for c in '"\\?\r\n;'})
        disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
        wish = {"ResponseContentDisposition": disposition, "ResponseContentType": content_type}
        return cast(
            str,
            self.client.generate_presigned_url(
                "get_object", Params={**self.where(key), **wish}, ExpiresIn=seconds
            ),
        )

    def remove_leftovers(self, *, before: datetime) -> int:
        """Abort uploads in parts that were begun before that instant and never completed."""
        removed = 0
        with sentences():
            pages = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket_name, Prefix=self.where("")["Key"]
            )
            for page in pages:
                for begun in page.get("Uploads", ()):
                    if begun["Initiated"] < before:
                        self.client.abort_multipart_upload(
                            Bucket=self.bucket_name, Key=begun["Key"], UploadId=begun["UploadId"]
                        )
                        removed += 1
        return removed


def _part(source: IO[bytes]) -> bytes:
    """The next part in full: a socket or pipe may give less than it was asked for."""
    part = bytearray()
    while len(part) < PART and (more := source.read(PART - len(part))):
        part += more
    return bytes(part)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def sentences() -> Iterator[None]:
    """Turn the client's exceptions into the store's own."""
    try:
        yield
    except ClientError as error:
        if _code(error) in _GONE:
            raise NoSuchObject(_("The file is not in the store.")) from error
        if _code(error) in _FULL or error.response["ResponseMetadata"].get("HTTPStatusCode") == 507:
            raise StorageFull(
                _("The store is full. The file was not kept; please make room and try again.")
            ) from error
        raise StorageError(_("The picture store refused: %(why)s") % {"why": _code(error)}) from error
    except (BotoCoreError, HTTPClientError, OSError) as error:
        raise StorageError(_("The picture store does not answer. Please try again in a moment.")) from error
