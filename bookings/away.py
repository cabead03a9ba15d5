"""When life happens to the studio: somebody is away, a preparation falls out, a day has to be moved.

Each verb is one tap for one client: somebody else does it, come without (its price goes back), another time for free.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import DateField, DateTimeField, Exists, F, Func, OuterRef, Q
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from bookings import another_time, asking, availability, holds, lifecycle, messages
from bookings.charges import reprice
from bookings.ledger import balance
from bookings.models import Booking, BookingAddOn, Claim, Resource, ResourceDay
from bookings.notes import note
from bookings.people import clean
from bookings.refusals import NotNow
from bookings.seating import Slot
from bookings.stand_ins import Gap, gaps, stand_ins
from bookings.statuses import STANDING, BookingStatus, ShootStatus
from bookings.timeline import DAY, instant
from studio.actors import Actor
from studio.happenings import tell
from studio.models import Closure, Location

# The date of a part of a session on the clock of its place: `timezone('America/New_York', works_from)::date`.
LOCAL_DATE = Cast(
    Func(F("booking__location__zone"), F("works_from"), function="timezone", output_field=DateTimeField()),
    DateField(),
)
OFFERED = 4  # times named in the mail; the link shows all


@dataclass(frozen=True, slots=True)
class Affected:
    """A booking that needs somebody who is not there, and what could be done about it."""

    booking: Booking
    claim: Claim
    stand_ins: Sequence[Resource]
    add_on: BookingAddOn | None  # what could be left out
    is_offered: bool  # another time has been offered already


@dataclass(frozen=True, slots=True)
class Absence:
    """A Resource that is away, and its parts in bookings on those days, by time."""

    resource: Resource
    claims: Sequence[Claim]

    @property
    def count(self) -> int:
        """How many bookings wait for a decision."""
        return len({claim.booking_id for claim in self.claims})

    @property
    def first_on(self) -> date:
        """The local date of the first one."""
        return _local_date(self.claims[0])

    @property
    def last_on(self) -> date:
        """The local date of the last one."""
        return _local_date(self.claims[-1])


def _local_date(claim: Claim) -> date:
    return claim.works_from.astimezone(ZoneInfo(claim.booking.location.zone)).date()


def away(
    *,
    resource_id: int,
    first_on: date,
    last_on: date | None = None,
    reason: str = "",
    by: Actor,
    now: datetime,
) -> list[ResourceDay]:
    """A Resource does not work from one date to another (leave, illness, a broken light). The same again adds nothing.

    Bookings stay until somebody decides about each: `affected` lists them. Raises NotNow for a span that ends before
    it begins or is longer than a year.
    """
    last_on = last_on or first_on
    if not first_on <= last_on <= first_on + 366 * DAY:
        raise NotNow(_("The last day must not be before the first, and within a year."))
    with transaction.atomic():
        Resource.objects.select_for_update(of=("self",)).get(pk=resource_id)
        free = set(
            ResourceDay.objects.filter(
                resource=resource_id, on__range=(first_on, last_on), starts_at=None
            ).values_list("on", flat=True)
        )
        days = [first_on + number * DAY for number in range((last_on - first_on).days + 1)]
        return ResourceDay.objects.bulk_create(
            ResourceDay(resource_id=resource_id, on=on, reason=clean(reason)[:120])
            for on in days
            if on not in free
        )


def other_hours(
    *,
    resource_id: int,
    location: Location,
    on: date,
    starts_at: time,
    ends_at: time,
    by: Actor,
    now: datetime,
) -> ResourceDay:
    """Other hours than every week's on one date. The same again adds nothing."""
    with transaction.atomic():
        Resource.objects.select_for_update(of=("self",)).get(pk=resource_id)
        return ResourceDay.objects.get_or_create(
            resource_id=resource_id, location=location, on=on, starts_at=starts_at, ends_at=ends_at
        )[0]


def back(*, resource_id: int, on: date, by: Actor, now: datetime) -> int:
    """The Resource works on that date after all, as every week. Returns how many rows were taken away."""
    return ResourceDay.objects.filter(resource=resource_id, on=on).delete()[0]


def affected(*, resource: Resource, first_on: date, last_on: date, now: datetime) -> list[Affected]:
    """Every booking that needs the Resource on these local dates and has not begun, by time; what is only held as well:
    unless somebody stands in before it is paid, the client chooses again or gets everything back."""
    lives = Q(booking__status__in=STANDING) | Q(
        booking__status=BookingStatus.HELD, booking__hold_expires_at__gt=now
    )
    claims = (
        Claim.objects.filter(
            lives,
            resource=resource,
            is_active=True,
            booking__shoots__status=ShootStatus.PLANNED,
            works_from__range=(now - DAY, instant(ZoneInfo("UTC"), last_on + 2 * DAY, time())),
        )
        .select_related("booking__session_type", "booking__location", "booking__payer", "resource")
        .order_by("works_from", "pk")
        .distinct()
    )
    return [_affected(claim, now=now) for claim in claims if first_on <= _local_date(claim) <= last_on]


