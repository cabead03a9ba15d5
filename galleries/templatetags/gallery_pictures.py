"""Pictures on pages: `{% picture photo "grid" %}` writes the ground, the image, its sizes and its srcset."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from galleries import pictures
from galleries.imaging.recipes import GRID, THUMB
from galleries.models import Photo, Rendition, Version

register = template.Library()
SMALLER = (THUMB.name, GRID.name)


@register.filter
def picture_url(rendition: Rendition | None) -> str:
    """The signed address of a rendition; empty without one."""
    return pictures.picture_url(rendition) if rendition is not None else ""


@register.simple_tag
def rendition(photo: Photo, recipe: str, version: Version | None = None) -> Rendition | None:
    """`{% rendition photo "screen" as big %}`: the row, for its width, height and `|picture_url`."""
    return pictures.of(photo, recipe, version=version)


@register.simple_tag
def picture(
    photo: Photo,
    recipe: str,
    version: Version | None = None,
    sizes: str = "",
    alt: str = "",
    eager: bool = False,
) -> SafeString:
    """The picture in its frame: dominant colour below, image above, smaller renditions in srcset.

    Goes inside an element of class `picture-frame`. Smaller unmarked renditions are offered only beside an unmarked
    or ordinary proof, never beside the patterned one. Without the file yet: the ground alone, with a text.
    """
    shown = pictures.of(photo, recipe, version=version)
    ground = _ground(photo.dominant_colour)
    if shown is None:
        return ground + format_html(
            '<span class="visually-hidden">{}</span>', _("The picture is being prepared.")
        )
    smaller = () if recipe == "proof-unpaid" else SMALLER
    rows = [pictures.of(photo, name, version=version) for name in smaller if name != recipe]
    offered = sorted(
        {row.width: row for row in [*rows, shown] if row is not None and row.width <= shown.width}.items()
    )
    srcset = format_html_join(", ", "{} {}w", ((pictures.picture_url(row), width) for width, row in offered))
    return ground + format_html(
        '<img src="{}" srcset="{}" sizes="{}" width="{}" height="{}" alt="{}" decoding="async"{}>',
        pictures.picture_url(shown),
        srcset,
        sizes or f"(min-width: 64rem) {min(shown.width, 400)}px, 50vw",
        shown.width,
        shown.height,
        alt or _("Photo %(number)s") % {"number": photo.number},
        mark_safe(' fetchpriority="high"' if eager else ' loading="lazy" fetchpriority="low"'),  # noqa: S308 two constants
    )


def _ground(colour: str) -> SafeString:
    """The dominant colour as an svg: an attribute, because the policy forbids inline style."""
    return format_html(
        '<svg class="picture-ground" aria-hidden="true" focusable="false">'
        '<rect width="100%" height="100%" fill="{}"/></svg>',
        colour or "#e9e7e3",
    )
