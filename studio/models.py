"""The studio: its people, places, hours and closures, and the rows every app writes (messages, links, changes)."""

import secrets
from datetime import time
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from studio.actors import ActorKind
from studio.transitions import HasStatus, moves


def validate_zone(name: str) -> None:
    """An IANA time zone that the packaged rules know."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError(_("There is no time zone called %(name)s."), params={"name": name}) from error


def public_id() -> str:
    """A short, unguessable name for URLs (96 bits); never the primary key."""
    return secrets.token_urlsafe(12)


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who works at the studio. Clients have no account: they come by links."""

    email = models.EmailField(_("e-mail"), unique=True)
    name = models.CharField(_("name"), max_length=150)
    is_active = models.BooleanField(_("may sign in"), default=True)
    is_staff = models.BooleanField(_("may use the admin"), default=False)
    joined_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects = UserManager()

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name.split(" ")[0]


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    PHOTOGRAPHER = "photographer", _("Photographer")
    ARTIST = "artist", _("Make-up or hair artist")
    RETOUCHER = "retoucher", _("Retoucher")


class StaffRole(models.Model):
    """One role of one person, everywhere or at one location."""

    user = models.ForeignKey(User, models.CASCADE, related_name="staff_roles")
    role = models.CharField(max_length=20, choices=Role)
    location = models.ForeignKey("Location", models.CASCADE, null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "location"], nulls_distinct=False, name="one_role_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}"


class LateWay(models.TextChoices):
    """How the late policy's share comes back to the client."""

    BACK = "back", _("Back the way it was paid; what was paid in cash as a voucher")
    CASH_BACK = "cash_back", _("Back the way it was paid; cash is handed back at the desk")
    VOUCHER = "voucher", _("All of it as a voucher")
    NONE = "none", _("Nothing")


class MarkPlace(models.TextChoices):
    LEFT = "left", _("lower edge, left")
    CENTRE = "centre", _("lower edge, centre")
    RIGHT = "right", _("lower edge, right")


class Studio(models.Model):
    """The one studio of this installation and its manners."""

    name = models.CharField(max_length=120)
    strapline = models.CharField(max_length=200, blank=True)
    email = models.EmailField()
    phone = models.CharField(max_length=40, blank=True)
    currency = models.CharField(max_length=3, default="USD")
    policy_version = models.PositiveIntegerField(default=1)
    policy_text = models.TextField(blank=True)
    late_fee_percent = models.PositiveSmallIntegerField(default=10, validators=[MaxValueValidator(100)])
    copyright_line = models.CharField(max_length=200, blank=True)
    asks_for_tips = models.BooleanField(
        default=False, help_text=_("After delivery, to a named person, without a suggested amount.")
    )
    sells_vouchers = models.BooleanField(default=True, help_text=_("Gift vouchers on the public pages."))
    has_public_on_time_badge = models.BooleanField(default=False)
    alert_webhook_url = models.URLField(
        blank=True, help_text=_('https; gets {"text": …} for each warning, as Slack and others take it.')
    )
    review_url = models.URLField(
        blank=True, help_text=_("Where clients may write a review; asked once, of everybody, after delivery.")
    )
    late_way = models.CharField(
        _("when pictures come late"), max_length=10, choices=LateWay, default=LateWay.BACK
    )
    hides_full_slots = models.BooleanField(
        default=False,
        help_text=_(
            "Do not offer times whose pictures would come later than promised; else the later date is said."
        ),
    )
    makes_print = models.BooleanField(
        default=False, help_text=_("Deliver a size for 8 × 10 inch prints as well.")
    )
    makes_black_and_white = models.BooleanField(
        default=False, help_text=_("Deliver a black and white size as well.")
    )
    licence_text = models.TextField(
        blank=True,
        help_text=_("What clients may do with their pictures, for the PDF. Blank: the usual words."),
    )
    archives_after_days = models.PositiveSmallIntegerField(
        default=90, help_text=_("Days after delivery when originals move to the archive, where there is one.")
    )
    keeps_unpicked_days = models.PositiveSmallIntegerField(
        default=90, help_text=_("Days after delivery when pictures nobody chose are erased.")
    )
    keeps_originals_months = models.PositiveSmallIntegerField(
        default=36, help_text=_("Months after delivery when the originals of chosen pictures are erased.")
    )
    mark_text = models.CharField(
        _("text of the mark"),
        max_length=60,
        blank=True,
        help_text=_("What stands on proofs before the client's code. Empty: the studio's name."),
    )
    mark_opacity = models.PositiveSmallIntegerField(
        _("strength of the mark"),
        default=60,
        validators=[MinValueValidator(20), MaxValueValidator(100)],
        help_text=_("20 to 100 per cent."),
    )
    mark_place = models.CharField(
        _("place of the mark"), max_length=10, choices=MarkPlace, default=MarkPlace.RIGHT
    )
    cover_key = models.CharField(
        max_length=200, blank=True, help_text=_("Picture of the front page, in the store.")
    )
    cover_width = models.PositiveIntegerField(default=0)
    cover_height = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_studio")]

    def __str__(self) -> str:
        return self.name


