"""What a verification checks of billing; named in VERIFICATION_CHECKS.

Documents, billed periods and accounts are gone through by ranges of ids, a step each, so that a worker can
stop between them and go on later: a range keeps its name whatever is added meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models import BilledPeriod, BillingAccount, Invoice
from metering.verifying.verification_checks import Asked, SimpleCheck, Step
from metering.verifying.verification_findings import Outcome, Tell

from .credit_proofs import credit_outcome
from .line_proofs import line_outcome
from .number_proofs import number_outcome
from .period_proofs import period_outcome
from .total_proofs import total_outcome
from .unbilled_proofs import unbilled_outcome

RANGE = 200  # ids to a step; twice, four times as many where there would be more than
MOST_STEPS = 100  # steps: what they find is kept with the run


@dataclass(frozen=True, slots=True)
class RangeCheck:
    """A check that goes through the ids of a model: (first, last, limit=) -> Outcome."""

    name: str
    title: Any
    promise: Any
    outcome: Callable[..., Outcome]
    model: type[models.Model]
    by_metric: bool = field(default=False)

    def steps(self, asked: Asked) -> Iterable[Step]:
        for first, last in ranges_up_to(self._last_id()):

            def run(tell: Tell, first: int = first, last: int = last) -> Outcome:
                return self.outcome(first, last, limit=asked.limit)

            yield Step(run, subject=f"{first}-{last}")

    def _last_id(self) -> int:
        return self.model._default_manager.aggregate(last=models.Max("pk"))["last"] or 0


def ranges_up_to(last_id: int) -> Iterator[tuple[int, int]]:
    """Ranges that hold all ids from 1 on, the first one always."""
    size = RANGE
    while last_id > size * MOST_STEPS:
        size *= 2
    for first in range(1, max(last_id, 1) + 1, size):
        yield first, first + size - 1


INVOICE_LINES = RangeCheck(
    name="invoice_lines",
    title=_("Invoice lines"),
    promise=_(
        "Each issued line of usage is made of the very events that its evidence names, and comes to what "
        "they cost by its price."
    ),
    outcome=line_outcome,
    model=Invoice,
)
INVOICE_NUMBERS = SimpleCheck(
    name="invoice_numbers",
    title=_("Invoice numbers"),
    promise=_("Documents of each series are numbered from 1 on, without a gap and none twice."),
    outcome=number_outcome,
)
INVOICE_TOTALS = RangeCheck(
    name="invoice_totals",
    title=_("Invoice totals"),
    promise=_(
        "Subtotal, discounts, tax by line and rate, total and amount due of each issued document add up."
    ),
    outcome=total_outcome,
    model=Invoice,
)
BILLED_PERIODS = RangeCheck(
    name="billed_periods",
    title=_("Billed periods"),
    promise=_(
        "What documents charge for a period, what waits to be corrected and what was written off are "
        "together what the ledger is worth, and fees what their days cost."
    ),
    outcome=period_outcome,
    model=BilledPeriod,
)
CREDITS = SimpleCheck(
    name="credits",
    title=_("Credit and payments"),
    promise=_(
        "Credit balances are what was granted less what was drawn, credit notes and voids settle what they "
        "say, and nothing is paid beyond what is due."
    ),
    outcome=credit_outcome,
)
UNBILLED = RangeCheck(
    name="unbilled",
    title=_("Unbilled usage"),
    promise=_("Usage of the last two closed months is on its way to an invoice; what isn't is a warning."),
    outcome=unbilled_outcome,
    model=BillingAccount,
)
