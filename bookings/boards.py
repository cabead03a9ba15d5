"""Boards for `seating`, fetched with a fixed number of queries that look at the window and never at history.

A frame is what changes seldom: hours, closures, leave, notice, horizon. What others may be taking at this moment
(claims, busy times, the daily cap) is filled in afterwards. Where it matters both are asked for under the locks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from bookings.models import AddOn, Booking, Busy, Claim, ResourceDay, ResourceHours, SessionType
from bookings.seating import Board, Calendar, Chain, line_of
from bookings.statuses import ACTIVE_BOOKING, BookingStatus
from bookings.timeline import DAY, MINUTE, Timeline, Walls, instant
from studio.models import Closure, Location, OpeningHours


class Leeway(Enum):
    """How much of the studio's own rules may be set aside. Claims and busy times never are."""

    CLIENT = "client"
    STAFF = "staff"  # no notice, horizon or daily cap
    OVERRIDE = "override"  # nor the grid and the hours: needs a reason


@dataclass(frozen=True, slots=True)
class Player:
    """A Resource that could take part, with the skills that are asked for."""

    resource_id: int
    name: str
    skills: frozenset[int]
    follows_location: bool
    travel_gap: timedelta


@dataclass(frozen=True, slots=True)
class Cast:
    """What is to be booked and who could take part: everything that does not depend on a date."""

    session_type: SessionType
    location: Location
    add_ons: Sequence[tuple[AddOn, int]]
    chain: Chain
    players: Sequence[Player]

    @property
    def resource_ids(self) -> list[int]:
        """In the order in which their rows are locked."""
        return sorted(player.resource_id for player in self.players)


def frame(cast: Cast, *, first_on: date, last_on: date, now: datetime, leeway: Leeway) -> Board:
    """The board of the local dates `first_on` to `last_on`, with nothing taken yet."""
    session_type, location = cast.session_type, cast.location
    is_client, is_override = leeway is Leeway.CLIENT, leeway is Leeway.OVERRIDE
    zone = ZoneInfo(location.zone)
    beyond = now.astimezone(zone).date() + timedelta(days=session_type.horizon_days + 1)
    opening = OpeningHours.objects.filter(location=location)
    closures = Closure.objects.filter(location=location, on__range=(first_on - DAY, last_on + DAY))
    empty = Board(
        zone=location.zone,
        first_on=first_on,
        last_on=last_on,
        chain=cast.chain,
        calendars=(),
        opening=_by_weekday(opening.values_list("weekday", "opens_at", "closes_at")),
        closed=dict(closures.values_list("on", "closes_at")),
        increment=1 if is_override else session_type.increment_minutes,
        earliest=now + timedelta(hours=session_type.min_notice_hours) if is_client else now,
        latest=instant(zone, beyond, time()) - MINUTE if is_client else None,
        ignores_hours=is_override,
    )
    return replace(empty, calendars=_calendars(cast, line_of(empty)))


def _calendars(cast: Cast, line: Timeline) -> list[Calendar]:
    weeks: dict[int, list[tuple[int, time, time]]] = defaultdict(list)
    rows = ResourceHours.objects.filter(resource__in=cast.resource_ids)
    for resource_id, location_id, weekday, begins, until in rows.values_list(
        "resource", "location", "weekday", "starts_at", "ends_at"
    ):
        here = weeks[resource_id]  # having hours anywhere means: not here at other times
        if location_id == cast.location.pk:
            here.append((weekday, begins, until))
    days = _exceptions(cast, line)
    return [
        Calendar(
            resource_id=player.resource_id,
            name=player.name,
            skills=player.skills,
            hours=None
            if player.follows_location and player.resource_id not in weeks
            else _by_weekday(weeks[player.resource_id]),
            days=days[player.resource_id],
        )
        for player in cast.players
    ]


def _by_weekday(rows: Iterable[tuple[int, time, time]]) -> dict[int, list[Walls]]:
    week: dict[int, list[Walls]] = defaultdict(list)
    for weekday, begins, until in rows:
        week[weekday].append((begins, until))
    return dict(week)


def _exceptions(cast: Cast, line: Timeline) -> dict[int, dict[date, list[Walls]]]:
    """The dates on which weekly hours do not hold. A date marked "away" has no hours, whatever else it says."""
    days: dict[int, dict[date, list[Walls]]] = defaultdict(dict)
    away: set[tuple[int, date]] = set()
    dates = list(line.dates())
    for resource_id, location_id, on, begins, until in ResourceDay.objects.filter(
        resource__in=cast.resource_ids, on__range=(dates[0], dates[-1])
    ).values_list("resource", "location", "on", "starts_at", "ends_at"):
        walls = days[resource_id].setdefault(on, [])
        if begins is None or until is None:
            away.add((resource_id, on))
        elif location_id == cast.location.pk:
            walls.append((begins, until))
    for resource_id, on in away:
        days[resource_id][on] = []
    return days


