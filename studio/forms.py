from django import forms
from django.forms.renderers import TemplatesSetting
from django.utils.translation import gettext_lazy as _


class Renderer(TemplatesSetting):
    """Every `{{ form }}` of the site in the studio's look: label, hint, error, then the field."""

    form_template_name = "_partials/form.html"
    field_template_name = "_partials/field.html"


class LinkRequestForm(forms.Form):
    """Somebody whose link is dead asks for a new one."""

    email = forms.EmailField(
        label=_("Your e-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
