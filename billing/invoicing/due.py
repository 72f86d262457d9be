"""What an account owes at an instant: periods to bill for the first time, and billed ones to look at again.

Reads; writes and locks nothing. A period of a price is due when it has ended, a fee in advance when it has
begun. One that was billed is looked at again when the ledger learned more about it, and when the subscription
was changed so that it no longer ends when it was billed to end.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import Prefetch

from billing.models import (
    BilledPeriod,
    BillingAccount,
    Invoice,
    InvoiceLine,
    PeriodCorrection,
    Price,
    Subscription,
)
from billing.periods import BillingPeriod, period_holding, periods_of
from billing.selling.billing_cycles import cycles_of, term_of

from .charges import PricedPeriod, ask_of
from .discount_shares import DiscountShare, discount_shares_of
from .measured_usage import UsageAsk

FAR_AHEAD = dt.datetime(9000, 1, 1, tzinfo=dt.UTC)
_INSTANT = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DuePrice:
    """One price over one period. `ask` is of prices of usage; `billed` says how it was billed so far."""

    priced: PricedPeriod
    ask: UsageAsk | None
    billed: BilledPeriod | None = None

    @property
    def falls_due_at(self) -> dt.datetime:
        """When it is to be billed: a fee in advance when its period begins, everything else when it ends."""
        is_in_advance = self.priced.price.charged == Price.Charged.ADVANCE
        return self.priced.period.start if is_in_advance else self.priced.period.end


@dataclass(frozen=True, slots=True)
class Due:
    """What one account owes at `as_of`. `gone` are billed periods that the subscription no longer has."""

    account: BillingAccount
    as_of: dt.datetime
    charges: Sequence[DuePrice] = ()
    corrections: Sequence[DuePrice] = ()
    gone: Sequence[BilledPeriod] = ()
    subscriptions: Sequence[Subscription] = ()
    lines: Mapping[int, Sequence[InvoiceLine]] = field(default_factory=dict)  # issued, by billed period
    found_before: Mapping[int, Sequence[PeriodCorrection]] = field(default_factory=dict)  # likewise
    discount_shares: Mapping[int, DiscountShare] = field(default_factory=dict)  # likewise

    @property
    def asks(self) -> list[UsageAsk]:
        return [due.ask for due in (*self.charges, *self.corrections) if due.ask is not None]


def due_of(
    account: BillingAccount,
    *,
    as_of: dt.datetime,
    is_running: bool = False,
    subscriptions: Sequence[Subscription] | None = None,
) -> Due:
    """What the account owes. With `is_running`, periods under way count as if they ended at `as_of`: what
    would be billed were it over."""
    sold = None if subscriptions is None else {account.pk: subscriptions}
    return due_of_many([account], as_of=as_of, is_running=is_running, subscriptions=sold)[0]


def due_of_many(
    accounts: Sequence[BillingAccount],
    *,
    as_of: dt.datetime,
    is_running: bool = False,
    subscriptions: Mapping[int, Sequence[Subscription]] | None = None,
) -> list[Due]:
    """The same for many, in as many statements. `subscriptions` are those of each account, if known."""
    if subscriptions is None:
        subscriptions = _subscriptions_of(accounts)
    billed = _billed_of(accounts)
    found = [
        _due_of_one(account, subscriptions[account.pk], billed[account.pk], as_of, is_running)
        for account in accounts
    ]
    looked_at = [due.billed for each in found for due in each.corrections if due.billed is not None]
    looked_at += [period for each in found for period in each.gone]
    lines, found_before = issued_lines_of(looked_at), _corrections_of(looked_at)
    shares = discount_shares_of(lines)
    return [replace(each, lines=lines, found_before=found_before, discount_shares=shares) for each in found]


def next_due_of(due: Due) -> dt.datetime:
    """The first instant after the one looked at at which a subscription's period begins or ends."""
    found = [FAR_AHEAD]
    for subscription in due.subscriptions:
        if subscription.is_empty:
            continue
        if due.as_of < subscription.billable_from:
            found.append(subscription.billable_from)
        else:
            period = period_holding(due.as_of, cycles=cycles_of(subscription), term=term_of(subscription))
            found += [period.end] if period is not None else []
    return min(found)


def is_current(draft: Invoice, due: Due) -> bool:
    """Whether computing an account's draft anew would change nothing: same account, same periods, and the
    ledger learned nothing about them since."""
    if draft.account_revision != due.account.revision or draft.as_of is None or draft.position is None:
        return False
    for one in (*due.charges, *due.corrections):
        is_claimed = one.billed is not None and (is_settled(one.billed) or one.billed.invoice_id == draft.pk)
        if not is_claimed or one.falls_due_at > draft.as_of:
            return False
        learned = one.billed.learned_at_position if one.billed is not None else None
        if learned is not None and learned > draft.position:
            return False
    return all(period.period_start <= draft.as_of for period in due.gone)


