"""The catalogue's version and what moves it, what recorders begin with, the recurring jobs as editable rows."""

from pathlib import Path

from django.db import migrations

from metering.schedule import seed_schedule

HERE = Path(__file__).parent


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
            sql=(HERE / "0003_seed_version_and_schedule.sql").read_text(),
            reverse_sql=(HERE / "0003_seed_version_and_schedule_reverse.sql").read_text(),
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]
