"""A whole card on the desk: the drop, the tray, the slates and the clock page."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count, Q, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from bookings.models import Shoot
from bookings.statuses import BookingStatus, ShootStatus
from galleries import cards, clocks, codes, receiving, rights
from galleries.desk_gallery import upload_line
from galleries.models import CameraClock, Card, Gallery, Upload
from galleries.statuses import CLOSED, UploadStatus
from studio import storage
from studio.access import at_my_places, staff
from studio.actors import Actor
from studio.models import Location, Role, User

MOST_ASKED = 100
SEES_SLATES = rights.ADDS_FRAMES | {Role.ARTIST}
LATELY = timedelta(days=30)
TO_CHOOSE_FROM = timedelta(days=4)  # sessions this near are offered for a frame of the tray


def _places(request: HttpRequest) -> list[Location]:
    """The locations at which this person may drop cards."""
    return [row for row in Location.objects.order_by("name") if rights.may_sort(_user(request), row.pk)]


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def card_for(request: HttpRequest, public_id: str) -> tuple[Card, Actor]:
    """The card, if this person may drop cards at its location. Raises Http404."""
    card = Card.objects.select_related("location").filter(public_id=public_id).first()
    if card is None or not rights.may_sort(_user(request), card.location_id):
        raise Http404
    return card, Actor.user(_user(request))


# --- the drop


@staff(Role.PHOTOGRAPHER)
@require_safe
def card_list(request: HttpRequest) -> HttpResponse:
    """Begin with a card, the tray, and the cards of the last weeks."""
    now, places = timezone.now(), _places(request)
    rows = Card.objects.filter(location__in=places, created_at__gte=now - LATELY).select_related(
        "location", "by"
    )
    ended = Q(uploads__status=UploadStatus.ACCEPTED) | Q(
        uploads__status=UploadStatus.CHECKING, uploads__gallery__isnull=False
    )
    rows = rows.annotate(
        files=Count("uploads", filter=~Q(uploads__status=UploadStatus.ABANDONED)),
        sorted_count=Count("uploads", filter=ended),
        doubtful=Count(
            "uploads", filter=Q(uploads__status=UploadStatus.SORTING) & ~Q(uploads__doubt_code="")
        ),
    )
    context = {
        "places": places,
        "cards": rows[:50],
        "tray_count": cards.tray([place.pk for place in places]).count(),
        "clocks": [_clock_line(row) for row in clocks.latest()],
        "now": now,
    }
    return render(request, "galleries/cards.html", context)


def _clock_line(row: CameraClock) -> Mapping[str, Any]:
    return {"row": row, "words": clocks.in_words(row.offset_seconds)}


@staff(Role.PHOTOGRAPHER)
@require_POST
def card_new(request: HttpRequest) -> HttpResponse:
    """Begin a card at a place."""
    places = _places(request)
    wanted = request.POST.get("location", "")
    place = next((row for row in places if str(row.pk) == wanted), places[0] if len(places) == 1 else None)
    if place is None:
        messages.error(request, _("Say at which place the card was shot."))
        return redirect("cards")
    card = cards.open_card(
        location=place, name=request.POST.get("name", ""), by=Actor.user(_user(request)), now=timezone.now()
    )
    return redirect("card", card.public_id)


@staff(Role.PHOTOGRAPHER)
@require_safe
def card(request: HttpRequest, public_id: str) -> HttpResponse:
    """One card: the drop, where its frames went, and its part of the tray."""
    row, _by = card_for(request, public_id)
    context = {"card": row, "location": row.location, **_state_of(row), **_tray_context(request, row)}
    return render(request, "galleries/card.html", context)


def _state_of(row: Card) -> dict[str, Any]:
    """The card in numbers, and what went where."""
    statuses = dict(row.uploads.values_list("status").annotate(count=Count("pk")))
    placed = row.uploads.filter(gallery__isnull=False).exclude(status=UploadStatus.FILED)
    went = (
        Gallery.objects.filter(uploads__in=placed)
        .select_related("shoot__sitter", "shoot__booking__location")
        .annotate(how_many=Count("uploads", filter=Q(uploads__card=row)))
        .order_by("shoot__starts_at")
    )
    on_the_way = row.uploads.filter(cards.UNFINISHED).count()
    return {
        "went": went,
        "filed": row.uploads.filter(status=UploadStatus.FILED).order_by("name"),
        "refused": row.uploads.filter(status=UploadStatus.REFUSED).order_by("name")[:30],
        "on_the_way": on_the_way,
        "count": sum(statuses.values()) - statuses.get(UploadStatus.ABANDONED, 0),
        "is_waiting": row.closed_at is None and not row.is_live and statuses.get(UploadStatus.SORTING, 0) > 0,
    }


@staff(Role.PHOTOGRAPHER)
@require_safe
def card_uploads(request: HttpRequest, public_id: str) -> JsonResponse:
    """What the server has and lacks of this card, for a page that was closed in the middle."""
    row, _by = card_for(request, public_id)
    lines = row.uploads.exclude(status=UploadStatus.ABANDONED).order_by("pk")
    return JsonResponse({"uploads": [upload_line(line) for line in lines]})


@staff(Role.PHOTOGRAPHER)
@require_safe
def card_news(request: HttpRequest, public_id: str) -> JsonResponse:
    """Which of the page's files are settled, and the card's state as HTML. A file in the tray is settled, too."""
    row, _by = card_for(request, public_id)
    asked = [name for name in request.GET.get("ids", "").split(",") if name][:MOST_ASKED]
    past = row.uploads.filter(public_id__in=asked).exclude(
        status__in=[UploadStatus.RECEIVING, UploadStatus.CHECKING]
    )
    past = past.exclude(status=UploadStatus.SORTING, doubt_code="")  # looked at, and waits for the rest
    state = _state_of(row)
    html = render_to_string(
        "galleries/card_state.html", {"card": row, "location": row.location, **state}, request
    )
    doubtful = cards.tray([row.location_id]).filter(card=row).count()
    return JsonResponse(
        {
            "settled": [upload_line(line) for line in past.order_by("pk")],
            "state": html,
            "tally": {"photos": state["count"], "checking": state["on_the_way"]},
            "doubtful": doubtful,
        }
    )


@staff(Role.PHOTOGRAPHER)
@require_POST
def card_expect(request: HttpRequest, public_id: str) -> JsonResponse:
    """The page counted so many files on the card."""
    row, _by = card_for(request, public_id)
    count = request.POST.get("count", "")
    if count.isascii() and count.isdigit() and len(count) < 8:
        cards.expect(card_id=row.pk, count=int(count))
    return JsonResponse({})


@staff(Role.PHOTOGRAPHER)
@require_POST
def card_close(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """That was all: sort it. The page says so by itself; a person may say it for a card that is not whole."""
    row, by = card_for(request, public_id)
    is_person = request.POST.get("whole") == "1"
    try:
        cards.close(card_id=row.pk, by=by, now=timezone.now(), is_said_whole=is_person)
    except cards.NotWhole as error:
        if not is_person:
            return JsonResponse({"missing": str(error)}, status=409)
    if is_person:
        return redirect("card", public_id)
    return JsonResponse({})


@staff(Role.PHOTOGRAPHER)
@require_POST
def card_add(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """A plain form's files, for a browser without scripts: the card is whole with them."""
    row, by = card_for(request, public_id)
    now = timezone.now()
    taken = 0
    for file in request.FILES.getlist("files"):
        taken += _add(request, row, file, by=by, now=now)
    if taken:
        cards.close(card_id=row.pk, by=by, now=now, is_said_whole=True)
        words = ngettext("%(count)s file arrived.", "%(count)s files arrived.", taken)
        messages.success(request, words % {"count": taken})
    elif not request.FILES:
        messages.info(request, _("No file was chosen."))
    return redirect("card", public_id)


