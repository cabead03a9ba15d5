"""Another calendar says that somebody is busy while they are booked: nobody moves by themselves, so the desk is told.

What clashes is computed from the rows and never stored: once the time is gone from the other calendar, or the booking
is moved, given to somebody else or cancelled, nothing is left to be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from bookings.models import Busy, Claim
from bookings.statuses import STANDING, ShootStatus
from studio import alerts
from studio.templatetags.studio_tags import local, local_time

SOURCE = "feed"


@dataclass(frozen=True, slots=True)
class Clash:
    """Somebody's part in a booking, and when their other calendar says they are busy meanwhile."""

    claim: Claim
    starts_at: datetime
    ends_at: datetime

    @property
    def once(self) -> str:
        """The same booking and the same time, however often the calendar is read."""
        span = f"{self.starts_at.timestamp():.0f}:{self.ends_at.timestamp():.0f}"
        return f"busy_over_booking:{self.claim.booking_id}:{self.claim.resource_id}:{span}"


def clashes(
    *, now: datetime, where: Q | None = None, resource_id: int | None = None, limit: int = 50
) -> list[Clash]:
    """The clashes of sessions that have not begun, by time; of one Resource, or `where` (a filter on claims). Only the
    work counts: a buffer may lie under somebody's lunch."""
    over = Busy.objects.filter(
        resource=OuterRef("resource"),
        source=SOURCE,
        starts_at__lt=OuterRef("works_until"),
        ends_at__gt=OuterRef("works_from"),
    )
    claims = Claim.objects.filter(
        where or Q(),
        Exists(over),
        is_active=True,
        works_until__gt=now,
        booking__status__in=STANDING,
        booking__shoots__status=ShootStatus.PLANNED,
    ).select_related("resource", "booking__payer", "booking__location")
    if resource_id is not None:
        claims = claims.filter(resource=resource_id)
    return _with_times(list(claims.order_by("works_from", "pk").distinct()[:limit]))


def _with_times(claims: Sequence[Claim]) -> list[Clash]:
    if not claims:
        return []
    rows = Busy.objects.filter(
        resource__in={claim.resource_id for claim in claims},
        source=SOURCE,
        ends_at__gt=claims[0].works_from,
        starts_at__lt=max(claim.works_until for claim in claims),
    )
    busy = list(rows.order_by("starts_at").values_list("resource", "starts_at", "ends_at"))
    return [
        Clash(claim, begins, until)
        for claim in claims
        for resource_id, begins, until in busy
        if resource_id == claim.resource_id and begins < claim.works_until and claim.works_from < until
    ]


def tell(*, resource_id: int, now: datetime) -> int:
    """Alert the studio's room of each clash of a Resource, once. Returns how many were new."""
    told = 0
    for clash in clashes(now=now, resource_id=resource_id):
        booking = clash.claim.booking
        words = _(
            "%(name)s is booked %(when)s (%(what)s), and busy %(from)s–%(until)s in their other calendar."
        )
        facts = {
            "name": clash.claim.resource.name,
            "when": local(clash.claim.works_from, booking.location),
            "what": clash.claim.purpose,
            "from": local_time(clash.starts_at, booking.location),
            "until": local_time(clash.ends_at, booking.location),
        }
        told += alerts.alert(words % facts, about=booking, once=clash.once, now=now) is not None
    return told
