"""The catalogue's version row, and the recurring jobs as editable rows."""

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
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
