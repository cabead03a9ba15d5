"""Money and percentages as people type them: one field, one set of sentences, wherever an amount is asked for."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from studio.currencies import to_major, to_minor

LONGEST = 40  # letters of what is read at all
TOO_FINE = _("This amount is finer than the smallest coin.")
TOO_MUCH = _("This amount is more than can be written down here. Please look at its digits once more.")
AMOUNT_WORDS = {
    "required": _("Please give an amount."),
    "invalid": _("Please give the amount in digits, like 90 or 90.50."),
    "min_value": _("An amount cannot be less than nothing."),
    "max_value": TOO_MUCH,
    "max_digits": TOO_MUCH,
    "max_whole_digits": TOO_MUCH,
    "max_decimal_places": TOO_FINE,
}
PERCENT_WORDS = dict.fromkeys(
    ["invalid", "min_value", "max_value", "max_digits", "max_whole_digits", "max_decimal_places"],
    _("Please give a percentage between 0 and 100, with three decimals at most, like 20 or 8.875."),
) | {"required": _("Please give a percentage.")}
WHOLE_PERCENT_WORDS = dict.fromkeys(
    ["invalid", "min_value", "max_value"], _("Please give a whole percentage, 100 at most.")
) | {"required": _("Please give a percentage.")}


class AmountField(forms.DecimalField):
    """Money as a person types it, `90`, `90.50` or `90,50`; what comes out is in minor units of its currency.

    The currency decides how fine an amount may be. A comma is a decimal point only before one or two last digits:
    `1,250` could be either, and is asked for again.
    """

    widget = forms.TextInput

    def __init__(self, *, currency: str = "", **more: Any) -> None:
        self.currency = currency
        words = AMOUNT_WORDS | (more.pop("error_messages", None) or {})
        super().__init__(min_value=0, max_digits=11, decimal_places=3, error_messages=words, **more)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "decimal", "autocomplete": "off"}

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        if len(text) > LONGEST:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        whole, comma, decimals = text.rpartition(",")
        return super().to_python(f"{whole}.{decimals}" if comma and len(decimals) in (1, 2) else text)

    def clean(self, value: Any) -> Any:
        amount: Decimal | None = super().clean(value)
        if amount is None:
            return None
        try:
            return to_minor(amount, self.currency)
        except ValueError:
            raise ValidationError(TOO_FINE, code="max_decimal_places") from None

    def prepare_value(self, value: Any) -> Any:
        """Minor units, of a row or a first proposal, as they are typed; what was typed stays as it is."""
        return f"{to_major(value, self.currency):f}" if isinstance(value, int) else value


class MoneyForm(forms.Form):
    """A form whose amounts are in one currency."""

    def __init__(self, *args: Any, currency: str, **more: Any) -> None:
        super().__init__(*args, **more)
        for field in self.fields.values():
            if isinstance(field, AmountField):
                field.currency = currency
