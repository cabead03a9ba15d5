"""Which Slots are open, and why a time is not. `boards` fetches, `seating` decides.

The page only suggests: `holds` asks again under the Resource locks.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, Q
from django.utils.formats import time_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bookings.boards import Cast, Leeway, Player, filled, frame, is_capped
from bookings.models import AddOn, Requirement, Resource, ResourceKind, SessionType
from bookings.refusals import NotOffered
from bookings.seating import (
    Board,
    Calendar,
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
from bookings.timeline import DAY, MINUTE, Timeline, runs
from studio.models import Location

__all__ = [
    "Cast",
    "Enquiry",
    "Leeway",
    "Seat",
    "Slot",
    "cast_of",
    "cast_slots",
    "enquire",
    "slot_at",
    "slots",
    "why_not",
]

NEARBY_BEFORE, NEARBY_AFTER = 3 * DAY, 7 * DAY


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
    first_on = max(first_on, today)
    if leeway is Leeway.CLIENT:
        last_on = min(last_on, today + timedelta(days=cast.session_type.horizon_days))
    if last_on < first_on:
        return []
    board = frame(cast, first_on=first_on, last_on=last_on, now=now, leeway=leeway)
    return open_slots(filled(cast, board, now=now, ignoring=ignoring))


def slot_at(
    cast: Cast,
    starts_at: datetime,
    *,
    now: datetime,
    ignoring: int | None = None,
    leeway: Leeway = Leeway.CLIENT,
) -> Slot | None:
    """The open Slot that starts at an instant, if there is one."""
    return enquire(cast, starts_at, now=now, ignoring=ignoring, leeway=leeway).slot()


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
    return enquire(cast, starts_at, now=now, ignoring=ignoring).why_not()


# --- one time -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Enquiry:
    """A question about one start time. Hours, closures and leave are fetched with its first answer and kept; each
    answer about who is free asks the database anew. Under the locks it is asked `again`: both are of one moment.

    `is_any_minute`: a booking that stands asks, which neither the grid nor notice, horizon and cap bind.
    """

    cast: Cast
    starts_at: datetime
    now: datetime
    ignoring: int | None = None
    leeway: Leeway = Leeway.CLIENT
    is_any_minute: bool = False

    def again(self) -> "Enquiry":
        """The same question with the hours, closures and leave of the moment it is answered."""
        return replace(self)

    @cached_property
    def frame(self) -> Board:
        """Hours, closures and leave of the days around the time, with nothing taken yet."""
        on = self.starts_at.astimezone(ZoneInfo(self.cast.location.zone)).date()
        first_on, last_on = on - NEARBY_BEFORE, on + NEARBY_AFTER
        board = frame(self.cast, first_on=first_on, last_on=last_on, now=self.now, leeway=self.leeway)
        return replace(board, increment=1, earliest=self.now, latest=None) if self.is_any_minute else board

    def rules_broken(self) -> list[str]:
        """Why this is no start time of the session, whoever is free: sentences a client may read."""
        if self.starts_at <= self.now:
            return [_("That time has passed.")]
        return list(_rules_broken(self.cast, self.day(), self.starts_at))

    def slot(self) -> Slot | None:
        """The Slot that starts then, if it is open at this moment."""
        board = filled(self.cast, self.day(), now=self.now, ignoring=self.ignoring)
        found = open_slots(_present_first(board, self.starts_at) if board.ignores_hours else board)
        return next((slot for slot in found if slot.starts_at == self.starts_at), None)

    def outside_hours(
        self, stay: tuple[datetime, datetime], work: Sequence[tuple[int, datetime, datetime]]
    ) -> list[str]:
        """For staff: that the place is not open for all of a stay, or else which of these Resources do not work from
        one instant to the other. Empty when all do. One that is in no cast any more is not asked."""
        board = self.day()
        line = line_of(board)
        opening = opening_of(board, line)

        def covers(minutes: int, begins: datetime, until: datetime) -> bool:
            return bool(runs(minutes, (until - begins) // MINUTE) >> line.floor(begins) & 1)

        if not covers(opening, *stay):
            return [_not_open()]
        by_id = {one.resource_id: one for one in board.calendars}
        found = []
        for pk, begins, until in work:
            if pk in by_id and not covers(works := works_of(board, by_id[pk], line, opening), begins, until):
                found.append(
                    _when_at_work(by_id[pk], works, board, line, line.floor(begins), line.ceil(until))
                )
        return list(dict.fromkeys(found))

    def is_full(self) -> bool:
        """Whether the day has reached the session's cap at this moment."""
        day = self.day()
        if not is_capped(self.cast, day):
            return False
        return day.first_on in filled(self.cast, day, now=self.now, ignoring=self.ignoring).full_dates

    def nearby(self, count: int = 6) -> list[Slot]:
        """The open Slots closest to the time, in order."""
        found = open_slots(filled(self.cast, self.frame, now=self.now, ignoring=self.ignoring))
        closest = sorted(found, key=lambda slot: abs(slot.starts_at - self.starts_at))[:count]
        return sorted(closest, key=lambda slot: slot.starts_at)

    def why_not(self) -> list[str]:
        """For staff: every reason, with names and times. Empty when it is free."""
        if self.slot() is not None:
            return []
        board = filled(self.cast, self.day(), now=self.now, ignoring=self.ignoring)
        found = self.rules_broken()
        if board.full_dates:
            found.append(full_sentence())
        found += _people(replace(board, full_dates=frozenset()), self.starts_at)
        # Each post could be filled by itself: said only where nothing else stands against the time.
        return found or [_("Not enough people or rooms are free at the same time.")]

    def day(self) -> Board:
        """The frame cut to the local date of the time asked for."""
        on = self.starts_at.astimezone(ZoneInfo(self.frame.zone)).date()
        return replace(self.frame, first_on=on, last_on=on)


