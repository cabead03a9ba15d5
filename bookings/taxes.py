"""Tax: the rates of the legal entity that sells at a location, and how an amount splits into net and tax."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from bookings.models import TaxRate
from studio.currencies import rounded
from studio.models import Location

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Taxes:
    """A legal entity's rates in percent: for a session type or add-on its own, else the general one, else none."""

    is_added: bool = False
    general: Decimal = ZERO
    session_types: Mapping[int, Decimal] = field(default_factory=dict)
    add_ons: Mapping[int, Decimal] = field(default_factory=dict)

    def of_session(self, session_type_id: int) -> Decimal:
        """The rate of a session type; extras sold on its bookings take it too."""
        return self.session_types.get(session_type_id, self.general)

    def of_add_on(self, add_on_id: int) -> Decimal:
        """The rate of an add-on."""
        return self.add_ons.get(add_on_id, self.general)


NO_TAX = Taxes()


def taxes_of(location: Location) -> Taxes:
    """The rates that hold at a location today; none where no legal entity is named."""
    entity = location.entity
    if entity is None:
        return NO_TAX
    general, session_types, add_ons = ZERO, {}, {}
    for rate in TaxRate.objects.filter(entity=entity):
        if rate.session_type_id is not None:
            session_types[rate.session_type_id] = rate.percent
        elif rate.add_on_id is not None:
            add_ons[rate.add_on_id] = rate.percent
        else:
            general = rate.percent
    return Taxes(entity.is_tax_added, general, session_types, add_ons)


@dataclass(frozen=True, slots=True)
class Split:
    """An amount in minor units: `net` + `tax` = `gross`, which is what is paid."""

    net: int
    tax: int
    gross: int


def split(amount: int, percent: Decimal, *, is_added: bool, currency: str) -> Split:
    """Split a list price; the tax is added to it or contained in it. Negative amounts mirror positive ones."""
    if amount < 0:
        mirrored = split(-amount, percent, is_added=is_added, currency=currency)
        return Split(-mirrored.net, -mirrored.tax, -mirrored.gross)
    if is_added:
        tax = rounded(amount * percent / 100, currency)
        return Split(amount, tax, amount + tax)
    tax = rounded(amount * percent / (100 + percent), currency)
    return Split(amount - tax, tax, amount)
