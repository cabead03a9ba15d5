"""The waiting list: who waits for which days, and whose turn it is when a time frees up.

An offer is a held booking with its own expiry, so the time it names belongs to that client and to nobody else until
they take it, pass it on or let it lapse; then it is the next one's. Offers are made by a sweep that looks at what is
free now, not by an event that could be missed: after an outage one run catches up. Never at night.

Lock order: Booking, Resources, WaitingPlace, WaitingOffer. Whoever acts on a standing offer locks its Booking first;
who holds another Booking already (`booked`) does not wait for it, and leaves the place to the sweep.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from bookings import availability, holds
from bookings.models import Booking, Client, SessionType, WaitingOffer, WaitingPlace
from bookings.people import known_client, known_zone, read_person
from bookings.policy import HOLD
from bookings.refusals import DetailsRefused, HoldOver, NotNow, NotOffered, SlotTaken
from bookings.seating import Slot
from bookings.statuses import BookingStatus, OfferStatus, WaitingStatus
from studio import credentials, outbox
from studio.actors import WORKER, Actor
from studio.models import Location
from studio.transitions import HasStatus, MoveRefused, begin, move

log = logging.getLogger(__name__)

LONG, SHORT, SOON = timedelta(hours=2), timedelta(minutes=30), timedelta(hours=24)
DAY_BEGINS, DAY_ENDS = time(8), time(21)
LONGEST_WAIT = timedelta(days=180)
SILENT_OFFERS = 3  # as many unanswered offers in a row end a place: an absent person must not stop the line
LIVE = (WaitingStatus.WAITING, WaitingStatus.OFFERED)
STANDING_OFFER = (OfferStatus.OPEN, OfferStatus.TAKEN)
UNDECIDED = (BookingStatus.HELD, BookingStatus.REQUESTED)


# --- joining and leaving ------------------------------------------------------------------------------------


def join(
    *,
    session_type_id: int,
    location_id: int,
    add_ons: Mapping[int, int],
    first_on: date,
    last_on: date,
    name: str,
    email: str,
    mobile: str = "",
    zone: str = "",
    form_token: UUID,
    by: Actor,
    now: datetime,
) -> WaitingPlace:
    """Take a place in the line; a mail with its link goes out. The same form or wish again is the same place.

    Raises NotOffered (a foreign session, location or add-on) and DetailsRefused (a sentence per field).
    """
    if found := WaitingPlace.objects.filter(form_token=form_token).first():
        return found
    session_type, location = _what(session_type_id, location_id)
    availability.chosen_add_ons(session_type, add_ons)
    problems: dict[str, str] = {}
    person = read_person(name, email, problems, mobile=mobile, at=location)
    first_on = max(first_on, now.astimezone(ZoneInfo(location.zone)).date())
    if last_on < first_on:
        problems["last_on"] = _("The last day lies before the first, or has passed.")
    elif last_on - first_on > LONGEST_WAIT:
        problems["last_on"] = _("Please wait for at most half a year.")
    if problems:
        raise DetailsRefused(problems)
    wish = {
        "session_type": session_type,
        "location": location,
        "add_ons": {str(pk): count for pk, count in sorted(add_ons.items()) if count},
        "first_on": first_on,
        "last_on": last_on,
    }
    try:
        with transaction.atomic():
            client = known_client(**person, zone=known_zone(zone), now=now)
            same = WaitingPlace.objects.filter(client=client, status__in=LIVE, **wish).first()
            if same is not None:
                return same
            place = begin(
                WaitingPlace(client=client, form_token=form_token, created_at=now, **wish), by=by, now=now
            )
            _write("waiting_joined", place, once=f"waiting_joined:{place.pk}", now=now)
            ring_offers()
    except IntegrityError:  # the other half of a double click
        return WaitingPlace.objects.get(form_token=form_token)
    return place


def _what(session_type_id: int, location_id: int) -> tuple[SessionType, Location]:
    session_type = SessionType.objects.filter(pk=session_type_id, is_active=True).first()
    if session_type is None:
        raise NotOffered(_("This session is not offered any more."))
    location = Location.objects.filter(pk=location_id, is_active=True, session_types=session_type).first()
    if location is None:
        raise NotOffered(_("This session is not offered at that location."))
    return session_type, location


def leave(*, place_id: int, by: Actor, now: datetime) -> bool:
    """Give the place up; a time that is offered to it is free again. False if it had ended before."""
    for _try in range(3):  # an offer made between looking and locking is looked at once more
        with transaction.atomic():
            locked = _locked(place_id)
            if locked is None:
                continue
            place, offer = locked
            if place.status not in LIVE:
                return False
            move(WaitingPlace, place_id, "leave", by=by, now=now)
            if offer is not None:
                _end_offer(offer, "decline", by=by, now=now)
            outbox.cancel_messages(about=place, now=now, by=by)
            return True
    raise NotNow(_("Somebody is changing this at the same moment. Please try again."))


def _locked(place_id: int, *, is_waiting: bool = True) -> tuple[WaitingPlace, WaitingOffer | None] | None:
    """A place and its standing offer, with the offered Booking and then the place locked.

    None when the offer came or went between looking and locking, or, unless one waits, when somebody acts on them.
    """
    offer = WaitingOffer.objects.filter(place=place_id, status__in=STANDING_OFFER).first()
    if offer is not None and _lock(Booking, offer.booking_id, is_waiting=is_waiting) is None:
        return None
    place = _lock(WaitingPlace, place_id, is_waiting=is_waiting)
    if place is None:
        return None
    is_as_seen = offer == WaitingOffer.objects.filter(place=place_id, status__in=STANDING_OFFER).first()
    return (place, offer) if is_as_seen else None


def _lock[M: HasStatus](model: type[M], pk: int, *, is_waiting: bool) -> M | None:
    rows = model._default_manager.select_for_update(of=("self",), skip_locked=not is_waiting)
    return rows.filter(pk=pk).first()


# --- offering -----------------------------------------------------------------------------------------------


def offer_next(*, now: datetime) -> WaitingOffer | None:
    """Offer one free time to the first place in the line that it suits; None when nothing can be offered now."""
    return next(_offers(now=now), None)


def offer_due(*, now: datetime, limit: int = 50) -> int:
    """Offer what is free, in the order of the line, one time to each place. Returns how many were made."""
    made = 0
    for _offer in _offers(now=now):
        made += 1
        if made >= limit:
            break
    return made


def _offers(*, now: datetime) -> Iterator[WaitingOffer]:
    """Each offer as it is made. What is free is asked once per wish; `holds.place` asks again under its locks."""
    free: dict[Any, list[Slot]] = {}
    line = WaitingPlace.objects.filter(status=WaitingStatus.WAITING).order_by("created_at", "pk")
    for place in line.select_related("session_type", "location", "client"):
        if not _is_day(place.location, now, SHORT):
            continue
        wish = (place.session_type_id, place.location_id, tuple(sorted(place.add_ons.items())))
        if wish not in free:
            free[wish] = _free(place, now=now)
        try:
            offer = _offer_to(place, free[wish], now=now)
        except Exception:
            log.exception("Waiting place %s could not be offered anything", place.pk)
            continue
        if offer is not None:
            free = {}  # a time less, perhaps for other wishes too
            yield offer


def _free(place: WaitingPlace, *, now: datetime) -> list[Slot]:
    today = now.astimezone(ZoneInfo(place.location.zone)).date()
    try:
        return availability.slots(
            session_type=place.session_type,
            location=place.location,
            add_ons=add_ons_of(place),
            first_on=today,
            last_on=today + LONGEST_WAIT,
            now=now,
        )
    except NotOffered:
        return []


def _offer_to(place: WaitingPlace, slots: list[Slot], *, now: datetime) -> WaitingOffer | None:
    zone = ZoneInfo(place.location.zone)
    offered = set(place.offers.values_list("starts_at", flat=True))
    for slot in slots:
        fits = place.first_on <= slot.starts_at.astimezone(zone).date() <= place.last_on
        length = SHORT if slot.starts_at - now <= SOON else LONG
        if not fits or slot.starts_at in offered or not _is_day(place.location, now, length):
            continue
        try:
            return _hold_for(place, slot.starts_at, until=now + length, now=now)
        except (SlotTaken, NotOffered):
            continue
        except _NotWaiting:
            return None
    return None


class _NotWaiting(Exception):
    """Somebody else is serving this place, or it has left."""


@transaction.atomic
def _hold_for(place: WaitingPlace, starts_at: datetime, *, until: datetime, now: datetime) -> WaitingOffer:
    """Claims, offer and mail together, or nothing. The place is locked last; if it is not waiting, all is undone."""
    booking = holds.place(
        session_type_id=place.session_type_id,
        location_id=place.location_id,
        add_ons=add_ons_of(place),
        starts_at=starts_at,
        form_token=uuid5(place.form_token, starts_at.isoformat()),
        by=WORKER,
        now=now,
    )
    waiting = WaitingPlace.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        pk=place.pk, status=WaitingStatus.WAITING
    )
    if not waiting.exists():
        raise _NotWaiting
    Booking.objects.filter(pk=booking.pk).update(hold_expires_at=until, payer=place.client_id)
    booking.shoots.update(sitter=place.client_id)
    move(WaitingPlace, place.pk, "offer", by=WORKER, now=now)
    offer = begin(
        WaitingOffer(
            place=place, booking_id=booking.pk, starts_at=starts_at, created_at=now, expires_at=until
        ),
        by=WORKER,
        now=now,
    )
    _write(
        "waiting_offer",
        place,
        once=f"waiting_offer:{offer.pk}",
        now=now,
        booking=booking,
        starts_at=starts_at,
        until=until,
    )
    return offer


def _is_day(location: Location, moment: datetime, length: timedelta) -> bool:
    """Whether an offer of this length lies between 8 and 21 o'clock of one day at the location."""
    zone = ZoneInfo(location.zone)
    begins, ends = moment.astimezone(zone), (moment + length).astimezone(zone)
    return begins.date() == ends.date() and begins.time() >= DAY_BEGINS and ends.time() <= DAY_ENDS


