"""Time that is taken by something else than a booking: the studio's own blocks, made and taken back on the desk."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from bookings import holds
from bookings.models import Busy, Claim, Resource
from bookings.people import clean
from bookings.refusals import NotNow
from bookings.statuses import ACTIVE_BOOKING
from studio.actors import Actor
from studio.templatetags.studio_tags import local_time

LONGEST = timedelta(days=62)
STAFF = "staff"


def block(
    *, resource_id: int, starts_at: datetime, ends_at: datetime, reason: str = "", by: Actor, now: datetime
) -> Busy:
    """Keep a Resource from being booked for a time. The same block again is the same row.

    Under the Resource's lock, so no booking slips in; holds that have lapsed end here, or late money would seat them
    on the block. Raises NotNow when it is booked in that time (move those first, or mark the Resource away), or when
    the time makes no sense.
    """
    if not now - LONGEST < starts_at < ends_at <= starts_at + LONGEST:
        raise NotNow(_("The end must come after the beginning, within two months."))
    with transaction.atomic():
        Resource.objects.select_for_update(of=("self",)).get(pk=resource_id)
        holds.expire_due(now=now, resource_ids=[resource_id])
        taken = (
            Claim.objects.filter(
                resource=resource_id,
                is_active=True,
                booking__status__in=ACTIVE_BOOKING,
                starts_at__lt=ends_at,
                ends_at__gt=starts_at,
            )
            .select_related("resource", "booking__location", "booking__payer")
            .order_by("starts_at")
            .first()
        )
        if taken is not None:
            who = taken.booking.payer.name if taken.booking.payer else _("somebody who is still typing")
            raise NotNow(
                _("%(name)s is booked %(from)s–%(until)s (%(who)s). Move that first.")
                % {
                    "name": taken.resource.name,
                    "from": local_time(taken.starts_at, taken.booking.location),
                    "until": local_time(taken.ends_at, taken.booking.location),
                    "who": who,
                }
            )
        return Busy.objects.get_or_create(
            resource_id=resource_id,
            starts_at=starts_at,
            ends_at=ends_at,
            source=STAFF,
            defaults={"reason": clean(reason)[:200]},
        )[0]


def unblock(*, busy_id: int, by: Actor, now: datetime) -> bool:
    """Take back a block of the studio's. Imported times go when they go in the calendar they come from."""
    return Busy.objects.filter(pk=busy_id, source=STAFF).delete()[0] > 0
