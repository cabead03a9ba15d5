"""How many decimals a currency has, and the smallest step in which card money moves. Amounts are in minor units.

As Stripe counts them: https://docs.stripe.com/currencies. Three-decimal currencies move in steps of ten minor units;
the króna and the Ugandan shilling have two decimals on the wire and none in life.
"""

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

# ISO 4217: how many decimals an amount in minor units has, where it is not two.
DECIMALS = dict.fromkeys(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"],
    0,
) | dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3)
WHOLE_ONLY = ("ISK", "UGX")


def decimals(currency: str) -> int:
    """JPY 0, USD 2, KWD 3."""
    return DECIMALS.get(currency.upper(), 2)


def step(currency: str) -> int:
    """The smallest amount that can be charged, in minor units: 1, or 10 fils, or 100 aurar."""
    if currency.upper() in WHOLE_ONLY:
        return 100
    return 10 if decimals(currency) == 3 else 1


def rounded(amount: Decimal | int, currency: str) -> int:
    """An amount in minor units to the nearest that can be charged; half goes up."""
    size = step(currency)
    return int((Decimal(amount) / size).quantize(Decimal(1), ROUND_HALF_UP)) * size


def rounded_up(amount: Decimal | int, currency: str) -> int:
    """An amount in minor units to the next that can be charged."""
    size = step(currency)
    return int((Decimal(amount) / size).quantize(Decimal(1), ROUND_CEILING)) * size


def to_minor(amount: Decimal, currency: str) -> int:
    """What a person types, in minor units. Raises ValueError for finer amounts than can be charged."""
    minor = amount.scaleb(decimals(currency))
    if minor != minor.to_integral_value() or int(minor) % step(currency):
        raise ValueError(f"{amount} {currency} cannot be paid exactly.")
    return int(minor)


def to_major(amount: int, currency: str) -> Decimal:
    """Minor units as a person types them: 9050 GBP → 90.50."""
    return Decimal(amount).scaleb(-decimals(currency))
