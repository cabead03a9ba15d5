"""A booking after it is paid or promised: confirm, move, cancel; and its day: check in, complete, no-show.

Each verb is one transaction: status, claims, money owed back, happenings and messages, or nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from bookings import another_time, asking, availability, holds, messages, policy, promising, requesting
from bookings.ledger import balance, refund_booking
from bookings.models import Booking, Claim, Client, Consent, ConsentPurpose, Shoot
from bookings.notes import note
from bookings.people import clean, forget_if_unused, is_a_name, known_client, read_person
from bookings.refusals import DetailsRefused, NoLongerStands, NotNow, NotOffered, OtherAmount, TooLate
from bookings.statuses import STANDING, BookingStatus, ShootStatus
from bookings.timeline import instant
from studio import credentials, outbox
from studio.actors import WORKER, Actor, ActorKind
from studio.currencies import rounded_up
from studio.happenings import tell
from studio.models import Closure, Location, Message, OpeningHours, StatusChange
from studio.templatetags.studio_tags import local, money
from studio.transitions import move

log = logging.getLogger(__name__)
NERVES = ("blink", "smile", "last_time", "camera", "time")
MISSED_TOLD_AFTER = timedelta(minutes=15)  # whoever is only late is checked in by then


@dataclass(frozen=True, slots=True)
class RefundQuote:
    """What would go back if the booking were cancelled now, in minor units, and the sentence that says so."""

    amount: int
    sentence: str
    percent: int = 100


def _locked(booking_id: int) -> Booking:
    return Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)


# --- confirming ---------------------------------------------------------------------------------------------


def confirm(*, booking_id: int, by: Actor, now: datetime, override_reason: str = "") -> bool:
    """Make a held (or requested) booking stand. False if it did already.

    Where the studio confirms by hand, a client's booking becomes a request that keeps its claims until its deadline;
    staff confirm it with the same verb, and what they booked themselves needs no second yes. If meanwhile the studio
    closes at that time, or somebody of it is away, they say why they take it all the same (`override_reason`, on record
    as that of any booking outside the hours).
    Raises NotNow without a Payer, NoLongerStands, MoveRefused when it is over.
    """
    with transaction.atomic():
        booking = _locked(booking_id)
        is_staff = by.kind == ActorKind.USER
        if booking.payer_id is None:
            raise NotNow(_("A booking needs a name and an e-mail address before it is confirmed."))
        if booking.status == BookingStatus.REQUESTED and not is_staff:
            return False
        if (
            booking.session_type.is_confirmed_by_staff
            and booking.status == BookingStatus.HELD
            and not (is_staff or was_booked_by_staff(booking))
        ):
            ask_studio(booking, by=by, now=now)
            return True
        is_asked = booking.status == BookingStatus.REQUESTED
        reason = _reason_to_stand(booking, override_reason, now=now) if is_asked else ""
        moved = move(
            Booking,
            booking_id,
            "confirm",
            by=by,
            now=now,
            reason=reason,
            answer_by=None,
            # The calendar entry of a request is in the client's calendar already: the yes is its next revision.
            ics_sequence=booking.ics_sequence + is_asked,
            override_reason=reason or booking.override_reason,
        )
        if moved is None:
            return False
        requesting.stop_waiting(moved, now=now)
        after_confirming(moved, message="booking_confirmed", by=by, now=now)
        return True


def was_booked_by_staff(booking: Booking) -> bool:
    """Whether the studio chose the time itself, as for somebody on the phone who pays by a link."""
    return StatusChange.objects.filter(
        model=booking._meta.label_lower, object_id=booking.pk, before="", actor_kind=ActorKind.USER
    ).exists()


def _reason_to_stand(booking: Booking, override_reason: str, *, now: datetime) -> str:
    """Why a request is taken outside the hours of this moment; empty where they allow it. Raises NoLongerStands."""
    holds.lock_resources(holds.cast_of(booking))
    against = holds.outside_hours(booking, now=now)
    if against and not override_reason:
        raise NoLongerStands(" ".join(against))
    return override_reason if against else ""


def ask_studio(booking: Booking, *, by: Actor, now: datetime) -> None:
    """Make a locked, seated booking a request that the studio answers."""
    until = requesting.deadline(booking, now=now)
    asked = move(Booking, booking.pk, "request", by=by, now=now, answer_by=until)
    assert asked is not None
    requesting.tell(asked, by=by, now=now)


def after_confirming(booking: Booking, *, message: str, by: Actor, now: datetime) -> None:
    """What a booking that stands sets going: galleries, the confirmation with its .ics, the reminders."""
    tell("booking_confirmed", booking=booking, by=by, now=now)
    if balance(booking).due == 0:
        tell("booking_paid", booking=booking, by=by, now=now)
    messages.tell_client(
        message, booking=booking, by=by, now=now, once=f"{message}:{booking.pk}", calendar="REQUEST"
    )
    for shoot in booking.shoots.select_related("sitter", "booking"):
        _tell_sitter(shoot, by=by, now=now)
    messages.plan_reminders(booking, now=now)
    asking.ask_artists(booking, by=by, now=now)


def decline(*, booking_id: int, by: Actor, now: datetime, reason: str = "") -> bool:
    """The studio cannot take a request: everything paid goes back. False if it was declined before."""
    with transaction.atomic():
        _locked(booking_id)
        booking = move(Booking, booking_id, "decline", by=by, now=now, reason=reason)
        if booking is None:
            return False
        _end(booking, amount=balance(booking).kept, reason=reason, by=by, now=now, by_studio=True)
        return True


def lapse_requests(*, now: datetime) -> int:
    """Let go every request that nobody answered in time: its claims are free, all its money goes back, the client and
    the studio are told. Returns how many. One that fails is left for the next sweep and stops no other.
    """
    due = Booking.objects.filter(status=BookingStatus.REQUESTED, answer_by__lte=now).order_by("answer_by")
    lapsed = 0
    for pk in due.values_list("pk", flat=True)[:200]:
        try:
            lapsed += _lapse(pk, now=now)
        except Exception:
            log.exception("Request %s could not be let go by the sweep", pk)
    return lapsed


def _lapse(booking_id: int, *, now: datetime) -> bool:
    with transaction.atomic():
        booking = _locked(booking_id)
        is_due = booking.answer_by is not None and booking.answer_by <= now
        if booking.status != BookingStatus.REQUESTED or not is_due:  # answered at this very moment
            return False
        lapsed = move(Booking, booking_id, "lapse", by=WORKER, now=now, reason=_("Not answered in time"))
        assert lapsed is not None
        _end(
            lapsed,
            amount=balance(lapsed).kept,
            reason=_("Not confirmed in time"),
            by=WORKER,
            now=now,
            by_studio=True,
            message="booking_request_lapsed",
        )
        messages.tell_studio(
            "desk_request_lapsed", booking=lapsed, once=f"desk_request_lapsed:{booking_id}", now=now
        )
        return True


# --- moving -------------------------------------------------------------------------------------------------


def move_to(
    *,
    booking_id: int,
    starts_at: datetime,
    by: Actor,
    now: datetime,
    reason: str = "",
    override_reason: str = "",
) -> Booking:
    """Give a standing booking another time: all its claims or none, with the same people where they are free. The same
    time again changes nothing.

    A client may do so once, until 48 hours before; staff always. Raises TooLate, NotNow, NotOffered, SlotTaken.
    """
    before = Booking.objects.select_related("session_type", "location").get(pk=booking_id)
    if before.starts_at == starts_at:
        return before
    _check_movable(before, by=by, now=now)
    cast = holds.its_people_first(holds.cast_of(before), before)
    leeway = holds.leeway_of(by, override_reason)
    asked = availability.enquire(cast, starts_at, now=now, leeway=leeway, ignoring=before.pk)
    if broken := asked.rules_broken():
        raise NotOffered(broken[0])
    outlook = promising.outlook_of(before.session_type, before.location, now=now)

    def attempt() -> Booking | None:
        booking = _locked(booking_id)
        if booking.starts_at == starts_at:
            return booking
        _check_movable(booking, by=by, now=now)
        if holds.cast_of(booking).chain != cast.chain:
            raise NotNow(_("Meanwhile something else about this booking has changed. Please look once more."))
        holds.lock_resources(cast)
        holds.expire_due(now=now, resource_ids=cast.resource_ids)
        slot = asked.again().slot()
        if slot is None:
            return None
        Claim.objects.filter(booking=booking, is_active=True).update(is_active=False)
        holds.claim(booking, slot)
        was_at, booking.promise_days = booking.starts_at, promising.days_agreed(outlook, slot)
        _write_times(
            booking, cast, slot, is_clients=by.kind == ActorKind.CLIENT, override_reason=override_reason
        )
        _note_move(booking, was_at, by=by, now=now, reason=reason)
        return booking

    moved = holds.seated(attempt)
    if moved is None:
        holds.refuse(asked.again())
    return moved


def _check_movable(booking: Booking, *, by: Actor, now: datetime) -> None:
    if booking.status not in STANDING:
        raise NotNow(_("Only a standing booking can be moved."))
    if booking.shoots.exclude(status=ShootStatus.PLANNED).exists():
        raise NotNow(_("This session has already begun."))
    if by.kind != ActorKind.USER and _is_asked_for(booking):
        raise NotNow(_("We agree the times of this session with you. Please ask us for another one."))
    if by.kind != ActorKind.USER and not may_move(booking, now=now):
        raise TooLate(
            _("A session can be moved once, until %(hours)d hours before. Please ask us, we will find a way.")
            % {"hours": policy.STANDARD.move_hours}
        )


def may_move(booking: Booking, *, now: datetime) -> bool:
    """Whether the client may move it without asking: by the policy, or because the studio asked for another time.

    Not where the studio confirms by hand and has said yes to this time: another one needs another yes.
    """
    if booking.free_change_since is not None:
        return True
    in_time = policy.may_move(starts_at=booking.starts_at, moved_count=booking.moved_count, at=now)
    return in_time and not _is_asked_for(booking)


def _is_asked_for(booking: Booking) -> bool:
    """Whether another time needs the studio's yes, which it has not asked for itself."""
    is_agreed = booking.session_type.is_confirmed_by_staff and booking.status == BookingStatus.CONFIRMED
    return is_agreed and booking.free_change_since is None


