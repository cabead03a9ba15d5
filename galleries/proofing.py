"""Choosing: the photographer's marks, publishing the proofs, the client's picks, and the submitted Selection.

Two ways lead to a Selection. Choose together: the photographer opens the frames on the big screen while the
gallery is open, and submits with the client beside them; no pause opens. At home: the proofs are published by
mail, the clock stands still, and the client picks behind their link. Every change of a pick happens under the
Gallery's row lock, so a pick and a submission in two tabs are told apart clearly. Lock order: Booking, Gallery, Photos.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bookings.models import Client
from bookings.refusals import NotNow
from galleries import deadlines, extra_finals, jobs, pictures, renditions, retouching, together
from galleries.models import Gallery, JobKind, Note, Pause, PauseReason, Photo, Pick
from galleries.statuses import GalleryStatus
from studio import credentials
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Message
from studio.outbox import cancel_messages, queue_message
from studio.transitions import move

log = logging.getLogger(__name__)

MANY = 30  # more proofs than this are published only after somebody has said so
REMINDER_DAYS = (1, 3, 7)
SILENT_DAYS = 10
LONGEST_NOTE = 2000
MOST_NOTES = 200
CHOOSABLE = (GalleryStatus.OPEN, GalleryStatus.PROOFING)


class ChoosingRefused(Exception):
    """A choice that cannot be made now. The message is a sentence for whoever tried."""


class TooManyPicks(ChoosingRefused):
    """More pictures than finals are included."""

    def __init__(self, included: int) -> None:
        self.included = included
        super().__init__(
            ngettext(
                "%(count)d finished picture is included, and you have chosen it. Take it back to swap it.",
                "%(count)d finished pictures are included, and you have chosen them. Take one back to swap it.",
                included,
            )
            % {"count": included}
        )


class ExtrasUnpaid(ChoosingRefused):
    """Pictures beyond those included are paid before the selection is sent."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            ngettext(
                "%(count)d of your pictures is not included. Pay for it first, or take one back.",
                "%(count)d of your pictures are not included. Pay for them first, or take them back.",
                count,
            )
            % {"count": count}
        )


class SelectionClosed(ChoosingRefused):
    """The Selection is not open for this person: not published yet, already submitted, delivered or cancelled."""


class NothingPicked(ChoosingRefused):
    """A Selection has at least one picture."""

    def __init__(self) -> None:
        super().__init__(_("Choose at least one picture first."))


class TooManyProofs(ChoosingRefused):
    """So many proofs are published only when somebody is sure."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            _(
                "%(count)d pictures would be published. Fewer are easier to choose from: mark your picks, or go on."
            )
            % {"count": count}
        )


# --- whose turn it is


def sitter_of(gallery: Gallery) -> Client | None:
    """Who chooses: the person in the picture, else whoever booked."""
    return gallery.shoot.sitter or gallery.shoot.booking.payer


def locked(gallery_id: int) -> Gallery:
    """The gallery under its row lock, for a change of its picks."""
    return deadlines.locked(gallery_id)


def why_closed(gallery: Gallery, *, by: Actor) -> str:
    """Why this person cannot choose now, in a sentence; empty when they can."""
    if gallery.status == GalleryStatus.PROOFING:
        return ""
    if gallery.status == GalleryStatus.OPEN:
        return _("The pictures are not ready to choose from yet.") if by.kind == ActorKind.CLIENT else ""
    if gallery.status == GalleryStatus.CANCELLED:
        return _("This session was cancelled.")
    if gallery.status == GalleryStatus.ERASED:
        return _("These pictures were erased.")
    return _("The selection has been sent already. Ask the studio if you want to change it.")


def _open_for(photo_id: int, by: Actor, *, now: datetime) -> tuple[Gallery, Photo]:
    """The picture and its locked gallery, if this person may choose it now. Raises SelectionClosed.

    A client who follows the big screen on the phone may choose the frame that is on it.
    """
    gallery = locked(Photo.objects.values_list("gallery_id", flat=True).get(pk=photo_id))
    if gallery.stage_photo_id == photo_id and together.is_followed(gallery, now=now):
        return gallery, gallery.photos.get(pk=photo_id)
    if reason := why_closed(gallery, by=by):
        raise SelectionClosed(reason)
    return gallery, _shown_to(gallery, photo_id, by)


def _shown_to(gallery: Gallery, photo_id: int, by: Actor) -> Photo:
    photos = gallery.photos.all() if by.kind != ActorKind.CLIENT else gallery.photos.filter(is_published=True)
    return photos.get(pk=photo_id)


# --- the photographer's marks and publishing


@transaction.atomic
def mark(
    *,
    photo_id: int,
    by: Actor,
    now: datetime,
    is_recommended: bool | None = None,
    is_rejected: bool | None = None,
    rating: int | None = None,
) -> Photo:
    """Set the photographer's marks; what is None stays. Rejecting takes a recommendation back, and the reverse.

    `rating` is 0 (none) to 5. Raises ValueError outside of that.
    """
    if rating is not None and not 0 <= rating <= 5:
        raise ValueError("a rating is 0 to 5")
    gallery_id = Photo.objects.values_list("gallery_id", flat=True).get(pk=photo_id)
    locked(gallery_id)
    photo = Photo.objects.select_for_update().get(pk=photo_id)
    if rating is not None:
        photo.rating = rating
    if is_recommended is not None:
        photo.is_recommended = is_recommended
        photo.is_rejected = photo.is_rejected and not is_recommended
    if is_rejected is not None:
        photo.is_rejected = is_rejected
        photo.is_recommended = photo.is_recommended and not is_rejected
    photo.save(update_fields=["rating", "is_recommended", "is_rejected"])
    return photo


def proofs_to_publish(gallery: Gallery) -> "QuerySet[Photo]":
    """The photographer's picks (recommended, rated or already chosen); every frame not rejected when none is."""
    frames = gallery.photos.filter(is_rejected=False)
    marked = frames.filter(Q(is_recommended=True) | Q(rating__gt=0) | Q(pick__isnull=False))
    return marked if marked.exists() else frames


