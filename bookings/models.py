"""From "I need a headshot" to "the shoot happened"."""

import uuid

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from bookings.calendar_models import ArtistAsk as ArtistAsk
from bookings.calendar_models import BusyFeed as BusyFeed
from bookings.money_models import BookingExtra as BookingExtra
from bookings.money_models import CodeUse as CodeUse
from bookings.money_models import DiscountCode as DiscountCode
from bookings.money_models import ExtraKind as ExtraKind
from bookings.money_models import Invoice as Invoice
from bookings.money_models import InvoiceKind as InvoiceKind
from bookings.money_models import NumberSequence as NumberSequence
from bookings.money_models import TaxRate as TaxRate
from bookings.money_models import Voucher as Voucher
from bookings.paper_models import AgreementKind as AgreementKind
from bookings.paper_models import AgreementText as AgreementText
from bookings.paper_models import AnswerSheet as AnswerSheet
from bookings.paper_models import Question as Question
from bookings.paper_models import QuestionKind as QuestionKind
from bookings.paper_models import Questionnaire as Questionnaire
from bookings.paper_models import Signature as Signature
from bookings.paper_models import ThreadEntry as ThreadEntry
from bookings.statuses import (
    BOOKING_MOVES,
    CHECKOUT_MOVES,
    DISPUTE_MOVES,
    DISPUTE_REASONS,
    REFUND_MOVES,
    SHOOT_MOVES,
    BookingStatus,
    CheckoutStatus,
    DisputeStatus,
    RefundStatus,
    ShootStatus,
)
from bookings.waiting_models import WaitingOffer as WaitingOffer
from bookings.waiting_models import WaitingPlace as WaitingPlace
from studio.actors import ActorKind
from studio.models import Location, User, public_id
from studio.transitions import HasStatus

WEEKDAYS = [MinValueValidator(0), MaxValueValidator(6)]


class Period(Func):
    """`[starts_at, ends_at)` of a row, as PostgreSQL sees it."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()

    def __init__(self) -> None:
        super().__init__("starts_at", "ends_at", RangeBoundary())


class Client(models.Model):
    """A person or firm known to the studio."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    name = models.CharField(_("name"), max_length=150)
    called = models.CharField(_("what shall we call you"), max_length=80, blank=True)
    pronounced = models.CharField(max_length=120, blank=True)
    pronoun = models.CharField(max_length=40, blank=True)
    email = models.EmailField(_("e-mail"))
    mobile = models.CharField(max_length=20, blank=True, help_text="E.164")
    firm = models.CharField(max_length=150, blank=True)
    firm_address = models.CharField(max_length=300, blank=True)
    tax_number = models.CharField(max_length=40, blank=True, help_text="of the firm, as on its invoices")
    zone = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=10, default="en")
    created_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(Lower("email"), name="client_email_lower")]

    def __str__(self) -> str:
        return self.name

    @property
    def greeting_name(self) -> str:
        return self.called or self.name.split(" ")[0]


class Skill(models.Model):
    """What a Resource can be asked for: "photographer", "camera room", "make-up artist", "make-up chair"."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class ResourceKind(models.TextChoices):
    PERSON = "person", _("Person")
    ROOM = "room", _("Room")
    CHAIR = "chair", _("Chair")


class Resource(models.Model):
    """A person, room or chair that cannot be in two places."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    kind = models.CharField(max_length=10, choices=ResourceKind)
    name = models.CharField(max_length=80)
    location = models.ForeignKey(
        Location,
        models.PROTECT,
        related_name="resources",
        null=True,
        blank=True,
        help_text=_("Rooms and chairs."),
    )
    user = models.OneToOneField(User, models.SET_NULL, null=True, blank=True, related_name="resource")
    skills = models.ManyToManyField(Skill, related_name="resources")
    is_on_request = models.BooleanField(default=False)
    travel_gap_minutes = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="person") | Q(location__isnull=False), name="rooms_stand_somewhere"
            )
        ]

    def __str__(self) -> str:
        return self.name


