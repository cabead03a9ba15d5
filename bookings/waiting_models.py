"""The waiting list: a client's place in the line, and each offer that was made to it."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from bookings.statuses import OFFER_MOVES, WAITING_MOVES, OfferStatus, WaitingStatus
from studio.models import Location, public_id
from studio.transitions import HasStatus


class WaitingPlace(HasStatus):
    """Somebody's place on the waiting list of a session type at a location, for the days `first_on` to `last_on`.

    Places are served in the order in which they were taken. An offer that was not taken does not cost the place.
    """

    public_id = models.CharField(max_length=24, unique=True, default=public_id, editable=False)
    form_token = models.UUIDField(unique=True, default=uuid.uuid4, help_text="one submitted form, one place")
    client = models.ForeignKey("bookings.Client", models.PROTECT, related_name="waiting_places")
    session_type = models.ForeignKey("bookings.SessionType", models.PROTECT, related_name="waiting_places")
    location = models.ForeignKey(Location, models.PROTECT, related_name="waiting_places")
    add_ons = models.JSONField(default=dict, blank=True, help_text="add-on primary key → count")
    first_on = models.DateField(_("from"))
    last_on = models.DateField(_("until"))
    status = models.CharField(max_length=20, choices=WaitingStatus, default=WaitingStatus.WAITING)
    created_at = models.DateTimeField()
    offered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    moves = WAITING_MOVES

    class Meta:
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(status__in=["waiting", "offered"]), name="waiting_line"
            )
        ]
        constraints = [models.CheckConstraint(condition=Q(last_on__gte=F("first_on")), name="waiting_lasts")]

    def __str__(self) -> str:
        return f"{self.client} waits for {self.session_type} {self.first_on}–{self.last_on}"


class WaitingOffer(HasStatus):
    """One time that was offered to one place. Until it ends, its booking holds every claim of that time."""

    place = models.ForeignKey(WaitingPlace, models.CASCADE, related_name="offers")
    booking = models.OneToOneField("bookings.Booking", models.PROTECT, related_name="waiting_offer")
    starts_at = models.DateTimeField(help_text="when the client would arrive")
    status = models.CharField(max_length=20, choices=OfferStatus, default=OfferStatus.OPEN)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    moves = OFFER_MOVES

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["place"], condition=Q(status__in=["open", "taken"]), name="one_offer_at_a_time"
            ),
            models.UniqueConstraint(fields=["place", "starts_at"], name="a_time_is_offered_once"),
        ]

    def __str__(self) -> str:
        return f"{self.place}: {self.starts_at:%Y-%m-%d %H:%M}"
