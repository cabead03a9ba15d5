"""The desk's calendar: the day and the week, booking by phone, moving, blocking, and why a time is not free."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from bookings import availability, blocks, by_phone, day_plan, holds, lifecycle, places, pricing
from bookings.availability import Leeway, Slot
from bookings.calendar_forms import BlockForm, CallerForm, MomentForm
from bookings.forms import LONGEST_REASON, ChoiceOfTime, instant_of
from bookings.models import Booking, Resource, SessionType
from bookings.panels import own_resource
from bookings.people import clean
from bookings.places import FRONT
from bookings.refusals import DetailsRefused, NotOffered, Refused, SlotTaken
from bookings.taxes import taxes_of
from bookings.timeline import DAY
from studio.access import staff
from studio.accounts import require, roles_of
from studio.actors import Actor
from studio.models import Location, Role


def actor_of(request: HttpRequest) -> Actor:
    return Actor.user(require(request))


def my_places(request: HttpRequest) -> QuerySet[Location]:
    """The open locations at which the person works."""
    return Location.objects.filter(places.mine(request, "pk"), is_active=True)


def place_of(request: HttpRequest) -> Location:
    """The location asked for, or the first, of those the person works at. Raises Http404 without one."""
    here = list(my_places(request))
    wanted = request.GET.get("location") or request.POST.get("location")
    found = next((place for place in here if place.slug == wanted), here[0] if here else None)
    if found is None:
        raise Http404
    return found


def day_of(request: HttpRequest, location: Location, *, now: datetime) -> date:
    """The day asked for, or today on the location's clock. Nonsense is today."""
    today = now.astimezone(ZoneInfo(location.zone)).date()
    try:
        found = parse_date(request.GET.get("on", ""))
    except ValueError:
        found = None
    return found if found and abs((found - today).days) < 3660 else today


def link(name: str, *args: object, **query: object) -> str:
    """An address with a query."""
    return reverse(name, args=args) + "?" + urlencode({key: value for key, value in query.items() if value})


# --- the calendar -------------------------------------------------------------------------------------------


@staff(Role.PHOTOGRAPHER, Role.ARTIST)
@require_GET
def calendar(request: HttpRequest) -> HttpResponse:
    """One place's day with a column per Resource, or its week with a row per Resource. An artist sees their own."""
    now = timezone.now()
    place = place_of(request)
    on = day_of(request, place, now=now)
    only = own_resource(request)
    is_week = request.GET.get("view") == "week"
    step = 7 * DAY if is_week else DAY
    first_on = on - timedelta(days=on.weekday())
    view = "week" if is_week else ""
    context: dict[str, Any] = {
        "place": place,
        "places": my_places(request),
        "on": on,
        "first_on": first_on,
        "last_on": first_on + 6 * DAY,
        "today": now.astimezone(ZoneInfo(place.zone)).date(),
        "is_week": is_week,
        "view": view,
        "is_front": bool(roles_of(request.user) & FRONT),
        "previous": link("desk_calendar", location=place.slug, on=on - step, view=view),
        "next": link("desk_calendar", location=place.slug, on=on + step, view=view),
    }
    if is_week:
        context["rows"] = day_plan.week_plan(location=place, first_on=first_on, only=only, now=now)
        context["dates"] = [first_on + number * DAY for number in range(7)]
    else:
        context["plan"] = day_plan.day_plan(location=place, on=on, only=only, now=now)
    return render(request, "bookings/calendar.html", context)


# --- moving -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found about one time: free, or every reason why not; and whether the studio may override it."""

    at: datetime
    slot: Slot | None
    reasons: list[str]
    may_override: bool


