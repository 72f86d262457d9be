"""What waits to be issued, what is owed and what is kept for customers: counts and amounts by currency.

Questions only, each one statement whatever the number of documents.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection
from django.db.models import Count, F, Q, Sum

from billing.models import CreditEntry, Invoice, PeriodCorrection
from metering.texts.numbers import EXACT

# Whole days after the due day, both ends included; None is without end. The first is what isn't due yet.
AGES: tuple[tuple[int | None, int | None], ...] = ((None, 0), (1, 30), (31, 60), (61, 90), (91, None))

# Open invoices by currency and by how long they have been due, as numbers of AGES.
# Reads: each issued invoice and each payment once (of one account: invoice_by_account, payment_by_invoice);
# writes and locks nothing.
_OWED = """
    SELECT owing.currency,
           CASE WHEN owing.days <= 0 THEN 0
                WHEN owing.days <= 30 THEN 1
                WHEN owing.days <= 60 THEN 2
                WHEN owing.days <= 90 THEN 3
                ELSE 4
            END AS age,
           count(*),
           sum(owing.amount)
      FROM (
            SELECT i.currency,
                   i.amount_due - COALESCE(settled.amount, 0) AS amount,
                   %(on)s - i.due_on AS days
              FROM billing_invoice i
              LEFT JOIN (
                    SELECT p.invoice_id, sum(p.amount) AS amount
                      FROM billing_payment p
                      {only_of_account}
                     GROUP BY p.invoice_id
                   ) settled ON settled.invoice_id = i.id
             WHERE i.kind = 'invoice'
               AND i.issued_at IS NOT NULL
               AND i.amount_due > COALESCE(settled.amount, 0)
               AND (%(account)s::bigint IS NULL OR i.account_id = %(account)s)
           ) owing
     GROUP BY 1, 2
     ORDER BY 1, 2
"""
_OF_ALL = _OWED.format(only_of_account="")
_OF_ONE = _OWED.format(
    only_of_account="JOIN billing_invoice o ON o.id = p.invoice_id AND o.account_id = %(account)s"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """So many things that come to so much."""

    count: int = 0
    amount: Decimal = Decimal(0)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.count + other.count, EXACT.add(self.amount, other.amount))


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed in one currency; `ages` are as AGES."""

    currency: str
    ages: tuple[Amount, ...]

    @property
    def open(self) -> Amount:
        return sum(self.ages, start=Amount())

    @property
    def overdue(self) -> Amount:
        return sum(self.ages[1:], start=Amount())


def owed(*, on: dt.date, account_id: int | None = None) -> list[Owed]:
    """Issued invoices on which something is owed, by currency and age on a day; of one account or of all.

    An invoice is overdue from the day after its due day on. Empty where nothing is owed.
    """
    found: dict[str, list[Amount]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_OF_ALL if account_id is None else _OF_ONE, {"on": on, "account": account_id})
        for currency, age, count, amount in cursor.fetchall():
            found.setdefault(currency, [Amount()] * len(AGES))[age] = Amount(count, amount)
    return [Owed(currency, tuple(ages)) for currency, ages in found.items()]


def drafts() -> dict[str, Amount]:
    """Drafts by currency, with the sum of their totals; credit notes count with their sign."""
    # By number, which drafts alone lack and which is indexed.
    rows = Invoice.objects.filter(number=None).order_by("currency").values("currency")
    found = rows.annotate(count=Count("pk"), amount=Sum("total"))
    return {row["currency"]: Amount(row["count"], row["amount"]) for row in found}


def credit_balances(*, at: dt.datetime) -> dict[str, Amount]:
    """Credit that can be drawn at an instant, by currency, with how many accounts have some."""
    unexpired = Q(grant__expires_at=None) | Q(grant__expires_at__gt=at)
    by_account = (
        CreditEntry.objects.filter(unexpired)
        .order_by()
        .values(currency=F("grant__currency"), owner=F("account_id"))
        .annotate(balance=Sum("amount"))
        .filter(balance__gt=0)
    )
    found: dict[str, Amount] = {}
    for row in by_account.order_by("currency").iterator():
        found[row["currency"]] = found.get(row["currency"], Amount()) + Amount(1, row["balance"])
    return found


def corrections_waiting() -> dict[str, Amount]:
    """Corrections of invoiced periods that somebody has to decide, by currency."""
    waiting = PeriodCorrection.objects.filter(state=PeriodCorrection.State.WAITING).order_by()
    rows = waiting.values(currency=F("account__currency")).annotate(
        count=Count("pk"), amount=Sum("difference")
    )
    return {row["currency"]: Amount(row["count"], row["amount"]) for row in rows.order_by("currency")}
