"""Whoever is billed reads the bills and doesn't write them."""

from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import ManualLine, add_line
from billing.models import CreditGrant, Invoice
from tests.billing.api.callers import Caller
from tests.billing.billed import a_seller, billed, draft_of, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft() -> Invoice:
    a_seller()
    platform = a_project("platform", kind="tenant")
    acme = a_project("acme", parent=platform)
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(a_metric("tokens"))))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    return draft_of(account)


@pytest.mark.parametrize(
    ("method", "route", "body"),
    [
        ("PATCH", "/billing-accounts/{account}/", {"tax_rates": [], "write_off_below": "1000000"}),
        ("POST", "/subscriptions/", {"project": "acme", "plan": "anything"}),
        ("POST", "/subscriptions/{subscription}/cancel/", {"when": "now"}),
        ("POST", "/subscriptions/{subscription}/change-plan/", {"plan": "anything", "when": "now"}),
    ],
)
def test_key_of_the_customer_sets_no_terms(draft, method, route, body):
    call = Caller(draft.account.project)
    subscription = draft.account.subscriptions.get()

    answer = call(method, route.format(account=draft.account_id, subscription=subscription.pk), body)

    assert answer.status_code == 403
    subscription.refresh_from_db()
    assert subscription.effective_until is None


def test_remarks_of_colleagues_are_not_for_the_customer(draft):
    work = ManualLine("Work", Decimal(10), reason="He complained.")
    add_line(draft, work, added_by="ada")

    mine = Caller(draft.account.project)("GET", f"/invoices/{draft.pk}/").json()["lines"][-1]
    ours = Caller(draft.account.project.parent)("GET", f"/invoices/{draft.pk}/").json()["lines"][-1]

    assert (mine["name"], mine["reason"], mine["added_by"]) == ("Work", "", "")
    assert (ours["reason"], ours["added_by"]) == ("He complained.", "ada")


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/invoices/{id}/issue/", {"early": True}),
        ("/invoices/{id}/lines/", {"name": "Gift", "amount": "-5"}),
        ("/invoices/{id}/discounts/", {"name": "Gift", "reason": "x", "percent": "50"}),
        ("/invoices/", {"account": "{account}", "lines": [{"name": "x", "amount": "1"}]}),
        ("/credit-grants/", {"account": "{account}", "amount": "100", "kind": "promotional"}),
        ("/billing-runs/", {"account": "{account}"}),
    ],
)
def test_key_of_the_customer_writes_no_bill(draft, route, body):
    call = Caller(draft.account.project)
    filled = {name: draft.account_id if value == "{account}" else value for name, value in body.items()}

    answer = call("POST", route.format(id=draft.pk), filled)

    assert answer.status_code == 403
    assert "above the one that is billed" in answer.json()["detail"]
    assert Invoice.objects.drafts().get().total == Decimal(10)
    assert not CreditGrant.objects.exists()


def test_key_of_the_customer_reads_its_bills(draft):
    call = Caller(draft.account.project, "read")

    assert call("GET", f"/invoices/{draft.pk}/").json()["total"] == "10.00"
    pdf, table = call("GET", f"/invoices/{draft.pk}/pdf/"), call("GET", f"/invoices/{draft.pk}/csv/")

    assert (pdf.status_code, pdf["Content-Type"], pdf.content[:5]) == (200, "application/pdf", b"%PDF-")
    assert (table.status_code, table["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert "tokens" in table.content.decode()


def test_key_above_the_customer_writes_bills(draft):
    call = Caller(draft.account.project.parent)

    answer = call("POST", f"/invoices/{draft.pk}/issue/", {"early": True})

    assert (answer.status_code, answer.json()["number"]) == (200, "INV-000001")
