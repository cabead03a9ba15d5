"""The studio has asked a client for another time and has no answer yet: who is reminded of it, and until when.

The client after a day, after three, and a day before the session; the studio two days before it, by mail and on the
desk. An answer (moved, cancelled) or the studio's "the time stands after all" ends it.
"""

from datetime import datetime

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

AGAIN_AFTER = (DAY, 3 * DAY)
LAST_BEFORE = DAY  # the last one is the day's reminder of a session that cannot be kept
NEAR = 2 * DAY  # from then on the studio calls
OFFER_MAILS = ("booking_time_waits", "desk_offer_waits")


def ask_again(booking: Booking, *, by: Actor, now: datetime) -> None:
    """Queue what reminds both sides. Call it with the Booking locked, once the offer itself is queued.

    To the client never in the quiet hours, never within twelve hours of another mail about this booking.
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
    patience = daytime_after(now, ANSWER_IN, booking.location)
    near = max(messages.awake(booking.starts_at - NEAR, booking.location), patience)
    if near < booking.starts_at:  # else the desk shows it, and nobody reads a mail in time
        messages.tell_studio(
            "desk_offer_waits",
            booking=booking,
            once=f"desk_offer_waits:{booking.pk}:{now.timestamp():.0f}",
            now=now,
            due_at=near,
            since=now,
        )


def settled(booking: Booking, *, now: datetime) -> None:
    """There is an answer: nobody is reminded any more."""
    outbox.cancel_messages(about=booking, now=now, names=OFFER_MAILS)


def is_open(booking: Booking) -> bool:
    """Whether another time was asked for, and the client can still say something to it."""
    is_asked = booking.free_change_since is not None and booking.status in STANDING
    return is_asked and not booking.shoots.exclude(status=ShootStatus.PLANNED).exists()


def unanswered(*, now: datetime) -> "QuerySet[Booking]":
    """Sessions that are near, or past, and whose client was asked for another time and has not said anything."""
    rows = Booking.objects.filter(
        ~Q(free_change_since=None),
        status__in=STANDING,
        starts_at__lte=now + NEAR,
        shoots__status=ShootStatus.PLANNED,
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
