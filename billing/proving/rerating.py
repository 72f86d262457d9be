"""Rating a period a second time: from the ledger at a position, by a price as it is stored.

The formulas of the models are those of `billing.rating`, whose laws are tests of their own; quantities,
rounding and minimum are worked out here.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.proration import prorated_price
from billing.rating import price_from, prices_events, rated

from .billed_readings import NOTHING_HELD, Held, Ledger, Question
from .proof_findings import to_scale

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Worth:
    """What usage costs: rounded, and the true-up to the minimum."""

    usage: Fraction
    true_up: Fraction
    held: Held

    @property
    def amount(self) -> Fraction:
        return self.usage + self.true_up


@dataclass(frozen=True, slots=True)
class Rater:
    """Rates by one price as JSON, cut to the share of a full period that was served."""

    ledger: Ledger
    price: dict[str, Any]
    share: Fraction
    currency: str

    def worth(self, question: Question, payer_id: int, *, project: str | None = None) -> Worth:
        """Of the whole, or of one project alone."""
        if project is None:
            held = self.ledger.held(question.by(), payer_id).get((), NOTHING_HELD)
        else:
            held = self.ledger.held(question.by("project"), payer_id).get((project,), NOTHING_HELD)
        price = prorated_price(price_from(self.price), self.share)
        if prices_events(price):
            rating = self.ledger.rating(question, payer_id, price, project)
        else:
            rating = rated(price, held.quantity or Decimal(0))
        usage = to_scale(rating.amount, self.currency)
        true_up = ZERO
        if price.min_amount is not None:
            true_up = max(to_scale(price.min_amount, self.currency) - usage, ZERO)
        return Worth(usage, true_up, held)

    def worth_by_project(self, question: Question, payer_id: int) -> Fraction:
        """Of each project on its own, summed up."""
        projects = [key for (key,) in self.ledger.held(question.by("project"), payer_id)]
        return sum(
            (self.worth(question, payer_id, project=project).amount for project in projects),
            ZERO,
        )
