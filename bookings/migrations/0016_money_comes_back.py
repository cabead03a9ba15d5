"""What a bank had taken may come back: its refund then has a second allocation, of the same amount the other way."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("bookings", "0015_checkout_description")]

    operations = [
        migrations.AddField(
            model_name="refund",
            name="returned_at",
            field=models.DateTimeField(help_text="when a bank gave back what it had taken", null=True),
        ),
        migrations.AlterField(
            model_name="refund",
            name="status",
            field=models.CharField(
                choices=[
                    ("due", "To be sent"),
                    ("done", "Sent back"),
                    ("failed", "Failed"),
                    ("returned", "Came back"),
                ],
                default="due",
                max_length=20,
            ),
        ),
        migrations.RemoveConstraint(model_name="allocation", name="allocation_of_one_source"),
        migrations.AddConstraint(
            model_name="allocation",
            constraint=models.CheckConstraint(
                condition=Q(payment__isnull=False, refund=None, amount__gt=0)
                | (Q(payment=None, refund__isnull=False) & ~Q(amount=0)),
                name="allocation_of_one_source",
            ),
        ),
    ]
