"""A customer signs a contract: a project with a limit, an account, a plan with prices, a subscription."""

from playwright.sync_api import Page, expect

from billing.models import BillingAccount, Subscription
from quotas.models import ProjectQuota
from tests.browser.pages import expect_told, field, pick, save
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project


def test_a_customer_is_made_with_plan_and_quota(seat: Seat) -> None:
    a_project("platform", name="Platform", kind="tenant")
    a_metric("tokens", display_name="Tokens", unit="token")

    operator = seat.signed_in("Operator")
    _adds_the_project(operator)
    _limits_it(operator)
    finance = seat.signed_in("Finance")
    _sells_a_plan(finance)
    _opens_the_account(finance)
    _puts_it_on_the_plan(finance)

    quota = ProjectQuota.objects.get(project__key="nordlicht")
    assert (quota.metric.key, quota.limit, quota.mode) == ("tokens", 1000, "hard")
    account = BillingAccount.objects.get(project__key="nordlicht")
    assert (account.legal_name, account.currency) == ("Nordlicht GmbH", "EUR")
    subscription = Subscription.objects.get(account=account)
    assert (subscription.plan.key, subscription.plan.version) == ("pro", 1)
    assert subscription.effective_from.isoformat() == "2026-02-28T23:00:00+00:00"  # 1 March in Berlin


def _adds_the_project(page: Page) -> None:
    page.goto("/admin/metering/project/")
    page.get_by_role("link", name="Add project").first.click()
    field(page, "Key").fill("nordlicht")
    field(page, "Name").fill("Nordlicht")
    pick(page, "Time zone", "Europe/Berlin")
    save(page)
    expect_told(page, "was added successfully")


def _limits_it(page: Page) -> None:
    page.goto("/admin/quotas/projectquota/add/")
    pick(page, "Project", "nordlicht")
    pick(page, "Metric", "tokens")
    field(page, "Limit").fill("1000")
    save(page)
    expect_told(page, "was added successfully")
    expect(page.get_by_role("row").filter(has_text="nordlicht")).to_contain_text("1,000")


def _sells_a_plan(page: Page) -> None:
    page.goto("/admin/billing/plan/add/")
    field(page, "Key").fill("pro")
    field(page, "Name").fill("Pro")
    pick(page, "Currency", "EUR")
    save(page)
    expect_told(page, "The draft of “Pro” is saved.")

    page.get_by_role("link", name="Add a fixed fee").click()
    field(page, "Name").fill("Base fee")
    field(page, "Amount").fill("30")
    page.get_by_role("button", name="Save the price").click()
    page.get_by_role("link", name="Add a price of usage").click()
    pick(page, "Metric", "Tokens")
    field(page, "Amount per unit").fill("0.10")
    field(page, "Look at a quantity").fill("123.5")
    expect(page.get_by_label("Preview")).to_contain_text("12.35")
    page.get_by_role("button", name="Save the price").click()
    expect(page.get_by_role("row").filter(has_text="Tokens")).to_contain_text("0.10 EUR per unit")

    page.get_by_role("link", name="Publish").click()
    field(page, "Reason").fill("The new price list")
    page.get_by_role("button", name="Publish the plan").click()
    expect_told(page, "“Pro” is published.")


def _opens_the_account(page: Page) -> None:
    page.goto("/admin/billing/billingaccount/add/")
    pick(page, "Paying project", "nordlicht")
    field(page, "Legal name").fill("Nordlicht GmbH")
    pick(page, "Time zone", "Europe/Berlin")
    field(page, "Tax rates").fill("VAT 19")
    save(page)
    expect_told(page, "was added successfully")


def _puts_it_on_the_plan(page: Page) -> None:
    page.goto("/admin/billing/billingaccount/")
    page.get_by_role("link", name="Nordlicht GmbH").click()
    page.get_by_role("link", name="Subscribe to a plan").first.click()
    pick(page, "Plan", "Pro")
    field(page, "From").fill("2026-03-01")
    save(page)
    expect(page.get_by_text("Base fee in advance: 30.00 EUR")).to_be_visible()
    page.get_by_role("button", name="Save it").click()
    expect_told(page, "added")
