"""Exactly one file per (photo, version, recipe, recipe version, digest), made on first need.

Keys lie under the photo's own folder of the derived store and end in 128 random bits. A file is written first and
its row second; whoever loses the race for the row deletes its own file. What a killed worker left without a row is
removed when its job runs again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from bookings.models import Allocation
from galleries import jobs
from galleries.imaging import child
from galleries.imaging.crop import Crop, Head
from galleries.imaging.metadata import Credits
from galleries.imaging.recipes import PROOF_UNPAID, PROOFS, RECIPES, SCREEN, Recipe, digest
from galleries.imaging.refusals import Refusal
from galleries.imaging.render import Rendered
from galleries.imaging.watermark import Mark
from galleries.models import Gallery, Job, JobKind, Photo, PhotoFile, Rendition, Version
from galleries.workroom import workroom
from studio import storage
from studio.models import Studio

WANTED: tuple[Recipe, ...] = (*PROOFS, SCREEN)  # what every photo has as soon as it is accepted
ASKED = "asked"  # parameter of a job: the recipe somebody asked for
LOCK_CLASS = 0x52454E  # "REN": our part of the advisory lock numbers


def wanted_by(gallery: Gallery) -> tuple[Recipe, ...]:
    """What every photo of the gallery has: while money is open, the fully marked proof as well."""
    return (*WANTED, PROOF_UNPAID) if is_money_open(gallery) else WANTED


def is_money_open(gallery: Gallery) -> bool:
    """Whether something of the booking's price is still to be paid."""
    booking = gallery.shoot.booking
    paid = Allocation.objects.filter(booking=booking).aggregate(sum=Sum("amount"))["sum"] or 0
    return paid < booking.price


class NoOriginal(jobs.JobRefused):
    """The bytes a rendition would be made from are archived, erased or damaged."""


class Moved(Exception):
    """The photo went to another booking meanwhile: what would be made carries the old one's mark. Try again."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a gallery's renditions carry: the mark on proofs and the credits in their metadata."""

    mark: Mark
    credits: Credits


def look_of(gallery: Gallery) -> Look:
    """The studio's mark with the client's code; the studio's copyright line as the credits."""
    studio = Studio.objects.first()
    name = studio.name if studio else ""
    line = studio.copyright_line if studio else ""
    words = (studio.mark_text or name) if studio else ""
    text = " · ".join(part for part in (words, gallery.shoot.code) if part)
    mark = Mark(text=text)
    if studio is not None:
        mark = Mark(text=text, opacity=studio.mark_opacity / 100, place=studio.mark_place)
    return Look(mark, Credits(creator=name, copyright=line or (f"© {name}" if name else ""), credit=name))


def parameters_of(
    recipe: Recipe, look: Look, *, crops: Mapping[str, Crop] | None = None, head: Head | None = None
) -> dict[str, object]:
    """What the digest covers besides the recipe: the mark on marked files, the place of a crop."""
    facts: dict[str, object] = {}
    if recipe.mark:
        facts["mark"] = look.mark.text
        usual = Mark(text=look.mark.text)
        if look.mark != usual:
            facts |= {"opacity": look.mark.opacity, "place": look.mark.place}
    if recipe.is_cropped and crops and recipe.name in crops:
        facts["crop"] = repr(crops[recipe.name])
    elif recipe.is_cropped and head is not None:
        facts["head"] = repr(head)
    return facts


def folder_of(gallery: Gallery, photo_public_id: str) -> str:
    """The folder of one photo's files in the derived store. Letters first: a key part may not begin with a dash."""
    return f"s{gallery.shoot.public_id}/p{photo_public_id}"