def look(cast: availability.Cast, at: datetime, *, now: datetime, ignoring: int | None = None) -> Looked:
    """Whether a time is free for the studio, and if not, why: with names and times."""
    asked = availability.enquire(cast, at, now=now, ignoring=ignoring, leeway=Leeway.STAFF)
    slot = asked.slot()
    if slot is not None:
        return Looked(at, slot, [], may_override=False)
    freely = availability.enquire(cast, at, now=now, ignoring=ignoring, leeway=Leeway.OVERRIDE)
    return Looked(at, None, asked.why_not(), may_override=at > now and freely.slot() is not None)


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_http_methods(["GET", "POST"])
def move(request: HttpRequest, public_id: str) -> HttpResponse:
    """Another time for a booking: dropped on the calendar or typed, looked at first, then moved."""
    now = timezone.now()
    found = get_object_or_404(
        Booking.objects.select_related("payer", "session_type", "location"), public_id=public_id
    )
    zone = ZoneInfo(found.location.zone)
    form, wanted = _wanted_time(request, found)
    if request.method == "POST" and wanted is not None:
        try:
            lifecycle.move_to(
                booking_id=found.pk,
                starts_at=wanted,
                by=actor_of(request),
                now=now,
                reason=clean(request.POST.get("reason", ""))[:LONGEST_REASON],
                override_reason=clean(request.POST.get("override_reason", ""))[:LONGEST_REASON],
            )
        except Refused as refusal:
            messages.warning(request, refusal.sentence)
        else:
            messages.success(request, _("Moved. The client has the new time, with a new calendar entry."))
            return redirect(
                link("desk_calendar", location=found.location.slug, on=wanted.astimezone(zone).date())
            )
    cast = holds.cast_of(found)
    on = (wanted or found.starts_at).astimezone(zone).date()
    context = {
        "booking": found,
        "shoot": found.shoots.select_related("sitter").first(),
        "zone": zone,
        "form": form,
        "on": on,
        "looked": look(cast, wanted, now=now, ignoring=found.pk) if wanted else None,
        "slots": availability.cast_slots(
            cast, first_on=on, last_on=on, now=now, ignoring=found.pk, leeway=Leeway.STAFF
        ),
        "reason": request.POST.get("reason", ""),
        "override_reason": request.POST.get("override_reason", ""),
    }
    return render(request, "bookings/desk_move.html", context)


def _wanted_time(request: HttpRequest, found: Booking) -> tuple[MomentForm, datetime | None]:
    """The new time from the drop (`to`, an instant) or from the form (day and time on the place's clock)."""
    data = request.POST if request.method == "POST" else request.GET
    zone = ZoneInfo(found.location.zone)
    dropped = instant_of(data.get("to", ""))
    if dropped is not None:
        there = dropped.astimezone(zone)
        return MomentForm(initial={"on": there.date(), "at": there.time()}), dropped
    if "on" in data:
        form = MomentForm(data)
        return form, form.moment(found.location) if form.is_valid() else None
    there = found.starts_at.astimezone(zone)
    return MomentForm(initial={"on": there.date(), "at": there.time()}), None


# --- by phone -----------------------------------------------------------------------------------------------


@staff(Role.PHOTOGRAPHER)
@require_http_methods(["GET", "POST"])
def book(request: HttpRequest) -> HttpResponse:
    """Book for somebody on the phone: what, where, when (or why not), who, and how it is paid."""
    now = timezone.now()
    data = request.POST if request.method == "POST" else request.GET
    here = my_places(request)
    kinds = list(SessionType.objects.filter(is_active=True, locations__in=here).distinct())
    kind = next((one for one in kinds if one.slug == data.get("session")), kinds[0] if kinds else None)
    if kind is None:
        return render(request, "bookings/desk_book.html", {"kinds": []})
    choice = ChoiceOfTime(data, session_type=kind, only=here)
    place = choice.chosen_location
    zone = ZoneInfo(place.zone)
    chosen = instant_of(data.get("starts_at", ""))
    other = MomentForm({"on": data.get("on", ""), "at": data.get("at", "")}) if data.get("at") else None
    if chosen is None and other is not None and other.is_valid():
        chosen = other.moment(place)
    on = chosen.astimezone(zone).date() if chosen else day_of(request, place, now=now)
    form = CallerForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if chosen is None:
            form.add_error(None, _("Please choose a time first."))
        elif form.is_valid():
            made = _book(request, form, kind, place, choice, chosen, now=now)
            if made is not None:
                return redirect("desk_booking", made.public_id)
    context = {
        "kinds": kinds,
        "kind": kind,
        "choice": choice,
        "place": place,
        "zone": zone,
        "on": on,
        "chosen": chosen,
        "form": form,
        "form_token": data.get("form_token") or uuid.uuid4(),
        "override_reason": data.get("override_reason", ""),
        **_times(choice, kind, place, on, chosen, now=now),
    }
    if other is not None and other.errors:
        context["problem"] = next(iter(other.errors.values()))[0]
    return render(request, "bookings/desk_book.html", context, status=422 if form.errors else 200)


def _times(
    choice: ChoiceOfTime,
    kind: SessionType,
    place: Location,
    on: date,
    chosen: datetime | None,
    *,
    now: datetime,
) -> dict[str, Any]:
    """The free times of a day for the studio, the price, and what was found about the time asked for."""
    try:
        cast = availability.cast_of(session_type=kind, location=place, add_ons=choice.add_ons)
    except NotOffered as refusal:
        return {"problem": refusal.sentence, "slots": []}
    return {
        "slots": availability.cast_slots(cast, first_on=on, last_on=on, now=now, leeway=Leeway.STAFF),
        "looked": look(cast, chosen, now=now) if chosen else None,
        "price": pricing.quote(
            session_type=kind,
            location=place,
            add_ons=cast.add_ons,
            studio_currency=holds.studio_now().currency,
            taxes=taxes_of(place),
        ),
    }


