"""What a change means is told with the numbers that proration gives, and nothing happens by it."""

from decimal import Decimal

import pytest

from billing.errors import UsageTakenAlready
from billing.models import Subscription, SubscriptionItem
from billing.selling.change_previews import preview_of_cancellation, preview_of_change
from metering.errors import Conflict
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

MARCH_11 = at("2026-03-11T12:00:00Z")


def lines(preview) -> list[tuple[str, str, str, int, int, str]]:
    return [
        (line.kind, line.name, f"{line.amount}", line.days, line.of_days, line.due) for line in preview.lines
    ]


def rows() -> tuple[list, list]:
    return list(Subscription.objects.values()), list(SubscriptionItem.objects.values())


def test_change_within_a_period_credits_and_charges_by_days():
    tokens, calls = a_metric("tokens"), a_metric("calls")
    old = a_plan(a_fee("31"), a_fee("15.50", name="Support", charged="arrears"), a_usage_price(tokens))
    new = a_plan(a_fee("62"), a_fee("3.10", name="Care", charged="arrears"), a_usage_price(calls))
    subscription = a_subscription(an_account(a_project("acme")), old)
    before = rows()

    preview = preview_of_change(subscription, plan=new, at=MARCH_11, now=MARCH_11)

    # 11 March and the 20 days after it belong to the new plan, 10 days to the old one.
    assert lines(preview) == [
        ("credit", "Base fee", "-21.00", 21, 31, "now"),
        ("charge", "Support", "5.00", 10, 31, "now"),
        ("charge", "Base fee", "42.00", 21, 31, "now"),
        ("charge", "Care", "2.10", 21, 31, "period_end"),
    ]
    assert preview.due_now == Decimal("26.00")
    assert (preview.metrics_lost, preview.metrics_gained) == (("tokens",), ("calls",))
    assert preview.cut is not None
    assert preview.rest is not None
    assert (preview.cut.end, preview.rest.start) == (MARCH_11, MARCH_11)
    assert rows() == before


def test_change_at_period_end_credits_nothing():
    subscription = a_subscription(an_account(a_project("acme")), a_plan(a_fee("31")))

    preview = preview_of_change(subscription, plan=a_plan(a_fee("60")), now=MARCH_11)

    assert lines(preview) == [("charge", "Base fee", "60.00", 30, 30, "now")]
    assert preview.at == at("2026-04-01T00:00:00Z")


def test_change_of_interval_charges_the_new_price_in_full():
    subscription = a_subscription(an_account(a_project("acme")), a_plan(a_fee("31")))
    yearly = a_plan(a_fee("300"), interval="year")

    preview = preview_of_change(subscription, plan=yearly, at=MARCH_11, now=MARCH_11)

    assert preview.restarts_cycle
    assert lines(preview) == [
        ("credit", "Base fee", "-21.00", 21, 31, "now"),
        ("charge", "Base fee", "300.00", 365, 365, "now"),
    ]


def test_yen_have_no_decimals():
    plans = [a_plan(a_fee("1000"), currency="JPY"), a_plan(a_fee("2000"), currency="JPY")]
    subscription = a_subscription(an_account(a_project("acme"), currency="JPY"), plans[0])

    preview = preview_of_change(subscription, plan=plans[1], at=MARCH_11, now=MARCH_11)

    # 1000 x 21 / 31 = 677.42, 2000 x 21 / 31 = 1354.84
    assert [line[2] for line in lines(preview)] == ["-677", "1355"]


def test_cancellation_credits_unused_days_and_a_trial_owes_nothing():
    plan = a_plan(a_fee("31"))
    subscription = a_subscription(an_account(a_project("acme")), plan)
    tried = a_subscription(an_account(a_project("globex")), plan, trial_until=at("2026-03-20T00:00:00Z"))
    before = rows()

    now = preview_of_cancellation(subscription, at=MARCH_11, now=MARCH_11)
    later = preview_of_cancellation(subscription, now=MARCH_11)
    trial = preview_of_cancellation(tried, at=MARCH_11, now=MARCH_11)

    assert lines(now) == [("credit", "Base fee", "-21.00", 21, 31, "now")]
    assert lines(later) == []
    assert lines(trial) == []
    assert rows() == before


def test_preview_refuses_what_the_change_refuses():
    tokens, calls = a_metric("tokens"), a_metric("calls")
    account = an_account(a_project("acme"))
    subscription = a_subscription(account, a_plan(a_usage_price(tokens)))
    a_subscription(account, a_plan(a_usage_price(calls)))
    before = rows()

    with pytest.raises(UsageTakenAlready):
        preview_of_change(subscription, plan=a_plan(a_usage_price(calls)), at=MARCH_11, now=MARCH_11)
    with pytest.raises(Conflict):
        preview_of_change(subscription, plan=subscription.plan, at=MARCH_11, now=MARCH_11)
    assert rows() == before
