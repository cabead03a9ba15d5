"""The frames of a gallery as the choosing pages show them: photo, pictures, pick and note, in a few queries."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _

from galleries import extra_finals, pictures
from galleries.imaging.recipes import GRID, PROOF, SCREEN, THUMB
from galleries.models import Gallery, Note, Photo, Pick, Rendition
from studio.actors import ActorKind

FILTERS = ("recommended", "all", "chosen")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture to choose from. `grid` and `large` name the recipes this viewer may see."""

    photo: Photo
    pick: Pick | None
    note: str
    grid: str
    large: Rendition | None

    @property
    def is_picked(self) -> bool:
        return self.pick is not None

    @property
    def large_url(self) -> str:
        return pictures.picture_url(self.large) if self.large is not None else ""

    @property
    def thumb_url(self) -> str:
        small = pictures.of(self.photo, THUMB.name)
        return pictures.picture_url(small) if small is not None else ""


@dataclass(frozen=True, slots=True)
class Count:
    """How many are chosen of how many are included (or bought), and what one more costs; 0: none is sold."""

    chosen: int
    included: int
    extra_cost: int = 0
    currency: str = ""

    @property
    def left(self) -> int:
        return max(self.included - self.chosen, 0)

    @property
    def extra(self) -> int:
        """Chosen beyond those included, still to be paid."""
        return max(self.chosen - self.included, 0)

    @property
    def words(self) -> str:
        """What every choosing page says, and its script as well."""
        if not self.extra:
            return _("%(chosen)d of %(included)d included") % {
                "chosen": self.chosen,
                "included": self.included,
            }
        return _("%(included)d included + %(extra)d extra") % {"included": self.included, "extra": self.extra}


def count_of(gallery: Gallery) -> Count:
    """The picks of a gallery against its finals."""
    booking = gallery.shoot.booking
    price = extra_finals.cost(booking, gallery.extra_final_price) if gallery.extra_final_price else 0
    return Count(gallery.picks.count(), extra_finals.allowed(gallery), price, booking.currency)


def for_client(gallery: Gallery, *, show: str = "all") -> list[Frame]:
    """What the client may choose from: published, not hidden; all of it, the recommended or the chosen frames."""
    photos = gallery.photos.filter(is_published=True, is_hidden=False)
    if show == "recommended":
        photos = photos.filter(is_recommended=True)
    elif show == "chosen":
        photos = photos.filter(pick__isnull=False)
    recipes = [recipe.name for recipe in pictures.client_recipes(gallery)]
    grid = GRID.name if GRID.name in recipes else THUMB.name
    return list(_frames(photos, grid=grid, large=recipes[-1], note_of=ActorKind.CLIENT))


def for_studio(gallery: Gallery, *, show: str = "all") -> list[Frame]:
    """What the photographer sees: every frame that the client has not hidden, newest number last."""
    photos = gallery.photos.filter(is_hidden=False)
    if show == "chosen":
        photos = photos.filter(pick__isnull=False)
    return list(_frames(photos, grid=GRID.name, large=SCREEN.name, note_of=None))


def _frames(
    photos: "QuerySet[Photo]", *, grid: str, large: str, note_of: ActorKind | None
) -> Iterable[Frame]:
    wanted = Rendition.objects.filter(version=None, recipe__in={THUMB.name, grid, large, PROOF.name})
    notes = Note.objects.filter(version=None, is_change_request=False)
    if note_of is not None:
        notes = notes.filter(actor_kind=note_of)
    rows = photos.select_related("pick").prefetch_related(
        Prefetch("renditions", wanted), Prefetch("notes", notes, to_attr="notes_here")
    )
    for photo in rows.order_by("number"):
        words = "\n".join(note.words for note in photo.notes_here)
        yield Frame(
            photo=photo,
            pick=getattr(photo, "pick", None),
            note=words,
            grid=grid,
            large=pictures.of(photo, large) or (pictures.of(photo, PROOF.name) if note_of is None else None),
        )