def add_ons_of(place: WaitingPlace) -> dict[int, int]:
    """The add-ons of a wish, by primary key (JSON keeps keys as text)."""
    return {int(pk): int(count) for pk, count in place.add_ons.items()}


# --- answering ----------------------------------------------------------------------------------------------


def take(*, offer_id: int, by: Actor, now: datetime) -> Booking:
    """Go on with an offered time: from here it is an ordinary hold, with at least its 15 minutes. Raises HoldOver."""
    with transaction.atomic():
        offer = WaitingOffer.objects.get(pk=offer_id)
        booking = holds.held(offer.booking_id, now=now)
        try:
            taken = move(WaitingOffer, offer_id, "take", by=by, now=now)
        except MoveRefused as refused:
            raise HoldOver from refused
        if taken is not None and booking.hold_expires_at and booking.hold_expires_at < now + HOLD:
            booking.hold_expires_at = now + HOLD
            booking.save(update_fields=["hold_expires_at"])
        return booking


def pass_on(*, offer_id: int, by: Actor, now: datetime) -> bool:
    """Leave an offered time to the next and wait for another. False if the offer had ended before."""
    with transaction.atomic():
        offer = WaitingOffer.objects.get(pk=offer_id)
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=offer.booking_id)
        offer.refresh_from_db()
        if offer.status not in STANDING_OFFER or booking.status != BookingStatus.HELD:
            return False
        move(WaitingPlace, offer.place_id, "wait_on", by=by, now=now)
        _end_offer(offer, "decline", by=by, now=now)
        return True


