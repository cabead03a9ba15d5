"""The clock of the promise: start, pause, resume, stop, and the sweep that warns and records what was missed.

`Gallery.deliver_by` is stored with the inputs it was computed from. `Gallery.alarm_at` is the next instant at
which the sweep has something to do for it (a warning, or the deadline itself): one indexed column, so the sweep
looks only at what is due. Lock order: the Gallery row first, then its pauses and notices.
"""

import logging
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from galleries.models import Breach, DeadlineNotice, Gallery, Pause
from galleries.statuses import GalleryStatus
from studio import workdays
from studio.actors import Actor
from studio.models import Role, User
from studio.outbox import queue_message
from studio.promises import calendar_of

log = logging.getLogger(__name__)

RUNNING = (
    GalleryStatus.OPEN,
    GalleryStatus.PROOFING,
    GalleryStatus.RETOUCHING,
    GalleryStatus.APPROVING,
    GalleryStatus.READY,
)
HOUR_AHEAD = timedelta(hours=1)
Kind = DeadlineNotice.Kind


def _locked(gallery_id: int) -> Gallery:
    return (
        Gallery.objects.select_for_update(of=("self",))
        .select_related("shoot__booking__location", "shoot__booking__session_type")
        .get(pk=gallery_id)
    )


def _calendar_now(gallery: Gallery, since: datetime) -> workdays.Calendar:
    location = gallery.shoot.booking.location
    return calendar_of(location, first_on=since.astimezone(ZoneInfo(location.zone)).date())


@transaction.atomic
def start(*, gallery_id: int, ended_at: datetime, now: datetime) -> bool:
    """Start the clock at the end of the shoot. False if it was started before: the first end stands."""
    gallery = _locked(gallery_id)
    if gallery.clock_started_at is not None:
        return False
    gallery.clock_started_at = ended_at
    gallery.save(update_fields=["clock_started_at"])
    _compute(gallery, now=now)
    gallery.first_deliver_by = gallery.deliver_by
    gallery.save(update_fields=["first_deliver_by"])
    return True


@transaction.atomic
def start_again(*, gallery_id: int, now: datetime) -> None:
    """A change was asked for after delivery: it is promised like a session that ends now.

    What was promised first, and whether it was kept, stays on record.
    """
    gallery = _locked(gallery_id)
    gallery.clock_started_at, gallery.promise = now, {}
    gallery.save(update_fields=["clock_started_at", "promise"])
    _compute(gallery, now=now)


@transaction.atomic
def open_pause(*, gallery_id: int, reason: str, by: Actor, now: datetime) -> bool:
    """Stand still while the studio waits for the client. False if such a pause is open already.

    Opened in the last two hours before a closing it begins after that closing: the studio had the day.
    """
    gallery = _locked(gallery_id)
    begins_at = workdays.pause_begins_at(now, _calendar_now(gallery, now))
    _pause, is_new = Pause.objects.get_or_create(
        gallery=gallery,
        reason=reason,
        ended_at=None,
        defaults={"opened_at": now, "begins_at": begins_at, "opened_by": str(by)},
    )
    if is_new:
        _compute(gallery, now=now)
    return is_new


@transaction.atomic
def close_pause(*, gallery_id: int, reason: str, by: Actor, now: datetime) -> bool:
    """The client has answered: the clock goes on. False if no such pause is open.

    An answer that comes before the pause has begun closes it at its own beginning, where it is empty.
    """
    gallery = _locked(gallery_id)
    pause = gallery.pauses.filter(reason=reason, ended_at=None).first()
    if pause is None:
        return False
    pause.ended_at = max(now, pause.begins_at)
    pause.ended_by = str(by)
    pause.save(update_fields=["ended_at", "ended_by"])
    _compute(gallery, now=now)
    return True


@transaction.atomic
def recompute(*, gallery_id: int, now: datetime) -> bool:
    """Compute the running promise again, with today's closures; never later because of them. True if it changed."""
    gallery = _locked(gallery_id)
    before = gallery.deliver_by
    _compute(gallery, now=now)
    return gallery.deliver_by != before


@transaction.atomic
def stop(*, gallery_id: int, now: datetime) -> None:
    """The finals are delivered, or the shoot is cancelled: nothing more to watch. The promise stays on record."""
    Gallery.objects.filter(pk=gallery_id).update(alarm_at=None)
    Pause.objects.filter(gallery_id=gallery_id, ended_at=None, begins_at__lte=now).update(ended_at=now)