@transaction.atomic
def publish_proofs(*, gallery_id: int, by: Actor, now: datetime, is_sure: bool = False) -> int:
    """Show the proofs to the client and wait for them: mail, and the pause "choosing". Returns how many are new.

    Published again while the client is choosing, frames marked since are added; none is ever taken away. Raises
    TooManyProofs above 30 unless `is_sure`, SelectionClosed after the submission.
    """
    gallery = locked(gallery_id)
    if gallery.status not in CHOOSABLE:
        raise SelectionClosed(why_closed(gallery, by=by))
    photos = list(
        proofs_to_publish(gallery).filter(is_published=False).order_by("pk").select_for_update(of=("self",))
    )
    if not photos and not gallery.photos.filter(is_published=True).exists():
        raise ChoosingRefused(_("There is no picture to publish yet."))
    if len(photos) > MANY and not is_sure:
        raise TooManyProofs(len(photos))
    Photo.objects.filter(pk__in=[photo.pk for photo in photos]).update(is_published=True)
    _state_missing(gallery, photos, now=now)
    if move(Gallery, gallery.pk, "publish_proofs", by=by, now=now) is not None:
        deadlines.open_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=by, now=now)
        _write_to_sitter(gallery, "proofs_published", once=f"proofs_published:{gallery.pk}", now=now)
    return len(photos)


def _state_missing(gallery: Gallery, photos: Iterable[Photo], *, now: datetime) -> None:
    """Order what this client may see and is not made yet: a balance opened since, a recipe or the mark changed."""
    names = [recipe.name for recipe in pictures.client_recipes(gallery)]
    mark = str(renditions.look_of(gallery).mark)
    for photo in photos:
        lacking = {recipe.name for recipe in renditions.missing_of(photo)}
        if missing := [name for name in names if name in lacking]:
            facts = {"recipes": missing, "mark": mark}
            jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, parameters=facts, now=now)


# --- picks


@transaction.atomic
def pick(*, photo_id: int, by: Actor, now: datetime) -> Pick:
    """Choose a picture. Chosen already, it stays as it was. Raises TooManyPicks and SelectionClosed.

    Where the studio sells more finals than are included, more may be chosen; they are paid for when it is sent.
    """
    gallery, photo = _open_for(photo_id, by, now=now)
    if existing := Pick.objects.filter(photo=photo).first():
        return existing
    if gallery.picks.count() >= extra_finals.allowed(gallery) and not extra_finals.are_sold(gallery):
        raise TooManyPicks(extra_finals.allowed(gallery))
    if photo.is_hidden:
        photo.is_hidden = False
        photo.save(update_fields=["is_hidden"])
    return Pick.objects.create(
        gallery=gallery, photo=photo, picked_at=now, actor_kind=by.kind, actor_label=by.label
    )


