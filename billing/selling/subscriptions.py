"""Subscribing accounts to plans, changing their plan, and ending it. The only writers of subscriptions.

Each verb takes the account's row first, so that the subscriptions of an account change one after the other.
"""

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction

from billing.errors import (
    ChangeScheduledAlready,
    NotInForce,
    PlanNotForSale,
    UsageTakenAlready,
    WrongCurrency,
)
from billing.models import BillingAccount, BillingCycle, Plan, Price, Subscription, SubscriptionItem
from billing.periods import calendar_anchor
from metering.errors import Conflict, Invalid, Moment, NotFound
from metering.measuring.windows import zone_named
from metering.texts.timestamps import EARLIEST

from .accounts import held_account
from .billing_cycles import move_cycles, period_at
from .plans import constraint_of

TAKEN_ONCE = "usage_taken_once"
LATEST = dt.datetime(9000, 1, 1, tzinfo=dt.UTC)


def subscribe(
    account: BillingAccount,
    *,
    plan: Plan,
    effective_from: dt.datetime,
    effective_until: dt.datetime | None = None,
    anchor: str = BillingCycle.Anchor.CALENDAR,
    anchor_on: dt.date | None = None,
    trial_until: dt.datetime | None = None,
) -> Subscription:
    """Put an account on a published plan, from any instant on, also a past one.

    Periods follow the calendar of the account's zone, or count from `anchor_on`, which is the day on which
    charging begins unless another is given. Raises `Invalid` for intervals that are empty and a day that the
    calendar doesn't take, `NotFound` for a plan that the account's project doesn't see, `PlanNotForSale`,
    `WrongCurrency`, and `UsageTakenAlready` where another subscription takes the same metric's usage.
    """
    _ensure_instants(effective_from, effective_until, trial_until)
    if anchor not in BillingCycle.Anchor.values:
        raise Invalid("Must be one of {known}.", known=", ".join(BillingCycle.Anchor.values), field="anchor")
    if anchor == BillingCycle.Anchor.CALENDAR and anchor_on is not None:
        raise Invalid("The calendar has its own days; an anniversary counts from one.", field="anchor_on")
    with transaction.atomic():
        held = held_account(account.pk, is_changing=True)
        plan = _sold(plan, held)
        zone = zone_named(held.timezone)
        subscription = _begun(
            held,
            plan,
            effective_from=effective_from,
            effective_until=effective_until,
            trial_until=trial_until,
        )
        BillingCycle.objects.create(
            subscription=subscription,
            anchor=anchor,
            anchor_on=_anchor_day(
                anchor, anchor_on, plan=plan, zone=zone, instant=trial_until or effective_from
            ),
            timezone=held.timezone,
        )
    return _fresh(subscription)


def change_plan(
    subscription: Subscription, *, plan: Plan, now: dt.datetime, at: dt.datetime | None = None
) -> Subscription:
    """Put the account on another plan at the instant `at`, or at the end of the period that holds `now`.

    The subscription ends there and the one that is returned begins: same account, same trial, same end, same
    days on which periods begin. A plan with another interval begins its periods anew at that instant. Raises
    what `subscribe` does, `NotInForce`, `ChangeScheduledAlready`, and `Conflict` for the same plan version.
    """
    with transaction.atomic():
        held = held_account(subscription.account_id, is_changing=True)
        stored = _stored(subscription)
        _ensure_open(stored)
        instant = _instant(stored, at=at, now=now)
        if plan.pk == stored.plan_id:
            raise Conflict("The subscription is on this version of the plan already.", field="plan")
        plan = _sold(plan, held)
        trial_until = stored.trial_until if stored.trial_until and stored.trial_until > instant else None
        until = stored.effective_until
        _end(stored, instant)
        successor = _begun(
            held,
            plan,
            effective_from=instant,
            effective_until=until,
            trial_until=trial_until,
            replaces=stored,
        )
        if restarts_cycle(stored.plan, plan):
            BillingCycle.objects.create(
                subscription=successor,
                anchor=BillingCycle.Anchor.ANNIVERSARY,
                anchor_on=(trial_until or instant).astimezone(zone_named(held.timezone)).date(),
                timezone=held.timezone,
            )
        else:
            for cycle in stored.cycles.all():
                cycle.pk, cycle.subscription = None, successor
                cycle.save(force_insert=True)
    return _fresh(successor)


def withdraw_change(subscription: Subscription, *, now: dt.datetime) -> Subscription:
    """Take back a change of plan that lies ahead: the subscription goes on as if it hadn't been scheduled.

    Raises `Conflict` where none lies ahead.
    """
    with transaction.atomic():
        held_account(subscription.account_id, is_changing=True)
        stored = _stored(subscription)
        successor = successor_of(stored)
        if successor is None or successor.effective_from <= now:
            raise Conflict("No change of plan lies ahead.")
        until = successor.effective_until
        _take_back(successor, now=now)
        _end(stored, until)
    return _fresh(stored)


