"""Whether one process of production does its work: `python -m studio.alive web|worker|beat`, exit code 0 or 1.

For the health checks of containers, which have no curl. A worker is asked through the broker, beat by the age of
the last sweep that the database remembers.
"""

import json
import os
import socket
import sys
import urllib.request
from urllib.parse import urlsplit

SILENT_SECONDS = 300  # five missed rings


def site() -> dict[str, object]:
    """What /healthz tells. Raises OSError when the site does not answer with success."""
    host = urlsplit(os.environ.get("SITE_URL", "http://127.0.0.1:8000")).netloc
    port = int(os.environ.get("PORT") or 8000)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/healthz", headers={"Host": host})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=4) as response:
        told: dict[str, object] = json.load(response)
    return told


def worker(name: str) -> bool:
    """Whether the worker of this machine answers a ping."""
    from studio.celery import app

    return bool(app.control.ping(destination=[name], timeout=3))


def beat() -> bool:
    """Whether a sweep ran lately: beat rings it and a quick worker runs it."""
    import django
    from django.utils import timezone

    django.setup()
    from studio.models import Heartbeat

    last = Heartbeat.objects.filter(name="sweep").first()
    return last is not None and (timezone.now() - last.beat_at).total_seconds() < SILENT_SECONDS


def main(words: list[str]) -> int:
    """0 when alive, 1 when not, 2 for an unknown process."""
    match words:
        case ["web"]:
            try:
                return 0 if site().get("ok") is True else 1
            except (OSError, ValueError):
                return 1
        case ["worker"]:
            return 0 if worker(f"celery@{socket.gethostname()}") else 1
        case ["beat"]:
            return 0 if beat() else 1
    sys.stderr.write("usage: python -m studio.alive web|worker|beat\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
