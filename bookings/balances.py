"""Asking for what is open: 7 days and 1 day before the session by mail with a card link; then it is due at check-in.

The sweep looks at the rows each minute, so a booking that moved, was paid or cancelled is simply not found. One mail
per step and time of the session; the one of the last day is the day's reminder as well, so that nobody gets two.
"""

from datetime import datetime, timedelta

from django.db import transaction

from bookings import messages
from bookings.ledger import balance
from bookings.models import Booking, PaymentPlan
from bookings.statuses import BookingStatus
from studio.actors import WORKER
from studio.models import Message, MessageStatus
from studio.transitions import move_where

STEPS = (timedelta(days=7), timedelta(days=1))
LEAD = timedelta(hours=1)  # the last step comes just before the day's reminder and takes its place
LATEST = timedelta(hours=20)  # a sweep that was down longer than this asks at the next step


def ask_for_balances(*, now: datetime) -> int:
    """Mail everybody whose balance is open and whose step has come. Returns how many were asked."""
    asked = 0
    for step in STEPS:
        rows = Booking.objects.filter(
            status=BookingStatus.CONFIRMED,
            pays_at_studio=False,
            free_change_since=None,  # nothing is asked for a time that we cannot keep
            price__gt=0,
            starts_at__gt=now + step - LATEST,
            starts_at__lte=now + step + LEAD + timedelta(hours=12),
        ).exclude(session_type__payment_plan=PaymentPlan.AT_STUDIO)
        names = {_once(booking, step): booking for booking in rows.select_related("location")}
        done = set(Message.objects.filter(once__in=names).values_list("once", flat=True))
        for once, booking in names.items():
            if once not in done and _has_come(booking, step, now=now):
                asked += _ask(booking.pk, step, once, now=now)
    return asked


def _once(booking: Booking, step: timedelta) -> str:
    return f"balance_request:{booking.pk}:{booking.ics_sequence}:{step.days}"


def _has_come(booking: Booking, step: timedelta, *, now: datetime) -> bool:
    """Whether the step's moment (never at night) is here, and the confirmation is not still warm."""
    moment = messages.awake(booking.starts_at - step, booking.location) - LEAD
    is_awake = messages.awake(now, booking.location) == now
    since = booking.confirmed_at or booking.created_at
    return is_awake and moment <= now < moment + LATEST and since <= now - messages.APART


def _ask(booking_id: int, step: timedelta, once: str, *, now: datetime) -> bool:
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        due = balance(booking).due
        if booking.status != BookingStatus.CONFIRMED or not due:
            return False
        if step == STEPS[-1]:
            _take_place_of_reminder(booking, now=now)
        message = messages.tell_client(
            "balance_request", booking=booking, now=now, once=once, due=due, is_tomorrow=step == STEPS[-1]
        )
        return message is not None


def _take_place_of_reminder(booking: Booking, *, now: datetime) -> None:
    """The day's reminder says nothing that this mail does not say."""
    reminders = Message.objects.filter(
        about_model=booking._meta.label_lower,
        about_id=booking.pk,
        name__in=messages.REMINDER_NAMES,
        client_id=booking.payer_id,
        status=MessageStatus.QUEUED,
        due_at__range=(now, now + messages.APART),
    )
    move_where(reminders, "cancel", by=WORKER, now=now, reason="The balance request says it")
