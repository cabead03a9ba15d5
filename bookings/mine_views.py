"""All bookings of one mail address on one page, opened by a link that was mailed to that address."""

import hashlib
from datetime import datetime, timedelta

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from bookings.models import Booking, Client
from bookings.statuses import BookingStatus
from studio import credentials
from studio.views import dead_link

REMEMBERED = timedelta(days=400)  # after the session; then a mailed link opens it no more
SHOWN = (BookingStatus.CONFIRMED, BookingStatus.REQUESTED, BookingStatus.CANCELLED)


def address_key(email: str) -> str:
    """What stands in the page's address for a mail address: it says nothing about it."""
    return hashlib.sha256(f"mine:{email.strip().lower()}".encode()).hexdigest()[:24]


def bookings_for(email: str, *, now: datetime) -> list[Booking]:
    """Every booking this address pays for or sits in and that is remembered, the latest first."""
    people = Client.objects.filter(email__iexact=email, erased_at=None)
    rows = Booking.objects.filter(Q(payer__in=people) | Q(shoots__sitter__in=people), status__in=SHOWN)
    rows = rows.filter(ends_at__gt=now - REMEMBERED)
    return list(rows.select_related("session_type", "location", "payer").distinct().order_by("-starts_at"))


def _email_of(request: HttpRequest, key: str, *, now: datetime) -> str:
    """The address whose link this browser opened. Raises Http404."""
    credential = credentials.opened(request, scope="mine", target=key, now=now)
    holder = (
        Client.objects.filter(pk=credential.holder_id or 0, erased_at=None).first() if credential else None
    )
    if holder is None or address_key(holder.email) != key:
        raise Http404
    return holder.email


@require_GET
def mine(request: HttpRequest, key: str) -> HttpResponse:
    """The list; each opens its own private page."""
    now = timezone.now()
    try:
        email = _email_of(request, key, now=now)
    except Http404:
        return dead_link(request, scope="mine", target=key)
    found = bookings_for(email, now=now)
    context = {
        "key": key,
        "email": email,
        "coming": [
            row for row in reversed(found) if row.ends_at > now and row.status != BookingStatus.CANCELLED
        ],
        "past": [row for row in found if row.ends_at <= now or row.status == BookingStatus.CANCELLED],
    }
    return render(request, "bookings/mine.html", context)


@require_POST
def open_mine(request: HttpRequest, key: str, public_id: str) -> HttpResponse:
    """From the list to one booking, as the person of this address who pays for it or sits in it."""
    now = timezone.now()
    email = _email_of(request, key, now=now)
    booking = next((row for row in bookings_for(email, now=now) if row.public_id == public_id), None)
    if booking is None:
        raise Http404
    people = Client.objects.filter(email__iexact=email, erased_at=None)
    holder = (
        people.filter(Q(pk=booking.payer_id) | Q(shoots__booking=booking)).distinct().order_by("pk").first()
    )
    assert holder is not None  # bookings_for found it through one of them
    given = credentials.grant(
        scope="booking", target=public_id, now=now, holder_id=holder.pk, holder_label=holder.name
    )
    credentials.remember(request, given.credential, now=now)
    return redirect("booking", public_id)
