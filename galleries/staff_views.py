"""The gallery on the desk: files in, frames as they arrive, and failed work tried again."""

from pathlib import PurePath
from typing import cast

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from galleries import desk_gallery as shown
from galleries import jobs, receiving, rights
from galleries.card_views import card_for
from galleries.models import Gallery, Job
from galleries.progress import progress
from galleries.statuses import CLOSED, UploadStatus
from galleries.together_views import gallery_for
from studio import storage
from studio.access import staff
from studio.actors import Actor
from studio.forms import typed_id
from studio.models import Role, User

MOST_ASKED = 100  # files a page may ask about at a time


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_GET
def desk_gallery(request: HttpRequest, public_id: str) -> HttpResponse:
    """One gallery: facts, promise, the drop, and its frames."""
    gallery, _by = gallery_for(request, public_id)
    now = timezone.now()
    page = Paginator(shown.frames(gallery), shown.PAGE).get_page(request.GET.get("page"))
    may_add = rights.may_add(cast(User, request.user), gallery, purpose="frame")
    context = {
        "gallery": gallery,
        "shoot": gallery.shoot,
        "location": gallery.shoot.booking.location,
        "page": page,
        "newest": page[0].pk if page.number == 1 and page.object_list else 0,
        "tally": shown.tally(gallery),
        "progress": progress(gallery, now=now),
        "filed": shown.filed_away(gallery) if may_add else (),
        "refused": shown.refused_lately(gallery, now=now)[:20],
        "failed": gallery.jobs.filter(status="failed").select_related("photo", "upload"),
        "retouches": gallery.retouches.select_related("pick__photo").all(),
        "next_step": shown.next_step(gallery),
        "is_arriving": gallery.status in shown.ARRIVING,
        "may_add": may_add and gallery.status not in CLOSED,
        "now": now,
    }
    return render(request, "galleries/desk_gallery.html", context)


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_GET
def gallery_uploads(request: HttpRequest, public_id: str) -> JsonResponse:
    """What the server has and lacks, so that a page that was closed in the middle goes on where it was."""
    gallery, _by = gallery_for(request, public_id)
    return JsonResponse({"uploads": [shown.upload_line(row) for row in shown.on_their_way(gallery)]})


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_GET
def gallery_news(request: HttpRequest, public_id: str) -> JsonResponse:
    """What is new to the page: frames after its newest as HTML, which of its files are settled, the total."""
    gallery, _by = gallery_for(request, public_id)
    after = typed_id(request.GET.get("after")) or 0
    asked = [name for name in request.GET.get("ids", "").split(",") if name][:MOST_ASKED]
    frames = shown.frames(gallery).filter(pk__gt=after)[: shown.PAGE]
    html = render_to_string(
        "galleries/desk_gallery_frames.html", {"photos": frames, "gallery": gallery}, request
    )
    return JsonResponse(
        {
            "frames": html,
            "newest": max((photo.pk for photo in frames), default=0),
            "settled": [shown.upload_line(row) for row in shown.settled(gallery, asked)],
            "tally": shown.tally(gallery).as_json(),
            "progress": progress(gallery, now=timezone.now()).words,
            "wanted": shown.wanted_originals(gallery),
        }
    )


@staff(Role.PHOTOGRAPHER)
@require_POST
def gallery_add(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """A plain form's files, for a browser without scripts: whole, in one request."""
    gallery, by = gallery_for(request, public_id)
    if not rights.may_add(cast(User, request.user), gallery, purpose="frame"):
        return HttpResponse(status=403)
    taken = sum(_add(request, gallery, file, by=by) for file in request.FILES.getlist("files"))
    if taken:
        words = ngettext(
            "%(count)s file arrived and is being checked.",
            "%(count)s files arrived and are being checked.",
            taken,
        )
        messages.success(request, words % {"count": taken})
    elif not request.FILES:
        messages.info(request, _("No file was chosen."))
    return redirect("desk_gallery", public_id)


def _add(request: HttpRequest, gallery: Gallery, file: "UploadedFile[bytes]", *, by: Actor) -> bool:
    name = PurePath(file.name or "").name
    try:
        upload = receiving.receive_whole(
            file, size=file.size or 0, name=name, gallery=gallery, source="desk", by=by, now=timezone.now()
        )
    except (receiving.ReceivingError, storage.StorageError) as error:
        messages.error(request, f"{name}: {error}")
        return False
    if upload.status == UploadStatus.REFUSED:
        messages.error(request, f"{name}: {upload.refusal}")
        return False
    return True


@staff(Role.PHOTOGRAPHER, Role.RETOUCHER)
@require_POST
def retry_job(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give failed work three new tries."""
    job = get_object_or_404(Job.objects.select_related("gallery", "upload__card"), pk=pk)
    back = "desk"
    if job.gallery is not None:
        _gallery, by = gallery_for(request, job.gallery.public_id)
    else:
        card, by = card_for(request, job.upload.card.public_id if job.upload and job.upload.card else "")
        back = card.public_id
    if job.status == "failed" and jobs.retry(job_id=job.pk, by=by, now=timezone.now()):
        messages.success(request, _("It is being tried again."))
    else:
        messages.info(request, _("It is already being tried again."))
    if request.POST.get("back") == "desk":
        return redirect("desk")
    return redirect("desk_gallery", job.gallery.public_id) if job.gallery else redirect("card", back)
