"""Who changed limits, when, and why: written by triggers of the quotas' table."""

from pathlib import Path

import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0013_owe_observations"),
        ("quotas", "0005_reserve_by_holds"),
    ]

    operations = [
        migrations.CreateModel(
            name="QuotaChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "limit",
                    models.DecimalField(
                        decimal_places=12,
                        help_text="In the metric's unit. Using exactly this much is allowed; 0 allows nothing. For no limit at all, remove the quota.",
                        max_digits=38,
                        verbose_name="limit",
                    ),
                ),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("hard", "Hard (refuses what goes beyond)"),
                            ("soft", "Soft (records it with a warning)"),
                            ("monitor", "Monitor (records it and only watches)"),
                        ],
                        default="hard",
                        help_text="What happens to usage beyond the limit.",
                        max_length=10,
                        verbose_name="mode",
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
                        default="month",
                        help_text="How often counting starts anew, by the calendar of the project's time zone.",
                        max_length=10,
                        verbose_name="period",
                    ),
                ),
                (
                    "anchor",
                    models.DateField(
                        blank=True,
                        help_text="The day that periods are counted from: with 31 January, months begin on the 31st, or on the last day of shorter months. Empty: by the calendar.",
                        null=True,
                        verbose_name="anchor",
                    ),
                ),
                (
                    "counting",
                    models.CharField(
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
            ],
            options={
                "verbose_name": "change of a quota",
                "verbose_name_plural": "changes of quotas",
                "db_table_comment": "What a quota became by one change. Written by trigger, append-only.",
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="projectquota",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "quotas_quotachange" ("anchor", "counting", "limit", "metric_id", "mode", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id") VALUES (NEW."anchor", NEW."counting", NEW."limit", NEW."metric_id", NEW."mode", NEW."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id"); RETURN NULL;',
                    hash="854eeab9fb7143ef0c7767dbf86b18ac25d3c810",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_532a8",
                    table="quotas_projectquota",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="projectquota",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."anchor" IS DISTINCT FROM (NEW."anchor") OR OLD."counting" IS DISTINCT FROM (NEW."counting") OR OLD."limit" IS DISTINCT FROM (NEW."limit") OR OLD."metric_id" IS DISTINCT FROM (NEW."metric_id") OR OLD."mode" IS DISTINCT FROM (NEW."mode") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id"))',
                    func='INSERT INTO "quotas_quotachange" ("anchor", "counting", "limit", "metric_id", "mode", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id") VALUES (NEW."anchor", NEW."counting", NEW."limit", NEW."metric_id", NEW."mode", NEW."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id"); RETURN NULL;',
                    hash="f3ded51c2ef4a20f08f4d2716608f931ad88c215",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_82e71",
                    table="quotas_projectquota",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="projectquota",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "quotas_quotachange" ("anchor", "counting", "limit", "metric_id", "mode", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id") VALUES (OLD."anchor", OLD."counting", OLD."limit", OLD."metric_id", OLD."mode", OLD."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id"); RETURN NULL;',
                    hash="305148780bfbbf174c4a8408ea525afb8325362e",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_edd03",
                    table="quotas_projectquota",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="quotachange",
            name="metric",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="What is limited. Averages and minimums can only be monitored.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.metricdefinition",
                verbose_name="metric",
            ),
        ),
        migrations.AddField(
            model_name="quotachange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="quotas.projectquota",
            ),
        ),
        migrations.AddField(
            model_name="quotachange",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="Counts what this project uses itself and what it pays for, each use once. Projects below that pay for themselves are not counted.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.AddIndex(
            model_name="quotachange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="quota_change_by_quota"),
        ),
        migrations.RunSQL(
            sql=(HERE / "0006_keep_the_history_of_quotas.sql").read_text(),
            reverse_sql=(HERE / "0006_keep_the_history_of_quotas_reverse.sql").read_text(),
        ),
    ]
