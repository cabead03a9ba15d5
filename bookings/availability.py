"""Which Slots are open. This module fetches, with a fixed number of queries bounded by the window and not by history;
`seating` decides. The page only suggests: `holds` asks again under the Resource locks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, Q
from django.utils.formats import time_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bookings.models import (
    AddOn,
    Booking,
    Busy,
    Claim,
    Requirement,
    Resource,
    ResourceDay,
    ResourceHours,
    ResourceKind,
    SessionType,
)
from bookings.refusals import NotOffered
from bookings.seating import (
    Board,
    Calendar,
    Chain,
    Extra,
    Need,
    Post,
    Seat,
    Slot,
    chain_of,
    line_of,
    open_slots,
    opening_of,
    posts_of,
    works_of,
)
from bookings.statuses import ACTIVE_BOOKING, BookingStatus
from bookings.timeline import DAY, MINUTE, Timeline, Walls, instant, runs
from studio.models import Closure, Location, OpeningHours

__all__ = ["Cast", "Leeway", "Seat", "Slot", "cast_of", "nearby", "slot_at", "slots", "why_not"]


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


def slots(
    *,
    session_type: SessionType,
    location: Location,
    add_ons: Mapping[int, int],
    first_on: date,
    last_on: date,
    now: datetime,
    ignoring: int | None = None,
    leeway: Leeway = Leeway.CLIENT,
) -> list[Slot]:
    """Every open Slot whose arrival is on the local dates `first_on` to `last_on`, in order.

    `add_ons` maps primary keys to counts; `ignoring` is the booking that is being moved. Raises NotOffered for
    a session type, location or add-on that cannot be booked.
    """
    cast = cast_of(session_type=session_type, location=location, add_ons=add_ons)
    return cast_slots(cast, first_on=first_on, last_on=last_on, now=now, ignoring=ignoring, leeway=leeway)


def cast_slots(
    cast: Cast,
    *,
    first_on: date,
    last_on: date,
    now: datetime,
    ignoring: int | None = None,
    leeway: Leeway = Leeway.CLIENT,
) -> list[Slot]:
    """`slots` for a cast that is already known."""
    today = now.astimezone(ZoneInfo(cast.location.zone)).date()
    first_on = max(first_on, today - DAY)
    if leeway is Leeway.CLIENT:
        last_on = min(last_on, today + timedelta(days=cast.session_type.horizon_days))
    if last_on < first_on:
        return []
    return open_slots(_board(cast, first_on, last_on, now=now, ignoring=ignoring, leeway=leeway))


def slot_at(
    cast: Cast,
    starts_at: datetime,
    *,
    now: datetime,
    ignoring: int | None = None,
    leeway: Leeway = Leeway.CLIENT,
) -> Slot | None:
    """The open Slot that starts at an instant, if there is one."""
    on = starts_at.astimezone(ZoneInfo(cast.location.zone)).date()
    found = cast_slots(cast, first_on=on, last_on=on, now=now, ignoring=ignoring, leeway=leeway)
    return next((slot for slot in found if slot.starts_at == starts_at), None)


def nearby(
    cast: Cast, starts_at: datetime, *, now: datetime, ignoring: int | None = None, count: int = 6
) -> list[Slot]:
    """The open Slots closest to a time that is not, in order."""
    on = starts_at.astimezone(ZoneInfo(cast.location.zone)).date()
    found = cast_slots(cast, first_on=on - 3 * DAY, last_on=on + 7 * DAY, now=now, ignoring=ignoring)
    closest = sorted(found, key=lambda slot: abs(slot.starts_at - starts_at))[:count]
    return sorted(closest, key=lambda slot: slot.starts_at)


# --- fetching -----------------------------------------------------------------------------------------------


def chosen_add_ons(session_type: SessionType, add_ons: Mapping[int, int]) -> list[tuple[AddOn, int]]:
    """The add-ons with their counts, in the studio's order, with their requirements. Raises NotOffered."""
    wanted = {pk: count for pk, count in add_ons.items() if count}
    if not wanted:
        return []
    rows = (
        session_type.add_ons.filter(pk__in=wanted, is_active=True)
        .prefetch_related(Prefetch("requirements", Requirement.objects.order_by("pk")))
        .order_by("position", "name")
    )
    found = [(add_on, wanted[add_on.pk]) for add_on in rows]
    if len(found) != len(wanted):
        raise NotOffered(_("One of these add-ons is not offered with this session."))
    for add_on, count in found:
        if not 1 <= count <= add_on.max_count:
            raise NotOffered(
                ngettext(
                    "%(name)s can be booked once.",
                    "%(name)s can be booked up to %(count)d times.",
                    add_on.max_count,
                )
                % {"name": add_on.name, "count": add_on.max_count}
            )
    return found


