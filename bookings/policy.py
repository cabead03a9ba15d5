"""What moving and cancelling costs: tiers in one place, pure. Hours are elapsed ones: a clock change shifts nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

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


def in_words(policy: Policy = STANDARD) -> list[str]:
    """The policy as clients read it before they accept: derived, so that what is said is what is done."""
    moves = ngettext(
        "Move once for free until %(hours)d hours before.",
        "Move %(count)d times for free until %(hours)d hours before.",
        policy.free_moves,
    ) % {"count": policy.free_moves, "hours": policy.move_hours}
    words = [moves] if policy.free_moves else []
    for tier in policy.tiers:
        facts = {"hours": tier.hours, "percent": tier.percent}
        if tier.percent == 100:
            words.append(_("Cancel at least %(hours)d hours before: everything you paid comes back.") % facts)
        else:
            words.append(
                _("Until %(hours)d hours before: %(percent)d %% of what you paid comes back.") % facts
            )
    return [*words, _("Later: nothing comes back."), _("What the studio causes is always on the studio.")]


# Consumer law above the studio's policy. Distance selling in the EU, EEA and UK (Directive 2011/83/EU art. 9 and 16,
# Consumer Contracts Regulations 2013): a consumer may withdraw within 14 days of agreeing and gets everything back,
# as long as the session has not begun. A session within those days is begun early only at their express request.
WITHDRAWAL = timedelta(days=14)
EU = "AT BE BG HR CY CZ DE DK EE ES FI FR GR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
DISTANCE_SELLING = frozenset(f"{EU} GB IS LI NO".split())


def withdrawal_ends(*, country: str, agreed_at: datetime, is_consumer: bool) -> datetime | None:
    """Until when the law of a location's country gives a consumer everything back; None where it does not."""
    if not is_consumer or country.upper() not in DISTANCE_SELLING:
        return None
    return agreed_at + WITHDRAWAL


def needs_express_request(*, country: str, starts_at: datetime, at: datetime, is_consumer: bool) -> bool:
    """Whether a session lies within the days of withdrawal, so that its early beginning has to be asked for."""
    ends_at = withdrawal_ends(country=country, agreed_at=at, is_consumer=is_consumer)
    return ends_at is not None and starts_at < ends_at


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
