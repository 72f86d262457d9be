"""How far each import of a file has come, what it could not record, and what was uploaded for it."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0006_seal_the_ledger"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventImport",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file_name", models.CharField(max_length=255, verbose_name="file")),
                (
                    "origin",
                    models.CharField(
                        choices=[("upload", "Upload"), ("command", "Command line")],
                        max_length=10,
                        verbose_name="origin",
                    ),
                ),
                ("requested_by", models.CharField(max_length=150, verbose_name="requested by")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Not started"),
                            ("queued", "Waiting"),
                            ("running", "Running"),
                            ("stopped", "Stopped"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("finished", "Finished"),
                        ],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                (
                    "sha256",
                    models.CharField(
                        help_text="Of the content, decompressed. Names events without an id.",
                        max_length=64,
                        verbose_name="SHA-256",
                    ),
                ),
                (
                    "size",
                    models.BigIntegerField(
                        help_text="Of the content, decompressed, in bytes.", verbose_name="size"
                    ),
                ),
                (
                    "options",
                    models.JSONField(
                        default=dict,
                        help_text="Format, meaning of columns, defaults.",
                        verbose_name="options",
                    ),
                ),
                (
                    "fingerprint",
                    models.CharField(
                        help_text="Of content and options together.",
                        max_length=64,
                        verbose_name="fingerprint",
                    ),
                ),
                (
                    "position",
                    models.BigIntegerField(
                        default=0,
                        help_text="Bytes of the content whose events are committed.",
                        verbose_name="position",
                    ),
                ),
                ("line_count", models.BigIntegerField(default=0, verbose_name="lines done")),
                ("created_count", models.BigIntegerField(default=0, verbose_name="recorded")),
                ("existing_count", models.BigIntegerField(default=0, verbose_name="existed already")),
                ("conflict_count", models.BigIntegerField(default=0, verbose_name="conflicts")),
                ("rejected_count", models.BigIntegerField(default=0, verbose_name="rejected")),
                (
                    "requested_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="requested at"
                    ),
                ),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                (
                    "leased_until",
                    models.DateTimeField(
                        help_text="Until then one worker is at it; later another may go on.", null=True
                    ),
                ),
                (
                    "attempt_count",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="How often it was begun since it last came on."
                    ),
                ),
                ("failure", models.TextField(blank=True, default="", verbose_name="failure")),
            ],
            options={
                "verbose_name": "import",
                "verbose_name_plural": "imports",
                "db_table_comment": "One import of a file of events: how far it has come. The ledger's keys decide.",
                "permissions": [("import_events", "Can import files of usage events")],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["state", "requested_at"], name="event_import_by_state")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["queued", "running", "stopped"])),
                        fields=("fingerprint",),
                        name="event_import_under_way_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="EventImportPiece",
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
                    "event_import",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pieces",
                        to="metering.eventimport",
                    ),
                ),
            ],
            options={
                "db_table_comment": "A piece of an uploaded file; the import's worker may run on any machine.",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("event_import", "number"), name="event_import_piece_has_a_place"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="EventImportReject",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("line", models.BigIntegerField(verbose_name="line")),
                ("code", models.CharField(max_length=50, verbose_name="reason")),
                ("field", models.CharField(default="", max_length=300, verbose_name="field")),
                ("detail", models.TextField(verbose_name="what is wrong")),
                ("original", models.TextField(verbose_name="original line")),
                (
                    "event_import",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rejects",
                        to="metering.eventimport",
                    ),
                ),
            ],
            options={
                "db_table_comment": "One event of an imported file that was not recorded, and why.",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("event_import", "line"), name="event_import_rejects_a_line_once"
                    )
                ],
            },
        ),
    ]
