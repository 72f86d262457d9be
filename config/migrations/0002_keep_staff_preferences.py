import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("config", "0001_groups_for_the_roles_of_staff"),
    ]

    operations = [
        migrations.CreateModel(
            name="StaffPreferences",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="preferences",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(
                        blank=True,
                        help_text="In which times are shown and read. Billing and quota periods keep their own zones.",
                        max_length=64,
                        verbose_name="time zone",
                    ),
                ),
                (
                    "language",
                    models.CharField(
                        blank=True,
                        help_text="Of pages. Letters and invoices are in English, whatever is chosen here.",
                        max_length=10,
                        verbose_name="language",
                    ),
                ),
            ],
            options={
                "verbose_name": "preferences of staff",
                "verbose_name_plural": "preferences of staff",
                "db_table_comment": "How a person wants to see pages: time zone and language; empty is the default.",
            },
        ),
    ]
