"""Other add-ons on a booking that stands: re-seated, repriced and told in one transaction, or nothing.

The time before the camera stays if everybody is free for it; only the arrival moves. Whatever is left out can be: a
booking that only gets shorter asks nobody for their time, and may begin at any minute. What was booked keeps the price
of its day, what is new has today's. The difference is due, or goes back, by `charges.reprice`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from bookings import asking, availability, holds, lifecycle, messages, policy
from bookings.charges import reprice
from bookings.ledger import balance
from bookings.models import AddOn, Booking, BookingAddOn, Claim
from bookings.notes import note
from bookings.refusals import NotNow, NotOffered, OtherAmount, SlotTaken, TooLate
from bookings.seating import Chain, Slot
from bookings.statuses import BookingStatus, ShootStatus
from bookings.taxes import taxes_of
from bookings.timeline import MINUTE
from studio.actors import Actor, ActorKind
from studio.happenings import tell

Chosen = Sequence[tuple[AddOn, int]]


@dataclass(frozen=True, slots=True)
class Change:
    """What other add-ons make of a booking, in minor units: its new price, what is open then, what goes back."""

    starts_at: datetime
    shoot_starts_at: datetime
    price_before: int
    price: int
    due: int
    back: int

    @property
    def difference(self) -> int:
        """By how much the price rises (or falls: negative)."""
        return self.price - self.price_before


def preview(
    *,
    booking_id: int,
    add_ons: Mapping[int, int],
    starts_at: datetime | None = None,
    by: Actor,
    now: datetime,
) -> Change:
    """What `change_add_ons` would do now: the change itself, taken back. Raises the same."""
    with transaction.atomic():
        found = change_add_ons(booking_id=booking_id, add_ons=add_ons, starts_at=starts_at, by=by, now=now)
        transaction.set_rollback(True)
    return found


def change_add_ons(
    *,
    booking_id: int,
    add_ons: Mapping[int, int],
    starts_at: datetime | None = None,
    shown: tuple[int, int] | None = None,
    by: Actor,
    now: datetime,
) -> Change:
    """Give a confirmed booking these add-ons (primary key → count) instead of its own. The same again changes nothing.

    `starts_at` is another arrival the client chose where the old time cannot be kept; it counts as the move it is.
    `shown` is the price and what goes back, as the person saw them before they pressed. A client may change until
    48 hours before. Raises NotNow, TooLate, NotOffered, OtherAmount when it would cost something else by now, and
    SlotTaken with times that fit.
    """
    before = Booking.objects.select_related("session_type", "location").get(pk=booking_id)
    check_changeable(before, by=by, now=now)
    chosen = _chosen(before, add_ons)
    cast = holds.its_people_first(holds.cast_with(before, chosen), before)
    shoot = before.shoots.earliest("pk")
    wanted = starts_at or shoot.starts_at - cast.chain.shoot_begins * MINUTE
    was = holds.cast_of(before).chain
    keeps_seats = _keeps_seats(before, was, cast.chain, wanted)
    asked = availability.enquire(cast, wanted, now=now, leeway=holds.leeway_of(by, ""), ignoring=before.pk)
    if starts_at is None and _is_less(before, chosen):
        asked = replace(
            asked, is_any_minute=True
        )  # nobody chose it: it is where the rest of the booking begins
    if not keeps_seats and (broken := asked.rules_broken()):
        if starts_at is not None:
            raise NotOffered(broken[0])
        raise SlotTaken(asked.nearby(), _cannot_keep())

    def attempt() -> Change | None:
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        check_changeable(booking, by=by, now=now)
        if _same(booking, chosen) and wanted == booking.starts_at:
            return _found(booking, price_before=booking.price, back_before=balance(booking).refunded)
        if booking.starts_at != before.starts_at or holds.cast_of(booking).chain != was:
            raise NotNow(_("Meanwhile something else about this booking has changed. Please look once more."))
        slot = None
        if not keeps_seats:
            holds.lock_resources(cast)
            holds.expire_due(now=now, resource_ids=cast.resource_ids)
            slot = asked.again().slot()
            if slot is None:
                return None
        found = _write(booking, cast, chosen, slot, was=was, by=by, now=now)
        if shown not in (None, (found.price, found.back)):
            raise OtherAmount(_("Meanwhile the price of this has changed. Please look once more."))
        return found

    changed = holds.seated(attempt)
    if changed is None:
        raise SlotTaken(asked.again().nearby(), _cannot_keep())
    return changed


def _cannot_keep() -> str:
    return _("With that, your session cannot keep its time. These times fit.")


def may_change(booking: Booking, *, now: datetime) -> bool:
    """Whether the client may change add-ons without asking."""
    is_early = booking.starts_at - now >= policy.STANDARD.move_hours * 60 * MINUTE
    return booking.status == BookingStatus.CONFIRMED and (is_early or booking.free_change_since is not None)


def check_changeable(booking: Booking, *, by: Actor, now: datetime) -> None:
    """Raises NotNow for a booking that does not stand or has begun, TooLate after a client's cut-off."""
    if booking.status != BookingStatus.CONFIRMED:
        raise NotNow(_("Only a confirmed booking can be changed."))
    if booking.starts_at <= now or booking.shoots.exclude(status=ShootStatus.PLANNED).exists():
        raise NotNow(_("This session has already begun."))
    if by.kind == ActorKind.CLIENT and not may_change(booking, now=now):
        raise TooLate(
            _("Add-ons can be changed until %(hours)d hours before. Please ask us, we will find a way.")
            % {"hours": policy.STANDARD.move_hours}
        )


