"""The evening before: each person with work the next day gets it as a sheet of paper. Their own day, and no money.

What changes afterwards is sent again by the next sweep, so that a few changes in a row are one mail: until the session
on the day itself, never at night. Whoever has nothing to do any more is told that.
"""

from base64 import b64encode
from collections.abc import Iterable
from datetime import date, datetime, time
from hashlib import sha256
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from bookings.messages import QUIET_FROM, QUIET_UNTIL
from bookings.models import Claim, ResourceKind, Shoot
from bookings.statuses import BookingStatus
from bookings.timeline import DAY, instant
from studio import outbox
from studio.documents import Paper
from studio.models import Location, Message, Studio, User
from studio.templatetags.studio_tags import local_day, local_time

EVENING = time(18)
NOTHING = "nothing"  # the tally of a day without work


def send_due(*, now: datetime) -> int:
    """Queue tomorrow's sheets where it is evening, and what is new or not true any more. Returns how many."""
    sent = 0
    for location in Location.objects.filter(is_active=True):
        here = now.astimezone(ZoneInfo(location.zone))
        if not QUIET_UNTIL <= here.time() < QUIET_FROM:
            continue
        for on, is_time in ((here.date(), True), (here.date() + DAY, here.time() >= EVENING)):
            for user in _people(location, on, with_new=is_time, now=now):
                sent += _send(user, location, on, now=now)
    return sent


def _people(location: Location, on: date, *, with_new: bool, now: datetime) -> Iterable[User]:
    """Who has a sheet of that day already, and `with_new` whoever works then."""
    sheets = Message.objects.filter(name__in=["call_sheet", "call_sheet_off"], created_at__gte=now - 3 * DAY)
    names = sheets.filter(once__contains=f":{location.pk}:{on}").values_list("once", flat=True)
    wanted = {int(once.split(":")[1]) for once in names if once}
    if with_new:
        wanted |= set(_claims(location, on).values_list("resource__user", flat=True))
    return User.objects.filter(pk__in=wanted - {None}, is_active=True).order_by("pk")


def _claims(location: Location, on: date) -> Any:
    zone = ZoneInfo(location.zone)
    return Claim.objects.filter(
        is_active=True,
        booking__location=location,
        booking__status=BookingStatus.CONFIRMED,
        resource__kind=ResourceKind.PERSON,
        works_from__gte=instant(zone, on, time()),
        works_from__lt=instant(zone, on + DAY, time()),
    )


def _send(user: User, location: Location, on: date, *, now: datetime) -> bool:
    claims = list(
        _claims(location, on)
        .filter(resource__user=user)
        .select_related("booking__session_type", "booking__payer", "resource")
        .prefetch_related("booking__shoots__sitter", "booking__claims__resource")
        .order_by("works_from", "pk")
    )
    prefix = f"call_sheet:{user.pk}:{location.pk}:{on}"
    earlier = Message.objects.filter(once__startswith=prefix).order_by("pk")
    last, tally = earlier.last(), _tally(claims)
    if last is not None and (last.once or "").endswith(f":{tally}"):
        return False
    if claims and claims[-1].works_until <= now:  # the day's work is over
        return False
    zone = ZoneInfo(location.zone)
    context = {"location": location, "day": local_day(instant(zone, on, time(12)), location),
               "is_today": on == now.astimezone(zone).date(), "is_changed": last is not None,
               "count": len(claims)}  # fmt: skip
    attachments = []
    if claims:
        context["first"] = local_time(claims[0].works_from, location)
        sheet = pdf(user=user, location=location, on=on, claims=claims, now=now)
        attachments = [
            {
                "name": f"{on:%Y-%m-%d}.pdf",
                "type": "application/pdf",
                "base64": b64encode(sheet).decode(),
            }
        ]
    message = outbox.queue_message(
        "call_sheet" if claims else "call_sheet_off",
        to=user,
        about=None,
        context=context,
        now=now,
        once=f"{prefix}:{earlier.count()}:{tally}",
        attachments=attachments,
    )
    return message is not None


def _tally(claims: list[Claim]) -> str:
    """What the sheet says of a day, in twelve hexadecimal digits: another time, another sitter, another session."""
    if not claims:
        return NOTHING
    facts = [
        (
            claim.booking_id,
            claim.purpose,
            claim.works_from.isoformat(),
            claim.works_until.isoformat(),
            [(shoot.sitter_id, shoot.access_needs) for shoot in _shoots(claim)],
        )
        for claim in claims
    ]
    return sha256(repr(facts).encode()).hexdigest()[:12]


def _shoots(claim: Claim) -> list[Shoot]:
    """The sessions of a claim's booking in order, by what was fetched with it."""
    return sorted(claim.booking.shoots.all(), key=attrgetter("pk"))


def pdf(*, user: User, location: Location, on: date, claims: list[Claim], now: datetime) -> bytes:
    """One person's day: when, who, what for, with whom, what to prepare for easy access. Nothing about nerves."""
    studio = Studio.objects.first()
    day = local_day(claims[0].works_from, location)
    paper = Paper(title=day, by=studio.name if studio else location.name, at=now)
    paper.heading(day)
    paper.text(f"{user.name} · {location.name}", is_quiet=True)
    paper.rule()
    for claim in claims:
        shoot = next(iter(_shoots(claim)), None)
        sitter = shoot.sitter if shoot else None
        beside = [
            f"{local_time(other.works_from, location)} {other.resource.name}"
            for other in sorted(claim.booking.claims.all(), key=attrgetter("works_from", "pk"))
            if other.is_active and other.resource_id != claim.resource_id
        ]
        paper.heading(
            f"{local_time(claim.works_from, location)}–{local_time(claim.works_until, location)}  {claim.purpose}",
            size=12,
        )
        paper.facts(
            [
                (_("Who"), sitter.name if sitter else ""),
                (
                    _("Called"),
                    ", ".join(filter(None, [sitter.called, sitter.pronounced, sitter.pronoun]))
                    if sitter
                    else "",
                ),
                (_("Session"), f"{claim.booking.session_type.name}, {shoot.code if shoot else ''}"),
                (_("Beside"), "\n".join(dict.fromkeys(beside))),
                (_("To prepare"), shoot.access_needs if shoot else ""),
                (_("Guardian"), shoot.guardian_name if shoot and shoot.sitter_is_minor else ""),
            ]
        )
        paper.rule()
    return paper.bytes()
