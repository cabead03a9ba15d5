"""The promise on the desk: the board, delivering by hand, and the cause of a breach."""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from galleries import board as boards
from galleries import delivery
from galleries.models import Breach, Gallery
from studio.access import staff
from studio.actors import Actor
from studio.models import Role

YEAR = timedelta(days=365)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_GET
def board(request: HttpRequest) -> HttpResponse:
    """Every running promise, late ones first, and how well the promises of the last year were kept."""
    now = timezone.now()
    breaches = Breach.objects.select_related("gallery__shoot__sitter").order_by("-recorded_at")[:50]
    context = {
        "board": boards.board(now=now),
        "record": boards.record(since=now - YEAR),
        "breaches": breaches,
        "now": now,
    }
    return render(request, "galleries/promise_board.html", context)


@staff(Role.PHOTOGRAPHER)
@require_POST
def deliver(request: HttpRequest, public_id: str) -> HttpResponse:
    """Release the finals now."""
    gallery = get_object_or_404(Gallery, public_id=public_id)
    try:
        done = delivery.deliver(gallery_id=gallery.pk, by=Actor.user(request.user), now=timezone.now())
    except delivery.NotReady as why:
        messages.warning(request, str(why))
    else:
        messages.success(
            request, _("Delivered. The client has the link.") if done else _("It was delivered already.")
        )
    return redirect("desk_gallery", public_id)


@staff()
@require_POST
def breach_cause(request: HttpRequest, pk: int) -> HttpResponse:
    """Why a promise was missed, in a person's words."""
    breach = get_object_or_404(Breach, pk=pk)
    breach.cause = request.POST.get("cause", "").strip()[:300]
    breach.save(update_fields=["cause"])
    messages.success(request, _("Written down."))
    return redirect("promise_board")
