"""Seals and their leaves, append-only by trigger; the SQL lies beside this file and is frozen."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0005_account_for_corrections"),
    ]

    operations = [
        migrations.CreateModel(
            name="LedgerSeal",
            fields=[
                (
                    "number",
                    models.BigIntegerField(
                        help_text="1, 2, 3, … without gaps.",
                        primary_key=True,
                        serialize=False,
                        verbose_name="number",
                    ),
                ),
                (
                    "after_position",
                    models.BigIntegerField(
                        help_text="Where the seal before ends; this one begins with the next id.",
                        verbose_name="after position",
                    ),
                ),
                (
                    "position",
                    models.BigIntegerField(
                        help_text="The last ledger id that this seal answers for.",
                        verbose_name="up to position",
                    ),
                ),
                (
                    "row_count",
                    models.BigIntegerField(
                        help_text="Rows of the ledger in this segment.", verbose_name="rows"
                    ),
                ),
                (
                    "leaf_count",
                    models.IntegerField(
                        help_text="Blocks of at most 1,000 rows, each with a digest of its own.",
                        verbose_name="leaves",
                    ),
                ),
                (
                    "digest",
                    models.BinaryField(
                        help_text="A hash of the leaves: it changes when any row does.",
                        max_length=32,
                        verbose_name="digest",
                    ),
                ),
                (
                    "previous_mac",
                    models.BinaryField(
                        help_text="The signature of the seal before; zeros for the first.",
                        max_length=32,
                        verbose_name="follows",
                    ),
                ),
                (
                    "mac",
                    models.BinaryField(
                        help_text="Made of all the above with a key that is not in the database.",
                        max_length=32,
                        verbose_name="signature",
                    ),
                ),
                (
                    "key_number",
                    models.PositiveSmallIntegerField(
                        help_text="Which of the SEAL_KEYS signed it.", verbose_name="key number"
                    ),
                ),
                ("sealed_at", models.DateTimeField(verbose_name="sealed at")),
            ],
            options={
                "verbose_name": "seal",
                "verbose_name_plural": "seals",
                "db_table_comment": "Sealed segments of the ledger, chained by HMAC. Append-only by trigger.",
                "constraints": [
                    models.UniqueConstraint(fields=("position",), name="ledger_seal_ends_once"),
                    models.UniqueConstraint(fields=("previous_mac",), name="ledger_seal_is_followed_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("number__gte", 1),
                            ("position__gt", models.F("after_position")),
                            ("row_count__gte", 1),
                        ),
                        name="ledger_seal_holds_rows",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SealLeaf",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.IntegerField(verbose_name="number")),
                ("first_id", models.BigIntegerField(verbose_name="first id")),
                ("last_id", models.BigIntegerField(verbose_name="last id")),
                ("row_count", models.IntegerField(verbose_name="rows")),
                ("digest", models.BinaryField(max_length=32, verbose_name="digest")),
                (
                    "seal",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="leaves",
                        to="metering.ledgerseal",
                        verbose_name="seal",
                    ),
                ),
            ],
            options={
                "verbose_name": "leaf of a seal",
                "verbose_name_plural": "leaves of seals",
                "db_table_comment": "Digests of a thousand rows each, of sealed segments. Append-only by trigger.",
                "constraints": [models.UniqueConstraint(fields=("seal", "number"), name="seal_leaf_once")],
            },
        ),
        migrations.RunSQL(
            sql=(HERE / "0006_seal_the_ledger.sql").read_text(),
            reverse_sql=(HERE / "0006_seal_the_ledger_reverse.sql").read_text(),
        ),
    ]
