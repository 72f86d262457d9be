"""A threshold was reached; somebody sees to it and says so."""

from playwright.sync_api import expect

from quotas.models import Alert
from tests.browser.background import work_off
from tests.browser.pages import expect_told, field
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project, an_event, recorded
from tests.quotas.factories import a_threshold


def test_an_alert_leaves_the_inbox_with_a_note(seat: Seat) -> None:
    acme = a_project("acme", name="Acme")
    a_threshold(acme, a_metric("tokens", display_name="Tokens", unit="token"), amount="100", subject_id="*")
    recorded(an_event(acme, quantity="120"))
    work_off()
    page = seat.signed_in("Operator")

    page.goto("/admin/")
    expect(page.get_by_role("link", name="Alerts 1")).to_be_visible()
    page.get_by_role("link", name="Open alerts").click()
    row = page.get_by_role("row").filter(has_text="acme")
    expect(row).to_contain_text("120")
    expect(row).to_contain_text("Tokens")
    row.get_by_role("link", name="Reached").click()
    page.get_by_role("link", name="Acknowledge").click()
    expect(page.get_by_text("It leaves the inbox, with your name and the time.")).to_be_visible()
    field(page, "Note").fill("They launched today; the limit goes up.")
    page.get_by_role("button", name="Acknowledge").click()

    expect_told(page, "The alert is acknowledged.")
    expect(page.get_by_role("heading", name="No open alerts")).to_be_visible()
    alert = Alert.objects.get()
    assert (alert.acknowledged_by, alert.note) == ("operator", "They launched today; the limit goes up.")
