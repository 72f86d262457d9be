"""What the recorded usage of a past interval would have cost under another plan. Nothing is written.

Both sides are rated by the ledger at the same position and by what bills: `measured` for many accounts at
once, `usage_lines` and `fee_lines` for each. Amounts are before discounts and tax. A fee counts for the
period that it is for, whenever it is charged.

    law: over whole billing periods, the plan that an account is on costs what was billed for them
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from billing.invoicing.charges import PricedPeriod, ask_of, fee_lines, usage_lines
from billing.invoicing.measured_usage import Measured, UsageAsk, match_text, measured
from billing.invoicing.totals import total
from billing.models import BillingAccount, InvoiceLine, Plan, Price, Subscription
from metering.errors import Invalid
from metering.models import MetricDefinition
from metering.texts.numbers import EXACT

from .hypothetical import Days, Service, services_in_force, services_on

CHUNK = 200  # accounts whose usage is read together
MAX_DAYS = 366  # each period of a price is a statement
NAMED_AT_MOST = 5  # in a refusal
ZERO = Decimal(0)
ADDING = frozenset({"SUM", "COUNT"})
FEES = (InvoiceLine.Kind.FEE, InvoiceLine.Kind.FEE_CREDIT)

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Amounts:
    """The same thing under both plans."""

    current: Decimal
    hypothetical: Decimal

    @property
    def difference(self) -> Decimal:
        return EXACT.subtract(self.hypothetical, self.current)

    @property
    def fraction(self) -> Fraction | None:
        """The difference as a part of the current amount; None where that is nothing."""
        return Fraction(self.difference) / Fraction(self.current) if self.current else None

    def plus(self, other: "Amounts") -> "Amounts":
        return Amounts(
            EXACT.add(self.current, other.current), EXACT.add(self.hypothetical, other.hypothetical)
        )


NOTHING = Amounts(ZERO, ZERO)


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What is paid for: the usage of a metric (by key), or a fixed fee (by name)."""

    kind: str  # "fee" or "usage"
    name: str


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Usage that is billed now and that no price of the other plan takes. `quantity` is None where quantities
    of several periods don't add up."""

    metric_key: str
    unit: str
    event_count: int
    quantity: Decimal | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One account. `plans` are those in force, by name; `is_prorated` says that a period was charged by
    days, because service or the interval cuts it.
    """

    account: BillingAccount
    plans: Sequence[str]
    amounts: Amounts
    by_subject: dict[Subject, Amounts]
    unpriced: Sequence[Unpriced]
    is_prorated: bool


@dataclass(frozen=True, slots=True)
class WhatIf:
    """All accounts that were asked for and on a plan within the days. `without_plan`: how many were not."""

    plan: Plan
    days: Days
    position: int
    comparisons: Sequence[Comparison]
    without_plan: int

    @property
    def totals(self) -> Amounts:
        return _sum(one.amounts for one in self.comparisons)

    @property
    def by_subject(self) -> dict[Subject, Amounts]:
        found: dict[Subject, Amounts] = {}
        for one in self.comparisons:
            for subject, amounts in one.by_subject.items():
                found[subject] = found.get(subject, NOTHING).plus(amounts)
        return dict(sorted(found.items()))

    @property
    def winners(self) -> int:
        """Accounts that would have paid less."""
        return sum(one.amounts.difference < 0 for one in self.comparisons)

    @property
    def losers(self) -> int:
        """Accounts that would have paid more."""
        return sum(one.amounts.difference > 0 for one in self.comparisons)

    @property
    def unchanged(self) -> int:
        return len(self.comparisons) - self.winners - self.losers

    @property
    def fractions(self) -> list[Fraction | None]:
        """By account: 0 where nothing would change, None for those that pay nothing now."""
        return [one.amounts.fraction if one.amounts.difference else Fraction(0) for one in self.comparisons]

    @property
    def unpriced(self) -> list[tuple[Unpriced, int]]:
        """By metric over all accounts, each with how many accounts that is."""
        by_key: dict[str, list[Unpriced]] = defaultdict(list)
        for one in self.comparisons:
            for each in one.unpriced:
                by_key[each.metric_key].append(each)
        return [(_added(by_key[key]), len(by_key[key])) for key in sorted(by_key)]

    def sorted_by_difference(self) -> list[Comparison]:
        """Who would have paid most more first, who would have saved most last."""
        return sorted(self.comparisons, key=lambda one: (-one.amounts.difference, one.account.pk))


def accounts_on_plans(
    accounts: QuerySet[BillingAccount], *, plan: Plan, days: Days, on_plan: str | None = None
) -> QuerySet[BillingAccount]:
    """Those of `accounts` that `plan` could be for and that were on a plan within the days, or a day around
    them; with `on_plan`, on a version of that one. In the order of ids."""
    day = dt.timedelta(days=1)
    first = dt.datetime.combine(days.first_on, dt.time(), dt.UTC) - day
    last = dt.datetime.combine(days.until_on, dt.time(), dt.UTC) + day
    subscriptions = (
        Subscription.objects.lasting()
        .filter(Q(effective_until=None) | Q(effective_until__gt=first), effective_from__lt=last)
        .filter(Q(trial_until=None) | Q(trial_until__lt=last))
    )
    if on_plan is not None:
        subscriptions = subscriptions.filter(plan__key=on_plan)
    accounts = accounts.filter(currency=plan.currency, pk__in=subscriptions.values("account"))
    if plan.project is not None:
        accounts = accounts.filter(project__path__startswith=plan.project.path)
    return accounts.select_related("project").order_by("pk")


def what_if(
    plan: Plan,
    accounts: Sequence[BillingAccount],
    *,
    days: Days,
    now: dt.datetime,
    position: int,
    on_progress: OnProgress | None = None,
) -> WhatIf:
    """What each account would have paid on `plan`, which may be a draft, beside what its plans in force cost.

    `position` is a final position of the ledger. Raises `Invalid` for days that are none, too many or yet to
    come, for a plan without prices, and for accounts that the plan can't be for: those of another currency,
    and those that don't see it.
    """
    ensure_days(days, now=now)
    _ensure_fitting(plan, accounts)
    prices = list(plan.prices.select_related("metric").order_by("position"))
    if not prices:
        raise Invalid("The plan has no prices.", field="plan")
    comparisons: list[Comparison] = []
    for start in range(0, len(accounts), CHUNK):
        chunk = accounts[start : start + CHUNK]
        comparisons += _compared(chunk, plan, prices, days=days, position=position)
        if on_progress is not None:
            on_progress(start + len(chunk), len(accounts))
    return WhatIf(plan, days, position, comparisons, len(accounts) - len(comparisons))


def ensure_days(days: Days, *, now: dt.datetime) -> None:
    """Raises `Invalid` that names `from` or `until`."""
    if days.first_on.year < 1971:
        raise Invalid("Must not lie before 1971.", field="from")
    if days.until_on <= days.first_on:
        raise Invalid("Must be after the first day.", field="until")
    if days.until_on > now.date():
        raise Invalid(
            "Lies in the future; only usage of days that are over can be rated anew.", field="until"
        )
    if (days.until_on - days.first_on).days > MAX_DAYS:
        raise Invalid("At most {most} days.", most=MAX_DAYS, field="until")


def _ensure_fitting(plan: Plan, accounts: Sequence[BillingAccount]) -> None:
    foreign = [one for one in accounts if one.currency != plan.currency]
    if foreign:
        raise Invalid(
            "The plan '{key}' is in {currency}; of another currency: {foreign}.",
            key=plan.key,
            currency=plan.currency,
            foreign=_named(foreign),
            field="accounts",
            code="wrong_currency",
        )
    unseeing = [one for one in accounts if not plan.is_seen_from(one.project.path)]
    if unseeing:
        raise Invalid(
            "The plan '{key}' isn't for these accounts: {unseeing}.",
            key=plan.key,
            unseeing=_named(unseeing),
            field="accounts",
        )


def _named(accounts: Sequence[BillingAccount]) -> str:
    names = [f"{one.legal_name} ({one.pk}, {one.currency})" for one in accounts[:NAMED_AT_MOST]]
    more = len(accounts) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _compared(
    accounts: Sequence[BillingAccount], plan: Plan, prices: Sequence[Price], *, days: Days, position: int
) -> Iterator[Comparison]:
    """A chunk of accounts, in as many statements as there are prices and intervals."""
    subscriptions = _subscriptions_of(accounts)
    found = [
        (
            account,
            _charges(account, services_in_force(account, subscriptions[account.pk], days)),
            _charges(account, services_on(plan, prices, account, subscriptions[account.pk], days)),
        )
        for account in accounts
    ]
    unpriced = {
        account.pk: list(_unpriced_asks(current, hypothetical, prices))
        for account, current, hypothetical in found
    }
    asks = [ask for _account, *sides in found for side in sides for _priced, ask in side if ask is not None]
    asks += [ask for of_account in unpriced.values() for _metric, ask in of_account]
    usage = measured(asks, position=position)
    for account, current, hypothetical in found:
        if current:
            yield _comparison(account, current, hypothetical, unpriced[account.pk], usage, position=position)


Charge = tuple[PricedPeriod, UsageAsk | None]


def _subscriptions_of(accounts: Sequence[BillingAccount]) -> dict[int, list[Subscription]]:
    prices = Price.objects.select_related("metric").order_by("position")
    found: dict[int, list[Subscription]] = defaultdict(list)
    for subscription in (
        Subscription.objects.lasting()
        .filter(account__in=[account.pk for account in accounts])
        .select_related("plan")
        .prefetch_related("cycles", Prefetch("plan__prices", queryset=prices))
        .order_by("effective_from", "id")
    ):
        found[subscription.account_id].append(subscription)
    return found


def _charges(account: BillingAccount, services: Sequence[Service]) -> list[Charge]:
    """Each price over each period, with the question that is asked about its usage."""
    charges: list[Charge] = []
    for service in services:
        for period in service.periods:
            for price in service.prices:
                priced = PricedPeriod(service.subscription, price, period, account.project_id)
                charges.append((priced, None if price.is_fixed else ask_of(priced, service.prices)))
    return charges


def _unpriced_asks(
    current: Sequence[Charge], hypothetical: Sequence[Charge], prices: Sequence[Price]
) -> Iterator[tuple[MetricDefinition, UsageAsk]]:
    """Of each metric that is billed now, what no price of the other plan takes."""
    metrics = {priced.price.metric_id: priced.price.metric for priced, ask in current if ask is not None}
    periods = {(priced.period.start, priced.period.end, priced.payer_id): None for priced, _ in hypothetical}
    for metric_id, metric in sorted(metrics.items(), key=lambda item: item[0] or 0):
        assert metric_id is not None
        assert metric is not None
        rivals = [price for price in prices if price.metric_id == metric_id]
        if any(rival.is_default for rival in rivals):
            continue
        excluding = tuple(match_text(rival.label_match) for rival in rivals)
        for start, end, payer_id in periods:
            yield metric, UsageAsk(metric_id, payer_id, start, end, excluding=excluding)


def _comparison(
    account: BillingAccount,
    current: Sequence[Charge],
    hypothetical: Sequence[Charge],
    unpriced: Sequence[tuple[MetricDefinition, UsageAsk]],
    usage: dict[UsageAsk, Measured],
    *,
    position: int,
) -> Comparison:
    now = _amounts_by_subject(current, usage, position=position)
    then = _amounts_by_subject(hypothetical, usage, position=position)
    by_subject = {
        subject: Amounts(now.get(subject, ZERO), then.get(subject, ZERO)) for subject in sorted({*now, *then})
    }
    plans = dict.fromkeys(priced.subscription.plan.name for priced, _ask in current)
    left_out: dict[str, list[Unpriced]] = defaultdict(list)
    for metric, ask in unpriced:
        found = usage[ask]
        if found.event_count:
            quantity = found.quantity if metric.aggregation in ADDING else None
            left_out[metric.key].append(Unpriced(metric.key, metric.unit, found.event_count, quantity))
    return Comparison(
        account=account,
        plans=tuple(plans),
        amounts=_sum(by_subject.values()),
        by_subject=by_subject,
        unpriced=tuple(_added(left_out[key]) for key in sorted(left_out)),
        is_prorated=any(priced.period.is_partial for priced, _ask in (*current, *hypothetical)),
    )


def _amounts_by_subject(
    charges: Sequence[Charge], usage: dict[UsageAsk, Measured], *, position: int
) -> dict[Subject, Decimal]:
    found: dict[Subject, Decimal] = {}
    for priced, ask in charges:
        lines = fee_lines(priced) if ask is None else usage_lines(priced, ask, usage[ask], position=position)
        if lines:
            subject = _subject_of(lines[0])
            found[subject] = EXACT.add(found.get(subject, ZERO), total(line.amount for line in lines))
    return found


def _subject_of(line: InvoiceLine) -> Subject:
    return Subject("fee", line.name) if line.kind in FEES else Subject("usage", line.metric_key)


def _added(found: Sequence[Unpriced]) -> Unpriced:
    """Of one metric, over periods or accounts."""
    quantities = [one.quantity for one in found if one.quantity is not None]
    return Unpriced(
        found[0].metric_key,
        found[0].unit,
        sum(one.event_count for one in found),
        total(quantities) if len(quantities) == len(found) else None,
    )


def _sum(parts: Any) -> Amounts:
    whole = NOTHING
    for part in parts:
        whole = whole.plus(part)
    return whole
