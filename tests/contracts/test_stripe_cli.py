"""Stripe's own CLI against the test server: its `trigger` replays Stripe's fixtures and must not notice a difference.

The CLI comes from npm into `var/node`. Without npm these tests are skipped, and fail where CI is set.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe

from devtools.stripe_server import Receiver, StripeControl, receiving, running

VERSION = "1.52.0"
FOLDER = Path(__file__).resolve().parents[2] / "var" / "node" / f"stripe-cli-{VERSION}"
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

EVENTS = {  # what is triggered → an event the server must have sent
    "checkout.session.completed": "checkout.session.completed",
    "checkout.session.expired": "checkout.session.expired",
    "checkout.session.async_payment_succeeded": "checkout.session.async_payment_succeeded",
    "payment_intent.created": "payment_intent.created",
    "payment_intent.succeeded": "payment_intent.succeeded",
    "payment_intent.payment_failed": "payment_intent.payment_failed",
    "payment_intent.canceled": "payment_intent.canceled",
    "payment_intent.requires_action": "payment_intent.requires_action",
    "payment_intent.amount_capturable_updated": "payment_intent.amount_capturable_updated",
    "payment_intent.processing": "payment_intent.processing",
    "charge.succeeded": "charge.succeeded",
    "charge.failed": "charge.failed",
    "charge.captured": "charge.captured",
    "charge.refunded": "charge.refunded",
    "charge.refund.updated": "charge.refund.updated",
    "customer.created": "customer.created",
    "customer.updated": "customer.updated",
    "customer.deleted": "customer.deleted",
    "product.created": "product.created",
    "product.updated": "product.updated",
    "price.created": "price.created",
    "price.updated": "price.updated",
    "payment_method.attached": "payment_method.attached",
}


def missing(reason: str) -> None:
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def stripe_cli() -> Path:
    """The CLI's binary. npm's package is a small starter with one package per platform beside it; the binary is
    called directly, so node is only needed to fetch it."""
    binary = FOLDER / "node_modules" / "@stripe" / _platform_package() / "bin" / "stripe"
    if binary.exists():
        return binary
    npm = shutil.which("npm")
    if npm is None:
        missing("No npm: install Node.js to try Stripe's own CLI against the test server.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _install(str(npm))
    if not binary.exists():
        missing(f"npm brought no Stripe CLI for this machine ({_platform_package()}).")
    return binary


def _platform_package() -> str:
    system = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}.get(platform.system(), "unknown")
    machine = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    return f"cli-{system}-{machine.get(platform.machine(), 'unknown')}"


def _install(npm: str) -> None:
    command = [npm, "install", "--prefix", str(FOLDER), "--no-save", "--no-package-lock", "--ignore-scripts"]
    command += ["--no-audit", "--no-fund", "--loglevel=error", f"@stripe/cli@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        missing(f"npm could not fetch @stripe/cli {VERSION}: {done.stderr.strip().splitlines()[-1:]}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def server(receiver: Receiver) -> Iterator[StripeControl]:
    with running(webhook_url=receiver.url) as control:
        yield control


def trigger(cli: Path, server: StripeControl, event: str, home: Path) -> subprocess.CompletedProcess[str]:
    """`stripe trigger` with a home of its own, so that nobody's configuration is read or written."""
    command = [str(cli), "trigger", event, "--api-key", server.api_key, "--api-base", server.url]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize("event", EVENTS)
def test_stripe_cli_triggers_an_event(stripe_cli, server, receiver, tmp_path, event):
    done = trigger(stripe_cli, server, event, tmp_path)
    assert "Trigger succeeded!" in done.stdout, f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0
    bell = receiver.wait_for(EVENTS[event])[0]
    parsed = stripe.Webhook.construct_event(bell.body, bell.signature, server.webhook_secret)
    assert parsed.type == EVENTS[event]


def test_stripe_cli_pays_a_checkout_session(stripe_cli, server, tmp_path):
    trigger(stripe_cli, server, "checkout.session.completed", tmp_path)
    client = stripe.StripeClient(server.api_key, base_addresses={"api": server.url})
    session = client.v1.checkout.sessions.list(params={"expand": ["data.payment_intent"]}).data[0]
    assert (session.status, session.payment_status, session.amount_total) == ("complete", "paid", 3000)
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    assert session.payment_intent.amount_received == 3000
    assert [r["status"] for r in server.requests() if r["fault"] is None][:6] == [200] * 6


def test_stripe_cli_is_refused_with_a_foreign_key(stripe_cli, server, tmp_path):
    other = StripeControl(server.url, "sk_test_somebody_elses")
    done = trigger(stripe_cli, other, "customer.created", tmp_path)
    assert done.returncode != 0
    assert "Invalid API Key provided" in done.stdout + done.stderr
    assert server.events() == []
