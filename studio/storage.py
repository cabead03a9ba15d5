"""Private stores for pictures: which ones, how bytes get in for good, and who may fetch them by a signed
name.

`originals()` holds what the camera wrote, `derived()` what can be made again. Both are chosen by STORAGE_URL:
a folder (`file:///srv/likeness/media`) or any S3-compatible server
(`s3://key:secret@host:port/bucket?region=…&tls=0`).

An object is written once, under a key nobody can guess, and never rewritten. `put` returns only when the
bytes are kept (synced to disk, or confirmed by the S3 server) and were read back. Nothing here has a public
URL: pictures go out through a view that checks `unsign` and revocation, or by a presigned S3 URL that lives
at most a minute.
"""

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit
from zlib import crc32

from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, Signer
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from django.core.files.base import File

CHUNK = 256 * 1024  # bytes held at a time while streaming
PRESIGNED_SECONDS = 60  # a presigned URL cannot be revoked, so it may not live longer
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*")
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,10})?")
_SIGNER_SALT = "studio.storage.signed"


class StorageError(Exception):
    """The store did not do what was asked; the message is a sentence for people."""


class StorageFull(StorageError):
    """There is no room left. Nothing of the file was kept."""


class KeyTaken(StorageError):
    """An object of that key exists: objects are never overwritten."""


class NoSuchObject(StorageError):
    """There is no object of that key."""


class BadLink(Exception):
    """A signed name that is wrong, expired or for something else; the three look alike on purpose."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was read back from the store: size in bytes, SHA-256 in hex, CRC-32 as ZIP wants it."""

    size: int
    sha256: str
    crc32: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One object found in a store."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signed name stands for. `scope` names the credential or person it was made for, to check
    revocation.
    """

    kind: str
    public_id: str
    scope: str
    expires_at: datetime


class Store(Protocol):
    """What both kinds of store do; `studio.disk_store` and `studio.s3_store` are the two."""

    def put_new(self, key: str, source: IO[bytes]) -> None: ...
    def read_range(self, key: str, start: int, stop: int | None) -> Iterator[bytes]: ...
    def size_of(self, key: str) -> int: ...
    def remove(self, key: str) -> None: ...
    def listed(self, prefix: str) -> Iterator[Listed]: ...
    def local_path(self, key: str) -> Path | None: ...
    def presigned(self, key: str, *, seconds: int, name: str, content_type: str) -> str | None: ...
    def remove_leftovers(self, *, before: datetime) -> int: ...


# --- which stores


def originals() -> Store:
    """The store of what the camera wrote: never rewritten, deleted only by retention or erasure."""
    return _store("originals")


def derived() -> Store:
    """The store of renditions and finals: every object in it can be made again."""
    return _store("derived")


def archive() -> Store | None:
    """The second store to which originals move after a while; None where ARCHIVE_URL is not set."""
    from django.conf import settings

    return _store("archive") if "archive" in settings.STORAGES else None


def archive_name() -> str:
    """What a row says of where an original is: the archive's address without its secrets."""
    from django.conf import settings

    parts = urlsplit(settings.ARCHIVE_URL)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"[:200]


def archive_from_url(url: str) -> dict[str, dict[str, Any]]:
    """The STORAGES entry "archive" for an ARCHIVE_URL, of the same kinds as STORAGE_URL; none when it is empty."""
    if not url:
        return {}
    entry = storages_from_url(url, "")["originals"]
    return {"archive": {**entry, "OPTIONS": {**entry["OPTIONS"], **_archive_place(entry["OPTIONS"])}}}


def _archive_place(options: dict[str, Any]) -> dict[str, str]:
    return {"location": str(options["location"]).removesuffix("originals") + "archive"}


def _store(alias: str) -> Store:
    from django.core.files.storage import storages

    return cast(Store, storages[alias])


def storages_from_url(url: str, media_root: str | Path) -> dict[str, dict[str, Any]]:
    """Django's STORAGES entries "default", "originals" and "derived" for a STORAGE_URL.

    An empty URL means the folder `media_root`. Raises ImproperlyConfigured with a sentence for anything else.
    """
    parts = urlsplit(url or f"file://{Path(media_root).absolute()}")
    if parts.scheme == "file":
        return _folder_storages(parts.netloc, unquote(parts.path))
    if parts.scheme == "s3":
        return _s3_storages(url)
    raise ImproperlyConfigured("STORAGE_URL must begin with file:/// or s3://.")


