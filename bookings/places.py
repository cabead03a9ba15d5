"""Where things are, for `@staff(…, at=…)` and for lists: a role given for one location opens only what is there."""

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest

from bookings.models import ArtistAsk, Booking, Resource, ResourceHours, Shoot, WaitingPlace
from studio.access import at_my_places, places_of
from studio.accounts import EVERYBODY, roles_of
from studio.models import Role

FRONT = frozenset({Role.OWNER, Role.PHOTOGRAPHER})


def of_booking(public_id: str, **_rest: object) -> Collection[int]:
    """Where the booking is."""
    return Booking.objects.filter(public_id=public_id).values_list("location", flat=True)


def of_shoot(public_id: str, **_rest: object) -> Collection[int]:
    """Where the session of this shoot is."""
    return Shoot.objects.filter(public_id=public_id).values_list("booking__location", flat=True)


def of_waiting(public_id: str, **_rest: object) -> Collection[int]:
    """Where somebody waits for a time."""
    return WaitingPlace.objects.filter(public_id=public_id).values_list("location", flat=True)


def of_ask(public_id: str, **_rest: object) -> Collection[int]:
    """Where the artist was asked to work."""
    return ArtistAsk.objects.filter(public_id=public_id).values_list("booking__location", flat=True)


def of_resource(public_id: str, **_rest: object) -> Collection[int]:
    """Where a room or chair stands, or a person works; somebody without hours belongs to no place."""
    resource = Resource.objects.filter(public_id=public_id).first()
    if resource is None:
        return ()
    if resource.location_id is not None:
        return (resource.location_id,)
    return resource.hours.values_list("location", flat=True).distinct()


def mine(request: HttpRequest, field: str = "location") -> Q:
    """A filter for what is where this person is owner or photographer; for an artist, where they work."""
    return at_my_places(request, field, roles=_roles(request))


def is_everywhere(request: HttpRequest) -> bool:
    """Whether nothing of the studio is out of the person's reach."""
    return places_of(request.user, _roles(request)) is None


def _roles(request: HttpRequest) -> frozenset[str]:
    return FRONT if roles_of(request.user) & FRONT else EVERYBODY


def my_resources(request: HttpRequest) -> Q:
    """A filter for Resources: rooms and chairs that stand there, people who work there, people without hours."""
    places = places_of(request.user, FRONT)
    if places is None:
        return Q()
    hours = ResourceHours.objects.filter(resource=OuterRef("pk"))
    return (
        Q(location__in=places) | Exists(hours.filter(location__in=places)) | Q(location=None) & ~Exists(hours)
    )
