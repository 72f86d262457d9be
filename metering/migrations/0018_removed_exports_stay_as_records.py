"""An export whose file was removed stays as a record of who took what."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0017_count_what_imports_skip"),
    ]

    operations = [
        migrations.AlterField(
            model_name="export",
            name="state",
            field=models.CharField(
                choices=[
                    ("queued", "Waiting"),
                    ("running", "Running"),
                    ("finished", "Finished"),
                    ("failed", "Failed"),
                    ("cancelled", "Cancelled"),
                    ("removed", "Removed"),
                ],
                default="queued",
                max_length=10,
                verbose_name="state",
            ),
        ),
    ]
