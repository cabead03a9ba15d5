"""The promise: rule S with its floor, its inverse questions and its stored inputs."""

import json
import os
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from hypothesis import assume, example, given
from hypothesis import strategies as st

from studio.workdays import (
    FLOOR,
    JUST_AFTER,
    Calendar,
    CalendarError,
    ClockPaused,
    Pause,
    PauseError,
    Reason,
    WorkdaysError,
    add_working_days,
    as_promised,
    calendar_from_json,
    calendar_to_json,
    deliver_by,
    deliver_by_if_answered,
    explain,
    inputs_of,
    next_working_closing,
    pause_begins_at,
    promised_again,
    recompute,
    united,
    warnings_before,
    words,
    working_days_left,
    working_hours_before,
)
from tests.studio import slow_promise

TEXAS = Calendar(
    "America/Chicago",
    closures={date(2026, 11, 26): "Thanksgiving Day", date(2026, 12, 25): "Christmas Day"},
    half_days={date(2026, 12, 24): time(13)},
)


def texas(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/Chicago"), fold=fold)


def at(zone: str, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def promised(
    ended_at: datetime, days: int = 2, calendar: Calendar = TEXAS, pauses: tuple[Pause, ...] = ()
) -> datetime:
    return deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)


def pause(begins: str, ends: str | None) -> Pause:
    return Pause(texas(begins), texas(ends) if ends else None)


# --- rule S


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        ("2026-11-30T14:00", "2026-12-02T18:00"),  # Monday → Wednesday
        ("2026-12-04T16:30", "2026-12-08T18:00"),  # Friday → Tuesday
        ("2026-12-05T10:00", "2026-12-08T18:00"),  # Saturday → Tuesday
        ("2026-12-06T14:00", "2026-12-08T18:00"),  # Sunday → Tuesday
        ("2026-11-30T00:00", "2026-12-02T18:00"),
        ("2026-11-30T23:59:59.999999", "2026-12-02T18:00"),
        ("2026-11-25T15:00", "2026-11-30T18:00"),  # over Thanksgiving
        ("2026-12-22T15:00", "2026-12-24T13:00"),  # due on the half day, at its early closing
        ("2026-12-24T20:00", "2026-12-29T18:00"),  # Christmas Day and a weekend
        (
            "2026-12-31T23:59:59",
            "2027-01-04T18:00",
        ),  # over the year: New Year's Day counts where it is no closure
    ],
)
def test_the_promise_is_the_closing_of_the_second_working_day(ended, due):
    assert promised(texas(ended)) == texas(due)


def test_the_answer_is_in_utc():
    assert promised(texas("2026-11-30T14:00")).isoformat() == "2026-12-03T00:00:00+00:00"


def test_the_date_is_the_studios_not_greenwichs():
    ended_at = datetime(2026, 12, 1, 5, 30, tzinfo=UTC)  # still Monday 23:30 in Texas
    assert promised(ended_at) == texas("2026-12-02T18:00")


@pytest.mark.parametrize("fold", [0, 1])
def test_both_passes_of_a_repeated_hour_are_the_same_day(fold):
    assert promised(texas("2026-11-01T01:30", fold)) == texas("2026-11-03T18:00")


def test_a_half_day_does_not_count_where_the_studio_says_so():
    strict = Calendar(TEXAS.zone, closures=TEXAS.closures, half_days=TEXAS.half_days, half_day_counts=False)
    assert promised(texas("2026-12-22T15:00"), calendar=strict) == texas("2026-12-28T18:00")


def test_a_closing_time_that_is_skipped_is_the_moment_after_the_jump():
    night = Calendar("America/Chicago", week=frozenset(range(7)), closes=time(2, 30), opens=time(0))
    due_at = promised(texas("2027-03-13T12:00"), days=1, calendar=night)  # 14 March has no 02:30
    assert due_at == datetime(2027, 3, 14, 8, 30, tzinfo=UTC)
    assert due_at.astimezone(ZoneInfo("America/Chicago")).time() == time(3, 30)


def test_a_closing_time_that_exists_twice_is_the_first():
    night = Calendar("America/Chicago", week=frozenset(range(7)), closes=time(1, 30, fold=1), opens=time(0))
    assert promised(texas("2026-10-31T12:00"), days=1, calendar=night) == datetime(
        2026, 11, 1, 6, 30, tzinfo=UTC
    )


def test_british_columbia_does_not_change_its_clocks_any_more():
    vancouver = Calendar("America/Vancouver")
    due_at = promised(at("America/Vancouver", "2026-10-30T16:00"), calendar=vancouver)
    assert due_at == datetime(2026, 11, 4, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "due"),
    [
        ("Asia/Kathmandu", "2026-12-02T12:15:00+00:00"),
        ("Pacific/Kiritimati", "2026-12-02T04:00:00+00:00"),
        ("Pacific/Pago_Pago", "2026-12-03T05:00:00+00:00"),
        ("Australia/Lord_Howe", "2026-12-02T07:00:00+00:00"),
    ],
)
def test_every_zone_has_its_own_closing(zone, due):
    assert promised(at(zone, "2026-11-30T14:00"), calendar=Calendar(zone)).isoformat() == due


