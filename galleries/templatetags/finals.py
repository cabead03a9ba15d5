"""Showing a delivered picture: a light preview of the final's own version, never the full file."""

from collections.abc import Mapping

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from galleries.models import DeliveredFile, Rendition
from galleries.pictures import picture_url

register = template.Library()
PREVIEW = {"portrait": "preview-portrait", "square": "preview-square", "web": "grid", "full": "grid"}


@register.simple_tag
def final_picture(
    file: DeliveredFile, size: str, alt: str = "", css: str = "", eager: bool = False
) -> SafeString:
    """An <img> with its width and height, so that the page does not jump. Only what is seen first comes at once."""
    made = file.rendition
    wanted = PREVIEW.get(size, "grid")
    previews = getattr(made.version, "previews", None)  # prefetched by the gallery page, oldest first
    if previews is None:
        rows = Rendition.objects.filter(photo=made.photo_id, version=made.version_id, erased_at=None)
        previews = rows.filter(recipe=wanted).order_by("recipe_version", "id")
    shown = next((row for row in reversed(list(previews)) if row.recipe == wanted), made)
    return format_html(
        '<img src="{}" width="{}" height="{}" alt="{}" class="{}" loading="{}" decoding="async">',
        picture_url(shown),
        shown.width,
        shown.height,
        alt,
        css,
        "eager" if eager else "lazy",
    )


@register.simple_tag
def final_address(file: DeliveredFile) -> str:
    """The signed address at which a browser shows this size by itself."""
    return picture_url(file.rendition)


@register.filter
def key(mapping: Mapping[str, object], name: str) -> object:
    """`mapping|key:name`, for a name that is a variable."""
    return mapping.get(name, "")
