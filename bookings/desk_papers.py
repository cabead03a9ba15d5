"""What clients told the studio, on the page of a booking on the desk: the thread, the answers, the signatures."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from bookings import agreements, places, questionnaires, thread
from bookings.extras import extra as booking_extra
from bookings.models import Booking
from bookings.places import FRONT
from studio import desk


@booking_extra("desk", template="bookings/desk/_thread.html")
def thread_of(request: HttpRequest, booking: Booking, now: datetime) -> Mapping[str, Any]:
    """Questions and answers, and the form that answers."""
    entries = list(booking.thread.order_by("pk"))
    is_open = any(entry.is_from_client and entry.answered_at is None for entry in entries)
    return {"entries": entries, "is_open": is_open, "form_token": uuid.uuid4()}


@booking_extra("desk", template="bookings/desk/_papers.html")
def papers_of(request: HttpRequest, booking: Booking, now: datetime) -> Mapping[str, Any] | None:
    """What was answered (private answers only counted: they are behind a tap) and what was signed."""
    shoot = booking.shoots.select_related("sitter", "booking__session_type").order_by("pk").first()
    if shoot is None:
        return None
    asked = questionnaires.asked_of(shoot)
    has_private = any(one.sheet is not None and one.sheet.private_answers for one in asked)
    papers = agreements.offered_to(shoot)
    history = shoot.answer_sheets.count() - sum(one.sheet is not None for one in asked)
    if not asked and not papers:
        return None
    return {"asked": asked, "has_private": has_private, "papers": papers, "shoot": shoot, "earlier": history}


@desk.panel("questions", template="bookings/panels/questions.html", order=12, roles=FRONT)
def questions(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """What clients asked and nobody answered yet."""
    entries = thread.open_entries().filter(places.mine(request, "booking__location"))
    rows = list(entries.select_related("booking__session_type", "booking__location")[:10])
    return {"entries": rows} if rows else None
