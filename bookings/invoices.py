"""Receipts, invoices and credit notes: numbered without a gap per legal entity, never changed once issued.

What a booking costs is compared with what its papers say already. What is more becomes an invoice, what is less a
credit note; so a deposit, an extra, a cancellation or a correction each adds a paper and touches none. While a part is
paid the papers say that part; the paper that says the whole takes the part back on itself. That a paper may be due
is stated in `Booking.invoice_due_at`, with its cause; `issue_next` looks what is. A number is taken under the lock of
its sequence and in the transaction of its paper: if that fails, the number was never taken.
Lock order: Booking, then the sequence.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import formats
from django.utils.translation import gettext as _

from bookings.charges import Charge, discount_shares, lines_of
from bookings.ledger import balance
from bookings.models import Booking, Invoice, InvoiceKind, NumberSequence, TaxRate
from bookings.refusals import NotNow
from bookings.statuses import BookingStatus
from bookings.taxes import split
from studio.actors import WORKER, Actor, ActorKind
from studio.documents import Paper
from studio.models import LegalEntity
from studio.templatetags.studio_tags import money_exactly as money

DEPOSIT = "deposit:"  # the keys of lines that say a part was paid; the tax percent follows
log = logging.getLogger(__name__)
WAIT = timedelta(minutes=10)  # a booking whose paper failed is looked at again after this


# --- issuing ------------------------------------------------------------------------------------------------


def issue_next(*, now: datetime) -> bool:
    """Look at one booking whose papers may be behind, and issue what is due. False when none waits."""
    with transaction.atomic():
        booking = (
            Booking.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(invoice_due_at__lte=now)
            .order_by("invoice_due_at", "pk")
            .first()
        )
        if booking is None:
            return False
        try:
            with transaction.atomic():
                if _is_due(booking):
                    bring_up_to_date(booking, by=WORKER, now=now)
        except Exception:
            log.exception("The papers of booking %s could not be issued", booking.pk)
            Booking.objects.filter(pk=booking.pk).update(invoice_due_at=now + WAIT)
        else:
            Booking.objects.filter(pk=booking.pk).update(invoice_due_at=None)
    return True


def issue_now(*, booking_id: int, by: Actor, now: datetime) -> list[Invoice]:
    """The studio wants the paper before everything is paid: a firm that pays by transfer. Raises NotNow."""
    if by.kind != ActorKind.USER:
        raise NotNow(_("Only the studio issues an invoice early."))
    with transaction.atomic():
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=booking_id)
        if booking.location.entity is None:
            raise NotNow(_("This location has no legal entity yet: its receipts have nobody to come from."))
        if booking.status != BookingStatus.CONFIRMED or booking.payer is None:
            raise NotNow(_("Only a confirmed booking is invoiced."))
        issued = bring_up_to_date(booking, is_whole=True, by=by, now=now)
        if not issued:
            raise NotNow(_("Everything is on paper already."))
        return issued


def _is_due(booking: Booking) -> bool:
    """A paper is made with the first money of a booking that stands, or with what is kept of one that does not; from
    then on each change has one."""
    if booking.location.entity is None or booking.payer is None:
        return False
    if booking.invoices.exists():
        return True
    money_now = balance(booking)
    if booking.status == BookingStatus.CONFIRMED:
        return booking.price > 0 and (money_now.due == 0 or money_now.kept > 0)
    return booking.status == BookingStatus.CANCELLED and money_now.kept > 0


def bring_up_to_date(booking: Booking, *, is_whole: bool = False, by: Actor, now: datetime) -> list[Invoice]:
    """Issue what the papers of a locked booking do not say yet: a credit note for less, an invoice for more.

    `is_whole`: everything is invoiced though a part is still open.
    """
    entity = booking.location.entity
    assert entity is not None
    said = _said(booking)
    is_whole = is_whole or any(not key.startswith(DEPOSIT) for key in said)
    wanted = {line.key: _written(line, entity, booking) for line in _lines_now(booking, is_whole=is_whole)}
    changed = [_apart(wanted.get(key), old) for key, old in said.items()]
    added = [line for key, line in wanted.items() if key not in said]
    if added:  # the paper of the whole says itself what was on paper as a deposit
        added += [line for line in changed if line["key"].startswith(DEPOSIT)]
        changed = [line for line in changed if not line["key"].startswith(DEPOSIT)]
    papers: dict[InvoiceKind, list[dict[str, Any]]] = {InvoiceKind.CREDIT_NOTE: [], InvoiceKind.INVOICE: []}
    for lines in ([line for line in changed if line["gross"] or line["tax"]], added):
        is_less = sum(line["gross"] for line in lines) < 0
        papers[InvoiceKind.CREDIT_NOTE if is_less else InvoiceKind.INVOICE] += lines
    return [_issue(booking, entity, kind, lines, by=by, now=now) for kind, lines in papers.items() if lines]


def _apart(new: dict[str, Any] | None, old: dict[str, Any]) -> dict[str, Any]:
    """What a line says now, less what the papers said of it."""
    line = {**old, **(new or {})}
    for part in ("net", "tax", "gross"):
        line[part] = (new[part] if new else 0) - old[part]
    if line["key"] == "allowance" and line["gross"] > 0:
        line["label"] = _("No longer taken off")
    return line


def _said(booking: Booking) -> dict[str, dict[str, Any]]:
    """What the papers of a booking say so far, per line: credit notes count against invoices."""
    said: dict[str, dict[str, Any]] = {}
    for paper in booking.invoices.order_by("pk"):
        for line in paper.lines:
            before = said.get(line["key"])
            if before is None:
                said[line["key"]] = dict(line)
                continue
            for part in ("gross", "tax", "net"):
                before[part] += line[part]
            before["count"] = line["count"]
    return {key: line for key, line in said.items() if line["gross"] or line["tax"]}


def _lines_now(booking: Booking, *, is_whole: bool) -> list[Charge]:
    """What the booking costs now: of one that stands and is partly paid that part, unless `is_whole`; one that was
    cancelled costs what was kept."""
    if booking.status == BookingStatus.CONFIRMED:
        lines = [line for line in lines_of(booking) if line.gross]
        return lines if is_whole or not balance(booking).due else _deposit(booking, lines)
    kept = balance(booking).kept
    if not kept:
        return []
    parts = split(kept, booking.tax_percent, is_added=False, currency=booking.currency)
    label = _("Cancellation fee: %(session)s") % {"session": booking.session_type.name}
    return [Charge("cancellation", label, 1, parts.net, booking.tax_percent, parts.tax, parts.gross)]


def _deposit(booking: Booking, lines: Sequence[Charge]) -> list[Charge]:
    """What was paid so far, spread over the tax rates of what it is paid for: its tax is owed when it is received."""
    paid_for = [(line.gross, line.tax_percent) for line in lines]
    label = _("Deposit: %(session)s") % {"session": booking.session_type.name}
    charges = []
    for share, percent in discount_shares(balance(booking).kept, paid_for):
        part = split(share, percent, is_added=False, currency=booking.currency)
        key = f"{DEPOSIT}{percent.normalize():f}"
        charges.append(Charge(key, label, 1, part.net, percent, part.tax, part.gross))
    return charges


def _written(line: Charge, entity: LegalEntity, booking: Booking) -> dict[str, Any]:
    return {
        "key": line.key,
        "label": line.label,
        "count": line.count,
        "net": line.net,
        "tax_name": _tax_name(entity, booking, line.tax_percent) if line.tax_percent else "",
        "tax_percent": f"{line.tax_percent.normalize():f}",
        "tax": line.tax,
        "gross": line.gross,
    }


def _tax_name(entity: LegalEntity, booking: Booking, percent: Decimal) -> str:
    rates = TaxRate.objects.filter(entity=entity, percent=percent)
    rate = rates.filter(session_type=booking.session_type).first() or rates.order_by("pk").first()
    return rate.name if rate else _("Tax")


def _issue(
    booking: Booking,
    entity: LegalEntity,
    kind: InvoiceKind,
    lines: Sequence[dict[str, Any]],
    *,
    by: Actor,
    now: datetime,
) -> Invoice:
    """Take the next number of the entity and write the paper. Inside the transaction that holds the Booking."""
    zone = ZoneInfo(booking.location.zone)
    total, tax = sum(line["gross"] for line in lines), sum(line["tax"] for line in lines)
    corrects = None
    earlier = list(booking.invoices.order_by("pk"))
    if kind == InvoiceKind.CREDIT_NOTE:
        lines = [{**line, "of": _invoices_with(line["key"], earlier)} for line in lines]
        named = {label for line in lines for label in line["of"]}
        invoices = [paper for paper in earlier if paper.kind == InvoiceKind.INVOICE]
        corrects = next((paper for paper in reversed(invoices) if paper.label in named), invoices[-1])
    number = take_number(entity, kind)
    return Invoice.objects.create(
        entity=entity,
        kind=kind,
        number=number,
        label=f"{entity.number_prefix}{'C' if corrects else ''}{number:05d}",
        booking=booking,
        corrects=corrects,
        issued_at=now,
        issued_on=now.astimezone(zone).date(),
        currency=booking.currency,
        seller={
            "name": entity.name,
            "address": entity.address,
            "tax_number": entity.tax_number,
            "small_print": entity.small_print,
        },
        buyer=_buyer(booking),
        lines=list(lines),
        payments=_payments(booking, zone),
        was_paid=balance(booking).kept >= sum(paper.total for paper in earlier) + total,
        net=total - tax,
        tax=tax,
        total=total,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
    )


def _invoices_with(key: str, papers: Sequence[Invoice]) -> list[str]:
    """The numbers of the invoices that say a line."""
    invoices = [paper for paper in papers if paper.kind == InvoiceKind.INVOICE]
    return [paper.label for paper in invoices if any(line["key"] == key for line in paper.lines)]


def take_number(entity: LegalEntity, kind: InvoiceKind) -> int:
    """The next number of a kind of paper, under the sequence's lock until the transaction ends."""
    NumberSequence.objects.get_or_create(entity=entity, kind=kind)
    sequence = NumberSequence.objects.select_for_update(of=("self",)).get(entity=entity, kind=kind)
    sequence.last += 1
    sequence.save(update_fields=["last"])
    return sequence.last


