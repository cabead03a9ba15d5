"""What a client fills in on their private link: other add-ons, the questions, the agreement, a word to the studio."""

import uuid
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from bookings import agreements, changes, questionnaires, thread
from bookings.forms import instant_of, shown_amount
from bookings.models import AddOn, AgreementKind, Booking, Shoot, Signature
from bookings.private_views import open_booking
from bookings.questionnaires import Asked
from bookings.refusals import DetailsRefused, OtherAmount, Refused, SlotTaken
from bookings.seating import Slot
from bookings.views import by_day, summary_of
from studio.actors import Actor
from studio.forms import typed_id


def _shoot(found: Booking) -> Shoot:
    shoot = found.shoots.select_related("sitter", "booking").order_by("pk").first()
    if shoot is None:
        raise Http404
    return shoot


def _token(request: HttpRequest) -> uuid.UUID:
    """The form's own token; a form without a readable one is a form of its own."""
    try:
        return uuid.UUID(request.POST.get("form_token", ""))
    except ValueError:
        return uuid.uuid4()


# --- other add-ons ------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def add_ons(request: HttpRequest, public_id: str) -> HttpResponse:
    """Tick what you want, see what it costs and when you arrive, then change it."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    if by.id != found.payer_id:
        messages.warning(request, _("Only who booked can change this: it changes what they pay."))
        return redirect("booking", public_id)
    offered = _offered(found)
    own = dict(found.add_ons.values_list("add_on", "count"))
    data = request.POST if request.method == "POST" else request.GET
    wanted = _wanted(data, offered) if "chosen" in data else own
    context: dict[str, Any] = {
        "booking": found,
        "offered": offered,
        "wanted": wanted,
        "is_other": wanted != own,
        "may_change": changes.may_change(found, now=now),
        **summary_of(found),
    }
    starts_at = instant_of(data.get("starts_at", ""))
    try:
        if _forged(data, offered):
            raise Refused(_("One of these add-ons is not offered with this session."))
        if request.method == "POST" and "confirm" in data:
            shown = shown_amount(request.POST.get("price")), shown_amount(request.POST.get("back"))
            try:
                changed = changes.change_add_ons(
                    booking_id=found.pk, add_ons=wanted, starts_at=starts_at, shown=shown, by=by, now=now
                )
            except OtherAmount as other:
                context["refusal"] = other.sentence
            else:
                messages.success(request, _said(changed))
                return redirect("booking", public_id)
        if wanted != own or starts_at:
            context["change"] = changes.preview(
                booking_id=found.pk, add_ons=wanted, starts_at=starts_at, by=by, now=now
            )
            context["starts_at"] = starts_at
    except SlotTaken as refusal:
        context |= {"refusal": refusal.sentence, "nearby": _days(refusal.nearby, found)}
    except Refused as refusal:
        context["refusal"] = refusal.sentence
    return render(request, "bookings/add_ons.html", context, status=409 if "refusal" in context else 200)


def _days(slots: list[Slot], found: Booking) -> dict[date, list[Slot]]:
    return by_day(slots, ZoneInfo(found.location.zone))


def _offered(found: Booking) -> list[AddOn]:
    """What is sold with the session, and what was booked even if it is sold no more."""
    own = AddOn.objects.filter(bookingaddon__booking=found)
    return list(
        (found.session_type.add_ons.filter(is_active=True) | own).distinct().order_by("position", "name")
    )


def _wanted(data: QueryDict, offered: list[AddOn]) -> dict[int, int]:
    wanted = {}
    for add_on in offered:
        raw = data.get(f"add-{add_on.pk}", "0")
        count = int(raw) if raw.isdecimal() and len(raw) < 4 else 0
        if count:
            wanted[add_on.pk] = count
    return wanted


def _forged(data: QueryDict, offered: list[AddOn]) -> bool:
    asked = {key for key, value in data.items() if key.startswith("add-") and value not in ("", "0")}
    return bool(asked - {f"add-{add_on.pk}" for add_on in offered})


def _said(changed: changes.Change) -> str:
    if changed.back:
        return _("Changed. The difference goes back the way it was paid.")
    if changed.due and changed.difference > 0:
        return _("Changed. The difference is open: pay it here by card, or at the session.")
    return _("Changed. You have it in your mail.")


# --- the questions ------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def questions(request: HttpRequest, public_id: str) -> HttpResponse:
    """Everything that is asked, one form per questionnaire; private questions from the sitter's own link only."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    shoot = _shoot(found)
    problems: dict[str, str] = {}
    typed: QueryDict | None = None
    if request.method == "POST":
        try:
            _keep_answers(request, shoot, by=by, now=now)
        except DetailsRefused as refusal:
            problems, typed = refusal.problems, request.POST
        except Refused as refusal:
            messages.warning(request, refusal.sentence)
            return redirect("booking", public_id)
        else:
            messages.success(
                request, _("Thank you, that helps. You can change your answers until the session.")
            )
            return redirect("booking", public_id)
    is_sitter = shoot.sitter_id == by.id
    sets = [
        _shown(asked, is_sitter=is_sitter, typed=typed, problems=problems)
        for asked in questionnaires.asked_of(shoot)
    ]
    context = {
        "booking": found,
        "sets": sets,
        "form_token": uuid.uuid4(),
        "is_sitter": is_sitter,
        **summary_of(found),
    }
    return render(request, "bookings/questions.html", context, status=422 if problems else 200)