def _write_times(
    booking: Booking,
    cast: availability.Cast,
    slot: availability.Slot,
    *,
    is_clients: bool,
    override_reason: str,
) -> None:
    booking.starts_at, booking.ends_at = slot.starts_at, slot.ends_at
    booking.ics_sequence += 1
    booking.moved_count += is_clients and booking.free_change_since is None
    booking.override_reason, booking.free_change_since = override_reason, None
    booking.save(
        update_fields=[
            "starts_at",
            "ends_at",
            "promise_days",
            "ics_sequence",
            "moved_count",
            "override_reason",
            "free_change_since",
        ]
    )
    booking.shoots.update(starts_at=slot.shoot_starts_at, ends_at=slot.ends_at, expected_at=None)
    for step in cast.chain.steps:
        if step.add_on_id is not None:
            booking.add_ons.filter(add_on=step.add_on_id).update(
                starts_at=step.from_arrival(slot.starts_at), ends_at=step.until(slot.starts_at)
            )


def _note_move(booking: Booking, was_at: datetime, *, by: Actor, now: datetime, reason: str) -> None:
    times = [local(moment, booking.location) for moment in (was_at, booking.starts_at)]
    note(booking, "move_to", f"{times[0]} → {times[1]}. {reason}".strip(), by=by, now=now)
    tell("booking_moved", booking=booking, by=by, now=now)
    another_time.settled(booking, now=now)
    if booking.status == BookingStatus.REQUESTED:
        _ask_again(booking, by=by, now=now)
        return
    messages.drop_reminders(booking, now=now)
    messages.tell_everybody(
        "booking_moved",
        booking=booking,
        by=by,
        now=now,
        once=f"booking_moved:{booking.pk}:{booking.ics_sequence}",
        calendar="REQUEST",
        was_at=was_at,
    )
    messages.plan_reminders(booking, now=now)
    asking.ask_again(booking, by=by, now=now)


