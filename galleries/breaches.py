"""A missed promise: written down once, told honestly, and the studio's late policy carried out once.

The policy is a share of the session fee. It is proposed on the desk; it is carried out by a person's tap, or by
itself at the closing of the next working day, unless the owner has recorded a reason against it. It comes off the
price: what was paid goes back the way it came (cash as a voucher, unless the studio hands it back), what was not is not
asked for. Lock order: Booking, Gallery, Breach, the ledger and vouchers.
"""

import csv
import io
import logging
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from bookings import allowances, ledger, vouchers
from bookings.models import Booking, Client
from galleries import deadlines
from galleries.models import Breach, Delivery, Gallery, LatePolicy
from studio import alerts, credentials, workdays
from studio.actors import WORKER, Actor
from studio.currencies import decimals
from studio.models import LateWay, Studio
from studio.outbox import queue_message

log = logging.getLogger(__name__)


class NoReason(Exception):
    """The late policy is left out only with a reason that is written down."""


def record(
    gallery: Gallery, *, now: datetime, is_delivered: bool = False, partial: Delivery | None = None
) -> Breach | None:
    """Write down that the running promise is missed, and tell everybody. None if it is written already.

    `is_delivered`: the pictures go out now, late; then the client reads of it in the mail that brings them.
    Inside the caller's transaction, with the Booking and the Gallery locked.
    """
    assert gallery.deliver_by is not None
    calendar = deadlines.calendar_now(gallery, now)
    amount = fee_share(gallery.shoot.booking)
    breach, is_new = Breach.objects.get_or_create(
        gallery=gallery,
        deliver_by=gallery.deliver_by,
        defaults={
            "recorded_at": now,
            "new_deliver_by": None if is_delivered else workdays.next_working_closing(now, calendar),
            "late_policy": LatePolicy.PROPOSED if amount else LatePolicy.NONE,
            "late_policy_amount": amount,
            "late_policy_due_at": workdays.deliver_by(ended_at=now, days=1, calendar=calendar),
        },
    )
    if not is_new:
        return None
    _tell(gallery, breach, is_delivered=is_delivered, partial=partial, now=now)
    return breach


def new_time(gallery: Gallery) -> datetime | None:
    """What the client was told when the promise was missed, in the location's own time."""
    last = gallery.breaches.order_by("-recorded_at").first()
    zone = ZoneInfo(gallery.shoot.booking.location.zone)
    return last.new_deliver_by.astimezone(zone) if last and last.new_deliver_by else None


