"""From the first Upload to the last Download."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from bookings.models import Shoot
from galleries.afterwards_models import Farewell as Farewell
from galleries.afterwards_models import FarewellKind as FarewellKind
from galleries.afterwards_models import YearLater as YearLater
from galleries.card_models import CameraClock as CameraClock
from galleries.card_models import Card as Card
from galleries.card_models import Leak as Leak
from galleries.dossier_models import DataCopy as DataCopy
from galleries.dossier_models import DataCopyFile as DataCopyFile
from galleries.dossier_models import Erasure as Erasure
from galleries.dossier_models import ErasureFile as ErasureFile
from galleries.dossier_models import PersonWish as PersonWish
from galleries.dossier_models import WishKind as WishKind
from galleries.finished_models import CropSpec as CropSpec
from galleries.finished_models import FinishedFile as FinishedFile
from galleries.finished_models import PickCrop as PickCrop
from galleries.statuses import (
    GALLERY_MOVES,
    JOB_MOVES,
    RETOUCH_MOVES,
    UPLOAD_MOVES,
    GalleryStatus,
    JobStatus,
    RetouchStatus,
    UploadStatus,
)
from studio.actors import ActorKind
from studio.models import User, public_id
from studio.transitions import HasStatus


class Gallery(HasStatus):
    """One shoot's pictures as the client sees them, with the clock of its promise.

    `deliver_by` is empty before the shoot has ended and while a pause is open. `promise` keeps the inputs it was
    computed from (zone, rule, closures used), so that `verify` can compute it again.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    shoot = models.OneToOneField(Shoot, models.CASCADE, related_name="gallery")
    status = models.CharField(max_length=20, choices=GalleryStatus, default=GalleryStatus.OPEN)
    finals_included = models.PositiveSmallIntegerField()
    finals_extra = models.PositiveSmallIntegerField(
        default=0, help_text="bought beyond those included, paid or on the bill"
    )
    extra_final_price = models.PositiveIntegerField(
        default=0, help_text="of one more, as agreed at booking; 0: none is sold"
    )
    extras_paid_first = models.BooleanField(
        default=True, help_text="extra finals are paid before the retouching starts, not on the bill"
    )
    change_price = models.PositiveIntegerField(
        null=True, help_text="of a round of changes beyond the free one; empty: none is sold"
    )
    client_looks_first = models.BooleanField(default=False)
    assigned_to = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="galleries")
    created_at = models.DateTimeField()
    # the promise
    clock_started_at = models.DateTimeField(null=True, help_text="when the shoot ended")
    deliver_by = models.DateTimeField(null=True)
    first_deliver_by = models.DateTimeField(
        null=True, help_text="as first promised; reports count against deliver_by"
    )
    promise = models.JSONField(default=dict)
    deliver_by_was = models.DateTimeField(
        null=True, help_text="before a change of closures made the promise earlier"
    )
    alarm_at = models.DateTimeField(null=True, help_text="when the deadline sweep must look at it next")
    # the way
    proofs_published_at = models.DateTimeField(null=True)
    selection_submitted_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    reopened_at = models.DateTimeField(null=True)
    erased_at = models.DateTimeField(
        null=True, help_text="with everything in it; when it was delivered stays"
    )
    was_on_time = models.BooleanField(null=True, help_text="of the first delivery")
    finals_expire_at = models.DateTimeField(null=True)
    proofs_expire_at = models.DateTimeField(null=True)
    free_changes_left = models.PositiveSmallIntegerField(default=1)
    stage_photo = models.ForeignKey(
        "Photo", models.SET_NULL, null=True, related_name="+", help_text="on the big screen just now"
    )
    stage_at = models.DateTimeField(null=True, help_text="when it was put there; empty: nobody may follow")
    white_balance = models.JSONField(
        default=dict, help_text="the colour cast its drafts take out: a, b and from how many frames"
    )
    # afterwards
    pin_hash = models.CharField(max_length=200, blank=True, help_text="blank: the link is enough")
    expiry_warned = models.PositiveSmallIntegerField(
        null=True, help_text="30, 7 or 1: the last warning given"
    )
    thank_at = models.DateTimeField(null=True, help_text="when the thank-you is due; empty once sent")
    restore_asked_at = models.DateTimeField(
        null=True, help_text="somebody wants the originals back from the archive; empty once they are"
    )

    moves = GALLERY_MOVES

    class Meta:
        verbose_name_plural = "galleries"
        indexes = [
            models.Index(
                fields=["deliver_by", "id"],
                condition=Q(
                    deliver_by__isnull=False,
                    status__in=["open", "proofing", "retouching", "approving", "ready"],
                ),
                name="gallery_due",
            ),
            models.Index(
                fields=["alarm_at", "id"], condition=Q(alarm_at__isnull=False), name="gallery_alarm"
            ),
            models.Index(
                fields=["finals_expire_at"],
                condition=Q(finals_expire_at__isnull=False),
                name="gallery_expires",
            ),
            models.Index(fields=["thank_at"], condition=Q(thank_at__isnull=False), name="gallery_thank"),
        ]

    def __str__(self) -> str:
        return f"{self.shoot.code}"


