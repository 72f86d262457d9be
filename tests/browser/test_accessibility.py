"""Nobody is kept out: axe-core finds nothing serious on the main pages, light and dark, wide and narrow."""

from collections.abc import Sequence

import pytest
from playwright.sync_api import Page

from billing.models import BillingAccount, BillingRun, Invoice, Plan
from metering.keys import create_api_key
from metering.models import MetricDefinition, UsageEvent
from quotas.models import Alert, ProjectQuota, UsageThreshold
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.browser.accessibility import findings
from tests.browser.background import work_off
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project, at
from tests.quotas.factories import a_quota, a_threshold

PHONE = {"width": 400, "height": 800}


@pytest.fixture
def house(live_server: object) -> BillingAccount:
    """A tenant and a customer: usage, a limit, an alert, a key, an issued invoice, a draft, plans."""
    a_seller()
    tenant = a_project("platform", name="Platform", kind="tenant")
    acme = a_project("acme", name="Acme", parent=tenant)
    tokens = a_metric("tokens", display_name="Tokens", unit="token")
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "19"}], address_lines=["Hafenstr. 12"])
    plan = a_plan(a_fee("30"), a_usage_price(tokens), key="pro", name="Pro")
    a_subscription(account, plan, effective_from=at("2026-03-01T00:00:00Z"))
    a_draft(a_fee("10"), a_usage_price(tokens), key="draft", name="Draft")
    a_quota(acme, tokens, limit="1000")
    a_threshold(acme, tokens, amount="50", subject_id="*")
    create_api_key(project=acme, name="app", permissions=["ingest"])
    used(acme, "100", "23.5", labels={"region": "eu"}, subject_id="ada")
    work_off()
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-02T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    return account


def _all_findings(page: Page, urls: Sequence[str]) -> list[str]:
    return [finding for url in urls for finding in findings(page, url)]


def test_door_keeps_nobody_out(seat: Seat) -> None:
    assert _all_findings(seat.visitor(), ["/admin/login/"]) == []


def test_empty_pages_keep_nobody_out(seat: Seat) -> None:
    page = seat.signed_in()
    assert (
        _all_findings(
            page,
            [
                "/admin/",
                "/admin/metering/usageevent/",
                "/admin/metering/metricdefinition/",
                "/admin/quotas/alert/",
                "/admin/billing/invoice/",
                "/admin/billing/billingrun/overview/",
                "/admin/billing/billingrun/review/",
                "/admin/billing/plan/what-if/",
            ],
        )
        == []
    )


def test_pages_of_usage_and_limits_keep_nobody_out(seat: Seat, house: BillingAccount) -> None:
    page = seat.signed_in()
    event, tokens = UsageEvent.objects.order_by("pk")[0], MetricDefinition.objects.get()
    assert (
        _all_findings(
            page,
            [
                "/admin/",
                "/admin/metering/usageevent/",
                f"/admin/metering/usageevent/{event.pk}/change/",
                f"/admin/metering/usageevent/{event.pk}/void/",
                "/admin/metering/usagemeterrollup/",
                f"/admin/metering/metricdefinition/{tokens.pk}/change/",
                "/admin/metering/metricdefinition/add/",
                "/admin/metering/project/",
                f"/admin/metering/project/{house.project_id}/change/",
                "/admin/metering/attributionrule/tree/",
                "/admin/metering/apikey/add/",
                "/admin/metering/export/add/?kind=invoice_register",
                "/admin/quotas/projectquota/",
                "/admin/quotas/projectquota/add/",
                f"/admin/quotas/projectquota/{ProjectQuota.objects.get().pk}/change/",
                f"/admin/quotas/usagethreshold/{UsageThreshold.objects.get().pk}/change/",
                "/admin/quotas/alert/",
                f"/admin/quotas/alert/{Alert.objects.order_by('pk')[0].pk}/acknowledge/",
                "/admin/auth/user/",
            ],
        )
        == []
    )


def test_pages_of_billing_keep_nobody_out(seat: Seat, house: BillingAccount) -> None:
    page = seat.signed_in()
    draft, invoice = draft_of(house), Invoice.objects.issued().get()
    plan = Plan.objects.get(key="draft")
    assert (
        _all_findings(
            page,
            [
                "/admin/billing/billingrun/overview/",
                "/admin/billing/billingrun/review/",
                f"/admin/billing/billingrun/{BillingRun.objects.order_by('pk')[0].pk}/change/",
                "/admin/billing/billingrun/now/",
                "/admin/billing/invoice/",
                f"/admin/billing/invoice/{draft.pk}/change/",
                f"/admin/billing/invoice/{draft.pk}/issue/",
                f"/admin/billing/invoice/{draft.pk}/add-line/",
                f"/admin/billing/invoice/{invoice.pk}/change/",
                f"/admin/billing/invoice/{invoice.pk}/pay/",
                f"/admin/billing/invoice/{invoice.pk}/credit/",
                f"/admin/billing/invoice/{invoice.pk}/void/",
                f"/admin/billing/invoiceline/{invoice.lines.get(kind='usage').pk}/change/",
                "/admin/billing/billingaccount/",
                f"/admin/billing/billingaccount/{house.pk}/change/",
                f"/admin/billing/billingaccount/{house.pk}/running/",
                "/admin/billing/plan/",
                f"/admin/billing/plan/{plan.pk}/change/",
                f"/admin/billing/plan/{plan.pk}/prices/1/",
                f"/admin/billing/plan/what-if/?plan={plan.pk}&first_on=2026-03-01&last_on=2026-03-31",
            ],
        )
        == []
    )


def test_on_a_phone_the_main_pages_keep_nobody_out_and_fit(seat: Seat, house: BillingAccount) -> None:
    page = seat.signed_in(viewport=PHONE)
    invoice = Invoice.objects.issued().get()
    urls = [
        "/admin/",
        "/admin/billing/billingrun/review/",
        "/admin/billing/invoice/",
        f"/admin/billing/invoice/{invoice.pk}/change/",
        f"/admin/billing/invoiceline/{invoice.lines.get(kind='usage').pk}/change/",
        "/admin/quotas/alert/",
        "/admin/metering/project/add/",
    ]
    found = []
    for url in urls:
        found += findings(page, url)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            found.append(f"{url}: {width} pixels wide")
    assert found == []


def test_every_page_of_the_menu_has_a_title_of_its_own(seat: Seat, house: BillingAccount) -> None:
    page = seat.signed_in()
    page.goto("/admin/")
    urls = (
        page.get_by_role("navigation").locator("ol a").evaluate_all("links => links.map(each => each.href)")
    )

    titles = {}
    for url in urls:
        page.goto(url, wait_until="domcontentloaded")
        titles.setdefault(page.title(), []).append(url.removeprefix(seat.url))

    assert len(urls) > 30
    assert {title: pages for title, pages in titles.items() if len(pages) > 1} == {}
