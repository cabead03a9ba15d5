"""People, rooms and chairs on the desk: hours, leave, away today, calendars elsewhere, closures, a day to be moved."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_time
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from bookings import another_time, asking, away, calendar_feeds, closing, places, stand_ins
from bookings.calendar_forms import WEEKDAYS, ClosureForm, FeedForm, LeaveForm, OtherHoursForm
from bookings.calendar_views import actor_of, day_of, link, my_places, place_of
from bookings.forms import day_or_none
from bookings.models import Booking, Claim, Resource, ResourceDay, ResourceHours, ResourceKind
from bookings.people import clean
from bookings.refusals import Refused
from bookings.statuses import BookingStatus
from bookings.timeline import DAY
from studio import credentials
from studio.access import staff
from studio.models import Closure, Location, Role
from studio.views import desk_zone

SPANS_A_DAY = 2


def found_resource(public_id: str) -> Resource:
    return get_object_or_404(Resource.objects.select_related("location", "user"), public_id=public_id)


def zone_of(resource: Resource) -> str:
    """The clock a Resource's dates are read on: its place's, or the first place it works at."""
    if resource.location is not None:
        return resource.location.zone
    hours = resource.hours.select_related("location").first()
    return hours.location.zone if hours else desk_zone()


def today_of(resource: Resource) -> date:
    return timezone.now().astimezone(ZoneInfo(zone_of(resource))).date()


@staff(Role.PHOTOGRAPHER)
@require_GET
def people(request: HttpRequest) -> HttpResponse:
    """Everybody and everything that can be booked, with who is away and whose calendar cannot be read."""
    now = timezone.now()
    today = now.astimezone(ZoneInfo(desk_zone())).date()
    rows = (
        Resource.objects.filter(places.my_resources(request), is_active=True)
        .select_related("location", "busy_feed")
        .prefetch_related("skills", "hours__location")
    )
    days = ResourceDay.objects.filter(on__range=(today, today + 14 * DAY), starts_at=None)
    away_on: dict[int, list[date]] = {}
    for resource_id, on in days.order_by("on").values_list("resource", "on"):
        away_on.setdefault(resource_id, []).append(on)
    groups = [
        (label, [(row, away_on.get(row.pk, [])) for row in rows if row.kind == kind])
        for kind, label in (
            (ResourceKind.PERSON, _("People")),
            (ResourceKind.ROOM, _("Rooms")),
            (ResourceKind.CHAIR, _("Chairs")),
        )
    ]
    return render(request, "bookings/people.html", {"groups": groups, "today": today})


@staff(Role.PHOTOGRAPHER, at=places.of_resource)
@require_GET
def person(request: HttpRequest, public_id: str) -> HttpResponse:
    """One Resource: its week, its exceptions, its calendars."""
    return _person(request, found_resource(public_id))


def _person(request: HttpRequest, resource: Resource, *, status: int = 200, **forms: Any) -> HttpResponse:
    now, today = timezone.now(), today_of(resource)
    feed = getattr(resource, "busy_feed", None)
    context = {
        "resource": resource,
        "zone": zone_of(resource),
        "today": today,
        "places": Location.objects.filter(is_active=True),
        "week": _week(resource),
        "days": resource.days.filter(on__gte=today).select_related("location").order_by("on", "starts_at"),
        "feed": feed,
        "feed_times": resource.busy.filter(source=calendar_feeds.SOURCE, ends_at__gt=now).count(),
        "feed_links": credentials.live(scope=calendar_feeds.SCOPE, target=resource.public_id, now=now),
        "fresh_link": request.session.pop("fresh_feed", {}).get(resource.public_id, ""),
        "leave_form": LeaveForm(initial={"first_on": today}),
        "other_form": OtherHoursForm(initial={"on": today}),
        "feed_form": FeedForm(initial={"url": feed.url if feed else ""}),
        **forms,
    }
    return render(request, "bookings/person.html", context, status=status)


def _week(resource: Resource) -> list[dict[str, Any]]:
    """Seven weekdays as the form shows them: the first span of each, and room for at least one more behind a tap."""
    rows: dict[int, list[ResourceHours]] = {}
    for row in resource.hours.select_related("location"):
        rows.setdefault(row.weekday, []).append(row)
    week = []
    for day, name in enumerate(WEEKDAYS):
        spans: list[ResourceHours | None] = [*rows.get(day, [])]
        has_more = len(spans) > 1
        spans += [None] * (SPANS_A_DAY - len(spans))
        rest = list(enumerate(spans))[1:]
        week.append({"number": day, "name": name, "first": spans[0], "rest": rest, "has_more": has_more})
    return week


@staff(Role.PHOTOGRAPHER, at=places.of_resource)
@require_POST
def person_hours(request: HttpRequest, public_id: str) -> HttpResponse:
    """Write the weekly hours; bookings that stand are not touched."""
    resource = found_resource(public_id)
    choices = {str(row.pk): row for row in Location.objects.filter(is_active=True)}
    rows, problem = [], ""
    for day in range(7):
        spans = []
        for number in range(6):
            begins, until = (request.POST.get(f"{edge}-{day}-{number}", "") for edge in ("from", "until"))
            if not begins and not until:
                continue
            span = _span(begins, until)
            place = choices.get(request.POST.get(f"place-{day}-{number}", "")) or resource.location
            if span is None or place is None:
                problem = _("%(day)s: each span needs a beginning before its end, and a place.") % {
                    "day": WEEKDAYS[day]
                }
                continue
            spans.append(span)
            rows.append(
                ResourceHours(
                    resource=resource, location=place, weekday=day, starts_at=span[0], ends_at=span[1]
                )
            )
        if any(one[1] > other[0] for one, other in zip(sorted(spans), sorted(spans)[1:], strict=False)):
            problem = _("%(day)s: the spans overlap.") % {"day": WEEKDAYS[day]}
    if problem:
        messages.warning(request, problem)
        return redirect("desk_person", public_id)
    with transaction.atomic():
        Resource.objects.select_for_update(of=("self",)).get(pk=resource.pk)
        resource.hours.all().delete()
        ResourceHours.objects.bulk_create(rows)
    messages.success(request, _("The weekly hours are written. Bookings that stand stay."))
    return redirect("desk_person", public_id)


def _span(begins: str, until: str) -> tuple[Any, Any] | None:
    try:
        found = parse_time(begins), parse_time(until)
    except ValueError:
        return None
    return found if found[0] and found[1] and found[0] < found[1] else None


@staff(Role.PHOTOGRAPHER, at=places.of_resource)
@require_POST
def person_leave(request: HttpRequest, public_id: str) -> HttpResponse:
    """Away from one day to another: then the list of who is affected."""
    resource = found_resource(public_id)
    form = LeaveForm(request.POST)
    if not form.is_valid():
        return _person(request, resource, leave_form=form, status=422)
    first_on, last_on = (
        form.cleaned_data["first_on"],
        form.cleaned_data["last_on"] or form.cleaned_data["first_on"],
    )
    try:
        away.away(
            resource_id=resource.pk,
            first_on=first_on,
            last_on=last_on,
            reason=form.cleaned_data["reason"],
            by=actor_of(request),
            now=timezone.now(),
        )
    except Refused as refusal:
        form.add_error("last_on", refusal.sentence)
        return _person(request, resource, leave_form=form, status=422)
    messages.success(request, _("%(name)s is away then and cannot be booked.") % {"name": resource.name})
    return redirect(link("desk_away", public_id, on=first_on, until=last_on))


@staff(Role.PHOTOGRAPHER, at=places.of_resource)
@require_POST
def person_other(request: HttpRequest, public_id: str) -> HttpResponse:
    """Other hours on one date."""
    resource = found_resource(public_id)
    form = OtherHoursForm(request.POST)
    if not form.is_valid():
        return _person(request, resource, other_form=form, status=422)
    away.other_hours(resource_id=resource.pk, by=actor_of(request), now=timezone.now(), **form.cleaned_data)
    messages.success(request, _("Written down for that date."))
    return redirect("desk_person", public_id)


@staff(Role.PHOTOGRAPHER, at=places.of_resource)
@require_POST
def person_back(request: HttpRequest, public_id: str) -> HttpResponse:
    """Take the exceptions of one date back."""
    resource = found_resource(public_id)
    on = day_or_none(request.POST.get("on", ""))
    if on and away.back(resource_id=resource.pk, on=on, by=actor_of(request), now=timezone.now()):
        messages.success(request, _("As every week again."))
    return redirect("desk_person", public_id)


# --- calendars elsewhere ------------------------------------------------------------------------------------


@staff(Role.PHOTOGRAPHER, at=places.of_resource)
@require_POST
def person_feed(request: HttpRequest, public_id: str) -> HttpResponse:
    """Read a calendar from now on, read it again at once, or stop reading it."""
    resource, by, now = found_resource(public_id), actor_of(request), timezone.now()
    verb = request.POST.get("verb", "")
    if verb == "stop":
        calendar_feeds.forget(resource_id=resource.pk, by=by, now=now)
        messages.success(request, _("Not read any more; its busy times are gone."))
    elif verb == "now":
        calendar_feeds.ask_now(resource_id=resource.pk, now=now)
        messages.info(request, _("Being read. Look again in a moment."))
    else:
        form = FeedForm(request.POST)
        if not form.is_valid():
            return _person(request, resource, feed_form=form, status=422)
        try:
            calendar_feeds.follow(resource_id=resource.pk, url=form.cleaned_data["url"], by=by, now=now)
        except Refused as refusal:
            form.add_error("url", refusal.sentence)
            return _person(request, resource, feed_form=form, status=422)
        messages.success(request, _("It is read now and every quarter of an hour."))
    return redirect("desk_person", public_id)


@staff(Role.PHOTOGRAPHER, at=places.of_resource)
@require_POST
def person_link(request: HttpRequest, public_id: str) -> HttpResponse:
    """Make the secret address of a Resource's own calendar, or close all of them."""
    resource, now = found_resource(public_id), timezone.now()
    if request.POST.get("verb") == "close":
        calendar_feeds.close_links(resource=resource, by=actor_of(request), now=now)
        messages.success(request, _("Closed. Calendars that follow it get nothing any more."))
    else:
        url = calendar_feeds.open_link(resource=resource, by=actor_of(request), now=now)
        request.session["fresh_feed"] = {resource.public_id: url}
        messages.success(request, _("Here it is. It is shown this once."))
    return redirect("desk_person", public_id)


