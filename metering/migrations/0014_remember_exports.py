"""Files that people asked for, how far each has come, and what was written of it."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0013_owe_observations"),
    ]

    operations = [
        migrations.CreateModel(
            name="Export",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=50, verbose_name="kind")),
                (
                    "filters",
                    models.JSONField(
                        default=dict, help_text="As asked for; empty: everything.", verbose_name="filters"
                    ),
                ),
                ("requested_by", models.CharField(max_length=150, verbose_name="requested by")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Waiting"),
                            ("running", "Running"),
                            ("finished", "Finished"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                (
                    "expected_count",
                    models.BigIntegerField(
                        help_text="Estimated where counting would take too long.",
                        null=True,
                        verbose_name="rows expected",
                    ),
                ),
                ("row_count", models.BigIntegerField(default=0, verbose_name="rows written")),
                ("byte_count", models.BigIntegerField(default=0, help_text="In bytes.", verbose_name="size")),
                ("piece_count", models.PositiveIntegerField(default=0)),
                (
                    "requested_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="requested at"
                    ),
                ),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                (
                    "attempt_count",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="How often it was begun. Who began an earlier one writes no more.",
                    ),
                ),
                ("failure", models.TextField(blank=True, default="", verbose_name="failure")),
                (
                    "project",
                    models.ForeignKey(
                        help_text="Only what lies at and below it is in the file. Empty: everything there is.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="exports",
                        to="metering.project",
                        verbose_name="project",
                    ),
                ),
            ],
            options={
                "verbose_name": "export",
                "verbose_name_plural": "exports",
                "db_table_comment": "A CSV file that somebody asked for, and how far it has come.",
                "permissions": [("export_data", "Can export data as files")],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="ExportPiece",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("data", models.BinaryField()),
                (
                    "export",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pieces",
                        to="metering.export",
                    ),
                ),
            ],
            options={
                "db_table_comment": "A piece of an exported file; worker and web process may be on different machines.",
            },
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(fields=["state", "id"], name="export_by_state"),
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(fields=["finished_at"], name="export_by_end"),
        ),
        migrations.AddConstraint(
            model_name="exportpiece",
            constraint=models.UniqueConstraint(fields=("export", "number"), name="export_piece_has_a_place"),
        ),
    ]
