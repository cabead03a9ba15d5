"""Take files into one booking, or sort a whole card: `manage.py ingest PATH… --booking CODE`, or `--place NAME`."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from galleries import cards, receiving, watching
from galleries.models import Card, Gallery, Upload
from galleries.statuses import UploadStatus
from studio import storage

GOING = (UploadStatus.RECEIVING, UploadStatus.CHECKING)


class Command(BaseCommand):
    help = "Take files or folders into a booking's gallery, or as a card to be sorted. The files stay where they are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        target = parser.add_mutually_exclusive_group(required=True)
        target.add_argument("--booking", help="a booking's id or a shoot's code")
        target.add_argument("--place", help="a location's name: a whole card, sorted by slate and time")
        parser.add_argument(
            "--wait", action="store_true", help="wait until every file is checked, say each outcome"
        )
        parser.add_argument("--seconds", type=float, default=600.0, help="how long to wait at most")

    def handle(self, *args: Any, **options: Any) -> None:
        files = list(_files(options["paths"]))
        if not files:
            raise CommandError("There is no file at these paths.")
        try:
            where = _where(options["booking"], options["place"], len(files))
        except watching.NoSuchPlace as error:
            raise CommandError(str(error)) from error
        received = [pk for path in files if (pk := self._receive(path, where)) is not None]
        self.stdout.write(f"{len(received)} of {len(files)} files received for {where}.")
        if isinstance(where, Card):
            cards.close(card_id=where.pk, by=watching.BY, now=timezone.now(), is_said_whole=True)
        is_complete = len(received) == len(files)
        if options["wait"]:
            is_complete &= self._wait(received, until=time.monotonic() + options["seconds"])
        if not is_complete:
            raise CommandError("Not every file was taken.")

    def _receive(self, path: Path, where: Gallery | Card) -> int | None:
        try:
            facts = watching.facts_of(where, source="ingest", now=timezone.now())
            upload = receiving.receive_file(path, **facts)
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
            settled = Upload.objects.filter(pk__in=left).exclude(status__in=GOING)
            settled = settled.exclude(status=UploadStatus.SORTING, gallery=None, doubt_code="")
            for upload in settled.select_related("gallery__shoot").order_by("pk"):
                left.discard(upload.pk)
                is_good &= upload.status != UploadStatus.REFUSED
                self.stdout.write(f"{upload.name}: {_fate(upload)}")
            time.sleep(0.2)
        for upload in Upload.objects.filter(pk__in=left):
            self.stderr.write(f"{upload.name}: still being checked")
        return is_good and not left


def _where(booking: str | None, place: str | None, count: int) -> Gallery | Card:
    if place is None:
        return watching.gallery_of(booking or "")
    location, now = watching.place_called(place), timezone.now()
    card = cards.open_card(location=location, source="ingest", by=watching.BY, now=now)
    cards.expect(card_id=card.pk, count=count)
    return card


def _fate(upload: Upload) -> str:
    said = upload.refusal or upload.doubt or str(upload.get_status_display())
    return f"{upload.gallery}: {said}" if upload.card_id and upload.gallery else said


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")
            )
        else:
            yield path