# --- away ---------------------------------------------------------------------------------------------------


@staff(Role.PHOTOGRAPHER, at=places.of_resource)
@require_http_methods(["GET", "POST"])
def away_today(request: HttpRequest, public_id: str) -> HttpResponse:
    """Somebody is away: who is affected, each with the next action."""
    resource, now = found_resource(public_id), timezone.now()
    on = day_or_none(request.GET.get("on", "")) or today_of(resource)
    until = max(on, min(day_or_none(request.GET.get("until", "")) or on, on + 366 * DAY))
    if request.method == "POST":
        away.away(
            resource_id=resource.pk,
            first_on=on,
            last_on=until,
            reason=request.POST.get("reason", ""),
            by=actor_of(request),
            now=now,
        )
        return redirect(link("desk_away", public_id, on=on, until=until))
    context = {
        "resource": resource,
        "on": on,
        "until": until,
        "today": today_of(resource),
        "is_away": resource.days.filter(on=on, starts_at=None).exists(),
        "affected": away.affected(resource=resource, first_on=on, last_on=until, now=now),
    }
    return render(request, "bookings/away.html", context)


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_POST
def mend(request: HttpRequest, public_id: str, verb: str) -> HttpResponse:
    """One tap for one client: somebody else does it, come without, another time for free, or the time after all."""
    booking = get_object_or_404(Booking, public_id=public_id)
    mends = {"stand-in": _stand_in, "without": _without, "offer": _offer, "stands": _stands}
    if verb not in mends:
        raise Http404
    try:
        messages.success(request, mends[verb](request, booking))
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    back = Resource.objects.filter(public_id=request.POST.get("away", "")).first()
    if back is None:
        return redirect("desk_booking", public_id)
    return redirect(
        link("desk_away", back.public_id, on=request.POST.get("on", ""), until=request.POST.get("until", ""))
    )


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 18 else 0


