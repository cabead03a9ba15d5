"""What the galleries show on the desk."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from galleries import board as boards
from galleries import card_views, choosing_panels, desk_gallery, forgetting, wishes
from galleries.models import Gallery
from studio import desk
from studio.access import ABOUT, at_my_places, places_of
from studio.models import Role
from studio.views import LANDINGS, desk_zone

LANDINGS["gallery"] = "gallery"
ABOUT["galleries.gallery"] = lambda here: Gallery.objects.filter(shoot__booking__location__in=here).values(
    "pk"
)
PICTURES = frozenset({Role.OWNER, Role.PHOTOGRAPHER, Role.RETOUCHER})
SORTS = frozenset({Role.OWNER, Role.PHOTOGRAPHER})

desk.link("desk_studio", label=_("Studio"), order=80, roles=frozenset({Role.OWNER}))
desk.link("cards", label=_("Cards"), order=25, roles=SORTS)
desk.link("retouch_queue", label=_("Retouching"), order=30, roles=PICTURES)
desk.link("promise_board", label=_("Promises"), order=40, roles=PICTURES)


def _at(request: HttpRequest, field: str) -> Q:
    return at_my_places(request, field, roles=PICTURES)


def _mine(request: HttpRequest) -> Q:
    """What belongs to a gallery at the person's places."""
    return _at(request, "gallery__shoot__booking__location")


@desk.panel("promises", template="galleries/panels/promises.html", order=20, roles=PICTURES)
def promises(request: HttpRequest, now: datetime) -> Mapping[str, Any]:
    """What is late, due today and next."""
    return {"board": boards.board(now=now, limit=8, places=places_of(request.user, PICTURES))}


@desk.panel("wishes", template="galleries/panels/wishes.html", order=6, wide=True, roles=SORTS)
def asked_about_data(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """Who asked for their data or to be forgotten and by when it is answered; erasures that go on or are done."""
    if places_of(request.user, SORTS) is not None:
        return None  # a person belongs to no location: for those of the whole studio
    wanted = list(wishes.open_wishes()[:10])
    erasures = forgetting.lately(now=now)
    return {"wishes": wanted, "erasures": erasures, "zone": desk_zone()} if wanted or erasures else None


@desk.panel("choosing", template="galleries/panels/choosing.html", order=30, roles=PICTURES)
def choosing(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """Whose choice is waited for, longest first."""
    return choosing_panels.choosing(now=now, where=_mine(request))


@desk.panel("to_retouch", template="galleries/panels/to_retouch.html", order=31, roles=PICTURES)
def to_retouch(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """What is to be retouched next."""
    return choosing_panels.to_retouch(now=now, where=_mine(request))


@desk.panel("intake", template="galleries/panels/intake.html", order=15, roles=PICTURES)
def intake(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """Files on their way in, and everything that is stuck."""
    return desk_gallery.trouble(
        now=now, galleries=Gallery.objects.filter(_at(request, "shoot__booking__location"))
    )


@desk.panel("tray", template="galleries/panels/tray.html", order=14, roles=SORTS)
def tray(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """Frames that wait for a person, and cards that stopped half-way."""
    return card_views.waiting(request)
