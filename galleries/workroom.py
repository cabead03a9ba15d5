"""Scratch folders for pixel work, below the data folder, so that what a killed worker left can be found."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

LEFT_AFTER = timedelta(hours=6)  # far longer than any task may run


def _home() -> Path:
    home = Path(settings.DATA) / "work"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return home


@contextmanager
def workroom() -> Iterator[Path]:
    """An empty private folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=_home(), prefix="job-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def sweep(*, now: datetime) -> int:
    """Remove the folders of workers that were killed. Returns how many."""
    before = (now - LEFT_AFTER).timestamp()
    stale = [folder for folder in _home().glob("job-*") if folder.stat().st_mtime < before]
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)
    return len(stale)
