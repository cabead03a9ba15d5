"""How often somebody may try. Counted in PostgreSQL in fixed windows, before anything costly is done."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.http import HttpRequest

from studio.models import Throttle


def allow(key: str, *, limit: int, per: timedelta, now: datetime) -> bool:
    """Count one try of `key`; False once the window's limit is passed. Two processes never share a count."""
    seconds = int(per.total_seconds())
    starts_at = datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, tz=now.tzinfo)
    Throttle.objects.bulk_create(
        [Throttle(key=key, window_starts_at=starts_at, count=0)], ignore_conflicts=True
    )
    row = Throttle.objects.filter(key=key, window_starts_at=starts_at)
    row.update(count=F("count") + 1)
    return row.values_list("count", flat=True).get() <= limit


def network(request: HttpRequest) -> str:
    """The address a request comes from; X-Forwarded-For counts only from as many proxies as are trusted."""
    trusted = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    if trusted and len(hops) >= trusted:
        return hops[-trusted]
    return str(request.META.get("REMOTE_ADDR", ""))


def sweep(*, now: datetime) -> int:
    """Forget windows that are over."""
    return Throttle.objects.filter(window_starts_at__lt=now - timedelta(days=2)).delete()[0]
