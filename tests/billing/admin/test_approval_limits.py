"""Whoever draws documents up may ask for more agreement, never for less; whoever approves may."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from billing.models import BillingAccount
from billing.selling.accounts import change_account, loosened
from metering.accountability import changed_by
from metering.roles import Role
from tests.billing.factories import an_account
from tests.factories import a_project, at
from tests.metering.admin.confirming import confirmed

from .staff import url

pytestmark = pytest.mark.django_db

NOW = at("2026-03-01T00:00:00Z")
ONLY_APPROVERS = "Only somebody who approves can raise or remove this limit."


def in_role(role: Role) -> Client:
    person = User.objects.create_user(role.value.lower(), is_staff=True)
    person.groups.add(Group.objects.get(name=role.value))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def account() -> BillingAccount:
    return an_account(a_project("acme"), legal_name="Acme AG", approval_above=Decimal(100))


def form_of(client: Client, account: BillingAccount, **overrides: str) -> dict[str, object]:
    """What a browser would send of the page as it is."""
    form = client.get(url("billingaccount", "change", account.pk)).context["adminform"].form
    shown = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    texts = {name: form.fields[name].prepare_value(value) for name, value in shown.items()}
    sent = {name: "" if value is None else value for name, value in texts.items() if value is not False}
    return {**sent, "change_reason": "an audit", **overrides}


def changed_form(client: Client, account: BillingAccount, **overrides: str) -> list[str]:
    answer = confirmed(
        client, url("billingaccount", "change", account.pk), form_of(client, account, **overrides)
    )
    if answer.status_code == 302:
        return []
    return [str(error) for errors in answer.context["adminform"].form.errors.values() for error in errors]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("100", None, ["approval_above"]),
        ("100", "100.01", ["approval_above"]),
        ("100", "100", []),
        ("100", "0", []),
        (None, "5", []),
        (None, None, []),
    ],
)
def test_more_without_a_second_person_is_looser(before: str | None, after: str | None, found: list) -> None:
    stored = {"approval_above": before and Decimal(before), "approve_corrections_above": None}

    assert loosened(stored, {"approval_above": after and Decimal(after)}) == found


@pytest.mark.parametrize(("limit", "errors"), [("", [ONLY_APPROVERS]), ("101", [ONLY_APPROVERS]), ("99", [])])
def test_finance_only_tightens_it(account: BillingAccount, limit: str, errors: list[str]) -> None:
    found = changed_form(in_role(Role.FINANCE), account, approval_above=limit)

    account.refresh_from_db()
    assert found == errors
    assert account.approval_above == (Decimal(100) if errors else Decimal(limit))


def test_approver_changes_the_limits_and_nothing_else(account: BillingAccount) -> None:
    client = in_role(Role.APPROVER)

    page = client.get(url("billingaccount", "change", account.pk))
    found = changed_form(client, account, approval_above="500", legal_name="Stolen AG", currency="USD")

    account.refresh_from_db()
    assert set(page.context["adminform"].form.fields) == {
        "approval_above",
        "approve_corrections_above",
        "change_reason",
    }
    assert found == []
    assert (account.approval_above, account.legal_name, account.currency) == (500, "Acme AG", "EUR")


def test_api_holds_staff_to_the_same(account: BillingAccount) -> None:
    path = f"/api/v1/billing-accounts/{account.pk}/"
    finance = in_role(Role.FINANCE)
    finance.defaults["HTTP_X_CSRFTOKEN"] = ""

    removed = finance.patch(path, {"approval_above": None}, content_type="application/json")
    lowered = finance.patch(path, {"approval_above": "50"}, content_type="application/json")

    assert (removed.status_code, removed.json()["code"]) == (422, "limit_not_loosened")
    assert removed.json()["errors"][0]["field"] == "approval_above"
    assert (lowered.status_code, lowered.json()["approval_above"]) == (200, "50")


def test_tightening_is_not_put_back_by_finance(account: BillingAccount) -> None:
    with changed_by("ada", through="admin"):
        change_account(account, {"approval_above": Decimal(10)}, now=NOW)
    finance, root = in_role(Role.FINANCE), Client()
    root.force_login(User.objects.create_superuser("root"))
    history = "/admin/history/?what=billing.billingaccount"

    assert finance.get(history).context["changes"][0].put_back_url == ""
    put_back_url = root.get(history).context["changes"][0].put_back_url
    assert finance.post(put_back_url, {"reason": "mine"}).status_code == 403
    root.post(put_back_url, {"reason": "too strict"})

    account.refresh_from_db()
    assert account.approval_above == 100
