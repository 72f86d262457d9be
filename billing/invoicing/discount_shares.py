"""Which share of what a period was billed its document's discounts took: what corrections are reduced by.

Exact, from the discounts themselves: of a line of a few cents, what was taken is rounded, and says little
about a correction of thousands.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.db.models import Sum

from billing.models import InvoiceDiscount, InvoiceLine


@dataclass(frozen=True, slots=True)
class DiscountShare:
    """What a document's discounts took of each unit that it charged: by percentages, and by fixed amounts."""

    by_percent: Fraction = Fraction(0)
    by_amount: Fraction = Fraction(0)

    def of(self, *, worth: Decimal, billed: Decimal) -> Fraction:
        """Of each unit of a period that was billed at `billed` and is worth `worth` now.

        A percentage goes along; of a fixed amount the period keeps what it had, and no more for being worth
        more. Never more than the whole.
        """
        fixed = self.by_amount
        if worth > 0 and billed > 0:
            fixed = fixed * Fraction(billed) / Fraction(worth)
        return min(self.by_percent + fixed, Fraction(1))


NO_DISCOUNT = DiscountShare()


def discount_shares_of(lines: Mapping[int, Sequence[InvoiceLine]]) -> dict[int, DiscountShare]:
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


def _share(whole: Decimal, discounts: Iterable[InvoiceDiscount]) -> DiscountShare:
    """What discounts, one after the other, take of each unit of a document."""
    if whole <= 0:
        return NO_DISCOUNT
    left, by_amount = Fraction(whole), Fraction(0)
    for discount in discounts:
        if discount.percent is not None:
            left *= 1 - Fraction(discount.percent) / 100
        else:
            taken = min(Fraction(discount.fixed_amount or 0), left)
            left, by_amount = left - taken, by_amount + taken
    share = by_amount / Fraction(whole)
    return DiscountShare(1 - left / Fraction(whole) - share, share)
