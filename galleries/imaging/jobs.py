"""What the child can be asked to do. Each job takes plain arguments and returns a frozen dataclass.

Runs inside the limited child only; `child.py` holds the typed calls for the rest of the program.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .containers import tiff
from .crop import Crop, Head
from .decode import Identified, require
from .metadata import CaptureFacts, Credits, capture_facts
from .recipes import Recipe
from .render import Rendering, render
from .watermark import Mark


@dataclass(frozen=True)
class RenderOrder:
    """Everything a rendering needs. `head` and the crops are in upright pixels of the original."""

    path: Path
    out_dir: Path
    recipes: tuple[Recipe, ...]
    credits: Credits = field(default_factory=Credits)
    mark: Mark = field(default_factory=Mark)
    head: Head | None = None
    look_for_head: bool = True
    crops: dict[str, Crop] | None = None


@dataclass(frozen=True)
class Accepted:
    """A file taken in: what it is, what the camera said, and its first renditions."""

    format: str
    codec: str
    width: int
    height: int
    facts: CaptureFacts
    rendering: Rendering


def accept(order: RenderOrder) -> Accepted:
    """Identify, decode once, render. Sides are upright. Raises Refused."""
    found = require(order.path)
    rendering = _rendered(found, order)
    return Accepted(
        format=found.format,
        codec=found.codec,
        width=rendering.width,
        height=rendering.height,
        facts=facts_of(found),
        rendering=rendering,
    )


def make(order: RenderOrder) -> Rendering:
    """Render a picture that was accepted before. Raises Refused."""
    return _rendered(require(order.path), order)


def _rendered(found: Identified, order: RenderOrder) -> Rendering:
    return render(
        found,
        order.recipes,
        order.out_dir,
        credits=order.credits,
        mark=order.mark,
        head=order.head,
        look_for_head=order.look_for_head,
        crops=order.crops,
    )


def facts_of(found: Identified) -> CaptureFacts:
    """Capture facts from the Exif block; a TIFF, and RAW in TIFF clothes, is its own."""
    if found.header.exif is not None:
        return capture_facts(found.header.exif)
    with found.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        is_tiff = found.format in ("tiff", "raw") and bytes(data[:4]) not in tiff.RAW_MAGICS
        return capture_facts(data) if is_tiff else CaptureFacts()


@dataclass(frozen=True)
class Job:
    """A function of the child, the type of its order, and how much of the limits it may use."""

    run: Callable[..., object]
    order: type
    cpu_factor: float = 1.0
    cpu_extra_seconds: float = 0.0
    memory_factor: float = 1.0


JOBS: dict[str, Job] = {
    "accept": Job(accept, RenderOrder),
    "make": Job(make, RenderOrder, cpu_factor=3.0, cpu_extra_seconds=20.0, memory_factor=2.0),
}
