"""Who corrected the ledger and why: a table that is only ever added to."""

from pathlib import Path

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0004_keep_distinct_values_levels_and_marks"),
    ]

    operations = [
        migrations.CreateModel(
            name="Correction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("void", "Void"),
                            ("amendment", "Amendment"),
                            ("reattribution", "Re-attribution"),
                        ],
                        max_length=20,
                        verbose_name="kind",
                    ),
                ),
                ("event", models.BigIntegerField(verbose_name="corrected event")),
                ("void", models.BigIntegerField(verbose_name="void")),
                (
                    "replacement",
                    models.BigIntegerField(
                        help_text="The event recorded in its place. Empty: none.",
                        null=True,
                        verbose_name="replacement",
                    ),
                ),
                ("reason", models.TextField(verbose_name="reason")),
                ("actor", models.CharField(help_text="Who corrected it.", max_length=300, verbose_name="by")),
                (
                    "corrected_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="corrected at"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.project",
                        verbose_name="project",
                    ),
                ),
            ],
            options={
                "verbose_name": "correction",
                "verbose_name_plural": "corrections",
                "db_table_comment": "One correction of the ledger: who voided or replaced an event, when and why.",
                "ordering": ["-corrected_at", "-id"],
                "permissions": [
                    ("void_usageevent", "Can void usage events"),
                    ("amend_usageevent", "Can amend usage events"),
                ],
                "indexes": [models.Index(fields=["-corrected_at", "-id"], name="correction_newest_first")],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "event"), name="correction_once_per_event")
                ],
            },
        ),
        migrations.RunSQL(
            sql=(HERE / "0005_account_for_corrections.sql").read_text(),
            reverse_sql=(HERE / "0005_account_for_corrections_reverse.sql").read_text(),
        ),
    ]
