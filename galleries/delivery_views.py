"""The delivery on the desk: what goes out, who has what, links, PIN, and what a late delivery costs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db.models import Count, Max, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from galleries import afterwards, deadlines, delivery, locks, rights, sharing
from galleries.models import Download, Gallery
from galleries.together_views import gallery_for
from studio import credentials, workdays
from studio.access import staff
from studio.forms import typed_id
from studio.models import Credential, Role, User

LATEST = 50


@dataclass(frozen=True, slots=True)
class Link:
    """One link to the gallery: whose it is and what was fetched with it."""

    credential: Credential
    downloads: int
    bytes_sent: int
    last_at: datetime | None


def links_of(gallery: Gallery, *, now: datetime) -> list[Link]:
    """The links that open the gallery now with what was fetched by each; two queries."""
    live = list(credentials.live(scope="gallery", target=gallery.public_id, now=now)[:LATEST])
    sums: dict[int | None, Any] = {
        row["credential_id"]: row
        for row in Download.objects.filter(gallery=gallery, credential_id__in=[each.pk for each in live])
        .values("credential_id")
        .annotate(count=Count("pk"), sent=Sum("bytes_sent"), last=Max("started_at"))
    }
    nothing: dict[str, Any] = {"count": 0, "sent": 0, "last": None}
    return [
        Link(each, found["count"], found["sent"], found["last"])
        for each in live
        for found in [sums.get(each.pk, nothing)]
    ]


def days_of(gallery: Gallery) -> list[str]:
    """Every day from the session to the promise in words: what counted, what did not and why."""
    if not gallery.promise or gallery.deliver_by is None:
        return []
    inputs = gallery.promise
    days = workdays.explain(
        ended_at=gallery.clock_started_at or gallery.deliver_by,
        days=inputs["days"],
        calendar=workdays.calendar_from_json(inputs["calendar"]),
        pauses=workdays.pauses_of(inputs),
    )
    return [
        f"{formats.date_format(day.on, 'D j M')}: "
        + (workdays.words(day) or _("working day %(number)d") % {"number": day.number or 0})
        for day in days
    ]


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_GET
def gallery_delivery(request: HttpRequest, public_id: str) -> HttpResponse:
    """One gallery's promise and delivery."""
    gallery, _by = gallery_for(request, public_id)
    now = timezone.now()
    context = {
        "gallery": gallery,
        "location": gallery.shoot.booking.location,
        "booking": gallery.shoot.booking,
        "missing": delivery.missing(gallery) if gallery.status in deadlines.RUNNING else [],
        "due_at": deadlines.local_promise(gallery),
        "if_answered_at": deadlines.promise_if_answered(gallery, now=now),
        "changed": deadlines.was_and_is(gallery),
        "days": days_of(gallery),
        "pauses": gallery.pauses.all(),
        "breaches": gallery.breaches.order_by("-recorded_at"),
        "deliveries": gallery.deliveries.annotate(count=Count("files")).order_by("-number"),
        "links": links_of(gallery, now=now),
        "downloads": gallery.downloads.order_by("-started_at")[:LATEST],
        "may_renew": gallery.finals_expire_at is not None
        and gallery.finals_expire_at <= now + afterwards.RENEW_WITHIN,
        "zone": ZoneInfo(gallery.shoot.booking.location.zone),
        "people": retouchers(),
        "may_share": sharing.has_something(gallery),
        "again": request.session.pop("share_again", {}).get(gallery.public_id),
        "kept": originals_of(gallery),
        "farewells": gallery.farewells.all(),
        "now": now,
    }
    return render(request, "galleries/delivery.html", context)


def originals_of(gallery: Gallery) -> dict[str, int] | None:
    """How many files of the originals there are, how many of them in the archive and how many erased."""
    live = Q(erased_at=None, expired_at=None)
    found = gallery.files.aggregate(
        all=Count("pk"),
        archived=Count("pk", filter=live & Q(archived_at__isnull=False)),
        erased=Count("pk", filter=~live),
    )
    return found if found["all"] else None


def retouchers() -> list[User]:
    """Who can be given pictures to retouch, by name."""
    roles = [Role.OWNER, Role.PHOTOGRAPHER, Role.RETOUCHER]
    return list(User.objects.filter(is_active=True, staff_roles__role__in=roles).distinct().order_by("name"))


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def link_revoke(request: HttpRequest, public_id: str, pk: int) -> HttpResponse:
    """End a person's link now; a download under way ends within seconds."""
    gallery, _by = gallery_for(request, public_id)
    link = get_object_or_404(Credential, pk=pk, scope="gallery", target=gallery.public_id)
    Credential.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=timezone.now())
    messages.success(request, _("The link opens nothing any more."))
    return redirect("gallery_delivery", public_id)


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def gallery_pin(request: HttpRequest, public_id: str) -> HttpResponse:
    """Set a PIN, or take it away with an empty one."""
    gallery, by = gallery_for(request, public_id)
    pin = request.POST.get("pin", "")
    try:
        locks.set_pin(gallery_id=gallery.pk, pin=pin, by=by, now=timezone.now())
    except locks.BadPin as why:
        messages.error(request, str(why))
    else:
        words = _("The PIN is asked for from now on.") if pin.strip() else _("The link is enough again.")
        messages.success(request, words)
    return redirect("gallery_delivery", public_id)


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def gallery_renew(request: HttpRequest, public_id: str) -> HttpResponse:
    """Keep the finals another year."""
    gallery, by = gallery_for(request, public_id)
    if afterwards.renew(gallery_id=gallery.pk, by=by, now=timezone.now()):
        messages.success(request, _("Kept for another year."))
    return redirect("gallery_delivery", public_id)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def assign(request: HttpRequest, public_id: str) -> HttpResponse:
    """Give the work to somebody, or to nobody in particular."""
    gallery, by = gallery_for(request, public_id)
    chosen = typed_id(request.POST.get("to"))
    to = None if chosen is None else get_object_or_404(User, pk=chosen, is_active=True)
    try:
        deadlines.assign(gallery_id=gallery.pk, to=to, by=by, now=timezone.now())
    except ValueError:
        messages.error(request, _("This person does not retouch at this location."))
    else:
        name = to.name if to else _("nobody in particular")
        messages.success(request, _("%(code)s: %(name)s.") % {"code": gallery.shoot.code, "name": name})
    if request.POST.get("back") == "board":
        return redirect("promise_board")
    return redirect("gallery_delivery", public_id)
