"""What somebody who owns the database changes behind the guards is found, and its place named."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import pytest
from django.db import transaction

from billing.guards import DOCUMENT_GUARDS
from billing.invoicing.draft_edits import ManualLine, add_discount, begin_credit_note
from billing.invoicing.issuing import issue
from billing.invoicing.voiding import void
from billing.models import BilledPeriod, Invoice, InvoiceLine, Price
from billing.proving import billing_checks
from billing.proving.unbilled_proofs import closed_months
from billing.selling.plans import publish_plan
from billing.selling.subscriptions import cancel
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment
from metering.attributing.scope_tree import attribute
from metering.clock import database_now
from metering.verifying.verification_checks import Asked
from tests.billing.billed import a_day, a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.billing.proof import assert_verified, breaches_of, outcomes_of
from tests.factories import a_metric, a_project, at
from tests.metering.sealing import sealed_ledger
from tests.metering.sealing.sealed_ledger import execute

pytestmark = pytest.mark.django_db

CHECKS = "billing.proving.billing_checks."
LINES, TOTALS, NUMBERS, PERIODS, CREDITS, UNBILLED = (
    CHECKS + name
    for name in (
        "INVOICE_LINES",
        "INVOICE_TOTALS",
        "INVOICE_NUMBERS",
        "BILLED_PERIODS",
        "CREDITS",
        "UNBILLED",
    )
)
VAT = [{"name": "VAT", "percent": "19"}]


@pytest.fixture
def books(db: None) -> None:
    """INV-000001: March, with a discount and credit; partly paid, partly credited by CN-000001. INV-000002:
    a correction of March. INV-000003: another account's, void by CN-000002."""
    a_seller()
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens")
    shop = a_project("shop", parent=acme)
    attribute(shop, payer=acme)
    account = an_account(acme, tax_rates=VAT)
    grant_credit(account, amount=Decimal("5"), kind="paid", now=at("2026-03-01T00:00:00Z"))
    plan = a_draft(a_fee("31"), a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.1"}))
    Price.objects.filter(plan=plan, kind="usage").update(split_by=["project"])
    subscription = a_subscription(account, publish_plan(plan))
    used(acme, "100", "50")
    used(shop, "25")
    billed("2026-04-01T00:00:00Z", account)
    add_discount(draft_of(account), name="Loyal", reason="Deal.", percent=Decimal(10), added_by="ada")
    first = issued(account, "2026-04-01T01:00:00Z")
    record_payment(
        first, amount=Decimal("20"), received_on=a_day("2026-04-02"), now=at("2026-04-02T00:00:00Z")
    )
    note = begin_credit_note(
        first, lines=[ManualLine("Outage", amount=Decimal("3"))], reason="Outage.", edited_by="ada"
    )
    issue(note, now=at("2026-04-03T00:00:00Z"), issued_by="bob")
    used(shop, "40", on="2026-03-31T23:00:00Z")
    cancel(subscription, now=at("2026-04-16T00:00:00Z"), at=at("2026-04-16T00:00:00Z"))
    used(acme, "400", on="2026-04-10T12:00:00Z")
    billed("2026-05-01T00:00:00Z", account)
    issued(account, "2026-05-01T01:00:00Z")

    globex = a_project("globex")
    other = an_account(globex)
    grant_credit(other, amount=Decimal("2"), kind="paid", now=at("2026-03-01T00:00:00Z"))
    a_subscription(other, a_plan(a_usage_price(tokens)))
    used(globex, "70")
    billed("2026-04-01T00:00:00Z", other)
    third = issued(other, "2026-04-01T01:00:00Z")
    void(third, now=at("2026-04-02T00:00:00Z"), reason="Wrong address.", voided_by="ada")


def behind_the_guards(*statements: str) -> None:
    tables = sorted({guard.table for guard in DOCUMENT_GUARDS} | SETTLEMENT)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in tables:
        execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    for statement in statements:
        execute(statement)
    for table in tables:
        execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


SETTLEMENT = {"billing_payment", "billing_creditgrant", "billing_creditentry"}

# Lines of INV-000001: 1 the fee of March, 2 acme's usage, 3 shop's, 4 the fee of April.
LINE = (
    "UPDATE billing_invoiceline l SET {} FROM billing_invoice i"
    " WHERE i.id = l.invoice_id AND i.number = '{}' AND l.position = {}"
)


def line(change: str, number: str = "INV-000001", position: int = 3) -> str:
    return LINE.format(change, number, position)


def invoice(change: str, number: str = "INV-000001") -> str:
    return f"UPDATE billing_invoice SET {change} WHERE number = '{number}'"


def evidence(path: str, value: str) -> str:
    return line(f"evidence = jsonb_set(evidence, '{{{path}}}', '{value}')")


def test_books_are_honest_before_anybody_touches_them(books: None) -> None:
    numbers = Invoice.objects.issued().order_by("id").values_list("number", flat=True)
    assert list(numbers) == ["INV-000001", "CN-000001", "INV-000002", "INV-000003", "CN-000002"]
    assert_verified()


def assert_found(path: str, cases: Sequence[tuple[str, str, str]]) -> None:
    """Each statement, alone, brings a breach of that code with those words."""
    for statement, code, words in cases:
        with transaction.atomic():
            behind_the_guards(statement)
            assert words in found(path, code), statement
            transaction.set_rollback(True)


def found(path: str, code: str) -> str:
    """The words of the breaches with that code."""
    return "\n".join(breach.what for breach in breaches_of(path) if breach.code == code)


ALTERED_LINES = [
    (line("event_count = 3"), "events_differ", "INV-000001 line 3 (Tokens) was made of 3 events; at"),
    (line("event_digest = sha256('x')"), "event_digest_differs", "INV-000001 line 3 (Tokens) was made"),
    (line("quantity = 151"), "quantity_differs", "quantity of 151"),
    (line("evidence = '{}'"), "evidence_unreadable", "INV-000001 line 3 (Tokens)"),
    (line("evidence = NULL"), "evidence_missing", "INV-000001 line 3 (Tokens)"),
    (evidence("position", "999"), "evidence_differs", "INV-000001 line 3 (Tokens) has evidence of"),
    (evidence("payer_id", "999"), "evidence_differs", "payer"),
    (evidence("from", '"2026-03-02T00:00:00+00:00"'), "evidence_differs", "beginning"),
    (evidence("to", '"2026-03-31T00:00:00+00:00"'), "evidence_differs", "end"),
    (evidence("match", '{"region": "eu"}'), "evidence_differs", "label match"),
    (evidence("excluding", '[{"region": "eu"}]'), "evidence_differs", "other prices"),
    (evidence("within", "{}"), "evidence_differs", "project and labels"),
    (line("price = jsonb_set(price, '{unit_amount}', '\"0.2\"')"), "price_differs", "INV-000001 line 3"),
    (line("share = '1/2'"), "share_differs", "was rated for 1/2 of a full period; served were 1."),
    (line("amount = 16"), "rating_differs", "usage of 31.00 EUR was billed; by the ledger and its price"),
    (line("rated_amount = 16"), "whole_differs", "part of 175.000000000000 for 16.00 EUR; the whole is"),
    (
        "UPDATE billing_invoiceline SET amount = amount + CASE position WHEN 3 THEN 1 ELSE -1 END"
        " WHERE kind = 'usage' AND position IN (2, 3)"
        " AND invoice_id = (SELECT id FROM billing_invoice WHERE number = 'INV-000001')",
        "split_differs",
        "INV-000001 line 3 (Tokens) bears 3.50 EUR; its part of the whole is about 2.50 EUR.",
    ),
    (line("amount = -6", "CN-000002", 1), "reversal_differs", "CN-000002 line 1 (Tokens) takes back"),
    (line("taxes = '[]'", "INV-000002", 4), "reversal_differs", "differs in taxes"),
    (line("event_digest = NULL", "CN-000002", 1), "reversal_differs", "differs in event_digest"),
]


def test_altered_line_is_found(books: None) -> None:
    assert_found(LINES, ALTERED_LINES)


def test_event_that_was_taken_out_of_the_ledger_is_missed(books: None) -> None:
    sealed_ledger.behind_the_guards("DELETE FROM metering_usageevent WHERE quantity = 50")

    assert "INV-000001 line 2 (Tokens) was made of 2 events" in found(LINES, "events_differ")
    assert "is worth 16.50 EUR by the ledger" in found(PERIODS, "period_differs_from_ledger")


ALTERED_TOTALS = [
    (
        invoice("subtotal = subtotal + 1, total = total + 1, amount_due = amount_due + 1"),
        "subtotal_differs",
        "INV-000001 states a subtotal of 80.50 EUR; it is 79.50 EUR.",
    ),
    (
        invoice("tax_total = tax_total + 1, total = total + 1, amount_due = amount_due + 1"),
        "tax_total_differs",
        "INV-000001 states tax of",
    ),
    (
        invoice("discount_total = discount_total - 1, total = total - 1, amount_due = amount_due - 1"),
        "discounts_differ",
        "INV-000001 states discounts of -8.95 EUR; it is -7.95 EUR.",
    ),
    (
        "UPDATE billing_invoicediscount SET amount = -7",
        "discount_differs",
        "INV-000001 states for the discount 'Loyal' -7.00 EUR; it is -7.95 EUR.",
    ),
    (
        "UPDATE billing_invoicediscount SET percent = 11",
        "discount_differs",
        "INV-000001 states for the discount 'Loyal' -7.95 EUR; it is -8.75 EUR.",
    ),
    (line("discount_amount = -1"), "line_discount_differs", "as discount of line 3 (Tokens) -1.00 EUR"),
    (line("tax_amount = 1"), "line_tax_differs", "as tax of line 3 (Tokens) 1.00 EUR"),
    (
        line("taxes = jsonb_set(l.taxes, '{0,amount}', '\"9.99\"')"),
        "tax_differs",
        "line 3 (Tokens) bears 9.99 EUR of VAT 19 %",
    ),
    (line("taxes = '[{}]'"), "document_unreadable", "INV-000001 holds what can't be read"),
    (invoice("taxes = '[]'"), "tax_summary_differs", "INV-000001 sums its taxes up otherwise"),
    (line("amount = 15.001"), "amount_too_fine", "line 3 (Tokens) has a amount"),
    (
        invoice("credit_drawn = 99, amount_due = total - 99"),
        "credit_beyond_total",
        "INV-000001 is paid by 99.00 EUR of credit.",
    ),
]


def test_totals_that_no_longer_add_up_are_found(books: None) -> None:
    assert_found(TOTALS, ALTERED_TOTALS)


ALTERED_NUMBERS = [
    (
        "UPDATE billing_numberseries SET last_number = 7 WHERE kind = 'invoice'",
        "number_missing",
        "Of the invoices, of which 7 were numbered, numbers 4 to 7 are missing.",
    ),
    (
        invoice("sequence = 9, number = 'INV-000009'", "INV-000002"),
        "number_missing",
        "Of the invoices, of which 3 were numbered, number 2 is missing.",
    ),
    (invoice("sequence = 9, number = 'INV-000009'"), "number_never_given", "(INV-000009) is number 9"),
    (invoice("number = 'INV-000007'"), "number_text_differs", "(INV-000007) is number 1 of its series."),
    (
        invoice("kind = 'credit_note'", "INV-000003"),
        "number_of_another_series",
        "(INV-000003) is one of the credit notes, its number one of the invoices.",
    ),
]


def test_gap_in_the_numbers_is_found(books: None) -> None:
    assert_found(NUMBERS, ALTERED_NUMBERS)


ALTERED_PERIODS = [
    (line("amount = 16"), "period_differs_from_ledger", "is worth 21.50 EUR by the ledger at position"),
    (line("day_count = 30", position=1), "fee_days_differ", "states 30 days; its dates hold 31."),
    (line("amount = 30", position=1), "fee_differs", "charges 30.00 EUR; 31 of 31 days cost 31.00 EUR."),
    (
        line("service_end_on = '2026-03-31', day_count = 30", position=1),
        "fee_days_differ",
        "has 31 days of service, and 30 stand charged.",
    ),
    (line('price = \'{"model": "flat", "amount": "30"}\'', position=1), "price_differs", "line 1"),
    (line("amount = -1", "INV-000002", 2), "fee_differs", "15 of 30 days cost -15.50 EUR"),
    (
        "UPDATE billing_billedperiod SET position = 1 WHERE invoice_id ="
        " (SELECT id FROM billing_invoice WHERE number = 'INV-000002')",
        "period_differs_from_ledger",
        "by the ledger at position 1;",
    ),
    (
        "UPDATE billing_billedperiod SET period_end = period_end + interval '1 day'",
        "period_of_no_subscription",
        "ends at 2026-04-02 00:00 UTC; none does.",
    ),
    (
        "UPDATE billing_billedperiod SET position = NULL",
        "unbilled_period_with_amounts",
        "is to be billed anew, and 31.00 EUR stand charged",
    ),
    (
        "UPDATE billing_billedperiod SET position = NULL",
        "period_of_wrong_document",
        "isn't billed, and its document INV-000001 is issued.",
    ),
    (
        "INSERT INTO billing_periodcorrection (billed_period_id, account_id, position, period_end,"
        " billed_amount, rated_amount, difference, state, reason, decided_by)"
        " SELECT id, account_id, position, period_end, 0, 0, 4, 'written_off', '', ''"
        " FROM billing_billedperiod WHERE position IS NOT NULL",
        "period_differs_from_ledger",
        "4.00 EUR are written off.",
    ),
]


def test_period_that_no_longer_comes_out_is_found(books: None) -> None:
    assert_found(PERIODS, ALTERED_PERIODS)


def test_period_on_two_drafts_is_found(books: None) -> None:
    period = BilledPeriod.objects.order_by("id").first()
    assert period is not None
    drafts = [
        Invoice.objects.create(account=period.account, currency="EUR", origin="manual") for _ in range(2)
    ]
    for draft in drafts:
        InvoiceLine.objects.create(
            invoice=draft, position=1, kind="fee", name="Fee", amount=1, billed_period=period
        )

    assert f"is on drafts {drafts[0].pk} and {drafts[1].pk}." in found(PERIODS, "period_on_two_drafts")


DRAWN = "UPDATE billing_creditentry SET {} WHERE kind = '{}'"


ALTERED_CREDIT = [
    (DRAWN.format("amount = 9", "granted"), "grant_entered_otherwise", "of 5.00 EUR was entered 1 times"),
    ("DELETE FROM billing_creditentry WHERE kind = 'granted'", "credit_below_zero", "stood at -5.00 EUR"),
    (DRAWN.format("amount = -1", "drawn"), "credit_drawn_differs", "INV-000001 states 5.00 EUR of credit"),
    (
        "DELETE FROM billing_creditentry WHERE kind = 'returned'",
        "credit_returned_differs",
        "INV-000003 is void, drew 2.00 EUR of credit and gave back 0.00 EUR.",
    ),
    (
        "UPDATE billing_creditgrant SET currency = 'JPY'",
        "grant_in_another_currency",
        "its account is in EUR.",
    ),
    (
        "UPDATE billing_creditentry SET account_id ="
        " (SELECT max(id) FROM billing_billingaccount) WHERE kind = 'drawn'",
        "credit_of_another_account",
        "has entries of another account.",
    ),
    (
        "UPDATE billing_payment SET amount = 900 WHERE method <> 'credit_note'",
        "paid_too_much",
        "of INV-000001 brings what is settled to",
    ),
    (
        "DELETE FROM billing_payment WHERE method = 'credit_note'",
        "credit_note_unsettled",
        "CN-000001 gives back 3.57 EUR: 0.00 EUR settle an invoice",
    ),
    (
        "DELETE FROM billing_payment WHERE method = 'credit_note'",
        "void_with_open_amount",
        "CN-000002, which voids INV-000003, leaves 5.00 EUR open on it.",
    ),
    (
        "DELETE FROM billing_invoiceline WHERE reverses_id IS NOT NULL AND invoice_id ="
        " (SELECT id FROM billing_invoice WHERE number = 'CN-000002')",
        "void_differs_from_invoice",
        "CN-000002, which voids INV-000003, takes back 0 of its 1 line, has 0 more",
    ),
]


def test_credit_that_no_longer_balances_is_found(books: None) -> None:
    assert_found(CREDITS, ALTERED_CREDIT)


def test_usage_that_nobody_bills_is_a_warning() -> None:
    since, _until = closed_months(database_now())
    on = (since + dt.timedelta(days=9)).isoformat()
    tokens, acme, globex = a_metric("tokens"), a_project("acme"), a_project("globex")
    an_account(acme, legal_name="Acme")
    a_plan(a_usage_price(tokens))
    used(acme, "5", on=on)
    used(globex, "5", "7", on=on)

    found = outcomes_of(UNBILLED)  # a step or two: accounts go by ranges of ids

    assert sum(outcome.breach_count for outcome in found) == 0
    warnings = [one for outcome in found for one in outcome.warnings]
    assert sorted((one.code, one.what.split(" from ")[0]) for one in warnings) == [
        (
            "payer_without_account",
            "Project globex pays for 2 events of tokens and has no billing account.",
        ),
        ("usage_unbilled", "Account Acme (acme): no subscription takes 1 event of tokens, 5,"),
    ]


def test_ranges_keep_their_names_while_documents_are_added() -> None:
    assert list(billing_checks.ranges_up_to(0)) == [(1, 200)]
    assert list(billing_checks.ranges_up_to(401)) == [(1, 200), (201, 400), (401, 600)]
    assert list(billing_checks.ranges_up_to(20_001))[:2] == [(1, 400), (401, 800)]
    assert [step.subject for step in billing_checks.INVOICE_LINES.steps(Asked())] == ["1-200"]
