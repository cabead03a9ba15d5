"""Staff accounts: no sign-up, and what a person may see by their roles."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils import timezone

from studio.models import Role, User

EVERYBODY = frozenset(Role.values)


class StaffAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by the owner; nobody signs themselves up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Into the outbox like every mail: a mail server that is down loses nothing and breaks no page."""
        from studio.outbox import queue_written

        mail = self.render_mail(template_prefix, email, {"request": self.request, "email": email, **context})
        name = template_prefix.rpartition("/")[2]
        queue_written(name, to_address=email, subject=mail.subject, text=str(mail.body), now=timezone.now())

    def get_reset_password_from_key_url(self, key: str) -> str:
        """The link leads to our own address, whatever host the request was sent to."""
        return f"{settings.SITE_URL}{urlsplit(super().get_reset_password_from_key_url(key)).path}"


def roles_of(user: User | AnonymousUser) -> frozenset[str]:
    """The roles of a person, at any location; a superuser is an owner. Empty: not of the studio."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    cached: frozenset[str] | None = getattr(user, "_roles", None)
    if cached is None:
        cached = frozenset(user.staff_roles.values_list("role", flat=True))
        if user.is_superuser:
            cached |= {Role.OWNER}
        user._roles = cached  # type: ignore[attr-defined]
    return cached


def require(request: HttpRequest, *roles: Role) -> User:
    """The signed-in person, if they have one of the roles (an owner always has). Raises PermissionDenied."""
    mine = roles_of(request.user)
    if not isinstance(request.user, User) or not mine & ({Role.OWNER, *roles} if roles else EVERYBODY):
        raise PermissionDenied
    return request.user
