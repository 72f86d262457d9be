import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, transaction

from billing.errors import (
    ChangeScheduledAlready,
    NotInForce,
    PlanNotForSale,
    UsageTakenAlready,
    WrongCurrency,
)
from billing.models import BillingAccount, Subscription, SubscriptionItem
from billing.selling.accounts import change_account
from billing.selling.billing_cycles import periods_until
from billing.selling.plans import archive_plan
from billing.selling.subscriptions import (
    cancel,
    change_plan,
    move_anchor,
    subscribe,
    withdraw_cancellation,
    withdraw_change,
)
from metering.errors import Conflict, Invalid, NotFound
from tests.billing.factories import MARCH, a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

MID_MARCH = at("2026-03-16T12:00:00Z")
APRIL = at("2026-04-01T00:00:00Z")


def days(subscription: Subscription, until: str) -> list[tuple[str, str]]:
    """First and last local day of the periods before `until`; the last one isn't included."""
    return [
        (f"{period.service.start}", f"{period.service.end}")
        for period in periods_until(subscription, at(until))
    ]


@contextmanager
def held_at_once(constraint: str) -> Iterator[None]:
    """What is written in the block is refused by a constraint that usually waits for the commit."""
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():  # noqa: PT012
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_subscription_takes_the_usage_of_its_metrics():
    tokens, calls = a_metric("tokens"), a_metric("calls")
    account = an_account(a_project("acme"))
    eu = a_usage_price(tokens, label_match={"region": "eu"})
    plan = a_plan(a_fee(), eu, a_usage_price(tokens), a_usage_price(calls))

    subscription = a_subscription(account, plan)

    items = SubscriptionItem.objects.order_by("metric__key")
    assert [(item.metric.key, item.during.lower, item.during.upper) for item in items] == [
        ("calls", MARCH, None),
        ("tokens", MARCH, None),
    ]
    assert subscription.currency == "EUR"


def test_usage_of_a_metric_belongs_to_one_subscription_at_an_instant():
    tokens = a_metric("tokens")
    account, other = an_account(a_project("acme")), an_account(a_project("globex"))
    plan, rival = a_plan(a_usage_price(tokens)), a_plan(a_usage_price(tokens))
    first = a_subscription(account, plan, effective_until=APRIL)

    with pytest.raises(UsageTakenAlready, match=f"'tokens' belongs to the subscription {first.pk}"):
        a_subscription(account, rival, effective_from=APRIL - dt.timedelta(microseconds=1))
    assert Subscription.objects.count() == 1

    a_subscription(account, rival, effective_from=APRIL)
    a_subscription(other, rival)
    assert Subscription.objects.count() == 3


def test_items_can_not_leave_their_subscription():
    subscription = a_subscription(an_account(a_project("acme")), a_plan(a_usage_price(a_metric())))

    with held_at_once("item_lasts_as_its_subscription"):
        SubscriptionItem.objects.update(during=(MARCH, APRIL))

    assert subscription.items.get().during.upper is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"effective_until": MARCH}, "effective_until"),
        ({"trial_until": MARCH}, "trial_until"),
        ({"anchor": "moon"}, "anchor"),
        ({"anchor_on": dt.date(2026, 3, 1)}, "anchor_on"),
        ({"anchor": "anniversary", "anchor_on": dt.date(1, 1, 1)}, "anchor_on"),
        ({"effective_until": dt.datetime(9500, 1, 1, tzinfo=dt.UTC)}, "effective_until"),
    ],
)
def test_subscription_that_makes_no_sense_is_refused_with_its_field(wrong, field):
    account, plan = an_account(a_project("acme")), a_plan()

    with pytest.raises(Invalid) as refusal:
        a_subscription(account, plan, **wrong)

    assert refusal.value.field == field
    assert not Subscription.objects.exists()


def test_only_what_is_published_visible_and_in_the_currency_is_subscribed_to():
    tenant = a_project("tenant")
    account = an_account(a_project("acme", parent=tenant))
    theirs = a_plan(project=a_project("globex", parent=tenant))
    archived = archive_plan(a_plan())

    for plan, refusal in (
        (a_draft(), PlanNotForSale),
        (archived, PlanNotForSale),
        (a_plan(currency="USD"), WrongCurrency),
        (theirs, NotFound),
    ):
        with pytest.raises(refusal):
            a_subscription(account, plan)
    assert not Subscription.objects.exists()

    a_subscription(account, a_plan(project=tenant))
    a_subscription(account, a_plan())
    assert Subscription.objects.count() == 2


