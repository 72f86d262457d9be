"""An auditor sees all and changes nothing: not by buttons, not by addresses, not by hand-made posts."""

import pytest
from django.contrib.admin.models import LogEntry
from playwright.sync_api import expect

from billing.models import BillingAccount, CreditGrant, Invoice, Plan
from metering.models import MetricDefinition, Project, UsageEvent
from quotas.models import Alert, ProjectQuota
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.browser.background import work_off
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project, at
from tests.quotas.factories import a_quota, a_threshold

CHANGES = (
    "Save", "Save the price", "Add", "Issue", "Approve", "Void", "Acknowledge", "Publish", "Bill now",
    "Start the billing run", "Verify now", "Record a payment", "Credit note", "Remove", "Archive", "Move",
)  # fmt: skip
# Posts with the token of a page that the auditor may see, as a script or a curious person would.
POST = """
([url, body]) => fetch(url, {
    method: "POST",
    redirect: "manual",
    headers: {"Content-Type": "application/x-www-form-urlencoded"},
    body: body + "&csrfmiddlewaretoken=" + document.querySelector("[name=csrfmiddlewaretoken]").value,
}).then((answer) => answer.status)
"""


@pytest.fixture
def house(live_server: object) -> BillingAccount:
    """A draft and an issued invoice, a plan of each state, a quota, an open alert."""
    a_seller()
    project, tokens = a_project("acme", name="Acme"), a_metric("tokens", display_name="Tokens", unit="token")
    account = an_account(project)
    plan = a_plan(a_fee("30"), a_usage_price(tokens), key="pro", name="Pro")
    a_subscription(account, plan, effective_from=at("2026-03-01T00:00:00Z"))
    a_quota(project, tokens, limit="1000")
    a_threshold(project, tokens, amount="50", subject_id="*")
    used(project, "100")
    work_off()
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-02T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    a_draft(key="draft", name="Draft")
    return account


def test_auditor_sees_all_and_can_change_nothing(seat: Seat, house: BillingAccount) -> None:
    page = seat.signed_in("Auditor")
    before = _everything()

    for url in _pages_to_see(house):
        answer = page.goto(url)
        assert answer is not None
        assert (url, answer.status) == (url, 200)
        for name in CHANGES:
            controls = page.get_by_role("main").get_by_role("button", name=name, exact=True)
            expect(
                controls.or_(page.get_by_role("main").get_by_role("link", name=name, exact=True))
            ).to_have_count(0)

    seat.expects(403)
    for url in _pages_that_change(house):
        answer = page.goto(url)
        assert answer is not None
        assert (url, answer.status) == (url, 403)
    page.goto("/admin/billing/invoice/")
    for url, body in _posts(house):
        assert (url, page.evaluate(POST, [url, body])) == (url, 403)
    assert _everything() == before


def _pages_to_see(account: BillingAccount) -> list[str]:
    invoice = Invoice.objects.issued().get()
    line = invoice.lines.filter(kind="usage").get()
    return [
        "/admin/",
        "/admin/metering/usageevent/",
        f"/admin/metering/usageevent/{UsageEvent.objects.get().pk}/change/",
        f"/admin/metering/project/{account.project_id}/change/",
        f"/admin/metering/metricdefinition/{MetricDefinition.objects.get().pk}/change/",
        f"/admin/quotas/projectquota/{ProjectQuota.objects.get().pk}/change/",
        f"/admin/quotas/alert/{Alert.objects.first().pk}/change/",  # type: ignore[union-attr]
        "/admin/billing/billingrun/overview/",
        "/admin/billing/billingrun/review/",
        "/admin/billing/billingrun/",
        f"/admin/billing/invoice/{draft_of(account).pk}/change/",
        f"/admin/billing/invoice/{invoice.pk}/change/",
        f"/admin/billing/invoiceline/{line.pk}/change/",
        f"/admin/billing/billingaccount/{account.pk}/change/",
        f"/admin/billing/plan/{Plan.objects.get(key='draft').pk}/change/",
        "/admin/billing/plan/what-if/",
    ]


def _pages_that_change(account: BillingAccount) -> list[str]:
    draft, invoice = draft_of(account), Invoice.objects.issued().get()
    return [
        "/admin/metering/project/add/",
        "/admin/metering/apikey/add/",
        f"/admin/metering/usageevent/{UsageEvent.objects.get().pk}/void/",
        "/admin/quotas/projectquota/add/",
        f"/admin/quotas/alert/{Alert.objects.first().pk}/acknowledge/",  # type: ignore[union-attr]
        f"/admin/billing/invoice/{draft.pk}/issue/",
        f"/admin/billing/invoice/{draft.pk}/add-line/",
        f"/admin/billing/invoice/{invoice.pk}/pay/",
        f"/admin/billing/invoice/{invoice.pk}/credit/",
        f"/admin/billing/invoice/{invoice.pk}/void/",
        "/admin/billing/billingrun/now/",
        f"/admin/billing/plan/{Plan.objects.get(key='draft').pk}/publish/",
        "/admin/billing/creditgrant/add/",
        "/admin/auth/user/add/",
    ]


def _posts(account: BillingAccount) -> list[tuple[str, str]]:
    draft, invoice = draft_of(account), Invoice.objects.issued().get()
    return [
        (f"/admin/billing/invoice/{draft.pk}/issue/", "is_early=on"),
        (f"/admin/billing/invoice/{invoice.pk}/void/", "reason=because"),
        (f"/admin/billing/invoice/{invoice.pk}/pay/", "amount=1"),
        (f"/admin/billing/billingaccount/{account.pk}/change/", "legal_name=Mine"),
        (f"/admin/billing/plan/{Plan.objects.get(key='draft').pk}/publish/", ""),
        ("/admin/billing/billingrun/now/", ""),
        (f"/admin/metering/project/{account.project_id}/change/", "name=Mine"),
        (f"/admin/quotas/projectquota/{ProjectQuota.objects.get().pk}/change/", "limit=1"),
        (f"/admin/quotas/alert/{Alert.objects.first().pk}/acknowledge/", "note=seen"),  # type: ignore[union-attr]
        ("/admin/metering/project/add/", "key=mine&name=Mine"),
    ]


def _everything() -> list[object]:
    """What the journey might have changed."""
    return [
        list(Invoice.objects.order_by("pk").values_list("pk", "issued_at", "total", "edited_by")),
        list(Plan.objects.order_by("pk").values_list("pk", "state")),
        list(Project.objects.order_by("pk").values_list("pk", "name")),
        list(BillingAccount.objects.values_list("legal_name", flat=True)),
        list(ProjectQuota.objects.values_list("limit", flat=True)),
        list(Alert.objects.order_by("pk").values_list("pk", "acknowledged_at")),
        (UsageEvent.objects.count(), CreditGrant.objects.count(), LogEntry.objects.count()),
    ]
