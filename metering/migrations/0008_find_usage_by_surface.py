"""Uninstalling a surface asks the ledger for it; most events name none and stay out of the index."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built beside recorders

    dependencies = [("metering", "0007_remember_imports")]

    operations = [
        AddIndexConcurrently(
            model_name="usageevent",
            index=models.Index(
                fields=["surface"],
                condition=models.Q(surface__isnull=False),
                name="usage_event_by_surface",
            ),
        ),
    ]
