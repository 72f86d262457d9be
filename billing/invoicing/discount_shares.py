"""Which share of what a period was billed its document's discounts took: what corrections are reduced by.

Exact, from the discounts themselves: of a line of a few cents, what was taken is rounded, and says little
about a correction of thousands.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from django.db.models import Sum

from billing.models import InvoiceDiscount, InvoiceLine


def discount_shares_of(lines: Mapping[int, Sequence[InvoiceLine]]) -> dict[int, Fraction]:
    """By billed period, where there are discounts; `lines` are its issued lines as they were written."""
    invoice_ids = {
        period_id: origin.invoice_id
        for period_id, of_one in lines.items()
        if (origin := _origin_of(of_one)) is not None
    }
    discounts: dict[int, list[InvoiceDiscount]] = defaultdict(list)
    if invoice_ids:
        given = InvoiceDiscount.objects.filter(invoice__in=set(invoice_ids.values()))
        for discount in given.order_by("position"):
            discounts[discount.invoice_id].append(discount)
    if not discounts:
        return {}
    charged = InvoiceLine.objects.filter(invoice__in=list(discounts), is_adjustment=False)
    wholes = dict(charged.values_list("invoice_id").annotate(whole=Sum("amount")))
    shares = {
        invoice_id: _share(wholes.get(invoice_id, Decimal(0)), of_one)
        for invoice_id, of_one in discounts.items()
    }
    return {
        period_id: shares[invoice_id] for period_id, invoice_id in invoice_ids.items() if invoice_id in shares
    }


def _origin_of(lines: Sequence[InvoiceLine]) -> InvoiceLine | None:
    """The line that the period was last billed by for the first time: corrections have its discounts."""
    return next((line for line in reversed(lines) if not line.is_adjustment), None)


def _share(whole: Decimal, discounts: Iterable[InvoiceDiscount]) -> Fraction:
    """What discounts, one after the other, take of each unit of a document."""
    if whole <= 0:
        return Fraction(0)
    left = Fraction(whole)
    for discount in discounts:
        if discount.percent is not None:
            left *= 1 - Fraction(discount.percent) / 100
        else:
            left = max(left - Fraction(discount.fixed_amount or 0), Fraction(0))
    return 1 - left / Fraction(whole)
