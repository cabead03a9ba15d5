"""What the desk shows of the promises: due today, at risk, late, waiting for the client; and how well they are kept."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from galleries import deadlines
from galleries.models import Gallery, Pause
from galleries.statuses import GalleryStatus, JobStatus, RetouchStatus

AT_RISK = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Line:
    """One gallery on the board: why it stands there, and what to do next."""

    gallery: Gallery
    due_at: datetime | None
    reason: str
    action: str
    picture_count: int = 0


@dataclass(slots=True)
class Board:
    """The lines of the four lists, most urgent first."""

    late: list[Line] = field(default_factory=list)
    today: list[Line] = field(default_factory=list)
    later: list[Line] = field(default_factory=list)
    waiting: list[Line] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.late or self.today or self.later or self.waiting)


def _running() -> "QuerySet[Gallery]":
    return (
        Gallery.objects.filter(clock_started_at__isnull=False, status__in=deadlines.RUNNING)
        .select_related(
            "shoot__sitter", "shoot__booking__location", "shoot__booking__session_type", "assigned_to"
        )
        .annotate(
            photo_count=Count("photos", distinct=True),
            pick_count=Count("picks", distinct=True),
            open_count=Count("retouches", filter=~Q(retouches__status=RetouchStatus.APPROVED), distinct=True),
            failed_count=Count("jobs", filter=Q(jobs__status=JobStatus.FAILED), distinct=True),
        )
    )


def board(*, now: datetime, limit: int = 100) -> Board:
    """The whole board with a fixed number of queries."""
    found = Board()
    due = list(_running().filter(deliver_by__isnull=False).order_by("deliver_by", "id")[:limit])
    for gallery in due:
        zone = ZoneInfo(gallery.shoot.booking.location.zone)
        assert gallery.deliver_by is not None
        local = gallery.deliver_by.astimezone(zone)
        line = _line(gallery, local)
        if gallery.deliver_by <= now:
            found.late.append(line)
        elif local.date() == now.astimezone(zone).date():
            found.today.append(line)
        else:
            found.later.append(line)
    paused = list(_running().filter(deliver_by=None).order_by("clock_started_at", "id")[:limit])
    pauses = _open_pauses(paused)
    for gallery in paused:
        pause = pauses.get(gallery.pk)
        reason = pause.get_reason_display() if pause else _("Nothing is promised yet.")
        found.waiting.append(Line(gallery, None, _("Waiting for the client: %s") % reason, _("Remind"), 0))
    return found


def _open_pauses(galleries: Iterable[Gallery]) -> dict[int, Pause]:
    return {pause.gallery_id: pause for pause in Pause.objects.filter(gallery__in=galleries, ended_at=None)}


def _line(gallery: Gallery, due_at: datetime) -> Line:
    """The next thing to do for a gallery, in the order of the work."""
    failed = getattr(gallery, "failed_count", 0)
    photos, picks, unfinished = (
        getattr(gallery, name, 0) for name in ("photo_count", "pick_count", "open_count")
    )
    if failed:
        reason, action = (
            ngettext("%(n)d piece of work failed.", "%(n)d pieces of work failed.", failed) % {"n": failed},
            _("See what failed"),
        )
    elif not photos:
        reason, action = _("No pictures yet."), _("Upload the files")
    elif gallery.status == GalleryStatus.READY:
        reason, action = _("Everything is approved."), _("Deliver")
    elif not picks or gallery.status in (GalleryStatus.OPEN, GalleryStatus.PROOFING):
        reason, action = _("Nothing is chosen yet."), _("Choose together or publish proofs")
    else:
        reason, action = (
            ngettext("%(n)d picture to approve.", "%(n)d pictures to approve.", unfinished)
            % {"n": unfinished},
            _("Retouch"),
        )
    return Line(gallery, due_at, reason, action, picks)


@dataclass(frozen=True, slots=True)
class Record:
    """How the promise was kept: first deliveries, of them on time, and the median time from shoot to pictures."""

    delivered: int
    on_time: int
    median: timedelta | None

    @property
    def percent(self) -> int | None:
        """Whole per cent, rounded down: 99.6 % is not 100 %."""
        return self.on_time * 100 // self.delivered if self.delivered else None


def record(*, since: datetime) -> Record:
    """The on-time rate of all first deliveries since then; what is late and not delivered counts as late."""
    done = Gallery.objects.filter(was_on_time__isnull=False, shoot__completed_at__gte=since)
    late_open = Gallery.objects.filter(
        was_on_time=None, status__in=deadlines.RUNNING, deliver_by__lt=Now(), shoot__completed_at__gte=since
    ).count()
    spans = sorted(
        done.annotate(span=F("deliveries__delivered_at") - F("shoot__completed_at"))
        .filter(deliveries__number=1)
        .values_list("span", flat=True)
    )
    return Record(
        delivered=done.count() + late_open,
        on_time=done.filter(was_on_time=True).count(),
        median=spans[len(spans) // 2] if spans else None,
    )
