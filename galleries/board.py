"""What the desk shows of the promises: late, at risk, due today, waiting for the client; and how well they are kept."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from django.db.models import Case, Count, Exists, F, Min, OuterRef, Q, QuerySet, When
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from bookings.models import Booking, Shoot
from bookings.statuses import BookingStatus
from galleries import deadlines, risk
from galleries.models import Breach, Gallery, Job, Pause, PauseReason, Photo, Pick, Retouch
from galleries.statuses import GalleryStatus, JobStatus, RetouchStatus
from studio.models import Location, Role, User

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
    since: datetime | None = None  # when the clock began to stand still


@dataclass(slots=True)
class Board:
    """The lines of the lists, most urgent first."""

    late: list[Line] = field(default_factory=list)
    at_risk: list[Line] = field(default_factory=list)
    today: list[Line] = field(default_factory=list)
    later: list[Line] = field(default_factory=list)
    waiting: list[Line] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)  # how many belong in each list, shown or not

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


LISTS = ("late", "at_risk", "today", "later", "waiting")
SHOWN = 15  # lines of a list; the rest is counted, and one list can be asked for whole
WHOLE = 2000


def board(
    *, now: datetime, limit: int = SHOWN, whole: str = "", places: Collection[int] | None = None
) -> Board:
    """The whole board with a fixed number of queries: every running promise is forecast, `limit` a list are shown.

    `whole` names one list that is shown to its end; `places` the locations of which it speaks (all without).
    """
    work = queue()
    finish = risk.expected(work, retouchers=retouchers(), now=now)
    here = [row for row in work if places is None or row.location_id in places]
    sorted_in = _sorted_in(here, finish, now=now)
    waiting = _running().filter(deliver_by=None).order_by("clock_started_at", "id")
    if places is not None:
        waiting = waiting.filter(shoot__booking__location__in=places)
    sorted_in["waiting"] = list(waiting.values_list("pk", flat=True))
    shown = {name: pks[: WHOLE if name == whole else limit] for name, pks in sorted_in.items()}
    rows = _rows(pk for pks in shown.values() for pk in pks)
    counts = _counts([pk for name, pks in shown.items() if name != "waiting" for pk in pks])
    pauses = _open_pauses(shown["waiting"])
    found = Board(counts={name: len(pks) for name, pks in sorted_in.items()})
    for name in ("late", "at_risk", "today", "later"):
        lines = [_line(rows[pk], counts, finish[pk], is_at_risk=name == "at_risk") for pk in shown[name]]
        setattr(found, name, lines)
    found.waiting = [_waiting_line(rows[pk], pauses.get(pk)) for pk in shown["waiting"]]
    return found


def _sorted_in(
    work: list[risk.Queued], finish: dict[int, datetime | None], *, now: datetime
) -> dict[str, list[int]]:
    """Every running promise in the one list it belongs in, most urgent first."""
    tonight = {place.pk: _midnight(place, now) for place in Location.objects.all()}
    found: dict[str, list[int]] = {name: [] for name in LISTS}
    for row in work:
        done_at = finish[row.pk]
        if row.deliver_by <= now:
            name = "late"
        elif row.open_picks and (done_at is None or done_at > row.deliver_by):
            name = "at_risk"
        else:
            name = "today" if row.deliver_by < tonight[row.location_id] else "later"
        found[name].append(row.pk)
    return found


def _midnight(place: Location, now: datetime) -> datetime:
    """The end of the day at a location."""
    local = now.astimezone(ZoneInfo(place.zone))
    return datetime.combine(local.date() + timedelta(days=1), time(), local.tzinfo)


def queue() -> list[risk.Queued]:
    """Every running promise with what is left to do for it, most urgent first. One query."""
    unapproved = Count("retouches", filter=~Q(retouches__status=RetouchStatus.APPROVED))
    left = Case(When(status__in=CHOOSING, then=F("finals_included") + F("finals_extra")), default=unapproved)
    rows = _running().filter(deliver_by__isnull=False).annotate(left=left).order_by("deliver_by", "pk")
    fields = ("pk", "deliver_by", "assigned_to", "left", "shoot__booking__location")
    return [risk.Queued(*row) for row in rows.values_list(*fields)]


def retouchers() -> list[int]:
    """Who works off what is assigned to nobody. In a studio of one that is the owner."""
    rows = User.objects.filter(is_active=True, staff_roles__role__in=[Role.RETOUCHER, Role.PHOTOGRAPHER])
    found = list(rows.distinct().order_by("pk").values_list("pk", flat=True))
    return found or [owner.pk for owner in deadlines.owners()]


def _rows(pks: Iterable[int]) -> dict[int, Gallery]:
    shown = ("public_id", "deliver_by", "status", "assigned_to_id", "shoot__code", "shoot__sitter__name")
    rows = Gallery.objects.filter(pk__in=list(pks)).select_related(
        "shoot__sitter", "shoot__booking__location"
    )
    rows = rows.only(*shown, "shoot__booking__location__zone")
    return {row.pk: row for row in rows}


def _grouped(rows: "QuerySet[Photo] | QuerySet[Pick] | QuerySet[Retouch] | QuerySet[Job]") -> dict[int, int]:
    return dict(rows.order_by().values_list("gallery").annotate(n=Count("pk")))


def _counts(pks: list[int]) -> Counts:
    here = Q(gallery__in=pks)
    return Counts(
        photos=_grouped(Photo.objects.filter(here)),
        picks=_grouped(Pick.objects.filter(here)),
        open_retouches=_grouped(Retouch.objects.filter(here).exclude(status=RetouchStatus.APPROVED)),
        failed=_grouped(Job.objects.filter(here, status=JobStatus.FAILED)),
    )


def _open_pauses(pks: Iterable[int]) -> dict[int, Pause]:
    return {pause.gallery_id: pause for pause in Pause.objects.filter(gallery__in=list(pks), ended_at=None)}


def _line(gallery: Gallery, counts: Counts, finish: datetime | None, *, is_at_risk: bool) -> Line:
    zone = ZoneInfo(gallery.shoot.booking.location.zone)
    assert gallery.deliver_by is not None
    reason, action = _next(gallery, counts)
    finish_at = finish.astimezone(zone) if finish else None
    return Line(gallery, gallery.deliver_by.astimezone(zone), reason, action, finish_at, is_at_risk)


def _waiting_line(gallery: Gallery, pause: Pause | None) -> Line:
    reason = str(WAITS.get(pause.reason, "")) if pause else _("Nothing is promised yet.")
    since = pause.opened_at if pause else None
    return Line(gallery, None, reason, _("Write or call if it takes long"), since=since)


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


def record(
    *, since: datetime, now: datetime, until: datetime | None = None, reshoots: bool | None = None
) -> Record:
    """The on-time rate of all first deliveries of shoots since then (and before `until`); what is late and not
    delivered counts as late. `reshoots`: only theirs, or all but theirs; None: every promise."""
    since_then = Gallery.objects.filter(shoot__completed_at__gte=since)
    if reshoots is not None:
        since_then = since_then.filter(shoot__booking__reshoot_of__isnull=not reshoots)
    if until is not None:
        since_then = since_then.filter(shoot__completed_at__lt=until)
    late_open = since_then.filter(was_on_time=None, status__in=deadlines.RUNNING, deliver_by__lt=now).count()
    whole = Min("deliveries__delivered_at", filter=Q(deliveries__is_partial=False))
    done = since_then.filter(was_on_time__isnull=False).annotate(span=whole - F("shoot__completed_at"))
    rows = list(done.values_list("was_on_time", "span"))
    spans = sorted(span for _on_time, span in rows if span is not None)
    return Record(
        delivered=len(rows) + late_open,
        on_time=sum(bool(on_time) for on_time, _span in rows),
        median=spans[(len(spans) - 1) // 2] if spans else None,
        nine_in_ten=spans[ceil(len(spans) * 0.9) - 1] if spans else None,
    )


def reshot(*, since: datetime, until: datetime | None = None) -> int:
    """How many sessions since then were photographed again; they are neither on time nor late."""
    again = Booking.objects.filter(reshoot_of=OuterRef("booking"), status=BookingStatus.CONFIRMED)
    firsts = Shoot.objects.filter(Exists(again), completed_at__gte=since)
    if until is not None:
        firsts = firsts.filter(completed_at__lt=until)
    return firsts.count()


def causes(*, since: datetime, until: datetime | None = None) -> list[tuple[str, int]]:
    """Missed promises by their cause, the most frequent first; without one: said so."""
    missed = Breach.objects.filter(recorded_at__gte=since)
    if until is not None:
        missed = missed.filter(recorded_at__lt=until)
    rows = missed.values_list("cause").annotate(n=Count("pk"))
    return sorted(((cause or _("not said yet"), n) for cause, n in rows), key=lambda row: (-row[1], row[0]))
