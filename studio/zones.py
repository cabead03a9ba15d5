"""Time-zone rules from the PyPI package `tzdata`, so that one release decides on every machine.

The operating system's rules may be years old (British Columbia stays on UTC-7 since 2026-11-01), and a
promise computed with them would be an hour off. Importing this module, which `studio.workdays` and the
settings do, makes `zoneinfo` read the package only.
"""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.utils.translation import gettext as _

OLDEST_DAYS = 400  # IANA releases several times a year; after 400 days some government has changed its mind
_HINT = "Upgrade the package: pip install --upgrade tzdata"


def use_packaged_rules() -> None:
    """Read zones from the package `tzdata` and nowhere else; forget what was read from elsewhere before."""
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()


def release() -> str:
    """The IANA release in use, such as "2026f"; empty when the package is not installed."""
    try:
        return str(import_module("tzdata").IANA_VERSION)
    except ModuleNotFoundError:
        return ""


def released_about(name: str) -> date:
    """About when an IANA release came out, from its name: the n-th letter of a year is taken as its n-th
    month.

    Releases carry no date; this reading is never more than a few months off. Raises ValueError for another
    name.
    """
    year, letter = name[:4], name[4:5] or "a"
    if not (year.isdecimal() and "a" <= letter <= "z"):
        raise ValueError(f"{name!r} is not the name of a time-zone release.")
    return date(int(year), min(ord(letter) - ord("a") + 1, 12), 1)


def problems(*, name: str, tzpath: tuple[str, ...], today: date) -> list[CheckMessage]:
    """What is wrong with the zone rules in use: missing, shadowed by the system's own, or too old."""
    if not name:
        return [Error(_("The time-zone package tzdata is not installed."), hint=_HINT, id="studio.E050")]
    if tzpath:
        message = _("Time zones are read from %(paths)s before the package tzdata.") % {
            "paths": ", ".join(tzpath)
        }
        hint = (
            "Call studio.zones.use_packaged_rules() before any zone is used, or set PYTHONTZPATH to nothing."
        )
        return [Error(message, hint=hint, id="studio.E051")]
    age = today - released_about(name)
    if age > timedelta(days=OLDEST_DAYS):
        message = _(
            "The time-zone rules %(name)s are about %(days)d days old; promises may be an hour off."
        ) % {
            "name": name,
            "days": age.days,
        }
        return [Warning(message, hint=_HINT, id="studio.W052")]
    return []


@register(Tags.compatibility)
def check_zone_rules(**kwargs: Any) -> list[CheckMessage]:
    """System check: the packaged rules are in use and fresh enough."""
    return problems(name=release(), tzpath=zoneinfo.TZPATH, today=datetime.now(UTC).date())


use_packaged_rules()
