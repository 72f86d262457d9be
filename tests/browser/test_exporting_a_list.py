"""Taking along what a list shows, and no more."""

import csv
import io

import pytest
from playwright.sync_api import expect

from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.browser.pages import downloaded
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project, at


@pytest.fixture
def two_invoices(live_server: object) -> None:
    """Acme was billed in euros, Birch in dollars: 40.00 each for March 2024."""
    a_seller()
    tokens = a_metric("tokens", display_name="Tokens", unit="token")
    for key, currency in (("acme", "EUR"), ("birch", "USD")):
        project = a_project(key, name=key.title())
        account = an_account(project, currency=currency)
        prices = a_fee("30", charged="arrears"), a_usage_price(tokens)
        a_subscription(
            account,
            a_plan(*prices, key=f"plan-{key}", currency=currency),
            effective_from=at("2024-03-01T00:00:00Z"),
            effective_until=at("2024-04-01T00:00:00Z"),
        )
        used(project, "100", on="2024-03-10T12:00:00Z")
        billed("2024-04-01T00:00:00Z", account)
        issued(account, "2024-04-02T00:00:00Z")


def test_register_holds_the_invoices_that_were_asked_for(seat: Seat, two_invoices: None) -> None:
    page = seat.signed_in("Finance")
    page.goto("/admin/metering/export/")
    page.get_by_role("link", name="Add export").first.click()
    page.get_by_role("link", name="Invoice register").click()
    page.get_by_label("Currency").fill("USD")

    name, text = downloaded(page, page.get_by_role("button", name="Download now"))

    assert name == "invoice-register.csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["number"], row["customer"], row["total"]) for row in rows] == [
        ("INV-000002", "Birch Ltd", "40.00")
    ]


def test_list_of_invoices_is_downloaded_as_it_is_filtered(seat: Seat, two_invoices: None) -> None:
    page = seat.signed_in("Finance")
    page.goto("/admin/billing/invoice/?currency__exact=USD")
    expect(page.get_by_role("row").filter(has_text="Birch Ltd")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="Acme Ltd")).to_have_count(0)
    button = page.get_by_role("link", name="Download as CSV")
    expect(button).to_be_visible()

    name, text = downloaded(page, button)

    assert name.endswith(".csv")
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 2  # names of the columns, and Birch's invoice
    assert "INV-000002" in text
    assert "Birch Ltd" in text
    assert "Acme" not in text
