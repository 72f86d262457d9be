"""Usage that will be on no invoice is found: before a subscription, beside it, and where no price matches."""

import datetime as dt

import pytest

from billing.selling.unbilled import gaps_between, unbilled_usage_of
from metering.attributing.scope_tree import attribute
from metering.rolling_up.rollups import roll_up
from tests.billing.factories import MARCH, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, an_event, at, recorded

APRIL, MAY = at("2026-04-01T00:00:00Z"), at("2026-05-01T00:00:00Z")


def used(project, event_name="tokens", **overrides):
    [outcome] = recorded(an_event(project, event_name=event_name, **overrides))
    return outcome


@pytest.mark.django_db
@pytest.mark.parametrize("is_rolled_up", [False, True])
def test_what_no_subscription_takes_is_listed_by_interval(is_rolled_up):
    acme = a_project("acme")
    shop = a_project("shop", parent=acme)
    attribute(shop, payer=acme)
    tokens, calls = a_metric("tokens", unit="tokens"), a_metric("calls", aggregation="COUNT")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens)), effective_from=APRIL)
    used(shop, quantity=5, occurred_at="2026-03-31T23:59:59Z")
    used(shop, quantity=7, occurred_at="2026-04-01T00:00:00Z")
    used(acme, "calls", occurred_at="2026-04-10T00:00:00Z")
    used(a_project("globex"), quantity=100, occurred_at="2026-03-10T00:00:00Z")
    if is_rolled_up:
        roll_up()

    found = unbilled_usage_of(account, since=MARCH, until=MAY)

    assert [
        (each.metric_id, each.start, each.end, each.value, each.record_count, each.plan_key) for each in found
    ] == [
        (calls.pk, MARCH, MAY, 1, 1, None),
        (tokens.pk, MARCH, APRIL, 5, 1, None),
    ]
    assert unbilled_usage_of(an_account(a_project("idle")), since=MARCH, until=MAY) == []


@pytest.mark.django_db
def test_labels_that_no_price_matches_are_listed():
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme)
    plan = a_plan(
        a_usage_price(tokens, label_match={"region": "eu"}),
        a_usage_price(tokens, label_match={"region": ["us", "ca"]}),
        key="narrow",
    )
    a_subscription(account, plan)
    for labels in ({"region": "eu"}, {"region": "us"}, {"region": "asia"}, {}):
        used(acme, labels=labels, quantity=3, occurred_at="2026-03-10T00:00:00Z")
    void = used(acme, labels={"region": "asia"}, quantity=3, occurred_at="2026-03-11T00:00:00Z")
    a_void_of(void.id)

    [found] = unbilled_usage_of(account, since=MARCH, until=APRIL)

    assert (found.metric_key, found.record_count, found.value, found.plan_key) == (
        "tokens",
        2,
        None,
        "narrow",
    )


@pytest.mark.django_db
def test_a_price_for_the_rest_leaves_nothing_unbilled():
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme)
    a_subscription(
        account, a_plan(a_usage_price(tokens), a_usage_price(tokens, label_match={"region": "eu"}))
    )
    used(acme, labels={"region": "asia"}, quantity=3, occurred_at="2026-03-10T00:00:00Z")

    assert unbilled_usage_of(account, since=MARCH, until=APRIL) == []


def test_gaps_are_what_intervals_leave():
    day = [MARCH + dt.timedelta(days=number) for number in range(10)]

    assert list(gaps_between([], day[0], day[9])) == [(day[0], day[9])]
    assert list(gaps_between([(day[2], day[4]), (day[3], day[5]), (day[7], None)], day[0], day[9])) == [
        (day[0], day[2]),
        (day[5], day[7]),
    ]
    assert list(gaps_between([(day[0], None)], day[1], day[9])) == []
    assert list(gaps_between([(day[5], day[9])], day[0], day[3])) == [(day[0], day[3])]
