"""A folder that a camera or an editor writes into: each file, once closed, goes to the shoot it belongs to.

A file stays where it is until its fate is known, then moves to `done/` or, with a text that says why, to `refused/`.
Nothing else is remembered, so a restart is harmless: what was received before is recognised by its bytes.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.db.models import Q
from django.utils.translation import gettext as _

from bookings.models import Resource, ResourceKind, Shoot
from bookings.statuses import ShootStatus
from galleries import cards, receiving
from galleries.models import Card, Gallery, Retouch, Upload
from galleries.retouching import matching
from galleries.statuses import CLOSED, GalleryStatus, UploadStatus
from studio import storage
from studio.actors import Actor, ActorKind
from studio.models import Location

log = logging.getLogger(__name__)

DONE, REFUSED = "done", "refused"
UNTOUCHED_SECONDS = 1.0  # where the system cannot say whether a file is closed
AT_ONCE = 20  # files received and not yet checked
TRY_AGAIN_SECONDS = 5.0
SAME_DAY = timedelta(hours=16)
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".download", ".lock")
BY = Actor(ActorKind.WORKER, label="a folder")

Where = Callable[[], Gallery | Card | None]
WhereOf = Callable[[Path], Gallery | None]
Say = Callable[[str], None]


class NoSuchPlace(Exception):
    """There is no such room or booking, or more than one. The message says so."""


def gallery_of(name: str) -> Gallery:
    """The gallery of a booking's public id or a shoot's code. Raises NoSuchPlace."""
    rows = Gallery.objects.select_related("shoot__booking__location").exclude(status__in=CLOSED)
    found = rows.filter(Q(shoot__code__iexact=name) | Q(shoot__booking__public_id=name) | Q(public_id=name))
    if found.count() != 1:
        raise NoSuchPlace(
            _("No booking is called %(name)s.") % {"name": name}
            if not found
            else _("%(name)s has several shoots: give the code of one.") % {"name": name}
        )
    return found.get()


def room_called(name: str) -> Resource:
    """A camera room by public id or name. Raises NoSuchPlace."""
    rooms = Resource.objects.filter(kind=ResourceKind.ROOM, is_active=True)
    found = rooms.filter(Q(public_id=name) | Q(name__iexact=name)).select_related("location")
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{room.public_id} ({room.location})" for room in found)
        raise NoSuchPlace(_("Several rooms are called %(name)s: %(names)s") % {"name": name, "names": names})
    known = ", ".join(sorted(room.name for room in rooms))
    raise NoSuchPlace(_("No room is called %(name)s. There are: %(known)s") % {"name": name, "known": known})


def gallery_in(room: Resource) -> Gallery | None:
    """The gallery of whoever is checked in at this room, the last one if there are two. None: nobody is."""
    here = Shoot.objects.filter(
        status=ShootStatus.CHECKED_IN,
        booking__claims__resource=room,
        booking__claims__is_shoot=True,
        booking__claims__is_active=True,
    )
    rows = Gallery.objects.select_related("shoot__booking__location").filter(shoot__in=here)
    return rows.order_by("-shoot__checked_in_at").first()


def session_of(folder: Path, path: Path) -> Gallery | None:
    """The session a finished file in `folder` belongs to: its sub-folder is named like the code, or its name fits a
    chosen frame of exactly one session in work. None: a person has to say."""
    rows = Gallery.objects.select_related("shoot__booking__location")
    for part in path.relative_to(folder).parts[:-1]:
        if found := rows.exclude(status__in=CLOSED).filter(shoot__code__iexact=part).first():
            return found
    in_work = [GalleryStatus.RETOUCHING, GalleryStatus.APPROVING, GalleryStatus.READY]
    fitting: set[int] = set()
    for retouch in Retouch.objects.filter(gallery__status__in=in_work).prefetch_related("pick__photo__files"):
        stems = [matching.stem_of(file.name) for file in retouch.pick.photo.files.all()]
        if matching.named(path.name, {retouch.pk: stems}):
            fitting.add(retouch.gallery_id)
    return rows.get(pk=fitting.pop()) if len(fitting) == 1 else None


def place_called(name: str) -> Location:
    """A location by slug or name. Raises NoSuchPlace."""
    found = Location.objects.filter(Q(slug=name) | Q(name__iexact=name))
    if len(found) == 1:
        return found[0]
    known = ", ".join(Location.objects.order_by("name").values_list("name", flat=True))
    raise NoSuchPlace(_("No place is called %(name)s. There are: %(known)s") % {"name": name, "known": known})


def live_card(place: Location, folder: Path, *, now: datetime) -> Card:
    """The card of a watched folder: its frames are sorted by slate and time as they come. The same one after a
    restart on the same day, so that the last slate still counts."""
    today = Card.objects.filter(
        location=place, is_live=True, source="watch", name=str(folder)[:120], created_at__gte=now - SAME_DAY
    )
    found = today.order_by("-pk").first()
    return found or cards.open_card(
        location=place, name=str(folder), source="watch", is_live=True, by=BY, now=now
    )


def facts_of(where: Gallery | Card, *, source: str, now: datetime) -> receiving.Facts:
    """What goes with a file for a gallery, or for a card whose files are sorted later."""
    if isinstance(where, Card):
        return {"card": where, "source": source, "by": BY, "now": now}
    return {"gallery": where, "source": source, "by": BY, "now": now}


@dataclass(slots=True)
class Watcher:
    """Looks at one folder each time `step` is called; `seconds` are monotonic."""

    folder: Path
    where: Where
    say: Say
    seen: dict[Path, tuple[tuple[int, int], float]] = field(default_factory=dict)
    sent: dict[Path, int] = field(default_factory=dict)
    rest_until: float = 0.0
    is_told: bool = False
    purpose: str = receiving.FRAME
    where_of: WhereOf | None = None  # asked for each file instead of `where`
    homeless: set[Path] = field(default_factory=set)

    def step(self, *, seconds: float, now: datetime) -> None:
        """Receive what is closed, put away what is checked."""
        self._put_away()
        if seconds < self.rest_until:
            return
        ready = [path for path in self._files() if path not in self.sent and self._is_closed(path, seconds)]
        if not ready:
            return
        if self.where_of is not None:
            self._receive_each(ready, seconds, now=now)
            return
        where = self.where()
        if where is None:
            self._wait_for_somebody(len(ready))
            return
        self.is_told = False
        for path in sorted(ready, key=_age)[: AT_ONCE - len(self.sent)]:
            if not self._receive(path, where, now=now):
                self.rest_until = seconds + TRY_AGAIN_SECONDS
                return

    def _receive_each(self, ready: list[Path], seconds: float, *, now: datetime) -> None:
        """Finished files of several sessions: each goes to its own; one that fits none waits, and says so once."""
        assert self.where_of is not None
        for path in sorted(ready, key=_age)[: AT_ONCE - len(self.sent)]:
            gallery = self.where_of(path)
            if gallery is None:
                if path not in self.homeless:
                    self.homeless.add(path)
                    self.say(
                        _("%(name)s waits: put it into a folder named like its session's code.")
                        % {"name": path.name}
                    )
            elif not self._receive(path, gallery, now=now):
                self.rest_until = seconds + TRY_AGAIN_SECONDS
                return

    def _files(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self.folder):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".") and not (Path(folder) == self.folder and name in (DONE, REFUSED))
            ]
            for name in names:
                is_sidecar = name.lower().endswith(
                    ".xmp"
                )  # of a frame it is kept, of a finished file it says nothing
                if is_sidecar and self.purpose != receiving.FRAME:
                    continue
                if not name.startswith(".") and not name.lower().endswith(_UNFINISHED):
                    yield Path(folder, name)

    def _is_closed(self, path: Path, seconds: float) -> bool:
        """Unchanged since the last look, and nobody has it open; where that cannot be known, unchanged for a second."""
        try:
            found = path.stat()
        except OSError:
            self.seen.pop(path, None)
            return False
        mark = (found.st_size, found.st_mtime_ns)
        known = self.seen.get(path)
        if known is None or known[0] != mark:
            self.seen[path] = (mark, seconds)
            return False
        is_open = _is_open_elsewhere(path)
        return seconds - known[1] >= UNTOUCHED_SECONDS if is_open is None else not is_open

    def _wait_for_somebody(self, count: int) -> None:
        if not self.is_told:
            self.say(_("%(count)s files wait: nobody is checked in here.") % {"count": count})
        self.is_told = True

    def _receive(self, path: Path, where: Gallery | Card, *, now: datetime) -> bool:
        facts = facts_of(where, source="watch", now=now)
        facts["purpose"] = self.purpose
        try:
            upload = receiving.receive_file(path, **facts)
        except receiving.ReceivingError as error:
            self._refuse(path, str(error))
            return True
        except (storage.StorageError, OSError) as error:
            self.say(f"{path.name}: {error}")
            return False
        self.sent[path] = upload.pk
        return True

    def _put_away(self) -> None:
        if not self.sent:
            return
        going = [UploadStatus.RECEIVING, UploadStatus.CHECKING]
        rows = Upload.objects.filter(pk__in=self.sent.values()).exclude(status__in=going).in_bulk()
        for path, pk in list(self.sent.items()):
            if pk not in rows:
                continue
            del self.sent[path]
            upload = rows[pk]
            if upload.status == UploadStatus.REFUSED:
                self._refuse(path, upload.refusal)
            elif upload.status != UploadStatus.ABANDONED:  # kept: a picture, a slate, or waiting in the tray
                self._move(path, DONE)
                self.say(f"{path.name}: {upload.refusal or upload.doubt or _('accepted')}")

    def _refuse(self, path: Path, reason: str) -> None:
        moved = self._move(path, REFUSED)
        if moved is not None:
            moved.with_name(moved.name + ".txt").write_text(reason + "\n", encoding="utf-8")
        self.say(f"{path.name}: {reason}")

    def _move(self, path: Path, name: str) -> Path | None:
        folder = self.folder / name / path.parent.relative_to(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        target, number = folder / path.name, 2
        while target.exists():
            target, number = folder / f"{path.stem} ({number}){path.suffix}", number + 1
        self.seen.pop(path, None)
        try:
            path.rename(target)
        except FileNotFoundError:  # a person was quicker
            return None
        return target


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_open_elsewhere(path: Path) -> bool | None:
    """Whether any process has the file open: Linux gives a write lease only when nobody has. None: cannot tell."""
    lease = getattr(fcntl, "F_SETLEASE", None)
    if lease is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.fcntl(descriptor, lease, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, lease, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
