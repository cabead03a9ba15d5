"""What pages show of a booking's money beside its price: papers, extras, vouchers, people to thank."""

from datetime import datetime
from typing import Any

from bookings import charges, invoices
from bookings.ledger import balance
from bookings.models import Booking, Invoice, PaymentMethod
from bookings.statuses import BookingStatus, ExtraStatus, RefundStatus
from studio.currencies import to_major


def for_client(booking: Booking, *, now: datetime) -> dict[str, Any]:
    """The payer's part: papers to download, offers to pay, a voucher to use, a tip to give."""
    return {
        "papers": papers_of(booking),
        "offers": booking.extras.filter(status=ExtraStatus.PROPOSED).exclude(kind="tip").order_by("pk"),
        "people_to_thank": charges.people_to_thank(booking),
        "may_use_voucher": booking.status == BookingStatus.CONFIRMED and balance(booking).due > 0,
    }


def for_desk(booking: Booking, *, now: datetime) -> dict[str, Any]:
    """The studio's part: extras with a way to take them off, refunds that wait for a hand, papers."""
    back = booking.allocations.filter(amount__lt=0).select_related("refund__payment")
    refunds = [row.refund for row in back if row.refund]
    money = balance(booking)
    return {
        "papers": papers_of(booking),
        "extras": booking.extras.exclude(status=ExtraStatus.DROPPED).order_by("pk"),
        "by_hand": [
            refund
            for refund in refunds
            if refund.status == RefundStatus.DUE and refund.payment.method != PaymentMethod.STRIPE
        ],
        "failed": [refund for refund in refunds if refund.status == RefundStatus.FAILED],
        "due_typed": f"{to_major(money.due, booking.currency):f}",
        "kept": money.kept,
        "may_invoice": booking.location.entity_id is not None and booking.status == BookingStatus.CONFIRMED,
        "has_card_link": money.due > 0 and booking.status == BookingStatus.CONFIRMED,
    }


def papers_of(booking: Booking) -> list[tuple[str, Invoice]]:
    """Title and paper, oldest first."""
    return [(invoices.title_of(paper), paper) for paper in booking.invoices.order_by("pk")]
