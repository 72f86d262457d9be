"""What a running period comes to if usage goes on at the pace it has had so far.

    quantity at the end = quantity so far x length of the period / what of it is over

It is a straight line and knows nothing of weekends or growth. Values that don't grow by being used (highest,
latest, distinct ones) are taken as they are, and so are fees.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from billing.invoicing.charges import PricedPeriod
from billing.invoicing.measured_usage import PROJECT, Measured, UsageAsk
from billing.invoicing.totals import total
from billing.models import InvoiceLine
from billing.money import exact_text, rounded
from billing.periods import BillingPeriod
from billing.proration import prorated_price
from billing.rating import Price as RatingPrice
from billing.rating import bill, prices_events, rated
from metering.texts.numbers import EXACT

ADDING = frozenset({"SUM", "COUNT"})
PROJECTED_FROM = Fraction(1, 10)  # of a period; before, one busy hour would make a forecast
_MICROSECOND = dt.timedelta(microseconds=1)
ZERO = Decimal(0)


def elapsed_fraction(period: BillingPeriod, *, now: dt.datetime) -> Fraction:
    """How much of a period is over, from 0 to 1."""
    over, whole = now - period.start, period.end - period.start
    return min(max(Fraction(over // _MICROSECOND, whole // _MICROSECOND), Fraction(0)), Fraction(1))


def projected_amount(
    priced: PricedPeriod,
    lines: Sequence[InvoiceLine],
    ask: UsageAsk | None,
    usage: Measured | None,
    *,
    now: dt.datetime,
) -> Decimal | None:
    """What a price comes to at the end of its running period, of which `lines` are what it comes to so far.

    None in the first tenth of the period, but for fees.
    """
    so_far = total(line.amount for line in lines)
    if ask is None or usage is None:
        return so_far
    fraction = elapsed_fraction(priced.period, now=now)
    if fraction < PROJECTED_FROM:
        return None
    assert priced.price.metric is not None
    if priced.price.metric.aggregation not in ADDING:
        return so_far
    currency = priced.subscription.currency
    price = prorated_price(priced.price.parsed, priced.period.share)
    if prices_events(price):
        of_usage = total(line.amount for line in lines if line.kind == InvoiceLine.Kind.USAGE)
        return _stretched(of_usage, price, 1 / fraction, currency)
    return total(
        bill(price, rated(price, _times(quantity, 1 / fraction)), currency=currency).amount
        for quantity in _rated_alone(priced, ask, usage)
    )


def _rated_alone(priced: PricedPeriod, ask: UsageAsk, usage: Measured) -> list[Decimal]:
    """The quantities that the price applies to by itself: one, or one for each project."""
    if not priced.price.per_project:
        return [usage.quantity or ZERO]
    place = ask.group_by.index(PROJECT)
    by_project: dict[str | None, Decimal] = {}
    for group, part in usage.groups.items():
        by_project[group[place]] = EXACT.add(by_project.get(group[place], ZERO), part.quantity or ZERO)
    return list(by_project.values())


def _times(quantity: Decimal, factor: Fraction) -> Decimal:
    """At 12 decimals, as many as a quantity has."""
    return Decimal(exact_text(Fraction(quantity) * factor))


def _stretched(amount: Decimal, price: RatingPrice, factor: Fraction, currency: str) -> Decimal:
    """Events are priced one by one, and those to come aren't known: the amount goes on as it is."""
    whole = Fraction(amount) * factor
    if price.max_amount is not None:
        whole = min(whole, price.max_amount)
    return rounded(max(whole, price.min_amount or Fraction(0)), currency)
