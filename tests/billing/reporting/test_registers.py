"""Registers of documents and their lines: literal files."""

import pytest

from billing.invoicing.voiding import void
from billing.reporting.credit_notes import CREDIT_NOTES
from billing.reporting.invoice_lines_export import INVOICE_LINES
from billing.reporting.invoice_register import INVOICE_REGISTER
from billing.settling.payments import record_payment
from metering.errors import Invalid, NotFound
from tests.billing.billed import a_day, a_seller, billed, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

from .reported import rows_of, text_of

pytestmark = pytest.mark.django_db
VAT = [{"name": "VAT", "percent": "19"}]
REGISTER_HEADER = (
    "number,kind,issued_on,due_on,credits,account,project,customer,country,tax_id,currency,subtotal,discount,"
    "tax,taxes,total,credit_drawn,amount_due,paid,credited,open,status,period_start,period_end\n"
)
LINES_HEADER = (
    "number,document_kind,issued_on,account,customer,line,kind,is_correction,reverses,name,plan,metric,"
    "project,labels,first_day,last_day,quantity,unit,currency,amount,discount,tax,taxes,total,event_count,"
    "event_digest\n"
)


def an_invoiced_customer(name: str = "Acme Ltd"):
    """March of 123.5 tokens at 0.10 and two fees of 30, with 19 % VAT: 86.10, issued on 1 April."""
    acme = a_project("acme")
    tokens = a_metric("tokens", display_name="Tokens", unit="tokens")
    account = an_account(acme, legal_name=name, country="DE", tax_id="DE1", tax_rates=VAT)
    a_seller()
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens), name="Team"))
    used(acme, "100", "23.5")
    billed("2026-04-01T00:00:00Z")
    return account, issued(account, "2026-04-01T12:00:00Z")


def test_register_says_what_is_open():
    account, invoice = an_invoiced_customer()
    record_payment(
        invoice, amount=invoice.total - 36, received_on=a_day("2026-04-09"), now=at("2026-04-09T09:00:00Z")
    )

    text = text_of(INVOICE_REGISTER)

    assert text == REGISTER_HEADER + (
        f"INV-000001,invoice,2026-04-01,2026-05-01,,{account.pk},acme,Acme Ltd,DE,DE1,EUR,72.35,0.00,13.75,"
        "VAT 19% of 72.35 = 13.75,86.10,0.00,86.10,50.10,0.00,36.00,"
        f"{rows_of(INVOICE_REGISTER)[0]['status']},2026-03-01T00:00:00Z,2026-05-01T00:00:00Z\n"
    )


def test_void_invoice_and_its_credit_note():
    _, invoice = an_invoiced_customer()
    void(invoice, now=at("2026-04-02T00:00:00Z"), reason="Wrong customer.", voided_by="ada")

    rows = rows_of(INVOICE_REGISTER)
    [note] = rows_of(CREDIT_NOTES)

    columns = ("number", "credits", "total", "paid", "credited", "open", "status")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("INV-000001", "", "86.10", "0.00", "86.10", "0.00", "void"),
        ("CN-000001", "INV-000001", "-86.10", "0.00", "0.00", "0.00", "issued"),
    ]
    assert note == rows[1]


def test_lines_are_what_the_document_shows():
    account, _ = an_invoiced_customer()
    billed("2026-05-01T00:00:00Z")

    text = text_of(INVOICE_LINES)

    [usage] = [row for row in rows_of(INVOICE_LINES) if row["kind"] == "usage"]
    fee = ",,EUR,30.00,0.00,5.70,VAT 19% = 5.70,35.70,,\n"
    front = f"INV-000001,invoice,2026-04-01,{account.pk},Acme Ltd"
    assert text == LINES_HEADER + (
        f"{front},1,fee,no,,Base fee,Team,,,,2026-03-01,2026-03-31,{fee}"
        f"{front},2,usage,no,,Tokens,Team,tokens,,,2026-03-01,2026-03-31,123.5,tokens,EUR,12.35,0.00,2.35,"
        f"VAT 19% = 2.35,14.70,2,{usage['event_digest']}\n"
        f"{front},3,fee,no,,Base fee,Team,,,,2026-04-01,2026-04-30,{fee}"
    )
    assert len(usage["event_digest"]) == 64


def test_correction_names_the_line_that_it_reverses():
    account, _ = an_invoiced_customer()
    used(account.project, "10", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-01T12:00:00Z")

    rows = rows_of(INVOICE_LINES, start="2026-05-01")

    assert [
        (row["is_correction"], row["reverses"], row["quantity"], row["amount"])
        for row in rows
        if row["kind"] == "usage"
    ] == [("yes", "INV-000001/2", "-123.5", "-12.35"), ("yes", "", "133.5", "13.35")]


def test_filters_leave_what_was_asked_for():
    account, _ = an_invoiced_customer()

    def numbers(**filters):
        return [row["number"] for row in rows_of(INVOICE_REGISTER, **filters)]

    assert numbers(start="2026-04-01", until="2026-04-02") == ["INV-000001"]
    assert numbers(account=account.pk, currency="eur", kind="INVOICE") == ["INV-000001"]
    for nothing in (
        {"until": "2026-04-01"},
        {"start": "2026-04-02"},
        {"start": "2026-04-01", "until": "2026-04-01"},
        {"currency": "USD"},
        {"kind": "credit_note"},
    ):
        assert text_of(INVOICE_REGISTER, **nothing) == REGISTER_HEADER


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"start": "2026-13-01"}, "filters.from"),
        ({"start": "yesterday"}, "filters.from"),
        ({"start": "0001-01-01"}, "filters.from"),
        ({"start": "2026-04-02", "until": "2026-04-01"}, "filters.until"),
        ({"account": "one"}, "filters.account"),
        ({"account": True}, "filters.account"),
        ({"currency": "XXX"}, "filters.currency"),
        ({"currency": "\x00"}, "filters.currency"),
        ({"kind": "draft"}, "filters.kind"),
        ({"project": "acme"}, "filters.project"),
    ],
)
def test_filter_at_fault_is_named(filters, field):
    with pytest.raises(Invalid) as refusal:
        text_of(INVOICE_REGISTER, **filters)

    assert refusal.value.field == field


def test_account_of_another_tenant_is_not_there():
    account, _ = an_invoiced_customer()
    stranger = a_project("stranger")

    assert text_of(INVOICE_REGISTER, project_path=stranger.path) == REGISTER_HEADER
    with pytest.raises(NotFound):
        text_of(INVOICE_REGISTER, project_path=stranger.path, account=account.pk)


@pytest.mark.parametrize("name", ['=1+1"', "+1", "-1", "@A1", "'q", '"', "ü;,😀"])
def test_names_are_no_formulas_and_come_back(name):
    an_invoiced_customer(name)

    [row] = rows_of(INVOICE_REGISTER)

    is_risky = name[0] in "=+-@'"
    assert row["customer"] == (f"'{name}" if is_risky else name)
    assert float(row["total"]) == 86.1
