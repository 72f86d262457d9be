"""What a price would have done, before anybody pays it."""

import pytest
from playwright.sync_api import expect

from tests.billing.billed import used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.browser.background import work_off
from tests.browser.pages import downloaded, field, pick
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project, at


@pytest.fixture
def acme(live_server: object) -> None:
    """30.00 a month and 0.10 a token; 100 tokens in March 2024."""
    project, tokens = a_project("acme", name="Acme"), a_metric("tokens", display_name="Tokens", unit="token")
    plan = a_plan(a_fee("30"), a_usage_price(tokens), key="pro", name="Pro")
    a_subscription(an_account(project), plan, effective_from=at("2024-03-01T00:00:00Z"))
    used(project, "100", on="2024-03-10T12:00:00Z")
    a_draft(
        a_fee("10"),
        a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.45"}),
        key="usage-only",
        name="Mostly usage",
    )
    work_off()


def test_a_draft_of_a_plan_is_compared_with_what_was_charged(seat: Seat, acme: None) -> None:
    page = seat.signed_in("Finance")
    page.goto("/admin/")
    page.get_by_role("link", name="What if").click()

    pick(page, "Under which plan", "Mostly usage")
    field(page, "First day").fill("2024-03-01")
    field(page, "Last day").fill("2024-03-31")
    page.get_by_role("button", name="Compare").click()

    # 30.00 + 100 x 0.10 as it was; 10.00 + 100 x 0.45 under the other plan.
    account = page.get_by_role("row").filter(has_text="Acme Ltd")
    expect(account).to_contain_text("40.00")
    expect(account).to_contain_text("55.00")
    expect(account).to_contain_text("+15.00")
    expect(account).to_contain_text("+37.5%")
    expect(page.get_by_text("0 less, 1 more")).to_be_visible()
    name, text = downloaded(page, page.get_by_role("link", name="Download as CSV"))
    assert name.endswith(".csv")
    assert "Acme Ltd" in text
    assert "15.00" in text
