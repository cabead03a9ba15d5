"""What moving and cancelling costs: tiers in one place, pure. Hours are elapsed ones: a clock change shifts nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta

HOLD = timedelta(minutes=15)
CHECKOUT_HOLD = timedelta(minutes=31)  # Stripe closes no page before 30 minutes; a minute for the way there
BALANCE_LINK = timedelta(hours=23)  # Stripe keeps a page open for at most 24 hours


@dataclass(frozen=True, slots=True)
class Tier:
    """Cancelled at least `hours` before the start, `percent` of what was paid goes back."""

    hours: int
    percent: int


@dataclass(frozen=True, slots=True)
class Policy:
    """A studio's manners about changes. `tiers` run from the earliest to the latest."""

    tiers: tuple[Tier, ...] = (Tier(72, 100), Tier(24, 50))
    free_moves: int = 1
    move_hours: int = 48


STANDARD = Policy()


def refund_percent(*, starts_at: datetime, at: datetime, policy: Policy = STANDARD) -> int:
    """How much of what was paid goes back when the client cancels at `at`; 0 after the last tier."""
    left = starts_at - at
    return next((tier.percent for tier in policy.tiers if left >= timedelta(hours=tier.hours)), 0)


def refund_amount(*, paid: int, percent: int) -> int:
    """The part of `paid` in minor units that goes back; half a cent goes to the client."""
    return -(-paid * percent // 100)


def may_move(*, starts_at: datetime, moved_count: int, at: datetime, policy: Policy = STANDARD) -> bool:
    """Whether a client may still move the booking without asking."""
    return moved_count < policy.free_moves and starts_at - at >= timedelta(hours=policy.move_hours)
