"""Plans with prices, billing accounts, and subscriptions of the one to the other."""

from pathlib import Path

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.core.validators
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import billing.models.subscription
import metering.models.project

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("metering", "0011_remember_verifications"),
    ]

    operations = [
        migrations.CreateModel(
            name="BillingAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "legal_name",
                    models.CharField(
                        help_text="Of the customer, as it stands on invoices.",
                        max_length=200,
                        verbose_name="legal name",
                    ),
                ),
                (
                    "address_lines",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        blank=True,
                        default=list,
                        help_text="One line per line, as on an envelope, without name and country.",
                        size=None,
                        verbose_name="address",
                    ),
                ),
                (
                    "country",
                    models.CharField(
                        blank=True,
                        help_text="Two letters (ISO 3166), such as DE.",
                        max_length=2,
                        verbose_name="country",
                    ),
                ),
                (
                    "tax_id",
                    models.CharField(
                        blank=True,
                        help_text="The customer's, such as DE123456789.",
                        max_length=50,
                        verbose_name="tax id",
                    ),
                ),
                (
                    "tax_rates",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="What is added to net amounts: each rate on the same net, never on one another.",
                        verbose_name="tax rates",
                    ),
                ),
                (
                    "currency",
                    models.CharField(
                        help_text="Of all its invoices. It can't be changed once there are subscriptions.",
                        max_length=3,
                        verbose_name="currency",
                    ),
                ),
                (
                    "timezone",
                    models.CharField(
                        default="UTC",
                        help_text="IANA name, such as Europe/Berlin. Billing periods begin at its midnight; a change holds from the next period on.",
                        max_length=64,
                        verbose_name="time zone",
                    ),
                ),
                (
                    "payment_terms_days",
                    models.PositiveSmallIntegerField(
                        default=30,
                        help_text="Invoices are due so many days after issue.",
                        verbose_name="payment terms (days)",
                    ),
                ),
                (
                    "invoice_emails",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.EmailField(max_length=254),
                        blank=True,
                        default=list,
                        help_text="Where invoices are sent, one address per line.",
                        size=None,
                        verbose_name="invoice e-mails",
                    ),
                ),
                (
                    "issue_grace_days",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="How long a draft waits after its period for late usage, before it may be issued.",
                        verbose_name="days of grace before issuing",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="created at",
                    ),
                ),
                (
                    "project",
                    models.OneToOneField(
                        help_text="The account is billed for all usage that this project pays for.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="billing_account",
                        to="metering.project",
                        verbose_name="paying project",
                    ),
                ),
            ],
            options={
                "verbose_name": "billing account",
                "verbose_name_plural": "billing accounts",
                "db_table_comment": "The commercial profile of one paying project.",
                "ordering": ["legal_name", "id"],
            },
        ),
        migrations.CreateModel(
            name="Plan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        help_text="Short name used in the API, the same for all versions. It can't be changed later.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?\\Z",
                                "Use lower-case letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                        verbose_name="key",
                    ),
                ),
                ("version", models.PositiveIntegerField(editable=False, verbose_name="version")),
                (
                    "name",
                    models.CharField(
                        help_text="What customers read on invoices.", max_length=200, verbose_name="name"
                    ),
                ),
                (
                    "description",
                    models.TextField(
                        blank=True,
                        help_text="For colleagues; not on invoices.",
                        max_length=10000,
                        verbose_name="description",
                    ),
                ),
                (
                    "currency",
                    models.CharField(
                        help_text="Of every price on the plan. Only accounts of the same currency can subscribe.",
                        max_length=3,
                        verbose_name="currency",
                    ),
                ),
                (
                    "interval",
                    models.CharField(
                        choices=[("day", "Day"), ("week", "Week"), ("month", "Month"), ("year", "Year")],
                        default="month",
                        help_text="How often a billing period ends. Tiers and included quantities begin anew with each.",
                        max_length=5,
                        verbose_name="interval",
                    ),
                ),
                (
                    "interval_count",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="How many of them a billing period has: 3 months make a quarter.",
                        verbose_name="number of intervals",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("draft", "Draft"), ("published", "Published"), ("archived", "Archived")],
                        default="draft",
                        editable=False,
                        max_length=9,
                        verbose_name="state",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="created at",
                    ),
                ),
                (
                    "published_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="published at"),
                ),
                ("archived_at", models.DateTimeField(editable=False, null=True, verbose_name="archived at")),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        help_text="Whose plan it is: accounts of this project and of the projects below may subscribe. Empty: accounts of all projects. It can't be changed later.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="plans",
                        to="metering.project",
                        verbose_name="project",
                    ),
                ),
            ],
            options={
                "verbose_name": "plan",
                "verbose_name_plural": "plans",
                "db_table_comment": "One version of what is sold under a key. Published versions never change.",
                "ordering": ["key", "-version", "id"],
            },
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(verbose_name="position")),
                (
                    "name",
                    models.CharField(
                        help_text="What the invoice line is called.", max_length=200, verbose_name="name"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("usage", "Usage of a metric"), ("fixed", "Fixed fee")],
                        max_length=5,
                        verbose_name="kind",
                    ),
                ),
                ("price", models.JSONField(verbose_name="price")),
                (
                    "label_match",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="Only usage whose labels match; empty: whatever no other price of the metric takes.",
                        verbose_name="label match",
                    ),
                ),
                (
                    "per_project",
                    models.BooleanField(
                        default=False,
                        help_text="On: tiers, included quantity, minimum and maximum apply to each project by itself. Off: to the whole account.",
                        verbose_name="each project on its own",
                    ),
                ),
                (
                    "charged",
                    models.CharField(
                        choices=[
                            ("advance", "In advance, when a period begins"),
                            ("arrears", "In arrears, when a period ends"),
                        ],
                        default="arrears",
                        help_text="Usage is always charged in arrears.",
                        max_length=7,
                        verbose_name="charged",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        blank=True,
                        help_text="Whose usage is priced.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="prices",
                        to="metering.metricdefinition",
                        verbose_name="metric",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="prices",
                        to="billing.plan",
                        verbose_name="plan",
                    ),
                ),
            ],
            options={
                "verbose_name": "price",
                "verbose_name_plural": "prices",
                "db_table_comment": "One price of a plan: of a metric's usage, or a fixed fee. As fixed as its plan.",
                "ordering": ["plan_id", "position"],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("currency", models.CharField(editable=False, max_length=3, verbose_name="currency")),
                ("effective_from", models.DateTimeField(verbose_name="effective from")),
                (
                    "effective_until",
                    models.DateTimeField(
                        blank=True,
                        help_text="Empty: until further notice.",
                        null=True,
                        verbose_name="effective until",
                    ),
                ),
                (
                    "trial_until",
                    models.DateTimeField(
                        blank=True,
                        help_text="Nothing is charged before this instant.",
                        null=True,
                        verbose_name="trial until",
                    ),
                ),
                (
                    "cancelled_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="cancelled at"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="created at",
                    ),
                ),
                (
                    "during",
                    models.GeneratedField(
                        db_persist=True,
                        expression=billing.models.subscription.During("effective_from", "effective_until"),
                        output_field=django.contrib.postgres.fields.ranges.DateTimeRangeField(),
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
                        to="billing.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
                        to="billing.plan",
                        verbose_name="plan",
                    ),
                ),
                (
                    "replaces",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replacements",
                        to="billing.subscription",
                        verbose_name="replaces",
                    ),
                ),
            ],
            options={
                "verbose_name": "subscription",
                "verbose_name_plural": "subscriptions",
                "db_table_comment": "From one instant to another, an account is on one version of a plan.",
                "ordering": ["account_id", "effective_from", "id"],
            },
        ),
        migrations.CreateModel(
            name="BillingCycle",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("after", models.DateField(null=True, verbose_name="after")),
                (
                    "anchor",
                    models.CharField(
                        choices=[
                            ("calendar", "Calendar: the first of the month or year, Mondays"),
                            ("anniversary", "Anniversary: counted from a day"),
                        ],
                        max_length=11,
                        verbose_name="anchor",
                    ),
                ),
                ("anchor_on", models.DateField(verbose_name="anchor day")),
                ("timezone", models.CharField(max_length=64, verbose_name="time zone")),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cycles",
                        to="billing.subscription",
                        verbose_name="subscription",
                    ),
                ),
            ],
            options={
                "verbose_name": "billing cycle",
                "verbose_name_plural": "billing cycles",
                "db_table_comment": "On which local days the periods of a subscription begin; a row per change.",
                "ordering": ["subscription_id", models.OrderBy(models.F("after"), nulls_first=True)],
            },
        ),
        migrations.CreateModel(
            name="SubscriptionItem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("during", django.contrib.postgres.fields.ranges.DateTimeRangeField(verbose_name="during")),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.metricdefinition",
                        verbose_name="metric",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="items",
                        to="billing.subscription",
                        verbose_name="subscription",
                    ),
                ),
            ],
            options={
                "verbose_name": "subscription item",
                "verbose_name_plural": "subscription items",
                "db_table_comment": "A subscription takes an account's usage of a metric, and no other does meanwhile.",
                "ordering": ["subscription_id", "metric_id"],
            },
        ),
        migrations.AddConstraint(
            model_name="billingaccount",
            constraint=models.UniqueConstraint(
                fields=("id", "currency"), name="account_currency_to_refer_to"
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.UniqueConstraint(
                fields=("project", "key", "version"), name="plan_version_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "draft")),
                fields=("project", "key"),
                name="plan_with_one_draft",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.UniqueConstraint(fields=("id", "currency"), name="plan_currency_to_refer_to"),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("interval_count__gte", 1)), name="plan_interval_has_units"
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("archived_at", None), ("published_at", None), ("state", "draft")),
                    models.Q(("archived_at", None), ("published_at__isnull", False), ("state", "published")),
                    models.Q(
                        ("archived_at__isnull", False), ("published_at__isnull", False), ("state", "archived")
                    ),
                    _connector="OR",
                ),
                name="plan_state_with_its_times",
            ),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.UniqueConstraint(
                deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                fields=("plan", "position"),
                name="price_position_within_plan",
            ),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("charged", "arrears"), ("kind", "usage"), ("metric__isnull", False)),
                    models.Q(
                        ("kind", "fixed"), ("label_match", {}), ("metric", None), ("per_project", False)
                    ),
                    _connector="OR",
                ),
                name="price_of_usage_has_a_metric",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("effective_until", None),
                    ("effective_until__gte", models.F("effective_from")),
                    _connector="OR",
                ),
                name="subscription_ends_after_it_begins",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("trial_until", None), ("trial_until__gt", models.F("effective_from")), _connector="OR"
                ),
                name="trial_ends_after_it_begins",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(
                fields=("id", "account", "during"), name="subscription_interval_to_refer_to"
            ),
        ),
        migrations.AddConstraint(
            model_name="billingcycle",
            constraint=models.UniqueConstraint(
                fields=("subscription", "after"), name="cycle_once_per_day", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="subscriptionitem",
            constraint=models.UniqueConstraint(
                fields=("subscription", "metric"), name="item_once_per_metric"
            ),
        ),
        migrations.AddConstraint(
            model_name="subscriptionitem",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                expressions=[
                    (metering.models.project.IdRange("account_id", "account_id"), "&&"),
                    (metering.models.project.IdRange("metric_id", "metric_id"), "&&"),
                    ("during", "&&"),
                ],
                name="usage_taken_once",
            ),
        ),
        migrations.RunSQL(
            sql=(HERE / "0001_sell_plans_to_accounts.sql").read_text(),
            reverse_sql=(HERE / "0001_sell_plans_to_accounts_reverse.sql").read_text(),
        ),
    ]
