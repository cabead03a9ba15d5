"""Misbehaviour on request: what the network and Stripe can do to a shop."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

KINDS = {
    "fail": "answer `status` (default 500) without acting",
    "act_then_fail": "act, then answer `status`",
    "act_then_time_out": "act, then stay silent for `seconds` and close",
    "time_out": "stay silent for `seconds` without acting, then close",
    "cut": "close the connection without acting",
    "act_then_cut": "act, then close the connection without an answer",
    "slow": "wait `seconds`, then act and answer",
}


@dataclass
class Fault:
    """One kind of misbehaviour for the next `times` requests whose "METHOD /path" matches."""

    kind: str
    match: str = ".*"
    times: int = 1
    seconds: float = 30.0
    status: int = 500

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}: one of {', '.join(KINDS)}")
        re.compile(self.match)


class FaultPlan:
    """The faults that wait for their request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, if one waits for it; uses it up."""
        with self._lock:
            for fault in self._waiting:
                if re.search(fault.match, f"{method} {path}"):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._waiting.remove(fault)
                    return fault
        return None
