"""Finals and their release. Finals are made when a Version is approved; delivering only releases them.

A Delivery is a numbered row listing its files; a later one (after a change) is a further row, and the files of
an earlier one are never overwritten. Lock order: Booking (its balance), Gallery, Retouch rows.
"""

import time
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bookings import ledger
from galleries import breaches, deadlines, farewells, jobs, renditions
from galleries.imaging.recipes import EXTRA_FINALS, FINAL_GREY, FINAL_PRINT, FINALS, PREVIEWS, Recipe
from galleries.models import (
    DeliveredFile,
    Delivery,
    Gallery,
    Job,
    JobKind,
    PauseReason,
    Rendition,
    Retouch,
    Version,
)
from galleries.retouching import crops
from galleries.statuses import GalleryStatus, RetouchStatus
from studio import credentials
from studio.actors import WORKER, Actor
from studio.models import Studio
from studio.outbox import queue_message
from studio.transitions import move

FINALS_LIVE = timedelta(days=365)
THANK_AFTER = timedelta(days=2)
SIZES = tuple(recipe.name for recipe in FINALS)  # without these nothing is delivered
ALL_SIZES = tuple(recipe.name for recipe in (*FINALS, *EXTRA_FINALS))


class NotReady(Exception):
    """The finals cannot be released now; the message says what is missing, for the photographer."""


def approved_versions(gallery: Gallery) -> list[Version]:
    """The approved Version of every pick that has one, in the order of the picks."""
    return [
        retouch.approved_version
        for retouch in Retouch.objects.filter(gallery=gallery, approved_version__isnull=False)
        .select_related("approved_version__retouch__pick__photo")
        .order_by("pick__picked_at", "pick_id")
        if retouch.approved_version is not None
    ]


def finals_of(versions: Iterable[Version]) -> dict[int, dict[str, Rendition]]:
    """Version id → size → the newest final made of it. A version lacks the sizes not made yet.

    Where a person has set a crop, only the file cut like that counts.
    """
    wanted = {recipe.name: recipe.version for recipe in (*FINALS, *EXTRA_FINALS)}
    versions = list(versions)
    cut = crops.digests_of(versions)
    found: dict[int, dict[str, Rendition]] = {}
    rows = Rendition.objects.filter(version__in=versions, recipe__in=wanted, erased_at=None)
    for row in rows.order_by("id"):
        digest = cut.get((row.version_id or 0, row.recipe), row.digest)
        if row.recipe_version == wanted[row.recipe] and row.digest == digest:
            found.setdefault(row.version_id or 0, {})[row.recipe] = row
    return found


def extra_finals_of(gallery: Gallery) -> list[Recipe]:
    """The sizes beyond the usual ones that this session gets: as its type says, else as the studio says.

    They are made with the others; a switch that is turned on later changes what is approved from then on.
    """
    kind, studio = gallery.shoot.booking.session_type, Studio.objects.first()
    wanted = []
    for recipe, of_kind, of_studio in (
        (FINAL_PRINT, kind.makes_print, studio is not None and studio.makes_print),
        (FINAL_GREY, kind.makes_black_and_white, studio is not None and studio.makes_black_and_white),
    ):
        if of_studio if of_kind is None else of_kind:
            wanted.append(recipe)
    return wanted


@jobs.handler(JobKind.FINALS)
def make_finals(job: Job, now: datetime) -> None:
    """Make the sizes of an approved Version, and the light previews the gallery page shows of them."""
    version, began = job.version, time.monotonic()
    if version is None or version.retouch.approved_version_id != version.pk:
        return  # another version was approved meanwhile; its own job makes its files
    renditions.ensure(
        photo=version.retouch.pick.photo,
        version=version,
        recipes=(*FINALS, *extra_finals_of(version.retouch.gallery), *PREVIEWS),
        crops=crops.crops_of(version),
        now=now,
    )
    done_at = now + timedelta(seconds=time.monotonic() - began)
    finals_made(gallery_id=version.retouch.gallery_id, now=done_at)


@transaction.atomic
def finals_made(*, gallery_id: int, by: Actor = WORKER, now: datetime) -> bool:
    """Called when the finals of a version are made, or a pick was approved whose finals were there.

    When every pick is approved and every final made, the gallery is ready; it delivers itself unless its session
    type says that a person does. True if it was delivered.
    """
    gallery = deadlines.locked(gallery_id)
    if gallery.status not in (GalleryStatus.RETOUCHING, GalleryStatus.APPROVING) or missing(gallery):
        return False
    move(Gallery, gallery.pk, "make_ready", by=by, now=now)
    deadlines.close_pause(gallery_id=gallery.pk, reason=PauseReason.APPROVING, by=by, now=now)
    if not gallery.shoot.booking.session_type.delivers_by_itself:
        return False
    try:
        return deliver(gallery_id=gallery.pk, by=by, now=now)
    except NotReady:
        return False


