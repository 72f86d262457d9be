"""A decision may be a threshold's: which one blocked, and at what level."""

import django.db.models.deletion
from django.db import migrations, models

import metering.models.fields


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0013_owe_observations"),
        ("quotas", "0006_keep_the_history_of_quotas"),
    ]

    operations = [
        migrations.AlterModelTableComment(
            name="quotadecision",
            table_comment="One answer of a quota or a blocking threshold that wasn't a plain yes; equal ones of a minute are one row.",
        ),
        migrations.AddField(
            model_name="quotadecision",
            name="level",
            field=metering.models.fields.NumericField(
                help_text="Of the threshold, as it was then.", null=True, verbose_name="level"
            ),
        ),
        migrations.AddField(
            model_name="quotadecision",
            name="threshold",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="That blocked it, where no quota was the reason.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="quotas.usagethreshold",
                verbose_name="threshold",
            ),
        ),
        migrations.AlterField(
            model_name="quotadecision",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="The project that the quota or threshold belongs to.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.AddIndex(
            model_name="quotadecision",
            index=models.Index(
                condition=models.Q(("threshold__isnull", False)),
                fields=["threshold", "-id"],
                name="quota_decision_by_threshold",
            ),
        ),
    ]