@transaction.atomic
def unpick(*, photo_id: int, by: Actor, now: datetime) -> bool:
    """Take a choice back. False if it was not chosen. Raises SelectionClosed, also for work that was handed in."""
    gallery, photo = _open_for(photo_id, by, now=now)
    return _forget(gallery, photo)


def _forget(gallery: Gallery, photo: Photo) -> bool:
    chosen = Pick.objects.filter(photo=photo).first()
    if chosen is None:
        return False
    if not retouching.withdraw(chosen):
        raise SelectionClosed(_("This picture has been retouched by hand already, so it stays chosen."))
    chosen.delete()
    return True


@transaction.atomic
def label_use(*, photo_id: int, use: str, by: Actor, now: datetime) -> Pick:
    """Say what a chosen picture is for (LinkedIn, website, press). Raises ChoosingRefused when it is not chosen."""
    _gallery, photo = _open_for(photo_id, by, now=now)
    chosen = Pick.objects.filter(photo=photo).first()
    if chosen is None:
        raise ChoosingRefused(_("Choose the picture first, then say what it is for."))
    chosen.use = " ".join(use.split())[:60]
    chosen.save(update_fields=["use"])
    return chosen


@transaction.atomic
def hide(*, photo_id: int, is_hidden: bool = True, by: Actor, now: datetime) -> Photo:
    """Hide a picture from every viewer (or show it again); a hidden picture is not chosen. Raises SelectionClosed."""
    gallery, photo = _open_for(photo_id, by, now=now)
    if is_hidden:
        _forget(gallery, photo)
    photo.is_hidden = is_hidden
    photo.save(update_fields=["is_hidden"])
    return photo


@transaction.atomic
def note(
    *,
    photo_id: int,
    words: str,
    by: Actor,
    now: datetime,
    pin: tuple[float, float] | None = None,
) -> Note | None:
    """Keep what somebody says about a picture while choosing. Their earlier note without a pin is replaced.

    `pin` is a place on the picture, each 0…1 of its width and height; every pin is a note of its own. Empty words
    remove the note. Words are kept as typed and escaped where they are shown.
    """
    _gallery, photo = _open_for(photo_id, by, now=now)
    words = words.strip()[:LONGEST_NOTE]
    mine = photo.notes.filter(
        version=None, actor_kind=by.kind, actor_id=by.id, is_change_request=False, answered_at=None
    )
    if pin is None:
        mine.filter(pin_x=None).delete()
    if not words:
        return None
    if photo.notes.count() >= MOST_NOTES:
        raise ChoosingRefused(_("There are very many notes on this picture. Please remove one first."))
    return Note.objects.create(
        photo=photo,
        words=words,
        pin_x=pin[0] if pin else None,
        pin_y=pin[1] if pin else None,
        written_at=now,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
    )


# --- the Selection


@transaction.atomic
def submit_selection(*, gallery_id: int, by: Actor, now: datetime, is_announced_step: bool = False) -> bool:
    """Lock the picks and order their retouching. False if it was submitted already (another tab, another person).

    The order: the picks are checked and extra ones put on the bill, the gallery moves, a pause for choosing ends, a
    Retouch with its draft is ordered for each pick, reminders are taken back, the client is told what happens next.
    Raises NothingPicked, TooManyPicks, ExtrasUnpaid and SelectionClosed.
    """
    gallery = locked(gallery_id)
    if gallery.status == GalleryStatus.RETOUCHING:
        return False
    if reason := why_closed(gallery, by=by):
        raise SelectionClosed(reason)
    count = gallery.picks.count()
    if count == 0:
        raise NothingPicked
    if extra := extra_finals.wanted(gallery):
        _sell(gallery, extra, by=by, now=now)
    moved = move(Gallery, gallery.pk, "submit_selection", by=by, now=now)
    if moved is None:
        return False
    deadlines.close_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=by, now=now)
    _show_picks(gallery, now=now)
    retouching.order(gallery_id=gallery.pk, by=by, now=now)
    cancel_messages(about=gallery, names=["proofs_published", "proofs_reminder"], now=now, by=by)
    _write_to_sitter(
        gallery,
        "selection_received",
        once=f"selection_received:{gallery.pk}:{now:%Y%m%dT%H%M%S%f}",
        now=now,
        is_announced_step=is_announced_step,
    )
    return True


