"""Take in what a camera or an editor writes into a folder: `manage.py watch DIR --room "Room 1"`."""

import signal
import threading
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from galleries import receiving, watching
from galleries.models import Card
from studio.models import Location

LOOK_EVERY_SECONDS = 0.1  # a file is taken at the second look at it that finds nothing new


class Command(BaseCommand):
    help = (
        "Watch a folder. Files go to whoever is checked in at the room, to a booking, or (--finished) to their picks; "
        "then to done/ or refused/."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        target = parser.add_mutually_exclusive_group()
        target.add_argument("--room", help="a camera room's name: files go to whoever is checked in there")
        target.add_argument("--booking", help="a booking's id or a shoot's code: files go there, always")
        target.add_argument(
            "--place", help="a location's name: files are sorted by slate and time, as a card's"
        )
        parser.add_argument(
            "--finished",
            action="store_true",
            help="retouched files come back here: each is matched to its pick; without --booking by folders named "
            "like a shoot's code, or by camera name",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        if not folder.is_dir():
            raise CommandError(f"{folder} is not a folder.")
        try:
            if options["place"] is not None and not options["finished"]:
                where: watching.Where = partial(
                    _card_of, watching.place_called(options["place"]), folder.resolve()
                )
            else:
                where = _where(options["room"], options["booking"], is_finished=options["finished"])
        except watching.NoSuchPlace as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Watching {folder}. Ctrl-C stops.")
        watcher = watching.Watcher(folder.resolve(), where, self.stdout.write)
        if options["finished"]:
            watcher.purpose = receiving.FINISHED
            if not options["booking"]:
                watcher.where_of = partial(watching.session_of, watcher.folder)
        stop = threading.Event()
        _stop_on_signals(stop)
        while not stop.wait(LOOK_EVERY_SECONDS):
            try:
                watcher.step(seconds=time.monotonic(), now=timezone.now())
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(f"The database does not answer, trying again: {type(error).__name__}")
                close_old_connections()
                stop.wait(watching.TRY_AGAIN_SECONDS)


def _where(room: str | None, booking: str | None, *, is_finished: bool) -> watching.Where:
    if is_finished and room is not None:
        raise CommandError("Finished files belong to a session, not to a room: leave --room out.")
    if is_finished and booking is None:
        return lambda: None
    if room is None and booking is None:
        raise CommandError("Say where the files go: --room, --booking, --place or --finished.")
    if room is not None:
        there = watching.room_called(room)
        return lambda: watching.gallery_in(there)
    gallery = watching.gallery_of(booking or "")
    return lambda: gallery


def _card_of(place: Location, folder: Path) -> Card:
    return watching.live_card(place, folder, now=timezone.now())


def _stop_on_signals(stop: threading.Event) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
