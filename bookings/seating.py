"""Seating a chain: which start times fit every Resource, and who takes which post.

A chain is what happens to the client from arrival to the end of the shoot: preparations (one after the other, or
beside each other and ending together), then the shoot. Each step needs Resources with a skill; each gets a Claim
as long as its work plus its own buffers. Pure: no clock, no queries.

Hours bound the work itself (and the client's stay lies within the opening hours); buffers only keep distance from
other claims and busy times, so a day's first session can start at opening.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from bookings.timeline import DAY, MINUTE, Timeline, Walls, minutes_of, runs, shifted


class Seat(NamedTuple):
    """One Resource's part in a Slot: its Claim `[starts_at, ends_at)`, and the work without buffers."""

    resource_id: int
    starts_at: datetime
    ends_at: datetime
    works_from: datetime
    works_until: datetime
    purpose: str
    is_shoot: bool
    add_on_id: int | None


class Turn(NamedTuple):
    """A Seat as distances from arrival: shared by every Slot that has the same Resources."""

    resource_id: int
    begins: timedelta
    ends: timedelta
    works_from: timedelta
    works_until: timedelta
    purpose: str
    is_shoot: bool
    add_on_id: int | None


class Slot(NamedTuple):
    """A start time that fits every Resource. `starts_at` is when the client arrives; all in UTC."""

    starts_at: datetime
    shoot_starts_at: datetime
    ends_at: datetime
    plan: tuple[Turn, ...]

    @property
    def seats(self) -> tuple[Seat, ...]:
        """Who does what when; computed from the plan, for a page of a thousand Slots needs none of them."""
        at = self.starts_at
        return tuple(
            Seat(
                turn.resource_id,
                at + turn.begins,
                at + turn.ends,
                at + turn.works_from,
                at + turn.works_until,
                turn.purpose,
                turn.is_shoot,
                turn.add_on_id,
            )
            for turn in self.plan
        )


@dataclass(frozen=True, slots=True)
class Need:
    """`count` Resources with a skill; `before` and `after` are buffer minutes."""

    skill_id: int
    count: int = 1
    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens to the client, `begins` minutes after arrival."""

    purpose: str
    begins: int
    minutes: int
    needs: tuple[Need, ...]
    is_shoot: bool = True
    add_on_id: int | None = None

    def from_arrival(self, arrival: datetime) -> datetime:
        """When it begins for a client who arrives then."""
        return arrival + self.begins * MINUTE

    def until(self, arrival: datetime) -> datetime:
        """When it ends for a client who arrives then."""
        return arrival + (self.begins + self.minutes) * MINUTE


@dataclass(frozen=True, slots=True)
class Chain:
    """All steps; `minutes` from arrival to the end of the shoot, which begins at `shoot_begins`."""

    steps: tuple[Step, ...]
    minutes: int
    shoot_begins: int


@dataclass(frozen=True, slots=True)
class Extra:
    """An add-on as the chain sees it. `minutes` for all of its count; `placement` as in models.Placement."""

    purpose: str
    minutes: int
    placement: str
    needs: tuple[Need, ...] = ()
    add_on_id: int | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """What one Resource does. `hours` per weekday at this location; None: it follows the location's opening.

    `days` are exceptions that replace the hours of a date (an empty list: away). `taken` are instants
    `[from, until)` of claims and busy times, travel included.
    """

    resource_id: int
    name: str
    skills: frozenset[int]
    hours: Mapping[int, Sequence[Walls]] | None = None
    days: Mapping[date, Sequence[Walls]] = field(default_factory=dict)
    taken: Sequence[tuple[datetime, datetime]] = ()


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that decides, as plain values. Dates are local; `earliest` and `latest` bound the arrival."""

    zone: str
    first_on: date
    last_on: date
    chain: Chain
    calendars: Sequence[Calendar]  # in the order of preference
    opening: Mapping[int, Sequence[Walls]]
    closed: Mapping[date, time | None] = field(default_factory=dict)  # None: all day; else the early closing
    increment: int = 15
    earliest: datetime | None = None
    latest: datetime | None = None
    full_dates: frozenset[date] = frozenset()  # the daily cap is reached
    ignores_hours: bool = False  # staff with a reason: only claims and busy times count

    @property
    def margin(self) -> int:
        """Minutes before the first date that a buffer can reach into."""
        return max((need.before for step in self.chain.steps for need in step.needs), default=0)


