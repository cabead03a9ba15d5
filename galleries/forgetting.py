"""A person is forgotten: their pictures and originals, then their words, then the letter that says so with the address.

| goes | stays |
| --- | --- |
| pictures, originals, versions, choices, notes, uploads, downloads | what was promised and when it was delivered |
| name, addresses, numbers, notes, nerves, answers, what was written | bookings with their times and prices |
| names under papers, links, consents that were given, wishes | payments, refunds, numbered papers as printed |

The owner wants it (`want`), once nothing stands in the way; from then on links are dead and nothing new begins. A
worker carries it out (`work_next`), step by step, each in its own transaction and each able to run twice:

1. close: the gallery's status becomes "erased", so workers begin nothing new, and uploads and verbs are refused;
2. wait: for uploads somebody is sending and jobs a worker is at. They end by themselves; what they made goes too;
3. empty: rows of pictures are deleted; the same transaction writes down the objects behind them (`ErasureFile`);
4. remove: each object is deleted from its store and struck off. Killed in between, the next run goes on;
5. forget: the words in rows are blanked (`bookings.forgetting.traces`), and the last letter is queued;
6. finish: once the letter is sent, or failed for good, the address in it goes as well, and the owners are told.

Lock order as everywhere: Bookings by id, Client, Gallery, rows below it. Files go after the commit, by the worker.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import formats, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bookings import forgetting as words
from bookings.dossier import bookings_of
from bookings.forgetting import WORDLESS, Trace
from bookings.models import Client
from galleries import copies, deadlines, jobs, wishes
from galleries.copies import galleries_of
from galleries.models import (
    DataCopy,
    DeliveredFile,
    Delivery,
    Download,
    Erasure,
    ErasureFile,
    FinishedFile,
    Gallery,
    Job,
    Leak,
    Note,
    Pause,
    PersonWish,
    Photo,
    PhotoFile,
    Pick,
    Rendition,
    Retouch,
    Upload,
    Version,
    YearLater,
)
from galleries.receiving import Busy, verbs
from galleries.statuses import CopyStatus, ErasureStatus, GalleryStatus, UploadStatus
from studio import alerts, happenings, storage
from studio.actors import WORKER, Actor
from studio.background import only_one, ring_on_commit
from studio.models import Credential, Message, MessageStatus, StatusChange
from studio.outbox import queue_message
from studio.transitions import begin, move, move_where

log = logging.getLogger(__name__)

OPEN = (ErasureStatus.WANTED, ErasureStatus.WORKING, ErasureStatus.TELLING)
LOOK_AGAIN = timedelta(seconds=50)  # a little less than a sweep, so that each sweep may go on
AFTER_A_FAULT = timedelta(minutes=5)
SHOWN_FOR = timedelta(days=7)
BATCH = 200  # objects removed between two looks at the clock
ORIGINALS, DERIVED, ARCHIVE = "originals", "derived", "archive"


class NotNow(Exception):
    """This person cannot be forgotten yet. `reasons` has a sentence each, with what to do first."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)
        super().__init__(" ".join(reasons))


class StillBusy(Exception):
    """Something is going on that has to end first; the message says what. The sweep looks again."""


# --- before


def hindrances(client: Client, *, now: datetime) -> list[str]:
    """Why this person cannot be forgotten yet, a sentence each. Empty: they can."""
    if client.erased_at is not None:
        return [_("This person is erased already.")]
    return [*words.hindrances(client, now=now), *_in_galleries(client)]


def _in_galleries(client: Client) -> Iterator[str]:
    mine = galleries_of(client)
    leaks = Leak.objects.filter(Q(gallery__in=mine) | Q(photo__gallery__in=mine), closed_at=None).distinct()
    if count := leaks.count():
        yield ngettext(
            "A record of a picture shown to the wrong client is open. Close it first.",
            "%(count)d records of pictures shown to the wrong client are open. Close them first.",
            count,
        ) % {"count": count}
    frames = Upload.objects.filter(status=UploadStatus.SORTING, gallery=None, guess__in=mine).count()
    if frames:
        yield ngettext(
            "A frame in the tray is probably theirs. Say where it belongs first.",
            "%(count)d frames in the tray are probably theirs. Say where they belong first.",
            frames,
        ) % {"count": frames}
    for gallery in mine.filter(breaches__late_policy="proposed").distinct():
        yield _(
            "For the late delivery of %(code)s something is proposed to be given back. Decide it first."
        ) % {"code": gallery.shoot.code}