def fee_share(booking: Booking) -> int:
    """The late policy of a booking in minor units, rounded half up: a share of the session fee, at most the price."""
    studio = Studio.objects.first()
    percent = studio.late_fee_percent if studio and studio.late_way != LateWay.NONE else 0
    return min((booking.session_fee * percent + 50) // 100, booking.price)


def _tell(
    gallery: Gallery, breach: Breach, *, is_delivered: bool, partial: Delivery | None, now: datetime
) -> None:
    zone = ZoneInfo(gallery.shoot.booking.location.zone)
    new = breach.new_deliver_by
    context = {
        "gallery": gallery,
        "breach": breach,
        "due_at": breach.deliver_by.astimezone(zone),
        "new_due_at": new.astimezone(zone) if new else None,
        "policy_at": breach.late_policy_due_at.astimezone(zone) if breach.late_policy_due_at else None,
        "booking": gallery.shoot.booking,
        "partial": partial,
        "partial_count": partial.files.values("position").distinct().count() if partial else 0,
    }
    for owner in deadlines.owners():
        queue_message(
            "deadline_missed_owner",
            to=owner,
            about=gallery,
            context=context,
            now=now,
            once=f"breach:{breach.pk}:{owner.pk}",
        )
    alerts.alert(
        _("%(code)s is late: promised by %(when)s.")
        % {"code": gallery.shoot.code, "when": f"{breach.deliver_by.astimezone(zone):%a %d %b %H:%M}"},
        about=gallery,
        once=f"alert:breach:{breach.pk}",
        now=now,
    )
    client = deadlines.sitter_of(gallery)
    if client is not None and not is_delivered:
        link = _link(gallery, client, now=now) if partial else ""
        queue_message(
            "deadline_missed_client",
            to=client,
            about=gallery,
            context={**context, "link": link},
            now=now,
            once=f"breach:{breach.pk}:client",
        )


def _link(gallery: Gallery, client: Client, *, now: datetime) -> str:
    return credentials.grant(
        scope="gallery", target=gallery.public_id, now=now, holder_id=client.pk, holder_label=str(client)
    ).url


# --- the late policy


@transaction.atomic
def carry_out(*, breach_id: int, by: Actor, now: datetime) -> bool:
    """Take the late policy's amount off the price and give back what was paid of it. False if that was decided."""
    breach = _locked(breach_id)
    if breach.late_policy != LatePolicy.PROPOSED:
        return False
    booking, reason = breach.gallery.shoot.booking, _("The pictures were late")
    as_voucher = _voucher_part(booking, breach.late_policy_amount)
    amount, back = allowances.take_off(
        booking_id=booking.pk,
        amount=breach.late_policy_amount - as_voucher,
        reason=reason,
        once=f"late-promise:{breach.pk}",
        by=by,
        now=now,
        methods=allowances.BY_ITSELF if as_voucher else (),
    )
    if as_voucher and booking.payer is not None:
        breach.late_policy_voucher = vouchers.issue(
            amount=as_voucher,
            currency=booking.currency,
            recipient_name=booking.payer.name,
            recipient_email=booking.payer.email,
            reason=reason,
            booking_id=booking.pk,
            once=f"late-promise:{breach.pk}",
            by=by,
            now=now,
        ).code
    breach.late_policy_amount, breach.late_policy_given_back = amount + as_voucher, back + as_voucher
    _decide(breach, LatePolicy.DONE, by=by, now=now)
    if booking.payer is not None:
        booking.refresh_from_db()
        queue_message(
            "late_policy_done",
            to=booking.payer,
            about=breach.gallery,
            context={
                "breach": breach,
                "booking": booking,
                "gallery": breach.gallery,
                "money_back": breach.late_policy_given_back - as_voucher,
                "voucher": as_voucher,
            },
            now=now,
            once=f"late_policy_done:{breach.pk}",
        )
    return True


def _voucher_part(booking: Booking, amount: int) -> int:
    """What of the amount is given as a voucher: by the studio's way, all that was paid, or what was paid in cash.

    What is not paid yet only comes off the price. Nobody to write to: no voucher.
    """
    studio = Studio.objects.first()
    way = studio.late_way if studio else LateWay.BACK
    paid = max(0, min(amount, booking.price) - ledger.balance(booking).due)
    if way not in (LateWay.BACK, LateWay.VOUCHER) or booking.payer is None or not booking.payer.email:
        return 0
    return paid if way == LateWay.VOUCHER else max(0, paid - allowances.kept_by_itself(booking))


@transaction.atomic
def waive(*, breach_id: int, reason: str, by: Actor, now: datetime) -> bool:
    """Leave the late policy out, for a reason that stays on record. False if it was decided. Raises NoReason."""
    reason = " ".join(reason.split())[:300]
    if not reason:
        raise NoReason(_("Write down why nothing is given back."))
    breach = _locked(breach_id)
    if breach.late_policy != LatePolicy.PROPOSED:
        return False
    breach.late_policy_reason = reason
    _decide(breach, LatePolicy.WAIVED, by=by, now=now)
    return True


def _locked(breach_id: int) -> Breach:
    found = Breach.objects.values_list("gallery_id", flat=True).get(pk=breach_id)
    deadlines.locked(found)
    return (
        Breach.objects.select_for_update(of=("self",))
        .select_related("gallery__shoot__booking__payer", "gallery__shoot__sitter")
        .get(pk=breach_id)
    )


def _decide(breach: Breach, what: LatePolicy, *, by: Actor, now: datetime) -> None:
    breach.late_policy, breach.late_policy_at, breach.late_policy_by = what, now, str(by)
    breach.save()


def sweep(*, now: datetime) -> int:
    """Carry out what nobody has decided within one working day. Returns how many."""
    due = Breach.objects.filter(late_policy=LatePolicy.PROPOSED, late_policy_due_at__lte=now)
    done = 0
    for pk in due.order_by("late_policy_due_at", "pk").values_list("pk", flat=True)[:500]:
        try:
            done += carry_out(breach_id=pk, by=WORKER, now=now)
        except Exception:
            log.exception("The late policy of breach %s failed; the next sweep tries again", pk)
    return done


# --- for the books

COLUMNS = (
    "gallery",
    "location",
    "promised by",
    "recorded",
    "delivered",
    "cause",
    "late policy",
    "amount",
    "given back",
    "voucher",
)


def as_csv(breaches: Iterable[Breach]) -> str:
    """Every missed promise as a line, times in UTC, amounts in the booking's currency; no names of clients."""
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow([*COLUMNS, "currency", "reason", "decided by"])
    for row in breaches:
        booking = row.gallery.shoot.booking
        lines.writerow(
            _plain(value)
            for value in (
                row.gallery.shoot.code,
                booking.location.name,
                f"{row.deliver_by:%Y-%m-%d %H:%M}",
                f"{row.recorded_at:%Y-%m-%d %H:%M}",
                f"{row.gallery.delivered_at:%Y-%m-%d %H:%M}" if row.gallery.delivered_at else "",
                row.cause,
                row.late_policy,
                _whole(row.late_policy_amount, booking.currency),
                _whole(row.late_policy_given_back, booking.currency),
                row.late_policy_voucher,
                booking.currency,
                row.late_policy_reason,
                row.late_policy_by,
            )
        )
    return out.getvalue()


def _whole(amount: int, currency: str) -> str:
    """Minor units as a number with the currency's decimals: yen have none."""
    places = decimals(currency)
    return f"{Decimal(amount).scaleb(-places):.{places}f}"


def _plain(value: str) -> str:
    """A cell no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