def _sell(gallery: Gallery, count: int, *, by: Actor, now: datetime) -> None:
    """Put picks beyond those included on the bill. Raises TooManyPicks where none are sold, ExtrasUnpaid where the
    client pays first."""
    if not extra_finals.are_sold(gallery):
        raise TooManyPicks(extra_finals.allowed(gallery))
    if extra_finals.are_paid_first(gallery, by=by):
        raise ExtrasUnpaid(count)
    try:
        extra_finals.put_on_bill(gallery, count, now=now)
    except NotNow as refused:
        raise ChoosingRefused(refused.sentence) from refused
    gallery.refresh_from_db(fields=["finals_extra"])


def submit_paid(*, gallery_id: int, now: datetime) -> bool:
    """The client has paid for the extra finals: send the selection, if it still fits what was bought.

    Inside the transaction of the payment, which nothing here may undo.
    """
    gallery = locked(gallery_id)
    sitter = sitter_of(gallery)
    fits = 0 < gallery.picks.count() <= extra_finals.allowed(gallery)
    if gallery.status != GalleryStatus.PROOFING or sitter is None or not fits:
        return False
    return submit_selection(gallery_id=gallery.pk, by=Actor.client(sitter.pk, str(sitter)), now=now)


def _show_picks(gallery: Gallery, *, now: datetime) -> None:
    """What was chosen together stands on the client's page, too."""
    picked = gallery.photos.filter(pick__isnull=False, is_published=False)
    _state_missing(gallery, picked, now=now)
    picked.update(is_published=True)


@transaction.atomic
def reopen_selection(*, gallery_id: int, by: Actor, now: datetime, reason: str = "") -> bool:
    """Let the client choose again, without stopping the clock. False if it is open already.

    Only the studio does this, before anything was delivered. Every proof the client may choose from is shown.
    """
    gallery = locked(gallery_id)
    if gallery.delivered_at is not None:
        raise SelectionClosed(_("These pictures are delivered. A change can be asked for instead."))
    if gallery.status not in (GalleryStatus.RETOUCHING, GalleryStatus.PROOFING):
        raise SelectionClosed(_("There is no submitted selection to reopen."))
    if move(Gallery, gallery.pk, "reopen_selection", by=by, now=now, reason=reason) is None:
        return False
    if gallery.proofs_published_at is None:  # chosen together: the others were never shown
        shown = proofs_to_publish(gallery).filter(is_published=False)
        _state_missing(gallery, shown, now=now)
        gallery.photos.filter(pk__in=[photo.pk for photo in shown]).update(is_published=True)
    _write_to_sitter(
        gallery, "selection_reopened", once=f"selection_reopened:{gallery.pk}:{now:%Y%m%dT%H%M%S%f}", now=now
    )
    return True


def chosen(gallery: Gallery) -> list[Pick]:
    """The picks in the order they were made, with their photos."""
    return list(gallery.picks.select_related("photo").order_by("picked_at", "id"))


# --- a client who is silent


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: reminders written and selections made as announced."""

    reminders: int
    finished: int


def announced_step_at(pause: Pause) -> datetime:
    """When the photographer's recommended frames are taken if the client stays silent, as every mail says."""
    return pause.opened_at + timedelta(days=SILENT_DAYS)


def sweep(*, now: datetime) -> Swept:
    """Remind clients who are choosing after 1, 3 and 7 days; on day 10 do what every reminder announced.

    Each gallery is its own transaction: one that crashes cannot block the rest, and is tried again a minute later.
    """
    first = now - timedelta(days=REMINDER_DAYS[0])
    waiting = Pause.objects.filter(
        reason=PauseReason.CHOOSING,
        ended_at=None,
        opened_at__lte=first,
        gallery__status=GalleryStatus.PROOFING,
    ).order_by("opened_at", "pk")
    reminders = finished = 0
    for pause in waiting:
        try:
            if now >= announced_step_at(pause):
                finished += _take_recommended(pause.gallery_id, now=now)
            else:
                reminders += _remind(pause, now=now)
        except Exception:
            log.exception("The choosing of gallery %s could not be followed up", pause.gallery_id)
    return Swept(reminders, finished)


