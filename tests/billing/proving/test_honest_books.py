"""Books that the verbs kept pass every check, whatever became of the documents."""

from decimal import Decimal
from typing import Any

import pytest

from billing.invoicing.draft_edits import (
    ManualLine,
    add_discount,
    add_line,
    begin_credit_note,
    begin_invoice,
)
from billing.invoicing.issuing import issue
from billing.invoicing.voiding import void
from billing.models import BillingAccount, Invoice, PeriodCorrection, Price
from billing.selling.accounts import change_account
from billing.selling.plans import publish_plan
from billing.selling.subscriptions import cancel, change_plan
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment, take_back_payment
from metering.attributing.scope_tree import attribute
from metering.models import MetricDefinition, Project
from tests.billing.billed import a_day, a_seller, billed, draft_of, issued, used
from tests.billing.factories import (
    a_draft,
    a_fee,
    a_plan,
    a_subscription,
    a_usage_price,
    an_account,
)
from tests.billing.proof import assert_verified
from tests.factories import a_metric, a_project, a_void_of, an_event, at, recorded

pytestmark = pytest.mark.django_db

VOLUME = {
    "model": "volume",
    "tiers": [{"up_to": "15", "unit_amount": "10"}, {"up_to": None, "unit_amount": "5"}],
}
VAT = [{"name": "VAT", "percent": "19"}]


@pytest.fixture
def acme(db: None) -> Project:
    a_seller()
    return a_project("acme")


@pytest.fixture
def tokens(db: None) -> MetricDefinition:
    return a_metric("tokens")


def amounts_of(document: Invoice) -> list[Decimal]:
    return [line.amount for line in document.lines.order_by("position")]


def march(account: BillingAccount) -> Invoice:
    """The invoice of March, issued."""
    billed("2026-04-01T00:00:00Z")
    return issued(account, "2026-04-01T01:00:00Z")


def test_nothing_sold_yet() -> None:
    assert_verified()


def test_volume_correction_becomes_credit(acme: Project, tokens: MetricDefinition) -> None:
    account = an_account(acme, tax_rates=VAT)
    a_subscription(account, a_plan(a_usage_price(tokens, VOLUME)))
    used(acme, "15")
    march(account)
    used(acme, "1", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")
    assert_verified()

    note = issued(account, "2026-05-01T01:00:00Z")

    assert note.total == Decimal("-83.30")
    assert_verified()


def test_void_and_what_is_billed_again(acme: Project, tokens: MetricDefinition) -> None:
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "100")
    first = march(account)

    void(first, now=at("2026-04-02T00:00:00Z"), reason="Wrong address.", voided_by="ada")
    assert_verified()
    billed("2026-04-02T00:00:00Z")
    assert_verified()
    issued(account, "2026-04-02T01:00:00Z")

    assert_verified()


def test_void_of_a_correction(acme: Project, tokens: MetricDefinition) -> None:
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens), a_fee("30")))
    used(acme, "100")
    march(account)
    used(acme, "50", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")
    second = issued(account, "2026-05-01T01:00:00Z")

    void(second, now=at("2026-05-02T00:00:00Z"), reason="Wrong address.", voided_by="ada")
    assert_verified()
    used(acme, "7", on="2026-03-30T23:00:00Z")
    billed("2026-05-02T00:00:00Z")
    assert_verified()
    third = issued(account, "2026-05-02T01:00:00Z")

    assert amounts_of(third) == [Decimal("30"), Decimal("-10"), Decimal("15.70")]
    assert_verified()


def test_small_corrections_are_written_off_and_billed_with_a_later_one(
    acme: Project, tokens: MetricDefinition
) -> None:
    account = an_account(acme, write_off_below="1")
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "100")
    march(account)
    used(acme, "5", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")
    assert PeriodCorrection.objects.get().difference == Decimal("0.50")
    assert_verified()

    used(acme, "50", on="2026-03-31T23:30:00Z")
    billed("2026-06-01T00:00:00Z")
    assert_verified()
    issued(account, "2026-06-01T01:00:00Z")

    assert_verified()


def test_corrections_that_wait(acme: Project, tokens: MetricDefinition) -> None:
    account = an_account(acme, approve_corrections_above="0")
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "100")
    march(account)
    used(acme, "5", on="2026-03-31T23:00:00Z")

    billed("2026-05-01T00:00:00Z")

    assert PeriodCorrection.objects.get().state == "waiting"
    assert_verified()


