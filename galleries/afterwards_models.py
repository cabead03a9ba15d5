"""Rows of the time after the delivery: what goes, and who wants to hear again. Imported by `models`."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from bookings.models import Client


class FarewellKind(models.TextChoices):
    UNPICKED = "unpicked", _("Pictures nobody chose")
    REPLACED = "replaced", _("Files that a change replaced")
    FINALS = "finals", _("Finished files")
    ORIGINALS = "originals", _("Originals of the chosen pictures")


class Farewell(models.Model):
    """Files of a gallery that go on a day that was told: told first, erased then, and counted. Never deleted itself.

    `called_off_at`: the client kept them after all, or something changed; a later row may follow.
    """

    gallery = models.ForeignKey("galleries.Gallery", models.CASCADE, related_name="farewells")
    kind = models.CharField(max_length=10, choices=FarewellKind)
    told_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="not erased before")
    called_off_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    files_count = models.PositiveIntegerField(default=0)
    bytes_count = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["told_at", "id"]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(done_at=None, called_off_at=None), name="farewell_due"
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["gallery", "kind"],
                condition=Q(done_at=None, called_off_at=None),
                name="one_open_farewell",
            ),
            models.CheckConstraint(condition=Q(due_at__gt=F("told_at")), name="told_before_erased"),
            models.CheckConstraint(
                condition=Q(done_at=None) | Q(done_at__gte=F("due_at"), called_off_at=None),
                name="erased_when_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gallery} {self.kind}"


class YearLater(models.Model):
    """Somebody's own wish to be asked again in a year. Marketing: off unless they said so, ended by one tap."""

    client = models.OneToOneField(Client, models.CASCADE, related_name="year_later")
    wished_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, help_text="unsubscribed; nothing is sent from then on")
    due_at = models.DateTimeField(null=True, help_text="when the next mail goes; empty once sent")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="year_later_due")]

    def __str__(self) -> str:
        return str(self.client)
