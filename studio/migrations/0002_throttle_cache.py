from django.db import migrations

# The table of the database cache that holds the sign-in's throttles, as `createcachetable` makes it.
CREATE = """
CREATE TABLE IF NOT EXISTS studio_cache (
    cache_key varchar(255) NOT NULL PRIMARY KEY,
    value text NOT NULL,
    expires timestamp with time zone NOT NULL
);
CREATE INDEX IF NOT EXISTS studio_cache_expires ON studio_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("studio", "0001_studio")]
    operations = [migrations.RunSQL(CREATE, "DROP TABLE IF EXISTS studio_cache")]
