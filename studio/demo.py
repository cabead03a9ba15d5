"""The whole studio on one machine from one command, for looking around: `manage.py demo`.

Starts the embedded services, migrates, then runs the site, the workers, beat and the Stripe test server,
fills the studio with invented bookings, and keeps all of it running until Ctrl-C. Nothing here is meant for
production. Everything it writes is below `<LIKENESS_DATA>/demo`. No Django is loaded in this process.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from studio import embedded
from studio.embedded import EmbeddedError
from studio.processes import Child, tail

PROJECT = Path(__file__).resolve().parent.parent
NEEDED_BYTES = 1_000_000_000
READY_SECONDS = 90.0
STEADY_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 30.0


class Stop(BaseException):
    """Somebody asked the demo to end."""


def main(arguments: list[str]) -> int:
    """Run the demo until Ctrl-C. Every expected failure is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(prog="manage.py demo", description=main.__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))
    parser.add_argument("--reset", action="store_true", help="throw away the demo's data first")
    options = parser.parse_args(arguments)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _stop)
    try:
        Demo(folder=demo_folder(), port=options.port).run(reset=options.reset)
    except Stop:
        print("\nThe demo has ended; its data is kept.", flush=True)
    except EmbeddedError as error:
        print(f"The demo cannot run: {error}", file=sys.stderr, flush=True)
        return 1
    except OSError as error:
        print(f"The demo cannot run: {_disk_sentence(error)}", file=sys.stderr, flush=True)
        return 1
    return 0


