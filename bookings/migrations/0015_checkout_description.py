"""What a payment page says is paid is kept: a deposit names what is open later, which changes, and a repeated call to
Stripe must say the same."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bookings", "0014_disputes")]
    operations = [
        migrations.AddField(
            "checkout",
            "description",
            models.CharField(
                blank=True,
                default="",
                help_text="what the page says is paid; a repeated call must say the same",
                max_length=250,
            ),
            preserve_default=False,
        ),
    ]
