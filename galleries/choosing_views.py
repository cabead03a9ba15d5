"""Choosing at home: the client's proofs, one picture large, the review, and looking first at the retouch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import zip_longest

from django.contrib import messages
from django.db import models
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST, require_safe

from bookings.refusals import NotNow
from bookings.stripe_gateway import GatewayError
from bookings.tasks import reconcile
from galleries import breaches, deadlines, extra_finals, frames, pictures, proofing, retouching, together
from galleries.frames import Frame
from galleries.models import Gallery, Note, PauseReason, Photo, Retouch
from galleries.proofing import ChoosingRefused, ExtrasUnpaid, SelectionClosed
from galleries.retouching import PinnedWords, RetouchRefused
from galleries.statuses import GalleryStatus, RetouchStatus
from studio.actors import Actor, ActorKind
from studio.background import ring
from studio.models import Credential, User

USES = (gettext_lazy("LinkedIn"), gettext_lazy("Website"), gettext_lazy("Press"))
LEAST_ROWS = 3  # of a wish for a change, for those without scripts
Verb = Callable[[int, str, Actor, datetime], object]


def actor_of(request: HttpRequest, credential: Credential | None) -> Actor:
    """The client behind the link, or the person of the studio who looks at the client's page."""
    if credential is not None:
        return Actor.client(credential.holder_id or 0, credential.holder_label)
    if isinstance(request.user, User):
        return Actor.user(request.user)
    raise Http404


def _opened(request: HttpRequest, public_id: str, now: datetime) -> tuple[Gallery, Actor]:
    from galleries.views import open_as_client

    gallery, credential = open_as_client(request, public_id, now=now)
    return gallery, actor_of(request, credential)


# --- the gallery's address while nothing is delivered


def proofs(request: HttpRequest, gallery: Gallery, credential: Credential | None) -> HttpResponseBase:
    """What the client's address shows before the delivery: the proofs to choose from, the retouch to look at
    first, or where things stand."""
    now = timezone.now()
    if gallery.status == GalleryStatus.PROOFING:
        return _proofs(request, gallery, now=now)
    if gallery.status == GalleryStatus.APPROVING:
        return _look_first(request, gallery, now=now)
    if together.is_followed(gallery, now=now):
        return redirect("gallery_follow", gallery.public_id)
    context = {
        **_promise(gallery, now=now),
        "frames": frames.for_client(gallery, show="chosen"),
        "count": frames.count_of(gallery),
    }
    return render(request, "galleries/proofs_waiting.html", context)


def _promise(gallery: Gallery, *, now: datetime) -> dict[str, object]:
    pause = gallery.pauses.filter(reason=PauseReason.CHOOSING, ended_at=None).first()
    is_late = gallery.deliver_by is not None and gallery.deliver_by < now
    return {
        "gallery": gallery,
        "sitter": proofing.sitter_of(gallery),
        "zone": gallery.shoot.booking.location.zone,
        "due_at": deadlines.local_promise(gallery),
        "is_late": is_late,
        "new_due_at": breaches.new_time(gallery) if is_late else None,
        "changed": deadlines.was_and_is(gallery),
        "if_answered_at": deadlines.promise_if_answered(gallery, now=now),
        "announced_at": proofing.announced_step_at(pause) if pause else None,
    }


def _proofs(request: HttpRequest, gallery: Gallery, *, now: datetime) -> HttpResponse:
    published = gallery.photos.filter(is_published=True, is_hidden=False)
    counts = published.aggregate(
        all=models.Count("pk"),
        recommended=models.Count("pk", filter=models.Q(is_recommended=True)),
        chosen=models.Count("pick"),
    )
    show = request.GET.get("show", "")
    if show not in frames.FILTERS:
        show = "recommended" if counts["recommended"] else "all"
    context = {
        **_promise(gallery, now=now),
        "frames": frames.for_client(gallery, show=show),
        "counts": counts,
        "show": show,
        "count": frames.count_of(gallery),
        "hidden": gallery.photos.filter(is_published=True, is_hidden=True).order_by("number"),
    }
    return render(request, "galleries/proofs.html", context)