def _add(request: HttpRequest, row: Card, file: "UploadedFile[bytes]", *, by: Actor, now: datetime) -> bool:
    name = receiving.clean_name(file.name or "")
    try:
        upload = receiving.receive_whole(
            file, size=file.size or 0, name=name, card=row, source="desk", by=by, now=now
        )
    except (receiving.ReceivingError, storage.StorageError) as error:
        messages.error(request, f"{name}: {error}")
        return False
    if upload.status == UploadStatus.REFUSED:
        messages.error(request, f"{name}: {upload.refusal}")
        return False
    return True


# --- the tray


def waiting(request: HttpRequest) -> dict[str, Any] | None:
    """What the desk shows of the tray; None when nothing waits."""
    places = _places(request)
    rows = cards.tray([place.pk for place in places])
    unfinished = (
        Card.objects.filter(location__in=places, closed_at=None, is_live=False, uploads__isnull=False)
        .select_related("location")
        .annotate(files=Count("uploads", filter=~Q(uploads__status=UploadStatus.ABANDONED)))
    )
    found = {"tray_count": rows.count(), "first": rows.first(), "unfinished": list(unfinished[:5])}
    return found if any(found.values()) else None


@staff(Role.PHOTOGRAPHER)
@require_safe
def frame_tray(request: HttpRequest) -> HttpResponse:
    """Every frame that waits for a person, with its reason, and one tap to say where it belongs."""
    return render(request, "galleries/tray.html", _tray_context(request))