def chain_of(*, purpose: str, minutes: int, needs: Iterable[Need], extras: Iterable[Extra]) -> Chain:
    """Lay out the steps: preparations end where the shoot begins, in the given order or beside each other."""
    extras = list(extras)
    shoot_needs = list(needs)
    in_turn = [extra for extra in extras if extra.placement == "before"]
    beside = [extra for extra in extras if extra.placement == "before_parallel"]
    lead = max([sum(extra.minutes for extra in in_turn), *(extra.minutes for extra in beside)])
    begins = lead - sum(extra.minutes for extra in in_turn)
    steps: list[Step] = []
    for extra in in_turn:
        steps.append(_preparation(extra, begins))
        begins += extra.minutes
    steps += [_preparation(extra, lead - extra.minutes) for extra in beside]
    for extra in extras:
        if extra.placement == "lengthens":
            minutes += extra.minutes
        if extra.placement in ("lengthens", "no_time"):
            shoot_needs += extra.needs
    steps.append(Step(purpose, lead, minutes, tuple(shoot_needs)))
    return Chain(tuple(steps), lead + minutes, lead)


def _preparation(extra: Extra, begins: int) -> Step:
    return Step(extra.purpose, begins, extra.minutes, extra.needs, is_shoot=False, add_on_id=extra.add_on_id)


@dataclass(frozen=True, slots=True)
class Post:
    """One needed Resource of one step, with the chain starts at which each candidate can take it."""

    step: Step
    need: Need
    fits: Mapping[int, int]  # resource id → chain starts as bits, in the order of preference

    @property
    def claims_from(self) -> int:
        return self.step.begins - self.need.before

    @property
    def claims_until(self) -> int:
        return self.step.begins + self.step.minutes + self.need.after

    def overlaps(self, other: "Post") -> bool:
        """Whether the work itself is at the same time; one Resource cannot do both."""
        mine, theirs = self.step, other.step
        return mine.begins < theirs.begins + theirs.minutes and theirs.begins < mine.begins + mine.minutes


def open_slots(board: Board) -> list[Slot]:
    """Every Slot whose arrival lies on the board's dates, in order, each with its Resources assigned."""
    line = line_of(board)
    opening = opening_of(board, line)
    starts = _possible_starts(board, line, opening)
    posts = posts_of(board, line, opening)
    for post in posts:
        anybody = 0
        for fits in post.fits.values():
            anybody |= fits
        starts &= anybody
    teams: list[tuple[list[Post], list[tuple[int, tuple[int, ...]]]]] = []
    for group in _groups(posts):
        filled = list(_fill(group, starts))
        solved = 0
        for minutes, _ in filled:
            solved |= minutes
        starts &= solved
        teams.append((group, filled))
    return _slots(board.chain, line, starts, teams) if starts else []


def line_of(board: Board) -> Timeline:
    """The minutes a board is about."""
    after = max((need.after for step in board.chain.steps for need in step.needs), default=0)
    return Timeline(
        board.zone, board.first_on, board.last_on, before=board.margin, after=board.chain.minutes + after
    )


def opening_of(board: Board, line: Timeline) -> int:
    """The minutes at which clients can be at the location."""
    if board.ignores_hours:
        return (1 << line.length) - 1
    days: dict[date, list[Walls]] = {}
    for on, closes in board.closed.items():
        full = board.opening.get(on.weekday(), ()) if closes is not None else ()
        days[on] = [(begins, min(until, closes)) for begins, until in full if closes and begins < closes]
    return line.hours(board.opening, days)


def _possible_starts(board: Board, line: Timeline, opening: int) -> int:
    """Arrivals on the grid with the client's whole stay inside the opening hours, notice, horizon and cap."""
    starts = runs(opening, board.chain.minutes) & line.grid(board.increment)
    if board.earliest is not None:
        cut = max(line.ceil(board.earliest), 0)
        starts = starts >> cut << cut
    if board.latest is not None:
        starts &= (1 << max(line.floor(board.latest) + 1, 0)) - 1
    full = line.bits((line.midnight(on), line.midnight(on + DAY)) for on in board.full_dates)
    return starts & ~full


def works_of(board: Board, calendar: Calendar, line: Timeline, opening: int) -> int:
    """The minutes a Resource is at work at this location."""
    if board.ignores_hours:
        return opening
    if calendar.hours is not None:
        return line.hours(calendar.hours, calendar.days)
    if not calendar.days:
        return opening
    dates = line.bits((line.midnight(on), line.midnight(on + DAY)) for on in calendar.days)
    return (opening & ~dates) | line.hours({}, calendar.days)


