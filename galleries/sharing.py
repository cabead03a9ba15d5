"""A link of their own for somebody who is not in the picture: an agency, an assistant, the firm that paid.

Each person has one link, with a PIN of their own if wanted, so that the desk sees who fetched what and can end one link
without the others. The PIN is never mailed: the studio says it another way.
"""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from bookings.models import Client
from galleries import deadlines, locks
from galleries.models import Gallery
from galleries.statuses import GalleryStatus
from studio import credentials
from studio.actors import Actor
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
        validate_email(email)
    except ValidationError as error:
        raise NotShared(_("This is not an e-mail address.")) from error
    gallery = deadlines.locked(gallery_id)
    if gallery.status in (GalleryStatus.OPEN, GalleryStatus.CANCELLED):
        raise NotShared(_("There is nothing to see in this gallery yet."))
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


def shared_with(email: str, *, now: datetime) -> list[tuple[str, str]]:
    """(gallery public_id, name) of what was shared with this address and not taken back; also after its end."""
    rows = Credential.objects.filter(
        scope="gallery", holder_id=None, holder_email__iexact=email, revoked_at=None
    )
    found = {row.target: row.holder_label for row in rows.exclude(holder_email="").order_by("pk")}
    return list(found.items())
