"""What a client may ask about their own data, on their private page: a copy of it, or to be forgotten.

Asking does nothing by itself: whoever holds a link is not always the person, and a wish to be forgotten may wait for
money. It becomes a line on the desk with the day by which it is answered, thirty days later: the month the law gives in
the EU and the UK, and less than others give. The client is told that day; the owners a week before it once more.
"""

import logging
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from bookings.models import Client
from galleries import deadlines
from galleries.models import PersonWish, WishKind
from studio import alerts
from studio.actors import Actor
from studio.outbox import queue_message

log = logging.getLogger(__name__)
ANSWERED_WITHIN = timedelta(days=30)
REMIND_BEFORE = timedelta(days=7)


class NotNow(Exception):
    """This cannot be wished or settled now; the message is a sentence."""


def open_wishes() -> "QuerySet[PersonWish]":
    """What waits for an answer, the nearest day first."""
    return PersonWish.objects.filter(settled_at=None).select_related("client")


def ask(*, client_id: int, kind: str, now: datetime) -> PersonWish:
    """A client asks; they and the owners are told by when it is answered. Asked again it is the same wish.

    Raises NotNow for what cannot be wished, and for somebody who was erased.
    """
    if kind not in WishKind.values:
        raise NotNow(_("Please say what you wish."))
    try:
        with transaction.atomic():
            client = Client.objects.select_for_update(no_key=True).get(pk=client_id)
            if client.erased_at is not None:
                raise NotNow(_("What we kept about you is erased already."))
            if found := PersonWish.objects.filter(client=client, kind=kind, settled_at=None).first():
                return found
            wish = PersonWish.objects.create(
                client=client, kind=kind, asked_at=now, due_at=now + ANSWERED_WITHIN
            )
            queue_message(
                "person_wish",
                to=client,
                about=client,
                context={"wish": wish},
                now=now,
                once=f"person_wish:{wish.pk}",
            )
            _tell_owners(wish, "desk_person_wish", now=now)
            alerts.alert(
                _("A client asks: %(what)s. To be answered by %(day)s.")
                % {"what": wish.get_kind_display(), "day": f"{wish.due_at:%Y-%m-%d}"},
                about=client,
                once=f"person_wish_alert:{wish.pk}",
                now=now,
            )
            return wish
    except IntegrityError:  # the other half of a double click
        return PersonWish.objects.get(client=client_id, kind=kind, settled_at=None)


def settle(*, wish_id: int, words: str, by: Actor, now: datetime) -> bool:
    """An owner answered it, and says how. False if somebody already did. Raises NotNow without words."""
    words = " ".join(words.split())[:300]
    if not words:
        raise NotNow(_("Say in a sentence how it was answered."))
    rows = PersonWish.objects.filter(pk=wish_id, settled_at=None)
    return bool(rows.update(settled_at=now, settled_by=str(by)[:200], settled_words=words))


def settle_by_erasing(client: Client, *, by: str, now: datetime) -> None:
    """Everything they could wish is done. Inside the caller's transaction."""
    PersonWish.objects.filter(client=client, settled_at=None).update(settled_at=now, settled_by=by)


def _tell_owners(wish: PersonWish, name: str, *, now: datetime) -> None:
    for owner in deadlines.owners():
        queue_message(
            name,
            to=owner,
            about=wish.client,  # so that its words go with the person
            context={"wish": wish},
            now=now,
            once=f"{name}:{wish.pk}:{owner.pk}",
        )


def sweep(*, now: datetime) -> int:
    """Remind the owners once of what is due within a week. Returns how many wishes that were."""
    near = open_wishes().filter(due_at__lte=now + REMIND_BEFORE, reminded_at=None)
    return sum(_remind(wish, now=now) for wish in near[:100])


@transaction.atomic
def _remind(wish: PersonWish, *, now: datetime) -> bool:
    if not PersonWish.objects.filter(pk=wish.pk, settled_at=None, reminded_at=None).update(reminded_at=now):
        return False
    _tell_owners(wish, "desk_person_wish_due", now=now)
    return True
