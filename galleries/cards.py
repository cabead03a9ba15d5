"""A whole card dropped on the day: every file is looked at, then sorted to its shoot or put into the tray.

The look runs in the limited child and finds the camera's time, the camera, and a slate or the clock page in the
picture. Sorting (`galleries.sorting`) decides for the whole card at once, under the card's lock, and writes only rows:
no bytes move (ADR 9). What is not clear waits for a person, with a sentence that says why.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils.translation import gettext as _

from bookings.models import Shoot
from bookings.statuses import ShootStatus
from galleries import clocks, codes, jobs, sorting
from galleries.imaging import child
from galleries.imaging.jobs import Seen
from galleries.imaging.refusals import Refusal
from galleries.models import Card, Gallery, Job, JobKind, Upload
from galleries.receiving.verbs import forget_bytes
from galleries.sorting import Belongs, Doubt, FileAway, Frame, Span, Verdict
from galleries.statuses import CLOSED, GalleryStatus, UploadStatus
from galleries.workroom import workroom
from studio import storage
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Location, User
from studio.transitions import move, move_where

log = logging.getLogger(__name__)

SILENT_FOR = timedelta(hours=24)  # a sender who comes back later drops the card again
KEPT_FOR = timedelta(days=90)  # what nobody sorted, and photographed slates
SLATES_AGO, SLATES_AHEAD = timedelta(days=30), timedelta(days=2)  # older slates name nobody on this card
UNFINISHED = Q(status=UploadStatus.RECEIVING) | Q(status=UploadStatus.CHECKING, gallery=None)
PICTURE, SIDECAR = "picture", "sidecar"
MOST_AT_ONCE = 500


class ErasedMeanwhile(Exception):
    """The person a frame was to be given to is erased."""


class NotWhole(Exception):
    """The sender counted more files than have come. The message says how many are missing."""


# --- the card


def open_card(
    *,
    location: Location,
    name: str = "",
    source: str = "desk",
    is_live: bool = False,
    by: Actor,
    now: datetime,
) -> Card:
    """Begin a card at a location. A live one (a watched folder) is sorted as it comes."""
    return Card.objects.create(
        location=location,
        name=" ".join(name.split())[:120],
        source=source,
        is_live=is_live,
        by_id=by.id if by.kind == ActorKind.USER else None,
        created_at=now,
    )


def expect(*, card_id: int, count: int) -> None:
    """The sender counts so many files; a smaller number (another tab, part of the folder) changes nothing."""
    Card.objects.filter(pk=card_id, expected__lt=count).update(expected=min(count, 2_000_000))


def close(*, card_id: int, by: Actor, now: datetime, is_said_whole: bool = False) -> bool:
    """The sender says that this was all; then it is sorted as soon as every file was looked at. False if it was closed.

    Raises NotWhole when fewer came than were counted, unless a person says that it is whole all the same.
    """
    with transaction.atomic():
        card = Card.objects.select_for_update().get(pk=card_id)
        if card.closed_at is not None:
            return False
        missing = card.expected - card.uploads.exclude(status=UploadStatus.ABANDONED).count()
        if missing > 0 and not is_said_whole:
            raise NotWhole(_("%(count)s files of this card have not come yet.") % {"count": missing})
        card.closed_at = now
        card.save(update_fields=["closed_at"])
    sort_if_whole(card_id=card_id, now=now)
    return True


# --- the first look


@jobs.handler(JobKind.LOOK)
def look(job: Job, now: datetime) -> None:
    """Look at one file of a card. A second run finds it looked at and changes nothing."""
    rows = Upload.objects.select_related("card__location")
    upload = rows.filter(pk=job.upload_id or 0, status=UploadStatus.CHECKING, gallery=None).first()
    if upload is None or upload.card is None:
        return
    for found in storage.listed(storage.derived(), f"{_folder(upload)}/"):  # what a killed run left
        storage.delete(storage.derived(), found.key)
    with workroom() as room:
        try:
            stored = storage.fingerprint(storage.originals(), upload.key)
        except storage.NoSuchObject:
            _refuse(
                upload, "lost", _("The file is not in the store any more. Please send it again."), now=now
            )
            return
        if upload.declared_sha256 and upload.declared_sha256 != stored.sha256:
            _refuse(upload, "changed", _("The file was changed on its way. Please send it again."), now=now)
            return
        out = room / "look.jpg"
        seen = child.look(storage.fetch_to(storage.originals(), upload.key, room), out=out)
        if isinstance(seen, Refusal):
            if seen.code == "no_room":
                raise storage.StorageFull(_(seen.sentence))
            _refuse(upload, seen.code, _(seen.sentence), now=now)
        else:
            key = ""
            if out.exists():
                key = storage.random_key(_folder(upload), ".jpg")
                storage.put(storage.derived(), key, out)
            _looked_at(upload, seen, stored, key, now=now)
    sort_if_whole(card_id=upload.card.pk, now=now)


def _folder(upload: Upload) -> str:
    return f"c{upload.card.public_id if upload.card else ''}/u{upload.public_id}"


def _looked_at(upload: Upload, seen: Seen, stored: storage.Stored, key: str, *, now: datetime) -> None:
    slates, shown = codes.read(seen.codes)
    facts = {
        "kind": PICTURE if seen.format else SIDECAR,
        "camera": seen.camera,
        "said_at": _said_at(upload, seen),
        "slates": [slate.code for slate in slates],
        "is_clock": bool(shown),
        "rating": seen.rating,
    }
    with transaction.atomic():
        values = {"facts": facts, "look_key": key, "sha256": stored.sha256, "crc32": stored.crc32}
        if move(Upload, upload.pk, "looked_at", by=WORKER, now=now, reason="", **values) is None:
            return
        if len(shown) == 1 and facts["said_at"]:
            by = Actor.user(upload.by) if isinstance(upload.by, User) else WORKER
            said_at = datetime.fromisoformat(str(facts["said_at"]))
            clocks.learn(camera=seen.camera, said_at=said_at, shown_at=shown[0].shown_at, by=by, now=now)
            sort_again(camera=seen.camera, now=now)


def _said_at(upload: Upload, seen: Seen) -> str:
    if seen.facts.captured_at is None or upload.card is None:
        return ""
    return clocks.with_zone(seen.facts.captured_at, upload.card.location).isoformat()


def sort_again(*, camera: str, now: datetime) -> None:
    """A camera's clock is known by now: sort every card again on which frames of it wait, once this is committed."""
    waiting = Upload.objects.filter(status=UploadStatus.SORTING, facts__camera=camera, card__isnull=False)
    for card_id in waiting.values_list("card_id", flat=True).distinct():
        if card_id is not None:
            transaction.on_commit(partial(sort_if_whole, card_id=card_id, now=now))


