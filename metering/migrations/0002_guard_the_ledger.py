"""Append-only by trigger; the SQL lies beside this file and is frozen."""

from pathlib import Path

from django.db import migrations

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_create_the_kernel")]
    operations = [
        migrations.RunSQL(
            sql=(HERE / "0002_guard_the_ledger.sql").read_text(),
            reverse_sql=(HERE / "0002_guard_the_ledger_reverse.sql").read_text(),
        ),
    ]
