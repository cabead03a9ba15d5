"""The day on the desk: who comes, who is here, who is done; one booking with its money and its way."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from bookings import (
    another_time,
    away,
    extras,
    holds,
    lifecycle,
    payments,
    places,
    promising,
    questionnaires,
    till,
)
from bookings.forms import LONGEST_REASON, NERVES, PaymentForm, shown_amount
from bookings.models import Booking, Shoot
from bookings.people import clean
from bookings.refusals import NoLongerStands, OtherAmount, Refused
from bookings.statuses import AskStatus, BookingStatus, ShootStatus
from bookings.views import summary_of
from studio.access import roles_in, staff
from studio.accounts import require
from studio.actors import Actor
from studio.models import Message, Role, StatusChange, User
from studio.templatetags.studio_tags import money
from studio.transitions import MoveRefused

TABS = {
    "coming": gettext_lazy("Coming"),
    "past": gettext_lazy("Past"),
    "open": gettext_lazy("Held and requested"),
    "reshoots": gettext_lazy("Reshoots"),
    "cancelled": gettext_lazy("Cancelled"),
}


@staff(Role.PHOTOGRAPHER)
@require_GET
def bookings(request: HttpRequest) -> HttpResponse:
    """All bookings, by where they stand, with a search over names, addresses and codes."""
    now = timezone.now()
    tab = request.GET.get("tab", "coming")
    rows = Booking.objects.select_related("payer", "session_type", "location").prefetch_related(
        "shoots__sitter"
    )
    rows = rows.filter(places.mine(request))
    match tab:
        case "past":
            rows = rows.filter(status=BookingStatus.CONFIRMED, ends_at__lt=now).order_by("-starts_at")
        case "reshoots":
            rows = rows.filter(status=BookingStatus.CONFIRMED, reshoot_of__isnull=False).order_by(
                "-starts_at"
            )
        case "open":
            rows = rows.filter(status__in=[BookingStatus.HELD, BookingStatus.REQUESTED]).order_by("starts_at")
        case "cancelled":
            rows = rows.filter(status__in=[BookingStatus.CANCELLED, BookingStatus.EXPIRED]).order_by(
                "-starts_at"
            )
        case _:
            tab = "coming"
            rows = rows.filter(status=BookingStatus.CONFIRMED, ends_at__gte=now).order_by("starts_at")
    query = request.GET.get("q", "").strip()[:100]
    if query:
        rows = rows.filter(
            Q(payer__name__icontains=query)
            | Q(payer__email__icontains=query)
            | Q(shoots__sitter__name__icontains=query)
            | Q(shoots__code__iexact=query)
        ).distinct()
    page = Paginator(rows, 30).get_page(request.GET.get("page"))
    return render(
        request, "bookings/desk_bookings.html", {"page": page, "tab": tab, "tabs": TABS, "query": query}
    )


NOTED = {
    "move_to": gettext_lazy("Moved"),
    "stand_in": gettext_lazy("Somebody else does it"),
    "come_without": gettext_lazy("Comes without"),
    "change_add_ons": gettext_lazy("Other add-ons"),
    "offer_change": gettext_lazy("Another time was offered"),
    "keep_time": gettext_lazy("The time stands after all"),
    "late": gettext_lazy("Late"),
    "reshoot": gettext_lazy("Reshoot booked"),
    "given_back": gettext_lazy("Given back"),
    "put_back": gettext_lazy("Came back"),
    "taken_off": gettext_lazy("Taken off the price"),
    "disputed": gettext_lazy("Payment disputed"),
    "dispute_ended": gettext_lazy("Dispute ended"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One line of what happened to a booking or its shoot."""

    change: StatusChange

    @property
    def words(self) -> str:
        """The new status as the badges call it; a move changes none."""
        if self.change.verb in NOTED:
            return str(NOTED[self.change.verb])
        statuses = ShootStatus if self.change.model == Shoot._meta.label_lower else BookingStatus
        return str(dict(statuses.choices).get(self.change.after, self.change.after))


