"""The studio's own words for a message: plain text with named placeholders, and no template language at all.

Each app registers the messages whose words staff may change, with what may stand in braces: `{first_name}`. Unknown
braces are refused when saving. If a saved wording cannot be filled in all the same, the file template speaks.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from studio.actors import Actor
from studio.models import MessageWords

log = logging.getLogger(__name__)
Facts = Callable[[Mapping[str, Any]], Mapping[str, str]]
_BRACED = re.compile(r"\{([^{}]*)\}")
LONGEST_SUBJECT, LONGEST_BODY = 200, 8000


@dataclass(frozen=True, slots=True)
class Editable:
    """A message whose words staff may change. `samples` has a believable value for each placeholder."""

    name: str
    label: str | Promise
    facts: Facts
    samples: Mapping[str, str]
    needs: Sequence[str] = ()  # what must stand in the body, or the message would be of no use
    has_subject: bool = True


class WordingRefused(Exception):
    """Words that cannot be kept: `problems` has a sentence per field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(self.problems.values()))


_editable: dict[str, Editable] = {}


def editable(message: Editable) -> None:
    """Register a message."""
    _editable[message.name] = message


def every() -> list[Editable]:
    """All registered messages, in the order of registration."""
    return list(_editable.values())


def find(name: str) -> Editable | None:
    """The registered message of this name."""
    return _editable.get(name)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in place of `{names}`. Raises KeyError for an unknown one; a value is never looked into again."""
    return _BRACED.sub(lambda found: values[found.group(1)], text)


def check(message: Editable, *, subject: str, body: str) -> None:
    """Raises WordingRefused with a sentence per field."""
    problems: dict[str, str] = {}
    for field, text, longest in (("subject", subject, LONGEST_SUBJECT), ("body", body, LONGEST_BODY)):
        unknown = [name for name in _BRACED.findall(text) if name not in message.samples]
        stray = _BRACED.sub("", text)
        if unknown:
            problems[field] = _("There is no {%(name)s} here. You can use: %(names)s.") % {
                "name": unknown[0],
                "names": ", ".join(f"{{{name}}}" for name in message.samples),
            }
        elif "{" in stray or "}" in stray:
            problems[field] = _("A single brace stands alone. Braces are for names only, as in {first_name}.")
        elif len(text) > longest:
            problems[field] = _("At most %(count)d characters.") % {"count": longest}
    if not body.strip():
        problems["body"] = _("Please write something.")
    if message.has_subject and not subject.strip():
        problems["subject"] = _("A mail needs a subject.")
    missing = [name for name in message.needs if f"{{{name}}}" not in body]
    if missing and "body" not in problems:
        problems["body"] = _("Without {%(name)s} this message is of no use to the client.") % {
            "name": missing[0]
        }
    if problems:
        raise WordingRefused(problems)


def save(
    *, name: str, subject: str, body: str, language: str = "en", by: Actor, now: datetime
) -> MessageWords:
    """Keep the studio's words for a message. Raises WordingRefused, LookupError for an unknown message."""
    message = _editable[name]
    subject = " ".join(subject.replace("\x00", "").split())
    body = body.replace("\x00", "").replace("\r\n", "\n").strip()
    check(message, subject=subject, body=body)
    values = {"subject": subject, "body": body, "changed_at": now, "actor_label": str(by)[:200]}
    return MessageWords.objects.update_or_create(name=name, language=language, defaults=values)[0]


def forget(*, name: str, language: str = "en") -> None:
    """Back to the words of the file template."""
    MessageWords.objects.filter(name=name, language=language).delete()


def worded(name: str, context: Mapping[str, Any]) -> tuple[str, str] | None:
    """Subject and body in the studio's words, filled in; None where the file template speaks."""
    message = _editable.get(name)
    if message is None:
        return None
    language = get_language() or "en"
    own = MessageWords.objects.filter(name=name, language__in=[language, language.split("-")[0]]).first()
    if own is None:
        return None
    try:
        values = message.facts(context)
        return " ".join(fill(own.subject, values).split()), fill(own.body, values).strip() + "\n"
    except Exception:
        log.exception("The studio's words for %s could not be filled in; the template speaks", name)
        return None
