"""What is written to whom about a booking. Each mail carries its own link, which opens this booking only."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bookings import ics, promising
from bookings.models import Booking, Client
from bookings.timeline import DAY, instant
from studio import credentials, outbox
from studio.actors import WORKER, Actor
from studio.models import Location, Message, Studio

REMINDERS = (timedelta(hours=72), timedelta(hours=24))
APART = timedelta(hours=12)  # never two mails closer than this
QUIET_FROM, QUIET_UNTIL = time(21), time(8)
REMINDER_NAMES = ("booking_reminder",)


def tell_client(
    name: str,
    *,
    booking: Booking,
    now: datetime,
    by: Actor = WORKER,
    to: Client | None = None,
    once: str | None = None,
    due_at: datetime | None = None,
    calendar: str = "",
    **more: Any,
) -> Message | None:
    """Queue a mail about a booking to its Payer (or `to`), with a fresh link; `calendar` attaches the .ics
    with that method (REQUEST, CANCEL)."""
    to = to or booking.payer
    if to is None or to.erased_at is not None:
        return None
    if once and Message.objects.filter(once=once).exists():
        return None
    link = credentials.grant(
        scope="booking", target=booking.public_id, now=now, holder_id=to.pk, holder_label=to.name
    ).url
    return outbox.queue_message(
        name,
        to=to,
        about=booking,
        context=_facts(booking) | {"link": link} | more,
        now=now,
        due_at=due_at,
        once=once,
        by=by,
        attachments=_attached(booking, calendar, now=now) if calendar else (),
    )


def tell_studio(name: str, *, booking: Booking, once: str, now: datetime, **more: Any) -> Message | None:
    """Queue a mail to the studio itself; it is also read on the desk."""
    studio = Studio.objects.first()
    if studio is None or not studio.email:
        return None
    return outbox.queue_message(
        name, to=studio, about=booking, context=_facts(booking) | more, now=now, once=once
    )


def plan_reminders(booking: Booking, *, now: datetime) -> None:
    """Queue the reminders that still make sense, never in the quiet hours."""
    for before in REMINDERS:
        due_at = awake(booking.starts_at - before, booking.location)
        if due_at < now + APART:
            continue
        tell_client(
            "booking_reminder",
            booking=booking,
            now=now,
            due_at=due_at,
            once=f"booking_reminder:{booking.pk}:{booking.ics_sequence}:{before // timedelta(hours=1)}",
            may_move=before > timedelta(hours=48),
        )


def drop_reminders(booking: Booking, *, now: datetime) -> None:
    """Take back what was not sent yet: no reminder of a time that does not hold."""
    outbox.cancel_messages(about=booking, now=now, names=REMINDER_NAMES)


def awake(moment: datetime, location: Location) -> datetime:
    """The moment itself, or the last hour before the night it falls into (location's clock)."""
    zone = ZoneInfo(location.zone)
    wall = moment.astimezone(zone)
    if QUIET_UNTIL <= wall.time() < QUIET_FROM:
        return moment
    evening = wall.date() if wall.time() >= QUIET_FROM else wall.date() - DAY
    return instant(zone, evening, QUIET_FROM) - timedelta(hours=1)


def _facts(booking: Booking) -> dict[str, Any]:
    return {
        "booking": booking,
        "location": booking.location,
        "session_type": booking.session_type,
        "add_ons": list(booking.add_ons.select_related("add_on").order_by("starts_at", "pk")),
        "shoot": booking.shoots.first(),
        "forecast": promising.forecast_of(booking),
    }


def _attached(booking: Booking, method: str, *, now: datetime) -> Sequence[Mapping[str, str]]:
    return [
        {
            "name": "session.ics",
            "type": f"text/calendar; method={method}; charset=utf-8",
            "text": ics.calendar_text(booking, method=method, now=now),
        }
    ]
