"""What the client's gallery page needs to show and offer about changes."""

from typing import Any

from django import template
from django.utils import timezone

from galleries import retouching
from galleries.choosing_views import cost_of_change, looks
from galleries.models import Gallery
from galleries.statuses import RetouchStatus

register = template.Library()


@register.simple_tag
def changes(gallery: Gallery) -> dict[str, Any]:
    """`{% changes gallery as state %}`: the pictures, why no change can be asked for (or ""), and what is under way."""
    shown = looks(gallery)
    return {
        "looks": shown,
        "refusal": retouching.change_refusal(gallery, now=timezone.now()),
        "cost": cost_of_change(gallery, now=timezone.now()),
        "days": retouching.CHANGE_DAYS,
        "asked": [look for look in shown if look.retouch.status == RetouchStatus.CHANGE_ASKED],
        "notes": [(look, note) for look in shown for note in look.notes if note.is_change_request],
    }