class PauseReason(models.TextChoices):
    CHOOSING = "choosing", _("You are choosing your pictures")
    APPROVING = "approving", _("You are looking at the retouched pictures")
    BALANCE = "balance", _("The balance is still to be paid")


STAFF_PAUSE_REASONS = {
    PauseReason.CHOOSING: _("The client is choosing"),
    PauseReason.APPROVING: _("The client is looking at the retouched pictures"),
    PauseReason.BALANCE: PauseReason.BALANCE.label,
}


class Pause(models.Model):
    """A time the studio waits for the client, for a named reason. The clock stands still from begins_at to ended_at."""

    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="pauses")
    reason = models.CharField(max_length=20, choices=PauseReason)
    opened_at = models.DateTimeField()
    begins_at = models.DateTimeField(help_text="later than opened_at when opened shortly before a closing")
    ended_at = models.DateTimeField(null=True)
    opened_by = models.CharField(max_length=200)
    ended_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["gallery", "reason"], condition=Q(ended_at=None), name="one_open_pause_per_reason"
            ),
            models.CheckConstraint(
                condition=Q(begins_at__gte=F("opened_at")), name="pause_begins_after_opening"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gallery}: {self.reason}"

    @property
    def staff_reason(self) -> str:
        """The reason as the desk reads it; `get_reason_display` speaks to the client."""
        return str(STAFF_PAUSE_REASONS[PauseReason(self.reason)])


class DeadlineNotice(models.Model):
    """One warning of one promise, given once: unique per (gallery, kind, deliver_by)."""

    class Kind(models.TextChoices):
        ONE_DAY = "one_day", _("one working day left")
        FOUR_HOURS = "four_hours", _("four working hours left")
        ONE_HOUR = "one_hour", _("one hour left")
        FINISH = "finish", _("minutes left: what is ready goes out")
        OVERDUE = "overdue", _("overdue")

    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=20, choices=Kind)
    deliver_by = models.DateTimeField()
    given_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gallery", "kind", "deliver_by"], name="one_notice_per_promise")
        ]

    def __str__(self) -> str:
        return f"{self.gallery} {self.kind}"


class LatePolicy(models.TextChoices):
    PROPOSED = "proposed", _("proposed")
    DONE = "done", _("carried out")
    WAIVED = "waived", _("not carried out, with a reason")
    NONE = "none", _("nothing to give back")


class Breach(models.Model):
    """A promise that was missed: recorded once, told honestly, never deleted."""

    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="breaches")
    deliver_by = models.DateTimeField()
    recorded_at = models.DateTimeField()
    new_deliver_by = models.DateTimeField(null=True, help_text="the new time the client was told")
    cause = models.CharField(max_length=300, blank=True, help_text="recorded by a person")
    late_policy = models.CharField(max_length=20, choices=LatePolicy, default=LatePolicy.PROPOSED)
    late_policy_due_at = models.DateTimeField(null=True, help_text="carried out by itself then")
    late_policy_at = models.DateTimeField(null=True)
    late_policy_by = models.CharField(max_length=200, blank=True)
    late_policy_reason = models.CharField(max_length=300, blank=True)
    late_policy_amount = models.PositiveIntegerField(default=0)
    late_policy_voucher = models.CharField(
        max_length=40, blank=True, help_text="code of the voucher given instead of money"
    )
    late_policy_given_back = models.PositiveIntegerField(
        default=0, help_text="of the amount; the rest was not paid yet and came off the balance"
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["late_policy_due_at"], condition=Q(late_policy="proposed"), name="breach_policy_due"
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["gallery", "deliver_by"], name="one_breach_per_promise")
        ]

    def __str__(self) -> str:
        return f"{self.gallery} {self.deliver_by}"