@require_safe
def proof(request: HttpRequest, public_id: str, number: int) -> HttpResponseBase:
    """One proof as large as the screen, and a strip of the others; each `?beside=` puts one next to it, four in all."""
    now = timezone.now()
    gallery, _actor = _opened(request, public_id, now)
    if gallery.status != GalleryStatus.PROOFING:
        return redirect("gallery", public_id)
    shown = frames.for_client(gallery)
    room = room_at(shown, number, request.GET.getlist("beside"))
    context = {
        **_promise(gallery, now=now),
        "room": room,
        "count": frames.count_of(gallery),
        "uses": USES,
        "base_url": reverse("gallery", args=[public_id]),
    }
    return render(request, "galleries/proofs_one.html", context)


@dataclass(frozen=True, slots=True)
class Room:
    """One frame on the stage, up to three more beside it, and the strip of all."""

    frames: list[Frame]
    frame: Frame
    besides: list[tuple[str, Frame]]
    back: Frame | None
    on: Frame | None
    place: int


SLOTS = ("two", "three", "four")


def room_at(shown: list[Frame], number: int, beside: Sequence[str] = ()) -> Room:
    """The room with the frame of that number on stage. Raises Http404 when it is not among them."""
    at = next((i for i, frame in enumerate(shown) if frame.photo.number == number), None)
    if at is None:
        raise Http404
    wanted = set(beside) - {str(number)}
    others = [frame for frame in shown if str(frame.photo.number) in wanted]
    return Room(
        frames=shown,
        frame=shown[at],
        besides=list(zip(SLOTS, others, strict=False)),
        back=shown[at - 1] if at else None,
        on=shown[at + 1] if at + 1 < len(shown) else None,
        place=at + 1,
    )


# --- the phone beside the big screen


