"""Who somebody is: names, addresses and numbers read from a form, and the Client they belong to."""

import unicodedata
from datetime import datetime
from zoneinfo import ZoneInfo

import phonenumbers
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError, Q, QuerySet
from django.utils.translation import gettext as _

from bookings.models import AnswerSheet, Client, Shoot
from studio.forms import check_email
from studio.models import Location

OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn the reading direction around


def known_client(
    *,
    name: str,
    email: str,
    mobile: str = "",
    firm: str = "",
    firm_address: str = "",
    tax_number: str = "",
    zone: str = "",
    now: datetime,
) -> Client:
    """The Client of exactly these details, or a new one.

    Whoever types somebody's e-mail address is not that person: a row is used again only when nothing in it is
    other than what was typed, so neither can one see the other's mobile number nor change it.
    """
    found = Client.objects.filter(
        email__iexact=email,
        name=name,
        mobile=mobile,
        firm=firm,
        firm_address=firm_address,
        tax_number=tax_number,
        erased_at=None,
        called="",
        pronounced="",
        pronoun="",
    ).first()
    return found or Client.objects.create(
        name=name,
        email=email,
        mobile=mobile,
        firm=firm,
        firm_address=firm_address,
        tax_number=tax_number,
        zone=zone,
        created_at=now,
    )


def forget_if_unused(client: Client | None) -> None:
    """Delete a Client that a corrected form left behind; whoever is named anywhere else stays."""
    if client is None:
        return
    try:
        with transaction.atomic():
            client.delete()
    except ProtectedError:
        pass


def forget_private(*, shoots: "QuerySet[Shoot]", now: datetime) -> int:
    """Erase what was told in private about these shoots: nerves, and every private answer of every sheet.

    Returns how many shoots had anything to erase. What was erased is stamped, so the next run finds nothing.
    """
    with transaction.atomic():
        found = list(
            shoots.filter(private_erased_at=None)
            .select_for_update(of=("self",))
            .values_list("pk", flat=True)[:200]
        )
        told = (
            Q(answer_sheets__in=AnswerSheet.objects.exclude(private_answers=[]))
            | ~Q(nerves=[])
            | ~Q(nerves_text="")
        )
        count = Shoot.objects.filter(told, pk__in=found).distinct().count()
        sheets = AnswerSheet.objects.filter(shoot__in=found).exclude(private_answers=[])
        sheets.update(private_answers=[], erased_at=now)
        Shoot.objects.filter(pk__in=found).update(nerves=[], nerves_text="", private_erased_at=now)
    return count


def read_person(
    name: str,
    email: str,
    problems: dict[str, str],
    *,
    mobile: str = "",
    at: Location | None = None,
    prefix: str = "",
) -> dict[str, str]:
    """Name, e-mail and mobile as they are kept; what is wrong with them goes into `problems` by field."""
    name, email, mobile = clean(name), clean(email), clean(mobile)
    if not name:
        problems[f"{prefix}name"] = _("Please tell us the name.")
    elif len(name) > 150:
        problems[f"{prefix}name"] = _("This name is longer than 150 characters.")
    try:
        check_email(email)
    except ValidationError:
        problems[f"{prefix}email"] = _("This does not look like an e-mail address.")
    if mobile:
        mobile = e164(mobile, country=at.country if at else "US")
        if not mobile:
            problems[f"{prefix}mobile"] = _(
                "This does not look like a phone number; with +country code it always works."
            )
    return {"name": name, "email": email, "mobile": mobile}


def e164(number: str, *, country: str) -> str:
    """A phone number as +15551234567, read as in a country; empty when it is none."""
    try:
        found = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(found):
        return ""
    return str(phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164))


def clean(text: str) -> str:
    """One line without control and invisible direction characters, which could forge a mail or a page."""
    kept = "".join(
        " " if letter.isspace() else letter for letter in text if letter.isspace() or _is_visible(letter)
    )
    return " ".join(unicodedata.normalize("NFC", kept).split())


def is_a_name(text: str) -> bool:
    """Whether somebody could be called that: at least two letters of any script.

    Marks count as letters: in Burmese or Hindi a whole name can be one consonant and its vowel sign.
    """
    return sum(unicodedata.category(letter)[0] in "LM" for letter in text) >= 2


def _is_visible(letter: str) -> bool:
    return unicodedata.category(letter) not in {"Cc", "Cs", "Cn"} and letter not in OVERRIDES


def known_zone(name: str) -> str:
    """The name of a time zone a browser told us; empty when there is no such zone."""
    try:
        return ZoneInfo(name).key if name else ""
    except (KeyError, ValueError, OSError):
        return ""
