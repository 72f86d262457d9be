"""Billing runs pass over accounts of which it is known that nothing can be due."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_queue_billing_runs"),
    ]

    operations = [
        migrations.AddField(
            model_name="billingaccount",
            name="billed_revision",
            field=models.PositiveBigIntegerField(editable=False, null=True, verbose_name="billed revision"),
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="next_due_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="next due at"),
        ),
    ]
