"""The fast core against a slow, obvious one that looks at every minute, on random calendars and clock changes."""

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bookings.seating import Board, Calendar, Chain, Extra, Need, Step, chain_of, open_slots
from bookings.timeline import Timeline, instant

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
CHANGES = {
    "America/Chicago": [date(2026, 3, 8), date(2026, 11, 1)],
    "Europe/London": [date(2026, 3, 29), date(2026, 10, 25)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],  # by half an hour
    "Asia/Kathmandu": [date(2026, 3, 8)],  # UTC+5:45, no change
}


# --- the slow, obvious way ----------------------------------------------------------------------------------


class Slow:
    """Every answer by looking at single minutes of UTC and reading the wall clock at each."""

    def __init__(self, board: Board) -> None:
        self.board, self.zone = board, ZoneInfo(board.zone)
        first = datetime.combine(board.first_on - 2 * DAY, time(), tzinfo=UTC)
        count = ((board.last_on - board.first_on).days + 5) * 24 * 60
        self.minutes = [first + number * MINUTE for number in range(count)]
        self.walls = {minute: minute.astimezone(self.zone).replace(tzinfo=None) for minute in self.minutes}
        self._spans: dict[tuple[date, time, time], frozenset[datetime]] = {}

    def span(self, on: date, begins: time, until: time) -> frozenset[datetime]:
        """From the first minute of the date at which the clock shows `begins` or later, to the same for `until`."""
        key = (on, begins, until)
        if key not in self._spans:
            inside, found = False, []
            for minute in self.minutes:
                wall = self.walls[minute]
                if wall >= datetime.combine(on, until):
                    break
                inside = inside or wall >= datetime.combine(on, begins)
                if inside:
                    found.append(minute)
            self._spans[key] = frozenset(found)
        return self._spans[key]

    def dates(self):
        on = self.board.first_on - DAY
        while on <= self.board.last_on + DAY:
            yield on
            on += DAY

    def opening(self):
        found: set[datetime] = set()
        for on in self.dates():
            closes = self.board.closed.get(on, time.max)
            for begins, until in self.board.opening.get(on.weekday(), ()):
                if closes is not None and begins < closes:
                    found |= self.span(on, begins, min(until, closes))
        return found

    def works(self, calendar, opening):
        found: set[datetime] = set()
        for on in self.dates():
            if on in calendar.days:
                walls = calendar.days[on]
            elif calendar.hours is None:
                found |= {minute for minute in opening if self.walls[minute].date() == on}
                continue
            else:
                walls = calendar.hours.get(on.weekday(), ())
            for begins, until in walls:
                found |= self.span(on, begins, until)
        return found

    def starts(self):
        board, opening = self.board, self.opening()
        works = {calendar.resource_id: self.works(calendar, opening) for calendar in board.calendars}
        taken = {calendar.resource_id: calendar.taken for calendar in board.calendars}
        posts = [(step, need) for step in board.chain.steps for need in step.needs for _ in range(need.count)]
        found = []
        for start in self.minutes:
            wall = self.walls[start]
            if not board.first_on <= wall.date() <= board.last_on or wall.date() in board.full_dates:
                continue
            if (wall.hour * 60 + wall.minute) % board.increment:
                continue
            if (board.earliest and start < board.earliest) or (board.latest and start > board.latest):
                continue
            if any(start + n * MINUTE not in opening for n in range(board.chain.minutes)):
                continue
            candidates = [
                [
                    calendar.resource_id
                    for calendar in board.calendars
                    if need.skill_id in calendar.skills
                    and self.can(start, step, need, works[calendar.resource_id], taken[calendar.resource_id])
                ]
                for step, need in posts
            ]
            if any(self.nobody_twice(team, posts) for team in itertools.product(*candidates)):
                found.append(start)
        return found

    @staticmethod
    def can(start, step, need, works, taken):
        begins = start + step.begins * MINUTE
        until = begins + step.minutes * MINUTE
        if any(begins + n * MINUTE not in works for n in range(step.minutes)):
            return False
        claim_from, claim_until = begins - need.before * MINUTE, until + need.after * MINUTE
        return not any(busy_from < claim_until and claim_from < busy_until for busy_from, busy_until in taken)

    @staticmethod
    def nobody_twice(team, posts):
        for (one, (step, _)), (two, (other, _)) in itertools.combinations(zip(team, posts, strict=True), 2):
            at_once = step.begins < other.begins + other.minutes and other.begins < step.begins + step.minutes
            if one == two and at_once:
                return False
        return True


# --- random boards ------------------------------------------------------------------------------------------

walls = st.tuples(st.integers(0, 95), st.integers(1, 95)).filter(lambda pair: pair[0] < pair[1])
wide = st.tuples(st.integers(0, 12), st.integers(50, 95))  # a whole day, from some time of the night on
hours = st.fixed_dictionaries(
    {
        day: st.one_of(wide.map(lambda span: [span]), st.lists(walls, min_size=1, max_size=2))
        for day in range(7)
    }
)


