"""How often somebody may try. Counted in PostgreSQL in fixed windows, before anything costly is done."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.http import HttpRequest

from studio.models import Throttle

# Django has no upsert that adds to what is there; in one statement no two tries read the same count.
ONE_MORE = """
    INSERT INTO studio_throttle AS kept (key, window_starts_at, count) VALUES (%s, %s, 1)
    ON CONFLICT (key, window_starts_at) DO UPDATE SET count = kept.count + 1 RETURNING count
"""


def allow(key: str, *, limit: int, per: timedelta, now: datetime) -> bool:
    """Count one try of `key`; False once the window's limit is passed. Two processes never share a count."""
    seconds = int(per.total_seconds())
    starts_at = datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, tz=now.tzinfo)
    with connection.cursor() as cursor:
        cursor.execute(ONE_MORE, [key, starts_at])
        (count,) = cursor.fetchone()
    return int(count) <= limit


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