class ResourceHours(models.Model):
    """When a Resource works on a weekday (0 = Monday) and where. A room without rows follows its location."""

    resource = models.ForeignKey(Resource, models.CASCADE, related_name="hours")
    location = models.ForeignKey(Location, models.CASCADE)
    weekday = models.PositiveSmallIntegerField(validators=WEEKDAYS)
    starts_at = models.TimeField()
    ends_at = models.TimeField()

    class Meta:
        ordering = ["weekday", "starts_at"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="resource_starts_before_end")
        ]

    def __str__(self) -> str:
        return f"{self.resource} {self.weekday} {self.starts_at:%H:%M}–{self.ends_at:%H:%M}"


class ResourceDay(models.Model):
    """An exception to the weekly hours on one date: other hours, or none at all (leave, away)."""

    resource = models.ForeignKey(Resource, models.CASCADE, related_name="days")
    location = models.ForeignKey(Location, models.CASCADE, null=True, blank=True)
    on = models.DateField()
    starts_at = models.TimeField(null=True, blank=True)
    ends_at = models.TimeField(null=True, blank=True)
    reason = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(starts_at=None, ends_at=None)
                | Q(ends_at__gt=F("starts_at"), location__isnull=False),
                name="resource_day_hours",
            )
        ]

    def __str__(self) -> str:
        return f"{self.resource} {self.on}"


class Busy(models.Model):
    """A time a Resource is taken by something other than a booking: blocked by staff, or imported."""

    resource = models.ForeignKey(Resource, models.CASCADE, related_name="busy")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=20, default="staff")
    source_uid = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["resource", "ends_at", "starts_at"], name="busy_window")]
        constraints = [models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="busy_lasts")]

    def __str__(self) -> str:
        return f"{self.resource} {self.starts_at}"


class PaymentPlan(models.TextChoices):
    FULL = "full", _("Full price when booking")
    DEPOSIT_PERCENT = "deposit_percent", _("Deposit in percent")
    DEPOSIT_FIXED = "deposit_fixed", _("Fixed deposit")
    AT_STUDIO = "at_studio", _("At the studio")


