"""What a booking is told about its pictures: by the rule, or later where the studio is full. Agreed when it is held."""

from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bookings.models import Booking, SessionType
from bookings.seating import Slot
from bookings.statuses import BookingStatus, ShootStatus
from studio import promises
from studio.models import Closure, Location, OpeningHours
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
    """The promise this booking would get; None where the location has no working days to promise with, and for a
    booking that has ended without a session, or whose sitter did not come: nothing is promised any more."""
    if booking.status in (BookingStatus.CANCELLED, BookingStatus.EXPIRED):
        return None
    if booking.shoots.filter(status=ShootStatus.NO_SHOW).exists():
        return None
    try:
        return promises.forecast(
            location=booking.location,
            ended_at=booking.ends_at,
            days=booking.promise_days or booking.session_type.promise_days,
        )
    except WorkdaysError:
        return None


def next_promise(*, now: datetime) -> tuple[Location, datetime, datetime] | None:
    """The front page's promise: the first location, noon of its next open day after today, and when pictures of a
    session then would be ready, given the work in hand. None where nothing is open or nothing can be promised."""
    session_type = SessionType.objects.filter(is_active=True, locations__is_active=True).first()
    place = session_type.locations.filter(is_active=True).first() if session_type else None
    if session_type is None or place is None:
        return None
    zone = ZoneInfo(place.zone)
    today = now.astimezone(zone).date()
    weekdays = set(OpeningHours.objects.filter(location=place).values_list("weekday", flat=True))
    closed = set(Closure.objects.filter(location=place, on__gt=today).values_list("on", flat=True)[:400])
    days = (today + timedelta(days=ahead) for ahead in range(1, 15))
    day = next((on for on in days if on.weekday() in weekdays and on not in closed), None)
    if day is None:
        return None
    noon = datetime.combine(day, time(12), tzinfo=zone)
    with suppress(WorkdaysError):
        return place, noon, outlook_of(session_type, place, now=now).said(noon.astimezone(UTC)).due_at
    return None
