"""Rows of money beside payments and refunds: extras, codes, vouchers, tax rates, invoices. Imported by `models`."""

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from bookings.statuses import EXTRA_MOVES, VOUCHER_MOVES, ExtraStatus, VoucherStatus
from studio.actors import ActorKind
from studio.models import LegalEntity, public_id
from studio.transitions import HasStatus

PERCENT = [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))]


class TaxRate(models.Model):
    """What a legal entity adds to, or has inside, its prices: for everything, one session type or one add-on."""

    entity = models.ForeignKey(LegalEntity, models.CASCADE, related_name="tax_rates")
    name = models.CharField(
        _("name"), max_length=60, help_text=_("As it stands on the receipt: VAT, sales tax …")
    )
    percent = models.DecimalField(_("percent"), max_digits=6, decimal_places=3, validators=PERCENT)
    session_type = models.ForeignKey("bookings.SessionType", models.CASCADE, null=True, blank=True)
    add_on = models.ForeignKey("bookings.AddOn", models.CASCADE, null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "session_type", "add_on"], nulls_distinct=False, name="one_tax_rate_a_thing"
            ),
            models.CheckConstraint(
                condition=Q(session_type=None) | Q(add_on=None), name="tax_rate_of_one_thing"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.percent.normalize():f} %"


class ExtraKind(models.TextChoices):
    FINALS = "finals", _("More finished pictures")
    CHANGES = "changes", _("A further round of changes")
    TIME = "time", _("More time")
    TIP = "tip", _("Tip")
    OTHER = "other", _("Other")


class BookingExtra(HasStatus):
    """Something sold on a booking after it was made. It counts in the price while it is agreed.

    `amount` is the list price of all of the count; `total` is what is paid: with the tax, where tax is added.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    booking = models.ForeignKey("bookings.Booking", models.PROTECT, related_name="extras")
    kind = models.CharField(max_length=20, choices=ExtraKind, default=ExtraKind.OTHER)
    label = models.CharField(max_length=200, help_text="what for, as the client reads it")
    count = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    tax_percent = models.DecimalField(max_digits=6, decimal_places=3, default=0)
    total = models.PositiveIntegerField()
    payee = models.ForeignKey(
        "bookings.Resource", models.PROTECT, null=True, related_name="tips", help_text="whose tip it is"
    )
    status = models.CharField(max_length=20, choices=ExtraStatus, default=ExtraStatus.PROPOSED)
    once = models.CharField(max_length=120, unique=True, null=True, help_text="one cause, one extra")
    created_at = models.DateTimeField()
    agreed_at = models.DateTimeField(null=True)
    dropped_at = models.DateTimeField(null=True)
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)

    moves = EXTRA_MOVES

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0, total__gte=F("amount")), name="extra_costs_something"
            ),
            models.CheckConstraint(
                condition=~Q(kind="tip") | Q(payee__isnull=False, tax_percent=0), name="a_tip_has_a_person"
            ),
        ]

    def __str__(self) -> str:
        return self.label


class DiscountCode(models.Model):
    """A word that lowers the price of a booking: in percent or by a fixed amount."""

    code = models.CharField(_("code"), max_length=40, unique=True, help_text=_("Capital letters and digits."))
    percent = models.PositiveSmallIntegerField(
        _("percent"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    amount = models.PositiveIntegerField(
        _("amount"), null=True, blank=True, help_text=_("In minor units (cents), instead of a percentage.")
    )
    currency = models.CharField(_("currency of the amount"), max_length=3, blank=True)
    starts_at = models.DateTimeField(_("from"), null=True, blank=True)
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)
    max_uses = models.PositiveIntegerField(
        _("how often"), null=True, blank=True, help_text=_("Blank: no limit.")
    )
    used_count = models.PositiveIntegerField(default=0, editable=False)
    is_once_per_client = models.BooleanField(_("once per client"), default=True)
    session_types = models.ManyToManyField(
        "bookings.SessionType",
        related_name="discount_codes",
        blank=True,
        help_text=_("None chosen: for all."),
    )
    is_active = models.BooleanField(default=True)
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                condition=Q(percent__isnull=False, amount=None) | Q(percent=None, amount__isnull=False),
                name="code_in_percent_or_money",
            ),
            models.CheckConstraint(
                condition=Q(amount=None) | Q(amount__gt=0, currency__regex=r"^[A-Z]{3}$"),
                name="code_amount_has_a_currency",
            ),
            models.CheckConstraint(condition=Q(code__regex=r"^[A-Z0-9-]{3,40}$"), name="code_can_be_typed"),
            models.CheckConstraint(
                condition=Q(max_uses=None) | Q(used_count__lte=F("max_uses")),
                name="code_used_no_more_than_it_may",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class CodeUse(models.Model):
    """One booking that a code was used on. Released when the booking ends before it took place."""

    code = models.ForeignKey(DiscountCode, models.PROTECT, related_name="uses")
    booking = models.ForeignKey("bookings.Booking", models.PROTECT, related_name="code_uses")
    once_for = models.CharField(
        max_length=254, null=True, help_text="the address of a client who may use it once"
    )
    used_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["booking"], condition=Q(released_at=None), name="one_code_a_booking"
            ),
            models.UniqueConstraint(
                fields=["code", "once_for"], condition=Q(released_at=None), name="a_code_once_per_client"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} on {self.booking_id}"


class Voucher(HasStatus):
    """A gift voucher with a balance. What was spent is Payments by voucher; what came back is their Refunds.

    `spent` repeats their sum, so that PostgreSQL itself refuses to spend more than there is.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    code = models.CharField(max_length=20, unique=True)
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    spent = models.PositiveIntegerField(default=0)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20, choices=VoucherStatus, default=VoucherStatus.WANTED)
    buyer = models.ForeignKey(
        "bookings.Client",
        models.PROTECT,
        null=True,
        related_name="vouchers_bought",
        help_text="who paid for it",
    )
    recipient = models.ForeignKey("bookings.Client", models.PROTECT, related_name="vouchers")
    greeting = models.CharField(max_length=500, blank=True)
    reason = models.CharField(max_length=200, blank=True, help_text="why the studio gave it")
    booking = models.ForeignKey(
        "bookings.Booking",
        models.PROTECT,
        null=True,
        related_name="vouchers_given",
        help_text="what it makes up for",
    )
    location = models.ForeignKey(
        "studio.Location", models.PROTECT, null=True, help_text="whose legal entity sold it"
    )
    once = models.CharField(max_length=120, unique=True, null=True, help_text="one cause, one voucher")
    created_at = models.DateTimeField()
    issued_at = models.DateTimeField(null=True)
    lapsed_at = models.DateTimeField(null=True)
    voided_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)

    moves = VOUCHER_MOVES

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(spent__lte=F("amount")), name="voucher_not_overspent"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="voucher_is_worth_something"),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def left(self) -> int:
        """What can still be spent."""
        return self.amount - self.spent


