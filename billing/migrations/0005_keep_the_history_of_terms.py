"""Who changed plans, prices, accounts, subscriptions and numbering, when, and why: by triggers."""

from pathlib import Path

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.fields.json
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import billing.models.amount
import metering.models.change

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_remember_when_billing_is_due"),
        ("metering", "0015_keep_the_history_of_definitions"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccountChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
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
                    "issues_automatically",
                    models.BooleanField(
                        default=False,
                        help_text="On: billing runs issue a draft once its days of grace are over and nobody has to approve it. Off: a draft waits in the review queue.",
                        verbose_name="issue automatically",
                    ),
                ),
                (
                    "approval_above",
                    billing.models.amount.AmountField(
                        blank=True,
                        decimal_places=4,
                        help_text="Credit notes and lines added by hand that come to more than this need the approval of a second person. Empty: none does.",
                        max_digits=38,
                        null=True,
                        verbose_name="approval above",
                    ),
                ),
                (
                    "approve_corrections_above",
                    billing.models.amount.AmountField(
                        blank=True,
                        decimal_places=4,
                        help_text="Corrections of invoiced periods that come to more than this wait for approval. Empty: all are billed automatically. 0: all wait.",
                        max_digits=38,
                        null=True,
                        verbose_name="approve corrections above",
                    ),
                ),
                (
                    "write_off_below",
                    billing.models.amount.AmountField(
                        blank=True,
                        decimal_places=4,
                        help_text="Corrections of invoiced periods that come to less than this are written off, on record.",
                        max_digits=38,
                        null=True,
                        verbose_name="write off corrections below",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a billing account",
                "verbose_name_plural": "changes of billing accounts",
                "db_table_comment": "What a billing account became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="PlanChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
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
                    "published_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="published at"),
                ),
                ("archived_at", models.DateTimeField(editable=False, null=True, verbose_name="archived at")),
            ],
            options={
                "verbose_name": "change of a plan",
                "verbose_name_plural": "changes of plans",
                "db_table_comment": "What a plan became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="PriceChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
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
                    "split_by",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        blank=True,
                        default=list,
                        help_text="A line for each project, or for each value of a label: project, labels.region. Amounts are worked out of the whole and split by quantity. Empty: one line.",
                        size=None,
                        verbose_name="lines by",
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
            ],
            options={
                "verbose_name": "change of a price",
                "verbose_name_plural": "changes of prices",
                "db_table_comment": "What a price became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SellerChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("legal_name", models.CharField(blank=True, max_length=200, verbose_name="legal name")),
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
                ("country", models.CharField(blank=True, max_length=2, verbose_name="country")),
                ("tax_id", models.CharField(blank=True, max_length=50, verbose_name="tax id")),
                (
                    "email",
                    models.EmailField(
                        blank=True,
                        help_text="For questions about invoices.",
                        max_length=254,
                        verbose_name="e-mail",
                    ),
                ),
                (
                    "payment_details",
                    models.TextField(
                        blank=True,
                        help_text="How to pay: bank, IBAN, BIC. Shown at the foot of invoices.",
                        max_length=1000,
                        verbose_name="payment details",
                    ),
                ),
                (
                    "footer",
                    models.TextField(
                        blank=True,
                        help_text="Register number, directors, terms.",
                        max_length=1000,
                        verbose_name="footer",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of the seller",
                "verbose_name_plural": "changes of the seller",
                "db_table_comment": "What the seller became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SeriesChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("invoice", "Invoices"), ("credit_note", "Credit notes")],
                        editable=False,
                        max_length=11,
                        verbose_name="kind",
                    ),
                ),
                (
                    "prefix",
                    models.CharField(
                        blank=True,
                        help_text="What numbers begin with, such as INV-. A change holds for documents issued from now on.",
                        max_length=20,
                        verbose_name="prefix",
                    ),
                ),
                (
                    "digits",
                    models.PositiveSmallIntegerField(
                        default=6,
                        help_text="Numbers are filled up with zeros to so many digits.",
                        verbose_name="digits",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a number series",
                "verbose_name_plural": "changes of number series",
                "db_table_comment": "What a number series became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SubscriptionChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
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
            ],
            options={
                "verbose_name": "change of a subscription",
                "verbose_name_plural": "changes of subscriptions",
                "db_table_comment": "What a subscription became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="billingaccount",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_accountchange" ("address_lines", "approval_above", "approve_corrections_above", "country", "currency", "invoice_emails", "issue_grace_days", "issues_automatically", "legal_name", "payment_terms_days", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "tax_id", "tax_rates", "timezone", "write_off_below") VALUES (NEW."address_lines", NEW."approval_above", NEW."approve_corrections_above", NEW."country", NEW."currency", NEW."invoice_emails", NEW."issue_grace_days", NEW."issues_automatically", NEW."legal_name", NEW."payment_terms_days", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id", NEW."tax_id", NEW."tax_rates", NEW."timezone", NEW."write_off_below"); RETURN NULL;',
                    hash="067bb369660877ee94b2a39cf169c64cee001322",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_91ddc",
                    table="billing_billingaccount",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="billingaccount",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."address_lines" IS DISTINCT FROM (NEW."address_lines") OR OLD."approval_above" IS DISTINCT FROM (NEW."approval_above") OR OLD."approve_corrections_above" IS DISTINCT FROM (NEW."approve_corrections_above") OR OLD."country" IS DISTINCT FROM (NEW."country") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."invoice_emails" IS DISTINCT FROM (NEW."invoice_emails") OR OLD."issue_grace_days" IS DISTINCT FROM (NEW."issue_grace_days") OR OLD."issues_automatically" IS DISTINCT FROM (NEW."issues_automatically") OR OLD."legal_name" IS DISTINCT FROM (NEW."legal_name") OR OLD."payment_terms_days" IS DISTINCT FROM (NEW."payment_terms_days") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."tax_id" IS DISTINCT FROM (NEW."tax_id") OR OLD."tax_rates" IS DISTINCT FROM (NEW."tax_rates") OR OLD."timezone" IS DISTINCT FROM (NEW."timezone") OR OLD."write_off_below" IS DISTINCT FROM (NEW."write_off_below"))',
                    func='INSERT INTO "billing_accountchange" ("address_lines", "approval_above", "approve_corrections_above", "country", "currency", "invoice_emails", "issue_grace_days", "issues_automatically", "legal_name", "payment_terms_days", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "tax_id", "tax_rates", "timezone", "write_off_below") VALUES (NEW."address_lines", NEW."approval_above", NEW."approve_corrections_above", NEW."country", NEW."currency", NEW."invoice_emails", NEW."issue_grace_days", NEW."issues_automatically", NEW."legal_name", NEW."payment_terms_days", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id", NEW."tax_id", NEW."tax_rates", NEW."timezone", NEW."write_off_below"); RETURN NULL;',
                    hash="068e27a69add5d278ebfdf6f85873fc88ac1bf39",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_e1567",
                    table="billing_billingaccount",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="billingaccount",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_accountchange" ("address_lines", "approval_above", "approve_corrections_above", "country", "currency", "invoice_emails", "issue_grace_days", "issues_automatically", "legal_name", "payment_terms_days", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "tax_id", "tax_rates", "timezone", "write_off_below") VALUES (OLD."address_lines", OLD."approval_above", OLD."approve_corrections_above", OLD."country", OLD."currency", OLD."invoice_emails", OLD."issue_grace_days", OLD."issues_automatically", OLD."legal_name", OLD."payment_terms_days", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id", OLD."tax_id", OLD."tax_rates", OLD."timezone", OLD."write_off_below"); RETURN NULL;',
                    hash="a7af6ad54d0b0df814b52043dddc90283c0a5c7f",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_95664",
                    table="billing_billingaccount",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="numberseries",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_serieschange" ("digits", "kind", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "prefix") VALUES (NEW."digits", NEW."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."prefix"); RETURN NULL;',
                    hash="3d9a0b4562c872ef97c8d7f4a9b2a4e10a074eec",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_d9989",
                    table="billing_numberseries",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="numberseries",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."digits" IS DISTINCT FROM (NEW."digits") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."prefix" IS DISTINCT FROM (NEW."prefix"))',
                    func='INSERT INTO "billing_serieschange" ("digits", "kind", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "prefix") VALUES (NEW."digits", NEW."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."prefix"); RETURN NULL;',
                    hash="9ff929c325c429656da9f0e36528fd484ddec8aa",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_d2b00",
                    table="billing_numberseries",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="numberseries",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_serieschange" ("digits", "kind", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "prefix") VALUES (OLD."digits", OLD."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."prefix"); RETURN NULL;',
                    hash="bf0262abf2af9ca5f3a655fe91f348d6f5ed7741",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_91048",
                    table="billing_numberseries",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_planchange" ("archived_at", "currency", "description", "interval", "interval_count", "key", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "published_at", "state", "version") VALUES (NEW."archived_at", NEW."currency", NEW."description", NEW."interval", NEW."interval_count", NEW."key", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."project_id", NEW."published_at", NEW."state", NEW."version"); RETURN NULL;',
                    hash="c226465d3d42422c3a415ff0e4fc806809bc855c",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_9a89d",
                    table="billing_plan",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."archived_at" IS DISTINCT FROM (NEW."archived_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."description" IS DISTINCT FROM (NEW."description") OR OLD."interval" IS DISTINCT FROM (NEW."interval") OR OLD."interval_count" IS DISTINCT FROM (NEW."interval_count") OR OLD."key" IS DISTINCT FROM (NEW."key") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."published_at" IS DISTINCT FROM (NEW."published_at") OR OLD."state" IS DISTINCT FROM (NEW."state") OR OLD."version" IS DISTINCT FROM (NEW."version"))',
                    func='INSERT INTO "billing_planchange" ("archived_at", "currency", "description", "interval", "interval_count", "key", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "published_at", "state", "version") VALUES (NEW."archived_at", NEW."currency", NEW."description", NEW."interval", NEW."interval_count", NEW."key", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."project_id", NEW."published_at", NEW."state", NEW."version"); RETURN NULL;',
                    hash="dbf4d0d4a27e78c363691a9b366d9cfee3b27656",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_a3db7",
                    table="billing_plan",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_planchange" ("archived_at", "currency", "description", "interval", "interval_count", "key", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "project_id", "published_at", "state", "version") VALUES (OLD."archived_at", OLD."currency", OLD."description", OLD."interval", OLD."interval_count", OLD."key", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."project_id", OLD."published_at", OLD."state", OLD."version"); RETURN NULL;',
                    hash="17b95711fbd0e6b22ea979a3cb2e7c9a5071ea83",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_3ea04",
                    table="billing_plan",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="price",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_pricechange" ("charged", "kind", "label_match", "metric_id", "name", "per_project", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "position", "price", "split_by") VALUES (NEW."charged", NEW."kind", NEW."label_match", NEW."metric_id", NEW."name", NEW."per_project", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."plan_id", NEW."position", NEW."price", NEW."split_by"); RETURN NULL;',
                    hash="f6cd92ae1719b858067ca764d1e2959150a9e22c",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_a010a",
                    table="billing_price",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="price",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."charged" IS DISTINCT FROM (NEW."charged") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."label_match" IS DISTINCT FROM (NEW."label_match") OR OLD."metric_id" IS DISTINCT FROM (NEW."metric_id") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."per_project" IS DISTINCT FROM (NEW."per_project") OR OLD."plan_id" IS DISTINCT FROM (NEW."plan_id") OR OLD."position" IS DISTINCT FROM (NEW."position") OR OLD."price" IS DISTINCT FROM (NEW."price") OR OLD."split_by" IS DISTINCT FROM (NEW."split_by"))',
                    func='INSERT INTO "billing_pricechange" ("charged", "kind", "label_match", "metric_id", "name", "per_project", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "position", "price", "split_by") VALUES (NEW."charged", NEW."kind", NEW."label_match", NEW."metric_id", NEW."name", NEW."per_project", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."plan_id", NEW."position", NEW."price", NEW."split_by"); RETURN NULL;',
                    hash="7f5da4040d02819772b1d58f43ed789ca233aed9",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_8c531",
                    table="billing_price",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="price",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_pricechange" ("charged", "kind", "label_match", "metric_id", "name", "per_project", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "position", "price", "split_by") VALUES (OLD."charged", OLD."kind", OLD."label_match", OLD."metric_id", OLD."name", OLD."per_project", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."plan_id", OLD."position", OLD."price", OLD."split_by"); RETURN NULL;',
                    hash="1a527778d7e93423b7f7ec293cc5e802ee7d0d1f",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_f168a",
                    table="billing_price",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="seller",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_sellerchange" ("address_lines", "country", "email", "footer", "legal_name", "payment_details", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "tax_id") VALUES (NEW."address_lines", NEW."country", NEW."email", NEW."footer", NEW."legal_name", NEW."payment_details", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."tax_id"); RETURN NULL;',
                    hash="f15ff7961acc62c2f70d02898257b257175d939e",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_46291",
                    table="billing_seller",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="seller",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."address_lines" IS DISTINCT FROM (NEW."address_lines") OR OLD."country" IS DISTINCT FROM (NEW."country") OR OLD."email" IS DISTINCT FROM (NEW."email") OR OLD."footer" IS DISTINCT FROM (NEW."footer") OR OLD."legal_name" IS DISTINCT FROM (NEW."legal_name") OR OLD."payment_details" IS DISTINCT FROM (NEW."payment_details") OR OLD."tax_id" IS DISTINCT FROM (NEW."tax_id"))',
                    func='INSERT INTO "billing_sellerchange" ("address_lines", "country", "email", "footer", "legal_name", "payment_details", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "tax_id") VALUES (NEW."address_lines", NEW."country", NEW."email", NEW."footer", NEW."legal_name", NEW."payment_details", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."tax_id"); RETURN NULL;',
                    hash="742e47f41f3cefe96fff334b1344ba6f1b32df63",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_54119",
                    table="billing_seller",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="seller",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_sellerchange" ("address_lines", "country", "email", "footer", "legal_name", "payment_details", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "tax_id") VALUES (OLD."address_lines", OLD."country", OLD."email", OLD."footer", OLD."legal_name", OLD."payment_details", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."tax_id"); RETURN NULL;',
                    hash="05c3e31489991c02235419931b65830b8def453f",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_e1035",
                    table="billing_seller",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="subscription",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_subscriptionchange" ("account_id", "cancelled_at", "effective_from", "effective_until", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "replaces_id", "trial_until") VALUES (NEW."account_id", NEW."cancelled_at", NEW."effective_from", NEW."effective_until", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."plan_id", NEW."replaces_id", NEW."trial_until"); RETURN NULL;',
                    hash="5d2ff174b6d20a3d8aa494951c7efe2179c009b2",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_8e5a0",
                    table="billing_subscription",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="subscription",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."account_id" IS DISTINCT FROM (NEW."account_id") OR OLD."cancelled_at" IS DISTINCT FROM (NEW."cancelled_at") OR OLD."effective_from" IS DISTINCT FROM (NEW."effective_from") OR OLD."effective_until" IS DISTINCT FROM (NEW."effective_until") OR OLD."plan_id" IS DISTINCT FROM (NEW."plan_id") OR OLD."replaces_id" IS DISTINCT FROM (NEW."replaces_id") OR OLD."trial_until" IS DISTINCT FROM (NEW."trial_until"))',
                    func='INSERT INTO "billing_subscriptionchange" ("account_id", "cancelled_at", "effective_from", "effective_until", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "replaces_id", "trial_until") VALUES (NEW."account_id", NEW."cancelled_at", NEW."effective_from", NEW."effective_until", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."plan_id", NEW."replaces_id", NEW."trial_until"); RETURN NULL;',
                    hash="e3e704beb3a062c095d90db09bd8713945a377b7",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_7e83a",
                    table="billing_subscription",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="subscription",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "billing_subscriptionchange" ("account_id", "cancelled_at", "effective_from", "effective_until", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "replaces_id", "trial_until") VALUES (OLD."account_id", OLD."cancelled_at", OLD."effective_from", OLD."effective_until", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."plan_id", OLD."replaces_id", OLD."trial_until"); RETURN NULL;',
                    hash="f0befe4c7af3e3fd00f654453f2b1d43d07660a2",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_c0d69",
                    table="billing_subscription",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="accountchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.billingaccount",
            ),
        ),
        migrations.AddField(
            model_name="accountchange",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="The account is billed for all usage that this project pays for.",
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="paying project",
            ),
        ),
        migrations.AddField(
            model_name="planchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.plan",
            ),
        ),
        migrations.AddField(
            model_name="planchange",
            name="project",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Whose plan it is: accounts of this project and of the projects below may subscribe. Empty: accounts of all projects. It can't be changed later.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.project",
                verbose_name="project",
            ),
        ),
        migrations.AddField(
            model_name="pricechange",
            name="metric",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Whose usage is priced.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="metering.metricdefinition",
                verbose_name="metric",
            ),
        ),
        migrations.AddField(
            model_name="pricechange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.price",
            ),
        ),
        migrations.AddField(
            model_name="pricechange",
            name="plan",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.plan",
                verbose_name="plan",
            ),
        ),
        migrations.AddField(
            model_name="sellerchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.seller",
            ),
        ),
        migrations.AddField(
            model_name="serieschange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.numberseries",
            ),
        ),
        migrations.AddField(
            model_name="subscriptionchange",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.billingaccount",
                verbose_name="billing account",
            ),
        ),
        migrations.AddField(
            model_name="subscriptionchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.subscription",
            ),
        ),
        migrations.AddField(
            model_name="subscriptionchange",
            name="plan",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.plan",
                verbose_name="plan",
            ),
        ),
        migrations.AddField(
            model_name="subscriptionchange",
            name="replaces",
            field=models.ForeignKey(
                db_constraint=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="billing.subscription",
                verbose_name="replaces",
            ),
        ),
        migrations.AddIndex(
            model_name="accountchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="accountchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="accountchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="accountchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="accountchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="accountchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="planchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="planchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="planchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="planchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="planchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="planchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="pricechange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="pricechange_by_time"),
        ),
        migrations.AddIndex(
            model_name="pricechange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="pricechange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="pricechange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="pricechange_by_row"),
        ),
        migrations.AddIndex(
            model_name="sellerchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="sellerchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="sellerchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="sellerchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="sellerchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="sellerchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="serieschange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="serieschange_by_time"),
        ),
        migrations.AddIndex(
            model_name="serieschange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="serieschange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="serieschange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="serieschange_by_row"),
        ),
        migrations.AddIndex(
            model_name="subscriptionchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="subscriptionchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="subscriptionchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="subscriptionchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="subscriptionchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="subscriptionchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="accountchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="accountchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="planchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="planchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="pricechange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="pricechange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="sellerchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="sellerchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="serieschange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="serieschange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="subscriptionchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")),
                fields=["pgh_obj"],
                name="subscriptionchange_gone",
            ),
        ),
        migrations.RunSQL(
            sql=(HERE / "0005_keep_the_history_of_terms.sql").read_text(),
            reverse_sql=(HERE / "0005_keep_the_history_of_terms_reverse.sql").read_text(),
        ),
    ]
