"""What was invoiced by month and by metric: net, by the day of issue, voids as what they take back."""

from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import ManualLine, add_discount, add_line
from billing.invoicing.voiding import void
from billing.models import BillingAccount
from billing.reporting.revenue import MetricRevenue, Month, months_until, revenue_by_metric, revenue_by_month
from metering.models import Project
from tests.billing.billed import a_day, a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project

pytestmark = pytest.mark.django_db

MONTHS = [a_day("2026-03-01"), a_day("2026-04-01"), a_day("2026-05-01")]


def a_customer(key: str = "acme", **overrides: object) -> tuple[Project, BillingAccount]:
    a_seller()
    project = a_project(key)
    return project, an_account(project, tax_rates=[{"name": "VAT", "percent": "19"}], **overrides)


def test_lines_are_sorted_into_usage_fees_corrections_and_by_hand():
    acme, account = a_customer()
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(a_metric())))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    add_line(draft_of(account), ManualLine("Work", Decimal(20)), added_by="ada")
    issued(account, "2026-04-02T00:00:00Z")
    used(acme, "50")
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-02T00:00:00Z")

    found = revenue_by_month(MONTHS)

    assert found == {
        "EUR": [
            Month(MONTHS[0]),
            Month(MONTHS[1], usage=Decimal(10), fees=Decimal(60), by_hand=Decimal(20)),
            Month(MONTHS[2], fees=Decimal(30), corrections=Decimal(5)),
        ]
    }
    assert [month.total for month in found["EUR"]] == [0, 90, 35]


def test_discounts_lower_revenue_and_tax_is_none():
    acme, account = a_customer()
    a_subscription(account, a_plan(a_usage_price(a_metric())))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    add_discount(draft_of(account), name="Welcome", percent=Decimal(10), reason="new", added_by="ada")
    issued(account, "2026-04-02T00:00:00Z")

    assert revenue_by_month(MONTHS)["EUR"][1] == Month(MONTHS[1], usage=Decimal(9))


def test_void_takes_back_what_was_billed_as_what_it_was():
    acme, account = a_customer()
    a_subscription(account, a_plan(a_usage_price(a_metric())))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-02T00:00:00Z")
    void(invoice, now=invoice.issued_at, reason="Wrong.", voided_by="ada")

    assert revenue_by_month(MONTHS)["EUR"][1] == Month(MONTHS[1], usage=Decimal(0))


def test_metrics_beyond_the_first_are_one():
    acme, account = a_customer()
    names = ("calls", "seats", "tokens")
    metrics = {name: a_metric(name, event_name=name) for name in names}
    a_subscription(account, a_plan(*(a_usage_price(metric) for metric in metrics.values())))
    for name, quantity in (("calls", "10"), ("seats", "300"), ("tokens", "40")):
        used(acme, quantity, event_name=name)
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-02T00:00:00Z")

    assert revenue_by_metric(MONTHS[0], a_day("2026-06-01"), count=1) == {
        "EUR": [
            MetricRevenue(metrics["seats"].pk, metrics["seats"].display_name, Decimal(30)),
            MetricRevenue(None, "", Decimal(5), 2),
        ]
    }
    assert revenue_by_metric(MONTHS[2], a_day("2026-06-01"), count=1) == {}


def test_months_cross_years():
    assert months_until(a_day("2026-02-28"), count=3) == [
        a_day("2025-12-01"),
        a_day("2026-01-01"),
        a_day("2026-02-01"),
    ]