class LegalEntity(models.Model):
    """Who sells: the firm behind one or more locations, as its receipts name it."""

    name = models.CharField(_("name"), max_length=150)
    address = models.TextField(_("address"))
    country = models.CharField(_("country"), max_length=2)
    tax_number = models.CharField(_("tax number"), max_length=40, blank=True)
    is_tax_added = models.BooleanField(
        _("tax is added"),
        default=False,
        help_text=_("Off: list prices contain the tax. On: it is added to them."),
    )
    number_prefix = models.CharField(
        _("prefix of the numbers"), max_length=12, unique=True, help_text=_("LDN- makes LDN-00001.")
    )
    small_print = models.TextField(
        _("small print"),
        blank=True,
        help_text=_("Bank details, register entry; at the foot of each receipt."),
    )

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "legal entities"

    def __str__(self) -> str:
        return self.name


class Location(models.Model):
    """A place with its own time zone, hours, closures and therefore its own promise."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    address = models.TextField(blank=True)
    directions = models.TextField(blank=True)
    country = models.CharField(max_length=2)
    subdivision = models.CharField(max_length=10, blank=True)
    zone = models.CharField(_("time zone"), max_length=64, validators=[validate_zone])
    currency = models.CharField(max_length=3, blank=True, help_text=_("Blank: the studio's."))
    entity = models.ForeignKey(
        LegalEntity,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="locations",
        help_text=_("Who sells here; without one no receipts are made."),
    )
    # The promise: which weekdays count (Monday first), and when the working day closes.
    working_week = models.CharField(max_length=7, default="1111100")
    opens_at = models.TimeField(default=time(9))
    closes_at = models.TimeField(default=time(18))
    half_day_counts = models.BooleanField(default=True)
    face_processing = models.CharField(
        max_length=20,
        choices={"notice": _("Notice"), "release": _("Signed release first")},
        default="notice",
    )
    is_active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(closes_at__gt=F("opens_at")), name="location_opens_before_closing"
            ),
            models.CheckConstraint(
                condition=Q(working_week__regex=r"^[01]{7}$") & Q(working_week__contains="1"),
                name="location_has_a_working_day",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class OpeningHours(models.Model):
    """When clients can be at a location on a weekday (0 = Monday). Several rows a day make a lunch break."""

    location = models.ForeignKey(Location, models.CASCADE, related_name="opening_hours")
    weekday = models.PositiveSmallIntegerField(validators=[MinValueValidator(0), MaxValueValidator(6)])
    opens_at = models.TimeField()
    closes_at = models.TimeField()

    class Meta:
        ordering = ["weekday", "opens_at"]
        constraints = [
            models.CheckConstraint(condition=Q(closes_at__gt=F("opens_at")), name="opens_before_closing"),
            models.UniqueConstraint(fields=["location", "weekday", "opens_at"], name="one_opening_once"),
        ]

    def __str__(self) -> str:
        return f"{self.location} {self.weekday} {self.opens_at:%H:%M}–{self.closes_at:%H:%M}"


class Closure(models.Model):
    """A day a location is closed, or closes early (`closes_at`). The studio owns these rows; no library decides."""

    location = models.ForeignKey(Location, models.CASCADE, related_name="closures")
    on = models.DateField()
    name = models.CharField(max_length=120)
    closes_at = models.TimeField(null=True, blank=True, help_text=_("Filled: a half day that closes early."))

    class Meta:
        ordering = ["on"]
        constraints = [models.UniqueConstraint(fields=["location", "on"], name="one_closure_a_day")]

    def __str__(self) -> str:
        return f"{self.on} {self.name}"


class StatusChange(models.Model):
    """Append-only: who moved which row from which status to which, when and why."""

    model = models.CharField(max_length=80)
    object_id = models.BigIntegerField()
    verb = models.CharField(max_length=40)
    before = models.CharField(max_length=20, blank=True)
    after = models.CharField(max_length=20)
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["model", "object_id", "id"], name="status_change_of")]

    def __str__(self) -> str:
        return f"{self.model} {self.object_id}: {self.before} → {self.after}"


class MessageStatus(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Not needed any more")
    BY_HAND = "by_hand", _("To be sent by hand")  # a text where no provider is set up: a person taps it


class Channel(models.TextChoices):
    EMAIL = "email", _("E-mail")
    SMS = "sms", _("Text message")
    WEBHOOK = "webhook", _("Webhook")


class Message(HasStatus):
    """One outgoing mail or text, a row with a state, visible on what it is about."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    channel = models.CharField(max_length=10, choices=Channel, default=Channel.EMAIL)
    name = models.CharField(max_length=60, help_text="the template, e.g. booking_confirmed")
    to_address = models.CharField(max_length=254)
    to_name = models.CharField(max_length=200, blank=True)
    subject = models.CharField(max_length=300, blank=True)
    body_text = models.TextField()
    body_html = models.TextField(blank=True)
    attachments = models.JSONField(
        default=list, help_text="[{name, type, text or base64}]: small files such as .ics and a call sheet"
    )
    unsubscribe_url = models.CharField(
        max_length=300, blank=True, help_text="one tap ends mails of this kind (RFC 8058)"
    )
    about_model = models.CharField(max_length=80, blank=True)
    about_id = models.BigIntegerField(null=True)
    client_id = models.BigIntegerField(null=True, db_index=True)
    once = models.CharField(
        max_length=200, unique=True, null=True, help_text="one message per reason, for ever"
    )
    status = models.CharField(max_length=20, choices=MessageStatus, default=MessageStatus.QUEUED)
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    moves = moves(
        claim=({MessageStatus.QUEUED}, MessageStatus.SENDING, "claimed_at"),
        sent=({MessageStatus.SENDING}, MessageStatus.SENT, "sent_at"),
        again=({MessageStatus.SENDING, MessageStatus.FAILED}, MessageStatus.QUEUED),
        fail=({MessageStatus.SENDING}, MessageStatus.FAILED),
        cancel=({MessageStatus.QUEUED, MessageStatus.BY_HAND}, MessageStatus.CANCELLED),
        hand_over=({MessageStatus.SENDING}, MessageStatus.BY_HAND),
        sent_by_hand=({MessageStatus.BY_HAND}, MessageStatus.SENT, "sent_at"),
    )

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="queued"), name="message_due"),
            models.Index(fields=["about_model", "about_id"], name="message_about"),
        ]

    def __str__(self) -> str:
        return f"{self.name} to {self.to_address}"