def desk_context(request: HttpRequest, found: Booking, *, now: datetime) -> dict[str, Any]:
    """Everything the studio sees of one booking."""
    shoot_ids = list(found.shoots.values_list("pk", flat=True))
    about = Q(model="bookings.booking", object_id=found.pk) | Q(
        model="bookings.shoot", object_id__in=shoot_ids
    )
    balance = payments.balance(found)
    return {
        "booking": found,
        "now": now,
        "balance": balance,
        "claims": found.claims.filter(is_active=True).select_related("resource").order_by("works_from", "pk"),
        "payments": [row.payment for row in found.allocations.select_related("payment") if row.payment],
        "refunds": [
            row.refund
            for row in found.allocations.filter(amount__lt=0).select_related("refund")
            if row.refund
        ],
        "mails": Message.objects.filter(about_model="bookings.booking", about_id=found.pk).order_by(
            "-due_at", "-pk"
        )[:30],
        "history": [Event(change) for change in StatusChange.objects.filter(about).order_by("pk")],
        "forecast": promising.forecast_of(found),
        "has_come": lifecycle.has_come(found, now=now),
        "asks": found.asks.filter(status=AskStatus.ASKED).select_related("resource"),
        "against": holds.outside_hours(found, now=now) if found.status == BookingStatus.REQUESTED else [],
        "absences": away.absences(now=now, booking=found),
        "gaps": away.gaps_of(found) if found.status == BookingStatus.CONFIRMED else [],
        "is_asked_for_another_time": another_time.is_open(found),
        "refund": lifecycle.refund_preview(booking=found, now=now),
        "payment_form": PaymentForm(
            initial={"amount": balance.due, "form_token": uuid.uuid4()}, currency=found.currency
        ),
        "extras": extras.rendered("desk", request, found, now),
        "till": till.for_desk(found, now=now),
        "form_token": uuid.uuid4(),
        **summary_of(found),
    }


def _actor(request: HttpRequest) -> Actor:
    return Actor.user(require(request))


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_GET
def booking(request: HttpRequest, public_id: str) -> HttpResponse:
    """One booking: people, times, money, messages, history."""
    found = _found(public_id)
    return render(request, "bookings/desk_booking.html", desk_context(request, found, now=timezone.now()))


def _found(public_id: str) -> Booking:
    return get_object_or_404(
        Booking.objects.select_related("payer", "session_type", "location"), public_id=public_id
    )


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_POST
def cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    """Cancelled on the desk, with a reason on record: what we cause gives everything back, a client's wish what the
    policy and the law give; waiving the policy is the first of the two. The form carries the amounts it showed: where
    another one would go back by now, the page is shown again with it."""
    now, found = timezone.now(), _found(public_id)
    reason = request.POST.get("reason", "").strip()[:300]
    is_clients = request.POST.get("whose") == "client"
    is_waived = "waive" in request.POST
    try:
        quoted = lifecycle.cancel(
            booking_id=found.pk,
            by=_actor(request),
            now=now,
            reason=reason or ("" if is_waived else _("The studio cancelled.")),
            full_refund=not is_clients,
            shown=shown_amount(request.POST.get("shown_client" if is_clients else "shown_studio")),
        )
    except OtherAmount as other:
        typed = {"refusal": other.sentence, "reason": reason, "is_clients": is_clients}
        context = {**desk_context(request, found, now=now), "cancelling": typed}
        return render(request, "bookings/desk_booking.html", context, status=409)
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    else:
        amount = money(quoted.amount, found.currency)
        messages.success(
            request, _("Cancelled. The client is told, and %(amount)s goes back.") % {"amount": amount}
        )
    return redirect("desk_booking", public_id)


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_POST
def payment(request: HttpRequest, public_id: str) -> HttpResponse:
    """Write down money taken by hand. What cannot be is shown again as it was typed, with the reason."""
    now, found = timezone.now(), _found(public_id)
    form = PaymentForm(request.POST, currency=found.currency)
    if form.is_valid():
        try:
            payments.record_by_staff(booking_id=found.pk, by=_actor(request), now=now, **form.cleaned_data)
        except Refused as refusal:
            form.add_error("amount", refusal.sentence)
        else:
            messages.success(request, _("Written down."))
            return redirect("desk_booking", public_id)
    context = {**desk_context(request, found, now=now), "payment_form": form}
    return render(request, "bookings/desk_booking.html", context, status=422)


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_POST
def decide(request: HttpRequest, public_id: str) -> HttpResponse:
    """A request is taken or declined; one whose time the hours do not allow any more only with a reason."""
    found, by, now = _found(public_id), _actor(request), timezone.now()
    why = clean(request.POST.get("override_reason", ""))[:LONGEST_REASON]
    try:
        if request.POST.get("answer") == "yes":
            lifecycle.confirm(booking_id=found.pk, override_reason=why, by=by, now=now)
            messages.success(request, _("Confirmed. The client is told."))
        else:
            lifecycle.decline(
                booking_id=found.pk, by=by, now=now, reason=request.POST.get("reason", "")[:300]
            )
            messages.success(request, _("Declined. The client is told, and everything paid goes back."))
    except NoLongerStands:
        context = {**desk_context(request, found, now=now), "is_refused": True}
        return render(request, "bookings/desk_booking.html", context, status=409)
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    except MoveRefused:
        found.refresh_from_db(fields=["status"])
        messages.info(
            request, _("It is decided already: “%s”. Nothing was changed.") % found.get_status_display()
        )
    return redirect("desk_booking", public_id)


