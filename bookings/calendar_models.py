"""Rows about other calendars and about artists who say yes each time. `bookings.models` imports them."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from bookings.statuses import ASK_MOVES, AskStatus
from studio.models import public_id
from studio.transitions import HasStatus


class BusyFeed(models.Model):
    """A calendar elsewhere (an ICS address) whose busy times keep a Resource from being booked.

    The row is the work: `next_fetch_at` says when a worker looks again, and what came of the last look stays here
    for the desk to read. What was fetched are Busy rows of the source "feed".
    """

    resource = models.OneToOneField("bookings.Resource", models.CASCADE, related_name="busy_feed")
    url = models.CharField(_("address of the calendar"), max_length=1000)
    next_fetch_at = models.DateTimeField()
    fetched_at = models.DateTimeField(null=True, help_text="the last time it was read to its end")
    tried_at = models.DateTimeField(null=True)
    failures = models.PositiveSmallIntegerField(default=0, help_text="in a row")
    last_error = models.CharField(max_length=300, blank=True)
    event_count = models.PositiveIntegerField(default=0)
    skipped_count = models.PositiveIntegerField(default=0, help_text="entries that could not be read")

    class Meta:
        indexes = [models.Index(fields=["next_fetch_at"], name="busy_feed_due")]

    def __str__(self) -> str:
        return f"calendar of {self.resource}"


class ArtistAsk(HasStatus):
    """An on-request artist is asked whether she comes. Her claims are held meanwhile; no answer in time is a no."""

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    booking = models.ForeignKey("bookings.Booking", models.CASCADE, related_name="asks")
    resource = models.ForeignKey("bookings.Resource", models.PROTECT, related_name="asks")
    status = models.CharField(max_length=20, choices=AskStatus, default=AskStatus.ASKED)
    asked_at = models.DateTimeField()
    answer_by = models.DateTimeField(help_text="two hours of daytime")
    answered_at = models.DateTimeField(null=True)

    moves = ASK_MOVES

    class Meta:
        indexes = [models.Index(fields=["answer_by"], condition=Q(status="asked"), name="ask_waiting")]
        constraints = [
            models.UniqueConstraint(
                fields=["booking", "resource"], condition=Q(status="asked"), name="asked_once_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.resource}: {self.booking}"
