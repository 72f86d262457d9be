"""When the ledger and everything made of it were verified, and what was found."""

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0010_hold_metrics_by_trigger"),
    ]

    operations = [
        migrations.CreateModel(
            name="VerificationRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "trigger",
                    models.CharField(
                        choices=[
                            ("schedule", "Schedule"),
                            ("staff", "Admin"),
                            ("command", "Command line"),
                            ("code", "Program"),
                        ],
                        max_length=10,
                        verbose_name="started by",
                    ),
                ),
                (
                    "requested_by",
                    models.CharField(blank=True, default="", max_length=150, verbose_name="requested by"),
                ),
                (
                    "requested_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="requested at"
                    ),
                ),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Waiting"),
                            ("running", "Running"),
                            ("passed", "Passed"),
                            ("failed", "Failed"),
                            ("interrupted", "Interrupted"),
                        ],
                        max_length=12,
                        verbose_name="result",
                    ),
                ),
                (
                    "checks",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50),
                        default=list,
                        help_text="Which checks were asked for. Empty: all.",
                        size=None,
                        verbose_name="checks",
                    ),
                ),
                (
                    "metrics",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        default=list,
                        help_text="Which metrics were asked for. Empty: all.",
                        size=None,
                        verbose_name="metrics",
                    ),
                ),
                (
                    "head",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The head that the chain of seals was held against. Empty: none.",
                        max_length=200,
                        verbose_name="published head",
                    ),
                ),
                (
                    "breach_limit",
                    models.PositiveIntegerField(
                        default=20, help_text="How many breaches of each step are kept; all are counted."
                    ),
                ),
                (
                    "position",
                    models.BigIntegerField(
                        help_text="Everything up to this ledger position was looked at.",
                        null=True,
                        verbose_name="verified up to",
                    ),
                ),
                ("step_count", models.PositiveIntegerField(default=0, verbose_name="steps")),
                ("done_count", models.PositiveIntegerField(default=0, verbose_name="steps done")),
                (
                    "current_step",
                    models.CharField(blank=True, default="", max_length=300, verbose_name="now checking"),
                ),
                ("findings", models.JSONField(default=list, verbose_name="findings")),
                ("breach_count", models.BigIntegerField(default=0, verbose_name="breaches")),
                ("summary", models.TextField(blank=True, default="", verbose_name="summary")),
                ("seconds", models.FloatField(default=0.0, verbose_name="seconds")),
            ],
            options={
                "verbose_name": "verification",
                "verbose_name_plural": "verifications",
                "db_table_comment": "One verification of the ledger and its projections, and what it found.",
                "permissions": [("verify_ledger", "Can start a verification")],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["finished_at"], name="verification_by_end")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "queued")),
                        fields=("state",),
                        name="verification_waits_once",
                    )
                ],
            },
        ),
    ]
