"""Who changed the kernel's configuration, when, and why: written by triggers of its tables."""

from pathlib import Path

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.fields.json
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import metering.models.change

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0014_remember_exports"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiKeyChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "name",
                    models.CharField(
                        help_text="Which application holds it, so that it can be found and revoked.",
                        max_length=200,
                        verbose_name="name",
                    ),
                ),
                ("key_id", models.CharField(editable=False, max_length=32, verbose_name="prefix")),
                (
                    "permissions",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("ingest", "Send usage"),
                                ("read", "Read usage"),
                                ("manage", "Manage definitions"),
                                ("backfill", "Record closed periods"),
                            ],
                            max_length=20,
                        ),
                        help_text="What the holder may do.",
                        size=None,
                        verbose_name="permissions",
                    ),
                ),
                (
                    "expires_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="Empty: never. The key stops working at this instant.",
                        null=True,
                        verbose_name="expires at",
                    ),
                ),
                (
                    "revoked_at",
                    models.DateTimeField(blank=True, editable=False, null=True, verbose_name="revoked at"),
                ),
            ],
            options={
                "verbose_name": "change of an API key",
                "verbose_name_plural": "changes of API keys",
                "db_table_comment": "What an API key became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="EndpointChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "url",
                    models.CharField(
                        help_text="Begins with https://. Each event is sent there by POST, as JSON.",
                        max_length=2000,
                        verbose_name="URL",
                    ),
                ),
                (
                    "description",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Whose it is and what it does with the events, so that somebody can be asked.",
                        max_length=200,
                        verbose_name="description",
                    ),
                ),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=100),
                        blank=True,
                        default=list,
                        help_text="The kinds of events that are sent. None chosen: all, also those that come later.",
                        size=None,
                        verbose_name="events",
                    ),
                ),
                (
                    "is_enabled",
                    models.BooleanField(
                        default=True,
                        help_text="Switched off, it misses what happens meanwhile.",
                        verbose_name="enabled",
                    ),
                ),
                (
                    "disabled_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("staff", "Switched off"),
                            ("failing", "Failed for too long"),
                            ("gone", "Answered 410 Gone"),
                        ],
                        default="",
                        max_length=10,
                        verbose_name="why it is off",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a webhook endpoint",
                "verbose_name_plural": "changes of webhook endpoints",
                "db_table_comment": "What a webhook endpoint became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="MetricChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "key",
                    models.CharField(
                        help_text="Short name used in the API, unique along the tree. It can't be changed later.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?\\Z",
                                "Use lower-case letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                        verbose_name="key",
                    ),
                ),
                ("display_name", models.CharField(max_length=200, verbose_name="display name")),
                ("description", models.TextField(blank=True, default="", verbose_name="description")),
                (
                    "unit",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="What one is called: token, GB, request.",
                        max_length=50,
                        verbose_name="unit",
                    ),
                ),
                (
                    "event_name",
                    models.CharField(
                        help_text="The events that it listens to. Several metrics may listen to one event name.",
                        max_length=200,
                        verbose_name="event name",
                    ),
                ),
                (
                    "meter_type",
                    models.CharField(
                        choices=[("counter", "Counter (amounts only add)"), ("gauge", "Gauge (may go down)")],
                        default="counter",
                        max_length=10,
                        verbose_name="meter type",
                    ),
                ),
                (
                    "data_type",
                    models.CharField(
                        choices=[("INT", "Whole number"), ("FLOAT", "Decimal number"), ("STRING", "Text")],
                        default="FLOAT",
                        help_text="An event whose value is of another type is refused.",
                        max_length=10,
                        verbose_name="data type",
                    ),
                ),
                (
                    "aggregation",
                    models.CharField(
                        choices=[
                            ("COUNT", "Count of events"),
                            ("SUM", "Sum"),
                            ("AVG", "Average"),
                            ("MAX", "Maximum"),
                            ("MIN", "Minimum"),
                            ("UNIQUE_COUNT", "Count of distinct values"),
                            ("LATEST", "Latest value"),
                            ("TIME_WEIGHTED_AVG", "Time-weighted average"),
                        ],
                        default="SUM",
                        max_length=20,
                        verbose_name="aggregation",
                    ),
                ),
                (
                    "value_property",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The label that holds the value, as a dotted path. Empty: the event's quantity, or 1.",
                        max_length=200,
                        verbose_name="value property",
                    ),
                ),
                (
                    "is_incremental",
                    models.BooleanField(
                        default=True,
                        help_text="On: each event is an amount. Off: each event is a reading of an absolute counter.",
                        verbose_name="incremental",
                    ),
                ),
                (
                    "reporting_method",
                    models.CharField(
                        choices=[
                            ("periodic", "Periodic (each reading stands alone)"),
                            ("total", "Total (readings state a running total)"),
                        ],
                        default="periodic",
                        max_length=10,
                        verbose_name="reporting method",
                    ),
                ),
                (
                    "expected_labels",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        blank=True,
                        default=list,
                        help_text="Labels that every event must carry, separated by commas.",
                        size=None,
                        verbose_name="expected labels",
                    ),
                ),
                (
                    "primary_labels",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        blank=True,
                        default=list,
                        help_text="Labels that rollups keep apart, separated by commas: fast to group and filter by.",
                        size=None,
                        verbose_name="primary labels",
                    ),
                ),
                (
                    "event_label_filter",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='Only events whose labels match, such as {"region": "eu"} or {"size": {"$gt": 10}}.',
                        verbose_name="event label filter",
                    ),
                ),
                (
                    "reset_period",
                    models.CharField(
                        choices=[
                            ("never", "Never"),
                            ("hourly", "Hourly"),
                            ("daily", "Daily"),
                            ("weekly", "Weekly"),
                            ("monthly", "Monthly"),
                            ("yearly", "Yearly"),
                        ],
                        default="monthly",
                        max_length=10,
                        verbose_name="reset period",
                    ),
                ),
                (
                    "counts_from",
                    models.BigIntegerField(
                        default=0,
                        editable=False,
                        help_text="Ledger position: events recorded after it count.",
                        verbose_name="counts from",
                    ),
                ),
                (
                    "archived_from",
                    models.BigIntegerField(
                        editable=False,
                        help_text="Ledger position: events recorded after it no longer count.",
                        null=True,
                        verbose_name="archived from",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a metric",
                "verbose_name_plural": "changes of metrics",
                "db_table_comment": "What a metric became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ProjectChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "key",
                    models.CharField(
                        help_text="Short name used in the API and in files. It can't be changed later.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?\\Z",
                                "Use lower-case letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                        verbose_name="key",
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="What people call it.", max_length=200, verbose_name="name"),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("tenant", "Platform tenant"),
                            ("organisation", "Organisation"),
                            ("project", "Project"),
                        ],
                        default="project",
                        max_length=20,
                        verbose_name="kind",
                    ),
                ),
                (
                    "timezone",
                    models.CharField(
                        default="UTC",
                        help_text="IANA name, such as Europe/Berlin. Quota periods begin at this zone's midnight.",
                        max_length=64,
                        verbose_name="time zone",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a project",
                "verbose_name_plural": "changes of projects",
                "db_table_comment": "What a project became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="RuleChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "effective_from",
                    models.DateTimeField(
                        blank=True, help_text="Empty: since ever.", null=True, verbose_name="effective from"
                    ),
                ),
                (
                    "effective_until",
                    models.DateTimeField(
                        blank=True,
                        help_text="Empty: until further notice.",
                        null=True,
                        verbose_name="effective until",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of an attribution rule",
                "verbose_name_plural": "changes of attribution rules",
                "db_table_comment": "What an attribution rule became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SurfaceChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "key",
                    models.CharField(
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?\\Z",
                                "Use lower-case letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                        verbose_name="key",
                    ),
                ),
                ("name", models.CharField(max_length=200, verbose_name="name")),
            ],
            options={
                "verbose_name": "change of a surface",
                "verbose_name_plural": "changes of surfaces",
                "db_table_comment": "What a surface became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="apikey",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_apikeychange" ("expires_at", "key_id", "name", "permissions", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "revoked_at") VALUES (NEW."expires_at", NEW."key_id", NEW."name", NEW."permissions", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id", NEW."revoked_at"); RETURN NULL;',
                    hash="1f598b4e6e5f1dc36d3df6c31fc3cec4abdb6313",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_34c6c",
                    table="metering_apikey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="apikey",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."key_id" IS DISTINCT FROM (NEW."key_id") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."permissions" IS DISTINCT FROM (NEW."permissions") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."revoked_at" IS DISTINCT FROM (NEW."revoked_at"))',
                    func='INSERT INTO "metering_apikeychange" ("expires_at", "key_id", "name", "permissions", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "revoked_at") VALUES (NEW."expires_at", NEW."key_id", NEW."name", NEW."permissions", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id", NEW."revoked_at"); RETURN NULL;',
                    hash="c5a67262b770220e492103a93801e3bb8485104e",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_10b25",
                    table="metering_apikey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="apikey",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_apikeychange" ("expires_at", "key_id", "name", "permissions", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "revoked_at") VALUES (OLD."expires_at", OLD."key_id", OLD."name", OLD."permissions", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id", OLD."revoked_at"); RETURN NULL;',
                    hash="b4e872f3e20a98720daa56e4f956335f6fce76c1",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_5f1fa",
                    table="metering_apikey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="attributionrule",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_rulechange" ("billing_attribution_project_id", "effective_from", "effective_until", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "surface_id") VALUES (NEW."billing_attribution_project_id", NEW."effective_from", NEW."effective_until", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id", NEW."surface_id"); RETURN NULL;',
                    hash="9ef9d8aa0f662832fbcbeda0989c85b0059d4883",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_41eb5",
                    table="metering_attributionrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="attributionrule",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."billing_attribution_project_id" IS DISTINCT FROM (NEW."billing_attribution_project_id") OR OLD."effective_from" IS DISTINCT FROM (NEW."effective_from") OR OLD."effective_until" IS DISTINCT FROM (NEW."effective_until") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."surface_id" IS DISTINCT FROM (NEW."surface_id"))',
                    func='INSERT INTO "metering_rulechange" ("billing_attribution_project_id", "effective_from", "effective_until", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "surface_id") VALUES (NEW."billing_attribution_project_id", NEW."effective_from", NEW."effective_until", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id", NEW."surface_id"); RETURN NULL;',
                    hash="237d2a44f71166cde42bf09666110f808b2a0290",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_2a890",
                    table="metering_attributionrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="attributionrule",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_rulechange" ("billing_attribution_project_id", "effective_from", "effective_until", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "surface_id") VALUES (OLD."billing_attribution_project_id", OLD."effective_from", OLD."effective_until", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id", OLD."surface_id"); RETURN NULL;',
                    hash="213aaa9a8d36b26fec83e0c73e4f5c0d7ea3439b",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_cf88c",
                    table="metering_attributionrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="metricdefinition",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_metricchange" ("aggregation", "archived_from", "counts_from", "data_type", "description", "display_name", "event_label_filter", "event_name", "expected_labels", "is_incremental", "key", "meter_type", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "primary_labels", "project_id", "reporting_method", "reset_period", "unit", "value_property") VALUES (NEW."aggregation", NEW."archived_from", NEW."counts_from", NEW."data_type", NEW."description", NEW."display_name", NEW."event_label_filter", NEW."event_name", NEW."expected_labels", NEW."is_incremental", NEW."key", NEW."meter_type", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."primary_labels", NEW."project_id", NEW."reporting_method", NEW."reset_period", NEW."unit", NEW."value_property"); RETURN NULL;',
                    hash="9a90e0b0d93ee063a54dea7db3ec035f32c576c9",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_e4f77",
                    table="metering_metricdefinition",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="metricdefinition",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."aggregation" IS DISTINCT FROM (NEW."aggregation") OR OLD."archived_from" IS DISTINCT FROM (NEW."archived_from") OR OLD."counts_from" IS DISTINCT FROM (NEW."counts_from") OR OLD."data_type" IS DISTINCT FROM (NEW."data_type") OR OLD."description" IS DISTINCT FROM (NEW."description") OR OLD."display_name" IS DISTINCT FROM (NEW."display_name") OR OLD."event_label_filter" IS DISTINCT FROM (NEW."event_label_filter") OR OLD."event_name" IS DISTINCT FROM (NEW."event_name") OR OLD."expected_labels" IS DISTINCT FROM (NEW."expected_labels") OR OLD."is_incremental" IS DISTINCT FROM (NEW."is_incremental") OR OLD."key" IS DISTINCT FROM (NEW."key") OR OLD."meter_type" IS DISTINCT FROM (NEW."meter_type") OR OLD."primary_labels" IS DISTINCT FROM (NEW."primary_labels") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."reporting_method" IS DISTINCT FROM (NEW."reporting_method") OR OLD."reset_period" IS DISTINCT FROM (NEW."reset_period") OR OLD."unit" IS DISTINCT FROM (NEW."unit") OR OLD."value_property" IS DISTINCT FROM (NEW."value_property"))',
                    func='INSERT INTO "metering_metricchange" ("aggregation", "archived_from", "counts_from", "data_type", "description", "display_name", "event_label_filter", "event_name", "expected_labels", "is_incremental", "key", "meter_type", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "primary_labels", "project_id", "reporting_method", "reset_period", "unit", "value_property") VALUES (NEW."aggregation", NEW."archived_from", NEW."counts_from", NEW."data_type", NEW."description", NEW."display_name", NEW."event_label_filter", NEW."event_name", NEW."expected_labels", NEW."is_incremental", NEW."key", NEW."meter_type", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."primary_labels", NEW."project_id", NEW."reporting_method", NEW."reset_period", NEW."unit", NEW."value_property"); RETURN NULL;',
                    hash="27a71c9bd872db79e74a7fcc8b550b2b7fda44ab",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_f107d",
                    table="metering_metricdefinition",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="metricdefinition",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_metricchange" ("aggregation", "archived_from", "counts_from", "data_type", "description", "display_name", "event_label_filter", "event_name", "expected_labels", "is_incremental", "key", "meter_type", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "primary_labels", "project_id", "reporting_method", "reset_period", "unit", "value_property") VALUES (OLD."aggregation", OLD."archived_from", OLD."counts_from", OLD."data_type", OLD."description", OLD."display_name", OLD."event_label_filter", OLD."event_name", OLD."expected_labels", OLD."is_incremental", OLD."key", OLD."meter_type", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."primary_labels", OLD."project_id", OLD."reporting_method", OLD."reset_period", OLD."unit", OLD."value_property"); RETURN NULL;',
                    hash="3edb1abc42377271dfaff2ed0fcd8e4ec553784f",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_1eea3",
                    table="metering_metricdefinition",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="project",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_projectchange" ("key", "kind", "name", "parent_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (NEW."key", NEW."kind", NEW."name", NEW."parent_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."timezone"); RETURN NULL;',
                    hash="636d2ffebd8183e61f46ac8661970d716fc63fcc",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_54c04",
                    table="metering_project",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="project",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."key" IS DISTINCT FROM (NEW."key") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."parent_id" IS DISTINCT FROM (NEW."parent_id") OR OLD."timezone" IS DISTINCT FROM (NEW."timezone"))',
                    func='INSERT INTO "metering_projectchange" ("key", "kind", "name", "parent_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (NEW."key", NEW."kind", NEW."name", NEW."parent_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."timezone"); RETURN NULL;',
                    hash="9f5849e383e6bb3502b16f379cb7669db78376c6",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_fafc8",
                    table="metering_project",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="project",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_projectchange" ("key", "kind", "name", "parent_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (OLD."key", OLD."kind", OLD."name", OLD."parent_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."timezone"); RETURN NULL;',
                    hash="c0ea4804b8efb5465bae13ae3d0ce0275f2a2599",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_9d05c",
                    table="metering_project",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="surfaceinstallation",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_surfacechange" ("key", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id") VALUES (NEW."key", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id"); RETURN NULL;',
                    hash="4ec0ab477c90160d8454bbe14822e6bdcf592dba",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_5bdc3",
                    table="metering_surfaceinstallation",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="surfaceinstallation",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."key" IS DISTINCT FROM (NEW."key") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id"))',
                    func='INSERT INTO "metering_surfacechange" ("key", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id") VALUES (NEW."key", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id"); RETURN NULL;',
                    hash="007f1aff12587666e5eaeea232472e68da94c4eb",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_e8384",
                    table="metering_surfaceinstallation",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="surfaceinstallation",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_surfacechange" ("key", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id") VALUES (OLD."key", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id"); RETURN NULL;',
                    hash="8c53b0be52b9a1ec89693b6ebdfac087a88b2654",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_8e253",
                    table="metering_surfaceinstallation",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_endpointchange" ("description", "disabled_reason", "is_enabled", "kinds", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "url") VALUES (NEW."description", NEW."disabled_reason", NEW."is_enabled", NEW."kinds", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id", NEW."url"); RETURN NULL;',
                    hash="d4af6dd6d7abaab106db16116b1ca186e033024b",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_eda22",
                    table="metering_webhookendpoint",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."description" IS DISTINCT FROM (NEW."description") OR OLD."disabled_reason" IS DISTINCT FROM (NEW."disabled_reason") OR OLD."is_enabled" IS DISTINCT FROM (NEW."is_enabled") OR OLD."kinds" IS DISTINCT FROM (NEW."kinds") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."url" IS DISTINCT FROM (NEW."url"))',
                    func='INSERT INTO "metering_endpointchange" ("description", "disabled_reason", "is_enabled", "kinds", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "url") VALUES (NEW."description", NEW."disabled_reason", NEW."is_enabled", NEW."kinds", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id", NEW."url"); RETURN NULL;',
                    hash="0edaaf8e5770f0c80cffd1054063c23f315f334d",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_74460",
                    table="metering_webhookendpoint",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_endpointchange" ("description", "disabled_reason", "is_enabled", "kinds", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "url") VALUES (OLD."description", OLD."disabled_reason", OLD."is_enabled", OLD."kinds", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id", OLD."url"); RETURN NULL;',
                    hash="398bdca5edaf2fe63b71ab9e34a84547a8da48f6",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_bbe81",
                    table="metering_webhookendpoint",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="apikeychange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.apikey",
            ),
        ),
        migrations.AddField(
            model_name="apikeychange",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="The key sees this project and everything below it, nothing else.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.AddField(
            model_name="endpointchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.webhookendpoint",
            ),
        ),
        migrations.AddField(
            model_name="endpointchange",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="The endpoint is told what happens in this project and everything below it.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.AddField(
            model_name="metricchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.metricdefinition",
            ),
        ),
        migrations.AddField(
            model_name="metricchange",
            name="project",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="The metric counts usage of this project and everything below it. Empty: of all projects.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="owner",
            ),
        ),
        migrations.AddField(
            model_name="projectchange",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="The organisation or tenant that this project belongs to. Empty for the top of a tree.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="parent",
            ),
        ),
        migrations.AddField(
            model_name="projectchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
            ),
        ),
        migrations.AddField(
            model_name="rulechange",
            name="billing_attribution_project",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="The project that pays. It must lie in the same tree.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="paid by",
            ),
        ),
        migrations.AddField(
            model_name="rulechange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.attributionrule",
            ),
        ),
        migrations.AddField(
            model_name="rulechange",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.AddField(
            model_name="rulechange",
            name="surface",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Only usage of this surface; empty for all other usage of the project.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.surfaceinstallation",
                verbose_name="surface",
            ),
        ),
        migrations.AddField(
            model_name="surfacechange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.surfaceinstallation",
            ),
        ),
        migrations.AddField(
            model_name="surfacechange",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.AddIndex(
            model_name="apikeychange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="apikeychange_by_time"),
        ),
        migrations.AddIndex(
            model_name="apikeychange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="apikeychange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="apikeychange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="apikeychange_by_row"),
        ),
        migrations.AddIndex(
            model_name="endpointchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="endpointchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="endpointchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="endpointchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="endpointchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="endpointchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="metricchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="metricchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="metricchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="metricchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="metricchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="metricchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="projectchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="projectchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="projectchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="projectchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="projectchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="projectchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="rulechange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="rulechange_by_time"),
        ),
        migrations.AddIndex(
            model_name="rulechange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="rulechange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="rulechange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="rulechange_by_row"),
        ),
        migrations.AddIndex(
            model_name="surfacechange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="surfacechange_by_time"),
        ),
        migrations.AddIndex(
            model_name="surfacechange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="surfacechange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="surfacechange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="surfacechange_by_row"),
        ),
        migrations.AddIndex(
            model_name="apikeychange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="apikeychange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="endpointchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="endpointchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="metricchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="metricchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="projectchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="projectchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="rulechange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="rulechange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="surfacechange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="surfacechange_gone"
            ),
        ),
        migrations.RunSQL(
            sql=(HERE / "0015_keep_the_history_of_definitions.sql").read_text(),
            reverse_sql=(HERE / "0015_keep_the_history_of_definitions_reverse.sql").read_text(),
        ),
    ]
