"""What the stock admin does to sessions that are booked already."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from bookings import away
from tests import factories
from tests.galleries.making import sign_in

pytestmark = pytest.mark.django_db
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)


@pytest.fixture
def owner(client):
    sign_in(client, factories.user(is_staff=True, is_superuser=True))
    return client


def renamed(owner, row, name):
    """The form of the admin as it comes, sent back with another name."""
    address = reverse(f"admin:bookings_{row._meta.model_name}_change", args=[row.pk])
    shown = owner.get(address).context
    sets = [lines.formset for lines in shown["inline_admin_formsets"]]
    forms = [
        shown["adminform"].form,
        *(form for rows in sets for form in (rows.management_form, *rows.forms)),
    ]
    typed = {field.html_name: as_typed(field.value()) for form in forms for field in form}
    answer = owner.post(address, {key: value for key, value in typed.items() if value} | {"name": name})
    assert answer.status_code == 302, answer.context["errors"]
    row.refresh_from_db()
    assert row.name == name


def as_typed(value):
    if isinstance(value, list):
        return [getattr(row, "pk", row) for row in value]
    return str(value) if value or value == 0 else ""


def test_a_new_name_of_what_is_sold_leaves_nobody_missing(owner, place, kind):
    make_up = factories.add_on(name="Make-up")
    kind.add_ons.add(make_up)
    booked = factories.booking(session_type=kind, at=place, starts_at=TEN, add_ons={make_up: 1}, is_paid=True)
    shoot_claims = booked.claims.filter(is_shoot=True).count()
    renamed(owner, kind, "Likeness")
    renamed(owner, make_up, "Natural make-up")
    assert away.gaps_of(booked) == []
    assert booked.claims.filter(purpose="Likeness", is_shoot=True).count() == shoot_claims
    assert booked.claims.filter(purpose="Natural make-up", is_shoot=False, is_active=True).exists()
