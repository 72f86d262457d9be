"""Search everywhere finds customers, documents, payments and plans."""

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from billing.admin.document_numbers import named_by_number
from billing.invoicing.number_series import change_series
from billing.models import BillingAccount, Invoice, NumberSeries
from billing.settling.payments import record_payment
from tests.billing.billed import a_day, issued
from tests.factories import at

from .conftest import Clerk

SEARCH = "/admin/search/"


def found(client: Client, text: str) -> dict[str, list[str]]:
    """What the page of results lists: titles with their details, by kind."""
    response = client.get(SEARCH, {"q": text})
    assert response.status_code == 200
    return {
        str(kind.title): [f"{shown.hit.title} | {shown.hit.detail}" for shown in hits]
        for kind, hits in response.context["groups"]
    }


@pytest.fixture
def invoice(account: BillingAccount) -> Invoice:
    """Acme's March, issued as INV-000001."""
    return issued(account, "2026-04-02T00:00:00Z")


def test_a_customer_is_found_by_name_project_tax_id_and_address(
    staff: Client, account: BillingAccount
) -> None:
    BillingAccount.objects.filter(pk=account.pk).update(legal_name="Acme GmbH", tax_id="DE123456789")
    shown = ["Acme GmbH | acme · DE123456789 · invoices@acme.example"]

    assert found(staff, "acme gmb")["Customers"] == shown
    assert found(staff, "acme")["Customers"] == shown
    assert found(staff, "de1234")["Customers"] == shown
    assert found(staff, "invoices@acme.example")["Customers"] == shown


@pytest.mark.parametrize("text", ["INV-000001", "inv-000001", "INV-0", "inv-1", "1", "000001", "0000"])
def test_an_invoice_is_found_by_its_number(staff: Client, invoice: Invoice, text: str) -> None:
    assert found(staff, text)["Invoices and credit notes"] == [
        f"INV-000001 | Invoice · {invoice.account.legal_name} · 86.10 EUR"
    ]


@pytest.mark.parametrize("text", ["INV-000002", "CN-000001", "inv-2", "%000001", "INV_000001"])
def test_no_other_number_finds_it(staff: Client, invoice: Invoice, text: str) -> None:
    assert "Invoices and credit notes" not in found(staff, text)


def test_enter_goes_straight_to_the_invoice_of_a_number(staff: Client, invoice: Invoice) -> None:
    response = staff.get(SEARCH, {"q": "inv-000001", "go": "1"})

    assert response.status_code == 302
    assert response.url == reverse("admin:billing_invoice_change", args=[invoice.pk])


def test_numbers_of_an_earlier_prefix_are_still_found(staff: Client, invoice: Invoice) -> None:
    change_series(NumberSeries.objects.get(kind="invoice"), prefix="R-", digits=4)

    assert list(found(staff, "inv-0")) == ["Invoices and credit notes"]
    assert list(found(staff, "INV-000001")) == ["Invoices and credit notes"]


def test_a_draft_is_found_by_its_id(staff: Client, account: BillingAccount) -> None:
    draft = Invoice.objects.get()

    titles = found(staff, str(draft.pk))["Invoices and credit notes"]

    assert titles == [f"Draft ({draft.pk}) | Invoice · {account.legal_name} · 86.10 EUR"]


def test_a_payment_is_found_by_its_reference_and_leads_to_its_invoice(
    staff: Client, invoice: Invoice
) -> None:
    record_payment(
        invoice,
        amount=invoice.total,
        received_on=a_day("2026-04-10"),
        reference="E2E-2031",
        now=at("2026-04-10T12:00:00Z"),
    )

    straight = staff.get(SEARCH, {"q": "e2e-2031", "go": "1"})

    assert found(staff, "2031")["Payments"] == ["E2E-2031 | 86.10 EUR · INV-000001 · 2026-04-10"]
    assert straight.url == reverse("admin:billing_invoice_change", args=[invoice.pk])


def test_a_plan_is_found_by_key_and_name(staff: Client, account: BillingAccount) -> None:
    assert found(staff, "PRO")["Plans"] == ["Pro | pro v1 · Published"]


def test_who_may_not_see_billing_finds_nothing_of_it(clerk: Clerk, invoice: Invoice) -> None:
    operator = clerk("view_project")

    assert list(found(operator, "acme")) == ["Projects"]
    assert found(operator, "INV-000001") == {}
    assert found(operator, "pro v1") == {}


def test_finance_staff_find_customers_and_documents_and_no_events(clerk: Clerk, invoice: Invoice) -> None:
    finance = clerk("view_invoice", "view_billingaccount")

    assert list(found(finance, "acme")) == ["Customers"]
    assert list(found(finance, "INV-000001")) == ["Invoices and credit notes"]


def test_a_number_is_looked_up_through_indexes(invoice: Invoice) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")

    plan = Invoice.objects.filter(named_by_number("inv-1")).order_by().explain()

    assert "BitmapOr" in plan
    assert "Seq Scan" not in plan
