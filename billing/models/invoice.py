"""Documents: invoices and credit notes, with their lines, discounts and approvals."""

import datetime as dt
from decimal import Decimal

from django.apps import apps
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.models import MetricDefinition, Project
from metering.models.fields import NumericField

from .account import BillingAccount
from .amount import AmountField
from .billed import BilledPeriod
from .series import NumberSeries

MAX_MANUAL_LINES = 200
MAX_DISCOUNTS = 20


class InvoiceQuerySet(models.QuerySet["Invoice"]):
    def invoices(self) -> "InvoiceQuerySet":
        return self.filter(kind=Invoice.Kind.INVOICE)

    def credit_notes(self) -> "InvoiceQuerySet":
        return self.filter(kind=Invoice.Kind.CREDIT_NOTE)

    def drafts(self) -> "InvoiceQuerySet":
        return self.filter(issued_at=None)

    def issued(self) -> "InvoiceQuerySet":
        return self.filter(issued_at__isnull=False)

    def with_open_amount(self) -> "InvoiceQuerySet":
        """Annotated with `paid_amount` (payments and credit notes, less what was taken back), `open_amount`
        and `is_void`. Index: payment_by_invoice."""
        paid = (
            apps.get_model("billing", "Payment")
            .objects.filter(invoice=OuterRef("pk"))
            .order_by()
            .values("invoice")
            .annotate(total=Sum("amount"))
            .values("total")
        )
        voids = Invoice.objects.filter(
            credits=OuterRef("pk"), origin=Invoice.Origin.VOID, issued_at__isnull=False
        )
        return self.annotate(
            paid_amount=Coalesce(Subquery(paid), Value(Decimal(0)), output_field=AmountField()),
            is_void=models.Exists(voids),
        ).annotate(open_amount=F("amount_due") - F("paid_amount"))

    def open(self) -> "InvoiceQuerySet":
        """Issued invoices on which something is owed."""
        return self.issued().invoices().with_open_amount().filter(open_amount__gt=0)  # type: ignore[misc]

    def overdue(self, *, on: dt.date) -> "InvoiceQuerySet":
        """Open ones whose due day is before `on`."""
        return self.open().filter(due_on__lt=on)


