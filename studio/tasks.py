from django.utils import timezone

from studio import links, outbox, throttles
from studio.background import only_one, quick_task, ring
from studio.models import Heartbeat


@quick_task
def send_messages() -> None:
    """Send one message, ring again if more wait."""
    if outbox.send_next(now=timezone.now()):
        ring(send_messages)


@quick_task
def answer_link_requests() -> None:
    """Answer one request for fresh links, ring again if more wait."""
    if links.answer_next(now=timezone.now()):
        ring(answer_link_requests)


@quick_task
def sweep() -> None:
    """Each minute: put back stuck messages, forget old throttles, leave the heartbeat."""
    now = timezone.now()
    with only_one("studio.sweep") as mine:
        if mine:
            outbox.sweep(now=now)
            links.sweep(now=now)
            throttles.sweep(now=now)
            Heartbeat.objects.update_or_create(name="sweep", defaults={"beat_at": now})
