"""Artists on request: their time is held from the booking on, and they say by a mailed link whether they come.

Two hours of daytime to answer; no, or no answer, and the next one is asked. Whoever needs no asking takes it at once.
When nobody is left the desk is told, and the place stays open for the studio to fill.
"""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from bookings import messages
from bookings.models import ArtistAsk, Booking, Claim, Resource
from bookings.refusals import NotNow
from bookings.stand_ins import gaps, stand_ins, swap
from bookings.statuses import AskStatus, BookingStatus, ShootStatus
from bookings.timeline import DAY, instant
from studio import credentials, outbox
from studio.actors import WORKER, Actor
from studio.models import Location
from studio.transitions import MoveRefused, begin, move

ANSWER_IN = timedelta(hours=2)
BEFORE_ARRIVAL = timedelta(hours=1)  # no answer by then is a no, so that somebody else can still be asked
LEAST = timedelta(minutes=30)  # to answer in, where the session is that near
DAY_FROM, DAY_UNTIL = time(8), time(21)
OPEN = (AskStatus.ASKED, AskStatus.ACCEPTED)
NO = (AskStatus.DECLINED, AskStatus.LAPSED)


def daytime_after(moment: datetime, length: timedelta, location: Location) -> datetime:
    """The moment at which `length` of daytime (8 to 21 on the location's clock) has passed."""
    zone = ZoneInfo(location.zone)
    while True:
        on = moment.astimezone(zone).date()
        opens, closes = instant(zone, on, DAY_FROM), instant(zone, on, DAY_UNTIL)
        moment = max(moment, opens)
        if moment + length <= closes:
            return moment + length
        length -= max(closes - moment, timedelta())
        moment = instant(zone, on + DAY, DAY_FROM)


# --- asking -------------------------------------------------------------------------------------------------


def ask_artists(booking: Booking, *, by: Actor, now: datetime) -> list[ArtistAsk]:
    """Ask every on-request artist of a booking that stands; who was asked for this very time is not asked again.

    Call it inside the transaction that confirms or moves the booking.
    """
    on_request = Resource.objects.filter(
        claims__booking=booking, claims__is_active=True, is_on_request=True
    ).distinct()
    asked = set(booking.asks.filter(status__in=OPEN).values_list("resource", flat=True))
    return [
        _ask(booking, resource, by=by, now=now)
        for resource in on_request.order_by("pk")
        if resource.pk not in asked
    ]


def ask_again(booking: Booking, *, by: Actor, now: datetime) -> None:
    """The time changed: what was said about the old one does not hold."""
    withdraw(booking, by=by, now=now)
    if booking.status == BookingStatus.CONFIRMED:
        ask_artists(booking, by=by, now=now)


def withdraw(booking: Booking, *, by: Actor, now: datetime, resources: Iterable[int] | None = None) -> None:
    """Nobody needs to answer any more; whoever had said yes is told. `resources`: only these, as far as nothing of the
    booking is left for them to do."""
    asks = booking.asks.filter(status__in=OPEN).select_related("resource__user")
    if resources is not None:
        still = booking.claims.filter(is_active=True).values_list("resource", flat=True)
        asks = asks.filter(resource__in=set(resources) - set(still))
    for ask in asks.order_by("pk"):
        move(ArtistAsk, ask.pk, "withdraw", by=by, now=now)
        credentials.revoke(scope="ask", target=ask.public_id, now=now)
        if ask.status == AskStatus.ACCEPTED:
            _write_to(ask, "artist_not_needed", now=now)


def _ask(booking: Booking, resource: Resource, *, by: Actor, now: datetime) -> ArtistAsk:
    ask = begin(
        ArtistAsk(
            booking=booking,
            resource=resource,
            asked_at=now,
            answer_by=_deadline(booking, now=now),
        ),
        by=by,
        now=now,
    )
    link = credentials.grant(scope="ask", target=ask.public_id, now=now, holder_label=resource.name)
    _write_to(ask, "artist_asked", now=now, link=link.url)
    return ask


def _deadline(booking: Booking, *, now: datetime) -> datetime:
    """Two hours of daytime, but not until the client stands in the door."""
    patience = daytime_after(now, ANSWER_IN, booking.location)
    return max(min(patience, booking.starts_at - BEFORE_ARRIVAL), now + LEAST)


def _write_to(ask: ArtistAsk, name: str, *, now: datetime, **more: object) -> None:
    """A mail to the artist; one without an account is asked by the desk."""
    user = ask.resource.user
    if user is None or not user.is_active:
        return
    outbox.queue_message(
        name,
        to=user,
        about=ask.booking,
        context={
            "ask": ask,
            "booking": ask.booking,
            "location": ask.booking.location,
            "work": work_of(ask),
            **more,
        },
        now=now,
        once=f"{name}:{ask.pk}",
    )


