"""An application sends usage, and who watches sees it arrive."""

import json
import urllib.request

from playwright.sync_api import expect

from metering.keys import create_api_key
from metering.models import Project
from tests.browser.background import work_off
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project


def test_usage_is_seen_in_the_ledger_and_in_the_rollups(seat: Seat) -> None:
    acme = a_project("acme", name="Acme")
    a_metric("tokens", display_name="Tokens", unit="token")
    page = seat.signed_in("Operator")

    page.goto("/admin/metering/usageevent/")
    expect(page.get_by_role("heading", name="No events here")).to_be_visible()
    _sends(seat.url, acme, "40")
    page.reload()

    row = page.get_by_role("row").filter(has_text="request-1")
    expect(row).to_contain_text("acme")
    expect(row).to_contain_text("40")
    row.get_by_role("link").first.click()
    expect(page.get_by_text("request-1").first).to_be_visible()
    expect(page.get_by_text("ada").first).to_be_visible()

    work_off()
    page.goto("/admin/metering/usagemeterrollup/")
    expect(page.get_by_role("row").filter(has_text="acme").first).to_contain_text("40")


def _sends(url: str, project: Project, quantity: str) -> None:
    """As an application does: with a key, over HTTP."""
    _row, key = create_api_key(project=project, name="app", permissions=["ingest"])
    event = {
        "id": "request-1",
        "event_name": "tokens",
        "quantity": quantity,
        "subject_id": "ada",
        "occurred_at": "2024-05-15T12:00:00Z",
    }
    request = urllib.request.Request(
        f"{url}/api/v1/usage-events/",
        data=json.dumps(event).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201
