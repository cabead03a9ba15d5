"""Mail and texts are rows, written in the transaction of their cause, sent by a worker, visible on the desk.

A template is a folder `templates/emails/<name>/` with subject.txt, body.txt and (optionally) body.html.
`once` makes a message unique for its reason: queued twice, sent once.
"""

import logging
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError, models, transaction
from django.template.loader import render_to_string, select_template
from django.utils import translation

from studio import alerts, texts, wording
from studio.actors import WORKER, Actor
from studio.background import ring_on_commit
from studio.discreet import without_keys
from studio.models import Channel, Message, MessageStatus, Studio
from studio.transitions import MoveRefused, begin, move, move_where

log = logging.getLogger(__name__)
BACKOFF = [timedelta(minutes=m) for m in (1, 5, 20, 60, 180, 720)]
STALE = timedelta(minutes=5)


class Recipient(Protocol):
    """Whoever can be written to: a Client of the bookings, or a User."""

    pk: Any
    name: str
    email: str


class TextRecipient(Protocol):
    """Whoever can be sent a text."""

    pk: Any
    name: str
    mobile: str


def queue_message(
    name: str,
    *,
    to: Recipient,
    about: models.Model | None,
    context: Mapping[str, Any],
    now: datetime,
    due_at: datetime | None = None,
    once: str | None = None,
    by: Actor = WORKER,
    attachments: Sequence[Mapping[str, str]] = (),
    unsubscribe_url: str = "",
) -> Message | None:
    """Write a message row from the templates of `name`. None if this `once` was queued before.

    Nobody who was erased is written to: None as well.
    The worker is rung on commit; without a broker the sweep sends it.
    """
    from studio.tasks import send_messages

    if getattr(to, "erased_at", None) is not None:
        return None
    language = getattr(to, "language", settings.LANGUAGE_CODE)
    with translation.override(language):
        values = {"to": to, "studio": Studio.objects.first(), "site_url": settings.SITE_URL, **context}
        subject, text = wording.worded(name, values) or _from_files(name, values)
        drawn = select_template([f"emails/{name}/body.html", "emails/letter.html"])
        html = drawn.render({**values, "subject": subject, "text": text})
    message = Message(
        name=name,
        to_address=to.email,
        to_name=to.name,
        subject=subject[:300],
        body_text=text,
        body_html=html,
        attachments=list(attachments),
        unsubscribe_url=unsubscribe_url,
        about_model=about._meta.label_lower if about is not None else "",
        about_id=about.pk if about is not None else None,
        client_id=to.pk if to._meta.model_name == "client" else None,  # type: ignore[attr-defined]
        once=once,
        due_at=due_at or now,
        created_at=now,
    )
    try:
        with transaction.atomic():
            begin(message, by=by, now=now)
    except IntegrityError:
        if once and Message.objects.filter(once=once).exists():
            return None
        raise
    if message.due_at <= now:
        ring_on_commit(send_messages)
    return message


def queue_written(name: str, *, to_address: str, subject: str, text: str, now: datetime) -> Message:
    """Write a row for a mail whose words are there already: what the sign-in writes to people of the studio."""
    from studio.tasks import send_messages

    message = Message(
        name=name[:60],
        to_address=to_address,
        subject=subject[:300],
        body_text=text,
        due_at=now,
        created_at=now,
    )
    with transaction.atomic():
        begin(message, by=WORKER, now=now)
        ring_on_commit(send_messages)
    return message


