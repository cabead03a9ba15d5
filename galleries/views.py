"""The client's side of a gallery: one private address for the whole way, from the first proof to the last download."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

import segno
from django.contrib import messages
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST, require_safe

from galleries import (
    afterwards,
    breaches,
    deadlines,
    delivery,
    downloads,
    farewells,
    locks,
    retouching,
    rights,
    sharing,
    year_later,
)
from galleries.models import DeliveredFile, Delivery, Gallery, Rendition
from galleries.statuses import GalleryStatus
from galleries.templatetags.finals import PREVIEW
from studio import credentials
from studio.actors import Actor
from studio.models import Credential, User
from studio.views import dead_link


class Locked(Http404):
    """The link is good, and this gallery asks for its PIN first. To a view that does not ask it is a 404."""


def open_gallery(request: HttpRequest, public_id: str, *, now: datetime) -> tuple[Gallery, Credential | None]:
    """The gallery, if this browser may see it: by an opened link, or as staff who see pictures there (no credential).

    Raises Http404 otherwise, whether the gallery exists or not.
    """
    gallery = (
        Gallery.objects.select_related(
            "shoot__sitter",
            "shoot__booking__payer",
            "shoot__booking__location",
            "shoot__booking__session_type",
        )
        .filter(public_id=public_id)
        .exclude(status=GalleryStatus.ERASED)
        .first()
    )
    credential = credentials.opened(request, scope="gallery", target=public_id, now=now)
    if gallery is None:
        raise Http404
    if credential is None and not rights.roles_at(request.user, gallery) & rights.SEES_PICTURES:
        raise Http404
    if credential is not None and not locks.is_unlocked(request, gallery, credential):
        raise Locked
    return gallery, credential


def open_as_client(
    request: HttpRequest, public_id: str, *, now: datetime
) -> tuple[Gallery, Credential | None]:
    """The gallery for somebody who acts in it: the client by their own link, or the studio. A shared link does not."""
    gallery, credential = open_gallery(request, public_id, now=now)
    if sharing.is_shared(credential, gallery):
        raise Http404
    return gallery, credential


@require_safe
def gallery(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """Proofs while the client chooses, the finals once they are delivered, and in between where things stand."""
    now = timezone.now()
    try:
        found, credential = open_gallery(request, public_id, now=now)
    except Locked:
        return render(request, "galleries/pin.html", {"public_id": public_id}, status=403)
    except Http404:
        return dead_link(request, scope="gallery", target=public_id)
    current = downloads.current_delivery(found, now=now)
    if sharing.is_shared(credential, found):
        return _shared(request, found, current, credential, now=now)
    if current is None and not found.deliveries.exists():
        from galleries import choosing_views

        return choosing_views.proofs(request, found, credential)
    context = finals_context(found, current, now=now)
    return render(request, "galleries/gallery.html", {**context, "credential": credential})


def _shared(
    request: HttpRequest,
    found: Gallery,
    current: Delivery | None,
    credential: Credential | None,
    *,
    now: datetime,
) -> HttpResponse:
    """What somebody sees with whom the pictures were shared: those, and nothing of what led to them."""
    context = finals_context(found, current, now=now) | {
        "credential": credential,
        "is_shared": True,
        "older": [],
        "changed_positions": [],
        "may_keep": False,
        "may_ask_change": False,
        "year_later": None,
        "sitter": deadlines.sitter_of(found),
    }
    return render(request, "galleries/shared.html" if current is None else "galleries/gallery.html", context)


@dataclass(frozen=True, slots=True)
class Final:
    """One delivered picture: its sizes by name, and what the client is told about the retouch."""

    position: int
    files: dict[str, DeliveredFile]
    guard: str
    change_note: str
    retouch_id: str


# What each size is for, in the order a phone wants them.
USES = {
    "square": _("Square: LinkedIn, Teams, Zoom"),
    "web": _("Web: websites and e-mail"),
    "portrait": _("Portrait 4:5: Instagram, speaker pages"),
    "full": _("Full size: print and press"),
    "print": _("8 × 10 inch: a print for the wall"),
    "black-and-white": _("Black and white, full size"),
}


def finals_context(found: Gallery, current: Delivery | None, *, now: datetime) -> dict[str, object]:
    """What the gallery page shows of a delivery; without one (expired) the page says how to get it back."""
    finals: list[Final] = []
    total = 0
    if current is not None:
        by_position: dict[int, dict[str, DeliveredFile]] = {}
        versions = {}
        previews = Rendition.objects.filter(recipe__in=PREVIEW.values(), erased_at=None).order_by(
            "recipe_version", "id"
        )
        rows = downloads.shown_of(current).select_related("rendition__version__retouch", "rendition__photo")
        for file in rows.prefetch_related(Prefetch("rendition__version__renditions", previews, "previews")):
            by_position.setdefault(file.position, {})[file.rendition.recipe] = file
            versions[file.position] = file.rendition.version
            total += file.rendition.size
        for position, files in sorted(by_position.items()):
            version = versions[position]
            ordered = {size: files[size] for size in USES if size in files}
            finals.append(
                Final(
                    position=position,
                    files=ordered,
                    guard=version.guard if version else "",
                    change_note=version.override_reason if version else "",
                    retouch_id=version.retouch.public_id if version else "",
                )
            )
    zone = ZoneInfo(found.shoot.booking.location.zone)
    older, older_until = downloads.replaced_files(found, now=now) if current is not None else ([], None)
    squares = [final.files["square"].rendition for final in finals if "square" in final.files]
    return {
        "gallery": found,
        "delivery": current,
        "finals": finals,
        "cover": finals[0].files.get("web") if finals else None,
        "uses": USES,
        "total_bytes": total,
        "squares_bytes": sum(row.size for row in squares),
        "changed_positions": delivery.changed_since(current) if current is not None else [],
        "older": older,
        "older_until": older_until.astimezone(zone) if older_until else None,
        "is_gone": farewells.is_gone(found) if current is None else False,
        "year_later": year_later.is_wished(sitter) if (sitter := deadlines.sitter_of(found)) else None,
        "zone": zone,
        "is_late": bool(found.deliver_by and found.deliver_by < now),
        "new_due_at": breaches.new_time(found),
        "chosen": found.picks.count(),
        "may_keep": bool(found.finals_expire_at and found.finals_expire_at <= now + afterwards.RENEW_WITHIN),
        "changed": deadlines.was_and_is(found),
        "expires_on": found.finals_expire_at.astimezone(zone).date() if found.finals_expire_at else None,
        "due_at": deadlines.local_promise(found),
        "may_ask_change": not retouching.change_refusal(found, now=now),
        "now": now,
    }


@require_safe
def gallery_file(request: HttpRequest, public_id: str, file_id: int) -> HttpResponseBase:
    """One final as an attachment; Range works, so a cut download goes on."""
    now = timezone.now()
    found, credential = open_gallery(request, public_id, now=now)
    current = downloads.current_delivery(found, now=now)
    file = downloads.file_of(found, file_id, now=now)
    if file is not None and file.delivery_id != (current.pk if current else None):
        # what a change replaced is the client's own
        file = None if sharing.is_shared(credential, found) else file
    if file is None:
        raise Http404
    # ?here: a script of the page wants the bytes from this site (the policy allows no other)
    if credential is not None and "here" not in request.GET and request.method == "GET":
        elsewhere = downloads.issue(file, gallery=found, credential=credential, now=now)
        if elsewhere:
            return HttpResponseRedirect(elsewhere)
    return downloads.send(
        request,
        downloads.single(file),
        gallery=found,
        credential=credential,
        may_go_on=_may_go_on(credential),
        now=now,
    )


@require_safe
def gallery_zip(request: HttpRequest, public_id: str, size: str) -> HttpResponseBase:
    """All finals, or all of one size, as a resumable ZIP that starts at once."""
    now = timezone.now()
    found, credential = open_gallery(request, public_id, now=now)
    current = downloads.current_delivery(found, now=now)
    files = downloads.files_of(current, "" if size == "all" else size) if current else []
    if current is None or not files:
        raise Http404
    stem = delivery.name_stem(found)
    name = f"{stem}.zip" if size == "all" else f"{stem}-{size}.zip"
    return downloads.send(
        request,
        downloads.archive(current, files, name=name),
        gallery=found,
        credential=credential,
        may_go_on=_may_go_on(credential),
        now=now,
    )


def _may_go_on(credential: Credential | None) -> downloads.MayGoOn:
    return downloads.still_open(credential.pk) if credential is not None else lambda: True


@require_POST
def gallery_elsewhere(request: HttpRequest, public_id: str) -> HttpResponse:
    """A fresh link for the client's other device, as a QR code and as text; it ends with the one it came from."""
    now = timezone.now()
    found, credential = open_gallery(request, public_id, now=now)
    if credential is None:
        return redirect("gallery", public_id)
    link = credentials.grant(
        scope="gallery",
        target=public_id,
        now=now,
        holder_id=credential.holder_id,
        holder_label=credential.holder_label,
        holder_email=credential.holder_email,
        lifetime=credential.expires_at - now,
        pin_hash=credential.pin_hash,
    )
    code = segno.make(link.url, error="m").svg_data_uri(scale=6, border=2)
    return render(request, "galleries/elsewhere.html", {"gallery": found, "link": link.url, "code": code})