def _tray_context(request: HttpRequest, card: Card | None = None) -> dict[str, Any]:
    places = [card.location] if card else _places(request)
    rows = cards.tray([place.pk for place in places])
    if card is not None:
        rows = rows.filter(card=card)
    count = rows.count()
    lines = list(rows[:120])
    groups: dict[tuple[str, str, int | None], list[Upload]] = {}
    for line in lines:
        groups.setdefault((line.doubt, str(line.facts.get("camera", "")), line.guess_id), []).append(line)
    near = {place.pk: list(_near(place, card, lines)) for place in places}
    shown = [
        {
            "doubt": doubt,
            "code": files[0].doubt_code,
            "camera": camera,
            "guess": files[0].guess,
            "files": files,
            "location": files[0].card.location if files[0].card else None,
            "galleries": near.get(files[0].card.location_id if files[0].card else 0, []),
        }
        for (doubt, camera, _guess), files in groups.items()
    ]
    return {"groups": shown, "tray_count": count, "tray_more": count - len(lines)}


def _near(place: Location, card: Card | None, lines: list[Upload]) -> "QuerySet[Gallery]":
    """The sessions somebody may choose from: around the days of the frames, or of the card."""
    times = [
        datetime.fromisoformat(str(line.facts["said_at"])) for line in lines if line.facts.get("said_at")
    ]
    now = timezone.now()
    middle = card.created_at if card is not None else now
    known = [instant for instant in times if abs(instant - middle) < LATELY]
    first, last = min([middle, *known]), max([middle, *known])
    return (
        Gallery.objects.filter(
            shoot__booking__location=place,
            shoot__starts_at__range=(first - TO_CHOOSE_FROM, last + timedelta(days=1)),
        )
        .exclude(status__in=CLOSED)
        .select_related("shoot__sitter", "shoot__booking__location")
        .order_by("-shoot__starts_at")[:60]
    )