def test_credit_discounts_payments_and_a_credit_note(acme: Project, tokens: MetricDefinition) -> None:
    account = an_account(acme, tax_rates=[*VAT, {"name": "City", "percent": "1.5"}])
    now = at("2026-03-01T00:00:00Z")
    grant_credit(account, amount=Decimal("5"), kind="promotional", now=now)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "333")
    billed("2026-04-01T00:00:00Z")
    draft = draft_of(account)
    add_line(draft, ManualLine("Setup", amount=Decimal("99.99")), added_by="ada")
    for percent in ("10", "10"):
        add_discount(draft, name="Loyal", reason="Deal.", percent=Decimal(percent), added_by="ada")
    add_discount(draft, name="Sorry", reason="Outage.", fixed_amount=Decimal("7"), added_by="ada")
    invoice = issued(account, "2026-04-01T01:00:00Z")
    assert invoice.credit_drawn == 5
    assert_verified()

    paid = record_payment(
        invoice, amount=invoice.amount_due, received_on=a_day("2026-04-02"), now=at("2026-04-02T00:00:00Z")
    )
    note = begin_credit_note(
        invoice,
        lines=[ManualLine("Setup", amount=Decimal("20"), credits=invoice.lines.get(name="Setup"))],
        reason="Half of it.",
        edited_by="ada",
    )
    issue(note, now=at("2026-04-03T00:00:00Z"), issued_by="bob")
    assert account.credit_grants.get(kind="credit_note").amount == Decimal("24.10")
    assert_verified()
    take_back_payment(paid.payment, reason="Bounced.", recorded_by="ada", received_on=a_day("2026-04-05"))
    used(acme, "100", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-01T01:00:00Z")

    assert_verified()


def test_void_gives_credit_back(acme: Project, tokens: MetricDefinition) -> None:
    account = an_account(acme, tax_rates=VAT)
    for amount in ("5", "6"):
        grant_credit(account, amount=Decimal(amount), kind="paid", now=at("2026-03-01T00:00:00Z"))
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "70")
    first = march(account)
    assert first.credit_drawn == Decimal("8.33")

    void(first, now=at("2026-04-02T00:00:00Z"), reason="Wrong address.", voided_by="ada")

    assert_verified()


@pytest.mark.parametrize(("currency", "quantity"), [("JPY", "12345.6789"), ("KWD", "0.0015")])
def test_currencies_of_other_scales(
    acme: Project, tokens: MetricDefinition, currency: str, quantity: str
) -> None:
    account = an_account(acme, currency=currency, tax_rates=VAT)
    price = {"model": "per_unit", "unit_amount": "0.333", "min_amount": "10000"}
    a_subscription(account, a_plan(a_usage_price(tokens, price), a_fee("100"), currency=currency))
    used(acme, quantity, quantity)
    billed("2026-04-01T00:00:00Z")
    add_discount(draft_of(account), name="Loyal", reason="Deal.", percent=Decimal("3.3"), added_by="ada")
    issued(account, "2026-04-01T01:00:00Z")

    assert_verified()


def test_fees_and_usage_cut_by_a_change_of_plan(acme: Project, tokens: MetricDefinition) -> None:
    account = an_account(acme, tax_rates=VAT, timezone="Europe/Berlin")
    price = {"model": "per_unit", "unit_amount": "0.1", "min_amount": "20", "usage_discount": "31"}
    subscription = a_subscription(
        account, a_plan(a_fee("31"), a_usage_price(tokens, price)), at("2026-02-28T23:00:00Z")
    )
    billed("2026-03-01T00:00:00Z")
    issued(account, "2026-03-01T01:00:00Z")
    used(acme, "400", on="2026-03-10T10:00:00Z")
    used(acme, "40", on="2026-03-20T10:00:00Z")
    successor = change_plan(
        subscription,
        plan=a_plan(a_fee("62"), a_usage_price(tokens)),
        now=at("2026-03-16T09:00:00Z"),
        at=at("2026-03-16T09:00:00Z"),
    )
    assert_verified()
    billed("2026-04-01T00:00:00Z")
    second = issued(account, "2026-04-01T01:00:00Z")
    assert sorted(amounts_of(second)) == [
        Decimal("-16"),  # 16 of 31 days given back
        Decimal("4"),
        Decimal("32"),
        Decimal("38.50"),  # 400 less 31 x 15/31 units
        Decimal("62"),
    ]
    assert_verified()
    cancel(successor, now=at("2026-04-10T09:00:00Z"), at=at("2026-04-10T09:00:00Z"))
    assert_verified()
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-01T01:00:00Z")

    assert_verified()


def test_period_that_the_subscription_no_longer_has(acme: Project, tokens: MetricDefinition) -> None:
    account = an_account(acme)
    subscription = a_subscription(account, a_plan(a_fee("31"), a_usage_price(tokens)))
    used(acme, "400", on="2026-03-10T10:00:00Z")
    march(account)
    used(acme, "40", on="2026-04-10T10:00:00Z")
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-01T01:00:00Z")

    cancel(subscription, now=at("2026-05-10T00:00:00Z"), at=at("2026-04-01T00:00:00Z"))
    assert_verified()
    billed("2026-06-01T00:00:00Z")
    assert_verified()
    issued(account, "2026-06-01T01:00:00Z")

    assert_verified()