def _stand_in(request: HttpRequest, booking: Booking) -> str:
    claim = get_object_or_404(Claim, pk=_number(request, "claim"), booking=booking)
    now, by = timezone.now(), actor_of(request)
    with transaction.atomic():
        was = claim.resource
        taken = stand_ins.swap(claim_id=claim.pk, resource_id=_number(request, "resource"), by=by, now=now)
        asking.withdraw(booking, by=by, now=now, resources=[was.pk])
        if booking.status != BookingStatus.HELD:  # else they are asked once it is booked
            asking.ask_artists(booking, by=by, now=now)
    return _("%(name)s does it.") % {"name": taken.resource.name}


def _without(request: HttpRequest, booking: Booking) -> str:
    away.come_without(
        booking_id=booking.pk,
        add_on_id=_number(request, "add_on"),
        reason=clean(request.POST.get("reason", ""))[:200],
        by=actor_of(request),
        now=timezone.now(),
    )
    return _("Left out. Its price goes back, and the client knows when to come.")


def _offer(request: HttpRequest, booking: Booking) -> str:
    away.offer_change(
        booking_id=booking.pk,
        reason=clean(request.POST.get("reason", ""))[:200],
        by=actor_of(request),
        now=timezone.now(),
    )
    return _("The client can move for free or cancel with everything back, from their mail.")


