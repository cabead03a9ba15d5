"""A client's page on the desk: who they are to the studio; for the owner a copy of what is kept, and erasing them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from bookings import dossier
from bookings.models import Booking, Client
from galleries import copies, downloads, forgetting, wishes
from galleries.models import DataCopy, Erasure
from galleries.statuses import CopyStatus, ErasureStatus
from studio import credentials
from studio.access import staff
from studio.accounts import require, roles_of
from studio.actors import Actor
from studio.models import Location, Role

SHOWN = 50  # bookings on the page


def _where(public_id: str) -> Collection[int]:
    """Where they booked or were photographed."""
    theirs = Q(payer__public_id=public_id) | Q(shoots__sitter__public_id=public_id)
    return Booking.objects.filter(theirs).values_list("location", flat=True)


@staff(Role.PHOTOGRAPHER, at=_where)
@require_GET
def client(request: HttpRequest, public_id: str) -> HttpResponse:
    """One person or firm: how to reach them, what they booked, and what the owner may do with what is kept."""
    found, now = _found(public_id), timezone.now()
    is_owner = Role.OWNER in roles_of(request.user)
    erasure = Erasure.objects.filter(client=found).first()
    context = {
        "client": found,
        "alike": _alike(found),
        "bookings": dossier.bookings_of(found)
        .select_related("session_type", "location", "payer")
        .prefetch_related("shoots__sitter")
        .order_by("-starts_at")[:SHOWN],
        "galleries": copies.galleries_of(found)
        .select_related("shoot__booking__location")
        .order_by("-pk")[:SHOWN],
        "is_owner": is_owner,
        "zone": _zone(),
        "wishes": wishes.open_wishes().filter(client=found),
        "now": now,
        "erasure": erasure,
        **(_copy_of(found, now=now) if is_owner else {}),
    }
    answer = render(request, "galleries/client.html", context)
    if "HX-Request" in request.headers and erasure is not None and erasure.status == ErasureStatus.DONE:
        answer.headers["HX-Refresh"] = "true"  # the page that watched it still has the name at its head
    return answer


@staff(Role.OWNER, everywhere=True)
@require_http_methods(["GET", "POST"])
def client_copy(request: HttpRequest, public_id: str) -> HttpResponse:
    """How far the copy is, for the page that waits for it; POST asks for a new one."""
    found, now = _found(public_id), timezone.now()
    if request.method == "GET":
        return render(
            request,
            "galleries/_client_copy.html",
            {"client": found, "zone": _zone(), **_copy_of(found, now=now)},
        )
    try:
        copies.want(client_id=found.pk, by=Actor.user(require(request)), now=now)
    except copies.NoCopy as why:
        messages.warning(request, str(why))
    return redirect("desk_client", public_id)


@staff(Role.OWNER, everywhere=True)
@require_safe
def client_zip(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The copy itself, for the owner, while it lasts. A cut download goes on where it stopped."""
    found, now = _found(public_id), timezone.now()
    copy = found.data_copies.filter(status=CopyStatus.READY).first()
    if copy is None:
        raise Http404
    try:
        body = copies.body_of(copy, now=now)
    except copies.NoCopy as why:
        messages.warning(request, str(why))
        return redirect("desk_client", public_id)
    if request.method == "GET":
        DataCopy.objects.filter(pk=copy.pk).update(fetched_at=now)
    may_go_on = copies.still_there(copy.pk)
    return downloads.send(request, body, gallery=None, credential=None, may_go_on=may_go_on, now=now)


@staff(Role.OWNER, everywhere=True)
@require_http_methods(["GET", "POST"])
def client_erase(request: HttpRequest, public_id: str) -> HttpResponse:
    """What would go and what would stay, what stands in the way, and the name to be typed; POST begins it."""
    found, now = _found(public_id), timezone.now()
    if found.erased_at is not None:
        return redirect("desk_client", public_id)
    problems: list[str] = []
    typed = request.POST.get("typed", "")[:300]
    if request.method == "POST":
        by = Actor.user(require(request))
        try:
            forgetting.want(client_id=found.pk, typed=typed, by=by, now=now)
        except forgetting.NotNow as why:
            problems = why.reasons
        else:
            messages.success(request, _("Their links are closed, and a worker erases everything now."))
            return redirect("desk_client", public_id)
    context = {
        "client": found,
        "alike": _alike(found),
        "hindrances": forgetting.hindrances(found, now=now),
        "preview": forgetting.preview(found, now=now),
        "problems": problems,
        "typed": typed,
    }
    return render(request, "galleries/client_erase.html", context, status=422 if problems else 200)


@staff(Role.OWNER, everywhere=True)
@require_POST
def client_wish(request: HttpRequest, public_id: str) -> HttpResponse:
    """A wish was answered; how is written down."""
    found, now = _found(public_id), timezone.now()
    wish = wishes.open_wishes().filter(client=found, kind=request.POST.get("kind", "")).first()
    try:
        if wish is not None:
            words, by = request.POST.get("words", ""), Actor.user(require(request))
            wishes.settle(wish_id=wish.pk, words=words, by=by, now=now)
            messages.success(request, _("Written down."))
    except wishes.NotNow as why:
        messages.warning(request, str(why))
    return redirect("desk_client", public_id)


# --- the client's own side


@require_POST
def data_wish(request: HttpRequest, public_id: str) -> HttpResponse:
    """Whoever opened a booking's link asks for their own data, or to be forgotten. Nothing happens by itself."""
    now = timezone.now()
    credential = credentials.opened(request, scope="booking", target=public_id, now=now)
    if credential is None or credential.holder_id is None:
        raise Http404
    try:
        wish = wishes.ask(client_id=credential.holder_id, kind=request.POST.get("kind", ""), now=now)
    except wishes.NotNow as why:
        messages.warning(request, str(why))
    else:
        day = formats.date_format(wish.due_at, "j F Y")
        messages.success(request, _("We have written it down, and answer by %(day)s.") % {"day": day})
    return redirect(reverse("booking", args=[public_id]) + "#data")


def _found(public_id: str) -> Client:
    return get_object_or_404(Client, public_id=public_id)


def _zone() -> Location | None:
    """Whose time the page speaks: the first location's."""
    return Location.objects.order_by("position", "name").first()


def _alike(found: Client) -> list[Client]:
    """Other records of the same address: whoever types an address is not yet that person, so they stay apart."""
    if not found.email:
        return []
    others = Client.objects.filter(email__iexact=found.email).exclude(pk=found.pk)
    return list(others.order_by("pk")[:SHOWN])


def _copy_of(found: Client, *, now: datetime) -> dict[str, Any]:
    copy = found.data_copies.exclude(status=CopyStatus.GONE).first()
    if copy is not None and copy.expires_at is not None and copy.expires_at <= now:
        copy = None
    return {
        "copy": copy,
        "is_making": copy is not None and copy.status in copies.LIVE,
        "days": copies.LIVES.days,
    }