class MessageWords(models.Model):
    """The studio's own words for one message in one language; without a row the file template speaks.

    Only named placeholders are filled in (`studio.wording`): no template language reaches what staff write.
    """

    name = models.CharField(max_length=60, help_text="the template, e.g. booking_confirmed")
    language = models.CharField(max_length=10, default="en")
    subject = models.CharField(max_length=200, blank=True)
    body = models.TextField(max_length=8000)
    changed_at = models.DateTimeField()
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "language"], name="one_wording")]

    def __str__(self) -> str:
        return f"{self.name} ({self.language})"


class WebhookEvent(models.Model):
    """One event of a payment gateway, recorded once. It is only a bell: the object is fetched again."""

    gateway = models.CharField(max_length=20, default="stripe")
    event_id = models.CharField(max_length=255, unique=True)
    kind = models.CharField(max_length=100)
    object_id = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField()
    received_at = models.DateTimeField()
    handled_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(handled_at=None), name="webhook_unhandled")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"


class Credential(models.Model):
    """A guest's secret link: scoped to one thing and one person, hashed, revocable, expiring.

    `scope` says what it opens ("booking", "gallery", "proofs" …), `target` is the public_id of that thing,
    `holder` the client who was given it. The token itself is never stored: SHA-256 of 256 random bits is.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    token_hash = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=20)
    target = models.CharField(max_length=24)
    holder_id = models.BigIntegerField(null=True, db_index=True)
    holder_label = models.CharField(max_length=200, blank=True)
    holder_email = models.CharField(max_length=254, blank=True, help_text="of somebody who is no client")
    pin_hash = models.CharField(max_length=200, blank=True, help_text="blank: no PIN of its own")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    erased_at = models.DateTimeField(null=True, help_text="what it opened was erased: then it says so")
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["scope", "target"], name="credential_opens")]

    def __str__(self) -> str:
        return f"{self.scope} {self.target}"


class LinkRequest(models.Model):
    """Somebody asked for fresh links to what is theirs. Answered by a worker, by mail, for known addresses only."""

    email = models.EmailField()
    asked_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    answered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["asked_at"], condition=Q(answered_at=None), name="link_request_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.email} {self.asked_at}"


class Heartbeat(models.Model):
    """The last time a periodic piece of work ran to its end, so that a silent beat is noticed."""

    name = models.CharField(max_length=60, primary_key=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Throttle(models.Model):
    """How often something was tried in one window of time. In PostgreSQL, so a flushed cache unlocks nobody."""

    key = models.CharField(max_length=120)
    window_starts_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "window_starts_at"], name="one_throttle_window")
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"