# --- sorting


def sort_if_whole(*, card_id: int, now: datetime) -> int:
    """Sort the card when nothing of it is on its way. Returns how many files found their place.

    Runs as often as one likes: frames in the tray are judged again with what is known by now.
    """
    with transaction.atomic():
        card = Card.objects.select_for_update(of=("self",)).select_related("location").get(pk=card_id)
        if not (card.is_live or card.closed_at) or card.uploads.filter(UNFINISHED).exists():
            return 0
        waiting = {row.pk: row for row in card.uploads.filter(status=UploadStatus.SORTING)}
        slates = card.uploads.filter(status=UploadStatus.FILED)
        frames = _frames([*waiting.values(), *slates], card.location)
        spans = _spans(card, frames)
        names = {span.gallery_id: span for span in spans}
        placed = 0
        for pk, verdict in sorting.sort(frames, spans, placed=_placed(card)).items():
            if pk in waiting:
                placed += _carry_out(waiting[pk], _careful(verdict, card), names, now=now)
        Card.objects.filter(pk=card.pk).update(sorted_at=now)
    return placed


def _placed(card: Card) -> dict[str, set[int]]:
    """Where the pictures of the card went that have their place: their sidecars follow them."""
    rows = card.uploads.filter(gallery__isnull=False).exclude(status=UploadStatus.FILED)
    found: dict[str, set[int]] = {}
    for name, gallery_id in rows.values_list("name", "gallery_id"):
        if gallery_id is not None:
            found.setdefault(sorting.stem_of(name), set()).add(gallery_id)
    return found