class Invoice(models.Model):
    """A document for a customer: an invoice, or a credit note. Written by `invoicing.drafting`, `issuing`.

    A draft changes at will. Once issued, its row, lines and discounts never change; what becomes of it
    follows from payments and credit notes. Amounts of credit notes are negative.
    """

    class Kind(models.TextChoices):
        INVOICE = "invoice", _("Invoice")
        CREDIT_NOTE = "credit_note", _("Credit note")

    class Origin(models.TextChoices):
        RUN = "run", _("Billing run")
        MANUAL = "manual", _("By hand")
        VOID = "void", _("Void of an invoice")

    account = models.ForeignKey(
        BillingAccount,
        verbose_name=_("billing account"),
        on_delete=models.PROTECT,
        related_name="invoices",
    )
    kind = models.CharField(_("kind"), max_length=11, choices=Kind.choices, default=Kind.INVOICE)
    origin = models.CharField(_("made by"), max_length=6, choices=Origin.choices, default=Origin.RUN)
    currency = models.CharField(_("currency"), max_length=3)
    credits = models.ForeignKey(
        "self",
        verbose_name=_("credits"),
        null=True,
        on_delete=models.PROTECT,
        related_name="credit_notes",
        help_text=_("The invoice that a credit note takes back, in whole or in part."),
    )
    reason = models.TextField(
        _("reason"), blank=True, help_text=_("Why it was made; on credit notes it is shown.")
    )
    notes = models.TextField(_("note to the customer"), blank=True, max_length=2000)
    # Of the reading: the instant the run billed up to, the ledger position, the account as it stood then.
    as_of = models.DateTimeField(_("billed up to"), null=True)
    position = models.BigIntegerField(_("ledger position"), null=True)
    account_revision = models.PositiveBigIntegerField(_("revision of the account"), default=0)
    period_start = models.DateTimeField(_("period start"), null=True)
    period_end = models.DateTimeField(_("period end"), null=True)
    # Totals, of a draft as it was last computed.
    subtotal = AmountField(_("subtotal"), default=0, help_text=_("Of all lines, before discounts and tax."))
    discount_total = AmountField(_("discounts"), default=0, help_text=_("Negative, or zero."))
    tax_total = AmountField(_("tax"), default=0)
    total = AmountField(_("total"), default=0)
    taxes = models.JSONField(_("taxes"), default=list)  # [{"name", "percent", "base", "amount"}]
    credit_drawn = AmountField(_("paid by credit"), default=0)
    amount_due = AmountField(_("amount due"), default=0)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    computed_at = models.DateTimeField(_("computed at"), null=True)
    edited_by = models.CharField(_("edited by"), max_length=150, blank=True)
    # Once issued.
    series = models.ForeignKey(
        NumberSeries, verbose_name=_("series"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    sequence = models.PositiveBigIntegerField(_("number in the series"), null=True)
    number = models.CharField(_("number"), max_length=50, null=True, unique=True)  # noqa: DJ001 (none is not "")
    issued_at = models.DateTimeField(_("issued at"), null=True)
    issued_by = models.CharField(_("issued by"), max_length=150, blank=True)
    issued_on = models.DateField(_("issued on"), null=True)
    due_on = models.DateField(_("due on"), null=True)
    seller = models.JSONField(_("seller"), default=dict)
    customer = models.JSONField(_("customer"), default=dict)

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        db_table_comment = "An invoice or a credit note. Issued ones never change."
        ordering = ["-id"]
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        permissions = [
            ("issue_invoice", _("Can issue invoices and credit notes")),
            ("approve_invoice", _("Can approve what somebody else edited")),
            ("void_invoice", _("Can void issued invoices")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["series", "sequence"], name="number_given_once"),
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(issued_at=None, origin="run"),
                name="one_draft_by_runs_per_account",
            ),
            models.UniqueConstraint(
                fields=["credits"], condition=Q(origin="void"), name="invoice_voided_once"
            ),
            models.CheckConstraint(
                name="issued_with_number_and_days",
                condition=Q(
                    issued_at=None, series=None, sequence=None, number=None, issued_on=None, due_on=None
                )
                | Q(
                    issued_at__isnull=False,
                    series__isnull=False,
                    sequence__isnull=False,
                    number__isnull=False,
                    issued_on__isnull=False,
                    due_on__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="totals_add_up",
                condition=Q(total=F("subtotal") + F("discount_total") + F("tax_total"))
                & Q(amount_due=F("total") - F("credit_drawn")),
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-issued_on", "-id"], name="invoice_by_account"),
            models.Index(fields=["-issued_on", "-id"], name="invoice_by_day"),
            models.Index(fields=["due_on"], condition=Q(kind="invoice"), name="invoice_by_due_day"),
        ]

    def __str__(self) -> str:
        """“INV-000042”, “Draft (12)”: drafts have no number yet, so their id stands for it."""
        if self.number:
            return self.number
        if self.is_credit_note:
            return gettext("Draft credit note (%s)") % self.pk
        return gettext("Draft (%s)") % self.pk

    @property
    def is_draft(self) -> bool:
        return self.issued_at is None

    @property
    def is_credit_note(self) -> bool:
        return self.kind == self.Kind.CREDIT_NOTE


class InvoiceLine(models.Model):
    """One line of a document. As fixed as its document, and a copy of everything that it shows.

    Lines of one price and period are made together: `rated_quantity` and `rated_amount` are of the whole,
    `quantity` and `amount` this line's part of it. A line that `reverses` another has its amounts with the
    other sign. `discount_amount` (zero or negative) is its part of the document's discounts, `taxes` its own.
    """

    class Kind(models.TextChoices):
        USAGE = "usage", _("Usage")
        TRUE_UP = "true_up", _("Up to the minimum")
        FEE = "fee", _("Fixed fee")
        FEE_CREDIT = "fee_credit", _("Unused days of a fee")
        MANUAL = "manual", _("By hand")

    invoice = models.ForeignKey(
        Invoice, verbose_name=_("invoice"), on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    position = models.PositiveIntegerField(_("position"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    is_adjustment = models.BooleanField(
        _("correction"), default=False, help_text=_("Corrects a period that was invoiced before.")
    )
    reverses = models.OneToOneField(
        "self", verbose_name=_("reverses"), null=True, on_delete=models.PROTECT, related_name="reversal"
    )
    billed_period = models.ForeignKey(
        BilledPeriod,
        verbose_name=_("billed period"),
        null=True,
        on_delete=models.PROTECT,
        related_name="lines",
    )
    name = models.CharField(_("name"), max_length=300)
    plan_name = models.CharField(_("plan"), max_length=200, blank=True)
    metric = models.ForeignKey(
        MetricDefinition, verbose_name=_("metric"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    metric_key = models.CharField(_("metric key"), max_length=200, blank=True)
    unit = models.CharField(_("unit"), max_length=100, blank=True)
    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Whose usage it is, where lines are by project."),
    )
    project_key = models.CharField(_("project key"), max_length=200, blank=True)
    project_name = models.CharField(_("project name"), max_length=200, blank=True)
    group = models.JSONField(_("labels"), default=dict)  # {label: text or null}, where lines are by label
    period_start = models.DateTimeField(_("period start"), null=True)
    period_end = models.DateTimeField(_("period end"), null=True)
    service_start_on = models.DateField(_("first day"), null=True)  # on the clocks of the account
    service_end_on = models.DateField(_("day after the last"), null=True)
    day_count = models.IntegerField(_("days"), null=True)  # of fees; negative where they are given back
    full_day_count = models.PositiveIntegerField(_("days of the full period"), null=True)
    quantity = NumericField(_("quantity"), null=True)
    amount = AmountField(_("amount"), help_text=_("Net, before the document's discounts and tax."))
    discount_amount = AmountField(_("discount"), default=0)
    taxes = models.JSONField(_("taxes"), default=list)  # [{"name", "percent", "amount"}]
    tax_amount = AmountField(_("tax"), default=0)
    # How the amount came about.
    price = models.JSONField(_("price"), null=True)  # as rated: of the full period
    share = models.CharField(_("share of the full period"), max_length=40, blank=True)  # "14/31"
    rated_quantity = NumericField(_("quantity of the whole"), null=True)
    rated_amount = AmountField(_("amount of the whole"), null=True)
    detail = models.JSONField(_("detail"), default=list)  # parts, exact and informative
    # Which events it is made of: `billing.evidence`.
    evidence = models.JSONField(_("evidence"), null=True)
    event_count = models.BigIntegerField(_("events"), null=True)
    event_digest = models.BinaryField(_("digest of the events"), null=True)
    reason = models.TextField(_("reason"), blank=True, max_length=2000)  # of what was added by hand
    added_by = models.CharField(_("added by"), max_length=150, blank=True)

    class Meta:
        db_table_comment = "One line of an invoice or credit note; a copy of everything that it shows."
        ordering = ["invoice_id", "position"]
        verbose_name = _("invoice line")
        verbose_name_plural = _("invoice lines")
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "position"],
                name="line_position_within_invoice",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(
                name="line_of_a_period_or_by_hand",
                condition=Q(kind="manual") | Q(billed_period__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def net_amount(self) -> Decimal:
        """After discounts, before tax."""
        return self.amount + self.discount_amount


class InvoiceDiscount(models.Model):
    """A discount on a whole document, in the order in which they apply. As fixed as its document."""

    invoice = models.ForeignKey(
        Invoice, verbose_name=_("invoice"), on_delete=models.PROTECT, related_name="discounts", db_index=False
    )
    position = models.PositiveSmallIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=200, help_text=_("What the customer reads."))
    percent = models.DecimalField(_("percent"), max_digits=9, decimal_places=6, null=True)
    fixed_amount = AmountField(_("fixed amount"), null=True)
    amount = AmountField(_("amount"), default=0, help_text=_("What it came to: negative, or zero."))
    reason = models.TextField(_("reason"), max_length=2000, help_text=_("For colleagues and auditors."))
    added_by = models.CharField(_("added by"), max_length=150, blank=True)

    class Meta:
        db_table_comment = "A discount on a whole document, in the order in which they apply."
        ordering = ["invoice_id", "position"]
        verbose_name = _("invoice discount")
        verbose_name_plural = _("invoice discounts")
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "position"],
                name="discount_position_within_invoice",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(
                name="discount_by_percent_or_amount",
                condition=Q(percent__gt=0, percent__lte=100, fixed_amount=None)
                | Q(percent=None, fixed_amount__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class InvoiceApproval(models.Model):
    """Somebody other than its editor agreed to a document with exactly this content. As fixed as that is."""

    invoice = models.ForeignKey(
        Invoice, verbose_name=_("invoice"), on_delete=models.PROTECT, related_name="approvals"
    )
    content_digest = models.BinaryField(_("digest of the content"))
    approved_by = models.CharField(_("approved by"), max_length=150)
    note = models.TextField(_("note"), blank=True, max_length=2000)
    approved_at = models.DateTimeField(_("approved at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "Somebody other than its editor agreed to a document with exactly this content."
        ordering = ["invoice_id", "-id"]
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")

    def __str__(self) -> str:
        return f"approval {self.pk}"


class InvoiceDispatch(models.Model):
    """How an issued document gets to the customer. Written by `issuing` and `documents.dispatching`."""

    class State(models.TextChoices):
        DUE = "due", _("To be sent")
        POSTED = "posted", _("Handed to the mails")
        NO_ADDRESS = "no_address", _("No address")
        FAILED = "failed", _("Failed")

    invoice = models.OneToOneField(
        Invoice, verbose_name=_("invoice"), on_delete=models.PROTECT, related_name="dispatch"
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.DUE)
    mail_id = models.BigIntegerField(_("mail"), null=True)
    attempt_count = models.PositiveIntegerField(_("attempts"), default=0)
    last_error = models.TextField(_("last error"), blank=True)
    posted_at = models.DateTimeField(_("posted at"), null=True)
    overdue_announced_at = models.DateTimeField(_("overdue announced at"), null=True)

    class Meta:
        db_table_comment = "How an issued document gets to the customer."
        ordering = ["-id"]
        verbose_name = _("dispatch")
        verbose_name_plural = _("dispatches")
        indexes = [models.Index(fields=["id"], condition=Q(state="due"), name="dispatch_due")]

    def __str__(self) -> str:
        return f"dispatch {self.pk}"