def _ask_again(booking: Booking, *, by: Actor, now: datetime) -> None:
    """A request for another time is a request still, with a deadline of its own."""
    booking.answer_by = requesting.deadline(booking, now=now)
    booking.save(update_fields=["answer_by"])
    requesting.tell(booking, by=by, now=now)


# --- cancelling ---------------------------------------------------------------------------------------------


def _may_withdraw(booking: Booking, *, now: datetime) -> bool:
    """Consumer law's days of withdrawal: not for firms, not once the session has begun."""
    ends_at = policy.withdrawal_ends(
        country=booking.location.country,
        agreed_at=booking.confirmed_at or booking.created_at,
        is_consumer=booking.payer is not None and not booking.payer.firm,
    )
    return ends_at is not None and now < min(ends_at, booking.starts_at)


def refund_preview(*, booking: Booking, now: datetime, full_refund: bool = False) -> RefundQuote:
    """What would go back if the booking were cancelled now. `full_refund`: the studio causes it, or waives its fee."""
    kept = balance(booking).kept
    is_the_studios = full_refund or booking.free_change_since is not None
    is_whole = is_the_studios or booking.status == BookingStatus.REQUESTED
    by_policy = 100 if is_whole else policy.refund_percent(starts_at=booking.starts_at, at=now)
    by_law = 100 if _may_withdraw(booking, now=now) else 0
    percent = max(by_policy, by_law)
    amount = min(kept, rounded_up(Decimal(kept * percent) / 100, booking.currency))
    facts = {"back": money(amount, booking.currency), "paid": money(kept, booking.currency)}
    if not kept:
        sentence = _("Nothing has been paid, so nothing is charged.")
    elif by_law > by_policy:
        sentence = _("You booked less than 14 days ago: by law you get everything back, %(back)s.") % facts
    elif percent == 100:
        sentence = _("You get everything back: %(back)s.") % facts
    elif percent:
        sentence = _("You get back %(back)s of the %(paid)s you paid.") % facts
    else:
        sentence = _("It is too late for a refund. If something has happened to you, please write to us.")
    return RefundQuote(amount, sentence, percent)


