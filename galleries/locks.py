"""A PIN on a gallery, or on one person's link to it. It opens nothing by itself: it is asked after the link.

A person's own PIN is asked instead of the gallery's. Tries are counted per gallery and per network before anything is
hashed. What is unlocked is remembered in the browser's session for this one gallery and this one PIN: others ask anew.
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
from studio.models import Credential, StatusChange

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
    pin_hash = hashed(pin)
    gallery = deadlines.locked(gallery_id)
    gallery.pin_hash = pin_hash
    gallery.save(update_fields=["pin_hash"])
    StatusChange.objects.create(
        model=Gallery._meta.label_lower,
        object_id=gallery.pk,
        verb="set_pin" if pin_hash else "clear_pin",
        before=gallery.status,
        after=gallery.status,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        at=now,
    )


@transaction.atomic
def set_link_pin(*, credential_id: int, pin: str, now: datetime) -> None:
    """Ask the holder of this link for a PIN of their own; an empty one takes it away. Raises BadPin."""
    Credential.objects.filter(pk=credential_id, expires_at__gt=now).update(pin_hash=hashed(pin))


def hashed(pin: str) -> str:
    """A PIN as it is stored; "" for none. Raises BadPin."""
    pin = pin.strip()
    if pin and not (pin.isascii() and pin.isdigit() and len(pin) in DIGITS):
        raise BadPin(_("A PIN is 4 to 12 digits."))
    return make_password(pin) if pin else ""


def pin_of(gallery: Gallery, credential: Credential | None) -> str:
    """The PIN (hashed) that is asked for: the person's own, else the gallery's; "" for none."""
    return (credential.pin_hash if credential is not None else "") or gallery.pin_hash


def is_unlocked(request: HttpRequest, gallery: Gallery, credential: Credential | None) -> bool:
    """Whether this browser may go on: no PIN, or the right one was given here."""
    asked = pin_of(gallery, credential)
    if not asked:
        return True
    given = str(request.session.get(SESSION_KEY, {}).get(gallery.public_id, ""))
    return secrets.compare_digest(given, _mark(gallery, asked))


def unlock(
    request: HttpRequest, gallery: Gallery, credential: Credential | None, pin: str, *, now: datetime
) -> Answer:
    """Try a PIN. Every try counts, also the right one, before the slow comparison."""
    within = [
        throttles.allow(f"pin:gallery:{gallery.pk}", limit=PER_GALLERY, per=WINDOW, now=now),
        throttles.allow(f"pin:network:{throttles.network(request)}", limit=PER_NETWORK, per=WINDOW, now=now),
    ]
    if not all(within):
        return Answer.TOO_OFTEN
    asked = pin_of(gallery, credential)
    if not asked or not check_password(pin.strip(), asked):
        return Answer.WRONG
    opened = {**request.session.get(SESSION_KEY, {}), gallery.public_id: _mark(gallery, asked)}
    request.session.cycle_key()
    request.session[SESSION_KEY] = opened
    return Answer.OPEN


def _mark(gallery: Gallery, asked: str) -> str:
    return salted_hmac("galleries.locks", f"{gallery.pk}:{asked}", algorithm="sha256").hexdigest()