class Upload(HasStatus):
    """Received bytes, not yet trusted. `offset` bytes are safely stored; at `size` they are checked.

    A file of a card has no gallery until it is sorted; `doubt` says why a person has to say where it belongs, and
    `guess` what is likeliest. A preview that was sent ahead of its original was cut out of it: `cut_from` says where.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    gallery = models.ForeignKey(Gallery, models.CASCADE, null=True, related_name="uploads")
    card = models.ForeignKey(Card, models.SET_NULL, null=True, related_name="uploads")
    purpose = models.CharField(
        max_length=20,
        default="frame",
        help_text="frame, hand_in: a finished file of a pick, finished: of a pick to be found, "
        "preview: cut out of a frame that follows",
    )
    retouch = models.ForeignKey("Retouch", models.CASCADE, null=True, related_name="uploads")
    status = models.CharField(max_length=20, choices=UploadStatus, default=UploadStatus.RECEIVING)
    name = models.CharField(max_length=255, help_text="as the camera or the browser called it")
    size = models.BigIntegerField(validators=[MinValueValidator(1)])
    offset = models.BigIntegerField(default=0)
    declared_sha256 = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, help_text="of what was read back")
    crc32 = models.BigIntegerField(null=True)
    key = models.CharField(max_length=200, unique=True, help_text="random, ours, in the originals store")
    backend = models.JSONField(
        default=dict, help_text="what the store needs to go on (S3 upload id and parts)"
    )
    source = models.CharField(max_length=20, default="desk", help_text="desk, watch, ingest")
    by = models.ForeignKey(User, models.SET_NULL, null=True)
    refusal_code = models.CharField(max_length=40, blank=True)
    refusal = models.CharField(max_length=300, blank=True, help_text="a sentence for a photographer")
    is_duplicate = models.BooleanField(default=False, help_text="same bytes as a photo of this gallery")
    cut_from = models.JSONField(default=dict, help_text="of a preview: {name, size, at} of its original")
    # on a card
    facts = models.JSONField(default=dict, help_text="kind, said_at, camera, code: what the first look found")
    look_key = models.CharField(
        max_length=200, blank=True, help_text="a small view for the tray, in the derived store"
    )
    doubt_code = models.CharField(max_length=40, blank=True)
    doubt = models.CharField(max_length=300, blank=True, help_text="a sentence for a photographer")
    guess = models.ForeignKey(Gallery, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    touched_at = models.DateTimeField()
    received_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    moves = UPLOAD_MOVES

    class Meta:
        indexes = [
            models.Index(fields=["gallery", "status"], name="upload_of_gallery"),
            models.Index(fields=["touched_at"], condition=Q(status="receiving"), name="upload_idle"),
            models.Index(fields=["id"], condition=Q(status="sorting"), name="upload_in_tray"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(gallery__isnull=False) | Q(card__isnull=False), name="upload_goes_somewhere"
            ),
            models.CheckConstraint(
                condition=Q(offset__gte=0, offset__lte=F("size")), name="offset_within_size"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Photo(models.Model):
    """An accepted original: one or more immutable files (raw, jpeg, sidecar). What the camera knew is in columns."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="photos")
    number = models.PositiveIntegerField(help_text="the client's name for it in this gallery: 1, 2, 3 …")
    name = models.CharField(
        max_length=255, help_text="the camera's file name, told apart where it came twice"
    )
    captured_at = models.DateTimeField(null=True)
    camera = models.CharField(max_length=120, blank=True)
    lens = models.CharField(max_length=120, blank=True)
    exposure = models.JSONField(default=dict, help_text="seconds, f_number, iso, focal_length")
    width = models.PositiveIntegerField(help_text="upright")
    height = models.PositiveIntegerField()
    dominant_colour = models.CharField(max_length=7, blank=True)
    faces = models.PositiveSmallIntegerField(null=True, help_text="how many; no landmarks are kept")
    rating = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(5)])
    is_recommended = models.BooleanField(default=False, help_text="the photographer's mark")
    is_rejected = models.BooleanField(default=False)
    is_hidden = models.BooleanField(default=False, help_text="hidden by the client for every viewer")
    is_published = models.BooleanField(default=False)
    withdrawn_at = models.DateTimeField(
        null=True, help_text="taken back after it was shown: nobody but the studio sees it or its finals"
    )
    accepted_at = models.DateTimeField()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["gallery", "number"], name="one_number_per_photo")]

    def __str__(self) -> str:
        return self.name


