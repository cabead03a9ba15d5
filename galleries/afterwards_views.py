"""After the delivery, as pages: print release, the wish to hear again, one more link, originals from the archive."""

from django.contrib import messages
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from galleries import coldstore, deadlines, delivery, downloads, licence, locks, rights, sharing, year_later
from galleries.together_views import gallery_for
from galleries.views import open_gallery
from studio.access import staff
from studio.models import Credential, Role, Studio


@require_GET
def gallery_licence(request: HttpRequest, public_id: str) -> HttpResponse:
    """The print release of what was delivered, as PDF."""
    now = timezone.now()
    found, _credential = open_gallery(request, public_id, now=now)
    current, studio = downloads.current_delivery(found, now=now), Studio.objects.first()
    if current is None or studio is None:
        raise Http404
    answer = HttpResponse(
        licence.paper(found, current, studio=studio, now=now), content_type="application/pdf"
    )
    name = f"{delivery.name_stem(found)}-print-release.pdf"
    answer.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return answer


@require_POST
def gallery_year_later(request: HttpRequest, public_id: str) -> HttpResponse:
    """The sitter's own wish to be asked again in a year, or its end. Others who see the gallery cannot say it."""
    now = timezone.now()
    found, credential = open_gallery(request, public_id, now=now)
    sitter = deadlines.sitter_of(found)
    if credential is None or sitter is None or credential.holder_id != sitter.pk:
        raise Http404
    if request.POST.get("wish") == "1":
        year_later.wish(gallery=found, client=sitter, now=now)
        messages.success(request, _("We will write to you once, in a year. One tap in that mail ends it."))
    else:
        year_later.end(client_id=sitter.pk, now=now)
        messages.success(request, _("We will not write to you about it."))
    return redirect("gallery", public_id)


@csrf_exempt  # a mail program posts here by itself (RFC 8058); the signed address is the right to
@require_http_methods(["GET", "POST"])
def no_more_reminders(request: HttpRequest, signed: str) -> HttpResponse:
    """One tap ends the reminders. A GET only shows the button: mail scanners open every address."""
    try:
        client_id = year_later.client_of(signed)
    except BadSignature:
        return render(request, "studio/dead_link.html", status=404)
    if year_later.is_erased(client_id):
        return render(request, "studio/erased.html", status=410)
    if request.method == "POST":
        year_later.end(client_id=client_id, now=timezone.now())
    return render(request, "galleries/no_more_reminders.html", {"is_done": request.method == "POST"})


# --- on the desk


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def gallery_share(request: HttpRequest, public_id: str) -> HttpResponse:
    """A link of their own for one more person."""
    gallery, by = gallery_for(request, public_id)
    facts = {field: request.POST.get(field, "") for field in ("name", "email", "pin")}
    try:
        sharing.share(gallery_id=gallery.pk, **facts, by=by, now=timezone.now())
    except (sharing.NotShared, locks.BadPin) as why:
        messages.error(request, str(why))
        request.session["share_again"] = {public_id: {"name": facts["name"], "email": facts["email"]}}
    else:
        request.session.pop("share_again", None)
        messages.success(request, _("The link is on its way to %(name)s.") % {"name": facts["name"]})
    return redirect("gallery_delivery", public_id)


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def link_pin(request: HttpRequest, public_id: str, pk: int) -> HttpResponse:
    """A PIN of their own for the holder of one link; an empty one takes it away."""
    gallery, _by = gallery_for(request, public_id)
    link = get_object_or_404(Credential, pk=pk, scope="gallery", target=gallery.public_id)
    pin = request.POST.get("pin", "")
    try:
        locks.set_link_pin(credential_id=link.pk, pin=pin, now=timezone.now())
    except locks.BadPin as why:
        messages.error(request, str(why))
    else:
        name = link.holder_label or "—"
        words = (
            _("%(name)s is asked for a PIN from now on.") if pin.strip() else _("%(name)s needs no own PIN.")
        )
        messages.success(request, words % {"name": name})
    return redirect("gallery_delivery", public_id)


@staff(Role.PHOTOGRAPHER, at=rights.of_gallery)
@require_POST
def gallery_bring_back(request: HttpRequest, public_id: str) -> HttpResponse:
    """Ask for the originals from the archive."""
    gallery, by = gallery_for(request, public_id)
    try:
        count = coldstore.ask_back(gallery_id=gallery.pk, by=by, now=timezone.now())
    except coldstore.NoArchive as why:
        messages.error(request, str(why))
    else:
        messages.success(request, _("%(n)d originals are on their way back.") % {"n": count})
    return redirect("gallery_delivery", public_id)
