"""Totals of a draft, from its lines and discounts as they are; nothing is read from the ledger.

Sets fields of unsaved or loaded rows; `invoicing.drafting` and `invoicing.draft_edits` store them.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from billing.models import Invoice, InvoiceDiscount, InvoiceLine
from billing.money import amount_text
from metering.texts.numbers import EXACT, plain

from .totals import Discount, NetLine, Rate, Totals, totals_of


def retotal(
    invoice: Invoice,
    lines: Sequence[InvoiceLine],
    discounts: Sequence[InvoiceDiscount],
    *,
    credit: Decimal = Decimal(0),
) -> None:
    """Work out every amount that depends on others, in place. A total below zero makes it a credit note.

    `credit` is what the account has to pay it with.
    """
    currency = invoice.currency
    totals = totals_of(
        [net_line(line) for line in lines],
        [Discount(discount.percent, discount.fixed_amount) for discount in discounts],
        currency=currency,
    )
    for line, found in zip(lines, totals.lines, strict=True):
        line.discount_amount = found.discount
        line.taxes = [tax_json(rate, amount, currency) for rate, amount in found.taxes.items()]
        line.tax_amount = found.tax
    for discount, amount in zip(discounts, totals.discounts, strict=True):
        discount.amount = amount
    _set_totals(invoice, totals)
    invoice.credit_drawn = drawn_by(invoice, credit)
    invoice.amount_due = EXACT.subtract(invoice.total, invoice.credit_drawn)


def drawn_by(invoice: Invoice, credit: Decimal) -> Decimal:
    """How much of the credit that there is an invoice draws."""
    if invoice.kind != Invoice.Kind.INVOICE or invoice.total <= 0:
        return Decimal(0)
    return max(min(invoice.total, credit), Decimal(0))


def net_line(line: InvoiceLine) -> NetLine:
    """A stored line as totals take it: a correction keeps its discount, a reversal its taxes too."""
    taxes = {Rate(tax["name"], Decimal(tax["percent"])): Decimal(tax["amount"]) for tax in line.taxes}
    return NetLine(
        amount=line.amount,
        rates=tuple(taxes),
        own_discount=line.discount_amount if line.is_adjustment else None,
        own_taxes=taxes if line.reverses_id is not None else None,
    )


def tax_json(rate: Rate, amount: Decimal, currency: str) -> dict[str, Any]:
    return {"name": rate.name, "percent": plain(rate.percent), "amount": amount_text(amount, currency)}


def _set_totals(invoice: Invoice, totals: Totals) -> None:
    invoice.subtotal = totals.subtotal
    invoice.discount_total = totals.discount_total
    invoice.tax_total = totals.tax_total
    invoice.total = totals.total
    invoice.taxes = [
        {
            **tax_json(tax.rate, tax.amount, invoice.currency),
            "base": amount_text(tax.base, invoice.currency),
        }
        for tax in totals.taxes
    ]
    if invoice.credits_id is None:
        is_credit = totals.total < 0
        invoice.kind = Invoice.Kind.CREDIT_NOTE if is_credit else Invoice.Kind.INVOICE
