"""What a place for unfinished uploads must do, and everything that can go wrong with a piece of one."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, cast

from django.utils.translation import gettext as _

from galleries.models import Upload
from studio import storage

ALGORITHMS = ("sha1", "sha256")


class ReceivingError(Exception):
    """A piece was not taken. The message is a sentence for the sender; nothing of the piece counts."""


class WrongOffset(ReceivingError):
    """The piece does not begin where the kept bytes end."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        super().__init__(_("The file goes on at byte %(offset)s.") % {"offset": offset})


class Overrun(ReceivingError):
    """More bytes than were announced."""


class WrongChecksum(ReceivingError):
    """The piece was changed on its way."""


class Busy(ReceivingError):
    """Somebody else is sending this upload just now."""


class Gone(ReceivingError):
    """The upload was refused, given up or ended."""


class TooLarge(ReceivingError):
    """Larger than this studio takes."""


class Interrupted(Exception):
    """The sender stopped in the middle of a piece. What came before may be kept."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a piece must hash to: an algorithm of ALGORITHMS and the raw digest."""

    algorithm: str
    digest: bytes

    def fits(self, seen: "hashlib._Hash") -> bool:
        return seen.digest() == self.digest

    def fresh(self) -> "hashlib._Hash":
        return hashlib.new(self.algorithm, usedforsecurity=False)


class Hold(Protocol):
    """One upload's bytes while nobody else can touch them."""

    offset: int
    backend: dict[str, object]

    def append(self, chunks: Iterable[bytes], *, room: int, checksum: Checksum | None) -> None:
        """Keep the chunks for good, all of the piece or (cut off, without a checksum) what came of it.

        Moves `offset`. Raises Overrun, WrongChecksum, Interrupted, StorageFull or StorageError.
        """

    def finish(self) -> None:
        """Give the whole file its key. Doing it twice is fine. Raises StorageError."""

    def discard(self) -> None:
        """Forget all bytes, finished or not."""


class Shelf(Protocol):
    """A place for unfinished uploads, beside the finished originals."""

    def hold(self, upload: Upload) -> AbstractContextManager[Hold]:
        """Take the upload for ourselves. Raises Busy. Refreshes the row once it is ours."""


def measured(chunks: Iterable[bytes], *, room: int) -> Iterator[bytes]:
    """The chunks, as long as they fit. Raises Overrun at the first byte too many."""
    for chunk in chunks:
        room -= len(chunk)
        if room < 0:
            raise Overrun(_("More was sent than the file was said to have."))
        yield chunk


def wrong_checksum() -> WrongChecksum:
    return WrongChecksum(_("This piece of the file was damaged on its way. It will be sent again."))


def shelf() -> Shelf:
    """The shelf that belongs to the store of the originals."""
    from studio.disk_store import DiskStore
    from studio.s3_store import S3Store

    store = storage.originals()
    if isinstance(store, DiskStore):
        from galleries.receiving.disk import DiskShelf

        return DiskShelf(store)
    from galleries.receiving.s3 import S3Shelf

    return S3Shelf(cast(S3Store, store))
