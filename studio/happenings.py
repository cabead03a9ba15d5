"""How a lower app tells an upper one: named happenings whose listeners run in the same transaction.

An exception in a listener rolls back both sides, so a shoot cannot complete without its deadline clock starting.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from django.db import transaction

Listener = Callable[..., object]
_listeners: dict[str, list[Listener]] = defaultdict(list)

# Each happening and what it hands over, in one place. Every one also gets by=Actor and now=datetime.
HAPPENINGS = {
    "booking_confirmed": "booking",
    "booking_moved": "booking",
    "booking_changed": "booking, finals (its add-ons changed; so many finals more are included, or fewer)",
    "booking_cancelled": "booking",
    "extra_agreed": "extra (it counts in the price; where it had to be paid first, it is)",
    "extra_dropped": "extra (it counted and is taken off; a listener may refuse with NotNow: it is used already)",
    "booking_reshot": "booking (the first one: it is photographed again, nobody waits for its pictures)",
    "booking_paid": "booking (its balance is now settled)",
    "shoot_checked_in": "shoot",
    "shoot_completed": "shoot",
    "client_erased": "client",
    "closures_changing": "location (its hours, working week or closures are about to be edited; not written yet)",
    "closures_changed": "location (its hours, working week or closures were edited)",
}


def on(name: str) -> Callable[[Listener], Listener]:
    """Register a listener: `@on("shoot_completed")`."""
    if name not in HAPPENINGS:
        raise LookupError(f"No happening is called {name!r}.")

    def decorate(listener: Listener) -> Listener:
        _listeners[name].append(listener)
        return listener

    return decorate


def tell(name: str, **facts: Any) -> None:
    """Run the listeners of a happening. Must be called inside the transaction of its cause."""
    if name not in HAPPENINGS:
        raise LookupError(f"No happening is called {name!r}.")
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"{name} must be told inside its cause's transaction.")
    for listener in _listeners[name]:
        listener(**facts)
