"""Pictures in a folder: every file written once, synced, and only then known by its name."""

import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.core.files.storage import FileSystemStorage
from django.utils.deconstruct import deconstructible
from django.utils.translation import gettext as _

from studio.storage import CHUNK, KeyTaken, Listed, NoSuchObject, StorageError, disk_error

INCOMING = ".incoming"  # half-written files live here, never under a key


@deconstructible(path="studio.disk_store.DiskStore")
class DiskStore(FileSystemStorage):
    """A private folder. Files are 0600, folders 0700, and there is no URL to any of them."""

    def __init__(self, location: str | Path | None = None) -> None:
        super().__init__(
            location=location, base_url=None, file_permissions_mode=0o600, directory_permissions_mode=0o700
        )

    def url(self, name: str | None) -> str:
        """There is none: pictures go out through a view that checks the signature."""
        raise ValueError("This store is private; use studio.storage.signed_path.")

    def put_new(self, key: str, source: IO[bytes]) -> None:
        """Write the whole file aside, sync it, then give it its name: readers see all of it or nothing."""
        part = self.incoming(secrets.token_hex(16))
        try:
            _write(part, source)
            self.adopt(part, key)
        except OSError as error:
            raise disk_error(error) from error
        finally:
            part.unlink(missing_ok=True)

    def incoming(self, name: str) -> Path:
        """Where bytes lie that have no key yet, on the same disk; `remove_leftovers` clears it."""
        part = Path(self.path(INCOMING)) / name
        try:
            _make_folder(part.parent)
        except OSError as error:
            raise disk_error(error) from error
        return part

    def adopt(self, part: Path, key: str) -> None:
        """Give a finished, synced file of `incoming` its key. Raises KeyTaken or StorageError; then it stays."""
        target = Path(self.path(key))
        is_claimed = False
        try:
            _make_folder(target.parent)
            _claim(target)
            is_claimed = True
            part.replace(target)
            is_claimed = False
            _sync_or_undo(target, part)
        except FileExistsError as error:
            raise KeyTaken(_("There is already a file of that name in the store.")) from error
        except OSError as error:
            raise disk_error(error) from error
        finally:
            if is_claimed:
                target.unlink(missing_ok=True)

    def read_range(self, key: str, start: int, stop: int | None) -> Iterator[bytes]:
        """The bytes `[start, stop)`, or to the end."""
        with self._opened(key) as file:
            left = os.fstat(file.fileno()).st_size - start if stop is None else stop - start
            file.seek(start)
            while left > 0:
                try:
                    chunk = file.read(min(CHUNK, left))
                except OSError as error:
                    raise disk_error(error) from error
                if not chunk:
                    raise StorageError(_("The stored file is shorter than it should be."))
                left -= len(chunk)
                yield chunk

    def _opened(self, key: str) -> IO[bytes]:
        try:
            return Path(self.path(key)).open("rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NoSuchObject(_("The file is not in the store.")) from error
        except OSError as error:
            raise disk_error(error) from error

    def size_of(self, key: str) -> int:
        """Size in bytes."""
        try:
            found = os.stat(self.path(key))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoSuchObject(_("The file is not in the store.")) from error
        except OSError as error:
            raise disk_error(error) from error
        if not os.path.isfile(self.path(key)):
            raise NoSuchObject(_("The file is not in the store."))
        return found.st_size

    def remove(self, key: str) -> None:
        """Unlink it and sync the folder, so that an erased picture does not come back after a power cut."""
        path = Path(self.path(key))
        try:
            path.unlink()
            _sync_folder(path.parent)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise disk_error(error) from error

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Every file under its key; half-written ones have none."""
        root = Path(self.location)
        start = root / prefix.rpartition("/")[0]  # a prefix that names a folder costs that folder only
        for folder, folders, names in os.walk(start):
            if Path(folder) == root and INCOMING in folders:
                folders.remove(INCOMING)
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(root).as_posix()
                if key.startswith(prefix):
                    found = path.stat()
                    yield Listed(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def local_path(self, key: str) -> Path | None:
        """The file itself."""
        return Path(self.path(key))

    def presigned(self, key: str, **wish: Any) -> str | None:
        """A folder has no URL of its own."""
        return None

    def remove_leftovers(self, *, before: datetime) -> int:
        """Remove half-written files nobody has touched since that instant."""
        incoming = Path(self.path(INCOMING))
        stale = [part for part in incoming.glob("*") if part.stat().st_mtime < before.timestamp()]
        for part in stale:
            part.unlink(missing_ok=True)
        return len(stale)


def _write(part: Path, source: IO[bytes]) -> None:
    """Write and sync; then drop the pages from memory, so that reading back reads what the disk holds."""
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "wb", buffering=0) as file:
        while chunk := source.read(CHUNK):
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
        os.fsync(fd)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _claim(target: Path) -> None:
    """Take the name exclusively (FileExistsError when it is taken); the finished file replaces the empty one.

    Not a hard link, which exFAT and some network disks lack.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _sync_or_undo(target: Path, part: Path) -> None:
    """Sync the new name into its folder; when that fails the file goes back to where it came from."""
    try:
        _sync_folder(target.parent)
    except BaseException:
        target.replace(part)
        raise


def _make_folder(folder: Path) -> None:
    """Make the folder and its missing parents, each synced into its own parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise OSError(20, _("a file is in the way of a folder")) from None
        return
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
