"""Forgetting a person: what stands in the way, what is blanked in the bookings' rows, and what must stay.

What goes is a list of `Trace`s: which rows, and what stands in them afterwards. Forgetting writes it, and `manage.py
verify` reads the same list, so that the two cannot differ. What stays: bookings with their times and prices, payments,
refunds and numbered papers (an issued invoice is never changed: the law keeps it with the name printed on it).
Lock order: Bookings by id, then the Client.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from bookings import waiting
from bookings.dossier import bookings_of
from bookings.ledger import balance
from bookings.models import (
    AnswerSheet,
    Booking,
    BookingExtra,
    Checkout,
    Client,
    CodeUse,
    Consent,
    Dispute,
    Invoice,
    Payment,
    Refund,
    Shoot,
    Signature,
    ThreadEntry,
    Voucher,
    WaitingPlace,
)
from bookings.statuses import (
    ACTIVE_BOOKING,
    UNSENT,
    BookingStatus,
    CheckoutStatus,
    DisputeStatus,
    ExtraStatus,
    ShootStatus,
    VoucherStatus,
    WaitingStatus,
)
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Credential, LinkRequest, Message, MessageStatus, StatusChange, User
from studio.templatetags.studio_tags import local, money
from studio.transitions import move_where

ON_ITS_WAY = (MessageStatus.QUEUED, MessageStatus.BY_HAND)


@dataclass(frozen=True, slots=True)
class Trace:
    """Rows that tell of somebody, and what stands in them once they are forgotten.

    What others go on writing in (a booking somebody else pays for) is blanked once and not judged afterwards.
    """

    rows: "QuerySet[Any]"
    blank: dict[str, Any]
    is_judged: bool = True

    def wipe(self) -> int:
        """Write the blanks. Returns in how many rows."""
        return int(self.rows.update(**self.blank))

    def left(self) -> Iterator[str]:
        """Which rows still tell something, a line each."""
        for pk in self.rows.exclude(Q(**self.blank)).order_by("pk").values_list("pk", flat=True)[:20]:
            yield f"{self.rows.model._meta.label_lower} {pk} ({', '.join(self.blank)})"


def shoots_of(client: Client) -> "QuerySet[Shoot]":
    """The sessions somebody is in the picture of; where no sitter was named, those they pay for."""
    return Shoot.objects.filter(Q(sitter=client) | Q(sitter=None, booking__payer=client))


# --- what stands in the way


def hindrances(client: Client, *, now: datetime) -> Iterator[str]:
    """Why this person cannot be forgotten yet, a sentence each that says what to do first."""
    yield from _sessions_ahead(client, now=now)
    yield from _open_money(client)
    yield from _vouchers_left(client, now=now)


def _sessions_ahead(client: Client, *, now: datetime) -> Iterator[str]:
    for booking in (
        bookings_of(client).filter(status__in=ACTIVE_BOOKING).select_related("session_type", "location")
    ):
        facts = {"what": booking.session_type.name, "when": local(booking.starts_at, booking.location)}
        if booking.status == BookingStatus.HELD:
            yield (
                _("A time is being held for them: %(what)s, %(when)s. Release it or let it lapse first.")
                % facts
            )
        elif booking.ends_at > now:
            yield _("They have a session: %(what)s, %(when)s. Cancel it first.") % facts
        elif booking.shoots.filter(status__in=[ShootStatus.PLANNED, ShootStatus.CHECKED_IN]).exists():
            yield (
                _(
                    "The session %(what)s, %(when)s is not completed. Complete it, or say that they did not come."
                )
                % facts
            )


def _open_money(client: Client) -> Iterator[str]:
    paid_by = Booking.objects.filter(payer=client).order_by("pk")
    for booking in paid_by.filter(status__in=ACTIVE_BOOKING).select_related("location"):
        if due := balance(booking).due:
            facts = {"due": money(due, booking.currency), "when": local(booking.starts_at, booking.location)}
            yield (
                _("%(due)s is still to be paid for the session of %(when)s. Take it or take it off first.")
                % facts
            )
    refunds = Refund.objects.filter(payment__payer=client, status__in=UNSENT)
    for refund in refunds.select_related("payment").order_by("pk"):
        amount = money(refund.amount, refund.payment.currency)
        yield _("%(amount)s still has to go back to them. Send it first.") % {"amount": amount}
    for dispute in Dispute.objects.filter(payment__payer=client, status=DisputeStatus.OPEN).order_by("pk"):
        amount = money(dispute.amount, dispute.currency)
        yield _("Their bank has not decided about %(amount)s yet. Wait for its answer.") % {"amount": amount}
    mine = Q(booking__payer=client) | Q(voucher__buyer=client) | Q(extra__booking__payer=client)
    if Checkout.objects.filter(mine, status__in=[CheckoutStatus.WANTED, CheckoutStatus.OPEN]).exists():
        yield _("A payment page of theirs is open. It closes by itself within the hour.")
    if BookingExtra.objects.filter(booking__payer=client, status=ExtraStatus.PROPOSED).exists():
        yield _("Something was offered to them and waits to be paid. Take it off first.")
    if paid_by.filter(invoice_due_at__isnull=False).exists():
        yield _("A receipt of theirs is being written. Try again in a minute.")


def _vouchers_left(client: Client, *, now: datetime) -> Iterator[str]:
    live = Voucher.objects.filter(recipient=client, status=VoucherStatus.ISSUED, spent__lt=F("amount"))
    for voucher in live.exclude(expires_at__lte=now).order_by("pk"):
        left = money(voucher.left, voucher.currency)
        yield _("Their voucher %(code)s still holds %(left)s. Take it back or pay it out first.") % {
            "code": voucher.code,
            "left": left,
        }


# --- what goes


def traces(client: Client, *, until: datetime) -> Iterator[Trace]:
    """Everything in the bookings' and the studio's rows that is blanked, of what was written `until` then.

    The rows themselves stay.
    """
    shared, sat = bookings_of(client), shoots_of(client)
    mine = Q(actor_kind=ActorKind.CLIENT, actor_id=client.pk)
    yield Trace(shared.filter(payer=client), {"staff_note": "", "override_reason": ""})
    yield Trace(shared.exclude(payer=client), {"staff_note": "", "override_reason": ""}, is_judged=False)
    yield Trace(sat, {"nerves": [], "nerves_text": "", "access_needs": "", "guardian_name": ""})
    answers = AnswerSheet.objects.filter(Q(shoot__in=sat) | mine)
    yield Trace(answers, {"answers": [], "private_answers": [], "actor_label": ""})
    yield Trace(
        Signature.objects.filter(Q(shoot__in=sat) | Q(signer=client)), {"sitter_name": "", "typed_name": ""}
    )
    answered = Q(booking__in=shared, is_from_client=False, written_at__lte=until)
    yield Trace(ThreadEntry.objects.filter(Q(client=client) | answered), {"text": ""})
    yield Trace(ThreadEntry.objects.filter(client=client), {"actor_label": ""})
    yield Trace(CodeUse.objects.filter(booking__payer=client), {"once_for": None})
    gifts = Voucher.objects.filter(Q(buyer=client) | Q(recipient=client))
    yield Trace(gifts, {"greeting": "", "reason": ""})
    pages = Checkout.objects.filter(Q(booking__payer=client) | Q(voucher__buyer=client))
    yield Trace(pages, {"url": "", "return_path": "", "description": ""})
    yield Trace(messages_about(client).filter(created_at__lte=until), WORDLESS)
    yield Trace(Message.objects.filter(client_id=client.pk), {"to_address": "", "to_name": ""})
    yield Trace(Credential.objects.filter(holder_id=client.pk), {"holder_label": "", "holder_email": ""})
    yield Trace(_changes(client).filter(at__lte=until), {"reason": ""})
    for model in _labelled():
        yield Trace(model._default_manager.filter(mine), {"actor_label": ""})
    yield Trace(Client.objects.filter(pk=client.pk), PERSON)


WORDLESS: dict[str, Any] = {
    "subject": "",
    "body_text": "",
    "body_html": "",
    "attachments": [],
    "unsubscribe_url": "",
    "last_error": "",
}
PERSON: dict[str, Any] = {
    "called": "",
    "pronounced": "",
    "pronoun": "",
    "email": "",
    "mobile": "",
    "firm": "",
    "firm_address": "",
    "tax_number": "",
    "zone": "",
    "language": "en",
}


def messages_about(client: Client) -> "QuerySet[Message]":
    """What was written to somebody, or to others about what they booked; the call sheets of those days, and the lists
    of who has not answered."""
    about = Q(client_id=client.pk)
    for name, rows in (
        ("bookings.booking", bookings_of(client)),
        ("bookings.waitingplace", WaitingPlace.objects.filter(client=client)),
        ("bookings.voucher", Voucher.objects.filter(Q(buyer=client) | Q(recipient=client))),
        ("bookings.client", Client.objects.filter(pk=client.pk)),
    ):
        about |= Q(about_model=name, about_id__in=rows.values("pk"))
    for location_id, zone, starts_at, public_id in bookings_of(client).values_list(
        "location", "location__zone", "starts_at", "public_id"
    ):
        day = starts_at.astimezone(ZoneInfo(zone)).date()
        about |= Q(name="call_sheet", once__endswith=f":{location_id}:{day}")
        about |= Q(name="desk_offer_waits", body_text__contains=f"/{public_id}/")  # each with its page
    return Message.objects.filter(about)


def _changes(client: Client) -> "QuerySet[StatusChange]":
    """Reasons somebody gave, or that were given about their bookings and sessions."""
    about = Q(actor_kind=ActorKind.CLIENT, actor_id=client.pk)
    about |= Q(model="bookings.booking", object_id__in=bookings_of(client).values("pk"))
    about |= Q(model="bookings.shoot", object_id__in=shoots_of(client).values("pk"))
    return StatusChange.objects.filter(about)


def _labelled() -> Iterator[type[Any]]:
    """Every model that writes down who did something; an invoice is never changed."""
    for model in apps.get_models():
        names = {field.name for field in model._meta.concrete_fields}
        if {"actor_kind", "actor_id", "actor_label"} <= names and model is not Invoice:
            yield model


def forget(client: Client, *, by: Actor, now: datetime) -> None:
    """Blank what is kept of somebody in the rows. Inside the caller's transaction; a second time changes nothing.

    Consents that were given are taken back by a row each, as the sitter could do: nothing may be shown any more.
    """
    _leave_lists(client, by=by, now=now)
    _withdraw_consents(client, now=now)
    Credential.objects.filter(holder_id=client.pk, revoked_at=None).update(revoked_at=now)
    Credential.objects.filter(holder_id=client.pk).update(erased_at=now)
    move_where(messages_about(client).filter(status__in=ON_ITS_WAY), "cancel", by=by, now=now)
    _forget_address(client, now=now)
    shoots_of(client).filter(private_erased_at=None).update(private_erased_at=now)
    AnswerSheet.objects.filter(shoot__in=shoots_of(client), erased_at=None).update(erased_at=now)
    for trace in traces(client, until=now):
        trace.wipe()


def _leave_lists(client: Client, *, by: Actor, now: datetime) -> None:
    open_ones = [WaitingStatus.WAITING, WaitingStatus.OFFERED]
    for pk in client.waiting_places.filter(status__in=open_ones).order_by("pk").values_list("pk", flat=True):
        waiting.leave(place_id=pk, by=by, now=now)


def _withdraw_consents(client: Client, *, now: datetime) -> None:
    latest: dict[tuple[int, str], Consent] = {}
    for row in Consent.objects.filter(sitter=client).order_by("pk"):
        latest[row.shoot_id, row.purpose] = row
    Consent.objects.bulk_create(
        Consent(
            shoot_id=row.shoot_id,
            sitter=client,
            purpose=row.purpose,
            wording_version=row.wording_version,
            is_given=False,
            answered_at=now,
        )
        for row in latest.values()
        if row.is_given
    )


def _forget_address(client: Client, *, now: datetime) -> None:
    """What is known of the address alone: requests for links, and what was shared with it as somebody's agent.

    Nothing, where another client or somebody of the studio has the same address: then it is theirs as well.
    """
    others = Client.objects.filter(email__iexact=client.email, erased_at=None).exclude(pk=client.pk)
    if others.exists() or User.objects.filter(email__iexact=client.email).exists():
        return
    LinkRequest.objects.filter(email__iexact=client.email).delete()
    shared = Credential.objects.filter(holder_id=None, holder_email__iexact=client.email)
    shared.filter(revoked_at=None).update(revoked_at=now)
    shared.update(erased_at=now, holder_label="", holder_email="", pin_hash="")
    letters = Message.objects.filter(client_id=None, to_address__iexact=client.email)
    move_where(letters.filter(status__in=ON_ITS_WAY), "cancel", by=WORKER, now=now)
    letters.exclude(status__in=ON_ITS_WAY).update(**WORDLESS, to_address="", to_name="")


def left(client: Client, *, until: datetime) -> Iterator[str]:
    """What still tells of somebody who was forgotten then, a line each; for `manage.py verify`."""
    for trace in traces(client, until=until):
        if trace.is_judged:
            yield from trace.left()
    if Credential.objects.filter(holder_id=client.pk, revoked_at=None).exists():
        yield "a link is still open"
    given: dict[tuple[int, str], bool] = {}
    for shoot_id, purpose, is_given in (
        Consent.objects.filter(sitter=client).order_by("pk").values_list("shoot", "purpose", "is_given")
    ):
        given[shoot_id, purpose] = is_given
    if any(given.values()):
        yield "a consent still stands"
    if Message.objects.filter(client_id=client.pk, status__in=ON_ITS_WAY).exists():
        yield "a message to them is still on its way"


# --- what stays


@dataclass(frozen=True, slots=True)
class Stays:
    """How much of somebody stays on record, and what for."""

    bookings: int
    payments: int
    papers: int


def stays(client: Client) -> Stays:
    """What the books must keep."""
    return Stays(
        bookings=bookings_of(client).count(),
        payments=Payment.objects.filter(payer=client).count(),
        papers=Invoice.objects.filter(booking__payer=client).count(),
    )
