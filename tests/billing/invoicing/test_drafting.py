from decimal import Decimal

import pytest

from billing.invoicing.issuing import void
from billing.models import Invoice, PeriodCorrection
from metering.attributing.scope_tree import attribute
from tests.billing.billed import a_seller, billed, draft_of, issued, table_of, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, at

pytestmark = pytest.mark.django_db


def test_month_is_billed_with_its_usage_and_the_next_fee():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "19"}])
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "100", "23.5")

    billed("2026-04-01T00:00:00Z")

    draft = draft_of(account)
    assert table_of(draft) == [
        ("fee", "Base fee", None, "30.00"),
        ("usage", "Tokens", "123.5", "12.35"),
        ("fee", "Base fee", None, "30.00"),
    ]
    assert (draft.subtotal, draft.tax_total, draft.total) == (
        Decimal("72.35"),
        Decimal("13.75"),  # 5.70 + 2.35 + 5.70
        Decimal("86.10"),
    )


def test_late_unit_lowers_a_volume_bill():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme)
    a_seller()
    volume = {
        "model": "volume",
        "tiers": [{"up_to": "15", "unit_amount": "10"}, {"up_to": None, "unit_amount": "5"}],
    }
    a_subscription(account, a_plan(a_usage_price(tokens, volume)))
    used(acme, "15")
    billed("2026-04-01T00:00:00Z")
    first = issued(account, "2026-04-01T01:00:00Z")
    assert (first.number, first.total) == ("INV-000001", Decimal("150"))

    used(acme, "1", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")

    draft = draft_of(account)
    assert table_of(draft) == [
        ("usage (correction)", "Tokens", "-15", "-150.00"),
        ("usage (correction)", "Tokens", "16", "80.00"),
    ]
    note = issued(account, "2026-05-01T01:00:00Z")
    assert (note.number, note.kind, note.total) == ("CN-000001", "credit_note", Decimal("-70"))
    assert PeriodCorrection.objects.get().state == "booked"
    assert account.credit_entries.get().amount == 70


def test_run_repeated_computes_the_same_draft():
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "100")

    first = billed("2026-04-01T00:00:00Z")
    before = table_of(draft_of(account))
    second = billed("2026-04-01T00:00:00Z")

    assert table_of(draft_of(account)) == before
    assert (first.drafted_count, second.drafted_count) == (1, 1)
    assert Invoice.objects.count() == 1


def test_void_reopens_the_periods():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme)
    a_seller()
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    [event_id] = used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    first = issued(account, "2026-04-01T01:00:00Z")

    a_void_of(event_id)
    note = void(first, now=at("2026-04-02T00:00:00Z"), reason="Wrong event.", voided_by="ada")
    billed("2026-04-02T00:00:00Z")

    assert (note.number, note.total) == ("CN-000001", Decimal("-70"))
    assert table_of(draft_of(account)) == [
        ("fee", "Base fee", None, "30.00"),
        ("fee", "Base fee", None, "30.00"),
    ]
    assert Invoice.objects.with_open_amount().get(pk=first.pk).open_amount == 0


def test_lines_are_split_by_project_and_label_and_add_up():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    shop = a_project("shop", parent=acme)
    attribute(shop, payer=acme)
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens, split_by=["project", "labels.region"])))
    used(acme, "100", labels={"region": "eu"})
    used(acme, "100.5", labels={"region": "us"})
    used(shop, "100.6", labels={"region": "eu"})

    billed("2026-04-01T00:00:00Z")

    draft = draft_of(account)
    assert [
        (line.project_key, line.group, str(line.amount)) for line in draft.lines.order_by("position")
    ] == [
        ("acme", {"region": "eu"}, "10.0000"),
        ("shop", {"region": "eu"}, "10.0600"),
        ("acme", {"region": "us"}, "10.0500"),
    ]
    assert draft.subtotal == Decimal("30.11")  # 301.1 at 0.10
