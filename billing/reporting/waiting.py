"""What waits for finance staff: how many of each, what they come to by currency, and since when."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import connection

from .receivables import Amount

# Reads: drafts by the unique index of numbers, which drafts lack; open invoices with their payments; the few
# rows of corrections, parked accounts and dispatches. Writes and locks nothing.
_WAITING = """
    SELECT 'drafts', d.currency, count(*), sum(d.total), min(d.created_at)
      FROM billing_invoice d
     WHERE d.number IS NULL
     GROUP BY d.currency
    UNION ALL
    SELECT 'overdue', i.currency, count(*), sum(i.amount_due - COALESCE(settled.amount, 0)),
           min(i.due_on + 1)::timestamp AT TIME ZONE 'UTC'
      FROM billing_invoice i
      LEFT JOIN (
            SELECT p.invoice_id, sum(p.amount) AS amount
              FROM billing_payment p
             GROUP BY p.invoice_id
           ) settled ON settled.invoice_id = i.id
     WHERE i.kind = 'invoice'
       AND i.issued_at IS NOT NULL
       AND i.due_on < %(on)s
       AND i.amount_due > COALESCE(settled.amount, 0)
       AND NOT EXISTS (
               SELECT FROM billing_invoice v
                WHERE v.credits_id = i.id AND v.origin = 'void' AND v.issued_at IS NOT NULL
           )
     GROUP BY i.currency
    UNION ALL
    SELECT 'corrections', a.currency, count(*), sum(c.difference), min(c.found_at)
      FROM billing_periodcorrection c
      JOIN billing_billingaccount a ON a.id = c.account_id
     WHERE c.state = 'waiting'
     GROUP BY a.currency
    UNION ALL
    SELECT 'parked', '', count(*), 0, min(k.since)
      FROM billing_parkedaccount k
    UNION ALL
    SELECT 'unsent', '', count(*), 0, min(i.issued_at)
      FROM billing_invoicedispatch s
      JOIN billing_invoice i ON i.id = s.invoice_id
     WHERE s.state = 'failed'
     ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Heap:
    """Things that wait for the same: by currency where they are amounts, under "" where they are none."""

    by_currency: Mapping[str, Amount] = field(default_factory=dict)
    since: dt.datetime | None = None

    @property
    def count(self) -> int:
        return sum(each.count for each in self.by_currency.values())


@dataclass(frozen=True, slots=True)
class Waiting:
    """`overdue` is what the list of documents tells by UTC days; it waits since the day after the due day."""

    drafts: Heap
    overdue: Heap
    corrections: Heap
    parked: Heap
    unsent: Heap  # issued documents that couldn't be made into mails


def what_waits(*, on: dt.date) -> Waiting:
    """One statement, whatever the number of documents."""
    amounts: dict[str, dict[str, Amount]] = {}
    since: dict[str, dt.datetime] = {}
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"on": on})
        for name, currency, count, amount, oldest in cursor.fetchall():
            if count:
                amounts.setdefault(name, {})[currency] = Amount(count, amount)
                since[name] = min(oldest, since.get(name, oldest))
    return Waiting(
        **{
            name: Heap(amounts.get(name, {}), since.get(name))
            for name in ("drafts", "overdue", "corrections", "parked", "unsent")
        }
    )