def test_a_time_without_zone_is_refused():
    with pytest.raises(WorkdaysError, match="needs a time zone"):
        promised(datetime(2026, 11, 30, 14))


@pytest.mark.parametrize("days", [0, -1])
def test_fewer_than_one_day_is_refused(days):
    with pytest.raises(WorkdaysError, match="at least one working day"):
        promised(texas("2026-11-30T14:00"), days=days)


def test_a_promise_past_the_end_of_the_calendar_is_refused():
    with pytest.raises(WorkdaysError):
        promised(datetime(9999, 12, 30, 12, tzinfo=UTC))


# --- calendars


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"week": frozenset()}, "at least one working day"),
        ({"week": frozenset({7})}, "Weekdays"),
        ({"zone": "Mars/Olympus"}, "Unknown time zone"),
        ({"zone": ""}, "Unknown time zone"),
        ({"zone": "../etc/passwd"}, "Unknown time zone"),
        ({"opens": time(19)}, "close before it opens"),
        ({"closes": time(18, tzinfo=UTC)}, "local"),
    ],
)
def test_an_impossible_calendar_is_refused(fields, sentence):
    with pytest.raises(CalendarError, match=sentence):
        Calendar(**{"zone": "Europe/London", **fields})


def test_a_calendar_does_not_change_with_the_closures_it_was_made_from():
    closures = {date(2026, 12, 1): "Painting"}
    calendar = Calendar("Europe/London", closures=closures)
    closures.clear()
    assert calendar.closures == {date(2026, 12, 1): "Painting"}
    assert pickle.loads(pickle.dumps(calendar)) == calendar


# --- pauses


def test_a_day_whose_closing_lies_in_a_pause_does_not_count():
    assert promised(
        texas("2026-12-07T11:00"), pauses=(pause("2026-12-08T10:00", "2026-12-09T09:30"),)
    ) == texas("2026-12-10T18:00")


def test_a_pause_within_the_day_costs_nothing():
    assert promised(
        texas("2026-12-07T11:00"), pauses=(pause("2026-12-08T09:00", "2026-12-08T17:59"),)
    ) == texas("2026-12-09T18:00")


def test_a_pause_that_begins_at_closing_costs_the_day():
    assert promised(
        texas("2026-12-07T11:00"), pauses=(pause("2026-12-08T18:00", "2026-12-08T18:01"),)
    ) == texas("2026-12-10T18:00")


def test_a_pause_that_ends_at_the_closing_of_a_day_before_costs_nothing():
    assert promised(
        texas("2026-12-07T11:00"), pauses=(pause("2026-12-08T09:00", "2026-12-08T18:00"),)
    ) == texas("2026-12-09T18:00")


@pytest.mark.parametrize(
    ("ends", "due"),
    [
        ("2026-12-09T13:59:59", "2026-12-09T18:00"),
        ("2026-12-09T14:00", "2026-12-09T18:00"),  # exactly 4 hours: not less
        ("2026-12-09T14:00:01", "2026-12-10T18:00"),
        ("2026-12-09T17:59:59", "2026-12-10T18:00"),
        ("2026-12-09T18:00", "2026-12-10T18:00"),  # at the closing: it counts, but nothing is left of it
    ],
)
def test_an_answer_less_than_four_hours_before_closing_moves_it_a_working_day(ends, due):
    assert promised(texas("2026-12-07T14:00"), pauses=(pause("2026-12-09T09:00", ends),)) == texas(due)


def test_the_floor_goes_over_weekends_closures_and_paused_days():
    late = pause("2026-12-23T09:00", "2026-12-23T17:00")
    assert promised(texas("2026-12-21T14:00"), pauses=(late,)) == texas("2026-12-24T13:00")
    again = pause("2026-12-24T10:00", "2026-12-24T16:00")
    assert promised(texas("2026-12-21T14:00"), pauses=(late, again)) == texas("2026-12-28T18:00")


def test_the_floor_is_asked_again_of_the_day_it_moved_to():
    pauses = (pause("2026-12-09T09:00", "2026-12-09T17:00"), pause("2026-12-10T09:00", "2026-12-10T17:00"))
    assert promised(texas("2026-12-07T14:00"), pauses=pauses) == texas("2026-12-11T18:00")


