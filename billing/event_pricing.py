"""The fold of prices per event, in the database: one pass over the period's events, exact in `numeric`.

The pure face of the same is `rating/percentage.py`; tests hold the two against each other on random events.
PostgreSQL's division of numerics rounds, so there is none here: amounts are scaled to whole numbers by a
common denominator before they go in, and divided by it, as exact rationals, when they come out.

Reads the rows it is given and sorts them by (occurred_at, id); writes and locks nothing.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import connection

from .rating import Price, Rating, WrongUsage, rated_charges
from .rating.percentage import Charged, Percentage

# {events} is a SELECT of ours, never a text from outside.
_FOLD = """
WITH events AS (
    SELECT occurred_at, id, amount * %(fold_amount_scale)s::numeric AS amount
    FROM ({events}) AS e
    WHERE amount >= 0
),
running AS (
    SELECT occurred_at, id, amount, sum(amount) OVER in_order - amount AS before
    FROM events
    WINDOW in_order AS (ORDER BY occurred_at, id ROWS UNBOUNDED PRECEDING)
),
priced AS (
    SELECT occurred_at, id, amount - LEAST(amount, GREATEST(%(fold_discount)s::numeric - before, 0)) AS amount
    FROM running
    WHERE before >= %(fold_discount)s::numeric OR before + amount > %(fold_discount)s::numeric
),
numbered AS (
    SELECT
        amount,
        row_number() OVER in_order AS number,
        sum(amount) OVER in_order - amount AS before
    FROM priced
    WINDOW in_order AS (ORDER BY occurred_at, id ROWS UNBOUNDED PRECEDING)
),
allowed AS (
    SELECT
        amount,
        CASE
            WHEN number > %(fold_free_events)s::numeric THEN 0
            WHEN %(fold_free_amount)s::numeric IS NOT NULL
            THEN LEAST(amount, GREATEST(%(fold_free_amount)s::numeric - before, 0))
            WHEN %(fold_free_events)s::numeric IS NOT NULL THEN amount
            ELSE 0
        END AS free,
        COALESCE(number <= %(fold_free_events)s::numeric, TRUE)
        AND COALESCE(before < %(fold_free_amount)s::numeric, TRUE)
        AND COALESCE(%(fold_free_events)s::numeric, %(fold_free_amount)s::numeric) IS NOT NULL AS is_open
    FROM numbered
),
charged AS (
    SELECT
        amount - free AS amount,
        (amount - free) * %(fold_rate)s::numeric + %(fold_fixed)s::numeric AS charge
    FROM allowed
    WHERE NOT (is_open AND free = amount)
)
SELECT
    COALESCE(sum(amount), 0),
    count(*),
    COALESCE(sum(GREATEST(%(fold_min)s::numeric - charge, 0)), 0),
    COALESCE(sum(GREATEST(charge - %(fold_max)s::numeric, 0)), 0)
FROM charged
"""


def rating_of_events(price: Price, events: str, params: Mapping[str, Any] | None = None) -> Rating:
    """The rating of all events that the SELECT `events` gives.

    Its columns are `occurred_at`, `id` and `amount` (numeric), `params` its named parameters, none beginning
    with `fold_`. An amount that is null is no amount; without rows the rating is nothing. Raises `WrongUsage`
    where the model prices a quantity.
    """
    if not isinstance(price.model, Percentage):
        raise WrongUsage("This model prices the quantity of the period.")
    scales = _Scales(price, price.model)
    with connection.cursor() as cursor:
        cursor.execute(_FOLD.format(events=events), {**(params or {}), **scales.params})
        amount, count, raised, cut = cursor.fetchone()
    return rated_charges(price, scales.charged(amount, count, raised, cut))


class _Scales:
    """One factor for amounts of events and one for money that make every constant of the fold a whole number.

    Conversion divides each amount, so the thresholds are multiplied and the rate is divided instead.
    """

    def __init__(self, price: Price, model: Percentage) -> None:
        divide_by = price.unit_conversion.divide_by if price.unit_conversion else Fraction(1)
        self._divide_by = divide_by
        discount = price.usage_discount * divide_by
        free_amount = None if model.free_amount is None else model.free_amount * divide_by
        self._amount_scale = _common_denominator(discount, free_amount)
        rate = model.rate_percent / 100 / divide_by / self._amount_scale
        fixed, low, high = model.fixed_amount_per_event, model.per_event_min, model.per_event_max
        self._money_scale = _common_denominator(rate, fixed, low, high)
        free_events = None if model.free_events is None else Decimal(math.floor(model.free_events))
        self.params = {
            "fold_amount_scale": Decimal(self._amount_scale),
            "fold_discount": _scaled(discount, self._amount_scale),
            "fold_free_events": free_events,
            "fold_free_amount": _scaled(free_amount, self._amount_scale),
            "fold_rate": _scaled(rate, self._money_scale),
            "fold_fixed": _scaled(fixed, self._money_scale),
            "fold_min": _scaled(low, self._money_scale),
            "fold_max": _scaled(high, self._money_scale),
        }

    def charged(self, amount: Decimal, count: int, raised: Decimal, cut: Decimal) -> Charged:
        return Charged(
            Fraction(amount) / self._amount_scale / self._divide_by,
            count,
            Fraction(raised) / self._money_scale,
            Fraction(cut) / self._money_scale,
        )


def _common_denominator(*values: Fraction | None) -> int:
    return math.lcm(*(value.denominator for value in values if value is not None))


def _scaled(value: Fraction | None, scale: int) -> Decimal | None:
    return None if value is None else Decimal((value * scale).numerator)
