"""An import says how many rows it skipped because they were voided."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0016_limit_what_keys_may"),
    ]

    operations = [
        migrations.AddField(
            model_name="eventimport",
            name="cancelled_count",
            field=models.BigIntegerField(
                default=0,
                help_text="Rows of an export that are voided, or void: they count for nothing.",
                verbose_name="voided",
            ),
        ),
    ]