def _stands(request: HttpRequest, booking: Booking) -> str:
    if another_time.keep_time(booking_id=booking.pk, by=actor_of(request), now=timezone.now()):
        return _("The client is told that their time stands.")
    return _("No other time was asked for any more.")


@staff(Role.PHOTOGRAPHER)
@require_http_methods(["GET", "POST"])
def move_day(request: HttpRequest) -> HttpResponse:
    """The studio cannot keep a day: everybody of it gets an offer, and nobody new can book it."""
    now, place = timezone.now(), place_of(request)
    on = day_of(request, place, now=now)
    if request.method == "POST":
        count = away.move_day(
            location=place,
            on=on,
            reason=clean(request.POST.get("reason", ""))[:200],
            closes="closes" in request.POST,
            by=actor_of(request),
            now=now,
        )
        messages.success(
            request,
            ngettext("%d client was offered another time.", "%d clients were offered another time.", count)
            % count,
        )
        return redirect(link("desk_move_day", location=place.slug, on=on))
    standing = away.standing_on(place, on)
    context = {
        "place": place,
        "on": on,
        "bookings": standing,
        "unasked": sum(booking.free_change_since is None for booking in standing),
        "closure": Closure.objects.filter(location=place, on=on).first(),
    }
    return render(request, "bookings/move_day.html", context)


# --- closures -----------------------------------------------------------------------------------------------


@staff(Role.PHOTOGRAPHER)
@require_http_methods(["GET", "POST"])
def closures(request: HttpRequest) -> HttpResponse:
    """The days a place is closed or closes early; add one or a repeating one."""
    now, today = timezone.now(), timezone.now().astimezone(ZoneInfo(desk_zone())).date()
    form = ClosureForm(
        request.POST or None,
        initial={"on": today, "location": my_places(request).first()},
    )
    form.fields["location"].queryset = my_places(request)  # type: ignore[attr-defined]
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        try:
            count = closing.close(
                location=typed["location"],
                first_on=typed["on"],
                name=typed["name"],
                closes_at=typed["closes_at"],
                repeats=typed["repeats"],
                until=typed["until"],
                by=actor_of(request),
                now=now,
            )
        except Refused as refusal:
            form.add_error("until", refusal.sentence)
        else:
            if count:
                messages.success(request, ngettext("%d day is closed.", "%d days are closed.", count) % count)
            else:
                messages.info(request, _("It is closed then already."))
            return redirect("desk_closures")
    rows = Closure.objects.filter(on__gte=today, location__in=my_places(request)).select_related("location")
    context = {"form": form, "closures": rows.order_by("on", "location__position")[:200]}
    return render(request, "bookings/closures.html", context, status=422 if form.errors else 200)


@staff(Role.PHOTOGRAPHER)
@require_POST
def closure_off(request: HttpRequest) -> HttpResponse:
    """Take closures back."""
    ids = [int(text) for text in request.POST.getlist("closure") if text.isdecimal() and len(text) < 18]
    mine = list(
        Closure.objects.filter(pk__in=ids, location__in=my_places(request)).values_list("pk", flat=True)
    )
    count = closing.open_again(closure_ids=mine, by=actor_of(request), now=timezone.now())
    messages.success(request, ngettext("%d day is open again.", "%d days are open again.", count) % count)
    return redirect("desk_closures")
