"""What is written to whom about a booking. Each mail carries its own link, which opens this booking only."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.template.loader import render_to_string

from bookings import ics, promising
from bookings.models import Booking, Client
from bookings.statuses import BookingStatus
from bookings.timeline import DAY, instant
from bookings.wording import COACHING
from studio import credentials, outbox
from studio.actors import WORKER, Actor
from studio.models import Channel, Location, Message, MessageStatus, Studio
from studio.transitions import move_where
from studio.wording import worded

# The nearest first: where two would come within twelve hours of each other, the one closer to the session stays.
SEQUENCE = (
    ("booking_reminder", timedelta(hours=24)),
    ("booking_prepare", timedelta(hours=72)),
    ("booking_wear", timedelta(days=7)),
)
TEXT_BEFORE = timedelta(hours=2)
APART = timedelta(hours=12)  # never two mails closer than this
QUIET_FROM, QUIET_UNTIL = time(21), time(8)
REMINDER_NAMES = ("booking_reminder", "booking_prepare", "booking_wear", "text_reminder")


def tell_client(
    name: str,
    *,
    booking: Booking,
    now: datetime,
    by: Actor = WORKER,
    to: Client | None = None,
    once: str | None = None,
    due_at: datetime | None = None,
    calendar: str = "",
    has_link: bool = True,
    **more: Any,
) -> Message | None:
    """Queue a mail about a booking to its Payer (or `to`), with a fresh link (`has_link`: to somebody who is no part
    of it any more goes none); `calendar` attaches the .ics with that method (REQUEST, CANCEL)."""
    to = to or booking.payer
    if to is None or to.erased_at is not None:
        return None
    if once and Message.objects.filter(once=once).exists():
        return None
    if has_link:
        more["link"] = credentials.grant(
            scope="booking", target=booking.public_id, now=now, holder_id=to.pk, holder_label=to.name
        ).url
    return outbox.queue_message(
        name,
        to=to,
        about=booking,
        context=_facts(booking) | {"is_payer": to.pk == booking.payer_id} | more,
        now=now,
        due_at=due_at,
        once=once,
        by=by,
        attachments=_attached(booking, calendar, to=to, now=now) if calendar else (),
    )


def sitters_apart(booking: Booking) -> list[Client]:
    """Who is in the picture and is written to beside the Payer: nobody twice, and no address twice."""
    written = {address_of(booking.payer)}
    found = []
    for shoot in booking.shoots.select_related("sitter").order_by("pk"):
        if shoot.sitter is not None and address_of(shoot.sitter) not in written:
            written.add(address_of(shoot.sitter))
            found.append(shoot.sitter)
    return found


def address_of(client: Client | None) -> str:
    """A mail address as it is compared."""
    return client.email.strip().casefold() if client else ""


def tell_sitters(name: str, *, booking: Booking, now: datetime, once: str, **more: Any) -> None:
    """Queue a mail to everybody in the picture who is not the Payer. It must say nothing of the Payer's money."""
    for person in sitters_apart(booking):
        tell_client(name, booking=booking, to=person, now=now, once=f"{once}:{person.pk}", **more)


def tell_everybody(
    name: str, *, booking: Booking, now: datetime, once: str, refund: int = 0, **more: Any
) -> None:
    """The same mail to the Payer and to everybody in the picture. What goes back is the Payer's to read."""
    tell_client(name, booking=booking, now=now, once=once, refund=refund, **more)
    tell_sitters(name, booking=booking, now=now, once=once, refund=0, **more)


def tell_studio(
    name: str, *, booking: Booking, once: str, now: datetime, due_at: datetime | None = None, **more: Any
) -> Message | None:
    """Queue a mail to the studio itself; it is also read on the desk."""
    studio = Studio.objects.first()
    if studio is None or not studio.email:
        return None
    return outbox.queue_message(
        name, to=studio, about=booking, context=_facts(booking) | more, now=now, due_at=due_at, once=once
    )


def plan_reminders(
    booking: Booking, *, now: datetime, to: Client | None = None, is_told_now: bool = True
) -> None:
    """Queue what prepares and reminds, as far as it still makes sense: a week, three days, a day before, and a text.

    For the Payer and whoever is in the picture (or only for `to`). Never in the quiet hours, never within twelve hours
    of another mail that is planned for that person about this booking or of this moment (a confirmation goes out now;
    `is_told_now` false: none does). Planned again after a move, or when something new was told.
    """
    people = [to] if to else [booking.payer, *sitters_apart(booking)]
    for person in people:
        if person is not None and person.erased_at is None:
            _plan_for(person, booking, now=now, is_told_now=is_told_now)