VERBS = {"check-in": lifecycle.check_in, "complete": lifecycle.complete, "no-show": lifecycle.no_show}
SAID = {
    "check-in": gettext_lazy("Checked in. Frames from this room go to this session now."),
    "complete": gettext_lazy("Completed. The promise runs."),
    "no-show": gettext_lazy(
        "Written down: did not come. The client is told in a quarter of an hour, unless you check them in."
    ),
}


@staff(Role.PHOTOGRAPHER, Role.ARTIST, at=places.of_shoot)
@require_POST
def shoot_verb(request: HttpRequest, public_id: str, verb: str) -> HttpResponse:
    """Check in, complete, no-show: one tap each; for an artist only what they work in, on the day itself."""
    now = timezone.now()
    shoot = get_object_or_404(Shoot.objects.select_related("booking__location"), public_id=public_id)
    is_front = bool(roles_in(require(request), shoot.booking.location_id) & places.FRONT)
    if verb not in VERBS or not (is_front or is_in_own_day(require(request), shoot, now=now)):
        raise Http404
    try:
        VERBS[verb](shoot_id=shoot.pk, by=_actor(request), now=now)
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    except MoveRefused:
        messages.warning(request, _("That does not fit: the session is “%s”.") % shoot.get_status_display())
    else:
        messages.success(request, SAID[verb])
        due = payments.balance(shoot.booking).due
        if verb == "check-in" and due and is_front:
            amount = money(due, shoot.booking.currency)
            messages.warning(request, _("%(amount)s is still open: take it now.") % {"amount": amount})
    if request.POST.get("back") == "booking":
        return redirect("desk_booking", shoot.booking.public_id)
    return redirect("desk")


def is_in_own_day(user: User, shoot: Shoot, *, now: datetime) -> bool:
    """Whether the person works in this session, and it is today at its location."""
    zone = ZoneInfo(shoot.booking.location.zone)
    if shoot.booking.starts_at.astimezone(zone).date() != now.astimezone(zone).date():
        return False
    return shoot.booking.claims.filter(resource__user=user, is_active=True).exists()


@staff(Role.PHOTOGRAPHER, at=places.of_shoot)
@require_GET
def nerves(request: HttpRequest, public_id: str) -> HttpResponse:
    """Behind a tap, for the photographer alone: never on a shared screen, in a list, a search or a feed."""
    shoot = get_object_or_404(
        Shoot.objects.select_related("sitter", "booking__location"), public_id=public_id
    )
    chips = [NERVES[key] for key in shoot.nerves if key in NERVES]
    return render(
        request,
        "bookings/desk_nerves.html",
        {
            "shoot": shoot,
            "chips": chips,
            "booking": shoot.booking,
            "asked": questionnaires.asked_of(shoot),
        },
    )


def shoots_of_day(
    *, now: datetime, days: int, where: Q = Q(), user_resource: int | None = None
) -> list[Shoot]:
    """Sessions whose local day at their location is today (0) or one of the next days, in order."""
    window = Q(starts_at__gte=now - timedelta(days=1), starts_at__lt=now + timedelta(days=days + 2))
    rows = (
        Shoot.objects.filter(window, where, booking__status=BookingStatus.CONFIRMED)
        .select_related("sitter", "booking__payer", "booking__session_type", "booking__location")
        .prefetch_related("booking__claims__resource", "booking__add_ons__add_on")
        .order_by("booking__starts_at")
    )
    if user_resource is not None:
        mine = {"booking__claims__resource": user_resource, "booking__claims__is_active": True}
        rows = rows.filter(**mine).distinct()
    found = []
    for shoot in rows:
        zone = ZoneInfo(shoot.booking.location.zone)
        ahead = (shoot.booking.starts_at.astimezone(zone).date() - now.astimezone(zone).date()).days
        if 0 <= ahead <= days:
            found.append(shoot)
    return found
