"""Rows of the retouch desk beside the Version: finished files that came back, and crops. Imported by `models`."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from galleries.statuses import FINISHED_MOVES, FinishedStatus
from studio.actors import ActorKind
from studio.models import public_id
from studio.transitions import HasStatus

SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class FinishedFile(HasStatus):
    """A file made outside that came back, and the pick it belongs to: by its name, by what it shows, or said by a
    person. Never by its place in a list. While it is in doubt it lies in the tray with its candidates.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    gallery = models.ForeignKey("galleries.Gallery", models.CASCADE, related_name="finished_files")
    upload = models.OneToOneField("galleries.Upload", models.CASCADE, related_name="finished_file")
    status = models.CharField(max_length=20, choices=FinishedStatus, default=FinishedStatus.MATCHING)
    format = models.CharField(max_length=10)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    retouch = models.ForeignKey(
        "galleries.Retouch", models.SET_NULL, null=True, related_name="finished_files"
    )
    matched_by = models.CharField(
        max_length=40, blank=True, help_text="name, content, name and content, person"
    )
    doubt = models.CharField(max_length=40, blank=True, help_text="why a person has to say: a code")
    candidates = models.JSONField(default=list, help_text="[{retouch, is_named, alike}], the likeliest first")
    thumb_key = models.CharField(max_length=200, blank=True, help_text="a small view, in the derived store")
    came_at = models.DateTimeField()
    doubted_at = models.DateTimeField(null=True)
    assigned_at = models.DateTimeField(null=True)
    put_aside_at = models.DateTimeField(null=True)

    moves = FINISHED_MOVES

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="assigned") | ~Q(matched_by=""), name="assigned_says_by_what"
            )
        ]

    def __str__(self) -> str:
        return str(self.upload)


class CropSpec(models.Model):
    """How a firm wants its people cropped: the head's share of the height, and where the eyes go."""

    name = models.CharField(
        _("name"), max_length=80, unique=True, help_text=_("The firm, as the desk knows it.")
    )
    head_share = models.FloatField(
        _("head height"),
        default=0.54,
        validators=[MinValueValidator(0.2), MaxValueValidator(0.85)],
        help_text=_("Crown to chin, as a share of the picture's height: 0.54."),
    )
    eye_line = models.FloatField(
        _("eye line"),
        default=0.42,
        validators=[MinValueValidator(0.36), MaxValueValidator(0.46)],
        help_text=_("From the top, as a share of the picture's height: 0.36 to 0.46."),
    )
    is_active = models.BooleanField(_("in use"), default=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(head_share__range=(0.2, 0.85), eye_line__range=(0.36, 0.46)),
                name="crop_spec_is_possible",
            )
        ]

    def __str__(self) -> str:
        return self.name


class PickCrop(models.Model):
    """Where a person wants one cropped final cut, in shares of the upright picture it was set on.

    It holds for every Version of the same proportions; one that was cropped outside is placed by itself again.
    """

    retouch = models.ForeignKey("galleries.Retouch", models.CASCADE, related_name="crops")
    recipe = models.CharField(max_length=40, help_text="square or portrait")
    preset = models.CharField(max_length=80, blank=True, help_text="what it was placed by; blank: by hand")
    left = models.FloatField(validators=SHARE)
    top = models.FloatField(validators=SHARE)
    width = models.FloatField(validators=SHARE)
    height = models.FloatField(validators=SHARE)
    rotation = models.FloatField(default=0.0, validators=[MinValueValidator(-3.0), MaxValueValidator(3.0)])
    picture_width = models.PositiveIntegerField()
    picture_height = models.PositiveIntegerField()
    set_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["retouch", "recipe"], name="one_crop_per_recipe"),
            models.CheckConstraint(
                condition=Q(
                    left__gte=0,
                    top__gte=0,
                    width__gt=0,
                    height__gt=0,
                    left__lte=1.0001 - F("width"),
                    top__lte=1.0001 - F("height"),
                ),
                name="crop_in_picture",
            ),
            models.CheckConstraint(condition=Q(rotation__range=(-3, 3)), name="crop_is_level"),
        ]

    def __str__(self) -> str:
        return f"{self.retouch} {self.recipe}"