@require_safe
def follow(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """What is on the big screen, on the client's phone, with its heart; `?have=` asks whether that has changed."""
    now = timezone.now()
    gallery, _actor = _opened(request, public_id, now)
    if not together.is_followed(gallery, now=now):
        return HttpResponse(status=205) if "have" in request.GET else redirect("gallery", public_id)
    photo = gallery.photos.filter(pk=gallery.stage_photo_id or 0).select_related("pick").first()
    count = frames.count_of(gallery)
    picked = photo is not None and hasattr(photo, "pick")
    tally = f"{photo.public_id if photo else ''}-{picked}-{count.chosen}"
    if request.GET.get("have") == tally:
        return HttpResponse(status=204)
    recipe = pictures.client_recipes(gallery)[-1].name
    context = {
        "gallery": gallery,
        "sitter": proofing.sitter_of(gallery),
        "photo": photo,
        "shown": pictures.of(photo, recipe) if photo else None,
        "is_picked": picked,
        "count": count,
        "tally": tally,
    }
    template = "galleries/_follow.html" if "have" in request.GET else "galleries/follow.html"
    return render(request, template, context)


# --- marks


def _verbs() -> dict[str, Verb]:
    return {
        "pick": lambda pk, value, by, now: proofing.pick(photo_id=pk, by=by, now=now),
        "unpick": lambda pk, value, by, now: proofing.unpick(photo_id=pk, by=by, now=now),
        "hide": lambda pk, value, by, now: proofing.hide(photo_id=pk, by=by, now=now),
        "unhide": lambda pk, value, by, now: proofing.hide(photo_id=pk, is_hidden=False, by=by, now=now),
        "note": lambda pk, value, by, now: proofing.note(photo_id=pk, words=value, by=by, now=now),
        "use": lambda pk, value, by, now: proofing.label_use(photo_id=pk, use=value, by=by, now=now),
    }


CLIENT_VERBS = _verbs()


@require_POST
def choose(request: HttpRequest, public_id: str) -> HttpResponse:
    """One change of the client's choice. A script gets the new state as JSON (409 with a sentence when refused)."""
    now = timezone.now()
    gallery, by = _opened(request, public_id, now)
    photos = gallery.photos.all()
    if by.kind == ActorKind.CLIENT:
        on_stage = gallery.stage_photo_id if together.is_followed(gallery, now=now) else None
        photos = photos.filter(models.Q(is_published=True) | models.Q(pk=on_stage))
    return take_mark(request, gallery, photos, CLIENT_VERBS, by=by, now=now, back=_back(request, gallery))


def take_mark(
    request: HttpRequest,
    gallery: Gallery,
    photos: "models.QuerySet[Photo]",
    verbs: dict[str, Verb],
    *,
    by: Actor,
    now: datetime,
    back: str,
) -> HttpResponse:
    """Carry out one mark: `verb`, `photo` and `value`, or a button named like its verb with the photo as value."""
    verb = request.POST.get("verb", "")
    named = request.POST.get("photo", "")
    if not verb:  # a plain form: the pressed button says both
        verb = next((name for name in verbs if name in request.POST), "")
        named = request.POST.get(verb, "")
    if verb not in verbs:
        return HttpResponse(_("That is not something one can do with a picture."), status=400)
    photo = get_object_or_404(photos, public_id=named)
    sentence, is_closed = "", False
    try:
        verbs[verb](photo.pk, request.POST.get("value", ""), by, now)
    except (ChoosingRefused, ValueError) as refused:
        sentence, is_closed = str(refused), isinstance(refused, SelectionClosed)
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse(state_of(gallery, sentence, is_closed=is_closed), status=409 if sentence else 200)
    if sentence:
        messages.warning(request, sentence)
    return redirect(f"{back}#p{photo.number}")


def state_of(gallery: Gallery, sentence: str = "", *, is_closed: bool = False) -> dict[str, object]:
    """What a page must know after a change: who is picked and hidden, and how many are included."""
    count = frames.count_of(gallery)
    return {
        "picked": list(gallery.picks.values_list("photo__public_id", flat=True)),
        "hidden": list(gallery.photos.filter(is_hidden=True).values_list("public_id", flat=True)),
        "chosen": count.chosen,
        "included": count.included,
        "words": count.words,
        "sentence": sentence,
        "closed": is_closed,
    }


def _back(request: HttpRequest, gallery: Gallery) -> str:
    home = reverse("gallery", args=[gallery.public_id])
    wanted = request.POST.get("back", "")
    return wanted if wanted.startswith(home) else home


# --- the review


@require_safe
def review(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """The chosen pictures once more with their notes, before they are sent for good."""
    now = timezone.now()
    gallery, by = _opened(request, public_id, now)
    if gallery.status != GalleryStatus.PROOFING:
        return redirect("gallery", public_id)
    if "paid" in request.GET and extra_finals.wanted(gallery):
        return _wait_for_the_bank(request, gallery)
    count = frames.count_of(gallery)
    context = {
        **_promise(gallery, now=now),
        "frames": frames.for_client(gallery, show="chosen"),
        "count": count,
        "extra_total": extra_finals.cost(
            gallery.shoot.booking, extra_finals.wanted(gallery) * gallery.extra_final_price
        ),
        "is_paid_first": extra_finals.are_paid_first(gallery, by=by),
        "uses": USES,
    }
    return render(request, "galleries/proofs_review.html", context)


def _wait_for_the_bank(request: HttpRequest, gallery: Gallery) -> HttpResponse:
    """Back from the payment page before the bank's word: the page asks again by itself."""
    ring(reconcile)  # a bell only: asks Stripe sooner than the sweep would
    return render(request, "galleries/proofs_paying.html", {"gallery": gallery})


@require_POST
def submit(request: HttpRequest, public_id: str) -> HttpResponse:
    """Send the selection, or go and pay for the extra pictures first: the payment sends it. Sent already, the page
    says so."""
    now = timezone.now()
    gallery, by = _opened(request, public_id, now)
    try:
        if not proofing.submit_selection(gallery_id=gallery.pk, by=by, now=now):
            messages.info(request, _("Your selection was sent already."))
    except SelectionClosed as closed:
        messages.warning(request, str(closed))
    except ExtrasUnpaid:
        pay = partial(extra_finals.pay_page, gallery=gallery, by=by, now=now)
        return _to_pay(request, pay, back=reverse("gallery_review", args=[public_id]))
    except ChoosingRefused as refused:
        messages.warning(request, str(refused))
        return redirect("gallery_review", public_id)
    return redirect("gallery", public_id)


def _to_pay(request: HttpRequest, page: Callable[[], str], *, back: str) -> HttpResponse:
    """To Stripe's page; where that cannot be, back with a sentence and nothing lost."""
    try:
        return HttpResponseRedirect(page())
    except NotNow as refused:
        messages.warning(request, refused.sentence)
    except GatewayError as error:
        messages.warning(request, error.sentence)
    return HttpResponseRedirect(back)


# --- looking first, and asking for a change


@dataclass(frozen=True, slots=True)
class Look:
    """One retouched picture the client looks at: its rendition, the guard in words, and what was said about it."""

    retouch: Retouch
    picture: object
    original: object
    words: str
    notes: list[Note]
    position: int

    @property
    def is_open(self) -> bool:
        return self.retouch.status == RetouchStatus.IN_REVIEW


def looks(gallery: Gallery) -> list[Look]:
    """Each pick's version the client may see: the shown one, else the approved one."""
    rows = gallery.retouches.select_related("pick__photo", "shown_version", "approved_version").order_by(
        "pick__picked_at", "pick_id"
    )
    recipe = pictures.client_recipes(gallery)[-1].name
    found = []
    for position, retouch in enumerate(rows, start=1):
        version = retouch.approved_version or retouch.shown_version
        if version is None:
            continue
        retouch.gallery = gallery
        photo = retouch.pick.photo
        found.append(
            Look(
                retouch=retouch,
                picture=pictures.of(photo, recipe, version=version),
                original=pictures.of(photo, recipe),
                words=retouching.guard_words(version),
                notes=list(photo.notes.filter(version__isnull=False)),
                position=position,
            )
        )
    return found


def _look_first(request: HttpRequest, gallery: Gallery, *, now: datetime) -> HttpResponse:
    pause = gallery.pauses.filter(reason=PauseReason.APPROVING, ended_at=None).first()
    context = {
        **_promise(gallery, now=now),
        "looks": looks(gallery),
        "silence_ends_at": retouching.silence_ends_at(pause) if pause else None,
        "change_refusal": retouching.change_refusal(gallery, now=now),
    }
    return render(request, "galleries/proofs_look.html", context)


@require_POST
def approve_look(request: HttpRequest, public_id: str, retouch_id: str) -> HttpResponse:
    """The client likes the retouch they were shown."""
    now = timezone.now()
    gallery, by = _opened(request, public_id, now)
    retouch = get_object_or_404(gallery.retouches, public_id=retouch_id)
    try:
        retouching.approve_shown(retouch_id=retouch.pk, by=by, now=now)
    except RetouchRefused as refused:
        messages.warning(request, str(refused))
    else:
        messages.success(request, _("Thank you. We finish this picture as you saw it."))
    return redirect("gallery", public_id)


@require_GET
def change(request: HttpRequest, public_id: str, retouch_id: str) -> HttpResponse:
    """Say what should be different, with pins on the picture."""
    now = timezone.now()
    gallery, _actor = _opened(request, public_id, now)
    retouch = get_object_or_404(gallery.retouches, public_id=retouch_id)
    return _change_page(request, gallery, retouch, now=now)


def _change_page(
    request: HttpRequest, gallery: Gallery, retouch: Retouch, *, now: datetime, sentence: str = ""
) -> HttpResponse:
    """The form; after a refusal with its sentence and with every word that was said."""
    look = next((each for each in looks(gallery) if each.retouch.pk == retouch.pk), None)
    if look is None:
        raise Http404
    refusal = retouching.change_refusal(gallery, now=now)
    is_paying = "paid" in request.GET and bool(refusal)
    if is_paying:
        ring(reconcile)
    context = {
        **_promise(gallery, now=now),
        "look": look,
        "refusal": refusal,
        "cost": cost_of_change(gallery, now=now),
        "is_paying": is_paying,
        "sentence": sentence,
        "rows": _rows_said(request),
    }
    return render(request, "galleries/retouch_change.html", context, status=409 if sentence else 200)


def _rows_said(request: HttpRequest) -> list[dict[str, str]]:
    """What was typed into each row of the form, and empty rows up to three; too many at once are cut with the pins."""
    fields = ("words", "x", "y")
    columns = [request.POST.getlist(name)[: retouching.MOST_PINS + 1] for name in fields]
    rows = [dict(zip(fields, row, strict=True)) for row in zip_longest(*columns, fillvalue="")]
    return rows + [dict.fromkeys(fields, "")] * (LEAST_ROWS - len(rows))


def cost_of_change(gallery: Gallery, *, now: datetime) -> int:
    """What one more round of changes costs this client now; 0 when none is sold, or one is still free."""
    if not retouching.can_buy_change(gallery, now=now):
        return 0
    return extra_finals.cost(gallery.shoot.booking, gallery.change_price or 0)


@require_POST
def pay_change(request: HttpRequest, public_id: str, retouch_id: str) -> HttpResponse:
    """To the payment page for a further round of changes; afterwards the client says what should be different."""
    now = timezone.now()
    gallery, by = _opened(request, public_id, now)
    retouch = get_object_or_404(gallery.retouches, public_id=retouch_id)
    back = reverse("gallery_change", args=[public_id, retouch.public_id])
    if not retouching.can_buy_change(gallery, now=now):
        return redirect("gallery_change", public_id, retouch_id)
    pay = partial(extra_finals.pay_page_for_change, gallery=gallery, return_path=back, by=by, now=now)
    return _to_pay(request, pay, back=back)


@require_POST
def ask_change(request: HttpRequest, public_id: str, retouch_id: str) -> HttpResponse:
    """Send the wish for a change. A script hears where to go on; a refusal shows the words again."""
    now = timezone.now()
    gallery, by = _opened(request, public_id, now)
    retouch = get_object_or_404(gallery.retouches, public_id=retouch_id)
    try:
        retouching.ask_change(retouch_id=retouch.pk, asked=_asked(request), by=by, now=now)
    except RetouchRefused as refused:
        return _change_page(request, gallery, retouch, now=now, sentence=str(refused))
    messages.success(request, _("Thank you. We have your words and get to work."))
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"next": reverse("gallery", args=[public_id])})
    return redirect("gallery", public_id)


def _asked(request: HttpRequest) -> list[PinnedWords]:
    """The rows of the change form: words, and the pin's place in percent where one was set."""
    asked = []
    words = request.POST.getlist("words")
    across, down = request.POST.getlist("x"), request.POST.getlist("y")
    for number, said in enumerate(words):
        place = (_share(across, number), _share(down, number))
        pin = (place[0], place[1]) if place[0] is not None and place[1] is not None else None
        asked.append(PinnedWords(said, pin))
    return asked


def _share(values: list[str], number: int) -> float | None:
    try:
        percent = float(values[number])
    except (IndexError, ValueError):
        return None
    return percent / 100 if 0 <= percent <= 100 else None