def _buyer(booking: Booking) -> dict[str, str]:
    payer = booking.payer
    assert payer is not None
    return {
        "name": payer.name,
        "firm": payer.firm,
        "address": payer.firm_address,
        "tax_number": payer.tax_number,
        "email": payer.email,
    }


def _payments(booking: Booking, zone: ZoneInfo) -> list[dict[str, Any]]:
    rows = booking.allocations.select_related("payment", "refund__payment").order_by("pk")
    moved = []
    for row in rows:
        source = row.payment or row.refund
        assert source is not None
        method = row.payment or (row.refund.payment if row.refund else None)
        at = row.payment.received_at if row.payment else None
        if row.refund:
            at = row.refund.returned_at if row.amount > 0 else row.refund.created_at
        assert method is not None and at is not None
        moved.append(
            {
                "on": at.astimezone(zone).date().isoformat(),
                "how": str(method.get_method_display()),
                "amount": row.amount,
            }
        )
    return moved


# --- the paper ----------------------------------------------------------------------------------------------


def title_of(invoice: Invoice) -> str:
    """ "Receipt", "Invoice" or "Credit note" with its number: a receipt is an invoice that was paid when issued."""
    if invoice.kind == InvoiceKind.CREDIT_NOTE:
        return _("Credit note %(number)s") % {"number": invoice.label}
    if invoice.was_paid:
        return _("Receipt %(number)s") % {"number": invoice.label}
    return _("Invoice %(number)s") % {"number": invoice.label}


