"""What a booking costs. Pure: the same list of things has the same price on the page and on the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bookings.models import AddOn, PaymentPlan, SessionType
from bookings.taxes import NO_TAX, ZERO, Taxes, split
from studio.currencies import rounded_up
from studio.models import Location


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the price as the client reads it, for all of the count, in minor units.

    `amount` is the list price; `total` what is paid for it, `tax` of it contained.
    """

    label: str
    count: int
    amount: int
    add_on_id: int | None = None
    tax_percent: Decimal = ZERO
    tax: int = 0
    total: int = 0


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
    tax: int = 0
    tax_percent: Decimal = ZERO
    is_tax_added: bool = False


class CannotPayAtStudio(ValueError):
    """This session type is paid when booking."""


def quote(
    *,
    session_type: SessionType,
    location: Location,
    add_ons: Sequence[tuple[AddOn, int]],
    pays_at_studio: bool = False,
    studio_currency: str = "USD",
    taxes: Taxes = NO_TAX,
) -> Quote:
    """Price a session type with add-ons as they are sold today.

    The currency is the location's, or `studio_currency` where it names none; `taxes` are those of its legal entity.
    Raises CannotPayAtStudio when that was asked for and is not offered.
    """
    if pays_at_studio and not may_pay_at_studio(session_type):
        raise CannotPayAtStudio
    currency = location.currency or studio_currency
    percent = taxes.of_session(session_type.pk)

    def line(label: str, count: int, amount: int, rate: Decimal, add_on_id: int | None = None) -> Line:
        parts = split(amount, rate, is_added=taxes.is_added, currency=currency)
        return Line(label, count, amount, add_on_id, rate, parts.tax, parts.gross)

    lines = [line(session_type.name, 1, session_type.price, percent)]
    lines += [
        line(add_on.name, count, add_on.price * count, taxes.of_add_on(add_on.pk), add_on.pk)
        for add_on, count in add_ons
    ]
    total = sum(row.total for row in lines)
    due_now = 0 if pays_at_studio else due_when_booking(session_type, total, currency)
    return Quote(
        lines=tuple(lines),
        session_fee=session_type.price,
        total=total,
        due_now=due_now,
        balance=total - due_now,
        currency=currency,
        finals_included=session_type.finals_included
        + sum(add_on.finals * count for add_on, count in add_ons),
        tax=sum(row.tax for row in lines),
        tax_percent=percent,
        is_tax_added=taxes.is_added,
    )


def may_pay_at_studio(session_type: SessionType) -> bool:
    """Whether the client may choose to pay nothing now."""
    return session_type.may_pay_at_studio or session_type.payment_plan == PaymentPlan.AT_STUDIO


def due_when_booking(session_type: SessionType, total: int, currency: str) -> int:
    """What the session type's plan asks of a price when booking; a part of a coin is rounded up."""
    match session_type.payment_plan:
        case PaymentPlan.DEPOSIT_PERCENT:
            return min(total, rounded_up(Decimal(total * session_type.deposit) / 100, currency))
        case PaymentPlan.DEPOSIT_FIXED:
            return min(total, session_type.deposit)
        case PaymentPlan.AT_STUDIO:
            return 0
    return total
