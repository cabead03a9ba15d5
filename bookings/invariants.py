"""What the bookings promise `manage.py verify`: I1 nobody in two places, I2 the ledger is whole and equals Stripe's."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Q, Sum

from bookings import stripe_gateway as gateway
from bookings.charges import lines_of
from bookings.models import (
    Booking,
    Claim,
    DiscountCode,
    Invoice,
    NumberSequence,
    Payment,
    PaymentMethod,
    Refund,
    Voucher,
    WaitingOffer,
    WaitingPlace,
)
from bookings.statuses import (
    ACTIVE_BOOKING,
    BookingStatus,
    OfferStatus,
    RefundStatus,
    VoucherStatus,
    WaitingStatus,
)
from studio.verification import invariant

SETTLING = timedelta(minutes=15)  # younger money may still be on its way from one list to the other


@invariant("I1", "No two active claims overlap on a Resource")
def claims_that_overlap(now: datetime) -> Iterator[str]:
    """Asked of the rows themselves, not of the constraint."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT a.id, b.id, a.resource_id FROM bookings_claim a JOIN bookings_claim b
               ON b.resource_id = a.resource_id AND b.id > a.id AND b.is_active
               AND tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)
               WHERE a.is_active ORDER BY a.id LIMIT 100"""
        )
        for one, other, resource_id in cursor.fetchall():
            yield f"claims {one} and {other} overlap on resource {resource_id}"


@invariant("I1", "A booking holds its Resources exactly while it stands")
def claims_that_do_not_belong(now: datetime) -> Iterator[str]:
    """An ended booking holds nothing; a standing one holds what its session needs."""
    held = Claim.objects.filter(is_active=True).exclude(booking__status__in=ACTIVE_BOOKING)
    for pk in held.values_list("pk", flat=True)[:100]:
        yield f"claim {pk} holds a Resource for a booking that is over"
    standing = Booking.objects.filter(status__in=ACTIVE_BOOKING, session_type__requirements__isnull=False)
    for pk in standing.exclude(claims__is_active=True).distinct().values_list("pk", flat=True)[:100]:
        yield f"booking {pk} stands and holds nothing"


@invariant("I1", "A time that is offered to the waiting list is held for one place")
def offers_that_hold_nothing(now: datetime) -> Iterator[str]:
    """A standing offer has a held booking, one that waits for the studio's yes (or one that ended within the last
    sweeps), and a place that waits for it."""
    ended = Q(booking__expired_at__gt=now - SETTLING) | Q(booking__cancelled_at__gt=now - SETTLING)
    ended |= Q(booking__confirmed_at__gt=now - SETTLING)
    standing = WaitingOffer.objects.filter(status__in=[OfferStatus.OPEN, OfferStatus.TAKEN])
    undecided = [BookingStatus.HELD, BookingStatus.REQUESTED]
    loose = standing.exclude(booking__status__in=undecided).exclude(ended)
    for pk in loose.values_list("pk", flat=True)[:100]:
        yield f"waiting offer {pk} stands and its booking is not held"
    for pk in standing.exclude(place__status=WaitingStatus.OFFERED).values_list("pk", flat=True)[:100]:
        yield f"waiting offer {pk} stands and its place is not offered a time"
    offered = WaitingPlace.objects.filter(status=WaitingStatus.OFFERED)
    for pk in offered.exclude(offers__in=standing).values_list("pk", flat=True)[:100]:
        yield f"waiting place {pk} is offered a time and no offer stands"


@invariant("I2", "Every payment and refund is allocated in full")
def money_not_allocated(now: datetime) -> Iterator[str]:
    """Allocations sum to their source, in the source's currency, and no more goes back than came in."""
    for payment in Payment.objects.annotate(allocated=Sum("allocations__amount")).iterator():
        if payment.allocated != payment.amount:
            yield f"payment {payment.public_id}: {payment.amount}, allocated {payment.allocated}"
    for refund in Refund.objects.annotate(allocated=Sum("allocations__amount")).iterator():
        if refund.allocated != (0 if refund.status == RefundStatus.RETURNED else -refund.amount):
            yield f"refund {refund.public_id}: {refund.amount}, allocated {refund.allocated}"
    rows = Payment.objects.annotate(
        back=Sum("refunds__amount", filter=~Q(refunds__status=RefundStatus.RETURNED))
    )
    for public_id, amount, back in rows.values_list("public_id", "amount", "back"):
        if back is not None and back > amount:
            yield f"payment {public_id}: {back} of {amount} goes back"
    for what in ("booking", "voucher"):
        crossed = Payment.objects.filter(**{f"allocations__{what}__isnull": False}).exclude(
            currency=F(f"allocations__{what}__currency")
        )
        for public_id in crossed.values_list("public_id", flat=True)[:100]:
            yield f"payment {public_id} is allocated to a {what} in another currency"