@dataclass(frozen=True, slots=True)
class Preview:
    """What goes and what stays, in numbers, before anybody has to say yes."""

    photos: int
    originals: int
    finals: int
    messages: int
    written: int
    links: int
    stays: words.Stays
    others: list[str]


def preview(client: Client, *, now: datetime) -> Preview:
    """Count what would go and what would stay."""
    mine = galleries_of(client)
    live = Q(erased_at=None)
    shared = bookings_of(client).exclude(payer=client).select_related("payer")
    return Preview(
        photos=Photo.objects.filter(gallery__in=mine).count(),
        originals=PhotoFile.objects.filter(live, gallery__in=mine, expired_at=None).count(),
        finals=DeliveredFile.objects.filter(delivery__gallery__in=mine, rendition__erased_at=None)
        .values("rendition")
        .distinct()
        .count(),
        messages=words.messages_about(client).count(),
        written=client_words(client),
        links=Credential.objects.filter(_links_of(client, mine), revoked_at=None, expires_at__gt=now).count(),
        stays=words.stays(client),
        others=sorted({booking.payer.name for booking in shared if booking.payer is not None}),
    )


def client_words(client: Client) -> int:
    """How many entries of conversations, answers and notes there are."""
    sat = words.shoots_of(client)
    answers = sum(shoot.answer_sheets.count() for shoot in sat)
    talks = sum(booking.thread.count() for booking in bookings_of(client))
    return answers + talks + Note.objects.filter(photo__gallery__in=galleries_of(client)).count()


def is_typed(client: Client, typed: str) -> bool:
    """Whether somebody typed the person's name, as the confirmation asks."""
    return " ".join(typed.split()).casefold() == " ".join(client.name.split()).casefold()


def want(*, client_id: int, typed: str, by: Actor, now: datetime) -> Erasure:
    """The owner erases a person. From here on every link is dead, and a worker does the rest. Raises NotNow.

    What stands in the way is looked for under the locks of their bookings: nobody books or pays in between.
    """
    from galleries.tasks import forget_people

    with transaction.atomic():
        known = Client.objects.get(pk=client_id)
        list(bookings_of(known).select_for_update(of=("self",)))
        client = Client.objects.select_for_update().get(pk=client_id)
        if found := Erasure.objects.filter(client=client).first():
            return found
        if not is_typed(client, typed):
            raise NotNow(_("The name you typed is another one. Nothing was erased."))
        if reasons := hindrances(client, now=now):
            raise NotNow(*reasons)
        erasure = begin(
            Erasure(client=client, wanted_at=now, wanted_by=str(by)[:200], not_before=now), by=by, now=now
        )
        client.erased_at = now
        client.save(update_fields=["erased_at"])
        _close_links(client, now=now)
        _cancel_letters(client, by=by, now=now)
        for copy in client.data_copies.exclude(status=CopyStatus.GONE):
            copies.let_go(copy, by=by, now=now)
        ring_on_commit(forget_people)
        return erasure


def _links_of(client: Client, mine: "QuerySet[Gallery]") -> Q:
    """Their own links to whatever it is, and everybody's links to their galleries."""
    return Q(holder_id=client.pk) | Q(scope="gallery", target__in=mine.values("public_id"))


def _close_links(client: Client, *, now: datetime) -> None:
    links = Credential.objects.filter(_links_of(client, galleries_of(client)))
    links.filter(revoked_at=None).update(revoked_at=now)
    links.update(erased_at=now, holder_label="", holder_email="", pin_hash="")


def _cancel_letters(client: Client, *, by: Actor, now: datetime) -> None:
    letters = words.messages_about(client) | _letters_about_pictures(client)
    move_where(letters.filter(status__in=words.ON_ITS_WAY), "cancel", by=by, now=now)


def _letters_about_pictures(client: Client) -> "QuerySet[Message]":
    mine = galleries_of(client).values("pk")
    return Message.objects.filter(about_model=Gallery._meta.label_lower, about_id__in=mine)


# --- the work