def cancel(
    *,
    booking_id: int,
    by: Actor,
    now: datetime,
    reason: str = "",
    full_refund: bool = False,
    shown: int | None = None,
) -> RefundQuote:
    """Cancel a standing booking and state the refund. A second time changes nothing and pays nothing.

    `full_refund` is for staff: what the studio causes, or a fee it waives; to waive that of somebody who did not come
    they say why. A client cannot cancel a session that has begun. `shown` is the refund the person saw before they
    pressed. Raises NotNow, and OtherAmount when it would be another by now.
    """
    is_staff = by.kind == ActorKind.USER
    if full_refund and not is_staff:
        raise NotNow(_("Only the studio can waive its policy."))
    with transaction.atomic():
        booking = _locked(booking_id)
        if booking.status == BookingStatus.CANCELLED:
            return RefundQuote(balance(booking).refunded, _("This booking is already cancelled."))
        if booking.status not in STANDING:
            raise NotNow(_("Only a standing booking can be cancelled."))
        was_missed = booking.shoots.filter(status=ShootStatus.NO_SHOW).exists()
        if was_missed and not (full_refund and reason):
            raise NotNow(_("Nobody came, so what was paid stays. To give it back all the same, say why."))
        has_begun = booking.shoots.exclude(status__in=[ShootStatus.PLANNED, ShootStatus.NO_SHOW]).exists()
        if has_begun or (booking.starts_at <= now and not is_staff):
            raise NotNow(_("This session has already begun."))
        quoted = refund_preview(booking=booking, now=now, full_refund=full_refund)
        if shown not in (None, quoted.amount):
            raise OtherAmount(
                _("Meanwhile another amount would go back. Please look once more.")
                if is_staff
                else _("Meanwhile what you would get back has changed. Please look once more.")
            )
        cancelled = move(Booking, booking_id, "cancel", by=by, now=now, reason=reason)
        assert cancelled is not None
        _end(
            cancelled,
            amount=quoted.amount,
            reason=reason,
            by=by,
            now=now,
            by_studio=is_staff and full_refund and not was_missed,
            is_waived=was_missed,
        )
        return quoted


def _end(
    booking: Booking,
    *,
    amount: int,
    reason: str,
    by: Actor,
    now: datetime,
    by_studio: bool,
    is_waived: bool = False,
    message: str = "booking_cancelled",
) -> None:
    """Everything that follows from a booking that will not take place."""
    booking.ics_sequence += 1
    booking.answer_by = None
    booking.save(update_fields=["ics_sequence", "answer_by"])
    holds.let_go([booking.pk], by=by, now=now)
    if amount:
        refund_booking(
            booking,
            amount=amount,
            reason=reason or _("Cancelled"),
            once=f"cancel:{booking.pk}",
            by=by,
            now=now,
        )
    tell("booking_cancelled", booking=booking, by=by, now=now)
    outbox.cancel_messages(about=booking, now=now)
    asking.withdraw(booking, by=by, now=now)  # after it: what it writes to the artists has to go out
    messages.tell_client(
        message,
        booking=booking,
        by=by,
        now=now,
        once=f"{message}:{booking.pk}",
        calendar="CANCEL",
        refund=amount,
        by_studio=by_studio,
        is_waived=is_waived,
    )
    if booking.confirmed_at is not None:  # of a request they were not told
        messages.tell_sitters(
            "booking_sitter_cancelled",
            booking=booking,
            by=by,
            now=now,
            once=f"booking_sitter_cancelled:{booking.pk}",
            calendar="CANCEL",
            by_studio=by_studio,
        )


