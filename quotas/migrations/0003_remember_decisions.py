"""What quotas answered, and why: rows that only a repeat may add to."""

from pathlib import Path

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0013_owe_observations"),
        ("quotas", "0002_limit_exactly_and_for_a_while"),
    ]

    operations = [
        migrations.CreateModel(
            name="QuotaBreach",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("period_start", models.DateTimeField(verbose_name="period from")),
                ("period_end", models.DateTimeField(null=True, verbose_name="period until")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("exceeded", "Refused for the first time"),
                            ("soft_breached", "Went beyond a soft limit for the first time"),
                        ],
                        max_length=20,
                        verbose_name="kind",
                    ),
                ),
                ("reference", models.CharField(max_length=16, verbose_name="decision")),
                (
                    "breached_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="breached at"
                    ),
                ),
                (
                    "quota",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="quotas.projectquota",
                        verbose_name="quota",
                    ),
                ),
            ],
            options={
                "verbose_name": "quota breach",
                "verbose_name_plural": "quota breaches",
                "db_table_comment": "That a quota was reached in one of its periods; announced once.",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("quota", "period_start", "kind"), name="quota_breach_once_per_period"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="QuotaDecision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "reference",
                    models.CharField(
                        help_text="What the refused caller was given as `decision`.",
                        max_length=16,
                        unique=True,
                        verbose_name="reference",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("denied", "Denied"),
                            ("soft_breach", "Recorded with a warning"),
                            ("closed_period", "Period closed"),
                            ("unavailable", "Couldn't be decided"),
                            ("blocked", "Blocked by a threshold"),
                        ],
                        max_length=20,
                        verbose_name="answer",
                    ),
                ),
                ("project_key", models.CharField(max_length=100, verbose_name="project")),
                ("user_project_key", models.CharField(max_length=100, verbose_name="used by")),
                ("metric_key", models.CharField(db_default="", max_length=100, verbose_name="metric")),
                ("mode", models.CharField(db_default="", max_length=10, verbose_name="mode")),
                ("period", models.CharField(db_default="", max_length=10, verbose_name="period")),
                ("period_start", models.DateTimeField(null=True, verbose_name="period from")),
                ("period_end", models.DateTimeField(null=True, verbose_name="period until")),
                (
                    "limit",
                    models.DecimalField(decimal_places=12, max_digits=38, null=True, verbose_name="limit"),
                ),
                ("used", models.CharField(max_length=200, null=True, verbose_name="used")),
                ("held", models.CharField(max_length=200, null=True, verbose_name="held")),
                ("requested", models.CharField(max_length=200, null=True, verbose_name="requested")),
                ("remaining", models.CharField(max_length=200, null=True, verbose_name="remaining")),
                (
                    "position",
                    models.BigIntegerField(
                        help_text="Ledger position of the last fence before the answer: all up to it was counted.",
                        null=True,
                        verbose_name="position",
                    ),
                ),
                (
                    "basis",
                    models.CharField(
                        choices=[
                            ("cache", "Rollups, held in memory"),
                            ("rollups", "Rollups and what was pending"),
                            ("ledger", "The ledger, exactly"),
                        ],
                        db_default="",
                        max_length=10,
                        verbose_name="counted by",
                    ),
                ),
                (
                    "subject_type",
                    models.CharField(db_default="", max_length=255, verbose_name="subject type"),
                ),
                ("subject_id", models.CharField(db_default="", max_length=255, verbose_name="subject")),
                (
                    "events",
                    models.JSONField(
                        default=list, help_text="The ids of some of the events.", verbose_name="events"
                    ),
                ),
                ("actor", models.CharField(max_length=300, verbose_name="asked by")),
                (
                    "detail",
                    models.TextField(
                        db_default="", help_text="What the caller was told.", verbose_name="said"
                    ),
                ),
                ("first_at", models.DateTimeField(verbose_name="first at")),
                ("last_at", models.DateTimeField(verbose_name="last at")),
                ("count", models.BigIntegerField(db_default=1, verbose_name="times")),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="metering.metricdefinition",
                        verbose_name="metric",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        help_text="The project that the quota belongs to.",
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="metering.project",
                        verbose_name="project",
                    ),
                ),
                (
                    "quota",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="quotas.projectquota",
                        verbose_name="quota",
                    ),
                ),
                (
                    "user_project",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        help_text="The project whose usage was to be recorded.",
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="metering.project",
                        verbose_name="used by",
                    ),
                ),
            ],
            options={
                "verbose_name": "quota decision",
                "verbose_name_plural": "quota decisions",
                "db_table_comment": "One answer of a quota that wasn't a plain yes; equal ones of a minute are one row.",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["project", "-id"], name="quota_decision_by_project"),
                    models.Index(fields=["user_project", "-id"], name="quota_decision_by_user"),
                    models.Index(fields=["quota", "-id"], name="quota_decision_by_quota"),
                    models.Index(fields=["last_at"], name="quota_decision_by_time"),
                ],
            },
        ),
        migrations.RunSQL(
            sql=(HERE / "0003_remember_decisions.sql").read_text(),
            reverse_sql=(HERE / "0003_remember_decisions_reverse.sql").read_text(),
        ),
    ]