def ensure(
    *,
    photo: Photo,
    recipes: Sequence[Recipe],
    version: Version | None = None,
    crops: Mapping[str, Crop] | None = None,
    head: Head | None = None,
    now: datetime,
) -> list[Rendition]:
    """The photo's (or the version's) renditions by these recipes, in their order; missing ones are made now.

    Must run in an `images` worker and outside a transaction. `crops` by recipe name and `head` are in upright pixels
    of the picture. Raises Moved, NoOriginal or JobRefused when trying again cannot help, StorageError when it can.
    """
    look = look_of(photo.gallery)
    digests = {
        recipe.name: digest(recipe, parameters_of(recipe, look, crops=crops, head=head)) for recipe in recipes
    }
    if _missing(photo, version, recipes, digests):
        with one_at_a_time(photo.pk):
            if Photo.objects.values_list("gallery_id", flat=True).get(pk=photo.pk) != photo.gallery_id:
                raise Moved(f"photo {photo.pk} went to another booking meanwhile")
            folder = folder_of(photo.gallery, photo.public_id)
            clear_strays(folder)
            missing = _missing(photo, version, recipes, digests)
            if missing:
                _make(photo, version, missing, digests, look, crops=crops, head=head, now=now)
    rows = [_found(photo, version, recipe, digests[recipe.name]) for recipe in recipes]
    return [row for row in rows if row is not None]


def _make(
    photo: Photo,
    version: Version | None,
    recipes: Sequence[Recipe],
    digests: Mapping[str, str],
    look: Look,
    *,
    crops: Mapping[str, Crop] | None,
    head: Head | None,
    now: datetime,
) -> None:
    with workroom() as room:
        source = _source(photo, version)
        path = storage.fetch_to(source.store, source.key, room)
        made = child.make(
            path,
            recipes,
            room,
            credits=look.credits,
            mark=look.mark,
            head=head,
            look_for_head=_may_look_for_head(photo.gallery),
            crops=crops,
        )
        if isinstance(made, Refusal):
            raise jobs.JobRefused(_(made.sentence))
        folder = folder_of(photo.gallery, photo.public_id)
        for row in keep(made.files, folder=folder, look=look, now=now, notes=made.notes, digests=digests):
            row.photo, row.version = photo, version
            _insert(row)


def _may_look_for_head(gallery: Gallery) -> bool:
    """Whether a crop may be placed by the face: as the location's legal mode and the sitter's answer say."""
    from galleries.retouching.rows import may_find_face

    return may_find_face(gallery)


def keep(
    files: Iterable[Rendered],
    *,
    folder: str,
    look: Look,
    now: datetime,
    notes: Sequence[str] = (),
    digests: Mapping[str, str] | None = None,
) -> list[Rendition]:
    """Store made files and return their rows, not yet saved and without a photo. All or none: on an error the
    files stored so far are deleted again. Raises StorageError."""
    rows: list[Rendition] = []
    try:
        for file in files:
            recipe = RECIPES[file.recipe]
            known = digests or {}
            mine = known[recipe.name] if recipe.name in known else digest(recipe, parameters_of(recipe, look))
            key = storage.random_key(f"{folder}/{recipe.name}-{recipe.version}-{mine}", ".jpg")
            stored = storage.put(storage.derived(), key, file.path)
            rows.append(
                Rendition(
                    recipe=recipe.name,
                    recipe_version=recipe.version,
                    digest=mine,
                    key=key,
                    width=file.width,
                    height=file.height,
                    size=stored.size,
                    sha256=stored.sha256,
                    crc32=stored.crc32,
                    flags=list(notes),
                    made_at=now,
                )
            )
    except BaseException:
        discard(rows)
        raise
    return rows


def discard(rows: Iterable[Rendition]) -> None:
    """Delete the files of rows that did not come to be."""
    for row in rows:
        storage.delete(storage.derived(), row.key)


def _insert(row: Rendition) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:  # somebody else was first: theirs counts, our bytes go
        discard([row])


def _missing(
    photo: Photo, version: Version | None, recipes: Sequence[Recipe], digests: Mapping[str, str]
) -> list[Recipe]:
    return [recipe for recipe in recipes if _found(photo, version, recipe, digests[recipe.name]) is None]


def _found(photo: Photo, version: Version | None, recipe: Recipe, mine: str) -> Rendition | None:
    return Rendition.objects.filter(
        photo=photo,
        version=version,
        recipe=recipe.name,
        recipe_version=recipe.version,
        digest=mine,
        erased_at=None,
    ).first()


@dataclass(frozen=True, slots=True)
class _Source:
    store: storage.Store
    key: str


def _source(photo: Photo, version: Version | None) -> _Source:
    if version is not None:
        return _Source(
            storage.originals() if version.store == "originals" else storage.derived(), version.key
        )
    file = original_of(photo) or preview_of(photo)
    if file is None:
        raise NoOriginal(
            _("The original of this picture is archived, erased or damaged, so nothing was made from it.")
        )
    return _Source(storage.originals(), file.key)