def _affected(claim: Claim, *, now: datetime) -> Affected:
    booking = claim.booking
    add_on = None
    if not claim.is_shoot:
        add_on = booking.add_ons.select_related("add_on").filter(add_on__name=claim.purpose).first()
    return Affected(
        booking, claim, stand_ins(claim, now=now), add_on, is_offered=booking.free_change_since is not None
    )


def absences(
    *, now: datetime, where: Q | None = None, booking: Booking | None = None, limit: int = 200
) -> list[Absence]:
    """Who is away on a day they are booked for, and nobody has decided about it yet: by Resource, the soonest first.

    Computed from the rows and never stored. Sessions that have begun, and those whose client was offered another time,
    are left out.
    """
    claims = Claim.objects.filter(
        where or Q(),
        is_active=True,
        works_until__gt=now,
        booking__status__in=STANDING,
        booking__free_change_since=None,
        booking__shoots__status=ShootStatus.PLANNED,
    ).alias(on=LOCAL_DATE)
    if booking is not None:
        claims = claims.filter(booking=booking)
    days = ResourceDay.objects.filter(resource=OuterRef("resource"), on=OuterRef("on"), starts_at=None)
    rows = claims.filter(Exists(days)).select_related("resource", "booking__location").order_by("works_from")
    found: dict[int, list[Claim]] = {}
    for claim in rows.distinct()[:limit]:
        found.setdefault(claim.resource_id, []).append(claim)
    return [Absence(claims[0].resource, claims) for claims in found.values()]


def gaps_of(booking: Booking) -> list[tuple[Gap, BookingAddOn | None]]:
    """The places nobody holds, each with the add-on that could be left out."""
    rows = {row.add_on.name: row for row in booking.add_ons.select_related("add_on")}
    return [(gap, rows.get(gap.purpose)) for gap in gaps(booking)]


# --- come without -------------------------------------------------------------------------------------------


def come_without(*, booking_id: int, add_on_id: int, reason: str = "", by: Actor, now: datetime) -> int:
    """Leave a preparation out: its places are free again, its price goes back, the client comes later.

    Where another time was offered, this is the client's answer: their time stands, and the offer ends. Not where
    something else stands against the time (the day is closed, somebody else is missing): then they may still move for
    free. Returns what is given back, in minor units. Raises NotNow when it is not part of the booking or has begun.
    """
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        row = booking.add_ons.select_related("add_on").filter(add_on=add_on_id).first()
        has_begun = booking.shoots.exclude(status__in=[ShootStatus.PLANNED, ShootStatus.CHECKED_IN]).exists()
        if booking.status not in STANDING or has_begun:
            raise NotNow(_("This session is over, or was cancelled."))
        if row is None or row.starts_at is None:
            raise NotNow(_("That is not a preparation of this session."))
        claims = booking.claims.filter(is_active=True, is_shoot=False, purpose=row.add_on.name)
        people = list(claims.values_list("resource", flat=True))
        claims.update(is_active=False)
        row.delete()
        asking.withdraw(booking, by=by, now=now, resources=people)
        _come_later(booking)
        given_back = _give_back(booking, row, by=by, now=now)
        note(booking, "come_without", f"{row.add_on.name}. {reason}".strip(), by=by, now=now)
        was_offered = _end_offer(booking, now=now)
        _tell_change(
            booking,
            "booking_without",
            by=by,
            now=now,
            left_out=row.add_on,
            refund=given_back,
            was_offered=was_offered,
            may_move=lifecycle.may_move(booking, now=now),
        )
        return given_back


def _end_offer(booking: Booking, *, now: datetime) -> bool:
    """End the offer of another time of a locked booking whose own time can be kept. False where none was open, or the
    time cannot be kept for another reason."""
    if booking.free_change_since is None or gaps(booking) or holds.outside_hours(booking, now=now):
        return False
    booking.free_change_since = None
    booking.save(update_fields=["free_change_since"])
    another_time.settled(booking, now=now)
    return True


def _come_later(booking: Booking) -> None:
    """The client arrives for what is left: the first preparation or the shoot."""
    begins = [row.starts_at for row in booking.add_ons.all() if row.starts_at]
    begins += list(booking.shoots.values_list("starts_at", flat=True))
    booking.starts_at = min(begins)
    booking.ics_sequence += 1
    booking.save(update_fields=["starts_at", "ics_sequence"])


