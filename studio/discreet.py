"""Logs that open no door: an address that is a key is written without the key.

A private link, a calendar's address or a new password's carries its secret in the path. Whoever may read the logs of a
studio may not therefore read its clients' pages.
"""

import logging
import re
from typing import Any

from gunicorn.glogging import Logger

KEYS = re.compile(
    r"(?<!/desk)(/(?:open|calendar|mine|picture|reminders|accounts/(?:[\w-]+/)*(?:key|confirm-email))/)[^/?\s\"]+"
)


def without_keys(text: str) -> str:
    """The same text, each key in an address replaced by an ellipsis."""
    return KEYS.sub(r"\1…", text)


class Line(logging.Formatter):
    """One record of the application, its traceback too."""

    def format(self, record: logging.LogRecord) -> str:
        return without_keys(super().format(record))


class AccessLog(Logger):  # type: ignore[misc]  # the server comes without types
    """What gunicorn writes of each request (`--logger-class`)."""

    def atoms(self, *request: Any) -> dict[str, Any]:
        atoms: dict[str, Any] = super().atoms(*request)
        return {
            name: without_keys(value) if isinstance(value, str) else value for name, value in atoms.items()
        }
