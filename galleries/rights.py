"""Who of the studio may do what with a gallery: roles count everywhere or at the location they were given for."""

from collections.abc import Collection

from django.contrib.auth.models import AnonymousUser

from galleries.models import Gallery
from studio.access import places_of, roles_in
from studio.models import Role, User

__all__ = [
    "ADDS_FRAMES",
    "HANDS_IN",
    "SEES_PICTURES",
    "may_add",
    "may_sort",
    "of_gallery",
    "places_of",
    "roles_at",
    "roles_in",
]

SEES_PICTURES = frozenset({Role.OWNER, Role.PHOTOGRAPHER, Role.RETOUCHER})
ADDS_FRAMES = frozenset({Role.OWNER, Role.PHOTOGRAPHER})
HANDS_IN = frozenset({Role.OWNER, Role.PHOTOGRAPHER, Role.RETOUCHER})


def of_gallery(public_id: str, **_rest: object) -> Collection[int]:
    """Where the gallery's session is, for `@staff(…, at=…)`: a view for fewer roles than `SEES_PICTURES` needs it, for
    a role counts only where it was given."""
    return Gallery.objects.filter(public_id=public_id).values_list("shoot__booking__location", flat=True)


def roles_at(user: User | AnonymousUser, gallery: Gallery) -> frozenset[str]:
    """The person's roles for this gallery; a superuser is an owner. Empty: none, or not of the studio."""
    return roles_in(user, gallery.shoot.booking.location_id)


def may_sort(user: User | AnonymousUser, location_id: int) -> bool:
    """Whether the person may drop a card at a location and say where its frames belong."""
    return bool(roles_in(user, location_id) & ADDS_FRAMES)


def may_add(user: User | AnonymousUser, gallery: Gallery, *, purpose: str) -> bool:
    """Whether the person may send files of this purpose ("frame", "hand_in", "finished") into the gallery."""
    return bool(roles_at(user, gallery) & (HANDS_IN if purpose in ("hand_in", "finished") else ADDS_FRAMES))
