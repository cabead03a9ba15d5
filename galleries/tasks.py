"""The bells of the galleries. Each names no object: the domain finds what is most urgent."""

from django.utils import timezone

from galleries import (
    afterwards,
    alarms,
    cards,
    coldstore,
    copies,
    culling,
    farewells,
    forgetting,
    jobs,
    keeping,
    private_notes,
    proofing,
    receiving,
    retouching,
    wishes,
    workroom,
    year_later,
)
from studio.background import image_task, only_one, quick_task, ring
from studio.models import Heartbeat


@image_task
def work() -> None:
    """Do the most urgent piece of pixel work, ring again if there may be more."""
    if jobs.work_next(now=timezone.now()):
        ring(work)


@quick_task
def sweep() -> None:
    """Each minute: put back what dead workers left, ring for what waits, follow up silent clients."""
    now = timezone.now()
    with only_one("galleries.sweep") as mine:
        if mine:
            jobs.sweep(now=now)
            proofing.sweep(now=now)
            retouching.sweep(now=now)
            receiving.sweep(now=now)
            cards.sweep(now=now)
            workroom.sweep(now=now)
            culling.forget_refused(now=now)
            culling.drop_loupes(now=now)
            copies.sweep(now=now)
            forgetting.sweep(now=now)
            wishes.sweep(now=now)
            Heartbeat.objects.update_or_create(name="galleries.sweep", defaults={"beat_at": now})


@quick_task
def sweep_deadlines() -> None:
    """Each minute: give the warnings that are due and record what was missed."""
    now = timezone.now()
    with only_one("galleries.sweep_deadlines") as mine:
        if mine:
            alarms.sweep(now=now)
            afterwards.sweep(now=now)
            year_later.sweep(now=now)
            private_notes.forget_due(now=now)
            Heartbeat.objects.update_or_create(name="galleries.sweep_deadlines", defaults={"beat_at": now})


@quick_task
def check_originals() -> None:
    """Each hour: read back some originals, those not looked at for longest first."""
    now = timezone.now()
    with only_one("galleries.check_originals") as mine:
        if mine:
            keeping.check_originals(now=now)
            Heartbeat.objects.update_or_create(name="galleries.check_originals", defaults={"beat_at": now})


@quick_task
def put_away() -> None:
    """Each hour: move originals to the archive, bring back what was asked for, tell and erase what is due."""
    now = timezone.now()
    with only_one("galleries.put_away") as mine:
        if mine:
            while coldstore.bring_back_next(now=now):
                pass
            coldstore.sweep(now=now)
            farewells.sweep(now=now)
            Heartbeat.objects.update_or_create(name="galleries.put_away", defaults={"beat_at": now})


@quick_task
def bring_back() -> None:
    """Bring the originals of one gallery back from the archive, ring again if more wait."""
    with only_one("galleries.bring_back") as mine:
        if mine and coldstore.bring_back_next(now=timezone.now()):
            ring(bring_back)


@quick_task
def make_copies() -> None:
    """Make one copy of everything kept about somebody, ring again if more wait."""
    if copies.make_next(now=timezone.now()):
        ring(make_copies)


@quick_task
def forget_people() -> None:
    """Go on with one erasure, ring again if more are due."""
    if forgetting.work_next(now=timezone.now()):
        ring(forget_people)
