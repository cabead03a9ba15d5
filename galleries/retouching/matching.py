"""Which pick a finished file belongs to: by the camera's name in its name, and by what it shows. Pure.

A file is assigned by itself only when nothing speaks against it; what is left to a person says why. The order in which
files came says nothing, ever.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from galleries.imaging.match import CLEAR, SURE

NAME, CONTENT, BOTH, PERSON = "name", "content", "name and content", "person"
DOUBTS: dict[str, str | Promise] = {
    "no_match": _("Its name fits no chosen picture, and it looks like none of them."),
    "not_chosen": _("It is named like a frame that was not chosen."),
    "two_alike": _("It looks like more than one chosen picture."),
    "name_against_content": _("It is named like one picture and looks like another."),
    "unlike": _("It is named like this picture but does not look like it."),
    "not_compared": _("It could not be compared with the pictures."),
    "same_bytes": _("The same file is here already as a version."),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """The pick, and what said so; or the doubt, for a person."""

    pick: int | None = None
    by: str = ""
    doubt: str = ""


def stem_of(name: str) -> str:
    """A file's name without folders and suffix, as it is compared."""
    return PurePath(name.replace("\\", "/")).stem.casefold().strip()


def named(name: str, stems: Mapping[int, Iterable[str]]) -> set[int]:
    """Those whose camera name stands in this file name as a word of its own; of nested names the longest.

    `IMG_1234` stands in IMG_1234.jpg, IMG_1234-Edit.tif, img_1234-2.jpg and "Ada IMG_1234.psd", not in IMG_12345.
    """
    wanted = stem_of(name)
    found: dict[int, int] = {}
    for key, known in stems.items():
        lengths = [len(stem) for stem in known if stem and _stands_in(stem.casefold(), wanted)]
        if lengths:
            found[key] = max(lengths)
    longest = max(found.values(), default=0)
    return {key for key, length in found.items() if length == longest}


def _stands_in(stem: str, name: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(stem)}(?![^\W_])", name) is not None


def decide(
    *, by_name: set[int], alike: Mapping[int, float] | None, is_name_of_another: bool = False
) -> Decision:
    """Whose file it is. `by_name` and `alike` speak of picks; `alike` is None when nothing could be compared.

    `is_name_of_another`: the name is that of a frame which was not chosen.
    """
    if alike is None:
        return Decision(doubt="not_compared")
    best = max(alike, key=lambda key: alike[key], default=None)
    sure = {key for key, value in alike.items() if value >= SURE}
    if by_name:
        return _with_name(by_name, alike, best, sure)
    if best is None or best not in sure:
        return Decision(doubt="not_chosen" if is_name_of_another else "no_match")
    if is_name_of_another:
        return Decision(doubt="name_against_content")
    return Decision(best, CONTENT) if _is_clear(best, alike) else Decision(doubt="two_alike")


def _with_name(by_name: set[int], alike: Mapping[int, float], best: int | None, sure: set[int]) -> Decision:
    fitting = by_name & sure
    if not fitting:
        return Decision(doubt="name_against_content" if sure else "unlike")
    likeliest = max(fitting, key=lambda key: alike[key])
    if best is not None and alike[best] > alike[likeliest] + CLEAR:
        return Decision(doubt="name_against_content")
    if len(by_name) > 1 and not _is_clear(likeliest, {key: alike.get(key, 0.0) for key in by_name}):
        return Decision(doubt="two_alike")
    return Decision(likeliest, BOTH)


def _is_clear(key: int, alike: Mapping[int, float]) -> bool:
    return all(value <= alike[key] - CLEAR for other, value in alike.items() if other != key)