def test_the_floor_counts_hours_not_wall_clocks():
    night = Calendar("America/Chicago", week=frozenset(range(7)), closes=time(5), opens=time(0))
    pauses = (pause("2027-03-13T12:00", "2027-03-14T01:30"),)  # 02:00 becomes 03:00: only 2.5 hours to 05:00
    assert promised(texas("2027-03-13T10:00"), days=1, calendar=night, pauses=pauses) == texas(
        "2027-03-15T05:00"
    )


def test_pauses_are_united():
    parts = [pause("2026-12-08T12:00", "2026-12-09T12:00"), pause("2026-12-08T10:00", "2026-12-08T12:00")]
    assert united([*parts, pause("2026-12-08T11:00", "2026-12-08T13:00")]) == [
        pause("2026-12-08T10:00", "2026-12-09T12:00")
    ]
    assert united([pause("2026-12-08T10:00", None), pause("2026-12-09T10:00", "2026-12-09T11:00")]) == [
        pause("2026-12-08T10:00", None)
    ]


def test_a_pause_of_no_length_is_none():
    assert promised(
        texas("2026-12-07T14:00"), pauses=(pause("2026-12-09T17:00", "2026-12-09T17:00"),)
    ) == texas("2026-12-09T18:00")


def test_a_pause_that_ends_before_it_begins_is_refused():
    with pytest.raises(PauseError, match="cannot end before it begins"):
        pause("2026-12-08T10:00", "2026-12-08T09:59")
    with pytest.raises(PauseError, match="time zone"):
        Pause(datetime(2026, 12, 8, 10))


def test_a_pause_is_compared_as_instants_across_a_repeated_hour():
    first = texas("2026-11-01T01:45", 0)
    second = texas("2026-11-01T01:15", 1)
    assert Pause(first, second).begins_at < Pause(second).begins_at


def test_nothing_is_promised_while_a_pause_is_open():
    with pytest.raises(ClockPaused):
        promised(texas("2026-12-07T11:00"), pauses=(pause("2026-12-08T10:00", None),))


def test_an_open_pause_after_the_promise_does_not_lift_it():
    assert promised(texas("2026-12-07T11:00"), pauses=(pause("2026-12-09T18:00:01", None),)) == texas(
        "2026-12-09T18:00"
    )


def test_what_will_be_promised_after_the_answer():
    due_at = deliver_by_if_answered(
        answered_at=texas("2026-12-10T10:00"),
        ended_at=texas("2026-12-07T11:00"),
        days=2,
        calendar=TEXAS,
        pauses=[pause("2026-12-07T12:00", None)],
    )
    assert due_at == texas("2026-12-11T18:00")


@pytest.mark.parametrize(
    ("opened", "begins"),
    [
        ("2026-12-08T15:59:59", "2026-12-08T15:59:59"),
        ("2026-12-08T16:00", "2026-12-08T18:00:01"),
        ("2026-12-08T17:59", "2026-12-08T18:00:01"),
        ("2026-12-08T18:00", "2026-12-08T18:00:01"),
        ("2026-12-08T18:00:01", "2026-12-08T18:00:01"),
        ("2026-12-24T11:30", "2026-12-24T13:00:01"),  # early closing
        ("2026-12-25T17:00", "2026-12-25T17:00"),  # no closing on Christmas Day
        ("2026-12-26T17:00", "2026-12-26T17:00"),  # nor on a Saturday
    ],
)
def test_a_pause_opened_in_the_last_two_hours_begins_after_the_closing(opened, begins):
    assert pause_begins_at(texas(opened), TEXAS) == texas(begins)


def test_a_late_pause_does_not_win_the_day():
    opened = pause_begins_at(texas("2026-12-09T17:30"), TEXAS)
    assert opened == texas("2026-12-09T18:00") + JUST_AFTER
    assert promised(texas("2026-12-07T14:00"), pauses=(Pause(opened),)) == texas("2026-12-09T18:00")


# --- why


def test_every_day_says_why_it_does_not_count():
    days = explain(
        ended_at=texas("2026-12-22T15:00"),
        days=2,
        calendar=TEXAS,
        pauses=[pause("2026-12-24T11:00", "2026-12-29T16:00")],
    )
    assert [(day.on.day, day.number, day.why, day.name) for day in days] == [
        (23, 1, None, ""),
        (24, None, Reason.PAUSED, ""),
        (25, None, Reason.CLOSURE, "Christmas Day"),
        (26, None, Reason.DAY_OFF, ""),
        (27, None, Reason.DAY_OFF, ""),
        (28, None, Reason.PAUSED, ""),
        (29, 2, Reason.JUST_ANSWERED, ""),
        (30, 2, None, ""),
    ]
    assert days[-1].closes_at == texas("2026-12-30T18:00")
    assert words(days[2]) == "Christmas Day"
    assert all(words(day) for day in days if day.why) and not words(days[-1])


