"""Whether issued documents add up: subtotal, discounts in their order, tax by line and rate, total.

Everything is worked out a second time from lines, discounts and rates, with fractions; no code is shared with
what made the totals. That a reversal has the taxes of what it reverses is proved with the billed periods.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from billing.models import Invoice, InvoiceDiscount, InvoiceLine
from billing.money import scale_of
from metering.verifying.verification_findings import Breach, Outcome, counted
from metering.verifying.verification_rollups import one_snapshot

from .proof_findings import outcome, shown, to_scale

Rate = tuple[str, Fraction]


def total_outcome(first: int, last: int, *, limit: int) -> Outcome:
    """Of the issued documents whose ids are from `first` to `last`."""
    breaches: list[Breach] = []
    with one_snapshot():
        documents = list(
            Invoice.objects.issued()
            .filter(pk__range=(first, last))
            .prefetch_related("lines", "discounts")
            .order_by("id")
        )
        for document in documents:
            breaches += _Document(document).breaches()
    return outcome(counted(len(documents), "issued document"), breaches, limit=limit)


class _Document:
    def __init__(self, document: Invoice) -> None:
        self.document, self.currency = document, document.currency
        self.lines: list[InvoiceLine] = sorted(document.lines.all(), key=lambda line: line.position)
        self.discounts: list[InvoiceDiscount] = sorted(
            document.discounts.all(), key=lambda discount: discount.position
        )

    def breaches(self) -> Iterator[Breach]:
        try:
            yield from self._lines()
            yield from self._discounts()
            yield from self._totals()
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            yield self._breach("document_unreadable", f"holds what can't be read: {error!r}.")

    def _breach(self, code: str, what: str) -> Breach:
        return Breach(code, f"{self.document.number or f'Document {self.document.pk}'} {what}")

    def _differs(self, code: str, name: str, stored: Any, found: Fraction) -> Iterator[Breach]:
        if Fraction(stored) != found:
            yield self._breach(
                code, f"states {name} {shown(stored, self.currency)}; it is {shown(found, self.currency)}."
            )

    # -- lines: their taxes, and that amounts are payable --------------------------------------------------

    def _lines(self) -> Iterator[Breach]:
        unit = 10 ** scale_of(self.currency)
        for line in self.lines:
            place = f"line {line.position} ({line.name})"
            for name in ("amount", "discount_amount", "tax_amount"):
                if (Fraction(getattr(line, name)) * unit).denominator != 1:
                    yield self._breach("amount_too_fine", f"{place} has a {name} that nobody can pay.")
            net = Fraction(line.amount) + Fraction(line.discount_amount)
            taken = Fraction(0)
            for tax in line.taxes:
                amount = Fraction(tax["amount"])
                taken += amount
                owed = to_scale(net * Fraction(tax["percent"]) / 100, self.currency)
                if line.reverses_id is None and amount != owed:
                    yield self._breach(
                        "tax_differs",
                        f"{place} bears {shown(amount, self.currency)} of {tax['name']} {tax['percent']} %;"
                        f" {shown(owed, self.currency)} are due.",
                    )
            yield from self._differs("line_tax_differs", f"as tax of {place}", line.tax_amount, taken)

    # -- discounts, one after the other, each split over the lines -----------------------------------------

    def _discounts(self) -> Iterator[Breach]:
        lines = [line for line in self.lines if not line.is_adjustment]
        left = [Fraction(line.amount) for line in lines]
        for discount in self.discounts:
            whole = sum(left, Fraction(0))
            if discount.percent is not None:
                worth = to_scale(whole * Fraction(discount.percent) / 100, self.currency)
            else:
                worth = min(to_scale(Fraction(discount.fixed_amount or 0), self.currency), whole)
            worth = max(worth, Fraction(0)) if whole > 0 else Fraction(0)
            yield from self._differs(
                "discount_differs", f"for the discount '{discount.name}'", discount.amount, -worth
            )
            parts = _parted(worth, left, self.currency)
            left = [rest - part for rest, part in zip(left, parts, strict=True)]
        for line, rest in zip(lines, left, strict=True):
            yield from self._differs(
                "line_discount_differs",
                f"as discount of line {line.position} ({line.name})",
                line.discount_amount,
                rest - Fraction(line.amount),
            )

    # -- the sums ------------------------------------------------------------------------------------------

    def _totals(self) -> Iterator[Breach]:
        document = self.document
        subtotal = _sum(line.amount for line in self.lines)
        discounts = _sum(line.discount_amount for line in self.lines)
        tax = _sum(line.tax_amount for line in self.lines)
        yield from self._differs("subtotal_differs", "a subtotal of", document.subtotal, subtotal)
        yield from self._differs("discounts_differ", "discounts of", document.discount_total, discounts)
        yield from self._differs("tax_total_differs", "tax of", document.tax_total, tax)
        yield from self._differs("total_differs", "a total of", document.total, subtotal + discounts + tax)
        due = subtotal + discounts + tax - Fraction(document.credit_drawn)
        yield from self._differs("amount_due_differs", "as due", document.amount_due, due)
        if document.credit_drawn and not 0 <= document.credit_drawn <= document.total:
            yield self._breach(
                "credit_beyond_total", f"is paid by {shown(document.credit_drawn, self.currency)} of credit."
            )
        if document.kind == Invoice.Kind.CREDIT_NOTE and document.total > 0 and not document.credits_id:
            yield self._breach("credit_note_that_charges", "is a credit note above zero.")
        if document.kind == Invoice.Kind.INVOICE and document.total < 0:
            yield self._breach("invoice_below_zero", "is an invoice below zero.")
        if self._summary() != self._stated():
            yield self._breach("tax_summary_differs", "sums its taxes up otherwise than its lines do.")

    def _summary(self) -> dict[Rate, tuple[Fraction, Fraction]]:
        found: dict[Rate, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
        for line in self.lines:
            for tax in line.taxes:
                of_rate = found[(tax["name"], Fraction(tax["percent"]))]
                of_rate[0] += Fraction(line.amount) + Fraction(line.discount_amount)
                of_rate[1] += Fraction(tax["amount"])
        return {rate: (base, amount) for rate, (base, amount) in found.items()}

    def _stated(self) -> dict[Rate, tuple[Fraction, Fraction]]:
        return {
            (tax["name"], Fraction(tax["percent"])): (Fraction(tax["base"]), Fraction(tax["amount"]))
            for tax in self.document.taxes
        }


def _sum(amounts: Iterator[Decimal]) -> Fraction:
    return sum(map(Fraction, amounts), Fraction(0))


def _parted(amount: Fraction, weights: Sequence[Fraction], currency: str) -> list[Fraction]:
    """Whole units by proportion, cut down; those left over to the largest remainders, ties to the first."""
    whole = sum(weights, Fraction(0))
    if not amount or not whole:
        return [Fraction(0)] * len(weights)
    unit = 10 ** scale_of(currency)
    exact = [amount * unit * weight / whole for weight in weights]
    units = [value.__floor__() for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: (units[place] - exact[place], place))
    for place in by_remainder[: int(amount * unit) - sum(units)]:
        units[place] += 1
    return [Fraction(count, unit) for count in units]