def missing(gallery: Gallery) -> list[str]:
    """What still stands between the gallery and its delivery, a sentence each. Empty: it can be delivered."""
    retouches = list(gallery.retouches.select_related("approved_version"))
    if not retouches:
        return [_("No picture has been chosen yet.")]
    lines = []
    if open_ones := sum(1 for row in retouches if row.status != RetouchStatus.APPROVED):
        lines.append(
            ngettext(
                "%(count)d picture is not approved yet.",
                "%(count)d pictures are not approved yet.",
                open_ones,
            )
            % {"count": open_ones}
        )
    versions = [row.approved_version for row in retouches if row.approved_version is not None]
    made = finals_of(versions)
    if unmade := sum(1 for version in versions if set(SIZES) - set(made.get(version.pk, {}))):
        lines.append(
            ngettext(
                "The files of %(count)d picture are still being made.",
                "The files of %(count)d pictures are still being made.",
                unmade,
            )
            % {"count": unmade}
        )
    return lines


def deliver(*, gallery_id: int, by: Actor, now: datetime, words: str = "") -> bool:
    """Release the finals to the client and stop the clock. False if somebody already did.

    Raises NotReady when finals are missing or money is open: choosing does not wait for the balance, the finals do.
    Then a pause is opened and the client is asked, once; that stays when NotReady is raised.
    """
    done, why_not = _try_to_deliver(gallery_id, by=by, now=now, words=words)
    if why_not:
        raise NotReady(why_not)
    return done


@transaction.atomic
def _try_to_deliver(gallery_id: int, *, by: Actor, now: datetime, words: str) -> tuple[bool, str]:
    """Whether it was delivered by this call, and why not, in a sentence. Nothing is raised: what it writes stays."""
    gallery = deadlines.locked(gallery_id)
    if gallery.status == GalleryStatus.DELIVERED:
        return False, ""
    if lines := missing(gallery):
        return False, " ".join(lines)
    if gallery.status != GalleryStatus.READY:
        return False, _("The gallery is not ready: it is “%s”.") % gallery.get_status_display()
    if (due := ledger.balance(gallery.shoot.booking).due) > 0 and not gallery.deliveries.exists():
        _ask_for_balance(gallery, due, now=now)
        return False, _("The balance is still to be paid; the client was asked.")
    is_first = not gallery.deliveries.filter(is_partial=False).exists()
    is_late = gallery.deliver_by is not None and now > gallery.deliver_by
    fields: dict[str, Any] = {"finals_expire_at": now + FINALS_LIVE, "expiry_warned": None}
    if is_first:
        fields |= {"was_on_time": not is_late, "thank_at": now + THANK_AFTER}
    if is_late:
        breaches.record(gallery, now=now, is_delivered=True)
    move(Gallery, gallery.pk, "deliver", by=by, now=now, **fields)
    gallery.refresh_from_db(
        fields=["status", "delivered_at", *fields]
    )  # the letter says until when they stay
    delivery = release(gallery, approved_versions(gallery), by=by, now=now, words=words)
    deadlines.stop(gallery_id=gallery.pk, now=now)
    kept = None if is_first else farewells.replaced(gallery, now=now)
    old_until = kept.due_at if kept else None
    _tell_client(gallery, delivery, is_first=is_first, old_until=old_until, now=now)
    return True, ""


@transaction.atomic
def deliver_what_is_approved(*, gallery_id: int, by: Actor, now: datetime) -> Delivery | None:
    """At the deadline: release the approved pictures whose files are made; the others follow in a whole delivery.

    None when there is nothing to release: none is approved, something was delivered before, or money is open. The
    gallery stays in work; who tells the client is the caller's.
    """
    gallery = deadlines.locked(gallery_id)
    if gallery.status not in (GalleryStatus.RETOUCHING, GalleryStatus.APPROVING):
        return None
    if gallery.deliveries.exists() or ledger.balance(gallery.shoot.booking).due:
        return None
    approved = approved_versions(gallery)
    made = finals_of(approved)
    whole = [version for version in approved if not set(SIZES) - set(made.get(version.pk, {}))]
    if not whole:
        return None
    Gallery.objects.filter(pk=gallery.pk).update(finals_expire_at=now + FINALS_LIVE)
    return release(gallery, whole, by=by, now=now, is_partial=True)


