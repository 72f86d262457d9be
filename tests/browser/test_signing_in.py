"""The door: who signs in, who doesn't, and where they come out."""

from playwright.sync_api import expect

from tests.browser.people import PASSWORD, person
from tests.browser.sitting import Seat


def test_the_right_password_leads_to_the_page_that_was_asked_for(seat: Seat) -> None:
    person("Finance", name="kim")
    page = seat.visitor()

    page.goto("/admin/billing/invoice/")
    expect(page).to_have_title("Log in | Meterbook")
    page.get_by_label("Username").fill("kim")
    page.get_by_label("Password").fill("a wrong one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()

    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()

    expect(page).to_have_url(f"{seat.url}/admin/billing/invoice/")
    expect(page.get_by_role("heading", level=1, name="Billing Invoices")).to_be_visible()


def test_signing_out_closes_the_door(seat: Seat) -> None:
    page = seat.signed_in("Finance")
    page.goto("/admin/")

    page.get_by_role("button", name="Account of finance").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("Thanks for spending some quality time")).to_be_visible()
    page.goto("/admin/billing/invoice/")

    expect(page).to_have_title("Log in | Meterbook")
