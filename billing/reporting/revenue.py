"""What was invoiced, by month and by metric: net of discounts, before tax, by the day of issue.

Questions only. Credit notes count with their sign; what a void takes back counts as what it was billed as.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.invoicing.totals import total

USAGE, FEES, CORRECTIONS, BY_HAND = "usage", "fees", "corrections", "by_hand"

# Index: invoice_by_day, then the lines of each document by line_position_within_invoice.
_ISSUED_LINES = """
      FROM billing_invoice i
      JOIN billing_invoiceline l ON l.invoice_id = i.id
     WHERE i.issued_on >= %(start)s
       AND i.issued_on < %(end)s
"""
# Net amounts by currency, month of issue and sort of line. What takes a document back whole is of the sort of
# the lines that it reverses: such documents are few, and their lines are looked up one by one; the others are
# summed up by day first, by several workers where there are many. Writes and locks nothing.
_BY_MONTH = f"""
    SELECT part.currency,
           date_trunc('month', part.issued_on)::date,
           CASE WHEN part.kind = 'manual' THEN 'by_hand'
                WHEN part.is_adjustment THEN 'corrections'
                WHEN part.kind IN ('usage', 'true_up') THEN 'usage'
                ELSE 'fees'
            END,
           sum(part.amount)
      FROM (
            SELECT i.currency, i.issued_on, l.kind, l.is_adjustment,
                   sum(l.amount + l.discount_amount) AS amount
            {_ISSUED_LINES}
               AND i.origin <> 'void'
             GROUP BY 1, 2, 3, 4
             UNION ALL
            SELECT i.currency, i.issued_on, l.kind,
                   COALESCE((SELECT t.is_adjustment FROM billing_invoiceline t WHERE t.id = l.reverses_id),
                            l.is_adjustment),
                   l.amount + l.discount_amount
            {_ISSUED_LINES}
               AND i.origin = 'void'
           ) part
     GROUP BY 1, 2, 3
     ORDER BY 1, 2, 3
"""  # noqa: S608 (our own words)
# The metrics that brought in most, by currency, and the others together as NULL.
# Writes and locks nothing.
_BY_METRIC = f"""
    SELECT ranked.currency,
           CASE WHEN ranked.rank <= %(count)s THEN ranked.metric_id END,
           CASE WHEN ranked.rank <= %(count)s THEN m.display_name ELSE '' END,
           sum(ranked.amount),
           count(*)
      FROM (
            SELECT i.currency,
                   l.metric_id,
                   sum(l.amount + l.discount_amount) AS amount,
                   row_number() OVER (PARTITION BY i.currency
                                      ORDER BY sum(l.amount + l.discount_amount) DESC, l.metric_id) AS rank
            {_ISSUED_LINES}
               AND l.metric_id IS NOT NULL
             GROUP BY i.currency, l.metric_id
           ) ranked
      JOIN metering_metricdefinition m ON m.id = ranked.metric_id
     GROUP BY 1, 2, 3
     ORDER BY 1, min(ranked.rank)
"""  # noqa: S608 (our own words)


@dataclass(frozen=True, slots=True)
class Month:
    """What was invoiced in one month, by sort of line."""

    first_day: dt.date
    usage: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    corrections: Decimal = Decimal(0)
    by_hand: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        return total((self.usage, self.fees, self.corrections, self.by_hand))

    @property
    def end(self) -> dt.date:
        """The first day after it."""
        return month_after(self.first_day)


@dataclass(frozen=True, slots=True)
class MetricRevenue:
    """What one metric brought in; without `metric_id` the others together, `metric_count` of them."""

    metric_id: int | None
    metric_name: str
    amount: Decimal
    metric_count: int = 1


def months_until(day: dt.date, *, count: int) -> list[dt.date]:
    """The first days of `count` months, the last one with `day` in it."""
    last = day.year * 12 + day.month - 1
    return [dt.date(month // 12, month % 12 + 1, 1) for month in range(last - count + 1, last + 1)]


def month_after(first_day: dt.date) -> dt.date:
    return (first_day + dt.timedelta(days=31)).replace(day=1)


def revenue_by_month(months: list[dt.date]) -> dict[str, list[Month]]:
    """Each of the months, which follow one another, by currency; empty without any document."""
    found: dict[str, dict[dt.date, dict[str, Decimal]]] = {}
    for currency, month, sort, amount in _rows(_BY_MONTH, months[0], month_after(months[-1])):
        found.setdefault(currency, {}).setdefault(month, {})[sort] = amount
    return {
        currency: [Month(month, **by_month.get(month, {})) for month in months]
        for currency, by_month in found.items()
    }


def revenue_by_metric(start: dt.date, end: dt.date, *, count: int) -> dict[str, list[MetricRevenue]]:
    """The metrics that brought in most from `start` until before `end`, by currency, the others as one."""
    found: dict[str, list[MetricRevenue]] = {}
    for currency, metric_id, name, amount, metrics in _rows(_BY_METRIC, start, end, count=count):
        found.setdefault(currency, []).append(MetricRevenue(metric_id, name, amount, metrics))
    return found


def _rows(sql: str, start: dt.date, end: dt.date, **parameters: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"start": start, "end": end, **parameters})
        return list(cursor.fetchall())
