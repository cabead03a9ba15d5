"""Holds: an unpaid booking keeps its Resources for 15 minutes. All claims of a booking are one transaction.

Nobody is in two places because Resource rows are locked in the order of their ids before availability is asked
again, and because PostgreSQL refuses an overlapping claim whatever the code believed.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NoReturn
from uuid import UUID, uuid5

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from psycopg.errors import DeadlockDetected, ExclusionViolation

from bookings import availability, ledger, promising
from bookings.availability import Cast, Enquiry, Leeway, Slot
from bookings.models import (
    AddOn,
    Booking,
    BookingAddOn,
    Checkout,
    Claim,
    Placement,
    Resource,
    SessionType,
    Shoot,
)
from bookings.policy import HOLD
from bookings.pricing import CannotPayAtStudio, Quote, quote
from bookings.refusals import HoldOver, NotOffered, SlotTaken
from bookings.statuses import BookingStatus, CheckoutStatus
from bookings.taxes import taxes_of
from bookings.timeline import MINUTE
from studio.actors import WORKER, Actor, ActorKind
from studio.background import ring_on_commit
from studio.models import Location, Studio
from studio.transitions import MoveRefused, begin, move, move_where

__all__ = ["HoldOver", "NotOffered", "SlotTaken", "expire_due", "extend", "place", "release"]

log = logging.getLogger(__name__)
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that is misread on a slate
DEADLOCK_TRIES = 3


def place(
    *,
    session_type_id: int,
    location_id: int,
    add_ons: Mapping[int, int],
    starts_at: datetime,
    form_token: UUID,
    pays_at_studio: bool = False,
    override_reason: str = "",
    instead_of: Collection[int] = (),
    by: Actor,
    now: datetime,
) -> Booking:
    """Hold a time for 15 minutes: booking, add-ons, claims and shoot together, or nothing.

    Everything is computed again here; the page only suggested. The same form and choice again return the booking
    they made; another choice from the same form (the back button) is another booking. Staff need no notice; with an
    `override_reason` neither hours nor grid bind them, but claims always do. `instead_of` are other bookings of the
    same browser: those still held are given back in the same step, unless a payment page of theirs may be open; where
    nothing can be held instead they stay.
    Raises NotOffered (a sentence) and SlotTaken (open times nearby).
    """
    once = _token_of(form_token, session_type_id, location_id, add_ons, starts_at)
    while found := Booking.objects.filter(form_token=once).first():
        if not (instead_of and found.status == BookingStatus.CANCELLED and found.confirmed_at is None):
            return found
        once = uuid5(once, "again")  # given back for another time, and now wanted after all
    leeway = leeway_of(by, override_reason)
    cast = _cast(session_type_id=session_type_id, location_id=location_id, add_ons=add_ons)
    studio = studio_now()
    priced = _priced(cast, studio, pays_at_studio=pays_at_studio)
    asked = availability.enquire(cast, starts_at, now=now, leeway=leeway)
    outlook = promising.outlook_of(cast.session_type, cast.location, now=now)
    code = _code()

    def attempt() -> Booking | Enquiry:
        _give_up(instead_of, by=by, now=now)
        lock_resources(cast)
        expire_due(now=now, resource_ids=cast.resource_ids)
        here = asked.again()
        if broken := here.rules_broken():
            raise NotOffered(broken[0])
        slot = here.slot()
        if slot is None:
            if instead_of:
                transaction.set_rollback(True)
            return here
        booking = Booking(
            form_token=once,
            session_type=cast.session_type,
            location=cast.location,
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            hold_expires_at=now + HOLD,
            created_at=now,
            currency=priced.currency,
            session_fee=priced.session_fee,
            price=priced.total,
            due_now=priced.due_now,
            tax=priced.tax,
            tax_percent=priced.tax_percent,
            is_tax_added=priced.is_tax_added,
            finals_included=priced.finals_included,
            promise_days=promising.days_agreed(outlook, slot),
            pays_at_studio=pays_at_studio,
            policy_version=studio.policy_version,
            override_reason=override_reason,
        )
        begin(booking, by=by, now=now)
        _write_add_ons(booking, cast, slot, priced)
        claim(booking, slot)
        shoot = Shoot(booking=booking, code=code, starts_at=slot.shoot_starts_at, ends_at=slot.ends_at)
        begin(shoot, by=by, now=now)
        return booking

    try:
        held = seated(attempt)
    except IntegrityError:
        if (booking := Booking.objects.filter(form_token=once).first()) is None:
            raise
        return booking
    if isinstance(held, Booking):
        return held
    # The other half of a double click may be what took the time.
    if booking := Booking.objects.filter(form_token=once).first():
        return booking
    refuse(held or asked)


def _give_up(booking_ids: Collection[int], *, by: Actor, now: datetime) -> None:
    """Release those of these bookings that are only held and that nobody can be paying for at this moment."""
    if not booking_ids:
        return
    locked = Booking.objects.select_for_update(of=("self",)).filter(
        pk__in=booking_ids, status=BookingStatus.HELD
    )
    mine = list(locked.order_by("pk").values_list("pk", flat=True))
    paying = set(
        Checkout.objects.filter(
            booking__in=mine, status__in=[CheckoutStatus.WANTED, CheckoutStatus.OPEN]
        ).values_list("booking", flat=True)
    )
    for pk in mine:
        if pk not in paying:
            release(booking_id=pk, by=by, now=now)


def extend(*, booking_id: int, until: datetime, by: Actor, now: datetime) -> Booking:
    """Lengthen a hold once, by acting. A second time changes nothing. Raises HoldOver when it has lapsed."""
    with transaction.atomic():
        booking = held(booking_id, now=now)
        if booking.hold_extended_at is None and booking.hold_expires_at and until > booking.hold_expires_at:
            booking.hold_expires_at, booking.hold_extended_at = until, now
            booking.save(update_fields=["hold_expires_at", "hold_extended_at"])
        return booking


def release(*, booking_id: int, by: Actor, now: datetime) -> bool:
    """Give a hold back: the client left. False if it was not held any more."""
    with transaction.atomic():
        try:
            booking = move(Booking, booking_id, "release", by=by, now=now)
        except MoveRefused:
            return False
        if booking is None:
            return False
        let_go([booking_id], by=by, now=now)
    return True


def expire_due(*, now: datetime, resource_ids: Sequence[int] | None = None) -> int:
    """Release every hold that has lapsed (of these Resources only, if named). Returns how many.

    Bookings that somebody is acting on at this moment are left to them and to the next sweep.
    """
    due = Booking.objects.filter(status=BookingStatus.HELD, hold_expires_at__lte=now)
    if resource_ids is not None:
        due = due.filter(
            pk__in=Claim.objects.filter(is_active=True, resource__in=resource_ids).values("booking")
        )
    if not due.exists():
        return 0
    with transaction.atomic():
        expired = move_where(due, "expire", by=WORKER, now=now)
        let_go(expired, by=WORKER, now=now)
    return len(expired)


# --- shared with checkout, payments and lifecycle -------------------------------------------------------------


def held(booking_id: int, *, now: datetime) -> Booking:
    """The booking, locked, if it is still held. Raises HoldOver. Inside a transaction only."""
    booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
    if booking.status != BookingStatus.HELD or (booking.hold_expires_at and booking.hold_expires_at <= now):
        raise HoldOver
    return booking


def still_stands(booking: Booking, *, now: datetime) -> bool:
    """Whether the place is open and everybody works at the booked time, by hours, closures and leave of this moment.

    With the Booking locked; locks its Resources. What staff booked outside the hours stands.
    """
    if booking.override_reason:
        return True
    lock_resources(cast_of(booking))
    return not outside_hours(booking, now=now)


def outside_hours(booking: Booking, *, now: datetime) -> list[str]:
    """For staff: why a booking's time does not stand by the hours, closures and leave of this moment, with names and
    times. Empty when it does, and for what staff booked outside the hours. Who is booked elsewhere is not asked."""
    if booking.override_reason:
        return []
    asked = availability.enquire(
        cast_of(booking), booking.starts_at, now=now, leeway=Leeway.STAFF, ignoring=booking.pk
    )
    claims = booking.claims.filter(is_active=True).order_by("works_from", "pk")
    return asked.outside_hours(
        (booking.starts_at, booking.ends_at),
        list(claims.values_list("resource", "works_from", "works_until")),
    )


def lock_resources(cast: Cast) -> None:
    """Lock everything a cast could use, in the order of ids; with a daily cap the session type before them."""
    if cast.session_type.daily_cap is not None:
        list(SessionType.objects.select_for_update(no_key=True).filter(pk=cast.session_type.pk))
    list(
        Resource.objects.select_for_update(of=("self",))
        .filter(pk__in=cast.resource_ids)
        .order_by("pk")
        .values_list("pk")
    )


def lock_everybody_at(location: Location) -> None:
    """Lock everything that could be booked at a location, in the order of ids, before its days are closed: who is being
    seated there at this moment is seen by whoever closes, and sees the closure otherwise."""
    list(
        Resource.objects.select_for_update(of=("self",))
        .filter(Q(location=location) | Q(location=None))
        .order_by("pk")
        .values_list("pk")
    )


def seated[T](attempt: Callable[[], T]) -> T | None:
    """Run an attempt to seat somebody in one transaction; None when PostgreSQL refused an overlapping claim.

    A deadlock with an edit that took its locks in another order is tried again, never shown.
    """
    for tries_left in reversed(range(DEADLOCK_TRIES)):
        try:
            with transaction.atomic():
                return attempt()
        except IntegrityError as error:
            if isinstance(error.__cause__, ExclusionViolation):
                return None
            raise
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected) or not tries_left:
                raise
            log.warning("Seating met a deadlock, trying again")
    raise AssertionError("unreachable")


def claim(booking: Booking, slot: Slot) -> None:
    """Write one Claim per seat."""
    Claim.objects.bulk_create(
        Claim(
            booking=booking,
            resource_id=seat.resource_id,
            starts_at=seat.starts_at,
            ends_at=seat.ends_at,
            works_from=seat.works_from,
            works_until=seat.works_until,
            purpose=seat.purpose,
            is_shoot=seat.is_shoot,
        )
        for seat in slot.seats
    )


def cast_of(booking: Booking) -> Cast:
    """The cast of a booking as it was made: its own session type and add-ons, even if no longer sold, and as long as
    they were then."""
    own = _add_ons_of(booking)
    return _as_agreed(booking, [(row.add_on, row.count) for row in own], own)


def cast_with(booking: Booking, chosen: Sequence[tuple[AddOn, int]]) -> Cast:
    """The cast of a booking with these add-ons instead; what stays is as long as it was when it was booked."""
    return _as_agreed(booking, chosen, _add_ons_of(booking))


def _add_ons_of(booking: Booking) -> list[BookingAddOn]:
    return list(booking.add_ons.select_related("add_on").order_by("add_on__position", "add_on__name"))


def _as_agreed(booking: Booking, chosen: Sequence[tuple[AddOn, int]], own: Sequence[BookingAddOn]) -> Cast:
    return availability.cast_for(
        session_type=booking.session_type,
        location=booking.location,
        chosen=chosen,
        booked=_agreed_minutes(booking, chosen, own),
    )


def _agreed_minutes(
    booking: Booking, chosen: Sequence[tuple[AddOn, int]], own: Sequence[BookingAddOn]
) -> dict[int | None, int]:
    """How long the session and what prepares for it were agreed to be, whatever is sold today."""
    kept = {(add_on.pk, count) for add_on, count in chosen}
    found: dict[int | None, int] = {
        row.add_on_id: (row.ends_at - row.starts_at) // MINUTE
        for row in own
        if row.starts_at and row.ends_at and (row.add_on_id, row.count) in kept
    }
    shoot = booking.shoots.order_by("pk").first()
    if shoot is not None:
        longer = sum(
            row.add_on.minutes * row.count for row in own if row.add_on.placement == Placement.LENGTHENS
        )
        alone = (shoot.ends_at - shoot.starts_at) // MINUTE - longer
        if alone > 0:  # else an add-on is longer today than all of it was
            found[None] = alone
    return found


def its_people_first(cast: Cast, booking: Booking) -> Cast:
    """The same cast, with those who are in the booking now before everybody else: they stay where they are free."""
    seated = set(booking.claims.filter(is_active=True).values_list("resource", flat=True))
    return replace(cast, players=sorted(cast.players, key=lambda player: player.resource_id not in seated))


def studio_now() -> Studio:
    """The studio, or an unsaved one with the default manners before set-up."""
    return Studio.objects.first() or Studio()


def refuse(asked: Enquiry) -> NoReturn:
    """Say that a time is gone: the studio closed meanwhile, the whole day by its cap, or this time, with open ones
    nearby. `asked` is as under the locks or later."""
    if broken := asked.rules_broken():
        raise NotOffered(broken[0])
    if asked.is_full():
        raise NotOffered(availability.full_sentence())
    raise SlotTaken(asked.nearby())


def leeway_of(by: Actor, override_reason: str) -> Leeway:
    """Staff need no notice; with a reason neither grid nor hours bind them."""
    if by.kind != ActorKind.USER:
        return Leeway.CLIENT
    return Leeway.OVERRIDE if override_reason else Leeway.STAFF


def _token_of(
    form_token: UUID, session_type_id: int, location_id: int, add_ons: Mapping[int, int], starts_at: datetime
) -> UUID:
    """What makes two clicks the same wish: the form and all that was chosen on it."""
    chosen = sorted((pk, count) for pk, count in add_ons.items() if count)
    return uuid5(form_token, f"{session_type_id} {location_id} {chosen} {starts_at.timestamp()}")


def _cast(*, session_type_id: int, location_id: int, add_ons: Mapping[int, int]) -> Cast:
    session_type = SessionType.objects.filter(pk=session_type_id, is_active=True).first()
    if session_type is None:
        raise NotOffered(_("This session is not offered any more."))
    location = Location.objects.filter(pk=location_id, is_active=True, session_types=session_type).first()
    if location is None:
        raise NotOffered(_("This session is not offered at that location."))
    return availability.cast_of(session_type=session_type, location=location, add_ons=add_ons)


def _priced(cast: Cast, studio: Studio, *, pays_at_studio: bool) -> Quote:
    try:
        return quote(
            session_type=cast.session_type,
            location=cast.location,
            add_ons=cast.add_ons,
            pays_at_studio=pays_at_studio,
            studio_currency=studio.currency,
            taxes=taxes_of(cast.location),
        )
    except CannotPayAtStudio as error:
        raise NotOffered(_("This session is paid when booking.")) from error


def _write_add_ons(booking: Booking, cast: Cast, slot: Slot, priced: Quote) -> None:
    rates = {line.add_on_id: line.tax_percent for line in priced.lines}
    times = {step.add_on_id: step for step in cast.chain.steps if step.add_on_id is not None}
    BookingAddOn.objects.bulk_create(
        BookingAddOn(
            booking=booking,
            add_on=add_on,
            count=count,
            price=add_on.price * count,
            tax_percent=rates[add_on.pk],
            payee_percent=add_on.payee_percent,
            starts_at=times[add_on.pk].from_arrival(slot.starts_at) if add_on.pk in times else None,
            ends_at=times[add_on.pk].until(slot.starts_at) if add_on.pk in times else None,
        )
        for add_on, count in cast.add_ons
    )


def let_go(booking_ids: Sequence[int], *, by: Actor, now: datetime) -> None:
    """Free what bookings held: their claims, their shoots, their codes, what was paid so far, their payment pages."""
    from bookings import codes

    if not booking_ids:
        return
    Claim.objects.filter(booking__in=booking_ids, is_active=True).update(is_active=False)
    move_where(Shoot.objects.filter(booking__in=booking_ids), "cancel", by=by, now=now)
    codes.release(booking_ids, now=now)
    ledger.give_back_unmade(booking_ids, now=now)
    _close_pages_on_commit(booking_ids)


def _close_pages_on_commit(booking_ids: Sequence[int]) -> None:
    """Ring for the payment pages of bookings that were let go; the rows themselves say what is to be closed."""
    from bookings.tasks import close_pages

    pages = Checkout.objects.filter(booking__in=booking_ids, status=CheckoutStatus.OPEN)
    if pages.exists():
        ring_on_commit(close_pages)


def _code() -> str:
    while True:
        code = "".join(secrets.choice(CODE_LETTERS) for _letter in range(6))
        if not Shoot.objects.filter(code=code).exists():
            return code
