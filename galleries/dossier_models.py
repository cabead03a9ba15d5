"""Rows of a client's rights: a copy of everything kept about them, and to be forgotten. Imported by `models`."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from bookings.models import Client
from galleries.statuses import COPY_MOVES, ERASURE_MOVES, CopyStatus, ErasureStatus
from studio.models import Message, public_id
from studio.transitions import HasStatus


class WishKind(models.TextChoices):
    COPY = "copy", _("A copy of their data")
    FORGET = "forget", _("To be forgotten")


class PersonWish(models.Model):
    """A client asked for their data, or to be forgotten. A person answers it, by the day that was said."""

    client = models.ForeignKey(Client, models.PROTECT, related_name="wishes")
    kind = models.CharField(max_length=10, choices=WishKind)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="told to the client")
    reminded_at = models.DateTimeField(null=True, help_text="when the owners were told once more")
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=200, blank=True)
    settled_words = models.CharField(max_length=300, blank=True, help_text="how it was answered")

    class Meta:
        ordering = ["due_at", "id"]
        indexes = [models.Index(fields=["due_at"], condition=Q(settled_at=None), name="wish_open")]
        constraints = [
            models.UniqueConstraint(
                fields=["client", "kind"], condition=Q(settled_at=None), name="one_open_wish_of_a_kind"
            ),
            models.CheckConstraint(condition=Q(due_at__gt=models.F("asked_at")), name="wish_has_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} wished by client {self.client_id}"


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


class Erasure(HasStatus):
    """A person is forgotten: pictures first, words last, then the letter that says so, and the address with it.

    The row is the work: a worker that is killed anywhere goes on from it, and never begins anything twice. It stays as
    the record that it was done, and says nothing of who it was.
    """

    client = models.OneToOneField(Client, models.PROTECT, related_name="erasure")
    status = models.CharField(max_length=10, choices=ErasureStatus, default=ErasureStatus.WANTED)
    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=200, help_text="the owner who did it")
    forgotten_at = models.DateTimeField(null=True, help_text="pictures and words were gone")
    done_at = models.DateTimeField(null=True)
    letter = models.ForeignKey(
        Message,
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="the last thing that holds the address",
    )
    was_told = models.BooleanField(null=True, help_text="whether the letter went out")
    not_before = models.DateTimeField(help_text="what is waited for may be over then")
    waits_for = models.CharField(max_length=300, blank=True, help_text="a sentence for the desk")
    photos_count = models.PositiveIntegerField(default=0)
    files_count = models.PositiveIntegerField(default=0, help_text="removed from the stores so far")

    moves = ERASURE_MOVES

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=Q(status__in=["wanted", "working", "telling"]),
                name="erasure_open",
            )
        ]

    def __str__(self) -> str:
        return f"erasure of client {self.client_id}"


class ErasureFile(models.Model):
    """An object that has to go: written down in the transaction that took its rows away, struck off once it is gone."""

    erasure = models.ForeignKey(Erasure, models.CASCADE, related_name="files")
    store = models.CharField(max_length=10, help_text="originals, derived or archive")
    key = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["erasure", "store", "key"], name="one_erasure_of_an_object")
        ]

    def __str__(self) -> str:
        return self.key