def cancel(subscription: Subscription, *, now: dt.datetime, at: dt.datetime | None = None) -> Subscription:
    """End a subscription at the instant `at`, or at the end of the period that holds `now`.

    One that hasn't begun by then never does. A change of plan that lies ahead is taken back with it. Raises
    `NotInForce` where it ends no later anyway.
    """
    with transaction.atomic():
        held_account(subscription.account_id, is_changing=True)
        stored = _stored(subscription)
        successor = successor_of(stored)
        if successor is not None:
            if successor.effective_from <= now:
                raise NotInForce(stored, at=at or now)
            stored.effective_until = successor.effective_until
            _take_back(successor, now=now)
        instant = max(_instant(stored, at=at, now=now), stored.effective_from)
        _end(stored, instant)
        Subscription.objects.filter(pk=stored.pk).update(cancelled_at=now)
    return _fresh(stored)


def withdraw_cancellation(subscription: Subscription, *, now: dt.datetime) -> Subscription:
    """Let a cancelled subscription whose end lies ahead go on until further notice.

    Raises `Conflict` where it wasn't cancelled, `NotInForce` once it has ended, and `UsageTakenAlready` where
    another subscription was to take over.
    """
    with transaction.atomic():
        held_account(subscription.account_id, is_changing=True)
        stored = _stored(subscription)
        if stored.cancelled_at is None:
            raise Conflict("The subscription isn't cancelled.")
        if stored.is_empty or (stored.effective_until is not None and stored.effective_until <= now):
            raise NotInForce(stored, at=now)
        _end(stored, None)
        Subscription.objects.filter(pk=stored.pk).update(cancelled_at=None)
    return _fresh(stored)


def move_anchor(
    subscription: Subscription, *, anchor: str, now: dt.datetime, anchor_on: dt.date | None = None
) -> Subscription:
    """Begin periods on other days, from the first boundary after `now` on.

    Raises `Invalid`, and `NotInForce` for one that has ended.
    """
    if anchor not in BillingCycle.Anchor.values:
        raise Invalid("Must be one of {known}.", known=", ".join(BillingCycle.Anchor.values), field="anchor")
    if anchor == BillingCycle.Anchor.CALENDAR and anchor_on is not None:
        raise Invalid("The calendar has its own days; an anniversary counts from one.", field="anchor_on")
    if anchor == BillingCycle.Anchor.ANNIVERSARY and anchor_on is None:
        raise Invalid("Name the day that periods count from.", field="anchor_on", code="missing_field")
    with transaction.atomic():
        account = held_account(subscription.account_id, is_changing=True)
        stored = _stored(subscription)
        if stored.is_empty or (stored.effective_until is not None and stored.effective_until <= now):
            raise NotInForce(stored, at=now)
        moved = [stored]
        successor = successor_of(stored)
        if successor is not None and not restarts_cycle(stored.plan, successor.plan):
            moved.append(successor)
        day = _anchor_day(anchor, anchor_on, plan=stored.plan, zone=zone_named(account.timezone), instant=now)
        for each in moved:
            move_cycles(each, at=now, anchor=anchor, anchor_on=day)
    return _fresh(stored)


def restarts_cycle(old: Plan, new: Plan) -> bool:
    """Whether a change of plan begins the periods anew, because they are of another length."""
    return (old.interval, old.interval_count) != (new.interval, new.interval_count)


def successor_of(subscription: Subscription) -> Subscription | None:
    """The subscription that takes its place, or will."""
    return subscription.replacements.lasting().select_related("plan").first()


def _sold(plan: Plan, account: BillingAccount) -> Plan:
    """The plan as it is stored, held against being archived meanwhile, if the account may be on it."""
    stored = (
        Plan.objects.select_for_update(no_key=True, of=("self",))
        .select_related("project")
        .filter(pk=plan.pk)
        .first()
    )
    if stored is None or not stored.is_seen_from(account.project.path):
        raise NotFound("Project '{project}' sees no plan '{key}'.", project=account.project.key, key=plan.key)
    if not stored.is_published:
        raise PlanNotForSale(stored)
    if stored.currency != account.currency:
        raise WrongCurrency(plan=stored, account_currency=account.currency)
    return stored


def _begun(
    account: BillingAccount,
    plan: Plan,
    *,
    effective_from: dt.datetime,
    effective_until: dt.datetime | None,
    trial_until: dt.datetime | None,
    replaces: Subscription | None = None,
) -> Subscription:
    """The row of a subscription and of what it takes. Raises `UsageTakenAlready`."""
    subscription = Subscription.objects.create(
        account=account,
        plan=plan,
        currency=plan.currency,
        effective_from=effective_from,
        effective_until=effective_until,
        trial_until=trial_until,
        replaces=replaces,
    )
    subscription.refresh_from_db(fields=["during"])
    metric_ids = (
        Price.objects.filter(plan=plan, kind=Price.Kind.USAGE)
        .order_by("metric_id")
        .values_list("metric_id", flat=True)
        .distinct()
    )
    _taken_once(
        subscription,
        lambda: SubscriptionItem.objects.bulk_create(
            SubscriptionItem(
                subscription=subscription,
                account=account,
                metric_id=metric_id,
                during=subscription.during,
            )
            for metric_id in metric_ids
        ),
    )
    return subscription


