"""Text messages: a small protocol, one provider over https that settings describe, and the way without any.

Without a provider a text waits "to be sent by hand": the desk shows it with a link that opens the phone's own messages,
number and words filled in.
"""

import http.client
import json
from typing import Protocol
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.utils.module_loading import import_string

LONGEST = 480  # three parts
SECONDS = 10.0


class TextRefused(Exception):
    """The provider did not take the text; the outbox tries again later."""


class Provider(Protocol):
    """Whoever carries texts. `reference` is the same for every try of one message."""

    def send(self, *, to: str, text: str, reference: str) -> None:
        """Hand one text over. Raises TextRefused."""
        ...


class HttpsProvider:
    """Posts JSON to `SMS_URL`, `SMS_TOKEN` as the bearer; `SMS_FIELDS` renames to, text, from and reference."""

    def send(self, *, to: str, text: str, reference: str) -> None:
        parts = urlsplit(settings.SMS_URL)
        if parts.scheme != "https" or not parts.hostname:
            raise TextRefused("SMS_URL must be an https address.")
        names = dict(pair.split("=", 1) for pair in settings.SMS_FIELDS)
        facts = {"to": to, "text": text, "from": settings.SMS_FROM, "reference": reference}
        body = json.dumps({names.get(key, key): value for key, value in facts.items() if value})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {settings.SMS_TOKEN}"}
        line = http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=SECONDS)
        try:
            line.request(
                "POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers
            )
            status = line.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise TextRefused(f"{parts.hostname}: {type(error).__name__}") from error
        finally:
            line.close()
        if not 200 <= status < 300:
            raise TextRefused(f"{parts.hostname} answered {status}")


def provider() -> Provider | None:
    """The provider the settings name; None where texts are sent by hand."""
    if not settings.SMS_BACKEND:
        return None
    found: Provider = import_string(settings.SMS_BACKEND)()
    return found


def hand_link(number: str, text: str) -> str:
    """A link that opens the phone's messages with number and words filled in."""
    return f"sms:{quote(number, safe='+')}?body={quote(text, safe='')}"
