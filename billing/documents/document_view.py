"""What a document shows, ready to be laid out: texts and numbers in the order in which a customer reads them.

Issued ones are shown from their own copies, whatever became of seller and account since; drafts from both as
they stand now. Reads; writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _

from billing.invoicing.parties import SELLER_MEMBERS, customer_copy, seller_copy
from billing.invoicing.sellers import seller as current_seller
from billing.invoicing.totals import total
from billing.models import BillingAccount, Invoice, InvoiceDiscount, Payment
from billing.money import rounded
from metering.house_language import in_house_language
from metering.measuring.windows import zone_named
from metering.texts.numbers import EXACT

from . import document_words as words
from .countries import country_name
from .line_views import Section, sections_of


@dataclass(frozen=True, slots=True)
class Party:
    """Seller or customer; `address` ends with the country."""

    name: str
    address: Sequence[str]
    tax_id: str
    email: str = ""


@dataclass(frozen=True, slots=True)
class Discount:
    name: str
    percent: str  # "10%"; "" where it is an amount
    amount: str


@dataclass(frozen=True, slots=True)
class Tax:
    """One rate over the document. `is_by_line`: rounded on each line it comes to something else than of the
    whole, which readers with a calculator should be told."""

    name: str
    percent: str
    base: str
    amount: str
    is_by_line: bool = False


@dataclass(frozen=True, slots=True)
class DocumentView:
    """Everything that a document shows. Amounts are texts in `currency`, whose code they leave out."""

    title: str  # "Invoice", "Credit note"
    number: str  # "" on drafts
    is_draft: bool
    is_credit_note: bool
    currency: str
    seller: Party
    customer: Party
    account: str
    issued_on: str
    due_on: str
    period: str
    credited_number: str
    reason: str
    sections: Sequence[Section]
    subtotal: str
    discounts: Sequence[Discount]
    taxes: Sequence[Tax]
    total: str
    credit_drawn: str  # "" where none was
    amount_due: str
    is_settled: bool  # nothing is left to pay
    settlement: Sequence[str]  # what a credit note was used for
    terms: str
    payment_details: str
    notes: str
    footer: str

    @property
    def name(self) -> str:
        """ "Invoice INV-000042"; a draft has no number."""
        return f"{self.title} {self.number}" if self.number else f"{self.title} ({_('draft')})"


@in_house_language()
def document_view(invoice: Invoice) -> DocumentView:
    """What the document shows, in the house's language. `invoice` is as stored; its lines and discounts are
    read."""
    account = invoice.account
    seller, customer = _seller(invoice), _customer(invoice, account)
    zone = zone_named(customer["timezone"])
    currency = invoice.currency
    lines = list(invoice.lines.select_related("reverses__invoice").order_by("position"))
    discounts = list(invoice.discounts.order_by("position"))
    is_due = not invoice.is_credit_note
    return DocumentView(
        title=_("Credit note") if invoice.is_credit_note else _("Invoice"),
        number=invoice.number or "",
        is_draft=invoice.is_draft,
        is_credit_note=invoice.is_credit_note,
        currency=currency,
        seller=_party(seller),
        customer=_party(customer),
        account=str(customer["project_name"]),
        issued_on="" if invoice.issued_on is None else words.day_words(invoice.issued_on),
        due_on="" if invoice.due_on is None or not is_due else words.day_words(invoice.due_on),
        period=words.period_words(invoice.period_start, invoice.period_end, zone=zone),
        credited_number="" if invoice.credits is None else invoice.credits.number or "",
        reason=invoice.reason,
        sections=sections_of(lines, currency=currency, is_taken_back=invoice.origin == Invoice.Origin.VOID),
        subtotal=words.money_words(invoice.subtotal, currency),
        discounts=_discounts(invoice, discounts),
        taxes=[
            Tax(
                name=tax["name"],
                percent=words.percent_words(Fraction(tax["percent"])),
                base=words.money_words(Decimal(tax["base"]), currency),
                amount=words.money_words(Decimal(tax["amount"]), currency),
                is_by_line=_of_whole(tax, currency) != Decimal(tax["amount"]),
            )
            for tax in invoice.taxes
        ],
        total=words.money_words(invoice.total, currency),
        credit_drawn=words.money_words(EXACT.minus(invoice.credit_drawn), currency)
        if invoice.credit_drawn
        else "",
        amount_due=words.money_words(invoice.amount_due, currency),
        is_settled=is_due and not invoice.amount_due,
        settlement=_settlement(invoice),
        terms=_terms(invoice, customer) if is_due and invoice.amount_due else "",
        payment_details=str(seller["payment_details"]) if is_due and invoice.amount_due else "",
        notes=invoice.notes,
        footer=str(seller["footer"]),
    )


def file_name_of(invoice: Invoice, extension: str) -> str:
    """What its file is called: "INV-000042.pdf"; a draft by its customer and its id, "draft-acme-17.pdf"."""
    name = invoice.number or f"draft-{invoice.account.project.key}-{invoice.pk}"
    return words.file_name(name, extension)


def _of_whole(tax: Mapping[str, Any], currency: str) -> Decimal:
    return rounded(Fraction(tax["base"]) * Fraction(tax["percent"]) / 100, currency)


def _seller(invoice: Invoice) -> dict[str, Any]:
    if invoice.is_draft:
        return seller_copy(current_seller())
    return {**dict.fromkeys(SELLER_MEMBERS, ""), **invoice.seller}


def _customer(invoice: Invoice, account: BillingAccount) -> dict[str, Any]:
    return customer_copy(account) if invoice.is_draft else invoice.customer


def _party(fields: dict[str, Any]) -> Party:
    lines = [str(line) for line in fields["address_lines"] or () if str(line).strip()]
    country = country_name(str(fields["country"] or ""))
    return Party(
        name=str(fields["legal_name"]),
        address=(*lines, *([country] if country else [])),
        tax_id=str(fields["tax_id"] or ""),
        email=str(fields.get("email") or ""),
    )


def _discounts(invoice: Invoice, discounts: Sequence[InvoiceDiscount]) -> list[Discount]:
    """The document's own, and what corrected periods were billed with."""
    currency = invoice.currency
    shown = [
        Discount(
            name=discount.name,
            percent="" if discount.percent is None else words.percent_words(Fraction(discount.percent)),
            amount=words.money_words(discount.amount, currency),
        )
        for discount in discounts
    ]
    kept = EXACT.subtract(invoice.discount_total, total(discount.amount for discount in discounts))
    if kept:
        name = _("Discounts of the periods that are corrected")
        if invoice.origin == Invoice.Origin.VOID:
            name = _("Discounts taken back")
        shown.append(Discount(name=name, percent="", amount=words.money_words(kept, currency)))
    return shown


def _settlement(invoice: Invoice) -> list[str]:
    """What became of a credit note when it was issued."""
    if invoice.is_draft or not invoice.is_credit_note:
        return []
    currency = invoice.currency
    allocated: list[Payment] = list(
        invoice.allocations.filter(reverses=None).select_related("invoice").order_by("id")
    )
    said = [
        _("%(amount)s settles invoice %(number)s.")
        % {
            "amount": f"{words.money_words(payment.amount, currency)} {currency}",
            "number": payment.invoice.number,
        }
        for payment in allocated
    ]
    grant = getattr(invoice, "credit_grant", None)
    if grant is not None:
        amount = f"{words.money_words(grant.amount, currency)} {currency}"
        said.append(_("%(amount)s is credit that pays your next invoices.") % {"amount": amount})
    return said


def _terms(invoice: Invoice, customer: dict[str, Any]) -> str:
    days = int(customer["payment_terms_days"])
    if invoice.due_on is None:
        return _("Due within %(days)d days of issue.") % {"days": days} if days else _("Due on issue.")
    by = words.day_words(invoice.due_on)
    if not days:
        return _("Due on issue: %(day)s.") % {"day": by}
    return _("Due within %(days)d days, by %(day)s.") % {"days": days, "day": by}
