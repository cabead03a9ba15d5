"""One white balance for a shoot: its drafts take out the same colour cast, so they look alike side by side."""

from galleries import workbench
from galleries.imaging.recipes import SCREEN
from galleries.models import Gallery, Rendition
from galleries.workroom import workroom
from studio import storage

MOST_FRAMES = 9  # a median of more says the same


def known_cast(gallery: Gallery) -> tuple[float, float] | None:
    """The cast the shoot's drafts share; None before it was measured, then each frame's own is used."""
    kept = gallery.white_balance
    return (float(kept["a"]), float(kept["b"])) if kept else None


def shoot_cast(gallery: Gallery, *, may_find_face: bool) -> tuple[float, float] | None:
    """The shared cast, measured by whichever draft comes first and kept, so every later draft has the same one.

    Runs in a worker, outside transactions. None while no picked frame has its screen rendition.
    """
    gallery.refresh_from_db(fields=["white_balance"])
    if not gallery.white_balance:
        measured = _measured(gallery, may_find_face)
        if measured:
            Gallery.objects.filter(pk=gallery.pk, white_balance={}).update(white_balance=measured)
            gallery.refresh_from_db(fields=["white_balance"])
    return known_cast(gallery)


def _measured(gallery: Gallery, may_find_face: bool) -> dict[str, float]:
    picked = Rendition.objects.filter(photo__pick__gallery=gallery, recipe=SCREEN.name, version=None)
    rows = list(picked.order_by("photo_id", "id"))
    rows = rows[:: -(-len(rows) // MOST_FRAMES) or 1]
    if not rows:
        return {}
    with workroom() as room:
        frames = [storage.fetch_to(storage.derived(), row.key, room) for row in rows]
        return workbench.shared_cast(frames, may_find_face=may_find_face)