def work_next(*, now: datetime) -> bool:
    """Go on with the erasure that waits longest. False when none is due, or another worker is at it."""
    with only_one("galleries.forgetting") as mine:
        if not mine:
            return False
        due = Erasure.objects.filter(status__in=OPEN, not_before__lte=now).select_related("client")
        erasure = due.order_by("not_before", "pk").first()
        if erasure is None:
            return False
        try:
            _go_on(erasure, now=now)
        except StillBusy as why:
            _wait(erasure, str(why), until=now + LOOK_AGAIN)
        except Exception:
            log.exception("Erasure %s stopped; it goes on later", erasure.pk)
            sentence = _("Something did not answer. It goes on by itself; see the log if it stays.")
            _wait(erasure, sentence, until=now + AFTER_A_FAULT)
        return True


def _wait(erasure: Erasure, sentence: str, *, until: datetime) -> None:
    Erasure.objects.filter(pk=erasure.pk).update(waits_for=sentence[:300], not_before=until)


def _go_on(erasure: Erasure, *, now: datetime) -> None:
    """All steps that are left, in their order."""
    if erasure.status == ErasureStatus.WANTED:
        move(Erasure, erasure.pk, "begin_work", by=WORKER, now=now)
        erasure.refresh_from_db()
    if erasure.status == ErasureStatus.WORKING:
        _pictures_go(erasure, now=now)
        _words_go(erasure, now=now)
        erasure.refresh_from_db()
    if erasure.status == ErasureStatus.TELLING:
        _address_goes(erasure, now=now)


def _pictures_go(erasure: Erasure, *, now: datetime) -> None:
    mine = list(galleries_of(erasure.client))
    for gallery in mine:
        close(gallery, now=now)
    for gallery in mine:
        _end_uploads(gallery, now=now)
    for gallery in mine:
        if jobs.is_worked_on(gallery):
            raise StillBusy(_("A worker is still busy with a picture of theirs."))
    for gallery in mine:
        empty(gallery, erasure, now=now)
    remove_files(erasure)
    for gallery in mine:
        _clear_strays(gallery)
    if any(things(gallery) for gallery in mine):
        raise StillBusy(_("Something came in meanwhile."))


@transaction.atomic
def close(gallery: Gallery, *, now: datetime) -> None:
    """Nothing new begins in this gallery, and nothing of it is promised or told any more."""
    locked = deadlines.locked(gallery.pk)
    if locked.status != GalleryStatus.ERASED:
        nothing: dict[str, Any] = {
            "finals_expire_at": None,
            "proofs_expire_at": None,
            "thank_at": None,
            "restore_asked_at": None,
            "stage_photo": None,
            "stage_at": None,
            "pin_hash": "",
            "white_balance": {},
        }
        move(Gallery, locked.pk, "erase", by=WORKER, now=now, **nothing)
        deadlines.stop(gallery_id=locked.pk, now=now)
        locked.farewells.filter(done_at=None, called_off_at=None).update(called_off_at=now)
    jobs.drop_waiting(locked)


def _end_uploads(gallery: Gallery, *, now: datetime) -> None:
    """End what was not sent to its end. Raises StillBusy while somebody is sending."""
    for upload in gallery.uploads.filter(status=UploadStatus.RECEIVING):
        try:
            verbs.terminate(upload_id=upload.pk, by=WORKER, now=now)
        except Busy as error:
            raise StillBusy(_("A file of theirs is being sent just now.")) from error
    ended = [UploadStatus.REFUSED, UploadStatus.ABANDONED, UploadStatus.EXPIRED]
    unwanted = gallery.uploads.filter(Q(status__in=ended) | Q(is_duplicate=True))
    for upload in unwanted.exclude(backend={"gone": True}):
        verbs.forget_bytes(upload)
        if upload.backend != {"gone": True}:
            raise StillBusy(_("A file of theirs cannot be removed just now."))


def empty(gallery: Gallery, erasure: Erasure, *, now: datetime) -> None:
    """Delete the rows of every picture, and write down the objects behind them, together or not at all.

    Nothing is moved to the archive or back meanwhile. Raises StillBusy.
    """
    with ExitStack() as stack:
        for name in ("galleries.put_away", "galleries.bring_back"):
            if not stack.enter_context(only_one(name)):
                raise StillBusy(_("Originals are being moved to or from the archive."))
        with transaction.atomic():
            _empty(deadlines.locked(gallery.pk), erasure)


