"""The promise on the desk: the board, delivering by hand, and the cause of a breach."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from galleries import board as boards
from galleries import breaches, delivery, figures, rights
from galleries.delivery_views import retouchers
from galleries.models import Breach, Gallery
from studio.access import at_my_places, places_of, staff
from studio.accounts import roles_of
from studio.actors import Actor
from studio.models import Role, User

YEAR = timedelta(days=365)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_GET
def board(request: HttpRequest) -> HttpResponse:
    """Every running promise, late ones first, and how well the promises of the last year were kept."""
    now, whole = timezone.now(), request.GET.get("whole", "")
    places = places_of(request.user, rights.SEES_PICTURES)
    mine = at_my_places(request, "gallery__shoot__booking__location", roles=rights.SEES_PICTURES)
    missed = Breach.objects.filter(mine).select_related(
        "gallery__shoot__sitter", "gallery__shoot__booking__location"
    )
    context = {
        "parts": parts_of(boards.board(now=now, whole=whole, places=places), retouchers()),
        "record": boards.record(since=now - YEAR, now=now, reshoots=False),
        "reshoots": boards.record(since=now - YEAR, now=now, reshoots=True),
        "reshot_count": boards.reshot(since=now - YEAR),
        "causes": boards.causes(since=now - YEAR),
        "breaches": missed.order_by("-recorded_at")[:50],
        "is_owner": Role.OWNER in roles_of(request.user),
        "now": now,
    }
    return render(request, "galleries/promise_board.html", context)


@dataclass(frozen=True, slots=True)
class Part:
    """One list of the board as the page shows it."""

    name: str
    title: str
    tone: str
    word: str  # on the badge of each line
    nothing: str
    lines: list[boards.Line]
    count: int
    people: list[User]

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.count - len(self.lines)


def parts_of(found: boards.Board, people: list[User]) -> list[Part]:
    """The lists of the board in the order of their urgency."""
    late, at_risk = _("Late"), _("At risk")
    words = [
        ("late", late, "is-bad", late, _("Nothing is late.")),
        ("at_risk", at_risk, "is-bad", at_risk, _("At the pace measured, the rest will be in time.")),
        ("today", _("Due today"), "is-warn", "", _("Nothing is due today.")),
        ("later", _("Later"), "", "", _("Nothing else is promised.")),
        ("waiting", _("Waiting for the client"), "is-accent", "", _("No client is being waited for.")),
    ]
    return [
        Part(*row, getattr(found, row[0]), found.counts[row[0]], [] if row[0] == "waiting" else people)
        for row in words
    ]


def _of_breach(pk: int) -> Collection[int]:
    return Breach.objects.filter(pk=pk).values_list("gallery__shoot__booking__location", flat=True)


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def deliver(request: HttpRequest, public_id: str) -> HttpResponse:
    """Release the finals now."""
    gallery = get_object_or_404(Gallery, public_id=public_id)
    try:
        done = delivery.deliver(
            gallery_id=gallery.pk, by=Actor.user(cast(User, request.user)), now=timezone.now()
        )
    except delivery.NotReady as why:
        messages.warning(request, str(why))
    else:
        messages.success(
            request, _("Delivered. The client has the link.") if done else _("It was delivered already.")
        )
    return redirect("desk_gallery", public_id)


@staff(Role.PHOTOGRAPHER, at=_of_breach)
@require_POST
def breach_cause(request: HttpRequest, pk: int) -> HttpResponse:
    """Why a promise was missed, in a person's words."""
    breach = get_object_or_404(Breach, pk=pk)
    Breach.objects.filter(pk=breach.pk).update(cause=" ".join(request.POST.get("cause", "").split())[:300])
    messages.success(request, _("Written down."))
    return redirect("promise_board")


@staff(Role.OWNER, at=_of_breach)
@require_POST
def breach_policy(request: HttpRequest, pk: int) -> HttpResponse:
    """The owner's word on the late policy: carry it out now, or leave it out with a reason."""
    breach, now, by = get_object_or_404(Breach, pk=pk), timezone.now(), Actor.user(cast(User, request.user))
    try:
        if request.POST.get("deed") == "waive":
            done = breaches.waive(breach_id=breach.pk, reason=request.POST.get("reason", ""), by=by, now=now)
        else:
            done = breaches.carry_out(breach_id=breach.pk, by=by, now=now)
    except breaches.NoReason as why:
        messages.error(request, str(why))
    else:
        messages.success(request, _("Done.") if done else _("It was decided already."))
    return redirect("promise_board")


@staff(Role.OWNER, everywhere=True)
@require_GET
def promise_figures(request: HttpRequest) -> HttpResponse:
    """How the promise was kept in each of the last twelve months."""
    answer = HttpResponse(figures.as_csv(now=timezone.now()), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="promises-by-month.csv"'
    return answer


@staff(Role.OWNER, everywhere=True)
@require_GET
def breaches_csv(request: HttpRequest) -> HttpResponse:
    """Every missed promise with its cause and what it cost."""
    rows = Breach.objects.select_related("gallery__shoot__booking__location").order_by("recorded_at", "pk")
    answer = HttpResponse(breaches.as_csv(rows), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="missed-promises.csv"'
    return answer
