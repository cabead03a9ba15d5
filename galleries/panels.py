"""What the galleries show on the desk."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from galleries import board as boards
from studio import desk
from studio.models import Role
from studio.views import LANDINGS

LANDINGS["gallery"] = "gallery"
PICTURES = frozenset({Role.OWNER, Role.PHOTOGRAPHER, Role.RETOUCHER})

desk.link("promise_board", label=_("Promises"), order=40, roles=PICTURES)


@desk.panel("promises", template="galleries/panels/promises.html", order=20, roles=PICTURES)
def promises(request: HttpRequest, now: datetime) -> Mapping[str, Any]:
    """What is late, due today and next."""
    return {"board": boards.board(now=now, limit=8)}