def _empty(gallery: Gallery, erasure: Erasure) -> None:
    if jobs.is_worked_on(gallery) or gallery.uploads.filter(status=UploadStatus.RECEIVING).exists():
        raise StillBusy(_("Something came in meanwhile."))
    found = list(_objects(gallery))
    _forget_leaks(gallery)
    photos_count = gallery.photos.count()
    gone: list[QuerySet[Any]] = [
        Download.objects.filter(gallery=gallery),
        DeliveredFile.objects.filter(delivery__gallery=gallery),
        Rendition.objects.filter(photo__gallery=gallery),
        Version.objects.filter(retouch__gallery=gallery),
        FinishedFile.objects.filter(gallery=gallery),
        Job.objects.filter(gallery=gallery),
        Retouch.objects.filter(gallery=gallery),
        Pick.objects.filter(gallery=gallery),
        Photo.objects.filter(gallery=gallery),
        Upload.objects.filter(gallery=gallery),
        slates_of(gallery),
    ]
    Retouch.objects.filter(gallery=gallery).update(approved_version=None, shown_version=None)
    Version.objects.filter(retouch__gallery=gallery).update(parent=None)
    for rows in gone:
        _forget_changes(rows)
        rows.delete()
    ErasureFile.objects.bulk_create(
        (ErasureFile(erasure=erasure, store=store, key=key) for store, key in set(found)),
        batch_size=1000,
        ignore_conflicts=True,
    )
    _keep_what_others_name(erasure)
    Erasure.objects.filter(pk=erasure.pk).update(photos_count=F("photos_count") + photos_count)


def _objects(gallery: Gallery) -> Iterator[tuple[str, str]]:
    """Every object a row of this gallery names, and the store it is in."""
    for key, archived_at in gallery.files.values_list("key", "archived_at"):
        yield ORIGINALS, key
        if archived_at is not None:
            yield ARCHIVE, key
    for uploads in (gallery.uploads.all(), slates_of(gallery)):
        for key, look_key in uploads.values_list("key", "look_key"):
            yield ORIGINALS, key
            if look_key:
                yield DERIVED, look_key
    yield from Version.objects.filter(retouch__gallery=gallery).values_list("store", "key")
    derived: list[Iterable[str]] = [
        Rendition.objects.filter(photo__gallery=gallery).values_list("key", flat=True),
        gallery.finished_files.exclude(thumb_key="").values_list("thumb_key", flat=True),
    ]
    for keys in derived:
        yield from ((DERIVED, key) for key in keys)


def slates_of(gallery: Gallery) -> "QuerySet[Upload]":
    """Photographed slates of this session that lie with their card: the sitter's name stands on them."""
    filed = Upload.objects.filter(gallery=None, status=UploadStatus.FILED)
    return filed.filter(facts__slates__contains=[gallery.shoot.code])


def _keep_what_others_name(erasure: Erasure) -> None:
    """A frame that was moved to somebody else's booking kept its key: what a row still names does not go."""
    erasure.files.filter(key__in=_named(erasure.files.values("key"))).delete()


def _named(keys: Any) -> list[str]:
    """Which of these keys any row of any gallery names."""
    rows: list[QuerySet[Any]] = [
        PhotoFile.objects.filter(key__in=keys).values_list("key", flat=True),
        Version.objects.filter(key__in=keys).values_list("key", flat=True),
        Rendition.objects.filter(key__in=keys).values_list("key", flat=True),
        Upload.objects.filter(key__in=keys).values_list("key", flat=True),
        Upload.objects.filter(look_key__in=keys).values_list("look_key", flat=True),
        FinishedFile.objects.filter(thumb_key__in=keys).values_list("thumb_key", flat=True),
    ]
    return [key for found in rows for key in found]


def _forget_changes(rows: "QuerySet[Any]") -> None:
    """What happened to rows that are deleted; some of it names files."""
    name = rows.model._meta.label_lower
    StatusChange.objects.filter(model=name, object_id__in=list(rows.values_list("pk", flat=True))).delete()


def _forget_leaks(gallery: Gallery) -> None:
    """That it happened, what was done and how far it went stays; who it was and what was written goes."""
    for leak in Leak.objects.filter(Q(gallery=gallery) | Q(photo__gallery=gallery)):
        leak.words, leak.message, leak.outcome = "", "", ""
        if leak.gallery_id == gallery.pk:
            leak.seen = [_nameless(line) for line in leak.seen]
        leak.save(update_fields=["words", "message", "outcome", "seen"])


