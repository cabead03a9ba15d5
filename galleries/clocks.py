"""Camera clocks: how far each is from the studio's, learned once from a photograph of the clock page, or typed in."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from galleries.models import CameraClock
from studio.actors import Actor
from studio.models import Location

log = logging.getLogger(__name__)

MOST = timedelta(days=366 * 30)  # a camera whose battery was out says 2000 or so


class BadClock(Exception):
    """An offset that cannot be kept; the message says why."""


def set_offset(
    *, camera: str, offset: timedelta, how: CameraClock.How, by: Actor, now: datetime
) -> CameraClock:
    """Remember what is to be added to a camera's times from now on. Earlier rows stay. Raises BadClock."""
    camera = " ".join(camera.split())[:160]
    if not camera:
        raise BadClock(_("The file does not say which camera it is from."))
    if abs(offset) > MOST:
        raise BadClock(_("A clock cannot be that far off."))
    return CameraClock.objects.create(
        camera=camera, offset_seconds=round(offset.total_seconds()), how=how, set_at=now, set_by=str(by)[:200]
    )


def learn(
    *, camera: str, said_at: datetime, shown_at: datetime, by: Actor, now: datetime
) -> CameraClock | None:
    """The clock page showed `shown_at` when the camera wrote `said_at`. None when that cannot be used."""
    try:
        return set_offset(
            camera=camera, offset=shown_at - said_at, how=CameraClock.How.PHOTOGRAPHED, by=by, now=now
        )
    except BadClock as error:
        log.info("A photographed clock was not used: %s", error)
        return None


def offset_of(words: str) -> timedelta:
    """A typed difference: `+3`, `-1:00`, `0:00:40`: hours, minutes, seconds to add to the camera's time; a number alone
    counts minutes. Raises BadClock."""
    text = words.strip().replace("−", "-")
    sign = -1 if text.startswith("-") else 1
    parts = text.lstrip("+-").split(":")
    if not 1 <= len(parts) <= 3 or not all(
        part.isascii() and part.isdigit() and len(part) <= 6 for part in parts
    ):
        raise BadClock(_("Write the difference as hours and minutes, for example -1:00 or +0:03."))
    numbers = [int(part) for part in parts]
    if len(numbers) == 1:
        return sign * timedelta(minutes=numbers[0])
    hours, minutes, seconds = (*numbers, 0)[:3]
    return sign * timedelta(hours=hours, minutes=minutes, seconds=seconds)


def known(cameras: Iterable[str]) -> dict[str, timedelta]:
    """The offsets of these cameras, where one was ever set."""
    rows = CameraClock.objects.filter(camera__in=set(cameras)).order_by("set_at", "id")
    return {row.camera: timedelta(seconds=row.offset_seconds) for row in rows}


def latest() -> list[CameraClock]:
    """The offset in force of every camera, by name."""
    rows = CameraClock.objects.order_by("camera", "-set_at", "-id").distinct("camera")
    return list(rows)


def with_zone(said_at: datetime, location: Location) -> datetime:
    """A camera clock without a zone is taken to show the location's time."""
    return said_at if said_at.tzinfo is not None else said_at.replace(tzinfo=ZoneInfo(location.zone))


def in_words(seconds: int) -> str:
    """`+1:00:05`, as it is typed."""
    hours, rest = divmod(abs(seconds), 3600)
    return f"{'-' if seconds < 0 else '+'}{hours}:{rest // 60:02d}:{rest % 60:02d}"