@staff(Role.PHOTOGRAPHER)
@require_POST
def tray_assign(request: HttpRequest) -> HttpResponse:
    """Say where files of the tray belong, or that they are nobody's."""
    by, now = Actor.user(_user(request)), timezone.now()
    places = _places(request)
    ids = list(
        cards.tray([place.pk for place in places])
        .filter(public_id__in=request.POST.getlist("file")[: cards.MOST_AT_ONCE])
        .values_list("pk", flat=True)
    )
    back = _way_back(request, places)
    if not ids:
        messages.info(request, _("Choose the frames first."))
    elif request.POST.get("to") == "nobody":
        count = cards.leave_out(upload_ids=ids, by=by, now=now)
        words = ngettext("%(count)s file was left out.", "%(count)s files were left out.", count)
        messages.success(request, words % {"count": count})
    else:
        rows = Gallery.objects.select_related("shoot__sitter", "shoot__booking")
        gallery = rows.filter(public_id=request.POST.get("to", "")).first()
        if gallery is None or not rights.may_add(_user(request), gallery, purpose="frame"):
            messages.error(request, _("Say to which session they belong."))
            return back
        count = cards.assign(upload_ids=ids, gallery_id=gallery.pk, by=by, now=now)
        words = ngettext("%(count)s file went to %(code)s.", "%(count)s files went to %(code)s.", count)
        messages.success(request, words % {"count": count, "code": gallery.shoot.code})
    return back


def _way_back(request: HttpRequest, places: list[Location]) -> HttpResponse:
    card = Card.objects.filter(public_id=request.POST.get("card", ""), location__in=places).first()
    return redirect("card", card.public_id) if card else redirect("frame_tray")


