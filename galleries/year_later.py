"""A year later: somebody who wished so is asked once whether it is time for a new picture.

It is marketing, so it needs a wish of its own, given on the client's gallery page and kept apart from everything else;
one tap in the mail (or the mail program's own button, RFC 8058) ends it for good.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.urls import reverse

from bookings.models import Client
from galleries.models import Gallery, YearLater
from galleries.statuses import CLOSED
from studio.outbox import queue_message

log = logging.getLogger(__name__)
AFTER = timedelta(days=365)
_SALT = "galleries.year_later"


@transaction.atomic
def wish(*, gallery: Gallery, client: Client, now: datetime) -> bool:
    """Ask this client again a year after the delivery. False if that is wished already."""
    due_at = max((gallery.delivered_at or now) + AFTER, now + timedelta(days=1))
    row, is_new = YearLater.objects.select_for_update().get_or_create(
        client=client, defaults={"wished_at": now, "due_at": due_at}
    )
    if not is_new and row.ended_at is None and row.due_at is not None:
        return False
    row.wished_at, row.ended_at, row.due_at = now, None, due_at
    row.save(update_fields=["wished_at", "ended_at", "due_at"])
    return True


def is_wished(client: Client) -> bool:
    """Whether this client will be asked."""
    return YearLater.objects.filter(client=client, ended_at=None, due_at__isnull=False).exists()


def is_erased(client_id: int) -> bool:
    """Whether this client was erased: then there is nothing to end any more."""
    return Client.objects.filter(pk=client_id, erased_at__isnull=False).exists()


def end(*, client_id: int, now: datetime) -> bool:
    """No such mail any more, also none that is queued by then. False if none was wished."""
    rows = YearLater.objects.filter(client=client_id, ended_at=None)
    return bool(rows.update(ended_at=now, due_at=None))


def unsubscribe_url(client: Client) -> str:
    """The address that ends it, for this client only and for ever."""
    return settings.SITE_URL + reverse("no_more_reminders", args=[Signer(salt=_SALT).sign(str(client.pk))])


def client_of(signed: str) -> int:
    """Whose address that is. Raises BadSignature."""
    value = Signer(salt=_SALT).unsign(signed)
    if not value.isdigit():
        raise BadSignature
    return int(value)


def sweep(*, now: datetime, limit: int = 200) -> int:
    """Write to whom it is time to write. Returns how many."""
    due = YearLater.objects.filter(due_at__lte=now, ended_at=None).order_by("due_at", "pk")
    return sum(_guarded(pk, now=now) for pk in due.values_list("pk", flat=True)[:limit])


def _guarded(pk: int, *, now: datetime) -> bool:
    try:
        return ask(pk, now=now)
    except Exception:
        log.exception("The reminder %s could not be written; the next sweep tries again", pk)
        return False


@transaction.atomic
def ask(pk: int, *, now: datetime) -> bool:
    """The mail, once. Nobody is asked who has been here since, whom we know no more, or who has a session booked."""
    row = YearLater.objects.select_for_update(of=("self",)).select_related("client").get(pk=pk)
    if row.due_at is None or row.due_at > now or row.ended_at is not None:
        return False
    due_at, row.due_at = row.due_at, None
    client = row.client
    if client.erased_at is not None or _was_here_since(client, due_at - timedelta(days=180)):
        row.save(update_fields=["due_at"])
        return False
    row.sent_at = now
    row.save(update_fields=["due_at", "sent_at"])
    unsubscribe = unsubscribe_url(client)
    message = queue_message(
        "year_later",
        to=client,
        about=client,
        context={"book_url": settings.SITE_URL + reverse("home"), "unsubscribe_url": unsubscribe},
        unsubscribe_url=unsubscribe,
        now=now,
        once=f"year_later:{row.pk}:{row.wished_at:%Y-%m-%d}",
    )
    return message is not None


def _was_here_since(client: Client, since: datetime) -> bool:
    """A newer session, or one to come: then there is nothing to remind of."""
    galleries = Gallery.objects.filter(shoot__sitter=client, shoot__starts_at__gte=since)
    return galleries.exclude(status__in=CLOSED).exists()
