"""Who of the studio may open what: by role, and where the role was given for one location, only there.

`@staff(…)` guards a view of the desk; the access matrix reads the same mark. `at` names the places of the thing whose
`public_id` stands in the address: whoever has no such role at any of them gets the same 404 as for a thing that is not
there. Lists narrow themselves with `at_my_places`.
"""

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase

from studio.accounts import EVERYBODY, roles_of
from studio.models import Message, Role, StaffRole, User

# What a message can be about: `model label → the rows' ids at these locations`. Each package registers its own.
ABOUT: dict[str, Callable[[list[int]], "QuerySet[Any, Any]"]] = {}
View = Callable[..., HttpResponseBase]
Places = Callable[..., Collection[int]]  # called with the address's parts; empty: of no place in particular


def staff(*roles: Role, at: Places | None = None, everywhere: bool = False) -> Callable[[View], View]:
    """`@staff()` for everybody of the studio, `@staff(Role.PHOTOGRAPHER)` for photographers and owners.

    `everywhere`: what belongs to the whole studio; a role at one location is not enough.
    """
    allowed = frozenset({Role.OWNER, *roles}) if roles else EVERYBODY

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not roles_of(request.user) & allowed:
                raise PermissionDenied
            if at is not None or everywhere:
                mine = places_of(request.user, allowed)
                if mine is not None and everywhere:
                    raise PermissionDenied
                if mine is not None and at is not None:
                    places = at(*args, **kwargs)
                    if places and not set(places) & set(mine):
                        raise Http404
            return view(request, *args, **kwargs)

        guarded.allowed_roles = allowed  # type: ignore[attr-defined]
        return guarded

    return decorate


def roles_in(user: User | AnonymousUser, location_id: int) -> frozenset[str]:
    """The person's roles at a location; a superuser is an owner. Empty: none, or not of the studio."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset({Role.OWNER})
    rows = StaffRole.objects.filter(Q(location=None) | Q(location=location_id), user=user)
    return frozenset(rows.values_list("role", flat=True))


def places_of(user: User | AnonymousUser, roles: Collection[str]) -> list[int] | None:
    """The locations at which the person has one of these roles; None: everywhere."""
    if not isinstance(user, User):
        return []
    if user.is_superuser:
        return None
    places = list(StaffRole.objects.filter(user=user, role__in=roles).values_list("location", flat=True))
    return None if None in places else [place for place in places if place is not None]


def at_my_places(request: HttpRequest, field: str = "location", *, roles: Collection[str] = EVERYBODY) -> Q:
    """A filter that leaves of a list what is at the person's places. `field` leads to the location."""
    mine = places_of(request.user, roles)
    return Q() if mine is None else Q(**{f"{field}__in": mine})


def messages_of(request: HttpRequest) -> "QuerySet[Message]":
    """The messages this person may read: all, or those about what is at their places."""
    mine = places_of(request.user, {Role.OWNER, Role.PHOTOGRAPHER})
    if mine is None:
        return Message.objects.all()
    about = Q(pk__in=[])
    for model, rows_at in ABOUT.items():
        about |= Q(about_model=model, about_id__in=rows_at(mine))
    return Message.objects.filter(about)