@staff(Role.PHOTOGRAPHER)
@require_safe
def tray_picture(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The small view of a file in the tray. Seen by who may sort it, and by nobody else."""
    upload = get_object_or_404(Upload.objects.select_related("card"), public_id=public_id, card__isnull=False)
    if (
        upload.card is None
        or not rights.may_sort(_user(request), upload.card.location_id)
        or not upload.look_key
    ):
        raise Http404
    if not storage.exists(storage.derived(), upload.look_key):
        raise Http404
    size = storage.size(storage.derived(), upload.look_key)
    body = storage.open_range(storage.derived(), upload.look_key, 0, size)
    headers = {
        "Cache-Control": "private, max-age=3600",
        "Vary": "Cookie",
        "X-Content-Type-Options": "nosniff",
        "Content-Length": str(size),
    }
    return StreamingHttpResponse(body, headers=headers, content_type="image/jpeg")


@staff(Role.PHOTOGRAPHER)
@require_POST
def upload_is_picture(request: HttpRequest, public_id: str) -> HttpResponse:
    """A filed slate or clock page is a picture after all: sort or check it like one."""
    rows = Upload.objects.select_related("card", "gallery__shoot__booking")
    upload = get_object_or_404(rows, public_id=public_id)
    user, card, gallery = _user(request), upload.card, upload.gallery
    if card is not None:
        may, back = rights.may_sort(user, card.location_id), reverse("card", args=[card.public_id])
    elif gallery is not None:
        may = rights.may_add(user, gallery, purpose="frame")
        back = reverse("desk_gallery", args=[gallery.public_id])
    else:
        may, back = False, ""
    if not may:
        raise Http404
    if cards.is_picture(upload_id=upload.pk, by=Actor.user(user), now=timezone.now()):
        messages.success(request, _("%(name)s counts as a picture now.") % {"name": upload.name})
    else:
        messages.info(
            request, _("%(name)s is not filed away any more. Nothing was changed.") % {"name": upload.name}
        )
    return redirect(back)


# --- slates and clocks


@staff(Role.PHOTOGRAPHER, Role.ARTIST)
@require_safe
def slates(request: HttpRequest) -> HttpResponse:
    """The slates of one day, to be printed or shown one by one. An artist sees those of their own sessions."""
    places = list(Location.objects.filter(at_my_places(request, "pk", roles=SEES_SLATES)).order_by("name"))
    wanted = request.GET.get("at", "")
    place = next((row for row in places if str(row.pk) == wanted), places[0] if places else None)
    if place is None:
        raise Http404
    zone = ZoneInfo(place.zone)
    today = timezone.now().astimezone(zone).date()
    day = _day(request.GET.get("day", ""), today)
    begin = datetime(day.year, day.month, day.day, tzinfo=zone)
    end = begin + timedelta(days=1)
    rows = (
        Shoot.objects.filter(booking__location=place, starts_at__gte=begin, starts_at__lt=end)
        .filter(booking__status=BookingStatus.CONFIRMED)
        .exclude(status__in=[ShootStatus.CANCELLED, ShootStatus.NO_SHOW])
        .select_related("sitter", "booking__session_type", "booking__location")
        .order_by("starts_at")
    )
    may_sort = rights.may_sort(_user(request), place.pk)
    if not may_sort:
        own = {"booking__claims__resource__user": _user(request), "booking__claims__is_active": True}
        rows = rows.filter(**own).distinct()
    context = {
        "location": place,
        "may_sort": may_sort,
        "places": places,
        "day": day,
        "before": day - timedelta(days=1),
        "after": day + timedelta(days=1),
        "slates": [(shoot, codes.picture_of(codes.slate_text(shoot.code))) for shoot in rows],
    }
    return render(request, "galleries/slates.html", context)


def _day(written: str, today: date) -> date:
    try:
        day = parse_date(written) or today
    except ValueError:
        return today
    return day if date(2000, 1, 2) <= day <= date(2200, 1, 1) else today


@staff(Role.PHOTOGRAPHER)
@require_safe
def slate(request: HttpRequest, public_id: str) -> HttpResponse:
    """One slate on the whole screen of a phone or tablet."""
    shoot = get_object_or_404(
        Shoot.objects.select_related("sitter", "booking__location", "booking__session_type"),
        public_id=public_id,
    )
    if not rights.may_sort(_user(request), shoot.booking.location_id):
        raise Http404
    context = {
        "shoot": shoot,
        "location": shoot.booking.location,
        "code": codes.picture_of(codes.slate_text(shoot.code)),
    }
    return render(request, "galleries/slate.html", context)


@staff(Role.PHOTOGRAPHER)
@require_safe
def clock_page(request: HttpRequest) -> HttpResponse:
    """The studio's clock, to be photographed once with each camera; and the clocks that are known."""
    context = {**_clock(), "clocks": [_clock_line(row) for row in clocks.latest()], "cameras": _cameras()}
    return render(request, "galleries/clock.html", context)


@staff(Role.PHOTOGRAPHER)
@require_safe
def clock_now(request: HttpRequest) -> HttpResponse:
    """The clock's face again, each second."""
    return render(request, "galleries/clock_face.html", _clock())


def _clock() -> dict[str, Any]:
    now = timezone.now()
    place = Location.objects.order_by("pk").first()
    zone = place.zone if place else "UTC"
    time = f"{now.astimezone(ZoneInfo(zone)):%H:%M:%S}"
    return {"time": time, "zone": zone, "code": codes.picture_of(codes.clock_text(now))}


def _cameras() -> list[str]:
    """The cameras whose frames came lately on a card."""
    rows = Upload.objects.filter(card__isnull=False, created_at__gte=timezone.now() - LATELY)
    names = rows.values_list("facts__camera", flat=True).distinct()[:50]
    return sorted({str(name) for name in names if name})


@staff(Role.PHOTOGRAPHER)
@require_POST
def clock_type(request: HttpRequest) -> HttpResponse:
    """Type how far a camera's clock is off."""
    by, now = Actor.user(_user(request)), timezone.now()
    camera = request.POST.get("camera", "").strip()
    try:
        offset = clocks.offset_of(request.POST.get("difference", ""))
        row = clocks.set_offset(camera=camera, offset=offset, how=CameraClock.How.TYPED, by=by, now=now)
    except clocks.BadClock as error:
        messages.error(request, str(error))
    else:
        cards.sort_again(camera=row.camera, now=now)
        words = _("%(camera)s: %(difference)s is added to its times from now on.")
        messages.success(
            request, words % {"camera": row.camera, "difference": clocks.in_words(row.offset_seconds)}
        )
    return redirect("frame_tray" if request.POST.get("back") == "frame_tray" else "clock_page")
