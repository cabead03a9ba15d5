"""What clients and staff type. Shape is checked here; what is allowed is decided by the domain."""

from datetime import date, datetime
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _

from bookings.amounts import AmountField, MoneyForm
from bookings.models import PaymentMethod, SessionType
from studio.models import Location

LONGEST_REASON = 300  # letters of why staff set the studio's own rules aside


def shown_amount(raw: str | None) -> int:
    """The amount in minor units a form says it showed; -1, which none is, when it says nothing readable."""
    return int(raw) if raw and raw.isascii() and raw.isdecimal() and len(raw) < 12 else -1


def instant_of(text: str) -> datetime | None:
    """An instant with its zone, as our own pages write it; None for everything else, and beyond ten years."""
    try:
        found = parse_datetime(text[:40])
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None and _is_of_these_years(found) else None


def day_or_none(text: str) -> date | None:
    """A date as our own pages write it; None for everything else, and beyond ten years."""
    try:
        found = parse_date(text[:40])
    except ValueError:
        return None
    return found if found is not None and _is_of_these_years(found) else None


def _is_of_these_years(moment: date) -> bool:
    """Within ten years: arithmetic at the edges of the calendar overflows."""
    return abs(moment.year - timezone.now().year) <= 10


class DayField(forms.DateField):
    """A day of these years: what follows from it is computed, and the calendar's edges cannot be."""

    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def validate(self, value: date | None) -> None:
        super().validate(value)
        if value is not None and not _is_of_these_years(value):
            raise forms.ValidationError(_("That is too far away. Please give a day within ten years."))


class ChoiceOfTime(forms.Form):
    """Where, with which add-ons, and from which day on. Anything unreadable falls back to the first choice."""

    location = forms.CharField(required=False)
    week = forms.IntegerField(required=False, min_value=0, max_value=520)

    def __init__(
        self, data: Any, *, session_type: SessionType, only: "QuerySet[Location] | None" = None
    ) -> None:
        super().__init__(data)
        self.session_type = session_type
        offered = session_type.locations.filter(is_active=True)
        self.locations = list(offered if only is None else offered.filter(pk__in=only))
        self.offered = list(session_type.add_ons.filter(is_active=True))
        self.is_valid()

    @property
    def chosen_location(self) -> Location:
        wanted = self.cleaned_data.get("location")
        return next((place for place in self.locations if place.slug == wanted), self.locations[0])

    @property
    def add_ons(self) -> dict[int, int]:
        """Add-on pk → count, read from fields `add-<pk>`; counts outside 1…max are left out."""
        chosen = {}
        for add_on in self.offered:
            raw = str(self.data.get(f"add-{add_on.pk}", "0"))
            count = int(raw) if raw.isdecimal() and len(raw) < 4 else 0
            if 0 < count <= add_on.max_count:
                chosen[add_on.pk] = count
        return chosen

    @property
    def week_number(self) -> int:
        return self.cleaned_data.get("week") or 0


class HoldForm(forms.Form):
    """One start time, pressed. The add-ons come beside it as `add-<pk>`."""

    location = forms.CharField()
    starts_at = forms.DateTimeField(input_formats=["iso8601", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"])
    form_token = forms.UUIDField()
    pays_at_studio = forms.BooleanField(required=False)

    def clean_starts_at(self) -> datetime:
        found: datetime = self.cleaned_data["starts_at"]
        if not _is_of_these_years(found):
            raise forms.ValidationError(_("This time could not be read."))
        return found


class DetailsForm(forms.Form):
    """Who books. Nothing else is asked before payment."""

    name = forms.CharField(
        label=_("Your name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text=_("Your private link comes here. No account, no password."),
    )
    mobile = forms.CharField(
        label=_("Mobile"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel", "type": "tel"}),
        help_text=_("Only for the day itself: if you or we run late."),
    )
    firm = forms.CharField(
        label=_("Firm, for the receipt"),
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    firm_address = forms.CharField(
        label=_("Its address, for the receipt"),
        max_length=300,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "street-address"}),
    )
    tax_number = forms.CharField(label=_("Its tax number"), max_length=40, required=False)
    sitter_name = forms.CharField(
        label=_("Who is in the picture, if it is not you"), max_length=150, required=False
    )
    zone = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput(attrs={"data-zone": ""}))
    policy_accepted = forms.BooleanField(
        label=_("I accept the booking conditions"),
        required=True,
        error_messages={"required": _("Please accept the booking conditions.")},
    )
    express_requested = forms.BooleanField(
        label=_("Please begin before the 14 days in which I may withdraw are over"),
        required=False,
        help_text=_("Until the session begins you can still cancel for a full refund within those 14 days."),
    )

    def __init__(self, *args: Any, needs_express_request: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not needs_express_request:
            del self.fields["express_requested"]


class WaitForm(forms.Form):
    """Which days somebody waits for, and who it is."""

    first_on = DayField(label=_("From"))
    last_on = DayField(label=_("Until"))
    name = forms.CharField(
        label=_("Your name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label=_("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    mobile = forms.CharField(
        label=_("Mobile"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel", "type": "tel"}),
        help_text=_("Then we can also send the offer as a text."),
    )
    zone = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput(attrs={"data-zone": ""}))
    form_token = forms.UUIDField(widget=forms.HiddenInput)


class SitterForm(forms.Form):
    """Who is in the picture, when somebody else booked."""

    name = forms.CharField(
        label=_("Name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        help_text=_("The pictures and the questions about showing them go to this address."),
    )
    called = forms.CharField(label=_("What shall we call them"), max_length=80, required=False)
    pronounced = forms.CharField(label=_("How is it said"), max_length=120, required=False)
    pronoun = forms.CharField(label=_("Pronoun"), max_length=40, required=False)
    access_needs = forms.CharField(
        label=_("Anything we should prepare so that they get around easily"), max_length=300, required=False
    )
    is_minor = forms.BooleanField(label=_("Under 18"), required=False)
    guardian_name = forms.CharField(
        label=_("Guardian who comes along and signs"), max_length=150, required=False
    )

    def __init__(self, *args: Any, allows_minors: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not allows_minors:
            del self.fields["is_minor"], self.fields["guardian_name"]


NERVES = {
    "blink": _("I blink"),
    "smile": _("I dislike my smile"),
    "last_time": _("Last time was bad"),
    "camera": _("I freeze in front of a camera"),
    "time": _("I am short of time"),
}


class NervesForm(forms.Form):
    """What makes somebody nervous. Optional, private, erased 30 days after delivery."""

    nerves = forms.MultipleChoiceField(
        label=_("Tap what fits"), choices=NERVES, required=False, widget=forms.CheckboxSelectMultiple
    )
    words = forms.CharField(
        label=_("Anything else"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )


BY_HAND = (PaymentMethod.CASH, PaymentMethod.TERMINAL, PaymentMethod.TRANSFER)


class PaymentForm(MoneyForm):
    """Money taken by staff."""

    amount = AmountField(label=_("Amount"))
    form_token = forms.UUIDField(required=False, widget=forms.HiddenInput)
    method = forms.ChoiceField(
        label=_("How"),
        choices=[choice for choice in PaymentMethod.choices if choice[0] in BY_HAND],
        error_messages={
            "required": _("Please say how it was paid."),
            "invalid_choice": _("Please say how it was paid."),
        },
    )
