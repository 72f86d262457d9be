"""What observers of ticks failed at is still to be observed."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0012_announce_to_webhooks_and_by_mail"),
    ]

    operations = [
        migrations.CreateModel(
            name="OwedObservation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("observer", models.CharField(max_length=200, verbose_name="observer")),
                ("metric_id", models.BigIntegerField()),
                ("project_id", models.BigIntegerField()),
                ("billing_scope_id", models.BigIntegerField()),
                ("first_hour", models.DateTimeField()),
                ("last_hour", models.DateTimeField()),
                ("failure", models.TextField(verbose_name="reason")),
                ("tried_at", models.DateTimeField(null=True, verbose_name="last tried")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="since"
                    ),
                ),
            ],
            options={
                "verbose_name": "owed observation",
                "verbose_name_plural": "owed observations",
                "db_table_comment": "Something merged that an observer of ticks failed at, still to be observed.",
                "constraints": [
                    models.UniqueConstraint(
                        fields=(
                            "observer",
                            "metric_id",
                            "project_id",
                            "billing_scope_id",
                            "first_hour",
                            "last_hour",
                        ),
                        name="observation_is_owed_once",
                    )
                ],
            },
        ),
    ]
