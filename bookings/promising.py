"""What a booking is told about its pictures: by the rule, or later where the studio is full. Agreed when it is held."""

from contextlib import suppress
from datetime import datetime

from bookings.models import Booking, SessionType
from bookings.seating import Slot
from studio import promises
from studio.models import Location
from studio.promises import Outlook
from studio.workdays import WorkdaysError


def outlook_of(session_type: SessionType, location: Location, *, now: datetime) -> Outlook:
    """What can be promised of this session here, given the work in hand."""
    pictures = session_type.finals_included
    return Outlook(location=location, days=session_type.promise_days, pictures=pictures, now=now)


def is_full(outlook: Outlook, slot: Slot) -> bool:
    """Whether the pictures of this time would come later than usual."""
    with suppress(WorkdaysError):  # without working days nothing is promised
        return outlook.said(slot.ends_at).is_later
    return False


def days_agreed(outlook: Outlook, slot: Slot) -> int | None:
    """The working days the client was told when the studio is full; None: as the session type says."""
    with suppress(WorkdaysError):
        said = outlook.said(slot.ends_at)
        return said.days if said.is_later else None
    return None


def forecast_of(booking: Booking) -> promises.Forecast | None:
    """The promise this booking would get; None where the location has no working days to promise with."""
    try:
        return promises.forecast(
            location=booking.location,
            ended_at=booking.ends_at,
            days=booking.promise_days or booking.session_type.promise_days,
        )
    except WorkdaysError:
        return None
