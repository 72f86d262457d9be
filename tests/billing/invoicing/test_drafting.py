from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import discard_draft
from billing.invoicing.voiding import void
from billing.models import Invoice, PeriodCorrection
from billing.selling.subscriptions import cancel
from billing.settling.credits import grant_credit
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


def test_draft_that_would_come_out_the_same_is_left_as_it_is():
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    before = set(draft_of(account).lines.values_list("id", flat=True))

    used(acme, "7", on="2026-04-01T08:00:00Z")  # of a month that runs
    billed("2026-04-01T12:00:00Z")
    assert set(draft_of(account).lines.values_list("id", flat=True)) == before

    used(acme, "1", on="2026-03-31T08:00:00Z")  # of the month on the draft
    billed("2026-04-01T13:00:00Z")
    assert table_of(draft_of(account))[1] == ("usage", "tokens", "101", "10.10")


def test_credit_on_a_draft_that_is_left_as_it_is_is_what_there_is():
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")

    grant_credit(account, amount=Decimal("4"), kind="paid", now=at("2026-04-01T01:00:00Z"))
    billed("2026-04-01T12:00:00Z")

    draft = draft_of(account)
    assert (draft.total, draft.credit_drawn, draft.amount_due) == (10, 4, 6)


def test_run_passes_over_accounts_of_which_nothing_became_due():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme)
    a_seller()
    subscription = a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T01:00:00Z")

    looked_at = [
        billed(instant).account_count
        for instant in ("2026-04-02T00:00:00Z", "2026-04-03T00:00:00Z", "2026-04-30T23:59:59Z")
    ]
    assert looked_at == [1, 0, 0]  # what was issued is looked at once more

    used(acme, "1", on="2026-03-31T00:00:00Z")
    assert billed("2026-04-30T23:59:59Z").account_count == 1
    cancel(subscription, now=at("2026-04-30T00:00:00Z"))
    assert billed("2026-05-01T00:00:00Z").account_count == 1
    assert table_of(draft_of(account)) == [
        ("usage (correction)", "Tokens", "-100", "-10.00"),
        ("usage (correction)", "Tokens", "101", "10.10"),
    ]


def test_draft_that_was_discarded_is_made_again_by_the_next_run():
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")

    discard_draft(draft_of(account))
    billed("2026-04-01T01:00:00Z")

    assert table_of(draft_of(account)) == [("usage", "Tokens", "100", "10.00")]


def test_fee_of_nothing_that_is_cut_short_needs_no_correction():
    account = an_account(a_project("acme"))
    a_seller()
    subscription = a_subscription(account, a_plan(a_fee("0"), a_fee("31", name="Support")))
    billed("2026-03-01T00:00:00Z")
    issued(account, "2026-03-01T01:00:00Z")

    cancel(subscription, now=at("2026-03-11T00:00:00Z"), at=at("2026-03-11T00:00:00Z"))
    billed("2026-03-11T00:00:00Z")

    assert table_of(draft_of(account)) == [("fee_credit (correction)", "Support", None, "-21.00")]
