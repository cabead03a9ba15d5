"""Somebody is late, a session is photographed once more, an artist answers, a calendar is followed."""

import uuid
from datetime import datetime
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_safe

from bookings import asking, availability, calendar_feeds, holds, late, places, reshoots
from bookings.availability import Leeway
from bookings.calendar_forms import time_field
from bookings.calendar_views import actor_of, day_of
from bookings.forms import instant_of
from bookings.models import ArtistAsk, Booking, Shoot
from bookings.people import clean
from bookings.refusals import Refused
from bookings.statuses import AskStatus
from bookings.timeline import DAY, instant
from studio import credentials
from studio.access import staff
from studio.actors import Actor, ActorKind
from studio.models import Role


def _shoot(public_id: str) -> Shoot:
    found = (
        Shoot.objects.filter(booking__public_id=public_id)
        .select_related("booking__location", "booking__session_type", "booking__payer", "sitter")
        .order_by("pk")
        .first()
    )
    if found is None:
        raise Http404
    return found


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_http_methods(["GET", "POST"])
def late_arrival(request: HttpRequest, public_id: str) -> HttpResponse:
    """When will they be here, what does it leave, and what is done about it."""
    now, shoot = timezone.now(), _shoot(public_id)
    booking = shoot.booking
    zone = ZoneInfo(booking.location.zone)
    if request.method == "POST":
        try:
            messages.success(request, _late_verb(request, shoot, zone, now=now))
        except Refused as refusal:
            messages.warning(request, refusal.sentence)
        if request.POST.get("verb") != "expect":
            return redirect("desk_booking", public_id)
        return redirect("desk_late", public_id)
    context = {
        "booking": booking,
        "shoot": shoot,
        "zone": zone,
        "held_until": late.held_until(booking, shoot),
        "preparations": booking.add_ons.filter(starts_at__isnull=False).select_related("add_on"),
        "found": late.lateness(shoot, shoot.expected_at) if shoot.expected_at else None,
        "agreed": late.agreed(shoot),
        "proposed": max(now, booking.starts_at),
    }
    return render(request, "bookings/late.html", context)


def _late_verb(request: HttpRequest, shoot: Shoot, zone: ZoneInfo, *, now: datetime) -> str:
    by = actor_of(request)
    if request.POST.get("verb") == "shorter":
        found = late.make_shorter(shoot_id=shoot.pk, by=by, now=now)
        return _("Agreed: %(left)d minutes. The client has it in writing.") % {"left": found.left}
    try:
        at = time_field("").clean(request.POST.get("at", ""))
    except ValidationError as error:
        raise Refused(_("Please give a time, such as 10:20.")) from error
    on = shoot.booking.starts_at.astimezone(zone).date()
    late.expect(shoot_id=shoot.pk, expected_at=instant(zone, on, at), by=by, now=now)
    return _("Written down.")


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_http_methods(["GET", "POST"])
def reshoot(request: HttpRequest, public_id: str) -> HttpResponse:
    """The session once more at no price: choose a time."""
    now = timezone.now()
    booking = get_object_or_404(
        Booking.objects.select_related("payer", "session_type", "location"), public_id=public_id
    )
    zone = ZoneInfo(booking.location.zone)
    chosen = instant_of(request.POST.get("starts_at", ""))
    if request.method == "POST":
        try:
            if chosen is None:
                raise Refused(_("Please choose a time."))
            made = reshoots.reshoot(
                booking_id=booking.pk,
                starts_at=chosen,
                form_token=_token(request),
                reason=clean(request.POST.get("reason", ""))[:300],
                with_preparations="with_preparations" in request.POST,
                by=actor_of(request),
                now=now,
            )
        except Refused as refusal:
            messages.warning(request, refusal.sentence)
        else:
            messages.success(
                request, _("The reshoot is booked, at no price. The client has it in their mail.")
            )
            return redirect("desk_booking", made.public_id)
    on = max(day_of(request, booking.location, now=now), now.astimezone(zone).date())
    context = {
        "booking": booking,
        "zone": zone,
        "on": on,
        "last_on": on + 6 * DAY,
        "earlier": on - 7 * DAY,
        "later": on + 7 * DAY,
        "slots": availability.cast_slots(
            holds.cast_of(booking), first_on=on, last_on=on + 6 * DAY, now=now, leeway=Leeway.STAFF
        ),
        "form_token": request.POST.get("form_token") or uuid.uuid4(),
        "reason": request.POST.get("reason", ""),
    }
    return render(request, "bookings/reshoot.html", context)


def _token(request: HttpRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("form_token", ""))
    except ValueError:
        return uuid.uuid4()


# --- the artist's own link ----------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def artist_ask(request: HttpRequest, public_id: str) -> HttpResponse:
    """An artist on request says yes or no. Opening the link answers nothing: only a button does."""
    now = timezone.now()
    if credentials.opened(request, scope="ask", target=public_id, now=now) is None:
        return render(request, "studio/dead_link.html", status=404)
    ask = get_object_or_404(
        ArtistAsk.objects.select_related("resource", "booking__location", "booking__session_type"),
        public_id=public_id,
    )
    by = Actor(ActorKind.CLIENT, None, ask.resource.name)
    if request.method == "POST":
        try:
            if request.POST.get("answer") == "yes":
                asking.accept(ask_id=ask.pk, by=by, now=now)
            elif request.POST.get("answer") == "no":
                asking.decline(ask_id=ask.pk, by=by, now=now)
        except Refused as refusal:
            messages.info(request, refusal.sentence)
        ask.refresh_from_db()
        if ask.status in (AskStatus.DECLINED, AskStatus.LAPSED):
            return render(request, "bookings/ask_declined.html", {"ask": ask})
        return redirect("artist_ask", public_id)
    return render(
        request, "bookings/ask.html", {"ask": ask, "work": asking.work_of(ask), "place": ask.booking.location}
    )


@staff(Role.PHOTOGRAPHER, at=places.of_ask)
@require_http_methods(["POST"])
def desk_ask(request: HttpRequest, public_id: str) -> HttpResponse:
    """The studio asked the artist itself, by phone, and writes the answer down."""
    ask = get_object_or_404(ArtistAsk.objects.select_related("booking"), public_id=public_id)
    by, now = actor_of(request), timezone.now()
    try:
        if request.POST.get("answer") == "yes":
            asking.accept(ask_id=ask.pk, by=by, now=now)
        else:
            asking.decline(ask_id=ask.pk, by=by, now=now)
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    else:
        messages.success(request, _("Written down."))
    return redirect("desk_booking", ask.booking.public_id)


# --- the calendar out ---------------------------------------------------------------------------------------


@require_safe
@cache_control(private=True, max_age=300)
def calendar_feed(request: HttpRequest, token: str) -> HttpResponse:
    """A Resource's own calendar, for whoever has its secret address."""
    text = calendar_feeds.feed_text(token, now=timezone.now())
    if text is None:
        raise Http404
    return HttpResponse(
        text, content_type="text/calendar; charset=utf-8", headers={"X-Robots-Tag": "noindex"}
    )
