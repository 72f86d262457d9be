"""Finance bills a month: looks ahead, reviews, issues, explains, and credits what was wrong."""

import csv
import datetime as dt
import io
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from billing.models import BillingAccount, Invoice
from metering.clock import database_now
from metering.models import UsageEvent
from tests.billing.billed import a_seller, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.browser.background import work_off
from tests.browser.pages import downloaded, expect_told, fact, field
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project


@pytest.fixture
def acme(live_server: object) -> BillingAccount:
    """30.00 a month and 0.10 a token; 123.5 tokens last month, 20 in this one; VAT of 19 %."""
    now = database_now()
    this_month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last_month = (this_month - dt.timedelta(days=1)).replace(day=1)
    project = a_project("acme", name="Acme")
    tokens = a_metric("tokens", display_name="Tokens", unit="token")
    account = an_account(
        project,
        tax_rates=[{"name": "VAT", "percent": "19"}],
        invoice_emails=["invoices@acme.example"],
        issue_grace_days=0,
    )
    a_seller()
    plan = a_plan(a_fee("30", charged="arrears"), a_usage_price(tokens), key="pro", name="Pro")
    a_subscription(account, plan, effective_from=last_month)
    used(project, "100", "23.5", on=(last_month + dt.timedelta(days=9, hours=12)).isoformat())
    used(project, "20", on=now.isoformat())
    work_off()
    return account


def test_invoice_is_previewed_reviewed_and_issued(seat: Seat, acme: BillingAccount) -> None:
    page = seat.signed_in("Finance")

    # What the next draft would hold, were this month over now: last month, and 20 tokens.
    page.goto("/admin/billing/billingaccount/")
    page.get_by_role("link", name="Acme Ltd").click()
    page.get_by_role("link", name="So far this period").click()
    expect(page.get_by_role("row", name="Over 123.5 token 12.35")).to_be_visible()
    expect(page.get_by_role("row", name="Running 20 token 2.00")).to_be_visible()

    _bills_now(page)
    draft = page.get_by_role("main")
    page.goto("/admin/billing/billingrun/review/")
    expect(page.get_by_text("42.35 EUR")).to_be_visible()
    expect(page.get_by_text("50.40 EUR with tax")).to_be_visible()
    page.get_by_role("link", name="Review", exact=True).click()
    expect(draft).to_contain_text("A draft: not sent to anybody, without a number, and it may still change.")
    expect(page.get_by_role("row").filter(has_text="Tokens").first).to_contain_text("12.35")

    page.get_by_role("link", name="Issue").click()
    expect(fact(page, "Total")).to_have_text("50.40 EUR")
    expect(fact(page, "Mailed to")).to_have_text("invoices@acme.example")
    page.get_by_role("button", name="Issue it").click()

    expect_told(page, "INV-000001 is issued.")
    expect(page.get_by_role("heading", name="INV-000001").first).to_be_visible()
    expect(page.get_by_role("link", name="Issue", exact=True)).to_have_count(0)
    invoice = Invoice.objects.get()
    assert (invoice.number, invoice.total, invoice.issued_by) == ("INV-000001", Decimal("50.40"), "finance")


def test_a_line_is_explained_down_to_its_events(seat: Seat, acme: BillingAccount) -> None:
    page = seat.signed_in("Finance")
    _bills_now(page)
    page.goto("/admin/billing/billingrun/review/")
    page.get_by_role("link", name="Review", exact=True).click()

    page.get_by_role("row").filter(has_text="Tokens").get_by_role("link", name="Explain").first.click()

    expect(page).to_have_title("Why 12.35 EUR for “Tokens”? | Meterbook")
    expect(page.get_by_text("Proved")).to_be_visible()
    expect(page.get_by_text("Reading the ledger again gives the same 2 events")).to_be_visible()
    events = page.locator("#events")
    expect(events.get_by_role("row").filter(has_text="23.5")).to_have_count(1)
    name, text = downloaded(page, events.get_by_role("link", name="Download all as CSV"))
    assert name.endswith("-events.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["value"] for row in rows] == ["100", "23.5"]

    events.get_by_role("row").filter(has_text="23.5").get_by_role("link").first.click()
    event = UsageEvent.objects.get(quantity="23.5")
    expect(page).to_have_url(f"{seat.url}/admin/metering/usageevent/{event.pk}/change/")
    expect(page.get_by_role("main")).to_contain_text("23.5")


def test_a_line_is_credited(seat: Seat, acme: BillingAccount) -> None:
    page = seat.signed_in("Finance")
    _bills_now(page)
    _issues_the_draft(page)

    page.get_by_role("link", name="Credit note").click()
    page.get_by_role("checkbox", name="Credit Tokens").check()
    page.get_by_role("textbox", name="Amount to credit of Tokens").fill("2.35")
    field(page, "Reason").fill("The test run of the 10th was ours.")
    page.get_by_role("button", name="Make the draft").click()
    expect_told(page, "A draft of 2.80 EUR, tax included. Look at it and issue it.")
    page.get_by_role("link", name="Issue").click()
    expect(fact(page, "Settles")).to_have_text("INV-000001")
    page.get_by_role("button", name="Issue it").click()

    expect_told(page, "CN-000001 is issued.")
    expect(page.get_by_role("main")).to_contain_text("The test run of the 10th was ours.")
    page.goto(f"/admin/billing/invoice/{Invoice.objects.get(number='INV-000001').pk}/change/")
    expect(page.get_by_role("main")).to_contain_text("47.60 EUR")
    expect(page.get_by_role("link", name="CN-000001").first).to_be_visible()


def _bills_now(page: Page) -> None:
    page.goto("/admin/billing/billingrun/")
    page.get_by_role("link", name="Bill now").click()
    expect(page.get_by_text("1 account is looked through.")).to_be_visible()
    page.get_by_role("button", name="Start the billing run").click()
    work_off()
    expect(page.get_by_text("Done: every account that owes something was billed.")).to_be_visible()


def _issues_the_draft(page: Page) -> None:
    page.goto("/admin/billing/billingrun/review/")
    page.get_by_role("link", name="Review", exact=True).click()
    page.get_by_role("link", name="Issue").click()
    page.get_by_role("button", name="Issue it").click()
    expect_told(page, "INV-000001 is issued.")
