"""A customer signs a contract: a project with a limit, an account, a plan with prices, a subscription."""

from playwright.sync_api import Page, expect

from billing.models import BillingAccount, Subscription
from quotas.models import ProjectQuota
from tests.browser.pages import choose, save
from tests.browser.sitting import Seat
from tests.factories import a_metric


def test_operator_and_finance_make_a_customer_with_plan_and_quota(seat: Seat) -> None:
    a_metric("tokens", display_name="Tokens", unit="token")

    operator = seat.signed_in("Operator")
    _adds_the_project(operator)
    _limits_it_to_1000_tokens_a_month(operator)
    finance = seat.signed_in("Finance")
    _drafts_and_publishes_the_plan(finance)
    _opens_the_account(finance)
    _puts_it_on_the_plan(finance)

    quota = ProjectQuota.objects.get()
    assert (quota.project.key, quota.metric.key, quota.limit, quota.mode) == (
        "nordlicht",
        "tokens",
        1000,
        "hard",
    )
    account = BillingAccount.objects.get()
    assert (account.legal_name, account.currency, account.timezone) == (
        "Nordlicht GmbH",
        "EUR",
        "Europe/Berlin",
    )
    subscription = Subscription.objects.get()
    assert (subscription.account, subscription.plan.key) == (account, "pro")
    assert subscription.effective_from.isoformat() == "2026-02-28T23:00:00+00:00"


def _adds_the_project(page: Page) -> None:
    page.goto("/admin/metering/project/add/")
    page.get_by_label("Key").fill("nordlicht")
    page.get_by_label("Name").fill("Nordlicht")
    choose(page, "Time zone", "Europe/Berlin")
    save(page)
    expect(page.get_by_role("status").or_(page.get_by_role("alert")).first).to_contain_text("was added")


def _limits_it_to_1000_tokens_a_month(page: Page) -> None:
    page.goto("/admin/quotas/projectquota/add/")
    choose(page, "Project", "nordlicht")
    choose(page, "Metric", "tokens")
    page.get_by_label("Limit").fill("1000")
    choose(page, "Mode", "Hard")
    save(page)


def _drafts_and_publishes_the_plan(page: Page) -> None:
    page.goto("/admin/billing/plan/add/")
    page.get_by_label("Key").fill("pro")
    page.get_by_label("Name").fill("Pro")
    choose(page, "Currency", "EUR")
    save(page)


def _opens_the_account(page: Page) -> None:
    page.goto("/admin/billing/billingaccount/add/")
    choose(page, "Project", "nordlicht")
    page.get_by_label("Legal name").fill("Nordlicht GmbH")
    save(page)


def _puts_it_on_the_plan(page: Page) -> None:
    page.goto("/admin/billing/subscription/add/")
