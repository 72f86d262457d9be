"""Who changed temporary limits and thresholds, when, and why: as for quotas (0006)."""

from decimal import Decimal
from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0013_owe_observations"),
        ("quotas", "0007_account_for_blocks"),
    ]

    operations = [
        migrations.CreateModel(
            name="OverrideChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
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
                "verbose_name": "change of a temporary limit",
                "verbose_name_plural": "changes of temporary limits",
                "db_table_comment": "What a temporary limit became by one change. Written by trigger, append-only.",
            },
        ),
        migrations.CreateModel(
            name="ThresholdChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "subject_type",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Only subjects of this type, such as customer. Empty: of any type.",
                        max_length=255,
                        verbose_name="subject type",
                    ),
                ),
                (
                    "subject_id",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Empty: each subject on its own, so that every customer has the whole amount. * : all subjects together. Otherwise the one subject of this id.",
                        max_length=255,
                        verbose_name="subject",
                    ),
                ),
                (
                    "amount",
                    models.DecimalField(
                        blank=True,
                        decimal_places=12,
                        help_text="In the metric's unit. Reached means this much or more; 0 is reached by any usage.",
                        max_digits=38,
                        null=True,
                        verbose_name="amount",
                    ),
                ),
                (
                    "quota_fraction",
                    models.DecimalField(
                        blank=True,
                        decimal_places=4,
                        help_text="Instead of an amount: 0.5 is half of the project's quota for this metric and period.",
                        max_digits=6,
                        null=True,
                        verbose_name="share of the quota",
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("alert", "Alert (tells people)"),
                            ("block", "Block (tells people and refuses further usage)"),
                            ("none", "None (records the crossing, tells nobody)"),
                        ],
                        default="alert",
                        help_text="What happens when the level is reached. Nearing it only ever tells people.",
                        max_length=10,
                        verbose_name="action",
                    ),
                ),
                (
                    "notify_emails",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.EmailField(max_length=254),
                        blank=True,
                        default=list,
                        help_text="Addresses, separated by commas, at most 20. Each gets one mail when the level is near and one when it is reached.",
                        size=None,
                        verbose_name="tell by mail",
                    ),
                ),
                (
                    "period",
                    models.CharField(
                        choices=[
                            ("hour", "Hour"),
                            ("day", "Day"),
                            ("week", "Week (from Monday)"),
                            ("month", "Month"),
                            ("year", "Year"),
                            ("never", "Never starts anew"),
                        ],
                        help_text="How often counting starts anew, by the calendar of the project's time zone.",
                        max_length=10,
                        verbose_name="period",
                    ),
                ),
                (
                    "approach_fraction",
                    models.DecimalField(
                        blank=True,
                        decimal_places=4,
                        default=Decimal("0.80"),
                        help_text="Share of the level at which it counts as near: 0.8 is 80 %. Empty: no early warning.",
                        max_digits=5,
                        null=True,
                        verbose_name="early warning at",
                    ),
                ),
                (
                    "is_enabled",
                    models.BooleanField(
                        default=True,
                        help_text="Off: nothing is watched, told or refused.",
                        verbose_name="enabled",
                    ),
                ),
                ("removed_at", models.DateTimeField(editable=False, null=True, verbose_name="removed at")),
            ],
            options={
                "verbose_name": "change of a threshold",
                "verbose_name_plural": "changes of thresholds",
                "db_table_comment": "What a threshold became by one change. Written by trigger, append-only.",
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="quotaoverride",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "quotas_overridechange" ("effective_from", "effective_until", "ended_by", "limit", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "quota_id", "reason") VALUES (NEW."effective_from", NEW."effective_until", NEW."ended_by", NEW."limit", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."quota_id", NEW."reason"); RETURN NULL;',
                    hash="b4a6fb071234be4fc1b569e154b861b5341b4d73",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_3dbf2",
                    table="quotas_quotaoverride",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="quotaoverride",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."effective_from" IS DISTINCT FROM (NEW."effective_from") OR OLD."effective_until" IS DISTINCT FROM (NEW."effective_until") OR OLD."ended_by" IS DISTINCT FROM (NEW."ended_by") OR OLD."limit" IS DISTINCT FROM (NEW."limit") OR OLD."quota_id" IS DISTINCT FROM (NEW."quota_id") OR OLD."reason" IS DISTINCT FROM (NEW."reason"))',
                    func='INSERT INTO "quotas_overridechange" ("effective_from", "effective_until", "ended_by", "limit", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "quota_id", "reason") VALUES (NEW."effective_from", NEW."effective_until", NEW."ended_by", NEW."limit", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."quota_id", NEW."reason"); RETURN NULL;',
                    hash="59945cea3aeb023cb206b8d1f60270fe1c3d677c",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_7b9ab",
                    table="quotas_quotaoverride",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="quotaoverride",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "quotas_overridechange" ("effective_from", "effective_until", "ended_by", "limit", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "quota_id", "reason") VALUES (OLD."effective_from", OLD."effective_until", OLD."ended_by", OLD."limit", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."quota_id", OLD."reason"); RETURN NULL;',
                    hash="f6784ab83713af4e4c2cd4596d8ca19072375dc4",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_d1c2d",
                    table="quotas_quotaoverride",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="usagethreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "quotas_thresholdchange" ("action", "amount", "approach_fraction", "is_enabled", "metric_id", "notify_emails", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "quota_fraction", "removed_at", "subject_id", "subject_type") VALUES (NEW."action", NEW."amount", NEW."approach_fraction", NEW."is_enabled", NEW."metric_id", NEW."notify_emails", NEW."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id", NEW."quota_fraction", NEW."removed_at", NEW."subject_id", NEW."subject_type"); RETURN NULL;',
                    hash="516b635302316592bea03bfa8824e1e16c64c187",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_a8005",
                    table="quotas_usagethreshold",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="usagethreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."action" IS DISTINCT FROM (NEW."action") OR OLD."amount" IS DISTINCT FROM (NEW."amount") OR OLD."approach_fraction" IS DISTINCT FROM (NEW."approach_fraction") OR OLD."is_enabled" IS DISTINCT FROM (NEW."is_enabled") OR OLD."metric_id" IS DISTINCT FROM (NEW."metric_id") OR OLD."notify_emails" IS DISTINCT FROM (NEW."notify_emails") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."quota_fraction" IS DISTINCT FROM (NEW."quota_fraction") OR OLD."removed_at" IS DISTINCT FROM (NEW."removed_at") OR OLD."subject_id" IS DISTINCT FROM (NEW."subject_id") OR OLD."subject_type" IS DISTINCT FROM (NEW."subject_type"))',
                    func='INSERT INTO "quotas_thresholdchange" ("action", "amount", "approach_fraction", "is_enabled", "metric_id", "notify_emails", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "quota_fraction", "removed_at", "subject_id", "subject_type") VALUES (NEW."action", NEW."amount", NEW."approach_fraction", NEW."is_enabled", NEW."metric_id", NEW."notify_emails", NEW."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id", NEW."quota_fraction", NEW."removed_at", NEW."subject_id", NEW."subject_type"); RETURN NULL;',
                    hash="bce9c5897d787f9ccb2d23f9577673e39310ea91",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_54fae",
                    table="quotas_usagethreshold",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="usagethreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "quotas_thresholdchange" ("action", "amount", "approach_fraction", "is_enabled", "metric_id", "notify_emails", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "quota_fraction", "removed_at", "subject_id", "subject_type") VALUES (OLD."action", OLD."amount", OLD."approach_fraction", OLD."is_enabled", OLD."metric_id", OLD."notify_emails", OLD."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id", OLD."quota_fraction", OLD."removed_at", OLD."subject_id", OLD."subject_type"); RETURN NULL;',
                    hash="ad6761e4d35cdc9e272874e4d891f7279902a509",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_c20d6",
                    table="quotas_usagethreshold",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="overridechange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="quotas.quotaoverride",
            ),
        ),
        migrations.AddField(
            model_name="overridechange",
            name="quota",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="quotas.projectquota",
                verbose_name="quota",
            ),
        ),
        migrations.AddField(
            model_name="thresholdchange",
            name="metric",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="What is watched.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.metricdefinition",
                verbose_name="metric",
            ),
        ),
        migrations.AddField(
            model_name="thresholdchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="quotas.usagethreshold",
            ),
        ),
        migrations.AddField(
            model_name="thresholdchange",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="Counts what this project uses itself and what it pays for, each use once, as quotas do. Periods follow the calendar of its time zone.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.AddIndex(
            model_name="overridechange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="override_change_by_override"),
        ),
        migrations.AddIndex(
            model_name="thresholdchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="threshold_change_by_threshold"),
        ),
        migrations.RunSQL(
            sql=(HERE / "0008_keep_the_history_of_other_limits.sql").read_text(),
            reverse_sql=(HERE / "0008_keep_the_history_of_other_limits_reverse.sql").read_text(),
        ),
    ]
