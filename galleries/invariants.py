"""What `manage.py verify` asks of the galleries."""

from collections.abc import Iterator
from datetime import datetime

from galleries.models import Gallery
from studio import workdays
from studio.verification import invariant


@invariant("I7", "Every deliver_by equals the promise recomputed from its stored inputs")
def promises_recompute(now: datetime) -> Iterator[str]:
    """An open pause means no promise; otherwise rule S over the stored calendar and pauses gives the same instant."""
    rows = Gallery.objects.filter(clock_started_at__isnull=False).prefetch_related("pauses")
    for gallery in rows.iterator(chunk_size=500):
        try:
            expected = workdays.recompute(gallery.promise)
        except workdays.ClockPaused:
            expected = None
        except workdays.WorkdaysError as error:
            yield f"{gallery}: the stored promise cannot be read: {error}"
            continue
        if expected != gallery.deliver_by:
            yield f"{gallery}: deliver_by is {gallery.deliver_by}, its inputs give {expected}"
        stored = workdays.pauses_of(gallery.promise)
        rows_say = workdays.united(
            workdays.Pause(row.begins_at, row.ended_at) for row in gallery.pauses.all()
        )
        if gallery.alarm_at is not None and stored != rows_say:
            yield f"{gallery}: its pauses are not those its promise was computed with"
