"""Take files or whole folders into one booking's gallery: `manage.py ingest PATH… --booking CODE`."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from galleries import receiving, watching
from galleries.models import Gallery, Upload
from galleries.statuses import UploadStatus
from studio import storage

SETTLED = (UploadStatus.ACCEPTED, UploadStatus.REFUSED)


class Command(BaseCommand):
    help = "Take files or folders into a booking's gallery. The files stay where they are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--booking", required=True, help="a booking's id or a shoot's code")
        parser.add_argument(
            "--wait", action="store_true", help="wait until every file is checked, say each outcome"
        )
        parser.add_argument("--seconds", type=float, default=600.0, help="how long to wait at most")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            gallery = watching.gallery_of(options["booking"])
        except watching.NoSuchPlace as error:
            raise CommandError(str(error)) from error
        files = list(_files(options["paths"]))
        if not files:
            raise CommandError("There is no file at these paths.")
        received = [pk for path in files if (pk := self._receive(path, gallery)) is not None]
        self.stdout.write(f"{len(received)} of {len(files)} files received for {gallery}.")
        is_complete = len(received) == len(files)
        if options["wait"]:
            is_complete &= self._wait(received, until=time.monotonic() + options["seconds"])
        if not is_complete:
            raise CommandError("Not every file was taken.")

    def _receive(self, path: Path, gallery: Gallery) -> int | None:
        try:
            upload = receiving.receive_file(
                path, gallery=gallery, source="ingest", by=watching.BY, now=timezone.now()
            )
        except (receiving.ReceivingError, storage.StorageError, OSError) as error:
            self.stderr.write(f"{path}: {error}")
            return None
        if upload.status == UploadStatus.REFUSED:
            self.stderr.write(f"{path}: {upload.refusal}")
            return None
        return upload.pk

    def _wait(self, received: list[int], *, until: float) -> bool:
        """Say each file's outcome as it is known. False when one was refused or time ran out."""
        left, is_good = set(received), True
        while left and time.monotonic() < until:
            for upload in Upload.objects.filter(pk__in=left, status__in=SETTLED).order_by("pk"):
                left.discard(upload.pk)
                is_good &= upload.status == UploadStatus.ACCEPTED
                self.stdout.write(f"{upload.name}: {upload.refusal or upload.get_status_display()}")
            time.sleep(0.2)
        for upload in Upload.objects.filter(pk__in=left):
            self.stderr.write(f"{upload.name}: still being checked")
        return is_good and not left


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")
            )
        else:
            yield path
