"""A stateful Stripe for development and tests, without a network: the real protocol, no money.

`python -m devtools.stripe_server --port N --webhook-url URL --webhook-secret whsec_… [--data DIR]` runs one;
`running(webhook_url=…)` is one inside a test. stripe-python (`base_addresses={"api": url}`) and Stripe's own CLI
(`stripe trigger EVENT --api-key sk_test_… --api-base URL`) work against it unchanged. Never imported by the product.
"""

from .control import ControlRefused, StripeControl, running
from .courier import sign
from .engine import Options
from .receiver import Receiver, receiving
from .server import StripeServer, serve

__all__ = [
    "ControlRefused",
    "Options",
    "Receiver",
    "StripeControl",
    "StripeServer",
    "receiving",
    "running",
    "serve",
    "sign",
]
