"""So far this period, and what if, as finance staff see them."""

import datetime as dt

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metering.clock import ledger_end
from metering.errors import Unavailable
from tests.billing.billed import used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project

pytestmark = pytest.mark.django_db

WHAT_IF = "/admin/billing/plan/what-if/"
MARCH = {"first_on": "2026-03-01", "last_on": "2026-03-31", "on_plan": ""}


@pytest.fixture(autouse=True)
def _positions_are_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fence would wait for the very transaction that the test runs in."""
    for module in ("running", "what_if"):
        monkeypatch.setattr(f"billing.admin.{module}.final_position", ledger_end)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def running_url(account_id: object) -> str:
    return reverse("admin:billing_billingaccount_show_running", args=[account_id])


def someone_with(*rights: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def test_running_page_shows_the_bill_so_far(staff: Client) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens", unit="token")
    account = an_account(acme, legal_name="<b>Acme</b>", tax_rates=[{"name": "VAT", "percent": "19"}])
    now = timezone.now()
    begun = now - dt.timedelta(days=10)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)), begun, anchor="anniversary")
    used(acme, "100", on=(now - dt.timedelta(days=1)).isoformat())

    page = staff.get(running_url(account.pk)).content.decode()

    for words in ("40.00 EUR", "47.60 EUR", "VAT 19%", "100 token", "Tokens", "a straight line", "% over"):
        assert words in page, words
    assert "<b>Acme</b>" not in page
    assert (
        running_url(account.pk)
        in staff.get(reverse("admin:billing_billingaccount_change", args=[account.pk])).content.decode()
    )


def test_running_page_of_an_account_without_a_plan_says_so(staff: Client) -> None:
    account = an_account(a_project("acme"))

    page = staff.get(running_url(account.pk))

    assert page.status_code == 200
    assert "the account is on no plan at this moment, or in a trial" in page.content.decode()
    for wrong in ("0", "x", "9" * 40):
        assert staff.get(running_url(wrong)).status_code == 404


def test_running_page_says_when_the_ledger_is_busy(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> int:
        raise Unavailable("A recorder has been running for too long; no position is final yet.")

    monkeypatch.setattr("billing.admin.running.final_position", busy)

    page = staff.get(running_url(an_account(a_project("acme")).pk))

    assert page.status_code == 503
    assert "A recorder has been running for too long" in page.content.decode()


def test_pages_are_for_those_who_may_see_accounts(client: Client) -> None:
    account = an_account(a_project("acme"))
    stranger = someone_with("view_plan")

    assert stranger.get(running_url(account.pk)).status_code == 403
    assert stranger.get(WHAT_IF).status_code == 403
    assert client.get(WHAT_IF).status_code == 302


def test_what_if_page_asks_compares_and_downloads(staff: Client) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens", unit="token")
    calls = a_metric("calls", event_name="tokens", aggregation="COUNT")
    account = an_account(acme, legal_name="Acme")
    a_subscription(account, a_plan(a_usage_price(tokens), a_usage_price(calls), name="Basic"))
    draft = a_draft(a_fee("8"), a_usage_price(tokens), name="Pro")
    used(acme, "100")

    asked = staff.get(WHAT_IF, {"plan": draft.pk}).content.decode()
    assert "Pro, version 1 (draft), EUR" in asked
    answer = staff.get(WHAT_IF, {"plan": draft.pk, **MARCH})

    page = answer.content.decode()
    for words in ("10.10", "18.00", "+7.90", "+78.2%", "0 less, 1 more", "no price for", "calls", "Basic"):
        assert words in page, words
    download = staff.get(WHAT_IF, {"plan": draft.pk, "accounts": [account.pk], "format": "csv", **MARCH})
    assert download["Content-Type"] == "text/csv; charset=utf-8"
    assert f"{account.pk},acme,Acme,Basic,EUR,10.10,18.00,7.90,78.2,no,calls" in download.content.decode()


def test_what_if_page_has_empty_states_and_refuses_beside_the_field(staff: Client) -> None:
    assert "No plans yet" in staff.get(WHAT_IF).content.decode()
    draft = a_draft()
    account = an_account(a_project("acme"), currency="USD")

    for query, words in (
        ({"plan": draft.pk, **MARCH}, "Nobody to compare"),
        ({"plan": draft.pk, **MARCH, "last_on": "2026-02-01"}, "Must be after the first day."),
        ({"plan": draft.pk, **MARCH, "last_on": "9999-12-31"}, "Lies in the future"),
        ({"plan": draft.pk, **MARCH, "first_on": "0001-01-01"}, "Must not lie before 1971."),
        ({"plan": draft.pk, **MARCH, "accounts": [account.pk]}, "of another currency"),
        ({"plan": "x", **MARCH}, "Select a valid choice"),
        ({"plan": draft.pk, **MARCH, "accounts": ["x"]}, "is not a valid value"),
        ({"plan": "9" * 40, **MARCH, "accounts": ["9" * 40]}, "Select a valid choice"),
    ):
        page = staff.get(WHAT_IF, query)
        assert page.status_code == 200
        assert words in page.content.decode(), words


def test_what_if_page_names_the_command_for_more_accounts(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.admin.what_if.MAX_ACCOUNTS", 0)
    a_subscription(an_account(a_project("acme")), a_plan())
    draft = a_draft(key="pro")

    page = staff.get(WHAT_IF, {"plan": draft.pk, **MARCH}).content.decode()

    assert "manage.py what_if --plan pro --plan-version 1 --from 2026-03-01 --until 2026-04-01" in page


def test_plan_page_leads_to_what_if(staff: Client) -> None:
    plan = a_draft()

    page = staff.get(reverse("admin:billing_plan_compare", args=[plan.pk]))

    assert page["Location"] == f"{WHAT_IF}?plan={plan.pk}"
