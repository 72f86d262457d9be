"""From stored subscriptions to their billing periods, and moving what the periods count from."""

import datetime as dt
from collections.abc import Iterator

from billing.models import BillingCycle, Subscription
from billing.periods import BillingPeriod, Cycle, Term, grid_around, period_holding, periods_of
from metering.measuring.windows import zone_named


def cycles_of(subscription: Subscription) -> list[Cycle]:
    """The lattices of a subscription, in the order of their days. Uses what was prefetched; needs `plan`."""
    rows = sorted(subscription.cycles.all(), key=lambda row: (row.after is not None, row.after))
    return [
        Cycle(
            anchor_on=row.anchor_on,
            unit=subscription.plan.interval,
            every=subscription.plan.interval_count,
            zone=zone_named(row.timezone),
            after=row.after,
        )
        for row in rows
    ]


def term_of(subscription: Subscription) -> Term:
    return Term(subscription.effective_from, subscription.effective_until, subscription.trial_until)


def period_at(subscription: Subscription, instant: dt.datetime) -> BillingPeriod | None:
    """The billing period that holds `instant`; None where the subscription isn't in force then."""
    return period_holding(instant, cycles=cycles_of(subscription), term=term_of(subscription))


def periods_until(subscription: Subscription, until: dt.datetime) -> Iterator[BillingPeriod]:
    """The billing periods that begin before `until`, in order of time."""
    return periods_of(cycles_of(subscription), term_of(subscription), until=until)


def move_cycles(
    subscription: Subscription,
    *,
    at: dt.datetime,
    timezone: str | None = None,
    anchor: str | None = None,
    anchor_on: dt.date | None = None,
) -> None:
    """Count boundaries otherwise from the first one after `at` on; what is None stays. Needs a transaction.

    A second change before that boundary replaces the first.
    """
    cycles = cycles_of(subscription)
    after = grid_around(at, cycles).days.end
    latest = max(subscription.cycles.all(), key=lambda row: (row.after is not None, row.after))
    BillingCycle.objects.update_or_create(
        subscription=subscription,
        after=after,
        defaults={
            "timezone": timezone or latest.timezone,
            "anchor": anchor or latest.anchor,
            "anchor_on": anchor_on or latest.anchor_on,
        },
    )