# --- what others take ---------------------------------------------------------------------------------------


def filled(cast: Cast, board: Board, *, now: datetime, ignoring: int | None = None) -> Board:
    """The same board with what is taken at this moment. `ignoring` is the booking that is being moved."""
    taken = _taken(cast, line_of(board), now=now, ignoring=ignoring)
    return replace(
        board,
        calendars=[replace(calendar, taken=taken[calendar.resource_id]) for calendar in board.calendars],
        full_dates=_full_dates(cast, board.first_on, board.last_on, now=now, ignoring=ignoring)
        if is_capped(cast, board)
        else frozenset(),
    )


def is_capped(cast: Cast, board: Board) -> bool:
    """Whether a daily cap binds whoever asks: a client, whose horizon the board knows."""
    return board.latest is not None and cast.session_type.daily_cap is not None


def _taken(
    cast: Cast, line: Timeline, *, now: datetime, ignoring: int | None
) -> dict[int, list[tuple[datetime, datetime]]]:
    """Claims and busy times per Resource. One at another location takes the way there and back as well.

    Claims of a hold that has lapsed and was not swept yet hold nothing. They are asked for apart, by their own small
    index: a join would read every booking there ever was.
    """
    gaps = {player.resource_id: player.travel_gap for player in cast.players}
    widest = max(gaps.values(), default=timedelta())
    begins_at, ends_at = line.at(0), line.at(line.length)
    taken: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    lapsed = Booking.objects.filter(status=BookingStatus.HELD, hold_expires_at__lte=now)
    let_go = {ignoring, *lapsed.values_list("pk", flat=True)}
    claims = [
        row
        for row in Claim.objects.filter(
            is_active=True,
            resource__in=cast.resource_ids,
            ends_at__gt=begins_at - widest,
            starts_at__lt=ends_at + widest,
        ).values_list("resource", "starts_at", "ends_at", "booking_id")
        if row[3] not in let_go
    ]
    elsewhere = _elsewhere(cast, {row[3] for row in claims if gaps[row[0]]})
    for resource_id, begins, until, booking_id in claims:
        if booking_id in elsewhere and (gap := gaps[resource_id]):
            begins, until = begins - gap, until + gap
        taken[resource_id].append((begins, until))
    busy = Busy.objects.filter(resource__in=cast.resource_ids, ends_at__gt=begins_at, starts_at__lt=ends_at)
    for resource_id, begins, until in busy.values_list("resource", "starts_at", "ends_at"):
        taken[resource_id].append((begins, until))
    return taken


def _elsewhere(cast: Cast, booking_ids: set[int]) -> set[int]:
    """Which of these bookings are at another location."""
    if not booking_ids:
        return set()
    rows = Booking.objects.filter(pk__in=booking_ids).exclude(location=cast.location)
    return set(rows.values_list("pk", flat=True))


def has_room_on(cast: Cast, starts_at: datetime, *, now: datetime) -> bool:
    """Whether the session type may have one more booking on the local date of an instant (its daily cap). Call it with
    the session type locked."""
    if cast.session_type.daily_cap is None:
        return True
    on = starts_at.astimezone(ZoneInfo(cast.location.zone)).date()
    return on not in _full_dates(cast, on, on, now=now, ignoring=None)


def _full_dates(
    cast: Cast, first_on: date, last_on: date, *, now: datetime, ignoring: int | None
) -> frozenset[date]:
    """The local dates on which the session type has as many standing bookings as it may."""
    zone = ZoneInfo(cast.location.zone)
    rows = Booking.objects.filter(
        session_type=cast.session_type,
        location=cast.location,
        status__in=ACTIVE_BOOKING,
        starts_at__gte=instant(zone, first_on, time()),
        starts_at__lt=instant(zone, last_on + DAY, time()),
    ).exclude(status=BookingStatus.HELD, hold_expires_at__lte=now)
    if ignoring is not None:
        rows = rows.exclude(pk=ignoring)
    days = Counter(begins.astimezone(zone).date() for begins in rows.values_list("starts_at", flat=True))
    return frozenset(on for on, count in days.items() if count >= (cast.session_type.daily_cap or 0))
