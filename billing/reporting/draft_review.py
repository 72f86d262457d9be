"""The review queue: every draft beside what the customer was billed last, and what about it needs eyes.

Questions only. A draft is compared with the account's latest issued invoice over the same kind of period: as
long as its own, give or take a quarter. Amounts compared are net of discounts, before tax.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import connection

from billing.invoicing.approvals import approval_of
from billing.models import Invoice
from metering.texts.numbers import EXACT

UNUSUAL_FRACTION = Decimal("0.5")
LOOKED_BACK = 24  # issued invoices of an account that are looked through for one over the same kind of period
SHOWN_DIFFERENCES = 5

# All drafts with their flags, those that need eyes first; one page of them.
# Reads: drafts by the unique index of numbers, which drafts lack; of each, its lines by
# line_position_within_invoice and the account's last documents by invoice_by_account. Locks nothing.
_QUEUE = """
    SELECT flagged.id,
           flagged.previous_id,
           flagged.net,
           flagged.previous_net,
           flagged.is_unusual,
           flagged.is_outdated,
           flagged.exceeds_limit,
           flagged.grace_until,
           count(*) OVER ()
      FROM (
            SELECT d.id,
                   d.subtotal + d.discount_total AS net,
                   previous.id AS previous_id,
                   previous.net AS previous_net,
                   COALESCE(abs(d.subtotal + d.discount_total - previous.net)
                            > %(unusual)s * abs(previous.net), false) AS is_unusual,
                   d.origin = 'run' AND d.account_revision <> a.revision AS is_outdated,
                   COALESCE(a.approval_above < CASE WHEN d.kind = 'credit_note' THEN abs(d.total)
                                                    ELSE lines.by_hand + discounts.amount
                                               END, false) AS exceeds_limit,
                   lines.usage_end + make_interval(days => a.issue_grace_days) AS grace_until
              FROM billing_invoice d
              JOIN billing_billingaccount a ON a.id = d.account_id
             CROSS JOIN LATERAL (
                   SELECT max(l.period_end)
                            FILTER (WHERE l.kind = 'usage' AND NOT l.is_adjustment) AS usage_end,
                          COALESCE(sum(abs(l.amount)) FILTER (WHERE l.kind = 'manual'), 0) AS by_hand
                     FROM billing_invoiceline l
                    WHERE l.invoice_id = d.id
                   ) lines
             CROSS JOIN LATERAL (
                   SELECT COALESCE(sum(abs(c.amount)), 0) AS amount
                     FROM billing_invoicediscount c
                    WHERE c.invoice_id = d.id
                   ) discounts
              LEFT JOIN LATERAL (
                   SELECT issued.id, issued.net
                     FROM (
                           SELECT i.id, i.kind, i.origin, i.issued_on, i.subtotal + i.discount_total AS net,
                                  i.period_end - i.period_start AS length
                             FROM billing_invoice i
                            WHERE i.account_id = d.account_id
                              AND i.issued_on IS NOT NULL
                            ORDER BY i.issued_on DESC, i.id DESC
                            LIMIT %(looked_back)s
                          ) issued
                    WHERE issued.kind = 'invoice'
                      AND issued.origin = 'run'
                      AND d.origin = 'run'
                      AND issued.length BETWEEN 0.75 * (d.period_end - d.period_start)
                                            AND 1.25 * (d.period_end - d.period_start)
                      AND NOT EXISTS (SELECT FROM billing_invoice v
                                       WHERE v.credits_id = issued.id AND v.origin = 'void'
                                         AND v.issued_at IS NOT NULL)
                    ORDER BY issued.issued_on DESC, issued.id DESC
                    LIMIT 1
                   ) previous ON true
             WHERE d.number IS NULL
           ) flagged
     ORDER BY flagged.is_unusual::int + flagged.is_outdated::int + flagged.exceeds_limit::int DESC,
              COALESCE(flagged.grace_until, '-infinity') > %(now)s,
              abs(flagged.net - flagged.previous_net) / NULLIF(abs(flagged.previous_net), 0) DESC NULLS LAST,
              flagged.id
     LIMIT %(size)s OFFSET %(offset)s
"""
# What changed between the drafts of a page and the invoices that they are compared with, by name of line.
# Reads: lines by line_position_within_invoice. Locks nothing.
_DIFFERENCES = """
    SELECT compared.draft_id,
           l.name,
           COALESCE(m.display_name, ''),
           max(l.unit),
           sum(l.amount + l.discount_amount) FILTER (WHERE l.invoice_id = compared.draft_id),
           sum(l.amount + l.discount_amount) FILTER (WHERE l.invoice_id = compared.previous_id),
           sum(l.quantity) FILTER (WHERE l.invoice_id = compared.draft_id),
           sum(l.quantity) FILTER (WHERE l.invoice_id = compared.previous_id)
      FROM unnest(%(drafts)s::bigint[], %(previous)s::bigint[]) AS compared (draft_id, previous_id)
      JOIN billing_invoiceline l ON l.invoice_id IN (compared.draft_id, compared.previous_id)
      LEFT JOIN metering_metricdefinition m ON m.id = l.metric_id
     GROUP BY 1, 2, m.id, m.display_name
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One name of a line, on the draft and on the invoice before; None where it isn't on that document."""

    name: str
    amount: Decimal | None
    previous_amount: Decimal | None

    @property
    def change(self) -> Decimal:
        return EXACT.subtract(self.amount or Decimal(0), self.previous_amount or Decimal(0))