needs = st.lists(
    st.builds(
        Need,
        skill_id=st.integers(1, 3),
        count=st.sampled_from([1, 1, 1, 2]),
        before=st.sampled_from([0, 5, 20]),
        after=st.sampled_from([0, 10, 45]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)


def clock(quarter: int) -> time:
    return time(quarter // 4, quarter % 4 * 15)


def week(rows):
    return {day: [(clock(begins), clock(until)) for begins, until in spans] for day, spans in rows.items()}


@st.composite
def boards(draw):
    zone = draw(st.sampled_from(sorted(CHANGES)))
    first_on = draw(st.sampled_from(CHANGES[zone])) - draw(st.integers(0, 1)) * DAY
    last_on = first_on + draw(st.integers(0, 1)) * DAY
    base = datetime.combine(first_on, time(), tzinfo=UTC)
    extras = draw(
        st.lists(
            st.builds(
                Extra,
                purpose=st.just("extra"),
                minutes=st.sampled_from([10, 30, 45]),
                placement=st.sampled_from(["before", "before_parallel", "lengthens", "no_time"]),
                needs=needs,
            ),
            max_size=2,
        )
    )
    extras = [replace(extra, minutes=0) if extra.placement == "no_time" else extra for extra in extras]
    chain = chain_of(
        purpose="shoot", minutes=draw(st.sampled_from([20, 60])), needs=draw(needs), extras=extras
    )
    busy = st.tuples(st.integers(-600, 3600), st.integers(1, 400), st.integers(0, 59))
    calendars = []
    for number in range(draw(st.integers(3, 5))):
        follows = draw(st.booleans())
        days = draw(st.dictionaries(st.integers(0, 2), st.lists(walls, max_size=1), max_size=1))
        calendars.append(
            Calendar(
                resource_id=number + 1,
                name=f"r{number + 1}",
                skills=draw(st.frozensets(st.integers(1, 3), min_size=1)) | {number % 3 + 1},
                hours=None if follows else week(draw(hours)),
                days={
                    first_on + shift * DAY: [(clock(begins), clock(until)) for begins, until in spans]
                    for shift, spans in days.items()
                },
                taken=[
                    (base + begins * MINUTE + timedelta(seconds=odd), base + (begins + lasts) * MINUTE)
                    for begins, lasts, odd in draw(st.lists(busy, max_size=3))
                    if lasts > 1
                ],
            )
        )
    closed = draw(
        st.dictionaries(st.integers(0, 1), st.one_of(st.none(), st.integers(8, 90).map(clock)), max_size=1)
    )
    return Board(
        zone=zone,
        first_on=first_on,
        last_on=last_on,
        chain=chain,
        calendars=calendars,
        opening=week(draw(hours)),
        closed={first_on + shift * DAY: closes for shift, closes in closed.items()},
        increment=draw(st.sampled_from([5, 15, 20, 45, 60])),
        earliest=draw(
            st.one_of(
                st.none(), st.integers(-300, 900).map(lambda m: base + m * MINUTE + timedelta(seconds=7))
            )
        ),
        latest=draw(st.one_of(st.none(), st.integers(1000, 3000).map(lambda m: base + m * MINUTE))),
        full_dates=draw(st.sampled_from([frozenset(), frozenset(), frozenset({first_on})])),
    )


def patiently(examples):
    calm = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=examples, deadline=None, suppress_health_check=calm)


@patiently(40)
@given(boards())
def test_open_slots_equal_the_minute_by_minute_reference(board):
    assert_equal_to_the_reference(board)


@pytest.mark.slow
@patiently(1000)
@given(boards())
def test_open_slots_equal_the_reference_on_a_thousand_calendars(board):
    assert_equal_to_the_reference(board)


def assert_equal_to_the_reference(board):
    found = open_slots(board)
    assert [slot.starts_at for slot in found] == Slow(board).starts()
    for slot in found:
        assert_well_seated(slot, board)


def assert_well_seated(slot, board):
    """Each post is filled by somebody who can, nobody is in two places, and each claim lies on free time."""
    calendars = {calendar.resource_id: calendar for calendar in board.calendars}
    wanted = [need for step in board.chain.steps for need in step.needs for _ in range(need.count)]
    assert len(slot.seats) == len(wanted)
    for seat in slot.seats:
        assert seat.starts_at <= seat.works_from < seat.works_until <= seat.ends_at
        assert not any(
            begins < seat.ends_at and seat.starts_at < until
            for begins, until in calendars[seat.resource_id].taken
        )
    for one, two in itertools.combinations(slot.seats, 2):
        if one.resource_id == two.resource_id:
            assert one.ends_at <= two.starts_at or two.ends_at <= one.starts_at


# --- single rules -------------------------------------------------------------------------------------------

MONDAY = date(2026, 11, 16)
ALL_DAY = {day: [(time(9), time(12))] for day in range(7)}


def board_of(chain, calendars, **fields):
    return Board(
        **{
            "zone": "UTC",
            "first_on": MONDAY,
            "last_on": MONDAY,
            "chain": chain,
            "calendars": calendars,
            "opening": ALL_DAY,
            "increment": 30,
        }
        | fields
    )


def at(hour, minute=0):
    return datetime(2026, 11, 16, hour, minute, tzinfo=UTC)


def shoot_only(*needs, minutes=60):
    return Chain((Step("shoot", 0, minutes, tuple(needs)),), minutes, 0)


def starts(board):
    return [(slot.starts_at.hour, slot.starts_at.minute) for slot in open_slots(board)]


def test_one_resource_with_both_skills_cannot_do_two_things_at_once():
    both = Calendar(1, "Ana", frozenset({1, 2}))
    alone = board_of(shoot_only(Need(1), Need(2)), [both])
    assert open_slots(alone) == []
    helped = replace(alone, calendars=[both, Calendar(2, "Bo", frozenset({1}))])
    assert [seat.resource_id for seat in open_slots(helped)[0].seats] == [2, 1]


def test_two_of_three_are_different_people():
    trio = [Calendar(number, f"r{number}", frozenset({1})) for number in (1, 2, 3)]
    trio[0] = replace(trio[0], taken=[(at(9), at(10))])
    found = {
        slot.starts_at: [seat.resource_id for seat in slot.seats]
        for slot in open_slots(board_of(shoot_only(Need(1, count=2)), trio))
    }
    assert found[at(9)] == [2, 3]
    assert found[at(10)] == [1, 2]
    two_gone = [trio[0], replace(trio[1], taken=[(at(9), at(12))]), trio[2]]
    assert starts(board_of(shoot_only(Need(1, count=2)), two_gone)) == [(10, 0), (10, 30), (11, 0)]


def test_buffers_keep_their_distance_on_each_side():
    taken = Calendar(1, "Ana", frozenset({1}), taken=[(at(10), at(10, 15))])
    tight = board_of(shoot_only(Need(1), minutes=30), [taken])
    assert starts(tight) == [(9, 0), (9, 30), (10, 30), (11, 0), (11, 30)]
    assert starts(board_of(shoot_only(Need(1, before=20), minutes=30), [taken])) == [
        (9, 0),
        (9, 30),
        (11, 0),
        (11, 30),
    ]
    assert starts(board_of(shoot_only(Need(1, after=5), minutes=30), [taken])) == [
        (9, 0),
        (10, 30),
        (11, 0),
        (11, 30),
    ]


def test_preparations_in_turn_or_beside_each_other():
    hair = Extra("hair", 30, "before", (Need(1),))
    make_up = Extra("make-up", 45, "before", (Need(2),))
    in_turn = chain_of(purpose="shoot", minutes=60, needs=[Need(3)], extras=[hair, make_up])
    assert [(step.purpose, step.begins) for step in in_turn.steps] == [
        ("hair", 0),
        ("make-up", 30),
        ("shoot", 75),
    ]
    beside = chain_of(
        purpose="shoot",
        minutes=60,
        needs=[Need(3)],
        extras=[replace(hair, placement="before_parallel"), replace(make_up, placement="before_parallel")],
    )
    assert [(step.purpose, step.begins) for step in beside.steps] == [
        ("hair", 15),
        ("make-up", 0),
        ("shoot", 45),
    ]
    assert (in_turn.minutes, beside.minutes) == (135, 105)


def test_a_second_step_of_the_same_person_absorbs_the_buffer_between():
    artist = Calendar(1, "Ana", frozenset({1, 2}))
    extras = [
        Extra("hair", 30, "before", (Need(1, after=10),)),
        Extra("make-up", 30, "before", (Need(2, before=5),)),
    ]
    chain = chain_of(purpose="shoot", minutes=30, needs=[], extras=extras)
    first = open_slots(board_of(chain, [artist]))[0]
    assert [(seat.starts_at, seat.ends_at) for seat in first.seats] == [
        (at(9), at(9, 30)),
        (at(9, 30), at(10)),
    ]


def test_the_hour_that_does_not_exist_offers_nothing_and_the_one_that_exists_twice_is_offered_twice():
    night = {day: [(time(0), time(4))] for day in range(7)}
    calendar = Calendar(1, "Ana", frozenset({1}))
    spring = board_of(shoot_only(Need(1)), [calendar], zone="America/Chicago", opening=night, increment=60)
    spring = replace(spring, first_on=date(2026, 3, 8), last_on=date(2026, 3, 8))
    zone = ZoneInfo("America/Chicago")
    assert [slot.starts_at.astimezone(zone).hour for slot in open_slots(spring)] == [0, 1, 3]
    autumn = replace(spring, first_on=date(2026, 11, 1), last_on=date(2026, 11, 1))
    assert [slot.starts_at.astimezone(zone).hour for slot in open_slots(autumn)] == [0, 1, 1, 2, 3]


def test_a_wall_time_inside_the_gap_is_the_first_instant_after_it():
    zone = ZoneInfo("Europe/London")
    assert instant(zone, date(2026, 3, 29), time(1, 30)) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert instant(zone, date(2026, 10, 25), time(1, 30)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", sorted(CHANGES))
def test_the_line_knows_every_wall_time_of_a_day_of_change(zone):
    for on in CHANGES[zone]:
        line = Timeline(zone, on, on)
        for quarter in range(96):
            assert line.at(line.minute(on, clock(quarter))) == instant(ZoneInfo(zone), on, clock(quarter))
