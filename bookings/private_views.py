"""The client's private page of a booking: see, pay, move, cancel, say who sits, what worries, and what may be shown."""

import uuid
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from bookings import (
    another_time,
    availability,
    changes,
    checkout,
    extras,
    holds,
    ics,
    lifecycle,
    payments,
    promising,
    till,
)
from bookings.forms import NERVES, NervesForm, SitterForm, instant_of, shown_amount
from bookings.models import Booking, Client, ConsentPurpose, Shoot
from bookings.preparing import to_do
from bookings.refusals import NotNow, OtherAmount, Refused, SlotTaken
from bookings.seating import Slot
from bookings.statuses import STANDING, BookingStatus, CheckoutStatus, ShootStatus
from bookings.stripe_gateway import GatewayError
from bookings.tasks import reconcile
from bookings.views import HELD_HERE, WEEK, by_day, summary_of
from studio import credentials
from studio.actors import Actor, ActorKind
from studio.background import ring
from studio.views import dead_link

PUBLICATION = (ConsentPurpose.PORTFOLIO, ConsentPurpose.SOCIAL, ConsentPurpose.BEFORE_AFTER)


def open_booking(request: HttpRequest, public_id: str, *, now: datetime) -> tuple[Booking, Actor]:
    """The booking, if this browser opened its link or placed it. Raises Http404 otherwise, existing or not."""
    credential = credentials.opened(request, scope="booking", target=public_id, now=now)
    if credential is None and public_id not in request.session.get(HELD_HERE, []):
        raise Http404
    booking = (
        Booking.objects.select_related("session_type", "location", "payer")
        .filter(public_id=public_id)
        .first()
    )
    if booking is None:
        raise Http404
    if credential is not None and credential.holder_id is not None:
        return booking, Actor(ActorKind.CLIENT, credential.holder_id, credential.holder_label)
    payer = booking.payer
    return booking, Actor(ActorKind.CLIENT, payer.pk if payer else None, payer.name if payer else "")


@require_GET
def booking(request: HttpRequest, public_id: str) -> HttpResponse:
    """Everything about one booking. While it is held it leads back to the details or waits for the payment."""
    now = timezone.now()
    try:
        found, by = open_booking(request, public_id, now=now)
    except Http404:
        return dead_link(request, scope="booking", target=public_id)
    if found.status == BookingStatus.HELD:
        return _unpaid(request, found)
    if found.status == BookingStatus.EXPIRED:
        return redirect("booking_details", public_id)
    shoot = found.shoots.select_related("sitter", "booking__session_type").order_by("pk").first()
    is_sitter = shoot is not None and shoot.sitter_id == by.id
    typed = request.session.pop(f"sitter:{public_id}", None)
    context = {
        "booking": found,
        "forecast": promising.forecast_of(found),
        "balance": payments.balance(found),
        "may_move": lifecycle.may_move(found, now=now),
        "may_change": changes.may_change(found, now=now),
        "to_do": to_do(shoot, by) if shoot else [],
        "thread": found.thread.order_by("pk"),
        "viewer": Client.objects.filter(pk=by.id or 0).first(),
        "form_token": uuid.uuid4(),
        "asked_text": request.session.get(f"asked:{public_id}", ""),
        "is_over": found.ends_at <= now,
        "is_sitter": is_sitter,
        "is_asked_for_another_time": another_time.is_open(found),
        "is_payer": found.payer_id == by.id,
        "sitter_form": _sitter_form(found, shoot, typed),
        "is_sitter_open": typed is not None,
        "sections_told": _sections(found, shoot, is_sitter=is_sitter, now=now),
        "nerves_form": _nerves_form(shoot) if is_sitter else None,
        "nerves_chosen": [NERVES[key] for key in shoot.nerves if key in NERVES]
        if shoot and is_sitter
        else [],
        "consents": _consents(shoot) if shoot else [],
        "extras": extras.rendered("client", request, found, now),
        "foot": extras.rendered("client_foot", request, found, now),
        "till": till.for_client(found, now=now) if found.payer_id == by.id else None,
        **summary_of(found),
    }
    return render(request, "bookings/booking.html", context)


def _unpaid(request: HttpRequest, found: Booking) -> HttpResponse:
    """Back from the payment page: the word of the bank is on its way, or the client came back without paying."""
    if "paid" not in request.GET:
        return redirect("booking_details", found.public_id)
    if found.checkouts.filter(status__in=[CheckoutStatus.WANTED, CheckoutStatus.OPEN]).exists():
        ring(reconcile)  # a bell only: asks Stripe sooner than the sweep would
    return render(request, "bookings/waiting.html", {"booking": found, **summary_of(found)})


def _nerves_form(shoot: Shoot | None) -> NervesForm:
    initial = {
        "nerves": shoot.nerves if shoot else [],
        "words": shoot.nerves_text if shoot else "",
    }
    return NervesForm(initial=initial)