class SessionType(models.Model):
    """A sellable product: length, price, finals included, allowed add-ons."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    summary = models.CharField(max_length=300, blank=True)
    description = models.TextField(blank=True)
    minutes = models.PositiveSmallIntegerField(validators=[MinValueValidator(5)])
    price = models.PositiveIntegerField(help_text=_("In minor units (cents)."))
    finals_included = models.PositiveSmallIntegerField(default=1)
    extra_final_price = models.PositiveIntegerField(
        default=0, help_text=_("Of one more finished picture, in minor units; 0: none is sold.")
    )
    extras_paid_first = models.BooleanField(
        default=True, help_text=_("Extra finals are paid before the retouching starts, not on the bill.")
    )
    change_price = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text=_("Of a round of changes beyond the free one, in minor units; blank: none is sold."),
    )
    payment_plan = models.CharField(max_length=20, choices=PaymentPlan, default=PaymentPlan.FULL)
    deposit = models.PositiveIntegerField(
        default=50, help_text=_("Percent, or minor units, as the plan says.")
    )
    may_pay_at_studio = models.BooleanField(default=False)
    is_confirmed_by_staff = models.BooleanField(default=False)
    answer_days = models.PositiveSmallIntegerField(
        default=2,
        validators=[MinValueValidator(1), MaxValueValidator(30)],
        help_text=_("Working days you take to confirm a request; one that is not answered then lapses."),
    )
    promise_days = models.PositiveSmallIntegerField(default=2, validators=[MinValueValidator(1)])
    client_looks_first = models.BooleanField(default=False)
    delivers_by_itself = models.BooleanField(default=True)
    makes_print = models.BooleanField(
        _("8 × 10 print size"), null=True, blank=True, help_text=_("Blank: as the studio says.")
    )
    makes_black_and_white = models.BooleanField(
        _("black and white size"), null=True, blank=True, help_text=_("Blank: as the studio says.")
    )
    allows_minors = models.BooleanField(default=False)
    increment_minutes = models.PositiveSmallIntegerField(default=15, validators=[MinValueValidator(5)])
    min_notice_hours = models.PositiveSmallIntegerField(default=12)
    horizon_days = models.PositiveSmallIntegerField(default=60)
    daily_cap = models.PositiveSmallIntegerField(null=True, blank=True)
    locations = models.ManyToManyField(Location, related_name="session_types")
    add_ons: "models.ManyToManyField[AddOn, models.Model]" = models.ManyToManyField(
        "AddOn", related_name="session_types", blank=True
    )
    is_active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name


class AddOnKind(models.TextChoices):
    HAIR = "hair", _("Hair")
    MAKE_UP = "make_up", _("Make-up")
    EXTRA_LOOK = "extra_look", _("Extra look")
    EXTRA_FINALS = "extra_finals", _("Extra finals")


class Placement(models.TextChoices):
    BEFORE = "before", _("In its own time before the shoot, one after the other")
    BEFORE_PARALLEL = "before_parallel", _("Before the shoot, beside the other preparations")
    LENGTHENS = "lengthens", _("Makes the shoot longer")
    NO_TIME = "no_time", _("Takes no time")


class AddOn(models.Model):
    """Hair, make-up, an extra look, extra finals; may need a Resource and time before the shoot."""

    slug = models.SlugField(unique=True)
    kind = models.CharField(max_length=20, choices=AddOnKind)
    name = models.CharField(max_length=120)
    summary = models.CharField(max_length=300, blank=True)
    price = models.PositiveIntegerField()
    minutes = models.PositiveSmallIntegerField(default=0)
    placement = models.CharField(max_length=20, choices=Placement, default=Placement.BEFORE)
    finals = models.PositiveSmallIntegerField(default=0, help_text=_("Finals it adds."))
    max_count = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    payee_percent = models.PositiveSmallIntegerField(
        _("share of the artist"),
        default=0,
        validators=[MaxValueValidator(100)],
        help_text=_("Percent of the price, before tax, that the person who does it is owed."),
    )
    is_active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(placement="no_time", minutes=0) | (~Q(placement="no_time") & Q(minutes__gt=0)),
                name="add_on_takes_the_time_it_says",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def counts(self) -> range:
        """How often it can be taken, from not at all."""
        return range(self.max_count + 1)


class Requirement(models.Model):
    """A session type or add-on needs `count` Resources with a skill, with buffers before and after."""

    session_type = models.ForeignKey(
        SessionType, models.CASCADE, null=True, blank=True, related_name="requirements"
    )
    add_on = models.ForeignKey(AddOn, models.CASCADE, null=True, blank=True, related_name="requirements")
    skill = models.ForeignKey(Skill, models.PROTECT)
    count = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    before_minutes = models.PositiveSmallIntegerField(default=0)
    after_minutes = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(session_type=None, add_on__isnull=False)
                | Q(session_type__isnull=False, add_on=None),
                name="requirement_of_one_thing",
            )
        ]

    def __str__(self) -> str:
        return f"{self.session_type or self.add_on} needs {self.skill}"


class Booking(HasStatus):
    """A client's reservation of one slot. The Payer is here; who is in the picture is on the Shoot."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    form_token = models.UUIDField(
        unique=True, default=uuid.uuid4, help_text="one submitted form, one booking"
    )
    payer = models.ForeignKey(
        Client, models.PROTECT, related_name="bookings", null=True, help_text="unknown while the form is open"
    )
    session_type = models.ForeignKey(SessionType, models.PROTECT, related_name="bookings")
    location = models.ForeignKey(Location, models.PROTECT, related_name="bookings")
    status = models.CharField(max_length=20, choices=BookingStatus, default=BookingStatus.HELD)
    starts_at = models.DateTimeField(help_text="when the client arrives: the first preparation or the shoot")
    ends_at = models.DateTimeField(help_text="when the shoot ends")
    hold_expires_at = models.DateTimeField(null=True)
    hold_extended_at = models.DateTimeField(null=True)
    requested_at = models.DateTimeField(null=True)
    answer_by = models.DateTimeField(null=True, help_text="until when the studio answers a request")
    confirmed_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    # What was agreed, in minor units; later changes of the price list do not reach it.
    currency = models.CharField(max_length=3)
    session_fee = models.PositiveIntegerField(help_text="the session type alone")
    price = models.PositiveIntegerField(help_text="everything")
    due_now = models.PositiveIntegerField(help_text="what must be paid for the booking to be confirmed")
    allowance = models.PositiveIntegerField(
        default=0, help_text="taken off the price since, because the studio was late"
    )
    discount = models.PositiveIntegerField(default=0, help_text="taken off the list price by a code")
    tax = models.PositiveIntegerField(default=0, help_text="contained in the price")
    tax_percent = models.DecimalField(
        max_digits=6, decimal_places=3, default=0, help_text="of the session type, as agreed"
    )
    is_tax_added = models.BooleanField(default=False, help_text="list prices are without tax")
    finals_included = models.PositiveSmallIntegerField()
    promise_days = models.PositiveSmallIntegerField(
        null=True, help_text="working days agreed when the studio was full; empty: as the session type says"
    )
    pays_at_studio = models.BooleanField(default=False)
    policy_version = models.PositiveIntegerField(default=1)
    policy_accepted_at = models.DateTimeField(null=True)
    express_requested_at = models.DateTimeField(
        null=True, help_text="asked to begin within the days in which the law lets a consumer withdraw"
    )
    invoice_due_at = models.DateTimeField(
        null=True, help_text="something moved that a numbered paper may have to say"
    )
    moved_count = models.PositiveSmallIntegerField(default=0)
    ics_sequence = models.PositiveSmallIntegerField(default=0)
    override_reason = models.CharField(max_length=300, blank=True)
    staff_note = models.TextField(blank=True)
    free_change_since = models.DateTimeField(
        null=True, help_text="the studio asked for another time: until then moving is free, cancelling too"
    )
    reshoot_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="reshoots")

    moves = BOOKING_MOVES

    class Meta:
        indexes = [
            models.Index(fields=["hold_expires_at"], condition=Q(status="held"), name="booking_held_until"),
            models.Index(
                fields=["answer_by"],
                condition=Q(answer_by__isnull=False),
                name="booking_to_be_answered",
            ),
            models.Index(fields=["location", "starts_at"], name="booking_day"),
            models.Index(
                fields=["invoice_due_at"],
                condition=Q(invoice_due_at__isnull=False),
                name="booking_to_be_invoiced",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="booking_lasts"),
            models.CheckConstraint(condition=Q(due_now__lte=F("price")), name="due_now_within_price"),
            models.CheckConstraint(
                condition=~Q(status="held") | Q(hold_expires_at__isnull=False), name="a_hold_expires"
            ),
            models.CheckConstraint(
                condition=~Q(status="requested") | Q(answer_by__isnull=False), name="a_request_lapses"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["confirmed", "requested"]) | Q(payer__isnull=False),
                name="a_confirmed_booking_has_a_payer",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.session_type} {self.starts_at:%Y-%m-%d %H:%M}"


