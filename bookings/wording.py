"""Which mails and texts about a booking staff may put in their own words, and what they can name in them."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from studio.templatetags.studio_tags import local, local_day, local_time, money, your_time
from studio.wording import Editable, editable

SAMPLES = {
    "first_name": "Nadia",
    "session": "Signature",
    "with": "Make-up, Hair",
    "when": "Wed 25 November, 14:00",
    "day": "Wednesday 25 November",
    "time": "14:00",
    "camera_time": "14:45",
    "place": "Brooklyn",
    "address": "62 Water Street\nBrooklyn, NY 11201",
    "directions": "Ring at the blue door; the lift is behind the stairs.",
    "price": "$320",
    "link": "https://studio.example/open/…",
    "studio": "North Light",
    "phone": "+1 718 555 0142",
}

SITTER_SAMPLES = {name: words for name, words in SAMPLES.items() if name != "price"}


def facts(context: Mapping[str, Any]) -> dict[str, str]:
    """What can be named in every message about a booking. The price is the Payer's: nobody else reads it."""
    booking, location = context["booking"], context["location"]
    shoot, studio = context.get("shoot"), context.get("studio")
    return {
        "first_name": context["to"].greeting_name,
        "session": booking.session_type.name,
        "with": ", ".join(row.add_on.name for row in context["add_ons"]),
        "when": local(booking.starts_at, location) + your_time(booking.starts_at, location, context["to"]),
        "day": local_day(booking.starts_at, location),
        "time": local_time(booking.starts_at, location),
        "camera_time": local_time(shoot.starts_at if shoot else booking.starts_at, location),
        "place": location.name,
        "address": location.address,
        "directions": location.directions,
        "price": money(booking.price, booking.currency) if context["to"] == booking.payer else "",
        "link": context.get("link", ""),
        "studio": studio.name if studio else "",
        "phone": studio.phone if studio else "",
    }


def _cancelled(context: Mapping[str, Any]) -> dict[str, str]:
    back = context.get("refund") or 0
    return facts(context) | {"refund": money(back, context["booking"].currency) if back else _("nothing")}


def _missed(context: Mapping[str, Any]) -> dict[str, str]:
    kept = context.get("kept") or 0
    return facts(context) | {"kept": money(kept, context["booking"].currency) if kept else _("nothing")}


def _moved(context: Mapping[str, Any]) -> dict[str, str]:
    return facts(context) | {"was": local(context["was_at"], context["location"])}


def _requested(context: Mapping[str, Any]) -> dict[str, str]:
    return facts(context) | {"until": local(context.get("until"), context["location"])}


def _prepared(context: Mapping[str, Any]) -> dict[str, str]:
    return facts(context) | {"coaching": "\n\n".join(context.get("coaching") or ())}


COACHING = {
    "blink": gettext_lazy("Coaching: blinking"),
    "smile": gettext_lazy("Coaching: the smile"),
    "last_time": gettext_lazy("Coaching: last time was bad"),
    "camera": gettext_lazy("Coaching: freezing in front of a camera"),
    "time": gettext_lazy("Coaching: short of time"),
}

for message in (
    Editable("booking_confirmed", gettext_lazy("Confirmation"), facts, SAMPLES, needs=("link",)),
    Editable(
        "booking_requested",
        gettext_lazy("A request has come in"),
        _requested,
        SAMPLES | {"until": "Wed 18 November, 18:00"},
        needs=("link",),
    ),
    Editable(
        "booking_request_lapsed",
        gettext_lazy("A request was not answered in time"),
        _cancelled,
        SAMPLES | {"refund": "$160"},
        needs=("refund",),
    ),
    Editable("booking_wear", gettext_lazy("A week before: what to wear"), facts, SAMPLES, needs=("link",)),
    Editable(
        "booking_prepare",
        gettext_lazy("Three days before: prepare, or move"),
        _prepared,
        SAMPLES | {"coaching": "We photograph in short runs and count with you."},
        needs=("link", "coaching"),
    ),
    Editable("booking_reminder", gettext_lazy("The day before"), facts, SAMPLES, needs=("link",)),
    Editable(
        "booking_moved",
        gettext_lazy("Moved"),
        _moved,
        SAMPLES | {"was": "Mon 23 November, 10:00"},
        needs=("when", "link"),
    ),
    Editable(
        "booking_cancelled",
        gettext_lazy("Cancelled"),
        _cancelled,
        SAMPLES | {"refund": "$160"},
        needs=("refund",),
    ),
    Editable(
        "booking_missed",
        gettext_lazy("Did not come"),
        _missed,
        SAMPLES | {"kept": "$160"},
        needs=("kept", "link"),
    ),
    Editable(
        "booking_sitter",
        gettext_lazy("To the one in the picture"),
        facts,
        SITTER_SAMPLES,
        needs=("link",),
    ),
    Editable(
        "booking_sitter_cancelled",
        gettext_lazy("Cancelled, to the one in the picture"),
        facts,
        SITTER_SAMPLES,
    ),
    Editable("text_reminder", gettext_lazy("Text, two hours before"), facts, SAMPLES, has_subject=False),
    *(
        Editable(f"coaching_{chip}", label, lambda context: {}, {}, has_subject=False)
        for chip, label in COACHING.items()
    ),
):
    editable(message)
