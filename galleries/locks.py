"""A PIN on a gallery, for links that are shared with a firm. It opens nothing by itself: it is asked after the link.

Tries are counted per gallery and per network before anything is hashed. What is unlocked is remembered in the browser's
session for this one gallery and this one PIN: another PIN asks again.
"""

import secrets
from datetime import datetime, timedelta
from enum import Enum

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from galleries import deadlines
from galleries.models import Gallery
from studio import throttles
from studio.actors import Actor
from studio.models import StatusChange

SESSION_KEY = "unlocked"  # {gallery public_id: mark of the PIN it was unlocked with}
PER_GALLERY, PER_NETWORK, WINDOW = 10, 30, timedelta(hours=1)
DIGITS = range(4, 13)


class BadPin(Exception):
    """A PIN that cannot be set; the message says why."""


class Answer(Enum):
    OPEN = "open"
    WRONG = "wrong"
    TOO_OFTEN = "too often"


@transaction.atomic
def set_pin(*, gallery_id: int, pin: str, by: Actor, now: datetime) -> None:
    """Ask for a PIN of 4 to 12 digits from now on; an empty one takes it away. Raises BadPin."""
    pin = pin.strip()
    if pin and not (pin.isascii() and pin.isdigit() and len(pin) in DIGITS):
        raise BadPin(_("A PIN is 4 to 12 digits."))
    gallery = deadlines.locked(gallery_id)
    gallery.pin_hash = make_password(pin) if pin else ""
    gallery.save(update_fields=["pin_hash"])
    StatusChange.objects.create(
        model=Gallery._meta.label_lower,
        object_id=gallery.pk,
        verb="set_pin" if pin else "clear_pin",
        before=gallery.status,
        after=gallery.status,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        at=now,
    )


def is_unlocked(request: HttpRequest, gallery: Gallery) -> bool:
    """Whether this browser may go on: no PIN, or this gallery's PIN was given here."""
    if not gallery.pin_hash:
        return True
    given = str(request.session.get(SESSION_KEY, {}).get(gallery.public_id, ""))
    return secrets.compare_digest(given, _mark(gallery))


def unlock(request: HttpRequest, gallery: Gallery, pin: str, *, now: datetime) -> Answer:
    """Try a PIN. Every try counts, also the right one, before the slow comparison."""
    within = [
        throttles.allow(f"pin:gallery:{gallery.pk}", limit=PER_GALLERY, per=WINDOW, now=now),
        throttles.allow(f"pin:network:{throttles.network(request)}", limit=PER_NETWORK, per=WINDOW, now=now),
    ]
    if not all(within):
        return Answer.TOO_OFTEN
    if not gallery.pin_hash or not check_password(pin.strip(), gallery.pin_hash):
        return Answer.WRONG
    opened = {**request.session.get(SESSION_KEY, {}), gallery.public_id: _mark(gallery)}
    request.session.cycle_key()
    request.session[SESSION_KEY] = opened
    return Answer.OPEN


def _mark(gallery: Gallery) -> str:
    return salted_hmac("galleries.locks", f"{gallery.pk}:{gallery.pin_hash}", algorithm="sha256").hexdigest()