def _end(subscription: Subscription, until: dt.datetime | None) -> None:
    """Let it end at another instant; its items follow by their foreign key. Raises `UsageTakenAlready`."""
    subscription.effective_until = until
    _taken_once(
        subscription,
        lambda: Subscription.objects.filter(pk=subscription.pk).update(effective_until=until),
    )


def _take_back(subscription: Subscription, *, now: dt.datetime) -> None:
    """Leave one that never begins on record, with an interval that holds nothing."""
    Subscription.objects.filter(pk=subscription.pk).update(
        effective_until=subscription.effective_from, cancelled_at=now
    )


def _taken_once(subscription: Subscription, write: Callable[[], object]) -> None:
    try:
        with transaction.atomic():
            write()
    except IntegrityError as error:
        if constraint_of(error) != TAKEN_ONCE:
            raise
        raise _who_takes(subscription) from None


def _who_takes(subscription: Subscription) -> Conflict:
    """The refusal that names what of the subscription's usage belongs to another, and to which."""
    metric_ids = Price.objects.filter(plan_id=subscription.plan_id, kind=Price.Kind.USAGE).values("metric_id")
    others = (
        Subscription.objects.lasting().filter(account_id=subscription.account_id).exclude(pk=subscription.pk)
    )
    if subscription.effective_until is not None:
        others = others.filter(effective_from__lt=subscription.effective_until)
    item = (
        SubscriptionItem.objects.select_related("metric", "subscription__plan")
        .filter(subscription__in=others, metric_id__in=metric_ids)
        .exclude(subscription__effective_until__lte=subscription.effective_from)
        .order_by("subscription_id", "metric_id")
        .first()
    )
    if item is None:
        return Conflict("Another subscription takes the same usage.", field="plan")
    return UsageTakenAlready(metric_key=item.metric.key, other=item.subscription)


def _instant(subscription: Subscription, *, at: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    """`at`, or the end of the period that holds `now`. Raises `NotInForce` once it has ended by then.

    One that hasn't begun has no period yet; its end is its beginning.
    """
    if subscription.is_empty:
        raise NotInForce(subscription, at=at or now)
    if at is None:
        if now < subscription.effective_from:
            return subscription.effective_from
        period = period_at(subscription, now)
        if period is None:
            raise NotInForce(subscription, at=now)
        at = period.end
        if subscription.effective_until is not None and at >= subscription.effective_until:
            raise NotInForce(subscription, at=at)
        return at
    if at < subscription.effective_from:
        raise Invalid(
            "The subscription begins only at {effective_from}.",
            effective_from=Moment(subscription.effective_from),
            field="at",
        )
    if subscription.effective_until is not None and at >= subscription.effective_until:
        raise NotInForce(subscription, at=at)
    if at >= LATEST:
        raise Invalid("Lies too far ahead.", field="at")
    return at


def _ensure_open(subscription: Subscription) -> None:
    successor = successor_of(subscription)
    if successor is not None:
        raise ChangeScheduledAlready(successor)


def _stored(subscription: Subscription) -> Subscription:
    """As it is now that the account is held."""
    return Subscription.objects.select_related("plan", "account").get(pk=subscription.pk)


def _fresh(subscription: Subscription) -> Subscription:
    return Subscription.objects.select_related("plan__project", "account__project").get(pk=subscription.pk)


def _anchor_day(
    anchor: str, day: dt.date | None, *, plan: Plan, zone: ZoneInfo, instant: dt.datetime
) -> dt.date:
    if anchor == BillingCycle.Anchor.CALENDAR:
        return calendar_anchor(plan.interval)
    day = day or instant.astimezone(zone).date()
    if not EARLIEST.year <= day.year < LATEST.year:
        raise Invalid(
            "Must lie between {earliest} and {latest}.",
            earliest=EARLIEST.year,
            latest=LATEST.year,
            field="anchor_on",
        )
    return day


def _ensure_instants(start: dt.datetime, end: dt.datetime | None, trial_until: dt.datetime | None) -> None:
    for field, instant in (
        ("effective_from", start),
        ("effective_until", end),
        ("trial_until", trial_until),
    ):
        if instant is not None and not EARLIEST <= instant < LATEST:
            raise Invalid(
                "Must lie between {earliest} and {latest}.",
                earliest=EARLIEST.year,
                latest=LATEST.year,
                field=field,
            )
    if end is not None and end <= start:
        raise Invalid("The interval is empty: it must end after it begins.", field="effective_until")
    if trial_until is not None and trial_until <= start:
        raise Invalid("A trial ends after the subscription begins.", field="trial_until")
