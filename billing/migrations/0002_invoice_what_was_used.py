"""Invoices, what they bill, what settles them; more terms of accounts; lines by project and label."""

from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models

import billing.models.amount
import metering.models.fields

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_sell_plans_to_accounts"),
        ("metering", "0013_owe_observations"),
    ]

    operations = [
        migrations.CreateModel(
            name="BillingRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("as_of", models.DateTimeField(verbose_name="billed up to")),
                ("position", models.BigIntegerField(verbose_name="ledger position")),
                (
                    "trigger",
                    models.CharField(
                        choices=[
                            ("schedule", "Schedule"),
                            ("command", "Command"),
                            ("admin", "Admin"),
                            ("code", "Code"),
                        ],
                        max_length=8,
                        verbose_name="started by",
                    ),
                ),
                ("requested_by", models.CharField(blank=True, max_length=150, verbose_name="requested by")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("finished", "Finished"),
                            ("interrupted", "Interrupted"),
                        ],
                        default="running",
                        max_length=11,
                        verbose_name="state",
                    ),
                ),
                ("account_count", models.PositiveIntegerField(default=0, verbose_name="accounts")),
                ("done_count", models.PositiveIntegerField(default=0, verbose_name="accounts done")),
                ("drafted_count", models.PositiveIntegerField(default=0, verbose_name="drafts")),
                ("issued_count", models.PositiveIntegerField(default=0, verbose_name="issued")),
                ("parked_count", models.PositiveIntegerField(default=0, verbose_name="parked")),
                (
                    "started_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="started at",
                    ),
                ),
                (
                    "heard_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="last heard of",
                    ),
                ),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
            ],
            options={
                "verbose_name": "billing run",
                "verbose_name_plural": "billing runs",
                "db_table_comment": "One billing run: what it billed up to, how far it is, what came of it.",
                "ordering": ["-id"],
                "permissions": [("start_billingrun", "Can start billing runs")],
            },
        ),
        migrations.CreateModel(
            name="NumberSeries",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("invoice", "Invoices"), ("credit_note", "Credit notes")],
                        editable=False,
                        max_length=11,
                        unique=True,
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
                (
                    "last_number",
                    models.PositiveBigIntegerField(default=0, editable=False, verbose_name="last number"),
                ),
            ],
            options={
                "verbose_name": "number series",
                "verbose_name_plural": "number series",
                "db_table_comment": "Numbers documents of one kind without gaps.",
                "ordering": ["kind"],
            },
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="approval_above",
            field=billing.models.amount.AmountField(
                blank=True,
                decimal_places=4,
                help_text="Credit notes and lines added by hand that come to more than this need the approval of a second person. Empty: none does.",
                max_digits=38,
                null=True,
                verbose_name="approval above",
            ),
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="approve_corrections_above",
            field=billing.models.amount.AmountField(
                blank=True,
                decimal_places=4,
                help_text="Corrections of invoiced periods that come to more than this wait for approval. Empty: all are billed automatically. 0: all wait.",
                max_digits=38,
                null=True,
                verbose_name="approve corrections above",
            ),
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="issues_automatically",
            field=models.BooleanField(
                default=False,
                help_text="On: billing runs issue a draft once its days of grace are over and nobody has to approve it. Off: a draft waits in the review queue.",
                verbose_name="issue automatically",
            ),
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="revision",
            field=models.PositiveBigIntegerField(default=0, editable=False, verbose_name="revision"),
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="write_off_below",
            field=billing.models.amount.AmountField(
                blank=True,
                decimal_places=4,
                help_text="Corrections of invoiced periods that come to less than this are written off, on record.",
                max_digits=38,
                null=True,
                verbose_name="write off corrections below",
            ),
        ),
        migrations.AddField(
            model_name="price",
            name="split_by",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=200),
                blank=True,
                default=list,
                help_text="A line for each project, or for each value of a label: project, labels.region. Amounts are worked out of the whole and split by quantity. Empty: one line.",
                size=None,
                verbose_name="lines by",
            ),
        ),
        migrations.CreateModel(
            name="Invoice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("invoice", "Invoice"), ("credit_note", "Credit note")],
                        default="invoice",
                        max_length=11,
                        verbose_name="kind",
                    ),
                ),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("run", "Billing run"),
                            ("manual", "By hand"),
                            ("void", "Void of an invoice"),
                        ],
                        default="run",
                        max_length=6,
                        verbose_name="made by",
                    ),
                ),
                ("currency", models.CharField(max_length=3, verbose_name="currency")),
                (
                    "reason",
                    models.TextField(
                        blank=True,
                        help_text="Why it was made; on credit notes it is shown.",
                        verbose_name="reason",
                    ),
                ),
                ("notes", models.TextField(blank=True, max_length=2000, verbose_name="note to the customer")),
                ("as_of", models.DateTimeField(null=True, verbose_name="billed up to")),
                ("position", models.BigIntegerField(null=True, verbose_name="ledger position")),
                (
                    "account_revision",
                    models.PositiveBigIntegerField(default=0, verbose_name="revision of the account"),
                ),
                ("period_start", models.DateTimeField(null=True, verbose_name="period start")),
                ("period_end", models.DateTimeField(null=True, verbose_name="period end")),
                (
                    "subtotal",
                    billing.models.amount.AmountField(
                        decimal_places=4,
                        default=0,
                        help_text="Of all lines, before discounts and tax.",
                        max_digits=38,
                        verbose_name="subtotal",
                    ),
                ),
                (
                    "discount_total",
                    billing.models.amount.AmountField(
                        decimal_places=4,
                        default=0,
                        help_text="Negative, or zero.",
                        max_digits=38,
                        verbose_name="discounts",
                    ),
                ),
                (
                    "tax_total",
                    billing.models.amount.AmountField(
                        decimal_places=4, default=0, max_digits=38, verbose_name="tax"
                    ),
                ),
                (
                    "total",
                    billing.models.amount.AmountField(
                        decimal_places=4, default=0, max_digits=38, verbose_name="total"
                    ),
                ),
                ("taxes", models.JSONField(default=list, verbose_name="taxes")),
                (
                    "credit_drawn",
                    billing.models.amount.AmountField(
                        decimal_places=4, default=0, max_digits=38, verbose_name="paid by credit"
                    ),
                ),
                (
                    "amount_due",
                    billing.models.amount.AmountField(
                        decimal_places=4, default=0, max_digits=38, verbose_name="amount due"
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
                ("computed_at", models.DateTimeField(null=True, verbose_name="computed at")),
                ("edited_by", models.CharField(blank=True, max_length=150, verbose_name="edited by")),
                ("sequence", models.PositiveBigIntegerField(null=True, verbose_name="number in the series")),
                ("number", models.CharField(max_length=50, null=True, unique=True, verbose_name="number")),
                ("issued_at", models.DateTimeField(null=True, verbose_name="issued at")),
                ("issued_by", models.CharField(blank=True, max_length=150, verbose_name="issued by")),
                ("issued_on", models.DateField(null=True, verbose_name="issued on")),
                ("due_on", models.DateField(null=True, verbose_name="due on")),
                ("seller", models.JSONField(default=dict, verbose_name="seller")),
                ("customer", models.JSONField(default=dict, verbose_name="customer")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="invoices",
                        to="billing.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
                (
                    "credits",
                    models.ForeignKey(
                        help_text="The invoice that a credit note takes back, in whole or in part.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_notes",
                        to="billing.invoice",
                        verbose_name="credits",
                    ),
                ),
                (
                    "series",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.numberseries",
                        verbose_name="series",
                    ),
                ),
            ],
            options={
                "verbose_name": "invoice",
                "verbose_name_plural": "invoices",
                "db_table_comment": "An invoice or a credit note. Issued ones never change.",
                "ordering": ["-id"],
                "permissions": [
                    ("issue_invoice", "Can issue invoices and credit notes"),
                    ("approve_invoice", "Can approve what somebody else edited"),
                    ("void_invoice", "Can void issued invoices"),
                ],
            },
        ),
        migrations.CreateModel(
            name="CreditGrant",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("paid", "Paid in advance"),
                            ("promotional", "Promotional"),
                            ("credit_note", "From a credit note"),
                        ],
                        max_length=11,
                        verbose_name="kind",
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="What the customer reads.", max_length=200, verbose_name="name"
                    ),
                ),
                (
                    "amount",
                    billing.models.amount.AmountField(decimal_places=4, max_digits=38, verbose_name="amount"),
                ),
                ("currency", models.CharField(max_length=3, verbose_name="currency")),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        default=100, help_text="Smaller numbers are drawn first.", verbose_name="priority"
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires at")),
                ("key", models.CharField(blank=True, max_length=200, verbose_name="idempotency key")),
                ("reason", models.TextField(blank=True, max_length=2000, verbose_name="reason")),
                ("granted_by", models.CharField(blank=True, max_length=150, verbose_name="granted by")),
                (
                    "granted_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="granted at",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_grants",
                        to="billing.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
                (
                    "credit_note",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_grant",
                        to="billing.invoice",
                        verbose_name="credit note",
                    ),
                ),
            ],
            options={
                "verbose_name": "credit grant",
                "verbose_name_plural": "credit grants",
                "db_table_comment": "Credit that an account may pay invoices with. Append-only.",
                "ordering": ["account_id", "priority", "expires_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="CreditEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("granted", "Granted"),
                            ("drawn", "Drawn"),
                            ("returned", "Returned"),
                            ("expired", "Expired"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        max_length=9,
                        verbose_name="kind",
                    ),
                ),
                (
                    "amount",
                    billing.models.amount.AmountField(
                        decimal_places=4,
                        help_text="Negative where it takes away from the balance.",
                        max_digits=38,
                        verbose_name="amount",
                    ),
                ),
                ("reason", models.TextField(blank=True, max_length=2000, verbose_name="reason")),
                ("entered_by", models.CharField(blank=True, max_length=150, verbose_name="entered by")),
                (
                    "entered_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="entered at",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_entries",
                        to="billing.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
                (
                    "grant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="billing.creditgrant",
                        verbose_name="grant",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_entries",
                        to="billing.invoice",
                        verbose_name="invoice",
                    ),
                ),
            ],
            options={
                "verbose_name": "credit entry",
                "verbose_name_plural": "credit entries",
                "db_table_comment": "One movement of credit; balances are sums of entries. Append-only.",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="BilledPeriod",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("period_start", models.DateTimeField(verbose_name="period start")),
                ("period_end", models.DateTimeField(verbose_name="period end")),
                ("position", models.BigIntegerField(null=True, verbose_name="ledger position")),
                (
                    "learned_at_position",
                    models.BigIntegerField(null=True, verbose_name="learned more at position"),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="billed_periods",
                        to="billing.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
                (
                    "price",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.price",
                        verbose_name="price",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="billed_periods",
                        to="billing.subscription",
                        verbose_name="subscription",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="billed_periods",
                        to="billing.invoice",
                        verbose_name="invoice",
                    ),
                ),
            ],
            options={
                "verbose_name": "billed period",
                "verbose_name_plural": "billed periods",
                "db_table_comment": "One period of one price of a subscription is billed, by one document at a time.",
                "ordering": ["subscription_id", "period_start", "price_id"],
            },
        ),
        migrations.CreateModel(
            name="InvoiceApproval",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content_digest", models.BinaryField(verbose_name="digest of the content")),
                ("approved_by", models.CharField(max_length=150, verbose_name="approved by")),
                ("note", models.TextField(blank=True, max_length=2000, verbose_name="note")),
                (
                    "approved_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="approved at",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="approvals",
                        to="billing.invoice",
                        verbose_name="invoice",
                    ),
                ),
            ],
            options={
                "verbose_name": "approval",
                "verbose_name_plural": "approvals",
                "db_table_comment": "Somebody other than its editor agreed to a document with exactly this content.",
                "ordering": ["invoice_id", "-id"],
            },
        ),
        migrations.CreateModel(
            name="InvoiceDiscount",
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
                        help_text="What the customer reads.", max_length=200, verbose_name="name"
                    ),
                ),
                (
                    "percent",
                    models.DecimalField(decimal_places=6, max_digits=9, null=True, verbose_name="percent"),
                ),
                (
                    "fixed_amount",
                    billing.models.amount.AmountField(
                        decimal_places=4, max_digits=38, null=True, verbose_name="fixed amount"
                    ),
                ),
                (
                    "amount",
                    billing.models.amount.AmountField(
                        decimal_places=4,
                        default=0,
                        help_text="What it came to: negative, or zero.",
                        max_digits=38,
                        verbose_name="amount",
                    ),
                ),
                (
                    "reason",
                    models.TextField(
                        help_text="For colleagues and auditors.", max_length=2000, verbose_name="reason"
                    ),
                ),
                ("added_by", models.CharField(blank=True, max_length=150, verbose_name="added by")),
                (
                    "invoice",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="discounts",
                        to="billing.invoice",
                        verbose_name="invoice",
                    ),
                ),
            ],
            options={
                "verbose_name": "invoice discount",
                "verbose_name_plural": "invoice discounts",
                "db_table_comment": "A discount on a whole document, in the order in which they apply.",
                "ordering": ["invoice_id", "position"],
            },
        ),
        migrations.CreateModel(
            name="InvoiceDispatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("due", "To be sent"),
                            ("posted", "Handed to the mails"),
                            ("no_address", "No address"),
                            ("failed", "Failed"),
                        ],
                        default="due",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("mail_id", models.BigIntegerField(null=True, verbose_name="mail")),
                ("attempt_count", models.PositiveIntegerField(default=0, verbose_name="attempts")),
                ("last_error", models.TextField(blank=True, verbose_name="last error")),
                ("posted_at", models.DateTimeField(null=True, verbose_name="posted at")),
                (
                    "overdue_announced_at",
                    models.DateTimeField(null=True, verbose_name="overdue announced at"),
                ),
                (
                    "invoice",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="dispatch",
                        to="billing.invoice",
                        verbose_name="invoice",
                    ),
                ),
            ],
            options={
                "verbose_name": "dispatch",
                "verbose_name_plural": "dispatches",
                "db_table_comment": "How an issued document gets to the customer.",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="InvoiceLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveIntegerField(verbose_name="position")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("usage", "Usage"),
                            ("true_up", "Up to the minimum"),
                            ("fee", "Fixed fee"),
                            ("fee_credit", "Unused days of a fee"),
                            ("manual", "By hand"),
                        ],
                        max_length=10,
                        verbose_name="kind",
                    ),
                ),
                (
                    "is_adjustment",
                    models.BooleanField(
                        default=False,
                        help_text="Corrects a period that was invoiced before.",
                        verbose_name="correction",
                    ),
                ),
                ("name", models.CharField(max_length=300, verbose_name="name")),
                ("plan_name", models.CharField(blank=True, max_length=200, verbose_name="plan")),
                ("metric_key", models.CharField(blank=True, max_length=200, verbose_name="metric key")),
                ("unit", models.CharField(blank=True, max_length=100, verbose_name="unit")),
                ("project_key", models.CharField(blank=True, max_length=200, verbose_name="project key")),
                ("project_name", models.CharField(blank=True, max_length=200, verbose_name="project name")),
                ("group", models.JSONField(default=dict, verbose_name="labels")),
                ("period_start", models.DateTimeField(null=True, verbose_name="period start")),
                ("period_end", models.DateTimeField(null=True, verbose_name="period end")),
                ("service_start_on", models.DateField(null=True, verbose_name="first day")),
                ("service_end_on", models.DateField(null=True, verbose_name="day after the last")),
                ("day_count", models.IntegerField(null=True, verbose_name="days")),
                (
                    "full_day_count",
                    models.PositiveIntegerField(null=True, verbose_name="days of the full period"),
                ),
                ("quantity", metering.models.fields.NumericField(null=True, verbose_name="quantity")),
                (
                    "amount",
                    billing.models.amount.AmountField(
                        decimal_places=4,
                        help_text="Net, before the document's discounts and tax.",
                        max_digits=38,
                        verbose_name="amount",
                    ),
                ),
                (
                    "discount_amount",
                    billing.models.amount.AmountField(
                        decimal_places=4, default=0, max_digits=38, verbose_name="discount"
                    ),
                ),
                ("taxes", models.JSONField(default=list, verbose_name="taxes")),
                (
                    "tax_amount",
                    billing.models.amount.AmountField(
                        decimal_places=4, default=0, max_digits=38, verbose_name="tax"
                    ),
                ),
                ("price", models.JSONField(null=True, verbose_name="price")),
                (
                    "share",
                    models.CharField(blank=True, max_length=40, verbose_name="share of the full period"),
                ),
                (
                    "rated_quantity",
                    metering.models.fields.NumericField(null=True, verbose_name="quantity of the whole"),
                ),
                (
                    "rated_amount",
                    billing.models.amount.AmountField(
                        decimal_places=4, max_digits=38, null=True, verbose_name="amount of the whole"
                    ),
                ),
                ("detail", models.JSONField(default=list, verbose_name="detail")),
                ("evidence", models.JSONField(null=True, verbose_name="evidence")),
                ("event_count", models.BigIntegerField(null=True, verbose_name="events")),
                ("event_digest", models.BinaryField(null=True, verbose_name="digest of the events")),
                ("reason", models.TextField(blank=True, max_length=2000, verbose_name="reason")),
                ("added_by", models.CharField(blank=True, max_length=150, verbose_name="added by")),
                (
                    "billed_period",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="billing.billedperiod",
                        verbose_name="billed period",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="billing.invoice",
                        verbose_name="invoice",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.metricdefinition",
                        verbose_name="metric",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        help_text="Whose usage it is, where lines are by project.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.project",
                        verbose_name="project",
                    ),
                ),
                (
                    "reverses",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversal",
                        to="billing.invoiceline",
                        verbose_name="reverses",
                    ),
                ),
            ],
            options={
                "verbose_name": "invoice line",
                "verbose_name_plural": "invoice lines",
                "db_table_comment": "One line of an invoice or credit note; a copy of everything that it shows.",
                "ordering": ["invoice_id", "position"],
            },
        ),
        migrations.CreateModel(
            name="LateUsageWatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.BigIntegerField(default=0, verbose_name="ledger position")),
            ],
            options={
                "verbose_name": "late usage watch",
                "verbose_name_plural": "late usage watch",
                "db_table_comment": "Up to which ledger position invoiced periods were looked through for late usage.",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("pk", 1)), name="one_late_usage_watch")
                ],
            },
        ),
        migrations.CreateModel(
            name="ParkedAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=50, verbose_name="code")),
                ("reason", models.TextField(verbose_name="reason")),
                (
                    "since",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="since",
                    ),
                ),
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="parked",
                        to="billing.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="parked_accounts",
                        to="billing.billingrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "parked account",
                "verbose_name_plural": "parked accounts",
                "db_table_comment": "An account that couldn't be billed, and why.",
                "ordering": ["since", "id"],
            },
        ),
        migrations.CreateModel(
            name="Payment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "method",
                    models.CharField(
                        choices=[
                            ("bank_transfer", "Bank transfer"),
                            ("card", "Card"),
                            ("direct_debit", "Direct debit"),
                            ("cash", "Cash"),
                            ("other", "Other"),
                            ("credit_note", "Credit note"),
                        ],
                        max_length=13,
                        verbose_name="method",
                    ),
                ),
                (
                    "amount",
                    billing.models.amount.AmountField(decimal_places=4, max_digits=38, verbose_name="amount"),
                ),
                ("received_on", models.DateField(verbose_name="received on")),
                ("reference", models.CharField(blank=True, max_length=200, verbose_name="reference")),
                ("key", models.CharField(blank=True, max_length=200, verbose_name="idempotency key")),
                ("reason", models.TextField(blank=True, max_length=2000, verbose_name="reason")),
                ("recorded_by", models.CharField(blank=True, max_length=150, verbose_name="recorded by")),
                (
                    "recorded_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="recorded at",
                    ),
                ),
                (
                    "credit_note",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="allocations",
                        to="billing.invoice",
                        verbose_name="credit note",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payments",
                        to="billing.invoice",
                        verbose_name="invoice",
                    ),
                ),
                (
                    "reverses",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversal",
                        to="billing.payment",
                        verbose_name="reverses",
                    ),
                ),
            ],
            options={
                "verbose_name": "payment",
                "verbose_name_plural": "payments",
                "db_table_comment": "An amount that settles part of an issued invoice. Append-only.",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="PeriodCorrection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.BigIntegerField(verbose_name="ledger position")),
                ("period_end", models.DateTimeField(verbose_name="period end")),
                (
                    "billed_amount",
                    billing.models.amount.AmountField(decimal_places=4, max_digits=38, verbose_name="billed"),
                ),
                (
                    "rated_amount",
                    billing.models.amount.AmountField(
                        decimal_places=4, max_digits=38, verbose_name="now worth"
                    ),
                ),
                (
                    "difference",
                    billing.models.amount.AmountField(
                        decimal_places=4, max_digits=38, verbose_name="difference"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waits for approval"),
                            ("approved", "Approved"),
                            ("drafted", "On a draft"),
                            ("booked", "Booked"),
                            ("written_off", "Written off"),
                        ],
                        max_length=11,
                        verbose_name="state",
                    ),
                ),
                (
                    "found_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="found at",
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True, verbose_name="decided at")),
                ("decided_by", models.CharField(blank=True, max_length=150, verbose_name="decided by")),
                ("reason", models.TextField(blank=True, max_length=2000, verbose_name="reason")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="corrections",
                        to="billing.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
                (
                    "billed_period",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="corrections",
                        to="billing.billedperiod",
                        verbose_name="billed period",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="corrections",
                        to="billing.invoice",
                        verbose_name="document",
                    ),
                ),
            ],
            options={
                "verbose_name": "correction",
                "verbose_name_plural": "corrections",
                "db_table_comment": "An invoiced period is worth something else than was billed for it.",
                "ordering": ["-id"],
                "permissions": [("decide_periodcorrection", "Can approve or write off corrections")],
            },
        ),
        migrations.CreateModel(
            name="Seller",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
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
                "verbose_name": "seller",
                "verbose_name_plural": "seller",
                "db_table_comment": "Who issues invoices: one row.",
                "constraints": [models.CheckConstraint(condition=models.Q(("pk", 1)), name="one_seller")],
            },
        ),
        migrations.AddConstraint(
            model_name="creditgrant",
            constraint=models.UniqueConstraint(
                condition=models.Q(("key", ""), _negated=True),
                fields=("account", "key"),
                name="credit_granted_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditgrant",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__gt", 0)), name="grant_of_something"
            ),
        ),
        migrations.AddIndex(
            model_name="creditentry",
            index=models.Index(fields=["account", "id"], name="credit_entry_by_account"),
        ),
        migrations.AddConstraint(
            model_name="creditentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", 0), ("kind__in", ("granted", "returned"))),
                    models.Q(("amount__lt", 0), ("kind__in", ("drawn", "expired", "withdrawn"))),
                    _connector="OR",
                ),
                name="credit_entry_with_its_sign",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("invoice__isnull", False), ("kind__in", ("drawn", "returned"))),
                    models.Q(models.Q(("kind__in", ("drawn", "returned")), _negated=True), ("invoice", None)),
                    _connector="OR",
                ),
                name="draws_name_their_invoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "granted")), fields=("grant",), name="grant_entered_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="creditentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "drawn")),
                fields=("grant", "invoice"),
                name="grant_drawn_once_per_invoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "returned")),
                fields=("grant", "invoice"),
                name="draw_returned_once",
            ),
        ),
        migrations.AddIndex(
            model_name="billedperiod",
            index=models.Index(
                condition=models.Q(("learned_at_position__isnull", False)),
                fields=["account"],
                name="billed_period_learned",
            ),
        ),
        migrations.AddIndex(
            model_name="billedperiod",
            index=models.Index(fields=["period_end"], name="billed_period_by_end"),
        ),
        migrations.AddConstraint(
            model_name="billedperiod",
            constraint=models.UniqueConstraint(
                fields=("subscription", "price", "period_start"), name="period_billed_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicediscount",
            constraint=models.UniqueConstraint(
                deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                fields=("invoice", "position"),
                name="discount_position_within_invoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicediscount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("fixed_amount", None), ("percent__gt", 0), ("percent__lte", 100)),
                    models.Q(("fixed_amount__gt", 0), ("percent", None)),
                    _connector="OR",
                ),
                name="discount_by_percent_or_amount",
            ),
        ),
        migrations.AddIndex(
            model_name="invoicedispatch",
            index=models.Index(condition=models.Q(("state", "due")), fields=["id"], name="dispatch_due"),
        ),
        migrations.AddConstraint(
            model_name="invoiceline",
            constraint=models.UniqueConstraint(
                deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                fields=("invoice", "position"),
                name="line_position_within_invoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoiceline",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind", "manual"), ("billed_period__isnull", False), _connector="OR"),
                name="line_of_a_period_or_by_hand",
            ),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(fields=["account", "-issued_on", "-id"], name="invoice_by_account"),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(fields=["-issued_on", "-id"], name="invoice_by_day"),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(
                condition=models.Q(("kind", "invoice")), fields=["due_on"], name="invoice_by_due_day"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.UniqueConstraint(fields=("series", "sequence"), name="number_given_once"),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.UniqueConstraint(
                condition=models.Q(("issued_at", None), ("origin", "run")),
                fields=("account",),
                name="one_draft_by_runs_per_account",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.UniqueConstraint(
                condition=models.Q(("origin", "void")), fields=("credits",), name="invoice_voided_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("due_on", None),
                        ("issued_at", None),
                        ("issued_on", None),
                        ("number", None),
                        ("sequence", None),
                        ("series", None),
                    ),
                    models.Q(
                        ("due_on__isnull", False),
                        ("issued_at__isnull", False),
                        ("issued_on__isnull", False),
                        ("number__isnull", False),
                        ("sequence__isnull", False),
                        ("series__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="issued_with_number_and_days",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "total",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("subtotal"), "+", models.F("discount_total")
                            ),
                            "+",
                            models.F("tax_total"),
                        ),
                    ),
                    (
                        "amount_due",
                        django.db.models.expressions.CombinedExpression(
                            models.F("total"), "-", models.F("credit_drawn")
                        ),
                    ),
                ),
                name="totals_add_up",
            ),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(fields=["invoice", "id"], name="payment_by_invoice"),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("key", ""), _negated=True),
                fields=("invoice", "key"),
                name="payment_recorded_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", 0), ("reverses", None)),
                    models.Q(("amount__lt", 0), ("reverses__isnull", False)),
                    _connector="OR",
                ),
                name="only_reversals_are_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("credit_note__isnull", False), ("method", "credit_note")),
                    models.Q(models.Q(("method", "credit_note"), _negated=True), ("credit_note", None)),
                    _connector="OR",
                ),
                name="credit_note_is_named",
            ),
        ),
        migrations.AddIndex(
            model_name="periodcorrection",
            index=models.Index(fields=["account", "state"], name="correction_by_account"),
        ),
        migrations.AddConstraint(
            model_name="periodcorrection",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("waiting", "approved", "drafted"))),
                fields=("billed_period",),
                name="one_open_correction_per_period",
            ),
        ),
        migrations.RunSQL(
            sql=(HERE / "0002_invoice_what_was_used.sql").read_text(),
            reverse_sql=(HERE / "0002_invoice_what_was_used_reverse.sql").read_text(),
        ),
    ]