def test_the_reasons_end_at_the_open_pause():
    days = explain(
        ended_at=texas("2026-12-07T11:00"), days=2, calendar=TEXAS, pauses=[pause("2026-12-09T10:00", None)]
    )
    assert [(day.number, day.why) for day in days] == [(1, None), (None, Reason.PAUSED)]


# --- the inverse questions


@pytest.mark.parametrize(
    ("now", "left"),
    [("2026-11-30T14:00", 2), ("2026-12-01T23:00", 1), ("2026-12-02T00:00", 0), ("2026-12-05T00:00", 0)],
)
def test_working_days_left(now, left):
    assert working_days_left(texas(now), texas("2026-12-02T18:00"), TEXAS) == left


def test_working_days_are_added_both_ways():
    assert add_working_days(date(2026, 11, 25), 2, TEXAS) == date(2026, 11, 30)
    assert add_working_days(date(2026, 11, 30), -2, TEXAS) == date(2026, 11, 25)
    assert add_working_days(date(2026, 11, 28), 0, TEXAS) == date(2026, 11, 28)


@pytest.mark.parametrize(
    ("after", "closing"),
    [
        ("2026-12-23T17:59", "2026-12-23T18:00"),
        ("2026-12-23T18:00", "2026-12-24T13:00"),
        ("2026-12-24T13:00", "2026-12-28T18:00"),
    ],
)
def test_the_next_closing_is_strictly_later(after, closing):
    assert next_working_closing(texas(after), TEXAS) == texas(closing)


@pytest.mark.parametrize(
    ("moment", "hours", "before"),
    [
        ("2026-12-02T18:00", 4, "2026-12-02T14:00"),
        ("2026-12-02T10:00", 4, "2026-12-01T15:00"),
        ("2026-12-02T09:00", 1, "2026-12-01T17:00"),
        ("2026-12-02T07:00", 1, "2026-12-01T17:00"),
        ("2026-12-24T13:00", 5, "2026-12-23T17:00"),
        ("2026-12-28T09:30", 1.5, "2026-12-24T12:00"),
        ("2026-12-26T12:00", 4, "2026-12-24T09:00"),
        ("2026-12-02T18:00", 0, "2026-12-02T18:00"),
    ],
)
def test_working_hours_run_from_opening_to_closing(moment, hours, before):
    assert working_hours_before(texas(moment), hours, TEXAS) == texas(before)


def test_a_calendar_without_working_hours_has_none_to_go_back():
    shut = Calendar("Europe/London", opens=time(18))
    with pytest.raises(CalendarError, match="no working hours"):
        working_hours_before(texas("2026-12-02T18:00"), 1, shut)


def test_people_are_warned_a_day_four_hours_and_one_hour_before():
    warned = warnings_before(texas("2026-12-08T18:00"), TEXAS)
    assert warned.one_day_at == texas("2026-12-07T18:00")
    assert warned.four_hours_at == texas("2026-12-08T14:00")
    assert warned.one_hour_at == texas("2026-12-08T17:00")


def test_warnings_come_in_order_also_around_an_early_closing():
    warned = warnings_before(texas("2026-12-24T13:00"), TEXAS)
    assert (warned.one_day_at, warned.four_hours_at) == (texas("2026-12-23T18:00"), texas("2026-12-24T09:00"))


# --- stored inputs


def stored(**change: Any) -> Any:
    kept = {"ended_at": texas("2026-12-07T14:00"), "days": 2, "calendar": TEXAS, **change}
    return json.loads(json.dumps(inputs_of(**kept)))


def test_a_promise_is_recomputed_from_its_stored_inputs():
    late = pause("2026-12-09T09:00", "2026-12-09T17:00")
    inputs = stored(pauses=[late])
    assert (
        recompute(inputs) == promised(texas("2026-12-07T14:00"), pauses=(late,)) == texas("2026-12-10T18:00")
    )
    assert inputs["tzdata"]


def test_only_the_closures_that_matter_are_stored():
    crowded = Calendar(
        "America/Chicago", closures={date(2020 + n, 12, 25): "Christmas Day" for n in range(20)}
    )
    assert stored(calendar=crowded)["calendar"]["closures"] == {"2026-12-25": "Christmas Day"}


def test_a_paused_promise_keeps_every_later_closure_and_says_it_is_paused():
    inputs = stored(pauses=[pause("2026-12-07T15:00", None)])
    with pytest.raises(ClockPaused):
        recompute(inputs)
    assert inputs["until"] == "9999-12-31"


def test_another_rule_is_not_recomputed_by_this_one():
    with pytest.raises(WorkdaysError, match="another rule"):
        recompute({**stored(), "rule": "C"})


def test_a_closure_added_later_does_not_make_a_running_promise_later():
    inputs = stored()
    closed = Calendar(TEXAS.zone, closures={**TEXAS.closures, date(2026, 12, 8): "Painting"})
    due_at, again = promised_again(inputs, calendar=closed, pauses=[])
    assert due_at == texas("2026-12-09T18:00") == recompute(again)


