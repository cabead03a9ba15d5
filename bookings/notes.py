"""What happened to a booking without a change of its status, kept where its history is read."""

from datetime import datetime

from bookings.models import Booking
from studio.actors import Actor
from studio.models import StatusChange


def note(booking: Booking, verb: str, words: str, *, by: Actor, now: datetime) -> None:
    """Write a line into a booking's history. Its status stays what it is."""
    StatusChange.objects.create(
        model=booking._meta.label_lower,
        object_id=booking.pk,
        verb=verb,
        before=booking.status,
        after=booking.status,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        reason=words[:500],
        at=now,
    )
