"""Guest links: a client has no account, only secret links that open one thing each.

The link `/open/<token>` is swapped for a cookie session and redirects, so the token never stands in a page's
address and does not travel in Referer. Opening is a GET that changes nothing a mail scanner could burn.
Wrong, expired and revoked links look alike.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from studio.models import Credential

SESSION_KEY = "opened"  # {scope:target: credential id}
LIFETIMES = {
    "booking": timedelta(days=400),
    "gallery": timedelta(days=400),
    "proofs": timedelta(days=60),
    "waiting": timedelta(days=240),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A fresh credential and its link; the link exists only now, in the mail it is written into."""

    credential: Credential
    url: str


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def grant(
    *,
    scope: str,
    target: str,
    now: datetime,
    holder_id: int | None = None,
    holder_label: str = "",
    holder_email: str = "",
    pin_hash: str = "",
    lifetime: timedelta | None = None,
) -> Grant:
    """Make a link that opens `target` (a public_id) in `scope` for one holder.

    A holder who has a PIN keeps it with every fresh link to the same thing.
    """
    token = secrets.token_urlsafe(32)
    if not pin_hash and (holder_id is not None or holder_email):
        pin_hash = _pin_of(scope, target, holder_id=holder_id, holder_email=holder_email)
    credential = Credential.objects.create(
        token_hash=_hash(token),
        scope=scope,
        target=target,
        holder_id=holder_id,
        holder_label=holder_label,
        holder_email=holder_email,
        pin_hash=pin_hash,
        created_at=now,
        expires_at=now + (lifetime or LIFETIMES.get(scope, timedelta(days=30))),
    )
    return Grant(credential, settings.SITE_URL + reverse("open_link", args=[token]))


def _pin_of(scope: str, target: str, *, holder_id: int | None, holder_email: str) -> str:
    """The PIN (hashed) that this holder's newest link to the thing asks for; of a live, ended or revoked one."""
    rows = Credential.objects.filter(
        scope=scope, target=target, holder_id=holder_id, holder_email=holder_email
    )
    return rows.order_by("-pk").values_list("pin_hash", flat=True).first() or ""


def find(token: str, *, now: datetime) -> Credential | None:
    """The credential of a token, if it is good now. None says nothing about why."""
    return Credential.objects.filter(token_hash=_hash(token), revoked_at=None, expires_at__gt=now).first()


def is_erased(token: str) -> bool:
    """Whether this is the link of somebody who was erased, or to their pictures: whoever holds it is told so."""
    return Credential.objects.filter(token_hash=_hash(token), erased_at__isnull=False).exists()


def was_erased(request: HttpRequest, *, scope: str, target: str) -> bool:
    """Whether this browser had opened a link to the thing that was erased since."""
    pk = request.session.get(SESSION_KEY, {}).get(f"{scope}:{target}")
    if pk is None:
        return False
    return Credential.objects.filter(pk=pk, scope=scope, target=target, erased_at__isnull=False).exists()


def remember(request: HttpRequest, credential: Credential, *, now: datetime) -> None:
    """Swap the link for the browser's session. The session id changes, so a fixed one is worth nothing."""
    opened = dict(request.session.get(SESSION_KEY, {}))
    request.session.cycle_key()
    opened[f"{credential.scope}:{credential.target}"] = credential.pk
    request.session[SESSION_KEY] = opened
    Credential.objects.filter(pk=credential.pk).update(last_used_at=now)


def opened(request: HttpRequest, *, scope: str, target: str, now: datetime) -> Credential | None:
    """The credential by which this browser may see `target`, checked against the row every time."""
    pk = request.session.get(SESSION_KEY, {}).get(f"{scope}:{target}")
    if pk is None:
        return None
    return Credential.objects.filter(
        pk=pk, scope=scope, target=target, revoked_at=None, expires_at__gt=now
    ).first()


def live(*, scope: str, target: str, now: datetime) -> "QuerySet[Credential]":
    """The links that open a thing now, the newest first: who could come in."""
    return Credential.objects.filter(
        scope=scope, target=target, revoked_at=None, expires_at__gt=now
    ).order_by("-pk")


def revoke(*, scope: str, target: str, now: datetime, holder_id: int | None = None) -> int:
    """Close every link to a thing (of one holder, if named) at once."""
    links = Credential.objects.filter(scope=scope, target=target, revoked_at=None)
    if holder_id is not None:
        links = links.filter(holder_id=holder_id)
    return links.update(revoked_at=now)