def _compute(gallery: Gallery, *, now: datetime) -> None:
    """Write `deliver_by`, its inputs and the next alarm; all empty while nothing is promised."""
    if gallery.clock_started_at is None:
        return
    calendar = _calendar_now(gallery, gallery.clock_started_at)
    pauses = [workdays.Pause(row.begins_at, row.ended_at) for row in gallery.pauses.all()]
    days = gallery.shoot.booking.session_type.promise_days
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
    gallery.alarm_at = next_alarm(gallery, now=now)
    gallery.save(update_fields=["deliver_by", "promise", "alarm_at"])


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
            (gallery.deliver_by, Kind.OVERDUE),
        ]
    )


def next_alarm(gallery: Gallery, *, now: datetime) -> datetime | None:
    """The earliest alarm that was not given yet for this promise, also if its time has passed."""
    given = set(gallery.notices.filter(deliver_by=gallery.deliver_by).values_list("kind", flat=True))
    return next((at for at, kind in alarms(gallery) if kind not in given), None)


# --- the sweep


def sweep(*, now: datetime, limit: int = 500) -> int:
    """Give every warning that is due, record what was missed; returns how many galleries were looked at.

    Each gallery is its own transaction: one that crashes is pushed an hour ahead and cannot block the rest. An
    alarm that is late (a dead beat) is given late, once.
    """
    due = (
        Gallery.objects.filter(alarm_at__lte=now)
        .order_by("alarm_at", "id")
        .values_list("pk", flat=True)[:limit]
    )
    for pk in due:
        try:
            _give_alarms(pk, now=now)
        except Exception:
            log.exception("The alarms of gallery %s failed; trying again in an hour", pk)
            Gallery.objects.filter(pk=pk).update(alarm_at=now + HOUR_AHEAD)
    return len(due)


@transaction.atomic
def _give_alarms(gallery_id: int, *, now: datetime) -> None:
    gallery = _locked(gallery_id)
    for at, kind in alarms(gallery):
        if at > now:
            break
        _notice, is_new = DeadlineNotice.objects.get_or_create(
            gallery=gallery, kind=kind, deliver_by=gallery.deliver_by, defaults={"given_at": now}
        )
        if not is_new:
            continue
        if kind == Kind.OVERDUE:
            _miss(gallery, now=now)
        elif gallery.deliver_by is not None and now < gallery.deliver_by:
            _warn(gallery, kind, now=now)
    gallery.alarm_at = next_alarm(gallery, now=now)
    gallery.save(update_fields=["alarm_at"])


def _warn(gallery: Gallery, kind: Kind, *, now: datetime) -> None:
    """Tell whoever works on it, or the owners. A warning whose hour has passed unseen is not sent after the fact."""
    for person in [gallery.assigned_to] if gallery.assigned_to else owners():
        queue_message(
            "deadline_warning",
            to=person,
            about=gallery,
            context={"gallery": gallery, "kind": kind, "due_at": local_promise(gallery)},
            now=now,
            once=f"deadline:{gallery.pk}:{kind}:{gallery.deliver_by:%Y%m%dT%H%M}:{person.pk}",
        )


def _miss(gallery: Gallery, *, now: datetime) -> None:
    """The promise is missed: write it down, alert the owners, tell the client honestly with a new time."""
    calendar = _calendar_now(gallery, now)
    new_deliver_by = workdays.next_working_closing(now, calendar)
    breach, is_new = Breach.objects.get_or_create(
        gallery=gallery,
        deliver_by=gallery.deliver_by,
        defaults={"recorded_at": now, "new_deliver_by": new_deliver_by},
    )
    if not is_new:
        return
    zone = ZoneInfo(gallery.shoot.booking.location.zone)
    context = {
        "gallery": gallery,
        "breach": breach,
        "due_at": local_promise(gallery),
        "new_due_at": new_deliver_by.astimezone(zone),
    }
    for owner in owners():
        queue_message(
            "deadline_missed_owner",
            to=owner,
            about=gallery,
            context=context,
            now=now,
            once=f"breach:{breach.pk}:{owner.pk}",
        )
    client = gallery.shoot.sitter or gallery.shoot.booking.payer
    if client is not None:
        queue_message(
            "deadline_missed_client",
            to=client,
            about=gallery,
            context=context,
            now=now,
            once=f"breach:{breach.pk}:client",
        )


def owners() -> list[User]:
    """Everybody who answers for the studio."""
    return list(User.objects.filter(is_active=True, staff_roles__role=Role.OWNER).distinct().order_by("pk"))


def local_promise(gallery: Gallery) -> datetime | None:
    """The promise in the location's own time, for pages and mails; None while nothing is promised."""
    if gallery.deliver_by is None:
        return None
    return gallery.deliver_by.astimezone(ZoneInfo(gallery.shoot.booking.location.zone))


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
        calendar=_calendar_now(gallery, gallery.clock_started_at),
        pauses=pauses,
    )
    return due.astimezone(ZoneInfo(location.zone))