class PhotoAids(models.Model):
    """What helps the photographer to cull one frame: advice, never a reason to hide or order what a client sees.

    Numbers of this frame only, to be read beside the others of the shoot. No landmark is kept: of a face there remain
    how sharp its eyes are, how far they are open, and how much of it is clipped.
    """

    photo = models.OneToOneField(Photo, models.CASCADE, related_name="aids")
    sharpness = models.FloatField()
    lid_gap = models.FloatField(null=True, help_text="in iris diameters; empty: no face, or not looked for")
    bright = models.FloatField(help_text="share of the face that is clipped white, 0…1")
    dark = models.FloatField()
    likeness = models.CharField(max_length=64, help_text="differs in few bits for frames that look alike")
    looked_for_faces = models.BooleanField()
    measured_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "photo aids"

    def __str__(self) -> str:
        return f"{self.photo}: {self.sharpness}"


class PhotoFile(models.Model):
    """One file of a Photo, byte for byte as it came; never rewritten."""

    class Kind(models.TextChoices):
        IMAGE = "image", _("Picture")
        RAW = "raw", _("Camera RAW")
        SIDECAR = "sidecar", _("Sidecar")
        PREVIEW = "preview", _("Preview, sent ahead of its original")

    photo = models.ForeignKey(Photo, models.CASCADE, related_name="files")
    upload = models.OneToOneField(Upload, models.SET_NULL, null=True, related_name="photo_file")
    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="files")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.IMAGE)
    format = models.CharField(max_length=10)
    name = models.CharField(max_length=255)
    key = models.CharField(max_length=200, unique=True)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    crc32 = models.BigIntegerField()
    stored_at = models.DateTimeField()
    checked_at = models.DateTimeField(help_text="last time the bytes were read back and hashed")
    is_damaged = models.BooleanField(default=False)
    archived_at = models.DateTimeField(null=True)
    archived_where = models.CharField(max_length=200, blank=True)
    erased_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True, help_text="not picked, and kept as long as was said")
    cut_from = models.JSONField(default=dict, help_text="of a preview: {name, size, at} of its original")

    class Meta:
        indexes = [models.Index(fields=["checked_at"], condition=Q(erased_at=None), name="photo_file_check")]
        constraints = [
            models.UniqueConstraint(fields=["gallery", "sha256"], name="same_bytes_once_per_gallery"),
        ]

    def __str__(self) -> str:
        return self.name


class Pick(models.Model):
    """One chosen Photo, with what the client says about it. All picks of a gallery are its Selection."""

    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="picks")
    photo = models.OneToOneField(Photo, models.CASCADE, related_name="pick")
    use = models.CharField(max_length=60, blank=True, help_text="LinkedIn, website, press")
    picked_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["picked_at", "id"]

    def __str__(self) -> str:
        return str(self.photo)


