import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from studio.models import Studio
from studio.seeding import Seed, parts


class Command(BaseCommand):
    help = "Fill an empty installation with a believable studio (demo only)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("The demo's studio is only made with LIKENESS_DEMO=1.")
        path = Path(settings.DATA) / "signins.json"
        if Studio.objects.exists():
            if not path.exists():
                raise CommandError("There is a studio already, half made. Start over with: make demo-reset")
            return
        seed = Seed(now=timezone.now(), say=self.stdout.write)
        for part in parts():
            part(seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(seed.sign_ins, indent=1))