def original_of(photo: Photo) -> PhotoFile | None:
    """The file pictures are made from: the finished image of a RAW and JPEG pair, else the RAW. None: not at hand."""
    at_hand = photo.files.filter(archived_at=None, erased_at=None, expired_at=None, is_damaged=False)
    pixels = at_hand.filter(kind__in=[PhotoFile.Kind.IMAGE, PhotoFile.Kind.RAW])
    return pixels.order_by("kind", "id").first()  # "image" sorts before "raw"


def preview_of(photo: Photo) -> PhotoFile | None:
    """The preview that was sent ahead of an original that has not come yet: good for proofs, for nothing else."""
    at_hand = photo.files.filter(archived_at=None, erased_at=None, expired_at=None, is_damaged=False)
    return at_hand.filter(kind=PhotoFile.Kind.PREVIEW).order_by("id").first()


def missing_of(photo: Photo) -> list[Recipe]:
    """The recipes every photo of its gallery wants and this one lacks, also with the mark as it is now."""
    have = set(photo.renditions.filter(version=None).values_list("recipe", "recipe_version", "digest"))
    known = {(name, version) for name, version, _digest in have}
    look = look_of(photo.gallery)

    def is_there(recipe: Recipe) -> bool:
        if recipe.mark:
            return (recipe.name, recipe.version, digest(recipe, parameters_of(recipe, look))) in have
        return (recipe.name, recipe.version) in known

    return [recipe for recipe in wanted_by(photo.gallery) if not is_there(recipe)]


def state_missing(*, gallery: Gallery, now: datetime) -> int:
    """State a job for each photo of the gallery that lacks what it should have. Returns how many lack something.

    For publishing proofs (money may have become open since the frames came) and after a recipe changed.
    """
    lacking = 0
    for photo in gallery.photos.all():
        missing = missing_of(photo)
        if missing:
            lacking += 1
            names = sorted(f"{recipe.name} {recipe.version}" for recipe in missing)
            facts = {"recipes": names, "mark": str(look_of(gallery).mark)}
            jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, parameters=facts, now=now)
    return lacking


@contextmanager
def one_at_a_time(photo_id: int) -> Iterator[None]:
    """Only one worker makes a photo's files at a time, so that strays can be told from work going on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, photo_id % 2**31])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, photo_id % 2**31])


def clear_strays(folder: str) -> int:
    """Delete files of a photo's folder that no row names: what a killed worker stored last. Returns how many.

    Only under `one_at_a_time`, or before the photo exists: a file stored a moment ago has no row yet either.
    """
    keys = {found.key for found in storage.listed(storage.derived(), f"{folder}/")}
    named = set(Rendition.objects.filter(key__in=keys).values_list("key", flat=True))
    named |= set(Version.objects.filter(key__in=keys, store="derived").values_list("key", flat=True))
    for key in keys - named:
        storage.delete(storage.derived(), key)
    return len(keys - named)


@jobs.handler(JobKind.RENDITIONS)
def make_renditions(job: Job, now: datetime) -> None:
    """Make what the photo lacks, then drop the files of older recipes; or make the one file that was asked for."""
    if job.photo is not None and ASKED in job.parameters:
        ensure(photo=job.photo, recipes=[RECIPES[job.parameters[ASKED]]], now=now)
    elif job.photo is not None:
        ensure(photo=job.photo, recipes=wanted_by(job.photo.gallery), now=now)
        _forget_outdated(job.photo)


def _forget_outdated(photo: Photo) -> None:
    """After a recipe or the studio's mark changed: the files made before go, once the newer ones are there."""
    look = look_of(photo.gallery)
    outdated = Q()
    for recipe in (*WANTED, PROOF_UNPAID):
        outdated |= Q(recipe=recipe.name, recipe_version__lt=recipe.version)
        if recipe.mark:
            mine = digest(recipe, parameters_of(recipe, look))
            outdated |= Q(recipe=recipe.name, recipe_version=recipe.version) & ~Q(digest=mine)
    with transaction.atomic():
        for row in photo.renditions.filter(outdated, version=None, deliveries=None):
            storage.delete_after_commit(storage.derived(), row.key)
            row.delete()