def cast_of(*, session_type: SessionType, location: Location, add_ons: Mapping[int, int]) -> Cast:
    """Lay out the chain and find every Resource that could take part. Raises NotOffered."""
    return cast_for(
        session_type=session_type, location=location, chosen=chosen_add_ons(session_type, add_ons)
    )


def cast_for(*, session_type: SessionType, location: Location, chosen: Sequence[tuple[AddOn, int]]) -> Cast:
    """`cast_of` for add-ons that were already checked, as those of an existing booking."""
    needs = _needs(Requirement.objects.filter(session_type=session_type).order_by("pk"))
    extras = [
        Extra(
            add_on.name,
            add_on.minutes * count,
            add_on.placement,
            _needs(add_on.requirements.all()),
            add_on.pk,
        )
        for add_on, count in chosen
    ]
    chain = chain_of(purpose=session_type.name, minutes=session_type.minutes, needs=needs, extras=extras)
    skills = {need.skill_id for step in chain.steps for need in step.needs}
    return Cast(session_type, location, chosen, chain, _players(location, skills))


def _needs(rows: Iterable[Requirement]) -> tuple[Need, ...]:
    return tuple(Need(row.skill_id, row.count, row.before_minutes, row.after_minutes) for row in rows)


def _players(location: Location, skills: set[int]) -> list[Player]:
    rows = (
        Resource.objects.filter(is_active=True, skills__in=skills)
        .filter(Q(location=location) | Q(location=None))
        .order_by("position", "name", "pk")
        .values_list("pk", "name", "kind", "travel_gap_minutes", "skills")
    )
    skilled: dict[tuple[int, str, str, int], set[int]] = defaultdict(set)
    for pk, name, kind, gap, skill_id in rows:
        skilled[pk, name, kind, gap].add(skill_id)
    return [
        Player(pk, name, frozenset(has), kind != ResourceKind.PERSON, gap * MINUTE)
        for (pk, name, kind, gap), has in skilled.items()
    ]


def _board(
    cast: Cast, first_on: date, last_on: date, *, now: datetime, ignoring: int | None, leeway: Leeway
) -> Board:
    """Fetch what decides between two local dates. The number of queries does not depend on what is stored."""
    session_type, location = cast.session_type, cast.location
    is_client, is_override = leeway is Leeway.CLIENT, leeway is Leeway.OVERRIDE
    zone = ZoneInfo(location.zone)
    horizon = now.astimezone(zone).date() + timedelta(days=session_type.horizon_days + 1)
    empty = Board(
        zone=location.zone,
        first_on=first_on,
        last_on=last_on,
        chain=cast.chain,
        calendars=(),
        opening=_by_weekday(
            OpeningHours.objects.filter(location=location).values_list("weekday", "opens_at", "closes_at")
        ),
        closed=dict(
            Closure.objects.filter(location=location, on__range=(first_on - DAY, last_on + DAY)).values_list(
                "on", "closes_at"
            )
        ),
        increment=1 if is_override else session_type.increment_minutes,
        earliest=now + timedelta(hours=session_type.min_notice_hours) if is_client else now,
        latest=instant(zone, horizon, time()) - MINUTE if is_client else None,
        full_dates=_full_dates(cast, first_on, last_on, now=now, ignoring=ignoring)
        if is_client
        else frozenset(),
        ignores_hours=is_override,
    )
    return replace(empty, calendars=_calendars(cast, line_of(empty), now=now, ignoring=ignoring))


