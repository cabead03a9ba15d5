"""Calendars elsewhere: a busy feed into each Resource, and a secret feed of its own time out of it.

In: a row says when to look again; a worker fetches outside any transaction and replaces the Busy rows of the feed at
once. What was read last stays while a calendar cannot be read: old truth is better than none, and the desk says so.
Out: an address with a secret, stored hashed and revocable. It carries times, what for and, for people, a first name.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _
from icalendar import Calendar, Event

from bookings import clashes
from bookings.busy_times import BusyTimes, Unreadable, read_apart
from bookings.models import Busy, BusyFeed, Claim, Resource, ResourceKind
from bookings.refusals import NotNow
from bookings.statuses import STANDING, BookingStatus
from studio import credentials
from studio.actors import Actor
from studio.background import ring_on_commit
from studio.fetching import Fetcher, FetchRefused
from studio.models import Credential, Location

SOURCE = clashes.SOURCE
SCOPE = "calendar"
EVERY = timedelta(minutes=15)
BACKOFF = [timedelta(minutes=minutes) for minutes in (15, 30, 60, 180, 360)]
BEHIND, AHEAD = timedelta(days=1), timedelta(days=400)
SHOWN_BEHIND = timedelta(days=30)
FETCH_SECONDS = 12.0  # for the whole answer; a slow one is tried again later
LINK_LASTS = timedelta(days=3650)


def fetcher() -> Fetcher:
    """How calendars are fetched here: https from the open internet, http only where the studio says so."""
    return Fetcher(allows_http=settings.CALENDAR_ALLOWS_HTTP, seconds=FETCH_SECONDS)


# --- in -----------------------------------------------------------------------------------------------------


def follow(*, resource_id: int, url: str, by: Actor, now: datetime) -> BusyFeed:
    """Read a calendar from now on; `webcal:` means https. What another address said counts until this one is read for
    the first time: a wrong one must not free somebody's time. Raises NotNow for an address that is not read."""
    url = url.strip()
    if url.lower().startswith("webcal://"):
        url = "https://" + url[len("webcal://") :]
    try:
        fetcher().check(url)
    except FetchRefused as refused:
        raise NotNow(refused.sentence) from refused
    with transaction.atomic():
        Resource.objects.select_for_update(of=("self",)).get(pk=resource_id)
        feed, is_new = BusyFeed.objects.get_or_create(
            resource_id=resource_id, defaults={"url": url, "next_fetch_at": now}
        )
        if not is_new and feed.url != url:
            feed.url, feed.fetched_at, feed.failures, feed.last_error = url, None, 0, ""
        feed.next_fetch_at = now
        feed.save()
        _ring()
        return feed


def forget(*, resource_id: int, by: Actor, now: datetime) -> bool:
    """Stop reading; what it kept busy is free. False if nothing was read."""
    with transaction.atomic():
        Resource.objects.select_for_update(of=("self",)).get(pk=resource_id)
        Busy.objects.filter(resource=resource_id, source=SOURCE).delete()
        return BusyFeed.objects.filter(resource=resource_id).delete()[0] > 0


def ask_now(*, resource_id: int, now: datetime) -> None:
    """Look again as soon as a worker is free."""
    with transaction.atomic():
        BusyFeed.objects.filter(resource=resource_id).update(next_fetch_at=now)
        _ring()


def _ring() -> None:
    from bookings.tasks import fetch_calendars

    ring_on_commit(fetch_calendars)


def fetch_next(*, now: datetime, by: Fetcher | None = None) -> bool:
    """Read the calendar that is due longest. False when none is due. Nothing a calendar holds can stop the others."""
    with transaction.atomic():
        feed = (
            BusyFeed.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(next_fetch_at__lte=now, resource__is_active=True)
            .select_related("resource__location")
            .order_by("next_fetch_at", "pk")
            .first()
        )
        if feed is None:
            return False
        # Written before it is read: one that kills its worker waits longer each time, like any other failure.
        _put_off(feed, _("It could not be read to its end."), now=now)
    try:
        body = (by or fetcher()).get(feed.url)
        found = read_apart(
            body,
            zone=_clock_of(feed.resource),
            from_at=now - BEHIND,
            until_at=now + AHEAD,
            ours=_domain(feed.resource),
        )
    except (FetchRefused, Unreadable) as refused:
        _put_off(feed, refused.sentence, now=now)
    else:
        _replace(feed, found, now=now)
    return True


def _clock_of(resource: Resource) -> str:
    """The clock of dates without a zone: where it stands, or where the person works first."""
    if resource.location is not None:
        return resource.location.zone
    hours = resource.hours.select_related("location").order_by("weekday", "starts_at").first()
    place = hours.location if hours else Location.objects.filter(is_active=True).first()
    return place.zone if place else "UTC"