# --- the day ------------------------------------------------------------------------------------------------


def check_in(*, shoot_id: int, by: Actor, now: datetime) -> bool:
    """The sitter is here. False if that was known. Raises NotNow when the booking does not stand, or before its day."""
    with transaction.atomic():
        booking = _need_confirmed(shoot_id)
        _need_its_day(booking, now=now)
        shoot = move(Shoot, shoot_id, "check_in", by=by, now=now)
        if shoot is not None:
            outbox.cancel_messages(about=booking, now=now, names=["booking_missed"])
            tell("shoot_checked_in", shoot=shoot, by=by, now=now)
        return shoot is not None


def complete(*, shoot_id: int, by: Actor, now: datetime) -> bool:
    """The shoot has ended now; the promise's clock starts. False if that was known. Raises NotNow, also days before."""
    with transaction.atomic():
        _need_its_day(_need_confirmed(shoot_id), now=now)
        shoot = move(Shoot, shoot_id, "complete", by=by, now=now)
        if shoot is not None:
            tell("shoot_completed", shoot=shoot, by=by, now=now)
        return shoot is not None


def no_show(*, shoot_id: int, by: Actor, now: datetime) -> bool:
    """Nobody came: what was paid stays, and nothing more is asked. Not before the booked start. Raises NotNow.

    The client is told a little later, so that checking in meanwhile takes it back unsaid.
    """
    with transaction.atomic():
        booking = _need_confirmed(shoot_id)
        if now < booking.starts_at:
            raise NotNow(_("This session has not begun yet."))
        if move(Shoot, shoot_id, "no_show", by=by, now=now) is None:
            return False
        messages.tell_client(
            "booking_missed",
            booking=booking,
            by=by,
            now=now,
            due_at=now + MISSED_TOLD_AFTER,
            once=f"booking_missed:{booking.pk}",
            kept=balance(booking).kept,
        )
        return True


def _need_confirmed(shoot_id: int) -> Booking:
    booking = Booking.objects.select_for_update(of=("self",)).get(shoots=shoot_id)
    if booking.status != BookingStatus.CONFIRMED:
        raise NotNow(_("This booking is not confirmed."))
    return booking


def has_come(booking: Booking, *, now: datetime) -> bool:
    """Whether the local day of a booking has begun: somebody early may be checked in, next week's sitter may not."""
    zone = ZoneInfo(booking.location.zone)
    return now.astimezone(zone).date() >= booking.starts_at.astimezone(zone).date()


def _need_its_day(booking: Booking, *, now: datetime) -> None:
    """A promise that runs cannot be taken back, so a slip of the finger days before must not start it."""
    if not has_come(booking, now=now):
        when = local(booking.starts_at, booking.location)
        raise NotNow(_("This session is on another day: %(when)s. Nothing was written.") % {"when": when})


def complete_overdue(*, now: datetime) -> int:
    """Complete every shoot that ended by the book and whose button nobody pressed by closing time.

    It counts as ended at its booked end. Not one whose time the studio could not keep, unless somebody checked in. One
    that fails is left for the next sweep and stops no other.
    """
    open_shoots = Shoot.objects.filter(
        status__in=[ShootStatus.PLANNED, ShootStatus.CHECKED_IN],
        booking__status=BookingStatus.CONFIRMED,
        ends_at__lte=now,
    ).exclude(status=ShootStatus.PLANNED, booking__free_change_since__isnull=False)
    completed = 0
    for shoot in open_shoots.select_related("booking__location").order_by("ends_at")[:200]:
        if closing_time(shoot.booking.location, shoot.ends_at) > now:
            continue
        try:
            completed += _complete_by_the_book(shoot, now=now)
        except Exception:
            log.exception("Shoot %s could not be completed by the sweep", shoot.pk)
    return completed