def _chosen(booking: Booking, add_ons: Mapping[int, int]) -> Chosen:
    """What is booked already may stay, sold or not; the rest must be on offer. Raises NotOffered."""
    own = {row.add_on_id: row for row in booking.add_ons.select_related("add_on")}
    kept = [(row.add_on, row.count) for pk, row in own.items() if add_ons.get(pk, 0) == row.count]
    fresh = {pk: count for pk, count in add_ons.items() if pk not in {row.pk for row, _count in kept}}
    found = [*kept, *availability.chosen_add_ons(booking.session_type, fresh)]
    return sorted(found, key=lambda pair: (pair[0].position, pair[0].name))


def _same(booking: Booking, chosen: Chosen) -> bool:
    own = dict(booking.add_ons.values_list("add_on", "count"))
    return own == {add_on.pk: count for add_on, count in chosen}


def _is_less(booking: Booking, chosen: Chosen) -> bool:
    own = dict(booking.add_ons.values_list("add_on", "count"))
    return all(count <= own.get(add_on.pk, 0) for add_on, count in chosen)


def _keeps_seats(booking: Booking, was: Chain, chain: Chain, arrives_at: datetime) -> bool:
    """Whether everybody who is still needed keeps their seat: each step begins when it did, with the same people, and
    ends no later. What closed or who went away since then does not matter to a booking that only gets shorter.
    """
    before = {(step.purpose, step.is_shoot): step for step in was.steps}
    seats = booking.claims.filter(is_active=True).values_list("purpose", "is_shoot")
    if len(before) < len(was.steps) or not set(seats) <= before.keys():  # a name of two, or of another day
        return False
    return all(
        (old := before.get((step.purpose, step.is_shoot))) is not None
        and step.needs == old.needs
        and step.from_arrival(arrives_at) == old.from_arrival(booking.starts_at)
        and step.minutes <= old.minutes
        for step in chain.steps
    )


def _shorten(booking: Booking, was: Chain, chain: Chain, *, by: Actor, now: datetime) -> None:
    """Free the seats of steps that are gone and the end of those that became shorter; the others stay as they are."""
    steps = {(step.purpose, step.is_shoot): step for step in chain.steps}
    freed: set[int] = set()
    for old in was.steps:
        claims = booking.claims.filter(is_active=True, purpose=old.purpose, is_shoot=old.is_shoot)
        new = steps.get((old.purpose, old.is_shoot))
        if new is None:
            freed |= set(claims.values_list("resource", flat=True))
            claims.update(is_active=False)
        elif less := (old.minutes - new.minutes) * MINUTE:
            claims.update(ends_at=F("ends_at") - less, works_until=F("works_until") - less)
    freed -= set(booking.claims.filter(is_active=True).values_list("resource", flat=True))
    asking.withdraw(booking, by=by, now=now, resources=freed)