PRICES: list[dict[str, Any]] = [
    {"model": "per_unit", "unit_amount": "0.333"},
    {**VOLUME, "charge_flat_on_zero": True},
    {
        "model": "percentage",
        "rate_percent": "2.9",
        "fixed_amount_per_event": "0.3",
        "free_events": "1",
        "per_event_max": "0.5",
    },
    {"model": "package", "package_size": "10", "package_amount": "7", "free_units": "3"},
]


def three_projects(acme: Project) -> None:
    east = a_project("east", parent=acme)
    west, idle = a_project("west", parent=acme), a_project("idle", parent=acme)
    for project in (east, west, idle):
        attribute(project, payer=acme)
    used(acme, "1", "0", labels={"region": "eu"})
    used(east, "10", "3.5", labels={"region": "eu"})
    used(east, "1", labels={"region": "us"})
    used(west, "7", labels={})
    used(idle, "0", "0", labels={})


@pytest.mark.parametrize("price", PRICES, ids=lambda price: price["model"])
@pytest.mark.parametrize("split_by", [[], ["project"], ["labels.region"], ["project", "labels.region"]])
@pytest.mark.parametrize("per_project", [False, True])
def test_lines_by_project_and_label(
    acme: Project, tokens: MetricDefinition, price: dict[str, Any], split_by: list[str], per_project: bool
) -> None:
    account = an_account(acme, tax_rates=VAT)
    draft = a_draft(a_usage_price(tokens, {**price, "min_amount": "0.1"}, per_project=per_project))
    Price.objects.filter(plan=draft).update(split_by=split_by)
    a_subscription(account, publish_plan(draft))
    three_projects(acme)
    march(account)
    assert_verified()

    used(Project.objects.get(key="west"), "200", on="2026-03-31T23:00:00Z", labels={"region": "us"})
    billed("2026-05-01T00:00:00Z")
    assert_verified()
    issued(account, "2026-05-01T01:00:00Z")

    assert_verified()


METRICS: list[dict[str, Any]] = [
    {"aggregation": "COUNT"},
    {"aggregation": "AVG"},
    {"aggregation": "MAX", "meter_type": "gauge"},
    {"aggregation": "LATEST", "meter_type": "gauge"},
    {"aggregation": "UNIQUE_COUNT", "data_type": "STRING", "value_property": "user"},
    {"aggregation": "SUM", "is_incremental": False},
    {"aggregation": "SUM", "reporting_method": "total", "reset_period": "daily", "is_incremental": True},
    {"aggregation": "TIME_WEIGHTED_AVG", "meter_type": "gauge", "is_incremental": False},
]


@pytest.mark.parametrize(
    "definition", METRICS, ids=lambda definition: "-".join(map(str, definition.values()))
)
@pytest.mark.parametrize("split_by", [[], ["labels.region"]])
def test_every_aggregation(acme: Project, definition: dict[str, Any], split_by: list[str]) -> None:
    seats = a_metric("seats", **definition)
    account = an_account(acme)
    draft = a_draft(
        a_usage_price(seats, label_match={"tier": "gold"}, name="Gold"),
        a_usage_price(seats, {"model": "per_unit", "unit_amount": "0.07"}, name="Others"),
    )
    Price.objects.filter(plan=draft).update(split_by=split_by)
    a_subscription(account, publish_plan(draft))
    ids = []
    for number, day in enumerate(("02-27", "03-01", "03-05", "03-05", "03-20", "03-30"), start=1):
        for tier in ("gold", "tin"):
            [outcome] = recorded(
                an_event(
                    acme,
                    event_name="seats",
                    quantity=str(100 + number * 7),
                    occurred_at=f"2026-{day}T10:0{number}:00Z",
                    subject_type="user",
                    subject_id="kim",
                    labels={"tier": tier, "region": "eu" if number % 2 else "us", "user": f"u{number % 3}"},
                )
            )
            ids.append(outcome.id)
    march(account)
    assert_verified()

    a_void_of(ids[7])
    billed("2026-05-01T00:00:00Z")
    assert_verified()
    if Invoice.objects.filter(issued_at=None).exists():
        issued(account, "2026-05-01T01:00:00Z")

    assert_verified()


def test_invoices_by_hand(acme: Project) -> None:
    account = an_account(acme, tax_rates=VAT)
    draft = begin_invoice(account, edited_by="ada")
    add_line(draft, ManualLine("Days", quantity=Decimal(3), unit_amount=Decimal("333.333")), added_by="ada")
    add_line(draft, ManualLine("Rebate", amount=Decimal("-100")), added_by="ada")
    add_discount(draft, name="Loyal", reason="Deal.", percent=Decimal("7"), added_by="ada")
    invoice = issue(draft, now=at("2026-04-01T00:00:00Z"), issued_by="ada")
    change_account(account, {"tax_rates": []}, now=at("2026-04-01T00:00:00Z"))
    assert_verified()

    void(invoice, now=at("2026-04-02T00:00:00Z"), reason="Wrong address.", voided_by="ada")

    assert_verified()