def test_currency_is_held_by_the_database():
    account, plan = an_account(a_project("acme")), a_plan()
    a_subscription(account, plan)

    with pytest.raises(Conflict, match="keeps its currency") as refusal:
        change_account(account, {"currency": "USD"}, now=MARCH)
    assert refusal.value.field == "currency"

    with held_at_once("subscription_in_currency_of_account"):
        BillingAccount.objects.update(currency="USD")


def test_change_now_ends_one_and_begins_another():
    tokens = a_metric("tokens")
    account = an_account(a_project("acme"))
    old = a_subscription(account, a_plan(a_usage_price(tokens)))
    plan = a_plan(a_usage_price(tokens), a_fee())

    new = change_plan(old, plan=plan, at=MID_MARCH, now=MID_MARCH)

    old.refresh_from_db()
    assert (old.effective_until, new.effective_from, new.effective_until) == (MID_MARCH, MID_MARCH, None)
    assert new.replaces == old
    assert [
        (item.subscription_id, item.during.lower, item.during.upper)
        for item in SubscriptionItem.objects.all()
    ] == [
        (old.pk, MARCH, MID_MARCH),
        (new.pk, MID_MARCH, None),
    ]
    assert days(old, "2026-06-01T00:00:00Z") == [("2026-03-01", "2026-03-16")]
    assert days(new, "2026-05-01T00:00:00Z") == [("2026-03-16", "2026-04-01"), ("2026-04-01", "2026-05-01")]


def test_change_at_period_end_is_scheduled_and_can_be_taken_back():
    account = an_account(a_project("acme"))
    old = a_subscription(account, a_plan())
    plan, third = a_plan(), a_plan()

    new = change_plan(old, plan=plan, now=MID_MARCH)
    old.refresh_from_db()
    assert (old.effective_until, new.effective_from) == (APRIL, APRIL)
    with pytest.raises(ChangeScheduledAlready):
        change_plan(old, plan=third, now=MID_MARCH)

    withdraw_change(old, now=MID_MARCH)

    old.refresh_from_db()
    new.refresh_from_db()
    assert old.effective_until is None
    assert new.is_empty
    assert new.cancelled_at == MID_MARCH
    with pytest.raises(Conflict, match="No change of plan lies ahead"):
        withdraw_change(old, now=MID_MARCH)
    assert change_plan(old, plan=third, now=MID_MARCH).effective_from == APRIL


def test_change_of_interval_begins_periods_anew():
    account = an_account(a_project("acme"))
    old = a_subscription(account, a_plan())
    yearly = a_plan(interval="year")

    new = change_plan(old, plan=yearly, at=MID_MARCH, now=MID_MARCH)

    assert days(new, "2028-01-01T00:00:00Z") == [
        ("2026-03-16", "2027-03-16"),
        ("2027-03-16", "2028-03-16"),
    ]


def test_change_keeps_a_planned_end_and_a_running_trial():
    account = an_account(a_project("acme"))
    end, trial = at("2026-12-01T00:00:00Z"), at("2026-03-20T00:00:00Z")
    old = a_subscription(account, a_plan(), effective_until=end, trial_until=trial)

    new = change_plan(old, plan=a_plan(), at=MID_MARCH, now=MID_MARCH)

    assert (new.effective_until, new.trial_until) == (end, trial)


def test_change_to_the_same_version_or_after_the_end_is_refused():
    account, plan = an_account(a_project("acme")), a_plan()
    subscription = a_subscription(account, plan, effective_until=APRIL)

    with pytest.raises(Conflict, match="on this version of the plan already"):
        change_plan(subscription, plan=plan, at=MID_MARCH, now=MID_MARCH)
    with pytest.raises(NotInForce):
        change_plan(subscription, plan=a_plan(), at=APRIL, now=MID_MARCH)
    with pytest.raises(NotInForce):
        change_plan(subscription, plan=a_plan(), now=MID_MARCH)  # it ends with the period anyway
    with pytest.raises(Invalid) as refusal:
        change_plan(subscription, plan=a_plan(), at=MARCH - dt.timedelta(days=1), now=MID_MARCH)
    assert refusal.value.field == "at"
    assert Subscription.objects.count() == 1