def work_of(ask: ArtistAsk) -> list[Claim]:
    """What the artist would do, in order."""
    return list(ask.booking.claims.filter(is_active=True, resource=ask.resource).order_by("works_from", "pk"))


# --- answering ----------------------------------------------------------------------------------------------


def accept(*, ask_id: int, by: Actor, now: datetime) -> bool:
    """She comes. False if she said so before. Raises NotNow when it is settled otherwise."""
    with transaction.atomic():
        ask = _locked(ask_id)
        try:
            return move(ArtistAsk, ask.pk, "accept", by=by, now=now) is not None
        except MoveRefused as refused:
            raise NotNow(_("Thank you; this has been settled otherwise meanwhile.")) from refused


def decline(*, ask_id: int, by: Actor, now: datetime) -> bool:
    """She cannot come: the next one is asked. Also takes a yes back, until the session is over. False if it was known.
    Raises NotNow."""
    return _refuse(ask_id, "decline", by=by, now=now)


def lapse_due(*, now: datetime) -> int:
    """No answer in time is a no. Returns how many."""
    due = ArtistAsk.objects.filter(status=AskStatus.ASKED, answer_by__lte=now).order_by("answer_by")
    count = 0
    for pk in due.values_list("pk", flat=True)[:50]:
        try:
            count += _refuse(pk, "lapse", by=WORKER, now=now)
        except NotNow:  # answered at this very moment
            continue
    return count


def _refuse(ask_id: int, verb: str, *, by: Actor, now: datetime) -> bool:
    with transaction.atomic():
        ask = _locked(ask_id)
        is_over = _is_over(ask.booking, now=now)
        if is_over and verb == "decline":
            raise NotNow(_("This session is over."))
        try:
            if move(ArtistAsk, ask.pk, verb, by=by, now=now) is None:
                return False
        except MoveRefused as refused:
            raise NotNow(_("Thank you; this has been settled otherwise meanwhile.")) from refused
        credentials.revoke(scope="ask", target=ask.public_id, now=now)
        if is_over:  # whoever was there stays on record, and is owed their share
            return True
        refused_by = set(ask.booking.asks.filter(status__in=NO).values_list("resource", flat=True))
        for claim in work_of(ask):
            _next_for(claim, refused_by, by=by, now=now)
        if left := gaps(ask.booking):
            messages.tell_studio(
                "desk_artist_missing",
                booking=ask.booking,
                once=f"desk_artist_missing:{ask.pk}",
                now=now,
                gaps=left,
                artist=ask.resource,
            )
        return True


def _is_over(booking: Booking, *, now: datetime) -> bool:
    open_ones = booking.shoots.filter(status__in=[ShootStatus.PLANNED, ShootStatus.CHECKED_IN])
    return booking.ends_at <= now or not open_ones.exists()


def _next_for(claim: Claim, refused_by: set[int], *, by: Actor, now: datetime) -> None:
    """Give a place to the next who could take it, and ask them if they want to be asked; or leave it open."""
    for other in stand_ins(claim, now=now, refused=refused_by):
        try:
            swap(claim_id=claim.pk, resource_id=other.pk, by=by, now=now)
        except NotNow:  # taken at this very moment: the one after
            continue
        if other.is_on_request and not claim.booking.asks.filter(resource=other, status__in=OPEN).exists():
            _ask(claim.booking, other, by=by, now=now)
        return
    Claim.objects.filter(pk=claim.pk).update(is_active=False)


def _locked(ask_id: int) -> ArtistAsk:
    """The ask, with its Booking locked first."""
    booking_id = ArtistAsk.objects.values_list("booking", flat=True).get(pk=ask_id)
    Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
    return ArtistAsk.objects.select_related(
        "resource__user", "booking__location", "booking__session_type", "booking__payer"
    ).get(pk=ask_id)


# --- what the desk and the client see -----------------------------------------------------------------------


def waiting(booking: Booking) -> list[ArtistAsk]:
    """Who has not answered yet."""
    return list(booking.asks.filter(status=AskStatus.ASKED).select_related("resource").order_by("pk"))


def unfilled(*, now: datetime) -> list[Booking]:
    """Bookings ahead with a place that nobody holds because an artist said no."""
    asked = Booking.objects.filter(
        Q(asks__status__in=NO), status=BookingStatus.CONFIRMED, starts_at__gt=now - timedelta(hours=12)
    ).select_related("payer", "session_type", "location")
    return [booking for booking in asked.order_by("starts_at").distinct()[:50] if gaps(booking)]
