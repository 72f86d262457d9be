"""Rollups are written without asking for their projects and metric each time; both are held otherwise."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0009_remember_rebuilds"),
    ]

    operations = [
        migrations.AlterField(
            model_name="usagemeterrollup",
            name="billing_scope",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="metering.project",
                verbose_name="billing scope",
            ),
        ),
        migrations.AlterField(
            model_name="usagemeterrollup",
            name="metric",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="metering.metricdefinition",
                verbose_name="metric",
            ),
        ),
        migrations.AlterField(
            model_name="usagemeterrollup",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.RunSQL(
            sql=(HERE / "0010_hold_metrics_by_trigger.sql").read_text(),
            reverse_sql=(HERE / "0010_hold_metrics_by_trigger_reverse.sql").read_text(),
        ),
    ]