def test_a_closure_taken_away_makes_it_earlier():
    painting = Calendar(TEXAS.zone, closures={date(2026, 12, 8): "Painting"})
    inputs = stored(calendar=painting)
    assert recompute(inputs) == texas("2026-12-10T18:00")
    due_at, again = promised_again(inputs, calendar=TEXAS, pauses=[])
    assert due_at == texas("2026-12-09T18:00") == recompute(again)


def test_a_later_pause_is_counted_with_the_closures_of_then():
    closed = Calendar(TEXAS.zone, closures={**TEXAS.closures, date(2026, 12, 10): "Painting"})
    late = pause("2026-12-09T09:00", "2026-12-09T17:00")
    due_at, _inputs = promised_again(stored(), calendar=closed, pauses=[late])
    assert due_at == texas("2026-12-10T18:00")


def test_beyond_the_stored_window_todays_closures_decide():
    far = date(2027, 12, 24)
    closed = Calendar(TEXAS.zone, closures={far: "Painting"})
    assert far in as_promised(stored(), closed).closures
    assert date(2026, 12, 25) in as_promised(stored(), closed).closures


def test_an_open_pause_keeps_its_promise_empty_when_asked_again():
    with pytest.raises(ClockPaused):
        promised_again(stored(), calendar=TEXAS, pauses=[pause("2026-12-08T09:00", None)])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"tz": "Europe/London", "week": "111"},
        {"tz": "Europe/London", "week": "0000000"},
        {"tz": "Europe/London", "week": 5},
        {"tz": "Europe/London", "close": "6 pm"},
        {"tz": "Europe/London", "closures": {"Christmas": "x"}},
        {"tz": None},
    ],
)
def test_an_unreadable_calendar_is_refused(data):
    with pytest.raises(CalendarError):
        calendar_from_json(data)


def test_a_calendar_file_may_leave_out_what_has_a_default():
    calendar = calendar_from_json({"tz": "Europe/London", "closures": ["2026-12-25"], "close": "08:00"})
    assert calendar == Calendar(
        "Europe/London", closes=time(8), opens=time(8), closures={date(2026, 12, 25): ""}
    )


# --- properties

ZONES = [
    "America/Chicago",
    "America/Vancouver",
    "America/St_Johns",
    "Europe/London",
    "Europe/Dublin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "America/Nuuk",
    "UTC",
]
moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC))
dates = st.dates(date(2026, 1, 1), date(2029, 3, 1))
clock = st.times().map(lambda moment: moment.replace(second=0, microsecond=0))


@st.composite
def calendars(draw: st.DrawFn, half_days: bool = True) -> Calendar:
    return Calendar(
        zone=draw(st.sampled_from(ZONES)),
        week=draw(st.frozensets(st.integers(0, 6), min_size=1)),
        closes=draw(st.one_of(st.just(time(18)), clock)),
        opens=time(0),
        closures=dict.fromkeys(draw(st.sets(dates, max_size=40)), "closed"),
        half_days=draw(st.dictionaries(dates, clock, max_size=20)) if half_days else {},
        half_day_counts=draw(st.booleans()),
    )


@st.composite
def some_pauses(draw: st.DrawFn, near: datetime) -> list[Pause]:
    found = []
    for _number in range(draw(st.integers(0, 4))):
        begins = near + timedelta(minutes=draw(st.integers(0, 20 * 24 * 60)))
        found.append(Pause(begins, begins + timedelta(minutes=draw(st.integers(0, 5 * 24 * 60)))))
    return found


@given(moments, st.integers(0, 10_000), st.integers(1, 6), calendars(), st.data())
def test_a_later_end_is_never_promised_earlier(ended_at, minutes, days, calendar, data):
    pauses = data.draw(some_pauses(ended_at))
    sooner = deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)
    later = deliver_by(
        ended_at=ended_at + timedelta(minutes=minutes), days=days, calendar=calendar, pauses=pauses
    )
    assert sooner <= later


@given(moments, st.integers(1, 6), calendars(), st.data())
def test_more_days_are_never_promised_earlier(ended_at, days, calendar, data):
    pauses = data.draw(some_pauses(ended_at))
    fewer = deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)
    more = deliver_by(ended_at=ended_at, days=days + 1, calendar=calendar, pauses=pauses)
    assert fewer < more or (pauses and fewer <= more)  # the floor may carry both to one closing


@given(moments, st.integers(1, 6), calendars(), st.sets(dates, max_size=60), st.data())
def test_another_full_closure_never_makes_it_earlier(ended_at, days, calendar, more, data):
    pauses = data.draw(some_pauses(ended_at))
    closed = Calendar(
        calendar.zone,
        calendar.week,
        calendar.closes,
        {**calendar.closures, **dict.fromkeys(more, "more")},
        calendar.half_days,
        calendar.half_day_counts,
        calendar.opens,
    )
    before = deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)
    assert before <= deliver_by(ended_at=ended_at, days=days, calendar=closed, pauses=pauses)


