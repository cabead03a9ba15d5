"""A reshoot: the session once more, at no price. The pictures of the first one are not waited for any longer."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from bookings import holds, lifecycle
from bookings.models import Booking, BookingAddOn
from bookings.notes import note
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus, ShootStatus
from studio.actors import Actor
from studio.happenings import tell


def reshoot(
    *,
    booking_id: int,
    starts_at: datetime,
    form_token: UUID,
    reason: str,
    with_preparations: bool = True,
    override_reason: str = "",
    by: Actor,
    now: datetime,
) -> Booking:
    """Book the same session again for the same people at price 0, linked to the first; that one's clock ends "reshot".

    Preparations come along unless told otherwise. The same form again returns the booking it made. Raises NotNow for
    a session that has not ended or was repeated before, NotOffered, SlotTaken.
    """
    first = Booking.objects.select_related("session_type", "location", "payer").get(pk=booking_id)
    add_ons = {row.add_on_id: row.count for row in first.add_ons.all()} if with_preparations else {}
    with transaction.atomic():
        Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        again = holds.place(
            session_type_id=first.session_type_id,
            location_id=first.location_id,
            add_ons=add_ons,
            starts_at=starts_at,
            form_token=form_token,
            override_reason=override_reason,
            by=by,
            now=now,
        )
        if again.reshoot_of_id is not None:
            return again
        _check(first)
        BookingAddOn.objects.filter(booking=again).update(price=0)
        again.payer, again.reshoot_of = first.payer, first
        again.session_fee = again.price = again.due_now = again.tax = again.discount = 0
        again.finals_included = first.finals_included
        again.policy_accepted_at = first.policy_accepted_at
        again.save()
        _same_sitter(first, again)
        lifecycle.confirm(booking_id=again.pk, by=by, now=now)
        note(first, "reshoot", reason, by=by, now=now)
        tell("booking_reshot", booking=first, by=by, now=now)
        again.refresh_from_db()
        return again


def _check(first: Booking) -> None:
    if first.status != BookingStatus.CONFIRMED or first.shoots.exclude(status=ShootStatus.COMPLETED).exists():
        raise NotNow(_("Only a session that has taken place is repeated."))
    if first.reshoots.exclude(status__in=[BookingStatus.CANCELLED, BookingStatus.EXPIRED]).exists():
        raise NotNow(_("This session is repeated already."))


def _same_sitter(first: Booking, again: Booking) -> None:
    """Who was in the picture is in it again, with what they need."""
    was, shoot = first.shoots.order_by("pk").get(), again.shoots.get()
    for name in ("sitter", "sitter_is_minor", "guardian_name", "access_needs", "nerves", "nerves_text"):
        setattr(shoot, name, getattr(was, name))
    shoot.save()
