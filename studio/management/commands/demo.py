"""`manage.py demo` is run by manage.py before Django starts; this lists it in `manage.py help`."""

from argparse import REMAINDER, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from studio import demo


class Command(BaseCommand):
    help = "Run the whole studio on this machine with invented bookings, until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Everything is handed on; `manage.py demo --help` tells."""
        parser.add_argument("words", nargs=REMAINDER)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the demo, where somebody calls the command from inside Django."""
        if demo.main(options["words"]) != 0:
            raise CommandError("The demo did not run.")
