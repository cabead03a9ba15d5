"""The desk is made of panels. Each app registers its own; studio knows none of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.functional import Promise

PanelContext = Callable[[HttpRequest, datetime], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Panel:
    """One block of the desk: a template and the function that gathers what it shows (None hides it)."""

    name: str
    template: str
    gather: PanelContext
    order: int
    wide: bool = False
    roles: frozenset[str] = frozenset()  # empty: everybody of the studio


@dataclass(frozen=True, slots=True)
class DeskLink:
    """One entry of the desk's navigation: a URL name and its label."""

    url_name: str
    label: str | Promise
    order: int
    roles: frozenset[str] = frozenset()


_panels: dict[str, Panel] = {}
_links: dict[str, DeskLink] = {}


def panel(
    name: str, *, template: str, order: int, wide: bool = False, roles: frozenset[str] = frozenset()
) -> Callable[[PanelContext], PanelContext]:
    """Register a desk panel: `@panel("today", template="bookings/desk/today.html", order=10)`."""

    def decorate(gather: PanelContext) -> PanelContext:
        _panels[name] = Panel(name, template, gather, order, wide, roles)
        return gather

    return decorate


def link(url_name: str, *, label: str | Promise, order: int, roles: frozenset[str] = frozenset()) -> None:
    """Register an entry of the desk's navigation."""
    _links[url_name] = DeskLink(url_name, label, order, roles)


def panels(roles: frozenset[str]) -> list[Panel]:
    """The panels this set of roles may see, in their order."""
    return sorted(
        (panel for panel in _panels.values() if not panel.roles or panel.roles & roles), key=lambda p: p.order
    )


def links(roles: frozenset[str]) -> list[DeskLink]:
    """The navigation entries this set of roles may see, in their order."""
    return sorted((e for e in _links.values() if not e.roles or e.roles & roles), key=lambda e: e.order)
