"""How amounts, times and states are written, everywhere alike. Arithmetic stays in the domain."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.db import models
from django.templatetags.static import static
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from studio import desk, letters
from studio.accounts import roles_of
from studio.currencies import DECIMALS

register = template.Library()

SYMBOLS = {
    "USD": "$",
    "GBP": "£",
    "EUR": "€",
    "JPY": "¥",
    "CAD": "CA$",
    "AUD": "A$",
    "NZD": "NZ$",
    "INR": "₹",
    "KRW": "₩",
    "ILS": "₪",
}

TONES = {
    "good": {
        "confirmed",
        "completed",
        "delivered",
        "approved",
        "paid",
        "sent",
        "done",
        "accepted",
        "passed",
        "booked",
    },
    "accent": {
        "checked_in",
        "proofing",
        "retouching",
        "approving",
        "ready",
        "drafted",
        "in_review",
        "open",
        "offered",
    },
    "warn": {
        "held",
        "requested",
        "sending",
        "change_asked",
        "due",
        "overridden",
        "not_measured",
        "wanted",
        "by_hand",
    },
    "bad": {"failed", "refused", "no_show", "blocked", "overdue"},
}


@register.filter
def money(amount: int | None, currency: object) -> str:
    """Minor units and a currency as a person writes them: 18500 USD → "$185", 9050 GBP → "£90.50"."""
    return _money(amount, currency)


def money_exactly(amount: int | None, currency: object) -> str:
    """The same with all its decimals, as papers and columns want it: 18500 USD → "$185.00"."""
    return _money(amount, currency, is_exact=True)


def _money(amount: int | None, currency: object, *, is_exact: bool = False) -> str:
    if amount is None:
        return ""
    code = str(currency).upper()
    decimals = DECIMALS.get(code, 2)
    value = Decimal(abs(amount)).scaleb(-decimals)
    shown = 0 if value == value.to_integral_value() and not is_exact else decimals
    number = formats.number_format(value, decimal_pos=shown, force_grouping=True)
    symbol = SYMBOLS.get(code, f"{code}\N{NO-BREAK SPACE}")
    return f"{'−' if amount < 0 else ''}{symbol}{number}"


def zone_of(place: object) -> ZoneInfo:
    """The time zone of a location (anything with `zone`), or of a zone's name."""
    return ZoneInfo(str(getattr(place, "zone", place)))


@register.filter
def clock_of(place: object) -> str:
    """The clock of a place as people call it, by its zone's city: "Europe/London" → "London time"."""
    key = str(zone_of(place).key)
    city = key.rpartition("/")[2].replace("_", " ")
    return _("%(city)s time") % {"city": city} if "/" in key else key


@register.filter
def local(moment: datetime | None, place: object) -> str:
    """A moment in a location's zone, in words: "Wed 25 November, 18:00"; with the year when it is not this one."""
    return _in_zone(moment, place, "D j F, H:i", "D j F Y, H:i")


@register.filter
def local_day(moment: datetime | None, place: object) -> str:
    """The day of a moment in a location's zone: "Wednesday 25 November"."""
    return _in_zone(moment, place, "l j F", "l j F Y")


@register.filter
def local_time(moment: datetime | None, place: object) -> str:
    """The time of day of a moment in a location's zone: "18:00"."""
    return formats.time_format(moment.astimezone(zone_of(place)), "H:i") if moment else ""


@register.simple_tag
def your_time(moment: datetime | None, place: object, person: object) -> str:
    """A moment on a person's own clock, to be said behind the place's: " (16:00 your time, Europe/London)".

    Empty where the clocks agree at that moment, or theirs is not known.
    """
    own = str(getattr(person, "zone", "") or "")
    if moment is None or not own:
        return ""
    here, there = moment.astimezone(zone_of(place)), moment.astimezone(zone_of(own))
    if here.utcoffset() == there.utcoffset():
        return ""
    shown = local_time(moment, own) if here.date() == there.date() else local(moment, own)
    return _(" (%(time)s your time, %(zone)s)") % {"time": shown, "zone": own.replace("_", " ")}


def _in_zone(moment: datetime | None, place: object, pattern: str, with_year: str) -> str:
    if not moment:  # None, or a name the template does not have
        return ""
    zone = zone_of(place)
    there = moment.astimezone(zone)
    is_this_year = there.year == timezone.now().astimezone(zone).year
    return formats.date_format(there, pattern if is_this_year else with_year)


@register.filter
def in_words(length: timedelta | int | None) -> str:
    """A length of time in words, to the minute; a number counts minutes: 75 → "1 hour 15 minutes"."""
    if length is None:
        return ""
    minutes = round(length.total_seconds() / 60) if isinstance(length, timedelta) else int(length)
    days, rest = divmod(abs(minutes), 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [
        ngettext("%d day", "%d days", days) % days if days else "",
        ngettext("%d hour", "%d hours", hours) % hours if hours else "",
        ngettext("%d minute", "%d minutes", minutes) % minutes if minutes else "",
    ]
    return " ".join(part for part in parts if part) or _("0 minutes")


@register.filter
def letter(text: str) -> list[letters.Block]:
    """The paragraphs of a mail's text, for `emails/letter.html`."""
    return letters.blocks(text)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One icon of static/img/icons.svg; silent beside words, spoken when it stands alone with a label."""
    href = f"{static('img/icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>', label, href
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>', href)


@register.inclusion_tag("_partials/status.html")
def status(thing: models.Model | str, label: str = "") -> dict[str, str]:
    """A badge for the status of a row (`{% status booking %}`), or for a value and its label."""
    value = str(getattr(thing, "status", thing))
    display = getattr(thing, "get_status_display", None)
    tone = next((tone for tone, values in TONES.items() if value in values), "")
    return {"tone": tone, "label": label or (str(display()) if display else value)}


@register.inclusion_tag("_partials/desk_navigation.html", takes_context=True)
def desk_navigation(context: dict[str, Any]) -> dict[str, Any]:
    """The desk's links for this person; the one whose address this page lies under is the current one."""
    request = context["request"]
    entries = [
        {"url": reverse(entry.url_name), "label": entry.label} for entry in desk.links(roles_of(request.user))
    ]
    here = [str(entry["url"]) for entry in entries if request.path.startswith(str(entry["url"]))]
    current = max(here, key=len, default="")
    return {"entries": [{**entry, "is_current": entry["url"] == current} for entry in entries]}


@register.filter
def at(mapping: Mapping[Any, Any], key: object) -> Any:
    """`{{ counts|at:row.pk }}`: what a dictionary has under a key; nothing without it."""
    return mapping.get(key)
