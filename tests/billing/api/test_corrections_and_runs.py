"""Corrections of invoiced periods and billing runs over HTTP."""

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from billing.models import BillingAccount, BillingRun, Invoice, PeriodCorrection, Seller
from metering.clock import ledger_end
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at
from tests.metering.api.callers import assert_problem, fields_of

from .callers import Caller

pytestmark = pytest.mark.django_db

MAY = "2026-05-01T00:00:00Z"


@pytest.fixture(autouse=True)
def position_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fence would wait for the test's own recorder."""
    monkeypatch.setattr("billing.api.positions.final_position", ledger_end)


@pytest.fixture
def account() -> BillingAccount:
    """On 0.10 a token from March to April; 100 tokens of March are in the ledger."""
    tokens = a_metric("tokens", display_name="Tokens")
    account = an_account(a_project("acme"), approve_corrections_above="4")
    a_seller()
    a_subscription(account, a_plan(a_usage_price(tokens)), effective_until=at(MAY))
    used(account.project, "100")
    return account


@pytest.fixture
def correction(account: BillingAccount) -> PeriodCorrection:
    """5.00 for late tokens of March, which waits."""
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T01:00:00Z")
    used(account.project, "50", on="2026-03-31T23:00:00Z")
    billed(MAY)
    return PeriodCorrection.objects.get()


def test_correction_that_waits_is_shown_approved_and_billed(account, correction):
    call = Caller(account.project)

    [shown] = call("GET", "/period-corrections/?state=WAITING&project=acme").json()["results"]
    assert shown.pop("found_at").endswith("Z")
    assert shown == {
        "id": correction.pk,
        "account": account.pk,
        "project": "acme",
        "subscription": correction.billed_period.subscription_id,
        "price": "Tokens",
        "metric": "tokens",
        "period_start": "2026-03-01T00:00:00Z",
        "period_end": "2026-04-01T00:00:00Z",
        "currency": "EUR",
        "billed_amount": "10.00",
        "rated_amount": "15.00",
        "difference": "5.00",
        "state": "waiting",
        "invoice": None,
        "position": ledger_end(),
        "decided_at": None,
        "decided_by": "",
        "reason": "",
    }
    approved = call("POST", f"/period-corrections/{correction.pk}/approve/", {"reason": "Seen."})

    assert approved.status_code == 200, approved.json()
    assert (approved.json()["state"], approved.json()["reason"]) == ("approved", "Seen.")
    assert approved.json()["decided_by"].startswith("test (mbk_")
    again = call("POST", f"/period-corrections/{correction.pk}/approve/", {})
    assert_problem(again, 409, "correction_decided")
    run = call("POST", "/billing-runs/", {"account": account.pk})
    assert (run.status_code, run.json()["drafted_count"]) == (201, 1)
    assert draft_of(account).subtotal == 5
    assert call("GET", "/period-corrections/?state=drafted").json()["results"][0]["invoice"] is not None


def test_correction_is_written_off_with_a_reason(account, correction):
    call = Caller(account.project)
    path = f"/period-corrections/{correction.pk}/write-off/"

    for body, code in (({}, "missing_field"), ({"reason": 1}, "invalid_field")):
        assert fields_of(call("POST", path, body)) == [(code, "reason")]
    assert fields_of(call("POST", path, {"reason": "x" * 2001})) == [("invalid_field", "reason")]
    written_off = call("POST", path, {"reason": "Our mistake."})

    assert (written_off.status_code, written_off.json()["state"]) == (200, "written_off")
    assert_problem(call("POST", path, {"reason": "Again."}), 409, "correction_decided")
    call("POST", "/billing-runs/", {})
    assert not Invoice.objects.drafts().exists()


def test_correction_that_a_void_overtook_is_refused(account, correction):
    PeriodCorrection.objects.update(difference=4)

    answer = Caller(account.project)(
        "POST", f"/period-corrections/{correction.pk}/write-off/", {"reason": "Our mistake."}
    )

    assert_problem(answer, 409, "correction_outdated")
    assert PeriodCorrection.objects.get().state == "waiting"


