"""Alerts to a chat room (Slack and those that take the same `{"text": …}`), as rows of the outbox: nothing is lost.

The address is the owner's, and we fetch it from inside the studio's network: so https only, resolved once, no address
that is not public, no redirect followed, a few seconds at most. The row keeps only the host; the address is a secret.
"""

import http.client
import ipaddress
import json
import socket
import ssl
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from django.db import IntegrityError, models, transaction

from studio.actors import WORKER
from studio.background import ring_on_commit
from studio.models import Channel, Message, Studio
from studio.transitions import begin

SECONDS = 5.0


class AlertRefused(Exception):
    """The address may not be spoken to, or it did not take the alert. The message is for the owner."""


def alert(text: str, *, about: models.Model, once: str, now: datetime) -> Message | None:
    """Queue an alert for the studio's chat room. None without a room, or when this `once` was queued before."""
    from studio.tasks import send_messages

    studio = Studio.objects.first()
    if studio is None or not studio.alert_webhook_url:
        return None
    message = Message(
        channel=Channel.WEBHOOK,
        name="alert",
        to_address=urlsplit(studio.alert_webhook_url).hostname or "",
        subject=text[:300],
        body_text=text,
        about_model=about._meta.label_lower,
        about_id=about.pk,
        once=once,
        due_at=now,
        created_at=now,
    )
    try:
        with transaction.atomic():
            begin(message, by=WORKER, now=now)
    except IntegrityError:
        if Message.objects.filter(once=once).exists():
            return None
        raise
    ring_on_commit(send_messages)
    return message


def send(message: Message) -> None:
    """Post a queued alert to the studio's room. Raises AlertRefused; the outbox tries again later."""
    studio = Studio.objects.first()
    if studio is None or not studio.alert_webhook_url:
        raise AlertRefused("There is no address for alerts any more.")
    post(studio.alert_webhook_url, {"text": message.body_text})


def post(url: str, facts: dict[str, str]) -> None:
    """POST JSON to an address somebody typed in. Raises AlertRefused."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username:
        raise AlertRefused("Alerts go to https addresses only.")
    line = _Line(parts, public_address(parts.hostname, parts.port or 443))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        line.request("POST", path, json.dumps(facts), {"Content-Type": "application/json"})
        status = line.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise AlertRefused(f"{parts.hostname}: {type(error).__name__}") from error
    finally:
        line.close()
    if not 200 <= status < 300:
        raise AlertRefused(f"{parts.hostname} answered {status}")


def public_address(host: str, port: int) -> str:
    """The address of a host, resolved once. Raises AlertRefused if any of its addresses is not public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AlertRefused(f"{host} cannot be found.") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        seen = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(seen, "ipv4_mapped", None)
        if not (mapped or seen).is_global or seen.is_multicast:
            raise AlertRefused(f"{host} is not a public address.")
    return addresses[0]


class _Line(http.client.HTTPSConnection):
    """A connection to the address that was checked, under the certificate of the name that was asked for."""

    def __init__(self, parts: SplitResult, address: str) -> None:
        super().__init__(parts.hostname or "", parts.port or 443, timeout=SECONDS)
        self._address, self._checks = address, certificates()

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), timeout=SECONDS)
        self.sock = self._checks.wrap_socket(plain, server_hostname=self.host)


def certificates() -> ssl.SSLContext:
    """Whom we believe: the system's list."""
    return ssl.create_default_context()