def _end_offer(offer: WaitingOffer, verb: str, *, by: Actor, now: datetime) -> None:
    """End a standing offer whose Booking and place are locked; what it held is free again."""
    move(WaitingOffer, offer.pk, verb, by=by, now=now)
    holds.release(booking_id=offer.booking_id, by=by, now=now)
    outbox.cancel_messages(about=offer.place, now=now, names=["waiting_offer"], by=by)
    ring_offers()


# --- following the bookings ---------------------------------------------------------------------------------


def lapse_due(*, now: datetime) -> int:
    """Settle every offer whose hold has ended: lapsed, given back, or booked. Returns how many.

    The holds themselves are expired by `holds.expire_due`; what became of the booking decides. One that waits for the
    studio's yes is not decided: if it is a no, the place must still be there.
    """
    ended = WaitingOffer.objects.filter(status__in=STANDING_OFFER).exclude(booking__status__in=UNDECIDED)
    settled = 0
    for pk, booking_id in list(ended.order_by("pk").values_list("pk", "booking")):
        with transaction.atomic():
            booking = (
                Booking.objects.select_for_update(skip_locked=True, of=("self",))
                .filter(pk=booking_id)
                .first()
            )
            if booking is not None:
                settled += _settle(WaitingOffer.objects.get(pk=pk), booking, now=now)
    return settled


def _settle(offer: WaitingOffer, booking: Booking, *, now: datetime) -> bool:
    if offer.status not in STANDING_OFFER:
        return False
    if booking.status in UNDECIDED:
        return False
    if booking.status == BookingStatus.CONFIRMED:
        move(WaitingPlace, offer.place_id, "book", by=WORKER, now=now)
        move(WaitingOffer, offer.pk, "book", by=WORKER, now=now)
        return True
    place = move(WaitingPlace, offer.place_id, "wait_on", by=WORKER, now=now)
    move(WaitingOffer, offer.pk, "lapse", by=WORKER, now=now)
    if place is not None and _is_silent(place):
        _end(place, "waiting_silent", now=now)
    return True


def _is_silent(place: WaitingPlace) -> bool:
    """Whether the last offers all lapsed without so much as a tap."""
    last = list(place.offers.order_by("-pk")[:SILENT_OFFERS])
    return len(last) == SILENT_OFFERS and all(
        offer.status == OfferStatus.LAPSED and offer.taken_at is None for offer in last
    )