def pdf_of(invoice: Invoice) -> bytes:
    """The paper as PDF, from its own row alone: the same bytes whenever it is asked for."""
    title = title_of(invoice)
    seller, buyer, currency = invoice.seller, invoice.buyer, invoice.currency
    paper = Paper(
        title=title,
        by=seller["name"],
        at=invoice.issued_at,
        foot=seller.get("small_print", "") or seller["name"],
    )
    paper.heading(title)
    sold_by = [_("From"), seller["name"], seller["address"], _tax_line(seller["tax_number"])]
    sold_to = [_("To"), buyer["firm"], buyer["name"], buyer["address"], _tax_line(buyer["tax_number"])]
    paper.columns("\n".join(filter(None, sold_by)), "\n".join(filter(None, [*sold_to, buyer["email"]])))
    paper.rule()
    booking = invoice.booking
    paper.facts(
        [
            (_("Date"), _day(invoice.issued_on.isoformat())),
            (_("Takes back"), ", ".join(invoice.takes_back)),
            (_("Reference"), booking.public_id),
        ]
    )
    paper.ln(3)
    paper.lines(
        [_("What"), _("Net"), _("Tax"), _("Amount")],
        [
            [
                f"{line['label']} × {line['count']}" if line["count"] > 1 else line["label"],
                money(line["net"], currency),
                f"{line['tax_percent']} %" if line["tax_name"] else "–",
                money(line["gross"], currency),
            ]
            for line in invoice.lines
        ],
        widths=[50, 18, 14, 18],
        ends=3,
    )
    paper.lines([], _sums(invoice), widths=[70, 30])
    if invoice.payments:
        paper.text(_("Paid until then"), style="B")
        paper.facts(
            [(_day(row["on"]), f"{row['how']}: {money(row['amount'], currency)}") for row in invoice.payments]
        )
    return paper.bytes()


def _tax_line(number: str) -> str:
    return _("Tax number %(number)s") % {"number": number} if number else ""


def _sums(invoice: Invoice) -> list[list[str]]:
    """Net, the tax of each rate, and everything together."""
    taxes: dict[str, int] = {}
    for line in invoice.lines:
        if line["tax_name"]:
            name = f"{line['tax_name']} {line['tax_percent']} %"
            taxes[name] = taxes.get(name, 0) + line["tax"]
    currency = invoice.currency
    return [
        [_("Net"), money(invoice.net, currency)],
        *([name, money(tax, currency)] for name, tax in taxes.items()),
        [_("Together"), f"{currency} {money(invoice.total, currency)}"],
    ]


def _day(iso: str) -> str:
    return formats.date_format(datetime.fromisoformat(iso), "j F Y")