def _nameless(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, "who": "", "downloads": [{**row, "what": ""} for row in line["downloads"]]}


def remove_files(erasure: Erasure) -> None:
    """Delete each object that was written down and strike it off. One that is gone already is fine."""
    while rows := list(erasure.files.order_by("pk")[:BATCH]):
        for row in rows:
            store = _store(row.store)
            if store is not None:
                storage.delete(store, row.key)
        erasure.files.filter(pk__in=[row.pk for row in rows]).delete()
        Erasure.objects.filter(pk=erasure.pk).update(files_count=F("files_count") + len(rows))


def _store(name: str) -> storage.Store | None:
    return {ORIGINALS: storage.originals, DERIVED: storage.derived, ARCHIVE: storage.archive}[name]()


def _clear_strays(gallery: Gallery) -> None:
    """What a worker that was killed had stored in this session's folders before it could write its row."""
    for store in (storage.originals(), storage.derived(), storage.archive()):
        if store is None:
            continue
        found = {each.key for each in storage.listed(store, f"s{gallery.shoot.public_id}/")}
        for key in found - set(_named(found)):
            storage.delete(store, key)


def things(gallery: Gallery) -> int:
    """How many rows of pictures, files and work a gallery has."""
    rows: list[QuerySet[Any]] = [
        gallery.photos.all(),
        gallery.uploads.all(),
        slates_of(gallery),
        gallery.jobs.all(),
        gallery.finished_files.all(),
        gallery.retouches.all(),
        gallery.files.all(),
    ]
    return sum(each.count() for each in rows)


# --- words, the last letter, and the address


def traces(client: Client, *, until: datetime) -> Iterator[Trace]:
    """What is blanked in the galleries' rows, beside the bookings' own."""
    mine = galleries_of(client)
    yield Trace(_letters_about_pictures(client).filter(created_at__lte=until), WORDLESS)
    about = StatusChange.objects.filter(model=Gallery._meta.label_lower, object_id__in=mine.values("pk"))
    yield Trace(about.filter(at__lte=until), {"reason": ""})
    yield Trace(Pause.objects.filter(gallery__in=mine), {"opened_by": "", "ended_by": ""})
    yield Trace(Delivery.objects.filter(gallery__in=mine), {"words": ""})
    links = Credential.objects.filter(scope="gallery", target__in=mine.values("public_id"))
    yield Trace(links, {"holder_label": "", "holder_email": ""})
    yield Trace(PersonWish.objects.filter(client=client), {"settled_words": ""})


@transaction.atomic
def _words_go(erasure: Erasure, *, now: datetime) -> None:
    """Blank the rows, queue the last letter to the address they had, and forget the address where it was kept."""
    list(bookings_of(erasure.client).select_for_update(of=("self",)))
    client = Client.objects.select_for_update().get(pk=erasure.client_id)
    if Erasure.objects.get(pk=erasure.pk).status != ErasureStatus.WORKING:
        return
    if reasons := list(words.hindrances(client, now=now)):
        raise StillBusy(reasons[0])  # they came again at the very moment they were erased
    letters = words.messages_about(client) | _letters_about_pictures(client)
    if letters.filter(status=MessageStatus.SENDING).exists():
        raise StillBusy(_("A letter about them is being sent just now."))
    to = Client(name=client.name, called=client.called, email=client.email, language=client.language)
    _close_links(client, now=now)
    _cancel_letters(client, by=WORKER, now=now)
    _forget_causes(client)
    words.forget(client, by=WORKER, now=now)
    for trace in traces(client, until=now):
        trace.wipe()
    YearLater.objects.filter(client=client).delete()
    letter = _last_letter(client, to, now=now)
    client.refresh_from_db()
    client.name = erased_name(now)
    client.save(update_fields=["name"])
    move(Erasure, erasure.pk, "forget", by=WORKER, now=now, letter=letter, waits_for="", not_before=now)
    happenings.tell("client_erased", client=client, by=WORKER, now=now)


def erased_name(at: datetime) -> str:
    """What stands where the name stood, wherever the desk shows one."""
    with translation.override(settings.LANGUAGE_CODE):
        return _("Erased on %(day)s") % {"day": formats.date_format(at, "j F Y")}


