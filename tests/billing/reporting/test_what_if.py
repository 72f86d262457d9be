"""Past usage under another plan: what it would have cost, for whom, and that looking changes nothing."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.models import BillingAccount, InvoiceLine, Plan
from billing.reporting.hypothetical import Days
from billing.reporting.what_if import Subject, WhatIf, accounts_on_plans, what_if
from billing.selling.subscriptions import change_plan
from metering.attributing.scope_tree import attribute
from metering.clock import ledger_end
from metering.errors import Invalid
from metering.models import MetricDefinition, Project
from tests.billing.billed import billed, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

MAY = at("2026-05-01T00:00:00Z")
MARCH_DAYS = Days(dt.date(2026, 3, 1), dt.date(2026, 4, 1))
VOLUME = {
    "model": "volume",
    "tiers": [{"up_to": "15", "unit_amount": "10"}, {"up_to": None, "unit_amount": "5"}],
}


def asked(plan: Plan, *accounts: BillingAccount, days: Days = MARCH_DAYS, **options: Any) -> WhatIf:
    return what_if(plan, accounts, days=days, now=MAY, position=ledger_end(), **options)


def row_counts() -> dict[str, int]:
    names = ("metering", "quotas", "billing")
    models = [model for name in names for model in apps.get_app_config(name).get_models()]
    return {model.__name__: model.objects.count() for model in models}


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def tokens() -> MetricDefinition:
    return a_metric("tokens", display_name="Tokens", unit="token", primary_labels=["region"])


def test_cheaper_units_and_a_higher_fee_are_told_apart(acme, tokens):
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens), name="Basic"))
    other = a_draft(
        a_fee("49"), a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.02"}), name="Pro"
    )
    used(acme, "100", "400")

    found = asked(other, account)

    [one] = found.comparisons
    assert one.plans == ("Basic",)
    assert (one.amounts.current, one.amounts.hypothetical) == (Decimal("80.00"), Decimal("59.00"))
    assert (one.amounts.difference, one.amounts.fraction) == (Decimal("-21.00"), Decimal("-0.2625"))
    assert {subject: (each.current, each.hypothetical) for subject, each in one.by_subject.items()} == {
        Subject("fee", "Base fee"): (Decimal("30.00"), Decimal("49.00")),
        Subject("usage", "tokens"): (Decimal("50.00"), Decimal("10.00")),
    }
    assert (found.winners, found.losers, found.unchanged, found.without_plan) == (1, 0, 0, 0)
    assert not one.is_prorated


def test_accounts_are_totalled_and_the_dearest_comes_first(tokens):
    other = a_draft(a_usage_price(tokens, VOLUME))
    plan = a_plan(a_usage_price(tokens, {"model": "per_unit", "unit_amount": "6"}))
    accounts = []
    for key, quantity in (("a", "10"), ("b", "20"), ("c", "0")):
        project = a_project(key)
        accounts.append(an_account(project))
        a_subscription(accounts[-1], plan)
        used(project, quantity)

    found = asked(other, *accounts, an_account(a_project("d")))

    assert [
        (one.account.project.key, one.amounts.current, one.amounts.hypothetical)
        for one in found.sorted_by_difference()
    ] == [
        ("a", Decimal(60), Decimal(100)),
        ("c", Decimal(0), Decimal(0)),
        ("b", Decimal(120), Decimal(100)),
    ]
    assert (found.totals.current, found.totals.hypothetical) == (Decimal(180), Decimal(200))
    assert (found.winners, found.losers, found.unchanged, found.without_plan) == (1, 1, 1, 1)


def test_usage_that_the_other_plan_has_no_price_for_is_listed(acme, tokens):
    calls = a_metric("calls", event_name="tokens", aggregation="COUNT")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens), a_usage_price(calls)))
    european = a_draft(a_usage_price(tokens, label_match={"region": "eu"}))
    used(acme, "5", labels={"region": "eu"})
    used(acme, "7", "8", labels={"region": "us"})

    found = asked(european, account)

    [one] = found.comparisons
    assert [(each.metric_key, each.event_count, each.quantity) for each in one.unpriced] == [
        ("calls", 3, Decimal(3)),
        ("tokens", 2, Decimal(15)),
    ]
    assert (one.amounts.current, one.amounts.hypothetical) == (Decimal("2.30"), Decimal("0.50"))
    assert [(each.metric_key, count) for each, count in found.unpriced] == [("calls", 1), ("tokens", 1)]


def test_change_of_plan_within_the_days_is_one_stretch_of_the_other(acme, tokens):
    account = an_account(acme)
    first = a_subscription(account, a_plan(a_fee("31"), a_usage_price(tokens, VOLUME)))
    used(acme, "10", on="2026-03-05T00:00:00Z")
    used(acme, "10", on="2026-03-20T00:00:00Z")
    change_plan(
        first,
        plan=a_plan(a_fee("62"), a_usage_price(tokens)),
        now=at("2026-03-10T00:00:00Z"),
        at=at("2026-03-11T00:00:00Z"),
    )
    other = a_draft(a_fee("31"), a_usage_price(tokens, VOLUME))

    [one] = asked(other, account).comparisons

    # 10 days of 31 and 21 of 62; ten units by volume and ten at 0.10. By volume alone twenty units are 100.
    assert one.by_subject[Subject("fee", "Base fee")].current == Decimal("52.00")
    assert one.by_subject[Subject("fee", "Base fee")].hypothetical == Decimal("31.00")
    assert one.by_subject[Subject("usage", "tokens")].current == Decimal("101.00")
    assert one.by_subject[Subject("usage", "tokens")].hypothetical == Decimal("100.00")


def test_trial_costs_nothing_under_either_plan(acme, tokens):
    account = an_account(acme)
    a_subscription(
        account, a_plan(a_fee("31"), a_usage_price(tokens)), trial_until=at("2026-03-22T00:00:00Z")
    )
    used(acme, "1000", on="2026-03-10T00:00:00Z")
    used(acme, "10", on="2026-03-25T00:00:00Z")
    other = a_draft(a_fee("62"), a_usage_price(tokens, {"model": "per_unit", "unit_amount": "1"}))

    [one] = asked(other, account).comparisons

    assert (one.amounts.current, one.amounts.hypothetical) == (Decimal("11.00"), Decimal("30.00"))
    assert one.is_prorated


def test_account_in_trial_all_the_time_is_counted_apart(acme, tokens):
    account = an_account(acme)
    a_subscription(account, a_plan(), trial_until=at("2026-06-01T00:00:00Z"))

    found = asked(a_draft(), account)

    assert (found.comparisons, found.without_plan) == ([], 1)


def test_days_that_cut_periods_are_charged_by_days(acme, tokens):
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "10", on="2026-03-31T23:59:59Z")
    used(acme, "20", on="2026-04-01T00:00:00Z")
    used(acme, "40", on="2026-04-11T00:00:00Z")
    days = Days(dt.date(2026, 4, 1), dt.date(2026, 4, 11))

    [one] = asked(a_draft(a_fee("60"), a_usage_price(tokens)), account, days=days).comparisons

    assert (one.amounts.current, one.amounts.hypothetical) == (Decimal("12.00"), Decimal("22.00"))
    assert one.is_prorated


def test_days_begin_at_midnight_of_the_account(acme, tokens):
    account = an_account(acme, timezone="Asia/Tokyo")
    a_subscription(account, a_plan(a_usage_price(tokens)), at("2026-01-01T00:00:00", "Asia/Tokyo"))
    used(acme, "10", on="2026-02-28T15:00:00Z")  # midnight of 1 March in Tokyo
    used(acme, "100", on="2026-03-31T15:00:00Z")

    [one] = asked(a_draft(a_usage_price(tokens, VOLUME)), account).comparisons

    assert (one.amounts.current, one.amounts.hypothetical) == (Decimal("1.00"), Decimal("100.00"))
    assert not one.is_prorated


def test_plan_of_another_interval_takes_its_share_of_the_fee(acme, tokens):
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30")))
    yearly = a_draft(a_fee("365"), interval="year")

    [one] = asked(yearly, account).comparisons

    assert (one.amounts.current, one.amounts.hypothetical) == (Decimal("30.00"), Decimal("31.00"))


def test_yen_are_rounded_to_whole_ones(acme, tokens):
    account = an_account(acme, currency="JPY")
    price = a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.5"})
    a_subscription(account, a_plan(price, currency="JPY"))
    other = a_draft(
        a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.25", "min_amount": "100"}),
        currency="JPY",
    )
    used(acme, "3")

    [one] = asked(other, account).comparisons

    assert (one.amounts.current, one.amounts.hypothetical) == (Decimal(2), Decimal(100))


def test_each_project_on_its_own_and_prices_of_single_events(tokens):
    tenant = a_project("tenant")
    children = [a_project(key, parent=tenant) for key in ("left", "right")]
    account = an_account(tenant)
    a_subscription(account, a_plan(a_usage_price(tokens)))
    for child in children:
        attribute(child, payer=tenant)
        used(child, "10")
    each = a_draft(a_usage_price(tokens, VOLUME, per_project=True))
    whole = a_draft(a_usage_price(tokens, VOLUME))
    percentage = a_draft(
        a_usage_price(tokens, {"model": "percentage", "rate_percent": "10", "fixed_amount_per_event": "0.30"})
    )

    assert asked(each, account).totals.hypothetical == Decimal(200)  # twice ten at 10
    assert asked(whole, account).totals.hypothetical == Decimal(100)  # twenty at 5
    assert asked(percentage, account).totals.hypothetical == Decimal("2.60")


def test_refusals_name_the_member_and_the_accounts(acme, tokens):
    account = an_account(acme, legal_name="Acme", currency="USD")
    elsewhere = a_draft(project=a_project("globex"), currency="USD")

    for plan, days, field, words in (
        (a_draft(), MARCH_DAYS, "accounts", f"of another currency: Acme ({account.pk}, USD)"),
        (elsewhere, MARCH_DAYS, "accounts", "isn't for these accounts"),
        (a_draft(currency="USD"), Days(dt.date(2026, 3, 1), dt.date(2026, 3, 1)), "until", "after"),
        (a_draft(currency="USD"), Days(dt.date(2026, 3, 1), dt.date(2026, 5, 2)), "until", "future"),
        (a_draft(currency="USD"), Days(dt.date(2025, 3, 1), dt.date(2026, 4, 1)), "until", "366 days"),
    ):
        with pytest.raises(Invalid, match=words.replace("(", r"\(").replace(")", r"\)")) as refusal:
            asked(plan, account, days=days)
        assert refusal.value.field == field


def test_accounts_are_found_by_currency_owner_and_plan(acme, tokens):
    euros, dollars, none = an_account(acme), an_account(a_project(), currency="USD"), an_account(a_project())
    a_subscription(euros, a_plan(key="basic"))
    a_subscription(dollars, a_plan(key="dollars", currency="USD"))
    everybody = BillingAccount.objects.all()

    assert list(accounts_on_plans(everybody, plan=a_draft(), days=MARCH_DAYS)) == [euros]
    assert list(accounts_on_plans(everybody, plan=a_draft(), days=MARCH_DAYS, on_plan="basic")) == [euros]
    assert list(accounts_on_plans(everybody, plan=a_draft(), days=MARCH_DAYS, on_plan="pro")) == []
    before = Days(dt.date(2026, 1, 1), dt.date(2026, 2, 1))
    assert list(accounts_on_plans(everybody, plan=a_draft(), days=before)) == []
    assert list(accounts_on_plans(everybody, plan=a_draft(project=none.project), days=MARCH_DAYS)) == []


def test_statements_grow_with_prices_and_not_with_accounts(tokens, django_assert_num_queries):
    plan, other = a_plan(a_usage_price(tokens)), a_draft(a_usage_price(tokens, VOLUME))
    accounts = []
    for number in range(12):
        project = a_project(f"p{number}")
        accounts.append(an_account(project))
        a_subscription(accounts[-1], plan)
        used(project, "10")
    accounts = list(accounts_on_plans(BillingAccount.objects.all(), plan=other, days=MARCH_DAYS))
    asked(other, accounts[0])  # definitions are remembered from here on

    for count in (2, 12):
        with django_assert_num_queries(9):
            asked(other, *accounts[:count])


def test_nothing_is_written_not_even_in_a_transaction_that_could(acme, tokens):
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee(), a_usage_price(tokens)))
    used(acme, "10")
    other = a_draft(a_usage_price(tokens, VOLUME))
    before, end = row_counts(), ledger_end()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
        found = asked(other, account)

    assert found.totals.hypothetical == Decimal(100)
    assert (row_counts(), ledger_end()) == (before, end)


prices = st.one_of(
    st.fixed_dictionaries(
        {"model": st.just("per_unit"), "unit_amount": st.sampled_from(["0.005", "0.333", "2"])},
        optional={
            "min_amount": st.just("49.99"),
            "usage_discount": st.sampled_from(["3", "10.5"]),
            "discount_percent": st.just("33.3"),
        },
    ),
    st.just(VOLUME),
    st.just({"model": "package", "package_size": "7", "package_amount": "3.10", "free_units": "5"}),
    st.fixed_dictionaries(
        {"model": st.just("percentage"), "rate_percent": st.just("2.9")},
        optional={
            "fixed_amount_per_event": st.just("0.30"),
            "free_events": st.just("1"),
            "per_event_max": st.just("1"),
        },
    ),
)
events = st.lists(
    st.tuples(
        st.sampled_from(["0", "0.5", "3", "17", "123.456"]),
        st.sampled_from(["2026-03-01T00:00:00Z", "2026-03-16T08:00:00Z", "2026-03-31T23:59:59Z"]),
        st.sampled_from(["eu", "us"]),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=25)
@given(
    matched=prices,
    rest=prices,
    fee=st.sampled_from(["0.01", "29.99"]),
    charged=st.sampled_from(["advance", "arrears"]),
    per_project=st.booleans(),
    events=events,
    begins=st.sampled_from(["2026-02-11T00:00:00Z", "2026-03-10T13:00:00Z"]),
    currency=st.sampled_from(["EUR", "JPY"]),
)
def test_the_plan_that_an_account_is_on_costs_what_was_billed(
    acme, tokens, matched, rest, fee, charged, per_project, events, begins, currency
):
    with transaction.atomic():
        account = an_account(acme, currency=currency)
        child = a_project(parent=acme)
        plan = a_plan(
            a_fee(fee, charged=charged),
            a_usage_price(tokens, matched, label_match={"region": "eu"}, per_project=per_project),
            a_usage_price(tokens, rest),
            currency=currency,
        )
        a_subscription(account, plan, at(begins))
        attribute(child, payer=acme, effective_from=at("2026-01-01T00:00:00Z"))
        for quantity, on, region, is_of_child in events:
            used(child if is_of_child else acme, quantity, on=on, labels={"region": region})

        [one] = asked(plan, account).comparisons
        billed("2026-04-01T00:00:00Z")

        lines = InvoiceLine.objects.filter(
            invoice__account=account,
            period_start__gte=max(at("2026-03-01T00:00:00Z"), at(begins)),
            period_end__lte=at("2026-04-01T00:00:00Z"),
        )
        assert one.amounts.current == one.amounts.hypothetical == sum(line.amount for line in lines)
        transaction.set_rollback(True)
