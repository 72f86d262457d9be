"""Lists of billing as files: what finance staff take to their spreadsheets."""

from decimal import Decimal

import pytest
from django.test import Client

from billing.invoicing.draft_edits import ManualLine, begin_credit_note
from billing.invoicing.issuing import issue
from billing.models import BillingAccount, Invoice, InvoiceLine, Subscription
from billing.reporting.invoice_register import INVOICE_REGISTER
from billing.settling.payments import record_payment
from tests.billing.billed import a_day, draft_of
from tests.billing.reporting.reported import rows_of
from tests.factories import at
from tests.metering.admin.listed import file_of_list, url_of

from .conftest import Clerk


@pytest.fixture
def invoice(account: BillingAccount) -> Invoice:
    """86.10 due on 15 April, of which 40 were paid."""
    invoice = issue(draft_of(account), now=at("2026-04-01T08:00:00Z"), issued_by="ada", is_early=True)
    record_payment(
        invoice,
        amount=Decimal(40),
        received_on=a_day("2026-04-10"),
        recorded_by="ada",
        now=at("2026-04-10T08:00:00Z"),
    )
    return invoice


def test_file_of_invoices_says_what_is_owed(staff: Client, invoice: Invoice) -> None:
    (row,) = file_of_list(staff, Invoice, "standing=overdue&q=acme")

    names = ("number", "kind", "standing", "project", "currency", "tax_total", "total", "paid", "open")
    assert tuple(row[name] for name in names) == (
        invoice.number,
        "invoice",
        "overdue",
        "acme",
        "EUR",
        "13.75",
        "86.10",
        "40.00",
        "46.10",
    )
    assert (row["issued_on"], row["due_on"], row["credits"]) == ("2026-04-01", "2026-04-15", "")


def test_file_of_invoices_means_by_paid_and_credited_what_the_register_does(
    staff: Client, invoice: Invoice
) -> None:
    note = begin_credit_note(
        invoice, lines=[ManualLine("Sorry", amount=Decimal(10))], reason="Outage.", edited_by="ada"
    )
    issue(note, now=at("2026-04-12T08:00:00Z"), issued_by="ada")

    (row,) = file_of_list(staff, Invoice, "origin__exact=run")

    (registered,) = rows_of(INVOICE_REGISTER, kind="invoice")
    names = ("paid", "credited", "open", "amount_due", "account", "project", "customer", "currency")
    assert {name: row[name] for name in names} == {name: registered[name] for name in names}
    assert (row["paid"], row["credited"], row["open"]) == ("40.00", "11.90", "34.20")


def test_tab_of_the_list_holds_in_the_file(staff: Client, invoice: Invoice) -> None:
    response = staff.get(url_of(Invoice, "as_csv", "standing=paid"), follow=True)

    assert response.redirect_chain[0][0] == url_of(Invoice, query="standing=paid")


def test_file_of_lines_has_amounts_in_decimals_of_their_currency(staff: Client, invoice: Invoice) -> None:
    rows = file_of_list(staff, InvoiceLine)

    assert sorted((row["document"], row["currency"], row["amount"]) for row in rows) == sorted(
        (invoice.number, "EUR", f"{line.amount:.2f}") for line in invoice.lines.all()
    )
    assert {row["customer"] for row in rows} == {invoice.account.legal_name}


def test_file_of_subscriptions_names_plan_and_state(staff: Client, account: BillingAccount) -> None:
    (row,) = file_of_list(staff, Subscription, "state=active")

    wanted = ("project", "plan", "plan_version", "state", "effective_from", "effective_until")
    assert tuple(row[name] for name in wanted) == ("acme", "pro", "1", "active", "2026-02-28T23:00:00Z", "")


def test_who_sees_invoices_and_exports_nothing_else_gets_them_alone(clerk: Clerk, invoice: Invoice) -> None:
    client = clerk("view_invoice", "export_data")

    assert len(file_of_list(client, Invoice)) == 1
    assert client.get(url_of(Subscription, "as_csv")).status_code == 403