def _stop(signum: int, frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the clean end
    raise Stop


def _disk_sentence(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror}{where}."


def demo_folder() -> Path:
    """Where the demo keeps everything."""
    return Path(os.environ.get("LIKENESS_DATA") or PROJECT / "var").absolute() / "demo"


def join_running_demo() -> None:
    """Let any other `manage.py` command work on the demo while it runs, unless a database is named."""
    if "DATABASE_URL" in os.environ:
        return
    try:
        running = json.loads((demo_folder() / "running.json").read_text())
        os.kill(int(running["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return
    for name, value in running["environment"].items():
        os.environ.setdefault(name, value)


@dataclass(slots=True)
class Kept:
    """A child that is started again when it ends, each time after a longer pause."""

    child: Child
    pause: float = 1.0
    started: float = 0.0
    due: float | None = None

    def start(self) -> None:
        """Start it now."""
        self.child.start()
        self.started = time.monotonic()
        self.due = None

    def look_after(self) -> None:
        """Notice an end, plan the next start, and start when it is due."""
        now = time.monotonic()
        if self.due is None and not self.child.is_running:
            if now - self.started > STEADY_SECONDS:
                self.pause = 1.0
            code = self.child.process.returncode if self.child.process else "?"
            print(
                f"{self.child.name} has ended ({_ending(code)}); starting it again in {self.pause:.0f} s. "
                f"Log: {self.child.log}",
                flush=True,
            )
            self.due = now + self.pause
            self.pause = min(self.pause * 2, LONGEST_PAUSE_SECONDS)
        elif self.due is not None and now >= self.due:
            self.child.finish_stopping(until=now)  # what its process group left behind
            try:
                self.start()
            except (EmbeddedError, OSError) as error:
                print(f"{self.child.name} cannot start: {error}", flush=True)
                self.due = now + self.pause


def _ending(code: int | str) -> str:
    if isinstance(code, int) and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


@dataclass(slots=True)
class Demo:
    """One demo: its folder, its addresses, its processes."""

    folder: Path
    port: int
    stripe_port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def signins(self) -> Path:
        """Written by `seed_demo` as its last act."""
        return self.folder / "signins.json"

    def run(self, *, reset: bool) -> None:
        """Start everything, say where it is, and look after it. Ends by Stop or EmbeddedError."""
        began = time.monotonic()
        if given := [name for name in ("DATABASE_URL", "REDIS_URL", "STORAGE_URL") if os.environ.get(name)]:
            raise EmbeddedError(f"{given[0]} is set, and the demo must not fill real servers; unset it.")
        self.folder.mkdir(parents=True, exist_ok=True)
        with embedded.locked(self.folder, holds="a demo is already running in {folder} (process {pid})."):
            if reset or not self.signins.exists():  # a first run that was cut short is begun again
                self.throw_away()
            check_disk(self.folder)
            check_port(self.port)
            self.stripe_port = free_port(beside=self.port)
            say("Starting PostgreSQL and Valkey …")
            with embedded.services(folder=self.folder / "services") as services:
                for note in services.notes:
                    say(note)
                self.kept = [Kept(server, started=time.monotonic()) for server in services.servers]
                self.environment = self.settings() | services.environment
                with self.announced(), self.stopping():
                    self.start()
                    self.say_where(seconds=time.monotonic() - began)
                    self.look_after()

    def throw_away(self) -> None:
        """Delete what earlier runs kept."""
        embedded.remove(self.folder / "services")
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def settings(self) -> dict[str, str]:
        """The environment of the demo's processes. The keys are made once: sign-ins survive a restart."""
        return {
            "LIKENESS_DEMO": "1",
            "LIKENESS_DATA": str(self.folder),
            "DEBUG": "0",
            "SECRET_KEY": self.secret("secret-key"),
            "SITE_URL": self.address,
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "STORAGE_URL": f"file://{quote(str(self.folder / 'media'))}",
            "STRIPE_SECRET_KEY": "sk_test_" + self.secret("stripe-key"),
            "STRIPE_WEBHOOK_SECRET": "whsec_" + self.secret("stripe-webhook"),
            "STRIPE_API_BASE": f"http://127.0.0.1:{self.stripe_port}",
            "CHECKOUT_ORIGINS": f"http://127.0.0.1:{self.stripe_port}",
            "VIPS_CONCURRENCY": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def secret(self, name: str) -> str:
        """A random key, made on first use and kept for this account only."""
        path = self.folder / "secrets" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32))
        return path.read_text()

    @contextlib.contextmanager
    def announced(self) -> Iterator[None]:
        """While it runs, other `manage.py` commands find the demo's settings here."""
        path = self.folder / "running.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"pid": os.getpid(), "environment": self.environment}))
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def stopping(self) -> Iterator[None]:
        """End our processes, side by side, before the services end."""
        services = len(self.kept)
        try:
            yield
        finally:
            if sys.exc_info()[0] is Stop:
                say("\nStopping …")
            embedded.stop_together([kept.child for kept in self.kept[services:]], seconds=6.0)

    def start(self) -> None:
        """Bring the database and the static files up to date, fill the studio once, start every process.

        The studio is filled before the workers run: `seed_demo` does their work itself, at invented times.
        """
        self.manage(
            ["migrate", "--noinput", "--verbosity", "0"], ["collectstatic", "--noinput", "--verbosity", "0"]
        )
        stripe, *others = [Kept(child) for child in self.children()]
        self.keep(stripe)
        if not self.signins.exists():
            say("Filling the studio with invented people and bookings (only the first time) …")
            self.manage(["seed_demo"])
        say("Starting the site, the workers and beat …")
        for kept in others:
            self.keep(kept)
        self.wait_until_ready()

    def keep(self, kept: Kept) -> None:
        """Start it and look after it from now on."""
        self.kept.append(kept)
        kept.start()

    def manage(self, *commands: list[str]) -> None:
        """Run `manage.py` commands side by side. Raises EmbeddedError when one fails."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        runs = [
            self.child(words[0], [PROJECT / "manage.py", *words], log=logs / f"{words[0]}.log")
            for words in commands
        ]
        try:
            for run in runs:
                run.log.unlink(missing_ok=True)
                run.start()
            for run in runs:
                if run.process is not None and run.process.wait() != 0:
                    raise EmbeddedError(self.why(f"`manage.py {run.name}` failed", run.log))
        finally:
            embedded.stop_together(runs, seconds=3.0)

    def why(self, what: str, log: Path) -> str:
        """One sentence out of a log."""
        words = tail(log, lines=40)
        if any(sign in words for sign in ("No space left on device", "StorageFull", "DiskFull")):
            return f"the disk that holds {self.folder} is full."
        lines = [line for line in words.splitlines() if line.strip()]
        return f"{what}: {lines[-1].strip() if lines else 'it said nothing'} (see {log})."

    def child(self, name: str, words: list[str | Path], *, log: Path | None = None) -> Child:
        """A Python process of ours."""
        return Child(
            name=name,
            command=[sys.executable, *map(str, words)],
            log=log or self.folder / "logs" / f"{name}.log",
            environment=os.environ | self.environment,
            folder=PROJECT,
        )

    def children(self) -> list[Child]:
        """The processes of production, plus the Stripe test server."""
        cores = os.cpu_count() or 2
        stripe = self.child("stripe", ["-m", "devtools.stripe_server", *self.stripe_options()])
        web = self.child("web", ["-m", "gunicorn", "studio.wsgi:application", *self.web_options()])
        workers = [self.worker("quick", 2), self.worker("images", max(1, min(cores, 8)))]
        beat = self.celery("beat", ["beat", "--schedule", str(self.folder / "beat-schedule"), "--pidfile="])
        return [stripe, web, *workers, beat]

    def stripe_options(self) -> list[str]:
        return [
            *("--port", str(self.stripe_port)),
            *("--webhook-url", f"{self.address}/webhooks/stripe"),
            *("--webhook-secret", self.environment["STRIPE_WEBHOOK_SECRET"]),
            *("--data", str(self.folder / "stripe")),
        ]

    def web_options(self) -> list[str]:
        return [
            *("--bind", f"127.0.0.1:{self.port}"),
            *("--worker-class", "gthread", "--workers", "2", "--threads", "8"),
            *("--graceful-timeout", "3", "--access-logfile", "-", "--no-control-socket"),
            *("--logger-class", "studio.access_log.AccessLog", "--worker-tmp-dir", str(self.folder / "logs")),
        ]

    def worker(self, queue: str, concurrency: int) -> Child:
        """One worker process group; it alone takes from its queue."""
        options = ["--queues", queue, "--hostname", f"{queue}@likeness", "--concurrency", str(concurrency)]
        quiet = ["--prefetch-multiplier", "1", "--without-gossip", "--without-mingle"]
        return self.celery(f"worker-{queue}", ["worker", *options, *quiet])

    def celery(self, name: str, words: list[str]) -> Child:
        """An orphaned worker is killed at once: its jobs are rows, and its children follow it."""
        child = self.child(name, ["-m", "celery", "-A", "studio", *words, "--loglevel", "INFO"])
        child.orphan_signal = signal.SIGKILL
        return child

    def wait_until_ready(self) -> None:
        """Return when the site answers. Raises EmbeddedError when it does not come up."""
        until = time.monotonic() + READY_SECONDS
        web = next(kept.child for kept in self.kept if kept.child.name == "web")
        while not answers(f"{self.address}/healthz"):
            if not web.is_running:
                raise EmbeddedError(self.why("the site ended", web.log))
            if time.monotonic() > until:
                raise EmbeddedError(
                    self.why(f"the site did not answer within {READY_SECONDS:.0f} s", web.log)
                )
            time.sleep(0.1)

    def say_where(self, *, seconds: float) -> None:
        """Print the addresses and sign-ins of the users."""
        say(f"\nLikeness is running (ready after {seconds:.0f} s).\n")
        for line in signin_lines(self.signins):
            say(line)
        stripe = self.environment["STRIPE_API_BASE"]
        say(f"\n  Payments go to a Stripe test server ({stripe}): no money moves.")
        say(f"  Logs: {self.folder / 'logs'}")
        say("  Stop with Ctrl-C; `make demo` continues where it was, `make demo-reset` starts over.")

    def look_after(self) -> None:
        """Until Stop: start again what has ended."""
        while True:
            for kept in self.kept:
                kept.look_after()
            time.sleep(0.25)


def signin_lines(path: Path) -> list[str]:
    """The sign-ins that `seed_demo` wrote, one block per user."""
    lines = []
    for entry in json.loads(path.read_text()):
        lines.append(f"  {entry['who']}: {entry['address']}")
        if entry.get("user"):
            lines.append(f"      sign in as {entry['user']} with {entry['password']}")
        if entry.get("note"):
            lines.append(f"      {entry['note']}")
    return lines


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def check_disk(folder: Path) -> None:
    """Raise EmbeddedError when the disk is too full to begin."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise EmbeddedError(
            f"the disk that holds {folder} has {free // 1_000_000} MB free, "
            f"and {NEEDED_BYTES // 1_000_000} MB are needed."
        )


def check_port(port: int) -> None:
    """Raise EmbeddedError when another program listens there."""
    if not _is_free(port):
        raise EmbeddedError(
            f"port {port} is taken by another program; free it, or `make demo PORT={port + 10}`."
        )


def free_port(*, beside: int) -> int:
    """The next free port, so that addresses stay the same from run to run when they can."""
    for port in range(beside + 1, beside + 10):
        if _is_free(port):
            return port
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise EmbeddedError(f"port {port} may only be used by root; choose one above 1023.") from error
        except OverflowError as error:
            raise EmbeddedError(f"{port} is not a port number; choose one from 1024 to 65535.") from error
        except OSError:
            return False
    return True


def answers(url: str) -> bool:
    """Whether the address answers with success."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # a proxy knows nothing of our loopback
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
