"""Bookings the studio says yes to by hand: asked for, kept by a deadline, and let go kindly where nobody answered.

A request holds its claims like any booking. The studio is written to at once and again before the deadline; what the
calendar of the client says meanwhile is "tentative".
"""

from datetime import datetime, timedelta

from bookings import messages
from bookings.asking import ANSWER_IN, daytime_after
from bookings.models import Booking
from studio import outbox, promises
from studio.actors import Actor
from studio.workdays import WorkdaysError, add_working_days

AGAIN_BEFORE = timedelta(hours=4)  # before the deadline the studio is reminded; half way where that is sooner
STAFF_MAILS = ("desk_request", "desk_request_waits")


def deadline(booking: Booking, *, now: datetime) -> datetime:
    """Until when the studio answers: the closing of the n-th working day after today (`answer_days`), but not after
    the notice the session needs, never in the night.

    A request that comes close to its session leaves two hours of daytime all the same. Never after the session begins.
    """
    kind, location = booking.session_type, booking.location
    notice = messages.awake(booking.starts_at - timedelta(hours=kind.min_notice_hours), location)
    soonest = daytime_after(now, ANSWER_IN, location)
    return min(max(min(_working_days_after(booking, now=now), notice), soonest), max(booking.starts_at, now))


def _working_days_after(booking: Booking, *, now: datetime) -> datetime:
    days = booking.session_type.answer_days
    calendar = promises.calendar_of(booking.location, first_on=now.date() - timedelta(days=1))
    try:
        return calendar.closes_at(add_working_days(calendar.local_date(now), days, calendar))
    except WorkdaysError:  # a place without working days
        return now + timedelta(days=days)


def tell(booking: Booking, *, by: Actor, now: datetime) -> None:
    """Write to both sides about a request as it is now: the client with a tentative calendar entry, the studio at once
    and once more before the deadline. Call it with the Booking locked and `answer_by` written."""
    assert booking.answer_by is not None
    times = f"{booking.pk}:{booking.ics_sequence}"
    messages.tell_client(
        "booking_requested",
        booking=booking,
        by=by,
        now=now,
        once=f"booking_requested:{times}",
        calendar="REQUEST",
        until=booking.answer_by,
    )
    stop_waiting(booking, now=now)
    facts = {"until": booking.answer_by}
    messages.tell_studio("desk_request", booking=booking, once=f"desk_request:{times}", now=now, **facts)
    half_way = now + (booking.answer_by - now) / 2
    messages.tell_studio(
        "desk_request_waits",
        booking=booking,
        once=f"desk_request_waits:{times}",
        now=now,
        due_at=max(half_way, booking.answer_by - AGAIN_BEFORE),
        **facts,
    )


def stop_waiting(booking: Booking, *, now: datetime) -> None:
    """It is answered: nobody is reminded of it."""
    outbox.cancel_messages(about=booking, now=now, names=STAFF_MAILS)
