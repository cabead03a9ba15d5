"""What is at hand in every chapter: the running studio, its rows, everybody's windows."""

from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from studio.seeding import Seed
from tests.journeys.fleet import Fleet
from tests.journeys.windows import Windows


@dataclass(frozen=True, slots=True)
class Story:
    """One studio on one day."""

    fleet: Fleet
    windows: Windows
    seed: Seed
    folder: Path

    def look(self, page: Page, name: str) -> None:
        """Look at a page at both widths."""
        self.windows.look(page, name)
