"""Time-zone rules come from one package, and we notice when they are old."""

import zoneinfo
from datetime import UTC, date, datetime

import pytest

from studio import zones


def test_the_packages_rules_are_the_ones_in_use():
    assert zoneinfo.TZPATH == ()
    offset = datetime(2026, 12, 1, tzinfo=UTC).astimezone(zoneinfo.ZoneInfo("America/Vancouver")).utcoffset()
    assert offset is not None
    assert offset.total_seconds() == -7 * 3600  # since 2026-11-01; older rules say -8


def test_the_release_has_a_name():
    assert zones.released_about(zones.release()) >= date(2026, 6, 1)


@pytest.mark.parametrize(
    ("name", "about"),
    [("2025b", date(2025, 2, 1)), ("2026f", date(2026, 6, 1)), ("2024z", date(2024, 12, 1))],
)
def test_a_release_is_dated_by_its_name(name, about):
    assert zones.released_about(name) == about


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="not the name"):
        zones.released_about("latest")


def found(name: str, tzpath: tuple[str, ...] = (), today: date = date(2026, 11, 21)) -> list[str]:
    return [str(problem.id) for problem in zones.problems(name=name, tzpath=tzpath, today=today)]


def test_fresh_rules_are_fine():
    assert found("2026f") == []


def test_old_rules_are_a_warning():
    assert found("2025b") == ["studio.W052"]
    assert found("2026f", today=date(2027, 6, 30)) == []
    assert found("2026f", today=date(2027, 7, 30)) == ["studio.W052"]


def test_missing_or_shadowed_rules_are_errors():
    assert found("") == ["studio.E050"]
    assert found("2026f", ("/usr/share/zoneinfo",)) == ["studio.E051"]


def test_the_check_itself_finds_nothing_here():
    assert zones.check_zone_rules() == []
