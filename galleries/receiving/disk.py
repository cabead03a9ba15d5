"""Unfinished uploads in a folder: one file each, its length is the offset, `flock` says who writes."""

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.utils.translation import gettext as _

from galleries.models import Upload
from galleries.receiving.shelves import Busy, Checksum, Interrupted, measured, wrong_checksum
from galleries.statuses import UploadStatus
from studio.disk_store import DiskStore
from studio.storage import NoSuchObject, disk_error


class DiskShelf:
    """Beside the originals, on the same disk, so that finishing is a rename."""

    def __init__(self, store: DiskStore) -> None:
        self.store = store

    @contextmanager
    def hold(self, upload: Upload) -> Iterator["DiskHold"]:
        """Open and lock the file. Bytes beyond the last acknowledged offset are cut: nobody was told of them, and
        after a power cut they may not be what was sent."""
        part = self.store.incoming(f"u{upload.public_id}")
        try:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise disk_error(error) from error
        try:
            _lock(descriptor, part)
            upload.refresh_from_db()
            held = DiskHold(self.store, upload, part, descriptor)
            yield held
        finally:
            with suppress(FileNotFoundError):
                if os.fstat(descriptor).st_size == 0 and upload.status != UploadStatus.RECEIVING:
                    part.unlink()
            os.close(descriptor)  # the lock falls with it


def _lock(descriptor: int, part: Path) -> None:
    busy = Busy(_("This file is being sent from somewhere else just now."))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise busy from error
    try:
        is_ours = os.path.samestat(os.fstat(descriptor), part.stat())
    except FileNotFoundError:
        is_ours = False
    if not is_ours:  # it was finished between our opening and our locking: what we hold is an original now
        raise busy


class DiskHold:
    """One upload's file, locked."""

    def __init__(self, store: DiskStore, upload: Upload, part: Path, descriptor: int) -> None:
        self.store, self.upload, self.part, self.descriptor = store, upload, part, descriptor
        self.backend = dict(upload.backend)
        length = os.fstat(descriptor).st_size
        if length == 0 and self._is_finished():
            self.offset = upload.size
        else:
            self.offset = min(length, upload.offset)
            if length > self.offset and upload.status == UploadStatus.RECEIVING:
                self._cut_back(self.offset)

    def _is_finished(self) -> bool:
        try:
            return self.store.size_of(self.upload.key) == self.upload.size > 0
        except NoSuchObject:
            return False

    def append(self, chunks: Iterable[bytes], *, room: int, checksum: Checksum | None) -> None:
        """Write at the end, sync, and only then move the offset."""
        start = self.offset
        seen = checksum.fresh() if checksum else None
        try:
            os.lseek(self.descriptor, start, os.SEEK_SET)
            try:
                for chunk in measured(chunks, room=room):
                    if seen is not None:
                        seen.update(chunk)
                    _write_all(self.descriptor, chunk)
            except Interrupted:
                if seen is None:
                    self._settle()
                raise
            if checksum is not None and seen is not None and not checksum.fits(seen):
                raise wrong_checksum()
            self._settle()
        except OSError as error:
            raise disk_error(error) from error
        finally:
            if self.offset == start:
                self._cut_back(start)

    def _settle(self) -> None:
        os.fsync(self.descriptor)
        self.offset = os.lseek(self.descriptor, 0, os.SEEK_CUR)

    def _cut_back(self, length: int) -> None:
        with suppress(OSError):  # the row's offset holds, even where the disk does not answer
            os.ftruncate(self.descriptor, length)

    def finish(self) -> None:
        """Rename to the key. A name that is taken by an empty file is our own attempt, cut off by a crash."""
        if self._is_finished():
            return
        with suppress(NoSuchObject):
            if self.store.size_of(self.upload.key) == 0:
                self.store.remove(self.upload.key)
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise disk_error(error) from error
        self.store.adopt(self.part, self.upload.key)

    def discard(self) -> None:
        """Remove the file, wherever it is by now."""
        self.store.remove(self.upload.key)
        self.part.unlink(missing_ok=True)


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        written = os.write(descriptor, view)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]
