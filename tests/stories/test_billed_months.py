"""Whole months of customers, every number worked out by hand; each ends with the books being verified."""

from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import add_discount
from billing.invoicing.voiding import void
from billing.models import Invoice, PeriodCorrection, Plan, Price
from billing.selling.accounts import change_account
from billing.selling.plans import publish_plan
from billing.selling.price_lists import PriceDraft
from billing.selling.subscriptions import cancel, change_plan
from metering.attributing.scope_tree import attribute
from metering.clock import database_now
from tests.billing.billed import a_seller, billed, draft_of, issued, table_of, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.billing.proof import assert_verified
from tests.factories import a_metric, a_project, a_void_of, at

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _seller():
    a_seller()


def test_late_events_after_issuing_are_billed_next_month():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.333"})))

    # March: 1 unit. 0.333 is 0.33.
    used(acme, "1", on="2026-03-10T08:00:00Z")
    billed("2026-04-01T00:00:00Z")
    march = issued(account, "2026-04-02T00:00:00Z")
    assert table_of(march) == [("usage", "Tokens", "1", "0.33")]

    # Another unit of March arrives in April, beside 3 of April's own. All of March is 0.666, hence 0.67.
    used(acme, "1", on="2026-03-31T23:59:59.999999Z")
    used(acme, "3", on="2026-04-01T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    april = issued(account, "2026-05-02T00:00:00Z")
    assert table_of(april) == [
        ("usage", "Tokens", "3", "1.00"),
        ("usage (correction)", "Tokens", "-1", "-0.33"),
        ("usage (correction)", "Tokens", "2", "0.67"),
    ]
    assert (april.number, april.total) == ("INV-000002", Decimal("1.34"))

    # Nothing more arrives: May has nothing to bill, and no document.
    billed("2026-06-01T00:00:00Z")
    assert not Invoice.objects.drafts().exists()
    assert_verified()


def test_change_of_plan_on_the_fifteenth():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme, timezone="Europe/Berlin")
    small = a_plan(a_fee("31"), a_usage_price(tokens, included_free("10")))
    large = a_plan(a_fee("62"), a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.50"}))
    subscription = a_subscription(account, small, at("2026-01-01T00:00", "Europe/Berlin"))

    # On 1 January the fee of January is billed in advance.
    billed("2026-01-01T00:00:00Z")
    first = issued(account, "2026-01-01T10:00:00Z")
    assert table_of(first) == [("fee", "Base fee", None, "31.00")]

    # On the 15th at noon in Berlin she changes. 17 of 31 days are left, the 15th among them.
    noon = at("2026-01-15T12:00", "Europe/Berlin")
    used(acme, "10", on="2026-01-15T10:59:59Z")  # a second before
    used(acme, "8", on="2026-01-15T11:00:00Z")  # at noon
    change_plan(subscription, plan=large, now=noon, at=noon)
    billed("2026-02-01T00:00:00Z")
    january = draft_of(account)
    # Of 10 free units 14/31 are free before the change: 10 - 140/31 = 170/31 at 1.00 is 5.48.
    assert table_of(january) == [
        ("usage", "Tokens", "10", "5.48"),
        ("fee", "Base fee", None, "34.00"),  # 62 x 17/31
        ("usage", "Tokens", "8", "4.00"),
        ("fee", "Base fee", None, "62.00"),  # February in advance
        ("fee_credit (correction)", "Base fee", None, "-17.00"),  # 31 x 17/31 unused
    ]
    assert january.total == Decimal("88.48")
    issued(account, "2026-02-02T00:00:00Z")

    billed("2026-03-01T00:00:00Z")
    assert table_of(draft_of(account)) == [("fee", "Base fee", None, "62.00")]
    issued(account, "2026-03-02T00:00:00Z")
    assert_verified()


def included_free(units: str) -> dict:
    return {"model": "per_unit", "unit_amount": "1.00", "usage_discount": units}


def test_parent_pays_for_two_children_until_one_changes_its_payer():
    parent = a_project("parent", kind="tenant")
    left, right = a_project("left", parent=parent), a_project("right", parent=parent)
    for child in (left, right):
        attribute(child, payer=parent)
    tokens = a_metric("tokens", display_name="Tokens")
    plan = a_plan_by_project(a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.01"}))
    ours, hers = an_account(parent), an_account(right)
    for account in (ours, hers):
        a_subscription(account, plan)

    # Until the 20th the parent pays for both; from then on the right one pays for itself.
    used(left, "100", on="2026-03-05T00:00:00Z")
    used(right, "233", on="2026-03-19T23:59:59Z")
    attribute(right, payer=right, effective_from=at("2026-03-20T00:00:00Z"))
    used(right, "50", on="2026-03-20T00:00:00Z")
    used(parent, "1", on="2026-03-31T00:00:00Z")
    billed("2026-04-01T00:00:00Z")

    # 334 units are 3.34: a line for each project, which add up to it.
    assert [(line.project_key, line.quantity, line.amount) for line in draft_of(ours).lines.all()] == [
        ("left", 100, Decimal("1.00")),
        ("parent", 1, Decimal("0.01")),
        ("right", 233, Decimal("2.33")),
    ]
    assert [(line.project_key, line.quantity, line.amount) for line in draft_of(hers).lines.all()] == [
        ("right", 50, Decimal("0.50")),
    ]
    issued(ours, "2026-04-02T00:00:00Z")
    issued(hers, "2026-04-02T00:00:00Z")
    assert_verified()


def a_plan_by_project(price: PriceDraft) -> Plan:
    """A published plan with one price whose lines are by project."""
    plan = a_draft(price)
    Price.objects.filter(plan=plan).update(split_by=["project"])
    return publish_plan(plan)


def test_late_unit_lowers_a_volume_bill_and_becomes_credit():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "20"}])
    volume = {
        "model": "volume",
        "tiers": [{"up_to": "15", "unit_amount": "10"}, {"up_to": None, "unit_amount": "5"}],
    }
    a_subscription(account, a_plan(a_usage_price(tokens, volume)))
    used(acme, *["1"] * 15)
    billed("2026-04-01T00:00:00Z")
    march = issued(account, "2026-04-02T00:00:00Z")
    assert (march.subtotal, march.total) == (150, 180)

    used(acme, "1", on="2026-03-31T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    note = issued(account, "2026-05-02T00:00:00Z")
    assert table_of(note) == [
        ("usage (correction)", "Tokens", "-15", "-150.00"),
        ("usage (correction)", "Tokens", "16", "80.00"),
    ]
    assert (note.number, note.kind, note.subtotal, note.total) == ("CN-000001", "credit_note", -70, -84)

    # In May 30 units at 5 are 150, with tax 180, of which the credit pays 84.
    used(acme, "30", on="2026-05-20T00:00:00Z")
    billed("2026-06-01T00:00:00Z")
    may = issued(account, "2026-06-02T00:00:00Z")
    assert (may.total, may.credit_drawn, may.amount_due) == (180, 84, 96)
    assert_verified()


def test_minimum_is_trued_up_after_rounding():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme, currency="JPY")
    price = {"model": "per_unit", "unit_amount": "8500.5", "min_amount": "10000"}
    a_subscription(account, a_plan(a_usage_price(tokens, price), currency="JPY"))
    used(acme, "1")
    billed("2026-04-01T00:00:00Z")
    march = issued(account, "2026-04-02T00:00:00Z")
    # 8500.5 is 8501; 1499 are lacking.
    assert table_of(march) == [
        ("usage", "Tokens", "1", "8501"),
        ("true_up", "Tokens", None, "1499"),
    ]

    # A late unit brings it to 17001, and the true-up is taken back with the rest.
    used(acme, "1")
    used(acme, "2", on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    april = issued(account, "2026-05-02T00:00:00Z")
    assert table_of(april) == [
        ("usage", "Tokens", "2", "17001"),
        ("usage (correction)", "Tokens", "-1", "-8501"),
        ("true_up (correction)", "Tokens", None, "-1499"),
        ("usage (correction)", "Tokens", "2", "17001"),
    ]
    assert april.total == 17001 + 7001
    assert_verified()


def test_anchor_on_the_thirty_first_over_a_leap_february():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme)
    plan = a_plan(a_fee("29"), a_usage_price(tokens, {"model": "per_unit", "unit_amount": "1"}))
    subscription = a_subscription(account, plan, at("2024-01-31T00:00:00Z"), anchor="anniversary")
    for day in (
        "2024-02-28T23:59:59.999999Z",
        "2024-02-29T00:00:00Z",
        "2024-03-30T12:00:00Z",
        "2024-03-31T00:00:00Z",
    ):
        used(acme, "1", on=day)

    billed("2024-01-31T00:00:00Z")
    issued(account, "2024-01-31T01:00:00Z")
    billed("2024-02-29T00:00:00Z")
    february = issued(account, "2024-02-29T01:00:00Z")
    billed("2024-03-31T00:00:00Z")
    march = issued(account, "2024-03-31T01:00:00Z")

    assert [
        (line.kind, line.service_start_on.isoformat(), line.service_end_on.isoformat(), line.quantity)
        for line in february.lines.all()
    ] == [
        ("usage", "2024-01-31", "2024-02-29", 1),
        ("fee", "2024-02-29", "2024-03-31", None),
    ]
    assert [
        (line.kind, line.service_start_on.isoformat(), line.service_end_on.isoformat(), line.quantity)
        for line in march.lines.all()
    ] == [
        ("usage", "2024-02-29", "2024-03-31", 2),
        ("fee", "2024-03-31", "2024-04-30", None),
    ]

    # She leaves on 10 April: 10 of 30 days were used, 20 are given back. 29 x 20/30 = 19.33
    cancel(subscription, now=at("2024-04-05T00:00:00Z"), at=at("2024-04-10T00:00:00Z"))
    billed("2024-04-10T00:00:00Z")
    april = issued(account, "2024-04-11T00:00:00Z")
    assert table_of(april) == [
        ("usage", "Tokens", "1", "1.00"),
        ("fee_credit (correction)", "Base fee", None, "-19.33"),
    ]
    assert_verified()


