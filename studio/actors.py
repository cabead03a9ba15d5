"""Who did it: a person of the studio, a client behind a link, a worker, or Stripe."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from studio.models import User


class ActorKind(models.TextChoices):
    USER = "user", _("Studio")
    CLIENT = "client", _("Client")
    WORKER = "worker", _("Likeness")
    STRIPE = "stripe", _("Stripe")


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change, as it is kept in StatusChange and shown on pages."""

    kind: ActorKind
    id: int | None = None
    label: str = ""

    @classmethod
    def user(cls, user: "User") -> "Actor":
        return cls(ActorKind.USER, user.pk, user.name or user.email)

    @classmethod
    def client(cls, client_id: int, label: str) -> "Actor":
        return cls(ActorKind.CLIENT, client_id, label)

    def __str__(self) -> str:
        return self.label or str(self.kind.label)


WORKER = Actor(ActorKind.WORKER)
STRIPE = Actor(ActorKind.STRIPE)