def _plan_for(person: Client, booking: Booking, *, now: datetime, is_told_now: bool) -> None:
    planned = [now, *planned_for(booking, person)] if is_told_now else planned_for(booking, person)
    mark = f"{booking.pk}:{booking.ics_sequence}:{_revision(booking)}"
    if person.pk != booking.payer_id:
        mark += f":{person.pk}"
    for name, before in SEQUENCE:
        due_at = awake(booking.starts_at - before, booking.location)
        if due_at < now or any(abs(due_at - other) < APART for other in planned):
            continue
        planned.append(due_at)
        tell_client(
            name,
            booking=booking,
            to=person,
            now=now,
            due_at=due_at,
            once=f"{name}:{mark}",
            may_move=before > timedelta(hours=48) and not booking.session_type.is_confirmed_by_staff,
            coaching=coaching_of(booking, person) if name == "booking_prepare" else (),
            has_hair_or_make_up=booking.add_ons.filter(add_on__kind__in=["hair", "make_up"]).exists(),
        )
    due_at = awake(booking.starts_at - TEXT_BEFORE, booking.location)
    is_told_by_payer = (
        person.pk != booking.payer_id and booking.payer and person.mobile == booking.payer.mobile
    )
    if due_at >= now and not is_told_by_payer:
        outbox.queue_text(
            "text_reminder",
            to=person,
            about=booking,
            context=_facts(booking),
            now=now,
            due_at=due_at,
            once=f"text_reminder:{mark}",
        )


def _about(booking: Booking) -> "QuerySet[Message]":
    return Message.objects.filter(about_model=booking._meta.label_lower, about_id=booking.pk)


def _revision(booking: Booking) -> int:
    """How many reminders were taken back so far: what is planned anew is not what was."""
    taken_back = _about(booking).filter(name__in=REMINDER_NAMES, status=MessageStatus.CANCELLED)
    return taken_back.count()


def planned_for(booking: Booking, person: Client | None) -> list[datetime]:
    """When other mails about this booking go out to this person."""
    waiting = _about(booking).filter(
        client_id=person.pk if person else None, channel=Channel.EMAIL, status=MessageStatus.QUEUED
    )
    return list(waiting.values_list("due_at", flat=True))


def plan_again(booking: Booking, *, now: datetime) -> None:
    """Something was told that a planned mail should answer: take back what was not sent and plan it anew."""
    if is_looked_forward_to(booking) and booking.starts_at > now:
        drop_reminders(booking, now=now)
        plan_reminders(booking, now=now, is_told_now=False)


def is_looked_forward_to(booking: Booking) -> bool:
    """Whether it stands and the studio has not asked for another time: none that cannot be kept is reminded of."""
    return booking.status == BookingStatus.CONFIRMED and booking.free_change_since is None


def coaching_of(booking: Booking, person: Client) -> list[str]:
    """How the photographer will help, in the studio's words: one paragraph for each thing that worries the sitter.

    Only what was tapped is answered; what was written is read by the photographer alone and quoted nowhere. Nothing
    is said to anybody but the sitter.
    """
    shoot = booking.shoots.filter(sitter=person).order_by("pk").first()
    if shoot is None:
        return []
    found = []
    for chip in shoot.nerves:
        if chip in COACHING:
            own = worded(f"coaching_{chip}", {})
            found.append((own[1] if own else render_to_string(f"emails/coaching/{chip}.txt")).strip())
    return found


def drop_reminders(booking: Booking, *, now: datetime, to: Client | None = None) -> None:
    """Take back what was not sent yet (to one person only, if named): no reminder of a time that does not hold."""
    reminders = _about(booking).filter(name__in=REMINDER_NAMES)
    move_where(reminders.filter(client_id=to.pk) if to else reminders, "cancel", by=WORKER, now=now)


def awake(moment: datetime, location: Location) -> datetime:
    """The moment itself, or the last hour before the night it falls into (location's clock)."""
    zone = ZoneInfo(location.zone)
    wall = moment.astimezone(zone)
    if QUIET_UNTIL <= wall.time() < QUIET_FROM:
        return moment
    evening = wall.date() if wall.time() >= QUIET_FROM else wall.date() - DAY
    return instant(zone, evening, QUIET_FROM) - timedelta(hours=1)


def _facts(booking: Booking) -> dict[str, Any]:
    return {
        "booking": booking,
        "location": booking.location,
        "session_type": booking.session_type,
        "add_ons": list(booking.add_ons.select_related("add_on").order_by("starts_at", "pk")),
        "shoot": booking.shoots.first(),
        "forecast": promising.forecast_of(booking),
    }


def _attached(booking: Booking, method: str, *, to: Client, now: datetime) -> Sequence[Mapping[str, str]]:
    return [
        {
            "name": "session.ics",
            "type": f"text/calendar; method={method}; charset=utf-8",
            "text": ics.calendar_text(booking, method=method, guest=to, now=now),
        }
    ]