def test_yen_and_dinars_have_their_own_scales():
    tokens = a_metric("tokens", display_name="Tokens")
    totals = {}
    for currency in ("JPY", "KWD"):
        project = a_project(currency.lower())
        account = an_account(project, currency=currency, tax_rates=[{"name": "Tax", "percent": "10"}])
        price = {"model": "per_unit", "unit_amount": "0.0125"}
        a_subscription(account, a_plan(a_usage_price(tokens, price), currency=currency))
        used(project, "1234")  # 15.425
        billed("2026-04-01T00:00:00Z", account)
        invoice = issued(account, "2026-04-02T00:00:00Z")
        totals[currency] = (table_of(invoice)[0][3], invoice.taxes[0]["amount"], invoice.total)

    assert totals == {
        "JPY": ("15", "2", Decimal("17")),  # 1.5 is 2
        "KWD": ("15.425", "1.543", Decimal("16.968")),  # 1.5425 is 1.543
    }
    assert_verified()


def test_trial_is_free_and_then_counts_from_its_end():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme)
    plan = a_plan(a_fee("31"), a_usage_price(tokens, {"model": "per_unit", "unit_amount": "1"}))
    a_subscription(account, plan, trial_until=at("2026-03-15T00:00:00Z"))
    used(acme, "500", on="2026-03-14T23:59:59Z")
    used(acme, "2", on="2026-03-15T00:00:00Z")

    billed("2026-03-10T00:00:00Z")
    assert not Invoice.objects.exists()
    billed("2026-04-01T00:00:00Z")
    march = issued(account, "2026-04-02T00:00:00Z")
    assert table_of(march) == [
        ("fee", "Base fee", None, "17.00"),  # 17 of 31 days
        ("usage", "Tokens", "2", "2.00"),
        ("fee", "Base fee", None, "31.00"),
    ]
    assert_verified()


