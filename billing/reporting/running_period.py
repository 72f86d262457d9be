"""What an account would be billed were its running periods over now. Nothing is written.

The lines are those that a billing run would draft, by the same arithmetic, with periods under way taken as if
they ended now: usage so far, and fees, minimum and maximum of the whole period. A level that lasts is taken
to last until the period's end. What was added to a draft by hand stands outside, and so do its discounts.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.invoicing.charges import PricedPeriod
from billing.invoicing.draft_lines import draft_lines, taxes_of
from billing.invoicing.due import due_of
from billing.invoicing.measured_usage import Measured, UsageAsk, measured
from billing.invoicing.retotalling import retotal
from billing.invoicing.totals import total
from billing.models import BillingAccount, Invoice, InvoiceLine
from billing.periods import BillingPeriod
from billing.settling.credits import credit_available

from .projection import projected_amount


@dataclass(frozen=True, slots=True)
class Charge:
    """One price over one period that is still to be billed, with its lines. `ask` and `usage` are of prices
    of usage.

    `projected_amount` is what it comes to at the period's end if usage goes on at its pace; None while that
    can't be told.
    """

    priced: PricedPeriod
    ask: UsageAsk | None
    usage: Measured | None
    lines: Sequence[InvoiceLine]
    is_running: bool
    projected_amount: Decimal | None

    @property
    def amount(self) -> Decimal:
        return total(line.amount for line in self.lines)


@dataclass(frozen=True, slots=True)
class Preview:
    """`document` and all lines are unsaved. `others` are corrections of what was billed before. `projected`
    is the document at the end of the running periods; None while one of their prices can't be projected."""

    account: BillingAccount
    at: dt.datetime
    position: int
    document: Invoice
    charges: Sequence[Charge]
    others: Sequence[InvoiceLine]
    credit_available: Decimal
    projected: Invoice | None

    @property
    def lines(self) -> list[InvoiceLine]:
        """As the draft would hold them."""
        return [*(line for charge in self.charges for line in charge.lines), *self.others]

    @property
    def running(self) -> list[Charge]:
        return [charge for charge in self.charges if charge.is_running]

    @property
    def running_amount(self) -> Decimal:
        """Of running periods alone, before tax."""
        return total(charge.amount for charge in self.running)

    @property
    def running_periods(self) -> list[BillingPeriod]:
        """In the order of their ends."""
        periods = dict.fromkeys(charge.priced.period for charge in self.running)
        return sorted(periods, key=lambda period: (period.end, period.start))


def preview_of_running(account: BillingAccount, *, now: dt.datetime, position: int) -> Preview:
    """What the next draft would hold were it made now. `position` is a final position of the ledger."""
    due = due_of(account, as_of=now, is_running=True)
    usage = measured(due.asks, position=position)
    found = draft_lines(due, usage, position=position)
    charges = []
    for one, lines in found.claims:
        priced, of_one = one.priced, None if one.ask is None else usage[one.ask]
        is_running = priced.period.end > now
        projected = (
            projected_amount(priced, lines, one.ask, of_one, now=now)
            if is_running
            else total(line.amount for line in lines)
        )
        charges.append(Charge(priced, one.ask, of_one, lines, is_running, projected))
    others = found.lines()[sum(len(charge.lines) for charge in charges) :]
    credit = credit_available(account, at=now)
    document = _totalled(account, [*(line for one in charges for line in one.lines), *others], credit)
    return Preview(
        account=account,
        at=now,
        position=position,
        document=document,
        charges=charges,
        others=others,
        credit_available=credit,
        projected=_projected(account, charges, others, credit),
    )


def _projected(
    account: BillingAccount, charges: Sequence[Charge], others: Sequence[InvoiceLine], credit: Decimal
) -> Invoice | None:
    lines = list(others)
    for charge in charges:
        if charge.projected_amount is None:
            return None
        lines.append(InvoiceLine(amount=charge.projected_amount, taxes=taxes_of(account)))
    return _totalled(account, lines, credit)


def _totalled(account: BillingAccount, lines: Sequence[InvoiceLine], credit: Decimal) -> Invoice:
    document = Invoice(account=account, currency=account.currency)
    retotal(document, lines, [], credit=credit)
    return document
