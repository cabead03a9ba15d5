"""A change the client asks for, with pins and words; the first round is free. The studio answers in place."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from galleries import deadlines, delivery
from galleries.models import Gallery, Note, Retouch
from galleries.retouching.approval import after_answer
from galleries.retouching.rows import RetouchRefused, locked
from galleries.statuses import GalleryStatus, RetouchStatus
from studio.actors import Actor
from studio.outbox import queue_message
from studio.transitions import move

CHANGE_DAYS = 14
LONGEST_WORDS = 2000
MOST_PINS = 100


class ChangeRefused(RetouchRefused):
    """A client's change that is too late or more than is included."""


@dataclass(frozen=True, slots=True)
class PinnedWords:
    """Words about a place on the picture (each 0…1 of its width and height), or about all of it."""

    words: str
    pin: tuple[float, float] | None = None


def change_refusal(gallery: Gallery, *, now: datetime) -> str:
    """Why the client cannot ask for a change now, in a sentence; empty when they can."""
    if gallery.status == GalleryStatus.APPROVING or _is_same_round(gallery):
        return "" if gallery.free_changes_left or _is_same_round(gallery) else _no_change_left()
    if gallery.status != GalleryStatus.DELIVERED or gallery.delivered_at is None:
        return _("The pictures are still in work.")
    if now >= gallery.delivered_at + timedelta(days=CHANGE_DAYS):
        return _(
            "A change could be asked for within %(days)d days of delivery. Write to us, we will help."
        ) % {"days": CHANGE_DAYS}
    return "" if gallery.free_changes_left else _no_change_left()


def can_buy_change(gallery: Gallery, *, now: datetime) -> bool:
    """Whether the client has used the free round and may buy another one now: the price is the session type's."""
    return bool(gallery.change_price) and change_refusal(gallery, now=now) == _no_change_left()


def _no_change_left() -> str:
    return _("The included change is used. Write to us if something is still not right.")


def _is_same_round(gallery: Gallery) -> bool:
    """Whether a change was asked for and is not answered yet: more words belong to the same round."""
    return (
        gallery.status in (GalleryStatus.RETOUCHING, GalleryStatus.APPROVING)
        and gallery.retouches.filter(status=RetouchStatus.CHANGE_ASKED).exists()
    )


@transaction.atomic
def ask_change(*, retouch_id: int, asked: Sequence[PinnedWords], by: Actor, now: datetime) -> list[Note]:
    """Keep what the client wants changed and take the picture back into work. The first round is free.

    A round is everything asked before the studio answers with a new version. After a delivery the gallery reopens;
    what was delivered stays downloadable. What this round said already is not said twice, so a lost answer or a second
    tab does no harm. Raises ChangeRefused, RetouchRefused when nothing or far too much is said.
    """
    asked = _readable(asked)
    gallery, retouch = locked(retouch_id)
    said = _said_already(retouch)
    asked = [each for each in asked if each not in said]
    if not asked:
        return []
    if refusal := change_refusal(gallery, now=now):
        raise ChangeRefused(refusal)
    if retouch.status not in (RetouchStatus.APPROVED, RetouchStatus.IN_REVIEW, RetouchStatus.CHANGE_ASKED):
        raise ChangeRefused(_("This picture is still in work."))
    if not _is_same_round(gallery):
        gallery.free_changes_left -= 1
        gallery.save(update_fields=["free_changes_left"])
    if gallery.status == GalleryStatus.DELIVERED:
        delivery.reopen(gallery_id=gallery.pk, by=by, now=now)
    version = retouch.approved_version or retouch.shown_version
    move(Retouch, retouch.pk, "ask_change", by=by, now=now)
    notes = Note.objects.bulk_create(
        Note(
            photo=retouch.pick.photo,
            version=version,
            words=each.words,
            pin_x=each.pin[0] if each.pin else None,
            pin_y=each.pin[1] if each.pin else None,
            is_change_request=True,
            written_at=now,
            actor_kind=by.kind,
            actor_id=by.id,
            actor_label=by.label,
        )
        for each in asked
    )
    after_answer(gallery, by=by, now=now)
    _tell_studio(gallery, retouch, notes, now=now)
    return notes


def _readable(asked: Sequence[PinnedWords]) -> list[PinnedWords]:
    """The rows that say something. Raises RetouchRefused when none does, one is too long, or they are too many."""
    kept = [
        PinnedWords(each.words.replace("\r\n", "\n").strip(), each.pin)
        for each in asked
        if each.words.strip()
    ]
    if not kept:
        raise RetouchRefused(_("Say in a few words what you would like changed."))
    if any(len(each.words) > LONGEST_WORDS for each in kept):
        raise RetouchRefused(
            _("A wish has at most %(most)d letters. Please make it shorter.") % {"most": LONGEST_WORDS}
        )
    if len(kept) > MOST_PINS:
        raise RetouchRefused(
            _("That is more than %(most)d places. Please put some together.") % {"most": MOST_PINS}
        )
    return kept


def _said_already(retouch: Retouch) -> set[PinnedWords]:
    """What the client said in the round that is in work; nothing once the studio has answered with a version."""
    if retouch.status in (RetouchStatus.APPROVED, RetouchStatus.IN_REVIEW) or retouch.change_asked_at is None:
        return set()
    notes = retouch.pick.photo.notes.filter(is_change_request=True, written_at__gte=retouch.change_asked_at)
    return {
        PinnedWords(
            note.words,
            (note.pin_x, note.pin_y) if note.pin_x is not None and note.pin_y is not None else None,
        )
        for note in notes
    }


@transaction.atomic
def answer(*, note_id: int, words: str, by: Actor, now: datetime) -> Note:
    """The studio's answer to a note, in place; an earlier answer is replaced."""
    note = Note.objects.select_for_update(of=("self",)).get(pk=note_id)
    note.answered = words.strip()[:LONGEST_WORDS]
    note.answered_at = now if note.answered else None
    note.save(update_fields=["answered", "answered_at"])
    return note


def _tell_studio(gallery: Gallery, retouch: Retouch, notes: Sequence[Note], *, now: datetime) -> None:
    for person in [gallery.assigned_to] if gallery.assigned_to else deadlines.owners():
        queue_message(
            "change_asked",
            to=person,
            about=gallery,
            context={"gallery": gallery, "retouch": retouch, "notes": notes},
            now=now,
            once=f"change_asked:{notes[0].pk}:{person.pk}",
        )
