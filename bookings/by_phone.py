"""A booking made at the desk for somebody on the phone: the same seats and prices, and the studio's leeway."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import models, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bookings import checkout, holds, lifecycle, messages, payments
from bookings.models import Booking
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus
from studio.actors import Actor, ActorKind

LINK_LASTS = timedelta(hours=24)
BEFORE_SESSION = timedelta(hours=1)


class Paying(models.TextChoices):
    """How somebody on the phone pays."""

    LINK = "link", gettext_lazy("Send a link: the time is held for a day")
    STUDIO = "studio", gettext_lazy("At the studio")
    CASH = "cash", gettext_lazy("Paid now in cash")
    TERMINAL = "terminal", gettext_lazy("Paid now on the card terminal")
    TRANSFER = "transfer", gettext_lazy("Transferred")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is on the phone, and who will be in the picture if that is somebody else."""

    name: str
    email: str
    mobile: str = ""
    firm: str = ""
    sitter_name: str = ""
    sitter_email: str = ""


def book(
    *,
    session_type_id: int,
    location_id: int,
    add_ons: Mapping[int, int],
    starts_at: datetime,
    form_token: UUID,
    caller: Caller,
    paying: Paying | str,
    note: str = "",
    override_reason: str = "",
    by: Actor,
    now: datetime,
) -> Booking:
    """Book for a caller: confirmed when nothing needs to be paid first or it was paid at the desk, else held for a day
    with a mailed link on which they read the conditions and pay.

    The same form again returns the booking it made. Raises NotOffered, SlotTaken, DetailsRefused (nothing is confirmed
    then, and the time stays held for 15 minutes), NotNow.
    """
    if by.kind != ActorKind.USER or paying not in Paying.values:
        raise NotNow(_("Please say how it is paid."))
    booking = holds.place(
        session_type_id=session_type_id,
        location_id=location_id,
        add_ons=add_ons,
        starts_at=starts_at,
        form_token=form_token,
        override_reason=override_reason,
        by=by,
        now=now,
    )
    if booking.status != BookingStatus.HELD or (booking.hold_extended_at is not None and booking.payer_id):
        return booking
    checkout.take_details(
        booking_id=booking.pk,
        name=caller.name,
        email=caller.email,
        mobile=caller.mobile,
        firm=caller.firm,
        sitter_name=caller.sitter_name,
        sitter_email=caller.sitter_email,
        policy_accepted=True,
        by=by,
        now=now,
    )
    Booking.objects.filter(pk=booking.pk).update(staff_note=note.strip()[:2000])
    _settle(booking, Paying(paying), by=by, now=now)
    booking.refresh_from_db()
    return booking


def _settle(booking: Booking, paying: Paying, *, by: Actor, now: datetime) -> None:
    booking.refresh_from_db()
    if paying is Paying.STUDIO or not booking.due_now:
        with transaction.atomic():
            Booking.objects.filter(pk=booking.pk).update(due_now=0, pays_at_studio=True)
            lifecycle.confirm(booking_id=booking.pk, by=by, now=now)
    elif paying is Paying.LINK:
        _send_link(booking, by=by, now=now)
    else:
        payments.record_by_staff(
            booking_id=booking.pk, method=paying.value, amount=booking.due_now, by=by, now=now
        )


def _send_link(booking: Booking, *, by: Actor, now: datetime) -> None:
    """Hold the time for a day (or until an hour before the session) and mail the way to the payment page."""
    until = min(now + LINK_LASTS, booking.starts_at - BEFORE_SESSION)
    with transaction.atomic():
        # The link has the conditions on it: whoever pays accepts them there, not on the phone.
        Booking.objects.filter(pk=booking.pk).update(policy_accepted_at=None)
        held = holds.extend(booking_id=booking.pk, until=until, by=by, now=now)
        messages.tell_client(
            "booking_pay_link", booking=held, by=by, now=now, once=f"booking_pay_link:{booking.pk}"
        )
