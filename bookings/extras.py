"""What upper apps add to the page of a booking: the gallery, its promise. Bookings know nothing of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from bookings.models import Booking

Gather = Callable[[HttpRequest, Booking, datetime], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Extra:
    """A template and the function that gathers what it shows (None: nothing)."""

    template: str
    gather: Gather


_extras: dict[str, list[Extra]] = {"client": [], "client_foot": [], "desk": []}
GatherHome = Callable[[datetime], Mapping[str, Any] | None]
_home: list[tuple[str, GatherHome]] = []


def home_extra(*, template: str) -> Callable[[GatherHome], GatherHome]:
    """Register an addition to the front page: a template and what it shows (None: nothing)."""

    def decorate(gather: GatherHome) -> GatherHome:
        _home.append((template, gather))
        return gather

    return decorate


def rendered_home(request: HttpRequest, now: datetime) -> list[SafeString]:
    """The additions to the front page, ready to be placed."""
    found = [(template, gather(now)) for template, gather in _home]
    return [
        mark_safe(render_to_string(template, dict(context), request))  # noqa: S308 — escaped in our own template
        for template, context in found
        if context is not None
    ]


def extra(page: str, *, template: str) -> Callable[[Gather], Gather]:
    """Register an addition to the client's page of a booking (at its head "client", at its end "client_foot"), or to
    the studio's ("desk")."""

    def decorate(gather: Gather) -> Gather:
        _extras[page].append(Extra(template, gather))
        return gather

    return decorate


def rendered(page: str, request: HttpRequest, booking: Booking, now: datetime) -> list[SafeString]:
    """The additions to one page, ready to be placed."""
    found = []
    for item in _extras[page]:
        context = item.gather(request, booking, now)
        if context is not None:
            html = render_to_string(item.template, {**context, "booking": booking, "now": now}, request)
            found.append(mark_safe(html))  # noqa: S308 — made by our own template, escaped there
    return found
