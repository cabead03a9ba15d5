"""A booking as an iCalendar file (RFC 5545, 5546): the same UID for ever, a SEQUENCE that grows with each change."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from icalendar import Calendar, Event, vCalAddress, vText

from bookings.models import Booking, Client
from bookings.statuses import BookingStatus
from studio.models import Studio

# What is only held or asked for may still come to nothing; what is over says so in a plain download too.
STATUS: dict[str, str] = {
    BookingStatus.CONFIRMED: "CONFIRMED",
    BookingStatus.REQUESTED: "TENTATIVE",
    BookingStatus.HELD: "TENTATIVE",
}


def uid(booking: Booking) -> str:
    """The name of the event in every calendar; it survives moves and a change of the site's address."""
    return f"{booking.public_id}@booking.likeness"


def calendar_text(
    booking: Booking, *, method: str = "REQUEST", guest: Client | None = None, now: datetime
) -> str:
    """The calendar file. `method` is REQUEST (new or moved), CANCEL, or PUBLISH for a plain download.

    It invites `guest`, the Payer unless named: a sitter's entry does not show who booked.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Likeness//Booking//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(_event(booking, method, guest or booking.payer, now=now))
    calendar.add_missing_timezones()
    return str(calendar.to_ical().decode())


def _event(booking: Booking, method: str, invited: Client | None, *, now: datetime) -> Event:
    zone = ZoneInfo(booking.location.zone)
    studio = Studio.objects.first()
    name = studio.name if studio else booking.location.name
    event = Event()
    event.add("uid", uid(booking))
    event.add("sequence", booking.ics_sequence)
    event.add("dtstamp", now)
    event.add("dtstart", booking.starts_at.astimezone(zone))
    event.add("dtend", booking.ends_at.astimezone(zone))
    event.add(
        "summary", _("%(session)s at %(studio)s") % {"session": booking.session_type.name, "studio": name}
    )
    event.add(
        "location", ", ".join(filter(None, [booking.location.name, *booking.location.address.split("\n")]))
    )
    event.add("status", "CANCELLED" if method == "CANCEL" else STATUS.get(booking.status, "CANCELLED"))
    event.add("transp", "OPAQUE")
    event.add("class", "PRIVATE")
    if studio and studio.email:
        event["organizer"] = _address(studio.email, studio.name)
    if invited is not None and method != "PUBLISH":
        guest = _address(invited.email, invited.name)
        guest.params["PARTSTAT"] = vText("ACCEPTED")
        guest.params["RSVP"] = vText("FALSE")
        event.add("attendee", guest, encode=0)
    return event


def _address(email: str, name: str) -> vCalAddress:
    address = vCalAddress(f"mailto:{email}")
    address.params["CN"] = vText(name)
    return address
