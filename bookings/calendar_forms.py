"""What the studio types about its calendar. Dates and times are those of a location's wall clock."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _

from bookings.by_phone import Paying
from bookings.forms import DayField
from bookings.models import Resource
from bookings.timeline import instant
from studio.models import Location

WEEKDAYS = [_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday")]


def date_field(label: Any = _("Day"), **more: Any) -> DayField:
    return DayField(label=label, **more)


def time_field(label: Any, **more: Any) -> forms.TimeField:
    return forms.TimeField(
        label=label, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"), **more
    )


class MomentForm(forms.Form):
    """A day and a time on the clock of a place; `moment` is the instant."""

    on = date_field()
    at = time_field(_("Time"))

    def moment(self, location: Location) -> datetime:
        return instant(ZoneInfo(location.zone), self.cleaned_data["on"], self.cleaned_data["at"])


class BlockForm(forms.Form):
    """Time that is not to be booked."""

    resource = forms.ModelChoiceField(
        label=_("Who or what"), queryset=Resource.objects.filter(is_active=True)
    )
    on = date_field()
    starts_at = time_field(_("From"))
    ends_at = time_field(_("Until"))
    reason = forms.CharField(label=_("Why"), max_length=200, required=False)

    def span(self, location: Location) -> tuple[datetime, datetime]:
        zone, on = ZoneInfo(location.zone), self.cleaned_data["on"]
        return instant(zone, on, self.cleaned_data["starts_at"]), instant(
            zone, on, self.cleaned_data["ends_at"]
        )


class CallerForm(forms.Form):
    """Who is on the phone and how it is paid."""

    name = forms.CharField(
        label=_("Name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        help_text=_("The confirmation and their private link go there."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    mobile = forms.CharField(
        label=_("Mobile"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    firm = forms.CharField(label=_("Firm, for the receipt"), max_length=150, required=False)
    sitter_name = forms.CharField(
        label=_("Who is in the picture, if somebody else"), max_length=150, required=False
    )
    sitter_email = forms.EmailField(label=_("Their e-mail"), max_length=254, required=False)
    paying = forms.ChoiceField(
        label=_("How it is paid"), choices=Paying.choices, widget=forms.RadioSelect, initial=Paying.LINK
    )
    note = forms.CharField(
        label=_("Note for us"), max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )


class LeaveForm(forms.Form):
    """Days on which somebody or something is not there."""

    first_on = date_field(_("First day"))
    last_on = date_field(_("Last day"), required=False)
    reason = forms.CharField(label=_("Why"), max_length=120, required=False)


class OtherHoursForm(forms.Form):
    """Other hours than every week's, on one date."""

    location = forms.ModelChoiceField(label=_("Where"), queryset=Location.objects.filter(is_active=True))
    on = date_field()
    starts_at = time_field(_("From"))
    ends_at = time_field(_("Until"))

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("starts_at") and found.get("ends_at") and found["starts_at"] >= found["ends_at"]:
            self.add_error("ends_at", _("The end must come after the beginning."))
        return found


class ClosureForm(forms.Form):
    """A day a place is closed, or closes early; once, every year, every week or every month."""

    REPEATS = [
        ("once", _("Once")),
        ("weekly", _("Every week on this weekday")),
        ("monthly", _("Every month on this weekday (as the first, second … of the month)")),
        ("yearly", _("Every year on this date")),
    ]

    location = forms.ModelChoiceField(label=_("Where"), queryset=Location.objects.filter(is_active=True))
    on = date_field(_("First day"))
    name = forms.CharField(label=_("What"), max_length=120)
    closes_at = time_field(_("Closes early at"), required=False, help_text=_("Empty: closed all day."))
    repeats = forms.ChoiceField(label=_("How often"), choices=REPEATS, initial="once")
    until = date_field(_("Until"), required=False, help_text=_("Empty: for two years."))


class FeedForm(forms.Form):
    """The address of a calendar elsewhere."""

    url = forms.CharField(
        label=_("Address of their calendar (ICS)"),
        max_length=1000,
        widget=forms.URLInput(
            attrs={"placeholder": "https://calendar.example/secret.ics", "autocomplete": "off"}
        ),
        help_text=_(
            "Google, Apple and Outlook each have a secret address in iCal format. Only when they are busy is read."
        ),
    )
