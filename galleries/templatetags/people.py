"""Who may be given work, as the options of a list: written hundreds of times on the promise board."""

from collections.abc import Iterable
from functools import lru_cache

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from studio.models import User

register = template.Library()
SELECTED = mark_safe(" selected")


@register.simple_tag
def options(people: Iterable[User], chosen: int | None) -> SafeString:
    """Nobody in particular, then everybody by name; `chosen` is the id of who does it now."""
    return _written(tuple((person.pk, person.name) for person in people), chosen, get_language())


@lru_cache(maxsize=256)
def _written(people: tuple[tuple[int, str], ...], chosen: int | None, language: str | None) -> SafeString:
    """The same list stands in each line of the board; it is written once in each language."""
    names = format_html_join(
        "",
        '<option value="{}"{}>{}</option>',
        ((pk, SELECTED if pk == chosen else "", name) for pk, name in people),
    )
    return format_html('<option value="">{}</option>{}', _("Nobody in particular"), names)
