import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bookings", "0009_promise_afterwards")]

    operations = [
        migrations.AddField(
            model_name="sessiontype",
            name="answer_days",
            field=models.PositiveSmallIntegerField(
                default=2,
                help_text="Working days you take to confirm a request; one that is not answered then lapses.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(30),
                ],
            ),
        ),
        migrations.AddField(
            model_name="booking",
            name="answer_by",
            field=models.DateTimeField(help_text="until when the studio answers a request", null=True),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                condition=models.Q(("answer_by__isnull", False)),
                fields=["answer_by"],
                name="booking_to_be_answered",
            ),
        ),
    ]
