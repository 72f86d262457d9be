"""Counting by the ledger under locks, anchored periods, temporary limits; the lock function lies beside."""

from pathlib import Path

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import metering.models.project

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0011_remember_verifications"),
        ("quotas", "0001_limit_what_projects_use"),
    ]

    operations = [
        migrations.CreateModel(
            name="QuotaOverride",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "limit",
                    models.DecimalField(
                        decimal_places=12,
                        help_text="In the metric's unit, instead of the quota's own limit; 0 allows nothing.",
                        max_digits=38,
                        verbose_name="limit",
                    ),
                ),
                (
                    "effective_from",
                    models.DateTimeField(help_text="From this instant on.", verbose_name="effective from"),
                ),
                (
                    "effective_until",
                    models.DateTimeField(
                        help_text="From this instant on the quota's own limit holds again.",
                        verbose_name="effective until",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="Why, for those who ask later.", max_length=1000, verbose_name="reason"
                    ),
                ),
                ("created_by", models.CharField(editable=False, max_length=300, verbose_name="created by")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="created at",
                    ),
                ),
                (
                    "ended_by",
                    models.CharField(
                        blank=True,
                        default="",
                        editable=False,
                        help_text="Who ended it before its time; empty where nobody did.",
                        max_length=300,
                        verbose_name="ended by",
                    ),
                ),
            ],
            options={
                "verbose_name": "temporary limit",
                "verbose_name_plural": "temporary limits",
                "db_table_comment": "Another limit that a quota has from one instant to another.",
                "ordering": ["quota_id", "effective_from", "id"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="projectquota",
            name="quota_once_per_period",
        ),
        migrations.AddField(
            model_name="projectquota",
            name="anchor",
            field=models.DateField(
                blank=True,
                help_text="The day that periods are counted from: with 31 January, months begin on the 31st, or on the last day of shorter months. Empty: by the calendar.",
                null=True,
                verbose_name="anchor",
            ),
        ),
        migrations.AlterField(
            model_name="projectquota",
            name="counting",
            field=models.CharField(
                choices=[
                    ("rollups", "Rollups (fast; writers at the same instant may overshoot)"),
                    ("ledger", "Ledger (exact; writers wait for each other)"),
                ],
                default="rollups",
                help_text="What decisions are based on. Rollups suit nearly everything. By the ledger the limit is never passed by a single unit; recorders of the same quota then queue.",
                max_length=10,
                verbose_name="counting",
            ),
        ),
        migrations.AddConstraint(
            model_name="projectquota",
            constraint=models.UniqueConstraint(
                fields=("project", "metric", "period", "anchor"),
                name="quota_once_per_period",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="projectquota",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("anchor__isnull", True),
                    ("period__in", ["day", "week", "month", "year"]),
                    _connector="OR",
                ),
                name="quota_anchor_has_a_calendar",
            ),
        ),
        migrations.AddField(
            model_name="quotaoverride",
            name="quota",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="overrides",
                to="quotas.projectquota",
                verbose_name="quota",
            ),
        ),
        migrations.AddConstraint(
            model_name="quotaoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(("limit__gte", 0)), name="override_limit_not_negative"
            ),
        ),
        migrations.AddConstraint(
            model_name="quotaoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(("effective_until__gte", models.F("effective_from"))),
                name="override_ends_after_it_begins",
            ),
        ),
        migrations.AddConstraint(
            model_name="quotaoverride",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                expressions=[
                    (metering.models.project.IdRange("quota_id", "quota_id"), "&&"),
                    (
                        models.Func(
                            "effective_from",
                            "effective_until",
                            function="tstzrange",
                            output_field=django.contrib.postgres.fields.ranges.DateTimeRangeField(),
                        ),
                        "&&",
                    ),
                ],
                name="override_without_overlap",
            ),
        ),
        migrations.RunSQL(
            sql=(HERE / "0002_limit_exactly_and_for_a_while.sql").read_text(),
            reverse_sql=(HERE / "0002_limit_exactly_and_for_a_while_reverse.sql").read_text(),
        ),
    ]