def enquire(
    cast: Cast,
    starts_at: datetime,
    *,
    now: datetime,
    ignoring: int | None = None,
    leeway: Leeway = Leeway.CLIENT,
) -> Enquiry:
    """Ask about one start time and the days around it."""
    return Enquiry(cast, starts_at, now, ignoring, leeway)


def full_sentence() -> str:
    """What a client reads about a day that has reached its cap."""
    return _("That day is fully booked for this session.")


def _present_first(board: Board, starts_at: datetime) -> Board:
    """Where hours are set aside, whoever works at that time comes first, then who could be asked to, and last of all
    who is away on that date."""
    by_hours = replace(board, ignores_hours=False)
    line = line_of(by_hours)
    opening, begins = opening_of(by_hours, line), line.floor(starts_at)
    today = line.bits([(line.midnight(board.first_on), line.midnight(board.first_on + DAY))])

    def order(calendar: Calendar) -> tuple[bool, bool, bool]:
        works = works_of(by_hours, calendar, line, opening)
        is_at_work = bool(runs(works, board.chain.minutes) >> begins & 1)
        is_away = board.first_on in calendar.days and not calendar.days[board.first_on]
        return not is_at_work, is_away, not works & today

    return replace(board, calendars=sorted(board.calendars, key=order))


# --- the cast -----------------------------------------------------------------------------------------------


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


def cast_for(
    *,
    session_type: SessionType,
    location: Location,
    chosen: Sequence[tuple[AddOn, int]],
    booked: Mapping[int | None, int] = MappingProxyType({}),
) -> Cast:
    """`cast_of` for add-ons that were already checked, as those of an existing booking. `booked` are lengths in minutes
    that were agreed: by add-on (for all of its count), and of the session itself under None."""
    needs = _needs(Requirement.objects.filter(session_type=session_type).order_by("pk"))
    extras = [
        Extra(
            add_on.name,
            booked.get(add_on.pk, add_on.minutes * count),
            add_on.placement,
            _needs(add_on.requirements.all()),
            add_on.pk,
        )
        for add_on, count in chosen
    ]
    minutes = booked.get(None, session_type.minutes)
    chain = chain_of(purpose=session_type.name, minutes=minutes, needs=needs, extras=extras)
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


# --- saying why ---------------------------------------------------------------------------------------------


def _rules_broken(cast: Cast, board: Board, starts_at: datetime) -> Iterable[str]:
    line = line_of(board)
    minute = line.floor(starts_at)
    if board.earliest is not None and starts_at < board.earliest:
        hours = cast.session_type.min_notice_hours
        yield _("This session is booked at least %(hours)d hours ahead.") % {"hours": hours}
    if board.latest is not None and starts_at > board.latest:
        yield _("Bookings open %(days)d days ahead.") % {"days": cast.session_type.horizon_days}
    if line.at(minute) != starts_at or not line.grid(board.increment) >> minute & 1:
        yield _("Sessions do not start at that minute. Please choose one of the times shown.")
    if not runs(opening_of(board, line), cast.chain.minutes) >> minute & 1:
        yield _not_open()


def _not_open() -> str:
    return _("The studio is not open for all of that time.")


def _people(board: Board, starts_at: datetime) -> list[str]:
    line = line_of(board)
    minute = line.floor(starts_at)
    by_id = {calendar.resource_id: calendar for calendar in board.calendars}
    found: list[str] = []
    for post in posts_of(board, line, opening_of(board, line)):
        able = {pk for pk, fits in post.fits.items() if fits >> minute & 1}
        if not post.fits:
            found.append(_("Nobody can do %(what)s here.") % {"what": post.step.purpose})
        elif len(able) < post.need.count:
            found += [_one(by_id[pk], post, board, line, minute) for pk in post.fits if pk not in able]
    return list(dict.fromkeys(found))


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
    begins = minute + post.step.begins
    return _when_at_work(calendar, works, board, line, begins, begins + post.step.minutes)


def _when_at_work(
    calendar: Calendar, works: int, board: Board, line: Timeline, begins: int, ends: int
) -> str:
    """When a Resource works that does not from one minute to the other."""
    zone = ZoneInfo(board.zone)
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