def issued_lines_of(periods: Sequence[BilledPeriod]) -> dict[int, list[InvoiceLine]]:
    """The lines of issued documents, by billed period, in the order in which they were written."""
    found: dict[int, list[InvoiceLine]] = defaultdict(list)
    if periods:
        lines = InvoiceLine.objects.filter(
            billed_period__in=[period.pk for period in periods], invoice__issued_at__isnull=False
        )
        for line in lines.order_by("id"):
            assert line.billed_period_id is not None
            found[line.billed_period_id].append(line)
    return found


def _corrections_of(periods: Sequence[BilledPeriod]) -> dict[int, list[PeriodCorrection]]:
    found: dict[int, list[PeriodCorrection]] = defaultdict(list)
    if periods:
        for correction in PeriodCorrection.objects.filter(billed_period__in=[one.pk for one in periods]):
            found[correction.billed_period_id].append(correction)
    return found


def live_lines(lines: Sequence[InvoiceLine]) -> list[InvoiceLine]:
    """Those that count: neither taken back, nor taking back a line that counts no more.

    A line may be reversed, its reversal by a void as well, and so on; of such a chain the last counts where
    the chain is of odd length, and has the first one's amounts.
    """
    by_id = {line.pk: line for line in lines}
    reversed_ids = {line.reverses_id for line in lines}

    def depth(line: InvoiceLine) -> int:
        count = 0
        while line.reverses_id is not None and line.reverses_id in by_id:
            line, count = by_id[line.reverses_id], count + 1
        return count

    return [line for line in lines if line.pk not in reversed_ids and depth(line) % 2 == 0]


def _subscriptions_of(accounts: Sequence[BillingAccount]) -> dict[int, list[Subscription]]:
    prices = Price.objects.select_related("metric").order_by("position")
    found: dict[int, list[Subscription]] = defaultdict(list)
    for subscription in (
        Subscription.objects.filter(account__in=[account.pk for account in accounts])
        .select_related("plan")
        .prefetch_related("cycles", Prefetch("plan__prices", queryset=prices))
        .order_by("effective_from", "id")
    ):
        found[subscription.account_id].append(subscription)
    return found


def _billed_of(accounts: Sequence[BillingAccount]) -> dict[int, list[BilledPeriod]]:
    found: dict[int, list[BilledPeriod]] = defaultdict(list)
    for period in BilledPeriod.objects.filter(
        account__in=[account.pk for account in accounts]
    ).select_related("invoice"):
        found[period.account_id].append(period)
    return found


def _due_of_one(
    account: BillingAccount,
    subscriptions: Sequence[Subscription],
    billed: Sequence[BilledPeriod],
    as_of: dt.datetime,
    is_running: bool,
) -> Due:
    by_key = {(one.subscription_id, one.price_id, one.period_start): one for one in billed}
    charges: list[DuePrice] = []
    corrections: list[DuePrice] = []
    begun: set[tuple[int, int, Any]] = set()
    horizon = max([as_of, *(one.period_start for one in billed)]) + _INSTANT
    for subscription in subscriptions:
        prices = list(subscription.plan.prices.all())
        for period in _periods(subscription, horizon):
            for price in prices:
                priced = PricedPeriod(subscription, price, period, account.project_id)
                begun.add(priced.key)
                if not _is_due(price, period, as_of, is_running):
                    continue
                known = by_key.get(priced.key)
                due = DuePrice(priced, None if price.is_fixed else ask_of(priced, prices), known)
                if known is None or not is_settled(known):
                    charges.append(due)
                elif known.learned_at_position is not None or known.period_end != period.end:
                    corrections.append(due)
    gone = [one for one in billed if is_settled(one) and _key(one) not in begun and one.period_start <= as_of]
    return Due(account, as_of, charges, corrections, gone, subscriptions)


def is_settled(period: BilledPeriod) -> bool:
    """Whether an issued document, or the finding that there was nothing, holds what was billed for it."""
    return period.position is not None


def _key(period: BilledPeriod) -> tuple[int, int, dt.datetime]:
    return period.subscription_id, period.price_id, period.period_start


def _periods(subscription: Subscription, until: dt.datetime) -> list[BillingPeriod]:
    if subscription.is_empty:
        return []
    return [
        period
        for period in periods_of(cycles_of(subscription), term_of(subscription), until=until)
        if not period.is_trial
    ]


def _is_due(price: Price, period: BillingPeriod, as_of: dt.datetime, is_running: bool) -> bool:
    if is_running or price.charged == Price.Charged.ADVANCE:
        return period.start <= as_of
    return period.end <= as_of