def _replace(feed: BusyFeed, found: BusyTimes, *, now: datetime) -> None:
    """The feed's Busy rows are these and no others, in one step under the Resource's lock."""
    with transaction.atomic():
        Resource.objects.select_for_update(of=("self",)).get(pk=feed.resource_id)
        is_same = BusyFeed.objects.filter(pk=feed.pk, url=feed.url).update(
            fetched_at=now,
            next_fetch_at=now + EVERY,
            failures=0,
            last_error="",
            event_count=found.events,
            skipped_count=found.skipped,
        )
        if not is_same:  # another address was typed meanwhile, or none
            return
        Busy.objects.filter(resource=feed.resource_id, source=SOURCE).delete()
        Busy.objects.bulk_create(
            Busy(resource_id=feed.resource_id, starts_at=begins, ends_at=ends, source=SOURCE)
            for begins, ends in found.spans
        )
        clashes.tell(resource_id=feed.resource_id, now=now)


def _put_off(feed: BusyFeed, sentence: str, *, now: datetime) -> None:
    failures = min(feed.failures + 1, 30_000)
    wait = BACKOFF[min(failures, len(BACKOFF)) - 1]
    BusyFeed.objects.filter(pk=feed.pk, url=feed.url).update(
        failures=failures, last_error=sentence[:300], next_fetch_at=now + wait, tried_at=now
    )


# --- out ----------------------------------------------------------------------------------------------------


def open_link(*, resource: Resource, by: Actor, now: datetime) -> str:
    """A fresh secret address of a Resource's own calendar. It exists only now: the row keeps its hash."""
    granted = credentials.grant(
        scope=SCOPE, target=resource.public_id, now=now, holder_label=str(by), lifetime=LINK_LASTS
    )
    token = granted.url.rstrip("/").rsplit("/", 1)[-1]
    return settings.SITE_URL + reverse("calendar_feed", args=[token])


def close_links(*, resource: Resource, by: Actor, now: datetime) -> int:
    """Whoever follows the calendar gets nothing any more. Returns how many addresses were closed."""
    return credentials.revoke(scope=SCOPE, target=resource.public_id, now=now)


def feed_text(token: str, *, now: datetime) -> str | None:
    """The calendar behind a secret address; None for one that is wrong, closed or of something else."""
    credential = credentials.find(token, now=now)
    if credential is None or credential.scope != SCOPE:
        return None
    resource = Resource.objects.filter(public_id=credential.target, is_active=True).first()
    if resource is None:
        return None
    Credential.objects.filter(pk=credential.pk).update(last_used_at=now)
    return calendar_text(resource, now=now)


def calendar_text(resource: Resource, *, now: datetime) -> str:
    """What a Resource does, from a month back to as far as anybody can book (RFC 5545)."""
    calendar = Calendar()
    calendar.add("prodid", "-//Likeness//Calendar//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", resource.name)
    for event in _events(resource, now=now):
        calendar.add_component(event)
    return str(calendar.to_ical().decode())


def _events(resource: Resource, *, now: datetime) -> Iterator[Event]:
    claims = (
        Claim.objects.filter(
            resource=resource,
            is_active=True,
            booking__status__in=STANDING,
            ends_at__gt=now - SHOWN_BEHIND,
            starts_at__lt=now + AHEAD,
        )
        .select_related("booking__location", "booking__session_type")
        .prefetch_related("booking__shoots__sitter")
        .order_by("works_from", "pk")
    )
    numbers: dict[int, int] = {}
    for claim in claims:
        numbers[claim.booking_id] = number = numbers.get(claim.booking_id, 0) + 1
        event = Event()
        event.add("uid", f"{claim.booking.public_id}.{number}{_domain(resource)}")
        event.add("sequence", claim.booking.ics_sequence)
        event.add("dtstamp", now)
        event.add("dtstart", claim.starts_at)
        event.add("dtend", claim.ends_at)
        event.add("summary", _summary(resource, claim))
        event.add("location", claim.booking.location.name)
        event.add("status", "CONFIRMED" if claim.booking.status == BookingStatus.CONFIRMED else "TENTATIVE")
        event.add("transp", "OPAQUE")
        event.add("class", "PRIVATE")
        yield event


def _summary(resource: Resource, claim: Claim) -> str:
    """What for, and for people who comes, by first name: a calendar lies open on phones and walls."""
    shoot = next(iter(claim.booking.shoots.all()), None)
    words = [claim.purpose]
    if shoot is not None and resource.kind == ResourceKind.PERSON and shoot.sitter is not None:
        words.append(shoot.sitter.greeting_name)
    if shoot is not None:
        words.append(shoot.code)
    return " · ".join(words)


def _domain(resource: Resource) -> str:
    """The end of the UIDs we write for a Resource: read back from outside, they are known as our own."""
    return f"@{resource.public_id}.claim.likeness"
