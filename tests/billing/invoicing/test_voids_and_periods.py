"""What a void leaves of the periods that its invoice billed: nothing is billed twice, and nothing is lost."""

from decimal import Decimal

import pytest

from billing.errors import InvoiceCorrectedSince
from billing.invoicing.voiding import void
from billing.models import BilledPeriod, Invoice, PeriodCorrection
from billing.selling.subscriptions import cancel
from metering.models import MetricDefinition, Project
from tests.billing.billed import a_seller, billed, draft_of, issued, table_of, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.billing.proof import assert_verified
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(db: None) -> Project:
    a_seller()
    return a_project("acme")


@pytest.fixture
def tokens(db: None) -> MetricDefinition:
    return a_metric("tokens", display_name="Tokens")


def voided(invoice: Invoice, on: str) -> Invoice:
    return void(invoice, now=at(on), reason="Wrong address.", voided_by="ada")


def test_void_of_a_correction_leaves_the_period_as_the_first_invoice_billed_it(
    acme: Project, tokens: MetricDefinition
) -> None:
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens), a_fee("30")))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    first = issued(account, "2026-04-01T01:00:00Z")
    used(acme, "50", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")
    second = issued(account, "2026-05-01T01:00:00Z")

    voided(second, "2026-05-02T00:00:00Z")

    period = BilledPeriod.objects.get(price__metric=tokens, period_start=at("2026-03-01T00:00:00Z"))
    assert (period.invoice_id, period.position) == (first.pk, first.position)
    assert period.learned_at_position == second.position
    assert_verified()
    billed("2026-05-02T00:00:00Z")
    assert table_of(draft_of(account))[-2:] == [
        ("usage (correction)", "Tokens", "-100", "-10.00"),
        ("usage (correction)", "Tokens", "150", "15.00"),
    ]


def test_what_was_written_off_is_billed_with_the_period_that_a_void_reopens(
    acme: Project, tokens: MetricDefinition
) -> None:
    account = an_account(acme, write_off_below="1")
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    first = issued(account, "2026-04-01T01:00:00Z")
    used(acme, "5", on="2026-03-31T23:00:00Z")
    billed("2026-04-02T00:00:00Z")

    voided(first, "2026-04-03T00:00:00Z")
    assert_verified()
    billed("2026-04-03T00:00:00Z")

    assert table_of(draft_of(account)) == [("usage", "Tokens", "105", "10.50")]
    issued(account, "2026-04-03T01:00:00Z")
    assert sum(PeriodCorrection.objects.values_list("difference", flat=True)) == Decimal(0)
    assert_verified()


def test_correction_that_waits_for_a_voided_invoice_is_dropped(
    acme: Project, tokens: MetricDefinition
) -> None:
    account = an_account(acme, approve_corrections_above="0")
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    first = issued(account, "2026-04-01T01:00:00Z")
    used(acme, "5", on="2026-03-31T23:00:00Z")
    billed("2026-04-02T00:00:00Z")
    assert PeriodCorrection.objects.get().state == "waiting"

    voided(first, "2026-04-03T00:00:00Z")
    billed("2026-04-03T00:00:00Z")

    assert table_of(draft_of(account)) == [("usage", "Tokens", "105", "10.50")]
    assert not PeriodCorrection.objects.exists()
    assert_verified()


def test_invoice_whose_fee_was_partly_given_back_is_not_voided(acme: Project) -> None:
    account = an_account(acme)
    subscription = a_subscription(account, a_plan(a_fee("31")))
    billed("2026-03-01T00:00:00Z")
    first = issued(account, "2026-03-01T01:00:00Z")
    cancel(subscription, now=at("2026-03-16T00:00:00Z"), at=at("2026-03-16T00:00:00Z"))
    billed("2026-03-17T00:00:00Z")
    note = issued(account, "2026-03-17T01:00:00Z")
    assert note.total == Decimal("-16")

    with pytest.raises(InvoiceCorrectedSince, match=str(note.number)):
        voided(first, "2026-03-18T00:00:00Z")

    assert not Invoice.objects.filter(origin="void").exists()
    assert_verified()


def test_tax_of_nothing_is_taken_back_without_a_sign(acme: Project) -> None:
    account = an_account(acme, tax_rates=[{"name": "Reverse charge", "percent": "0"}])
    a_subscription(account, a_plan(a_fee("31")))
    billed("2026-03-01T00:00:00Z")

    note = voided(issued(account, "2026-03-01T01:00:00Z"), "2026-03-02T00:00:00Z")

    assert [tax["amount"] for tax in note.lines.get().taxes] == ["0.00"]