def _give_back(booking: Booking, row: BookingAddOn, *, by: Actor, now: datetime) -> int:
    """The price falls by the add-on's, and what was paid beyond it goes back the way it came."""
    before = balance(booking).refunded
    reason = _("%(name)s falls out") % {"name": row.add_on.name}
    # Booked anew, it can fall out again: the revision of the calendar entry tells one time from the next.
    once = f"without:{booking.pk}:{row.add_on_id}:{booking.ics_sequence}"
    reprice(booking_id=booking.pk, reason=reason, once=once, by=by, now=now)
    booking.refresh_from_db()
    return balance(booking).refunded - before


def _tell_change(booking: Booking, name: str, *, by: Actor, now: datetime, **more: Any) -> None:
    messages.drop_reminders(booking, now=now)
    messages.tell_everybody(
        name,
        booking=booking,
        by=by,
        now=now,
        once=f"{name}:{booking.pk}:{booking.ics_sequence}",
        calendar="REQUEST",
        **more,
    )
    if messages.is_looked_forward_to(booking):
        messages.plan_reminders(booking, now=now)


# --- another time -------------------------------------------------------------------------------------------


def offer_change(*, booking_id: int, reason: str = "", by: Actor, now: datetime) -> bool:
    """The studio needs another time: the client is told, moves for free or cancels with everything back, by link.

    The old time is kept until they answer, of which both sides are reminded (`another_time`). False if it was offered
    before. Raises NotNow.
    """
    booking = Booking.objects.select_related("session_type", "location").get(pk=booking_id)
    times = _times_to_offer(booking, now=now)
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        if booking.status not in STANDING or booking.shoots.exclude(status=ShootStatus.PLANNED).exists():
            raise NotNow(_("Only a standing booking that has not begun can be moved."))
        if booking.free_change_since is not None:
            return False
        booking.free_change_since = now
        booking.save(update_fields=["free_change_since"])
        note(booking, "offer_change", reason, by=by, now=now)
        messages.drop_reminders(booking, now=now)
        messages.tell_client(
            "booking_time_offered",
            booking=booking,
            by=by,
            now=now,
            once=f"booking_time_offered:{booking.pk}:{now.timestamp():.0f}",
            times=[slot.starts_at for slot in times],
            reason=clean(reason)[:300],
        )
        another_time.ask_again(booking, by=by, now=now)
        return True


def _times_to_offer(booking: Booking, *, now: datetime) -> list[Slot]:
    """The first open times after the day that does not work, one a day, as a client could choose them."""
    zone = ZoneInfo(booking.location.zone)
    on = max(booking.starts_at.astimezone(zone).date(), now.astimezone(zone).date())
    found = availability.cast_slots(
        holds.cast_of(booking), first_on=on + DAY, last_on=on + 21 * DAY, now=now, ignoring=booking.pk
    )
    wanted = booking.starts_at.astimezone(zone)
    by_date: dict[date, Slot] = {}
    for slot in found:
        there = slot.starts_at.astimezone(zone)
        best = by_date.get(there.date())

        def apart(one: Slot) -> int:
            clock = one.starts_at.astimezone(zone)
            return abs((clock.hour - wanted.hour) * 60 + clock.minute - wanted.minute)

        if best is None or apart(slot) < apart(best):
            by_date[there.date()] = slot
    return [by_date[on] for on in sorted(by_date)][:OFFERED]


def standing_on(location: Location, on: date) -> list[Booking]:
    """The bookings of a local date at a location that have not begun, by time."""
    zone = ZoneInfo(location.zone)
    rows = Booking.objects.filter(
        location=location,
        status__in=STANDING,
        starts_at__gte=instant(zone, on, time()),
        starts_at__lt=instant(zone, on + DAY, time()),
        shoots__status=ShootStatus.PLANNED,
    )
    return list(rows.select_related("payer", "session_type", "location").order_by("starts_at").distinct())


def move_day(*, location: Location, on: date, reason: str, closes: bool, by: Actor, now: datetime) -> int:
    """Offer everybody of a day another time; with `closes` the day is closed first, so that nobody new comes.

    Returns how many were written to; who was offered a time before is left in peace.
    """
    if closes:
        with transaction.atomic():
            holds.lock_everybody_at(location)
            Closure.objects.update_or_create(
                location=location,
                on=on,
                defaults={"name": clean(reason)[:120] or _("Closed"), "closes_at": None},
            )
            tell("closures_changed", location=location, by=by, now=now)
    return sum(
        offer_change(booking_id=booking.pk, reason=reason, by=by, now=now)
        for booking in standing_on(location, on)
    )
