"""Who retouches what: a pick is taken by one person, or given to one. It is a word among people, never a lock."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from galleries import rights
from galleries.models import Gallery, Retouch
from galleries.retouching.rows import RetouchRefused, locked
from studio.actors import Actor
from studio.models import User


def people_for(gallery: Gallery) -> "QuerySet[User]":
    """Who may retouch at the gallery's location."""
    location = gallery.shoot.booking.location_id
    here = Q(staff_roles__location=None) | Q(staff_roles__location=location)
    can = Q(staff_roles__role__in=rights.HANDS_IN) & here
    return User.objects.filter(can | Q(is_superuser=True), is_active=True).distinct().order_by("name", "pk")


@transaction.atomic
def take(*, retouch_id: int, person_id: int | None, by: Actor, now: datetime) -> bool:
    """Give a pick to somebody, or (None) back to everybody. False when nothing changes.

    Raises RetouchRefused for somebody who may not retouch at that location.
    """
    gallery, retouch = locked(retouch_id)
    if person_id is not None and not people_for(gallery).filter(pk=person_id).exists():
        raise RetouchRefused(_("That person does not retouch at this location."))
    if retouch.assigned_to_id == person_id:
        return False
    Retouch.objects.filter(pk=retouch.pk).update(assigned_to=person_id)
    return True