@invariant("I2", "Money for a time that was never given goes back")
def money_kept_for_nothing(now: datetime) -> Iterator[str]:
    """A hold that lapsed or was given up keeps nothing: neither what was paid meanwhile nor what came late."""
    unmade = Booking.objects.filter(status__in=[BookingStatus.EXPIRED, BookingStatus.CANCELLED])
    unmade = unmade.filter(confirmed_at=None, requested_at=None)
    kept = unmade.annotate(kept=Sum("allocations__amount")).filter(kept__gt=0)
    for pk, amount in kept.order_by("pk").values_list("pk", "kept")[:100]:
        yield f"booking {pk} is over before it stood and keeps {amount}"


@invariant("I2", "Vouchers and codes are spent exactly as often as their rows say")
def vouchers_and_codes(now: datetime) -> Iterator[str]:
    """A voucher's balance equals its payments less what came back; a bought one was paid in full, once."""
    for voucher in Voucher.objects.all():
        spent = voucher.spendings.aggregate(all=Sum("amount"))["all"] or 0
        back = Refund.objects.filter(payment__voucher=voucher).aggregate(all=Sum("amount"))["all"] or 0
        if voucher.spent != spent - back:
            yield f"voucher {voucher.public_id}: {voucher.spent} spent, its payments say {spent - back}"
        is_sold = voucher.buyer_id and voucher.status == VoucherStatus.ISSUED
        money = voucher.allocations.all()
        if is_sold:  # a bank can take back what was spent already
            money = money.filter(Q(refund=None) | Q(refund__dispute=None))
        paid = money.aggregate(all=Sum("amount"))["all"] or 0
        wanted = voucher.amount if is_sold else 0
        if paid != wanted:
            yield f"voucher {voucher.public_id}: {paid} was paid for it, {wanted} expected"
    uses = Count("uses", filter=Q(uses__released_at=None))
    for code in DiscountCode.objects.annotate(real=uses).exclude(used_count=F("real")):
        yield f"code {code.code}: counted {code.used_count} uses, there are {code.real}"


@invariant("I2", "Numbered papers have no gap, and say what their bookings cost")
def papers_with_gaps(now: datetime) -> Iterator[str]:
    """Numbers of each entity and kind run from 1 to the last that was taken."""
    for sequence in NumberSequence.objects.select_related("entity"):
        rows = Invoice.objects.filter(entity=sequence.entity, kind=sequence.kind)
        numbers = list(rows.order_by("number").values_list("number", flat=True))
        if numbers != list(range(1, sequence.last + 1)):
            yield f"{sequence}: numbers are {numbers[:20]}"
    for invoice in Invoice.objects.iterator():
        if sum(line["gross"] for line in invoice.lines) != invoice.total:
            yield f"{invoice.label}: its lines do not add up to {invoice.total}"


@invariant("I2", "A price is the sum of its lines")
def prices_that_do_not_add_up(now: datetime) -> Iterator[str]:
    """Session, add-ons, discount, extras, what was taken off since: together the price, with the tax within."""
    for booking in Booking.objects.select_related("session_type").iterator():
        lines = lines_of(booking)
        if sum(line.gross for line in lines) != booking.price:
            yield f"booking {booking.pk}: {booking.price}, its lines say {sum(line.gross for line in lines)}"


