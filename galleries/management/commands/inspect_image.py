"""`manage.py inspect_image PATH…`: what intake would say of a file, through exactly the intake's decoder."""

import json
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from galleries.imaging import child
from galleries.imaging.recipes import PROOFS
from galleries.imaging.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Print one JSON line per file: accepted or rejected, why, format, size, CPU seconds and peak memory."
    )
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")

    def handle(self, *args: Any, **options: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="likeness-inspect-") as room:
            for path in options["paths"]:
                self.stdout.write(json.dumps(inspect(path, Path(room)), ensure_ascii=False))
                self.stdout.flush()


def inspect(path: Path, room: Path) -> dict[str, object]:
    """One file's facts, renditions made in `room` and overwritten by the next."""
    done = child.accept_with_cost(path, PROOFS, room)
    answer = done.value
    cost = {"cpu_seconds": done.cost.cpu_seconds, "peak_mb": done.cost.peak_mb}
    if isinstance(answer, Refusal):
        facts: dict[str, object] = {"outcome": "reject", "reason": answer.code, "sentence": answer.sentence}
        return {"path": str(path), **facts, "format": None, "width": None, "height": None, **cost}
    facts = {"outcome": "accept", "reason": None, "format": answer.format, "codec": answer.codec}
    sides = {"width": answer.width, "height": answer.height, "notes": list(answer.rendering.notes)}
    return {"path": str(path), **facts, **sides, **cost}
