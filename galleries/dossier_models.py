"""Rows of a client's right to their data: copies of everything kept about somebody. Imported by `models`."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from bookings.models import Client
from galleries.statuses import COPY_MOVES, CopyStatus
from studio.models import public_id
from studio.transitions import HasStatus


class DataCopy(HasStatus):
    """A ZIP of everything kept about one person, for the owner to hand over. It is fetched for a few days only.

    No archive is built: the worker writes what is only in rows (JSON, papers as PDF), pictures stay where they are.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    client = models.ForeignKey(Client, models.PROTECT, related_name="data_copies")
    status = models.CharField(max_length=10, choices=CopyStatus, default=CopyStatus.WANTED)
    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=200)
    began_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="its own files are removed then")
    fetched_at = models.DateTimeField(null=True, help_text="the last time the owner fetched it")
    done_count = models.PositiveIntegerField(default=0)
    total_count = models.PositiveIntegerField(default=0, help_text="papers and pictures; 0: not counted yet")
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True, help_text="a sentence for the desk")

    moves = COPY_MOVES

    class Meta:
        verbose_name_plural = "data copies"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["client"], condition=Q(status__in=["wanted", "making"]), name="one_copy_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"copy {self.pk} of client {self.client_id}"


class DataCopyFile(models.Model):
    """One file of a copy: a paper of our own making, or a picture that lies in a store anyway.

    The row of our own file comes before its bytes, so that a killed worker leaves nothing nobody knows of.
    """

    class Store(models.TextChoices):
        COPY = "copy", _("made for this copy, in the derived store")
        DERIVED = "derived", _("a picture in the derived store")

    copy = models.ForeignKey(DataCopy, models.CASCADE, related_name="files")
    store = models.CharField(max_length=10, choices=Store)
    name = models.CharField(max_length=200, help_text="path inside the archive")
    key = models.CharField(max_length=200)
    size = models.BigIntegerField(default=0)
    crc32 = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name
