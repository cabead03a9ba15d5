"""The evening before: each person with work the next day gets it as a sheet of paper. Their own day, and no money."""

from base64 import b64encode
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from bookings.models import Claim, ResourceKind
from bookings.statuses import BookingStatus
from bookings.timeline import DAY, instant
from studio import outbox
from studio.documents import Paper
from studio.models import Location, Message, Studio, User
from studio.templatetags.studio_tags import local_day, local_time

EVENING = time(18)


def send_due(*, now: datetime) -> int:
    """Queue the sheets of tomorrow at every location where it is evening; once per person and day. Returns how many."""
    sent = 0
    for location in Location.objects.filter(is_active=True):
        zone = ZoneInfo(location.zone)
        here = now.astimezone(zone)
        if here.time() < EVENING:
            continue
        tomorrow = here.date() + DAY
        people = User.objects.filter(
            is_active=True, resource__claims__in=_claims(location, tomorrow)
        ).distinct()
        for user in people.order_by("pk"):
            sent += _send(user, location, tomorrow, now=now)
    return sent


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
    once = f"call_sheet:{user.pk}:{location.pk}:{on}"
    if Message.objects.filter(once=once).exists():
        return False
    claims = list(
        _claims(location, on)
        .filter(resource__user=user)
        .select_related("booking__session_type", "booking__payer", "resource")
        .order_by("works_from", "pk")
    )
    if not claims:
        return False
    sheet = pdf(user=user, location=location, on=on, claims=claims, now=now)
    first = local_time(claims[0].works_from, location)
    message = outbox.queue_message(
        "call_sheet",
        to=user,
        about=None,
        context={"location": location, "day": local_day(claims[0].works_from, location), "first": first,
                 "count": len(claims)},
        now=now,
        once=once,
        attachments=[
            {
                "name": f"{on:%Y-%m-%d}.pdf",
                "type": "application/pdf",
                "base64": b64encode(sheet).decode(),
            }
        ],
    )  # fmt: skip
    return message is not None


def pdf(*, user: User, location: Location, on: date, claims: list[Claim], now: datetime) -> bytes:
    """One person's day: when, who, what for, with whom, what to prepare for easy access. Nothing about nerves."""
    studio = Studio.objects.first()
    day = local_day(claims[0].works_from, location)
    paper = Paper(title=day, by=studio.name if studio else location.name, at=now)
    paper.heading(day)
    paper.text(f"{user.name} · {location.name}", is_quiet=True)
    paper.rule()
    for claim in claims:
        shoot = claim.booking.shoots.select_related("sitter").order_by("pk").first()
        sitter = shoot.sitter if shoot else None
        others = claim.booking.claims.filter(is_active=True).exclude(resource=claim.resource_id)
        beside = [
            f"{local_time(other.works_from, location)} {other.resource.name}"
            for other in others.select_related("resource").order_by("works_from", "pk")
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