def test_void_of_the_largest_event_of_an_invoiced_month():
    acme = a_project("acme")
    peak = a_metric("peak", event_name="seats", display_name="Seats", aggregation="MAX", meter_type="gauge")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(peak, {"model": "per_unit", "unit_amount": "2"})))
    ids = used(acme, "40", "90", "55", event_name="seats")
    billed("2026-04-01T00:00:00Z")
    march = issued(account, "2026-04-02T00:00:00Z")
    assert table_of(march) == [("usage", "Seats", "90", "180.00")]

    # 90 was a mistake: 55 was the peak.
    a_void_of(ids[1])
    billed("2026-04-03T00:00:00Z")
    note = issued(account, "2026-04-03T00:00:00Z")
    assert table_of(note) == [
        ("usage (correction)", "Seats", "-90", "-180.00"),
        ("usage (correction)", "Seats", "55", "110.00"),
    ]
    assert (note.kind, note.total) == ("credit_note", -70)
    assert PeriodCorrection.objects.get().state == "booked"
    assert_verified()


def test_invoice_that_was_wrong_is_voided_and_billed_again():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "19"}])
    a_subscription(account, a_plan(a_fee("30", charged="arrears"), a_usage_price(tokens)))
    [wrong, _right] = used(acme, "1000", "100")
    billed("2026-04-01T00:00:00Z")
    first = issued(account, "2026-04-02T00:00:00Z")
    assert (first.number, first.total) == ("INV-000001", Decimal("166.60"))  # 140 + 26.60

    a_void_of(wrong)
    note = void(first, now=at("2026-04-03T00:00:00Z"), reason="Counted twice.", voided_by="ada")
    billed("2026-04-03T00:00:00Z")
    second = issued(account, "2026-04-03T00:00:00Z")

    assert (note.number, note.total) == ("CN-000001", Decimal("-166.60"))
    assert table_of(second) == [
        ("fee", "Base fee", None, "30.00"),
        ("usage", "Tokens", "100", "10.00"),
    ]
    assert (second.number, second.total) == ("INV-000002", Decimal("47.60"))
    assert account.credit_entries.count() == 0
    assert_verified()


def test_correction_keeps_the_discount_and_the_tax_of_its_month():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "19"}])
    a_subscription(account, a_plan(a_usage_price(tokens, {"model": "per_unit", "unit_amount": "1"})))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    add_discount(draft_of(account), name="Pilot", reason="Agreed.", percent=Decimal(10), added_by="ada")
    march = issued(account, "2026-04-02T00:00:00Z", issued_by="bob")
    assert (march.subtotal, march.discount_total, march.total) == (100, -10, Decimal("107.10"))

    # From April on another tax holds; 50 late units of March keep 10 % off and 19 % tax.
    change_account(account, {"tax_rates": [{"name": "VAT", "percent": "7"}]}, now=database_now())
    used(acme, "50")
    used(acme, "10", on="2026-04-15T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    april = issued(account, "2026-05-02T00:00:00Z")
    assert [(line.amount, line.discount_amount, line.tax_amount) for line in april.lines.all()] == [
        (10, 0, Decimal("0.70")),
        (-100, 10, Decimal("-17.10")),
        (150, -15, Decimal("25.65")),
    ]
    assert april.total == Decimal("64.25")  # 10.70 + 45 + 8.55
    assert_verified()
