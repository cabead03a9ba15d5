"""More finals than are included, and further rounds of changes: sold at the price agreed when the session was booked.

Either the client pays before the retouching starts (Stripe Checkout; the payment sends the selection by itself) or the
studio puts it on the bill. What was bought stays with the gallery, also when the selection is opened again, until the
studio takes it off the bill, which it can while it is not used. An offer that nobody pays changes nothing. Lock order:
Booking, Gallery.
"""

from datetime import datetime

from django.conf import settings
from django.db.models import F
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bookings import charges
from bookings.checkout import open_checkout
from bookings.models import Booking, BookingExtra, ExtraKind
from bookings.refusals import NotNow
from bookings.statuses import ExtraStatus
from bookings.taxes import split
from galleries.models import Gallery
from studio.actors import WORKER, Actor, ActorKind


def allowed(gallery: Gallery) -> int:
    """How many finals the client has: included and bought."""
    return gallery.finals_included + gallery.finals_extra


def are_sold(gallery: Gallery) -> bool:
    """Whether the client may choose more than that, at a price."""
    return gallery.extra_final_price > 0


def wanted(gallery: Gallery) -> int:
    """How many of the picks are not included and not bought yet."""
    return max(0, gallery.picks.count() - allowed(gallery))


def are_paid_first(gallery: Gallery, *, by: Actor) -> bool:
    """Whether this person has to pay for extra finals before the selection is sent; the studio never has."""
    return gallery.extras_paid_first and by.kind == ActorKind.CLIENT and bool(settings.STRIPE_SECRET_KEY)


def cost(booking: Booking, amount: int) -> int:
    """What a list price costs the client of this booking, in minor units, with the tax where tax is added."""
    parts = split(amount, booking.tax_percent, is_added=booking.is_tax_added, currency=booking.currency)
    return parts.gross


def put_on_bill(gallery: Gallery, count: int, *, now: datetime) -> BookingExtra:
    """Sell `count` more finals of a locked gallery at once; they are owed with the balance. Raises NotNow."""
    extra = _sold(gallery, count, is_owed=True, by=WORKER, now=now)
    if extra.status == ExtraStatus.PROPOSED:  # the client had begun to pay for it
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=extra.booking_id)
        charges.agree(extra, booking=booking, by=WORKER, now=now)
    return extra


def _sold(gallery: Gallery, count: int, *, is_owed: bool, by: Actor, now: datetime) -> BookingExtra:
    """The row of more finals, named by what was bought before, so that two tabs ask for one and the same thing."""
    label = ngettext("%(count)d more finished picture", "%(count)d more finished pictures", count)
    return charges.add_extra(
        booking_id=gallery.shoot.booking_id,
        label=label % {"count": count},
        amount=count * gallery.extra_final_price,
        kind=ExtraKind.FINALS,
        count=count,
        is_owed=is_owed,
        once=f"finals:{gallery.pk}:{gallery.finals_extra}:{count}{_after_drops(gallery, ExtraKind.FINALS)}",
        by=by,
        now=now,
    )


def pay_page(*, gallery: Gallery, by: Actor, now: datetime) -> str:
    """The address where the client pays for the picks beyond those included. Network: outside of transactions.

    Raises NotNow, GatewayUnavailable, GatewayRefused.
    """
    extra = _sold(gallery, wanted(gallery), is_owed=False, by=by, now=now)
    return _pay_page(extra, reverse("gallery_review", args=[gallery.public_id]), now=now)


def pay_page_for_change(*, gallery: Gallery, return_path: str, by: Actor, now: datetime) -> str:
    """The address where the client pays for a further round of changes. Raises as `pay_page`."""
    bought = _extras(gallery, ExtraKind.CHANGES, ExtraStatus.AGREED)
    extra = charges.add_extra(
        booking_id=gallery.shoot.booking_id,
        label=_("A further round of changes"),
        amount=gallery.change_price or 0,
        kind=ExtraKind.CHANGES,
        is_owed=False,
        once=f"changes:{gallery.pk}:{bought}{_after_drops(gallery, ExtraKind.CHANGES)}",
        by=by,
        now=now,
    )
    return _pay_page(extra, return_path, now=now)


def _pay_page(extra: BookingExtra, return_path: str, *, now: datetime) -> str:
    return open_checkout(
        booking_id=extra.booking_id, purpose="extra", extra_id=extra.pk, return_path=return_path, now=now
    )


def _extras(gallery: Gallery, kind: ExtraKind, status: ExtraStatus) -> int:
    return BookingExtra.objects.filter(booking=gallery.shoot.booking_id, kind=kind, status=status).count()


def _after_drops(gallery: Gallery, kind: ExtraKind) -> str:
    """What was taken off or declined once can be wanted again: then it is another extra."""
    dropped = _extras(gallery, kind, ExtraStatus.DROPPED)
    return f":{dropped}" if dropped else ""


def gallery_of(extra: BookingExtra) -> Gallery | None:
    """The gallery something was sold for; of one sold at the desk the booking's first."""
    named = (extra.once or "").split(":")
    rows = Gallery.objects.filter(shoot__booking=extra.booking_id)
    if len(named) > 1 and named[1].isdigit() and named[0] in ("finals", "changes"):
        return rows.filter(pk=int(named[1])).first()
    return rows.order_by("pk").first()


def count_in(extra: BookingExtra) -> Gallery | None:
    """Give the gallery what was bought for it. Inside the transaction in which the extra begins to count."""
    gallery = gallery_of(extra)
    if gallery is None:
        return None
    rows = Gallery.objects.filter(pk=gallery.pk)
    if extra.kind == ExtraKind.FINALS:
        rows.update(finals_extra=F("finals_extra") + extra.count)
    elif extra.kind == ExtraKind.CHANGES:
        rows.update(free_changes_left=F("free_changes_left") + extra.count)
    return gallery


def take_back(extra: BookingExtra) -> None:
    """Take away what `count_in` gave, inside the transaction that drops the extra. Raises NotNow when it is used."""
    gallery = gallery_of(extra)
    if gallery is None or extra.kind not in (ExtraKind.FINALS, ExtraKind.CHANGES):
        return
    gallery = Gallery.objects.select_for_update(of=("self",)).get(pk=gallery.pk)
    if extra.kind == ExtraKind.FINALS:
        _take_finals_back(gallery, extra.count)
    else:
        _take_changes_back(gallery, extra.count)


def _take_finals_back(gallery: Gallery, count: int) -> None:
    chosen = gallery.picks.count()
    if chosen > allowed(gallery) - count:
        used = ngettext(
            "%(chosen)d picture is chosen already, so this stays on the bill. Take one out of the selection first.",
            "%(chosen)d pictures are chosen already, so this stays on the bill. Take some out of the selection first.",
            chosen,
        )
        raise NotNow(used % {"chosen": chosen})
    gallery.finals_extra = max(0, gallery.finals_extra - count)
    gallery.save(update_fields=["finals_extra"])


def _take_changes_back(gallery: Gallery, count: int) -> None:
    if gallery.free_changes_left < count:
        raise NotNow(_("The client has asked for this change already, so it stays on the bill."))
    gallery.free_changes_left -= count
    gallery.save(update_fields=["free_changes_left"])