def test_run_bills_what_the_key_sees(account):
    tokens = a_metric("other-tokens", event_name="tokens")
    globex = an_account(a_project("globex"))
    a_subscription(globex, a_plan(a_usage_price(tokens)))
    used(globex.project, "7")
    call = Caller(account.project)

    answer = call("POST", "/billing-runs/", {"asOf": "2026-04-01T00:00:00Z"})

    assert answer.status_code == 201, answer.json()
    run = BillingRun.objects.get()
    shown = answer.json()
    for name in ("started_at", "finished_at"):
        assert shown.pop(name).endswith("Z")
    assert shown.pop("requested_by").startswith("test (mbk_")
    assert shown == {
        "id": run.pk,
        "as_of": "2026-04-01T00:00:00Z",
        "position": ledger_end(),
        "state": "finished",
        "trigger": "code",
        "account_count": 1,
        "done_count": 1,
        "drafted_count": 1,
        "issued_count": 0,
        "parked_count": 0,
        "parked": [],
    }
    assert [invoice.account_id for invoice in Invoice.objects.all()] == [account.pk]
    assert [each["id"] for each in call("GET", "/billing-runs/").json()["results"]] == [run.pk]
    assert Caller(globex.project)("GET", "/billing-runs/").json()["results"] == []


def test_run_names_accounts_that_could_not_be_billed(account):
    BillingAccount.objects.update(issues_automatically=True)
    account.refresh_from_db()
    Seller.objects.all().delete()

    shown = Caller(account.project)("POST", "/billing-runs/", {"as_of": "2026-04-30T00:00:00Z"}).json()

    assert (shown["parked_count"], shown["drafted_count"]) == (1, 0)
    [parked] = shown["parked"]
    assert (parked["account"], parked["code"]) == (account.pk, "conflict")
    assert "legal name" in parked["reason"]


def test_run_of_too_many_accounts_points_to_the_command(account, monkeypatch):
    monkeypatch.setattr("billing.api.runs.MAX_ACCOUNTS", 0)

    answer = Caller(account.project)("POST", "/billing-runs/", {})

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", "account")])
    assert "run_billing" in answer.json()["detail"]
    assert not BillingRun.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"as_of": "2999-01-01T00:00:00Z"}, "as_of"),
        ({"as_of": 1}, "as_of"),
        ({"account": "acme"}, "account"),
        ({"accounts": [1]}, "accounts"),
    ],
)
def test_bad_run_names_its_field(account, body, field):
    answer = Caller(account.project)("POST", "/billing-runs/", body)

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", field)])
    assert not BillingRun.objects.exists()


@pytest.mark.parametrize(
    ("right", "method", "path"),
    [
        ("view_periodcorrection", "GET", "/period-corrections/"),
        ("decide_periodcorrection", "POST", "/period-corrections/$correction/approve/"),
        ("decide_periodcorrection", "POST", "/period-corrections/$correction/write-off/"),
        ("view_billingrun", "GET", "/billing-runs/"),
        ("start_billingrun", "POST", "/billing-runs/"),
    ],
)
def test_staff_need_the_right_of_the_admin(correction, right, method, path):
    user = User.objects.create_user("ada", is_staff=True)
    client = Client()
    client.force_login(user)
    route = "/api/v1" + path.replace("$correction", str(correction.pk))
    body = json.dumps({"reason": "Seen."} if "corrections/" in path and method == "POST" else {})

    refused = client.generic(method, route, body, content_type="application/json")
    user.user_permissions.set(Permission.objects.filter(codename=right))
    client.force_login(User.objects.get(pk=user.pk))
    allowed = client.generic(method, route, body, content_type="application/json")

    assert_problem(refused, 403, "permission_denied")
    assert allowed.status_code in {200, 201}, allowed.content