class NumberSequence(models.Model):
    """The last number of one kind of paper of one legal entity. Locked while a number is taken: no gaps."""

    entity = models.ForeignKey(LegalEntity, models.PROTECT, related_name="sequences")
    kind = models.CharField(max_length=20)
    last = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entity", "kind"], name="one_sequence_a_kind")]

    def __str__(self) -> str:
        return f"{self.entity} {self.kind} {self.last}"


class InvoiceKind(models.TextChoices):
    INVOICE = "invoice", _("Invoice")
    CREDIT_NOTE = "credit_note", _("Credit note")


class Invoice(models.Model):
    """A numbered paper of a legal entity, or the credit note that takes one back. PostgreSQL refuses any change.

    Everything on it is copied: seller, buyer, lines (in minor units; a credit note's say in `of` which invoices had
    them). What money moved stays in the ledger.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    entity = models.ForeignKey(LegalEntity, models.PROTECT, related_name="invoices")
    kind = models.CharField(max_length=20, choices=InvoiceKind, default=InvoiceKind.INVOICE)
    number = models.PositiveIntegerField()
    label = models.CharField(max_length=40, unique=True, help_text="the number as it is printed")
    booking = models.ForeignKey("bookings.Booking", models.PROTECT, related_name="invoices")
    corrects = models.ForeignKey("self", models.PROTECT, null=True, related_name="credit_notes")
    issued_at = models.DateTimeField()
    issued_on = models.DateField(help_text="the date at the location")
    currency = models.CharField(max_length=3)
    seller = models.JSONField(help_text="name, address, tax_number")
    buyer = models.JSONField(help_text="name, firm, address, tax_number, email")
    lines = models.JSONField(help_text="[{key, label, count, net, tax_name, tax_percent, tax, gross}]")
    payments = models.JSONField(default=list, help_text="[{on, how, amount}] until then; back is negative")
    was_paid = models.BooleanField(help_text="whether all that the papers say was paid then: a receipt")
    net = models.IntegerField()
    tax = models.IntegerField()
    total = models.IntegerField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["entity", "kind", "number"], name="one_invoice_a_number"),
            models.CheckConstraint(condition=Q(total=F("net") + F("tax")), name="invoice_adds_up"),
            models.CheckConstraint(
                condition=Q(kind="invoice", corrects=None) | Q(kind="credit_note", corrects__isnull=False),
                name="credit_note_corrects_something",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def takes_back(self) -> list[str]:
        """The numbers of the invoices a credit note corrects; none on an invoice."""
        named = dict.fromkeys(label for line in self.lines for label in line.get("of", []))
        return list(named) or ([self.corrects.label] if self.corrects else [])