def _keep_answers(request: HttpRequest, shoot: Shoot, *, by: Actor, now: datetime) -> None:
    """One form, several questionnaires: each gets a sheet, all or none of them."""
    token = _token(request)
    wanted = {int(raw) for raw in request.POST.getlist("questionnaire") if raw.isdecimal() and len(raw) < 12}
    known = {asked.questionnaire.pk for asked in questionnaires.asked_of(shoot)}
    known |= set(shoot.answer_sheets.values_list("questionnaire", flat=True))
    given: dict[int, list[str]] = {}
    for key, values in request.POST.lists():
        if key.startswith("q-") and key[2:].isdecimal() and len(key) < 14:
            given[int(key[2:])] = [str(value) for value in values]
    with transaction.atomic():
        for pk in sorted(wanted & known):
            questionnaires.answer(
                shoot_id=shoot.pk,
                questionnaire_id=pk,
                answers=given,
                form_token=uuid.uuid5(token, str(pk)),
                seen_id=_seen(request, pk),
                by=by,
                now=now,
            )


def _seen(request: HttpRequest, questionnaire_id: int) -> int | None:
    """The sheet whose answers the form showed."""
    return typed_id(request.POST.get(f"seen-{questionnaire_id}"))


def _shown(
    asked: Asked, *, is_sitter: bool, typed: QueryDict | None, problems: dict[str, str]
) -> dict[str, Any]:
    rows = []
    for question in asked.questions:
        if question.is_private and not is_sitter:
            continue
        kept = asked.answer_of(question)
        answers = kept if isinstance(kept, list) else [kept]
        if typed is not None:
            answers = typed.getlist(f"q-{question.pk}")
        rows.append({"question": question, "answers": answers, "problem": problems.get(str(question.pk), "")})
    seen = str(asked.sheet.pk if asked.sheet else 0)
    if typed is not None:
        seen = typed.get(f"seen-{asked.questionnaire.pk}", "")
    return {"asked": asked, "rows": rows, "seen": seen}


# --- the agreement ------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def sign(request: HttpRequest, public_id: str, kind: str) -> HttpResponse:
    """Read it, type your name. What is signed stays readable."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    shoot = _shoot(found)
    offered = {text.kind: (text, signed) for text, signed in agreements.offered_to(shoot)}
    if kind not in AgreementKind.values or kind not in offered:
        raise Http404
    text, signed = offered[kind]
    problem = ""
    if request.method == "POST" and signed is None:
        raw = request.POST.get("text", "")
        try:
            agreements.sign(
                shoot_id=shoot.pk,
                text_id=int(raw) if raw.isdecimal() and len(raw) < 12 else 0,
                typed_name=request.POST.get("typed_name", ""),
                by=by,
                now=now,
            )
        except DetailsRefused as refusal:
            problem = refusal.problems.get("typed_name", refusal.sentence)
        except Refused as refusal:
            problem = refusal.sentence
        else:
            messages.success(request, _("Signed. Your copy is here for you at any time."))
            return redirect("booking", public_id)
    context = {
        "booking": found,
        "text": text,
        "signed": signed,
        "problem": problem,
        "typed_name": request.POST.get("typed_name", ""),
        "is_for_guardian": shoot.sitter_is_minor,
        "may_sign": shoot.sitter_id == by.id or (shoot.sitter_is_minor and found.payer_id == by.id),
        **summary_of(found),
    }
    return render(request, "bookings/sign.html", context, status=422 if problem else 200)


@require_GET
def signed(request: HttpRequest, public_id: str, number: str) -> HttpResponse:
    """The copy of what was signed, for whoever may see the booking."""
    found, _by = open_booking(request, public_id, now=timezone.now())
    signatures = Signature.objects.filter(shoot__booking=found, public_id=number)
    row = signatures.select_related("text", "shoot__booking__location").first()
    if row is None:
        raise Http404
    response = HttpResponse(agreements.pdf(row), content_type="application/pdf")
    response.headers["Content-Disposition"] = f'attachment; filename="{row.text.kind}.pdf"'
    return response


# --- a word to the studio -----------------------------------------------------------------------------------


@require_POST
def ask(request: HttpRequest, public_id: str) -> HttpResponse:
    """A question about the booking; it lands on the desk and in the studio's mail."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    try:
        thread.ask(
            booking_id=found.pk, text=request.POST.get("text", ""), form_token=_token(request), by=by, now=now
        )
    except DetailsRefused as refusal:
        messages.warning(request, refusal.sentence, extra_tags="ask")
        request.session[f"asked:{public_id}"] = request.POST.get("text", "")[: thread.LONGEST + 1000]
    else:
        request.session.pop(f"asked:{public_id}", None)
        messages.success(request, _("Sent. We answer by mail, and here."), extra_tags="ask")
    return HttpResponseRedirect(reverse("booking", args=[public_id]) + "#ask")
