"""Corrections have the discounts of their month, however little was billed, and never less of the ledger."""

from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import add_discount
from billing.invoicing.runs import run_billing
from billing.models import BillingAccount, Invoice, Subscription
from billing.selling.subscriptions import cancel
from metering.clock import ledger_end
from tests.billing.billed import a_seller, billed, draft_of, issued, table_of, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.billing.proof import assert_verified
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription() -> Subscription:
    """Of acme, to tokens at 1.00."""
    a_seller()
    tokens = a_metric("tokens", display_name="Tokens")
    price = a_usage_price(tokens, {"model": "per_unit", "unit_amount": "1"})
    return a_subscription(an_account(a_project("acme")), a_plan(price))


@pytest.fixture
def account(subscription: Subscription) -> BillingAccount:
    return subscription.account


@pytest.mark.parametrize(
    ("first", "discounts", "discounted", "second"),
    [
        ("0.01", [{"percent": Decimal(50)}], "-0.01", "500.00"),  # half a cent was taken as a whole one
        ("0.04", [{"percent": Decimal(10)}], "0", "899.96"),  # 0.004 was taken as nothing; -0.04 + 900.00
        # 4.50 was taken of the document, and no more for the month being worth more: 10 % off 1000.00
        ("10", [{"percent": Decimal(10)}, {"fixed_amount": Decimal("4.5")}], "-5.50", "900.00"),
        ("1", [{"fixed_amount": Decimal("5")}], "-1.00", "1000.00"),
    ],
)
def test_correction_takes_the_share_of_the_discount_not_of_its_rounded_cents(
    account, first, discounts, discounted, second
):
    used(account.project, first)
    billed("2026-04-01T00:00:00Z")
    for discount in discounts:
        add_discount(draft_of(account), name="Pilot", reason="Agreed.", added_by="ada", **discount)
    march = issued(account, "2026-04-02T00:00:00Z", issued_by="bob")
    assert march.discount_total == Decimal(discounted)

    used(account.project, str(1000 if first != "0.04" else Decimal("999.96")))
    billed("2026-05-01T00:00:00Z")
    april = issued(account, "2026-05-02T00:00:00Z")

    assert april.total == Decimal(second)
    assert_verified()


def test_run_that_reads_less_than_was_billed_leaves_corrections_to_the_next(account, subscription):
    project = account.project
    used(project, "1", on="2026-03-02T00:00:00Z")
    long_ago = ledger_end()
    used(project, "10", on="2026-03-03T00:00:00Z")
    used(project, "100", on="2026-03-25T00:00:00Z")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-02T00:00:00Z")

    # She left on the 20th, which a run that began long ago doesn't know the usage for.
    now = at("2026-04-02T00:00:00Z")
    cancel(subscription, now=now, at=at("2026-03-20T00:00:00Z"))
    run_billing(as_of=now, now=now, position=long_ago)
    assert not Invoice.objects.drafts().exists()

    billed("2026-04-03T00:00:00Z")
    note = issued(account, "2026-04-03T00:00:00Z")
    assert table_of(note) == [
        ("usage (correction)", "Tokens", "-111", "-111.00"),
        ("usage (correction)", "Tokens", "11", "11.00"),
    ]
    assert_verified()