@require_POST
def gallery_unlock(request: HttpRequest, public_id: str) -> HttpResponse:
    """Try the PIN. Without the link there is nothing to try: a 404 like every other."""
    now = timezone.now()
    try:
        open_gallery(request, public_id, now=now)
    except Locked:
        found = Gallery.objects.get(public_id=public_id)
        credential = credentials.opened(request, scope="gallery", target=public_id, now=now)
        answer = locks.unlock(request, found, credential, request.POST.get("pin", ""), now=now)
        if answer is not locks.Answer.OPEN:
            problem = (
                _("That is not the PIN.")
                if answer is locks.Answer.WRONG
                else _("That was tried too often. Please wait an hour, or write to us.")
            )
            context = {"public_id": public_id, "problem": problem}
            return render(request, "galleries/pin.html", context, status=403)
    return redirect("gallery", public_id)


@require_POST
def gallery_keep(request: HttpRequest, public_id: str) -> HttpResponse:
    """The client keeps the finals another year; also when they were put away already."""
    now = timezone.now()
    found, credential = open_as_client(request, public_id, now=now)
    by = _actor_of(request, credential)
    if afterwards.renew(gallery_id=found.pk, by=by, now=now):
        messages.success(request, _("Your pictures stay another year."))
    return redirect("gallery", public_id)


def _actor_of(request: HttpRequest, credential: Credential | None) -> Actor:
    """The client behind the link, or the person of the studio who looks at the client's page."""
    if credential is not None:
        return Actor.client(credential.holder_id or 0, credential.holder_label)
    return Actor.user(cast(User, request.user))


@require_GET
def checksums(request: HttpRequest, public_id: str) -> HttpResponse:
    """SHA-256 of every delivered file, in the format `sha256sum -c` reads."""
    now = timezone.now()
    found, _credential = open_gallery(request, public_id, now=now)
    current = downloads.current_delivery(found, now=now)
    if current is None:
        raise Http404
    lines = [f"{file.rendition.sha256}  {file.name}\n" for file in downloads.files_of(current)]
    return HttpResponse("".join(lines), content_type="text/plain; charset=utf-8")
