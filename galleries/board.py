"""What the desk shows of the promises: late, at risk, due today, waiting for the client; and how well they are kept."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Min, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from galleries import deadlines, risk
from galleries.models import Breach, Gallery, Job, Pause, PauseReason, Photo, Pick, Retouch
from galleries.statuses import GalleryStatus, JobStatus, RetouchStatus
from studio.models import Role, User

CHOOSING = (GalleryStatus.OPEN, GalleryStatus.PROOFING)
WAITS: dict[str, Promise] = {  # what the client sees in the second person
    PauseReason.CHOOSING: gettext_lazy("Is choosing the pictures."),
    PauseReason.APPROVING: gettext_lazy("Is looking at the retouched pictures."),
    PauseReason.BALANCE: gettext_lazy("Has the balance still to pay."),
}
BADGE_FROM = 20  # deliveries, before the rate is shown to the public


@dataclass(frozen=True, slots=True)
class Line:
    """One gallery on the board: why it stands there, and what to do next."""

    gallery: Gallery
    due_at: datetime | None
    reason: str
    action: str
    finish_at: datetime | None = None  # when it is expected to be finished
    is_at_risk: bool = False


@dataclass(slots=True)
class Board:
    """The lines of the lists, most urgent first."""

    late: list[Line] = field(default_factory=list)
    at_risk: list[Line] = field(default_factory=list)
    today: list[Line] = field(default_factory=list)
    later: list[Line] = field(default_factory=list)
    waiting: list[Line] = field(default_factory=list)
    more: int = 0  # running promises that are not shown

    @property
    def is_empty(self) -> bool:
        return not (self.late or self.at_risk or self.today or self.later or self.waiting)


@dataclass(frozen=True, slots=True)
class Counts:
    """What the shown galleries hold, by gallery id."""

    photos: dict[int, int]
    picks: dict[int, int]
    open_retouches: dict[int, int]
    failed: dict[int, int]


def _running() -> "QuerySet[Gallery]":
    return Gallery.objects.filter(clock_started_at__isnull=False, status__in=deadlines.RUNNING)


def board(*, now: datetime, limit: int = 100) -> Board:
    """The whole board with a fixed number of queries: every running promise is forecast, `limit` a list are shown."""
    queue, still_open = _queue()
    finish = risk.expected(queue, retouchers=_retouchers(), now=now)
    at_risk = {
        row.pk
        for row in queue
        if row.open_picks and _is_later(finish[row.pk], row.deliver_by) and row.deliver_by > now
    }
    in_order = sorted(queue, key=lambda row: (row.deliver_by, row.pk))
    first = [row.pk for row in in_order[:limit]]
    wanted = dict.fromkeys([*first, *[row.pk for row in in_order if row.pk in at_risk][:limit]])
    paused = list(
        _running()
        .filter(deliver_by=None)
        .order_by("clock_started_at", "id")
        .values_list("pk", flat=True)[:limit]
    )
    rows = _rows([*wanted, *paused])
    counts = _counts([*wanted], still_open)
    found = Board(more=len(queue) - len(wanted))
    for pk in sorted(wanted, key=lambda each: (rows[each].deliver_by, each)):
        _place(found, rows[pk], counts, finish[pk], is_at_risk=pk in at_risk, now=now)
    pauses = _open_pauses(paused)
    for pk in paused:
        pause = pauses.get(pk)
        reason = str(WAITS.get(pause.reason, "")) if pause else _("Nothing is promised yet.")
        found.waiting.append(Line(rows[pk], None, reason, _("Write or call if it takes long")))
    return found


def _is_later(finish: datetime | None, deliver_by: datetime) -> bool:
    return finish is None or finish > deliver_by


def _queue() -> tuple[list[risk.Queued], dict[int, int]]:
    """Every running promise with what is left to do for it, and the open retouches by gallery. Two queries."""
    still_open = _grouped(
        Retouch.objects.filter(gallery__status__in=deadlines.RUNNING).exclude(status=RetouchStatus.APPROVED)
    )
    rows = _running().filter(deliver_by__isnull=False)
    fields = ("pk", "deliver_by", "assigned_to", "status", "finals_included", "shoot__booking__location")
    queue = [
        risk.Queued(
            pk, deliver_by, person, included if status in CHOOSING else still_open.get(pk, 0), location
        )
        for pk, deliver_by, person, status, included, location in rows.values_list(*fields)
        if deliver_by is not None
    ]
    return queue, still_open


def _retouchers() -> list[int]:
    """Who works off what is assigned to nobody."""
    rows = User.objects.filter(is_active=True, staff_roles__role__in=[Role.RETOUCHER, Role.PHOTOGRAPHER])
    return list(rows.distinct().order_by("pk").values_list("pk", flat=True))


def _rows(pks: Iterable[int]) -> dict[int, Gallery]:
    shown = ("public_id", "deliver_by", "status", "assigned_to_id", "shoot__code", "shoot__sitter__name")
    rows = Gallery.objects.filter(pk__in=list(pks)).select_related(
        "shoot__sitter", "shoot__booking__location"
    )
    rows = rows.only(*shown, "shoot__booking__location__zone")
    return {row.pk: row for row in rows}


def _grouped(rows: "QuerySet[Photo] | QuerySet[Pick] | QuerySet[Retouch] | QuerySet[Job]") -> dict[int, int]:
    return dict(rows.order_by().values_list("gallery").annotate(n=Count("pk")))


def _counts(pks: list[int], still_open: dict[int, int]) -> Counts:
    return Counts(
        photos=_grouped(Photo.objects.filter(gallery__in=pks)),
        picks=_grouped(Pick.objects.filter(gallery__in=pks)),
        open_retouches=still_open,
        failed=_grouped(Job.objects.filter(gallery__in=pks, status=JobStatus.FAILED)),
    )


def _open_pauses(pks: Iterable[int]) -> dict[int, Pause]:
    return {pause.gallery_id: pause for pause in Pause.objects.filter(gallery__in=list(pks), ended_at=None)}


def _place(
    found: Board,
    gallery: Gallery,
    counts: Counts,
    finish: datetime | None,
    *,
    is_at_risk: bool,
    now: datetime,
) -> None:
    zone = ZoneInfo(gallery.shoot.booking.location.zone)
    assert gallery.deliver_by is not None
    local = gallery.deliver_by.astimezone(zone)
    reason, action = _next(gallery, counts)
    finish_at = finish.astimezone(zone) if finish else None
    line = Line(gallery, local, reason, action, finish_at, is_at_risk)
    if gallery.deliver_by <= now:
        found.late.append(line)
    elif is_at_risk:
        found.at_risk.append(line)
    elif local.date() == now.astimezone(zone).date():
        found.today.append(line)
    else:
        found.later.append(line)


def _next(gallery: Gallery, counts: Counts) -> tuple[str, str]:
    """Where a gallery stands and the next thing to do for it, in the order of the work."""
    pk = gallery.pk
    if failed := counts.failed.get(pk, 0):
        words = ngettext("%(n)d piece of work failed.", "%(n)d pieces of work failed.", failed)
        return words % {"n": failed}, _("See what failed")
    if not counts.photos.get(pk):
        return _("No pictures yet."), _("Upload the files")
    if gallery.status == GalleryStatus.READY:
        return _("Everything is approved."), _("Deliver")
    if not counts.picks.get(pk) or gallery.status in CHOOSING:
        return _("Nothing is chosen yet."), _("Choose together or publish proofs")
    unfinished = counts.open_retouches.get(pk, 0)
    words = ngettext("%(n)d picture to approve.", "%(n)d pictures to approve.", unfinished)
    return words % {"n": unfinished}, _("Retouch")


# --- how well the promises are kept


@dataclass(frozen=True, slots=True)
class Record:
    """How the promise was kept: first deliveries, of them on time, and the time from shoot to pictures."""

    delivered: int
    on_time: int
    median: timedelta | None
    nine_in_ten: timedelta | None = None  # the 90th percentile

    @property
    def percent(self) -> int | None:
        """Whole per cent, rounded down: 99.6 % is not 100 %."""
        return self.on_time * 100 // self.delivered if self.delivered else None

    @property
    def median_days(self) -> float | None:
        """The median in days with one decimal, as the public badge says it."""
        return round(self.median / timedelta(days=1), 1) if self.median is not None else None


def record(*, since: datetime, now: datetime) -> Record:
    """The on-time rate of all first deliveries since then; what is late and not delivered counts as late."""
    done = Gallery.objects.filter(was_on_time__isnull=False, shoot__completed_at__gte=since)
    late_open = Gallery.objects.filter(
        was_on_time=None, status__in=deadlines.RUNNING, deliver_by__lt=now, shoot__completed_at__gte=since
    ).count()
    whole = Min("deliveries__delivered_at", filter=Q(deliveries__is_partial=False))
    spans = sorted(
        span
        for span in done.annotate(span=whole - F("shoot__completed_at")).values_list("span", flat=True)
        if span is not None
    )
    return Record(
        delivered=done.count() + late_open,
        on_time=done.filter(was_on_time=True).count(),
        median=spans[(len(spans) - 1) // 2] if spans else None,
        nine_in_ten=spans[ceil(len(spans) * 0.9) - 1] if spans else None,
    )


def causes(*, since: datetime) -> list[tuple[str, int]]:
    """Missed promises by their cause, the most frequent first; without one: said so."""
    rows = Breach.objects.filter(recorded_at__gte=since).values_list("cause").annotate(n=Count("pk"))
    return sorted(((cause or _("not said yet"), n) for cause, n in rows), key=lambda row: (-row[1], row[0]))
