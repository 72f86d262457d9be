"""Billing runs that are asked for wait in the database until a worker takes them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0002_invoice_what_was_used"),
    ]

    operations = [
        migrations.AlterField(
            model_name="billingrun",
            name="position",
            field=models.BigIntegerField(null=True, verbose_name="ledger position"),
        ),
        migrations.AlterField(
            model_name="billingrun",
            name="state",
            field=models.CharField(
                choices=[
                    ("queued", "Waiting"),
                    ("running", "Running"),
                    ("finished", "Finished"),
                    ("interrupted", "Interrupted"),
                ],
                default="running",
                max_length=11,
                verbose_name="state",
            ),
        ),
        migrations.AddConstraint(
            model_name="billingrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("state", "queued"), ("position__isnull", False), _connector="OR"),
                name="started_run_has_a_position",
            ),
        ),
        migrations.AddConstraint(
            model_name="billingrun",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "queued")), fields=("state",), name="one_billing_run_waits"
            ),
        ),
    ]
