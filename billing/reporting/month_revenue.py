"""What was invoiced in the running month beside last month: by currency, by customer and by metric.

Net of discounts, before tax, by the day of issue; credit notes count with their sign. Last month is told
twice: whole, and over as many of its days as this month has had. Drafts stand apart: they may still change.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from metering.texts.numbers import EXACT

from .revenue import month_after

ZERO = Decimal(0)

_SPANS = """
           COALESCE(sum({amount}) FILTER (WHERE i.issued_on >= %(first)s), 0) AS now,
           COALESCE(sum({amount}) FILTER (WHERE i.number IS NULL), 0) AS drafted,
           COALESCE(sum({amount}) FILTER (WHERE i.issued_on < %(same_end)s), 0) AS same,
           COALESCE(sum({amount}) FILTER (WHERE i.issued_on < %(first)s), 0) AS before
"""
_IN_MONTHS = "(i.number IS NULL OR (i.issued_on >= %(before)s AND i.issued_on < %(end)s))"
# Amounts by currency, and by the accounts that brought in most; how many accounts there are.
# Reads: documents of both months by invoice_by_day, drafts by the unique index of numbers. Locks nothing.
_BY_ACCOUNT = f"""
    SELECT found.currency, found.account_id, a.legal_name, found.now, found.drafted, found.same, found.before,
           found.parts
      FROM (
            SELECT grouped.*,
                   count(grouped.account_id) OVER (PARTITION BY grouped.currency) AS parts,
                   row_number() OVER (PARTITION BY grouped.currency, grouped.is_whole
                                      ORDER BY grouped.now DESC, grouped.before DESC, grouped.drafted DESC,
                                               grouped.account_id) AS rank
              FROM (
                    SELECT i.currency,
                           i.account_id,
                           GROUPING(i.account_id) AS is_whole,
                           {_SPANS.format(amount="i.subtotal + i.discount_total")}
                      FROM billing_invoice i
                     WHERE {_IN_MONTHS}
                     GROUP BY GROUPING SETS ((i.currency), (i.currency, i.account_id))
                   ) grouped
           ) found
      LEFT JOIN billing_billingaccount a ON a.id = found.account_id
     WHERE found.rank <= %(count)s
     ORDER BY found.currency, found.is_whole DESC, found.rank
"""  # noqa: S608 (our own words)
# The same by the metrics that brought in most; lines without a metric, which are fees and what was added by
# hand, together as NULL.
_BY_METRIC = f"""
    SELECT found.currency, found.metric_id, m.display_name, found.now, found.drafted, found.same,
           found.before, found.parts
      FROM (
            SELECT grouped.*,
                   count(*) OVER (PARTITION BY grouped.currency) AS parts,
                   row_number() OVER (PARTITION BY grouped.currency
                                      ORDER BY grouped.now DESC, grouped.before DESC, grouped.drafted DESC,
                                               grouped.metric_id NULLS FIRST) AS rank
              FROM (
                    SELECT i.currency,
                           l.metric_id,
                           {_SPANS.format(amount="l.amount + l.discount_amount")}
                      FROM billing_invoice i
                      JOIN billing_invoiceline l ON l.invoice_id = i.id
                     WHERE {_IN_MONTHS}
                     GROUP BY 1, 2
                   ) grouped
           ) found
      LEFT JOIN metering_metricdefinition m ON m.id = found.metric_id
     WHERE found.rank <= %(count)s
     ORDER BY found.currency, found.rank
"""  # noqa: S608 (our own words)


@dataclass(frozen=True, slots=True)
class Days:
    """[first, end) is the month that runs, [before, first) the last one, [before, same_end) as many of its
    days as this one has had, today included, and no more than it had."""

    first: dt.date
    end: dt.date
    before: dt.date
    same_end: dt.date


@dataclass(frozen=True, slots=True)
class Revenue:
    """Issued this month, waiting in drafts, issued in the same days of last month, and in all of that."""

    now: Decimal = ZERO
    drafted: Decimal = ZERO
    same: Decimal = ZERO
    before: Decimal = ZERO

    def less(self, parts: Sequence["Part"]) -> "Revenue":
        """What is left beside some parts of it."""
        left = {name: getattr(self, name) for name in ("now", "drafted", "same", "before")}
        for part in parts:
            left = {name: EXACT.subtract(left[name], getattr(part.revenue, name)) for name in left}
        return Revenue(**left)


@dataclass(frozen=True, slots=True)
class Part:
    """Of one account or metric. Without `row_id`: of lines that have no metric."""

    row_id: int | None
    name: str
    revenue: Revenue


@dataclass(frozen=True, slots=True)
class MonthRevenue:
    """In one currency. `accounts` and `metrics` are those that brought in most; the counts are of all."""

    currency: str
    whole: Revenue
    accounts: Sequence[Part]
    account_count: int
    metrics: Sequence[Part]
    metric_count: int


def days_so_far(today: dt.date) -> Days:
    first = today.replace(day=1)
    before = (first - dt.timedelta(days=1)).replace(day=1)
    return Days(first, month_after(first), before, min(before + dt.timedelta(days=today.day), first))


def month_revenue(days: Days, *, count: int) -> list[MonthRevenue]:
    """By currency; empty without a draft and without a document in both months. Two statements."""
    wholes: dict[str, tuple[Revenue, int]] = {}
    accounts: dict[str, list[Part]] = {}
    for currency, account_id, name, amounts, parts in _rows(_BY_ACCOUNT, days, count):
        if account_id is None:
            wholes[currency] = amounts, parts
        else:
            accounts.setdefault(currency, []).append(Part(account_id, name or "", amounts))
    metrics: dict[str, list[Part]] = {}
    metric_counts: dict[str, int] = {}
    for currency, metric_id, name, amounts, parts in _rows(_BY_METRIC, days, count):
        metrics.setdefault(currency, []).append(Part(metric_id, name or "", amounts))
        metric_counts[currency] = parts
    return [
        MonthRevenue(
            currency,
            whole,
            accounts.get(currency, []),
            account_count,
            metrics.get(currency, []),
            metric_counts.get(currency, 0),
        )
        for currency, (whole, account_count) in sorted(wholes.items())
    ]


def _rows(sql: str, days: Days, count: int) -> list[tuple[str, int | None, str | None, Revenue, int]]:
    """(currency, id, name, amounts, how many there are)."""
    parameters: dict[str, dt.date | int] = {
        "first": days.first,
        "end": days.end,
        "before": days.before,
        "same_end": days.same_end,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [(*row[:3], Revenue(*row[3:7]), row[7]) for row in cursor.fetchall()]
