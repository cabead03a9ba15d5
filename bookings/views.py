"""The public way to a booking: choose a session, a time, say who you are, pay."""

import uuid
from collections import defaultdict
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseRedirect,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from bookings import (
    availability,
    charges,
    checkout,
    codes,
    extras,
    holds,
    late,
    ledger,
    policy,
    pricing,
    promising,
    vouchers,
    webhooks,
)
from bookings.forms import ChoiceOfTime, DetailsForm, HoldForm
from bookings.models import Booking, SessionType
from bookings.pricing import may_pay_at_studio
from bookings.refusals import DetailsRefused, HoldOver, NotKept, NotNow, NotOffered, SlotTaken
from bookings.seating import Slot
from bookings.statuses import STANDING, AskStatus, BookingStatus
from bookings.stripe_gateway import BadSignature, GatewayError
from bookings.taxes import taxes_of
from studio import credentials, throttles
from studio.actors import Actor, ActorKind
from studio.models import Location

HELD_HERE = "holds"  # session key: the bookings this browser holds, before any link was mailed
WEEK = 7
GUEST = Actor(ActorKind.CLIENT, None, "")


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The sessions with length, price, finals included and the promise."""
    session_types = SessionType.objects.filter(is_active=True, locations__is_active=True).distinct()
    return render(
        request,
        "bookings/home.html",
        {
            "session_types": session_types.prefetch_related("add_ons", "locations"),
            "studio_now": holds.studio_now(),
            "places": Location.objects.filter(is_active=True),
            "promise": promising.next_promise(now=timezone.now()),
            "extras": extras.rendered_home(request, timezone.now()),
        },
    )


@require_GET
def session_type(request: HttpRequest, slug: str) -> HttpResponse:
    """One session: its add-ons, and the start times that fit everybody. The same address as a fragment for htmx."""
    found = get_object_or_404(SessionType, slug=slug, is_active=True)
    choice = ChoiceOfTime(request.GET, session_type=found)
    if not choice.locations:
        raise Http404
    context = {"session_type": found, "choice": choice, **times_of(choice, now=timezone.now())}
    fragment = "bookings/_times.html" if getattr(request, "htmx", False) else "bookings/session_type.html"
    return render(request, fragment, context)


def times_of(choice: ChoiceOfTime, *, now: datetime) -> dict[str, object]:
    """The open times of one week of choice, by day, with the price. Weeks count from today."""
    place = choice.chosen_location
    zone = ZoneInfo(place.zone)
    today = now.astimezone(zone).date()
    first_on = today + timedelta(days=WEEK * choice.week_number)
    horizon = today + timedelta(days=choice.session_type.horizon_days)
    add_ons, studio = choice.add_ons, holds.studio_now()
    problem, cast = "", None
    try:
        cast = availability.cast_of(session_type=choice.session_type, location=place, add_ons=add_ons)
        found = availability.cast_slots(
            cast, first_on=first_on, last_on=min(first_on + timedelta(days=WEEK - 1), horizon), now=now
        )
        price = pricing.quote(
            session_type=choice.session_type,
            location=place,
            add_ons=cast.add_ons,
            studio_currency=studio.currency,
            taxes=taxes_of(place),
        )
    except NotOffered as refusal:
        found, price, problem = [], None, refusal.sentence
    outlook = promising.outlook_of(choice.session_type, place, now=now)
    if studio.hides_full_slots:
        found = [slot for slot in found if not promising.is_full(outlook, slot)]
    return {
        "location": place,
        "zone": zone,
        "outlook": outlook,
        "days": by_day(found, zone),
        "price": price,
        "problem": problem,
        "add_ons": add_ons,
        "may_pay_at_studio": may_pay_at_studio(choice.session_type),
        "before_camera": cast.chain.shoot_begins if cast else 0,
        "form_token": uuid.uuid4(),
        "hold_url": reverse("hold", args=[choice.session_type.slug]),
        "wait_url": reverse("wait", args=[choice.session_type.slug]) + _week_link(choice, 0),
        "previous": _week_link(choice, -1) if choice.week_number else "",
        "next": _week_link(choice, 1) if first_on + timedelta(days=WEEK) <= horizon else "",
        "first_on": first_on,
        "last_on": first_on + timedelta(days=WEEK - 1),
    }


def _week_link(choice: ChoiceOfTime, step: int) -> str:
    query: dict[str, str | int] = {"location": choice.chosen_location.slug, "week": choice.week_number + step}
    query |= {f"add-{pk}": count for pk, count in choice.add_ons.items()}
    return "?" + urlencode(query)


def by_day(slots: list[Slot], zone: ZoneInfo) -> dict[date, list[Slot]]:
    """Slots under their local date."""
    days: dict[date, list[Slot]] = defaultdict(list)
    for slot in slots:
        days[slot.starts_at.astimezone(zone).date()].append(slot)
    return dict(days)


@require_POST
def hold(request: HttpRequest, slug: str) -> HttpResponse:
    """A start time was pressed: hold it for 15 minutes, or say why not and what is free nearby."""
    now = timezone.now()
    found = get_object_or_404(SessionType, slug=slug, is_active=True)
    choice = ChoiceOfTime(request.POST, session_type=found)
    form = HoldForm(request.POST)
    if not form.is_valid() or not choice.locations:
        return _not_held(request, choice, _("This time could not be read. Please choose again."), now=now)
    if not throttles.allow(
        f"hold:{throttles.network(request)}", limit=30, per=timedelta(minutes=10), now=now
    ):
        return _not_held(
            request, choice, _("That was a lot of holds. Please wait ten minutes."), now=now, status=429
        )
    asked = {key for key, value in request.POST.items() if key.startswith("add-") and value not in ("", "0")}
    if asked - {f"add-{pk}" for pk in choice.add_ons}:
        return _not_held(
            request, choice, _("One of these add-ons is not offered with this session."), now=now
        )
    place = next((place for place in choice.locations if place.slug == form.cleaned_data["location"]), None)
    if place is None:
        return _not_held(request, choice, _("This session is not offered there."), now=now)
    others = _held_by_this_browser(request)
    if paid := checkout.close_pages_of(booking_ids=others, now=now):
        messages.info(
            request, _("You have paid for this time already, so it is yours. You can book another one.")
        )
        return redirect("booking", Booking.objects.get(pk=paid[-1]).public_id)
    try:
        booking = holds.place(
            session_type_id=found.pk,
            location_id=place.pk,
            add_ons=choice.add_ons,
            starts_at=form.cleaned_data["starts_at"],
            form_token=form.cleaned_data["form_token"],
            pays_at_studio=form.cleaned_data["pays_at_studio"],
            instead_of=others,
            by=GUEST,
            now=now,
        )
    except SlotTaken as refusal:
        return _not_held(request, choice, refusal.sentence, now=now, nearby=refusal.nearby)
    except NotOffered as refusal:
        return _not_held(request, choice, refusal.sentence, now=now)
    request.session[HELD_HERE] = [*request.session.get(HELD_HERE, []), booking.public_id][-20:]
    return redirect("booking_details", booking.public_id)


def _held_by_this_browser(request: HttpRequest) -> list[int]:
    """What was held from here before: who went back and presses another time wants that one instead."""
    held = Booking.objects.filter(public_id__in=request.session.get(HELD_HERE, []), status=BookingStatus.HELD)
    return list(held.order_by("pk").values_list("pk", flat=True))


def _not_held(
    request: HttpRequest,
    choice: ChoiceOfTime,
    sentence: str,
    *,
    now: datetime,
    nearby: list[Slot] | None = None,
    status: int = 409,
) -> HttpResponse:
    """The same page with the sentence on top and, where there are, the nearest open times. Nothing was stored."""
    if not choice.locations:
        raise Http404
    context = {"session_type": choice.session_type, "choice": choice, **times_of(choice, now=now)}
    zone = ZoneInfo(choice.chosen_location.zone)
    context |= {"refusal": sentence, "nearby": by_day(nearby or [], zone)}
    return render(request, "bookings/session_type.html", context, status=status)


def held_here(request: HttpRequest, public_id: str) -> Booking:
    """A booking this browser placed, or opened by the link mailed for it. Raises Http404 for everybody else."""
    if public_id not in request.session.get(HELD_HERE, []) and not credentials.opened(
        request, scope="booking", target=public_id, now=timezone.now()
    ):
        raise Http404
    return get_object_or_404(
        Booking.objects.select_related("session_type", "location", "payer"), public_id=public_id
    )


@require_http_methods(["GET", "POST"])
def details(request: HttpRequest, public_id: str) -> HttpResponse:
    """Who books; then to the payment page, or straight to the confirmation where nothing is due now."""
    now = timezone.now()
    booking = held_here(request, public_id)
    if booking.status != BookingStatus.HELD:
        return _after_hold(request, booking)
    if booking.hold_expires_at and booking.hold_expires_at <= now:
        return _hold_over(request, booking)
    if request.method == "POST" and (
        request.POST.get("code", "").strip() or {"drop_code", "drop_voucher"} & set(request.POST)
    ):
        return _change_code(request, booking, now=now)
    payer = booking.payer
    initial = (
        {
            "name": payer.name,
            "email": payer.email,
            "mobile": payer.mobile,
            "firm": payer.firm,
            "firm_address": payer.firm_address,
            "tax_number": payer.tax_number,
        }
        if payer
        else {}
    )
    form = DetailsForm(
        request.POST or None, initial=initial, needs_express_request=_is_express(booking, now=now)
    )
    if request.method == "POST" and form.is_valid():
        try:
            checkout.take_details(booking_id=booking.pk, by=GUEST, now=now, **form.cleaned_data)
            if ledger.due_now(booking):
                return HttpResponseRedirect(checkout.open_checkout(booking_id=booking.pk, now=now))
            checkout.confirm_at_studio(booking_id=booking.pk, by=GUEST, now=now)
            return redirect("booking", booking.public_id)
        except DetailsRefused as refusal:
            for field, sentence in refusal.problems.items():
                form.add_error(field if field in form.fields else None, sentence)
        except HoldOver as refusal:
            return _hold_over(request, booking, refusal)
        except NotNow as refusal:
            form.add_error(None, refusal.sentence)
        except GatewayError:
            form.add_error(
                None,
                _("The payment page cannot be reached just now. Your time is still held; please try again."),
            )
    return render(
        request, "bookings/details.html", _details_page(booking, form), status=422 if form.errors else 200
    )


def _is_express(booking: Booking, *, now: datetime) -> bool:
    return policy.needs_express_request(
        country=booking.location.country, starts_at=booking.starts_at, at=now, is_consumer=True
    )


def _details_page(booking: Booking, form: DetailsForm) -> dict[str, object]:
    return {
        "booking": booking,
        "form": form,
        "forecast": promising.forecast_of(booking),
        "policy_words": policy.in_words(),
        **summary_of(booking),
    }


def _change_code(request: HttpRequest, booking: Booking, *, now: datetime) -> HttpResponse:
    """A code or voucher is put on or taken off; what was typed so far stays as it is."""
    problem, typed = "", request.POST.get("code", "").strip()
    if checkout.close_pages_of(booking_ids=[booking.pk], now=now):  # of the price that holds no longer
        return redirect("booking", booking.public_id)
    try:
        if "drop_code" in request.POST:
            codes.take_off(booking_id=booking.pk, by=GUEST, now=now)
        elif "drop_voucher" in request.POST:
            vouchers.take_off_hold(booking_id=booking.pk, by=GUEST, now=now)
        elif throttles.allow(
            f"code:{throttles.network(request)}", limit=20, per=timedelta(minutes=10), now=now
        ):
            codes.use(booking_id=booking.pk, code=typed, by=GUEST, now=now)
            typed = ""
        else:
            problem = _("Too many codes were tried from here. Please wait ten minutes.")
    except HoldOver:
        return _hold_over(request, booking)
    except NotNow as refusal:
        problem = refusal.sentence
    booking.refresh_from_db()
    form = DetailsForm(initial=request.POST.dict(), needs_express_request=_is_express(booking, now=now))
    context = {**_details_page(booking, form), "code_problem": problem, "code_typed": typed}
    return render(request, "bookings/details.html", context, status=422 if problem else 200)


def summary_of(booking: Booking) -> dict[str, object]:
    """What a page says of a booking: its own zone, its preparations, its shoot."""
    shoot = booking.shoots.order_by("pk").first()
    booked = list(booking.add_ons.select_related("add_on").order_by("starts_at", "pk"))
    return {
        "zone": ZoneInfo(booking.location.zone),
        "shoot": shoot,
        "held_until": late.held_until(booking, shoot),
        "agreed": late.agreed(shoot),
        "booked_add_ons": booked,
        "has_preparation": any(row.starts_at for row in booked),
        "asked": booking.asks.filter(status=AskStatus.ASKED).exists(),
        "price_lines": charges.lines_of(booking),
        **(_to_pay(booking) if booking.status == BookingStatus.HELD else {}),
    }


def _to_pay(booking: Booking) -> dict[str, int]:
    """What confirms a held booking, what a voucher paid of it, and what is open after both."""
    money, due_now = ledger.balance(booking), ledger.due_now(booking)
    return {"due_now": due_now, "by_voucher": money.kept, "open_later": money.due - due_now}


def _after_hold(request: HttpRequest, booking: Booking) -> HttpResponse:
    if booking.status in STANDING:
        return redirect("booking", booking.public_id)
    return _hold_over(request, booking)


def _hold_over(request: HttpRequest, booking: Booking, refusal: HoldOver | None = None) -> HttpResponse:
    """The time is open again: one tap back to the same choice."""
    query: dict[str, str | int] = {"location": booking.location.slug}
    query |= {f"add-{row.add_on_id}": row.count for row in booking.add_ons.all()}
    again = reverse("session_type", args=[booking.session_type.slug]) + "?" + urlencode(query)
    not_kept = refusal.sentence if isinstance(refusal, NotKept) else ""
    context = {"booking": booking, "again": again, "not_kept": not_kept}
    return render(request, "bookings/hold_over.html", context, status=410)


@require_POST
def release(request: HttpRequest, public_id: str) -> HttpResponse:
    """The client goes back: the time is free for others at once."""
    booking = held_here(request, public_id)
    holds.release(booking_id=booking.pk, by=GUEST, now=timezone.now())
    messages.info(request, _("The time is free again. Nothing was paid."))
    return redirect("session_type", booking.session_type.slug)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Stripe rings: the signature is the right to. Recorded once; the object is fetched by a worker."""
    try:
        webhooks.receive(
            payload=request.body, signature=request.headers.get("Stripe-Signature", ""), now=timezone.now()
        )
    except BadSignature:
        return HttpResponseBadRequest("bad signature")
    return HttpResponse("ok")