def end_past(*, now: datetime) -> int:
    """End the places whose last day has passed, and say so. Returns how many."""
    latest_today = (now + timedelta(hours=14)).date()
    past = WaitingPlace.objects.filter(status=WaitingStatus.WAITING, last_on__lt=latest_today)
    ended = 0
    for place in past.select_related("location", "client", "session_type")[:200]:
        if place.last_on < now.astimezone(ZoneInfo(place.location.zone)).date():
            ended += _end(place, "waiting_ended", now=now)
    return ended


def _end(place: WaitingPlace, message: str, *, now: datetime) -> bool:
    with transaction.atomic():
        try:
            ended = move(WaitingPlace, place.pk, "end", by=WORKER, now=now)
        except MoveRefused:
            return False
        if ended is None:
            return False
        _write(message, ended, once=f"{message}:{place.pk}", now=now)
    return True


def booked(*, booking: Booking, by: Actor, now: datetime) -> None:
    """A booking stands: the place it was offered to has what it waited for, and so has every other place of the
    same person for the same session. Called with the Booking locked."""
    offer = WaitingOffer.objects.filter(booking=booking).first()
    if offer is not None and offer.status != OfferStatus.DECLINED:
        if offer.status in STANDING_OFFER:
            move(WaitingPlace, offer.place_id, "book", by=by, now=now)
        else:  # late money: the place may be offered another time by now
            _leave_the_line(offer.place_id, by=by, now=now)
        move(WaitingOffer, offer.pk, "book", by=by, now=now)
    payer = booking.payer
    if payer is None:
        return
    others = WaitingPlace.objects.filter(
        client__email__iexact=payer.email,
        client__name__iexact=payer.name,
        session_type=booking.session_type_id,
        status__in=LIVE,
    )
    for place_id in list(others.order_by("pk").values_list("pk", flat=True)):
        _leave_the_line(place_id, message="waiting_booked", by=by, now=now)


def end_booked(*, now: datetime) -> int:
    """End the places `booked` left alone because somebody was acting on them at that moment. Returns how many."""
    stands = Booking.objects.filter(
        status=BookingStatus.CONFIRMED,
        confirmed_at__gte=OuterRef("created_at"),
        session_type=OuterRef("session_type"),
        payer__email__iexact=OuterRef("client__email"),
        payer__name__iexact=OuterRef("client__name"),
    )
    has_booked = Exists(stands) | Q(offers__status=OfferStatus.BOOKED)
    ended = 0
    for place_id in WaitingPlace.objects.filter(has_booked, status__in=LIVE).values_list("pk", flat=True):
        with transaction.atomic():
            ended += _leave_the_line(place_id, message="waiting_booked", by=WORKER, now=now)
    return ended


def _leave_the_line(place_id: int, *, message: str = "", by: Actor, now: datetime) -> bool:
    """The place is over; another time that was offered meanwhile goes to the next. False if it had ended before.

    Who calls this may hold another Booking, so nothing is waited for: two bookings of one person that are confirmed
    at the same moment would wait for each other.
    """
    locked = _locked(place_id, is_waiting=False)
    if locked is None:
        return False
    place, offered = locked
    if place.status not in LIVE:
        return False
    move(WaitingPlace, place_id, "book", by=by, now=now)
    if offered is not None:
        _end_offer(offered, "decline", by=by, now=now)
    if message:
        _write(message, place, once=f"{message}:{place_id}", now=now)
    return True


# --- bells and letters --------------------------------------------------------------------------------------


def sweep(*, now: datetime) -> None:
    """Settle, end and offer, in this order: what lapsed a moment ago goes to the next."""
    lapse_due(now=now)
    end_booked(now=now)
    end_past(now=now)
    offer_due(now=now)


def is_awaited() -> bool:
    """Whether anybody waits or is offered a time."""
    return WaitingPlace.objects.filter(status__in=LIVE).exists()


def ring_offers() -> None:
    """A time may be free: look soon. The sweep looks each minute anyway."""
    from bookings.tasks import offer_times
    from studio.background import ring_on_commit

    if is_awaited():
        ring_on_commit(offer_times)


def _write(name: str, place: WaitingPlace, *, once: str, now: datetime, **more: Any) -> None:
    client: Client = place.client
    if client.erased_at is not None:
        return
    link = credentials.grant(
        scope="waiting", target=place.public_id, now=now, holder_id=client.pk, holder_label=client.name
    ).url
    facts = {"place": place, "location": place.location, "session_type": place.session_type, "link": link}
    outbox.queue_message(name, to=client, about=place, context=facts | more, now=now, once=once)
    if name == "waiting_offer":  # two hours are short: by text too, where there is a number
        outbox.queue_text(name, to=client, about=place, context=facts | more, now=now, once=f"text:{once}")
