"""What must be right before the site may run, each with an id and a hint (`manage.py check --deploy`)."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

EXAMPLES = ("change-me", "example", "insecure")


@register(Tags.security)
def secret_key(**_: Any) -> list[CheckMessage]:
    """A key that is missing, short or copied from the example would let anybody sign links."""
    key = settings.SECRET_KEY
    if len(key) < 32 or any(word in key for word in EXAMPLES):
        return [
            Error(
                "SECRET_KEY is missing, shorter than 32 characters, or the example.",
                hint="Set SECRET_KEY or SECRET_KEY_FILE; python -c 'import secrets; print(secrets.token_urlsafe(50))'.",
                id="studio.E001",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def production(**_: Any) -> list[CheckMessage]:
    """What a public studio needs and the demo does not."""
    found: list[CheckMessage] = []
    if settings.DEMO:
        found.append(
            Error(
                "LIKENESS_DEMO is on: staff sign in without a second factor.",
                hint="Unset it.",
                id="studio.E002",
            )
        )
    if not settings.IS_HTTPS:
        found.append(Warning("SITE_URL is not https.", hint="Set SITE_URL=https://…", id="studio.W001"))
    if not settings.STRIPE_SECRET_KEY:
        found.append(
            Warning(
                "No card payments: STRIPE_SECRET_KEY is empty.",
                hint="Set it, or let clients pay at the studio.",
                id="studio.W002",
            )
        )
    elif not settings.STRIPE_WEBHOOK_SECRET:
        found.append(
            Error(
                "STRIPE_WEBHOOK_SECRET is empty: payments would only be found by the reconcile sweep.",
                hint="Set it.",
                id="studio.E003",
            )
        )
    if settings.STRIPE_API_BASE:
        found.append(Error("STRIPE_API_BASE points away from Stripe.", hint="Unset it.", id="studio.E004"))
    if settings.DEFAULT_FROM_EMAIL.endswith("@localhost"):
        found.append(
            Warning(
                "DEFAULT_FROM_EMAIL is not set.", hint="Set it to an address clients know.", id="studio.W003"
            )
        )
    return found
