"""Money on pages: vouchers to buy, receipts to download; on the desk extras, refunds by hand, vouchers, statements."""

import csv
import uuid
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from bookings import allowances, charges, checkout, holds, invoices, payments, places, shares, vouchers
from bookings.amounts import AmountField, MoneyForm
from bookings.forms import shown_amount
from bookings.models import Booking, BookingExtra, ExtraKind, Invoice, Refund, Voucher
from bookings.private_views import open_booking
from bookings.refusals import DetailsRefused, NotNow, Refused
from bookings.statuses import ExtraStatus
from bookings.stripe_gateway import GatewayError
from bookings.till import papers_of
from studio import throttles
from studio.access import staff
from studio.accounts import require, roles_of
from studio.actors import Actor, ActorKind
from studio.currencies import to_major
from studio.forms import typed_id
from studio.models import Location, Role
from studio.templatetags.studio_tags import money
from studio.transitions import MoveRefused

GUEST = Actor(ActorKind.CLIENT)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet run a cell


# --- vouchers, bought by anybody ------------------------------------------------------------------------------


class VoucherForm(MoneyForm):
    """A gift voucher: how much, from whom, for whom."""

    amount = AmountField(label=gettext_lazy("Amount"))
    buyer_name = forms.CharField(
        label=gettext_lazy("Your name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    buyer_email = forms.EmailField(
        label=gettext_lazy("Your e-mail"), widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    recipient_name = forms.CharField(label=gettext_lazy("Who is it for"), max_length=150)
    recipient_email = forms.EmailField(
        label=gettext_lazy("Their e-mail"),
        help_text=gettext_lazy("The voucher goes there as soon as it is paid. Your own address works too."),
    )
    greeting = forms.CharField(
        label=gettext_lazy("A few words"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    form_token = forms.UUIDField(widget=forms.HiddenInput)


@require_http_methods(["GET", "POST"])
def vouchers_page(request: HttpRequest) -> HttpResponse:
    """Buy a gift voucher: one form, then the payment page. Back from it, what happens next."""
    now = timezone.now()
    studio = holds.studio_now()
    location = Location.objects.filter(is_active=True).order_by("position", "name").first()
    if not studio.sells_vouchers or location is None:
        raise Http404
    currency = location.currency or studio.currency
    lowest, highest = vouchers.limits(currency)
    form = VoucherForm(request.POST or None, initial={"form_token": uuid.uuid4()}, currency=currency)
    form.fields["amount"].help_text = _("In %(currency)s, from %(lowest)s to %(highest)s.") % {
        "currency": currency, "lowest": money(lowest, currency), "highest": money(highest, currency),
    }  # fmt: skip
    if request.method == "POST" and form.is_valid():
        try:
            return HttpResponseRedirect(_order(request, form.cleaned_data, location, now=now))
        except DetailsRefused as refusal:
            for field, sentence in refusal.problems.items():
                form.add_error(field, sentence)
        except Refused as refusal:
            form.add_error(None, refusal.sentence)
        except GatewayError as error:
            form.add_error(None, error.sentence)
    is_bought = "paid" in request.GET
    context = {"form": form, "is_bought": is_bought}
    return render(request, "bookings/vouchers.html", context, status=422 if form.errors else 200)


def _order(request: HttpRequest, typed: dict[str, Any], location: Location, *, now: datetime) -> str:
    if not throttles.allow(
        f"voucher:{throttles.network(request)}", limit=10, per=timedelta(minutes=10), now=now
    ):
        raise NotNow(_("Too many vouchers were asked for from here. Please wait ten minutes."))
    voucher = vouchers.order(location_id=location.pk, by=GUEST, now=now, **typed)
    return checkout.open_voucher_page(voucher_id=voucher.pk, now=now)


# --- the client's private page --------------------------------------------------------------------------------


@require_POST
def use_voucher(request: HttpRequest, public_id: str) -> HttpResponse:
    """Pay what is open with a voucher."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    if not throttles.allow(
        f"code:{throttles.network(request)}", limit=20, per=timedelta(minutes=10), now=now
    ):
        messages.warning(request, _("Too many codes were tried from here. Please wait ten minutes."))
        return redirect("booking", public_id)
    try:
        amount = payments.pay_by_voucher(
            booking_id=found.pk, code=request.POST.get("code", "")[:60], by=by, now=now
        )
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    else:
        messages.success(
            request, _("%(amount)s paid by voucher. Thank you.") % {"amount": money(amount, found.currency)}
        )
    return redirect("booking", public_id)


@require_GET
def receipts(request: HttpRequest, public_id: str) -> HttpResponse:
    """The papers of one booking, for whoever pays: a list, or with `?paper=` one of them as PDF."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    if by.id != found.payer_id:
        raise Http404
    if wanted := request.GET.get("paper"):
        return _as_pdf(get_object_or_404(found.invoices, public_id=wanted[:24]))
    return render(request, "bookings/receipts.html", {"booking": found, "papers": papers_of(found)})


def _as_pdf(paper: Invoice) -> HttpResponse:
    response = HttpResponse(invoices.pdf_of(paper), content_type="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="{paper.label}.pdf"'
    return response


@require_POST
def tip(request: HttpRequest, public_id: str) -> HttpResponse:
    """A tip for one person: to the payment page."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    typed = request.POST.get("amount", "")
    try:
        amount = AmountField(currency=found.currency).clean(typed)
        extra = charges.add_tip(
            booking_id=found.pk,
            payee_id=typed_id(request.POST.get("payee")) or 0,
            amount=amount,
            by=by,
            now=now,
        )
        url = checkout.open_checkout(booking_id=found.pk, purpose="extra", extra_id=extra.pk, now=now)
        return HttpResponseRedirect(url)
    except forms.ValidationError as error:
        messages.warning(request, error.messages[0])
    except Refused as refusal:
        messages.warning(request, refusal.sentence)
    except GatewayError as error:
        messages.error(request, error.sentence)
    return redirect("booking", public_id)


@require_POST
def offer(request: HttpRequest, public_id: str) -> HttpResponse:
    """An offered extra: whoever pays for the booking pays it, or says no to it."""
    now = timezone.now()
    found, by = open_booking(request, public_id, now=now)
    extra = found.extras.filter(public_id=request.POST.get("extra", "")[:24]).first()
    try:
        if extra is None or extra.status != ExtraStatus.PROPOSED or by.id != found.payer_id:
            raise NotNow(_("This offer is not open any more."))
        if request.POST.get("answer") == "no":
            charges.drop_extra(extra_id=extra.pk, by=by, now=now)
            return redirect("booking", public_id)
        url = checkout.open_checkout(booking_id=found.pk, purpose="extra", extra_id=extra.pk, now=now)
        return HttpResponseRedirect(url)
    except (Refused, MoveRefused) as refusal:
        messages.warning(request, str(refusal))
    except GatewayError as error:
        messages.error(request, error.sentence)
    return redirect("booking", public_id)


# --- the desk: one booking ------------------------------------------------------------------------------------


def _add_extra(request: HttpRequest, found: Booking, by: Actor, now: datetime) -> str:
    post = request.POST
    count = post.get("count", "1")
    kind = post.get("kind", ExtraKind.OTHER)
    extra = charges.add_extra(
        booking_id=found.pk,
        label=post.get("label", "")[:200],
        amount=_typed(request, found),
        kind=kind,
        count=int(count) if count.isdecimal() and len(count) < 4 else 0,
        is_owed=post.get("how") != "offer",
        once=f"desk:{post['form_token'][:60]}" if post.get("form_token") else None,
        by=by,
        now=now,
    )
    if extra.status == ExtraStatus.PROPOSED:
        return _("Offered. It counts as soon as the client has paid for it.")
    if post.get("ask"):
        charges.request_payment(booking_id=found.pk, by=by, now=now)
        return _("Added, and a card link is on its way to the client.")
    return _("Added to the bill.")


def _drop(request: HttpRequest, found: Booking, by: Actor, now: datetime) -> str:
    charges.drop_extra(extra_id=_own(request, found.extras, "extra").pk, by=by, now=now)
    return _("Taken off. What was paid for it goes back.")


def _ask(request: HttpRequest, found: Booking, by: Actor, now: datetime) -> str:
    due = charges.request_payment(booking_id=found.pk, by=by, now=now)
    return _("A card link for %(amount)s is on its way to the client.") % {
        "amount": money(due, found.currency)
    }


def _take_off(request: HttpRequest, found: Booking, by: Actor, now: datetime) -> str:
    reason = request.POST.get("reason", "").strip()[:200]
    if not reason:
        raise NotNow(_("Please say why; it stays on record."))
    amount = _typed(request, found)
    once = f"desk:{request.POST.get('form_token', '')[:36] or uuid.uuid4()}"
    if request.session.get("taken_off") == once:  # the same form again: a double click, the back button
        return _("That is written already.")
    taken, back = allowances.take_off_by_hand(
        booking_id=found.pk,
        amount=amount,
        shown=shown_amount(request.POST.get("shown")),
        reason=reason,
        once=once,
        by=by,
        now=now,
    )
    request.session["taken_off"] = once
    facts = {"taken": money(taken, found.currency), "back": money(back, found.currency)}
    return _("%(taken)s taken off the price; %(back)s goes back.") % facts


def _hand_back(request: HttpRequest, found: Booking, by: Actor, now: datetime) -> str:
    payments.hand_back(refund_id=_refund(request, found).pk, by=by, now=now)
    return _("Written down: given back.")


def _again(request: HttpRequest, found: Booking, by: Actor, now: datetime) -> str:
    payments.try_again(refund_id=_refund(request, found).pk, by=by, now=now)
    return _("It is sent once more.")


def _invoice(request: HttpRequest, found: Booking, by: Actor, now: datetime) -> str:
    issued = invoices.issue_now(booking_id=found.pk, by=by, now=now)
    return _("Issued: %(papers)s.") % {"papers": ", ".join(invoices.title_of(paper) for paper in issued)}


def _give_voucher(request: HttpRequest, found: Booking, by: Actor, now: datetime) -> str:
    if found.payer is None:
        raise NotNow(_("Nobody has said yet who books."))
    voucher = vouchers.issue(
        amount=_typed(request, found),
        currency=found.currency,
        recipient_name=found.payer.name,
        recipient_email=found.payer.email,
        reason=request.POST.get("reason", ""),
        booking_id=found.pk,
        once=f"desk:{request.POST['form_token'][:60]}" if request.POST.get("form_token") else None,
        by=by,
        now=now,
    )
    return _("The voucher over %(amount)s is on its way to %(name)s.") % {
        "amount": money(voucher.amount, voucher.currency),
        "name": voucher.recipient.name,
    }


DEEDS: dict[str, Callable[[HttpRequest, Booking, Actor, datetime], str]] = {
    "extra": _add_extra,
    "drop": _drop,
    "ask": _ask,
    "less": _take_off,
    "hand-back": _hand_back,
    "again": _again,
    "invoice": _invoice,
    "voucher": _give_voucher,
}


@staff(Role.PHOTOGRAPHER, at=places.of_booking)
@require_POST
def booking_money(request: HttpRequest, public_id: str, verb: str) -> HttpResponse:
    """One thing done with a booking's money; the answer stands on its page."""
    found = get_object_or_404(Booking.objects.select_related("payer", "location"), public_id=public_id)
    deed = DEEDS.get(verb)
    if deed is None:
        return redirect("desk_booking", public_id)
    try:
        messages.success(request, deed(request, found, _actor(request), timezone.now()))
    except (Refused, MoveRefused) as refusal:
        messages.warning(request, str(refusal))
    return redirect("desk_booking", public_id)


def _actor(request: HttpRequest) -> Actor:
    return Actor.user(require(request))


def _typed(request: HttpRequest, found: Booking) -> int:
    try:
        amount: int = AmountField(currency=found.currency).clean(request.POST.get("amount", ""))
    except forms.ValidationError as error:
        raise NotNow(error.messages[0]) from None
    return amount


def _own(request: HttpRequest, rows: Any, name: str) -> BookingExtra:
    found: BookingExtra | None = rows.filter(public_id=request.POST.get(name, "")[:24]).first()
    if found is None:
        raise NotNow(_("This is not here any more."))
    return found


def _refund(request: HttpRequest, found: Booking) -> Refund:
    wanted = request.POST.get("refund", "")[:24]
    refund = Refund.objects.filter(public_id=wanted, allocations__booking=found).first()
    if refund is None:
        raise NotNow(_("This is not here any more."))
    return refund


# --- the desk: vouchers, papers, statements -------------------------------------------------------------------


class IssueForm(MoneyForm):
    """A voucher the studio gives away."""

    amount = AmountField(label=gettext_lazy("Amount"))
    recipient_name = forms.CharField(label=gettext_lazy("For whom"), max_length=150)
    recipient_email = forms.EmailField(label=gettext_lazy("E-mail"))
    reason = forms.CharField(label=gettext_lazy("Why"), max_length=200)
    greeting = forms.CharField(label=gettext_lazy("A few words"), max_length=500, required=False)
    form_token = forms.UUIDField(widget=forms.HiddenInput)


@staff(Role.PHOTOGRAPHER, everywhere=True)
@require_http_methods(["GET", "POST"])
def desk_vouchers(request: HttpRequest) -> HttpResponse:
    """Every voucher with its balance; give one away, take an unspent one back."""
    now, by = timezone.now(), _actor(request)
    currency = holds.studio_now().currency
    form = IssueForm(
        request.POST if request.method == "POST" and "void" not in request.POST else None,
        initial={"form_token": uuid.uuid4()},
        currency=currency,
    )
    try:
        if request.method == "POST" and "void" in request.POST:
            voucher = get_object_or_404(Voucher, public_id=request.POST["void"][:24])
            back = vouchers.void(voucher_id=voucher.pk, reason=request.POST.get("reason", ""), by=by, now=now)
            messages.success(
                request, _("Taken back; %(back)s goes back.") % {"back": money(back, voucher.currency)}
            )
            return redirect("desk_vouchers")
        if form.is_bound and form.is_valid():
            typed = dict(form.cleaned_data)
            once = f"desk:{typed.pop('form_token')}"
            vouchers.issue(currency=currency, once=once, by=by, now=now, **typed)
            messages.success(request, _("The voucher is on its way."))
            return redirect("desk_vouchers")
    except DetailsRefused as refusal:
        for field, sentence in refusal.problems.items():
            form.add_error(field, sentence)
    except (Refused, MoveRefused) as refusal:
        messages.warning(request, str(refusal))
    query = request.GET.get("q", "").strip()[:100]
    rows = Voucher.objects.select_related("recipient", "buyer").order_by("-pk")
    if query:
        rows = rows.filter(
            Q(recipient__name__icontains=query)
            | Q(recipient__email__icontains=query)
            | Q(buyer__email__icontains=query)
            | Q(code__icontains=query)
        )
    context = {
        "page": Paginator(rows, 30).get_page(request.GET.get("page")),
        "form": form,
        "query": query,
        "sees_statements": _is_owner(request),
    }
    return render(request, "bookings/desk_vouchers.html", context, status=422 if form.errors else 200)


def _at_my_places(request: HttpRequest) -> Q:
    """The papers of bookings there; of vouchers only for who works everywhere."""
    return places.mine(request, "booking__location")


@staff(Role.PHOTOGRAPHER)
@require_GET
def desk_receipts(request: HttpRequest) -> HttpResponse:
    """All numbered papers, newest first; `?paper=` is one as PDF, `?month=2026-11&as=csv` a month for the books."""
    if wanted := request.GET.get("paper"):
        return _as_pdf(
            get_object_or_404(Invoice.objects.filter(_at_my_places(request)), public_id=wanted[:24])
        )
    month = _month(request)
    rows = Invoice.objects.filter(_at_my_places(request)).select_related("entity", "booking")
    rows = rows.order_by("-issued_on", "-pk")
    if request.GET.get("as") == "csv":
        within = rows.filter(issued_on__gte=month, issued_on__lt=_next(month)).order_by(
            "entity", "kind", "number"
        )
        return _csv(
            f"receipts-{month:%Y-%m}.csv",
            ["number", "kind", "issued on", "seller", "buyer", "firm", "currency", "net", "tax", "total", "corrects"],
            [
                [
                    paper.label, paper.kind, paper.issued_on.isoformat(), paper.seller["name"], paper.buyer["name"],
                    paper.buyer["firm"], paper.currency, *(
                        to_major(amount, paper.currency) for amount in (paper.net, paper.tax, paper.total)
                    ), " ".join(paper.takes_back),
                ]
                for paper in within
            ],
        )  # fmt: skip
    page = Paginator(rows, 40).get_page(request.GET.get("page"))
    papers = [(invoices.title_of(paper), paper) for paper in page.object_list]
    return render(
        request,
        "bookings/desk_receipts.html",
        {"page": page, "papers": papers, "month": f"{month:%Y-%m}", "sees_statements": _is_owner(request)},
    )


@staff(Role.OWNER, everywhere=True)
@require_GET
def desk_statements(request: HttpRequest) -> HttpResponse:
    """What each person earned in a month: shares of add-ons and tips; the same as CSV."""
    month = _month(request)
    statements = shares.statements(month=month)
    if request.GET.get("as") == "csv":
        return _csv(
            f"statements-{month:%Y-%m}.csv",
            ["person", "date", "session", "what", "price before tax", "share in percent", "owed", "currency"],
            [
                [
                    statement.person.name, line.on.isoformat(), line.code, line.what,
                    to_major(line.net, line.currency), line.percent, to_major(line.owed, line.currency), line.currency,
                ]
                for statement in statements
                for line in statement.lines
            ],
        )  # fmt: skip
    previous = (month - timedelta(days=1)).replace(day=1)
    context = {
        "month": month,
        "statements": statements,
        "previous": f"{previous:%Y-%m}",
        "next": f"{_next(month):%Y-%m}",
        "this": f"{month:%Y-%m}",
        "sees_statements": True,
    }
    return render(request, "bookings/desk_statements.html", context)


def _is_owner(request: HttpRequest) -> bool:
    return Role.OWNER in roles_of(request.user)


def _month(request: HttpRequest) -> date:
    """The first day of the month that is asked for; what cannot be read is this month."""
    location = Location.objects.order_by("position").first()
    today = timezone.now().astimezone(ZoneInfo(location.zone if location else "UTC")).date()
    try:
        return datetime.strptime(request.GET.get("month", ""), "%Y-%m").date()  # noqa: DTZ007
    except ValueError:
        return today.replace(day=1)


def _next(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def _csv(name: str, heads: list[str], rows: list[list[object]]) -> HttpResponse:
    """A file for the books. A cell that a spreadsheet would run as a formula is made harmless."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    writer.writerow(heads)
    for row in rows:
        writer.writerow(
            [f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell for cell in row]
        )
    return response
