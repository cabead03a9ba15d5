"""How far the work on a shoot is: what is still to be done, by kind, and how long that will honestly take.

The remaining time is what lies before the shoot's last piece of work in the one queue of all shoots, divided by what
the workers finished in the last minutes. Without enough of the latter nothing is promised; with none at all, it is said
that no worker takes work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from galleries.models import Gallery, Job, JobKind
from galleries.statuses import JobStatus

LOOKED_BACK = timedelta(minutes=5)
ENOUGH_FINISHED = 3  # pieces of work that make a pace
STUCK_AFTER = timedelta(minutes=3)
ADVICE = (JobKind.AIDS,)  # nobody waits for it
OPEN = (JobStatus.WAITING, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Progress:
    """Pieces of work left of a shoot by kind, the seconds they will take (None: not known yet), whether it stands."""

    left: dict[str, int]
    seconds: float | None
    is_stuck: bool

    @property
    def count(self) -> int:
        return sum(self.left.values())

    @property
    def words(self) -> str:
        """One sentence for the desk; empty when nothing is left."""
        if not self.count:
            return ""
        parts = [_of_kind(kind, number) for kind, number in self.left.items() if number]
        return ", ".join(parts) + " · " + self._time_words()

    def _time_words(self) -> str:
        if self.is_stuck:
            return _("waiting: no worker takes work just now")
        if self.seconds is None:
            return _("just begun")
        if self.seconds < 60:
            return _("less than a minute left")
        minutes = round(self.seconds / 60)
        return ngettext("about %(count)d minute left", "about %(count)d minutes left", minutes) % {
            "count": minutes
        }


def _of_kind(kind: str, count: int) -> str:
    words = {
        JobKind.INTAKE: ngettext("%(count)d file being checked", "%(count)d files being checked", count),
        JobKind.RENDITIONS: ngettext("proofs of %(count)d frame", "proofs of %(count)d frames", count),
        JobKind.DRAFT: ngettext("%(count)d draft", "%(count)d drafts", count),
        JobKind.MEASURE: ngettext("%(count)d retouch to measure", "%(count)d retouches to measure", count),
        JobKind.FINALS: ngettext("finals of %(count)d picture", "finals of %(count)d pictures", count),
    }
    said = words.get(JobKind(kind))
    return said % {"count": count} if said else f"{JobKind(kind).label}: {count}"


def progress(gallery: Gallery, *, now: datetime) -> Progress:
    """The work left of one shoot, in three queries at most."""
    mine = gallery.jobs.filter(status__in=OPEN).exclude(kind__in=ADVICE)
    left = {
        row["kind"]: row["count"] for row in mine.order_by("kind").values("kind").annotate(count=Count("pk"))
    }
    if not left:
        return Progress({}, None, is_stuck=False)
    last = mine.aggregate(last=Max("urgent_at"))["last"]
    before = Job.objects.filter(status__in=OPEN, urgent_at__lte=last).exclude(kind__in=ADVICE).count()
    pace, is_stuck = _pace(gallery, now=now)
    return Progress(left, before / pace if pace else None, is_stuck=is_stuck)


def _pace(gallery: Gallery, *, now: datetime) -> tuple[float | None, bool]:
    """Pieces of work per second that all workers finished of late, and whether none of them moves."""
    since = now - LOOKED_BACK
    lately = Job.objects.filter(finished_at__gt=since, finished_at__lte=now).exclude(kind__in=ADVICE)
    times = list(lately.order_by("claimed_at").values_list("claimed_at", flat=True))
    known = [at for at in times if at is not None]
    if len(known) >= ENOUGH_FINISHED:
        took = (now - max(known[0], since)).total_seconds()
        return len(known) / max(took, 1.0), False
    waited = gallery.jobs.filter(status=JobStatus.WAITING, not_before__lte=now - STUCK_AFTER)
    is_running = Job.objects.filter(status=JobStatus.RUNNING).exists()
    is_stuck = not known and not is_running and waited.exclude(kind__in=ADVICE).exists()
    return None, is_stuck
