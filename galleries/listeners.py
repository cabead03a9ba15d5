"""What the galleries do when something happens below them, in the same transaction."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import F, Q
from django.utils.translation import gettext as _

from bookings.charges import knows_deliveries
from bookings.models import Booking, BookingExtra, Client, ExtraKind, Shoot
from galleries import deadlines, delivery, extra_finals, proofing, sharing
from galleries.models import Delivery, Gallery, PauseReason
from galleries.statuses import CLOSED, GalleryStatus
from studio.actors import Actor, ActorKind
from studio.happenings import on
from studio.links import Opening, on_asked
from studio.models import Location
from studio.transitions import begin, move_where


@on("booking_confirmed")
def make_galleries(*, booking: Booking, by: Actor, now: datetime) -> None:
    """Each shoot of a confirmed booking has its gallery from then on, with its own clock."""
    for shoot in booking.shoots.filter(gallery=None):
        begin(
            Gallery(
                shoot=shoot,
                finals_included=booking.finals_included,
                extra_final_price=booking.session_type.extra_final_price,
                extras_paid_first=booking.session_type.extras_paid_first,
                change_price=booking.session_type.change_price,
                client_looks_first=booking.session_type.client_looks_first,
                created_at=now,
            ),
            by=by,
            now=now,
        )


@on("booking_changed")
def include_other_finals(*, booking: Booking, finals: int, by: Actor, now: datetime) -> None:
    """Other add-ons may include more finals, or fewer, before anything was chosen."""
    if finals:
        Gallery.objects.filter(shoot__booking=booking).update(finals_included=F("finals_included") + finals)


@on("shoot_completed")
def start_clock(*, shoot: Shoot, by: Actor, now: datetime) -> None:
    """The promise runs from the end of the shoot."""
    gallery = Gallery.objects.filter(shoot=shoot).first()
    if gallery is not None and shoot.completed_at is not None:
        deadlines.start(gallery_id=gallery.pk, ended_at=shoot.completed_at, now=now)


@knows_deliveries
def was_delivered(booking: Booking) -> bool:
    """Whether any pictures of a booking were delivered: nobody is asked for a tip before."""
    return Delivery.objects.filter(gallery__shoot__booking=booking).exists()


@on("booking_paid")
def release_finals(*, booking: Booking, by: Actor, now: datetime) -> None:
    """The balance is settled: the clock goes on, and what only waited for the money is delivered."""
    for gallery in Gallery.objects.filter(shoot__booking=booking):
        deadlines.close_pause(gallery_id=gallery.pk, reason=PauseReason.BALANCE, by=by, now=now)
        if gallery.status == GalleryStatus.READY and booking.session_type.delivers_by_itself:
            delivery.deliver(gallery_id=gallery.pk, by=by, now=now)


@on("extra_agreed")
def count_extra(*, extra: BookingExtra, by: Actor, now: datetime) -> None:
    """More finals or a further round of changes were bought. A selection that waited for the payment is sent."""
    gallery = extra_finals.count_in(extra)
    if gallery is not None and extra.kind == ExtraKind.FINALS and by.kind == ActorKind.STRIPE:
        proofing.submit_paid(gallery_id=gallery.pk, now=now)


@on("extra_dropped")
def take_extra_back(*, extra: BookingExtra, by: Actor, now: datetime) -> None:
    """More finals or a further round of changes are taken off the bill: they are not there to be used any more."""
    extra_finals.take_back(extra)


@on("booking_cancelled")
def put_away(*, booking: Booking, by: Actor, now: datetime) -> None:
    """No shoot, no pictures, nothing promised."""
    for pk in move_where(Gallery.objects.filter(shoot__booking=booking), "cancel", by=by, now=now):
        deadlines.stop(gallery_id=pk, now=now)


@on("booking_reshot")
def wait_no_longer(*, booking: Booking, by: Actor, now: datetime) -> None:
    """The session is photographed again: nothing is promised for the first one's pictures any more."""
    for gallery in Gallery.objects.filter(shoot__booking=booking).order_by("pk"):
        move_where(Gallery.objects.filter(pk=gallery.pk), "cancel", by=by, now=now, reason=_("Reshot"))
        deadlines.stop(gallery_id=gallery.pk, now=now)


@on("closures_changed")
def compute_again(*, location: Location, by: Actor, now: datetime) -> None:
    """Running promises may become earlier, never later."""
    deadlines.closures_changed(location=location, now=now)


@on_asked
def galleries_of(email: str, now: datetime) -> Iterator[Opening]:
    """The galleries of this address that show something: proofs, the work in hand, finals not yet expired."""
    seen = Gallery.objects.exclude(status__in=[GalleryStatus.OPEN, *CLOSED])
    for sitter in Client.objects.filter(email__iexact=email, erased_at=None).order_by("pk"):
        whose = Q(shoot__sitter=sitter) | Q(shoot__sitter=None, shoot__booking__payer=sitter)
        live = seen.filter(whose).filter(Q(finals_expire_at=None) | Q(finals_expire_at__gt=now))
        for gallery in live.order_by("-pk"):
            yield Opening(sitter, _("Your pictures"), "gallery", gallery.public_id)


@on_asked
def shared_galleries(email: str, now: datetime) -> Iterator[Opening]:
    """What was shared with this address and not taken back, for somebody who is no client."""
    for public_id, name in sharing.shared_with(email, now=now):
        live = Gallery.objects.filter(public_id=public_id).exclude(status__in=CLOSED)
        if live.filter(Q(finals_expire_at=None) | Q(finals_expire_at__gt=now)).exists():
            yield Opening(
                Client(name=name, email=email), _("Pictures that were shared with you"), "gallery", public_id
            )
