"""What other terms of a customer, or credit, mean for documents to come is shown before it is saved."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from billing.invoicing.draft_edits import ManualLine, begin_invoice
from billing.models import BillingAccount, CreditGrant
from metering.attributing.scope_tree import attribute, install_surface
from metering.models import Project
from tests.billing.billed import a_seller
from tests.billing.factories import a_plan, a_subscription, an_account
from tests.factories import a_project, at


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def account(db: None) -> BillingAccount:
    return an_account(a_project("acme"), legal_name="Acme Ltd", currency="EUR", payment_terms_days=14)


def form_of(account: BillingAccount, **given: Any) -> dict[str, Any]:
    return {
        "legal_name": account.legal_name,
        "address_lines": "\n".join(account.address_lines),
        "country": account.country,
        "tax_id": account.tax_id,
        "tax_rates": "\n".join(f"{rate['name']} {rate['percent']}" for rate in account.tax_rates),
        "currency": account.currency,
        "timezone": account.timezone,
        "payment_terms_days": account.payment_terms_days,
        "issue_grace_days": account.issue_grace_days,
        "invoice_emails": "",
        "approval_above": "",
        "approve_corrections_above": "",
        "write_off_below": "",
        "change_reason": "agreed",
        **given,
    }


def change_url(account: BillingAccount) -> str:
    return reverse("admin:billing_billingaccount_change", args=[account.pk])


def test_other_taxes_and_terms_are_shown_with_the_drafts_that_go_out_of_date(
    staff: Client, account: BillingAccount
) -> None:
    a_seller()
    begin_invoice(account, lines=[ManualLine("Work", Decimal(50))], edited_by="ada")
    form = form_of(account, tax_rates="VAT 19.0", payment_terms_days="30")

    answer = staff.post(change_url(account), form)
    account.refresh_from_db()
    before = account.payment_terms_days
    saved = staff.post(
        change_url(account), {**dict(answer.context["kept"]), "_consequences_seen": answer.context["seen"]}
    )

    assert [str(sentence) for sentence in answer.context["sentences"]] == [
        "Invoices issued from now on are due after 30 days instead of 14.",
        "Documents computed from now on are taxed by VAT 19% instead of none.",
        "1 draft of this customer is out of date and has to be computed again before it can be issued; "
        "issued documents stay as they are.",
    ]
    assert (before, saved.status_code) == (14, 302)
    account.refresh_from_db()
    assert account.payment_terms_days == 30
    assert account.tax_rates == [{"name": "VAT", "percent": "19"}]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"legal_name": "Acme Inc"},
        {"address_lines": "Road 1"},
        {"invoice_emails": "a@acme.example"},
    ],
)
def test_name_and_address_are_saved_at_once(
    staff: Client, account: BillingAccount, given: dict[str, str]
) -> None:
    assert staff.post(change_url(account), form_of(account, **given)).status_code == 302


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"issues_automatically": "on"}, "Billing runs issue its drafts by themselves"),
        ({"issue_grace_days": "5"}, "Drafts wait 5 days for late usage instead of 1"),
        ({"timezone": "Europe/Berlin"}, "Billing periods begin at midnight of Europe/Berlin"),
        ({"write_off_below": "2.5"}, "Corrections of invoiced periods are written off below: 2.50 EUR."),
        ({"currency": "USD"}, "Its documents are in USD from now on, no longer in EUR."),
    ],
)
def test_each_term_that_decides_about_money_says_what_it_does(
    staff: Client, account: BillingAccount, given: dict[str, str], says: str
) -> None:
    answer = staff.post(change_url(account), form_of(account, **given))

    assert str(answer.context["sentences"][0]).startswith(says)


def test_credit_is_given_once_its_sum_was_seen(staff: Client, account: BillingAccount) -> None:
    url = reverse("admin:billing_creditgrant_add")
    form = {
        "account": account.pk,
        "kind": "paid",
        "amount": "20",
        "name": "",
        "priority": "50",
        "expires_at": "",
        "reason": "order 17",
    }

    answer = staff.post(url, form)
    nothing = CreditGrant.objects.count()
    staff.post(url, {**dict(answer.context["kept"]), "_consequences_seen": answer.context["seen"]})

    assert [str(sentence) for sentence in answer.context["sentences"]] == [
        "Acme Ltd is given 20.00 EUR. Its credit grows from 0.00 EUR to 20.00 EUR, and invoices issued from "
        "now on draw on it.",
        "Make sure that the money has been received.",
    ]
    assert (nothing, CreditGrant.objects.get().amount) == (0, 20)


def told_of_rule(
    staff: Client, project: Project, *, payer: Project, surface: str | int = "", since: str = ""
) -> list[str]:
    """What is said of a rule before it is made, of money alone."""
    form = {
        "project": project.pk,
        "surface": surface,
        "billing_attribution_project": payer.pk,
        "effective_from_0": since,
        "effective_from_1": "00:00:00" if since else "",
        "effective_until_0": "",
        "effective_until_1": "",
    }
    answer = staff.post(reverse("admin:metering_attributionrule_add"), form)
    return [str(sentence) for sentence in answer.context["sentences"] if "invoice" in str(sentence)]


def test_rule_says_that_nobody_is_billed(staff: Client) -> None:
    top = a_project("top")
    shop, other = a_project("shop", parent=top), a_project("other", parent=top)

    measured_only = told_of_rule(staff, shop, payer=top)
    account = an_account(other)
    without_account = told_of_rule(staff, shop, payer=top)
    without_plan = told_of_rule(staff, shop, payer=other)
    a_subscription(account, a_plan())
    billed = told_of_rule(staff, shop, payer=other)
    attribute(other, payer=top)
    paid_for_in_turn = told_of_rule(staff, shop, payer=other)

    assert measured_only == billed == []
    assert without_account == paid_for_in_turn
    assert without_account == [
        "top has no billing account: as long as that is so, this usage is on no invoice."
    ]
    assert without_plan == ["other is on no plan: as long as that is so, this usage is on no invoice."]


def test_project_that_pays_for_itself_again_is_told_of_its_own_account(staff: Client) -> None:
    top = a_project("top")
    shop = a_project("shop", parent=top)
    a_subscription(an_account(top), a_plan())
    attribute(shop, payer=top)

    assert told_of_rule(staff, shop, payer=shop) == [
        "shop has no billing account: as long as that is so, this usage is on no invoice."
    ]


def test_surface_whose_project_pays_is_paid_for_by_who_pays_for_that(staff: Client) -> None:
    top = a_project("top")
    shop = a_project("shop", parent=top)
    a_subscription(an_account(top), a_plan())
    attribute(shop, payer=top)
    bot = install_surface(project=shop, key="bot", name="Bot")

    assert told_of_rule(staff, shop, payer=shop, surface=bot.pk) == []


def test_rule_from_back_then_is_judged_by_what_is_recorded_from_now_on(staff: Client) -> None:
    top = a_project("top")
    shop = a_project("shop", parent=top)
    terms = {"effective_from": at("2020-01-01T00:00:00Z"), "effective_until": at("2021-01-01T00:00:00Z")}
    a_subscription(an_account(top), a_plan(), **terms)

    assert told_of_rule(staff, shop, payer=top, since="2020-06-01") == [
        "top is on no plan: as long as that is so, this usage is on no invoice."
    ]


@pytest.mark.django_db
def test_accounts_are_not_told_of_to_who_may_not_see_them(client: Client) -> None:
    top = a_project("top")
    shop, other = a_project("shop", parent=top), a_project("other", parent=top)
    an_account(other)
    operator = User.objects.create_user("operator", is_staff=True)
    rights = ("view_attributionrule", "add_attributionrule", "view_project")
    operator.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(operator)

    assert told_of_rule(client, shop, payer=top) == []
