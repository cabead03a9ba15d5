"""The studio has asked a client for another time and has no answer yet: who is reminded of it, and until when.

The client after a day, after three, and a day before the session, by mails that are queued with the offer; the studio
two days before it, on the desk and by one mail for a day, which the sweep writes when it is due: so it lists who has
not answered by then. An answer (moved, cancelled) or the studio's "the time stands after all" ends it.
"""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from bookings import messages
from bookings.asking import ANSWER_IN, daytime_after
from bookings.models import Booking
from bookings.notes import note
from bookings.refusals import NotNow
from bookings.statuses import STANDING, BookingStatus, ShootStatus
from bookings.timeline import DAY
from studio import outbox
from studio.actors import Actor
from studio.models import Location, Message, Studio

AGAIN_AFTER = (DAY, 3 * DAY)
LAST_BEFORE = DAY  # the last one is the day's reminder of a session that cannot be kept
NEAR = 2 * DAY  # from then on the studio calls
OFFER_MAILS = ("booking_time_waits",)


def ask_again(booking: Booking, *, by: Actor, now: datetime) -> None:
    """Queue what reminds the client. Call it with the Booking locked, once the offer itself is queued.

    Never in the quiet hours, never within twelve hours of another mail about this booking.
    """
    last = messages.awake(booking.starts_at - LAST_BEFORE, booking.location)
    planned = [now, *messages.planned_for(booking, booking.payer)]
    for due_at in (last, *(messages.awake(now + wait, booking.location) for wait in AGAIN_AFTER)):
        if not now < due_at <= last or any(abs(due_at - other) < messages.APART for other in planned):
            continue
        planned.append(due_at)
        messages.tell_client(
            "booking_time_waits",
            booking=booking,
            by=by,
            now=now,
            due_at=due_at,
            once=f"booking_time_waits:{booking.pk}:{due_at.timestamp():.0f}:{now.timestamp():.0f}",
        )


def tell_studio(*, now: datetime) -> int:
    """Write to the studio about the days on which somebody still owes an answer: one mail for a day, when its first
    session is two days ahead and they have had time to answer. Returns how many.

    Who is offered a time later makes the day a mail of its own again. Never in the quiet hours.
    """
    waiting = _offered().filter(starts_at__gt=now, starts_at__lte=now + NEAR + 2 * DAY)
    days: dict[tuple[Location, date], list[Booking]] = {}
    for booking in waiting:
        on = booking.starts_at.astimezone(ZoneInfo(booking.location.zone)).date()
        days.setdefault((booking.location, on), []).append(booking)
    return sum(_tell_studio(location, on, found, now=now) for (location, on), found in days.items())


def _tell_studio(location: Location, on: date, waiting: list[Booking], *, now: datetime) -> bool:
    is_near = messages.awake(waiting[0].starts_at - NEAR, location) <= now
    if not is_near or messages.awake(now, location) != now:
        return False
    silent = [
        (booking, booking.free_change_since)
        for booking in waiting
        if booking.free_change_since and daytime_after(booking.free_change_since, ANSWER_IN, location) <= now
    ]
    if not silent:
        return False
    once = f"desk_offer_waits:{location.pk}:{on}:{max(since for _booking, since in silent).timestamp():.0f}"
    studio = Studio.objects.first()
    if studio is None or not studio.email or Message.objects.filter(once=once).exists():
        return False
    message = outbox.queue_message(
        "desk_offer_waits",
        to=studio,
        about=None,
        context={"bookings": [booking for booking, _since in silent], "location": location},
        now=now,
        once=once,
    )
    return message is not None


def settled(booking: Booking, *, now: datetime) -> None:
    """There is an answer: nobody is reminded any more."""
    outbox.cancel_messages(about=booking, now=now, names=OFFER_MAILS)


def is_open(booking: Booking) -> bool:
    """Whether another time was asked for, and the client can still say something to it."""
    is_asked = booking.free_change_since is not None and booking.status in STANDING
    return is_asked and not booking.shoots.exclude(status=ShootStatus.PLANNED).exists()


def unanswered(*, now: datetime) -> "QuerySet[Booking]":
    """Sessions that are near, or past, and whose client was asked for another time and has not said anything."""
    return _offered().filter(starts_at__lte=now + NEAR)


def _offered() -> "QuerySet[Booking]":
    rows = Booking.objects.filter(
        ~Q(free_change_since=None), status__in=STANDING, shoots__status=ShootStatus.PLANNED
    )
    return rows.select_related("payer", "session_type", "location").order_by("starts_at", "pk").distinct()


def keep_time(*, booking_id: int, by: Actor, now: datetime) -> bool:
    """The session takes place as booked after all: the client is told, and the usual reminders hold again.

    False if no other time was asked for. Raises NotNow once it has begun or is over.
    """
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        if booking.free_change_since is None:
            return False
        if not is_open(booking) or booking.starts_at <= now:
            raise NotNow(_("This session is over, or was cancelled."))
        booking.free_change_since = None
        booking.save(update_fields=["free_change_since"])
        note(booking, "keep_time", "", by=by, now=now)
        settled(booking, now=now)
        messages.tell_client(
            "booking_time_stands",
            booking=booking,
            by=by,
            now=now,
            once=f"booking_time_stands:{booking.pk}:{now.timestamp():.0f}",
        )
        if booking.status == BookingStatus.CONFIRMED:
            messages.drop_reminders(booking, now=now)
            messages.plan_reminders(booking, now=now)
        return True
