"""A link of their own for somebody who is not in the picture: an agency, an assistant, the firm that paid.

Each person has one link, with a PIN of their own if wanted, so that the desk sees who fetched what and can end one link
without the others. The PIN is never mailed: the studio says it another way.

A shared link shows what was delivered and fetches it, and nothing else: choosing, approving, changes, renewing, wishes
and what passed between the studio and its client stay with the client's own link.
"""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from bookings.models import Client
from galleries import deadlines, locks
from galleries.models import Gallery
from galleries.statuses import CLOSED
from studio import credentials
from studio.actors import Actor
from studio.forms import check_email
from studio.models import Credential, StatusChange
from studio.outbox import queue_message


class NotShared(Exception):
    """The link was not made; the message says why."""


@transaction.atomic
def share(*, gallery_id: int, name: str, email: str, pin: str = "", by: Actor, now: datetime) -> Credential:
    """Mail somebody a link of their own to the gallery. Raises NotShared, locks.BadPin."""
    name, email = " ".join(name.split())[:200], email.strip().lower()
    if not name:
        raise NotShared(_("Please write down whose link it is."))
    try:
        check_email(email)
    except ValidationError as error:
        raise NotShared(_("This is not an e-mail address.")) from error
    gallery = deadlines.locked(gallery_id)
    if not has_something(gallery):
        raise NotShared(_("Nothing is delivered yet: a shared link shows the finished pictures only."))
    granted = credentials.grant(
        scope="gallery",
        target=gallery.public_id,
        now=now,
        holder_label=name,
        holder_email=email,
        pin_hash=locks.hashed(pin),
    )
    queue_message(
        "gallery_shared",
        to=Client(name=name, email=email),  # not kept: a name to write to, no client of the studio
        about=gallery,
        context={"gallery": gallery, "link": granted.url, "has_pin": bool(granted.credential.pin_hash)},
        now=now,
    )
    StatusChange.objects.create(
        model=Gallery._meta.label_lower,
        object_id=gallery.pk,
        verb="share",
        before=gallery.status,
        after=gallery.status,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        reason=name[:200],
        at=now,
    )
    return granted.credential


def has_something(gallery: Gallery) -> bool:
    """Whether there is something to share."""
    return gallery.status not in CLOSED and gallery.deliveries.exists()


def is_shared(credential: Credential | None, gallery: Gallery) -> bool:
    """Whether this link is somebody else's than the client's own. Without a link it is the studio that looks.

    `share` always names an address. Another client's link (who booked before the sitter was named) counts as shared.
    """
    if credential is None:
        return False
    sitter = deadlines.sitter_of(gallery)
    is_anothers = credential.holder_id is not None and (sitter is None or credential.holder_id != sitter.pk)
    return bool(credential.holder_email) or is_anothers


def shared_with(email: str, *, now: datetime) -> list[tuple[str, str]]:
    """(gallery public_id, name) of what was shared with this address and not taken back; also after its end."""
    rows = Credential.objects.filter(
        scope="gallery", holder_id=None, holder_email__iexact=email, revoked_at=None
    )
    found = {row.target: row.holder_label for row in rows.exclude(holder_email="").order_by("pk")}
    return list(found.items())
