"""What an account would be billed were its running periods over now, and at their end."""

from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing.invoicing.late_usage import watch_late_usage
from billing.models import BilledPeriod, BillingAccount, Invoice
from billing.reporting.running_period import Preview, preview_of_running
from billing.settling.credits import grant_credit
from metering.clock import ledger_end
from metering.models import MetricDefinition, Project
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def tokens() -> MetricDefinition:
    return a_metric("tokens", display_name="Tokens", unit="token")


def previewed(account: BillingAccount, on: str) -> Preview:
    return preview_of_running(account, now=at(on), position=ledger_end())


def amounts_of(preview: Preview) -> list[tuple[str, str, Decimal, Decimal | None]]:
    """(kind, name, amount, projected amount) of each charge that has lines."""
    return [
        (charge.lines[0].kind, charge.lines[0].name, charge.amount, charge.projected_amount)
        for charge in preview.charges
        if charge.lines
    ]


def test_half_a_month_is_billed_so_far_and_projected_to_its_end(acme, tokens):
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "19"}])
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "100")
    grant_credit(account, amount=Decimal(10), kind="paid", now=at("2026-03-01T00:00:00Z"))

    preview = previewed(account, "2026-03-16T12:00:00Z")  # 15.5 of 31 days

    assert amounts_of(preview) == [
        ("fee", "Base fee", Decimal("30.00"), Decimal("30.00")),
        ("usage", "Tokens", Decimal("10.00"), Decimal("20.00")),
    ]
    document = preview.document
    assert (document.subtotal, document.tax_total, document.total) == (
        Decimal("40.00"),
        Decimal("7.60"),
        Decimal("47.60"),
    )
    assert (preview.credit_available, document.credit_drawn, document.amount_due) == (
        Decimal(10),
        Decimal(10),
        Decimal("37.60"),
    )
    assert preview.running_amount == Decimal("40.00")
    assert (preview.projected.subtotal, preview.projected.total) == (Decimal("50.00"), Decimal("59.50"))


def test_next_draft_holds_what_is_over_and_what_runs(acme, tokens):
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30", charged="arrears"), a_usage_price(tokens)))
    used(acme, "100")
    used(acme, "50", on="2026-04-10T00:00:00Z")

    preview = previewed(account, "2026-04-16T00:00:00Z")

    assert [(charge.is_running, charge.amount) for charge in preview.charges] == [
        (False, Decimal("30.00")),
        (False, Decimal("10.00")),
        (True, Decimal("30.00")),
        (True, Decimal("5.00")),
    ]
    assert preview.running_amount == Decimal("35.00")
    assert preview.projected.total == Decimal("80.00")


def test_what_is_billed_already_is_not_shown_again_but_its_corrections_are(acme, tokens):
    account = an_account(acme)
    a_seller()
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T01:00:00Z")
    used(acme, "20", on="2026-03-31T23:00:00Z")
    watch_late_usage(ledger_end())

    preview = previewed(account, "2026-04-16T00:00:00Z")

    assert amounts_of(preview) == []  # the fee of April was billed with March, and nothing was used
    assert [line.amount for line in preview.others] == [Decimal("-10.00"), Decimal("12.00")]
    assert preview.document.total == Decimal("2.00")


def test_minimum_and_tiers_are_projected_by_the_price(acme, tokens):
    account = an_account(acme)
    graduated = {
        "model": "graduated",
        "tiers": [{"up_to": "100", "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}],
        "min_amount": "90",
    }
    a_subscription(account, a_plan(a_usage_price(tokens, graduated)))
    used(acme, "80")

    [charge] = previewed(account, "2026-03-16T12:00:00Z").charges

    assert [(line.kind, line.amount) for line in charge.lines] == [
        ("usage", Decimal("80.00")),
        ("true_up", Decimal("10.00")),
    ]
    assert charge.projected_amount == Decimal("130.00")  # 100 at 1, 60 at 0.50


def test_prices_of_events_and_of_projects_are_projected(acme):
    sums = a_metric("tokens")
    highest = a_metric("highest", event_name="tokens", aggregation="MAX")
    account = an_account(acme)
    percentage = {"model": "percentage", "rate_percent": "10", "max_amount": "15"}
    volume = {"model": "volume", "tiers": [{"up_to": "100", "unit_amount": "1"}, {"unit_amount": "0.5"}]}
    volume["tiers"][1]["up_to"] = None
    a_subscription(
        account,
        a_plan(
            a_usage_price(sums, percentage, label_match={"kind": "sale"}),
            a_usage_price(sums, volume, per_project=True),
            a_usage_price(highest),
        ),
    )
    used(acme, "60", "40", labels={"kind": "sale"})
    used(acme, "80")

    preview = previewed(account, "2026-03-16T12:00:00Z")

    assert [(charge.amount, charge.projected_amount) for charge in preview.charges] == [
        (Decimal("10.00"), Decimal("15.00")),  # not 20: the maximum
        (Decimal("80.00"), Decimal("80.00")),  # 160 at 0.50
        (Decimal("8.00"), Decimal("8.00")),  # the highest doesn't grow by waiting
    ]


def test_nothing_is_projected_in_the_first_tenth_of_a_period(acme, tokens):
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "100", on="2026-03-01T12:00:00Z")

    early = previewed(account, "2026-03-03T12:00:00Z")

    assert amounts_of(early)[1] == ("usage", "Tokens", Decimal("10.00"), None)
    assert early.projected is None
    assert previewed(account, "2026-03-04T12:00:00Z").projected is not None


def test_trial_and_accounts_without_a_plan_have_nothing_running(acme, tokens):
    account, other = an_account(acme), an_account(a_project())
    a_subscription(account, a_plan(a_fee(), a_usage_price(tokens)), trial_until=at("2026-04-01T00:00:00Z"))
    used(acme, "100")

    for one in (account, other):
        preview = previewed(one, "2026-03-16T00:00:00Z")
        assert (preview.charges, preview.running_periods, preview.document.total) == ([], [], Decimal(0))


def test_preview_writes_nothing_and_holds_what_a_run_will_draft(acme, tokens):
    account = an_account(acme, timezone="Europe/Berlin", tax_rates=[{"name": "VAT", "percent": "19"}])
    a_subscription(account, a_plan(a_fee("9.99", charged="arrears"), a_usage_price(tokens)))
    used(acme, "123.45")

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
        preview = previewed(account, "2026-03-31T21:59:59Z")
        transaction.set_rollback(True)

    assert (Invoice.objects.count(), BilledPeriod.objects.count()) == (0, 0)
    billed("2026-03-31T22:00:00Z")
    draft = Invoice.objects.get()
    assert draft.total == preview.document.total == Decimal("26.59")  # 9.99 + 1.90, 12.35 + 2.35
    assert [line.amount for line in draft.lines.all()] == [line.amount for line in preview.lines]
