"""Rollups of distinct values, of levels and of steps; pending contributions that don't add up by themselves."""

import uuid

from django.db import migrations, models

import metering.models.fields

NOTHING = uuid.UUID(int=0)

# What waits for a tick while this runs: extremes and latest readings are drained whole from now on.
_DRAIN_WHOLE = """
UPDATE metering_pendingcontribution p
   SET drains_whole = TRUE
  FROM metering_metricdefinition m
 WHERE m.id = p.metric_id
   AND m.aggregation IN ('MIN', 'MAX', 'LATEST')
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0003_seed_version_and_schedule"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="usagemeterrollup",
            name="rollup_natural_key",
        ),
        migrations.AddField(
            model_name="pendingcontribution",
            name="drains_whole",
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name="pendingcontribution",
            name="is_mark",
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name="pendingcontribution",
            name="value_key",
            field=models.UUIDField(db_default=NOTHING),
        ),
        migrations.AddField(
            model_name="pendingcontribution",
            name="value_moment",
            field=metering.models.fields.NumericField(
                help_text="Sum of value x seconds since 1970, for time-weighted averages.",
                null=True,
                verbose_name="moment",
            ),
        ),
        migrations.AddField(
            model_name="usagemeterrollup",
            name="value_key",
            field=models.UUIDField(db_default=NOTHING),
        ),
        migrations.AddField(
            model_name="usagemeterrollup",
            name="value_moment",
            field=metering.models.fields.NumericField(
                help_text="Sum of value x seconds since 1970, for time-weighted averages.",
                null=True,
                verbose_name="moment",
            ),
        ),
        migrations.AddIndex(
            model_name="pendingcontribution",
            index=models.Index(
                condition=models.Q(("drains_whole", True)),
                fields=["metric", "project"],
                name="pending_drained_whole",
            ),
        ),
        migrations.AddIndex(
            model_name="usagemeterrollup",
            index=models.Index(condition=models.Q(("record_count", 0)), fields=["id"], name="rollup_emptied"),
        ),
        migrations.AddConstraint(
            model_name="usagemeterrollup",
            constraint=models.UniqueConstraint(
                fields=(
                    "project",
                    "metric",
                    "granularity",
                    "stream",
                    "bucket_start",
                    "billing_scope",
                    "value_key",
                ),
                name="rollup_natural_key",
            ),
        ),
        migrations.RunSQL(sql=_DRAIN_WHOLE, reverse_sql=migrations.RunSQL.noop),
    ]