def _folder_storages(host: str, path: str) -> dict[str, dict[str, Any]]:
    if host or not path.startswith("/") or path == "/":
        raise ImproperlyConfigured(
            "STORAGE_URL for a folder has three slashes and a path: file:///srv/media."
        )
    return {
        alias: {
            "BACKEND": "studio.disk_store.DiskStore",
            "OPTIONS": {"location": f"{path.rstrip('/')}/{alias}"},
        }
        for alias in ("default", "originals", "derived")
    }


def _s3_storages(url: str) -> dict[str, dict[str, Any]]:
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = set(query) - {"region", "tls"}
    bucket, _slash, prefix = unquote(parts.path).strip("/").partition("/")
    if unknown or not parts.hostname or not bucket:
        raise ImproperlyConfigured(
            "STORAGE_URL for S3 reads s3://key:secret@host:port/bucket?region=… (and tls=0 without TLS)."
        )
    scheme = "http" if query.get("tls") == "0" else "https"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    options = {
        "access_key": unquote(parts.username) if parts.username else None,
        "secret_key": unquote(parts.password) if parts.password else None,
        "bucket_name": bucket,
        "endpoint_url": f"{scheme}://{host}" + (f":{parts.port}" if parts.port else ""),
        "region_name": query.get("region", "us-east-1"),
    }
    return {
        alias: {
            "BACKEND": "studio.s3_store.S3Store",
            "OPTIONS": {**options, "location": f"{prefix}/{alias}" if prefix else alias},
        }
        for alias in ("default", "originals", "derived")
    }


# --- bytes in, bytes out


def random_key(prefix: str, suffix: str = "") -> str:
    """A fresh key nobody can guess (128 random bits) under a prefix: `shoot/…/9f…c1.jpg`."""
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"{suffix!r} is not a file suffix such as .jpg")
    return checked(f"{prefix.strip('/')}/{secrets.token_hex(16)}{suffix}")


def checked(key: str) -> str:
    """The key itself, or ValueError: ASCII letters, digits, `_.-` and slashes, no part that begins with a
    dot.
    """
    if not _KEY.fullmatch(key) or len(key) > 500:
        raise ValueError(f"{key!r} is not a storage key.")
    return key


def put(store: Store, key: str, source: "Path | str | IO[bytes] | File[bytes]") -> Stored:
    """Keep a file (a path, or an open binary file from where it stands) under a new key, and say what was
    kept.

    Returns when the bytes are durable and were read back and equal what was sent. Raises KeyTaken,
    StorageFull or StorageError; then nothing of it remains.
    """
    checked(key)
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return put(store, key, file)
    counted = _Counted(source)
    store.put_new(key, cast("IO[bytes]", counted))
    try:
        stored = fingerprint(store, key)
        if (stored.size, stored.crc32) != (counted.size, counted.crc32):
            raise StorageError(_("The store did not keep the file as it was sent."))
    except StorageError:
        store.remove(key)
        raise
    return stored


class _Counted:
    """A file that counts what is read from it, so that what was stored can be compared with what was sent."""

    def __init__(self, file: "IO[bytes] | File[bytes]") -> None:
        self._file, self.size, self.crc32 = file, 0, 0

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:  # the sender's fault, not the store's
            raise StorageError(_("The file could not be read to its end.")) from error
        self.size += len(data)
        self.crc32 = crc32(data, self.crc32)
        return data


def fingerprint(store: Store, key: str) -> Stored:
    """Size, SHA-256 and CRC-32 of an object, read from the store. Raises NoSuchObject."""
    digest, crc, size = sha256(), 0, 0
    for chunk in store.read_range(checked(key), 0, None):
        digest.update(chunk)
        crc = crc32(chunk, crc)
        size += len(chunk)
    return Stored(size, digest.hexdigest(), crc)


def open_range(store: Store, key: str, start: int, stop: int) -> Iterator[bytes]:
    """The bytes `[start, stop)` of an object in chunks of at most 256 KiB; from disk by seeking, from S3 by
    Range.

    Opened at the first chunk, closed at the end or when the iterator is closed. Raises NoSuchObject; raises
    StorageError when the object is shorter than `stop`, so that a truncated file is never sent as a whole
    one.
    """
    return store.read_range(checked(key), start, stop)