def _careful(verdict: Verdict, card: Card) -> Verdict:
    """Of a card that stopped half-way a slate may be missing, so nothing of it is sorted without a person."""
    if card.is_cut_short and isinstance(verdict, Belongs):
        return Doubt("cut_short", verdict.gallery_id)
    return verdict


def _frames(uploads: Sequence[Upload], location: Location) -> list[Frame]:
    offsets = clocks.known(str(row.facts.get("camera", "")) for row in uploads)
    frames = []
    for row in uploads:
        camera = str(row.facts.get("camera", ""))
        said_at = row.facts.get("said_at") or ""
        taken_at = datetime.fromisoformat(said_at) + offsets.get(camera, timedelta()) if said_at else None
        frames.append(
            Frame(
                pk=row.pk,
                name=row.name,
                camera=camera,
                taken_at=taken_at,
                is_clock_known=camera in offsets,
                slates=tuple(row.facts.get("slates", ())),
                is_clock=bool(row.facts.get("is_clock")),
                is_sidecar=row.facts.get("kind") == SIDECAR,
            )
        )
    return frames


def _spans(card: Card, frames: Sequence[Frame]) -> list[Span]:
    """The shoots a frame could be of: at the card's place near its times, or named by a slate of these weeks."""
    times = [frame.taken_at for frame in frames if frame.taken_at is not None]
    named = {code for frame in frames for code in frame.slates}
    lately = Q(starts_at__range=(card.created_at - SLATES_AGO, card.created_at + SLATES_AHEAD))
    near = Q(code__in=named) & lately
    if times:
        near |= Q(starts_at__lt=max(times) + SLATES_AHEAD, ends_at__gt=min(times) - SLATES_AHEAD)
    rows = (
        Shoot.objects.filter(near, booking__location=card.location, gallery__isnull=False)
        .exclude(status__in=[ShootStatus.CANCELLED, ShootStatus.NO_SHOW])
        .exclude(gallery__status__in=CLOSED)
        .select_related("gallery")
    )
    return [span_of(shoot) for shoot in rows]


def span_of(shoot: Shoot) -> Span:
    """From the check-in to the end, as they were or as they were planned; a sweep's end is the planned one."""
    begins = min(shoot.starts_at, shoot.checked_in_at or shoot.starts_at)
    ended_at = None if shoot.was_completed_by_sweep else shoot.completed_at
    ends = ended_at if ended_at and ended_at > begins else shoot.ends_at
    is_open = shoot.gallery.status in (GalleryStatus.OPEN, GalleryStatus.PROOFING)
    return Span(shoot.gallery.pk, shoot.code, begins, ends, is_open)


def _carry_out(upload: Upload, verdict: Verdict, names: dict[int, Span], *, now: datetime) -> bool:
    if isinstance(verdict, Belongs):
        return _assign(upload, verdict.gallery_id, by=WORKER, now=now)
    if isinstance(verdict, FileAway):
        gallery = upload.gallery_id or verdict.gallery_id
        words = _("The clock page: kept, but no picture.") if upload.facts.get("is_clock") else ""
        words = words or _("A slate: kept, but no picture.")
        _forget_look(upload)
        values = {"gallery_id": gallery, "refusal": words, "look_key": "", "doubt": "", "doubt_code": ""}
        return move(Upload, upload.pk, "file_away", by=WORKER, now=now, reason="", **values) is not None
    words = sentence(verdict, names)[:300]
    Upload.objects.filter(pk=upload.pk, status=UploadStatus.SORTING).update(
        doubt_code=verdict.code, doubt=words, guess_id=verdict.guess
    )
    return False


