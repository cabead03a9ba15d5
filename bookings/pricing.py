"""What a booking costs. Pure: the same list of things has the same price on the page and on the server."""

from collections.abc import Sequence
from dataclasses import dataclass

from bookings.models import AddOn, PaymentPlan, SessionType
from studio.models import Location


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the price as the client reads it; `amount` in minor units, for all of the count."""

    label: str
    count: int
    amount: int
    add_on_id: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """A price in minor units of `currency`: due now to confirm the booking, and the balance later."""

    lines: tuple[Line, ...]
    session_fee: int
    total: int
    due_now: int
    balance: int
    currency: str
    finals_included: int


class CannotPayAtStudio(ValueError):
    """This session type is paid when booking."""


def quote(
    *,
    session_type: SessionType,
    location: Location,
    add_ons: Sequence[tuple[AddOn, int]],
    pays_at_studio: bool = False,
    studio_currency: str = "USD",
) -> Quote:
    """Price a session type with add-ons as they are sold today.

    The currency is the location's, or `studio_currency` where it names none. Raises CannotPayAtStudio when that
    was asked for and is not offered.
    """
    if pays_at_studio and not may_pay_at_studio(session_type):
        raise CannotPayAtStudio
    lines = [Line(session_type.name, 1, session_type.price)]
    lines += [Line(add_on.name, count, add_on.price * count, add_on.pk) for add_on, count in add_ons]
    total = sum(line.amount for line in lines)
    due_now = 0 if pays_at_studio else _due_now(session_type, total)
    return Quote(
        lines=tuple(lines),
        session_fee=session_type.price,
        total=total,
        due_now=due_now,
        balance=total - due_now,
        currency=location.currency or studio_currency,
        finals_included=session_type.finals_included
        + sum(add_on.finals * count for add_on, count in add_ons),
    )


def may_pay_at_studio(session_type: SessionType) -> bool:
    """Whether the client may choose to pay nothing now."""
    return session_type.may_pay_at_studio or session_type.payment_plan == PaymentPlan.AT_STUDIO


def _due_now(session_type: SessionType, total: int) -> int:
    match session_type.payment_plan:
        case PaymentPlan.DEPOSIT_PERCENT:
            return min(total, -(-total * session_type.deposit // 100))
        case PaymentPlan.DEPOSIT_FIXED:
            return min(total, session_type.deposit)
        case PaymentPlan.AT_STUDIO:
            return 0
    return total
