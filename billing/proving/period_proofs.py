"""Whether every billed period comes out.

What all issued documents charge for it, what waits to be corrected and what was written off are together what
the ledger is worth at the position of the last rating; of a fee, what its days cost.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.models import BilledPeriod, Invoice, InvoiceLine, PeriodCorrection, Price
from billing.periods import BillingPeriod, Term, period_holding
from billing.selling.billing_cycles import cycles_of
from metering.verifying.verification_findings import Breach, Outcome, counted
from metering.verifying.verification_rollups import one_snapshot

from .billed_readings import Ledger, Question
from .line_proofs import UNREADABLE, place_of
from .proof_findings import outcome, shown, to_scale
from .rerating import Rater

Kind, State = InvoiceLine.Kind, PeriodCorrection.State
ZERO = Fraction(0)


@dataclass(slots=True)
class _Notes:
    """Periods that the next billing run looks at."""

    changed_count: int = 0
    gone_count: int = 0

    def texts(self) -> list[str]:
        notes = []
        if self.changed_count:
            one = counted(self.changed_count, "billed period")
            notes.append(f"{one} end otherwise since a subscription changed: the next run bills that.")
        if self.gone_count:
            one = counted(self.gone_count, "billed period")
            notes.append(f"{one} of subscriptions that ended before: a run gives them back.")
        return notes


@dataclass(slots=True)
class _Books:
    """What there is of one period: lines of issued documents and of drafts, and corrections."""

    period: BilledPeriod
    booked: list[InvoiceLine] = field(default_factory=list)
    drafted: list[InvoiceLine] = field(default_factory=list)
    open: PeriodCorrection | None = None
    written_off: Fraction = ZERO

    @property
    def currency(self) -> str:
        return self.period.subscription.currency

    @property
    def is_gone(self) -> bool:
        """Whether the subscription ended before the period began."""
        until = self.period.subscription.effective_until
        return until is not None and until <= self.period.period_start

    @property
    def position(self) -> int | None:
        """That of the last rating."""
        return self.period.position if self.open is None else self.open.position

    @property
    def charged(self) -> Fraction:
        return _sum(line.amount for line in self.booked)

    def breach(self, code: str, what: str) -> Breach:
        period = self.period
        return Breach(
            code,
            f"Billed period {period.pk} ({period.price.name}, subscription {period.subscription_id}, from"
            f" {period.period_start:%Y-%m-%d %H:%M} UTC) {what}",
        )

    def served(self) -> BillingPeriod | None:
        """The period as it was rated last; None where the subscription has none that begins so."""
        subscription = self.period.subscription
        end = self.period.period_end if self.open is None else self.open.period_end
        term = Term(subscription.effective_from, None, subscription.trial_until)
        cycles, start = cycles_of(subscription), self.period.period_start
        found = period_holding(start, cycles=cycles, term=term)
        if found is not None and end < found.end:
            cut = Term(subscription.effective_from, end, subscription.trial_until)
            found = period_holding(start, cycles=cycles, term=cut)
        return found if found is not None and (found.start, found.end) == (start, end) else None


def period_outcome(first: int, last: int, *, limit: int) -> Outcome:
    """Of the billed periods whose ids are from `first` to `last`."""
    ledger, notes = Ledger(), _Notes()
    breaches: list[Breach] = []
    with one_snapshot():
        books = _books(first, last)
        prices = _prices_of(books)
        for one in books:
            _announce(one, prices, ledger)
        for one in books:
            try:
                breaches += _breaches(one, prices, ledger, notes)
            except UNREADABLE as error:
                breaches.append(one.breach("period_unreadable", f"holds what can't be read: {error!r}."))
    return outcome(counted(len(books), "billed period"), breaches, limit=limit, notes=notes.texts())


def _books(first: int, last: int) -> list[_Books]:
    periods = (
        BilledPeriod.objects.filter(pk__range=(first, last))
        .select_related("price", "subscription__plan", "account", "invoice")
        .prefetch_related("subscription__cycles")
        .order_by("id")
    )
    books = {period.pk: _Books(period) for period in periods}
    lines = InvoiceLine.objects.filter(billed_period__in=books).select_related("invoice").order_by("id")
    # A voiding that waits has moved nothing yet.
    lines = lines.exclude(invoice__origin=Invoice.Origin.VOID, invoice__issued_at=None)
    for line in lines:
        assert line.billed_period_id is not None
        one = books[line.billed_period_id]
        (one.drafted if line.invoice.is_draft else one.booked).append(line)
    for correction in PeriodCorrection.objects.filter(billed_period__in=books):
        one = books[correction.billed_period_id]
        if correction.state == State.WRITTEN_OFF:
            one.written_off += Fraction(correction.difference)
        elif correction.state != State.BOOKED:
            one.open = correction
    return list(books.values())


def _prices_of(books: Sequence[_Books]) -> dict[int, list[Price]]:
    found: dict[int, list[Price]] = defaultdict(list)
    plan_ids = {one.period.price.plan_id for one in books}
    for price in Price.objects.filter(plan__in=plan_ids).order_by("plan_id", "position"):
        found[price.plan_id].append(price)
    return found


def _breaches(one: _Books, prices: dict[int, list[Price]], ledger: Ledger, notes: _Notes) -> Iterator[Breach]:
    yield from _document_breaches(one)
    if one.period.position is None:
        if one.charged or one.written_off or one.open is not None:
            yield one.breach(
                "unbilled_period_with_amounts",
                f"is to be billed anew, and {shown(one.charged, one.currency)} stand charged,"
                f" {shown(one.written_off, one.currency)} written off,"
                f" {'a correction open' if one.open else 'no correction open'}.",
            )
        return
    served = one.served()
    if served is None:
        yield one.breach(
            "period_of_no_subscription", f"ends at {one.period.period_end:%Y-%m-%d %H:%M} UTC; none does."
        )
        return
    if one.is_gone:
        notes.gone_count += bool(one.charged)
    elif one.open is None and _ends_otherwise(one, served):
        notes.changed_count += 1
    if one.period.price.is_fixed:
        yield from _fee_breaches(one, served)
    else:
        yield from _usage_breaches(one, served, prices, ledger)


def _ends_otherwise(one: _Books, served: BillingPeriod) -> bool:
    subscription = one.period.subscription
    term = Term(subscription.effective_from, subscription.effective_until, subscription.trial_until)
    now = period_holding(served.start, cycles=cycles_of(subscription), term=term)
    return now is None or now.end != served.end


def _document_breaches(one: _Books) -> Iterator[Breach]:
    """At most one draft holds it, a settled one no draft as its document."""
    drafts = sorted({line.invoice_id for line in one.drafted})
    if len(drafts) > 1:
        yield one.breach("period_on_two_drafts", f"is on drafts {drafts[0]} and {drafts[1]}.")
    invoice = one.period.invoice
    if invoice is not None and invoice.is_draft is not (one.period.position is None):
        state = "a draft" if invoice.is_draft else "issued"
        settled = "isn't billed" if one.period.position is None else "is billed"
        yield one.breach("period_of_wrong_document", f"{settled}, and its document {invoice} is {state}.")
    drafted = _sum(line.amount for line in one.drafted)
    if one.open is not None and one.open.state == State.DRAFTED:
        wanted = Fraction(one.open.difference) + one.written_off
        if drafted != wanted or drafts != [one.open.invoice_id]:
            yield one.breach(
                "drafted_correction_differs",
                f"is to be corrected by {shown(wanted, one.currency)}; the draft has"
                f" {shown(drafted, one.currency)}.",
            )


# -- usage -----------------------------------------------------------------------------------------------


def _question_of(one: _Books, prices: dict[int, list[Price]]) -> Question:
    """What the price takes in the period, by the catalogue and the period alone."""
    price, position = one.period.price, one.position
    assert price.metric_id is not None
    assert position is not None
    return Question.of(
        {
            "metric_id": price.metric_id,
            "from": one.period.period_start.isoformat(),
            "to": (one.period.period_end if one.open is None else one.open.period_end).isoformat(),
            "match": price.label_match,
            "excluding": [
                other.label_match
                for other in prices[price.plan_id]
                if other.metric_id == price.metric_id
                and other.label_match
                and (not price.label_match or other.position < price.position)
            ],
            "position": position,
            "within": ["project"] if price.per_project else [],
        }
    )


def _announce(one: _Books, prices: dict[int, list[Price]], ledger: Ledger) -> None:
    if one.period.position is not None and not one.period.price.is_fixed:
        ledger.ask(_question_of(one, prices), one.period.account.project_id)


def _usage_breaches(
    one: _Books, served: BillingPeriod, prices: dict[int, list[Price]], ledger: Ledger
) -> Iterator[Breach]:
    price, payer_id = one.period.price, one.period.account.project_id
    question = _question_of(one, prices)
    rater = Rater(ledger, price.price, served.share, one.currency)
    if price.per_project:
        worth = rater.worth_by_project(question, payer_id)
    else:
        worth = rater.worth(question, payer_id).amount
    waiting = Fraction(one.open.difference) if one.open is not None else ZERO
    found = one.charged + waiting + one.written_off
    if found == worth or (one.is_gone and not found):
        return
    yield one.breach(
        "period_differs_from_ledger",
        f"is worth {shown(worth, one.currency)} by the ledger at position {one.position:,};"
        f" {shown(one.charged, one.currency)} stand charged, {shown(waiting, one.currency)} wait,"
        f" {shown(one.written_off, one.currency)} are written off.",
    )


# -- fees ------------------------------------------------------------------------------------------------


def _fee_breaches(one: _Books, served: BillingPeriod) -> Iterator[Breach]:
    signed = sum(line.day_count or 0 for line in one.booked)
    net, days = _net_fee(one.period.price.price), served.service.count
    is_free = not to_scale(net * served.share, one.currency) and not one.booked
    is_given_back = one.is_gone and not signed and not one.charged
    if signed != days and not is_free and not is_given_back:
        yield one.breach(
            "fee_days_differ", f"has {counted(days, 'day')} of service, and {signed:,} stand charged."
        )
    before = ZERO
    for line in one.booked:
        if line.reverses_id is None:
            yield from _fee_line_breaches(line, before, one)
        before += Fraction(line.amount)


def _fee_line_breaches(line: InvoiceLine, before: Fraction, one: _Books) -> Iterator[Breach]:
    """A fee is its days of the full period; what is given back never more than was charged `before`."""
    assert line.service_start_on is not None
    assert line.service_end_on is not None
    days = (line.service_end_on - line.service_start_on).days
    share = min(Fraction(days, line.full_day_count or 1), Fraction(1))
    owed = to_scale(_net_fee(line.price or {}) * share, one.currency)
    if line.kind == Kind.FEE_CREDIT:
        days, owed = -days, -min(owed, max(before, ZERO))
    if line.price != one.period.price.price:
        yield Breach("price_differs", f"{place_of(line)} was charged by a price that isn't the plan's.")
    if line.day_count != days:
        yield Breach(
            "fee_days_differ", f"{place_of(line)} states {line.day_count} days; its dates hold {days}."
        )
    if line.amount != owed:
        yield Breach(
            "fee_differs",
            f"{place_of(line)} charges {shown(line.amount, one.currency)}; {days} of"
            f" {line.full_day_count} days cost {shown(owed, one.currency)}.",
        )


def _net_fee(price: dict[str, Any]) -> Fraction:
    return Fraction(price["amount"]) * (100 - Fraction(price.get("discount_percent", "0"))) / 100


def _sum(amounts: Iterator[Decimal]) -> Fraction:
    return sum(map(Fraction, amounts), ZERO)
