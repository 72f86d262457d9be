"""Finding changes of limits by time and by who made them, and knowing the database's role for the rest."""

import django.db.models.fields.json
from django.db import migrations, models

import metering.models.change


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0015_keep_the_history_of_definitions"),
        ("quotas", "0008_keep_the_history_of_other_limits"),
    ]

    operations = [
        # Of changes until now it isn't known: those are not to get the role that migrates.
        migrations.AddField(
            model_name="overridechange",
            name="database_role",
            field=models.TextField(db_default="", editable=False, verbose_name="database role"),
        ),
        migrations.AlterField(
            model_name="overridechange",
            name="database_role",
            field=models.TextField(
                db_default=metering.models.change.SessionUser(), editable=False, verbose_name="database role"
            ),
        ),
        # Of changes until now it isn't known: those are not to get the role that migrates.
        migrations.AddField(
            model_name="quotachange",
            name="database_role",
            field=models.TextField(db_default="", editable=False, verbose_name="database role"),
        ),
        migrations.AlterField(
            model_name="quotachange",
            name="database_role",
            field=models.TextField(
                db_default=metering.models.change.SessionUser(), editable=False, verbose_name="database role"
            ),
        ),
        # Of changes until now it isn't known: those are not to get the role that migrates.
        migrations.AddField(
            model_name="thresholdchange",
            name="database_role",
            field=models.TextField(db_default="", editable=False, verbose_name="database role"),
        ),
        migrations.AlterField(
            model_name="thresholdchange",
            name="database_role",
            field=models.TextField(
                db_default=metering.models.change.SessionUser(), editable=False, verbose_name="database role"
            ),
        ),
        migrations.AddIndex(
            model_name="overridechange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="overridechange_by_time"),
        ),
        migrations.AddIndex(
            model_name="overridechange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="overridechange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="quotachange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="quotachange_by_time"),
        ),
        migrations.AddIndex(
            model_name="quotachange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="quotachange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="thresholdchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="thresholdchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="thresholdchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="thresholdchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="overridechange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="overridechange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="quotachange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="quotachange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="thresholdchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="thresholdchange_gone"
            ),
        ),
    ]
