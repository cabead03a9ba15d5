"""Decorators for views of the desk: who may open them. The access matrix reads the same mark."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from studio.accounts import EVERYBODY, roles_of
from studio.models import Role

View = Callable[..., HttpResponseBase]


def staff(*roles: Role) -> Callable[[View], View]:
    """`@staff()` for everybody of the studio, `@staff(Role.PHOTOGRAPHER)` for photographers and owners."""
    allowed = frozenset({Role.OWNER, *roles}) if roles else EVERYBODY

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not roles_of(request.user) & allowed:
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded.allowed_roles = allowed  # type: ignore[attr-defined]
        return guarded

    return decorate
