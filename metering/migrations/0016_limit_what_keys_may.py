"""Who made an API key, and whether it bills; those that there are go on as before."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0015_keep_the_history_of_definitions"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="apikey",
            name="set_insert",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="apikey",
            name="changed_update",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="apikey",
            name="removed_delete",
        ),
        migrations.AddField(
            model_name="apikey",
            name="created_by",
            field=models.CharField(
                blank=True, db_default="", editable=False, max_length=150, verbose_name="created by"
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="may_bill",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="With “Manage definitions”: also plans, accounts, credit and invoices.",
                verbose_name="may bill",
            ),
        ),
        migrations.AddField(
            model_name="apikeychange",
            name="created_by",
            field=models.CharField(
                blank=True, db_default="", editable=False, max_length=150, verbose_name="created by"
            ),
        ),
        migrations.AddField(
            model_name="apikeychange",
            name="may_bill",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="With “Manage definitions”: also plans, accounts, credit and invoices.",
                verbose_name="may bill",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="apikey",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "metering_apikeychange" ("created_by", "expires_at", "key_id", "may_bill", "name", "permissions", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "revoked_at") VALUES (NEW."created_by", NEW."expires_at", NEW."key_id", NEW."may_bill", NEW."name", NEW."permissions", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id", NEW."revoked_at"); RETURN NULL;',
                    hash="a426bda9dbe7015c0eb120fb390b604f8ed8e751",
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
                    condition='WHEN (OLD."created_by" IS DISTINCT FROM (NEW."created_by") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."key_id" IS DISTINCT FROM (NEW."key_id") OR OLD."may_bill" IS DISTINCT FROM (NEW."may_bill") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."permissions" IS DISTINCT FROM (NEW."permissions") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."revoked_at" IS DISTINCT FROM (NEW."revoked_at"))',
                    func='INSERT INTO "metering_apikeychange" ("created_by", "expires_at", "key_id", "may_bill", "name", "permissions", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "revoked_at") VALUES (NEW."created_by", NEW."expires_at", NEW."key_id", NEW."may_bill", NEW."name", NEW."permissions", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id", NEW."revoked_at"); RETURN NULL;',
                    hash="cab7ec97f4091dbc68f7f25af1eff7ad8173474b",
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
                    func='INSERT INTO "metering_apikeychange" ("created_by", "expires_at", "key_id", "may_bill", "name", "permissions", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "revoked_at") VALUES (OLD."created_by", OLD."expires_at", OLD."key_id", OLD."may_bill", OLD."name", OLD."permissions", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id", OLD."revoked_at"); RETURN NULL;',
                    hash="b9a32e18e80024f077493cc1f52bb2362bde4235",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_5f1fa",
                    table="metering_apikey",
                    when="AFTER",
                ),
            ),
        ),
    ]