@given(moments, st.integers(1, 6), calendars(), st.data())
def test_another_pause_never_makes_it_earlier(ended_at, days, calendar, data):
    pauses = data.draw(some_pauses(ended_at))
    fewer = deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses[1:])
    assert fewer <= deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)


@given(moments, st.integers(1, 6), calendars(), st.sampled_from(ZONES), st.data())
def test_the_zone_in_which_instants_are_written_does_not_matter(ended_at, days, calendar, zone, data):
    pauses = data.draw(some_pauses(ended_at))
    elsewhere = ZoneInfo(zone)
    moved = [
        Pause(p.begins_at.astimezone(elsewhere), p.ends_at and p.ends_at.astimezone(elsewhere))
        for p in pauses
    ]
    assert deliver_by(
        ended_at=ended_at.astimezone(elsewhere), days=days, calendar=calendar, pauses=moved
    ) == deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)


@given(moments, st.integers(1, 6), calendars(), st.data())
def test_the_promise_keeps_what_the_rule_says(ended_at, days, calendar, data):
    """Written from the rule's sentences, not from the walk: membership, pause, floor, and how many count before."""
    pauses = data.draw(some_pauses(ended_at))
    due_at = deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)
    whole = united(pauses)

    def counts(on: date) -> bool:
        closing = calendar.closes_at(on)
        return calendar.is_working_day(on) and not any(
            p.begins_at <= closing < (p.ends_at or closing) for p in whole
        )

    def is_floored(on: date) -> bool:
        closing = calendar.closes_at(on)
        return any(timedelta() <= closing - (p.ends_at or closing) < FLOOR for p in whole)

    ended_on = ended_at.astimezone(ZoneInfo(calendar.zone)).date()
    after = [ended_on + timedelta(days=n) for n in range(1, 400)]
    kept = [on for on in after if counts(on) and calendar.closes_at(on) <= due_at]
    assert calendar.closes_at(kept[-1]) == due_at
    assert len(kept) >= days
    assert not is_floored(kept[-1])
    assert all(is_floored(on) for on in kept[days - 1 : -1])


@given(moments, st.integers(1, 30), calendars())
def test_as_many_working_days_are_left_as_were_promised(ended_at, days, calendar):
    due_at = deliver_by(ended_at=ended_at, days=days, calendar=calendar)
    assume(
        calendar.local_date(due_at)
        in {day.on for day in explain(ended_at=ended_at, days=days, calendar=calendar)}
    )
    assert working_days_left(ended_at, due_at, calendar) == days


@given(moments, st.integers(1, 6), calendars(), st.data())
def test_stored_inputs_give_the_same_promise(ended_at, days, calendar, data):
    pauses = data.draw(some_pauses(ended_at))
    inputs = json.loads(json.dumps(inputs_of(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)))
    assert recompute(inputs) == deliver_by(ended_at=ended_at, days=days, calendar=calendar, pauses=pauses)
    assert calendar_from_json(json.loads(json.dumps(calendar_to_json(calendar)))) == calendar


@given(moments, st.integers(1, 40), calendars())
@example(datetime(2026, 1, 3, 12, tzinfo=UTC), 5, Calendar("UTC", week=frozenset({0})))
def test_numpy_agrees(ended_at, days, calendar):
    off = [on for on in calendar.half_days if not calendar.half_day_counts]
    due_on = np.busday_offset(
        np.datetime64(calendar.local_date(ended_at)),
        days,
        roll="backward",
        weekmask=[weekday in calendar.week for weekday in range(7)],
        holidays=[np.datetime64(on) for on in [*calendar.closures, *off]],
    ).astype(date)
    assert deliver_by(ended_at=ended_at, days=days, calendar=calendar) == calendar.closes_at(due_on)


@given(moments, st.floats(0, 60), calendars())
def test_going_back_working_hours_lands_in_working_hours(moment, hours, calendar):
    assume(calendar.closes > time(0, 30))
    before = working_hours_before(moment, hours, calendar)
    assert before <= moment


# --- the server's own zone


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Chatham"])
def test_the_servers_and_the_databases_zone_do_not_matter(zone):
    program = (
        "from datetime import *; from studio.workdays import *;"
        "c = Calendar('America/Vancouver', closures={date(2026, 11, 11): 'Remembrance Day'});"
        "print(deliver_by(ended_at=datetime(2026, 11, 7, 5, tzinfo=UTC), days=3, calendar=c).isoformat())"
    )
    environment = {**os.environ, "TZ": zone, "PGTZ": zone}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "2026-11-13T01:00:00+00:00"


# --- manage.py deadlines check


