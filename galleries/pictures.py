"""One address for every picture on a page, and the one rule who may see it.

The address is a signed name that ends within two days. It opens nothing by itself: each request is checked
again, so a revoked link, an unpublished photo or a lost role ends the picture, too.
"""

from datetime import datetime

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from galleries import locks, ranges, renditions, sharing, together
from galleries.imaging.recipes import EXTRA_FINALS, FINALS, GRID, PREVIEWS, PROOF, PROOF_UNPAID, THUMB, Recipe
from galleries.models import Gallery, Photo, Rendition, Retouch, Version
from galleries.rights import SEES_PICTURES, roles_at
from galleries.statuses import CLOSED, GalleryStatus, RetouchStatus
from studio import credentials, storage

KIND = "rendition"
CLIENT_SCOPE = "gallery"
_FINAL_NAMES = frozenset(recipe.name for recipe in (*FINALS, *EXTRA_FINALS))
_RELEASED = (GalleryStatus.DELIVERED, GalleryStatus.RETOUCHING, GalleryStatus.APPROVING, GalleryStatus.READY)


def picture_url(rendition: Rendition, *, now: datetime | None = None) -> str:
    """The signed path of one rendition, the same all day so that browsers may cache it."""
    return reverse(
        "picture", args=[storage.signed_path(KIND, rendition.public_id, now=now or timezone.now())]
    )


def client_recipes(gallery: Gallery) -> tuple[Recipe, ...]:
    """What a client may see of a published photo, smallest first; while money is open, thumbs and patterned proofs."""
    return (THUMB, PROOF_UNPAID) if renditions.is_money_open(gallery) else (THUMB, GRID, PROOF)


def may_client_see(rendition: Rendition, *, now: datetime) -> bool:
    """Whether the holder of this gallery's link may see the rendition now."""
    photo = rendition.photo
    gallery = photo.gallery
    if photo.withdrawn_at is not None:  # shown to the wrong client once: nothing of it is a client's any more
        return False
    if rendition.version is not None:
        return _may_client_see_version(rendition, rendition.version, gallery, now=now)
    may_look = photo.is_published or together.is_on_stage(photo, now=now) or _is_shown_retouched(photo)
    if not may_look or photo.is_hidden:
        return False
    if gallery.status in CLOSED:
        return False
    if gallery.proofs_expire_at is not None and gallery.proofs_expire_at <= now:
        return False
    return rendition.recipe in {recipe.name for recipe in client_recipes(gallery)}


def _is_shown_retouched(photo: Photo) -> bool:
    """Whoever is shown the retouch may see the frame it was made from, also when it was chosen together."""
    return Retouch.objects.filter(pick__photo=photo, shown_version__isnull=False).exists()


def _may_client_see_version(
    rendition: Rendition, version: Version, gallery: Gallery, *, now: datetime
) -> bool:
    is_live = gallery.finals_expire_at is None or gallery.finals_expire_at > now
    if rendition.recipe in _FINAL_NAMES:
        return is_live and gallery.status in _RELEASED and rendition.deliveries.exists()
    if rendition.recipe not in {recipe.name for recipe in (*client_recipes(gallery), *PREVIEWS)}:
        return False  # the big screen and the heat map are the studio's
    retouch = version.retouch
    if retouch.shown_version_id == version.pk and retouch.status in (
        RetouchStatus.IN_REVIEW,
        RetouchStatus.CHANGE_ASKED,
        RetouchStatus.APPROVED,
    ):
        return True
    return is_live and gallery.status in _RELEASED and _is_delivered(version)


def _is_delivered(version: Version | None) -> bool:
    return version is not None and version.renditions.filter(deliveries__isnull=False).exists()


def may_see(request: HttpRequest, rendition: Rendition, *, now: datetime) -> bool:
    """Staff of the gallery's location see everything; a browser that opened its link, what a client may see."""
    gallery = rendition.photo.gallery
    if roles_at(request.user, gallery) & SEES_PICTURES:
        return True
    credential = credentials.opened(request, scope=CLIENT_SCOPE, target=gallery.public_id, now=now)
    if credential is None or not locks.is_unlocked(request, gallery, credential):
        return False
    if sharing.is_shared(credential, gallery) and not _is_delivered(rendition.version):
        return False
    return may_client_see(rendition, now=now)


@require_safe
def picture(request: HttpRequest, signed: str) -> HttpResponseBase:
    """Stream one rendition with ranges. Forged, expired, revoked and not-for-you look alike: 404."""
    now = timezone.now()
    try:
        public_id = storage.unsign(signed, kind=KIND, now=now).public_id
    except storage.BadLink:
        raise Http404 from None
    rendition = (
        Rendition.objects.filter(public_id=public_id)
        .select_related("photo__gallery__shoot__booking", "version__retouch")
        .first()
    )
    if rendition is None or not may_see(request, rendition, now=now):
        # A link opened meanwhile has renewed the session: the refusal of a picture that the page before asked for
        # must not take the new cookie away, as an answer to a session that is gone would.
        request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        raise Http404
    return stream(request, rendition)


def stream(request: HttpRequest, rendition: Rendition) -> HttpResponseBase:
    """The file itself for a page: `private`, never sniffed or embedded elsewhere. Raises Http404 when it is gone."""
    answer = ranges.answer(
        length=rendition.size,
        etag=f'"{rendition.sha256}"',
        range_header=request.headers.get("Range", "") if request.method == "GET" else "",
        if_range=request.headers.get("If-Range", ""),
        if_none_match=request.headers.get("If-None-Match", ""),
    )
    headers = {
        **answer.headers,
        "Cache-Control": "private, max-age=86400",
        "Vary": "Cookie",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Disposition": "inline",
    }
    content_type = f"image/{rendition.format}"
    if request.method == "HEAD" or answer.status in (304, 416):
        return HttpResponse(status=answer.status, headers=headers, content_type=content_type)
    if not storage.exists(storage.derived(), rendition.key):
        raise Http404
    body = storage.open_range(storage.derived(), rendition.key, answer.start, answer.stop)
    return StreamingHttpResponse(body, status=answer.status, headers=headers, content_type=content_type)


def of(photo: Photo, recipe: str, *, version: Version | None = None) -> Rendition | None:
    """The photo's (or its version's) newest rendition by that recipe, from prefetched `renditions` if there are any."""
    wanted = version.pk if version is not None else None
    rows = [r for r in photo.renditions.all() if r.recipe == recipe and r.version_id == wanted]
    return max(rows, key=lambda row: (row.recipe_version, row.pk), default=None)
