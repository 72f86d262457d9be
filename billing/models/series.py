"""Where documents get their numbers, and who issues them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _


class NumberSeries(models.Model):
    """Numbers documents of one kind without gaps. Written by `invoicing.issuing`.

    `last_number` goes up by one with each document that is issued, in the transaction that issues it, and by
    nothing else. The prefix may change; numbers that were given stay.
    """

    class Kind(models.TextChoices):
        INVOICE = "invoice", _("Invoices")
        CREDIT_NOTE = "credit_note", _("Credit notes")

    kind = models.CharField(_("kind"), max_length=11, choices=Kind.choices, unique=True, editable=False)
    prefix = models.CharField(
        _("prefix"),
        max_length=20,
        blank=True,
        help_text=_(
            "What numbers begin with, such as INV-. A change holds for documents issued from now on."
        ),
    )
    digits = models.PositiveSmallIntegerField(
        _("digits"), default=6, help_text=_("Numbers are filled up with zeros to so many digits.")
    )
    last_number = models.PositiveBigIntegerField(_("last number"), default=0, editable=False)

    class Meta:
        db_table_comment = "Numbers documents of one kind without gaps."
        ordering = ["kind"]
        verbose_name = _("number series")
        verbose_name_plural = _("number series")

    def __str__(self) -> str:
        return self.get_kind_display()

    def text_of(self, number: int) -> str:
        """The number as documents show it: INV-000042."""
        return f"{self.prefix}{number:0{self.digits}d}"


class Seller(models.Model):
    """Who issues invoices: one row. Written by `invoicing.sellers`. Issued documents copy what they show."""

    legal_name = models.CharField(_("legal name"), max_length=200, blank=True)
    address_lines = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("address"),
        default=list,
        blank=True,
        help_text=_("One line per line, as on an envelope, without name and country."),
    )
    country = models.CharField(_("country"), max_length=2, blank=True)
    tax_id = models.CharField(_("tax id"), max_length=50, blank=True)
    email = models.EmailField(_("e-mail"), blank=True, help_text=_("For questions about invoices."))
    payment_details = models.TextField(
        _("payment details"),
        blank=True,
        max_length=1000,
        help_text=_("How to pay: bank, IBAN, BIC. Shown at the foot of invoices."),
    )
    footer = models.TextField(
        _("footer"), blank=True, max_length=1000, help_text=_("Register number, directors, terms.")
    )

    class Meta:
        db_table_comment = "Who issues invoices: one row."
        verbose_name = _("seller")
        verbose_name_plural = _("seller")
        constraints = [models.CheckConstraint(name="one_seller", condition=models.Q(pk=1))]

    def __str__(self) -> str:
        return self.legal_name or "seller"
