"""What is sold on a booking after it was made: more finals, a further round of changes, more time, a tip.

Two ways, one row. The studio adds an extra and it is owed at once (`add_extra(is_owed=True)`): the price rises and the
balance is asked for as always. A client buys one (`is_owed=False`, then `checkout.open_checkout(purpose="extra")`):
the row waits, and only its payment makes it count, so an offer nobody takes leaves no debt and stops no delivery.
Whenever an extra begins to count, `extra_agreed` is told in the same transaction, and `extra_dropped` when it is taken
off again. Lock order: Booking, then what a listener locks (Gallery), then the ledger.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from bookings import messages
from bookings.ledger import balance, refund_booking
from bookings.models import Booking, BookingExtra, CodeUse, ExtraKind, Resource, ResourceKind
from bookings.people import clean
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus, ExtraStatus
from bookings.taxes import ZERO, split
from studio.actors import Actor, ActorKind
from studio.currencies import rounded
from studio.happenings import tell
from studio.models import Studio
from studio.transitions import begin, move

LARGEST = 99_999_999  # minor units; Stripe takes no more in one payment
ASK_AGAIN_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of what a booking costs, in minor units. `key` names its source: session, add-on:4, extra:7 …"""

    key: str
    label: str
    count: int
    net: int
    tax_percent: Decimal
    tax: int
    gross: int


def lines_of(booking: Booking) -> list[Charge]:
    """Everything that makes up the price: their gross amounts sum to `booking.price`."""

    def line(key: str, label: str, count: int, amount: int, percent: Decimal, *, is_added: bool) -> Charge:
        parts = split(amount, percent, is_added=is_added, currency=booking.currency)
        return Charge(key, label, count, parts.net, percent, parts.tax, parts.gross)

    added, percent = booking.is_tax_added, booking.tax_percent
    rows = list(booking.add_ons.select_related("add_on").order_by("pk"))
    lines = [line("session", booking.session_type.name, 1, booking.session_fee, percent, is_added=added)]
    lines += [
        line(
            f"add-on:{row.add_on_id}", row.add_on.name, row.count, row.price, row.tax_percent, is_added=added
        )
        for row in rows
    ]
    listed = [(booking.session_fee, percent), *((row.price, row.tax_percent) for row in rows)]
    for share, rate in discount_shares(booking.discount, listed):
        key = f"discount:{rate.normalize():f}"
        lines.append(_less(lines, key, _("Discount"), share, rate, booking.currency, is_added=added))
    for extra in booking.extras.filter(status=ExtraStatus.AGREED).order_by("pk"):
        lines.append(
            line(
                f"extra:{extra.pk}", extra.label, extra.count, extra.amount, extra.tax_percent,
                is_added=added and extra.kind != ExtraKind.TIP,
            )
        )  # fmt: skip
    return [*lines, *_taken_off_since(booking, lines)]


def _taken_off_since(booking: Booking, lines: Sequence[Charge]) -> list[Charge]:
    """What was taken off, tax included: of what is taxed as the session first, then of the rest. Never more than is
    left, for what it was taken off may have been dropped since."""
    left, off = booking.allowance, []
    for rate in dict.fromkeys([booking.tax_percent, *(line.tax_percent for line in lines)]):
        there = sum(line.gross for line in lines if line.tax_percent == rate)
        if part := min(left, there):
            key = "allowance" if rate == booking.tax_percent else f"allowance:{rate.normalize():f}"
            label = _("Taken off since")
            off.append(_less(lines, key, label, part, rate, booking.currency, is_added=False))
            left -= part
    return off


def _less(
    lines: Sequence[Charge],
    key: str,
    label: str,
    amount: int,
    rate: Decimal,
    currency: str,
    *,
    is_added: bool,
) -> Charge:
    """A line that takes `amount` off those of one tax rate. Each of them was rounded by itself: what takes off all of
    them takes exactly their tax, and no less takes more than it."""
    taken_from = [line for line in lines if line.tax_percent == rate]
    there = sum(line.net if is_added else line.gross for line in taken_from)
    taxes = sum(line.tax for line in taken_from)
    by_itself = split(amount, rate, is_added=is_added, currency=currency).tax
    tax = taxes if amount >= there else min(by_itself, taxes)
    net = amount if is_added else amount - tax
    return Charge(key, label, 1, -net, rate, -tax, -net - tax)


