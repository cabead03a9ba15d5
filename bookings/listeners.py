"""What the bookings answer when the studio asks them."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from bookings import holds, waiting
from bookings.mine_views import REMEMBERED, address_key, bookings_for
from bookings.models import Booking, Client
from bookings.statuses import STANDING
from studio.actors import Actor
from studio.happenings import on
from studio.links import Opening, on_asked
from studio.models import Location
from studio.templatetags.studio_tags import local


@on_asked
def bookings_of(email: str, now: datetime) -> Iterator[Opening]:
    """The bookings this address pays for or sits in: each by the person who holds it, newest first."""
    mine = Client.objects.filter(email__iexact=email, erased_at=None)
    every = bookings_for(email, now=now)
    first = mine.order_by("pk").first()
    if first is not None and len(every) > 1:
        yield Opening(first, _("All your bookings on one page"), "mine", address_key(first.email))
    for person in mine.order_by("pk"):
        theirs = Booking.objects.filter(
            Q(payer=person) | Q(shoots__sitter=person),
            status__in=STANDING,
            ends_at__gt=now - REMEMBERED,
        )
        for booking in theirs.select_related("session_type", "location").order_by("-starts_at").distinct():
            when = local(booking.starts_at, booking.location)
            yield Opening(person, f"{booking.session_type.name}, {when}", "booking", booking.public_id)


@on("booking_confirmed")
def leave_the_waiting_list(*, booking: Booking, by: Actor, now: datetime) -> None:
    """Who has booked waits no longer."""
    waiting.booked(booking=booking, by=by, now=now)


@on("closures_changing")
def wait_for_who_is_being_seated(*, location: Location, by: Actor, now: datetime) -> None:
    """The stock admin closes a day under the same locks as the desk."""
    holds.lock_everybody_at(location)


@on("booking_cancelled")
@on("booking_moved")
@on("closures_changed")
def look_for_waiting_clients(**_facts: object) -> None:
    """A time may have become free."""
    waiting.ring_offers()