def case(**change: object) -> dict[str, object]:
    return {
        "id": "A1",
        "calendar": "texas",
        "session_end_local": "2026-11-30T14:00",
        "n": 2,
        "pauses": [],
        "half_day_counts": True,
        "expected_S": {"due_utc": "2026-12-03T00:00:00Z"},
        **change,
    }


TEXAS_JSON = {
    "tz": "America/Chicago",
    "week": "1111100",
    "close": "18:00",
    "closures": {"2026-12-25": "Christmas Day"},
    "half_days": {"2026-12-24": "13:00"},
}


@pytest.fixture
def check(tmp_path, capsys):
    def run(*cases: dict[str, object]) -> tuple[int, str]:
        path = tmp_path / "cases.json"
        path.write_text(json.dumps({"calendars": {"texas": TEXAS_JSON}, "cases": cases}))
        try:
            call_command("deadlines", "check", str(path))
            code = 0
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return code, capsys.readouterr().out.splitlines()[-1]

    return run


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"session_end_local": None, "session_end_utc": "2026-11-30T20:00:00Z"},
        {"expected_S": {"due_local": "2026-12-02T18:00:00-06:00"}},
        {"calendar": TEXAS_JSON},
        {"pauses": None},
        {
            "session_end_local": "2026-11-01T01:30",
            "fold": 1,
            "expected_S": {"due_utc": "2026-11-04T00:00:00Z"},
        },
        {"session_end_local": "2026-12-22T15:00", "expected_S": {"due_utc": "2026-12-24T19:00:00Z"}},
        {
            "session_end_local": "2026-12-22T15:00",
            "half_day_counts": False,
            "expected_S": {"due_utc": "2026-12-29T00:00:00Z"},
        },
        {
            "pauses": [["2026-12-02T09:00", "2026-12-02T14:01"]],
            "expected_S": {"due_utc": "2026-12-04T00:00:00Z"},
        },
        {
            "pauses": [["2026-12-02T15:00:00Z", "2026-12-02T20:01:00Z"]],
            "expected_S": {"due_utc": "2026-12-04T00:00:00Z"},
        },
        {"pauses": [["2026-12-01T09:00", None]], "expected_S": {"due_utc": None}},
        {
            "pauses": [["2026-12-02T09:00", "2026-12-01T09:00"]],
            "expected_S": {"error": "ends before it begins"},
        },
    ],
)
def test_a_case_that_agrees(change, check):
    assert check(case(**change)) == (0, "1 agree, 0 differ")


@pytest.mark.parametrize(
    "change",
    [
        {"expected_S": {"due_utc": "2026-12-02T18:00:00Z"}},
        {"expected_S": {}},
        {"n": 0},
        {"n": "two"},
        {"calendar": "mars"},
        {"pauses": [["2026-12-02T09:00", "2026-12-01T09:00"]]},
        {"pauses": [["yesterday", "today"]]},
        {"session_end_local": None},
    ],
)
def test_a_case_that_differs_is_named_and_the_command_fails(change, check):
    assert check(case(id="A0"), case(id="B7", **change)) == (1, "1 agree, 1 differ: B7")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cases": []}', "not json"])
def test_a_file_without_cases_is_refused(content, tmp_path):
    path = tmp_path / "cases.json"
    path.write_text(content)
    with pytest.raises(CommandError):
        call_command("deadlines", "check", str(path))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("deadlines", "check", str(tmp_path / "missing.json"))


# --- odd cases, computed by other means


def test_two_hundred_odd_cases_agree_with_a_slow_clock(tmp_path, capsys):
    cases = list(slow_promise.odd_cases(200))
    answers = {case["expected_S"]["due_utc"] for case in cases}
    assert None in answers and len(answers) > 100  # they are not all alike
    assert sum(len(case["pauses"]) > 1 for case in cases) > 50
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({"calendars": slow_promise.CALENDARS, "cases": cases}))
    call_command("deadlines", "check", str(path))
    assert capsys.readouterr().out == "200 agree, 0 differ\n"