def discount_of(booking: Booking) -> int:
    """What the code on a booking takes off what it lists now: its percentage, or its fixed sum and never more than
    there is. A booking without one keeps what was taken off, as far as it reaches."""
    listed = booking.session_fee + sum(booking.add_ons.values_list("price", flat=True))
    use = CodeUse.objects.select_related("code").filter(booking=booking, released_at=None).first()
    if use is None:
        return min(listed, booking.discount)
    if use.code.percent is not None:
        return min(listed, rounded(Decimal(listed * use.code.percent) / 100, booking.currency))
    return min(listed, use.code.amount or 0)


def discount_shares(discount: int, listed: list[tuple[int, Decimal]]) -> list[tuple[int, Decimal]]:
    """A discount spread over (list price, tax percent) in proportion, one share per rate; they sum to the discount."""
    total = sum(amount for amount, _rate in listed)
    if not discount or not total:
        return []
    by_rate: dict[Decimal, int] = {}
    for amount, rate in listed:
        by_rate[rate] = by_rate.get(rate, 0) + amount
    shares, left = [], discount
    for number, (rate, amount) in enumerate(by_rate.items(), start=1):
        share = left if number == len(by_rate) else discount * amount // total
        left -= share
        if share:
            shares.append((share, rate))
    return shares


# --- extras -------------------------------------------------------------------------------------------------


def add_extra(
    *,
    booking_id: int,
    label: str,
    amount: int,
    kind: ExtraKind | str = ExtraKind.OTHER,
    count: int = 1,
    is_owed: bool = True,
    once: str | None = None,
    by: Actor,
    now: datetime,
) -> BookingExtra:
    """Sell something on a standing booking, `amount` in minor units for all of the count, as on the price list.

    Owed at once (staff only), or waiting for its payment. The same `once` again returns the extra it made; one that
    was dropped meanwhile included. Raises NotNow.
    """
    label = clean(label)[:200]
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        if once and (found := BookingExtra.objects.filter(once=once).first()):
            return found
        if is_owed and by.kind == ActorKind.CLIENT:
            raise NotNow(_("Only the studio can write something on the bill."))
        if booking.status != BookingStatus.CONFIRMED:
            raise NotNow(_("Only a confirmed booking can get extras."))
        if kind not in ExtraKind.values or kind == ExtraKind.TIP:
            raise NotNow(_("There is no such extra."))
        if not label:
            raise NotNow(_("Please say what it is for."))
        if not 0 < count < 1000:
            raise NotNow(_("Please give a number between 1 and 999."))
        extra = _write(
            booking, label=label, amount=amount, kind=ExtraKind(kind), count=count, once=once,
            percent=booking.tax_percent, by=by, now=now,
        )  # fmt: skip
        if is_owed:
            agree(extra, booking=booking, by=by, now=now)
            extra.refresh_from_db()
        return extra


def add_tip(
    *, booking_id: int, payee_id: int, amount: int, once: str | None = None, by: Actor, now: datetime
) -> BookingExtra:
    """A tip a client wants to give to one of the people of their session; it waits for its payment.

    Only where the studio asks for tips, and never before pictures were delivered. Raises NotNow.
    """
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        if once and (found := BookingExtra.objects.filter(once=once).first()):
            return found
        payee = next((person for person in people_to_thank(booking) if person.pk == payee_id), None)
        if payee is None:
            raise NotNow(_("Tips are not taken for this session."))
        label = _("Tip for %(name)s") % {"name": payee.name}
        return _write(
            booking, label=label, amount=amount, kind=ExtraKind.TIP, count=1, once=once, percent=ZERO, by=by,
            now=now, payee=payee,
        )  # fmt: skip


WasDelivered = Callable[[Booking], bool]
_deliveries: list[WasDelivered] = []


def knows_deliveries(ask: WasDelivered) -> WasDelivered:
    """Register who can say whether pictures of a booking were delivered: the galleries, of which we know nothing."""
    _deliveries.append(ask)
    return ask


def people_to_thank(booking: Booking) -> list[Resource]:
    """The people of a delivered session who may get a tip; nobody where the studio does not ask for any."""
    studio = Studio.objects.first()
    if (
        studio is None
        or not studio.asks_for_tips
        or not any(was_delivered(booking) for was_delivered in _deliveries)
        or booking.status != BookingStatus.CONFIRMED
    ):
        return []
    people = Resource.objects.filter(
        kind=ResourceKind.PERSON, claims__booking=booking, claims__is_active=True
    )
    return list(people.distinct())


