"""A new link for somebody whose old one is dead. The page's answer is the same for everybody, in words and in time.

What was asked is a row; a worker answers it later, so a known address takes no longer than an unknown one. The apps
that own bookings and galleries register what an address may open: `@links.on_asked`.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from studio import credentials, outbox, throttles
from studio.background import ring_on_commit
from studio.models import LinkRequest

log = logging.getLogger(__name__)
PER_ADDRESS, PER_NETWORK, WINDOW = 3, 20, timedelta(hours=1)
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Opening:
    """One thing an address may open: whose it is, what the mail calls it, and what the fresh link opens."""

    to: outbox.Recipient
    label: str
    scope: str
    target: str


Finder = Callable[[str, datetime], Iterable[Opening]]
_finders: list[Finder] = []


def on_asked(finder: Finder) -> Finder:
    """Register `finder(email, now)`: the live things of this address, none for an unknown one."""
    _finders.append(finder)
    return finder


def ask(*, email: str, network: str, now: datetime) -> None:
    """Write down that somebody wants fresh links. Too many tries from one network or for one address are dropped."""
    from studio.tasks import answer_link_requests

    address = email.strip().lower()
    digest = hashlib.sha256(address.encode()).hexdigest()[:32]
    tries = [(f"link:network:{network}", PER_NETWORK), (f"link:address:{digest}", PER_ADDRESS)]
    # Both are counted each time: the answer never says which limit was met, or whether one was.
    within = [throttles.allow(key, limit=limit, per=WINDOW, now=now) for key, limit in tries]
    if not all(within):
        return
    with transaction.atomic():
        LinkRequest.objects.create(email=address, asked_at=now)
        ring_on_commit(answer_link_requests)


def answer_next(*, now: datetime) -> bool:
    """Answer the oldest request: one mail with a fresh link to each live thing, or nothing. False when none waits.

    A request that fails is counted first and tried again after the others, five times.
    """
    with transaction.atomic():
        waiting = LinkRequest.objects.filter(answered_at=None, attempts__lt=ATTEMPTS)
        request = waiting.select_for_update(skip_locked=True).order_by("attempts", "asked_at", "pk").first()
        if request is None:
            return False
        request.attempts += 1
        request.save(update_fields=["attempts"])
    try:
        _answer(request, now=now)
    except Exception:
        log.exception("Link request %s could not be answered", request.pk)
        return request.attempts < ATTEMPTS
    return True


@transaction.atomic
def _answer(request: LinkRequest, *, now: datetime) -> None:
    """The mail and the mark that it is on its way, or nothing."""
    if not LinkRequest.objects.filter(pk=request.pk, answered_at=None).update(answered_at=now):
        return
    openings = [opening for finder in _finders for opening in finder(request.email, now)]
    if not openings:
        return
    links = [{"label": opening.label, "url": _grant(opening, now=now)} for opening in openings]
    outbox.queue_message(
        "fresh_links",
        to=openings[0].to,
        about=None,
        context={"links": links},
        once=f"fresh_links:{request.pk}",
        now=now,
    )


def _grant(opening: Opening, *, now: datetime) -> str:
    """A fresh link to one thing, for the person it is held by: two people may share an address."""
    return credentials.grant(
        scope=opening.scope,
        target=opening.target,
        holder_id=opening.to.pk,
        holder_label=opening.to.name,
        holder_email="" if opening.to.pk else opening.to.email,  # somebody a link was shared with
        now=now,
    ).url


def sweep(*, now: datetime) -> int:
    """Ring for what waits; forget requests after thirty days. Returns how many were forgotten."""
    from studio.tasks import answer_link_requests

    if LinkRequest.objects.filter(answered_at=None, attempts__lt=ATTEMPTS).exists():
        ring_on_commit(answer_link_requests)
    return LinkRequest.objects.filter(asked_at__lt=now - timedelta(days=30)).delete()[0]
