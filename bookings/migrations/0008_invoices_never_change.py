"""An issued invoice is what it is: PostgreSQL refuses to change or delete one, whoever asks."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION bookings_invoice_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'An issued invoice is never changed: issue a credit note.' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER invoice_never_changes BEFORE UPDATE OR DELETE ON bookings_invoice
    FOR EACH ROW EXECUTE FUNCTION bookings_invoice_stays();
"""
BACKWARD = """
DROP TRIGGER invoice_never_changes ON bookings_invoice;
DROP FUNCTION bookings_invoice_stays();
"""


class Migration(migrations.Migration):
    dependencies = [("bookings", "0007_extras_codes_vouchers_invoices")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
