"""The waiting list: clients join from a full week, take or pass on a time, leave; the desk sees the line."""

import uuid
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from bookings import places, waiting
from bookings.forms import ChoiceOfTime, WaitForm
from bookings.models import AddOn, SessionType, WaitingOffer, WaitingPlace
from bookings.refusals import DetailsRefused, Refused
from bookings.statuses import BookingStatus, OfferStatus, WaitingStatus
from bookings.views import GUEST, HELD_HERE, WEEK
from studio import credentials, throttles
from studio.access import staff
from studio.accounts import require
from studio.actors import Actor, ActorKind
from studio.models import Role
from studio.views import dead_link


@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, slug: str) -> HttpResponse:
    """Which days, and who. The answer says only that a mail is on its way."""
    now = timezone.now()
    session_type = get_object_or_404(SessionType, slug=slug, is_active=True)
    choice = ChoiceOfTime(request.POST or request.GET, session_type=session_type)
    if not choice.locations:
        raise Http404
    form = WaitForm(request.POST or None, initial=_days_of(choice, now=now))
    if request.method == "POST" and form.is_valid():
        if not throttles.allow(
            f"wait:{throttles.network(request)}", limit=10, per=timedelta(hours=1), now=now
        ):
            form.add_error(None, _("That was a lot of places. Please wait an hour."))
        else:
            try:
                place = waiting.join(
                    session_type_id=session_type.pk,
                    location_id=choice.chosen_location.pk,
                    add_ons=choice.add_ons,
                    by=GUEST,
                    now=now,
                    **form.cleaned_data,
                )
                return render(request, "bookings/wait_done.html", {"place": place})
            except DetailsRefused as refusal:
                for field, sentence in refusal.problems.items():
                    form.add_error(field if field in form.fields else None, sentence)
            except Refused as refusal:
                form.add_error(None, refusal.sentence)
    context = {
        "session_type": session_type,
        "choice": choice,
        "location": choice.chosen_location,
        "chosen": [row for row in choice.offered if row.pk in choice.add_ons],
        "add_ons": choice.add_ons,
        "form": form,
        "form_token": request.POST.get("form_token") or uuid.uuid4(),
    }
    return render(request, "bookings/wait.html", context, status=422 if form.errors else 200)


def _days_of(choice: ChoiceOfTime, *, now: datetime) -> dict[str, date]:
    """The week the client was looking at."""
    today = now.astimezone(ZoneInfo(choice.chosen_location.zone)).date()
    first_on = today + timedelta(days=WEEK * choice.week_number)
    return {"first_on": first_on, "last_on": first_on + timedelta(days=WEEK - 1)}


def _opened(request: HttpRequest, public_id: str, *, now: datetime) -> tuple[WaitingPlace, Actor]:
    """The place, if this browser opened its link. Raises Http404 otherwise, existing or not."""
    credential = credentials.opened(request, scope="waiting", target=public_id, now=now)
    place = WaitingPlace.objects.filter(public_id=public_id) if credential else WaitingPlace.objects.none()
    found = place.select_related("session_type", "location", "client").first()
    if found is None:
        raise Http404
    return found, Actor(ActorKind.CLIENT, found.client_id, found.client.name)


def _offer(place: WaitingPlace, *, now: datetime) -> WaitingOffer | None:
    """The offer the client can act on now."""
    offers = place.offers.filter(status__in=[OfferStatus.OPEN, OfferStatus.TAKEN])
    found = offers.select_related("booking__location").first()
    if found is None or found.booking.status != "held" or (found.booking.hold_expires_at or now) <= now:
        return None
    return found


@require_GET
def place(request: HttpRequest, public_id: str) -> HttpResponse:
    """One place in the line: what is waited for, and the time that is offered, if there is one."""
    now = timezone.now()
    try:
        found, _by = _opened(request, public_id, now=now)
    except Http404:
        return dead_link(request, scope="waiting", target=public_id)
    is_live = found.status in (WaitingStatus.WAITING, WaitingStatus.OFFERED)
    last_offer = found.offers.select_related("booking").order_by("-pk").first()
    context = {
        "place": found,
        "offer": _offer(found, now=now),
        "is_live": is_live,
        "zone": ZoneInfo(found.location.zone),
        "add_ons": AddOn.objects.filter(pk__in=waiting.add_ons_of(found)),
        "last_offer": last_offer,
        "is_asked": last_offer is not None and last_offer.booking.status == BookingStatus.REQUESTED,
    }
    return render(request, "bookings/waiting_place.html", context)


@require_POST
def take(request: HttpRequest, public_id: str) -> HttpResponse:
    """Yes: on to the details and the payment, as with any held time."""
    now = timezone.now()
    found, by = _opened(request, public_id, now=now)
    offer = _offer(found, now=now)
    if offer is None:
        messages.warning(request, _("This time is not held for you any more. Your place on the list stays."))
        return redirect("waiting_place", public_id)
    try:
        booking = waiting.take(offer_id=offer.pk, by=by, now=now)
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
        return redirect("waiting_place", public_id)
    request.session[HELD_HERE] = [*request.session.get(HELD_HERE, []), booking.public_id][-20:]
    return redirect("booking_details", booking.public_id)


@require_POST
def pass_on(request: HttpRequest, public_id: str) -> HttpResponse:
    """Not this time: the next one in the line gets it."""
    now = timezone.now()
    found, by = _opened(request, public_id, now=now)
    offer = _offer(found, now=now)
    if offer is not None and waiting.pass_on(offer_id=offer.pk, by=by, now=now):
        messages.success(request, _("Thank you. Somebody else gets it; we write to you with the next."))
    return redirect("waiting_place", public_id)


@require_POST
def leave(request: HttpRequest, public_id: str) -> HttpResponse:
    """Off the list."""
    now = timezone.now()
    found, by = _opened(request, public_id, now=now)
    try:
        waiting.leave(place_id=found.pk, by=by, now=now)
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    else:
        messages.success(request, _("You are off the list. Nothing was charged."))
    return redirect("waiting_place", public_id)


# --- the desk -----------------------------------------------------------------------------------------------


@staff(Role.PHOTOGRAPHER)
@require_GET
def desk_list(request: HttpRequest) -> HttpResponse:
    """Who waits, in the order of the line, with what is offered to them now; and what became of the last ones."""
    rows = WaitingPlace.objects.filter(places.mine(request))
    rows = rows.select_related("client", "session_type", "location").prefetch_related("offers__booking")
    live = rows.filter(status__in=[WaitingStatus.WAITING, WaitingStatus.OFFERED])
    context = {
        "places": live.order_by("created_at", "pk")[:200],
        "ended": rows.exclude(pk__in=live).order_by("-ended_at")[:30],
    }
    return render(request, "bookings/desk_waiting.html", context)


@staff(Role.PHOTOGRAPHER, at=places.of_waiting)
@require_POST
def desk_leave(request: HttpRequest, public_id: str) -> HttpResponse:
    """The client rang and does not want to wait any more."""
    found = get_object_or_404(WaitingPlace, public_id=public_id)
    try:
        waiting.leave(place_id=found.pk, by=Actor.user(require(request)), now=timezone.now())
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    else:
        messages.success(request, _("Taken off the list."))
    return redirect("desk_waiting")
