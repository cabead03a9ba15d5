"""`manage.py fetch_face_models [FOLDER]`: the face models, with their checksums checked."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from galleries.imaging import models


class Command(BaseCommand):
    help = "Fetch the face models into LIKENESS_MODELS (default var/models) and check their checksums."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", nargs="?", type=Path, default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        where = options["folder"] or models.folder()
        try:
            is_new = models.fetch(where)
        except models.ModelsUnavailable as error:
            raise CommandError(
                f"{error}. Drafts stay global corrections and the guard cannot measure until this works."
            ) from error
        self.stdout.write(f"Face models {'fetched to' if is_new else 'already in'} {where}")