def _complete_by_the_book(shoot: Shoot, *, now: datetime) -> bool:
    with transaction.atomic():
        _need_confirmed(shoot.pk)
        done = move(
            Shoot,
            shoot.pk,
            "complete",
            by=WORKER,
            now=now,
            completed_at=shoot.ends_at,
            was_completed_by_sweep=True,
            reason="",
        )
        if done is not None:
            tell("shoot_completed", shoot=done, by=WORKER, now=now)
        return done is not None


def closing_time(location: Location, moment: datetime) -> datetime:
    """When the location closes on the local date of a moment; a session that ran longer closes the day itself."""
    zone = ZoneInfo(location.zone)
    on = moment.astimezone(zone).date()
    hours = OpeningHours.objects.filter(location=location, weekday=on.weekday())
    closes = max(hours.values_list("closes_at", flat=True), default=location.closes_at)
    early = Closure.objects.filter(location=location, on=on).values_list("closes_at", flat=True).first()
    return max(moment, instant(zone, on, min(closes, early) if early else closes))


# --- what the sitter tells us -------------------------------------------------------------------------------


def set_sitter(
    *,
    shoot_id: int,
    name: str,
    email: str,
    mobile: str = "",
    called: str = "",
    pronounced: str = "",
    pronoun: str = "",
    is_minor: bool = False,
    guardian_name: str = "",
    access_needs: str = "",
    by: Actor,
    now: datetime,
) -> Shoot:
    """Say who is in the picture, what to call them and what they need. Until the shoot has ended.

    Somebody else than the Payer becomes a Client of their own and gets a link of their own. Raises
    DetailsRefused (a sentence per field) and NotNow.
    """
    with transaction.atomic():
        booking = _locked(Shoot.objects.values_list("booking", flat=True).get(pk=shoot_id))
        shoot = Shoot.objects.select_for_update(of=("self",)).select_related("sitter").get(pk=shoot_id)
        if booking.status not in STANDING or shoot.status not in (
            ShootStatus.PLANNED,
            ShootStatus.CHECKED_IN,
        ):
            raise NotNow(_("This session is over."))
        problems: dict[str, str] = {}
        person = read_person(name, email, problems, mobile=mobile, at=booking.location)
        guardian_name = clean(guardian_name)[:150]
        if is_minor and not booking.session_type.allows_minors:
            problems["is_minor"] = _("This session is for adults. Please ask us.")
        elif is_minor and not is_a_name(guardian_name):
            problems["guardian_name"] = _("For somebody under 18 a guardian has to be named in full.")
        if problems:
            raise DetailsRefused(problems)
        before = shoot.sitter
        shoot.sitter = _sitter_row(shoot, booking, person, now=now)
        Client.objects.filter(pk=shoot.sitter.pk).update(
            called=clean(called)[:80], pronounced=clean(pronounced)[:120], pronoun=clean(pronoun)[:40]
        )
        shoot.sitter_is_minor, shoot.guardian_name = is_minor, guardian_name if is_minor else ""
        shoot.access_needs = clean(access_needs)[:300]
        if (
            before != shoot.sitter
        ):  # what one person confided is nobody else's, and their link opens nothing more
            shoot.nerves, shoot.nerves_text = [], ""
            if before is not None and before.pk != booking.payer_id:
                credentials.revoke(scope="booking", target=booking.public_id, holder_id=before.pk, now=now)
        shoot.save(
            update_fields=[
                "sitter",
                "sitter_is_minor",
                "guardian_name",
                "access_needs",
                "nerves",
                "nerves_text",
            ]
        )
        shoot.sitter.refresh_from_db()
        if before != shoot.sitter:
            shoot.booking = booking
            _tell_replaced(shoot, before, by=by, now=now)
            forget_if_unused(before)
            _tell_sitter(shoot, by=by, now=now)
            _remind_sitter(shoot, now=now)
        return shoot


def _sitter_row(shoot: Shoot, booking: Booking, person: dict[str, str], *, now: datetime) -> Client:
    """The Sitter as already known to this booking, or a Client of exactly these details."""
    for known in (shoot.sitter, booking.payer):
        if known and known.name == person["name"] and known.email.lower() == person["email"].lower():
            return known
    return known_client(**person, now=now)


