"""Whether a paper was paid when it was issued: kept on it, for what is paid later says nothing of an earlier paper."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Papers from before keep the rule they were titled by; the trigger that refuses changes steps aside for it."""

    dependencies = [("bookings", "0012_a_request_lapses")]
    operations = [
        migrations.AddField(
            "invoice",
            "was_paid",
            models.BooleanField(
                null=True, help_text="whether all that the papers say was paid then: a receipt"
            ),
        ),
        migrations.RunSQL(
            """
            ALTER TABLE bookings_invoice DISABLE TRIGGER USER;
            UPDATE bookings_invoice SET was_paid = total <= (
                SELECT coalesce(sum((row ->> 'amount')::bigint), 0) FROM jsonb_array_elements(payments) AS row
            );
            ALTER TABLE bookings_invoice ENABLE TRIGGER USER;
            """,
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            "invoice",
            "was_paid",
            models.BooleanField(help_text="whether all that the papers say was paid then: a receipt"),
        ),
    ]