def _sections(found: Booking, shoot: Shoot | None, *, is_sitter: bool, now: datetime) -> set[str]:
    """Where the page answers below its top: who sent a form stays there. An answer to another section is at the top."""
    told = {"ask"}
    if found.status in STANDING and found.ends_at > now:
        told |= {"sitter", "nerves"} if is_sitter else {"sitter"}
    if found.status in STANDING and is_sitter and shoot and _consents(shoot):
        told.add("consents")
    return told


def _sitter_form(found: Booking, shoot: Shoot | None, typed: dict[str, str] | None) -> SitterForm:
    person = shoot.sitter if shoot else None
    initial = {
        "name": person.name if person else "",
        "email": person.email if person else "",
        "called": person.called if person else "",
        "pronounced": person.pronounced if person else "",
        "pronoun": person.pronoun if person else "",
        "access_needs": shoot.access_needs if shoot else "",
        "is_minor": shoot.sitter_is_minor if shoot else False,
        "guardian_name": shoot.guardian_name if shoot else "",
    }
    return SitterForm(initial=initial | (typed or {}), allows_minors=found.session_type.allows_minors)


def _consents(shoot: Shoot) -> list[dict[str, object]]:
    """Each publication purpose with its latest answer; neither a minor nor who did not come is asked."""
    if shoot.sitter_is_minor or shoot.status == ShootStatus.NO_SHOW:
        return []
    answers = {row.purpose: row for row in shoot.consents.filter(sitter=shoot.sitter_id).order_by("pk")}
    return [
        {
            "purpose": purpose,
            "is_given": answers[purpose].is_given if purpose in answers else False,
            "answered_at": answers[purpose].answered_at if purpose in answers else None,
        }
        for purpose in PUBLICATION
    ]


@require_POST
def pay(request: HttpRequest, public_id: str) -> HttpResponse:
    """To the payment page for what is still open."""
    now = timezone.now()
    found, _by = open_booking(request, public_id, now=now)
    try:
        return HttpResponseRedirect(checkout.open_checkout(booking_id=found.pk, purpose="balance", now=now))
    except NotNow as refusal:
        messages.info(request, refusal.sentence)
    except GatewayError:
        messages.error(
            request, _("The payment page cannot be reached just now. Please try again in a minute.")
        )
    return redirect("booking", public_id)


