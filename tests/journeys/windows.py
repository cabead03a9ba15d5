"""Browser windows as people have them: a phone or a laptop, each with its own cookies, each watched for complaints."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Response

from tests.conftest import PATIENCE_MS

PHONE = {"width": 390, "height": 844}
LAPTOP = {"width": 1440, "height": 900}
SHOTS = os.environ.get("LIKENESS_SCREENSHOTS")
PICTURES_LOADED = """Promise.all([...document.images].filter(image => image.getAttribute('src')).map(image => {
    image.loading = 'eager';
    return Promise.race([image.decode().catch(() => {}), new Promise(done => setTimeout(done, 8000))]);
}))"""


@dataclass(slots=True)
class Windows:
    """Every window of a journey. `complaints`: script errors, CSP violations and answers of 500 and above."""

    browser: Browser
    site: str
    complaints: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def open(self, size: dict[str, int]) -> Page:
        """A fresh window: nobody is signed in, no link was opened."""
        context = self.browser.new_context(
            base_url=self.site,
            viewport=size,
            locale="en-GB",
            timezone_id="Europe/Paris",  # type: ignore[arg-type]
        )
        context.set_default_timeout(PATIENCE_MS)
        context.set_default_navigation_timeout(PATIENCE_MS)
        context.on("page", lambda page: self._listen(page))
        return context.new_page()

    def _listen(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._heard(message))
        page.on("response", lambda response: self._answered(response))

    def _heard(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "violates" in message.text:
            self.complaints.append(message.text)

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.url}: {response.status}")

    def look(self, page: Page, name: str) -> None:
        """Look at a page as a phone and as a laptop: no wider than the phone; a picture of each if asked for."""
        page.wait_for_load_state()
        before = page.viewport_size
        self.seen.append(name)
        for size in (PHONE, LAPTOP):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            if size is PHONE:
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= size["width"], f"{name} is {wide} px wide on a phone"
            if SHOTS:
                self._picture(page, Path(SHOTS) / f"{len(self.seen):02d}-{name}-{size['width']}.png")
        if before is not None:
            page.set_viewport_size(before)

    def _picture(self, page: Page, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        page.evaluate(PICTURES_LOADED)
        page.wait_for_timeout(350)
        page.screenshot(path=path, full_page=True)

    def last_looks(self) -> None:
        """What every window shows when the journey ends early."""
        pages = [page for context in self.browser.contexts for page in context.pages]
        for number, page in enumerate(pages if SHOTS else []):
            with contextlib.suppress(Error):
                page.screenshot(path=Path(SHOTS or "") / f"end-{number}.png", timeout=5_000)


@contextlib.contextmanager
def windows(browser: Browser, site: str) -> Iterator[Windows]:
    """All windows are closed at the end."""
    mine = Windows(browser, site)
    before: list[BrowserContext] = list(browser.contexts)
    try:
        yield mine
    except BaseException:
        mine.last_looks()
        raise
    finally:
        for context in browser.contexts:
            if context not in before:
                context.close()
