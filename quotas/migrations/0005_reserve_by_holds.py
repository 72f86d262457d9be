"""Amounts that are reserved before they are used: rows that are only ever added."""

from pathlib import Path

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0013_owe_observations"),
        ("quotas", "0004_warn_at_thresholds"),
    ]

    operations = [
        migrations.CreateModel(
            name="QuotaHold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("public_id", models.CharField(max_length=40, unique=True, verbose_name="id")),
                (
                    "requested",
                    models.DecimalField(decimal_places=12, max_digits=38, verbose_name="asked for"),
                ),
                ("granted", models.DecimalField(decimal_places=12, max_digits=38, verbose_name="granted")),
                (
                    "on_exceed",
                    models.CharField(
                        choices=[
                            ("reject", "Refused where it doesn't fit"),
                            ("cap", "Cut down to what fits"),
                        ],
                        max_length=10,
                        verbose_name="where it doesn't fit",
                    ),
                ),
                ("members", models.JSONField(default=dict, verbose_name="event")),
                (
                    "occurred_at",
                    models.DateTimeField(
                        help_text="It counts in the periods that hold this instant.",
                        verbose_name="for use at",
                    ),
                ),
                (
                    "idempotency_key",
                    models.CharField(max_length=255, null=True, verbose_name="idempotency key"),
                ),
                ("digest", models.BinaryField(max_length=32, verbose_name="digest")),
                ("actor", models.CharField(max_length=300, verbose_name="reserved by")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created at"
                    ),
                ),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                (
                    "billing_scope",
                    models.ForeignKey(
                        db_index=False,
                        help_text="Who pays, as resolved when it was reserved.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.project",
                        verbose_name="billing scope",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.metricdefinition",
                        verbose_name="metric",
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
                "verbose_name": "hold",
                "verbose_name_plural": "holds",
                "db_table_comment": "An amount of a metric that is reserved for a while. Append-only by trigger.",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="QuotaHoldEnding",
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
                        choices=[("committed", "Used"), ("released", "Given back")],
                        max_length=10,
                        verbose_name="kind",
                    ),
                ),
                (
                    "quantity",
                    models.DecimalField(decimal_places=12, max_digits=38, null=True, verbose_name="used"),
                ),
                (
                    "event",
                    models.BigIntegerField(
                        help_text="Ledger id of what was recorded.", null=True, verbose_name="event"
                    ),
                ),
                ("actor", models.CharField(max_length=300, verbose_name="by")),
                (
                    "ended_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="ended at"
                    ),
                ),
                (
                    "hold",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="ending",
                        to="quotas.quotahold",
                        verbose_name="hold",
                    ),
                ),
            ],
            options={
                "verbose_name": "ending of a hold",
                "verbose_name_plural": "endings of holds",
                "db_table_comment": "How a hold ended: used or given back, once. Append-only by trigger.",
            },
        ),
        migrations.CreateModel(
            name="QuotaHoldShare",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("amount", models.DecimalField(decimal_places=12, max_digits=38)),
                ("occurred_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                (
                    "billing_scope",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.project",
                    ),
                ),
                (
                    "hold",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shares",
                        to="quotas.quotahold",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.metricdefinition",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.project",
                    ),
                ),
            ],
            options={
                "verbose_name": "share of a hold",
                "verbose_name_plural": "shares of holds",
                "db_table_comment": "What a hold reserves of one metric. Append-only by trigger.",
            },
        ),
        migrations.AddIndex(
            model_name="quotahold",
            index=models.Index(fields=["project", "-id"], name="quota_hold_by_project"),
        ),
        migrations.AddConstraint(
            model_name="quotahold",
            constraint=models.UniqueConstraint(
                fields=("project", "idempotency_key"), name="quota_hold_made_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="quotahold",
            constraint=models.CheckConstraint(
                condition=models.Q(("granted__gt", 0)), name="quota_hold_grants_something"
            ),
        ),
        migrations.AddConstraint(
            model_name="quotaholdending",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("event", None), ("kind", "released"), ("quantity", None)),
                    models.Q(("event__isnull", False), ("kind", "committed"), ("quantity__isnull", False)),
                    _connector="OR",
                ),
                name="hold_ending_names_its_event",
            ),
        ),
        migrations.AddIndex(
            model_name="quotaholdshare",
            index=models.Index(fields=["metric", "project", "expires_at"], name="hold_share_by_project"),
        ),
        migrations.AddIndex(
            model_name="quotaholdshare",
            index=models.Index(fields=["metric", "billing_scope", "expires_at"], name="hold_share_by_payer"),
        ),
        migrations.AddConstraint(
            model_name="quotaholdshare",
            constraint=models.UniqueConstraint(fields=("hold", "metric"), name="hold_share_once_per_metric"),
        ),
        migrations.RunSQL(
            sql=(HERE / "0005_reserve_by_holds.sql").read_text(),
            reverse_sql=(HERE / "0005_reserve_by_holds_reverse.sql").read_text(),
        ),
    ]
