"""A picture was shown to the wrong client: hide it at once, close the links, say who could see it, tell them honestly.

Hiding comes first and needs no thought: one tap, one transaction. From then on neither the picture nor anything made of
it is served to a client, whatever they have open; every link to that gallery is revoked and ends with its next request
(a stream within seconds, an address handed to the store within a minute). What is known about who saw it is written
down in the same moment and never changed.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from bookings.models import Client
from galleries.deadlines import owners
from galleries.models import Download, Gallery, Leak, Photo
from galleries.proofing import locked, sitter_of
from studio import credentials
from studio.actors import Actor
from studio.models import Credential, StatusChange, Studio
from studio.outbox import queue_message

SHOWN, PICTURED = "shown", "pictured"  # whom to tell: who could see it, and who is in it


class NotNow(Exception):
    """This step does not fit the state of the leak; the message says why."""


@transaction.atomic
def hide(*, photo_ids: Iterable[int], words: str = "", by: Actor, now: datetime) -> list[Leak]:
    """Take pictures back that a client may have seen, and begin a record for each. One that is taken back already has
    its record. All of one gallery; its links are revoked whoever holds them.
    """
    first = Photo.objects.filter(pk__in=list(photo_ids)).first()
    if first is None:
        return []
    gallery = locked(first.gallery_id)
    photos = gallery.photos.filter(pk__in=list(photo_ids), withdrawn_at=None)
    hidden = list(photos.select_for_update(of=("self",)).order_by("pk"))
    if not hidden:
        return list(Leak.objects.filter(photo__in=list(photo_ids), closed_at=None))
    seen = {photo.pk: who_saw(photo, gallery) for photo in hidden}
    revoked = credentials.revoke(scope="gallery", target=gallery.public_id, now=now)
    leaks = []
    for photo in hidden:
        if hasattr(photo, "pick") and not hasattr(photo.pick, "retouch"):
            photo.pick.delete()
        photo.withdrawn_at, photo.is_published, photo.is_recommended, photo.is_rejected = (
            now,
            False,
            False,
            True,
        )
        photo.save(update_fields=["withdrawn_at", "is_published", "is_recommended", "is_rejected"])
        leaks.append(
            Leak.objects.create(
                photo=photo,
                gallery=gallery,
                hidden_at=now,
                hidden_by=str(by)[:200],
                words=" ".join(words.split())[:300],
                links_revoked=revoked,
                seen=seen[photo.pk],
            )
        )
    _record(
        gallery, "hide_leak", f"{len(hidden)}: {', '.join(photo.name for photo in hidden)}", by=by, now=now
    )
    _tell_owners(gallery, leaks, now=now)
    return leaks


def who_saw(photo: Photo, gallery: Gallery) -> list[dict[str, Any]]:
    """Everybody who had a link to the gallery: whether it was opened, and what was fetched that may hold it."""
    fetched = Download.objects.filter(gallery=gallery).filter(Q(rendition=None) | Q(rendition__photo=photo))
    lines = []
    for link in Credential.objects.filter(scope="gallery", target=gallery.public_id).order_by("pk"):
        mine = fetched.filter(credential_id=link.pk).order_by("started_at", "pk")
        lines.append(
            {
                "who": link.holder_label or _("a link without a name"),
                "since": link.created_at.isoformat(),
                "opened": link.last_used_at.isoformat() if link.last_used_at else "",
                "downloads": [
                    {
                        "what": row.what,
                        "when": row.started_at.isoformat(),
                        "bytes": row.bytes_sent,
                        "issued": row.is_issued,
                    }
                    for row in mine
                ],
            }
        )
    return lines


def _fetch(row: Download) -> dict[str, Any]:
    when = row.started_at.isoformat()
    return {"what": row.what, "when": when, "bytes": row.bytes_sent, "issued": row.is_issued}


def was_opened(leak: Leak) -> bool:
    """Whether anybody opened a link to the gallery at all."""
    return any(line["opened"] for line in leak.seen)


def recipient(leak: Leak, whom: str) -> Client | None:
    """Whom a message goes to. Who is in the picture is known once the frame was moved to their booking."""
    if whom == SHOWN:
        return sitter_of(leak.gallery)
    if leak.photo is None or leak.photo.gallery_id == leak.gallery_id:
        return None
    return sitter_of(leak.photo.gallery)


def draft(leak: Leak, whom: str) -> str:
    """An honest message to begin with: what happened, what was done, what is asked, no excuse."""
    studio = Studio.objects.first()
    facts = {"studio": studio.name if studio else "", "fetched": _fetched(leak)}
    if whom == SHOWN:
        return (
            _(
                "We made a mistake: your gallery showed a picture of another client. We have taken it back. If you"
                " saved or forwarded it, please delete it and tell us.\n\nYour own pictures were shown to nobody else"
                " by this mistake. To be safe we closed your old link; a new one is below.\n\nWe are sorry."
                "\n\n%(studio)s"
            )
            % facts
        )
    return (
        _(
            "We made a mistake: a picture of you was put into another client's gallery and could be seen there."
            " %(fetched)s We have taken it back, closed every link to that gallery and asked the other client to delete"
            " what they may have saved. What was saved before that we cannot recall.\n\nYou may ask us anything about"
            " it, and you may complain to the data protection authority.\n\nWe are sorry.\n\n%(studio)s"
        )
        % facts
    )


def _fetched(leak: Leak) -> str:
    if not was_opened(leak):
        return _("As far as we can see nobody opened that gallery.")
    if any(line["downloads"] for line in leak.seen):
        return _("The gallery was opened, and files of it were downloaded.")
    return _("The gallery was opened; as far as we can see the picture was not downloaded.")


@transaction.atomic
def tell(*, leak_id: int, whom: str, words: str, by: Actor, now: datetime) -> bool:
    """Send the message as a person left it, and keep it word for word. False without an address. Raises NotNow."""
    leak = Leak.objects.select_for_update(of=("self",)).select_related("gallery", "photo").get(pk=leak_id)
    words = words.strip()
    if leak.closed_at is not None:
        raise NotNow(_("This record is closed."))
    if not words:
        raise NotNow(_("There is nothing to send yet."))
    to = recipient(leak, whom)
    if to is None or not to.email:
        return False
    link = ""
    if whom == SHOWN:
        given = credentials.grant(
            scope="gallery", target=leak.gallery.public_id, now=now, holder_id=to.pk, holder_label=str(to)
        )
        link = given.url
    queue_message(
        "leak_notice", to=to, about=leak.gallery, context={"words": words, "link": link}, now=now, by=by
    )
    heading = _("To %(who)s, %(when)s:") % {"who": to, "when": f"{now:%Y-%m-%d %H:%M} UTC"}
    leak.message = f"{leak.message}\n\n{heading}\n{words}".strip()
    leak.told_at, leak.told_by = now, str(by)[:200]
    leak.save(update_fields=["message", "told_at", "told_by"])
    return True


@transaction.atomic
def close(*, leak_id: int, outcome: str, by: Actor, now: datetime) -> bool:
    """End the record with how it ended. False if somebody already did. Raises NotNow without words."""
    leak = Leak.objects.select_for_update(of=("self",)).get(pk=leak_id)
    if leak.closed_at is not None:
        return False
    outcome = " ".join(outcome.split())[:300]
    if not outcome:
        raise NotNow(_("Say in a sentence how it ended."))
    leak.closed_at, leak.closed_by, leak.outcome = now, str(by)[:200], outcome
    leak.save(update_fields=["closed_at", "closed_by", "outcome"])
    return True


def _tell_owners(gallery: Gallery, leaks: list[Leak], *, now: datetime) -> None:
    for owner in owners():
        queue_message(
            "leak_found",
            to=owner,
            about=gallery,
            context={"gallery": gallery, "leak": leaks[0], "count": len(leaks)},
            once=f"leak_found:{leaks[0].pk}:{owner.pk}",
            now=now,
        )


def _record(gallery: Gallery, verb: str, words: str, *, by: Actor, now: datetime) -> None:
    StatusChange.objects.create(
        model=Gallery._meta.label_lower,
        object_id=gallery.pk,
        verb=verb,
        before=gallery.status,
        after=gallery.status,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        reason=words[:300],
        at=now,
    )
