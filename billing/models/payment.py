"""What settles invoices: payments, credit notes, and prepaid credit."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .account import BillingAccount
from .amount import AmountField
from .invoice import Invoice


class Payment(models.Model):
    """An amount that settles part of an issued invoice, or takes such a part back. Append-only.

    Written by `settling.payments` and `invoicing.issuing`. A row that `reverses` another has its amount with
    the other sign.
    """

    class Method(models.TextChoices):
        BANK_TRANSFER = "bank_transfer", _("Bank transfer")
        CARD = "card", _("Card")
        DIRECT_DEBIT = "direct_debit", _("Direct debit")
        CASH = "cash", _("Cash")
        OTHER = "other", _("Other")
        CREDIT_NOTE = "credit_note", _("Credit note")

    invoice = models.ForeignKey(
        Invoice,
        verbose_name=_("invoice"),
        on_delete=models.PROTECT,
        related_name="payments",
        db_index=False,
    )
    method = models.CharField(_("method"), max_length=13, choices=Method.choices)
    amount = AmountField(_("amount"))
    received_on = models.DateField(_("received on"))
    reference = models.CharField(_("reference"), max_length=200, blank=True)
    key = models.CharField(_("idempotency key"), max_length=200, blank=True)
    credit_note = models.ForeignKey(
        Invoice,
        verbose_name=_("credit note"),
        null=True,
        on_delete=models.PROTECT,
        related_name="allocations",
    )
    reverses = models.OneToOneField(
        "self", verbose_name=_("reverses"), null=True, on_delete=models.PROTECT, related_name="reversal"
    )
    reason = models.TextField(_("reason"), blank=True, max_length=2000)
    recorded_by = models.CharField(_("recorded by"), max_length=150, blank=True)
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "An amount that settles part of an issued invoice. Append-only."
        ordering = ["-id"]
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "key"], condition=~Q(key=""), name="payment_recorded_once"
            ),
            models.CheckConstraint(
                name="only_reversals_are_negative",
                condition=Q(amount__gt=0, reverses=None) | Q(amount__lt=0, reverses__isnull=False),
            ),
            models.CheckConstraint(
                name="credit_note_is_named",
                condition=Q(method="credit_note", credit_note__isnull=False)
                | (~Q(method="credit_note") & Q(credit_note=None)),
            ),
        ]
        indexes = [models.Index(fields=["invoice", "id"], name="payment_by_invoice")]

    def __str__(self) -> str:
        return gettext("Payment %s") % self.pk


class CreditGrant(models.Model):
    """Credit that an account may pay invoices with. Append-only; what is left of it is a sum of entries.

    Written by `settling.credits`. Drawn in the order of priority (smallest first), expiry (soonest first,
    none last), age.
    """

    class Kind(models.TextChoices):
        PAID = "paid", _("Paid in advance")
        PROMOTIONAL = "promotional", _("Promotional")
        CREDIT_NOTE = "credit_note", _("From a credit note")

    account = models.ForeignKey(
        BillingAccount,
        verbose_name=_("billing account"),
        on_delete=models.PROTECT,
        related_name="credit_grants",
    )
    kind = models.CharField(_("kind"), max_length=11, choices=Kind.choices)
    name = models.CharField(_("name"), max_length=200, help_text=_("What the customer reads."))
    amount = AmountField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    priority = models.PositiveSmallIntegerField(
        _("priority"), default=100, help_text=_("Smaller numbers are drawn first.")
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    key = models.CharField(_("idempotency key"), max_length=200, blank=True)
    credit_note = models.OneToOneField(
        Invoice,
        verbose_name=_("credit note"),
        null=True,
        on_delete=models.PROTECT,
        related_name="credit_grant",
    )
    reason = models.TextField(_("reason"), blank=True, max_length=2000)
    granted_by = models.CharField(_("granted by"), max_length=150, blank=True)
    granted_at = models.DateTimeField(_("granted at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "Credit that an account may pay invoices with. Append-only."
        ordering = ["account_id", "priority", "expires_at", "id"]
        verbose_name = _("credit grant")
        verbose_name_plural = _("credit grants")
        constraints = [
            models.UniqueConstraint(
                fields=["account", "key"], condition=~Q(key=""), name="credit_granted_once"
            ),
            models.CheckConstraint(name="grant_of_something", condition=Q(amount__gt=0)),
        ]

    def __str__(self) -> str:
        return self.name


class CreditEntry(models.Model):
    """One movement of credit: the balance of a grant, and of an account, is the sum of its entries.

    Append-only; written by `settling.credits`. Each names its grant; a draw and its return name the invoice.
    """

    class Kind(models.TextChoices):
        GRANTED = "granted", _("Granted")
        DRAWN = "drawn", _("Drawn")
        RETURNED = "returned", _("Returned")
        EXPIRED = "expired", _("Expired")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    grant = models.ForeignKey(
        CreditGrant, verbose_name=_("grant"), on_delete=models.PROTECT, related_name="entries"
    )
    account = models.ForeignKey(
        BillingAccount,
        verbose_name=_("billing account"),
        on_delete=models.PROTECT,
        related_name="credit_entries",
        db_index=False,
    )
    kind = models.CharField(_("kind"), max_length=9, choices=Kind.choices)
    amount = AmountField(_("amount"), help_text=_("Negative where it takes away from the balance."))
    invoice = models.ForeignKey(
        Invoice, verbose_name=_("invoice"), null=True, on_delete=models.PROTECT, related_name="credit_entries"
    )
    reason = models.TextField(_("reason"), blank=True, max_length=2000)
    entered_by = models.CharField(_("entered by"), max_length=150, blank=True)
    entered_at = models.DateTimeField(_("entered at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "One movement of credit; balances are sums of entries. Append-only."
        ordering = ["-id"]
        verbose_name = _("credit entry")
        verbose_name_plural = _("credit entries")
        constraints = [
            models.CheckConstraint(
                name="credit_entry_with_its_sign",
                condition=Q(kind__in=("granted", "returned"), amount__gt=0)
                | Q(kind__in=("drawn", "expired", "withdrawn"), amount__lt=0),
            ),
            models.CheckConstraint(
                name="draws_name_their_invoice",
                condition=Q(kind__in=("drawn", "returned"), invoice__isnull=False)
                | (~Q(kind__in=("drawn", "returned")) & Q(invoice=None)),
            ),
            models.UniqueConstraint(fields=["grant"], condition=Q(kind="granted"), name="grant_entered_once"),
            models.UniqueConstraint(
                fields=["grant", "invoice"], condition=Q(kind="drawn"), name="grant_drawn_once_per_invoice"
            ),
            models.UniqueConstraint(
                fields=["grant", "invoice"], condition=Q(kind="returned"), name="draw_returned_once"
            ),
        ]
        indexes = [models.Index(fields=["account", "id"], name="credit_entry_by_account")]

    def __str__(self) -> str:
        return gettext("Credit entry %s") % self.pk
