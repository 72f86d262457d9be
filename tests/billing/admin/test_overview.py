"""The overview and the review queue, as finance staff read them."""

import re
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.admin.billing_links import document_link
from billing.models import BillingRun, ParkedAccount
from billing.settling.credits import grant_credit
from tests.billing.admin.staff import a_billed_customer, staff_with, superuser
from tests.billing.billed import a_seller, billed, used
from tests.billing.factories import a_fee, a_plan, a_subscription, an_account
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_june(monkeypatch):
    """The pages are looked at on 2 June 2026, 31 days after what was issued on 2 April is due."""
    for module in ("overview", "review"):
        monkeypatch.setattr(f"billing.admin.{module}.database_now", lambda: at("2026-06-02T10:00:00Z"))


def words(client: Client, name: str, query: str = "") -> str:
    """The text of the page, without markup and with single blanks."""
    page = client.get(reverse(f"admin:{name}") + query)
    assert page.status_code == 200
    content = page.content.decode().partition('id="content"')[2] or page.content.decode()
    text = re.sub(r"<script.*?</script>|<[^>]+>", " ", content, flags=re.S)
    return re.sub(r"\s+", " ", text)


def test_fresh_installation_is_led_to_its_first_invoice():
    client = superuser()
    before = words(client, "billing_overview")

    a_seller()
    steps = client.get(reverse("admin:billing_overview")).context["first_steps"]

    assert "Five steps lead to the first invoice" in before
    assert [(step.title, step.is_done, step == steps.upcoming) for step in steps.steps] == [
        ("Say who you are", True, False),
        ("Publish a plan", False, True),
        ("Open a billing account", False, False),
        ("Subscribe it to the plan", False, False),
        ("Bill now", False, False),
    ]


def test_overview_says_what_waits_what_is_owed_and_what_came_in():
    acme, account, _invoice = a_billed_customer(payment_terms_days=30)
    used(acme, "40", on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    grant_credit(account, amount=Decimal(1250), kind="paid", now=at("2026-05-01T00:00:00Z"))

    client = superuser()
    page = client.get(reverse("admin:billing_overview")).context
    text = words(client, "billing_overview")

    assert [
        (card["title"], re.sub("<[^>]+>", "", card["value"]), card["note"]) for card in page["cards"]
    ] == [
        ("To review", "34.00 EUR", "1 draft"),
        ("Issued and open", "70.00 EUR", "1 invoice"),
        ("Overdue", "70.00 EUR", "1 invoice"),
        ("Prepaid credit", "1,250.00 EUR", "of 1 account"),
        ("Corrections that wait", "None", ""),
    ]
    [line] = page["ages"]
    assert [cell["amount"] for cell in line["cells"]] == ["0.00", "0.00", "70.00", "0.00", "0.00"]
    [revenue] = page["revenue"]
    assert revenue["months"] == [
        (
            "2026-04",
            "70.00 EUR",
            "/admin/billing/invoice/?issued_on__gte=2026-04-01&issued_on__lt=2026-05-01&currency__exact=EUR",
        )
    ]
    assert revenue["chart"].headers == ["Month", "Usage", "Fees", "Sum"]
    assert revenue["chart"].rows[2] == ("2026-04", "10.00", "60.00", "70.00")
    assert len(revenue["chart"].rows) == 12
    assert revenue["metric_links"][0][:2] == ("Tokens", "10.00")
    assert "1 drafted, 0 issued, 0 parked" in text
    assert "No account is parked." in text


def test_every_number_leads_to_its_rows():
    a_billed_customer()
    client = superuser()
    page = client.get(reverse("admin:billing_overview")).context
    [line] = page["ages"]

    urls = [card["url"] for card in page["cards"]] + [cell["url"] for cell in line["cells"]]
    urls += [link for _month, _amount, link in page["revenue"][0]["months"]]

    assert {address: client.get(address).status_code for address in urls} == dict.fromkeys(urls, 200)
    found = client.get(line["cells"][2]["url"]).context["cl"].result_list
    assert [invoice.number for invoice in found] == ["INV-000001"]


def test_parked_accounts_are_counted_by_reason():
    _acme, account, _invoice = a_billed_customer()
    run = BillingRun.objects.latest("id")
    ParkedAccount.objects.create(account=account, code="seller_unknown", reason="Say who you are.", run=run)

    text = words(superuser(), "billing_overview")

    assert "1 account couldn't be billed" in text.replace("&#x27;", "'")
    assert "1 × seller_unknown" in text


def test_bill_now_is_offered_to_those_who_may():
    a_billed_customer()

    assert "Bill now" in words(staff_with("view_invoice", "start_billingrun", name="ada"), "billing_overview")
    assert "Bill now" not in words(staff_with("view_invoice", name="bob"), "billing_overview")


@pytest.mark.parametrize("page", ["billing_overview", "billing_review"])
def test_money_is_shown_to_those_who_may_see_invoices(page):
    a_billed_customer()

    assert staff_with("view_billingaccount").get(reverse(f"admin:{page}")).status_code == 403
    assert Client().get(reverse(f"admin:{page}")).status_code == 302


def test_queries_do_not_grow_with_documents():
    client, counts = superuser(), []
    acme, _account, _invoice = a_billed_customer()
    for number in range(2):
        other = an_account(a_project(f"other-{number}"))
        a_subscription(other, a_plan(a_fee("10")))
        billed("2026-04-01T00:00:00Z")
        used(acme, "1", on="2026-04-05T00:00:00Z")
        billed("2026-05-01T00:00:00Z")
        for page in ("billing_overview", "billing_review"):
            with CaptureQueriesContext(connection) as queries:
                client.get(reverse(f"admin:{page}"))
            counts.append(len(queries))

    assert counts == [12, 8, 12, 8]


def test_review_queue_says_what_changed_and_why():
    acme, account, invoice = a_billed_customer()
    used(acme, "250", on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    draft = account.invoices.get(issued_at=None)

    client = superuser()
    [row] = client.get(reverse("admin:billing_review")).context["rows"]
    text = words(client, "billing_review")

    assert (row["net"], row["previous_net"], row["change"], row["percent"]) == (
        "55.00 EUR",
        "70.00",
        "−15.00 EUR",
        "−21%",
    )
    assert row["url"] == f"/admin/billing/invoice/{draft.pk}/change/"
    assert [(each["name"], each["previous"], each["amount"]) for each in row["differences"]] == [
        ("Base fee", "60.00", "30.00"),
        ("Tokens", "10.00", "25.00"),
    ]
    assert [(each["metric"], each["change"], each["percent"]) for each in row["quantities"]] == [
        ("Tokens", "+150", "+150%")
    ]
    assert str(invoice.number) in text
    assert "Ready" in text
    assert "1 to 1 of 1 drafts" in text


def test_review_queue_links_what_a_draft_corrects():
    acme, _account, invoice = a_billed_customer()
    used(acme, "50", on="2026-03-20T00:00:00Z")
    billed("2026-05-01T00:00:00Z")

    [row] = superuser().get(reverse("admin:billing_review")).context["rows"]

    assert [str(link) for link in row["corrected"]] == [str(document_link(invoice))]


def test_empty_review_queue_says_where_drafts_come_from():
    text = words(superuser(), "billing_review")

    assert "Nothing to review" in text
    assert "Bill now" in text


@pytest.mark.parametrize("page", ["?page=99", "?page=-1", "?page=x", "?page=99999999999999999999"])
def test_pages_that_are_none_are_empty_or_the_first(page):
    a_billed_customer()

    assert superuser().get(reverse("admin:billing_review") + page).status_code == 200