def _from_files(name: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and body as the template files say them."""
    subject = " ".join(render_to_string(f"emails/{name}/subject.txt", values).split())
    return subject, render_to_string(f"emails/{name}/body.txt", values).strip() + "\n"


def queue_text(
    name: str,
    *,
    to: TextRecipient,
    about: models.Model,
    context: Mapping[str, Any],
    now: datetime,
    due_at: datetime | None = None,
    once: str,
    by: Actor = WORKER,
) -> Message | None:
    """Write a text message from `texts/<name>.txt` (or the studio's own words). None without a number, or if this
    `once` was queued before. Where no provider is set up it waits on the desk from its due time on."""
    from studio.tasks import send_messages

    is_erased = getattr(to, "erased_at", None) is not None
    if is_erased or not to.mobile or Message.objects.filter(once=once).exists():
        return None
    with translation.override(getattr(to, "language", settings.LANGUAGE_CODE)):
        values = {"to": to, "studio": Studio.objects.first(), "site_url": settings.SITE_URL, **context}
        own = wording.worded(name, values)
        text = " ".join((own[1] if own else render_to_string(f"texts/{name}.txt", values)).split())
    message = Message(
        channel=Channel.SMS,
        name=name,
        to_address=to.mobile,
        to_name=to.name,
        subject=text[:300],
        body_text=text[: texts.LONGEST],
        about_model=about._meta.label_lower,
        about_id=about.pk,
        client_id=to.pk,
        once=once,
        due_at=due_at or now,
        created_at=now,
    )
    try:
        with transaction.atomic():
            begin(message, by=by, now=now)
    except IntegrityError:
        if Message.objects.filter(once=once).exists():
            return None
        raise
    if message.due_at <= now:
        ring_on_commit(send_messages)
    return message


def sent_by_hand(*, message_id: int, by: Actor, now: datetime) -> bool:
    """Somebody sent a text from their own phone. False if it was marked before."""
    try:
        return move(Message, message_id, "sent_by_hand", by=by, now=now) is not None
    except MoveRefused:
        return False


def cancel_messages(
    *, about: models.Model, now: datetime, names: Sequence[str] = (), by: Actor = WORKER
) -> int:
    """Take back what was queued and not yet sent about a thing: no reminder after a cancellation."""
    waiting = Message.objects.filter(about_model=about._meta.label_lower, about_id=about.pk)
    if names:
        waiting = waiting.filter(name__in=names)
    return len(move_where(waiting, "cancel", by=by, now=now))


def send_next(*, now: datetime) -> bool:
    """Send the next due message; False when none waits. A refused one is tried again later, then marked failed.

    The claim is committed before the mail server is spoken to: a worker killed in between leaves a message in
    "sending", which the sweep puts back after five minutes. Only then can one be sent twice.
    """
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(skip_locked=True)
            .filter(status=MessageStatus.QUEUED, due_at__lte=now)
            .order_by("due_at", "pk")
            .first()
        )
        if message is None:
            return False
        move(Message, message.pk, "claim", by=WORKER, now=now, attempts=message.attempts + 1)
    if message.channel == Channel.SMS and texts.provider() is None:
        move(Message, message.pk, "hand_over", by=WORKER, now=now)
        return True
    try:
        _send(message)
    except Exception as error:
        _put_off(message, error, now=now)
    else:
        move(Message, message.pk, "sent", by=WORKER, now=now, **_without_links(message))
    return True


def _without_links(message: Message) -> dict[str, str]:
    """A sent message keeps its words but not its secret links: a copy of the database opens no gallery.

    The demo keeps them, because there the desk is where mail is read.
    """
    if settings.DEMO:
        return {}
    return {
        "body_text": without_keys(message.body_text),
        "body_html": without_keys(message.body_html),
    }


def _send(message: Message) -> None:
    if message.channel == Channel.WEBHOOK:
        alerts.send(message)
        return
    if message.channel == Channel.SMS:
        provider = texts.provider()
        assert provider is not None  # send_next handed it over otherwise
        provider.send(to=message.to_address, text=message.body_text, reference=message.public_id)
        return
    mail = EmailMultiAlternatives(
        subject=message.subject,
        body=message.body_text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[_addressed(message.to_name, message.to_address)],
        headers={
            "Message-ID": f"<{message.public_id}@likeness>",
            "Auto-Submitted": "auto-generated",
            **_one_tap(message),
        },
    )
    if message.body_html:
        mail.attach_alternative(message.body_html, "text/html")
    for attachment in message.attachments:
        content = attachment["text"] if "text" in attachment else b64decode(attachment["base64"])
        mail.attach(attachment["name"], content, attachment["type"])
    mail.send()


def _addressed(name: str, address: str) -> str:
    """Name and address as one header. A name is quoted, so what would end the quotation is left out of it."""
    name = "".join(letter for letter in name if letter.isprintable() and letter not in '"\\')
    return f'"{name}" <{address}>' if name.strip() else address


def _one_tap(message: Message) -> dict[str, str]:
    """The headers by which a mail program ends mails of this kind with one tap (RFC 8058)."""
    if not message.unsubscribe_url:
        return {}
    return {
        "List-Unsubscribe": f"<{message.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _put_off(message: Message, error: Exception, *, now: datetime) -> None:
    sentence = f"{type(error).__name__}: {error}"[:300]
    tries = message.attempts + 1
    if tries > len(BACKOFF):
        move(Message, message.pk, "fail", by=WORKER, now=now, last_error=sentence)
        log.error("Message %s failed for good", message.public_id)
    else:
        due_at = now + BACKOFF[tries - 1]
        move(Message, message.pk, "again", by=WORKER, now=now, last_error=sentence, due_at=due_at)


def sweep(*, now: datetime) -> int:
    """Put back what a killed worker left in "sending"; ring if anything is due. Returns how many were put back."""
    from studio.tasks import send_messages

    stale = Message.objects.filter(status=MessageStatus.SENDING, claimed_at__lt=now - STALE)
    back = len(move_where(stale, "again", by=WORKER, now=now))
    if Message.objects.filter(status=MessageStatus.QUEUED, due_at__lte=now).exists():
        ring_on_commit(send_messages)
    return back


class DeskBackend(BaseEmailBackend):
    """The demo's mail server: nothing leaves the machine, every message can be read on the desk."""

    def send_messages(self, email_messages: Sequence[Any]) -> int:
        return len(email_messages)
