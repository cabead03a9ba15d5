"""What `manage.py verify` checks of the studio's own rows."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.apps import apps
from django.db.models import Count, F, OuterRef, Q, Subquery

from studio.models import Message, MessageStatus, StatusChange
from studio.transitions import HasStatus
from studio.verification import invariant

LATE = timedelta(minutes=5)


@invariant("I6", "Every promised message is sent or visibly failed, none is sent twice")
def messages_go_out_once(now: datetime) -> Iterator[str]:
    late = Message.objects.filter(
        Q(status=MessageStatus.QUEUED, due_at__lt=now - LATE)
        | Q(status=MessageStatus.SENDING, claimed_at__lt=now - LATE)
    )
    for message in late.order_by("due_at"):
        yield f"message {message.public_id} ({message.name}) was due at {message.due_at} and is {message.status}"
    twice = (
        StatusChange.objects.filter(model=Message._meta.label_lower, verb="sent")
        .values("object_id")
        .annotate(times=Count("pk"))
        .filter(times__gt=1)
    )
    for row in twice.order_by("object_id"):
        yield f"message row {row['object_id']} was sent {row['times']} times"


@invariant("I9", "Every status equals its last StatusChange")
def statuses_are_explained(now: datetime) -> Iterator[str]:
    for model in apps.get_models():
        if not issubclass(model, HasStatus):
            continue
        changes = StatusChange.objects.filter(model=model._meta.label_lower, object_id=OuterRef("pk"))
        last = Subquery(changes.order_by("-id").values("after")[:1])
        rows = model._default_manager.annotate(last_change=last)
        wrong = rows.filter(~Q(status=F("last_change")) | Q(last_change=None))
        for pk, status, change in wrong.order_by("pk").values_list("pk", "status", "last_change"):
            yield f"{model._meta.label} {pk} is {status}, its last change says {change or 'nothing'}"
