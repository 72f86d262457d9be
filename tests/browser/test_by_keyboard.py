"""The whole way by keyboard: sign in, go to the review queue, issue an invoice."""

from playwright.sync_api import Page, expect

from billing.models import Invoice
from tests.billing.billed import a_seller, billed, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.browser.pages import expect_told
from tests.browser.people import PASSWORD, person
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project, at

FOCUSED = """
() => {
    const seen = document.activeElement;
    const style = getComputedStyle(seen);
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    const words = seen.cloneNode(true);
    words.querySelectorAll("[aria-hidden=true]").forEach((each) => each.remove());
    const name = seen.getAttribute("aria-label") || words.textContent || seen.id;
    return [name.trim(), ring || style.boxShadow !== "none"];
}
"""
MOST_STEPS = 120


def test_an_invoice_is_issued_without_a_mouse(seat: Seat) -> None:
    a_seller()
    acme, tokens = a_project("acme", name="Acme"), a_metric("tokens", display_name="Tokens", unit="token")
    account = an_account(acme)
    plan = a_plan(a_fee("30", charged="arrears"), a_usage_price(tokens), key="pro", name="Pro")
    march, april = at("2024-03-01T00:00:00Z"), at("2024-04-01T00:00:00Z")
    a_subscription(account, plan, effective_from=march, effective_until=april)
    used(acme, "100", on="2024-03-10T12:00:00Z")
    billed("2024-04-01T00:00:00Z")
    person("Finance", name="kim")
    page = seat.visitor()

    page.goto("/admin/login/")
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type("kim")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    _goes_to(page, "Review queue")
    expect(page.get_by_text("40.00 EUR")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # past the menu
    _goes_to(page, "Review")
    expect(page.get_by_role("heading", name="Draft", exact=False).first).to_be_visible()
    _goes_to(page, "Issue")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    _goes_to(page, "Issue it")

    expect_told(page, "INV-000001 is issued.")
    assert Invoice.objects.get().issued_by == "kim"


def _goes_to(page: Page, name: str) -> None:
    """By Tab to what is called so, which shows where one is on the way, and Enter."""
    url = page.url
    for _step in range(MOST_STEPS):
        page.keyboard.press("Tab")
        focused, is_seen = page.evaluate(FOCUSED)
        assert is_seen, f"nothing shows that {focused!r} has the focus"
        if focused == name:
            page.keyboard.press("Enter")
            page.wait_for_url(lambda now: now != url)
            return
    raise AssertionError(f"{name!r} can't be reached by Tab")
