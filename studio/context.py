"""What every template may use."""

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from studio import desk
from studio.accounts import roles_of
from studio.models import Studio


def studio(request: HttpRequest) -> dict[str, Any]:
    """`studio`, `is_demo`, and for staff `roles` and `desk_links`. Lazy: a page that uses none of them asks nothing."""

    @cache
    def roles() -> frozenset[str]:
        return roles_of(request.user) if hasattr(request, "user") else frozenset()

    return {
        "studio": SimpleLazyObject(lambda: Studio.objects.first()),
        "is_demo": settings.DEMO,
        "roles": SimpleLazyObject(roles),
        "desk_links": SimpleLazyObject(lambda: desk.links(roles())),
    }
