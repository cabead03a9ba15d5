"""What the galleries add to the page of a booking: where the pictures are, and what is promised."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest

from bookings.extras import extra, home_extra
from bookings.models import Booking
from galleries import board as boards
from galleries import deadlines, wishes
from galleries.models import Gallery, WishKind
from galleries.statuses import GalleryStatus
from studio import credentials
from studio.models import Studio


@home_extra(template="galleries/extra_home.html")
def on_time_badge(now: datetime) -> Mapping[str, Any] | None:
    """How well promises are kept, where the studio wants it shown and enough were delivered to say so."""
    studio = Studio.objects.first()
    if studio is None or not studio.has_public_on_time_badge:
        return None
    record = boards.record(since=now - timedelta(days=365), now=now)
    return {"record": record} if record.delivered >= boards.BADGE_FROM else None


@extra("desk", template="galleries/extra_desk.html")
def on_the_desk(request: HttpRequest, booking: Booking, now: datetime) -> Mapping[str, Any] | None:
    """The way to the frames of this booking."""
    galleries = list(
        Gallery.objects.filter(shoot__booking=booking).select_related("shoot__booking__location")
    )
    lines = [{"gallery": row, "due_at": deadlines.local_promise(row)} for row in galleries]
    return {"lines": lines} if lines else None


@extra("client_foot", template="galleries/extra_data.html")
def data_of_the_client(request: HttpRequest, booking: Booking, now: datetime) -> Mapping[str, Any] | None:
    """What the person behind this link may ask about their own data, and what they asked already."""
    credential = credentials.opened(request, scope="booking", target=booking.public_id, now=now)
    if credential is None or credential.holder_id is None:
        return None
    asked = {row.kind: row for row in wishes.open_wishes().filter(client=credential.holder_id)}
    return {"asked_copy": asked.get(WishKind.COPY), "asked_forget": asked.get(WishKind.FORGET)}


@extra("client", template="galleries/extra_client.html")
def for_the_client(request: HttpRequest, booking: Booking, now: datetime) -> Mapping[str, Any] | None:
    """Where the pictures stand: what is promised and why the clock may stand still. The link itself came by mail."""
    gallery = (
        Gallery.objects.filter(shoot__booking=booking, clock_started_at__isnull=False)
        .exclude(status=GalleryStatus.ERASED)
        .select_related("shoot__booking__location")
        .prefetch_related("pauses")
        .first()
    )
    if gallery is None:
        return None
    is_open_here = credentials.opened(request, scope="gallery", target=gallery.public_id, now=now) is not None
    return {
        "gallery": gallery,
        "due_at": deadlines.local_promise(gallery),
        "changed": deadlines.was_and_is(gallery),
        "pauses": [pause for pause in gallery.pauses.all() if pause.ended_at is None],
        "is_open_here": is_open_here,
    }
