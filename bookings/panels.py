"""What the bookings show on the desk: today, the next days, requests and what is stuck."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from bookings import another_time, away, clashes, places
from bookings import desk_papers as desk_papers  # registers the thread, the answers and the signatures
from bookings.models import Allocation, Booking, BusyFeed, Dispute, PaymentMethod, Shoot
from bookings.places import FRONT
from bookings.statuses import AskStatus, BookingStatus, DisputeStatus, RefundStatus
from studio import desk
from studio.access import ABOUT
from studio.accounts import roles_of
from studio.models import Location, Message, MessageStatus, Role, User, WebhookEvent
from studio.views import LANDINGS

LANDINGS["booking"] = "booking"
LANDINGS["waiting"] = "waiting_place"
LANDINGS["mine"] = "mine"
LANDINGS["ask"] = "artist_ask"
BOOKED = "booking__location"
DAY = FRONT | {Role.ARTIST}
_known: WeakKeyDictionary[HttpRequest, tuple[list[Shoot], list[Shoot]]] = WeakKeyDictionary()

ABOUT["bookings.booking"] = lambda here: Booking.objects.filter(location__in=here).values("pk")

desk.link("desk_bookings", label=_("Bookings"), order=10, roles=FRONT)
desk.link("desk_papers", label=_("Papers"), order=70, roles=FRONT)
desk.link("desk_receipts", label=_("Money"), order=45, roles=FRONT)
desk.link("desk_waiting", label=_("Waiting list"), order=15, roles=FRONT)
desk.link("desk_people", label=_("People and rooms"), order=40, roles=FRONT)
desk.link("desk_calendar", label=_("Calendar"), order=8, roles=DAY)


def own_resource(request: HttpRequest) -> int | None:
    """An artist sees only their own day; whoever is owner or photographer sees all."""
    if roles_of(request.user) & FRONT or not isinstance(request.user, User):
        return None
    resource = getattr(request.user, "resource", None)
    return resource.pk if resource else 0


def _sessions(request: HttpRequest, now: datetime) -> tuple[list[Shoot], list[Shoot]]:
    """Today's sessions and those of the next four days that this person sees, asked for once per request."""
    from bookings.staff_views import shoots_of_day

    if (known := _known.get(request)) is not None:
        return known
    today: list[Shoot] = []
    later: list[Shoot] = []
    where = places.mine(request, BOOKED)
    for shoot in shoots_of_day(now=now, days=4, where=where, user_resource=own_resource(request)):
        zone = ZoneInfo(shoot.booking.location.zone)
        is_today = shoot.booking.starts_at.astimezone(zone).date() == now.astimezone(zone).date()
        (today if is_today else later).append(shoot)
    _known[request] = today, later
    return today, later


@desk.panel("today", template="bookings/panels/today.html", order=10, wide=True, roles=DAY)
def today(request: HttpRequest, now: datetime) -> Mapping[str, Any]:
    """Today's sessions at a glance, with the one next action of each."""
    shoots, _later = _sessions(request, now)
    again = sum(shoot.booking.reshoot_of_id is not None for shoot in shoots)
    return {
        "shoots": shoots,
        "session_count": len(shoots) - again,
        "reshoot_count": again,
        "sees_money": bool(roles_of(request.user) & FRONT),
    }


@desk.panel("next_days", template="bookings/panels/next_days.html", order=30, roles=DAY)
def next_days(request: HttpRequest, now: datetime) -> Mapping[str, Any]:
    """The sessions of the next days."""
    _today, later = _sessions(request, now)
    return {"shoots": later[:12], "more": max(0, len(later) - 12)}


@desk.panel("requests", template="bookings/panels/requests.html", order=1, wide=True, roles=FRONT)
def requests(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """Bookings that wait for the studio's yes, before everything else: the one that lapses soonest first."""
    waiting = Booking.objects.filter(places.mine(request), status=BookingStatus.REQUESTED).select_related(
        "payer", "session_type", "location"
    )
    rows = list(waiting.order_by("answer_by", "pk")[:20])
    return {"bookings": rows} if rows else None


@desk.panel("asks", template="bookings/panels/asks.html", order=12, roles=FRONT)
def asks(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """Places nobody holds, and artists who have not answered."""
    from bookings import asking
    from bookings.models import ArtistAsk

    here = set(Location.objects.filter(places.mine(request, "pk")).values_list("pk", flat=True))
    unfilled = [
        (booking, away.gaps_of(booking))
        for booking in asking.unfilled(now=now)
        if booking.location_id in here
    ]
    waiting = ArtistAsk.objects.filter(places.mine(request, BOOKED), status=AskStatus.ASKED).select_related(
        "resource", "booking__location"
    )
    rows = list(waiting.order_by("answer_by")[:20])
    return {"unfilled": unfilled, "waiting": rows} if unfilled or rows else None


@desk.panel("stuck", template="bookings/panels/stuck.html", order=5, wide=True, roles=FRONT)
def stuck(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """What needs a person: money to hand back, clients who do not say when else they come, people booked who are
    away or busy elsewhere, disputes; refunds, mails and payment events that did not go through."""
    of_bookings = Allocation.objects.filter(
        places.mine(request, BOOKED), refund__isnull=False, booking__isnull=False
    )
    money = of_bookings.select_related("booking", "refund__payment__payer").order_by("refund__created_at")
    by_hand = Q(refund__status=RefundStatus.DUE) & ~Q(refund__payment__method=PaymentMethod.STRIPE)
    found: dict[str, list[Any]] = {
        "by_hand": list(money.filter(by_hand)[:10]),
        "refunds": list(money.filter(refund__status=RefundStatus.FAILED)[:10]),
        "offers": list(another_time.unanswered(now=now).filter(places.mine(request))[:10]),
        "absences": away.absences(now=now, where=places.mine(request, BOOKED)),
        "clashes": list(clashes.clashes(now=now, where=places.mine(request, BOOKED), limit=10)),
    }
    at_stripe = Dispute.objects.filter(
        places.mine(request, f"payment__allocations__{BOOKED}"), status=DisputeStatus.OPEN, is_answered=False
    )
    found["disputes"] = list(at_stripe.select_related("payment__payer").order_by("answer_by", "pk")[:10])
    if places.is_everywhere(request):  # mails, calendars and payment events are of the whole studio
        found |= {
            "mails": list(Message.objects.filter(status=MessageStatus.FAILED).order_by("-pk")[:10]),
            "feeds": list(BusyFeed.objects.filter(failures__gte=3).select_related("resource")[:10]),
            "events": list(WebhookEvent.objects.filter(handled_at=None, attempts__gte=5)[:10]),
        }
    return found if any(found.values()) else None