class Retouch(HasStatus):
    """The work order on a picked Photo. Its Versions are the work; the approved one becomes the Final."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    pick = models.OneToOneField(Pick, models.CASCADE, related_name="retouch")
    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="retouches")
    status = models.CharField(max_length=20, choices=RetouchStatus, default=RetouchStatus.WAITING)
    approved_version = models.ForeignKey("Version", models.PROTECT, null=True, related_name="+")
    shown_version = models.ForeignKey(
        "Version", models.PROTECT, null=True, related_name="+", help_text="what the client looks at first"
    )
    assigned_to = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="retouches", help_text="who has taken it"
    )
    created_at = models.DateTimeField()
    drafted_at = models.DateTimeField(null=True)
    shown_at = models.DateTimeField(null=True)
    approved_at = models.DateTimeField(null=True)
    change_asked_at = models.DateTimeField(null=True)

    moves = RETOUCH_MOVES

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.pick)


class Guard(models.TextChoices):
    WAITING = "waiting", _("Being measured")
    PASSED = "passed", _("No change to face shape; skin keeps its texture")
    BLOCKED = "blocked", _("Face shape or skin texture changed")
    NOT_MEASURED = "not_measured", _("Not measured")
    OVERRIDDEN = "overridden", _("Changed at the client's request")


class Version(models.Model):
    """An immutable link of the chain from original to final: parent, input and output hash, operations, actor, time."""

    class Kind(models.TextChoices):
        DRAFT = "draft", _("Draft")
        ADJUSTED = "adjusted", _("Adjusted draft")
        UNTOUCHED = "untouched", _("As photographed")
        HAND_MADE = "hand_made", _("Edited outside")

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    retouch = models.ForeignKey(Retouch, models.CASCADE, related_name="versions")
    number = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    input_sha256 = models.CharField(max_length=64)
    output_sha256 = models.CharField(max_length=64)
    operations = models.JSONField(default=list, help_text="[{recipe, version, parameters}] in order")
    key = models.CharField(
        max_length=200, unique=True, help_text="in the originals store when edited outside"
    )
    store = models.CharField(max_length=10, default="derived")
    format = models.CharField(max_length=10, default="jpeg")
    size = models.BigIntegerField()
    crc32 = models.BigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    made_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)
    guard = models.CharField(max_length=20, choices=Guard, default=Guard.WAITING)
    guard_report = models.JSONField(default=dict, help_text="numbers for staff; the client reads words")
    override_reason = models.CharField(max_length=300, blank=True)
    override_by = models.CharField(max_length=200, blank=True)

    erased_at = models.DateTimeField(null=True, help_text="its bytes are gone; the link of the chain stays")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["retouch", "number"], name="one_version_number")]

    def __str__(self) -> str:
        return f"{self.retouch} v{self.number}"


class Note(models.Model):
    """Words about a picture, with a pin where they mean it; stays with its picture and version."""

    photo = models.ForeignKey(Photo, models.CASCADE, related_name="notes")
    version = models.ForeignKey(Version, models.CASCADE, null=True, related_name="notes")
    words = models.TextField()
    pin_x = models.FloatField(null=True, help_text="0…1 of the width")
    pin_y = models.FloatField(null=True)
    is_change_request = models.BooleanField(default=False)
    answered = models.TextField(blank=True)
    answered_at = models.DateTimeField(null=True)
    written_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["written_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(pin_x=None, pin_y=None) | Q(pin_x__range=(0, 1), pin_y__range=(0, 1)),
                name="pin_in_picture",
            )
        ]

    def __str__(self) -> str:
        return self.words[:60]


class Rendition(models.Model):
    """One file made by a recipe from one Photo or Version: unique by recipe, version and parameter digest."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    photo = models.ForeignKey(Photo, models.CASCADE, related_name="renditions")
    version = models.ForeignKey(Version, models.CASCADE, null=True, related_name="renditions")
    recipe = models.CharField(max_length=40)
    recipe_version = models.PositiveSmallIntegerField()
    digest = models.CharField(max_length=16)
    key = models.CharField(max_length=200, unique=True)
    format = models.CharField(max_length=10, default="jpeg")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    crc32 = models.BigIntegerField()
    flags = models.JSONField(default=list, help_text="e.g. no_face, missing_headroom, corrupt_profile")
    made_at = models.DateTimeField()

    erased_at = models.DateTimeField(
        null=True, help_text="its bytes are gone; what was delivered stays on record"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["photo", "version", "recipe", "recipe_version", "digest"],
                condition=Q(erased_at=None),
                nulls_distinct=False,
                name="one_rendition_per_recipe",
            )
        ]

    def __str__(self) -> str:
        return f"{self.photo} {self.recipe}"


