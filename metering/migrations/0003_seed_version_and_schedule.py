"""The catalogue's version row with the sequence that moves it, and the recurring jobs as editable rows."""

from django.db import migrations

from metering.schedule import seed_schedule


def seed(apps, schema_editor):
    apps.get_model("metering", "CatalogueVersion").objects.get_or_create(pk=1)
    seed_schedule(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0002_guard_the_ledger"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [
        migrations.RunSQL(
            sql="CREATE SEQUENCE metering_catalogue_version_seq AS bigint START 2",
            reverse_sql="DROP SEQUENCE metering_catalogue_version_seq",
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]