REASONED = [  # calendar, local end of the shoot, n, pauses (local), the local promise; reasoned with a pencil
    # Sunday to Thursday: a Wednesday's shoot is due on Sunday, a Thursday's on Monday
    ("riyadh", "2026-11-25T14:00", 2, [], "2026-11-29T17:00"),
    ("riyadh", "2026-11-26T14:00", 2, [], "2026-11-30T17:00"),
    ("riyadh", "2026-11-27T14:00", 2, [], "2026-11-30T17:00"),  # Friday is off
    # a second before midnight and midnight itself are two days
    ("texas", "2026-11-16T23:59:59", 2, [], "2026-11-18T18:00"),
    ("texas", "2026-11-17T00:00", 2, [], "2026-11-19T18:00"),
    # Thanksgiving is no day, the half day after it is one
    ("texas", "2026-11-24T14:00", 2, [], "2026-11-27T12:00"),
    ("texas", "2026-11-25T14:00", 2, [], "2026-11-30T18:00"),
    # four hours before a half day's closing at 12:00 is 8:00
    ("texas", "2026-11-24T14:00", 2, [("2026-11-26T20:00", "2026-11-27T08:00")], "2026-11-27T12:00"),
    ("texas", "2026-11-24T14:00", 2, [("2026-11-26T20:00", "2026-11-27T08:00:01")], "2026-11-30T18:00"),
    # New Year's Eve closes at 10:00, New Year's Day is closed, Monday is the first day again
    ("texas", "2026-12-29T09:00", 2, [], "2026-12-31T10:00"),
    ("texas", "2026-12-31T23:59:59", 2, [], "2027-01-05T18:00"),
    ("texas", "2026-12-30T12:00", 2, [], "2027-01-04T18:00"),
    # a half day that does not count, then two closed days and a Sunday
    ("berlin", "2026-12-22T12:00", 2, [], "2026-12-28T19:45"),
    ("berlin", "2026-12-23T12:00", 2, [], "2026-12-29T19:45"),
    # the night the clocks change: a pause over it ends at 15:46 by the clock, less than four hours before 19:45
    ("berlin", "2026-10-23T12:00", 2, [("2026-10-24T20:00", "2026-10-26T15:45")], "2026-10-26T19:45"),
    ("berlin", "2026-10-23T12:00", 2, [("2026-10-24T20:00", "2026-10-26T15:46")], "2026-10-27T19:45"),
    # the cut-off itself: ended exactly at closing, the next day is the first
    ("texas", "2026-11-16T18:00", 1, [], "2026-11-17T18:00"),
    # a pause over a night costs nothing; one that touches the closing costs the day
    ("texas", "2026-11-16T14:00", 2, [("2026-11-16T18:00:01", "2026-11-17T09:00")], "2026-11-18T18:00"),
    ("texas", "2026-11-16T14:00", 2, [("2026-11-17T18:00", "2026-11-18T09:00")], "2026-11-19T18:00"),
    ("texas", "2026-11-16T14:00", 2, [("2026-11-17T10:00", "2026-11-17T18:00")], "2026-11-18T18:00"),
    # over a whole week end nothing is lost, because nobody works
    ("texas", "2026-11-19T14:00", 2, [("2026-11-20T18:00:01", "2026-11-23T09:00")], "2026-11-23T18:00"),
    # nineteen days away, and home on a Sunday
    ("texas", "2026-10-12T14:00", 2, [("2026-10-12T15:00", "2026-11-01T12:00")], "2026-11-03T18:00"),
    # two that overlap are one; one of no length is none, also at the closing itself
    (
        "texas",
        "2026-11-16T14:00",
        2,
        [("2026-11-17T09:00", "2026-11-17T17:00"), ("2026-11-17T16:00", "2026-11-17T19:00")],
        "2026-11-19T18:00",
    ),
    ("texas", "2026-11-16T14:00", 2, [("2026-11-18T18:00", "2026-11-18T18:00")], "2026-11-18T18:00"),
    ("texas", "2026-11-16T14:00", 2, [("2026-11-18T16:00", "2026-11-18T16:00")], "2026-11-18T18:00"),
    # the floor moves to a day that is paused at closing: the one after it
    (
        "texas",
        "2026-11-16T14:00",
        2,
        [("2026-11-18T12:00", "2026-11-18T15:00"), ("2026-11-19T17:00", "2026-11-19T19:00")],
        "2026-11-20T18:00",
    ),
    # only Sundays, and one of them closed
    ("sundays", "2026-12-13T12:00", 2, [], "2027-01-03T12:00"),
    # closing a quarter past midnight: the date after counts from its first minutes
    ("kathmandu", "2026-11-16T23:59:59", 2, [], "2026-11-18T00:15"),
    ("kathmandu", "2026-11-16T23:59:59", 1, [("2026-11-16T20:00", "2026-11-16T20:16")], "2026-11-18T00:15"),
    # half an hour of summer time: ended in the hour that exists twice, the date is what matters
    ("lord-howe", "2026-04-04T23:30", 1, [], "2026-04-07T18:00"),  # Monday is off there
]


@pytest.mark.parametrize(("name", "ended", "days", "pauses", "due"), REASONED)
def test_reasoned_cases(name, ended, days, pauses, due):
    calendar = calendar_from_json(slow_promise.CALENDARS[name])
    found = deliver_by(
        ended_at=at(calendar.zone, ended),
        days=days,
        calendar=calendar,
        pauses=[Pause(at(calendar.zone, begin), at(calendar.zone, end)) for begin, end in pauses],
    )
    assert found == at(calendar.zone, due).astimezone(UTC)