def exists(store: Store, key: str) -> bool:
    """Whether there is an object of that key."""
    try:
        store.size_of(checked(key))
    except NoSuchObject:
        return False
    return True


def size(store: Store, key: str) -> int:
    """The object's size in bytes. Raises NoSuchObject."""
    return store.size_of(checked(key))


def delete(store: Store, key: str) -> None:
    """Remove an object now; one that is gone is fine. Inside a transaction use `delete_after_commit`."""
    store.remove(checked(key))


def delete_after_commit(store: Store, key: str) -> None:
    """Remove an object once the transaction that forgets it is committed; never when it rolls back.

    A failure is logged and leaves an object without a row, which `manage.py verify` names.
    """
    from django.db import transaction

    checked(key)
    transaction.on_commit(lambda: store.remove(key), robust=True)


def fetch_to(store: Store, key: str, folder: Path) -> Path:
    """A local file with the object's bytes: the stored file itself on disk (read only!), else a copy in
    `folder`.

    Raises NoSuchObject, StorageFull or StorageError; then no partial copy remains.
    """
    if (path := store.local_path(checked(key))) is not None:
        return path
    target = folder / key.rpartition("/")[2]
    try:
        with target.open("xb") as copy:
            for chunk in store.read_range(key, 0, None):
                copy.write(chunk)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise disk_error(error) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def listed(store: Store, prefix: str = "") -> Iterator[Listed]:
    """Every object of a store under a key prefix, for `verify` and clean-up."""
    return store.listed(prefix)


def remove_leftovers(store: Store, *, before: datetime) -> int:
    """Remove what interrupted writes left behind before that instant; returns how many."""
    return store.remove_leftovers(before=before)


def disk_error(error: OSError) -> StorageError:
    """The sentence for a failed disk operation: a full disk and a quota are their own kind."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(_("The disk is full. The file was not kept; please make room and try again."))
    return StorageError(_("The picture store cannot be used: %(why)s") % {"why": error.strerror or error})


def free_bytes(store: Store) -> int | None:
    """How much room a store on disk has left; None for S3, which does not say."""
    location = getattr(store, "location", None)
    if store.local_path("any") is None or location is None:
        return None
    folder = Path(location)
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


# --- who may fetch: signed names


def signed_path(
    kind: str,
    public_id: str,
    *,
    now: datetime,
    scope: str = "",
    lives: timedelta = timedelta(days=1),
) -> str:
    """A name for one picture that only we can make, to be put behind the media view's address.

    It ends at the first midnight (UTC) after `now + lives`: the same picture keeps the same name all day, so
    that a browser may cache it, and the view still checks `scope` for revocation on every request.
    """
    ends = (now.astimezone(UTC) + lives).date() + timedelta(days=1)
    expires = int(datetime(ends.year, ends.month, ends.day, tzinfo=UTC).timestamp())
    return Signer(salt=_SIGNER_SALT).sign_object([kind, public_id, scope, expires])


def unsign(signed: str, *, kind: str, now: datetime) -> Signed:
    """What a signed name stands for. Raises BadLink when it is forged, expired or made for another kind."""
    try:
        made_for, public_id, scope, expires = Signer(salt=_SIGNER_SALT).unsign_object(signed)
        expires_at = datetime.fromtimestamp(expires, UTC)
    except (BadSignature, ValueError, TypeError) as error:
        raise BadLink from error
    if made_for != kind or now >= expires_at:
        raise BadLink
    return Signed(made_for, public_id, scope, expires_at)


def presigned_url(
    store: Store,
    key: str,
    *,
    name: str,
    content_type: str = "application/octet-stream",
    seconds: int = PRESIGNED_SECONDS,
) -> str | None:
    """A URL at which the S3 server itself hands out one object as an attachment, for at most 60 seconds.

    None for a store on disk. Nobody can take it back, so it is not for galleries with a PIN.
    """
    if not 0 < seconds <= PRESIGNED_SECONDS:
        raise ValueError(f"A presigned URL lives between 1 and {PRESIGNED_SECONDS} seconds.")
    return store.presigned(checked(key), seconds=seconds, name=name, content_type=content_type)
