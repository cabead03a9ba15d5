from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bookings", "0011_open_requests")]

    operations = [
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(("status", "requested"), _negated=True)
                | models.Q(("answer_by__isnull", False)),
                name="a_request_lapses",
            ),
        ),
    ]
