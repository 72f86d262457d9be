"""Accounts, documents and prices on the pages of projects and metrics."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse

from billing.admin.metric_panels import prices_panel
from billing.admin.project_panels import account_panel, invoices_panel
from metering.models import MetricDefinition
from tests.billing.admin.staff import a_billed_customer
from tests.billing.billed import billed, issued
from tests.billing.factories import a_draft, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project


def request_of(*codenames: str) -> HttpRequest:
    user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=user.pk)
    return request


def text_of(panel: Any) -> str:
    """What a card says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", str(panel.body)).split()).replace("&nbsp;", " ")


def test_account_is_shown_with_its_plans(db: None) -> None:
    acme, account, _invoice = a_billed_customer(payment_terms_days=14)

    text = text_of(account_panel(request_of("view_billingaccount", "view_subscription"), acme))

    assert text.startswith("Acme Ltd EUR · UTC · 14 days to pay Plan State From Until")
    assert "v1 Active 2026-03-01 further notice" in text
    without = text_of(account_panel(request_of("view_billingaccount"), acme))
    assert without == "Acme Ltd EUR · UTC · 14 days to pay"
    assert account.legal_name == "Acme Ltd"


def test_account_on_no_plan_and_project_without_one_say_what_that_means(db: None) -> None:
    acme = a_project("acme")
    request = request_of("view_billingaccount", "view_subscription", "add_billingaccount")

    before = text_of(account_panel(request, acme))
    an_account(acme)
    after = text_of(account_panel(request, acme))

    assert "What it pays for is billed to nobody" in before
    assert before.endswith("Open an account")
    assert after.endswith("On no plan: nothing of what it pays for is billed.")


def test_latest_documents_are_shown_with_state_and_amount(db: None) -> None:
    acme, account, invoice = a_billed_customer()
    billed("2026-05-01T00:00:00Z")

    panel = invoices_panel(request_of("view_invoice"), acme)

    assert panel is not None
    text = text_of(panel)
    assert f"{invoice.number} Invoice 2026-04-02 Overdue 70.00 EUR" in text
    assert text.index("Draft") < text.index(str(invoice.number))
    assert panel.url.endswith(f"account__id__exact={account.pk}")


def test_ten_documents_are_shown_at_most(db: None) -> None:
    acme, account, _invoice = a_billed_customer()
    for month in range(5, 13):
        billed(f"2026-{month:02}-01T00:00:00Z")
        issued(account, f"2026-{month:02}-02T00:00:00Z")
    billed("2027-01-01T00:00:00Z")
    issued(account, "2027-01-02T00:00:00Z")
    billed("2027-02-01T00:00:00Z")

    panel = invoices_panel(request_of("view_invoice"), acme)

    assert panel is not None
    assert str(panel.body).count("<tr>") == 1 + 10


@pytest.mark.parametrize("right", ["view_plan", "view_invoiceline"])
def test_without_the_rights_there_are_no_cards(db: None, right: str) -> None:
    acme, _account, _invoice = a_billed_customer()
    request = request_of(right)

    assert (account_panel(request, acme), invoices_panel(request, acme)) == (None, None)
    assert invoices_panel(request_of("view_invoice"), a_project("other")) is None


def test_metric_says_its_prices_and_how_many_are_on_them(db: None) -> None:
    tokens = a_metric(display_name="Tokens")
    plan = a_plan(a_usage_price(tokens), key="pro", name="Pro")
    for key in ("acme", "bolt"):
        a_subscription(an_account(a_project(key)), plan)
    a_draft(a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.08"}), key="next", name="Next")

    panel = prices_panel(request_of("view_plan"), tokens)

    assert panel is not None
    assert text_of(panel) == (
        "Plan State Usage Price Subscribers now "
        "Next v1 Draft All usage 0.08 EUR per unit 0 "
        "Pro v1 Published All usage 0.10 EUR per unit 2"
    )


def test_metric_without_a_price_says_what_that_means(db: None) -> None:
    tokens = a_metric()

    assert text_of(prices_panel(request_of("view_plan"), tokens)).startswith("No plan prices it")
    assert prices_panel(request_of("view_invoice"), tokens) is None


def test_plans_that_price_a_metric_can_be_listed(staff: Client, db: None) -> None:
    tokens: MetricDefinition = a_metric("tokens")
    a_plan(a_usage_price(tokens), key="pro")
    a_plan(key="other")
    url = reverse("admin:billing_plan_changelist")

    rows = staff.get(url, {"prices__metric__id__exact": tokens.pk}).context["cl"].result_list

    assert [plan.key for plan in rows] == ["pro"]
