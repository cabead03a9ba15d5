"""The clock of the promise: start, pause, resume, stop.

`Gallery.deliver_by` is stored with the inputs it was computed from. `Gallery.alarm_at` is the next instant at
which the sweep (`galleries.alarms`) has something to do for it, a warning or the deadline itself: one indexed
column, so the sweep looks only at what is due. Lock order: Booking, Gallery, its pauses and notices, job rows.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from bookings.models import Booking, Client
from galleries import jobs, rights
from galleries.models import DeadlineNotice, Gallery, Pause
from galleries.statuses import GalleryStatus
from studio import workdays
from studio.actors import Actor
from studio.models import Location, Role, StatusChange, User
from studio.promises import calendar_of

RUNNING = (
    GalleryStatus.OPEN,
    GalleryStatus.PROOFING,
    GalleryStatus.RETOUCHING,
    GalleryStatus.APPROVING,
    GalleryStatus.READY,
)
FINISH_BEFORE = timedelta(minutes=3)  # what is ready goes out then: a sweep a minute late is still in time
Kind = DeadlineNotice.Kind


def locked(gallery_id: int) -> Gallery:
    """The gallery with its Booking, both under their row locks: a payment takes them in the same order."""
    Booking.objects.select_for_update(of=("self",)).get(shoots__gallery=gallery_id)
    return (
        Gallery.objects.select_for_update(of=("self",))
        .select_related(
            "shoot__booking__location",
            "shoot__booking__session_type",
            "shoot__booking__payer",
            "shoot__sitter",
            "assigned_to",
        )
        .get(pk=gallery_id)
    )


def calendar_now(gallery: Gallery, since: datetime) -> workdays.Calendar:
    """The calendar of the gallery's location as it is today, from the local day of `since` on."""
    location = gallery.shoot.booking.location
    return calendar_of(location, first_on=since.astimezone(ZoneInfo(location.zone)).date())


@transaction.atomic
def start(*, gallery_id: int, ended_at: datetime, now: datetime) -> bool:
    """Start the clock at the end of the shoot. False if it was started before: the first end stands."""
    gallery = locked(gallery_id)
    if gallery.clock_started_at is not None:
        return False
    gallery.clock_started_at = ended_at
    gallery.save(update_fields=["clock_started_at"])
    compute(gallery, now=now)
    gallery.first_deliver_by = gallery.deliver_by
    gallery.save(update_fields=["first_deliver_by"])
    return True


@transaction.atomic
def start_again(*, gallery_id: int, now: datetime) -> None:
    """A change was asked for after delivery: it is promised like a session that ends now.

    What was promised first, and whether it was kept, stays on record.
    """
    gallery = locked(gallery_id)
    gallery.clock_started_at, gallery.promise, gallery.deliver_by = now, {}, None
    gallery.save(update_fields=["clock_started_at", "promise", "deliver_by"])
    compute(gallery, now=now)


@transaction.atomic
def open_pause(*, gallery_id: int, reason: str, by: Actor, now: datetime) -> bool:
    """Stand still while the studio waits for the client. False if such a pause is open already.

    Opened in the last two hours before a closing it begins after that closing: the studio had the day.
    """
    gallery = locked(gallery_id)
    begins_at = workdays.pause_begins_at(now, calendar_now(gallery, now))
    _pause, is_new = Pause.objects.get_or_create(
        gallery=gallery,
        reason=reason,
        ended_at=None,
        defaults={"opened_at": now, "begins_at": begins_at, "opened_by": str(by)},
    )
    if is_new:
        compute(gallery, now=now)
    return is_new


@transaction.atomic
def close_pause(*, gallery_id: int, reason: str, by: Actor, now: datetime) -> bool:
    """The client has answered: the clock goes on. False if no such pause is open.

    An answer that comes before the pause has begun closes it at its own beginning, where it is empty.
    """
    gallery = locked(gallery_id)
    pause = gallery.pauses.filter(reason=reason, ended_at=None).first()
    if pause is None:
        return False
    pause.ended_at = max(now, pause.begins_at)
    pause.ended_by = str(by)
    pause.save(update_fields=["ended_at", "ended_by"])
    compute(gallery, now=now)
    return True


@transaction.atomic
def recompute(*, gallery_id: int, now: datetime) -> bool:
    """Compute the running promise again, with today's closures; never later because of them. True if it changed."""
    gallery = locked(gallery_id)
    before = gallery.deliver_by
    compute(gallery, now=now)
    return gallery.deliver_by != before


@transaction.atomic
def assign(*, gallery_id: int, to: User | None, by: Actor, now: datetime) -> bool:
    """Give the work to a person, or to nobody in particular. False if it is theirs already.

    The change is written beside the gallery's statuses. Raises ValueError for somebody who does not see pictures.
    """
    gallery = locked(gallery_id)
    if gallery.assigned_to == to:
        return False
    if to is not None and not rights.roles_at(to, gallery) & rights.HANDS_IN:
        raise ValueError(f"{to} does not retouch here")
    before, gallery.assigned_to = gallery.assigned_to, to
    gallery.save(update_fields=["assigned_to"])
    StatusChange.objects.create(
        model=Gallery._meta.label_lower,
        object_id=gallery.pk,
        verb="assign",
        before=gallery.status,
        after=gallery.status,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        reason=f"{before or '—'} → {to or '—'}",
        at=now,
    )
    return True


def closures_changed(*, location: Location, now: datetime) -> int:
    """The hours or closures of a location were edited: the next sweep computes its running promises again."""
    running = Gallery.objects.filter(shoot__booking__location=location, status__in=RUNNING)
    return running.filter(deliver_by__isnull=False, alarm_at__isnull=False).update(alarm_at=now)


