"""Who is on which plan in a past interval, and who would be had it been another one. Reads; writes nothing.

Service is cut to the interval as it is where it begins or ends: fees, minimum, maximum and what is included
count by days. What lies in a trial is left out, for nothing is charged for it under any plan.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from billing.models import BillingAccount, BillingCycle, Plan, Price, Subscription
from billing.periods import BillingPeriod, Cycle, Term, calendar_anchor, periods_of
from billing.selling.billing_cycles import cycles_of
from metering.measuring.windows import first_instant, zone_named


@dataclass(frozen=True, slots=True)
class Days:
    """An interval in local days, half-open: it begins and ends at the midnights of each account's zone."""

    first_on: dt.date
    until_on: dt.date

    def instants_of(self, account: BillingAccount) -> tuple[dt.datetime, dt.datetime]:
        zone = zone_named(account.timezone)
        return first_instant(self.first_on, zone), first_instant(self.until_on, zone)


@dataclass(frozen=True, slots=True)
class Service:
    """An account on a plan over some billing periods. The subscription may be one that no row stands for."""

    subscription: Subscription
    prices: Sequence[Price]
    periods: Sequence[BillingPeriod]


def services_in_force(
    account: BillingAccount, subscriptions: Sequence[Subscription], days: Days
) -> list[Service]:
    """What the account is charged for within the days, by subscription. Needs `plan__prices` and `cycles`."""
    return [
        Service(subscription, list(subscription.plan.prices.all()), _periods(cycles_of(subscription), term))
        for subscription, term in _charged_terms(account, subscriptions, days)
    ]


def services_on(
    plan: Plan,
    prices: Sequence[Price],
    account: BillingAccount,
    subscriptions: Sequence[Subscription],
    days: Days,
) -> list[Service]:
    """The same had the account been on `plan` whenever it was on any plan; one service for each stretch."""
    found = []
    for term, within in _stretches(_charged_terms(account, subscriptions, days)):
        subscription = Subscription(
            account=account,
            plan=plan,
            currency=plan.currency,
            effective_from=term.start,
            effective_until=term.end,
        )
        found.append(Service(subscription, prices, _periods(_cycles_on(plan, within), term)))
    return found


def _charged_terms(
    account: BillingAccount, subscriptions: Sequence[Subscription], days: Days
) -> Iterator[tuple[Subscription, Term]]:
    """In order of time; those that charge nothing within the days are absent."""
    first, last = days.instants_of(account)
    for subscription in sorted(subscriptions, key=lambda one: one.billable_from):
        start = max(first, subscription.billable_from)
        end = last if subscription.effective_until is None else min(last, subscription.effective_until)
        if start < end:
            yield subscription, Term(start, end)


def _stretches(
    charged: Iterator[tuple[Subscription, Term]],
) -> list[tuple[Term, list[Subscription]]]:
    """Terms that touch or overlap as one, with the subscriptions in it."""
    found: list[tuple[Term, list[Subscription]]] = []
    for subscription, term in charged:
        assert term.end is not None
        if found and found[-1][0].end is not None and term.start <= found[-1][0].end:
            before, within = found[-1]
            assert before.end is not None
            found[-1] = (Term(before.start, max(before.end, term.end)), [*within, subscription])
        else:
            found.append((term, [subscription]))
    return found


def _cycles_on(plan: Plan, subscriptions: Sequence[Subscription]) -> list[Cycle]:
    """The days on which periods of the plan begin: those of the subscription, where its plan has the same
    interval; else the plan's own, counted from the calendar or the day that the subscription counts from."""
    alike = [one for one in subscriptions if _rhythm(one.plan) == _rhythm(plan)]
    if alike:
        return cycles_of(alike[-1])
    rows = sorted(subscriptions[-1].cycles.all(), key=lambda row: (row.after is not None, row.after))
    row = rows[-1]
    by_calendar = row.anchor == BillingCycle.Anchor.CALENDAR
    anchor_on = calendar_anchor(plan.interval) if by_calendar else row.anchor_on
    return [Cycle(anchor_on, plan.interval, plan.interval_count, zone_named(row.timezone))]


def _rhythm(plan: Plan) -> tuple[str, int]:
    return plan.interval, plan.interval_count


def _periods(cycles: Sequence[Cycle], term: Term) -> list[BillingPeriod]:
    assert term.end is not None
    return list(periods_of(cycles, term, until=term.end))
