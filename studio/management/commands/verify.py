from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.utils import timezone

from studio.verification import invariants


class Command(BaseCommand):
    help = "Check every invariant Likeness promises; a line each, exit 1 on any break. Changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        broken = 0
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for invariant in invariants():
                breaks = list(invariant.find(now))
                broken += bool(breaks)
                mark = self.style.ERROR("BROKEN") if breaks else self.style.SUCCESS("ok")
                self.stdout.write(f"{invariant.code:<4}{mark}  {invariant.sentence}")
                for line in breaks:
                    self.stdout.write(f"      {line}")
        if broken:
            raise SystemExit(1)