@transaction.atomic
def stop(*, gallery_id: int, now: datetime) -> None:
    """The finals are delivered, or the shoot is cancelled: nothing more to watch. The promise stays on record."""
    Gallery.objects.filter(pk=gallery_id).update(alarm_at=None)
    Pause.objects.filter(gallery_id=gallery_id, ended_at=None, begins_at__lte=now).update(ended_at=now)


def compute(gallery: Gallery, *, now: datetime) -> None:
    """Write `deliver_by`, its inputs and the next alarm; all empty while nothing is promised.

    With the gallery locked. What was promised is kept beside it when a change of closures makes it earlier.
    """
    if gallery.clock_started_at is None or gallery.status not in RUNNING:
        return
    before, inputs_before = gallery.deliver_by, gallery.promise
    calendar = calendar_now(gallery, gallery.clock_started_at)
    pauses = [workdays.Pause(row.begins_at, row.ended_at) for row in gallery.pauses.all()]
    booking = gallery.shoot.booking
    days = booking.promise_days or booking.session_type.promise_days
    inputs = gallery.promise or workdays.inputs_of(
        ended_at=gallery.clock_started_at, days=days, calendar=calendar, pauses=pauses
    )
    try:
        gallery.deliver_by, inputs = workdays.promised_again(inputs, calendar=calendar, pauses=pauses)
    except workdays.ClockPaused:
        # Nothing runs, so closures made meanwhile will count; only the pauses are written down.
        gallery.deliver_by = None
        inputs = {**inputs, "pauses": workdays.inputs_of_pauses(pauses)}
    gallery.promise = inputs
    gallery.deliver_by_was = _was(
        gallery, before, is_same_wait=inputs_before.get("pauses") == inputs["pauses"]
    )
    gallery.alarm_at = next_alarm(gallery, now=now)
    gallery.save(update_fields=["deliver_by", "deliver_by_was", "promise", "alarm_at"])
    if gallery.deliver_by != before:
        jobs.follow_deadline(gallery=gallery)


def _was(gallery: Gallery, before: datetime | None, *, is_same_wait: bool) -> datetime | None:
    """What was promised before the closures changed. A pause is no such change: it is shown by itself."""
    if not is_same_wait or before is None or gallery.deliver_by is None:
        return None
    return before if gallery.deliver_by < before else gallery.deliver_by_was


def alarms(gallery: Gallery) -> list[tuple[datetime, Kind]]:
    """The warnings of the running promise and the deadline itself, in order; empty while nothing is promised."""
    if gallery.deliver_by is None or gallery.status not in RUNNING:
        return []
    calendar = workdays.calendar_from_json(gallery.promise["calendar"])
    warnings = workdays.warnings_before(gallery.deliver_by, calendar)
    return sorted(
        [
            (warnings.one_day_at, Kind.ONE_DAY),
            (warnings.four_hours_at, Kind.FOUR_HOURS),
            (warnings.one_hour_at, Kind.ONE_HOUR),
            (gallery.deliver_by - FINISH_BEFORE, Kind.FINISH),
            (gallery.deliver_by, Kind.OVERDUE),
        ]
    )


def next_alarm(gallery: Gallery, *, now: datetime) -> datetime | None:
    """The earliest alarm that was not given yet for this promise, also if its time has passed."""
    if gallery.deliver_by is None:
        return None
    given = set(gallery.notices.filter(deliver_by=gallery.deliver_by).values_list("kind", flat=True))
    return next((at for at, kind in alarms(gallery) if kind not in given), None)


# --- who, and in words


def sitter_of(gallery: Gallery) -> Client | None:
    """To whom the pictures go: the person in them, else whoever booked."""
    return gallery.shoot.sitter or gallery.shoot.booking.payer


def owners() -> list[User]:
    """Everybody who answers for the studio."""
    return list(User.objects.filter(is_active=True, staff_roles__role=Role.OWNER).distinct().order_by("pk"))


def local_promise(gallery: Gallery) -> datetime | None:
    """The promise in the location's own time, for pages and mails; None while nothing is promised."""
    if gallery.deliver_by is None:
        return None
    return gallery.deliver_by.astimezone(ZoneInfo(gallery.shoot.booking.location.zone))


@dataclass(frozen=True, slots=True)
class Change:
    """A running promise that a change of closures made earlier, in local time."""

    was: datetime
    now: datetime


def was_and_is(gallery: Gallery) -> Change | None:
    """What was promised and what is, where a change of closures made it earlier."""
    if gallery.deliver_by_was is None or gallery.deliver_by is None:
        return None
    zone = ZoneInfo(gallery.shoot.booking.location.zone)
    return Change(gallery.deliver_by_was.astimezone(zone), gallery.deliver_by.astimezone(zone))


def promise_if_answered(gallery: Gallery, *, now: datetime) -> datetime | None:
    """What will be promised if the client answers now, in local time; None before the shoot has ended."""
    if gallery.clock_started_at is None or not gallery.promise:
        return None
    location = gallery.shoot.booking.location
    pauses = [workdays.Pause(row.begins_at, row.ended_at) for row in gallery.pauses.all()]
    due = workdays.deliver_by_if_answered(
        answered_at=now,
        ended_at=gallery.clock_started_at,
        days=gallery.promise["days"],
        calendar=calendar_now(gallery, gallery.clock_started_at),
        pauses=pauses,
    )
    return due.astimezone(ZoneInfo(location.zone))
