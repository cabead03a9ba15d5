"""Culling: what helps the photographer to part the good frames from the rest. Advice beside the frame, nothing more.

An aid never marks, hides or orders a frame, and no client page reads one. What counts are the photographer's own marks
(`proofing.mark`): recommended and rated frames are what `proofing.publish_proofs` publishes.

Each number is compared within one shoot: with the same person, the same light and the same lens.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from bookings.models import Consent, ConsentPurpose
from galleries import frames, jobs, renditions
from galleries.frames import Frame
from galleries.imaging import child
from galleries.imaging.recipes import LOUPE
from galleries.imaging.refusals import Refusal
from galleries.models import Gallery, Job, JobKind, Photo, PhotoAids, Rendition
from galleries.retouching.rows import may_find_face
from galleries.statuses import JobStatus
from galleries.workroom import workroom
from studio import storage

AFTER_THE_PROMISE = timedelta(days=1)  # advice waits for everything a client waits for
FEWEST = 3  # frames that can be compared: fewer say nothing about a shoot

SOFT = 0.75  # of the shoot's median sharpness
CLOSED = 0.60  # of the person's own median lid gap
CLIPPED_BRIGHT, CLIPPED_DARK = 0.02, 0.10  # of the face
ALIKE_BITS = 32  # of 256
ALIKE_SECONDS = 20.0

LOUPES_WAITING, LOUPES_KEPT = 8, 60  # of one gallery
LOUPE_LASTS = timedelta(days=7)


class Show:
    """What the cull view can be narrowed to."""

    ALL, UNMARKED, RECOMMENDED, REJECTED, RATED, SHARP = (
        "all",
        "unmarked",
        "recommended",
        "rejected",
        "rated",
        "sharp",
    )


SHOWS = (Show.ALL, Show.UNMARKED, Show.RECOMMENDED, Show.RATED, Show.REJECTED, Show.SHARP)


@dataclass(frozen=True, slots=True)
class Advice:
    """What stands out about a frame beside the others of its shoot."""

    is_soft: bool = False
    is_blinking: bool = False
    is_bright: bool = False
    is_dark: bool = False

    @property
    def words(self) -> list[str]:
        """A sentence for each thing that stands out."""
        said = (
            (self.is_soft, _("Softer than the others")),
            (self.is_blinking, _("Eyes look closed")),
            (self.is_bright, _("Bright parts of the face are clipped")),
            (self.is_dark, _("Dark parts of the face are clipped")),
        )
        return [words for is_so, words in said if is_so]

    @property
    def is_quiet(self) -> bool:
        return not (self.is_soft or self.is_blinking or self.is_bright or self.is_dark)


@dataclass(frozen=True, slots=True)
class CullFrame:
    """A frame with its advice. `stack` counts runs of near-duplicates from 1; 0 stands alone."""

    frame: Frame
    advice: Advice | None
    stack: int
    stack_place: int = 0
    stack_size: int = 0

    @property
    def photo(self) -> Photo:
        return self.frame.photo


# --- measuring


def state_aids(*, photo: Photo, gallery: Gallery, now: datetime) -> Job:
    """State that a frame is to be looked at, after everything that a client waits for."""
    promised = gallery.deliver_by or now + jobs.WITHOUT_PROMISE
    return jobs.state(
        JobKind.AIDS, gallery=gallery, photo=photo, urgent_at=promised + AFTER_THE_PROMISE, now=now
    )


def state_missing(*, gallery: Gallery, now: datetime) -> int:
    """State a job for each frame without aids. Returns how many lack them."""
    lacking = list(gallery.photos.filter(aids=None))
    for photo in lacking:
        state_aids(photo=photo, gallery=gallery, now=now)
    return len(lacking)


@jobs.handler(JobKind.AIDS)
def look(job: Job, now: datetime) -> None:
    """Look at one frame and keep its numbers. A second run writes the same row again."""
    if job.photo is None:
        return
    file = renditions.original_of(job.photo)
    if file is None:
        raise renditions.NoOriginal(
            _("The original of %(name)s is archived, erased or damaged.") % {"name": job.photo.name}
        )
    may_look = may_find_face(job.photo.gallery)
    with workroom() as room:
        path = storage.fetch_to(storage.originals(), file.key, room)
        seen = child.aids(path, look_for_faces=may_look)
    if isinstance(seen, Refusal):
        raise jobs.JobRefused(_(seen.sentence))
    facts = {
        "sharpness": seen.sharpness,
        "lid_gap": seen.lid_gap,
        "bright": seen.bright,
        "dark": seen.dark,
        "likeness": seen.likeness,
        "looked_for_faces": seen.faces is not None,
        "measured_at": now,
    }
    PhotoAids.objects.update_or_create(photo=job.photo, defaults=facts)
    if seen.faces is not None:
        Photo.objects.filter(pk=job.photo.pk).update(faces=seen.faces)


def forget_refused(*, now: datetime) -> int:
    """Drop what was read from the faces of sitters who have said no since. Returns how many rows went.

    Looks back over an hour of answers, so that a sweep that was late misses none.
    """
    refused = Consent.objects.filter(
        purpose=ConsentPurpose.FACE_PROCESSING, is_given=False, answered_at__gte=now - timedelta(hours=1)
    )
    gone = 0
    for gallery in Gallery.objects.filter(shoot__in=refused.values("shoot")).distinct():
        if not may_find_face(gallery):
            gone += PhotoAids.objects.filter(photo__gallery=gallery, looked_for_faces=True).delete()[0]
    return gone


# --- one to one


def loupe_of(photo: Photo) -> Rendition | None:
    """The frame at full size, if it was made."""
    rows = photo.renditions.filter(version=None, recipe=LOUPE.name, recipe_version=LOUPE.version)
    return rows.order_by("-pk").first()


def ask_loupe(*, photo: Photo, now: datetime) -> Rendition | None:
    """The frame at full size; when it is not there yet it is ordered, before everything else.

    Bounded: what was asked for last counts, at most LOUPES_WAITING of a gallery are on their way and LOUPES_KEPT kept.
    """
    made = loupe_of(photo)
    if made is not None:
        return made
    gallery = photo.gallery
    waiting = gallery.jobs.filter(
        kind=JobKind.RENDITIONS, status=JobStatus.WAITING, parameters__has_key=renditions.ASKED
    )
    if waiting.count() < LOUPES_WAITING:
        facts = {
            renditions.ASKED: LOUPE.name,
            "on": now.date().isoformat(),
        }  # made again after it was dropped
        jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, parameters=facts, urgent_at=now, now=now)
    return None


def drop_loupes(*, now: datetime) -> int:
    """Full-size frames are large and soon looked at: they go after some days, and the oldest beyond the bound."""
    old = Rendition.objects.filter(recipe=LOUPE.name, version=None)
    gone = list(old.filter(made_at__lt=now - LOUPE_LASTS))
    crowded = old.values("photo__gallery").annotate(count=Count("pk")).filter(count__gt=LOUPES_KEPT)
    for row in crowded:
        gone += old.filter(photo__gallery=row["photo__gallery"]).order_by("-made_at", "-pk")[LOUPES_KEPT:]
    for rendition in {each.pk: each for each in gone}.values():
        with transaction.atomic():
            storage.delete_after_commit(storage.derived(), rendition.key)
            rendition.delete()
    return len(gone)


# --- reading


def cull(gallery: Gallery, *, show: str = Show.ALL) -> list[CullFrame]:
    """The frames of the gallery with their advice, in the order they were taken, narrowed to `show`."""
    shown = frames.for_studio(gallery)
    aids = _aids_of(gallery)
    stacks = stacks_of([frame.photo for frame in shown], aids)
    advice = advice_of(aids)
    sizes: dict[int, int] = {}
    placed = []
    for frame in shown:
        stack = stacks.get(frame.photo.pk, 0)
        sizes[stack] = sizes.get(stack, 0) + 1
        placed.append((frame, stack, sizes[stack]))
    found = [
        CullFrame(
            frame=frame,
            advice=advice.get(frame.photo.pk),
            stack=stack,
            stack_place=place if stack else 0,
            stack_size=sizes[stack] if stack else 0,
        )
        for frame, stack, place in placed
    ]
    return [each for each in found if _is_shown(each, show)]


def how_many_waiting(gallery: Gallery) -> int:
    """Frames whose aids are still being worked out."""
    return gallery.jobs.filter(kind=JobKind.AIDS, status__in=[JobStatus.WAITING, JobStatus.RUNNING]).count()


def _aids_of(gallery: Gallery) -> dict[int, PhotoAids]:
    rows = PhotoAids.objects.filter(photo__gallery=gallery)
    if not may_find_face(gallery):  # said no a moment ago: not read any more, and gone with the next sweep
        rows = rows.filter(looked_for_faces=False)
    return {row.photo_id: row for row in rows}


def advice_of(aids: Mapping[int, PhotoAids]) -> dict[int, Advice]:
    """Each frame beside the medians of its shoot; with fewer than three frames nothing is called soft or closed."""
    usual_sharpness = _median(row.sharpness for row in aids.values())
    usual_gap = _median(row.lid_gap for row in aids.values() if row.lid_gap is not None)
    return {
        photo: Advice(
            is_soft=usual_sharpness is not None and row.sharpness < SOFT * usual_sharpness,
            is_blinking=(
                usual_gap is not None and row.lid_gap is not None and row.lid_gap < CLOSED * usual_gap
            ),
            is_bright=row.bright > CLIPPED_BRIGHT,
            is_dark=row.dark > CLIPPED_DARK,
        )
        for photo, row in aids.items()
    }


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if len(known) >= FEWEST else None


def stacks_of(photos: Sequence[Photo], aids: Mapping[int, PhotoAids]) -> dict[int, int]:
    """Runs of neighbouring frames that look alike and were taken within seconds: photo id → number of its stack."""
    stacks: dict[int, int] = {}
    number = 0
    for before, after in pairwise(photos):
        if not _is_alike(before, after, aids):
            continue
        if before.pk not in stacks:
            number += 1
            stacks[before.pk] = number
        stacks[after.pk] = stacks[before.pk]
    return stacks


def _is_alike(one: Photo, other: Photo, aids: Mapping[int, PhotoAids]) -> bool:
    if one.pk not in aids or other.pk not in aids:
        return False
    taken, then = one.captured_at, other.captured_at
    if taken is not None and then is not None and abs((then - taken).total_seconds()) > ALIKE_SECONDS:
        return False
    bits = int(aids[one.pk].likeness, 16) ^ int(aids[other.pk].likeness, 16)
    return bits.bit_count() <= ALIKE_BITS


def _is_shown(each: CullFrame, show: str) -> bool:
    photo = each.photo
    is_marked = photo.is_recommended or photo.is_rejected or photo.rating > 0
    return {
        Show.UNMARKED: not is_marked,
        Show.RECOMMENDED: photo.is_recommended,
        Show.REJECTED: photo.is_rejected,
        Show.RATED: photo.rating > 0,
        Show.SHARP: each.advice is not None and each.advice.is_quiet,
    }.get(show, True)


def counts(gallery: Gallery) -> dict[str, int]:
    """How many frames each narrowing by marks would show."""
    photos = gallery.photos.filter(is_hidden=False)
    marked = Q(is_recommended=True) | Q(is_rejected=True) | Q(rating__gt=0)
    return {
        Show.ALL: photos.count(),
        Show.UNMARKED: photos.exclude(marked).count(),
        Show.RECOMMENDED: photos.filter(is_recommended=True).count(),
        Show.RATED: photos.filter(rating__gt=0).count(),
        Show.REJECTED: photos.filter(is_rejected=True).count(),
    }
