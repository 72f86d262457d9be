"""Who is billed."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from metering.models import Project

from .amount import AmountField

MAX_ADDRESS_LINES = 6
MAX_TAX_RATES = 10
MAX_INVOICE_EMAILS = 20
MAX_PAYMENT_TERMS_DAYS = 365
MAX_ISSUE_GRACE_DAYS = 31


class BillingAccount(models.Model):
    """The commercial profile of one paying project. Written by `selling.accounts`.

    May change at any time, but for its project, and for its currency once it has subscriptions. Issued
    documents copy what they show, so a change is seen by later ones only.
    """

    project = models.OneToOneField(
        Project,
        verbose_name=_("paying project"),
        on_delete=models.PROTECT,
        related_name="billing_account",
        help_text=_("The account is billed for all usage that this project pays for."),
    )
    legal_name = models.CharField(
        _("legal name"), max_length=200, help_text=_("Of the customer, as it stands on invoices.")
    )
    address_lines = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("address"),
        default=list,
        blank=True,
        help_text=_("One line per line, as on an envelope, without name and country."),
    )
    country = models.CharField(
        _("country"),
        max_length=2,
        blank=True,
        help_text=_("Two letters (ISO 3166), such as DE."),
    )
    tax_id = models.CharField(
        _("tax id"), max_length=50, blank=True, help_text=_("The customer's, such as DE123456789.")
    )
    tax_rates = models.JSONField(
        _("tax rates"),
        default=list,
        blank=True,
        help_text=_("What is added to net amounts: each rate on the same net, never on one another."),
    )
    currency = models.CharField(
        _("currency"),
        max_length=3,
        help_text=_("Of all its invoices. It can't be changed once there are subscriptions."),
    )
    timezone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        help_text=_(
            "IANA name, such as Europe/Berlin. Billing periods begin at its midnight; a change holds from "
            "the next period on."
        ),
    )
    payment_terms_days = models.PositiveSmallIntegerField(
        _("payment terms (days)"), default=30, help_text=_("Invoices are due so many days after issue.")
    )
    invoice_emails = ArrayField(
        models.EmailField(),
        verbose_name=_("invoice e-mails"),
        default=list,
        blank=True,
        help_text=_("Where invoices are sent, one address per line."),
    )
    issue_grace_days = models.PositiveSmallIntegerField(
        _("days of grace before issuing"),
        default=1,
        help_text=_("How long a draft waits after its period for late usage, before it may be issued."),
    )
    issues_automatically = models.BooleanField(
        _("issue automatically"),
        default=False,
        help_text=_(
            "On: billing runs issue a draft once its days of grace are over and nobody has to approve it. "
            "Off: a draft waits in the review queue."
        ),
    )
    approval_above = AmountField(
        _("approval above"),
        null=True,
        blank=True,
        help_text=_(
            "Credit notes and lines added by hand that come to more than this need the approval of a second "
            "person. Empty: none does."
        ),
    )
    approve_corrections_above = AmountField(
        _("approve corrections above"),
        null=True,
        blank=True,
        help_text=_(
            "Corrections of invoiced periods that come to more than this wait for approval. Empty: all are "
            "billed automatically. 0: all wait."
        ),
    )
    write_off_below = AmountField(
        _("write off corrections below"),
        null=True,
        blank=True,
        help_text=_(
            "Corrections of invoiced periods that come to less than this are written off, on record."
        ),
    )
    # Counts changes of what its drafts are made of: a draft that was computed before one is out of date.
    revision = models.PositiveBigIntegerField(_("revision"), default=0, editable=False)
    # As of the last look: when something becomes due next, and the revision that was looked at. Billing runs
    # pass over accounts of which they know that nothing can have become due.
    next_due_at = models.DateTimeField(_("next due at"), null=True, editable=False)
    billed_revision = models.PositiveBigIntegerField(_("billed revision"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "The commercial profile of one paying project."
        ordering = ["legal_name", "id"]
        verbose_name = _("billing account")
        verbose_name_plural = _("billing accounts")
        permissions = [("loosen_approval", _("Can raise or remove limits above which approval is needed"))]
        constraints = [
            models.UniqueConstraint(fields=["id", "currency"], name="account_currency_to_refer_to"),
        ]

    def __str__(self) -> str:
        return self.legal_name