class BookingAddOn(models.Model):
    """An add-on as it was booked, with the price of that day."""

    booking = models.ForeignKey(Booking, models.CASCADE, related_name="add_ons")
    add_on = models.ForeignKey(AddOn, models.PROTECT)
    count = models.PositiveSmallIntegerField(default=1)
    price = models.PositiveIntegerField(help_text="for all of the count")
    tax_percent = models.DecimalField(max_digits=6, decimal_places=3, default=0)
    payee_percent = models.PositiveSmallIntegerField(default=0)
    starts_at = models.DateTimeField(null=True, help_text="its own time before the shoot")
    ends_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["booking", "add_on"], name="one_row_per_add_on")]

    def __str__(self) -> str:
        return str(self.add_on)


class Claim(models.Model):
    """One Resource's busy interval `[starts_at, ends_at)`, buffers included. PostgreSQL refuses an overlap.

    A released claim stays as a row with `is_active` false: the record of who was booked, holding nothing.
    """

    booking = models.ForeignKey(Booking, models.CASCADE, related_name="claims")
    resource = models.ForeignKey(Resource, models.PROTECT, related_name="claims")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    works_from = models.DateTimeField(help_text="without buffers")
    works_until = models.DateTimeField()
    purpose = models.CharField(max_length=120, help_text="what for, as the call sheet says")
    is_shoot = models.BooleanField(default=True, help_text="false: a preparation before the shoot")
    is_active = models.BooleanField(default=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["resource", "ends_at", "starts_at"], condition=Q(is_active=True), name="claim_window"
            )
        ]
        constraints = [
            ExclusionConstraint(
                name="nobody_in_two_places",
                expressions=[("resource", RangeOperators.EQUAL), (Period(), RangeOperators.OVERLAPS)],
                condition=Q(is_active=True),
            ),
            models.CheckConstraint(
                condition=Q(
                    starts_at__lte=F("works_from"),
                    works_from__lt=F("works_until"),
                    works_until__lte=F("ends_at"),
                ),
                name="claim_lasts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.resource} {self.starts_at} {self.purpose}"


class Shoot(HasStatus):
    """The appointment itself, and the Sitter in the picture. (Pages say "session".)"""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    booking = models.ForeignKey(Booking, models.CASCADE, related_name="shoots")
    sitter = models.ForeignKey(Client, models.PROTECT, related_name="shoots", null=True)
    status = models.CharField(max_length=20, choices=ShootStatus, default=ShootStatus.PLANNED)
    code = models.CharField(
        max_length=12, unique=True, help_text="short: on the watermark, the slate, the phone"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    expected_at = models.DateTimeField(null=True, help_text="when somebody who is late said they would come")
    checked_in_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    no_show_at = models.DateTimeField(null=True)
    was_completed_by_sweep = models.BooleanField(default=False)
    sitter_is_minor = models.BooleanField(default=False)
    guardian_name = models.CharField(max_length=150, blank=True)
    access_needs = models.CharField(max_length=300, blank=True)
    # Optional and private: seen by the photographer behind a tap, erased 30 days after delivery.
    nerves = models.JSONField(default=list, help_text="chips: blink, smile, last_time, camera, time")
    nerves_text = models.TextField(blank=True)
    private_erased_at = models.DateTimeField(
        null=True, help_text="when nerves and private answers were erased"
    )

    moves = SHOOT_MOVES

    class Meta:
        indexes = [
            models.Index(
                fields=["ends_at"], condition=Q(status__in=["planned", "checked_in"]), name="shoot_open"
            )
        ]
        constraints = [models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="shoot_lasts")]

    def __str__(self) -> str:
        return f"{self.code} {self.starts_at:%Y-%m-%d %H:%M}"


class ConsentPurpose(models.TextChoices):
    PORTFOLIO = "portfolio", _("Show my pictures in the studio's portfolio")
    SOCIAL = "social", _("Show my pictures on the studio's social media")
    BEFORE_AFTER = "before_after", _("Show a before-and-after of my picture")
    FACE_PROCESSING = "face_processing", _("Find my face's outline to retouch and to check the retouch")


class Consent(models.Model):
    """One dated answer of a sitter about one use of the images. Append-only: the latest row of a purpose counts."""

    shoot = models.ForeignKey(Shoot, models.CASCADE, related_name="consents")
    sitter = models.ForeignKey(Client, models.PROTECT, related_name="consents")
    purpose = models.CharField(max_length=20, choices=ConsentPurpose)
    wording_version = models.PositiveSmallIntegerField(default=1)
    is_given = models.BooleanField()
    answered_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["shoot", "purpose", "-id"], name="consent_latest")]

    def __str__(self) -> str:
        return f"{self.purpose}: {self.is_given}"


