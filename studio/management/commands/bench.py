import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from studio.benching import BenchOptions, benches


class Command(BaseCommand):
    help = "Measure Likeness beside what users would pick instead, in one run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="which bench; without a name they are listed")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--runs", type=int, default=5)
        parser.add_argument("--quick", action="store_true", help="a small size, to see that the bench works")
        parser.add_argument("--count", type=int, help="how many files, for benches that can grow")
        parser.add_argument("--data", type=Path, help="a folder with wider data")

    def handle(self, *args: Any, **options: Any) -> None:
        known = benches()
        name = options["name"]
        if not name:
            self.stdout.write("\n".join(known))
            return
        if name not in known:
            raise CommandError(f"There is no bench {name!r}. There are: {', '.join(known)}.")
        asked = BenchOptions(
            runs=options["runs"], quick=options["quick"], data=options["data"], count=options["count"]
        )
        result = known[name](asked)
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "figures": result.figures,
                        "peers": result.peers,
                        "ratios": result.ratios,
                        "conditions": result.conditions,
                    }
                )
            )
        else:
            self.stdout.write(result.table)
