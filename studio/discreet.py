"""Words that open no door: an address that is a key is written without the key, in logs and in mails that are kept.

A private link, a calendar's address or a new password's carries its secret in the path. Whoever may read the logs or
the desk's mails may not therefore read a client's pages.
"""

import logging
import re

KEYS = re.compile(
    r"(?<!/desk)(/(?:open|calendar|mine|picture|reminders|accounts/(?:[\w-]+/)*(?:key|confirm-email))/)[^/?\s\"<>]+"
)


def without_keys(text: str) -> str:
    """The same text, each key in an address replaced by an ellipsis."""
    return KEYS.sub(r"\1…", text)


class Line(logging.Formatter):
    """One record of the application, its traceback too."""

    def format(self, record: logging.LogRecord) -> str:
        return without_keys(super().format(record))
