"""A gallery that receives frames, for benches, with a store of its own; nothing of either is left behind."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.test import override_settings

from bookings.models import Booking, Client, SessionType, Shoot
from bookings.statuses import BookingStatus, ShootStatus
from galleries.models import Gallery
from studio.models import Location
from studio.storage import storages_from_url


@contextmanager
def bench_store(prefix: str) -> Iterator[Path]:
    """An empty store in a folder beside the data, used by this process while the block runs."""
    home = Path(settings.DATA) / "bench"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=prefix) as folder:
        stores = storages_from_url(f"file://{folder}/media", "/unused")
        with override_settings(STORAGES=settings.STORAGES | stores):
            yield Path(folder)


@contextmanager
def receiving_gallery(slug: str) -> Iterator[Gallery]:
    """A paid booking whose shoot is going on. All its rows are removed afterwards."""
    now = datetime.now(UTC)
    location = Location.objects.create(slug=slug, name="Bench", country="GB", zone="Europe/London")
    kind = SessionType.objects.create(slug=slug, name="Bench", minutes=60, price=1, finals_included=2)
    client = Client.objects.create(name="Bench", email="bench@example.test", created_at=now)
    booking = Booking.objects.create(
        payer=client,
        session_type=kind,
        location=location,
        status=BookingStatus.CONFIRMED,
        starts_at=now,
        ends_at=now + timedelta(hours=1),
        created_at=now,
        currency="GBP",
        session_fee=0,
        price=0,
        due_now=0,
        finals_included=2,
    )
    shoot = Shoot.objects.create(
        booking=booking,
        sitter=client,
        status=ShootStatus.CHECKED_IN,
        code=slug.upper()[:12],
        starts_at=booking.starts_at,
        ends_at=booking.ends_at,
    )
    try:
        yield Gallery.objects.create(shoot=shoot, finals_included=2, created_at=now)
    finally:
        _remove(booking, client, kind, location)


def _remove(booking: Booking, client: Client, kind: SessionType, location: Location) -> None:
    Gallery.objects.filter(shoot__booking=booking).delete()
    for row in (booking, client, kind, location):
        row.delete()