class JobKind(models.TextChoices):
    LOOK = "look", _("Look at a file of a card")
    INTAKE = "intake", _("Check a file")
    RENDITIONS = "renditions", _("Make proofs")
    DRAFT = "draft", _("Make a retouch draft")
    MEASURE = "measure", _("Measure a retouch")
    MATCH = "match", _("Find the pick of a finished file")
    FINALS = "finals", _("Make the finals")
    AIDS = "aids", _("Look at a frame for the cull")


class Job(HasStatus):
    """A piece of pixel work, stated in the transaction of its cause. Workers claim the most urgent one."""

    kind = models.CharField(max_length=20, choices=JobKind)
    status = models.CharField(max_length=20, choices=JobStatus, default=JobStatus.WAITING)
    once = models.CharField(
        max_length=120, unique=True, help_text="kind and subject: stated twice is one job"
    )
    gallery = models.ForeignKey(
        Gallery, models.CASCADE, null=True, related_name="jobs", help_text="empty: of a card not yet sorted"
    )
    upload = models.ForeignKey(Upload, models.CASCADE, null=True, related_name="jobs")
    photo = models.ForeignKey(Photo, models.CASCADE, null=True, related_name="jobs")
    retouch = models.ForeignKey(Retouch, models.CASCADE, null=True, related_name="jobs")
    version = models.ForeignKey(Version, models.CASCADE, null=True, related_name="jobs")
    parameters = models.JSONField(default=dict)
    urgent_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(help_text="after a failure: a pause before the next try")
    created_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    rung_at = models.DateTimeField(help_text="the last time its bell was rung")
    error = models.CharField(
        max_length=500, blank=True, help_text="what failed and what to do, in a sentence"
    )

    moves = JOB_MOVES

    class Meta:
        indexes = [
            models.Index(fields=["urgent_at", "id"], condition=Q(status="waiting"), name="job_waiting"),
            models.Index(fields=["claimed_at"], condition=Q(status="running"), name="job_running"),
            models.Index(fields=["gallery", "status"], name="job_of_gallery"),
        ]

    def __str__(self) -> str:
        return self.once


class Delivery(models.Model):
    """One release of finals, numbered. Partial and repeated ones are further rows; files are never overwritten."""

    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="deliveries")
    number = models.PositiveSmallIntegerField()
    delivered_at = models.DateTimeField()
    is_partial = models.BooleanField(default=False)
    words = models.CharField(max_length=300, blank=True, help_text="what changed since the last one")
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["gallery", "number"], name="one_delivery_number")]

    def __str__(self) -> str:
        return f"{self.gallery} delivery {self.number}"


class DeliveredFile(models.Model):
    """One final of a delivery, under the readable name the client gets."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="files")
    rendition = models.ForeignKey(Rendition, models.PROTECT, related_name="deliveries")
    name = models.CharField(max_length=120)
    position = models.PositiveSmallIntegerField(help_text="which pick, from 1")

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["delivery", "name"], name="one_name_per_delivery")]

    def __str__(self) -> str:
        return self.name


class Download(models.Model):
    """A record of one file or archive fetched."""

    gallery = models.ForeignKey(Gallery, models.CASCADE, related_name="downloads")
    credential_id = models.BigIntegerField(null=True)
    holder_label = models.CharField(max_length=200, blank=True)
    what = models.CharField(max_length=160, help_text="a file name, or zip and its size")
    rendition = models.ForeignKey(Rendition, models.SET_NULL, null=True)
    started_at = models.DateTimeField()
    first_byte = models.BigIntegerField(default=0)
    bytes_sent = models.BigIntegerField(default=0)
    is_complete = models.BooleanField(default=False, help_text="the last byte was sent")
    is_issued = models.BooleanField(
        default=False, help_text="handed to the store by an address of at most 60 seconds; not seen from here"
    )

    class Meta:
        indexes = [models.Index(fields=["gallery", "-started_at"], name="download_latest")]

    def __str__(self) -> str:
        return self.what
