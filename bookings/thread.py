"""The thread of a booking: what a client asks and what the studio answers, each with a mail to the other side."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from bookings import messages
from bookings.models import Booking, ThreadEntry
from bookings.refusals import DetailsRefused
from studio.actors import Actor, ActorKind

LONGEST = 4000


def ask(*, booking_id: int, text: str, form_token: UUID, by: Actor, now: datetime) -> ThreadEntry:
    """A client writes; the studio is told by mail and sees it on the desk. The same form again is the same entry.

    Raises DetailsRefused.
    """
    return _write(booking_id, text, form_token, by=by, now=now)


def answer(*, booking_id: int, text: str, form_token: UUID, by: Actor, now: datetime) -> ThreadEntry:
    """The studio writes; the payer is told by mail, and what was asked before counts as answered."""
    return _write(booking_id, text, form_token, by=by, now=now)


def settle(*, booking_id: int, now: datetime) -> int:
    """What was asked needs no answer here (it was said on the phone). Returns how many entries that were."""
    return open_entries().filter(booking=booking_id).update(answered_at=now)


def open_entries() -> "QuerySet[ThreadEntry]":
    """What clients asked and nobody dealt with, the oldest first."""
    return ThreadEntry.objects.filter(is_from_client=True, answered_at=None).order_by("written_at", "pk")


def _write(booking_id: int, text: str, form_token: UUID, *, by: Actor, now: datetime) -> ThreadEntry:
    text = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if not text:
        raise DetailsRefused({"text": _("Please write something first.")})
    if len(text) > LONGEST:
        raise DetailsRefused({"text": _("Please write at most 4,000 characters.")})
    if found := ThreadEntry.objects.filter(form_token=form_token).first():
        return found
    is_client = by.kind == ActorKind.CLIENT
    try:
        with transaction.atomic():
            booking = Booking.objects.select_related("payer").get(pk=booking_id)
            entry = ThreadEntry.objects.create(
                booking=booking,
                form_token=form_token,
                text=text,
                is_from_client=is_client,
                client_id=by.id if is_client else None,
                actor_label=by.label,
                written_at=now,
            )
            if is_client:
                _tell_studio(booking, entry, now=now)
            else:
                settle(booking_id=booking_id, now=now)
                _tell_clients(booking, entry, by=by, now=now)
            return entry
    except IntegrityError:  # the other half of a double click
        return ThreadEntry.objects.get(form_token=form_token)


def _tell_studio(booking: Booking, entry: ThreadEntry, *, now: datetime) -> None:
    messages.tell_studio(
        "desk_question", booking=booking, once=f"desk_question:{entry.pk}", now=now, entry=entry
    )


def _tell_clients(booking: Booking, entry: ThreadEntry, *, by: Actor, now: datetime) -> None:
    """Who asked is told, by their own link; the payer where nobody asked."""
    asked = booking.thread.filter(is_from_client=True, client__isnull=False).order_by("-pk").first()
    messages.tell_client(
        "booking_answer",
        booking=booking,
        to=asked.client if asked else booking.payer,
        by=by,
        now=now,
        once=f"booking_answer:{entry.pk}",
        entry=entry,
    )
