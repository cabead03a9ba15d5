"""Rows of frames that have to find their shoot, and of frames that reached the wrong one. Imported by `models`."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from studio.models import Location, User, public_id


class Card(models.Model):
    """A whole card or folder, dropped on the day: its Uploads have no gallery until they are sorted.

    A card is sorted when its sender said that this was all (`closed_at`) and every file of it was looked at: a slate
    that is still on its way would change where the frames after it belong. A live one (a watched folder) is sorted
    whenever nothing of it is on its way.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    location = models.ForeignKey(Location, models.PROTECT, related_name="cards")
    name = models.CharField(max_length=120, blank=True)
    source = models.CharField(max_length=20, default="desk", help_text="desk, watch, ingest")
    by = models.ForeignKey(User, models.SET_NULL, null=True)
    expected = models.PositiveIntegerField(default=0, help_text="files, as the sender counted them")
    is_live = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, help_text="the sender said that this was all")
    is_cut_short = models.BooleanField(default=False, help_text="closed by time: files may be missing")
    sorted_at = models.DateTimeField(null=True, help_text="the last time its frames were sorted")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name or f"{self.created_at:%Y-%m-%d %H:%M}"


class CameraClock(models.Model):
    """How far a camera's clock is from the studio's. Append-only: the latest row of a camera counts."""

    class How(models.TextChoices):
        PHOTOGRAPHED = "photographed", _("the clock page was photographed")
        TYPED = "typed", _("typed in")

    camera = models.CharField(max_length=160, help_text="its model, and four letters for the body")
    offset_seconds = models.IntegerField(help_text="to be added to the camera's times")
    how = models.CharField(max_length=20, choices=How)
    set_at = models.DateTimeField()
    set_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-set_at", "-id"]
        indexes = [models.Index(fields=["camera", "-set_at"], name="camera_clock_latest")]

    def __str__(self) -> str:
        return f"{self.camera}: {self.offset_seconds:+d} s"


class Leak(models.Model):
    """A picture that was shown to the wrong client: what was done, who could see it, what they were told.

    The report is written down when the picture is hidden and never changed afterwards.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    photo = models.ForeignKey(
        "galleries.Photo", models.SET_NULL, null=True, related_name="leaks", help_text="empty: erased since"
    )
    gallery = models.ForeignKey(
        "galleries.Gallery", models.CASCADE, related_name="leaks", help_text="where it was shown"
    )
    hidden_at = models.DateTimeField()
    hidden_by = models.CharField(max_length=200)
    words = models.CharField(
        max_length=300, blank=True, help_text="what happened, by the person who found it"
    )
    links_revoked = models.PositiveSmallIntegerField(default=0)
    seen = models.JSONField(
        default=list, help_text="[{who, since, opened, downloads: [{what, when, bytes}]}]"
    )
    message = models.TextField(blank=True, help_text="what the client was told, as it was sent")
    told_at = models.DateTimeField(null=True)
    told_by = models.CharField(max_length=200, blank=True)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=300, blank=True, help_text="how it ended")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["photo"], condition=Q(closed_at=None), name="one_open_leak_per_photo"
            )
        ]

    def __str__(self) -> str:
        return f"{self.photo} in {self.gallery}"