def _by_weekday(rows: Iterable[tuple[int, time, time]]) -> dict[int, list[Walls]]:
    week: dict[int, list[Walls]] = defaultdict(list)
    for weekday, begins, until in rows:
        week[weekday].append((begins, until))
    return dict(week)


def active_claims(*, now: datetime) -> Q:
    """Claims that hold their Resource: active, and not of a hold that has lapsed but was not swept yet."""
    return Q(is_active=True) & ~Q(booking__status=BookingStatus.HELD, booking__hold_expires_at__lte=now)


def _calendars(cast: Cast, line: Timeline, *, now: datetime, ignoring: int | None) -> list[Calendar]:
    ids = [player.resource_id for player in cast.players]
    here = cast.location.pk
    begins_at, ends_at = line.at(0), line.at(line.length)
    widest = max((player.travel_gap for player in cast.players), default=timedelta())
    weeks: dict[int, list[tuple[int, time, time]]] = defaultdict(list)
    for resource_id, location_id, weekday, begins, until in ResourceHours.objects.filter(
        resource__in=ids
    ).values_list("resource", "location", "weekday", "starts_at", "ends_at"):
        rows = weeks[resource_id]  # having hours anywhere means: not here at other times
        if location_id == here:
            rows.append((weekday, begins, until))
    gaps = {player.resource_id: player.travel_gap for player in cast.players}
    taken: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    claims = Claim.objects.filter(
        active_claims(now=now),
        resource__in=ids,
        ends_at__gt=begins_at - widest,
        starts_at__lt=ends_at + widest,
    )
    if ignoring is not None:
        claims = claims.exclude(booking=ignoring)
    for resource_id, begins_at_, until, location_id in claims.values_list(
        "resource", "starts_at", "ends_at", "booking__location"
    ):
        gap = gaps[resource_id] if location_id != here else None
        taken[resource_id].append((begins_at_ - gap, until + gap) if gap else (begins_at_, until))
    busy = Busy.objects.filter(resource__in=ids, ends_at__gt=begins_at, starts_at__lt=ends_at)
    for resource_id, begins_at_, until in busy.values_list("resource", "starts_at", "ends_at"):
        taken[resource_id].append((begins_at_, until))
    days = _exceptions(cast, ids, line)
    return [
        Calendar(
            resource_id=player.resource_id,
            name=player.name,
            skills=player.skills,
            hours=None
            if player.follows_location and player.resource_id not in weeks
            else _by_weekday(weeks[player.resource_id]),
            days=days[player.resource_id],
            taken=taken[player.resource_id],
        )
        for player in cast.players
    ]


def _exceptions(cast: Cast, ids: Sequence[int], line: Timeline) -> dict[int, dict[date, list[Walls]]]:
    """The dates on which weekly hours do not hold. A date marked "away" has no hours, whatever else it says."""
    days: dict[int, dict[date, list[Walls]]] = defaultdict(dict)
    away: set[tuple[int, date]] = set()
    dates = list(line.dates())
    for resource_id, location_id, on, begins, until in ResourceDay.objects.filter(
        resource__in=ids, on__range=(dates[0], dates[-1])
    ).values_list("resource", "location", "on", "starts_at", "ends_at"):
        walls = days[resource_id].setdefault(on, [])
        if begins is None or until is None:
            away.add((resource_id, on))
        elif location_id == cast.location.pk:
            walls.append((begins, until))
    for resource_id, on in away:
        days[resource_id][on] = []
    return days


def _full_dates(
    cast: Cast, first_on: date, last_on: date, *, now: datetime, ignoring: int | None
) -> frozenset[date]:
    cap = cast.session_type.daily_cap
    if cap is None:
        return frozenset()
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
    counts = Counter(
        starts_at.astimezone(zone).date() for starts_at in rows.values_list("starts_at", flat=True)
    )
    return frozenset(on for on, count in counts.items() if count >= cap)


# --- saying why ---------------------------------------------------------------------------------------------


