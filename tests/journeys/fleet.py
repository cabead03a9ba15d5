"""The processes of production on this machine, for one test: web, workers, beat, a Stripe and a mail server.

They share the test's database, have a broker of their own (so a flush hurts nobody else) and stop with the test.
"""

import contextlib
import os
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from django.conf import settings
from django.db import connection
from redis import Redis

from devtools import stripe_server
from studio.embedded import stop_together
from studio.processes import Child
from tests.journeys.mailbox import Mailbox, receiving_mail

PROJECT = Path(settings.BASE_DIR)
PATIENCE = 120.0  # seconds; a busy machine is no failure
OWN_DATABASES = 32  # the other tests' brokers have lower numbers
QUIET = ["--prefetch-multiplier", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"]


def wait_until[T](what: str, ask: Callable[[], T], *, seconds: float = PATIENCE) -> T:
    """Ask until the answer is true, and return it. Raises TimeoutError with the last answer."""
    until = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: still {answer!r} after {seconds:.0f} s")
        time.sleep(0.1)
    return answer


@dataclass(slots=True)
class Fleet:
    """Running processes and what they are told. `stripe` and `mailbox` exist where a web server runs."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)
    site: str = ""
    stripe: stripe_server.StripeControl | None = None
    mailbox: Mailbox = field(default_factory=Mailbox)

    def child(self, name: str, *words: str) -> Child:
        """A Python process of ours, not started yet."""
        return Child(
            name=name,
            command=[sys.executable, *words],
            log=self.folder / f"{name}.log",
            environment=os.environ | self.environment,
            folder=PROJECT,
            stop_seconds=10,
        )

    def start(self, child: Child) -> Child:
        """Start it and stop it with the others."""
        child.start()
        self.children.append(child)
        return child

    def worker(self, queue: str, *words: str, concurrency: int = 1) -> Child:
        """A Celery worker for one queue, started."""
        options = ["--queues", queue, "--hostname", f"{queue}@journey", "--concurrency", str(concurrency)]
        child = self.child(
            f"worker-{queue}", "-m", "celery", "-A", "studio", "worker", *options, *QUIET, *words
        )
        child.orphan_signal = signal.SIGKILL
        return self.start(child)

    def manage(self, *words: str) -> Child:
        """A `manage.py` command, started."""
        return self.start(self.child(words[0], "manage.py", *words))

    def said(self, child: Child) -> str:
        """Everything a child wrote so far."""
        return child.log.read_text(errors="replace") if child.log.exists() else ""

    def kill(self, child: Child) -> None:
        """`kill -9`, the whole process group, as the machine's power would."""
        assert child.process is not None
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        self.children.remove(child)

    def stop(self) -> None:
        """End everything."""
        stop_together(self.children, seconds=15)

    @property
    def broker(self) -> Redis:
        """The broker itself, for a test that empties it."""
        url = self.environment["REDIS_URL"].replace("redis+socket", "unix").replace("virtual_host=", "db=")
        return Redis.from_url(url)


def addresses(folder: Path, *, site: str) -> dict[str, str]:
    """The environment of the fleet: this test's database, an own broker, cache and store."""
    database = urlsplit(os.environ["DATABASE_URL"])
    name = str(connection.settings_dict["NAME"])
    urls = {key: os.environ[key] for key in ("REDIS_URL", "CACHE_URL")}
    return {
        **{key: re.sub(r"((?:virtual_host|db)=|/)(\d+)$", _moved, url) for key, url in urls.items()},
        "DATABASE_URL": urlunsplit(database._replace(path=f"/{quote(name)}")),
        "SITE_URL": site,
        "ALLOWED_HOSTS": "127.0.0.1",
        "LIKENESS_DATA": str(folder),
        "STORAGE_URL": f"file://{folder / 'media'}",
        "LIKENESS_DEMO": "0",
        "SWEEP_SECONDS": "3",
        "VIPS_CONCURRENCY": "1",
        "LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
    }


def _moved(found: re.Match[str]) -> str:
    return f"{found[1]}{int(found[2]) + OWN_DATABASES}"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def workshop(folder: Path) -> Iterator[Fleet]:
    """A fleet without processes yet: its environment, and everything stopped at the end."""
    fleet = Fleet(folder, environment=addresses(folder, site="http://127.0.0.1:9"))
    fleet.broker.flushdb()
    try:
        yield fleet
    finally:
        fleet.stop()
        fleet.broker.flushdb()


@contextlib.contextmanager
def whole_studio(folder: Path) -> Iterator[Fleet]:
    """Everything runs: gunicorn, `quick` with beat, `images`; Stripe's webhooks and all mail arrive."""
    site = f"http://127.0.0.1:{free_port()}"
    stripe = stripe_server.running(webhook_url=f"{site}/webhooks/stripe")
    with workshop(folder) as fleet, stripe as fleet.stripe, receiving_mail() as fleet.mailbox:
        fleet.site = site
        fleet.environment = addresses(folder, site=site) | {
            "STRIPE_SECRET_KEY": fleet.stripe.api_key,
            "STRIPE_WEBHOOK_SECRET": fleet.stripe.webhook_secret,
            "STRIPE_API_BASE": fleet.stripe.url,
            "CHECKOUT_ORIGINS": fleet.stripe.url,
            "MAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(fleet.mailbox.port),
        }
        _start_all(fleet)
        yield fleet


def _start_all(fleet: Fleet) -> None:
    static = fleet.manage("collectstatic", "--noinput", "--verbosity", "0")
    fleet.worker("images")
    fleet.worker("quick", "--beat", "--schedule", str(fleet.folder / "beat"))
    assert static.process is not None
    assert static.process.wait(PATIENCE) == 0, fleet.said(static)
    options = ["--bind", urlsplit(fleet.site).netloc, "--worker-class", "gthread", "--threads", "8"]
    options += ["--no-control-socket", "--worker-tmp-dir", str(fleet.folder)]
    web = fleet.start(fleet.child("web", "-m", "gunicorn", "studio.wsgi:application", *options))
    wait_until(f"the site answers ({fleet.said(web)[-500:]})", lambda: _answers(f"{fleet.site}/healthz"))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
