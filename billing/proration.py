"""Fixed fees of partial periods: by local calendar days over the actual days of the full period. Pure.

    share = days of service / days of the full billing period that holds them, 1 at most

Days are dates on the clocks of the account's zone; intervals are half-open, so the day of a change belongs
to the new plan and is credited by the old one. An hour that the clocks skip or repeat changes nothing. Fees
and credits are rounded once each, at the currency's scale.
"""

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from metering.texts.numbers import EXACT

from .money import rounded
from .rating import Price
from .rating.package import Package
from .rating.percentage import Percentage


@dataclass(frozen=True, slots=True)
class Days:
    """The local days from `start` up to, not including, `end`."""

    start: dt.date
    end: dt.date

    @property
    def count(self) -> int:
        """How many; none where the end isn't after the start."""
        return max((self.end - self.start).days, 0)

    def since(self, day: dt.date) -> "Days":
        """Those from `day` on."""
        return Days(max(self.start, day), self.end)


@dataclass(frozen=True, slots=True)
class Fee:
    """What a full period costs, in major units, and the discount in percent that was granted on it."""

    amount: Decimal
    discount_percent: Decimal = Decimal(0)

    @property
    def net(self) -> Fraction:
        return Fraction(self.amount) * (100 - Fraction(self.discount_percent)) / 100


@dataclass(frozen=True, slots=True)
class Change:
    """The two lines of a change of plan: `credit` is negative or zero, `charge` positive or zero."""

    credit: Decimal
    charge: Decimal

    @property
    def net(self) -> Decimal:
        return EXACT.add(self.credit, self.charge)


def share_of(service: Days, period: Days) -> Fraction:
    """The fraction of a full period's fee that `service` costs; all of it where the service is longer.

    Raises `ValueError` for a period without days.
    """
    if not period.count:
        raise ValueError("A billing period has at least one day.")
    return min(Fraction(service.count, period.count), Fraction(1))


def fee_for(service: Days, *, fee: Fee, period: Days, currency: str) -> Decimal:
    """What is charged for the days of service within their full `period`."""
    return rounded(fee.net * share_of(service, period), currency)


def credit_for(
    unused: Days, *, fee: Fee, period: Days, currency: str, paid: Decimal, credited: Decimal = Decimal(0)
) -> Decimal:
    """The credit for days that were billed and won't be used, as a negative amount or zero.

    At the price and discount they were billed at, and never more than was `paid` for the period less what was
    `credited` on it before.
    """
    left = max(EXACT.subtract(paid, credited), Decimal(0))
    owed = min(fee_for(unused, fee=fee, period=period, currency=currency), left)
    return rounded(-owed, currency)


def change_of_fee(
    on: dt.date,
    *,
    period: Days,
    old: Fee,
    new: Fee,
    currency: str,
    paid: Decimal,
    credited: Decimal = Decimal(0),
    restarts_cycle: bool = False,
) -> Change:
    """What changing the fee on the local day `on` credits and charges for the rest of the period.

    With `restarts_cycle`, as when the interval changes, a new period begins that day and its fee is charged
    in full. A day outside the period is cut to it: nothing is left to credit from the period's end on.
    """
    rest = period.since(on)
    credit = credit_for(rest, fee=old, period=period, currency=currency, paid=paid, credited=credited)
    if restarts_cycle:
        return Change(credit, rounded(new.net, currency))
    return Change(credit, fee_for(rest, fee=new, period=period, currency=currency))


def prorated_price(price: Price, share: Fraction) -> Price:
    """The price of a partial period: minimum, maximum and whatever is included free, cut to `share`.

    Rates and the bounds of tiers stay; tiers start anew in each part. Of free events only whole ones count. A
    fixed fee is prorated by `fee_for`, not here.
    """
    model = price.model
    if isinstance(model, Package):
        model = replace(model, free_units=model.free_units * share)
    elif isinstance(model, Percentage):
        model = replace(
            model,
            free_events=_part(model.free_events, share),
            free_amount=_part(model.free_amount, share),
        )
    return replace(
        price,
        model=model,
        min_amount=_part(price.min_amount, share),
        max_amount=_part(price.max_amount, share),
        usage_discount=price.usage_discount * share,
    )


def _part(amount: Fraction | None, share: Fraction) -> Fraction | None:
    return None if amount is None else amount * share
