"""Closures made on the desk: once, or again every week, month or year. Each is a row the studio can take back."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from bookings import holds
from bookings.people import clean
from bookings.refusals import NotNow
from bookings.timeline import DAY
from studio.actors import Actor
from studio.happenings import tell
from studio.models import Closure, Location

AS_FAR = timedelta(days=731)


def dates_of(first_on: date, *, repeats: str, until: date | None) -> list[date]:
    """The dates of a closure, from the first one on; two years of them unless told otherwise. Raises NotNow."""
    last_on = first_on if repeats == "once" else until or first_on + AS_FAR
    if last_on < first_on or last_on > first_on + 5 * AS_FAR:
        raise NotNow(_("The last day must not be before the first, and within ten years."))
    steps = {"once": _once, "weekly": _weekly, "monthly": _monthly, "yearly": _yearly}
    if repeats not in steps:
        raise NotNow(_("Please say how often."))
    return list(steps[repeats](first_on, last_on))


def _once(first_on: date, last_on: date) -> Iterator[date]:
    yield first_on


def _weekly(first_on: date, last_on: date) -> Iterator[date]:
    on = first_on
    while on <= last_on:
        yield on
        on += 7 * DAY


def _monthly(first_on: date, last_on: date) -> Iterator[date]:
    """The same weekday in the same week of each month; a fifth one where there is one."""
    which = (first_on.day - 1) // 7
    year, month = first_on.year, first_on.month
    while (start := date(year, month, 1)) <= last_on:
        on = start + ((first_on.weekday() - start.weekday()) % 7 + 7 * which) * DAY
        if on.month == month and first_on <= on <= last_on:
            yield on
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _yearly(first_on: date, last_on: date) -> Iterator[date]:
    """The same date each year; 29 February only in years that have it."""
    for year in range(first_on.year, last_on.year + 1):
        try:
            on = first_on.replace(year=year)
        except ValueError:
            continue
        if on <= last_on:
            yield on


def close(
    *,
    location: Location,
    first_on: date,
    name: str,
    closes_at: time | None = None,
    repeats: str = "once",
    until: date | None = None,
    by: Actor,
    now: datetime,
) -> int:
    """Close a place on these dates, or early. Returns on how many of them it is closed for longer than before.

    A date that is closed for as long already keeps what it says; one that closes only later takes the new hour and
    name.

    Bookings of those days stand until they are moved; promises that run become no later. Raises NotNow.
    """
    dates = dates_of(first_on, repeats=repeats, until=until)
    with transaction.atomic():
        holds.lock_everybody_at(location)
        rows = Closure.objects.filter(location=location, on__in=dates)
        before = rows.count()
        shorter = rows.filter(closes_at__isnull=False)
        if closes_at is not None:
            shorter = shorter.filter(closes_at__gt=closes_at)
        longer = shorter.update(name=clean(name)[:120], closes_at=closes_at)
        Closure.objects.bulk_create(
            [Closure(location=location, on=on, name=clean(name)[:120], closes_at=closes_at) for on in dates],
            ignore_conflicts=True,
        )
        tell("closures_changed", location=location, by=by, now=now)
    return len(dates) - before + longer


def open_again(*, closure_ids: list[int], by: Actor, now: datetime) -> int:
    """Take closures back. Returns how many there were."""
    with transaction.atomic():
        rows = Closure.objects.filter(pk__in=closure_ids).select_related("location")
        places = {row.location for row in rows}
        count = rows.delete()[0]
        for location in sorted(places, key=lambda row: row.pk):
            tell("closures_changed", location=location, by=by, now=now)
    return count
