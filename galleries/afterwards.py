"""After the delivery: warnings before the finals go, keeping them longer, and one thank-you with the review request.

The thank-you is the same for every delivered client and asks nothing about mood first. Where something is still to
be given back because the pictures were late, it waits until that is settled.
"""

import logging
from datetime import datetime, timedelta
from typing import Protocol

from django.db import transaction

from bookings.models import Refund
from bookings.statuses import UNSENT
from galleries import deadlines, farewells
from galleries.models import FarewellKind, Gallery, LatePolicy
from galleries.statuses import CLOSED
from studio import credentials
from studio.actors import Actor
from studio.models import StatusChange
from studio.outbox import queue_message

log = logging.getLogger(__name__)

WARN_DAYS = (30, 7, 1)
RENEW_WITHIN = timedelta(days=30)  # of the end; before that nobody needs it
RENEWED_FOR = timedelta(days=365)
ASK_AGAIN = timedelta(hours=6)


def sweep(*, now: datetime, limit: int = 500) -> int:
    """Warn of what goes soon and thank who is to be thanked. Returns how many galleries were written about."""
    soon = Gallery.objects.filter(
        finals_expire_at__gt=now, finals_expire_at__lte=now + timedelta(days=WARN_DAYS[0])
    )
    done = 0
    for row in soon.order_by("finals_expire_at").only("pk", "finals_expire_at", "expiry_warned")[:limit]:
        if _days_to_warn(row, now=now) is not None:
            done += _guarded(warn, row.pk, now=now)
    due = Gallery.objects.filter(thank_at__lte=now).order_by("thank_at").values_list("pk", flat=True)
    return done + sum(_guarded(thank, pk, now=now) for pk in due[:limit])


class _Verb(Protocol):
    def __call__(self, *, gallery_id: int, now: datetime) -> bool: ...


def _guarded(verb: _Verb, pk: int, *, now: datetime) -> bool:
    try:
        return verb(gallery_id=pk, now=now)
    except Exception:
        log.exception("Gallery %s could not be written about; the next sweep tries again", pk)
        return False


def _days_to_warn(gallery: Gallery, *, now: datetime) -> int | None:
    """30, 7 or 1 when that warning is due and it or a later one was not given; a dead beat skips what is over."""
    if gallery.finals_expire_at is None or gallery.finals_expire_at <= now:
        return None
    left = gallery.finals_expire_at - now
    due = min((days for days in WARN_DAYS if left <= timedelta(days=days)), default=None)
    if due is None or (gallery.expiry_warned is not None and gallery.expiry_warned <= due):
        return None
    return due


@transaction.atomic
def warn(*, gallery_id: int, now: datetime) -> bool:
    """Write to the client that the finals go soon, with a fresh link. False if that was done."""
    gallery = deadlines.locked(gallery_id)
    days = _days_to_warn(gallery, now=now)
    sitter = deadlines.sitter_of(gallery)
    if days is None or sitter is None or gallery.status in CLOSED:
        return False
    gallery.expiry_warned = days
    gallery.save(update_fields=["expiry_warned"])
    link = credentials.grant(
        scope="gallery", target=gallery.public_id, now=now, holder_id=sitter.pk, holder_label=str(sitter)
    )
    queue_message(
        "finals_expire",
        to=sitter,
        about=gallery,
        context={"gallery": gallery, "days": days, "link": link.url, "booking": gallery.shoot.booking},
        now=now,
        once=f"finals_expire:{gallery.pk}:{days}:{gallery.finals_expire_at:%Y%m%d}",
    )
    return True


@transaction.atomic
def renew(*, gallery_id: int, by: Actor, now: datetime) -> bool:
    """Keep the finals another year from now, also after they were put away. False if they live longer than a month.

    The links that are good now live as long, so that nobody is locked out of what was renewed.
    """
    gallery = deadlines.locked(gallery_id)
    if gallery.finals_expire_at is None or gallery.finals_expire_at > now + RENEW_WITHIN:
        return False
    if farewells.is_gone(gallery):
        return False
    farewells.call_off(gallery, FarewellKind.FINALS, now=now)
    before, gallery.finals_expire_at = gallery.finals_expire_at, now + RENEWED_FOR
    gallery.expiry_warned = None
    gallery.save(update_fields=["finals_expire_at", "expiry_warned"])
    links = credentials.live(scope="gallery", target=gallery.public_id, now=now)
    links.filter(expires_at__lt=gallery.finals_expire_at).update(expires_at=gallery.finals_expire_at)
    StatusChange.objects.create(
        model=Gallery._meta.label_lower,
        object_id=gallery.pk,
        verb="renew",
        before=gallery.status,
        after=gallery.status,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        reason=f"{before:%Y-%m-%d} → {gallery.finals_expire_at:%Y-%m-%d}",
        at=now,
    )
    return True


@transaction.atomic
def thank(*, gallery_id: int, now: datetime) -> bool:
    """The thank-you, once. False while a late policy or its refund is open: then it is looked at again later."""
    gallery = deadlines.locked(gallery_id)
    if gallery.thank_at is None or gallery.thank_at > now:
        return False
    if _is_unsettled(gallery):
        gallery.thank_at = now + ASK_AGAIN
        gallery.save(update_fields=["thank_at"])
        return False
    gallery.thank_at = None
    gallery.save(update_fields=["thank_at"])
    sitter = deadlines.sitter_of(gallery)
    if sitter is None:
        return False
    message = queue_message(
        "thank_you",
        to=sitter,
        about=gallery,
        context={"gallery": gallery, "booking": gallery.shoot.booking},
        now=now,
        once=f"thank_you:{gallery.pk}",
    )
    return message is not None


def _is_unsettled(gallery: Gallery) -> bool:
    if gallery.breaches.filter(late_policy=LatePolicy.PROPOSED).exists():
        return True
    names = [f"late-promise:{pk}:" for pk in gallery.breaches.values_list("pk", flat=True)]
    rows = Refund.objects.filter(payment__allocations__booking=gallery.shoot.booking)
    open_ones = rows.filter(status__in=UNSENT).values_list("once", flat=True)
    return any(once.startswith(name) for once in open_ones for name in names)
