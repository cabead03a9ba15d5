"""The sweep of the promises: each warning once, what is ready sent out in time, what is missed written down."""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from galleries import breaches, deadlines, delivery
from galleries.models import DeadlineNotice, Gallery
from galleries.statuses import GalleryStatus
from studio import alerts
from studio.actors import WORKER
from studio.models import User
from studio.outbox import queue_message

log = logging.getLogger(__name__)
HOUR_AHEAD = timedelta(hours=1)
Kind = DeadlineNotice.Kind


def sweep(*, now: datetime, limit: int = 500) -> int:
    """Give every warning that is due, record what was missed; returns how many galleries were looked at.

    Each gallery is its own transaction: one that crashes is pushed an hour ahead and cannot block the rest. An
    alarm that is late (a dead beat) is given late, once. Then the late policies nobody decided about.
    """
    due = (
        Gallery.objects.filter(alarm_at__lte=now)
        .order_by("alarm_at", "id")
        .values_list("pk", flat=True)[:limit]
    )
    for pk in due:
        try:
            _give(pk, now=now)
        except Exception:
            log.exception("The alarms of gallery %s failed; trying again in an hour", pk)
            Gallery.objects.filter(pk=pk).update(alarm_at=now + HOUR_AHEAD)
    breaches.sweep(now=now)
    return len(due)


@transaction.atomic
def _give(gallery_id: int, *, now: datetime) -> None:
    """Everything that is due of one gallery. Its closures may have changed, so the promise is computed first."""
    gallery = deadlines.locked(gallery_id)
    if gallery.alarm_at is None or gallery.alarm_at > now:
        return  # another sweep was here first
    deadlines.compute(gallery, now=now)
    promised = gallery.deliver_by
    for at, kind in deadlines.alarms(gallery):
        if at > now or promised is None:
            break
        _notice, is_new = DeadlineNotice.objects.get_or_create(
            gallery=gallery, kind=kind, deliver_by=promised, defaults={"given_at": now}
        )
        if is_new:
            _ring(gallery, kind, now=now)
    gallery.refresh_from_db(fields=["status", "deliver_by"])
    gallery.alarm_at = deadlines.next_alarm(gallery, now=now)
    gallery.save(update_fields=["alarm_at"])


def _ring(gallery: Gallery, kind: Kind, *, now: datetime) -> None:
    assert gallery.deliver_by is not None
    if kind == Kind.OVERDUE:
        _miss(gallery, now=now)
    elif now >= gallery.deliver_by:
        return  # a warning whose time has passed unseen is not sent after the fact
    elif kind == Kind.FINISH:
        _send_out(gallery, now=now)
    else:
        _warn(gallery, kind, now=now)


def _send_out(gallery: Gallery, *, now: datetime) -> bool:
    """Deliver what only waits for somebody to press the button; what waits for money stays."""
    if gallery.status != GalleryStatus.READY:
        return False
    try:
        return delivery.deliver(gallery_id=gallery.pk, by=WORKER, now=now)
    except delivery.NotReady:
        return False


def _miss(gallery: Gallery, *, now: datetime) -> None:
    """At the promised time: what is approved goes out, the rest is a breach."""
    if _send_out(gallery, now=now):
        return  # all of it, late: the delivery has written the breach
    gallery.refresh_from_db(fields=["status", "deliver_by"])
    if gallery.deliver_by is None:
        return  # everything is ready and only the money is open: the clock stands still now
    partial = delivery.deliver_what_is_approved(gallery_id=gallery.pk, by=WORKER, now=now)
    breaches.record(gallery, now=now, partial=partial)


def _warn(gallery: Gallery, kind: Kind, *, now: datetime) -> None:
    """Tell whoever works on it; in the last hour, and where nobody does, the owners."""
    people: list[User] = [gallery.assigned_to] if gallery.assigned_to else deadlines.owners()
    if kind == Kind.ONE_HOUR:
        people = list(dict.fromkeys([*people, *deadlines.owners()]))
    due_at = deadlines.local_promise(gallery)
    name = f"deadline:{gallery.pk}:{kind}:{gallery.deliver_by:%Y%m%dT%H%M}"
    for person in people:
        queue_message(
            "deadline_warning",
            to=person,
            about=gallery,
            context={"gallery": gallery, "kind": kind, "due_at": due_at},
            now=now,
            once=f"{name}:{person.pk}",
        )
    words = _("%(code)s is due %(when)s and not delivered: %(kind)s.")
    facts = {"code": gallery.shoot.code, "when": f"{due_at:%a %d %b %H:%M}", "kind": Kind(kind).label}
    alerts.alert(words % facts, about=gallery, once=f"alert:{name}", now=now)
