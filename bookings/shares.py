"""What the people of a studio earn beside their wage: their share of each add-on they did, and their tips.

The share is agreed when the booking is made (`BookingAddOn.payee_percent`) and counts before tax and after a discount's
part. Who did it is whoever was claimed for it. It is earned on the local date on which the session was completed; a
tip on the date it was paid.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from bookings.charges import lines_of
from bookings.models import Booking, BookingExtra, Claim, ExtraKind, Resource, ResourceKind
from bookings.statuses import ExtraStatus, ShootStatus
from studio.currencies import rounded

AROUND = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Earned:
    """One line of a statement; amounts in minor units of `currency`."""

    on: date
    code: str
    what: str
    net: int
    percent: int
    owed: int
    currency: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A person's month."""

    person: Resource
    lines: list[Earned]

    @property
    def totals(self) -> dict[str, int]:
        """What is owed per currency."""
        sums: dict[str, int] = defaultdict(int)
        for line in self.lines:
            sums[line.currency] += line.owed
        return dict(sums)


def statements(*, month: date) -> list[Statement]:
    """Everybody who earned something in the month that begins on `month`, by name."""
    until = (month + timedelta(days=32)).replace(day=1)
    found: dict[Resource, list[Earned]] = defaultdict(list)
    for person, line in [*_of_add_ons(month, until), *_of_tips(month, until)]:
        if month <= line.on < until:
            found[person].append(line)
    rows = [Statement(person, sorted(lines, key=lambda line: line.on)) for person, lines in found.items()]
    return sorted(rows, key=lambda statement: statement.person.name)


def _window(first: date, until: date) -> tuple[datetime, datetime]:
    utc = ZoneInfo("UTC")
    return datetime.combine(first, time(), utc) - AROUND, datetime.combine(until, time(), utc) + AROUND


def _of_add_ons(first: date, until: date) -> list[tuple[Resource, Earned]]:
    bookings = Booking.objects.filter(
        shoots__status=ShootStatus.COMPLETED,
        shoots__completed_at__range=_window(first, until),
        add_ons__payee_percent__gt=0,
    )
    found: list[tuple[Resource, Earned]] = []
    for booking in bookings.select_related("location", "session_type").distinct():
        shoot = booking.shoots.filter(status=ShootStatus.COMPLETED).order_by("pk").first()
        assert shoot is not None and shoot.completed_at is not None
        on = shoot.completed_at.astimezone(ZoneInfo(booking.location.zone)).date()
        nets = _nets(booking)
        for row in booking.add_ons.filter(payee_percent__gt=0).select_related("add_on"):
            people = _who_did(booking, row.starts_at, row.ends_at)
            net = nets[f"add-on:{row.add_on_id}"]
            for person in people:
                part = Decimal(net * row.payee_percent) / 100 / len(people)
                owed = rounded(part, booking.currency)
                line = Earned(on, shoot.code, row.add_on.name, net, row.payee_percent, owed, booking.currency)
                found.append((person, line))
    return found


def _nets(booking: Booking) -> dict[str, int]:
    """Each line before tax, with its part of a discount taken off in proportion."""
    lines = lines_of(booking)
    listed = {line.key: line.net for line in lines if line.key == "session" or line.key.startswith("add-on:")}
    discount = sum(line.net for line in lines if line.key.startswith("discount:"))
    total = sum(listed.values())
    return {key: net + (discount * net // total if total else 0) for key, net in listed.items()}


def _who_did(booking: Booking, starts_at: datetime | None, ends_at: datetime | None) -> list[Resource]:
    """The people claimed for an add-on's own time; for one without a time whoever is at the shoot."""
    claims = Claim.objects.filter(booking=booking, is_active=True, resource__kind=ResourceKind.PERSON)
    if starts_at is not None and ends_at is not None:
        claims = claims.filter(works_from=starts_at, works_until=ends_at, is_shoot=False)
    else:
        claims = claims.filter(is_shoot=True)
    return [claim.resource for claim in claims.select_related("resource").order_by("resource")]


def _of_tips(first: date, until: date) -> list[tuple[Resource, Earned]]:
    tips = BookingExtra.objects.filter(
        kind=ExtraKind.TIP, status=ExtraStatus.AGREED, agreed_at__range=_window(first, until)
    )
    found = []
    for tip in tips.select_related("payee", "booking__location"):
        assert tip.payee is not None and tip.agreed_at is not None
        on = tip.agreed_at.astimezone(ZoneInfo(tip.booking.location.zone)).date()
        shoot = tip.booking.shoots.order_by("pk").first()
        code = shoot.code if shoot else ""
        found.append(
            (tip.payee, Earned(on, code, tip.label, tip.total, 100, tip.total, tip.booking.currency))
        )
    return found
