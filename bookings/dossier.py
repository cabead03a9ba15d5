"""Everything the bookings keep about one person: as rows for a copy of their data, and as papers.

What a person said about their own picture (nerves, answers, consents, signatures) is theirs as the sitter; money is
theirs as the payer. Of a booking two people share, each gets their own part. Names of the studio's people are left out.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import Q, QuerySet

from bookings import agreements, invoices
from bookings.models import (
    AnswerSheet,
    Booking,
    BookingAddOn,
    BookingExtra,
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
from studio.actors import ActorKind
from studio.discreet import without_keys
from studio.models import Credential, Message, StatusChange

Row = dict[str, Any]
BATCH = 200  # rows held at a time


@dataclass(frozen=True, slots=True)
class PaperOf:
    """A paper of a person: its place in the archive, when it is from, and how it is made."""

    name: str
    made_at: datetime
    make: Callable[[], bytes]


def bookings_of(client: Client) -> "QuerySet[Booking]":
    """What somebody pays for or sits in, the oldest first."""
    mine = Q(payer=client) | Q(pk__in=Shoot.objects.filter(sitter=client).values("booking"))
    return Booking.objects.filter(mine).order_by("pk")


def messages_of(client: Client) -> "QuerySet[Message]":
    """What was written to somebody. An address two people share does not make one's letters the other's."""
    return Message.objects.filter(client_id=client.pk).order_by("pk")


def sections(client: Client) -> Iterator[tuple[str, Iterable[Row]]]:
    """What is kept in rows, by name; each section is read as it is written, some rows at a time."""
    paid, sat = Booking.objects.filter(payer=client), Shoot.objects.filter(sitter=client)
    yield "person", _rows(Client.objects.filter(pk=client.pk), *PERSON)
    yield "bookings", _rows(bookings_of(client), *BOOKING)
    yield "add_ons", _rows(BookingAddOn.objects.filter(booking__in=paid), *ADD_ON)
    yield "sessions", _rows(sat, *SHOOT)
    yield "consents", _rows(Consent.objects.filter(sitter=client), *CONSENT)
    yield "answers", _rows(AnswerSheet.objects.filter(shoot__in=sat), *ANSWERS)
    yield "signatures", _rows(Signature.objects.filter(Q(signer=client) | Q(shoot__in=sat)), *SIGNATURE)
    yield "conversation", _rows(_conversation(client), *THREAD)
    yield "messages", map(_without_links, _rows(messages_of(client), *MESSAGE))
    yield "payments", _rows(Payment.objects.filter(payer=client), *PAYMENT)
    yield "refunds", _rows(Refund.objects.filter(payment__payer=client), *REFUND)
    yield "disputes", _rows(Dispute.objects.filter(payment__payer=client), *DISPUTE)
    yield "extras", _rows(BookingExtra.objects.filter(booking__in=paid), *EXTRA)
    yield "codes_used", _rows(CodeUse.objects.filter(booking__in=paid), *CODE)
    yield "invoices", _rows(Invoice.objects.filter(booking__in=paid), *INVOICE)
    yield "vouchers", _rows(Voucher.objects.filter(Q(buyer=client) | Q(recipient=client)), *VOUCHER)
    yield "waiting_list", _rows(WaitingPlace.objects.filter(client=client), *WAITING)
    yield "links", _rows(Credential.objects.filter(holder_id=client.pk), *LINK)
    yield "what_they_did", _rows(_deeds(client), *DEED)


def papers(client: Client) -> Iterator[PaperOf]:
    """What was issued to them and what they signed, as PDF, the oldest first."""
    for invoice in Invoice.objects.filter(booking__payer=client).order_by("pk").iterator(chunk_size=BATCH):
        yield PaperOf(f"papers/{invoice.label}.pdf", invoice.issued_at, partial(invoices.pdf_of, invoice))
    signed = Signature.objects.filter(Q(signer=client) | Q(shoot__sitter=client)).order_by("pk")
    for row in signed.select_related("text", "shoot__booking__location").iterator(chunk_size=BATCH):
        name = f"papers/{row.text.kind}-{row.shoot.code}-{row.signed_at:%Y-%m-%d}.pdf"
        yield PaperOf(name, row.signed_at, partial(agreements.pdf, row))


def count_papers(client: Client) -> int:
    """How many papers there are."""
    signed = Signature.objects.filter(Q(signer=client) | Q(shoot__sitter=client)).count()
    return Invoice.objects.filter(booking__payer=client).count() + signed


def _rows(found: "QuerySet[Any]", *fields: str, **named: Any) -> Iterator[Row]:
    return iter(found.order_by("pk").values(*fields, **named).iterator(chunk_size=BATCH))


def _without_links(message: Row) -> Row:
    """A letter that still waits holds a secret link, which is for whoever opens the letter."""
    return message | {"body_text": without_keys(message["body_text"])}


def _conversation(client: Client) -> "QuerySet[ThreadEntry]":
    """What they wrote, and what the studio wrote where they wrote or pay."""
    theirs = Q(client=client)
    answered = Q(is_from_client=False) & (
        Q(booking__payer=client) | Q(booking__in=ThreadEntry.objects.filter(client=client).values("booking"))
    )
    return ThreadEntry.objects.filter(theirs | answered)


def _deeds(client: Client) -> "QuerySet[StatusChange]":
    rows = StatusChange.objects.filter(actor_kind=ActorKind.CLIENT, actor_id=client.pk)
    return rows.exclude(model=Message._meta.label_lower)


PERSON = (
    "name",
    "called",
    "pronounced",
    "pronoun",
    "email",
    "mobile",
    "firm",
    "firm_address",
    "tax_number",
    "zone",
    "language",
    "created_at",
    "erased_at",
)
BOOKING = (
    "public_id",
    "session_type__name",
    "location__name",
    "status",
    "starts_at",
    "ends_at",
    "created_at",
    "confirmed_at",
    "cancelled_at",
    "price",
    "discount",
    "allowance",
    "tax",
    "currency",
    "policy_version",
    "policy_accepted_at",
    "express_requested_at",
    "moved_count",
    "override_reason",
    "staff_note",
)
ADD_ON = ("booking__public_id", "add_on__name", "count", "price", "starts_at", "ends_at")
SHOOT = (
    "booking__public_id",
    "code",
    "status",
    "starts_at",
    "ends_at",
    "expected_at",
    "checked_in_at",
    "completed_at",
    "no_show_at",
    "sitter_is_minor",
    "guardian_name",
    "access_needs",
    "nerves",
    "nerves_text",
    "private_erased_at",
)
CONSENT = ("shoot__code", "purpose", "wording_version", "is_given", "answered_at")
ANSWERS = ("shoot__code", "answered_at", "answers", "private_answers", "erased_at")
SIGNATURE = (
    "shoot__code",
    "text__title",
    "text__version",
    "sitter_name",
    "typed_name",
    "is_guardian",
    "body_sha256",
    "signed_at",
)
THREAD = ("booking__public_id", "is_from_client", "text", "written_at")
MESSAGE = (
    "name",
    "channel",
    "to_address",
    "to_name",
    "subject",
    "body_text",
    "status",
    "created_at",
    "sent_at",
)
PAYMENT = ("public_id", "method", "amount", "currency", "received_at", "gateway_id")
REFUND = ("payment__public_id", "amount", "status", "reason", "created_at", "done_at", "returned_at")
DISPUTE = ("payment__public_id", "amount", "currency", "reason", "status", "opened_at", "ended_at")
EXTRA = ("booking__public_id", "kind", "label", "count", "amount", "total", "status", "created_at")
CODE = ("booking__public_id", "code__code", "used_at", "released_at")
INVOICE = (
    "label",
    "kind",
    "issued_on",
    "currency",
    "seller",
    "buyer",
    "lines",
    "payments",
    "net",
    "tax",
    "total",
)
VOUCHER = (
    "amount",
    "spent",
    "currency",
    "status",
    "greeting",
    "reason",
    "created_at",
    "issued_at",
    "expires_at",
)
WAITING = ("session_type__name", "location__name", "first_on", "last_on", "status", "created_at", "ended_at")
LINK = ("scope", "holder_label", "created_at", "expires_at", "revoked_at", "last_used_at")
DEED = ("model", "verb", "before", "after", "reason", "at")
