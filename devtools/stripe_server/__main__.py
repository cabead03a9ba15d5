"""`python -m devtools.stripe_server`"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from .engine import Options
from .server import serve


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m devtools.stripe_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (any free one)")
    parser.add_argument("--public-url", help="what browsers call this server (its own address)")
    parser.add_argument("--webhook-url", help="where events are posted")
    parser.add_argument("--webhook-secret", default="", help="whsec_… that signs them")
    parser.add_argument(
        "--api-key", action="append", default=[], help="the only keys let in (any sk_test_ key)"
    )
    parser.add_argument("--data", type=Path, help="folder that keeps everything over a restart")
    parser.add_argument("--slow-seconds", type=float, default=8.0, help="how long a slow payment takes (8)")
    given = parser.parse_args()
    if given.webhook_url and not given.webhook_secret:
        parser.error("--webhook-url needs --webhook-secret")
    options = Options(
        webhook_url=given.webhook_url,
        webhook_secret=given.webhook_secret,
        api_keys=frozenset(given.api_key),
        public_url=given.public_url,
        folder=given.data,
        slow_seconds=given.slow_seconds,
    )
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        server = serve(options, host=given.host, port=given.port)
    except OSError as problem:
        print(
            f"The Stripe test server cannot listen on {given.host}:{given.port}: {problem.strerror}",
            file=sys.stderr,
        )
        return 1
    print(f"Stripe test server on {server.url} (no money moves)", flush=True)
    ended.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
