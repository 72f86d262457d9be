"""Drafts that need the agreement of a second person and don't have it yet."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from billing.invoicing.approvals import approved_as_they_are

# Drafts above the limit of their account, and whether one person edited or added to them.
# Reads: drafts by the unique index of numbers, which drafts lack; of each, its lines by
# line_position_within_invoice. Locks nothing.
_ABOVE_LIMIT = """
    SELECT d.id,
           d.currency,
           d.total,
           d.created_at,
           d.edited_by = %(by)s OR lines.has_own OR discounts.has_own,
           EXISTS (SELECT FROM billing_invoiceapproval a WHERE a.invoice_id = d.id)
      FROM billing_invoice d
      JOIN billing_billingaccount a ON a.id = d.account_id
     CROSS JOIN LATERAL (
           SELECT COALESCE(sum(abs(l.amount)) FILTER (WHERE l.kind = 'manual'), 0) AS amount,
                  COALESCE(bool_or(l.added_by = %(by)s), false) AS has_own
             FROM billing_invoiceline l
            WHERE l.invoice_id = d.id
           ) lines
     CROSS JOIN LATERAL (
           SELECT COALESCE(sum(abs(c.amount)), 0) AS amount,
                  COALESCE(bool_or(c.added_by = %(by)s), false) AS has_own
             FROM billing_invoicediscount c
            WHERE c.invoice_id = d.id
           ) discounts
     WHERE d.number IS NULL
       AND a.approval_above < CASE WHEN d.kind = 'credit_note' THEN abs(d.total)
                                   ELSE lines.amount + discounts.amount
                              END
     ORDER BY d.id
"""


@dataclass(frozen=True, slots=True)
class ToApprove:
    """A draft that takes another person's agreement; `is_own`: whoever asks isn't that person."""

    invoice_id: int
    currency: str
    total: Decimal
    since: dt.datetime
    is_own: bool


def drafts_to_approve(*, by: str) -> Sequence[ToApprove]:
    """Those that wait for somebody other than who worked on them; `is_own` are those that `by` worked on.

    One statement, and three more where some of them have approvals, which may be of what they were before.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ABOVE_LIMIT, {"by": by})
        rows = cursor.fetchall()
    approved = approved_as_they_are([row[0] for row in rows if row[-1]])
    return [ToApprove(*row[:-1]) for row in rows if row[0] not in approved]
