"""Who may be given work, as the options of a list: written hundreds of times on the promise board."""

from collections.abc import Iterable

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from studio.models import User

register = template.Library()
SELECTED = mark_safe(" selected")


@register.simple_tag
def options(people: Iterable[User], chosen: int | None) -> SafeString:
    """Nobody in particular, then everybody by name; `chosen` is the id of who does it now."""
    names = format_html_join(
        "",
        '<option value="{}"{}>{}</option>',
        ((person.pk, SELECTED if person.pk == chosen else "", person.name) for person in people),
    )
    return format_html('<option value="">{}</option>{}', _("Nobody in particular"), names)
