"""How full the studio is: when the pictures of a shoot that is not booked yet would be finished.

What is queued, what is waited for and what is booked is worked off in the order in which it comes in, by everybody who
retouches together, at their measured pace, in working hours. The booking pages ask through `studio.promises`; where the
answer is later than the rule they say the later date.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import F

from galleries import board, risk
from galleries.models import Gallery
from galleries.statuses import CLOSED, GalleryStatus
from studio.models import Location
from studio.promises import Finish, calendar_of, workload

OVER = (GalleryStatus.DELIVERED, *CLOSED)


@workload
def of_the_studio(location: Location, now: datetime) -> Finish | None:
    """When pictures would be finished, given all that is in hand at this moment. None where nobody retouches."""
    people = board.retouchers()
    if not people:
        return None
    pace = risk.minutes_per_pick(now=now)
    a_minute = sum(
        1 / pace.get(person, risk.DEFAULT_MINUTES) for person in people
    )  # pictures by all together
    calendar = calendar_of(location, first_on=now.date() - timedelta(days=1))
    return Queue(risk.WorkingTime(calendar, now), arrivals(now=now), a_minute=a_minute).finish


def arrivals(*, now: datetime) -> list[tuple[datetime, int]]:
    """When work comes in and how many pictures: what is in hand comes now, what is booked when its shoot ends."""
    in_hand = [(now, row.open_picks) for row in board.queue()]
    rest = Gallery.objects.filter(deliver_by=None).exclude(status__in=OVER)
    booked = rest.values_list("shoot__ends_at", F("finals_included") + F("finals_extra"))
    return in_hand + [(max(now, ends_at), pictures) for ends_at, pictures in booked]


class Queue:
    """Work in the order it comes in, at so many pictures a working minute."""

    def __init__(
        self, time: risk.WorkingTime, work: Iterable[tuple[datetime, int]], *, a_minute: float
    ) -> None:
        self._time, self._a_minute = time, a_minute
        self._comes: list[float] = []
        self._free: list[float] = []  # when everything that came until then is done
        free = 0.0
        for at, pictures in sorted(work):
            comes = time.until(at)
            free = max(free, comes) + pictures / a_minute
            self._comes.append(comes)
            self._free.append(free)

    def finish(self, ended_at: datetime, pictures: int) -> datetime | None:
        """When so many pictures of a shoot that ends then are finished; None: beyond four months."""
        comes = self._time.until(ended_at)
        place = bisect_right(self._comes, comes)
        free = self._free[place - 1] if place else 0.0
        return self._time.after(max(free, comes) + pictures / self._a_minute)