def _book(
    request: HttpRequest,
    form: CallerForm,
    kind: SessionType,
    place: Location,
    choice: ChoiceOfTime,
    starts_at: datetime,
    *,
    now: datetime,
) -> Booking | None:
    """The booking, or None with what is wrong written into the form."""
    typed = dict(form.cleaned_data)
    paying, note = typed.pop("paying"), typed.pop("note")
    try:
        token = uuid.UUID(request.POST.get("form_token", ""))
    except ValueError:
        token = uuid.uuid4()
    try:
        made = by_phone.book(
            session_type_id=kind.pk,
            location_id=place.pk,
            add_ons=choice.add_ons,
            starts_at=starts_at,
            form_token=token,
            caller=by_phone.Caller(**typed),
            paying=paying,
            note=note,
            override_reason=clean(request.POST.get("override_reason", ""))[:LONGEST_REASON],
            by=actor_of(request),
            now=now,
        )
    except DetailsRefused as refusal:
        for field, sentence in refusal.problems.items():
            form.add_error(field if field in form.fields else None, sentence)
    except SlotTaken:
        form.add_error(None, _("This time is not free any more; what takes it stands beside the times."))
    except Refused as refusal:
        form.add_error(None, refusal.sentence)
    else:
        if made.status in SAID:
            messages.success(request, SAID[made.status])
        else:  # the same form again, after its hold has ended
            messages.warning(request, _("This was booked before, and its hold is over. Please book it anew."))
        return made
    return None


SAID = {
    "confirmed": gettext_lazy("Booked and confirmed. The client has it in their mail."),
    "held": gettext_lazy("Held for them. The link to pay is in their mail."),
}


# --- blocking -----------------------------------------------------------------------------------------------


@staff(Role.PHOTOGRAPHER)
@require_http_methods(["GET", "POST"])
def block(request: HttpRequest) -> HttpResponse:
    """Keep somebody or something from being booked for a time."""
    now = timezone.now()
    place = place_of(request)
    form = BlockForm(request.POST or None, initial=_block_initial(request, place, now=now))
    form.fields["resource"].queryset = Resource.objects.filter(  # type: ignore[attr-defined]
        pk__in=[row.pk for row in day_plan.resources_at(place)]
    )
    if request.method == "POST" and form.is_valid():
        starts_at, ends_at = form.span(place)
        try:
            blocks.block(
                resource_id=form.cleaned_data["resource"].pk,
                starts_at=starts_at,
                ends_at=ends_at,
                reason=form.cleaned_data["reason"],
                by=actor_of(request),
                now=now,
            )
        except Refused as refusal:
            form.add_error(None, refusal.sentence)
        else:
            messages.success(request, _("Blocked. Nobody can book that time."))
            return redirect(link("desk_calendar", location=place.slug, on=form.cleaned_data["on"]))
    return render(
        request,
        "bookings/desk_block.html",
        {"form": form, "place": place},
        status=422 if form.errors else 200,
    )


def _block_initial(request: HttpRequest, place: Location, *, now: datetime) -> dict[str, Any]:
    at = instant_of(request.GET.get("at", ""))
    there = (at or now).astimezone(ZoneInfo(place.zone))
    resource = Resource.objects.filter(public_id=request.GET.get("resource", "")).first()
    initial: dict[str, Any] = {"on": there.date(), "resource": resource}
    if at is not None:
        initial |= {"starts_at": there.time(), "ends_at": (there + timedelta(hours=1)).time()}
    return initial


@staff(Role.PHOTOGRAPHER)
@require_POST
def unblock(request: HttpRequest) -> HttpResponse:
    """Take a block back."""
    now = timezone.now()
    place = place_of(request)
    busy = request.POST.get("busy", "")
    if (
        busy.isdecimal()
        and len(busy) < 18
        and day_plan.is_at(place, busy_id=int(busy))
        and blocks.unblock(busy_id=int(busy), by=actor_of(request), now=now)
    ):
        messages.success(request, _("Free again."))
    else:
        messages.info(request, _("That was not blocked any more, or it comes from another calendar."))
    return redirect(link("desk_calendar", location=place.slug, on=request.POST.get("on", "")))