def _assign(upload: Upload, gallery_id: int, *, by: Actor, now: datetime) -> bool:
    """Hand a file to the checks of its gallery, in the caller's transaction. False if somebody already did, or if the
    gallery was erased while we looked: then it waits on as before."""
    values = {"gallery_id": gallery_id, "look_key": "", "doubt": "", "doubt_code": "", "guess_id": None}
    try:
        with transaction.atomic():
            moved = move(Upload, upload.pk, "assign", by=by, now=now, reason="", **values)
            gallery = Gallery.objects.get(pk=gallery_id)
            if gallery.status == GalleryStatus.ERASED:  # asked now that our row keeps it from being closed
                raise ErasedMeanwhile
    except ErasedMeanwhile:
        return False
    if moved is None:
        return False
    _forget_look(upload)
    _check(moved, gallery, now=now)
    return True


def _check(upload: Upload, gallery: Gallery, *, now: datetime) -> None:
    """Order the checks; of a file that was filed away by its code they are another job than the first."""
    again = {"is_picture": True} if upload.facts.get("is_picture") else {}
    jobs.state(JobKind.INTAKE, gallery=gallery, upload=upload, parameters=again, now=now, urgent_at=now)


def _forget_look(upload: Upload) -> None:
    if upload.look_key:
        storage.delete_after_commit(storage.derived(), upload.look_key)


def sentence(doubt: Doubt, names: dict[int, Span]) -> str:
    """Why a person has to say where a frame belongs."""
    facts = {"code": _code(doubt.guess, names), "other": _code(doubt.other, names)}
    if doubt.code == "against_time" and doubt.other is None:
        return _("The slate before it says %(code)s, but it was not taken around that time.") % facts
    sentences = {
        "before_slate": _("It was taken before the first slate of this card."),
        "strange_slate": _("The slate before it names no session of this place in these weeks."),
        "two_slates": _("The slate before it shows two codes."),
        "against_time": _("The slate before it says %(code)s, its time says %(other)s."),
        "long_after": _(
            "It was taken long after the session %(code)s should have ended. Was a slate forgotten?"
        ),
        "no_time": _("The camera wrote no time into it."),
        "unknown_clock": _(
            "This camera's clock is not known yet: photograph the clock page, or type the difference."
        ),
        "two_at_once": _("Two sessions ran at that time: %(code)s and %(other)s."),
        "between": _("It was taken between two sessions."),
        "no_shoot": _("There was no session at that time."),
        "finished": _("The pictures of %(code)s are chosen already, so nothing is added without you."),
        "no_picture": _("No picture of this name is on the card."),
        "pictures_apart": _("Pictures of this name went to several sessions."),
        "cut_short": _("The card was not sent to its end, so a slate may be missing."),
    }
    return sentences[doubt.code] % facts


def _code(gallery_id: int | None, names: dict[int, Span]) -> str:
    return names[gallery_id].code if gallery_id in names else "?"


# --- the tray


def tray(location_ids: Iterable[int]) -> QuerySet[Upload]:
    """The doubtful files of these locations, in the order they were sent; clear ones only wait for their card."""
    rows = Upload.objects.filter(status=UploadStatus.SORTING, card__location__in=location_ids)
    rows = rows.exclude(doubt_code="").select_related("card__location", "guess__shoot__sitter")
    return rows.order_by("card_id", "name", "pk")


def assign(*, upload_ids: Iterable[int], gallery_id: int, by: Actor, now: datetime) -> int:
    """A person says where files of the tray belong; their sidecars follow. Returns how many were still there."""
    gallery = Gallery.objects.get(pk=gallery_id)
    if gallery.status in CLOSED:
        return 0
    with transaction.atomic():
        locked = _in_tray(upload_ids)
        moved = sum(_assign(row, gallery.pk, by=by, now=now) for row in locked)
    for card_id in sorted({row.card_id for row in locked if row.card_id is not None}):
        sort_if_whole(card_id=card_id, now=now)
    return moved


def _in_tray(upload_ids: Iterable[int]) -> list[Upload]:
    """Lock these files of the tray, by id."""
    rows = Upload.objects.filter(
        pk__in=list(upload_ids)[:MOST_AT_ONCE], status=UploadStatus.SORTING, card__isnull=False
    )
    return list(rows.select_for_update(of=("self",)).order_by("pk"))


