from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from galleries import farewells
from galleries.models import Farewell, FarewellKind


class Command(BaseCommand):
    help = "Say what would be told and erased; with --carry-out do what is due now, as the hourly sweep does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--carry-out", action="store_true", help="tell and erase what is due now")
        parser.add_argument("--days", type=int, default=0, help="look so many days ahead")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["carry_out"]:
            self.stdout.write(f"{farewells.sweep(now=now)} galleries lost files; what was near was told")
            return
        at = now + timedelta(days=options["days"])
        open_ones = Farewell.objects.filter(done_at=None, called_off_at=None, due_at__lte=at)
        for row in open_ones.select_related("gallery__shoot").order_by("due_at"):
            files = farewells.files_of(row.gallery, FarewellKind(row.kind))
            self.stdout.write(f"erase {row.due_at:%Y-%m-%d}  {self._words(row.gallery, row.kind, files)}")
        for due in farewells.to_tell(now=at):
            files = farewells.files_of(due.gallery, due.kind)
            if files.count:
                self.stdout.write(
                    f"tell  {due.tell_at:%Y-%m-%d}  {self._words(due.gallery, due.kind, files)}"
                )
        self.stdout.write("Nothing was changed. --carry-out does what is due now.")

    def _words(self, gallery: object, kind: str, files: farewells.Files) -> str:
        return f"{gallery}  {kind}: {files.count} files, {filesizeformat(files.bytes)}"