class PaymentMethod(models.TextChoices):
    STRIPE = "stripe", _("Card online")
    CASH = "cash", _("Cash")
    TERMINAL = "terminal", _("Card terminal")
    TRANSFER = "transfer", _("Bank transfer")
    VOUCHER = "voucher", _("Gift voucher")


class Checkout(HasStatus):
    """One request to pay through Stripe Checkout. The row and its idempotency key exist before Stripe is called."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    booking = models.ForeignKey(Booking, models.PROTECT, related_name="checkouts", null=True)
    voucher = models.ForeignKey(Voucher, models.PROTECT, related_name="checkouts", null=True)
    extra = models.ForeignKey(BookingExtra, models.PROTECT, related_name="checkouts", null=True)
    purpose = models.CharField(max_length=20, default="booking", help_text="booking, balance, extra, voucher")
    return_path = models.CharField(max_length=300, blank=True, help_text="where the client goes afterwards")
    description = models.CharField(
        max_length=250, blank=True, help_text="what the page says is paid; a repeated call must say the same"
    )
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20, choices=CheckoutStatus, default=CheckoutStatus.WANTED)
    idempotency_key = models.CharField(max_length=80, unique=True)
    session_id = models.CharField(max_length=255, unique=True, null=True)
    url = models.TextField(blank=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    paid_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True)

    moves = CHECKOUT_MOVES

    class Meta:
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(status__in=["wanted", "open"]), name="checkout_open"
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(booking__isnull=False, voucher=None)
                | Q(booking=None, voucher__isnull=False, extra=None),
                name="checkout_for_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {self.status}"


class Payment(models.Model):
    """Money that came in. Append-only; allocated in full."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    payer = models.ForeignKey(Client, models.PROTECT, related_name="payments")
    method = models.CharField(max_length=20, choices=PaymentMethod)
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    currency = models.CharField(max_length=3)
    checkout = models.OneToOneField(Checkout, models.PROTECT, null=True, related_name="payment")
    gateway_id = models.CharField(max_length=255, unique=True, null=True, help_text="Stripe's payment intent")
    voucher = models.ForeignKey(
        Voucher, models.PROTECT, null=True, related_name="spendings", help_text="what it was paid with"
    )
    once = models.CharField(
        max_length=80, unique=True, null=True, help_text="one form of the desk, one payment"
    )
    received_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(method="voucher", voucher__isnull=False)
                | (~Q(method="voucher") & Q(voucher=None)),
                name="a_voucher_pays_as_a_voucher",
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {self.method}"


