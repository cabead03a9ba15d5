"""What a client may still do before the session, as their page lists it."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from bookings import agreements, questionnaires
from bookings.models import AgreementKind, Shoot
from studio.actors import Actor


@dataclass(frozen=True, slots=True)
class ToDo:
    """One line of the list: what, where it is done, and whether it is."""

    label: str
    url: str
    is_done: bool
    is_optional: bool = False


def to_do(shoot: Shoot, by: Actor) -> list[ToDo]:
    """The questions, and what this person may sign. Nothing here is a condition of the session."""
    booking = shoot.booking
    rows = []
    asked = questionnaires.asked_of(shoot)
    if asked:
        url = reverse("booking_questions", args=[booking.public_id])
        is_done = all(one.sheet is not None for one in asked)
        rows.append(ToDo(_("A few questions, so that everything is ready"), url, is_done))
    is_signer = shoot.sitter_id == by.id or (shoot.sitter_is_minor and booking.payer_id == by.id)
    for text, signed in agreements.offered_to(shoot) if is_signer else []:
        url = reverse("booking_sign", args=[booking.public_id, text.kind])
        rows.append(ToDo(text.title, url, signed is not None, text.kind == AgreementKind.RELEASE))
    return rows
