"""The demo's studio is made by the same verbs a real one uses. Each app registers its part here, in order."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps


@dataclass(slots=True)
class Seed:
    """What the parts hand to one another: the moment, a repeatable chance, rows by name, and the sign-ins to print."""

    now: datetime
    say: Callable[[str], None]
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    rows: dict[str, Any] = field(default_factory=dict)
    sign_ins: list[dict[str, str]] = field(default_factory=list)


Part = Callable[[Seed], None]
_parts: list[tuple[int, Part]] = []


def seed(order: int) -> Callable[[Part], Part]:
    """Register a part of the demo: `@seed(10)`; lower numbers come first."""

    def decorate(part: Part) -> Part:
        _parts.append((order, part))
        return part

    return decorate


def parts() -> list[Part]:
    """All parts in order, from the `seeds` module of every app that has one."""
    for config in apps.get_app_configs():
        if find_spec(f"{config.name}.seeds"):
            import_module(f"{config.name}.seeds")
    return [part for _order, part in sorted(_parts, key=lambda row: row[0])]
