from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from galleries import coldstore
from galleries.models import Gallery
from studio.actors import WORKER


class Command(BaseCommand):
    help = "Bring a shoot's originals back from the archive, each read back and compared."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("code", help="the shoot's code, as on the slate")

    def handle(self, *args: Any, **options: Any) -> None:
        gallery = Gallery.objects.filter(shoot__code__iexact=options["code"]).first()
        if gallery is None:
            raise CommandError(f"There is no shoot {options['code']}.")
        try:
            count = coldstore.ask_back(gallery_id=gallery.pk, by=WORKER, now=timezone.now())
        except coldstore.NoArchive as why:
            raise CommandError(str(why)) from why
        while coldstore.bring_back_next(now=timezone.now()):
            pass
        still = gallery.files.filter(archived_at__isnull=False, erased_at=None).count()
        self.stdout.write(f"{count - still} of {count} originals are back")
        if still:
            raise CommandError(f"{still} are not what was put away; see the desk")