def _write(
    booking: Booking,
    cast: availability.Cast,
    chosen: Chosen,
    slot: Slot | None,
    *,
    was: Chain,
    by: Actor,
    now: datetime,
) -> Change:
    """Rows, claims, times, price, history and mail of a locked booking. `slot` None: whoever stays keeps their seat."""
    price_before, back_before = booking.price, balance(booking).refunded
    finals_before = booking.finals_included
    arrival_before, end_before = booking.starts_at, booking.ends_at
    shoot = booking.shoots.earliest("pk")
    arrives_at = slot.starts_at if slot else shoot.starts_at - cast.chain.shoot_begins * MINUTE
    is_move = slot is not None and slot.shoot_starts_at != shoot.starts_at
    if is_move and by.kind == ActorKind.CLIENT and not lifecycle.may_move(booking, now=now):
        raise TooLate(_("The time itself can be moved once. Please ask us, we will find a way."))
    words = _write_rows(booking, cast, chosen, arrives_at)
    if slot is not None:
        Claim.objects.filter(booking=booking, is_active=True).update(is_active=False)
        holds.claim(booking, slot)
        booking.starts_at, booking.ends_at = slot.starts_at, slot.ends_at
        booking.shoots.update(starts_at=slot.shoot_starts_at, ends_at=slot.ends_at, expected_at=None)
    else:
        _shorten(booking, was, cast.chain, by=by, now=now)
        booking.starts_at, booking.ends_at = arrives_at, arrives_at + cast.chain.minutes * MINUTE
        booking.shoots.update(ends_at=booking.ends_at)
    booking.ics_sequence += 1
    booking.moved_count += is_move and by.kind == ActorKind.CLIENT
    booking.finals_included = booking.session_type.finals_included + sum(
        add_on.finals * count for add_on, count in chosen
    )
    booking.save(update_fields=["starts_at", "ends_at", "ics_sequence", "moved_count", "finals_included"])
    reprice(
        booking_id=booking.pk,
        reason=_("Other add-ons"),
        once=f"add_ons:{booking.pk}:{booking.ics_sequence}",
        by=by,
        now=now,
    )
    booking.refresh_from_db()
    note(booking, "change_add_ons", words, by=by, now=now)
    finals = booking.finals_included - finals_before
    tell("booking_changed", booking=booking, finals=finals, by=by, now=now)
    if booking.starts_at != arrival_before:
        tell("booking_moved", booking=booking, by=by, now=now)
    is_to_be_reminded = booking.starts_at != arrival_before or messages.is_looked_forward_to(booking)
    if is_to_be_reminded:  # what is planned names time, add-ons and price as they were
        messages.drop_reminders(booking, now=now)
    found = _found(booking, price_before=price_before, back_before=back_before)
    messages.tell_client(
        "booking_changed",
        booking=booking,
        by=by,
        now=now,
        once=f"booking_changed:{booking.pk}:{booking.ics_sequence}",
        calendar="REQUEST",
        due=found.due,
        back=found.back,
    )
    if (booking.starts_at, booking.ends_at) != (arrival_before, end_before):
        messages.tell_sitters(
            "booking_moved",
            booking=booking,
            by=by,
            now=now,
            once=f"booking_moved:{booking.pk}:{booking.ics_sequence}",
            calendar="REQUEST",
            was_at=arrival_before,
        )
    if is_to_be_reminded:
        messages.plan_reminders(booking, now=now)
    if slot is not None:
        asking.ask_again(booking, by=by, now=now)
    return found


def _found(booking: Booking, *, price_before: int, back_before: int) -> Change:
    money = balance(booking)
    return Change(
        starts_at=booking.starts_at,
        shoot_starts_at=booking.shoots.earliest("pk").starts_at,
        price_before=price_before,
        price=booking.price,
        due=money.due,
        back=money.refunded - back_before,
    )


def _write_rows(booking: Booking, cast: availability.Cast, chosen: Chosen, arrives_at: datetime) -> str:
    """The add-on rows as chosen; what stays keeps its price. Returns what changed, for the history."""
    taxes = taxes_of(booking.location)
    own = {row.add_on_id: row for row in booking.add_ons.select_related("add_on")}
    wanted = {add_on.pk: (add_on, count) for add_on, count in chosen}
    times = {step.add_on_id: step for step in cast.chain.steps if step.add_on_id is not None}
    words = [f"− {row.add_on.name}" for pk, row in own.items() if pk not in wanted]
    booking.add_ons.exclude(add_on__in=wanted).delete()
    for pk, (add_on, count) in wanted.items():
        row, step = own.get(pk), times.get(pk)
        if row is None or row.count != count:
            words.append(f"+ {add_on.name}" + (f" × {count}" if count > 1 else ""))
        row = row or BookingAddOn(
            booking=booking,
            add_on=add_on,
            tax_percent=taxes.of_add_on(pk),
            payee_percent=add_on.payee_percent,
            count=0,
            price=0,
        )
        row.price += (count - row.count) * add_on.price if count > row.count else 0
        if count < row.count:
            row.price = row.price * count // row.count
        row.count = count
        row.starts_at = step.from_arrival(arrives_at) if step else None
        row.ends_at = step.until(arrives_at) if step else None
        row.save()
    return ", ".join(words)
