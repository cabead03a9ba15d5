"""Somebody is late: fifteen minutes are nothing; beyond them the session is shorter, goes without make-up, or moves."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from bookings import messages
from bookings.models import Booking, Shoot
from bookings.notes import note
from bookings.refusals import NotNow
from bookings.statuses import ACTIVE_BOOKING, BookingStatus, ShootStatus
from bookings.timeline import MINUTE
from studio.actors import Actor
from studio.models import Message
from studio.templatetags.studio_tags import local_time

GRACE = timedelta(minutes=15)
FURTHEST = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Lateness:
    """What a late arrival leaves of a session, in minutes before the camera."""

    minutes: int
    is_within_grace: bool
    booked: int
    left: int  # with every preparation
    left_without: int  # straight to the camera

    @property
    def is_helped_without(self) -> bool:
        """Whether leaving the preparation out makes the session longer."""
        return self.left_without > self.left


def lateness(shoot: Shoot, expected_at: datetime) -> Lateness:
    """What is left when the sitter arrives then; the session ends when it was booked to, for the next one waits."""
    prepares = shoot.starts_at - shoot.booking.starts_at
    booked = shoot.ends_at - shoot.starts_at

    def before_the_camera(from_arrival: timedelta) -> int:
        starts_at = max(expected_at + from_arrival, shoot.starts_at)
        return max(0, (shoot.ends_at - starts_at) // MINUTE)

    late = max(timedelta(), expected_at - shoot.booking.starts_at)
    return Lateness(
        minutes=late // MINUTE,
        is_within_grace=late <= GRACE,
        booked=booked // MINUTE,
        left=before_the_camera(prepares),
        left_without=before_the_camera(timedelta()),
    )


def held_until(booking: Booking, shoot: Shoot | None) -> datetime | None:
    """Until when a late sitter finds everything as booked; None where nobody is waited for (over, cancelled, here)."""
    waits = booking.status in ACTIVE_BOOKING and (shoot is None or shoot.status == ShootStatus.PLANNED)
    return booking.starts_at + GRACE if waits else None


def expect(*, shoot_id: int, expected_at: datetime, by: Actor, now: datetime) -> Lateness:
    """Write down when the sitter will be there, and say what it leaves. Raises NotNow."""
    with transaction.atomic():
        shoot = _planned(shoot_id)
        if abs(expected_at - shoot.booking.starts_at) > FURTHEST:
            raise NotNow(_("That is another day. Please move the session instead."))
        if shoot.expected_at != expected_at:
            shoot.expected_at = expected_at
            shoot.save(update_fields=["expected_at"])
            words = _("expected at %(time)s") % {"time": local_time(expected_at, shoot.booking.location)}
            note(shoot.booking, "late", words, by=by, now=now)
        return lateness(shoot, expected_at)


def make_shorter(*, shoot_id: int, by: Actor, now: datetime) -> Lateness:
    """Agree on a shorter session: it ends as booked, and the client has that in writing. Raises NotNow."""
    with transaction.atomic():
        shoot = _planned(shoot_id)
        if shoot.expected_at is None:
            raise NotNow(_("Please say first when they will be here."))
        found = lateness(shoot, shoot.expected_at)
        if not found.left:
            raise NotNow(_("Nothing is left of the session then. Please find another time with them."))
        words = _("shorter: %(left)d of %(booked)d minutes") % {"left": found.left, "booked": found.booked}
        note(shoot.booking, "late", words, by=by, now=now)
        messages.tell_everybody(
            "booking_shorter",
            booking=shoot.booking,
            by=by,
            now=now,
            once=_mark(shoot, shoot.expected_at),
            left=found.left,
            booked=found.booked,
        )
        return found


def agreed(shoot: Shoot | None) -> Lateness | None:
    """The shorter session that was agreed for the time somebody late said last: the client has it in writing."""
    if shoot is None or shoot.expected_at is None or shoot.status != ShootStatus.PLANNED:
        return None
    if not Message.objects.filter(once=_mark(shoot, shoot.expected_at)).exists():
        return None
    return lateness(shoot, shoot.expected_at)


def _mark(shoot: Shoot, expected_at: datetime) -> str:
    return f"booking_shorter:{shoot.pk}:{expected_at.timestamp():.0f}"


def _planned(shoot_id: int) -> Shoot:
    booking = Booking.objects.select_for_update(of=("self",)).get(shoots=shoot_id)
    shoot = Shoot.objects.select_related("booking__location", "booking__session_type", "booking__payer").get(
        pk=shoot_id
    )
    if booking.status != BookingStatus.CONFIRMED or shoot.status != ShootStatus.PLANNED:
        raise NotNow(_("They are here already, or the session is over."))
    return shoot
