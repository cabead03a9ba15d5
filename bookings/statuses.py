"""The statuses of a booking, a shoot and money, and how they may move."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from studio.transitions import moves


class BookingStatus(models.TextChoices):
    REQUESTED = "requested", _("Requested")  # waits for the studio's or an artist's yes; holds its claims
    HELD = "held", _("Held")  # unpaid, expires
    CONFIRMED = "confirmed", _("Confirmed")
    CANCELLED = "cancelled", _("Cancelled")
    EXPIRED = "expired", _("Expired")


B = BookingStatus
ACTIVE_BOOKING = (B.REQUESTED, B.HELD, B.CONFIRMED)
STANDING = (B.REQUESTED, B.CONFIRMED)  # the client has done their part

BOOKING_MOVES = moves(
    request=({B.HELD, B.EXPIRED}, B.REQUESTED, "requested_at"),
    confirm=({B.HELD, B.REQUESTED}, B.CONFIRMED, "confirmed_at"),
    expire=({B.HELD}, B.EXPIRED, "expired_at"),
    release=({B.HELD}, B.CANCELLED, "cancelled_at"),  # the client left before paying
    decline=({B.REQUESTED}, B.CANCELLED, "cancelled_at"),
    lapse=({B.REQUESTED}, B.CANCELLED, "cancelled_at"),  # nobody answered in time
    cancel=({B.CONFIRMED, B.REQUESTED}, B.CANCELLED, "cancelled_at"),
    reseat=({B.EXPIRED}, B.CONFIRMED, "confirmed_at"),  # late money, the slot was still free
)


class ShootStatus(models.TextChoices):
    PLANNED = "planned", _("Planned")
    CHECKED_IN = "checked_in", _("Here")
    COMPLETED = "completed", _("Completed")
    NO_SHOW = "no_show", _("Did not come")
    CANCELLED = "cancelled", _("Cancelled")


S = ShootStatus
SHOOT_MOVES = moves(
    check_in=({S.PLANNED, S.NO_SHOW}, S.CHECKED_IN, "checked_in_at"),
    complete=({S.PLANNED, S.CHECKED_IN}, S.COMPLETED, "completed_at"),
    no_show=({S.PLANNED}, S.NO_SHOW, "no_show_at"),
    cancel=({S.PLANNED}, S.CANCELLED),
    replan=({S.CANCELLED}, S.PLANNED),  # late money re-seats an expired hold
)


class CheckoutStatus(models.TextChoices):
    WANTED = "wanted", _("To be opened")  # the row is there before Stripe is called
    OPEN = "open", _("Open")
    PAID = "paid", _("Paid")
    EXPIRED = "expired", _("Expired")
    FAILED = "failed", _("Failed")


C = CheckoutStatus
CHECKOUT_MOVES = moves(
    opened=({C.WANTED}, C.OPEN, "opened_at"),
    paid=({C.WANTED, C.OPEN, C.EXPIRED, C.FAILED}, C.PAID, "paid_at"),  # money is money, however late
    expire=({C.WANTED, C.OPEN}, C.EXPIRED, "expired_at"),
    fail=({C.WANTED, C.OPEN}, C.FAILED),
)


class DisputeStatus(models.TextChoices):
    OPEN = "open", _("Open")
    WON = "won", _("Decided for the studio")
    LOST = "lost", _("Decided for the client")
    CLOSED = "closed", _("Closed, nothing was taken")


DS = DisputeStatus
DISPUTE_MOVES = moves(
    win=({DS.OPEN, DS.LOST}, DS.WON, "ended_at"),  # a lost one: by an appeal
    lose=({DS.OPEN}, DS.LOST, "ended_at"),
    close=({DS.OPEN}, DS.CLOSED, "ended_at"),
)


DISPUTE_REASONS = {
    "bank_cannot_process": _("the bank could not process the payment"),
    "credit_not_processed": _("they say a refund was promised and did not come"),
    "customer_initiated": _("they asked their bank to take the payment back"),
    "debit_not_authorized": _("they say they did not allow the debit"),
    "duplicate": _("they say they were charged twice"),
    "fraudulent": _("they say the payment was not made by them"),
    "incorrect_account_details": _("the account details were wrong"),
    "insufficient_funds": _("there was not enough money on the account"),
    "product_not_received": _("they say they did not get what they paid for"),
    "product_unacceptable": _("they say what they got is not what was agreed"),
    "subscription_canceled": _("they say they had cancelled"),
    "unrecognized": _("they do not recognise the payment"),
}


class RefundStatus(models.TextChoices):
    DUE = "due", _("To be sent")
    DONE = "done", _("Sent back")
    FAILED = "failed", _("Failed")
    RETURNED = "returned", _("Came back")  # what a bank had taken, and gave back to the studio


R = RefundStatus
UNSENT = (R.DUE, R.FAILED)
REFUND_MOVES = moves(
    done=({R.DUE, R.FAILED}, R.DONE, "done_at"),
    fail=({R.DUE}, R.FAILED),
    again=({R.FAILED}, R.DUE),
    bounce=({R.DUE, R.DONE}, R.FAILED),  # the bank sent it back
    come_back=({R.DONE}, R.RETURNED, "returned_at"),
)


class ExtraStatus(models.TextChoices):
    PROPOSED = "proposed", _("Waits for payment")
    AGREED = "agreed", _("Agreed")
    DROPPED = "dropped", _("Taken off")


E = ExtraStatus
EXTRA_MOVES = moves(
    agree=({E.PROPOSED}, E.AGREED, "agreed_at"),
    drop=({E.PROPOSED, E.AGREED}, E.DROPPED, "dropped_at"),
)


class VoucherStatus(models.TextChoices):
    WANTED = "wanted", _("Waits for payment")
    ISSUED = "issued", _("Issued")
    LAPSED = "lapsed", _("Never paid")
    VOID = "void", _("Taken back")


V = VoucherStatus
VOUCHER_MOVES = moves(
    issue=({V.WANTED, V.LAPSED}, V.ISSUED, "issued_at"),  # late money still buys it
    lapse=({V.WANTED}, V.LAPSED, "lapsed_at"),
    void=({V.ISSUED}, V.VOID, "voided_at"),
    restore=({V.VOID}, V.ISSUED),  # the money that a bank had taken came back
)


class AskStatus(models.TextChoices):
    ASKED = "asked", _("Asked")
    ACCEPTED = "accepted", _("Comes")
    DECLINED = "declined", _("Cannot come")
    LAPSED = "lapsed", _("Did not answer")
    WITHDRAWN = "withdrawn", _("Not needed any more")


A = AskStatus
ASK_MOVES = moves(
    accept=({A.ASKED}, A.ACCEPTED, "answered_at"),
    decline=({A.ASKED, A.ACCEPTED}, A.DECLINED, "answered_at"),
    lapse=({A.ASKED}, A.LAPSED, "answered_at"),
    withdraw=({A.ASKED, A.ACCEPTED}, A.WITHDRAWN, "answered_at"),  # the booking ended or moved
)


class WaitingStatus(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    OFFERED = "offered", _("A time is offered")
    BOOKED = "booked", _("Booked")
    LEFT = "left", _("Left the list")
    ENDED = "ended", _("The days have passed")


W = WaitingStatus
WAITING_MOVES = moves(
    offer=({W.WAITING}, W.OFFERED, "offered_at"),
    wait_on=({W.OFFERED}, W.WAITING),  # the offer was not taken; the place in the line stays
    book=({W.WAITING, W.OFFERED}, W.BOOKED, "ended_at"),
    leave=({W.WAITING, W.OFFERED}, W.LEFT, "ended_at"),
    end=({W.WAITING}, W.ENDED, "ended_at"),
)


class OfferStatus(models.TextChoices):
    OPEN = "open", _("Open")
    TAKEN = "taken", _("Taken")  # the client went on with it; the booking's own hold runs from there
    BOOKED = "booked", _("Booked")
    DECLINED = "declined", _("Left to the next")
    LAPSED = "lapsed", _("Not taken in time")


O = OfferStatus  # noqa: E741
OFFER_MOVES = moves(
    take=({O.OPEN}, O.TAKEN, "taken_at"),
    book=({O.OPEN, O.TAKEN, O.LAPSED}, O.BOOKED, "ended_at"),  # late money can re-seat a lapsed one
    decline=({O.OPEN, O.TAKEN}, O.DECLINED, "ended_at"),
    lapse=({O.OPEN, O.TAKEN}, O.LAPSED, "ended_at"),
)
