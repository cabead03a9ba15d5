from django import forms
from django.forms.renderers import TemplatesSetting


class Renderer(TemplatesSetting):
    """Every `{{ form }}` of the site in the studio's look: label, hint, error, then the field."""

    form_template_name = "_partials/form.html"
    field_template_name = "_partials/field.html"


def check_email(text: str) -> None:
    """Raises ValidationError for what is no e-mail address, or is longer than one can be (RFC 5321, 4.5.3.1.3)."""
    forms.EmailField(max_length=254).clean(text)


def typed_id(text: str | None) -> int | None:
    """The primary key a form or an address names; None for what is none, like `²` or five thousand digits."""
    is_one = text is not None and text.isascii() and text.isdigit() and len(text) < 18
    return int(text) if text and is_one else None
