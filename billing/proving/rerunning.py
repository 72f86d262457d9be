"""Working an invoice line out once more, from the ledger at the line's own position.

The line says which events it is made of; the catalogue says what they cost, and neither changes any more. So
whatever was recorded later, the answer is the same as on the day of the invoice, or somebody altered a row.

Reads the ledger up to the position; writes and locks nothing.
"""

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal

from billing.invoicing.charges import PricedPeriod, ask_of, usage_lines
from billing.invoicing.measured_usage import EvidenceContradictsUsage, UsageAsk, measured
from billing.models import InvoiceLine
from billing.periods import BillingPeriod
from billing.proration import Days
from metering.measuring.windows import zone_named
from metering.texts.numbers import EXACT

USAGE_KINDS = (InvoiceLine.Kind.USAGE, InvoiceLine.Kind.TRUE_UP)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rerun:
    """What the line would say if it were written now, by its own position.

    `differences` names what is otherwise than the line says: `predicate`, `price`, `events` (how many there
    are), `digest` (which ones), `quantity`, `amount`, `contradiction` (the ledger can't be read alike twice).
    """

    event_count: int
    digest: bytes
    quantity: Decimal | None
    rated_amount: Decimal
    amount: Decimal
    differences: tuple[str, ...]

    @property
    def matches(self) -> bool:
        return not self.differences


def has_evidence(line: InvoiceLine) -> bool:
    """Whether the line is made of events: usage, what it lacks of its minimum, and reversals of those."""
    return line.kind in USAGE_KINDS and line.evidence is not None


def origin_of(line: InvoiceLine) -> tuple[InvoiceLine, int]:
    """The line that was worked out, of which this one is the reversal or a reversal's, and its sign."""
    sign = 1
    while line.reverses is not None:
        line, sign = line.reverses, -sign
    return line, sign


def rerun(line: InvoiceLine) -> Rerun:
    """Work the line out once more. Needs `has_evidence`."""
    assert line.evidence is not None
    origin, sign = origin_of(line)
    stored, position = UsageAsk.from_predicate(line.evidence), int(line.evidence["position"])
    priced = priced_period_of(origin)
    by_plan = ask_of(priced, priced.subscription.plan.prices.select_related("metric").order_by("position"))
    differences = []
    if replace(by_plan, group_by=()) != replace(stored, within=()):
        differences.append("predicate")
    if origin.price != priced.price.price:
        differences.append("price")
    try:
        again = _written_again(priced, by_plan, stored, origin, position)
        alone = measured([stored], position=position)[stored]
    except EvidenceContradictsUsage:
        return Rerun(0, b"", None, ZERO, ZERO, (*differences, "contradiction"))
    quantity = again.quantity if again is not None else None
    amount = again.amount if again is not None else ZERO
    rated = again.rated_amount if again is not None and again.rated_amount is not None else ZERO
    if sign < 0:
        quantity = None if quantity is None else EXACT.minus(quantity)
        amount = EXACT.minus(amount)
    if alone.event_count != line.event_count:
        differences.append("events")
    if alone.digest != bytes(line.event_digest or b""):
        differences.append("digest")
    if quantity != line.quantity:
        differences.append("quantity")
    if amount != line.amount or rated != origin.rated_amount:
        differences.append("amount")
    return Rerun(alone.event_count, alone.digest, quantity, rated, amount, tuple(differences))


def priced_period_of(line: InvoiceLine) -> PricedPeriod:
    """The price and the period that a line of usage was worked out by, as they were then."""
    billed = line.billed_period
    assert billed is not None
    assert line.period_start is not None
    assert line.period_end is not None
    assert line.service_start_on is not None
    assert line.service_end_on is not None
    first, full = line.service_start_on, line.full_day_count or 1
    account = line.invoice.account
    period = BillingPeriod(
        line.period_start,
        line.period_end,
        service=Days(first, line.service_end_on),
        full=Days(first, first + dt.timedelta(days=full)),  # where it begins makes no difference to the share
        zone=zone_named(account.timezone),
    )
    return PricedPeriod(billed.subscription, billed.price, period, account.project_id)


def _written_again(
    priced: PricedPeriod, by_plan: UsageAsk, stored: UsageAsk, origin: InvoiceLine, position: int
) -> InvoiceLine | None:
    """The line of the same kind and group among those of its price and period; None where there is none."""
    whole = replace(stored, within=(), group_by=by_plan.group_by)
    usage = measured([whole], position=position)[whole]
    for line in usage_lines(priced, whole, usage, position=position):
        assert line.evidence is not None
        if line.kind == origin.kind and UsageAsk.from_predicate(line.evidence).within == stored.within:
            return line
    return None