class Dispute(HasStatus):
    """A payment the client asked their bank to take back, as Stripe has it. The studio answers at Stripe."""

    gateway_id = models.CharField(max_length=255, unique=True)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="disputes")
    amount = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=40, help_text="Stripe's word for it")
    status = models.CharField(max_length=20, choices=DisputeStatus, default=DisputeStatus.OPEN)
    is_inquiry = models.BooleanField(help_text="the bank only asks; the money is still here")
    is_answered = models.BooleanField(help_text="nothing is to be done by the studio just now")
    answer_by = models.DateTimeField(null=True, help_text="Stripe's deadline")
    opened_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    moves = DISPUTE_MOVES

    def __str__(self) -> str:
        return f"{self.gateway_id} of {self.payment}"

    @property
    def reason_in_words(self) -> str:
        """Why, as the client's bank passed it on."""
        return str(DISPUTE_REASONS.get(self.reason) or _("the bank gave no reason"))

    @property
    def booking(self) -> Booking | None:
        """What was paid for; None where it was a voucher."""
        return Booking.objects.filter(allocations__payment=self.payment_id).select_related("location").first()


class Refund(HasStatus):
    """Money that goes back, to the payment it came from. The row and its key exist before Stripe is called."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds")
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    status = models.CharField(max_length=20, choices=RefundStatus, default=RefundStatus.DUE)
    reason = models.CharField(max_length=200)
    once = models.CharField(
        max_length=120, unique=True, help_text="one refund per reason; also the idempotency key"
    )
    gateway_id = models.CharField(max_length=255, unique=True, null=True)
    dispute = models.ForeignKey(
        Dispute,
        models.PROTECT,
        null=True,
        related_name="refunds",
        help_text="the bank took it, nobody sent it",
    )
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    returned_at = models.DateTimeField(null=True, help_text="when a bank gave back what it had taken")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)

    moves = REFUND_MOVES

    class Meta:
        indexes = [models.Index(fields=["next_try_at"], condition=Q(status="due"), name="refund_due")]

    def __str__(self) -> str:
        return f"{self.amount} of {self.payment}"


class Allocation(models.Model):
    """Which booking, or bought voucher, a payment (positive) or a refund (negative) belongs to.

    Append-only, sums to its source. A refund that came back has a second one, positive: together nothing.
    """

    booking = models.ForeignKey(Booking, models.PROTECT, null=True, related_name="allocations")
    voucher = models.ForeignKey(Voucher, models.PROTECT, null=True, related_name="allocations")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="allocations")
    refund = models.ForeignKey(Refund, models.PROTECT, null=True, related_name="allocations")
    amount = models.IntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(payment__isnull=False, refund=None, amount__gt=0)
                | (Q(payment=None, refund__isnull=False) & ~Q(amount=0)),
                name="allocation_of_one_source",
            ),
            models.CheckConstraint(
                condition=Q(booking__isnull=False, voucher=None) | Q(booking=None, voucher__isnull=False),
                name="allocation_to_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return str(self.amount)