@require_http_methods(["GET", "POST"])
def move(request: HttpRequest, public_id: str) -> HttpResponse:
    """Another time for the same session, with the same people where they are free.

    It is free only once, so a tap on a time shows what it would mean, and a second one moves.
    """
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    nearby: dict[date, list[Slot]] = {}
    zone = ZoneInfo(found.location.zone)
    cast = holds.cast_of(found)
    starts_at = instant_of(request.POST.get("starts_at", request.GET.get("to", "")))
    if request.method == "POST" and starts_at is not None and "sure" not in request.POST:
        # An address of its own: the back button finds it again, where an answer to a form is kept nowhere.
        query = {"to": starts_at.isoformat(), "week": request.GET.get("week", "")}
        return HttpResponseRedirect(reverse("booking_move", args=[public_id]) + "?" + urlencode(query))
    wanted = None
    try:
        if request.method == "POST" and starts_at is None:
            raise NotNow(_("This time could not be read. Please choose again."))
        if starts_at is not None and "sure" in request.POST:
            lifecycle.move_to(booking_id=found.pk, starts_at=starts_at, by=by, now=now)
            messages.success(request, _("Moved. The new time is in your mail, with a new calendar entry."))
            return redirect("booking", public_id)
        if starts_at not in (None, found.starts_at):
            wanted = _slot_at(found, cast, starts_at, now=now)
    except SlotTaken as refusal:
        messages.warning(request, refusal.sentence)
        nearby = by_day(refusal.nearby, zone)
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    today = now.astimezone(zone).date()
    raw = request.GET.get("week", "")
    # Where no week is asked for, the one of the session: who moves it mostly looks close by.
    week = (
        int(raw)
        if raw.isdecimal() and len(raw) < 4
        else max(0, (found.starts_at.astimezone(zone).date() - today).days // WEEK)
    )
    first_on = today + timedelta(days=WEEK * week)
    slots = availability.cast_slots(
        cast,
        first_on=first_on,
        last_on=first_on + timedelta(days=WEEK - 1),
        now=now,
        ignoring=found.pk,
    )
    context = {
        "booking": found,
        "outlook": promising.outlook_of(found.session_type, found.location, now=now),
        "days": by_day(slots, zone),
        "nearby": nearby,
        "wanted": wanted,
        "is_last_free": found.free_change_since is None,
        "viewer": Client.objects.filter(pk=by.id or 0).first(),
        "may_move": lifecycle.may_move(found, now=now),
        "before_camera": cast.chain.shoot_begins,
        "previous": f"?week={week - 1}" if week else "",
        "next": f"?week={week + 1}" if (week + 1) * WEEK <= found.session_type.horizon_days else "",
        "first_on": first_on,
        "last_on": first_on + timedelta(days=WEEK - 1),
        **summary_of(found),
    }
    return render(request, "bookings/move.html", context)


def _slot_at(found: Booking, cast: availability.Cast, starts_at: datetime, *, now: datetime) -> Slot:
    """The session at another time, as it would be. Raises SlotTaken, NotOffered."""
    asked = availability.enquire(cast, starts_at, now=now, ignoring=found.pk)
    slot = None if asked.rules_broken() else asked.slot()
    return slot or holds.refuse(asked)


@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    """The refund first, then the button, which carries what was shown: another amount is asked about again."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    if by.id != found.payer_id:
        messages.warning(request, _("Only who booked can cancel. If you cannot come, please write to us."))
        return redirect("booking", public_id)
    refusal = ""
    if request.method == "POST":
        try:
            lifecycle.cancel(
                booking_id=found.pk, by=by, now=now, shown=shown_amount(request.POST.get("shown"))
            )
        except OtherAmount as other:
            refusal = other.sentence
        except Refused as refused:
            messages.warning(request, refused.sentence)
            return redirect("booking", public_id)
        else:
            messages.success(request, _("Cancelled. You have it in your mail."))
            return redirect("booking", public_id)
    context = {
        "booking": found,
        "refund": lifecycle.refund_preview(booking=found, now=now),
        "refusal": refusal,
        **summary_of(found),
    }
    return render(request, "bookings/cancel.html", context, status=409 if refusal else 200)


def _shoot_of(found: Booking) -> Shoot:
    shoot = found.shoots.order_by("pk").first()
    if shoot is None:
        raise Http404
    return shoot


@require_POST
def sitter(request: HttpRequest, public_id: str) -> HttpResponse:
    """Somebody else is in the picture, or they tell us what to call them."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    form = SitterForm(request.POST, allows_minors=found.session_type.allows_minors)
    if form.is_valid():
        shoot, said = _shoot_of(found), dict(form.cleaned_data)
        if by.id != found.payer_id:  # whether somebody is under age, and who answers for them, the payer says
            said |= {"is_minor": shoot.sitter_is_minor, "guardian_name": shoot.guardian_name}
        try:
            lifecycle.set_sitter(shoot_id=shoot.pk, by=by, now=now, **said)
        except Refused as refusal:
            messages.warning(request, refusal.sentence, extra_tags="sitter")
            _keep_typed(request, public_id)
        else:
            messages.success(request, _("Thank you. We know who is coming."), extra_tags="sitter")
    else:
        _keep_typed(request, public_id)
        messages.warning(
            request,
            _("Please tell us the name and the e-mail address of the person in the picture."),
            extra_tags="sitter",
        )
    return HttpResponseRedirect(f"/booking/{public_id}/#sitter")


def _keep_typed(request: HttpRequest, public_id: str) -> None:
    """What was refused stands in the form again, once."""
    typed = {name: request.POST.get(name, "")[:300] for name in SitterForm.base_fields}
    request.session[f"sitter:{public_id}"] = typed


@require_POST
def nerves(request: HttpRequest, public_id: str) -> HttpResponse:
    """What makes somebody nervous: kept for the photographer alone, erased 30 days after delivery."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    form = NervesForm(request.POST)
    if _shoot_of(found).sitter_id != by.id:
        messages.warning(request, _("Only the person in the picture says this."), extra_tags="nerves")
    elif form.is_valid():
        try:
            lifecycle.set_nerves(
                shoot_id=_shoot_of(found).pk,
                chips=form.cleaned_data["nerves"],
                text=form.cleaned_data["words"],
                by=by,
                now=now,
            )
        except Refused as refusal:
            messages.warning(request, refusal.sentence, extra_tags="nerves")
        else:
            messages.success(request, _("Thank you. Only your photographer reads this."), extra_tags="nerves")
    else:
        messages.warning(
            request,
            _("This was longer than 2,000 characters, so it was not kept. Please shorten it."),
            extra_tags="nerves",
        )
    return HttpResponseRedirect(f"/booking/{public_id}/#nerves")


@require_POST
def consents(request: HttpRequest, public_id: str) -> HttpResponse:
    """Each purpose apart: what is ticked is given, what is not is withdrawn. Only changes are written."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    shoot = _shoot_of(found)
    try:
        with transaction.atomic():
            for purpose, is_given in lifecycle.consents_of(shoot).items():
                wanted = purpose in request.POST
                if purpose in PUBLICATION and wanted != bool(is_given):
                    lifecycle.answer_consent(
                        shoot_id=shoot.pk, purpose=purpose, is_given=wanted, by=by, now=now
                    )
    except Refused as refusal:
        messages.warning(request, refusal.sentence, extra_tags="consents")
    else:
        messages.success(request, _("Saved. You can change this at any time."), extra_tags="consents")
    return HttpResponseRedirect(f"/booking/{public_id}/#consents")


@require_GET
def calendar_file(request: HttpRequest, public_id: str) -> HttpResponse:
    """The session for any calendar."""
    now = timezone.now()
    found, _by = open_booking(request, public_id, now=now)
    response = HttpResponse(
        ics.calendar_text(found, method="PUBLISH", now=now), content_type="text/calendar; charset=utf-8"
    )
    response.headers["Content-Disposition"] = 'attachment; filename="session.ics"'
    return response
