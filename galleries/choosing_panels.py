"""What the desk shows of choosing and retouching."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, QuerySet

from galleries import proofing
from galleries.models import Gallery, Pause, PauseReason, Retouch
from galleries.retouching.rows import IN_WORK
from galleries.statuses import GalleryStatus, RetouchStatus

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Waiting:
    """A gallery whose client is choosing: since when, how far, and when the announced step comes."""

    gallery: Gallery
    since: datetime
    chosen: int
    announced_at: datetime
    days: int
    lacks_mark: bool
    is_stuck: bool


def choosing(*, now: datetime, where: Q = Q()) -> Mapping[str, Any] | None:
    """The clients who are choosing, longest first; None when nobody is."""
    pauses = (
        Pause.objects.filter(
            where, reason=PauseReason.CHOOSING, ended_at=None, gallery__status=GalleryStatus.PROOFING
        )
        .select_related("gallery__shoot__sitter", "gallery__shoot__booking__location")
        .annotate(chosen=Count("gallery__picks"))
        .order_by("opened_at", "pk")
    )
    lines = [
        Waiting(
            gallery=pause.gallery,
            since=pause.opened_at,
            chosen=pause.chosen,
            announced_at=proofing.announced_step_at(pause),
            days=(now - pause.opened_at).days,
            lacks_mark=proofing.lacks_mark(pause.gallery),
            is_stuck=now >= proofing.announced_step_at(pause) and proofing.lacks_mark(pause.gallery),
        )
        for pause in pauses[: SHOWN + 1]
    ]
    return {"lines": lines[:SHOWN], "has_more": len(lines) > SHOWN} if lines else None


def open_orders() -> "QuerySet[Retouch]":
    """Every pick that still needs somebody of the studio, most urgent first; without a running promise last."""
    return (
        Retouch.objects.filter(gallery__status__in=IN_WORK)
        .exclude(status__in=[RetouchStatus.APPROVED, RetouchStatus.IN_REVIEW])
        .select_related(
            "pick__photo", "assigned_to", "gallery__shoot__sitter", "gallery__shoot__booking__location"
        )
        .order_by(F("gallery__deliver_by").asc(nulls_last=True), "gallery_id", "pick__picked_at", "id")
    )


def to_retouch(*, now: datetime, where: Q = Q()) -> Mapping[str, Any] | None:
    """The next work orders; None when nothing is to be retouched."""
    orders = open_orders().filter(where)
    rows = list(orders.prefetch_related("pick__photo__renditions")[: SHOWN + 1])
    if not rows:
        return None
    return {"retouches": rows[:SHOWN], "count": orders.count(), "now": now}
