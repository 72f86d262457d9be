"""From usage to an amount, and from amounts to what a slice of a period is billed. Pure.

The order on a line: unit conversion, usage discount, price, percent discount, minimum, maximum. A rating is
exact and knows nothing of currencies; `bill` rounds, once, and then looks at what the rounded line lacks of
the minimum. As min_amount is never above max_amount, it doesn't matter that the maximum is applied before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from billing.money import rounded
from metering.texts.numbers import EXACT

from .parts import ZERO, Kind, Part, difference, total_of
from .percentage import Charged, Percentage
from .price import Price


class WrongUsage(ValueError):
    """The model prices each event and was given a quantity, or the other way round."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What the usage of a period so far costs, before its minimum: exact, with what it is made of."""

    parts: tuple[Part, ...]

    @property
    def amount(self) -> Fraction:
        return total_of(self.parts)

    def since(self, earlier: "Rating") -> tuple[Part, ...]:
        """What makes this rating differ from an earlier one of the same price and period."""
        return difference(self.parts, earlier.parts)


@dataclass(frozen=True, slots=True)
class Bill:
    """Two lines at the currency's scale: usage less what was billed before, and the minimum's true-up."""

    usage_amount: Decimal
    true_up: Decimal

    @property
    def amount(self) -> Decimal:
        return EXACT.add(self.usage_amount, self.true_up)


NOTHING_YET = Rating(())


def prices_events(price: Price) -> bool:
    """Whether the model takes the amounts of single events, not a quantity."""
    return isinstance(price.model, Percentage)


def rated(price: Price, quantity: Decimal) -> Rating:
    """The rating of all that was used in the period so far. Negative net usage bills as zero.

    Raises `WrongUsage` where the model prices each event.
    """
    if isinstance(price.model, Percentage):
        raise WrongUsage("This model prices each event.")
    units = Fraction(quantity)
    if price.unit_conversion is not None:
        units = price.unit_conversion.converted(units)
    units = max(units - price.usage_discount, ZERO)
    return _with_options(price, price.model.parts(units, flat_on_zero=price.charge_flat_on_zero))


def rated_events(price: Price, amounts: Iterable[Decimal]) -> Rating:
    """The same from the amounts of all events of the period so far, in (time, id) order.

    Negative amounts are passed over: they pay nothing, give nothing back and use up no allowance. Raises
    `WrongUsage` where the model prices a quantity.
    """
    if not isinstance(price.model, Percentage):
        raise WrongUsage("This model prices the quantity of the period.")
    return rated_charges(price, price.model.charged(_priced_amounts(price, amounts)))


def rated_charges(price: Price, charged: Charged) -> Rating:
    """The same from what a fold over the events left, such as that of the database."""
    if not isinstance(price.model, Percentage):
        raise WrongUsage("This model prices the quantity of the period.")
    return _with_options(price, price.model.parts(charged))


def bill(
    price: Price,
    rating: Rating,
    *,
    currency: str,
    billed: Decimal = Decimal(0),
    closes_period: bool = True,
) -> Bill:
    """What one slice of a period is billed: round(all so far) - billed so far, never round(the difference).

    `rating` is of everything since the period began and `billed` the usage lines of its earlier slices, so
    that all slices add up to the rounded whole; a slice may be negative. The minimum is of the whole
    period: its true-up comes with the slice that closes it. Raises `UnknownCurrency`.
    """
    whole = rounded(rating.amount, currency)
    true_up = Decimal(0)
    if closes_period and price.min_amount is not None:
        true_up = max(true_up, EXACT.subtract(rounded(price.min_amount, currency), whole))
    return Bill(usage_amount=EXACT.subtract(whole, billed), true_up=true_up)


def _priced_amounts(price: Price, amounts: Iterable[Decimal]) -> Iterator[Fraction]:
    """What of each event is priced: converted, and beyond the usage discount.

    An event that the discount takes whole isn't priced at all: no fee, no place among the free events.
    """
    left = price.usage_discount
    for sent in amounts:
        if sent < 0:
            continue
        amount = Fraction(sent)
        if price.unit_conversion is not None:
            amount = price.unit_conversion.converted(amount)
        if left:
            discounted = min(amount, left)
            left, amount = left - discounted, amount - discounted
            if not amount:
                continue
        yield amount


def _with_options(price: Price, parts: tuple[Part, ...]) -> Rating:
    """Add the percent discount and what the maximum cuts, as parts of their own."""
    total = total_of(parts)
    discount = total * price.discount_percent / 100
    if discount:
        parts = (*parts, Part(Kind.DISCOUNT, -discount))
        total -= discount
    if price.max_amount is not None and total > price.max_amount:
        parts = (*parts, Part(Kind.MAXIMUM, price.max_amount - total))
    return Rating(parts)
