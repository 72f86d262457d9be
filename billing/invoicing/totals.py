"""From lines to the total of a document: discounts in their order, then tax. Pure.

    net of a line = amount + its part of each discount
    tax = for each line and rate: rounded(net x percent / 100)
    total = sum of amounts + sum of discounts + sum of taxes

Two discounts of 10 % chain to 19 %. A discount is rounded once, of what is left, and split over the lines
that take it by their amounts. Corrections take no discount of the document that they stand on: they keep the
one that their period was billed with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing.money import rounded, scale_of
from metering.texts.numbers import EXACT

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rate:
    """A tax: each of them on the same net amount, never on one another."""

    name: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class NetLine:
    """What a line comes to before the document's discounts.

    `own_discount` is that of a correction, which takes no other; `own_taxes` those of a reversal.
    """

    amount: Decimal
    rates: Sequence[Rate] = ()
    own_discount: Decimal | None = None
    own_taxes: Mapping[Rate, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class Discount:
    """A percentage of what is left, or a fixed amount that is never more than that."""

    percent: Decimal | None = None
    fixed_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LineTotal:
    discount: Decimal  # zero or negative; of corrections either
    taxes: Mapping[Rate, Decimal] = field(default_factory=dict)

    @property
    def tax(self) -> Decimal:
        return total(self.taxes.values())


@dataclass(frozen=True, slots=True)
class TaxTotal:
    """One rate over the document: the net amounts it was taken of, and what it came to."""

    rate: Rate
    base: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    subtotal: Decimal
    discounts: Sequence[Decimal]  # what each came to: zero or negative
    lines: Sequence[LineTotal]
    taxes: Sequence[TaxTotal]

    @property
    def discount_total(self) -> Decimal:
        return total(line.discount for line in self.lines)

    @property
    def tax_total(self) -> Decimal:
        return total(line.tax for line in self.lines)

    @property
    def total(self) -> Decimal:
        return total((self.subtotal, self.discount_total, self.tax_total))


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    found = ZERO
    for amount in amounts:
        found = EXACT.add(found, amount)
    return found


def totals_of(lines: Sequence[NetLine], discounts: Sequence[Discount], *, currency: str) -> Totals:
    """What the lines of a document come to. A discount of what is no charge is 0."""
    left = [line.amount if line.own_discount is None else ZERO for line in lines]
    amounts: list[Decimal] = []
    for discount in discounts:
        whole = total(left)
        amount = _discount_of(whole, discount, currency)
        amounts.append(EXACT.minus(amount))
        for index, part in enumerate(_parts(amount, left, currency)):
            left[index] = EXACT.subtract(left[index], part)
    found = []
    for line, rest in zip(lines, left, strict=True):
        taken = EXACT.subtract(rest, line.amount) if line.own_discount is None else line.own_discount
        net = EXACT.add(line.amount, taken)
        taxes = line.own_taxes
        if taxes is None:
            taxes = {
                rate: rounded(Fraction(net) * Fraction(rate.percent) / 100, currency) for rate in line.rates
            }
        found.append(LineTotal(taken, taxes))
    return Totals(
        subtotal=total([line.amount for line in lines]),
        discounts=tuple(amounts),
        lines=tuple(found),
        taxes=tuple(_taxes(lines, found)),
    )


def _discount_of(whole: Decimal, discount: Discount, currency: str) -> Decimal:
    if whole <= 0:
        return ZERO
    if discount.percent is not None:
        return rounded(Fraction(whole) * Fraction(discount.percent) / 100, currency)
    return min(rounded(discount.fixed_amount or ZERO, currency), whole)


def _parts(amount: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """`amount` over the lines in proportion to what is left of them, of either sign; the parts add up to it.

    Each is cut down to the currency's scale, then the units left over go to the largest remainders, ties to
    the earlier line.
    """
    whole = sum(map(Fraction, weights), Fraction(0))
    if not amount or not whole:
        return [ZERO] * len(weights)
    unit = 10 ** scale_of(currency)
    shares = [Fraction(amount) * unit * Fraction(weight) / whole for weight in weights]
    units = [share.numerator // share.denominator for share in shares]
    left_over = int(Fraction(amount) * unit) - sum(units)
    for index in sorted(range(len(shares)), key=lambda n: (units[n] - shares[n], n))[:left_over]:
        units[index] += 1
    return [Decimal(count).scaleb(-scale_of(currency), context=EXACT) for count in units]


def _taxes(lines: Sequence[NetLine], found: Sequence[LineTotal]) -> list[TaxTotal]:
    bases: dict[Rate, Decimal] = {}
    amounts: dict[Rate, Decimal] = {}
    for line, of_line in zip(lines, found, strict=True):
        net = EXACT.add(line.amount, of_line.discount)
        for rate, amount in of_line.taxes.items():
            bases[rate] = EXACT.add(bases.get(rate, ZERO), net)
            amounts[rate] = EXACT.add(amounts.get(rate, ZERO), amount)
    return [TaxTotal(rate, bases[rate], amounts[rate]) for rate in bases]