@invariant("I2", "The gateway's part of the ledger equals the gateway's own list")
def money_stripe_sees_otherwise(now: datetime) -> Iterator[str]:
    """Payments and refunds since our first card payment, compared with Stripe's list. Only where Stripe is set up."""
    ours = dict(Payment.objects.filter(method=PaymentMethod.STRIPE).values_list("gateway_id", "amount"))
    if not settings.STRIPE_SECRET_KEY or not ours:
        return
    oldest = Payment.objects.filter(method=PaymentMethod.STRIPE).earliest("received_at").received_at
    try:
        theirs = gateway.list_payments(oldest - timedelta(days=1))
        back = gateway.list_refunds(created_after=oldest - timedelta(days=1))
        disputes = gateway.list_disputes(created_after=oldest - timedelta(days=1))
    except gateway.GatewayError as error:
        yield f"Stripe could not be asked: {error.sentence}"
        return
    yield from _payments_apart(ours, theirs, now)
    yield from _refunds_apart(back, now)
    yield from _disputes_apart(disputes, now)


def _payments_apart(
    ours: dict[str | None, int], theirs: list[gateway.Payment], now: datetime
) -> Iterator[str]:
    known = {found.id: found.amount_received for found in theirs if found.amount_received}
    for gateway_id, amount in ours.items():
        if known.get(gateway_id or "") != amount:
            yield f"payment {gateway_id}: {amount} with us, {known.get(gateway_id or '')} at Stripe"
    for found in theirs:
        late = found.created_at < now - SETTLING
        if found.amount_received and found.id not in ours and "checkout" in found.metadata and late:
            yield f"payment {found.id}: {found.amount_received} at Stripe, nothing with us"


def _refunds_apart(theirs: list[gateway.Refund], now: datetime) -> Iterator[str]:
    done = Refund.objects.filter(status=RefundStatus.DONE, payment__method=PaymentMethod.STRIPE, dispute=None)
    ours = dict(done.values_list("gateway_id", "amount"))
    known = {found.id: found.amount for found in theirs if found.status in ("succeeded", "pending")}
    paid_here = set(Payment.objects.values_list("gateway_id", flat=True))
    for gateway_id, amount in ours.items():
        if known.get(gateway_id or "") != amount:
            yield f"refund {gateway_id}: {amount} with us, {known.get(gateway_id or '')} at Stripe"
    for found in theirs:
        is_ours = found.payment_intent in paid_here and found.created_at < now - SETTLING
        if is_ours and found.id in known and found.id not in ours:
            yield f"refund {found.id}: {found.amount} at Stripe, nothing with us"


def _disputes_apart(theirs: list[gateway.Dispute], now: datetime) -> Iterator[str]:
    """What banks took back for good is in our ledger, and nothing else is written down as taken.

    Of a payment that had gone back in part the bank may dispute the whole: lost, that part is not lost once more.
    """
    done = Refund.objects.filter(status=RefundStatus.DONE, payment__method=PaymentMethod.STRIPE)
    taken = done.filter(dispute__isnull=False)
    ours = dict(taken.values_list("dispute__gateway_id").annotate(sum=Sum("amount")))
    back = dict(done.values_list("payment__gateway_id").annotate(sum=Sum("amount")))
    paid = dict(Payment.objects.filter(method=PaymentMethod.STRIPE).values_list("gateway_id", "amount"))
    lost = {found.id: found for found in theirs if found.status == "lost" and found.payment_intent in paid}
    theirs_to_take = {}
    for found in lost.values():
        otherwise = back.get(found.payment_intent, 0) - ours.get(found.id, 0)
        theirs_to_take[found.id] = min(found.amount, paid[found.payment_intent] - otherwise)
    for gateway_id, amount in ours.items():
        if theirs_to_take.get(gateway_id) != amount:
            yield f"dispute {gateway_id}: {amount} with us, {theirs_to_take.get(gateway_id)} lost at Stripe"
    for found in lost.values():
        is_missing = found.id not in ours and theirs_to_take[found.id] > 0
        if is_missing and found.created_at < now - SETTLING:
            yield f"dispute {found.id}: {theirs_to_take[found.id]} lost at Stripe, nothing with us"
