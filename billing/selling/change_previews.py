"""What a subscription, a change of plan or a cancellation means for the bill, before it happens.

The change is made in a transaction that is rolled back, so a preview refuses what the verb would refuse and
sees the periods that there would be. Fees in advance are taken to have been billed and paid in full.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.models import BillingAccount, Plan, Price, Subscription
from billing.money import exact_text
from billing.periods import BillingPeriod
from billing.proration import Fee, credit_for, fee_for
from billing.rating.flat import Flat
from metering.texts.numbers import EXACT

from .billing_cycles import period_at
from .subscriptions import cancel, change_plan, restarts_cycle, subscribe


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """One amount that the change brings about: a credit is negative. `due` says when it is billed."""

    kind: str  # "credit" or "charge"
    name: str
    amount: Decimal
    days: int
    of_days: int
    due: str  # "now" or "period_end"


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """`cut` is the period that ends at `at`, `rest` the new plan's first; None where there is none."""

    at: dt.datetime
    currency: str
    cut: BillingPeriod | None
    rest: BillingPeriod | None
    restarts_cycle: bool
    lines: tuple[PreviewLine, ...]
    metrics_lost: tuple[str, ...]  # keys of metrics that no price of the account would take any more
    metrics_gained: tuple[str, ...]

    @property
    def due_now(self) -> Decimal:
        total = Decimal(0)
        for line in self.lines:
            if line.due == "now":
                total = EXACT.add(total, line.amount)
        return total


@dataclass(frozen=True, slots=True)
class BeginningPreview:
    """A subscription as it would begin: its first period, the one that runs, and the fees of the first."""

    at: dt.datetime
    currency: str
    first: BillingPeriod | None
    running: BillingPeriod | None
    lines: tuple[PreviewLine, ...]


def preview_of_beginning(
    account: BillingAccount, *, plan: Plan, effective_from: dt.datetime, now: dt.datetime, **terms: Any
) -> BeginningPreview:
    """What `subscribe` would begin with the same arguments. Raises what it raises; changes nothing."""
    with transaction.atomic():
        new = subscribe(account, plan=plan, effective_from=effective_from, **terms)
        begun = _stored(new)
        first = period_at(begun, begun.effective_from)
        preview = BeginningPreview(
            at=begun.effective_from,
            currency=begun.currency,
            first=first,
            running=period_at(begun, now),
            lines=tuple(_charges(begun, first)),
        )
        transaction.set_rollback(True)
    return preview


def preview_of_change(
    subscription: Subscription, *, plan: Plan, now: dt.datetime, at: dt.datetime | None = None
) -> ChangePreview:
    """What `change_plan` would do with the same arguments. Raises what it raises; changes nothing."""
    with transaction.atomic():
        planned = _stored(subscription)
        successor = change_plan(subscription, plan=plan, now=now, at=at)
        old = _stored(subscription)
        preview = _preview(old, successor, at=successor.effective_from, planned=planned)
        transaction.set_rollback(True)
    return preview


def preview_of_cancellation(
    subscription: Subscription, *, now: dt.datetime, at: dt.datetime | None = None
) -> ChangePreview:
    """What `cancel` would do with the same arguments. Raises what it raises; changes nothing."""
    with transaction.atomic():
        planned = _stored(subscription)
        ended = cancel(subscription, now=now, at=at)
        assert ended.effective_until is not None
        preview = _preview(ended, None, at=ended.effective_until, planned=planned)
        transaction.set_rollback(True)
    return preview


def _stored(subscription: Subscription) -> Subscription:
    return Subscription.objects.select_related("plan").get(pk=subscription.pk)


def _preview(
    old: Subscription, new: Subscription | None, *, at: dt.datetime, planned: Subscription
) -> ChangePreview:
    """`old` as it would end, `new` as it would begin, `planned` as the old one is stored."""
    just_before = at - dt.timedelta(microseconds=1)
    whole = period_at(planned, just_before)
    cut = period_at(old, just_before)
    rest = None if new is None else period_at(new, at)
    restarts = new is not None and restarts_cycle(old.plan, new.plan)
    lines = [*_credits(old, cut, whole), *(_charges(new, rest) if new is not None else ())]
    before, after = _metrics(old.plan), _metrics(new.plan) if new is not None else set()
    return ChangePreview(
        at=at,
        currency=old.currency,
        cut=cut,
        rest=rest,
        restarts_cycle=restarts,
        lines=tuple(lines),
        metrics_lost=tuple(sorted(before - after)),
        metrics_gained=tuple(sorted(after - before)),
    )


def _credits(
    old: Subscription, cut: BillingPeriod | None, whole: BillingPeriod | None
) -> Iterator[PreviewLine]:
    """What the old plan's fees give back for the days that are cut off, and what those in arrears come to."""
    if cut is None or whole is None or cut.is_trial:
        return
    unused = whole.service.since(cut.service.end)
    for price, fee in _fees(old.plan):
        if price.charged == Price.Charged.ARREARS:
            amount = fee_for(cut.service, fee=fee, period=cut.full, currency=old.currency)
            yield PreviewLine("charge", price.name, amount, cut.service.count, cut.full.count, "now")
        elif unused.count:
            paid = fee_for(whole.service, fee=fee, period=whole.full, currency=old.currency)
            amount = credit_for(unused, fee=fee, period=whole.full, currency=old.currency, paid=paid)
            yield PreviewLine("credit", price.name, amount, unused.count, whole.full.count, "now")


def _charges(new: Subscription, rest: BillingPeriod | None) -> Iterator[PreviewLine]:
    """The new plan's fees for its first period."""
    if rest is None or rest.is_trial:
        return
    for price, fee in _fees(new.plan):
        amount = fee_for(rest.service, fee=fee, period=rest.full, currency=new.currency)
        due = "now" if price.charged == Price.Charged.ADVANCE else "period_end"
        yield PreviewLine("charge", price.name, amount, rest.service.count, rest.full.count, due)


def _fees(plan: Plan) -> Iterator[tuple[Price, Fee]]:
    for price in plan.prices.filter(kind=Price.Kind.FIXED):
        parsed = price.parsed
        assert isinstance(parsed.model, Flat)
        yield (
            price,
            Fee(Decimal(exact_text(parsed.model.amount)), Decimal(exact_text(parsed.discount_percent))),
        )


def _metrics(plan: Plan) -> set[str]:
    return set(plan.prices.filter(kind=Price.Kind.USAGE).values_list("metric__key", flat=True))
