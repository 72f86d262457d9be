"""Which rebuilds of rollups were asked for, and what they found."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0008_find_usage_by_surface"),
    ]

    operations = [
        migrations.CreateModel(
            name="RollupRebuild",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project_count",
                    models.IntegerField(
                        help_text="How many projects it was limited to. Empty: all.",
                        null=True,
                        verbose_name="projects",
                    ),
                ),
                ("requested_by", models.CharField(max_length=150, verbose_name="requested by")),
                (
                    "requested_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="requested at"
                    ),
                ),
                (
                    "attempt_count",
                    models.PositiveSmallIntegerField(default=0, help_text="How often it was begun."),
                ),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                ("seconds", models.FloatField(null=True, verbose_name="seconds")),
                (
                    "position",
                    models.BigIntegerField(
                        help_text="The ledger was read up to here first; then what came since.",
                        null=True,
                        verbose_name="position",
                    ),
                ),
                (
                    "row_count",
                    models.BigIntegerField(
                        help_text="How many there should be.", null=True, verbose_name="rollups"
                    ),
                ),
                ("missing_count", models.BigIntegerField(default=0, verbose_name="missing")),
                (
                    "extra_count",
                    models.BigIntegerField(
                        default=0,
                        help_text="Rollups that no event of the ledger stands behind.",
                        verbose_name="extra",
                    ),
                ),
                (
                    "different_count",
                    models.BigIntegerField(
                        default=0,
                        help_text="Rollups with another content than the ledger says.",
                        verbose_name="different",
                    ),
                ),
                (
                    "pending_count",
                    models.BigIntegerField(
                        default=0,
                        help_text="Contributions that waited to be merged, and are contained now.",
                        verbose_name="pending",
                    ),
                ),
                ("failure", models.TextField(blank=True, default="", verbose_name="failure")),
                (
                    "metric",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.metricdefinition",
                        verbose_name="metric",
                    ),
                ),
            ],
            options={
                "verbose_name": "rebuild",
                "verbose_name_plural": "rebuilds",
                "db_table_comment": "One time that a metric's rollups were worked out again from the ledger.",
                "permissions": [("rebuild_rollups", "Can rebuild rollups")],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["-requested_at", "-id"], name="rebuild_newest_first")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("finished_at__isnull", True)),
                        fields=("metric",),
                        name="rebuild_waits_once_per_metric",
                    )
                ],
            },
        ),
    ]