def leave_out(*, upload_ids: Iterable[int], by: Actor, now: datetime) -> int:
    """A person says that files of the tray are nobody's (a test shot): they are refused and their bytes deleted."""
    words = _("Left out by %(who)s.") % {"who": by}
    with transaction.atomic():
        locked = _in_tray(upload_ids)
        for row in locked:
            _turn_away(row, "left_out", words, by=by, now=now)
    return len(locked)


def is_picture(*, upload_id: int, by: Actor, now: datetime) -> bool:
    """A person says that a filed slate or clock page is a picture of somebody (a page in a hand, a poster with a code).

    Of a card it is sorted like any other frame, and its code decides nothing any more; in a chosen booking it is
    checked again. Frames that were sorted by it stay where they are. False if it is not filed away any more.
    """
    with transaction.atomic():
        upload = Upload.objects.select_for_update(of=("self",)).select_related("gallery").get(pk=upload_id)
        if upload.status != UploadStatus.FILED:
            return False
        facts = upload.facts | {"kind": PICTURE, "slates": [], "is_clock": False, "is_picture": True}
        values: dict[str, object] = {"facts": facts, "refusal": "", "finished_at": None}
        if upload.card_id is None and upload.gallery is not None:
            moved = move(Upload, upload.pk, "check_again", by=by, now=now, reason="", **values)
            _check(moved or upload, upload.gallery, now=now)
        else:
            move(Upload, upload.pk, "unfile", by=by, now=now, reason="", gallery_id=None, **values)
    if upload.card_id is not None:
        sort_if_whole(card_id=upload.card_id, now=now)
    return True


def _refuse(upload: Upload, code: str, words: str, *, now: datetime) -> None:
    with transaction.atomic():
        _turn_away(upload, code, words, by=WORKER, now=now)


def _turn_away(upload: Upload, code: str, words: str, *, by: Actor, now: datetime) -> None:
    _forget_look(upload)
    values = {
        "refusal_code": code[:40],
        "refusal": words[:300],
        "look_key": "",
        "doubt": "",
        "doubt_code": "",
    }
    if move(Upload, upload.pk, "refuse", by=by, now=now, reason="", **values) is not None:
        transaction.on_commit(lambda: forget_bytes(upload))


# --- tidying up


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: cards closed by time, cards sorted again, files expired."""

    closed: int
    sorted: int
    expired: int


def sweep(*, now: datetime) -> Swept:
    """Close cards nobody goes on with, sort what a dead worker left unsorted, let old tray files and slates expire."""
    quiet = Card.objects.filter(closed_at=None, is_live=False, created_at__lt=now - SILENT_FOR)
    quiet = quiet.annotate(last=Max("uploads__touched_at")).filter(
        Q(last=None) | Q(last__lt=now - SILENT_FOR)
    )
    closed = list(quiet.values_list("pk", flat=True)[:100])
    for card_id in closed:
        Card.objects.filter(pk=card_id, closed_at=None).update(closed_at=now, is_cut_short=True)
        sort_if_whole(card_id=card_id, now=now)
    unsorted = unsorted_cards(before=now - timedelta(minutes=1))[:100]
    for card in unsorted:
        sort_if_whole(card_id=card.pk, now=now)
    old = Upload.objects.filter(
        status__in=[UploadStatus.SORTING, UploadStatus.FILED], touched_at__lt=now - KEPT_FOR
    )
    for row in old.exclude(look_key="")[:MOST_AT_ONCE]:
        with transaction.atomic():
            _forget_look(row)
            Upload.objects.filter(pk=row.pk).update(look_key="")
    expired = move_where(old.filter(look_key=""), "expire", by=WORKER, now=now, reason="kept for 90 days")
    return Swept(len(closed), len(unsorted), len(expired))


def unsorted_cards(*, before: datetime) -> QuerySet[Card]:
    """Cards that are whole and have a file without a verdict that was looked at before an instant."""
    waiting = Upload.objects.filter(
        status=UploadStatus.SORTING, doubt_code="", gallery=None, received_at__lt=before
    )
    ready = Card.objects.filter(Q(is_live=True) | Q(closed_at__lt=before), uploads__in=waiting).distinct()
    return ready.exclude(uploads__in=Upload.objects.filter(UNFINISHED))