@transaction.atomic
def reopen(*, gallery_id: int, by: Actor, now: datetime, reason: str = "") -> bool:
    """Take a delivered gallery back into work. What was delivered stays downloadable; the change is promised anew.

    False if it is open already.
    """
    deadlines.locked(gallery_id)
    if move(Gallery, gallery_id, "reopen", by=by, now=now, reason=reason) is None:
        return False
    deadlines.start_again(gallery_id=gallery_id, now=now)
    return True


def release(
    gallery: Gallery,
    versions: list[Version],
    *,
    by: Actor,
    now: datetime,
    is_partial: bool = False,
    words: str = "",
) -> Delivery:
    """Write the Delivery row and the readable names of its files. Inside the caller's transaction."""
    number = (gallery.deliveries.aggregate(last=Max("number"))["last"] or 0) + 1
    delivery = Delivery.objects.create(
        gallery=gallery,
        number=number,
        delivered_at=now,
        is_partial=is_partial,
        words=words,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
    )
    made = finals_of(versions)
    stem = name_stem(gallery)
    DeliveredFile.objects.bulk_create(
        DeliveredFile(
            delivery=delivery,
            rendition=made[version.pk][size],
            position=position,
            name=f"{stem}-{position:02d}-{size}.jpg",
        )
        for position, version in enumerate(versions, start=1)
        for size in ALL_SIZES
        if size in made[version.pk]
    )
    return delivery


# Letters that are no plain letter with a sign, so that taking signs off would lose them.
PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h", "Ħ": "H"}
)


def name_stem(gallery: Gallery) -> str:
    """`firstname-lastname` of the sitter in plain letters, for file names any computer takes."""
    sitter = deadlines.sitter_of(gallery)
    written = (sitter.name if sitter else "").translate(PLAIN)
    plain = unicodedata.normalize("NFKD", written).encode("ascii", "ignore").decode()
    words = "".join(ch if ch.isalnum() else " " for ch in plain.lower()).split()
    return "-".join(words)[:60].strip("-") or f"portrait-{gallery.shoot.code.lower()}"


def _ask_for_balance(gallery: Gallery, due: int, *, now: datetime) -> None:
    """Stand still for the money and ask for it, once: the mail names what is open now."""
    booking = gallery.shoot.booking
    deadlines.open_pause(gallery_id=gallery.pk, reason=PauseReason.BALANCE, by=WORKER, now=now)
    if booking.payer is not None:
        link = credentials.grant(
            scope="booking",
            target=booking.public_id,
            now=now,
            holder_id=booking.payer_id,
            holder_label=str(booking.payer),
        )
        queue_message(
            "balance_before_delivery",
            to=booking.payer,
            about=gallery,
            context={"gallery": gallery, "booking": booking, "due": due, "link": link.url},
            now=now,
            once=f"balance_before_delivery:{gallery.pk}",
        )


def changed_since(delivery: Delivery) -> list[int]:
    """Which pictures of a delivery differ from the whole one before it, by their position; all are new in the first."""
    before = delivery.gallery.deliveries.filter(is_partial=False, number__lt=delivery.number).last()
    if before is None:
        return []
    had = list(before.files.values_list("rendition", flat=True))
    files = delivery.files.filter(rendition__recipe__in=SIZES).exclude(rendition__in=had)
    return sorted(set(files.values_list("position", flat=True)))


def _tell_client(
    gallery: Gallery, delivery: Delivery, *, is_first: bool, old_until: datetime | None, now: datetime
) -> None:
    """The mail with the link; when they come late it says so first."""
    late = gallery.breaches.order_by("-deliver_by").first() if is_first else None
    sitter = deadlines.sitter_of(gallery)
    if sitter is None:
        return
    link = credentials.grant(
        scope="gallery", target=gallery.public_id, now=now, holder_id=sitter.pk, holder_label=str(sitter)
    )
    queue_message(
        "gallery_delivered" if is_first else "gallery_delivered_again",
        to=sitter,
        about=gallery,
        context={
            "gallery": gallery,
            "delivery": delivery,
            "link": link.url,
            "late": late,
            "changed": [str(position) for position in changed_since(delivery)],
            "old_until": old_until,
            "location": gallery.shoot.booking.location,
        },
        now=now,
        once=f"delivered:{gallery.pk}:{delivery.number}",
    )
