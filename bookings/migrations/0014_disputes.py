"""Disputes, and which refund is what a bank took back."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bookings", "0013_was_paid"),
    ]

    operations = [
        migrations.CreateModel(
            name="Dispute",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("gateway_id", models.CharField(max_length=255, unique=True)),
                ("amount", models.PositiveIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("reason", models.CharField(help_text="Stripe's word for it", max_length=40)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("won", "Decided for the studio"),
                            ("lost", "Decided for the client"),
                            ("closed", "Closed, nothing was taken"),
                        ],
                        default="open",
                        max_length=20,
                    ),
                ),
                ("is_inquiry", models.BooleanField(help_text="the bank only asks; the money is still here")),
                (
                    "is_answered",
                    models.BooleanField(help_text="nothing is to be done by the studio just now"),
                ),
                ("answer_by", models.DateTimeField(help_text="Stripe's deadline", null=True)),
                ("opened_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="disputes",
                        to="bookings.payment",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="refund",
            name="dispute",
            field=models.ForeignKey(
                help_text="the bank took it, nobody sent it",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="refunds",
                to="bookings.dispute",
            ),
        ),
    ]