def _write(
    booking: Booking,
    *,
    label: str,
    amount: int,
    kind: ExtraKind,
    count: int,
    once: str | None,
    percent: Decimal,
    by: Actor,
    now: datetime,
    payee: Resource | None = None,
) -> BookingExtra:
    is_added = booking.is_tax_added and kind != ExtraKind.TIP
    total = split(amount, percent, is_added=is_added, currency=booking.currency).gross if amount > 0 else 0
    if not 0 < total <= LARGEST:
        raise NotNow(_("Please give an amount that is more than nothing and can be paid."))
    extra = BookingExtra(
        booking=booking,
        kind=kind,
        label=label,
        count=count,
        amount=amount,
        tax_percent=percent,
        total=total,
        payee=payee,
        once=once,
        created_at=now,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
    )
    return begin(extra, by=by, now=now)


def agree(extra: BookingExtra, *, booking: Booking, by: Actor, now: datetime) -> bool:
    """Let an extra count in the price. Call it with the Booking locked. False if it did already."""
    moved = move(BookingExtra, extra.pk, "agree", by=by, now=now)
    if moved is None:
        return False
    change_price(booking, now=now)
    tell("extra_agreed", extra=moved, by=by, now=now)
    return True


def drop_extra(*, extra_id: int, by: Actor, now: datetime, reason: str = "") -> bool:
    """The studio takes an extra off: the price falls, and what was paid beyond it goes back. False if it was off.

    An unpaid offer is simply withdrawn, by the client too. Raises NotNow when what was sold is used already.
    """
    booking_id = BookingExtra.objects.values_list("booking", flat=True).get(pk=extra_id)
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        extra = BookingExtra.objects.get(pk=extra_id)
        was_agreed = extra.status == ExtraStatus.AGREED
        if was_agreed and by.kind == ActorKind.CLIENT:
            raise NotNow(_("Please ask us to take this off."))
        if move(BookingExtra, extra_id, "drop", by=by, now=now, reason=reason) is None:
            return False
        if was_agreed:
            tell("extra_dropped", extra=extra, by=by, now=now)
            was_due = balance(booking).due
            change_price(booking, now=now)
            settle_surplus(
                booking,
                was_due=was_due,
                reason=reason or extra.label,
                once=f"extra:{extra.pk}",
                by=by,
                now=now,
            )
        return True


def change_price(booking: Booking, *, now: datetime) -> int:
    """The price a locked booking's rows add up to, after they were just changed; the discount and the tax within
    follow. Returns by how much it rose (negative: fell)."""
    booking.discount = discount_of(booking)
    lines = lines_of(booking)
    before, booking.price = booking.price, sum(line.gross for line in lines)
    booking.due_now = min(booking.due_now, booking.price)
    booking.tax = sum(line.tax for line in lines)
    booking.invoice_due_at = now
    booking.save(update_fields=["discount", "price", "due_now", "tax", "invoice_due_at"])
    return booking.price - before


def settle_surplus(
    booking: Booking, *, was_due: int, reason: str, once: str, by: Actor, now: datetime
) -> int:
    """After a price fell: what was paid beyond it goes back, what was open may be settled. Returns what goes back."""
    money = balance(booking)
    back = max(0, money.kept - booking.price)
    if back:
        refund_booking(booking, amount=back, reason=reason, once=once, by=by, now=now)
    if was_due and not money.due:
        tell("booking_paid", booking=booking, by=by, now=now)
    return back


def reprice(*, booking_id: int, reason: str, once: str, by: Actor, now: datetime) -> int:
    """After add-ons or the session of a booking were changed: the price its rows add up to, the difference with it.

    Returns by how much the price rose (it is due then) or fell (what was paid beyond it goes back). Call it inside the
    transaction of the change.
    """
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        was_due = balance(booking).due
        difference = change_price(booking, now=now)
        if difference:
            settle_surplus(booking, was_due=was_due, reason=reason, once=once, by=by, now=now)
        return difference


# --- asking for money ---------------------------------------------------------------------------------------


def request_payment(*, booking_id: int, by: Actor, now: datetime) -> int:
    """Mail the payer a link on which the open balance is paid by card. Returns the amount asked for.

    Pressed twice within ten minutes it is one mail. Raises NotNow when nothing is open.
    """
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        due = balance(booking).due
        if booking.status != BookingStatus.CONFIRMED or not due:
            raise NotNow(_("There is nothing to pay for this booking."))
        slot = int(now.timestamp()) // (ASK_AGAIN_MINUTES * 60)
        messages.tell_client(
            "payment_request",
            booking=booking,
            by=by,
            now=now,
            once=f"payment_request:{booking.pk}:{due}:{slot}",
            due=due,
            extras=list(booking.extras.filter(status=ExtraStatus.AGREED).order_by("pk")),
        )
        return due
