"""What every rendered page must keep: nothing inline that the strict CSP would refuse."""

from html.parser import HTMLParser


class _Inline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "style":
            self.found.append(f"<style> in line {self.getpos()[0]}")
        # A block of JSON is data: no browser runs it.
        if tag == "script" and "src" not in values and values.get("type") != "application/json":
            self.found.append(f"<script> without src in line {self.getpos()[0]}")
        for name, value in values.items():
            if name == "style" or name.startswith("on"):
                self.found.append(f'{name}="{value}" on <{tag}> in line {self.getpos()[0]}')
            if name in ("href", "src", "action") and (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"javascript: address on <{tag}> in line {self.getpos()[0]}")


def assert_no_inline(html: str | bytes) -> None:
    """Fail if the page carries inline style or script, an event attribute or a javascript: address."""
    parser = _Inline()
    parser.feed(html.decode() if isinstance(html, bytes) else html)
    assert parser.found == []
