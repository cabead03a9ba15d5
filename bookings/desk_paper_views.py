"""On the desk: answer a client, and write what clients are asked and what they sign."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from bookings import agreements, places, questionnaires, thread
from bookings.models import AddOn, AgreementKind, Booking, QuestionKind, SessionType
from bookings.questionnaires import Draft, Owner
from bookings.refusals import DetailsRefused
from studio.access import staff
from studio.accounts import require
from studio.actors import Actor
from studio.models import Role

EMPTY_ROWS = 3


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_POST
def answer(request: HttpRequest, public_id: str) -> HttpResponse:
    """A word to the client, or the note that nothing needs to be said here."""
    found = get_object_or_404(Booking, public_id=public_id)
    now = timezone.now()
    if request.POST.get("settled"):
        thread.settle(booking_id=found.pk, now=now)
        messages.success(request, _("Marked as answered."))
        return redirect("desk_booking", public_id)
    try:
        token = uuid.UUID(request.POST.get("form_token", ""))
    except ValueError:
        token = uuid.uuid4()
    try:
        thread.answer(
            booking_id=found.pk,
            text=request.POST.get("text", ""),
            form_token=token,
            by=Actor.user(require(request)),
            now=now,
        )
    except DetailsRefused as refusal:
        messages.warning(request, refusal.sentence)
    else:
        messages.success(request, _("Sent. The client has it by mail."))
    return redirect("desk_booking", public_id)


@staff(Role.PHOTOGRAPHER)
@require_GET
def papers(request: HttpRequest) -> HttpResponse:
    """Everything clients are asked and sign, each with its version."""
    owners: list[Owner] = [*SessionType.objects.filter(is_active=True), *AddOn.objects.filter(is_active=True)]
    rows = []
    for owner in owners:
        current = questionnaires.current(owner)
        kind = "session" if isinstance(owner, SessionType) else "add-on"
        rows.append({"owner": owner, "kind": kind, "current": current})
    texts = [{"kind": kind, "text": agreements.current(kind)} for kind in AgreementKind]
    return render(request, "bookings/desk/papers.html", {"rows": rows, "texts": texts})


def _owner(kind: str, pk: int) -> Owner:
    if kind == "session":
        return get_object_or_404(SessionType, pk=pk)
    if kind == "add-on":
        return get_object_or_404(AddOn, pk=pk)
    raise Http404


@staff(Role.PHOTOGRAPHER)
@require_http_methods(["GET", "POST"])
def questionnaire(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """The questions of one thing: rows to fill, empty ones are left out; saving makes the next version."""
    owner = _owner(kind, pk)
    problems: dict[str, str] = {}
    current = questionnaires.current(owner)
    if request.method == "POST":
        drafts = _drafts(request)
        try:
            made = questionnaires.publish(
                owner=owner, drafts=drafts, by=Actor.user(require(request)), now=timezone.now()
            )
        except DetailsRefused as refusal:
            problems = refusal.problems
        else:
            words = _("Saved as version %(version)d. Clients are asked this from now on.")
            messages.success(request, words % {"version": made.version})
            return redirect("desk_papers")
    elif current is not None:
        drafts = [
            Draft(row.kind, row.words, row.why, row.choices, row.is_private)
            for row in current.questions.all()
        ]
    else:
        drafts = questionnaires.suggested(owner)
    rows: list[dict[str, Any]] = [
        {"draft": draft, "choices": "\n".join(draft.choices), "problem": problems.get(str(number), "")}
        for number, draft in enumerate(drafts)
    ]
    rows += [{"draft": Draft("text", ""), "choices": "", "problem": ""} for _row in range(EMPTY_ROWS)]
    context = {
        "owner": owner,
        "kind": kind,
        "current": current,
        "rows": rows,
        "problem": problems.get("", ""),
        "kinds": QuestionKind.choices,
    }
    return render(request, "bookings/desk/questionnaire.html", context, status=422 if problems else 200)


def _drafts(request: HttpRequest) -> list[Draft]:
    """The rows in the order of their numbers; a row without words is left out."""
    found = []
    data = request.POST
    count = min(len(data.getlist("words")), 60)
    columns = {name: data.getlist(name) for name in ("order", "kind", "words", "why", "choices", "private")}
    for number in range(count):
        value = {name: column[number] if number < len(column) else "" for name, column in columns.items()}
        if not value["words"].strip():
            continue
        order = int(value["order"]) if value["order"].isdecimal() and len(value["order"]) < 4 else number + 1
        draft = Draft(
            kind=value["kind"],
            words=value["words"],
            why=value["why"],
            choices=value["choices"].splitlines(),
            is_private=value["private"] == "yes",
        )
        found.append((order, number, draft))
    return [draft for _order, _number, draft in sorted(found, key=lambda row: row[:2])]


@staff(Role.PHOTOGRAPHER)
@require_http_methods(["GET", "POST"])
def agreement(request: HttpRequest, kind: str) -> HttpResponse:
    """The words that are signed; saving other words makes the next version."""
    if kind not in AgreementKind.values:
        raise Http404
    current = agreements.current(kind)
    title, body = agreements.SUGGESTED[AgreementKind(kind)]
    values = {
        "title": current.title if current else str(title),
        "body": current.body if current else str(body),
    }
    problems: dict[str, str] = {}
    if request.method == "POST":
        values = {"title": request.POST.get("title", ""), "body": request.POST.get("body", "")}
        try:
            made = agreements.publish_text(
                kind=kind, by=Actor.user(require(request)), now=timezone.now(), **values
            )
        except DetailsRefused as refusal:
            problems = refusal.problems
        else:
            messages.success(
                request, _("Version %(version)d is what clients sign now.") % {"version": made.version}
            )
            return redirect("desk_papers")
    context = {
        "kind": AgreementKind(kind),
        "current": current,
        "values": values,
        "problems": problems,
        "signed_count": current.signatures.count() if current else 0,
    }
    return render(request, "bookings/desk/agreement.html", context, status=422 if problems else 200)
