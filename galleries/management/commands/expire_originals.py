"""Say which unpicked originals have been kept long enough, or delete them: `manage.py expire_originals --carry-out`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from galleries import expiring


class Command(BaseCommand):
    help = "A dry run unless told otherwise: the originals nobody chose, 90 days after the choice was sent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--carry-out", action="store_true", help="delete their bytes and say so in their rows"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["carry_out"]:
            self.stdout.write(f"{expiring.expire(now=now, limit=1_000_000)} originals expired.")
            return
        total = count = 0
        for file in expiring.due(now=now).iterator(chunk_size=500):
            count, total = count + 1, total + file.size
            self.stdout.write(
                f"{file.gallery.shoot.code} {file.name} {file.size} since {file.stored_at:%Y-%m-%d}"
            )
        self.stdout.write(f"{count} originals, {total / 1e6:.0f} MB. Nothing was deleted.")
