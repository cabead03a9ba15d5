"""The front page's picture: taken in like any other, made anew, and the only one that is public."""

import tempfile
from datetime import datetime
from pathlib import Path

from django.db import transaction

from galleries.imaging import child
from galleries.imaging.recipes import Fit, Recipe
from galleries.imaging.refusals import Refusal
from studio import storage
from studio.actors import Actor
from studio.models import StatusChange, Studio

COVER = Recipe("cover", 1, Fit.INSIDE, 1600, 84)
LARGEST = 60_000_000  # bytes


class CoverRefused(Exception):
    """The file cannot be the front page's picture; `sentence` says why."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)


def set_cover(*, path: Path, by: Actor, now: datetime) -> Studio:
    """Make the front page's picture from a file: decoded in the limited child, nothing of the original is kept.

    Outside a transaction. Raises CoverRefused; the picture before stays then.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = child.accept(path, [COVER], Path(folder))
        if isinstance(made, Refusal):
            raise CoverRefused(made.sentence)
        file = made.rendering.files[0]
        key = storage.random_key("cover", ".jpg")
        storage.put(storage.derived(), key, file.path)
    return _swap(key, file.width, file.height, by=by, now=now)


def remove_cover(*, by: Actor, now: datetime) -> Studio:
    """A front page without a picture."""
    return _swap("", 0, 0, by=by, now=now)


def _swap(key: str, width: int, height: int, *, by: Actor, now: datetime) -> Studio:
    with transaction.atomic():
        studio = Studio.objects.select_for_update().get()
        if studio.cover_key:
            storage.delete_after_commit(storage.derived(), studio.cover_key)
        studio.cover_key, studio.cover_width, studio.cover_height = key, width, height
        studio.save(update_fields=["cover_key", "cover_width", "cover_height"])
        StatusChange.objects.create(
            model=Studio._meta.label_lower,
            object_id=studio.pk,
            verb="set_cover" if key else "remove_cover",
            after="",
            actor_kind=by.kind,
            actor_id=by.id,
            actor_label=by.label,
            at=now,
        )
        return studio
