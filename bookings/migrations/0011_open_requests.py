"""Requests from before they could lapse get two days from now, or until their session where that is sooner."""

from datetime import timedelta

from django.db import migrations
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Least
from django.utils import timezone


def give_deadlines(apps, schema_editor):
    latest = Value(timezone.now() + timedelta(days=2), output_field=DateTimeField())
    waiting = apps.get_model("bookings", "Booking").objects.filter(status="requested", answer_by=None)
    waiting.update(answer_by=Least(F("starts_at"), latest))


class Migration(migrations.Migration):
    dependencies = [("bookings", "0010_requests_lapse")]

    operations = [migrations.RunPython(give_deadlines, migrations.RunPython.noop)]
