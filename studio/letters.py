"""A mail's plain text as a letter: the same words, its links as something a thumb can hit.

Texts are written once (`emails/<name>/body.txt`); a mail without a `body.html` of its own is drawn from them.
"""

import re
from dataclasses import dataclass

_LINK = re.compile(r"^https?://\S+$")
_LABEL_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph: its lines, or a link that stands alone with the line above it as its label."""

    lines: tuple[str, ...] = ()
    url: str = ""
    label: str = ""


def blocks(text: str) -> list[Block]:
    """The paragraphs of a text. A line that is only an address becomes a link block of its own."""
    found: list[Block] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines: list[str] = []
        for line in (line.strip() for line in paragraph.splitlines()):
            if not _LINK.match(line):
                lines.append(line)
                continue
            is_label = bool(lines) and len(lines[-1]) <= _LABEL_LENGTH and lines[-1][-1:] not in ".:,;"
            label = lines.pop() if is_label else ""
            if lines:
                found.append(Block(tuple(lines)))
            lines = []
            found.append(Block(url=line, label=label))
        if lines:
            found.append(Block(tuple(lines)))
    return found