@dataclass(frozen=True, slots=True)
class QuantityChange:
    """How much of a metric is billed, and how much was before."""

    metric_name: str
    unit: str
    quantity: Decimal
    previous_quantity: Decimal

    @property
    def change(self) -> Decimal:
        return EXACT.subtract(self.quantity, self.previous_quantity)


@dataclass(frozen=True, slots=True)
class Review:
    """A draft with its account, beside the invoice before. Without one there is nothing to compare with."""

    draft: Invoice
    previous: Invoice | None
    net: Decimal
    previous_net: Decimal | None
    is_unusual: bool
    is_outdated: bool
    needs_approval: bool
    is_approved: bool
    grace_until: dt.datetime | None  # in the future
    differences: Sequence[Difference] = field(default_factory=list)
    quantity_changes: Sequence[QuantityChange] = field(default_factory=list)
    new_count: int = 0
    missing_count: int = 0

    @property
    def change(self) -> Decimal | None:
        return None if self.previous_net is None else EXACT.subtract(self.net, self.previous_net)

    @property
    def change_fraction(self) -> Decimal | None:
        """Of the invoice before; None without one, and where that came to nothing."""
        if self.change is None or not self.previous_net:
            return None
        return self.change / abs(self.previous_net)


@dataclass(frozen=True, slots=True)
class Queue:
    """One page of the review queue, and how many drafts there are in all."""

    reviews: Sequence[Review]
    count: int


def review_queue(*, now: dt.datetime, size: int, offset: int = 0) -> Queue:
    """Drafts, those with most to look at first: by the number of flags, then those that may be issued, then
    the largest change. Four statements, however many drafts there are, and some more for each draft on
    the page that somebody has approved."""
    parameters: dict[str, dt.datetime | Decimal | int] = {
        "now": now,
        "unusual": UNUSUAL_FRACTION,
        "looked_back": LOOKED_BACK,
        "size": size,
        "offset": offset,
    }
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, parameters)
        rows = cursor.fetchall()
    ids = [row[0] for row in rows] + [row[1] for row in rows if row[1] is not None]
    documents = Invoice.objects.select_related("account__project").prefetch_related("approvals").in_bulk(ids)
    changes = _changes([(row[0], row[1]) for row in rows if row[1] is not None])
    reviews = []
    for draft_id, previous_id, net, previous_net, is_unusual, is_outdated, exceeds, grace, _count in rows:
        draft = documents[draft_id]
        lines = changes.get(draft_id, [])
        approved = exceeds and bool(draft.approvals.all()) and approval_of(draft) is not None
        reviews.append(
            Review(
                draft=draft,
                previous=documents.get(previous_id),
                net=net,
                previous_net=previous_net,
                is_unusual=is_unusual,
                is_outdated=is_outdated,
                needs_approval=exceeds and not approved,
                is_approved=approved,
                grace_until=grace if grace is not None and grace > now else None,
                differences=_largest([line.difference for line in lines]),
                quantity_changes=_quantities(lines),
                new_count=sum(line.difference.previous_amount is None for line in lines),
                missing_count=sum(line.difference.amount is None for line in lines),
            )
        )
    return Queue(reviews, rows[0][-1] if rows else 0)


@dataclass(frozen=True, slots=True)
class _Line:
    difference: Difference
    metric_name: str
    unit: str
    quantity: Decimal
    previous_quantity: Decimal


def _changes(compared: Sequence[tuple[int, int]]) -> dict[int, list[_Line]]:
    """What is on either document, by draft."""
    found: dict[int, list[_Line]] = defaultdict(list)
    if not compared:
        return found
    parameters = {"drafts": [draft for draft, _ in compared], "previous": [before for _, before in compared]}
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERENCES, parameters)
        for draft_id, name, metric_name, unit, amount, previous, quantity, before in cursor.fetchall():
            found[draft_id].append(
                _Line(
                    Difference(name, amount, previous),
                    metric_name,
                    unit,
                    quantity or Decimal(0),
                    before or Decimal(0),
                )
            )
    return found


def _largest(differences: Sequence[Difference]) -> list[Difference]:
    changed = [one for one in differences if one.change]
    return sorted(changed, key=lambda one: (-abs(one.change), one.name))[:SHOWN_DIFFERENCES]


def _quantities(lines: Sequence[_Line]) -> list[QuantityChange]:
    """By metric, the ones that changed, in the order of their names."""
    by_metric: dict[str, QuantityChange] = {}
    for line in lines:
        if line.metric_name:
            known = by_metric.get(line.metric_name)
            by_metric[line.metric_name] = QuantityChange(
                line.metric_name,
                line.unit,
                EXACT.add(line.quantity, known.quantity if known else Decimal(0)),
                EXACT.add(line.previous_quantity, known.previous_quantity if known else Decimal(0)),
            )
    return [by_metric[key] for key in sorted(by_metric) if by_metric[key].change]