def why_not(
    *,
    session_type: SessionType,
    location: Location,
    add_ons: Mapping[int, int],
    starts_at: datetime,
    now: datetime,
    ignoring: int | None = None,
) -> list[str]:
    """For staff: every reason why a time is not free, with names and times. Empty when it is free."""
    cast = cast_of(session_type=session_type, location=location, add_ons=add_ons)
    if slot_at(cast, starts_at, now=now, ignoring=ignoring) is not None:
        return []
    return rules_broken(cast, starts_at, now=now, ignoring=ignoring) + _people(
        cast, starts_at, now=now, ignoring=ignoring
    )


def rules_broken(
    cast: Cast,
    starts_at: datetime,
    *,
    now: datetime,
    ignoring: int | None = None,
    leeway: Leeway = Leeway.CLIENT,
) -> list[str]:
    """Why a time is no start time of this session, whoever is free: sentences a client may read."""
    zone = ZoneInfo(cast.location.zone)
    on = starts_at.astimezone(zone).date()
    if starts_at <= now:
        return [_("That time has passed.")]
    board = _board(cast, on, on, now=now, ignoring=ignoring, leeway=leeway)
    line = line_of(board)
    minute = line.floor(starts_at)
    found = []
    if board.earliest is not None and starts_at < board.earliest:
        found.append(
            _("This session is booked at least %(hours)d hours ahead.")
            % {"hours": cast.session_type.min_notice_hours}
        )
    if board.latest is not None and starts_at > board.latest:
        found.append(_("Bookings open %(days)d days ahead.") % {"days": cast.session_type.horizon_days})
    if line.at(minute) != starts_at or not line.grid(board.increment) >> minute & 1:
        found.append(_("Sessions do not start at that minute. Please choose one of the times shown."))
    if not runs(opening_of(board, line), cast.chain.minutes) >> minute & 1:
        found.append(_("The studio is not open for all of that time."))
    if on in board.full_dates:
        found.append(_("That day is fully booked for this session."))
    return found


def _people(cast: Cast, starts_at: datetime, *, now: datetime, ignoring: int | None) -> list[str]:
    on = starts_at.astimezone(ZoneInfo(cast.location.zone)).date()
    board = _board(cast, on, on, now=now, ignoring=ignoring, leeway=Leeway.STAFF)
    line = line_of(board)
    minute = line.floor(starts_at)
    opening = opening_of(board, line)
    names = {calendar.resource_id: calendar for calendar in board.calendars}
    found: list[str] = []
    for post in posts_of(board, line, opening):
        if not post.fits:
            found.append(_("Nobody can do %(what)s here.") % {"what": post.step.purpose})
        elif sum(fits >> minute & 1 for fits in post.fits.values()) < post.need.count:
            found += [
                _one(names[pk], post, board, line, minute)
                for pk, fits in post.fits.items()
                if not fits >> minute & 1
            ]
    return list(dict.fromkeys(found)) or [_("Not enough people or rooms are free at the same time.")]


def _one(calendar: Calendar, post: Post, board: Board, line: Timeline, minute: int) -> str:
    """Why one Resource cannot take a post: what takes it, or when it works."""
    zone = ZoneInfo(board.zone)
    claim_from, claim_until = line.at(minute + post.claims_from), line.at(minute + post.claims_until)
    clash = [span for span in calendar.taken if span[0] < claim_until and claim_from < span[1]]
    if clash:
        until = max(end for _begins, end in clash).astimezone(zone)
        return _("%(name)s is taken until %(time)s.") % {
            "name": calendar.name,
            "time": time_format(until.time(), "H:i"),
        }
    works = works_of(board, calendar, line, opening_of(board, line))
    begins, ends = minute + post.step.begins, minute + post.step.begins + post.step.minutes
    if works >> begins & 1:
        stops = next(at for at in range(begins, line.length + 1) if not works >> at & 1)
        wall = line.at(stops).astimezone(zone)
        return _("%(name)s works until %(time)s.") % {
            "name": calendar.name,
            "time": time_format(wall.time(), "H:i"),
        }
    starts = next((at for at in range(begins, ends + 12 * 60) if works >> at & 1), None)
    if starts is None:
        return _("%(name)s does not work then.") % {"name": calendar.name}
    wall = line.at(starts).astimezone(zone)
    return _("%(name)s starts at %(time)s.") % {
        "name": calendar.name,
        "time": time_format(wall.time(), "H:i"),
    }
