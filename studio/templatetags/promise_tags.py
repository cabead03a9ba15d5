"""What a page says of the promise while a time is chosen."""

from contextlib import suppress
from datetime import datetime

from django import template

from studio.promises import Outlook, Said
from studio.workdays import WorkdaysError

register = template.Library()


@register.simple_tag
def promised(outlook: Outlook | str, ended_at: datetime) -> Said | None:
    """`{% promised outlook slot.ends_at as said %}`: None where nothing can be said."""
    if isinstance(outlook, Outlook):
        with suppress(WorkdaysError):
            return outlook.said(ended_at)
    return None
