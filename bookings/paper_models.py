"""What a client is asked, signs and writes: questionnaires, agreements, and the thread of a booking."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from studio.actors import ActorKind
from studio.models import public_id


class QuestionKind(models.TextChoices):
    TEXT = "text", _("Text")
    CHOICE = "choice", _("One of these")
    MULTI = "multi", _("Any of these")
    YES_NO = "yes_no", _("Yes or no")


class Questionnaire(models.Model):
    """The questions of a session type or an add-on. A version is never edited: changing it makes the next one."""

    session_type = models.ForeignKey(
        "bookings.SessionType", models.CASCADE, null=True, blank=True, related_name="questionnaires"
    )
    add_on = models.ForeignKey(
        "bookings.AddOn", models.CASCADE, null=True, blank=True, related_name="questionnaires"
    )
    version = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.CheckConstraint(
                condition=Q(session_type=None, add_on__isnull=False)
                | Q(session_type__isnull=False, add_on=None),
                name="questionnaire_of_one_thing",
            ),
            models.UniqueConstraint(fields=["session_type", "version"], name="one_version_per_session_type"),
            models.UniqueConstraint(fields=["add_on", "version"], name="one_version_per_add_on"),
        ]

    def __str__(self) -> str:
        return f"{self.session_type or self.add_on}, version {self.version}"


class Question(models.Model):
    """One question. Nothing has to be answered; a private one is for the photographer alone and is erased."""

    questionnaire = models.ForeignKey(Questionnaire, models.CASCADE, related_name="questions")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=QuestionKind)
    words = models.CharField(max_length=200)
    why = models.CharField(
        max_length=300, blank=True, help_text=_("Why it is asked, as the client reads it.")
    )
    choices = models.JSONField(default=list, blank=True)
    is_private = models.BooleanField(
        default=False,
        help_text=_("Health and nerves: one role, behind a tap, erased 30 days after delivery."),
    )

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.words


class AnswerSheet(models.Model):
    """One submitted questionnaire. Append-only: the newest of a shoot and a questionnaire's owner counts.

    Answers are kept beside the words of their question, so that a sheet reads the same after the next version.
    """

    shoot = models.ForeignKey("bookings.Shoot", models.CASCADE, related_name="answer_sheets")
    questionnaire = models.ForeignKey(Questionnaire, models.PROTECT, related_name="sheets")
    form_token = models.UUIDField(unique=True, default=uuid.uuid4)
    answers = models.JSONField(default=list, help_text="[[question pk, words, answer]]")
    private_answers = models.JSONField(default=list, help_text="the same; emptied 30 days after delivery")
    answered_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)
    erased_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["shoot", "-id"], name="answers_latest")]

    def __str__(self) -> str:
        return f"{self.questionnaire} {self.answered_at:%Y-%m-%d %H:%M}"


class AgreementKind(models.TextChoices):
    AGREEMENT = "agreement", _("Agreement")
    RELEASE = "release", _("Model release")


class AgreementText(models.Model):
    """The words that are signed. A version is never edited once published; the newest of a kind is offered."""

    kind = models.CharField(max_length=10, choices=AgreementKind)
    version = models.PositiveIntegerField()
    title = models.CharField(max_length=120)
    body = models.TextField()
    created_at = models.DateTimeField()
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["kind", "-version"]
        constraints = [models.UniqueConstraint(fields=["kind", "version"], name="one_version_per_agreement")]

    def __str__(self) -> str:
        return f"{self.title}, version {self.version}"


class Signature(models.Model):
    """A typed name under one version of one text, for one sitter. Never changed and never taken away.

    Only the names go when the person is erased; version, digest and time stay.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    shoot = models.ForeignKey("bookings.Shoot", models.CASCADE, related_name="signatures")
    text = models.ForeignKey(AgreementText, models.PROTECT, related_name="signatures")
    signer = models.ForeignKey("bookings.Client", models.PROTECT, related_name="signatures")
    sitter_name = models.CharField(max_length=150, help_text="as it was when it was signed")
    typed_name = models.CharField(max_length=150)
    is_guardian = models.BooleanField(default=False)
    body_sha256 = models.CharField(max_length=64)
    signed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["shoot", "text", "signer"], name="signed_once")]

    def __str__(self) -> str:
        return f"{self.typed_name}: {self.text}"


class ThreadEntry(models.Model):
    """One message of the thread between a client and the studio about a booking. Append-only."""

    booking = models.ForeignKey("bookings.Booking", models.CASCADE, related_name="thread")
    form_token = models.UUIDField(unique=True, default=uuid.uuid4)
    text = models.TextField(max_length=4000)
    is_from_client = models.BooleanField()
    client = models.ForeignKey("bookings.Client", models.PROTECT, null=True, related_name="+")
    actor_label = models.CharField(max_length=200, blank=True)
    written_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, help_text="a client's entry: when the studio dealt with it")

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(
                fields=["written_at"], condition=Q(is_from_client=True, answered_at=None), name="thread_open"
            )
        ]

    def __str__(self) -> str:
        return self.text[:60]
