"""What a sitter told in private is erased thirty days after delivery, or after a shoot that gave no pictures."""

from datetime import datetime, timedelta

from django.db.models import Q

from bookings.models import Shoot
from bookings.people import forget_private

KEPT = timedelta(days=30)
NEVER_DELIVERED = timedelta(days=120)  # whatever became of it: no promise takes that long


def forget_due(*, now: datetime) -> int:
    """Erase what is due. Returns how many shoots had something to erase; a second run finds nothing."""
    delivered = Q(gallery__delivered_at__lte=now - KEPT)
    came_to_nothing = Q(status__in=["cancelled", "no_show"], ends_at__lte=now - KEPT)
    long_ago = Q(ends_at__lte=now - NEVER_DELIVERED)
    return forget_private(shoots=Shoot.objects.filter(delivered | came_to_nothing | long_ago), now=now)