@transaction.atomic
def _remind(pause: Pause, *, now: datetime) -> bool:
    gallery = locked(pause.gallery_id)
    if gallery.status != GalleryStatus.PROOFING:
        return False
    day = max(day for day in REMINDER_DAYS if pause.opened_at + timedelta(days=day) <= now)
    return _write_to_sitter(
        gallery, "proofs_reminder", once=f"proofs_reminder:{pause.pk}:{day}", now=now, day=day
    )


@transaction.atomic
def _take_recommended(gallery_id: int, *, now: datetime) -> bool:
    """Submit for a silent client: their own picks first, then the recommended frames, up to what is included.

    Without a pick, a recommendation or a rating nobody has said which. Then the studio is told once, the desk says
    what to do, and the first frame that is marked sets it off: each sweep looks again.
    """
    gallery = locked(gallery_id)
    if gallery.status != GalleryStatus.PROOFING:
        return False
    room = extra_finals.allowed(gallery) - gallery.picks.count()
    if room < 0:  # silence buys nothing: the first picks that are included stand
        for late in list(gallery.picks.order_by("-picked_at", "-id")[:-room]):
            _forget(gallery, late.photo)
    said = gallery.photos.filter(is_published=True, is_hidden=False, is_rejected=False, pick__isnull=True)
    best = said.filter(Q(is_recommended=True) | Q(rating__gt=0)).order_by(
        "-is_recommended", "-rating", "number"
    )
    for photo in best[: max(room, 0)]:
        Pick.objects.create(
            gallery=gallery, photo=photo, picked_at=now, actor_kind=WORKER.kind, actor_label=WORKER.label
        )
    if not gallery.picks.exists():
        _tell_studio_to_mark(gallery, now=now)
        return False
    return submit_selection(gallery_id=gallery.pk, by=WORKER, now=now, is_announced_step=True)


def lacks_mark(gallery: Gallery) -> bool:
    """Whether silence could not be answered: nothing is picked, and no published frame is recommended or rated."""
    shown = gallery.photos.filter(is_published=True, is_hidden=False, is_rejected=False)
    marked = shown.filter(Q(is_recommended=True) | Q(rating__gt=0))
    return not gallery.picks.exists() and not marked.exists()


def _tell_studio_to_mark(gallery: Gallery, *, now: datetime) -> None:
    pause = gallery.pauses.filter(reason=PauseReason.CHOOSING, ended_at=None).first()
    people = [gallery.assigned_to] if gallery.assigned_to else deadlines.owners()
    for person in people:
        queue_message(
            "choosing_stuck",
            to=person,
            about=gallery,
            context={"gallery": gallery, "pause": pause, "zone": gallery.shoot.booking.location.zone},
            now=now,
            once=f"choosing_stuck:{pause.pk if pause else gallery.pk}:{person.pk}",
        )


# --- mail


def _write_to_sitter(gallery: Gallery, name: str, *, once: str, now: datetime, **facts: object) -> bool:
    """Queue one mail with a fresh link to the gallery. False if nobody can be written to, or it was queued before."""
    sitter = sitter_of(gallery)
    if sitter is None or Message.objects.filter(once=once).exists():
        return False
    gallery.refresh_from_db(fields=["status", "deliver_by", "promise"])
    link = credentials.grant(
        scope="gallery", target=gallery.public_id, now=now, holder_id=sitter.pk, holder_label=str(sitter)
    )
    picks = gallery.picks.count()
    pause = gallery.pauses.filter(reason=PauseReason.CHOOSING, ended_at=None).first()
    context: dict[str, object] = {
        "gallery": gallery,
        "link": link.url,
        "due_at": deadlines.local_promise(gallery),
        "if_answered_at": deadlines.promise_if_answered(gallery, now=now),
        "announced_at": announced_step_at(pause) if pause else None,
        "zone": gallery.shoot.booking.location.zone,
        "picks": picks,
        "included_left": max(extra_finals.allowed(gallery) - picks, 0),
        **facts,
    }
    return queue_message(name, to=sitter, about=gallery, context=context, now=now, once=once) is not None
