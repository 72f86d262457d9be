"""A right to raise and remove limits of approval."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_keep_the_history_of_terms"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="billingaccount",
            options={
                "ordering": ["legal_name", "id"],
                "permissions": [
                    ("loosen_approval", "Can raise or remove limits above which approval is needed")
                ],
                "verbose_name": "billing account",
                "verbose_name_plural": "billing accounts",
            },
        ),
    ]
