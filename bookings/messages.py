"""What is written to whom about a booking. Each mail carries its own link, which opens this booking only."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string

from bookings import ics, promising
from bookings.models import Booking, Client
from bookings.statuses import BookingStatus
from bookings.timeline import DAY, instant
from bookings.wording import COACHING
from studio import credentials, outbox
from studio.actors import WORKER, Actor
from studio.models import Channel, Location, Message, MessageStatus, Studio
from studio.wording import worded

# The nearest first: where two would come within twelve hours of each other, the one closer to the session stays.
SEQUENCE = (
    ("booking_reminder", timedelta(hours=24)),
    ("booking_prepare", timedelta(hours=72)),
    ("booking_wear", timedelta(days=7)),
)
TEXT_BEFORE = timedelta(hours=2)
APART = timedelta(hours=12)  # never two mails closer than this
QUIET_FROM, QUIET_UNTIL = time(21), time(8)
REMINDER_NAMES = ("booking_reminder", "booking_prepare", "booking_wear", "text_reminder")


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


def tell_studio(
    name: str, *, booking: Booking, once: str, now: datetime, due_at: datetime | None = None, **more: Any
) -> Message | None:
    """Queue a mail to the studio itself; it is also read on the desk."""
    studio = Studio.objects.first()
    if studio is None or not studio.email:
        return None
    return outbox.queue_message(
        name, to=studio, about=booking, context=_facts(booking) | more, now=now, due_at=due_at, once=once
    )


def plan_reminders(booking: Booking, *, now: datetime) -> None:
    """Queue what prepares and reminds, as far as it still makes sense: a week, three days, a day before, and a text.

    Never in the quiet hours, never within twelve hours of another mail that is planned about this booking or of this
    moment (a confirmation goes out now). Planned again after a move, or when something new was told.
    """
    planned = [now, *_planned(booking)]
    revision = Message.objects.filter(
        about_model=booking._meta.label_lower,
        about_id=booking.pk,
        name__in=REMINDER_NAMES,
        status="cancelled",
    ).count()
    for name, before in SEQUENCE:
        due_at = awake(booking.starts_at - before, booking.location)
        if due_at < now or any(abs(due_at - other) < APART for other in planned):
            continue
        planned.append(due_at)
        tell_client(
            name,
            booking=booking,
            now=now,
            due_at=due_at,
            once=f"{name}:{booking.pk}:{booking.ics_sequence}:{revision}",
            may_move=before > timedelta(hours=48),
            coaching=coaching_of(booking) if name == "booking_prepare" else (),
            has_hair_or_make_up=booking.add_ons.filter(add_on__kind__in=["hair", "make_up"]).exists(),
        )
    due_at = awake(booking.starts_at - TEXT_BEFORE, booking.location)
    if booking.payer is not None and booking.payer.erased_at is None and due_at >= now:
        outbox.queue_text(
            "text_reminder",
            to=booking.payer,
            about=booking,
            context=_facts(booking),
            now=now,
            due_at=due_at,
            once=f"text_reminder:{booking.pk}:{booking.ics_sequence}:{revision}",
        )


def _planned(booking: Booking) -> list[datetime]:
    """When other mails about this booking go out."""
    waiting = Message.objects.filter(
        about_model=booking._meta.label_lower,
        about_id=booking.pk,
        channel=Channel.EMAIL,
        status=MessageStatus.QUEUED,
    )
    return list(waiting.values_list("due_at", flat=True))


def plan_again(booking: Booking, *, now: datetime) -> None:
    """Something was told that a planned mail should answer: take back what was not sent and plan it anew."""
    if booking.status == BookingStatus.CONFIRMED and booking.starts_at > now:
        drop_reminders(booking, now=now)
        plan_reminders(booking, now=now)


def coaching_of(booking: Booking) -> list[str]:
    """How the photographer will help, in the studio's words: one paragraph for each thing that worries the sitter.

    Only what was tapped is answered; what was written is read by the photographer alone and quoted nowhere. Nothing
    is said to a payer who is somebody else.
    """
    shoot = booking.shoots.order_by("pk").first()
    if shoot is None or shoot.sitter_id != booking.payer_id:
        return []
    found = []
    for chip in shoot.nerves:
        if chip in COACHING:
            own = worded(f"coaching_{chip}", {})
            found.append((own[1] if own else render_to_string(f"emails/coaching/{chip}.txt")).strip())
    return found


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
