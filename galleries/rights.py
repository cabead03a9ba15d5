"""Who of the studio may do what with a gallery: roles count everywhere or at the location they were given for."""

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from galleries.models import Gallery
from studio.models import Role, StaffRole, User

SEES_PICTURES = frozenset({Role.OWNER, Role.PHOTOGRAPHER, Role.RETOUCHER})
ADDS_FRAMES = frozenset({Role.OWNER, Role.PHOTOGRAPHER})
HANDS_IN = frozenset({Role.OWNER, Role.PHOTOGRAPHER, Role.RETOUCHER})


def roles_at(user: User | AnonymousUser, gallery: Gallery) -> frozenset[str]:
    """The person's roles for this gallery; a superuser is an owner. Empty: none, or not of the studio."""
    return roles_in(user, gallery.shoot.booking.location_id)


def roles_in(user: User | AnonymousUser, location_id: int) -> frozenset[str]:
    """The person's roles at a location; a superuser is an owner."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset({Role.OWNER})
    rows = StaffRole.objects.filter(Q(location=None) | Q(location=location_id), user=user)
    return frozenset(rows.values_list("role", flat=True))


def may_sort(user: User | AnonymousUser, location_id: int) -> bool:
    """Whether the person may drop a card at a location and say where its frames belong."""
    return bool(roles_in(user, location_id) & ADDS_FRAMES)


def may_add(user: User | AnonymousUser, gallery: Gallery, *, purpose: str) -> bool:
    """Whether the person may send files of this purpose ("frame", "hand_in", "finished") into the gallery."""
    return bool(roles_at(user, gallery) & (HANDS_IN if purpose in ("hand_in", "finished") else ADDS_FRAMES))


def places_of(user: User, roles: frozenset[Role]) -> list[int] | None:
    """The locations at which the person has one of these roles; None: everywhere."""
    if user.is_superuser:
        return None
    places = list(StaffRole.objects.filter(user=user, role__in=roles).values_list("location", flat=True))
    return None if None in places else [place for place in places if place is not None]
