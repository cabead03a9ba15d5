"""Who else could take a place in a booking, and giving it to them. The booking's own time does not change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from bookings import availability, holds
from bookings.availability import Cast, Leeway
from bookings.boards import filled
from bookings.models import Booking, Claim, Resource
from bookings.notes import note
from bookings.refusals import NotNow
from bookings.seating import Post, line_of, opening_of, posts_of
from bookings.statuses import ACTIVE_BOOKING
from studio.actors import Actor


@dataclass(frozen=True, slots=True)
class Gap:
    """A place of a standing booking that nobody holds: what for, and how many are missing."""

    purpose: str
    missing: int


def stand_ins(claim: Claim, *, now: datetime, refused: Collection[int] = ()) -> list[Resource]:
    """The Resources that could do the same at the same time, in the studio's order of preference.

    Whoever has a part in the booking at that time is left out, and so are those named in `refused`.
    """
    booking = claim.booking
    cast = holds.cast_of(booking)
    able = _able(cast, booking, claim, now=now) - {claim.resource_id, *refused, *_seated_beside(claim)}
    return list(Resource.objects.filter(pk__in=able).order_by("position", "name", "pk"))


def swap(*, claim_id: int, resource_id: int, by: Actor, now: datetime, reason: str = "") -> Claim:
    """Give one place of a booking to another Resource. Raises NotNow when that one is not free any more."""
    first = Claim.objects.select_related("booking__session_type", "booking__location").get(pk=claim_id)
    cast = holds.cast_of(first.booking)

    def attempt() -> Claim | None:
        booking = Booking.objects.select_for_update(of=("self",)).get(pk=first.booking_id)
        holds.lock_resources(cast)
        holds.expire_due(now=now, resource_ids=cast.resource_ids)
        claim = Claim.objects.select_related("booking__session_type", "booking__location", "resource").get(
            pk=claim_id
        )
        if booking.status not in ACTIVE_BOOKING or not claim.is_active:
            return None
        to = next((one for one in stand_ins(claim, now=now) if one.pk == resource_id), None)
        if to is None:
            return None
        Claim.objects.filter(pk=claim.pk).update(is_active=False)
        taken = Claim.objects.create(
            booking=booking,
            resource=to,
            starts_at=claim.starts_at,
            ends_at=claim.ends_at,
            works_from=claim.works_from,
            works_until=claim.works_until,
            purpose=claim.purpose,
            is_shoot=claim.is_shoot,
        )
        words = f"{claim.purpose}: {claim.resource.name} → {to.name}. {reason}".strip()
        note(booking, "stand_in", words, by=by, now=now)
        return taken

    taken = holds.seated(attempt)
    if taken is None:
        raise NotNow(_("That one is not free any more. Please look again."))
    return taken


def gaps(booking: Booking) -> list[Gap]:
    """The places that nobody holds, in the order of the day. Empty for a booking that is whole."""
    held = list(booking.claims.filter(is_active=True).values_list("purpose", "is_shoot", "resource__skills"))
    found = []
    for step in holds.cast_of(booking).chain.steps:
        for need in step.needs:
            have = sum(row == (step.purpose, step.is_shoot, need.skill_id) for row in held)
            if have < need.count:
                found.append(Gap(step.purpose, need.count - have))
    return found


def _able(cast: Cast, booking: Booking, claim: Claim, *, now: datetime) -> set[int]:
    """Everybody who fits a post of the claim's step at the booking's own time."""
    leeway = Leeway.OVERRIDE if booking.override_reason else Leeway.STAFF
    asked = availability.enquire(cast, booking.starts_at, now=now, ignoring=booking.pk, leeway=leeway)
    day = asked.day()
    board = filled(cast, day, now=now, ignoring=booking.pk)
    line = line_of(board)
    minute = line.floor(booking.starts_at)
    posts = _posts_of(claim, posts_of(board, line, opening_of(board, line)))
    return {pk for post in posts for pk, fits in post.fits.items() if minute >= 0 and fits >> minute & 1}


def _posts_of(claim: Claim, posts: Sequence[Post]) -> list[Post]:
    """The posts a claim fills: of its own step, and of a skill its Resource has, whether or not it is still booked."""
    skills = set(claim.resource.skills.values_list("pk", flat=True))
    return [
        post
        for post in posts
        if (post.step.purpose, post.step.is_shoot) == (claim.purpose, claim.is_shoot)
        and post.need.skill_id in skills
    ]


def _seated_beside(claim: Claim) -> set[int]:
    """Who has another part in the same booking that is not over, or not begun, when this one is."""
    beside = Q(starts_at__lt=claim.ends_at, ends_at__gt=claim.starts_at)
    others = Claim.objects.filter(beside, booking=claim.booking_id, is_active=True).exclude(pk=claim.pk)
    return set(others.values_list("resource", flat=True))