def free_of(calendar: Calendar, line: Timeline) -> int:
    """The minutes without claims and busy times; a minute that is partly taken is taken."""
    taken = line.bits((line.floor(begins), line.ceil(until)) for begins, until in calendar.taken)
    return ((1 << line.length) - 1) & ~taken


def posts_of(board: Board, line: Timeline, opening: int) -> list[Post]:
    """Every needed Resource of the chain with the starts at which each candidate fits."""
    known = {
        calendar.resource_id: (works_of(board, calendar, line, opening), free_of(calendar, line))
        for calendar in board.calendars
    }
    posts = []
    for step in board.chain.steps:
        for need in step.needs:
            claim = need.before + step.minutes + need.after
            fits = {}
            for calendar in board.calendars:
                if need.skill_id in calendar.skills:
                    works, free = known[calendar.resource_id]
                    fits[calendar.resource_id] = shifted(runs(works, step.minutes), step.begins) & shifted(
                        runs(free, claim), step.begins - need.before
                    )
            posts += [Post(step, need, fits)] * need.count
    return posts


def _groups(posts: Sequence[Post]) -> list[list[Post]]:
    """Posts that compete for the same Resources, kept together; independent groups never search each other."""
    groups: list[list[Post]] = []
    for post in posts:
        rivals = [group for group in groups if any(other.fits.keys() & post.fits.keys() for other in group)]
        groups = [group for group in groups if group not in rivals]
        groups.append([*(other for group in rivals for other in group), post])
    return groups


def _fill(
    posts: Sequence[Post], starts: int, chosen: tuple[int, ...] = ()
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Assign a Resource to each post for as many starts as possible: (starts, resource ids), each start once.

    A search over sets of starts, not over single ones: the usual case takes one path for the whole window.
    """
    if len(chosen) == len(posts):
        yield starts, chosen
        return
    post = posts[len(chosen)]
    for resource_id, fits in post.fits.items():
        if any(
            taken == resource_id and post.overlaps(other) for taken, other in zip(chosen, posts, strict=False)
        ):
            continue
        here = starts & fits
        if not here:
            continue
        for solved, team in _fill(posts, here, (*chosen, resource_id)):
            yield solved, team
            starts &= ~solved
        if not starts:
            return


def _slots(
    chain: Chain,
    line: Timeline,
    starts: int,
    teams: Sequence[tuple[list[Post], list[tuple[int, tuple[int, ...]]]]],
) -> list[Slot]:
    """Turn starts and teams into Slots. Starts that share all their Resources share one plan of offsets."""
    regions: list[tuple[int, list[tuple[Post, int]]]] = [(starts, [])]
    for group, filled in teams:
        regions = [
            (both, [*seated, *zip(group, team, strict=True)])
            for minutes, seated in regions
            for solved, team in filled
            if (both := minutes & solved)
        ]
    found: list[Slot] = []
    shoot_begins, lasts = chain.shoot_begins * MINUTE, chain.minutes * MINUTE
    for minutes, seated in regions:
        plan = _plan(chain, seated)
        for minute in minutes_of(minutes):
            arrival = line.at(minute)
            found.append(Slot(arrival, arrival + shoot_begins, arrival + lasts, plan))
    found.sort(key=lambda slot: slot.starts_at)
    return found


def _plan(chain: Chain, seated: Sequence[tuple[Post, int]]) -> tuple[Turn, ...]:
    """The seats as distances from arrival. Where one Resource has two steps, the buffer between them is its own
    and is cut, so that its two claims never overlap."""
    order = {id(step): number for number, step in enumerate(chain.steps)}
    ordered = sorted(seated, key=lambda pair: order[id(pair[0].step)])
    plan: list[Turn] = []
    for post, resource_id in ordered:
        begins, until = post.claims_from, post.claims_until
        works_from, works_until = post.step.begins, post.step.begins + post.step.minutes
        for other, same_id in ordered:
            if same_id != resource_id or other is post:
                continue
            theirs_until = other.step.begins + other.step.minutes
            if theirs_until <= works_from:  # mine comes later: I begin where the other's claim ends
                begins = max(begins, min(theirs_until + other.need.after, works_from))
            elif other.step.begins >= works_until:
                until = min(until, other.step.begins)
        plan.append(
            Turn(
                resource_id,
                begins * MINUTE,
                until * MINUTE,
                works_from * MINUTE,
                works_until * MINUTE,
                post.step.purpose,
                post.step.is_shoot,
                post.step.add_on_id,
            )
        )
    return tuple(plan)