def _tell_sitter(shoot: Shoot, *, by: Actor, now: datetime) -> None:
    """A sitter who is not the Payer gets their own link: consents come only from there."""
    booking = shoot.booking
    if (
        shoot.sitter is None
        or shoot.sitter_id == booking.payer_id
        or booking.status != BookingStatus.CONFIRMED
    ):
        return
    is_apart = messages.address_of(shoot.sitter) != messages.address_of(booking.payer)
    messages.tell_client(
        "booking_sitter",
        booking=booking,
        to=shoot.sitter,
        by=by,
        now=now,
        once=f"booking_sitter:{shoot.pk}:{shoot.sitter_id}:{_times_replaced(shoot, shoot.sitter)}",
        calendar="REQUEST" if is_apart else "",  # the Payer's entry lies in the same calendar already
    )


def _tell_replaced(shoot: Shoot, before: Client | None, *, by: Actor, now: datetime) -> None:
    """Whoever was to be in the picture and is not any more: no reminder, and nothing left in their calendar."""
    booking = shoot.booking
    if before is None or before.pk == booking.payer_id or booking.status != BookingStatus.CONFIRMED:
        return
    messages.drop_reminders(booking, now=now, to=before)
    still_told = (messages.address_of(booking.payer), messages.address_of(shoot.sitter))
    if messages.address_of(before) in still_told:  # a name was corrected
        return
    messages.tell_client(
        "booking_sitter_off",
        booking=booking,
        to=before,
        by=by,
        now=now,
        once=f"booking_sitter_off:{shoot.pk}:{before.pk}:{_times_replaced(shoot, before)}",
        calendar="CANCEL",
        has_link=False,
    )


def _times_replaced(shoot: Shoot, person: Client) -> int:
    """How often this person was taken out of the picture: asked back, they are told anew."""
    return Message.objects.filter(
        name="booking_sitter_off", about_id=shoot.booking_id, client_id=person.pk
    ).count()


def _remind_sitter(shoot: Shoot, *, now: datetime) -> None:
    booking = shoot.booking
    if shoot.sitter in messages.sitters_apart(booking) and messages.is_looked_forward_to(booking):
        messages.plan_reminders(booking, now=now, to=shoot.sitter)


def set_nerves(*, shoot_id: int, chips: Sequence[str], text: str = "", by: Actor, now: datetime) -> Shoot:
    """What makes the sitter nervous, in chips and words; optional and private. Unknown chips are left out."""
    with transaction.atomic():
        booking = _locked(Shoot.objects.values_list("booking", flat=True).get(pk=shoot_id))
        shoot = Shoot.objects.select_for_update(of=("self",)).get(pk=shoot_id)
        if shoot.status not in (ShootStatus.PLANNED, ShootStatus.CHECKED_IN):
            raise NotNow(_("This session is over."))
        shoot.nerves = [chip for chip in NERVES if chip in chips]
        shoot.nerves_text = text.replace("\x00", "").strip()[:2000]
        shoot.save(update_fields=["nerves", "nerves_text"])
        messages.plan_again(booking, now=now)
        return shoot


def answer_consent(
    *, shoot_id: int, purpose: ConsentPurpose | str, is_given: bool, by: Actor, now: datetime
) -> Consent:
    """Write one dated answer of the sitter about one use of the pictures; the latest of a purpose counts.

    Only the sitter's own link may answer: `by` is the sitter. Nothing is published of somebody under 18. The same
    answer again writes nothing new. Raises NotNow.
    """
    if purpose not in ConsentPurpose.values:
        raise NotNow(_("There is no such question."))
    with transaction.atomic():
        shoot = Shoot.objects.select_for_update(of=("self",)).get(pk=shoot_id)
        if by.kind != ActorKind.CLIENT or by.id is None or by.id != shoot.sitter_id:
            raise NotNow(_("Only the person in the picture can answer this, from their own link."))
        if is_given and shoot.sitter_is_minor and purpose != ConsentPurpose.FACE_PROCESSING:
            raise NotNow(_("Pictures of somebody under 18 are not published."))
        latest = shoot.consents.filter(purpose=purpose, sitter=shoot.sitter_id).order_by("-pk").first()
        if latest is not None and latest.is_given == is_given:
            return latest
        return Consent.objects.create(
            shoot=shoot, sitter_id=by.id, purpose=purpose, is_given=is_given, answered_at=now
        )


def consents_of(shoot: Shoot) -> dict[str, bool | None]:
    """The latest answer of the present sitter per purpose; None where nothing was answered."""
    answers: dict[str, bool | None] = dict.fromkeys(ConsentPurpose.values)
    for purpose, is_given in (
        shoot.consents.filter(sitter=shoot.sitter_id).order_by("pk").values_list("purpose", "is_given")
    ):
        answers[purpose] = is_given
    return answers