def _last_letter(client: Client, to: Client, *, now: datetime) -> Message | None:
    """It goes to the address only: no row connects it with the person, but this erasure."""
    return queue_message(
        "person_erased",
        to=to,
        about=None,
        context={"stays": words.stays(client)},
        now=now,
        once=f"person_erased:{client.pk}",
    )


def _forget_causes(client: Client) -> None:
    """Why a delivery was late is the studio's own record; where it names the person it is blanked."""
    names = {
        word.casefold() for word in f"{client.name} {client.called} {client.firm}".split() if len(word) > 2
    }
    for gallery in galleries_of(client):
        gallery.breaches.update(late_policy_reason="")
        for breach in gallery.breaches.exclude(cause=""):
            if any(name in breach.cause.casefold() for name in names):
                breach.cause = ""
                breach.save(update_fields=["cause"])


@transaction.atomic
def _address_goes(erasure: Erasure, *, now: datetime) -> None:
    """The letter is sent, or failed for good: blank it, say that it is done, tell the owners. Raises StillBusy."""
    row = Erasure.objects.select_for_update(of=("self",)).get(pk=erasure.pk)
    if row.status != ErasureStatus.TELLING:
        return
    letter = Message.objects.select_for_update().filter(pk=row.letter_id or 0).first()
    if letter is not None and letter.status in (MessageStatus.QUEUED, MessageStatus.SENDING):
        raise StillBusy(_("The last letter to them is on its way."))
    was_told = letter is not None and letter.status == MessageStatus.SENT
    if letter is not None:
        blank = {**WORDLESS, "to_address": "", "to_name": ""}
        Message.objects.filter(pk=letter.pk).update(**blank)
    move(Erasure, row.pk, "finish", by=WORKER, now=now, was_told=was_told, waits_for="")
    wishes.settle_by_erasing(row.client, by=row.wanted_by, now=now)
    row.refresh_from_db()
    _tell_owners(row, now=now)


def _tell_owners(erasure: Erasure, *, now: datetime) -> None:
    """By mail and in the studio's chat room; the desk shows it as well. No name: it would outlive them here."""
    for owner in deadlines.owners():
        queue_message(
            "desk_person_erased", to=owner, about=None, context={"erasure": erasure}, now=now,
            once=f"desk_person_erased:{erasure.pk}:{owner.pk}",
        )  # fmt: skip
    alerts.alert(
        _("A person was erased, as %(who)s wanted.") % {"who": erasure.wanted_by},
        about=erasure,
        once=f"person_erased:{erasure.pk}",
        now=now,
    )


def lately(*, now: datetime) -> list[Erasure]:
    """Erasures that are going on, and those that came to their end within a week."""
    rows = Erasure.objects.filter(Q(status__in=OPEN) | Q(done_at__gte=now - SHOWN_FOR))
    return list(rows.select_related("client")[:10])


def sweep(*, now: datetime) -> None:
    """Ring for what is due."""
    from galleries.tasks import forget_people

    if Erasure.objects.filter(status__in=OPEN, not_before__lte=now).exists():
        with transaction.atomic():
            ring_on_commit(forget_people)


# --- the judge


def left(erasure: Erasure) -> Iterator[str]:
    """What is left of somebody who was erased where it must not be, a line each."""
    client, at = erasure.client, erasure.forgotten_at
    assert at is not None
    if client.name != erased_name(at):
        yield "the name"
    yield from words.left(client, until=at)
    for trace in traces(client, until=at):
        yield from trace.left()
    for gallery in galleries_of(client):
        if gallery.status != GalleryStatus.ERASED or things(gallery):
            yield f"gallery {gallery.pk} is {gallery.status} and has {things(gallery)} rows of pictures and work"
    if erasure.files.exists():
        yield "objects that were written down to go"
    counted: list[tuple[str, Callable[[], bool]]] = [
        ("a wish to hear again", YearLater.objects.filter(client=client).exists),
        (
            "a copy of their data",
            DataCopy.objects.filter(client=client).exclude(status=CopyStatus.GONE).exists,
        ),
    ]
    yield from (name for name, is_there in counted if is_there())
    letter = erasure.letter
    if (
        erasure.status == ErasureStatus.DONE
        and letter is not None
        and (letter.to_address or letter.body_text)
    ):
        yield "the last letter"