def test_cancel_now_or_at_period_end_and_take_it_back():
    account = an_account(a_project("acme"))
    tokens = a_metric("tokens")
    subscription = a_subscription(account, a_plan(a_usage_price(tokens)))

    ended = cancel(subscription, now=MID_MARCH)
    assert (ended.effective_until, ended.cancelled_at) == (APRIL, MID_MARCH)
    assert SubscriptionItem.objects.get().during.upper == APRIL

    resumed = withdraw_cancellation(subscription, now=MID_MARCH)
    assert (resumed.effective_until, resumed.cancelled_at) == (None, None)

    ended = cancel(subscription, now=MID_MARCH, at=MID_MARCH)
    assert ended.effective_until == MID_MARCH
    with pytest.raises(NotInForce):
        withdraw_cancellation(subscription, now=APRIL)
    with pytest.raises(NotInForce):
        cancel(subscription, now=APRIL)


def test_cancellation_is_not_taken_back_over_another_subscription():
    account, tokens = an_account(a_project("acme")), a_metric("tokens")
    subscription = a_subscription(account, a_plan(a_usage_price(tokens)))
    cancel(subscription, now=MID_MARCH)
    a_subscription(account, a_plan(a_usage_price(tokens)), effective_from=APRIL)

    with pytest.raises(UsageTakenAlready):
        withdraw_cancellation(subscription, now=MID_MARCH)

    subscription.refresh_from_db()
    assert subscription.effective_until == APRIL


def test_cancel_takes_a_scheduled_change_back_and_a_future_subscription_never_begins():
    account = an_account(a_project("acme"))
    subscription = a_subscription(account, a_plan())
    new = change_plan(subscription, plan=a_plan(), now=MID_MARCH)

    cancel(subscription, now=MID_MARCH, at=at("2026-05-10T00:00:00Z"))

    new.refresh_from_db()
    subscription.refresh_from_db()
    assert new.is_empty
    assert subscription.effective_until == at("2026-05-10T00:00:00Z")

    future = a_subscription(account, a_plan(), effective_from=APRIL)
    assert cancel(future, now=MARCH).is_empty
    with pytest.raises(NotInForce):
        cancel(future, now=MARCH)


def test_anniversary_counts_from_the_day_charging_begins():
    account = an_account(a_project("acme"), timezone="Europe/Berlin")

    subscription = subscribe(
        account,
        plan=a_plan(),
        effective_from=at("2026-01-17T12:00:00Z"),
        trial_until=at("2026-01-30T23:30:00Z"),  # 31 January in Berlin
        anchor="anniversary",
    )

    assert days(subscription, "2026-04-29T00:00:00Z") == [
        ("2026-01-17", "2026-01-31"),  # the trial
        ("2026-01-31", "2026-02-28"),
        ("2026-02-28", "2026-03-31"),
        ("2026-03-31", "2026-04-30"),
    ]


def test_change_of_zone_holds_from_the_next_boundary_on():
    account = an_account(a_project("acme"), timezone="Europe/Berlin")
    subscription = a_subscription(account, a_plan(), effective_from=at("2026-02-28T23:00:00Z"))

    change_account(account, {"timezone": "America/New_York"}, now=MID_MARCH)
    change_account(account, {"timezone": "Asia/Tokyo"}, now=MID_MARCH)

    starts = [period.start for period in periods_until(subscription, at("2026-06-01T00:00:00Z"))]
    assert starts == [
        at("2026-02-28T23:00:00Z"),
        at("2026-03-31T22:00:00Z"),  # midnight in Berlin still
        at("2026-04-30T15:00:00Z"),  # midnight in Tokyo
        at("2026-05-31T15:00:00Z"),
    ]
    assert subscription.cycles.count() == 2


def test_change_of_anchor_makes_a_stub_after_the_next_boundary():
    account = an_account(a_project("acme"))
    subscription = a_subscription(account, a_plan())

    move_anchor(subscription, anchor="anniversary", anchor_on=dt.date(2026, 1, 15), now=MID_MARCH)

    periods = list(periods_until(subscription, at("2026-06-01T00:00:00Z")))
    assert [
        (period.service.start.isoformat(), period.service.count, period.full.count) for period in periods
    ] == [
        ("2026-03-01", 31, 31),
        ("2026-04-01", 14, 31),  # of 15 March to 15 April
        ("2026-04-15", 30, 30),
        ("2026-05-15", 31, 31),
    ]
