"""Amounts, times, lengths and states as people read them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.test import RequestFactory

from studio.models import Message, MessageStatus
from studio.templatetags import studio_tags


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (18500, "USD", "$185"),
        (18505, "usd", "$185.05"),
        (9050, "GBP", "£90.50"),
        (0, "EUR", "€0"),
        (-500, "USD", "−$5"),
        (123456789, "USD", "$1,234,567.89"),
        (1200, "JPY", "¥1,200"),
        (1250, "KWD", "KWD\N{NO-BREAK SPACE}1.250"),
        (18500, "CHF", "CHF\N{NO-BREAK SPACE}185"),
        (None, "USD", ""),
    ],
)
def test_money_is_written_by_its_currency(amount: int | None, currency: str, words: str) -> None:
    assert studio_tags.money(amount, currency) == words


class Place:
    zone = "America/Chicago"


def test_local_is_in_the_zone_of_the_location() -> None:
    moment = datetime(2026, 11, 26, 0, 0, tzinfo=UTC)
    this_year = moment.replace(year=datetime.now(tz=UTC).year)
    day = (
        "Wed" if this_year.year == 2026 else this_year.astimezone(studio_tags.zone_of(Place())).strftime("%a")
    )
    assert studio_tags.local(this_year, Place()) == f"{day} 25 November, 18:00"
    assert studio_tags.local_time(this_year, "Asia/Kathmandu") == "05:45"


class Person:
    def __init__(self, zone: str) -> None:
        self.zone = zone


@pytest.mark.parametrize(
    ("moment", "zone", "words"),
    [
        (datetime(2026, 11, 24, 16, tzinfo=UTC), "Europe/London", " (16:00 your time, Europe/London)"),
        (
            datetime(2026, 11, 24, 23, tzinfo=UTC),
            "Asia/Kathmandu",
            " (Wed 25 November, 04:45 your time, Asia/Kathmandu)",
        ),
        (
            datetime(2026, 11, 24, 16, tzinfo=UTC),
            "America/Menominee",
            "",
        ),  # the same clock under another name
        (datetime(2026, 7, 1, 16, tzinfo=UTC), "America/Regina", " (10:00 your time, America/Regina)"),
        (datetime(2026, 12, 1, 16, tzinfo=UTC), "America/Regina", ""),  # only in summer are they apart
        (datetime(2026, 12, 1, 16, tzinfo=UTC), "", ""),
        (None, "Europe/London", ""),
    ],
)
def test_a_persons_own_clock_is_said_where_it_differs(moment: datetime, zone: str, words: str) -> None:
    assert studio_tags.your_time(moment, Place(), Person(zone)) == words


def test_local_names_the_year_when_it_is_another() -> None:
    assert studio_tags.local(datetime(2031, 1, 1, 3, 0, tzinfo=UTC), Place()) == "Tue 31 December 2030, 21:00"
    assert studio_tags.local_day(datetime(2031, 7, 1, 12, 0, tzinfo=UTC), Place()) == "Tuesday 1 July 2031"


def test_local_of_nothing_is_nothing() -> None:
    assert studio_tags.local(None, Place()) == ""


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (75, "1 hour 15 minutes"),
        (60, "1 hour"),
        (45, "45 minutes"),
        (1, "1 minute"),
        (0, "0 minutes"),
        (timedelta(days=2, hours=3), "2 days 3 hours"),
        (timedelta(seconds=95), "2 minutes"),
        (None, ""),
    ],
)
def test_lengths_are_words(length: timedelta | int | None, words: str) -> None:
    assert studio_tags.in_words(length) == words


def test_icon_beside_words_is_silent_and_alone_it_speaks() -> None:
    assert 'aria-hidden="true"' in studio_tags.icon("clock")
    assert studio_tags.icon("cross", 'Close "it"').startswith(
        '<svg class="icon" role="img" aria-label="Close &quot;it&quot;"><use href="'
    )
    assert "img/icons.svg#cross" in studio_tags.icon("cross", "Close")


def test_status_badge_takes_tone_and_words_of_the_row() -> None:
    html = Template("{% load studio_tags %}{% status message %}").render(
        Context({"message": Message(status=MessageStatus.FAILED)})
    )
    assert html.strip() == '<span class="badge is-bad">Failed</span>'


def test_status_badge_of_a_value_escapes_its_label() -> None:
    html = Template('{% load studio_tags %}{% status "whatever" label %}').render(Context({"label": "<b>"}))
    assert html.strip() == '<span class="badge">&lt;b&gt;</span>'


@pytest.mark.django_db
def test_navigation_marks_the_link_this_page_lies_under() -> None:
    from tests.factories import user

    request = RequestFactory().get("/desk/messages/abc/")
    request.user = user()
    entries = studio_tags.desk_navigation({"request": request})["entries"]
    assert [str(entry["label"]) for entry in entries if entry["is_current"]] == ["Messages"]


def test_the_clock_of_a_place_is_called_by_its_city():
    assert studio_tags.clock_of("America/New_York") == "New York time"
    assert studio_tags.clock_of("Australia/Lord_Howe") == "Lord Howe time"
    assert studio_tags.clock_of("UTC") == "UTC"
